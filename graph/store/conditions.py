"""What filters say in SQL: conditions on the rows of one table, or of an alias of it.

Rules of this file: no statement is run here. Whatever a stranger wrote goes in as a parameter, never as a
pattern of the engine's own language: `%`, `_` and `[` mean themselves. A range is kept apart from the other
conditions: a list that is sorted by the same column has to bring it together with its cursors (`pages.py`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    ScalarSelect,
    and_,
    false,
    literal_column,
    select,
)

from graph.store.filters import ArtifactFilter, LayerFilter, RepositoryFilter, TagFilter
from graph.store.tables import artifact, microseconds_of
from graph.store.ways import Columns, Served, columns_of

# The last character of Unicode: in order of bytes every text that starts with `p` is below `p` and this.
_LAST_CHARACTER = "\U0010ffff"

# No query may call a table of its own so: the columns it hands to `key_of` would be taken for this one's.
_placed = artifact.alias("placed")


@dataclass(frozen=True, slots=True)
class Range:
    """Values from `low` up to, and without, `high`; None is no end. Moments are microseconds, as stored."""

    low: Any = None
    high: Any = None

    def meet(self, other: "Range") -> "Range":
        """Return what is in both."""
        return Range(
            max((low for low in (self.low, other.low) if low is not None), default=None),
            min((high for high in (self.high, other.high) if high is not None), default=None),
        )

    def conditions(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """Return the conditions that the column is in it."""
        lower = [] if self.low is None else [column >= self.low]
        return lower + ([] if self.high is None else [column < self.high])


EVERYWHERE = Range()


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a filter says of a table: ranges, by the name of their column, and the other conditions.

    Of those, `served` are what an index of the table finds; so are all ranges.
    """

    table: FromClause
    conditions: list[ColumnElement[bool]] = field(default_factory=list)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    served: list[Served] = field(default_factory=list)

    def beside(self, column: str | None = None) -> list[ColumnElement[bool]]:
        """Return all of it as conditions, but for the range of the column that a list is sorted by."""
        conditions = list(self.conditions)
        for part in self.served_beside(column):
            conditions += part.conditions(columns_of(self.table))
        return conditions

    def served_beside(self, column: str | None = None) -> list[Served]:
        """Return what indexes find, but for the range of the column that a list is sorted by."""
        return self.served + [
            Served(partial(_in_range, name, wanted))
            for name, wanted in self.ranges.items()
            if name != column and wanted != EVERYWHERE
        ]

    def range_of(self, column: str | None) -> Range:
        """Return the range of the column that a list is sorted by."""
        return EVERYWHERE if column is None else self.ranges.get(column, EVERYWHERE)


def repository_narrowing(engine: str, filter: RepositoryFilter, table: FromClause) -> Narrowing:
    """Return what the filter says of rows of `repository`."""
    names = _name_range(filter.name, filter.name_prefix)
    if filter.namespace is not None:
        names = names.meet(starting_with(f"{filter.namespace}/"))
    changed = _times(filter.changed_since, filter.changed_before)
    return Narrowing(
        table, _name_conditions(engine, filter.name, table), {"name": names, "changed_at": changed}
    )


def tag_narrowing(engine: str, filter: TagFilter, table: FromClause) -> Narrowing:
    """Return what the filter says of rows of `tag`."""
    conditions = _name_conditions(engine, filter.name, table)
    if not filter.include_referrer_tags:
        conditions.append(table.c.is_referrer_tag == false())
    return Narrowing(table, conditions, {"name": _name_range(filter.name, filter.name_prefix)})


def artifact_narrowing(filter: ArtifactFilter, table: FromClause) -> Narrowing:
    """Return what the filter says of rows of `artifact`."""
    served: list[Served] = []
    if filter.architecture is not None or filter.os is not None:
        # The index of the platform has the architecture first.
        is_prefix = filter.os is None
        platform = {"os": filter.os, "architecture": filter.architecture}
        served.append(Served(lambda of: _equal(of, platform), in_key_order=not is_prefix))
    if filter.is_tagged is not None:
        is_tagged = filter.is_tagged
        served.append(Served(lambda of: [_is_null(of("untagged"), is_tagged)], in_key_order=is_tagged))
    for column, choices in (("untagged", filter.untagged), ("kind", filter.kinds)):
        if choices is not None:
            values = sorted({choice.value for choice in choices})
            served.append(Served(partial(_one_of, column, values), in_key_order=len(values) == 1))
    conditions = _equal(columns_of(table), {"artifact_type": filter.artifact_type})
    created = _times(filter.created_since, filter.created_before)
    sizes = _sizes(filter.size_at_least, filter.size_at_most)
    return Narrowing(table, conditions, {"created_at": created, "size": sizes}, served)


def layer_narrowing(filter: LayerFilter, table: FromClause) -> Narrowing:
    """Return what the filter says of rows of `blob` that are layers."""
    ranges = {"size": _sizes(filter.size_at_least, filter.size_at_most)}
    if filter.shared_by_at_least is not None:
        ranges["repository_count"] = Range(low=filter.shared_by_at_least)
    is_any = filter.shared_by_at_least is None and filter.include_empty
    return Narrowing(table, [] if is_any else [table.c.is_empty == false()], ranges)


def starting_with(prefix: str) -> Range:
    """Return the range of the texts that start with the prefix.

    A range walks a part of any index in order of bytes; LIKE needs a collation of its own on each engine.
    """
    return Range(prefix, prefix + _LAST_CHARACTER) if prefix else EVERYWHERE


def contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Return the condition that the text is in the column as it stands there."""
    return column.contains(text, autoescape=True)


def matches(engine: str, column: ColumnElement[str], glob: str) -> ColumnElement[bool]:
    """Return the condition that the column matches the glob as a whole; case matters."""
    if engine == "postgresql":
        escaped = "".join(rf"\{character}" if character in r"\%_" else character for character in glob)
        return column.like(escaped.replace("*", "%").replace("?", "_"), escape="\\")
    # SQLite's LIKE ignores case. Its GLOB has our two wildcards and one thing more, sets in brackets. Adding
    # nothing to the column keeps GLOB from the index: the walk begins at the range or at the cursor.
    return (column + literal_column("''")).op("GLOB", is_comparison=True)(glob.replace("[", "[[]"))


def is_present_layer(table: FromClause) -> ColumnElement[bool]:
    """Return the condition that a row of `blob` is a layer that a present artifact uses.

    It is spelled as the indexes on layers spell it: an index on part of a table serves only a query with the
    index's own condition, and what SQLAlchemy takes for a boolean it spells `is_layer = 1` for SQLite.
    """
    return and_(is_layer(table), table.c.artifact_count > literal_column("0"))


def is_layer(table: FromClause) -> ColumnElement[Any]:
    """Return the condition that a row of `blob` or `repository_blob` is of a layer, spelled as indexes do."""
    return literal_column(f"{table.name}.is_layer")  # type: ignore[attr-defined]  # a table or an alias


def key_of(repository_id: ColumnElement[int], manifest_id: ColumnElement[int]) -> ScalarSelect[int]:
    """Return the key of the artifact with this manifest in this repository, of columns read before it.

    Joined by the two columns themselves SQLite may begin with the repository, and walk all of it for each
    row: with 1,500 artifacts in it that took 2 s for what takes 10 ms.
    """
    return (
        select(_placed.c.id)
        .where(_placed.c.repository_id == repository_id, _placed.c.manifest_id == manifest_id)
        .correlate_except(_placed)
        .scalar_subquery()
    )


def is_below(home: FromClause, above: FromClause) -> ColumnElement[bool]:
    """Return the condition that a row of `repository` is present, and below one of `namespace`."""
    return and_(
        home.c.registry_id == above.c.registry_id,
        home.c.absent_at.is_(None),
        # "0" is what follows "/": the names that start with the namespace and a slash, and no others.
        home.c.name > above.c.name + literal_column("'/'"),
        home.c.name < above.c.name + literal_column("'0'"),
    )


def is_partly_live(table: FromClause) -> ColumnElement[Any]:
    """Return the condition that live and dangling artifacts use a row of `blob` that the registry keeps,
    spelled as the index on them spells it.
    """
    name = table.name  # type: ignore[attr-defined]  # a table or an alias
    return literal_column(
        f"{name}.live_artifact_count > 0 AND {name}.live_artifact_count < {name}.artifact_count"
        f" AND NOT {name}.is_foreign"
    )


def is_unknown(table: FromClause) -> ColumnElement[Any]:
    """Return the condition that a row of `artifact` is present and its manifest not known, spelled as the
    index on them spells it.
    """
    name = table.name  # type: ignore[attr-defined]  # a table or an alias
    return and_(table.c.absent_at.is_(None), literal_column(f"NOT {name}.has_manifest"))


def _name_conditions(engine: str, glob: str | None, table: FromClause) -> list[ColumnElement[bool]]:
    return [] if glob is None else [matches(engine, table.c.name, glob)]


def _name_range(glob: str | None, prefix: str | None) -> Range:
    # What stands before a glob's first wildcard bounds the walk; the glob itself then decides.
    before_wildcards = "" if glob is None else re.split(r"[*?]", glob, maxsplit=1)[0]
    return starting_with(before_wildcards).meet(starting_with(prefix or ""))


def _one_of(column: str, values: Sequence[str], of: Columns) -> list[ColumnElement[bool]]:
    return [of(column) == values[0] if len(values) == 1 else of(column).in_(values)]


def _in_range(column: str, wanted: Range, of: Columns) -> list[ColumnElement[bool]]:
    return wanted.conditions(of(column))


def _equal(of: Columns, values: Mapping[str, str | None]) -> list[ColumnElement[bool]]:
    return [of(column) == value for column, value in values.items() if value is not None]


def _is_null(column: ColumnElement[Any], is_null: bool) -> ColumnElement[bool]:
    return column.is_(None) if is_null else column.is_not(None)


def _times(since: datetime | None, before: datetime | None) -> Range:
    return Range(microseconds_of(since), microseconds_of(before))


def _sizes(at_least: int | None, at_most: int | None) -> Range:
    return Range(at_least, None if at_most is None else at_most + 1)

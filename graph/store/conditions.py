"""What filters say in SQL: conditions on the rows of one table, or of an alias of it.

Rules of this file: no statement is run here. Whatever a stranger wrote goes in as a parameter, never as a
pattern of the engine's own language: `%`, `_` and `[` mean themselves.
"""

import re
from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Integer, false, literal_column, type_coerce

from graph.store.filters import ArtifactFilter, LayerFilter, RepositoryFilter, TagFilter

# The last character of Unicode: in order of bytes every text that starts with `p` is below `p` and this.
_LAST_CHARACTER = "\U0010ffff"


def repository_conditions(
    db: Connection, filter: RepositoryFilter, table: FromClause
) -> list[ColumnElement[bool]]:
    """Return the conditions on a row of `repository`."""
    conditions = _name_conditions(db, filter.name, filter.name_prefix, table)
    if filter.namespace is not None:
        conditions += starts_with(table.c.name, f"{filter.namespace}/")
    return conditions + _in_times(table.c.changed_at, filter.changed_since, filter.changed_before)


def tag_conditions(db: Connection, filter: TagFilter, table: FromClause) -> list[ColumnElement[bool]]:
    """Return the conditions on a row of `tag`."""
    conditions = _name_conditions(db, filter.name, filter.name_prefix, table)
    if not filter.include_referrer_tags:
        conditions.append(table.c.is_referrer_tag == false())
    return conditions


def artifact_conditions(filter: ArtifactFilter, table: FromClause) -> list[ColumnElement[bool]]:
    """Return the conditions on a row of `artifact`."""
    conditions: list[ColumnElement[bool]] = []
    if filter.is_tagged is not None:
        conditions.append(table.c.untagged.is_(None) if filter.is_tagged else table.c.untagged.is_not(None))
    conditions += _one_of(table.c.untagged, filter.untagged) + _one_of(table.c.kind, filter.kinds)
    for column, value in (
        (table.c.artifact_type, filter.artifact_type),
        (table.c.os, filter.os),
        (table.c.architecture, filter.architecture),
    ):
        if value is not None:
            conditions.append(column == value)
    conditions += _in_times(table.c.created_at, filter.created_since, filter.created_before)
    return conditions + _in_sizes(table.c.size, filter.size_at_least, filter.size_at_most)


def layer_conditions(
    filter: LayerFilter, table: FromClause, *, by_sharing: bool = False
) -> list[ColumnElement[bool]]:
    """Return the conditions on a row of `blob` that is a layer.

    `by_sharing` for a list sorted by it: then the index of shared layers is walked. In any other order the
    engine is kept from it, as it would read every shared layer of the registry to sort them.
    """
    conditions = _in_sizes(table.c.size, filter.size_at_least, filter.size_at_most)
    if filter.shared_by_at_least is not None:
        conditions.append(table.c.is_empty == false())
        if by_sharing and filter.shared_by_at_least > 1:
            conditions += [bare(table.c.is_layer), table.c.repository_count > literal_column("1")]
        count = table.c.repository_count if by_sharing else table.c.repository_count + 0
        conditions.append(count >= filter.shared_by_at_least)
    elif not filter.include_empty:
        conditions.append(table.c.is_empty == false())
    return conditions


def starts_with(column: ColumnElement[str], prefix: str) -> list[ColumnElement[bool]]:
    """Return the conditions for a range of an index: LIKE needs a collation of its own on each engine."""
    return [column >= prefix, column < prefix + _LAST_CHARACTER] if prefix else []


def contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Return the condition that the text is in the column as it stands there."""
    return column.contains(text, autoescape=True)


def matches(db: Connection, column: ColumnElement[str], glob: str) -> ColumnElement[bool]:
    """Return the condition that the column matches the glob as a whole; case matters."""
    if db.dialect.name == "postgresql":
        escaped = "".join(rf"\{character}" if character in r"\%_" else character for character in glob)
        return column.like(escaped.replace("*", "%").replace("?", "_"), escape="\\")
    # SQLite's LIKE ignores case. Its GLOB has our two wildcards and one more thing, sets in brackets.
    return column.op("GLOB", is_comparison=True)(glob.replace("[", "[[]"))


def bare(column: ColumnElement[bool]) -> ColumnElement[Any]:
    """Return the column as a condition spelled `column`: SQLAlchemy would spell it `column = 1` for SQLite.

    An index on part of a table serves only a query that spells the index's own condition.
    """
    return type_coerce(column, Integer)


def _name_conditions(
    db: Connection, glob: str | None, prefix: str | None, table: FromClause
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if glob is not None:
        # What stands before the first wildcard narrows the walk along the index; the glob then decides.
        literal_part = re.split(r"[*?]", glob, maxsplit=1)[0]
        conditions += [*starts_with(table.c.name, literal_part), matches(db, table.c.name, glob)]
    if prefix is not None:
        conditions += starts_with(table.c.name, prefix)
    return conditions


def _one_of(
    column: ColumnElement[str | None], choices: Collection[StrEnum] | None
) -> list[ColumnElement[bool]]:
    if choices is None:
        return []
    values = sorted({choice.value for choice in choices})
    return [column == values[0] if len(values) == 1 else column.in_(values)]


def _in_times(
    column: ColumnElement[datetime | None], since: datetime | None, before: datetime | None
) -> list[ColumnElement[bool]]:
    lower = [] if since is None else [column >= since]
    return lower + ([] if before is None else [column < before])


def _in_sizes(
    column: ColumnElement[int | None], at_least: int | None, at_most: int | None
) -> list[ColumnElement[bool]]:
    lower = [] if at_least is None else [column >= at_least]
    return lower + ([] if at_most is None else [column <= at_most])

"""What the rows of each read are made of, and reading them by their keys.

Rules of this file: it knows how to select, join and align, and no table. Answers are aligned with what was
asked, whatever is asked twice or is not there, and each function runs one statement.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Dialect, FromClause, Text, TypeDecorator, select

from graph.oci.locks import Locks
from graph.store.keys import PairSet, key_set, pair_set
from graph.store.told import parse_locks

R = TypeVar("R")


class Choice(TypeDecorator[StrEnum]):
    """A column that holds the values of an enumeration, read as its members."""

    impl = Text
    cache_ok = True

    def __init__(self, choices: type[StrEnum]) -> None:
        super().__init__()
        self.choices = choices

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.choices(value)


# Bytes of the annotations of one manifest or entry that are kept apart from its document, of which a list
# reads a page at once. Kubernetes allows an object four times as many; a manifest may have 8 MiB.
MAX_ANNOTATION_BYTES = 64 * 1024
# What is kept of more.
UNKEPT_ANNOTATIONS = "null"


class Pairs(TypeDecorator[dict[str, str]]):
    """A column that holds a JSON object of texts that we wrote, read as a dict; none is an empty one.

    Where there was more than MAX_ANNOTATION_BYTES of it, it is None.
    """

    impl = Text
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, str] | None:
        pairs: dict[str, str] | None = {} if value is None else json.loads(value)
        return pairs


class LocksColumn(TypeDecorator[Locks]):
    """A column of what may be done, as `told.py` wrote it."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Locks | None:
        return parse_locks(value)


@dataclass(frozen=True, slots=True)
class Join:
    """One more table that a row is read from."""

    table: FromClause
    on: ColumnElement[bool]
    is_outer: bool = False


@dataclass(frozen=True, slots=True, eq=False)  # equal is what is the same: columns do not compare
class Listing(Generic[R]):
    """What a row is made of: `make` gets `columns` in their order, `key` is unique in `table`."""

    make: Callable[..., R]
    columns: tuple[ColumnElement[Any], ...]
    table: FromClause
    key: ColumnElement[int]
    joins: tuple[Join, ...] = ()

    def join_to(self, source: FromClause, on: ColumnElement[bool]) -> FromClause:
        """Return `source` joined to all that a row is read from."""
        return self._join_rest(source.join(self.table, on))

    @property
    def source(self) -> FromClause:
        """All that a row is read from."""
        return self._join_rest(self.table)

    def _join_rest(self, source: FromClause) -> FromClause:
        for join in self.joins:
            source = source.join(join.table, join.on, isouter=join.is_outer)
        return source


def load_rows(
    db: Connection, keys: Sequence[int], listing: Listing[R], *conditions: ColumnElement[bool]
) -> list[R | None]:
    """Return the row of each key; None where there is none that meets the conditions."""
    wanted = key_set(db, keys)
    statement = (
        select(listing.key, *listing.columns)
        .select_from(listing.source)
        .where(listing.key.in_(select(wanted.value).select_from(wanted.source)), *conditions)
    )
    rows = {key: listing.make(*fields) for key, *fields in db.execute(statement)}
    return [rows.get(key) for key in keys]


def find_rows(
    db: Connection,
    pairs: Sequence[tuple[int, str]],
    listing: Listing[R],
    join: Callable[[PairSet], FromClause],
    *conditions: ColumnElement[bool],
) -> list[R | None]:
    """Return the row of each (key, text); `join` joins the pairs to the listing's source."""
    wanted = pair_set(db, pairs)
    statement = (
        select(wanted.first, wanted.second, *listing.columns).select_from(join(wanted)).where(*conditions)
    )
    rows = {(key, text): listing.make(*fields) for key, text, *fields in db.execute(statement)}
    return [rows.get(pair) for pair in pairs]


def load_counts(db: Connection, keys: Sequence[int], key: Column[int], counter: Column[int]) -> list[int]:
    """Return a counter kept beside the data; 0 where the key is unknown."""
    wanted = key_set(db, keys)
    statement = select(key, counter).where(key.in_(select(wanted.value).select_from(wanted.source)))
    counts = {found: count for found, count in db.execute(statement)}  # noqa: C416  # mypy: dict() of Rows
    return [counts.get(wanted, 0) for wanted in keys]

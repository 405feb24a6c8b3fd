"""Along which index a list is read, where its order has one and its filter has others.

Rules of this file: it spells conditions and guards, and runs nothing. An index brings rows either in the
order that is asked for or by the filter that is asked for; which of the two reads fewer rows depends on how
many the filter keeps, and SQLite, which keeps no statistics here, cannot know. So both are in the statement,
each behind a guard that counts, no further than FEW, what the filter keeps: few rows are found by the filter
and sorted, many are met often enough on a walk along the order. Exactly one guard holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    literal_column,
    select,
    type_coerce,
)

from graph.store.keys import KeySet

# Rows that are sorted rather than met on a walk. Counting and sorting so many takes a millisecond; a walk
# among half a million rows that meets more of them than this passes 500, on average, from one to the next.
FEW = 1_000

Conditions: TypeAlias = list[ColumnElement[bool]]

# Gives a column by its name: of whatever the conditions are to be about.
Columns: TypeAlias = Callable[[str], ColumnElement[Any]]


@dataclass(frozen=True, slots=True)
class Served:
    """A part of a filter that an index finds; `in_key_order` if what it finds comes in the order of keys."""

    conditions: Callable[[Columns], Conditions]
    in_key_order: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the rows of a list: its conditions, and when it is the one to take.

    `is_sorted` is whether an index brings the rows in their order. Where it is not, the columns of the order
    have to be kept from the indexes, or the engine might walk along one after all.
    """

    conditions: tuple[ColumnElement[bool], ...] = ()
    when: Callable[[KeySet], Conditions] = lambda _: []
    is_sorted: bool = True


ONE_WAY = (Way(),)


def choose_ways(
    served: Sequence[Served],
    table: FromClause,
    is_many: Callable[[Served, KeySet], ColumnElement[bool]],
    *,
    by_key: bool,
) -> tuple[Way, ...]:
    """Return the ways to the rows of `table` that all of `served` keep.

    `is_many` is the condition that one of them keeps more than FEW (`has_many`); `by_key` the order of keys.
    """
    if not served:
        return ONE_WAY
    in_order = next((part for part in served if by_key and part.in_key_order), None)
    if in_order is not None and len(served) == 1:
        return (Way(tuple(in_order.conditions(columns_of(table)))),)

    def spell(shown: Served | None) -> tuple[ColumnElement[bool], ...]:
        plain, hidden = columns_of(table), lambda name: hide(table.c[name])
        return tuple(
            condition for part in served for condition in part.conditions(plain if part is shown else hidden)
        )

    def guard(number: int) -> Callable[[KeySet], Conditions]:
        # The first part that keeps few decides; the last way is taken where none does.
        return lambda keys: [
            *(is_many(part, keys) for part in served[:number]),
            *(~is_many(part, keys) for part in served[number : number + 1]),
        ]

    by_filter = [Way(spell(part), guard(number), False) for number, part in enumerate(served)]
    return (*by_filter, Way(spell(in_order), guard(len(served))))


def has_many(
    counted: FromClause, keys: KeySet, conditions: Sequence[ColumnElement[bool]]
) -> ColumnElement[bool]:
    """Return the condition that more than FEW rows meet the conditions; it reads no more than that."""
    beyond: Select[Any] = (
        select(literal_column("1")).select_from(counted).where(*conditions).limit(1).offset(FEW)
    )
    return beyond.correlate(keys.source).scalar_subquery().is_not(None)


def columns_of(table: FromClause) -> Columns:
    """Return what gives the columns of a table as the texts and integers that they are stored as."""
    return lambda name: raw(table.c[name])


def raw(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the column as the text or the integer that it is stored as."""
    return type_coerce(column, Text() if isinstance(column.type, Text) else BigInteger())


def hide(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the column as an expression that is equal to it and that no index serves."""
    if isinstance(column.type, Text):
        return raw(column) + literal_column("''", Text())
    return raw(column) + literal_column("0")

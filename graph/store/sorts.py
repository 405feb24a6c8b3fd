"""How lists are sorted, and what their cursors look like.

Rules of this file: values and the columns they name; no statement. The order is that of a pair of a value and
a key, so every place in a list has one cursor.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Text

from graph.store.conditions import EVERYWHERE, Range
from graph.store.cursors import CursorForm, SortValue
from graph.store.filters import Order
from graph.store.ways import raw


@dataclass(frozen=True, slots=True, eq=False)
class Sort:
    """How a list is sorted: by `inner`, which is `outer` where the rows are read, then by key.

    Without `inner` by key alone. Only rows whose value is `within` are in the list.
    """

    name: str
    inner: ColumnElement[Any] | None = None
    outer: ColumnElement[Any] | None = None
    kind: type[str] | type[int] | None = None
    is_descending: bool = False
    is_nullable: bool = False
    within: Range = EVERYWHERE

    def form(self, list_name: str) -> CursorForm:
        """Return what the cursors of the list look like in this order."""
        label = f"{list_name} {self.name}{' DESC' if self.is_descending else ''}"
        return CursorForm(label, self.kind, self.is_nullable)

    @property
    def runs(self) -> tuple[bool, ...]:
        """The runs that make up the list, in its order; true is that of the rows without a value."""
        return (False, True) if self.is_nullable and self.within == EVERYWHERE else (False,)

    def rank(self, value: SortValue, key: int) -> tuple[bool, Any, int]:
        """Return what compares as the list does, or the other way round if it is descending."""
        is_last = (value is None) != self.is_descending
        return (is_last, 0 if value is None else value, key)


def sort_by(
    order: Order[Any], column: str | None, inner: FromClause, outer: FromClause, within: Range = EVERYWHERE
) -> Sort:
    """Return how to sort by a column that both have, or by the key alone where there is none."""
    if column is None:
        return Sort(order.field, is_descending=order.is_descending)
    return Sort(
        order.field,
        # Moments are compared, and go into cursors, as the integers that they are stored as.
        inner=raw(inner.c[column]),
        outer=raw(outer.c[column]),
        kind=str if isinstance(inner.c[column].type, Text) else int,
        is_descending=order.is_descending,
        is_nullable=bool(inner.c[column].nullable),
        within=within,
    )

"""Pages of lists whose order is worked out, not kept: each is ranked whole in SQL, numbered there, and cut.

Rules of this file: it knows neither what is ranked nor by what. A list that has an index in its order is read
by `pages.py` instead, which reads no more than the page; here whatever the ranking gives is read, and only
the rows of a page leave the engine. Highest value first, equal ones by falling key, as in every list that
descends; cursors are those of `pages.py`.

Such statements are long, and putting one together took three times as long as running it. So cursors, sizes
and keys come in as parameters, and whoever ranks keeps its statement for each `Shape`.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
)

from graph.store.cursors import Cursor, CursorForm, SortValue
from graph.store.listings import Listing
from graph.store.pages import Page, PageRequest, cut_page
from graph.store.sorts import Sort

P = TypeVar("P", bound=Hashable)
R = TypeVar("R")

_SORT = Sort("RANK", kind=int, is_descending=True)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a cursor is: a value and a key, which come in when the statement is run."""

    value: ColumnElement[int]
    key: ColumnElement[int]


AFTER = Place(bindparam("after_value", type_=BigInteger), bindparam("after_key", type_=BigInteger))
BEFORE = Place(bindparam("before_value", type_=BigInteger), bindparam("before_key", type_=BigInteger))
SIZE: ColumnElement[int] = bindparam("size", type_=BigInteger)


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a request shapes its statement; all else is a parameter."""

    has_after: bool
    has_before: bool
    is_backward: bool

    @property
    def cursors(self) -> tuple[Place, ...]:
        """The places of the cursors that are given."""
        return (AFTER,) * self.has_after + (BEFORE,) * self.has_before


@dataclass(frozen=True, slots=True)
class Window:
    """What a request asks for of a ranking, its cursors read."""

    label: str
    request: PageRequest
    after: Cursor | None
    before: Cursor | None

    @property
    def shape(self) -> Shape:
        """What of it shapes the statement."""
        return Shape(self.after is not None, self.before is not None, self.request.is_backward)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the statement takes of it."""
        parameters: dict[str, Any] = {"size": self.request.size}
        for name, cursor in (("after", self.after), ("before", self.before)):
            if cursor is not None:
                parameters |= {f"{name}_value": cursor.value, f"{name}_key": cursor.key}
        return parameters


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Rows of several lists, each with its value and its key, which is that of a row of the listing.

    `parent` are the columns that tell the lists apart, `extra` whatever else a row shows.
    """

    source: FromClause
    parent: tuple[ColumnElement[int], ...]
    value: ColumnElement[int]
    key: ColumnElement[int]
    extra: tuple[ColumnElement[Any], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class RankedPage:
    """The statement of a page of a ranking, and how its rows are read. It can be kept and run again."""

    statement: Select[Any]
    parents: slice
    extras: slice
    listing: Listing[Any]


def ranking_cursors(label: str) -> CursorForm:
    """Return what the cursors of the list that is called `label` look like."""
    return CursorForm(label, _SORT.kind)


def open_window(form: CursorForm, request: PageRequest) -> Window:
    """Return what the request asks for of the list with these cursors. Raises InvalidCursorError."""
    return Window(form.label, request, form.read(request.after), form.read(request.before))


def is_behind(value: ColumnElement[int], key: ColumnElement[int], place: Place) -> ColumnElement[bool]:
    """Return the condition that a row comes after the place."""
    return or_(value < place.value, and_(value == place.value, key < place.key))


def is_ahead(value: ColumnElement[int], key: ColumnElement[int], place: Place) -> ColumnElement[bool]:
    """Return the condition that a row comes before the place."""
    return or_(value > place.value, and_(value == place.value, key > place.key))


def rank(ranking: Ranking, shape: Shape, listing: Listing[Any]) -> RankedPage:
    """Return the statement of pages of this shape; nothing is sent."""
    numbered = _number(ranking, shape)
    width, depth = len(ranking.parent), len(ranking.extra)
    columns = [
        numbered.c.value,
        numbered.c.key,
        *(numbered.c[f"parent_{place}"] for place in range(width)),
        *(numbered.c[f"extra_{place}"] for place in range(depth)),
        *listing.columns,
    ]
    statement = (
        select(*columns)
        .select_from(listing.join_to(numbered, listing.key == numbered.c.key))
        # One row on each side of the window tells that the list goes on there.
        .where(numbered.c.number <= case((numbered.c.side == 0, SIZE + 1), else_=1))
    )
    return RankedPage(statement, slice(2, 2 + width), slice(2 + width, 2 + width + depth), listing)


def read_ranking(
    db: Connection,
    parents: Sequence[P],
    page: RankedPage,
    parameters: Mapping[str, Any],
    window: Window,
    make: Callable[..., R],
) -> list[Page[R]]:
    """Return a page of each parent's list, aligned with `parents`, by one statement.

    `make` gets the row of the listing, its value and what is extra. A parent is the value of the column that
    tells the lists apart, or a tuple where there are several.
    """
    found: dict[Any, list[tuple[SortValue, int, R]]] = {parent: [] for parent in parents}
    is_single = page.parents.stop - page.parents.start == 1
    for row in db.execute(page.statement, {**parameters, **window.parameters}):
        value, key, *_ = row
        node = page.listing.make(*row[page.extras.stop :])
        parent = row[page.parents.start] if is_single else tuple(row[page.parents])
        found[parent].append((value, key, make(node, value, *row[page.extras])))
    return [
        cut_page(found[parent], _SORT, window.label, window.request, window.after, window.before)
        for parent in parents
    ]


def _number(ranking: Ranking, shape: Shape) -> FromClause:
    place = (ranking.value, ranking.key)
    not_behind = [~is_behind(*place, AFTER)] if shape.has_after else []
    not_ahead = [~is_ahead(*place, BEFORE)] if shape.has_before else []
    # Cursors may cross: a row can be on either side at once.
    sides = [(and_(*not_behind, *not_ahead), 2)] if not_behind and not_ahead else []
    sides += [(condition, 1) for condition in not_behind] + [(condition, 3) for condition in not_ahead]
    side = (case(*sides, else_=0) if sides else literal_column("0")).label("side")
    number = func.row_number().over(
        partition_by=(*ranking.parent, *([side.element] if sides else [])),
        order_by=[column.asc() if shape.is_backward else column.desc() for column in place],
    )
    return (
        select(
            *(column.label(f"parent_{place}") for place, column in enumerate(ranking.parent)),
            ranking.value.label("value"),
            ranking.key.label("key"),
            *(column.label(f"extra_{place}") for place, column in enumerate(ranking.extra)),
            side,
            number.label("number"),
        )
        .select_from(ranking.source)
        .subquery("numbered")
    )

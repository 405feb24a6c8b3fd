"""Pages of lists: the first rows, or the last, of each of many parents, in one statement.

Rules of this file: the one home of *first N of each of many parents*; a list says in `Members` which rows a
parent has, in `Sort` how they are sorted, in `Listing` what a row shows, and is cut here, in SQL, before any
row is built. A page is a range of (value, key) pairs, the key making every pair unique, so rows that come and
go between two pages move no other row from one page to the next.

The inner query stands once per parent: on SQLite as `key IN (SELECT … LIMIT n + 1)`, correlated with the
parents, on PostgreSQL as a lateral join. Never `row_number()`, which reads every row of every parent: with
three hot parents among a hundred (a layer used by 32,000 repositories) it took 62 ms where this took 0.2 ms.

Rows that lack the value come last in both directions. An index has them at one end, so they are read as a
run of their own, beside the run of those that have it: each run is a plain walk along an index, where
`NULLS LAST` would sort the whole list. The same is done for a least value that most rows have (`Sort.floor`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Select,
    Text,
    func,
    literal,
    literal_column,
    select,
    true,
    tuple_,
    type_coerce,
    union_all,
)

from graph.errors import InvalidPageError
from graph.store.cursors import Cursor, SortValue, decode_cursor, encode_cursor
from graph.store.filters import Order
from graph.store.keys import KeySet, key_set
from graph.store.listings import Listing

R = TypeVar("R")

# A row as it was found: the value it is sorted by, its key, and what it shows.
_Found: TypeAlias = tuple[SortValue, int, R]

# Rows of one page. The graph allows fewer; this is what the store promises to cut well.
MAX_PAGE_SIZE = 1_000


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The first `size` rows after `after`, or the last `size` before `before` if `is_backward`.

    Both cursors may be given: they bound the rows, and `is_backward` says from which end they are counted.
    """

    size: int = 20
    after: str | None = None
    before: str | None = None
    is_backward: bool = False

    def __post_init__(self) -> None:
        """Raise InvalidPageError if the size is out of range."""
        if not 0 <= self.size <= MAX_PAGE_SIZE:
            raise InvalidPageError(f"a page holds from 0 to {MAX_PAGE_SIZE} rows, not {self.size}")


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Consecutive rows of a list, in its order whichever way they were read, and the cursor of each.

    `has_next` and `has_previous` say whether the list has rows beyond the page, not beyond the cursors.
    """

    rows: list[R]
    cursors: list[str]
    has_next: bool
    has_previous: bool


@dataclass(frozen=True, slots=True)
class Members:
    """Which rows each parent has, as the inner query reads them: from aliases, apart from those of a Listing.

    `key` equals the Listing's. Without `parent` there is one list, whatever the parents are.
    """

    name: str  # what cursors call the list
    source: FromClause
    key: ColumnElement[int]
    parent: ColumnElement[int] | None
    conditions: tuple[ColumnElement[bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Sort:
    """How a list is sorted: by `inner`, which is `outer` where the rows are read, then by key.

    Without `inner` by key alone. `floor` is the least value there is, where most rows have it.
    """

    name: str
    inner: ColumnElement[Any] | None = None
    outer: ColumnElement[Any] | None = None
    kind: type[str] | type[int] | None = None
    is_descending: bool = False
    is_nullable: bool = False
    floor: int | None = None

    def label(self, members: Members) -> str:
        """Return what cursors call this order of the list."""
        return f"{members.name} {self.name}{' DESC' if self.is_descending else ''}"

    @property
    def runs(self) -> tuple[bool, ...]:
        """The runs that make up the list, in its order; true is the one apart."""
        if self.is_nullable:
            return (False, True)
        if self.floor is not None:
            return (False, True) if self.is_descending else (True, False)
        return (False,)

    def is_apart(self, value: SortValue) -> bool:
        """Whether rows with this value are in the run apart."""
        return (self.is_nullable and value is None) or (self.floor is not None and value == self.floor)

    def rank(self, value: SortValue, key: int) -> tuple[bool, Any, int]:
        """Return what compares as the list does, or the other way round if it is descending."""
        is_last = (value is None) != self.is_descending
        return (is_last, 0 if value is None else value, key)


def sort_by(
    order: Order[Any], column: str | None, inner: FromClause, outer: FromClause, *, floor: int | None = None
) -> Sort:
    """Return how to sort by a column that both have, or by the key alone where there is none."""
    if column is None:
        return Sort(order.field, is_descending=order.is_descending)
    is_text = isinstance(inner.c[column].type, Text)
    # Moments are compared, and go into cursors, as the integers that they are stored as.
    kind = Text() if is_text else BigInteger()
    return Sort(
        order.field,
        inner=type_coerce(inner.c[column], kind),
        outer=type_coerce(outer.c[column], kind),
        kind=str if is_text else int,
        is_descending=order.is_descending,
        is_nullable=bool(inner.c[column].nullable),
        floor=floor,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of a list: what lies between two cursors, read from one end."""

    after: Cursor | None = None
    before: Cursor | None = None
    is_inclusive: bool = False
    is_backward: bool = False
    limit: int = 1


def read_pages(
    db: Connection,
    parents: Sequence[int],
    listing: Listing[R],
    members: Members,
    sort: Sort,
    request: PageRequest,
) -> list[Page[R]]:
    """Return a page of each parent's list, aligned with `parents`, by one statement.

    From each parent `size + 1` rows are read, to know whether there are more, and one more beyond each cursor
    given; twice that where the list has two runs.

    Raises InvalidCursorError.
    """
    label = sort.label(members)
    after, before = (
        None if text is None else decode_cursor(text, label, sort.kind, sort.is_nullable)
        for text in (request.after, request.before)
    )
    keys = key_set(db, parents)
    selected = _select_members(keys, members, sort, _parts(request, after, before))
    value = literal_column("NULL") if sort.outer is None else sort.outer
    statement = select(keys.value, value, listing.key, *listing.columns).select_from(
        _join_members(db, keys, selected, listing)
    )
    found: dict[int, list[_Found[R]]] = {parent: [] for parent in parents}
    for parent, sorted_by, key, *fields in db.execute(statement):
        found[parent].append((sorted_by, key, listing.make(*fields)))
    return [_cut(found[parent], sort, label, request, after, before) for parent in parents]


def count_members(db: Connection, parents: Sequence[int], members: Members) -> list[int]:
    """Return the length of each parent's list, aligned with `parents`; all of it is read."""
    keys = key_set(db, parents)
    inner = select(func.count()).select_from(members.source).where(*_conditions(keys, members))
    statement = select(keys.value, inner.correlate(keys.source).scalar_subquery()).select_from(keys.source)
    counts = {parent: count for parent, count in db.execute(statement)}  # noqa: C416  # mypy: dict() of Rows
    return [counts[parent] for parent in parents]


def _parts(request: PageRequest, after: Cursor | None, before: Cursor | None) -> Iterator[_Part]:
    yield _Part(after, before, False, request.is_backward, request.size + 1)
    # One row at or beyond a cursor tells that the list goes on there; the cursor's own row may be gone.
    if after is not None:
        yield _Part(before=after, is_inclusive=True, is_backward=True)
    if before is not None:
        yield _Part(after=before, is_inclusive=True)


def _select_members(
    keys: KeySet, members: Members, sort: Sort, parts: Iterator[_Part]
) -> Select[Any] | CompoundSelect[Any]:
    branches = [
        branch
        for part in parts
        for is_apart in sort.runs
        if (branch := _select_run(keys, members, sort, part, is_apart)) is not None
    ]
    if len(branches) == 1:
        return branches[0]
    # SQLite takes ORDER BY and LIMIT inside a UNION only in a query of its own.
    return union_all(*(select(branch.subquery().c.member) for branch in branches))


def _select_run(
    keys: KeySet, members: Members, sort: Sort, part: _Part, is_apart: bool
) -> Select[Any] | None:
    conditions = [*_conditions(keys, members)]
    if sort.inner is not None and len(sort.runs) == 2:
        conditions.append(_run_condition(sort, is_apart))
    for cursor, is_lower in ((part.after, True), (part.before, False)):
        if cursor is None:
            continue
        bound = _bound(members, sort, cursor, is_apart, is_lower, part.is_inclusive)
        if bound is None:
            return None
        conditions.append(bound)
    sorted_by = [members.key] if sort.inner is None or is_apart else [sort.inner, members.key]
    is_descending = sort.is_descending != part.is_backward
    return (
        select(members.key.label("member"))
        .select_from(members.source)
        .where(*conditions)
        .order_by(*(column.desc() if is_descending else column.asc() for column in sorted_by))
        .limit(part.limit)
        .correlate(keys.source)
    )


def _conditions(keys: KeySet, members: Members) -> tuple[ColumnElement[bool], ...]:
    if members.parent is None:
        return members.conditions
    return (members.parent == keys.value, *members.conditions)


def _run_condition(sort: Sort, is_apart: bool) -> ColumnElement[bool]:
    assert sort.inner is not None
    if sort.is_nullable:
        return sort.inner.is_(None) if is_apart else sort.inner.is_not(None)
    # Written out, no parameter: an index on part of a table serves only a query that spells its condition.
    floor: ColumnElement[int] = literal_column(str(sort.floor))
    return sort.inner == floor if is_apart else sort.inner > floor


def _bound(
    members: Members, sort: Sort, cursor: Cursor, is_apart: bool, is_lower: bool, is_inclusive: bool
) -> ColumnElement[bool] | None:
    """Return which rows of a run are on one side of the cursor; None when none can be."""
    is_cursor_apart = sort.is_apart(cursor.value)
    if is_apart != is_cursor_apart:
        is_beyond = sort.runs.index(is_apart) > sort.runs.index(is_cursor_apart)
        return true() if is_beyond == is_lower else None
    left: ColumnElement[Any] = members.key
    right: ColumnElement[Any] = literal(cursor.key)
    if sort.inner is not None and not is_apart:
        left, right = tuple_(sort.inner, left), tuple_(literal(cursor.value), right)
    if is_lower != sort.is_descending:
        return left >= right if is_inclusive else left > right
    return left <= right if is_inclusive else left < right


def _join_members(
    db: Connection, keys: KeySet, selected: Select[Any] | CompoundSelect[Any], listing: Listing[R]
) -> FromClause:
    if db.dialect.name == "postgresql":
        lateral = selected.lateral("members")
        return listing.join_to(keys.source.join(lateral, true()), listing.key == lateral.c.member)
    return listing.join_to(keys.source, listing.key.in_(selected))


def _cut(
    found: list[_Found[R]],
    sort: Sort,
    label: str,
    request: PageRequest,
    after: Cursor | None,
    before: Cursor | None,
) -> Page[R]:
    """Sort one parent's rows, and tell those of the page from those that only show that the list goes on."""
    found.sort(key=lambda row: sort.rank(row[0], row[1]), reverse=sort.is_descending)
    from_after = [1 if after is None else _compare(sort, row, after) for row in found]
    from_before = [-1 if before is None else _compare(sort, row, before) for row in found]
    window = [
        row for row, low, high in zip(found, from_after, from_before, strict=True) if low > 0 and high < 0
    ]
    has_more = len(window) > request.size
    page = window[max(0, len(window) - request.size) :] if request.is_backward else window[: request.size]
    return Page(
        rows=[row for _, _, row in page],
        cursors=[encode_cursor(label, value, key) for value, key, _ in page],
        has_next=any(high >= 0 for high in from_before) or (has_more and not request.is_backward),
        has_previous=any(low <= 0 for low in from_after) or (has_more and request.is_backward),
    )


def _compare(sort: Sort, row: _Found[R], cursor: Cursor) -> int:
    """Return where the row is from the cursor: −1 before it, 0 on it, 1 after it."""
    ours, theirs = sort.rank(row[0], row[1]), sort.rank(cursor.value, cursor.key)
    if ours == theirs:
        return 0
    return 1 if (ours > theirs) != sort.is_descending else -1

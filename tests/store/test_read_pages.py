"""Pages of every list, in every order, against the naive count."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from graph.errors import InvalidPageError
from graph.store.pages import MAX_PAGE_SIZE, PageRequest
from graph.store.repositories import page_repositories
from store_builders import ENGINES, filled_store, recorded_statements
from store_lists import EVERYTHING, Item, ListCase, list_cases, varied_store

CASES = list(list_cases(varied_store()))


@pytest.fixture(scope="module", params=ENGINES)
def db(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A store that holds what the cases expect."""
    with filled_store(varied_store(), request.param) as db:
        yield db


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("is_backward", [False, True], ids=["forward", "backward"])
def test_walk(db: Connection, case: ListCase, is_backward: bool) -> None:
    """Walking by pages, from either end, meets each row once, in order, and knows where it ends."""
    for parent in case.parents:
        expected = [key for _, _, key in case.in_order(case.expected(parent))]
        for size in {1, 2, 3, len(expected), len(expected) + 1} - {0}:
            assert expected == _walk(db, case, parent, size, is_backward)


def _walk(db: Connection, case: ListCase, parent: int, size: int, is_backward: bool) -> list[int]:
    keys: list[int] = []
    after = before = None
    while True:
        [page] = case.read(db, [parent], PageRequest(size, after, before, is_backward))
        shown = [row.key for row in page.rows]
        has_more, has_less = (
            (page.has_previous, page.has_next) if is_backward else (page.has_next, page.has_previous)
        )
        assert bool(keys) == has_less
        keys = shown + keys if is_backward else keys + shown
        if not has_more:
            return keys
        assert size == len(shown)
        if is_backward:
            before = page.cursors[0]
        else:
            after = page.cursors[-1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_statement(db: Connection, case: ListCase) -> None:
    """A page of many parents is one statement, aligned with them, repeated or unknown ones included."""
    parents = [*case.parents, case.parents[0], *case.parents[::-1]]
    with recorded_statements(db) as statements:
        pages = case.read(db, parents, PageRequest(100))
    # What no index can sort is weighed first, and read then.
    assert (2 if "EXCLUSIVE_BYTES" in case.name else 1) == len(statements)
    expected = [[key for _, _, key in case.in_order(case.expected(parent))] for parent in parents]
    assert expected[: len(pages)] == [[row.key for row in page.rows] for page in pages]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_window(db: Connection, data: st.DataObject) -> None:
    """Any two cursors, of any rows of any parent, bound a page of any parent as the order says."""
    case = data.draw(st.sampled_from(CASES))
    pages = case.read(db, case.parents, PageRequest(MAX_PAGE_SIZE))
    places = [
        (cursor, item)
        for parent, page in zip(case.parents, pages, strict=False)
        for cursor, item in zip(page.cursors, case.in_order(case.expected(parent)), strict=True)
    ]
    place = st.sampled_from([(None, None), *places])
    (after, after_item), (before, before_item) = data.draw(place), data.draw(place)
    size, is_backward = data.draw(st.integers(0, 8)), data.draw(st.booleans())
    pages = case.read(db, case.parents, PageRequest(size, after, before, is_backward))
    for parent, page in zip(case.parents, pages, strict=False):
        expected = _window(case, parent, after_item, before_item, size, is_backward)
        assert expected == ([row.key for row in page.rows], page.has_previous, page.has_next)


def _window(
    case: ListCase, parent: int, after: Item | None, before: Item | None, size: int, is_backward: bool
) -> tuple[list[int], bool, bool]:
    items = case.in_order(case.expected(parent))
    ranks = {
        item: rank for rank, item in enumerate(case.in_order(list({*items, *filter(None, (after, before))})))
    }
    head = [] if after is None else [item for item in items if ranks[item] <= ranks[after]]
    tail = [] if before is None else [item for item in items if ranks[item] >= ranks[before]]
    inside = [item for item in items if item not in head and item not in tail]
    page = inside[len(inside) - min(size, len(inside)) :] if is_backward else inside[:size]
    has_more = len(inside) > len(page)
    return (
        [key for _, _, key in page],
        bool(head) or (is_backward and has_more),
        bool(tail) or (not is_backward and has_more),
    )


def test_removed_row(db: Connection) -> None:
    """A cursor still works when its row has gone: the page goes on where the row was."""
    [page] = page_repositories(db, EVERYTHING, [1], PageRequest(3))
    with db.begin_nested() as savepoint:
        db.exec_driver_sql("UPDATE repository SET absent_at = 1 WHERE id = ?", (page.rows[-1].key,))
        [rest] = page_repositories(db, EVERYTHING, [1], PageRequest(100, page.cursors[-1]))
        [whole] = page_repositories(db, EVERYTHING, [1], PageRequest(100))
        savepoint.rollback()
    assert whole.rows[2:] == rest.rows
    assert rest.has_previous


def test_byte_order(db: Connection) -> None:
    """Text is sorted by its bytes: upper case first, other letters last."""
    [page] = page_repositories(db, EVERYTHING, [1], PageRequest(100))
    names = [row.name for row in page.rows]
    assert all(one.encode() < other.encode() for one, other in pairwise(names))
    assert "Z" == names[0]


@pytest.mark.parametrize("size", [-1, MAX_PAGE_SIZE + 1])
def test_size(size: int) -> None:
    """A page size out of range is refused."""
    with pytest.raises(InvalidPageError):
        PageRequest(size)

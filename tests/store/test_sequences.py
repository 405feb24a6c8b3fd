"""Lists that are worked out are cut by position, and go on where their cursor's item is now."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import InvalidCursorError
from graph.store.cursors import encode_cursor
from graph.store.pages import Page, PageRequest
from graph.store.sequences import cut_sequence


def cut(items: list[int], request: PageRequest) -> Page[int]:
    return cut_sequence(items, lambda item: item, "numbers", request)


def cursor(position: int, key: int) -> str:
    return encode_cursor("numbers", position, key)


KEYS = st.lists(st.integers(1, 50), unique=True, max_size=12)


@given(KEYS, st.integers(1, 5), st.booleans())
def test_pages_are_the_list(items: list[int], size: int, is_backward: bool) -> None:
    """From either end, page after page, every item comes once and in its order."""
    pages: list[list[int]] = []
    request = PageRequest(size, is_backward=is_backward)
    while True:
        page = cut(items, request)
        pages.append(page.rows)
        if not (page.has_previous if is_backward else page.has_next):
            break
        if is_backward:
            request = PageRequest(size, before=page.cursors[0], is_backward=True)
        else:
            request = PageRequest(size, after=page.cursors[-1])
    in_order = reversed(pages) if is_backward else pages
    assert items == [item for page in in_order for item in page]


@given(KEYS, st.data())
def test_both_cursors_bound_a_page(items: list[int], data: st.DataObject) -> None:
    """A page between two cursors has neither of their items, and knows that the list goes on beyond."""
    low, high = sorted(data.draw(st.lists(st.integers(0, len(items)), min_size=2, max_size=2)))
    if low == high or high == len(items):
        return
    request = PageRequest(20, cursor(low, items[low]), cursor(high, items[high]))
    page = cut(items, request)
    assert (items[low + 1 : high], True, True) == (page.rows, page.has_previous, page.has_next)


def test_an_item_that_moved_is_found() -> None:
    """The list goes on after the item, wherever it is now."""
    assert [4, 5] == cut([1, 2, 9, 3, 4, 5], PageRequest(5, after=cursor(2, 3))).rows
    assert [1, 2] == cut([1, 2, 3], PageRequest(5, before=cursor(7, 3))).rows


def test_an_item_that_is_gone_leaves_its_place() -> None:
    """What came after it comes next, and what came before it came before."""
    assert [4, 5] == cut([1, 2, 4, 5], PageRequest(5, after=cursor(2, 3))).rows
    assert [1, 2] == cut([1, 2, 4, 5], PageRequest(5, before=cursor(2, 3))).rows
    assert [] == cut([1, 2], PageRequest(5, after=cursor(9, 3))).rows


def test_turned_cursors_bound_nothing() -> None:
    """An end before the beginning is an empty page."""
    page = cut([1, 2, 3], PageRequest(5, cursor(2, 3), cursor(0, 1)))
    assert [] == page.rows


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        encode_cursor("others", 1, 1),
        encode_cursor("numbers", "1", 1),
        encode_cursor("numbers", None, 1),
        encode_cursor("numbers", -1, 1),
    ],
)
def test_other_cursors_are_refused(text: str) -> None:
    """A cursor is taken only from this list."""
    with pytest.raises(InvalidCursorError):
        cut([1, 2, 3], PageRequest(5, after=text))

"""Pages of a list that was worked out, and is in no table: it is whole in memory, and cut by position.

Rules of this file: pure. A cursor holds the position and the key of its item. It is worked out anew for each
page, from data that may have changed meanwhile: an item that moved is found by its key, and where it is gone
the list goes on from the position.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from graph.errors import InvalidCursorError
from graph.store.cursors import CursorForm, encode_cursor
from graph.store.pages import Page, PageRequest

T = TypeVar("T")


def sequence_cursors(label: str) -> CursorForm:
    """What the cursors of the list that is called `label` look like."""
    return CursorForm(label, int)


def cut_sequence(items: Sequence[T], key_of: Callable[[T], int], label: str, request: PageRequest) -> Page[T]:
    """The page of the list that is asked for; `label` names the list, keys are unique in it.

    Raises InvalidCursorError.
    """
    begin = 0 if request.after is None else _place(items, key_of, label, request.after, is_before=False)
    end = (
        len(items) if request.before is None else _place(items, key_of, label, request.before, is_before=True)
    )
    end = max(begin, end)
    if request.is_backward:
        begin = max(begin, end - request.size)
    else:
        end = min(end, begin + request.size)
    rows = list(items[begin:end])
    cursors = [encode_cursor(label, position, key_of(row)) for position, row in enumerate(rows, begin)]
    return Page(rows, cursors, has_next=end < len(items), has_previous=begin > 0)


def _place(items: Sequence[T], key_of: Callable[[T], int], label: str, text: str, *, is_before: bool) -> int:
    """The position before the cursor's item, or after it; of an item that is gone both are where it was."""
    cursor = sequence_cursors(label).read(text)
    assert cursor is not None
    position = cursor.value
    if type(position) is not int or position < 0:
        raise InvalidCursorError("this is not a cursor")
    if position >= len(items) or key_of(items[position]) != cursor.key:
        found = (place for place, item in enumerate(items) if key_of(item) == cursor.key)
        moved = next(found, None)
        if moved is None:
            return min(position, len(items))
        position = moved
    return position if is_before else position + 1

"""Read `first`, `after`, `last` and `before` as a page of the store. Rules of this file: pure."""

from graph.errors import InvalidCursorError, InvalidPageError
from graph.store.pages import PageRequest

# Rows of a page where the query names no number.
DEFAULT_PAGE_SIZE = 20

# Characters of a cursor: base64 of a key and a name of at most 255 characters, each escaped in JSON as at
# most 6.
MAX_CURSOR_LENGTH = 4096


def parse_page(
    first: int | None, after: str | None, last: int | None, before: str | None, *, limit: int
) -> PageRequest:
    """The page that is asked for; DEFAULT_PAGE_SIZE rows from the front where no number is given.

    Raises InvalidPageError unless `first` or `last` is from 1 to `limit`, InvalidCursorError for a cursor
    too long to be one.
    """
    if first is not None and last is not None:
        raise InvalidPageError("give `first` or `last`, not both")
    for name, size in (("first", first), ("last", last)):
        if size is not None and not 1 <= size <= limit:
            raise InvalidPageError(f"`{name}` is a number from 1 to {limit}, not {size}")
    for name, cursor in (("after", after), ("before", before)):
        if cursor is not None and len(cursor) > MAX_CURSOR_LENGTH:
            raise InvalidCursorError(f"`{name}` is longer than any cursor")
    if last is not None:
        return PageRequest(last, after, before, is_backward=True)
    return PageRequest(min(DEFAULT_PAGE_SIZE, limit) if first is None else first, after, before)

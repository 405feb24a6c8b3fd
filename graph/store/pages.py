"""Pages of lists, for many parents at once (being filled in)."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from graph.errors import InvalidPageError

R = TypeVar("R")

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

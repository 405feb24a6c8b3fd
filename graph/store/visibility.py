"""What a caller may see, as a condition that every read puts into its SQL.

Rules of this file: a value and the condition it stands for; no statement is run here. Every read function
takes a `Visibility` as its second argument and restricts each statement with it, counts included, so that a
narrower view can never be forgotten in one place. Today there is one view, everything; nothing here
pretends to another.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, true


@dataclass(frozen=True, slots=True)
class Visibility:
    """Which repositories a caller may see."""

    @classmethod
    def everything(cls) -> "Visibility":
        """The view of a caller who may see every repository of every registry."""
        return cls()

    @property
    def is_everything(self) -> bool:
        """The counters kept beside the data hold only for such a view; a narrower one has to compute."""
        return True

    def restrict(self, repository_id: ColumnElement[int]) -> ColumnElement[bool]:
        """Return the condition, for a WHERE or an ON, that the row's repository may be seen."""
        return true()

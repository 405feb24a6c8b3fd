"""Cursors: where a page of a list ended, as text that means nothing to whoever carries it.

Rules of this file: pure. A cursor holds the list and the order it was made by, the value sorted by and the
row's key; it is read back only if it is, to the letter, what `encode_cursor` would write, so nothing that a
stranger invents reaches a statement but a value of the right type.
"""

import base64
import json
from dataclasses import dataclass

from graph.errors import InvalidCursorError

SortValue = str | int | None

# Characters. The longest holds the version key of a tag of 128 characters, and that is within 1 KiB.
MAX_CURSOR_LENGTH = 2_048

# What an engine's 64-bit integer holds.
MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list: the value sorted by, None where the row lacks it, and the row's key."""

    value: SortValue
    key: int


@dataclass(frozen=True, slots=True)
class CursorForm:
    """What the cursors of one list in one order look like.

    `label` names both; `kind` is the type of the values sorted by, None if by the key alone.
    """

    label: str
    kind: type[str] | type[int] | None = None
    is_nullable: bool = False

    def read(self, text: str | None) -> Cursor | None:
        """Return the place that the cursor names; None without one. Raises InvalidCursorError."""
        return None if text is None else decode_cursor(text, self.label, self.kind, self.is_nullable)


def encode_cursor(label: str, value: SortValue, key: int) -> str:
    """Return the cursor of a row; `label` names the list and its order."""
    document = json.dumps([label, value, key], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def decode_cursor(text: str, label: str, kind: type[str] | type[int] | None, is_nullable: bool) -> Cursor:
    """Return the place that the cursor names in the list and order of `label`.

    `kind` is the type of the values sorted by, None if by the key alone.

    Raises InvalidCursorError.
    """
    if len(text) > MAX_CURSOR_LENGTH:
        raise InvalidCursorError(f"a cursor has at most {MAX_CURSOR_LENGTH} characters")
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        made_by, value, key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        is_ours = encode_cursor(made_by, value, key) == text
    # Errors of base64, Unicode and JSON are ValueErrors; a document of another shape gives a TypeError, one
    # of a thousand brackets a RecursionError.
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidCursorError("this is not a cursor") from error
    if not is_ours or type(key) is not int or abs(key) > MAX_INTEGER:
        raise InvalidCursorError("this is not a cursor")
    if made_by != label:
        raise InvalidCursorError("the cursor was made by another list, or by another order of this one")
    if value is None:
        is_typed = is_nullable or kind is None
    else:
        is_typed = type(value) is kind and (type(value) is not int or abs(value) <= MAX_INTEGER)
    if not is_typed:
        raise InvalidCursorError("this is not a cursor")
    return Cursor(value, key)

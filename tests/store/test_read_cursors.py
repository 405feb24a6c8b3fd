"""Cursors: read back to the letter, and nothing else is."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import InvalidCursorError
from graph.store.cursors import MAX_CURSOR_LENGTH, MAX_INTEGER, Cursor, decode_cursor, encode_cursor

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
INTEGERS = st.integers(-MAX_INTEGER, MAX_INTEGER)


def _forged(document: Any) -> str:
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@given(value=st.one_of(NAMES, INTEGERS, st.none()), key=INTEGERS)
def test_round_trip(value: str | int | None, key: int) -> None:
    """What is written is read back."""
    kind = None if value is None else type(value)
    cursor = encode_cursor("list NAME", value, key)
    assert Cursor(value, key) == decode_cursor(cursor, "list NAME", kind, False)


def test_is_opaque() -> None:
    """A cursor needs no escaping in a URL or a JSON text."""
    assert set(encode_cursor("list NAME", "é\U0010ffff?>", 1)) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "!!!!",
        " " + encode_cursor("list NAME", "a", 1),
        encode_cursor("list NAME", "a", 1) + "=",
        encode_cursor("list NAME", "a", 1) + "\n",
        encode_cursor("list NAME", "a", 1)[:-1],
        "é" + encode_cursor("list NAME", "a", 1),
        "\udc80",
        "A" * (MAX_CURSOR_LENGTH + 1),
        base64.urlsafe_b64encode(b"[" * 1000).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b'["list NAME", "a", 1]').decode().rstrip("="),
        base64.urlsafe_b64encode(b'["list NAME","a",1e0]').decode().rstrip("="),
        base64.urlsafe_b64encode(b'["list NAME","a",NaN]').decode().rstrip("="),
        base64.urlsafe_b64encode(b'["list NAME","\\u0061",1]').decode().rstrip("="),
        _forged(["list NAME", "a"]),
        _forged(["list NAME", "a", 1, 1]),
        _forged(["list NAME", "a", "1"]),
        _forged(["list NAME", "a", True]),
        _forged(["list NAME", "a", None]),
        _forged(["list NAME", "a", 1.0]),
        _forged(["list NAME", "a", MAX_INTEGER + 1]),
        _forged(["list NAME", "a\ud800", 1]),
        _forged(["list NAME", 1, 1]),
        _forged(["list NAME", None, 1]),
        _forged(["list NAME", True, 1]),
        _forged(["list NAME", ["a"], 1]),
        _forged(["list NAME", {"a": 1}, 1]),
        _forged([["list NAME"], "a", 1]),
        _forged({"list NAME": 1, "a": 2, "1": 3}),
        _forged("abc"),
        _forged(["list NAME DESC", "a", 1]),
        _forged(["list SIZE", "a", 1]),
        _forged(["other NAME", "a", 1]),
    ],
)
def test_refused(text: str) -> None:
    """What no page of this list in this order wrote is refused, with an error the caller can act on."""
    with pytest.raises(InvalidCursorError):
        decode_cursor(text, "list NAME", str, False)


@pytest.mark.parametrize("value", [True, 1.5, MAX_INTEGER + 1, -MAX_INTEGER - 1, "1", 10**400])
def test_integers(value: Any) -> None:
    """A list sorted by a number takes a number that an engine holds, and nothing that resembles it."""
    with pytest.raises(InvalidCursorError):
        decode_cursor(_forged(["list SIZE", value, 1]), "list SIZE", int, True)


@given(st.text())
def test_any_text(text: str) -> None:
    """No text at all does anything else than being refused."""
    with pytest.raises(InvalidCursorError):
        decode_cursor(text, "list NAME", str, True)

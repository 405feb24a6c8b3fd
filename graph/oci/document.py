"""Read JSON that a stranger wrote: the one home of it.

Rules of this file: one parse, so that no two parsers can disagree; what two readers could take for two
different things is refused, not repaired. Python's decoder goes first because it can be told of duplicate
names, which msgspec cannot (it takes the last of them, silently); msgspec then checks the types of the
decoded value. Everything is bounded: bytes, depth, digits. Messages name a position, never the content.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import msgspec

from graph.errors import ContentTooLargeError, MalformedManifestError

T = TypeVar("T")

# Bytes. The distribution-spec asks registries for 4 MiB at least; distribution stops there, regclient reads
# 8.
MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
# Levels of objects and lists. The deepest document the specifications know has 6.
MAX_DEPTH = 64
# Characters of an integer: 64 bits and a sign. Python refuses 4,300 digits by itself, but not 4,000.
MAX_INTEGER_LENGTH = 20
# What 64 bits hold, with a sign or without: what shows a document again, as a value, can write no other.
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1

_TOO_DEEP = f"more than {MAX_DEPTH} levels deep"


def decode_json(data: bytes, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> Any:
    """The value that the bytes are, in UTF-8 without a byte order mark (RFC 8259).

    Raises ContentTooLargeError over the byte limit, else MalformedManifestError: not JSON, a name twice in
    one object, NaN or an infinity, an integer of more than 64 bits, half a surrogate pair, or too many
    levels.
    """
    if len(data) > max_bytes:
        raise ContentTooLargeError("the document", max_bytes)
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedManifestError(f"not UTF-8: byte {error.start}") from None
    except RecursionError:
        raise MalformedManifestError(_TOO_DEEP) from None
    except ValueError as error:
        raise MalformedManifestError(f"not valid JSON: {error}") from None
    # Brackets inside strings make the count too high, never too low: a document that passes needs no walk.
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        _check_depth(value)
    if _SURROGATE.search(data):
        _check_surrogates(value)
    return value


def convert(value: Any, type: type[T]) -> T:
    """A decoded value as a value of the type; names that the type lacks are ignored.

    Raises MalformedManifestError, with the place, where a value has not the type or bound declared.
    """
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        raise MalformedManifestError(str(error)) from None


def check_names(document: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Refuse a name that differs from one of `names` (folded → exact) in nothing but case.

    Go's decoder, and so most clients, would read `Layers` as `layers`; we and others would not. Such a
    document means two things, which is what CVE-2021-41190 was about.
    """
    for name in document:
        exact = names.get(name.casefold())
        if exact is not None and exact != name:
            raise MalformedManifestError(f"the name {exact} is written in another case")


def parse_time(value: Any) -> datetime | None:
    """The moment that an RFC 3339 text names, in UTC; None if it is none, has no offset, or is in year 1.

    Year 1 is Go's zero time, which many builders write for "not known". Fractions finer than a microsecond
    are rounded.
    """
    if not isinstance(value, str):
        return None
    try:
        moment = msgspec.convert(value, datetime)
        if moment.tzinfo is None:
            return None
        moment = moment.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError, ValueError):
        return None
    return None if moment.year == 1 else moment


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return document


def _integer(text: str) -> int:
    number = int(text) if len(text) <= MAX_INTEGER_LENGTH else None
    if number is None or not MIN_INTEGER <= number <= MAX_INTEGER:
        raise ValueError("an integer of more than 64 bits")
    return number


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number out of range")
    return number


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _check_depth(value: Any) -> None:
    depth = 0
    level = [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise MalformedManifestError(_TOO_DEEP)
        level = [below for item in level for below in (item.values() if isinstance(item, dict) else item)]


def _check_surrogates(value: Any) -> None:
    # Whole pairs were joined by the decoder; half of one survives in a str but cannot be encoded again.
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedManifestError("half a surrogate pair") from None

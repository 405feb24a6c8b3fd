"""The scalars of the schema.

Rules of this file: pure; wrong input raises our errors, so that its code is known.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from graph.errors import InputError, InvalidDigestError
from graph.oci.descriptor import MAX_SIZE
from graph.oci.digest import Digest, parse_digest

# Characters of a time; the longest form of ISO 8601 that is read has 32.
MAX_TIME_LENGTH = 64

ByteCount = NewType("ByteCount", int)
Json = NewType("Json", object)


def _parse_digest(value: Any) -> Digest:
    if not isinstance(value, str):
        raise InvalidDigestError("a digest is a string")
    return parse_digest(value)


def _parse_byte_count(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():  # 1e3 is an integer in JSON, and a float here
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError("a number of bytes is an integer")
    if not 0 <= value <= MAX_SIZE:
        raise InputError(f"a number of bytes is from 0 to {MAX_SIZE}")
    return value


def _show_byte_count(value: int) -> int:
    # Sums can be larger where a registry claims absurd sizes; the largest exact number says "at least".
    return min(value, MAX_SIZE)


def _parse_json(value: Any) -> Any:
    raise InputError("JSON is only given out")


def _parse_time(value: Any) -> datetime:
    if not isinstance(value, str) or len(value) > MAX_TIME_LENGTH:
        raise InputError("a time is a string such as 2026-05-01T12:00:00Z")
    try:
        moment = datetime.fromisoformat(value.upper())  # RFC 3339 takes `t` and `z` too
    except ValueError as error:
        raise InputError("a time is written as ISO 8601 has it, such as 2026-05-01T12:00:00Z") from error
    if moment.utcoffset() is None:
        raise InputError("a time needs its offset from UTC, such as Z or +02:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InputError("the time is out of range") from error


def format_time(value: datetime) -> str:
    """The moment as the API writes it."""
    return value.isoformat().replace("+00:00", "Z")


SCALARS: Mapping[object, ScalarDefinition] = {
    Digest: strawberry.scalar(
        name="Digest",
        description="What names content by its bytes, such as `sha256:` and 64 hexadecimal digits.",
        serialize=str,
        parse_value=_parse_digest,
        specified_by_url="https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests",
    ),
    ByteCount: strawberry.scalar(
        name="ByteCount",
        description="A number of bytes, 0 to 9007199254740991 (2^53 - 1), as a JSON number. "
        "A sum that would be larger is shown as that.",
        serialize=_show_byte_count,
        parse_value=_parse_byte_count,
    ),
    Json: strawberry.scalar(
        name="JSON",
        description="A JSON document, as it is: an object, a list, a string, a number, a boolean or null.",
        parse_value=_parse_json,
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment as RFC 3339 writes it, in UTC: `2026-05-01T12:00:00Z`. "
        "As input any offset will do.",
        serialize=format_time,
        parse_value=_parse_time,
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
    ),
}

"""JSON from strangers: what two readers could read in two ways is refused, and everything is bounded."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import ContentError, ContentTooLargeError, MalformedManifestError
from graph.oci.document import (
    MAX_DEPTH,
    MAX_INTEGER,
    MAX_INTEGER_LENGTH,
    MIN_INTEGER,
    check_names,
    convert,
    decode_json,
    parse_time,
)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not valid JSON"),
        (b"<html></html>", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b"{'a': 1}", "not valid JSON"),
        (b"[1,]", "not valid JSON"),
        (b'{"a":1,}', "not valid JSON"),
        (b'// no\n{"a":1}', "not valid JSON"),
        (b'["\n"]', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),  # a byte order mark
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        (b'["\xff"]', "not UTF-8"),
        (b'["\xc0\xaf"]', "not UTF-8"),  # an overlong "/"
        (b'["\xed\xa0\x80"]', "not UTF-8"),  # a surrogate, encoded
        (b'["\\ud800"]', "surrogate"),
        (b'["\\uDFFF"]', "surrogate"),
        (b'["\\udc00\\ud800"]', "surrogate"),
        (b'{"\\ud800":1}', "surrogate"),
        (b'{"a":{"b":["\\ud83d"]}}', "surrogate"),
        (b'{"a":1,"a":1}', "twice"),
        (b'{"a":1,"\\u0061":2}', "twice"),  # the same name, escaped
        (b'{"x":{"y":[{"a":1,"b":2,"a":null}]}}', "twice"),
        (b'{"":1,"":2}', "twice"),
        (b"[NaN]", "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e999]", "out of range"),
        (b"[-1e999]", "out of range"),
        (b"[" + b"9" * (MAX_INTEGER_LENGTH + 1) + b"]", "64 bits"),
        (b"[-" + b"9" * MAX_INTEGER_LENGTH + b"]", "64 bits"),
        (b"[%d]" % (MAX_INTEGER + 1), "64 bits"),
        (b"[%d]" % (MIN_INTEGER - 1), "64 bits"),
        (b"[" + b"9" * 5000 + b"]", "64 bits"),
        (b"[" * 100_000, "levels"),
        (b"[" * 100_000 + b"]" * 100_000, "levels"),
        (b'{"a":' * 100_000, "levels"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "levels"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "levels"),
        (b"[[]," * MAX_DEPTH + b"[]" + b"]" * MAX_DEPTH, "levels"),
    ],
)
def test_hostile_document_is_refused(data: bytes, reason: str) -> None:
    """Each of these was read in two ways by two parsers, or brought one down."""
    with pytest.raises(MalformedManifestError, match=reason):
        decode_json(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"null", None),
        (b' {"a": [1, -2.5, true, null, "x"]}\n', {"a": [1, -2.5, True, None, "x"]}),
        (b"[9223372036854775807]", [9223372036854775807]),
        (b"[-9223372036854775808]", [-9223372036854775808]),
        (b'["\\ud83d\\ude00"]', ["\U0001f600"]),  # a whole pair
        (b'["\\\\ud800"]', ["\\ud800"]),  # a backslash and letters
        (b'["\\u0000"]', ["\x00"]),
        (b'["[[[[{{{{"]', ["[[[[{{{{"]),
        (b'{"a":{"a":{"a":1}}}', {"a": {"a": {"a": 1}}}),  # one name, three objects
        ('["é"]'.encode(), ["é"]),
    ],
)
def test_honest_document_is_read(data: bytes, value: Any) -> None:
    """What RFC 8259 allows and nobody can misread is read."""
    assert value == decode_json(data)


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH])
def test_document_of_the_allowed_depth_is_read(depth: int) -> None:
    """The limit is the last depth allowed, whichever bracket makes it."""
    decode_json(b"[" * depth + b"]" * depth)
    decode_json(b'{"a":' * depth + b"1" + b"}" * depth)


def test_many_brackets_are_not_depth() -> None:
    """A wide document is not a deep one."""
    wide = [[[], {}, "[{"] for _ in range(10_000)]
    assert wide == decode_json(json.dumps(wide).encode())


def test_document_past_the_limit_of_bytes_is_too_large() -> None:
    """The limit is a limit on the bytes, whatever they hold, and it is the caller's to set."""
    assert [1, 2, 3] == decode_json(b"[1, 2, 3] ", max_bytes=10)
    with pytest.raises(ContentTooLargeError):
        decode_json(b"[1, 2, 3] ]", max_bytes=10)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(MIN_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(codec="utf-8")),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text('ab\u00e9\\"', max_size=3), values),
    max_leaves=20,
)


@given(json_values, st.booleans(), st.sampled_from([None, 2]))
def test_written_value_reads_back(value: Any, ensure_ascii: bool, indent: int | None) -> None:
    """parse(format(x)) == x, however the writer escapes and indents."""
    data = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent).encode()
    assert value == decode_json(data)
    assert value == orjson.loads(orjson.dumps(value))  # which answers are written with


@given(st.binary(max_size=40) | st.text(alphabet='[]{}":,\\u0d8e1-.aNI \n', max_size=40).map(str.encode))
def test_any_bytes_are_a_document_or_a_content_error(data: bytes) -> None:
    """No bytes break the reader, and what it gives can be written again as JSON in UTF-8."""
    try:
        value = decode_json(data)
    except ContentError:
        return
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    orjson.dumps(value)


@given(json_values)
def test_whatever_is_read_is_read_alike_by_another_parser(value: Any) -> None:
    """What we accept msgspec accepts, as the same value: no differential between two parsers."""
    data = json.dumps(value).encode()
    assert decode_json(data) == msgspec.json.decode(data)


class Point(msgspec.Struct):
    x: int
    y: int | None = None


def test_typed_reading_checks_types_and_ignores_other_names() -> None:
    """A typed document has the types declared; what is not declared does not matter."""
    assert Point(1, None) == convert({"x": 1, "y": None, "z": [1]}, Point)
    with pytest.raises(MalformedManifestError, match=r"Expected `int`, got `str` - at `\$.x`"):
        convert({"x": "1"}, Point)
    with pytest.raises(MalformedManifestError, match="missing required field"):
        convert({}, Point)


def test_error_does_not_repeat_the_content() -> None:
    """A message names the place; content may hold secrets and is not bounded."""
    with pytest.raises(MalformedManifestError) as caught:
        convert({"x": "hunter2"}, Point)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(MalformedManifestError) as caught:
        decode_json(b"{hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["Layers", "LAYERS", "layer\u017f", "mediatype", "MediaType"])
def test_name_in_another_case_is_refused(name: str) -> None:
    """Go matches names without regard to case, even a long s for an s: a client would read it as ours."""
    names = {name.casefold(): name for name in ("layers", "mediaType")}
    with pytest.raises(MalformedManifestError, match="another case"):
        check_names({name: []}, names)


def test_name_of_ours_and_names_of_others_pass() -> None:
    """Exact names and unknown ones are nobody's ambiguity."""
    check_names({"layers": [], "Other": 1, "layer": 2, "": 3}, {"layers": "layers"})


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2015-10-31T22:22:56Z", datetime(2015, 10, 31, 22, 22, 56, tzinfo=UTC)),
        ("2015-10-31T22:22:56.015925234Z", datetime(2015, 10, 31, 22, 22, 56, 15925, tzinfo=UTC)),
        ("2015-10-31T22:22:56.5+02:00", datetime(2015, 10, 31, 20, 22, 56, 500000, tzinfo=UTC)),
        ("2015-10-31T22:22:56-07:30", datetime(2015, 11, 1, 5, 52, 56, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2015-10-31t22:22:56z", datetime(2015, 10, 31, 22, 22, 56, tzinfo=UTC)),
    ],
)
def test_time_is_read_in_utc(text: str, moment: datetime) -> None:
    """A time is aware, in UTC, to the microsecond."""
    time = parse_time(text)
    assert moment == time
    assert time is not None and time.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "yesterday",
        "2015-10-31",
        "2015-10-31T22:22:56",  # no offset: whose time?
        "0001-01-01T00:00:00Z",  # Go's zero time
        "0001-01-01T00:00:00+14:00",  # before year 1 in UTC
        "9999-12-31T23:59:59-14:00",  # after year 9999 in UTC
        "9999-12-31T23:59:59.9999999Z",
        "2015-13-31T22:22:56Z",
        "2015-02-30T22:22:56Z",
        "2015-10-31T22:22:56Z ",
        1446330176,
        math.inf,
        True,
        [],
        {},
    ],
)
def test_time_that_is_none_is_not_known(value: Any) -> None:
    """A bad time is no time; it never costs the rest of a document."""
    assert parse_time(value) is None


@given(st.text(alphabet="0123456789-:T.Z+ ", max_size=30) | st.text())
def test_any_text_is_a_time_or_none(text: str) -> None:
    """No text breaks the reader of times."""
    assert parse_time(text) is None or isinstance(parse_time(text), datetime)


@given(st.datetimes(min_value=datetime(2, 1, 1), timezones=st.just(UTC)))
def test_printed_time_reads_back(moment: datetime) -> None:
    """parse(format(x)) == x."""
    assert moment == parse_time(moment.isoformat())

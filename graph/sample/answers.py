"""What the sample registry hears and says: requests, answers, the bodies of errors, the cut of pages.

Pure values and rules, no content and no ASGI. Nothing in `sample` comes from the rest of the package: this
registry checks our client, and a rule that both had from one place would be wrong in both.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived: `path` percent-decoded, `query` not, header names in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def parameter(self, name: str) -> str | None:
        """The first value that the query gives `name`; None where it gives none."""
        values = parse_qs(self.query, keep_blank_values=True).get(name)
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `length` is given where it is not that of `body`: a blob known only by its size."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    length: int | None = None


class RefusedError(Exception):
    """A request that is answered by an error of the specification."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = error_answer(status, code, message)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, and the value of `last` that asks for the next; None at the end."""

    entries: tuple[str, ...]
    last: str | None


def json_answer(document: object, *, media_type: str = "application/json", headers: Headers = ()) -> Answer:
    """The document as 200."""
    return Answer(200, (("Content-Type", media_type), *headers), dump_json(document))


def error_answer(status: int, code: str, message: str) -> Answer:
    """The error body of the distribution specification, "Error Codes"."""
    document = {"errors": [{"code": code, "message": message, "detail": None}]}
    return Answer(status, (("Content-Type", "application/json"),), dump_json(document))


def dump_json(document: object) -> bytes:
    """The document as compact JSON, keys in the order given: the same bytes and digest every time."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def cut_page(entries: Sequence[str], request: Request, page_size: int, key: Callable[[str], Any]) -> Page:
    """The page of the sorted entries that `n` and `last` ask for, of at most `page_size`.

    `entries` are sorted by `key`; `last` need not be one of them. A page smaller than `n` is legal while a
    Link follows it, and `n=0` is an empty page without one (distribution-spec v1.1.1, "Listing Tags").
    """
    size = min(parse_page_size(request.parameter("n"), page_size), page_size)
    if size == 0:
        return Page((), None)
    last = request.parameter("last")
    start = 0 if last is None else bisect_right(entries, key(last), key=key)
    page = tuple(entries[start : start + size])
    has_more = start + size < len(entries)
    return Page(page, page[-1] if has_more else None)


def parse_page_size(text: str | None, default: int) -> int:
    """The number of entries that `n` asks for."""
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()):
        # The code is distribution's; the specification has none for it.
        raise RefusedError(400, "PAGINATION_NUMBER_INVALID", f"n is not a number: {text}")
    return int(text)


def link_headers(path: str, last: str | None, parameters: Mapping[str, str | None]) -> Headers:
    """The Link to the next page, relative as distribution writes it; no header where there is none."""
    if last is None:
        return ()
    query = {name: value for name, value in parameters.items() if value is not None}
    return (("Link", f'<{path}?{urlencode({**query, "last": last})}>; rel="next"'),)


def accepted_types(headers: Mapping[str, str]) -> frozenset[str]:
    """The media types an Accept header names, without their parameters; those of weight 0 are refused."""
    accepted = set()
    for part in headers.get("accept", "").split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if media_type and not any(is_zero_weight(parameter) for parameter in parameters):
            accepted.add(media_type)
    return frozenset(accepted)


def is_zero_weight(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip().rstrip("0") in ("", ".")


def is_etag_matched(headers: Mapping[str, str], etag: str) -> bool:
    """Whether If-None-Match names this entity tag (RFC 9110, 13.1.2)."""
    tags: Iterable[str] = (part.strip() for part in headers.get("if-none-match", "").split(","))
    return any(tag in ("*", etag) or tag == f"W/{etag}" for tag in tags)

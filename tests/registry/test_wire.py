"""What is sent, and what answers mean: no socket and no loop."""

from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from graph.errors import (
    InvalidNameError,
    RegistryDeniedError,
    RegistryError,
    RegistryFailedError,
    RegistryProtocolError,
    RegistryThrottledError,
    RegistryUnknownError,
    RegistryUnsupportedError,
)
from graph.oci.digest import Digest
from graph.oci.reference import RegistryName, RepositoryName, TagName
from graph.registry.dialects.oci import OciDialect
from graph.registry.ledger import RequestKind
from graph.registry.origin import Origin
from graph.registry.wire import (
    MAX_ERROR_CODES,
    MAX_QUERY_LENGTH,
    MAX_WAIT,
    Endpoint,
    Reply,
    Request,
    applied_filters,
    error_codes,
    explain,
    last_query,
    next_query,
    parse_retry_after,
    read_by_action,
)
from graph.settings import RegistrySettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = RegistryName("registry.example")
ENDPOINT = Endpoint(NAME, Origin("https", "registry.example", 443))
REPOSITORY = RepositoryName("marketing/campaign10-18/web")
DIGEST = Digest("sha256:" + "a" * 64)
DIALECT = OciDialect(RegistrySettings(url="https://registry.example"))
PAGE = DIALECT.tags(RepositoryName("a")).build(NAME, "https://registry.example", "n=2")


def reply(status: int = 200, body: bytes = b"", is_foreign: bool = False, **headers: str) -> Reply:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Reply(status, httpx.Headers(raw), body, is_foreign)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (ENDPOINT.ping(), "GET https://registry.example/v2/"),
        (
            ENDPOINT.manifest("GET", REPOSITORY, TagName("v1.0_x-y")),
            "GET https://registry.example/v2/marketing/campaign10-18/web/manifests/v1.0_x-y",
        ),
        (
            ENDPOINT.manifest("HEAD", REPOSITORY, DIGEST),
            f"HEAD https://registry.example/v2/marketing/campaign10-18/web/manifests/{DIGEST}",
        ),
        (
            ENDPOINT.config(REPOSITORY, DIGEST),
            f"GET https://registry.example/v2/marketing/campaign10-18/web/blobs/{DIGEST}",
        ),
        (
            ENDPOINT.referrers(REPOSITORY, DIGEST, "last=a%2Fb"),
            f"GET https://registry.example/v2/marketing/campaign10-18/web/referrers/{DIGEST}?last=a/b",
        ),
        (PAGE, "GET https://registry.example/v2/a/tags/list?n=2"),
        (
            DIALECT.catalog().build(NAME, "https://registry.example", ""),
            "GET https://registry.example/v2/_catalog",
        ),
    ],
)
def test_requests(request_: Request, expected: str) -> None:
    """Each request is the one that the specification names."""
    assert expected == str(request_)


def test_query_is_not_decoded() -> None:
    """A cursor is sent as the registry wrote it."""
    request = DIALECT.catalog().build(NAME, "https://registry.example", "last=a%2Fb&n=1&orderby=")
    assert "https://registry.example/v2/_catalog?last=a%2Fb&n=1&orderby=" == request.url


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE", "OPTIONS", "get", ""])
@pytest.mark.parametrize("kind", [kind for kind in RequestKind if kind is not RequestKind.TOKEN])
def test_only_reads_can_be_sent(method: str, kind: RequestKind) -> None:
    """No request that could write can even be made."""
    with pytest.raises(ValueError):
        Request(NAME, kind, method, "https://registry.example/v2/")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_only_token_servers_get_a_post(method: str) -> None:
    """A token server may get a POST, and nothing else that writes."""
    Request(NAME, RequestKind.TOKEN, "POST", "https://registry.example/token")
    with pytest.raises(ValueError):
        Request(NAME, RequestKind.TOKEN, method, "https://registry.example/token")


@pytest.mark.parametrize(
    "action",
    [
        "AmazonEC2ContainerRegistry_V20150921.DeleteRepository",
        "AmazonEC2ContainerRegistry_V20150921.BatchDeleteImage",
        "AmazonEC2ContainerRegistry_V20150921.PutImage",
        "DescribeImages",
        "",
    ],
)
@pytest.mark.parametrize("kind", [RequestKind.MANIFESTS, RequestKind.TOKEN])
def test_only_actions_that_read_are_sent(action: str, kind: RequestKind) -> None:
    """Where everything is a POST, what it does is held to the actions that are known to read."""
    api = "https://api.ecr.eu-west-1.amazonaws.com"

    with pytest.raises(ValueError):
        read_by_action(NAME, kind, api, action, "{}", 1)

    allowed = read_by_action(NAME, kind, api, "SpencerFrontendService.DescribeImages", "{}", 1)
    assert ("POST", f"{api}/") == (allowed.method, allowed.url)
    with pytest.raises(ValueError):
        replace(allowed, headers=(*allowed.headers, ("x-amz-target", action)))
    with pytest.raises(ValueError):
        replace(allowed, api=None)
    with pytest.raises(ValueError):
        replace(allowed, follows_redirects=True)


@pytest.mark.parametrize("text", ["..", ".", "a?b", "a#b", "a%2Fb", "a b", "", "a\r\nb", "../x", "é", "a@b"])
def test_text_that_is_no_segment(text: str) -> None:
    """What could change a path's meaning gets into none, whoever claims to have checked it."""
    with pytest.raises(InvalidNameError):
        ENDPOINT.manifest("GET", REPOSITORY, TagName(text))
    with pytest.raises(InvalidNameError):
        ENDPOINT.manifest("GET", RepositoryName(f"a/{text}"), TagName("latest"))


def test_every_manifest_type_is_accepted() -> None:
    """Index and manifest of both families are asked for at once, or distribution 2.8 sends another one."""
    accepted = ENDPOINT.manifest("GET", REPOSITORY, TagName("latest")).accept.split(", ")
    assert {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    } <= set(accepted)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("", None),
        ('</v2/a/tags/list?last=b&n=2>; rel="next"', "last=b&n=2"),
        ('<?last=b&n=2>; rel="next"', "last=b&n=2"),
        ('</v2/a/tags/list?last=a%2Fb&n=1>; rel="next"', "last=a%2Fb&n=1"),
        ('<https://other.example/v2/a/tags/list?last=b>; rel="next"', "last=b"),
        ('<http://registry.example:8080/v2/a/tags/list?last=b>; rel="next"', "last=b"),
        ('</v2/other/manifests/latest?last=b>; rel="next"', "last=b"),
        ('<//u:p@evil.example/?last=b#x>; rel="next"', "last=b"),
        ('<file:///etc/passwd?last=b>; rel="next"', "last=b"),
        ('</v2/a/tags/list?last=a b\u00e9>; rel="next"', "last=a%20b%C3%A9"),
    ],
)
def test_next_query(link: str, expected: str | None) -> None:
    """Of a Link only the query is kept: it leads nowhere but to our registry's own list."""
    assert expected == next_query(PAGE, reply(link=link))


@pytest.mark.parametrize(
    "link",
    ['</v2/a/tags/list>; rel="next"', f'<?last={"a" * MAX_QUERY_LENGTH}>; rel="next"'],
)
def test_no_next_query(link: str) -> None:
    """A Link to no page, or to one with an endless name, is refused."""
    with pytest.raises(ValueError):
        next_query(PAGE, reply(link=link))


def test_last_query() -> None:
    """A cursor that we make ourselves is encoded."""
    assert "n=2&last=a%2Fb%26c" == last_query(2, "a/b&c")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], set()),
        ([("OCI-Filters-Applied", "artifactType")], {"artifactType"}),
        ([("OCI-Filters-Applied", "a, b"), ("oci-filters-applied", "c,")], {"a", "b", "c"}),
    ],
)
def test_applied_filters(headers: list[tuple[str, str]], expected: set[str]) -> None:
    """The filters a registry applied are a comma-separated list."""
    assert expected == applied_filters(Reply(200, httpx.Headers(headers)))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"errors":[{"code":"NAME_UNKNOWN","message":"x","detail":{}}]}', ("NAME_UNKNOWN",)),
        (b'{"errors":[{"code":"DENIED"},{"code":"UNAUTHORIZED"}]}', ("DENIED", "UNAUTHORIZED")),
        (b'{"errors":[{"code":"<script>"},{"code":7},"x",null]}', ()),
        (b'{"errors":{"code":"DENIED"}}', ()),
        (b'{"errors":null}', ()),
        (b"[]", ()),
        (b"<html>404</html>", ()),
        (b"404 page not found", ()),
        (b"", ()),
        (b"\xff\xfe", ()),
        (b'{"errors":[' + b",".join([b'{"code":"X"}'] * 1000) + b"]}", ("X",) * MAX_ERROR_CODES),
        (b'{"errors":' + b"[" * 5000, ()),
    ],
)
def test_error_codes(body: bytes, expected: tuple[str, ...]) -> None:
    """Codes are read where a body has them, and nothing else of it."""
    assert expected == error_codes(body)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b"", RegistryDeniedError),
        (403, b"", RegistryDeniedError),
        (404, b"", RegistryUnknownError),
        (405, b"", RegistryUnsupportedError),
        (400, b'{"errors":[{"code":"UNSUPPORTED"}]}', RegistryUnsupportedError),
        (400, b'{"errors":[{"code":"DIGEST_INVALID"}]}', RegistryProtocolError),
        (429, b"", RegistryThrottledError),
        (500, b"", RegistryFailedError),
        (501, b"", RegistryUnsupportedError),
        (503, b"", RegistryFailedError),
        (204, b"", RegistryProtocolError),
        (206, b"", RegistryProtocolError),
        (302, b"", RegistryProtocolError),
        (418, b"", RegistryProtocolError),
    ],
)
def test_explain(status: int, body: bytes, expected: type[RegistryError]) -> None:
    """The status decides what an answer means."""
    assert expected is type(explain(PAGE, reply(status, body), NOW))


def test_error_carries_facts() -> None:
    """An error says which registry, which request, which status and codes, and when to come back."""
    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"secret","detail":"/var/lib/secret"}]}'
    error = explain(PAGE, reply(429, body, retry_after="7"), NOW)

    assert (NAME, "GET https://registry.example/v2/a/tags/list?n=2", 429, ("TOOMANYREQUESTS",), 7.0) == (
        error.registry,
        error.request,
        error.http_status,
        error.codes,
        error.retry_after,
    )
    assert (
        "registry.example answered 429 TOOMANYREQUESTS (GET https://registry.example/v2/a/tags/list?n=2)"
        == str(error)
    )


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_answer_from_elsewhere_is_a_failure(status: int) -> None:
    """What the storage behind a redirect answers says nothing about what the registry knows or grants."""
    body = b'{"errors":[{"code":"DENIED"}]}'
    error = explain(PAGE, reply(status, body, is_foreign=True), NOW)
    assert (RegistryFailedError, ()) == (type(error), error.codes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Thu, 01 Jan 2026 00:01:00 -0000", 60.0),
        ("Wed, 31 Dec 2025 23:00:00 GMT", 0.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9" * 400, None),
        ("\u0661", None),
    ],
)
def test_retry_after(text: str | None, expected: float | None) -> None:
    """Seconds or a date; anything else is as if it were not there."""
    assert expected == parse_retry_after(text, NOW)


@pytest.mark.parametrize(
    "told",
    [
        {"retry_after": "999999999"},
        {"retry_after": "Fri, 31 Dec 9999 23:59:59 GMT"},
        {"x_retry_after": "253402300799"},
        {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "253402300799"},
    ],
)
def test_nobody_keeps_us_away_for_good(told: dict[str, str]) -> None:
    """However long a registry wants us to wait, a day is what it gets."""
    wait = explain(PAGE, reply(429, b"", **told), NOW).retry_after
    assert wait is not None
    assert wait <= MAX_WAIT

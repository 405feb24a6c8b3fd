"""Who is asked for a token, for what, and with which credentials: the generator is driven by hand."""

import base64
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from graph.errors import (
    RegistryDeniedError,
    RegistryError,
    RegistryFailedError,
    RegistryProtocolError,
    RegistryThrottledError,
)
from graph.oci.reference import RegistryName
from graph.registry.auth import (
    MAX_SCOPE_LENGTH,
    MAX_TOKEN_LENGTH,
    Basic,
    Bearer,
    Credentials,
    Scheme,
    Token,
    choose_scheme,
    choose_scope,
    pin_realm,
    token_flow,
)
from graph.registry.headers import parse_challenges
from graph.registry.origin import parse_origin
from graph.registry.wire import Reply, Request

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = RegistryName("registry.example")
HTTPS = parse_origin("https://registry.example")
BEARER = Bearer("https://registry.example/token", "registry.example", None)
ALICE = Credentials("alice", "wonderland:1")
REFRESHING = Credentials("<token>", "refresh-me")
PULL = "repository:a/b:pull"


def reply(status: int = 200, document: object = None) -> Reply:
    return Reply(status, httpx.Headers(), b"" if document is None else json.dumps(document).encode())


def drive(
    *replies: Reply,
    bearer: Bearer = BEARER,
    scope: str | None = PULL,
    credentials: Credentials | None = None,
) -> tuple[list[Request], Token]:
    """Answer a token flow's requests in turn: the requests it made, and the token it returned."""
    flow = token_flow(NAME, bearer, scope, credentials, NOW)
    requests = [next(flow)]
    for answer in replies:
        try:
            requests.append(flow.send(answer))
        except StopIteration as done:
            return requests, done.value
    raise AssertionError("the flow wants another answer")


def test_anonymous_token() -> None:
    """Without credentials a token is asked for by GET and without Authorization."""
    (request,), token = drive(reply(document={"token": "t"}))

    assert ("GET", None, None) == (request.method, request.authorization, request.form)
    assert {"service": ["registry.example"], "scope": [PULL]} == parse_qs(urlsplit(request.url).query)
    assert "Bearer t" == token.authorization()


def test_token_for_a_password() -> None:
    """With a password the token is asked for by GET, with Basic."""
    (request,), _ = drive(reply(document={"access_token": "t"}), credentials=ALICE)

    assert "Basic " + base64.b64encode(b"alice:wonderland:1").decode() == request.authorization
    assert "wonderland" not in request.url


def test_password_by_post_where_there_is_no_get() -> None:
    """A token server that has no GET is asked by POST with a password grant, the secret in the body only."""
    (_, post), _ = drive(reply(405), reply(document={"access_token": "t"}), credentials=ALICE)

    assert ("POST", "https://registry.example/token", None) == (post.method, post.url, post.authorization)
    assert {
        "grant_type": ["password"],
        "client_id": ["ocigraph"],
        "service": ["registry.example"],
        "username": ["alice"],
        "password": ["wonderland:1"],
        "scope": [PULL],
    } == parse_qs(post.form or "")


def test_identity_token_by_post() -> None:
    """An identity token goes into a refresh grant, never into Basic."""
    (post,), _ = drive(reply(document={"access_token": "t"}), credentials=REFRESHING, scope=None)

    assert ("POST", None) == (post.method, post.authorization)
    assert {
        "grant_type": ["refresh_token"],
        "client_id": ["ocigraph"],
        "service": ["registry.example"],
        "refresh_token": ["refresh-me"],
        # Azure's interface demands one.
        "scope": ["registry:catalog:*"],
    } == parse_qs(post.form or "")


def test_query_of_the_realm_is_kept() -> None:
    """A realm may have a query of its own, and there may be no service and no scope."""
    bearer = Bearer("https://registry.example/token?tenant=7", None, None)
    (request,), _ = drive(reply(document={"token": "t"}), bearer=bearer, scope=None)
    assert "https://registry.example/token?tenant=7" == request.url


def test_each_scope_is_a_parameter() -> None:
    """Several scopes are several parameters, the first one first."""
    (request,), _ = drive(reply(document={"token": "t"}), scope="repository:a:pull repository:b:pull")
    assert ["repository:a:pull", "repository:b:pull"] == parse_qs(urlsplit(request.url).query)["scope"]


@pytest.mark.parametrize(
    ("expires_in", "expected"),
    [
        (None, 60),
        (0, 60),
        (-5, 60),
        (30, 60),
        (300, 300),
        ("300", 300),
        (10**12, 86400),
        ("inf", 86400),
        ("nan", 60),
        ("soon", 60),
        ([], 60),
        (True, 60),
    ],
)
def test_lifetime(expires_in: object, expected: float) -> None:
    """A token lives as long as is said, at least a minute, at most a day, and is renewed at four fifths."""
    _, token = drive(reply(document={"token": "t", "expires_in": expires_in}))
    assert NOW + timedelta(seconds=expected) == token.expires_at
    assert NOW + timedelta(seconds=expected * 0.8) == token.refresh_at


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(400), RegistryDeniedError),
        (reply(401), RegistryDeniedError),
        (reply(403), RegistryDeniedError),
        (reply(404), RegistryDeniedError),
        (reply(429), RegistryThrottledError),
        (reply(503), RegistryFailedError),
        (reply(302), RegistryProtocolError),
        (reply(307), RegistryProtocolError),
        (reply(200), RegistryProtocolError),
        (Reply(200, httpx.Headers(), b"<html>"), RegistryProtocolError),
        (reply(document=[]), RegistryProtocolError),
        (reply(document={}), RegistryProtocolError),
        (reply(document={"token": 7}), RegistryProtocolError),
        (reply(document={"token": ""}), RegistryProtocolError),
        (reply(document={"token": "a\r\nHost: evil"}), RegistryProtocolError),
        (reply(document={"token": "a b"}), RegistryProtocolError),
        (reply(document={"token": "\u00e9"}), RegistryProtocolError),
        (reply(document={"token": "a" * (MAX_TOKEN_LENGTH + 1)}), RegistryProtocolError),
    ],
)
def test_no_token(answer: Reply, expected: type[RegistryError]) -> None:
    """What is no token that could stand in a header is an error, and a redirect is never followed."""
    with pytest.raises(RegistryError) as caught:
        drive(answer)
    assert expected is caught.type


def test_post_that_fails_is_final() -> None:
    """A server that has neither GET nor POST denies."""
    with pytest.raises(RegistryDeniedError):
        drive(reply(404), reply(404), credentials=ALICE)


@pytest.mark.parametrize(
    ("header", "credentials", "expected"),
    [
        (
            'Bearer realm="https://registry.example/token"',
            None,
            Bearer("https://registry.example/token", None, None),
        ),
        (
            'Basic realm="x", Bearer realm="/token",service="s",scope="*"',
            ALICE,
            Bearer("https://registry.example/token", "s", "*"),
        ),
        ('Basic realm="x"', ALICE, Basic()),
        # The realm is refused, but user and password may go to the registry itself.
        ('Bearer realm="https://evil.example/token",Basic realm="x"', ALICE, Basic()),
    ],
)
def test_choose_scheme(header: str, credentials: Credentials | None, expected: Scheme) -> None:
    """Bearer before Basic, and what cannot be answered is passed over."""
    assert expected == choose_scheme(parse_challenges([header]), HTTPS, (), credentials)


@pytest.mark.parametrize(
    ("header", "credentials"),
    [
        ('Basic realm="x"', None),
        ('Basic realm="x"', REFRESHING),
        ("Bearer", ALICE),
        ('Bearer realm="https://evil.example/token"', ALICE),
        ("Negotiate", ALICE),
        ("", ALICE),
    ],
)
def test_no_scheme(header: str, credentials: Credentials | None) -> None:
    """Nothing is offered where nothing fits; an identity token is for token servers only."""
    with pytest.raises(ValueError):
        choose_scheme(parse_challenges([header]), HTTPS, (), credentials)


@pytest.mark.parametrize(
    ("registry", "realm", "hosts"),
    [
        ("https://registry.example", "https://registry.example/token", ()),
        ("https://registry.example", "https://REGISTRY.example:443/token", ()),
        ("https://registry.example", "https://auth.example/token", ("auth.example",)),
        ("https://registry.example", "https://auth.example/token", ("Auth.Example:443",)),
        ("https://registry.example", "https://auth.example:5001/token", ("auth.example:5001",)),
        ("https://registry.example", "https://10.0.0.1/token", ("10.0.0.1",)),
        ("https://registry-1.docker.io", "https://auth.docker.io/token", ()),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", ()),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/token", ()),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", ("127.0.0.1:5001",)),
        ("http://127.0.0.1:5000", "https://auth.example/token", ("auth.example",)),
    ],
)
def test_realm_is_pinned_to(registry: str, realm: str, hosts: tuple[str, ...]) -> None:
    """A realm may be on the registry's own host and port, or where the operator or common knowledge says."""
    assert pin_realm(realm, parse_origin(registry), hosts).endswith(urlsplit(realm).path)


@pytest.mark.parametrize(
    ("registry", "realm", "hosts"),
    [
        ("https://registry.example", "", ()),
        ("https://registry.example", "https://evil.example/token", ()),
        ("https://registry.example", "https://registry.example.evil.example/token", ()),
        ("https://registry.example", "https://registry.example:8443/token", ()),
        ("https://registry.example", "https://registry.example@evil.example/token", ()),
        ("https://registry.example", "https://evil.example\\@registry.example/token", ()),
        ("https://registry.example", "//evil.example/token", ()),
        ("https://registry.example", "http://registry.example/token", ()),
        ("https://registry.example", "http://auth.example/token", ("auth.example",)),
        ("https://registry.example", "https://auth.example:8443/token", ("auth.example",)),
        ("https://registry.example", "https://169.254.169.254/token", ()),
        ("https://registry.example", "https://localhost/token", ()),
        ("https://registry.example", "file:///etc/passwd", ()),
        ("https://registry.example", "https://auth.docker.io/token", ()),
        ("http://registry-1.docker.io", "http://auth.docker.io/token", ()),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", ()),
        # A POST of credentials to these would be a push.
        ("https://registry.example", "https://registry.example/v2/a/blobs/uploads/", ()),
        ("https://registry.example", "https://registry.example/v2/a/manifests/latest", ()),
    ],
)
def test_realm_is_refused(registry: str, realm: str, hosts: tuple[str, ...]) -> None:
    """Credentials go to no other host, port or scheme, whatever the challenge says."""
    with pytest.raises(ValueError):
        pin_realm(realm, parse_origin(registry), hosts)


@pytest.mark.parametrize(
    ("own", "offered", "expected"),
    [
        (PULL, None, PULL),
        (None, None, None),
        (None, PULL, PULL),
        # ACR wants another action for its lists.
        (PULL, "repository:a/b:metadata_read", "repository:a/b:metadata_read"),
        (PULL, "repository:a/b:pull,push", PULL),
        (PULL, "repository:a/b:push,delete", PULL),
        (PULL, "repository:a/b:delete repository:c:pull", "repository:c:pull"),
        ("registry:catalog:*", "registry:catalog:*", "registry:catalog:*"),
        # A name may hold a ":" itself.
        (PULL, "repository:host:5000/a:push,pull", "repository:host:5000/a:pull"),
        # zuul-registry, Codeberg and Amazon ECR Public: what is of no grammar gives way to our own.
        (PULL, "read", PULL),
        (PULL, "*", PULL),
        (PULL, "aws repository:c:pull", "repository:c:pull"),
        (None, "aws", "aws"),
        (PULL, "", PULL),
        (PULL, "a\r\nb", PULL),
        (PULL, "a" * (MAX_SCOPE_LENGTH + 1), PULL),
    ],
)
def test_choose_scope(own: str | None, offered: str | None, expected: str | None) -> None:
    """The challenge's scope is asked for, less every action that writes."""
    assert expected == choose_scope(own, offered)

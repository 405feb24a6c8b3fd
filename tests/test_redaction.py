"""Property: a secret that the settings hold is in no text that anybody gets, nor is its base64.

The settings are found by walking their models, so that a new one is drawn too. A text may hold a secret as
the password in a URL, a path leads to a file that holds it, and a `SecretStr` is one. What is then done is
what an operator does: read the settings, check the logins, serve, crawl, ask, all of it against a registry
that fails in every way and repeats what it was told; and every text that comes of it is looked through.
"""

import asyncio
import base64
import io
import json
import logging
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from types import MethodType
from typing import Any, get_args

import httpx
import pytest
import stamina
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr
from rich.console import Console

from fakes.guarded import LOGIN, GuardedServer, forms_of, secrets_in
from fakes.hostile import Behaviour, HostileServer, Wire, respond, write
from fakes.scripted import Asked
from graph.app import check_logins, create_app
from graph.errors import GraphError
from graph.registry.auth import Credentials, Token
from graph.registry.identity import Identity
from graph.registry.tokens import TokenKey
from graph.settings import RegistrySettings, Settings, load_settings
from graph.sync.crawl import Crawler
from graph.terminal import print_logins

# Names of users are shown on purpose, so that a person sees as whom a registry is asked.
SHOWN = {"username"}

# What is wrong in a request keeps it from asking any registry, hence the second one.
QUERIES = (
    """{
  registries { name url sync { state error errorCode } repositories { nodes { name } } }
  repository(name: "a") { name tags { nodes { name artifact { digest manifest { mediaType } } } } }
  artifact(reference: "a:v1") { digest }
  last: artifact(reference: "f:v1") { digest }
}""",
    '{ artifact(reference: "https://alice:x@registry.example/a:v1") { digest } }',
)


def leaves(annotation: Any) -> set[type]:
    """Every class that an annotation speaks of."""
    inner = set().union(*map(leaves, get_args(annotation)))
    return inner | ({annotation} if isinstance(annotation, type) else set())


def walk(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type, bool]]:
    """Every setting that may hold a secret: where, the class that holds it, whether there are several."""
    for name, field in model.model_fields.items():
        classes = leaves(field.annotation)
        for below in classes:
            if issubclass(below, BaseModel):
                yield from walk(below, (*path, name))
        holder = next((each for each in (SecretStr, Path, str) if each in classes), None)
        if holder is not None and name not in SHOWN:
            yield (*path, name), holder, bool(classes & {tuple, list, frozenset})


HOLDERS = sorted(walk(Settings), key=lambda found: found[0])

IN_TEXT: tuple[Callable[[str], str], ...] = (
    "https://alice:{}@127.0.0.1".format,
    "http://alice:{}@proxy.example:3128".format,
    "https://{}@127.0.0.1".format,
    "//alice:{}@127.0.0.1".format,
    "sqlite://alice:{}@/:memory:".format,
    "postgresql+psycopg://alice:{}@db.example/ocigraph".format,
)


def in_auth_file(secret: str, host: str) -> bytes:
    packed = base64.b64encode(f"alice:{secret}".encode()).decode()
    return json.dumps({"auths": {host: {"auth": packed}}}).encode()


IN_FILE: tuple[Callable[[str, str], bytes], ...] = (
    lambda secret, host: secret.encode(),
    in_auth_file,
    lambda secret, host: in_auth_file(secret, host)[:-1],
    lambda secret, host: json.dumps({"auths": {host: {"identitytoken": secret}}}).encode(),
    lambda secret, host: f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n".encode(),
    lambda secret, host: b"\xff" + secret.encode(),
    lambda secret, host: secret.encode() * 100_000,
)

SECRETS = st.text("abcdefghijkmnopqrstuvwxyz0123456789", min_size=16, max_size=24).map("s".__add__)


def build(holder: tuple[tuple[str, ...], type, bool], secret: str, shape: int, url: str, folder: Path) -> Any:
    """Settings that can be used but for the one that holds the secret, which may make them useless."""
    path, kind, takes_several = holder
    value: Any = secret
    if kind is Path:
        file = folder / "secret"
        file.write_bytes(IN_FILE[shape](secret, url.partition("//")[2]))
        value = str(file)
    elif kind is str:
        value = IN_TEXT[shape](secret)
    registry: dict[str, Any] = {"url": url, "concurrency": 2}
    given: dict[str, Any] = {"store": ":memory:", "sync_interval": 0, "registries": [registry]}
    place = registry if path[0] == "registries" else given
    place[path[-1]] = [value] if takes_several else value
    if path[-1] in ("password", "password_file"):
        place["username"] = "alice"
    return given


def echo(status: int, **headers: str) -> Behaviour:
    """An answer that repeats what it was told, as it was and unpacked, wherever an answer has room."""

    async def behave(asked: Asked, wire: Wire) -> None:
        told = asked.headers.get("authorization", "")
        packed = told.removeprefix("Basic ")
        unpacked = base64.b64decode(packed).decode() if packed != told else ""
        document = {
            "errors": [{"code": "UNKNOWN", "message": unpacked, "detail": {told: asked.body.decode()}}],
            "error_description": told,
        }
        more = {name: value.format(told=packed, unpacked=unpacked) for name, value in headers.items()}
        await respond(status, json.dumps(document).encode(), **more)(asked, wire)

    return behave


def misbehave(server: HostileServer) -> None:
    """Ask for a login, and then fail in another way at every path."""
    server.script = {
        "/v2/": [respond(401, www_authenticate='Basic realm="x"'), respond(200)],
        "/token": echo(403),
        "/v2/_catalog": respond(200, b'{"repositories":["a","b","c","d","e"]}'),
        "/v2/a/tags/list": echo(500),
        "/v2/b/tags/list": echo(307, location="/x?sig={told}&u={unpacked}"),
        "/v2/c/tags/list": echo(200),
        "/v2/d/tags/list": write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"),
        "/v2/e/tags/list": respond(200, b'{"tags":["v1"]}'),
        "/v2/e/manifests/v1": echo(302, location="http://{unpacked}@127.0.0.1/x?token={told}"),
        # Asked when the crawl is over: with a token refused, everything after it would fail alike.
        "/v2/f/manifests/v1": respond(401, www_authenticate='Bearer realm="/token",service="s"'),
    }


def shown(error: BaseException) -> Iterator[str]:
    """Every text that a logger or error tracker could make of an error and of what hangs on to it."""
    pending, seen = [error], set()
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield from (str(current), repr(current), repr(vars(current)), repr(current.args))
        yield from traceback.format_exception(current)
        pending += [other for other in (current.__cause__, current.__context__) if other is not None]


def inner(root: object) -> Iterator[object]:
    """Every object of our own classes that hangs on to this one, however deep."""
    pending, seen = [root], set()
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, Mapping):
            pending += [*current, *current.values()]
        elif isinstance(current, tuple | list | set | frozenset | deque):
            pending += current
        elif isinstance(current, MethodType):
            pending.append(current.__self__)
        elif type(current).__module__.partition(".")[0] == "graph":
            yield current
            names = [name for each in type(current).__mro__ for name in getattr(each, "__slots__", ())]
            pending += getattr(current, "__dict__", {}).values()
            pending += [getattr(current, name) for name in names if hasattr(current, name)]


class Records(logging.Handler):
    """Every record, with everything that is in it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts += [record.getMessage(), repr(vars(record))]
        if record.exc_info and record.exc_info[1] is not None:
            self.texts += shown(record.exc_info[1])


async def operate(given: Mapping[str, Any]) -> list[str]:
    """Do what an operator does with the settings, and return every text of it."""
    texts: list[str] = []
    try:
        chosen = load_settings(given)
    except GraphError as error:
        return [*shown(error)]
    texts += [repr(chosen), str(chosen), repr(chosen.registries)]
    texts += [repr(registry) for registry in chosen.registries]
    try:
        output = io.StringIO()
        print_logins(Console(file=output, width=200), await check_logins(chosen))
        texts.append(output.getvalue())
    except GraphError as error:
        texts += shown(error)
    try:
        app = create_app(chosen)
        texts += [repr(app), repr(app.user_middleware)]
        async with app.router.lifespan_context(app):
            texts += await serve_and_crawl(app)
    except GraphError as error:
        texts += shown(error)
    return texts


async def serve_and_crawl(app: Any) -> list[str]:
    parts = app.state.parts
    texts = [repr(parts), repr(vars(parts.store))]
    for upstream in parts.upstreams:
        client = upstream.client
        texts += [repr(each) for each in (upstream, vars(upstream), client, vars(client))]
        texts += [
            repr(vars(each)) for each in (client._exchange, client._exchange._authorizer, client.dialect)
        ]
        report = await Crawler(upstream).crawl()
        texts += [repr(report), *map(repr, report.troubles)]
        texts += [text for each in inner(upstream) for text in (repr(each), str(each))]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        for query, headers in product(QUERIES, ({}, {"Authorization": "Bearer wrong"})):
            answer = await client.post("/graphql", json={"query": query}, headers=headers)
            assert "INVALID_QUERY" not in answer.text
            texts += [answer.text, repr(answer.headers)]
        for path in ("/readyz", "/healthz", "/graphql", "/graphiql/"):
            answer = await client.get(path, headers={"Accept": "text/html"})
            texts += [answer.text, repr(answer.headers)]
    return texts


async def run(holder: Any, secret: str, shape: int, folder: Path) -> tuple[list[str], bytes]:
    async with HostileServer() as server:
        misbehave(server)
        texts = await operate(build(holder, secret, shape, server.url, folder))
        return texts, bytes(server.heard)


def look(holder: Any, secret: str, shape: int, folder: Path) -> tuple[list[str], bytes]:
    """The texts that hold the secret in whatever form, and what the registry heard."""
    records = Records()
    root = logging.getLogger()
    before = root.level
    root.addHandler(records)
    root.setLevel(logging.DEBUG)
    try:
        with stamina.set_testing(True, attempts=1):  # nothing is waited for
            texts, heard = asyncio.run(run(holder, secret, shape, folder))
    finally:
        root.removeHandler(records)
        root.setLevel(before)
    forms = [form.decode() for form in forms_of(secret)]
    return [text[:500] for text in (*texts, *records.texts) if any(form in text for form in forms)], heard


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: ".".join(holder[0]))
def test_no_secret_is_shown(holder: Any, tmp_path: Path) -> None:
    """Whatever setting holds a secret, and however, nobody can read it anywhere."""

    shapes = {Path: len(IN_FILE), str: len(IN_TEXT), SecretStr: 1}[holder[1]]

    @settings(max_examples=2, deadline=None, database=None, phases=[Phase.generate])
    @given(secret=SECRETS)
    def check(secret: str) -> None:
        for shape in range(shapes):
            assert [] == look(holder, secret, shape, tmp_path)[0]

    check()


@pytest.mark.anyio
async def test_whatever_holds_a_secret_is_looked_at() -> None:
    """What hangs on to a registry that gave a token shows neither that nor the password."""
    async with GuardedServer({"/v2/_catalog": respond(200, b'{"repositories":[]}')}) as server:
        registry = {"url": server.url, **LOGIN}
        app = create_app(load_settings({"store": ":memory:", "sync_interval": 0, "registries": [registry]}))
        async with app.router.lifespan_context(app):
            (upstream,) = app.state.parts.upstreams
            await Crawler(upstream).crawl()
            found = list(inner(upstream))
            texts = [text for each in found for text in (repr(each), str(each))]
    assert {Credentials, Identity, RegistrySettings, Token, TokenKey} <= set(map(type, found))
    assert [] == [text for text in texts if secrets_in(text.encode())]


def test_settings_that_hold_secrets() -> None:
    """The walk finds what is known to hold secrets, at both levels."""
    found = {".".join(path) for path, _, _ in HOLDERS}
    known = {"password", "password_file", "auth_file", "client_key", "proxy", "url", "api_url"}
    assert set() == {f"registries.{name}" for name in known} - found
    assert set() == {"password", "password_file", "store", "token_file"} - found


@pytest.mark.parametrize("name", ["password", "password_file", "auth_file"])
def test_secrets_are_in_use(name: str, tmp_path: Path) -> None:
    """The registry does get the secret, and comes to fail in every one of its ways."""
    (holder,) = [holder for holder in HOLDERS if holder[0] == ("registries", name)]
    shape = IN_FILE.index(in_auth_file) if name == "auth_file" else 0
    leaked, heard = look(holder, "correct-horse-battery", shape, tmp_path)
    assert [] == leaked
    assert base64.b64encode(b"alice:correct-horse-battery") in heard
    for path in (*(f"/v2/{each}/tags/list" for each in "abcde"), "/v2/e/manifests/v1", "/v2/f/", "/token"):
        assert f" {path}".encode() in heard

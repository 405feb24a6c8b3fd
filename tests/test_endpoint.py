"""GraphQL over HTTP, request by request: what is let in, and how it is answered."""

import asyncio
import gzip
import json
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

from fakes.skipping_loop import SkippingLoop
from graph.endpoint import (
    BODY_SECONDS,
    DISCARDED_BYTES,
    PART_BYTES,
    BearerToken,
    Endpoint,
    Parameters,
    RequestError,
    expect_token,
    pick_response_type,
)

pytestmark = pytest.mark.anyio

JSON = "application/json"
RESPONSE_JSON = "application/graphql-response+json"
MAX_BODY = 2_000


class Aged:
    """Stands for the context of a request whose oldest observation is 7 s old."""

    fields = 1

    def age(self) -> int:
        return 7


async def echo(context: Any, parameters: Parameters) -> dict[str, Any]:
    """Answers with what was asked; `refuse` is a document that does not validate."""
    if parameters.query == "refuse":
        return {"errors": [{"message": "no such field"}]}
    return {
        "data": {
            "query": parameters.query,
            "variables": parameters.variables,
            "name": parameters.operation_name,
        }
    }


@asynccontextmanager
async def open_context(request: Any) -> AsyncIterator[Any]:
    yield Aged()


def make_endpoint() -> Endpoint:
    return Endpoint(echo, open_context, "<html>page</html>", MAX_BODY)


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    """Serve it on a port of the loopback interface, as the command does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
        running = asyncio.create_task(server.serve([listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await running


def make_client(app: ASGIApp | None = None) -> httpx.AsyncClient:
    endpoint = app or make_endpoint()
    return httpx.AsyncClient(transport=httpx.ASGITransport(endpoint), base_url="http://test")


async def post(content: bytes | str, **headers: str) -> httpx.Response:
    async with make_client() as client:
        return await client.post(
            "/graphql",
            content=content,
            headers={"content-type": JSON, **{k.replace("_", "-"): v for k, v in headers.items()}},
        )


async def test_large_answer_is_sent_in_parts() -> None:
    """A large body is never handed over whole; its length is known from the start."""
    sent: list[Any] = []

    async def give(context: Any, parameters: Parameters) -> dict[str, Any]:
        return {"data": "x" * (2 * PART_BYTES)}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"query": "{ a }"}'}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "query_string": b"",
        "headers": [(b"content-type", JSON.encode())],
    }
    await Endpoint(give, open_context, "", MAX_BODY)(scope, receive, send)
    start, *parts = sent
    whole = b"".join(part["body"] for part in parts)
    assert {"data": "x" * (2 * PART_BYTES)} == json.loads(whole)
    assert str(len(whole)).encode() == dict(start["headers"])[b"content-length"]
    assert [PART_BYTES, PART_BYTES, len(whole) - 2 * PART_BYTES] == [len(part["body"]) for part in parts]
    assert [True, True, False] == [part["more_body"] for part in parts]


async def test_post() -> None:
    """A POST of JSON is executed with its variables and its operation name."""
    response = await post(json.dumps({"query": "{ a }", "variables": {"b": 1}, "operationName": "C"}))

    assert (200, f"{JSON}; charset=utf-8") == (response.status_code, response.headers["content-type"])
    assert {"data": {"query": "{ a }", "variables": {"b": 1}, "name": "C"}} == response.json()


async def test_get() -> None:
    """A GET brings the same parameters in its query string."""
    async with make_client() as client:
        response = await client.get(
            "/graphql", params={"query": "{ a }", "variables": '{"b": 1}', "operationName": "C"}
        )

    assert {"data": {"query": "{ a }", "variables": {"b": 1}, "name": "C"}} == response.json()


async def test_answers_are_private_and_tell_their_age() -> None:
    """No cache on the way keeps an answer, and Age is that of the oldest observation in it."""
    response = await post('{"query": "{ a }"}')

    assert ("private, no-store", "7") == (response.headers["cache-control"], response.headers["age"])


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (RESPONSE_JSON, RESPONSE_JSON),
        (f"{RESPONSE_JSON}; charset=utf-8, {JSON};q=0.9", RESPONSE_JSON),
        (f"{RESPONSE_JSON};q=0.9, {JSON}", JSON),
        (f"{RESPONSE_JSON}, {JSON}", RESPONSE_JSON),
        (f"{RESPONSE_JSON};q=0, */*", JSON),
        (f"{JSON};q=0, */*", RESPONSE_JSON),
        (f"{JSON} ; Q=0.001, text/html", JSON),
        (f"{JSON};q=none", JSON),
        ("*/*;q=0, application/*", JSON),
    ],
)
def test_media_type_of_the_answer(accept: str | None, expected: str) -> None:
    """The newer media type is for clients that name it."""
    assert expected == pick_response_type(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "text/css",
        f"{JSON};q=0",
        f"{JSON};q=0.000, {RESPONSE_JSON};q=0",
        "*/*;q=0",
        f"application/*;q=0, */*, {RESPONSE_JSON}; q=0",
    ],
)
def test_media_type_nobody_has(accept: str) -> None:
    """A client that accepts neither, which a weight of 0 says too, is told so with 406."""
    with pytest.raises(RequestError) as caught:
        pick_response_type(accept)
    assert 406 == caught.value.status


async def test_refused_document() -> None:
    """What was not executed is 400 in the newer media type and 200 in the older, which knows no other way."""
    newer = await post('{"query": "refuse"}', accept=RESPONSE_JSON)
    older = await post('{"query": "refuse"}', accept=JSON)

    assert (400, 200) == (newer.status_code, older.status_code)
    assert newer.json() == older.json()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'"query"', 400),
        (b"{}", 400),
        (b'{"query": ""}', 400),
        (b'{"query": 1}', 400),
        (b'{"query": "{a}", "variables": []}', 400),
        (b'{"query": "{a}", "operationName": 1}', 400),
        (b'{"query": "{a}", "extensions": 1}', 400),
        (b'{"query": "\xff"}', 400),
        (b"[" * 1_500, 400),
        (b'{"query": "' + b" " * MAX_BODY + b'"}', 413),
    ],
)
async def test_bad_body(content: bytes, status: int) -> None:
    """Each bad body gets a status and a message in the form of a GraphQL error."""
    response = await post(content)

    assert status == response.status_code
    assert "INVALID_REQUEST" == response.json()["errors"][0]["extensions"]["code"]


async def test_body_without_length_is_cut() -> None:
    """A body that does not tell its length is refused at the limit, and is not read for ever."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 50_000
            yield b" " * 50_000

    async with make_client() as client:
        response = await client.post("/graphql", content=endless(), headers={"content-type": JSON})

    assert 413 == response.status_code
    assert sent <= MAX_BODY + DISCARDED_BYTES + 100_000


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": SkippingLoop})])
async def test_body_that_drips() -> None:
    """A body must have arrived in time, however often a part of it comes."""
    sent: list[Any] = []

    async def drip() -> dict[str, Any]:
        await asyncio.sleep(1)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", JSON.encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    await make_endpoint()(scope, drip, send)

    assert 408 == sent[0]["status"]
    assert b"INVALID_REQUEST" in sent[1]["body"]
    assert BODY_SECONDS == asyncio.get_running_loop().time()


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, {"Authorization": "Bearer none"}])
async def test_refusal_reaches_a_client_that_writes_first(headers: dict[str, str]) -> None:
    """One that writes all of a body before it reads is told why it was refused, not just cut off."""
    application = BearerToken(make_endpoint(), expect_token("secret"), ())
    body = b" " * (DISCARDED_BYTES // 2)
    given = {"Content-Type": JSON, "Authorization": "Bearer secret", **headers}

    def send(port: int) -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, given)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=30)
        with caught.value as answer:
            return answer.code, json.load(answer)["errors"][0]["extensions"]["code"]

    async with serving(application) as port:
        status, code = await asyncio.to_thread(send, port)

    told = {"Authorization": (401, "UNAUTHENTICATED"), "Content-Type": (415, "INVALID_REQUEST")}
    assert told.get(next(iter(headers), ""), (413, "INVALID_REQUEST")) == (status, code)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "", f"{JSON}; charset=latin-1"]
)
async def test_body_of_another_type(content_type: str) -> None:
    """Only JSON is read: a form can be sent across origins without asking, JSON cannot."""
    assert 415 == (await post('{"query": "{ a }"}', content_type=content_type)).status_code


async def test_body_that_is_compressed() -> None:
    """It is told so, and what will do (RFC 9110, 15.5.16), and is not called wrong JSON."""
    body = json.dumps({"query": "{ a }"})
    refused = await post(gzip.compress(body.encode()), content_encoding="gzip")

    assert (415, "identity") == (refused.status_code, refused.headers["accept-encoding"])
    assert "compressed" in refused.json()["errors"][0]["message"]
    assert 200 == (await post(body, content_encoding="identity")).status_code


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "PATCH"])
async def test_other_methods(method: str) -> None:
    """405 names the methods there are."""
    async with make_client() as client:
        response = await client.request(method, "/graphql")

    assert (405, "GET, POST") == (response.status_code, response.headers["allow"])


async def test_bad_variables_of_a_get() -> None:
    """Variables of a GET are JSON."""
    async with make_client() as client:
        assert 400 == (await client.get("/graphql", params={"query": "{a}", "variables": "{"})).status_code


async def test_page_for_a_browser() -> None:
    """A browser that opens the address gets the page; one that sends a query gets its answer."""
    html = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with make_client() as client:
        page = await client.get("/graphql", headers=html)
        answer = await client.get("/graphql", headers=html, params={"query": "{ a }"})

    assert "<html>page</html>" == page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert JSON in answer.headers["content-type"]


@pytest.mark.parametrize(
    ("path", "authorization", "status"),
    [
        ("/graphql?query={a}", "Bearer t0ken", 200),
        ("/graphql?query={a}", "bearer t0ken", 200),
        ("/graphql?query={a}", "Bearer t0kem", 401),
        ("/graphql?query={a}", "Basic t0ken", 401),
        ("/graphql?query={a}", "Bearer \xe9", 401),
        ("/graphql?query={a}", "", 401),
        ("/healthz", "", 200),
    ],
)
async def test_bearer_token(path: str, authorization: str, status: int) -> None:
    """With a token set, only its bearer gets an answer; health can be asked by anybody."""
    guarded = BearerToken(Endpoint(echo, open_context, "", MAX_BODY), expect_token("t0ken"), ["/healthz"])
    headers = {"authorization": authorization.encode("latin-1"), "accept": JSON.encode()}
    async with make_client(guarded) as client:
        response = await client.get(
            path, headers=headers, params=None if "query" in path else {"query": "{a}"}
        )

    assert status == response.status_code

"""What `ocigraph query --url` makes of a server: an answer or an error of ours; and where its token goes."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from graph import elsewhere
from graph.elsewhere import ask_server
from graph.errors import GraphError, InputError, ServerError, ServerUnreachableError

ASKED = {"query": "{ __typename }"}
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


def read_request(connection: socket.socket) -> bytes:
    """All of it: a connection that is closed before is one that broke."""
    request = b""
    end = json.dumps(ASKED).encode()
    while not request.endswith(end) and (part := connection.recv(65536)):
        request += part
    return request


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers each request so and hangs up; its address, and what it was sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    heard.append(read_request(connection))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/graphql", heard
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"<html>",
        OK + b"[" * 100_000,
        OK + b"[]",
        OK + b"{}",
        OK + b'{"status":"ok"}',
        OK + b'{"errors":"many"}',
        OK + b'{"errors":[1]}',
        OK + b'{"data":{},"errors":{"message":"one"}}',
    ],
)
def test_what_is_no_answer(answer: bytes) -> None:
    """Whatever comes back instead of an answer is one error, and no traceback."""
    with answering(answer) as (url, _), pytest.raises(ServerError):
        ask_server(url, None, ASKED)


@pytest.mark.parametrize("status", [b"200 OK", b"400 Bad Request", b"401 Unauthorized"])
def test_answer_under_any_status(status: bytes) -> None:
    """A refusal is an answer too; errors may lack what ours have."""
    body = b'{"errors":[{"message":"no","extensions":null}],"data":null}'
    with answering(b"HTTP/1.1 " + status + b"\r\n\r\n" + body) as (url, heard):
        answer = ask_server(url, "t0ken", ASKED)

    assert {"errors": [{"message": "no", "extensions": None}], "data": None} == answer
    assert b"Authorization: Bearer t0ken" in heard[0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_token_follows_no_redirect(status: int) -> None:
    """It is for the server that was named; where that one points to may be anybody."""
    with answering(OK + b'{"data":{}}') as (other, heard):
        redirect = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {other}\r\nContent-Length: 0\r\n\r\n"
        with answering(redirect.encode()) as (url, _), pytest.raises(ServerError, match="redirect"):
            ask_server(url, "t0ken", ASKED)

    assert [] == heard


def test_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read has a bound."""
    monkeypatch.setattr(elsewhere, "MAX_ANSWER_BYTES", 20)
    body = b'{"data":{"a":12345}}'
    with answering(OK + body) as (url, _):
        assert {"data": {"a": 12345}} == ask_server(url, None, ASKED)
    with answering(OK + body + b" ") as (url, _), pytest.raises(ServerError, match="more than 20 bytes"):
        ask_server(url, None, ASKED)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000/graphql",
        "ftp://127.0.0.1/graphql",
        "http://",
        "http://[::1",
        "http://a:b/",
        "http://a:99999/",
        "http://a b/",
        "http://a/\n",
        "http://a/\u00fc",
        "http://me:hunter2@a/graphql",
    ],
)
def test_what_is_no_address(url: str) -> None:
    """It is refused before anything is sent; a password in it is not repeated."""
    with pytest.raises(InputError) as caught:
        ask_server(url, None, ASKED)
    assert isinstance(caught.value, GraphError)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".example"])
def test_host_that_none_can_have(host: str) -> None:
    """A name with a label that is empty or too long is that of no server."""
    with pytest.raises(ServerUnreachableError):
        ask_server(f"http://{host}/graphql", None, {"query": "{ __typename }"})

"""A registry that means harm, over real loopback sockets, through the transport that production uses.

Each test ends with what it cost: requests, bytes, and what was believed (nothing).
"""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from builders import OCI_INDEX, OCI_MANIFEST, make_image
from fakes.hostile import (
    Behaviour,
    HostileServer,
    Wire,
    drip,
    flood,
    respond,
    stay_silent,
    write,
)
from fakes.scripted import Asked
from graph.errors import (
    ContentTooLargeError,
    DigestMismatchError,
    GraphError,
    RegistryDeniedError,
    RegistryFailedError,
    RegistryProtocolError,
    RegistryThrottledError,
    RegistryUnreachableError,
)
from graph.oci.descriptor import Descriptor
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.registry.client import RegistryClient
from graph.registry.listing import MAX_BARREN_PAGES
from graph.registry.wire import MAX_MANIFEST_BYTES

pytestmark = pytest.mark.anyio

MakeClient = Callable[..., RegistryClient]
A = RepositoryName("a")
V1 = TagName("v1")
MANIFEST = "/v2/a/manifests/v1"
TAGS = "/v2/a/tags/list"
IMAGE = make_image()
ZERO = Digest("sha256:" + "0" * 64)

GIB = 1024**3
# What the two kernels of a connection may hold beyond what we read, generously.
SOCKET_BUFFERS = 24 * 1024 * 1024


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


async def read_all(pages: AsyncIterator[tuple[str, ...]]) -> list[str]:
    return [name async for page in pages for name in page]


async def test_registry_is_down(make_client: MakeClient) -> None:
    """Where nobody listens the registry is unreachable."""
    async with HostileServer() as gone:
        url = gone.url
    async with make_client(url=url) as client:
        with pytest.raises(RegistryUnreachableError):
            await client.ping()


@pytest.mark.parametrize("behaviour", [stay_silent, drip(b"x" * 1000)])
async def test_slow(make_client: MakeClient, behaviour: Behaviour) -> None:
    """A registry that says nothing, or a byte at a time, has the deadline and no more."""
    async with (
        HostileServer({MANIFEST: behaviour}) as server,
        make_client(url=server.url, timeout=0.2) as client,
    ):
        with pytest.raises(RegistryUnreachableError, match="no complete answer within"):
            await client.get_manifest(A, V1)


async def test_slow_request_frees_its_slot(make_client: MakeClient) -> None:
    """Requests that time out do not keep others from being sent."""
    async with (
        HostileServer({MANIFEST: stay_silent, "/v2/": respond()}) as server,
        make_client(url=server.url, timeout=2, concurrency=1) as client,
    ):
        with pytest.raises(RegistryUnreachableError):
            await client.get_manifest(A, V1)
        await client.ping()


async def test_endless_manifest(make_client: MakeClient) -> None:
    """A manifest of a GiB is cut at its limit."""
    async with HostileServer({MANIFEST: flood(GIB)}) as server, make_client(url=server.url) as client:
        with pytest.raises(ContentTooLargeError):
            await client.get_manifest(A, V1)
    assert server.sent <= SOCKET_BUFFERS + MAX_MANIFEST_BYTES


async def test_manifest_said_to_be_large(make_client: MakeClient) -> None:
    """A manifest that says it is too large is refused unread: not a byte of it ever comes."""

    async def announce(asked: Asked, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % GIB)
        await stay_silent(asked, wire)

    async with HostileServer({MANIFEST: announce}) as server, make_client(url=server.url) as client:
        with pytest.raises(ContentTooLargeError):
            await client.get_manifest(A, V1)


@pytest.mark.parametrize("path", [TAGS, "/v2/_catalog", "/token"])
async def test_endless_document(make_client: MakeClient, path: str) -> None:
    """A list or token of a GiB is cut too: the registry does not keep to the protocol."""
    challenge = respond(401, **{"www-authenticate": 'Bearer realm="/token"'})
    script = {path: flood(GIB), MANIFEST: challenge}
    async with HostileServer(script) as server, make_client(url=server.url) as client:
        with pytest.raises(RegistryProtocolError):
            match path:
                case "/token":
                    await client.get_manifest(A, V1)
                case "/v2/_catalog":
                    await read_all(client.list_repositories())
                case _:
                    await read_all(client.list_tags(A))
    assert server.sent <= 2 * SOCKET_BUFFERS


async def test_endless_error(make_client: MakeClient) -> None:
    """The body of an error is not read beyond what its codes need."""

    async def fail_endlessly(asked: Asked, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 500 Oops\r\n\r\n")
        while True:
            await wire.send(bytes(64 * 1024))

    async with HostileServer({MANIFEST: fail_endlessly}) as server, make_client(url=server.url) as client:
        with pytest.raises(RegistryFailedError):
            await client.get_manifest(A, V1)
    assert server.sent <= SOCKET_BUFFERS


async def test_endless_links(make_client: MakeClient) -> None:
    """A catalog that repeats itself under ever new links is left after some pages."""

    async def page(asked: Asked, wire: Wire) -> None:
        link = f'</v2/_catalog?page={len(server.asked)}>; rel="next"'
        await respond(200, as_json({"repositories": ["a"]}), link=link)(asked, wire)

    async with HostileServer({"/v2/_catalog": page}) as server, make_client(url=server.url) as client:
        with pytest.raises(RegistryProtocolError, match="without a new name"):
            await read_all(client.list_repositories())
    assert MAX_BARREN_PAGES + 1 == len(server.asked)


@pytest.mark.parametrize("target", ["?n=1000", "/v2/_catalog?n=1000", "?", ""])
async def test_link_in_a_circle(make_client: MakeClient, target: str) -> None:
    """A Link back to a page that was read ends the list."""
    circle = respond(200, as_json({"repositories": ["a"]}), link=f'<{target}>; rel="next"')
    async with HostileServer({"/v2/_catalog": circle}) as server, make_client(url=server.url) as client:
        with pytest.raises(RegistryProtocolError):
            await read_all(client.list_repositories())
    assert 1 == len(server.asked)


@pytest.mark.parametrize(
    "target",
    [
        "http://{other}/v2/_catalog?last=a%2Fb",
        "//{other}/v2/_catalog?last=a%2Fb",
        "https://{here}/v2/_catalog?last=a%2Fb",
        "http://u:p@{other}/v2/_catalog?last=a%2Fb",
        "/v2/a/manifests/latest?last=a%2Fb",
        "/../../etc/passwd?last=a%2Fb",
        "http://169.254.169.254/latest/meta-data?last=a%2Fb",
    ],
)
async def test_link_elsewhere(make_client: MakeClient, target: str) -> None:
    """A Link to another host, scheme or path leads to the next page of our own list, its cursor untouched."""
    async with HostileServer() as other, HostileServer() as server, make_client(url=server.url) as client:
        link = target.format(other=other.netloc, here=server.netloc)
        server.script["/v2/_catalog"] = [
            respond(200, as_json({"repositories": ["a"]}), link=f'<{link}>; rel="next"'),
            respond(200, as_json({"repositories": ["b"]})),
        ]
        assert ["a", "b"] == await read_all(client.list_repositories())
    assert ["/v2/_catalog?n=1000", "/v2/_catalog?last=a%2Fb"] == server.targets
    assert [] == other.asked


async def test_lie_about_a_digest(make_client: MakeClient) -> None:
    """Other bytes than a digest names are not taken, whatever the headers claim."""
    headers = {"content-type": OCI_MANIFEST, "docker-content-digest": ZERO}
    lie = respond(200, IMAGE.data, **headers)
    async with (
        HostileServer({f"/v2/a/manifests/{ZERO}": lie, f"/v2/a/blobs/{ZERO}": lie}) as server,
        make_client(url=server.url) as client,
    ):
        with pytest.raises(DigestMismatchError):
            await client.get_manifest(A, ZERO)
        with pytest.raises(DigestMismatchError):
            await client.get_config(A, Descriptor("application/x", ZERO, 1, (), {}, None, None))


async def test_lie_about_a_tag(make_client: MakeClient) -> None:
    """What a tag points to is what its bytes hash to, not what Docker-Content-Digest says."""
    lie = respond(200, IMAGE.data, **{"content-type": OCI_MANIFEST, "docker-content-digest": ZERO})
    async with HostileServer({MANIFEST: lie}) as server, make_client(url=server.url) as client:
        assert IMAGE.digest == (await client.get_manifest(A, V1)).digest


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>Please log in</body></html>",
        b"[" * 1_000_000,
        b'{"tags":' * 200_000,
        b'{"tags":["v1"],"tags":["v2"]}',
        b'{"tags":["v1"],"x":NaN}',
        b'{"tags":["v1"],"x":' + b"9" * 5000 + b"}",
        b'{"tags":["\\ud800"]}',
        b'\xef\xbb\xbf{"tags":[]}',
        b"\x00\xff",
        b"",
    ],
    ids=["html", "lists", "objects", "twice", "NaN", "integer", "surrogate", "BOM", "binary", "empty"],
)
async def test_documents_that_are_none(make_client: MakeClient, body: bytes) -> None:
    """A list that is HTML, too deep, ambiguous or no JSON is an error, and never an empty list."""
    async with HostileServer({TAGS: respond(200, body)}) as server, make_client(url=server.url) as client:
        with pytest.raises(RegistryProtocolError):
            await read_all(client.list_tags(A))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(bytes(50 * 1024 * 1024), 9)),
        ("deflate", zlib.compress(bytes(50 * 1024 * 1024), 9)),
        ("br", b"x"),
        ("gzip, identity", b"x"),
    ],
)
@pytest.mark.parametrize("path", [MANIFEST, TAGS])
async def test_compressed_body(make_client: MakeClient, encoding: str, body: bytes, path: str) -> None:
    """A body that is compressed although asked not to be is refused, not unpacked."""
    bomb = respond(200, body, **{"content-encoding": encoding})
    async with HostileServer({path: bomb}) as server, make_client(url=server.url) as client:
        with pytest.raises(RegistryProtocolError, match="compressed"):
            if path == MANIFEST:
                await client.get_manifest(A, V1)
            else:
                await read_all(client.list_tags(A))


@pytest.mark.parametrize(
    ("status", "expected"),
    [(403, RegistryDeniedError), (429, RegistryThrottledError), (500, RegistryFailedError)],
)
async def test_refusals(make_client: MakeClient, status: int, expected: type[GraphError]) -> None:
    """Denied, throttled and failed are told apart."""
    async with HostileServer({MANIFEST: respond(status)}) as server, make_client(url=server.url) as client:
        with pytest.raises(expected):
            await client.get_manifest(A, V1)


@pytest.mark.parametrize(
    "behaviour",
    [
        write(),
        write(b"HTTP/1.1 200 OK\r\n"),
        write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", IMAGE.data[:100]),
        write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\n", IMAGE.data[:100], b"\r\n"),
    ],
)
async def test_connection_is_dropped(make_client: MakeClient, behaviour: Behaviour) -> None:
    """Half an answer is none."""
    async with HostileServer({MANIFEST: behaviour}) as server, make_client(url=server.url) as client:
        with pytest.raises(RegistryUnreachableError):
            await client.get_manifest(A, V1)
    assert 1 == len(server.asked)


async def test_cookies(make_client: MakeClient) -> None:
    """No cookie is kept; the host has a name, since no jar keeps the cookies of an address."""
    cookie = respond(200, **{"set-cookie": "session=secret; Path=/"})
    async with (
        HostileServer({"/v2/": cookie}) as server,
        make_client(url=server.url.replace("127.0.0.1", "localhost")) as client,
    ):
        await client.ping()
        await client.ping()
    assert [False, False] == ["cookie" in asked.headers for asked in server.asked]


async def test_more_than_asked_for(make_client: MakeClient) -> None:
    """Bytes after an answer, meant for the next request, are not taken for its answer."""
    smuggled = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

    async def poison(asked: Asked, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" + smuggled)
        wire.is_kept = True

    async with (
        HostileServer({"/v2/": poison, MANIFEST: respond(200, IMAGE.data)}) as server,
        make_client(url=server.url) as client,
    ):
        await client.ping()
        assert IMAGE.digest == (await client.get_manifest(A, V1)).digest
    assert 2 == server.connections


async def test_hostile_referrers(make_client: MakeClient) -> None:
    """Descriptors whose digests are paths never become requests."""
    hostile = {"mediaType": "x", "digest": "../../../token", "size": 1}
    body = as_json({"schemaVersion": 2, "manifests": [hostile]})
    script = {f"/v2/a/referrers/{ZERO}": respond(200, body, **{"content-type": OCI_INDEX})}
    async with HostileServer(script) as server, make_client(url=server.url) as client:
        with pytest.raises(RegistryProtocolError):
            await client.list_referrers(A, ZERO)
    assert 1 == len(server.asked)


async def test_others_go_on(make_client: MakeClient) -> None:
    """While one request hangs, those beside it are answered."""
    is_asked, release = asyncio.Event(), asyncio.Event()

    async def hang(asked: Asked, wire: Wire) -> None:
        is_asked.set()
        await release.wait()
        await respond(200, IMAGE.data)(asked, wire)

    script = {MANIFEST: hang, "/v2/a/manifests/v2": respond(200, IMAGE.data)}
    async with HostileServer(script) as server, make_client(url=server.url, concurrency=2) as client:
        slow = asyncio.create_task(client.get_manifest(A, V1))
        await is_asked.wait()
        for _ in range(20):
            await client.get_manifest(A, TagName("v2"))
        assert not slow.done()
        release.set()
        assert IMAGE.digest == (await slow).digest

"""The transport over real loopback sockets: what it sends is what was asked, and what fails is told apart."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from fakes.hostile import Behaviour, HostileServer, respond, write
from graph.registry.origin import AddressGuard, parse_origin
from graph.registry.tls import make_trust
from graph.registry.transport import RegistryTransport
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

SELF_SIGNED = Path(__file__).parent / "self_signed.pem"


class Names(AbstractResolver):
    """Names and their addresses, as the test says."""

    def __init__(self, **addresses: str) -> None:
        self.addresses = addresses
        self.is_closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        address = self.addresses[host]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
        ]

    async def close(self) -> None:
        self.is_closed = True


@pytest.fixture
async def server() -> AsyncIterator[HostileServer]:
    async with HostileServer({"/": respond(200, b"hello")}) as server:
        yield server


def transport_to(url: str, **names: str) -> RegistryTransport:
    origin = parse_origin(url)
    trust = make_trust(RegistrySettings(url=str(origin)), origin)
    return RegistryTransport(AddressGuard(origin), trust, resolver=Names(**names))


async def get(transport: RegistryTransport, url: str, method: str = "GET", **headers: str) -> httpx.Response:
    response = await transport.handle_async_request(httpx.Request(method, url, headers=headers))
    async with aclosing(response):
        await response.aread()
    return response


@pytest.mark.parametrize(
    "target",
    [
        "/v2/_catalog?last=a%2Fb&n=1&orderby=",
        "/v2/a/manifests/sha256:abc",
        "/k%2Fx?X-Amz-Credential=AKIA%2F20260101%2Feu&sig=a%2Bb%3D%3D",
        "/?a=b;c&d=%7e+~",
    ],
)
async def test_target_is_sent_as_it_is(server: HostileServer, target: str) -> None:
    """No byte of a path or query is decoded or encoded on the way: cursors and signatures depend on it."""
    async with transport_to(server.url) as transport:
        await get(transport, server.url + target)
    assert [target] == server.targets


async def test_nothing_is_added(server: HostileServer) -> None:
    """The headers sent are those asked for, and Host."""
    async with transport_to(server.url) as transport:
        headers = {"Accept": "a/b", "Accept-Encoding": "identity", "User-Agent": "me"}
        await get(transport, server.url + "/", **headers)
    assert {
        "host": server.netloc,
        "accept": "a/b",
        "accept-encoding": "identity",
        "user-agent": "me",
    } == server.asked[0].headers


async def test_no_cookies(server: HostileServer) -> None:
    """A cookie that is set is not sent back; by name, since no jar keeps the cookies of an address."""
    server.script["/"] = respond(200, **{"set-cookie": "session=1; Path=/"})
    url = f"http://registry.corp:{server.netloc.rpartition(':')[2]}/"
    async with transport_to(url, **{"registry.corp": "127.0.0.1"}) as transport:
        await get(transport, url)
        await get(transport, url)
    assert ["cookie" in asked.headers for asked in server.asked] == [False, False]


async def test_environment_is_ignored(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither a proxy nor a .netrc of the environment is used."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login alice password wonderland")
    monkeypatch.setenv("NETRC", str(netrc))
    async with transport_to(server.url) as transport:
        assert 200 == (await get(transport, server.url + "/")).status_code
    assert "authorization" not in server.asked[0].headers


async def test_connection_is_kept(server: HostileServer) -> None:
    """A connection whose answer was read to the end serves the next request."""
    async with transport_to(server.url) as transport:
        for method in ("GET", "HEAD", "GET"):
            await get(transport, server.url + "/", method)
    assert (3, 1) == (len(server.asked), server.connections)


async def test_dropped_request_is_not_sent_twice(server: HostileServer) -> None:
    """A kept connection that the server drops fails one request, which whoever retries will count."""
    server.script["/dropped"] = [write(), respond(200)]
    async with transport_to(server.url) as transport:
        await get(transport, server.url + "/")
        with pytest.raises(httpx.ReadError):
            await get(transport, server.url + "/dropped")
    assert ["/", "/dropped"] == server.targets


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (write(), httpx.ReadError),
        (write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), httpx.ReadError),
        (write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), httpx.RemoteProtocolError),
        (write(b"SSH-2.0-OpenSSH_9.2\r\n"), httpx.RemoteProtocolError),
        (write(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n"), httpx.RemoteProtocolError),
    ],
)
async def test_broken_answers(
    server: HostileServer, behaviour: Behaviour, expected: type[httpx.TransportError]
) -> None:
    """Every way to break an answer is an httpx error of its own kind, without an aiohttp error behind it."""
    server.script["/broken"] = behaviour
    async with transport_to(server.url) as transport:
        with pytest.raises(httpx.TransportError) as caught:
            await get(transport, server.url + "/broken")
    assert (expected, None, None) == (caught.type, caught.value.__cause__, caught.value.__context__)


async def test_refused_connection() -> None:
    """A port on which nobody listens is a connection that failed, not one that took too long."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        async with transport_to(url) as transport:
            with pytest.raises(httpx.ConnectError, match="cannot be connected to"):
                await get(transport, url)


async def test_unknown_host() -> None:
    """A name without an address is a connection that failed."""
    async with transport_to("http://nowhere.example") as transport:
        with pytest.raises(httpx.ConnectError, match="does not resolve"):
            await get(transport, "http://nowhere.example/")


async def test_no_tls() -> None:
    """A server that does not speak TLS is told apart from one that is down."""

    def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    plain = await asyncio.start_server(shout, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}/"
    async with plain, transport_to(url) as transport:
        with pytest.raises(httpx.ConnectError, match="failed the TLS handshake"):
            await get(transport, url)


async def test_certificates_are_verified() -> None:
    """A certificate that nobody vouches for is refused, unless the authority was given."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(SELF_SIGNED)
    async with HostileServer({"/": respond(200)}, tls=serving) as server:
        async with transport_to(server.url) as transport:
            with pytest.raises(httpx.ConnectError, match="certificate that is not trusted"):
                await get(transport, server.url + "/")
        origin = parse_origin(server.url)
        trust = make_trust(RegistrySettings(url=server.url, ca_file=SELF_SIGNED), origin)
        async with RegistryTransport(AddressGuard(origin), trust) as transport:
            assert 200 == (await get(transport, server.url + "/")).status_code


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0"])
async def test_rebinding(server: HostileServer, address: str) -> None:
    """A name that leads into our network is not connected to, however public it looked."""
    url = "https://registry.example"
    async with transport_to(url, **{"storage.example": address}) as transport:
        with pytest.raises(httpx.UnsupportedProtocol, match="only an operator may name"):
            await get(transport, f"http://storage.example:{server.netloc.rpartition(':')[2]}/")
    assert [] == server.asked


async def test_private_registry(server: HostileServer) -> None:
    """A registry in our own network may send us to storage in it."""
    port = server.netloc.rpartition(":")[2]
    names = {"registry.corp": "127.0.0.1", "storage.corp": "127.0.0.1"}
    async with transport_to(f"http://registry.corp:{port}", **names) as transport:
        await get(transport, f"http://registry.corp:{port}/")
        await get(transport, f"http://storage.corp:{port}/")
    assert 2 == len(server.asked)


@pytest.mark.parametrize("url", ["http://2130706433/", "http://" + "a" * 64 + ".example/", "http://0x7f.1/"])
async def test_odd_hosts(url: str) -> None:
    """Addresses in disguise and names that cannot be are not connected to."""
    async with transport_to("https://registry.example") as transport:
        with pytest.raises(httpx.TransportError):
            await get(transport, url)


async def test_closed_with_what_looks_names_up(server: HostileServer) -> None:
    """Closing a transport ends the thread that looks names up, which aiohttp leaves to whoever made it."""
    origin = parse_origin(server.url)
    names = Names(registry="127.0.0.1")
    trust = make_trust(RegistrySettings(url=str(origin)), origin)
    transport = RegistryTransport(AddressGuard(origin), trust, resolver=names)
    await get(transport, server.url)
    assert not names.is_closed
    await transport.aclose()
    assert names.is_closed

"""The one place that touches the network: httpx's interface over aiohttp's connections.

`httpx_aiohttp.AiohttpTransport` costs a quarter of the processor time of httpx's own transport, and has
habits that are wrong for reading registries; each was seen, and each is undone here:

1.  It rewrites URLs: `last=a%2Fb` became `last=a/b`. Cursors and signatures are sent as they were received.
2.  aiohttp keeps a cookie jar of its own. No cookie is kept or sent.
3.  Refused connections, unknown hosts, TLS failures and dropped connections all arrived as
    `ConnectTimeout`, and some errors of aiohttp arrived raw. `_TRANSLATIONS` tells them apart by their
    cause.
4.  A dropped GET was sent again without a word. Nothing is sent twice here: who retries, counts.
5.  Its timeouts are per chunk, so that a byte a minute never times out. The exchange puts a deadline around
    the whole request and bounds concurrency; the transport has no limits of its own to get in the way.

Rules of this file: what is raised is an `httpx.TransportError` whose text continues "the registry …". The
aiohttp error is deliberately not chained to it: its text holds the URL with its signatures, and its
`request_info` holds the Authorization header.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from functools import partial

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_middlewares import ClientHandlerType
from httpx_aiohttp import AiohttpTransport
from yarl import URL

from graph.errors import (
    RegistryError,
    RegistryProtocolError,
    RegistryUnknownError,
    RegistryUnreachableError,
    RegistryUntrustedError,
)
from graph.registry.layouts.transport import (
    MalformedLayoutError,
    MissingFileError,
    UnreadableLayoutError,
)
from graph.registry.origin import AddressGuard, Origin, parse_origin
from graph.registry.threads import OwnThread
from graph.registry.tls import Trust, make_trust
from graph.settings import RegistrySettings

# Seconds for one attempt to connect, below the deadline of the whole request, so that a host with several
# addresses of which the first is dead is still reached.
CONNECT_TIMEOUT = 10.0
# Seconds an idle connection is kept: fewer than the 60 after which load balancers drop it unannounced.
KEEPALIVE_TIMEOUT = 30.0
# Bytes of the status line and of one header: a Link or Location holds signed URLs of up to 8 KiB.
MAX_HEADER_BYTES = 16 * 1024

_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


class ForbiddenAddressError(OSError):
    """A host's name leads to an address that may not be reached."""


class DroppedConnectionError(aiohttp.ClientError):
    """The registry closed the connection before it answered; see habit 4."""


class RefusedHandshakeError(aiohttp.ClientError):
    """The registry found fault with our side of the TLS handshake, which TLS 1.3 tells after its end."""


class UntrustedError(httpx.ConnectError):
    """The other side's certificate is not trusted."""


# The first row that fits counts, so subclasses stand before their bases.
_TRANSLATIONS: tuple[tuple[type[BaseException], type[httpx.TransportError], str], ...] = (
    (ForbiddenAddressError, httpx.UnsupportedProtocol, "leads to an address that only an operator may name"),
    (
        aiohttp.ClientConnectorCertificateError,
        UntrustedError,
        "has a TLS certificate that is not trusted",
    ),
    (
        RefusedHandshakeError,
        httpx.ConnectError,
        "refused the TLS handshake, perhaps for want of a client_certificate that it trusts",
    ),
    (aiohttp.ClientSSLError, httpx.ConnectError, "failed the TLS handshake"),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError, "cannot be reached by the proxy, which refuses"),
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError, "is behind a proxy that cannot be connected to"),
    (aiohttp.ClientConnectorDNSError, httpx.ConnectError, "has a name that does not resolve"),
    (aiohttp.ClientConnectorError, httpx.ConnectError, "cannot be connected to"),
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout, "did not accept a connection in time"),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout, "did not answer in time"),
    (TimeoutError, httpx.ReadTimeout, "did not answer in time"),
    (DroppedConnectionError, httpx.ReadError, "dropped the connection before it answered"),
    (aiohttp.ClientPayloadError, httpx.ReadError, "broke off in the middle of its answer"),
    (aiohttp.ClientConnectionError, httpx.ReadError, "dropped the connection"),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol, "names a URL that cannot be asked"),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol, "names a URL that cannot be asked"),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError, "did not answer in HTTP"),
    (aiohttp.ClientError, httpx.NetworkError, "could not be asked"),
    (OSError, httpx.NetworkError, "could not be asked"),
    # A host that cannot be a domain name: too long a label, or characters that IDNA refuses.
    (UnicodeError, httpx.UnsupportedProtocol, "names a URL that cannot be asked"),
)
_FOREIGN = (aiohttp.ClientError, OSError, TimeoutError, UnicodeError)


def _translate(error: BaseException) -> httpx.TransportError:
    causes = (error, getattr(error, "os_error", None), error.__cause__)
    if any(isinstance(cause, ForbiddenAddressError) for cause in causes):
        error = ForbiddenAddressError()
    kind, reason = next(
        (kind, reason) for foreign, kind, reason in _TRANSLATIONS if isinstance(error, foreign)
    )
    return kind(reason)


def explain_failure(error: httpx.HTTPError | httpx.InvalidURL) -> tuple[type[RegistryError], str]:
    """What the failure of any httpx transport means, and a text that continues "the registry …"."""
    wrong = (httpx.ProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL)
    kind: type[RegistryError] = RegistryUnreachableError
    if isinstance(error, wrong):
        kind = RegistryProtocolError
    elif isinstance(error, UntrustedError):
        kind = RegistryUntrustedError
    elif isinstance(error, MissingFileError):
        kind = RegistryUnknownError
    # Only our own transports' texts are known to hold no URL.
    of_layouts = (MalformedLayoutError, MissingFileError, UnreadableLayoutError)
    is_ours = str(error) in _REASONS or isinstance(error, of_layouts)
    reason = str(error) if is_ours else f"could not be asked ({type(error).__name__})"
    return kind, reason


_REASONS = frozenset(reason for _, _, reason in _TRANSLATIONS)


def open_connections(
    settings: RegistrySettings, origin: Origin, given: httpx.AsyncBaseTransport | None
) -> Callable[[AddressGuard], httpx.AsyncBaseTransport]:
    """What makes connections as the settings of the registry at `origin` say; `given` takes their place.

    Raises SettingsError when a file that the settings name holds no certificate or no key.
    """
    if given is not None:
        return lambda guard: given
    trust = make_trust(settings, origin)
    return lambda guard: RegistryTransport(guard, trust, proxy=settings.proxy)


class RegistryTransport(AiohttpTransport):
    """Connections to one registry, its token server and the storage it redirects to."""

    def __init__(
        self,
        guard: AddressGuard,
        trust: Trust,
        *,
        resolver: AbstractResolver | None = None,
        proxy: str | None = None,
    ) -> None:
        """`trust`: how each origin is spoken to; `resolver`: another way to look up names.

        Through a `proxy` it is the proxy that looks names up, so that the guard sees the texts of hosts only.
        """
        super().__init__(verify=trust.others, trust_env=False)
        self._guard = guard
        self._trust = trust
        self._resolver = resolver or _Resolver()
        self._proxy = URL(proxy) if proxy is not None else None

    def get_client(self) -> aiohttp.ClientSession:
        """The session, made when the first request runs, since it belongs to that event loop."""
        connector = aiohttp.TCPConnector(
            limit=0,  # the exchange bounds concurrency
            ssl=self.ssl_context,
            keepalive_timeout=KEEPALIVE_TIMEOUT,
            resolver=_GuardedResolver(self._guard, self._resolver),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            middlewares=(_send_once,),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )

    async def aclose(self) -> None:
        """Close the connections, and what looks names up: aiohttp closes only what it made itself."""
        await super().aclose()
        await self._resolver.close()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request once; the body of the response is read by the caller, as it arrives."""
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        url = str(request.url)
        failure: httpx.TransportError | None = None
        try:
            response = await self.client.request(
                request.method,
                URL(url, encoded=True),
                headers=request.headers.multi_items(),
                data=request.content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT),
                proxy=self._proxy,
                # Connections are kept apart by it, so that none made in one way serves in another.
                ssl=self._trust.context_for(parse_origin(url)),
            )
        except _FOREIGN as error:
            failure = _translate(error)
        # Raised here and not in the handler, which would hang the aiohttp error on to it as its context.
        if failure is not None:
            raise failure
        return httpx.Response(response.status, headers=list(response.raw_headers), stream=_Body(response))


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            failure: httpx.TransportError | None = None
            try:
                chunk = await self._response.content.readany()
            except _FOREIGN as error:
                failure = _translate(error)
            if failure is not None:
                raise failure
            if not chunk:
                return
            yield chunk

    async def aclose(self) -> None:
        # A body read to its end has given its connection back already; one that was not closes it.
        self._response.close()


async def _send_once(request: aiohttp.ClientRequest, handler: ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending an idempotent request again when a kept connection was dropped.

    It retries on these two errors only, so they are made into another one; the connector's errors it leaves
    alone.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLError) and "ALERT" in (cause.reason or ""):
            raise RefusedHandshakeError from error
        raise DroppedConnectionError from error


class _Resolver(AbstractResolver):
    """Looks names up as the system does, in a thread of its own."""

    def __init__(self) -> None:
        self._thread = OwnThread("ocigraph-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return await self._thread.run(partial(_look_up, host, port, family))

    async def close(self) -> None:
        self._thread.close()


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    return [
        ResolveResult(
            hostname=host,
            host=socket.getnameinfo(address, _NUMERIC)[0],  # with the zone of an IPv6 address
            port=port,
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, address in socket.getaddrinfo(
            host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    ]


class _GuardedResolver(AbstractResolver):
    """Looks names up and refuses addresses that the guard refuses.

    The connection is made to the very addresses that passed, so a name cannot change its mind in between (DNS
    rebinding).
    """

    def __init__(self, guard: AddressGuard, resolver: AbstractResolver) -> None:
        self._guard = guard
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results = await self._resolver.resolve(host, port, family)
        if not self._guard.allows_addresses(host, [result["host"] for result in results]):
            raise ForbiddenAddressError
        return results

    async def close(self) -> None:
        await self._resolver.close()

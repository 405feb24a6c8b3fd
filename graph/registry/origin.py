"""Where a request may go: origins, the kinds of addresses behind them, and what of a URL may be shown.

Rules of this file: no I/O. Every URL that a registry names (a redirect, a token realm, a Link) comes
through here before anything is sent. What is refused is refused by a ValueError whose text continues "the
registry …".
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, quote, urljoin, urlsplit, urlunsplit

DEFAULT_PORTS = {"http": 80, "https": 443}

# Longest URL that is followed, in characters. Signed storage URLs have 1–3 KiB; most servers stop at 8 KiB.
MAX_URL_LENGTH = 8192

# Query keys whose values may be shown; all others may be credentials (`token`, `X-Amz-Signature`, SAS
# `sig`, …). An allow-list as in go-containerregistry's internal/redact: no list of secrets is complete.
_SHOWN_KEYS = frozenset({"n", "last", "digest", "artifactType", "scope", "service"})

# RFC 3986 reserved and unreserved characters and "%": what may stand in a URL. The rest is encoded.
_URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~-._"


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: credentials never cross from one origin to another."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """Host and port as a URL writes them: brackets for IPv6, no default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


def parse_origin(url: str) -> Origin:
    """The origin of an absolute http or https URL without user information; ValueError for any other text."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("names something that is not a URL") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("names a URL that is neither http nor https")
    # httpx turns `https://user:password@host` into an Authorization header, so it is refused rather than cut.
    if "@" in parts.netloc:
        raise ValueError("names a URL that holds a user or password")
    if port is None:
        port = DEFAULT_PORTS[parts.scheme]
    return Origin(parts.scheme, parts.hostname.lower(), port)


def host_of(netloc: str) -> str:
    """The host of a `host[:port]` from the settings, in lower case and without brackets."""
    return urlsplit(f"//{netloc}").hostname or ""


def resolve_url(current: str, reference: str) -> str:
    """The absolute URL that a reference in an answer to `current` means, its own percent-encoding kept."""
    if len(reference) > MAX_URL_LENGTH:
        raise ValueError(f"names a URL of more than {MAX_URL_LENGTH} characters")
    try:
        url = urljoin(current, quote(reference, safe=_URL_CHARACTERS))
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("names something that is not a URL") from None
    return urlunsplit(parts._replace(fragment=""))


def redact_url(url: str) -> str:
    """The URL without user information, fragment, and the value of any query key not known to be safe."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return "(not a URL)"
    query = "&".join(
        f"{quote(key)}={quote(value, safe=':/*,') if key in _SHOWN_KEYS else 'REDACTED'}"
        for key, value in pairs
    )
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


class AddressKind(StrEnum):
    """What an IP address can reach."""

    GLOBAL = "global"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    """Cloud metadata services live here."""
    SPECIAL = "special"
    """Unspecified, multicast, reserved: never the address of a server."""


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def classify_address(text: str) -> AddressKind | None:
    """The kind of an IP address, or None when the text is a host name."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        # An IPv4 address in any of these clothes reaches the IPv4 host.
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        address = inner or address
    if address.is_loopback:
        return AddressKind.LOOPBACK
    if address.is_link_local:
        return AddressKind.LINK_LOCAL
    if address.is_unspecified or address.is_multicast or address.is_reserved:
        return AddressKind.SPECIAL
    return AddressKind.GLOBAL if address.is_global else AddressKind.PRIVATE


def named_hosts(token_hosts: Iterable[str], proxy: str | None) -> list[str]:
    """The hosts beside a registry's own that the operator named, whose addresses may be anywhere."""
    return [*map(host_of, token_hosts), *([] if proxy is None else [parse_origin(proxy).host])]


class AddressGuard:
    """Which addresses the requests of one registry may reach.

    The registry itself, and hosts that the operator named, may be anywhere. What only the registry names (a
    redirect) must be on the open internet, or among addresses of the same kind as the registry's own: a
    registry on 10.0.0.5 may send us to the object store on 10.0.0.9, but not to a cloud's metadata service,
    and one on the open internet not into our network.
    """

    def __init__(self, origin: Origin, trusted_hosts: Iterable[str] = ()) -> None:
        self._host = origin.host
        self._trusted = frozenset(trusted_hosts) | {origin.host}
        kind = AddressKind.LOOPBACK if origin.host == "localhost" else classify_address(origin.host)
        self._kinds = {AddressKind.GLOBAL} | ({kind} if kind else set())

    def allows_host(self, host: str) -> bool:
        """Whether a host may be asked, as far as its text tells; a name is judged when it is resolved."""
        kind = AddressKind.LOOPBACK if host == "localhost" else classify_address(host)
        return host in self._trusted or kind is None or kind in self._kinds

    def allows_addresses(self, host: str, addresses: Iterable[str]) -> bool:
        """Whether a host may be asked, now that it is resolved; remembers the registry's own kinds."""
        kinds = {classify_address(address) for address in addresses}
        if host == self._host:
            self._kinds |= {kind for kind in kinds if kind and kind is not AddressKind.SPECIAL}
        return host in self._trusted or kinds <= self._kinds


def resolve_redirect(current: str, location: str | None, origin: Origin, guard: AddressGuard) -> str:
    """The URL a redirect leads to, if it may be followed; ValueError when not.

    Never from https to http, never to a host whose address the guard refuses (protocols: distribution-spec
    main, "Redirects"; GHSA-vh4v-2xq2-g5cg). The caller drops credentials when the origin changes.
    """
    if not location:
        raise ValueError("redirects to nowhere")
    url = resolve_url(current, location)
    target = parse_origin(url)
    if target.scheme == "http" and "https" in (origin.scheme, parse_origin(current).scheme):
        raise ValueError("redirects from https to http")
    if not guard.allows_host(target.host):
        raise ValueError(f"redirects to {target.host}, an address that only an operator may name")
    return url

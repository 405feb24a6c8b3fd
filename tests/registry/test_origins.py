"""Where a request may go, and what of a URL may be shown."""

import pytest

from graph.registry.origin import (
    MAX_URL_LENGTH,
    AddressGuard,
    AddressKind,
    Origin,
    classify_address,
    host_of,
    named_hosts,
    parse_origin,
    redact_url,
    resolve_redirect,
    resolve_url,
)

HERE = "https://registry.example/v2/a/blobs/sha256:0"
ORIGIN = Origin("https", "registry.example", 443)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://Registry.Example/v2/", ORIGIN),
        ("https://registry.example:443", ORIGIN),
        ("http://127.0.0.1:5000/x?y", Origin("http", "127.0.0.1", 5000)),
        ("http://[::1]:5000", Origin("http", "::1", 5000)),
    ],
)
def test_origin(url: str, expected: Origin) -> None:
    """Two URLs have one origin if scheme, host and port are the same, default ports included."""
    assert expected == parse_origin(url)


@pytest.mark.parametrize(
    "url",
    ["ftp://a", "//a", "a", "", "https://", "https://u:p@a/", "https://@a/", "http://[::1", "http://a:99999"],
)
def test_no_origin(url: str) -> None:
    """What is not http or https, or holds a user, has no origin."""
    with pytest.raises(ValueError):
        parse_origin(url)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [(ORIGIN, "https://registry.example"), (Origin("http", "::1", 5000), "http://[::1]:5000")],
)
def test_origin_is_written(origin: Origin, expected: str) -> None:
    """An origin is written without its default port, and IPv6 in brackets."""
    assert expected == str(origin)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("?last=a%2Fb", "https://registry.example/v2/a/blobs/sha256:0?last=a%2Fb"),
        ("/x?a=%7E+b;c#frag", "https://registry.example/x?a=%7E+b;c"),
        ("//other/x", "https://other/x"),
        ("https://s3.example/k?sig=a%2Bb%3D", "https://s3.example/k?sig=a%2Bb%3D"),
        ("/a b\u00e9\r\nX: y", "https://registry.example/a%20b%C3%A9%0D%0AX:%20y"),
    ],
)
def test_resolve_url(reference: str, expected: str) -> None:
    """A reference keeps its own encoding; what no URL may hold is encoded."""
    assert expected == resolve_url(HERE, reference)


def test_long_url_is_refused() -> None:
    """A URL that no server would take is not followed."""
    with pytest.raises(ValueError):
        resolve_url(HERE, "/" + "a" * MAX_URL_LENGTH)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h/v2/_catalog?n=5&last=a%2Fb", "https://h/v2/_catalog?n=5&last=a/b"),
        ("https://u:secret@h/x", "https://h/x"),
        ("https://h/x?token=secret&n=1", "https://h/x?token=REDACTED&n=1"),
        (
            "https://h/x?X-Amz-Signature=secret&sig=secret",
            "https://h/x?X-Amz-Signature=REDACTED&sig=REDACTED",
        ),
        ("https://h/x?last=&secret#secret", "https://h/x?last=&secret=REDACTED"),
        (
            "https://h/t?scope=repository:a/b:pull&service=s",
            "https://h/t?scope=repository:a/b:pull&service=s",
        ),
        ("http://[::1", "(not a URL)"),
    ],
)
def test_redact_url(url: str, expected: str) -> None:
    """Only the values of keys that are known to be harmless are shown."""
    assert expected == redact_url(url)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8.8.8.8", AddressKind.GLOBAL),
        ("2606:4700::1", AddressKind.GLOBAL),
        ("127.0.0.1", AddressKind.LOOPBACK),
        ("127.8.8.8", AddressKind.LOOPBACK),
        ("::1", AddressKind.LOOPBACK),
        ("::ffff:127.0.0.1", AddressKind.LOOPBACK),
        ("64:ff9b::7f00:1", AddressKind.LOOPBACK),
        ("2002:7f00:1::", AddressKind.LOOPBACK),
        ("10.1.2.3", AddressKind.PRIVATE),
        ("172.16.0.1", AddressKind.PRIVATE),
        ("192.168.0.1", AddressKind.PRIVATE),
        ("100.64.0.1", AddressKind.PRIVATE),
        ("fd00::1", AddressKind.PRIVATE),
        ("::ffff:10.0.0.1", AddressKind.PRIVATE),
        ("169.254.169.254", AddressKind.LINK_LOCAL),
        ("fe80::1%eth0", AddressKind.LINK_LOCAL),
        ("64:ff9b::a9fe:a9fe", AddressKind.LINK_LOCAL),
        ("0.0.0.0", AddressKind.SPECIAL),
        ("::", AddressKind.SPECIAL),
        ("224.0.0.1", AddressKind.SPECIAL),
        ("255.255.255.255", AddressKind.SPECIAL),
        ("registry.example", None),
        ("2130706433", None),
    ],
)
def test_classify_address(text: str, expected: AddressKind | None) -> None:
    """An address is judged by what it reaches, whatever clothes an IPv4 address wears."""
    assert expected == classify_address(text)


@pytest.mark.parametrize(
    ("registry", "host", "expected"),
    [
        ("https://registry.example", "storage.example", True),
        ("https://registry.example", "8.8.8.8", True),
        ("https://registry.example", "10.0.0.1", False),
        ("https://registry.example", "127.0.0.1", False),
        ("https://registry.example", "localhost", False),
        ("https://registry.example", "169.254.169.254", False),
        ("http://10.0.0.5", "10.0.0.9", True),
        ("http://10.0.0.5", "127.0.0.1", False),
        ("http://10.0.0.5", "169.254.169.254", False),
        ("http://127.0.0.1:5000", "127.0.0.1", True),
        ("http://localhost:5000", "127.0.0.1", True),
        ("http://127.0.0.1:5000", "10.0.0.1", False),
        ("http://0.0.0.0:5000", "0.0.0.0", True),
    ],
)
def test_guard_by_text(registry: str, host: str, expected: bool) -> None:
    """A host that a registry names must be on the open internet or of the registry's own kind."""
    assert expected == AddressGuard(parse_origin(registry)).allows_host(host)


def test_guard_by_resolved_address() -> None:
    """A name is judged by every address it has, and the registry's own addresses say what its kind is."""
    guard = AddressGuard(ORIGIN, [host_of("auth.corp:8443")])

    assert not guard.allows_addresses("storage.example", ["8.8.8.8", "10.0.0.9"])
    assert guard.allows_addresses("auth.corp", ["10.0.0.1"])
    assert not guard.allows_addresses("storage.example", ["10.0.0.9"])
    assert guard.allows_addresses("registry.example", ["10.0.0.5"])
    assert guard.allows_addresses("storage.example", ["10.0.0.9"])
    assert not guard.allows_addresses("storage.example", ["169.254.169.254"])


@pytest.mark.parametrize(
    ("current", "location", "expected"),
    [
        (HERE, "https://storage.example/k?sig=1", "https://storage.example/k?sig=1"),
        (HERE, "/elsewhere", "https://registry.example/elsewhere"),
        ("http://127.0.0.1:5000/x", "https://storage.example/k", "https://storage.example/k"),
        ("http://127.0.0.1:5000/x", "http://127.0.0.1:9000/k", "http://127.0.0.1:9000/k"),
    ],
)
def test_redirect_is_followed(current: str, location: str, expected: str) -> None:
    """A redirect to another host is followed, and so is one within a registry of plain http."""
    origin = parse_origin(current)
    assert expected == resolve_redirect(current, location, origin, AddressGuard(origin))


@pytest.mark.parametrize(
    ("current", "location"),
    [
        (HERE, None),
        (HERE, ""),
        (HERE, "http://registry.example/x"),
        (HERE, "http://storage.example/x"),
        (HERE, "https://user:password@storage.example/x"),
        (HERE, "https://127.0.0.1/x"),
        (HERE, "https://169.254.169.254/latest/meta-data"),
        (HERE, "https://[::ffff:10.0.0.1]/x"),
        (HERE, "file:///etc/passwd"),
        (HERE, "https://[::1"),
        ("http://127.0.0.1:5000/x", "http://10.0.0.1/x"),
    ],
)
def test_redirect_is_refused(current: str, location: str | None) -> None:
    """No redirect leads to plain http, into our network, to a user, or out of HTTP."""
    origin = parse_origin(current)
    with pytest.raises(ValueError):
        resolve_redirect(current, location, origin, AddressGuard(origin))


def test_redirect_does_not_come_back_to_http() -> None:
    """Once a chain of redirects is on https it stays there, even for a registry of plain http."""
    origin = parse_origin("http://127.0.0.1:5000")
    with pytest.raises(ValueError):
        resolve_redirect(
            "https://storage.example/x", "http://storage.example/x", origin, AddressGuard(origin)
        )


@pytest.mark.parametrize(
    ("host", "expected"), [("auth.example", True), ("proxy.example", True), ("other.example", False)]
)
def test_named_hosts_may_be_anywhere(host: str, expected: bool) -> None:
    """The token servers and the proxy of the settings may be on addresses that nobody else may lead to."""
    guard = AddressGuard(ORIGIN, named_hosts(["auth.example:8443"], "http://proxy.example:3128"))
    assert expected is guard.allows_addresses(host, ["10.0.0.1"])

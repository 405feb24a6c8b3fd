"""Whom we believe to be the registry and how we show who we are, over real TLS on loopback; and proxies."""

import ssl
from pathlib import Path

import pytest

from builders import make_image
from fakes.hostile import HostileServer, respond
from graph.errors import RegistryUnreachableError, RegistryUntrustedError, SettingsError
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.settings import RegistrySettings, load_settings

pytestmark = pytest.mark.anyio

# A certificate of 127.0.0.1 with its key, and the authority for it.
CERTIFICATE = Path(__file__).parent / "self_signed.pem"
WEB = RepositoryName("team/web")
IMAGE = make_image()
ONCE = RetryPolicy(attempts=1)
THRICE = RetryPolicy(attempts=3, wait_initial=0, wait_max=0, wait_jitter=0)


def serve(wanted: ssl.VerifyMode = ssl.CERT_NONE) -> HostileServer:
    """A registry, and whether it asks for a client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    context.load_verify_locations(CERTIFICATE)
    context.verify_mode = wanted
    return HostileServer({"/v2/": respond(200, b"{}")}, tls=context)


def connect(server: HostileServer, **settings: object) -> RegistryClient:
    return RegistryClient(RegistrySettings(url=server.url, **settings), retries=ONCE)


async def test_unknown_authority() -> None:
    """A registry whose authority nobody named is not asked."""
    async with serve() as server, connect(server) as client:
        with pytest.raises(RegistryUnreachableError, match="certificate"):
            await client.ping()
        assert [] == server.asked


async def test_no_retry_brings_trust() -> None:
    """A certificate that is not trusted is not looked at twice for one request, and the error says so."""
    async with (
        serve() as server,
        RegistryClient(RegistrySettings(url=server.url), retries=THRICE) as client,
    ):
        with pytest.raises(RegistryUntrustedError, match="certificate that is not trusted"):
            await client.ping()
        assert 1 == client.ledger.total


async def test_no_answer_is_asked_for_again() -> None:
    """Where nobody listens, all attempts are made: what is not a matter of trust may pass."""
    async with serve() as server:
        settings = RegistrySettings(url=server.url, ca_file=CERTIFICATE)
    async with RegistryClient(settings, retries=THRICE) as client:
        with pytest.raises(RegistryUnreachableError):
            await client.ping()
        assert 3 == client.ledger.total


async def test_named_authority() -> None:
    """An authority that the settings name is believed for this registry."""
    async with serve() as server, connect(server, ca_file=CERTIFICATE) as client:
        await client.ping()


async def test_unseen() -> None:
    """Only where the settings say so by name is a certificate believed unseen."""
    async with serve() as server, connect(server, skip_tls_verification=True) as client:
        await client.ping()


async def test_client_certificate() -> None:
    """A registry that wants a certificate gets the one of the settings, and refuses who has none."""
    async with serve(ssl.CERT_REQUIRED) as server:
        async with connect(server, ca_file=CERTIFICATE, client_certificate=CERTIFICATE) as client:
            await client.ping()
        async with connect(server, ca_file=CERTIFICATE) as client:
            with pytest.raises(RegistryUnreachableError):
                await client.ping()
        assert 1 == len(server.asked)


WAYS = ["redirect", "token server", "api", "mirror"]


def lead(way: str, server: HostileServer, other: HostileServer) -> dict[str, object]:
    """Have who reads IMAGE at `server` be led to `other` too; return the settings that it takes."""
    path = f"/v2/team/web/manifests/{IMAGE.digest}"
    server.script[path] = respond(200, IMAGE.data)
    match way:
        case "redirect":
            server.script[path] = respond(307, location=f"{other.url}/x")
            other.script["/x"] = respond(200, IMAGE.data)
        case "token server":
            challenge = respond(401, www_authenticate=f'Bearer realm="{other.url}/token",service="s"')
            server.script[path] = [challenge, respond(200, IMAGE.data)]
            other.script["/token"] = respond(200, b'{"token": "x"}')
            return {"token_hosts": (other.netloc,)}
        case "api":
            other.script["/v2/namespaces/team/repositories/web/tags"] = respond(200, b'{"results": []}')
            return {"dialect": "docker-hub", "api_url": other.url}
        case "mirror":
            other.script[path] = respond(200, IMAGE.data)
            return {"mirrors": (other.url,)}
    return {}


async def read(way: str, server: HostileServer, **settings: object) -> None:
    """Read IMAGE at `server`, or its tag where the way leads to the vendor's API."""
    async with connect(server, **settings) as client:
        await client.ping()
        if way == "api":
            _ = [tags async for tags in client.list_tags(WEB)]
        else:
            await client.get_manifest(WEB, Digest(IMAGE.digest))


@pytest.mark.parametrize("way", WAYS)
async def test_a_certificate_is_for_the_registry(way: str) -> None:
    """Who else asks for the client's certificate gets none, though it is believed as `ca_file` says."""
    async with serve(ssl.CERT_REQUIRED) as server, serve(ssl.CERT_OPTIONAL) as other:
        settings = lead(way, server, other)
        await read(way, server, **settings, ca_file=CERTIFICATE, client_certificate=CERTIFICATE)
    assert None not in server.certificates
    assert (1, [None]) == (len(other.asked), other.certificates)


@pytest.mark.parametrize("way", WAYS)
async def test_only_the_registry_is_believed_unseen(way: str) -> None:
    """A certificate that is not trusted is trusted nowhere else, and the error says whose it is."""
    async with serve() as server, serve() as other:
        settings = lead(way, server, other) | {"skip_tls_verification": True}
        if way == "mirror":
            await read(way, server, **settings)  # the registry is asked instead
        else:
            with pytest.raises(RegistryUntrustedError, match="certificate that is not trusted") as refused:
                await read(way, server, **settings)
            assert (way == "redirect") == ("redirects to a server that" in str(refused.value))
            assert (way == "token server") == ("has a token server that" in str(refused.value))
            assert (way != "redirect") == (other.netloc in str(refused.value))
    assert [] == other.asked


@pytest.mark.parametrize("setting", ["ca_file", "client_certificate"])
async def test_files_that_hold_nothing(setting: str, tmp_path: Path) -> None:
    """A file without a certificate is the operator's mistake, told with the name of the setting."""
    file = tmp_path / "empty.pem"
    file.write_text("nothing")
    with pytest.raises(SettingsError, match=setting):
        RegistryClient(RegistrySettings(url="https://registry.example", **{setting: file}))


async def test_proxy() -> None:
    """With a proxy every request goes there, whole, and the registry's name is looked up by nobody here."""
    async with HostileServer({"http://registry.example/v2/": respond(200, b"{}")}) as proxy:
        settings = RegistrySettings(url="http://registry.example", proxy=proxy.url)
        async with RegistryClient(settings, retries=ONCE) as client:
            await client.ping()
        assert ["http://registry.example/v2/"] == proxy.targets


@pytest.mark.parametrize("way", WAYS)
async def test_proxy_to_others(way: str) -> None:
    """Whoever else is asked is asked by the proxy too."""
    # Nobody listens there: only the proxy knows these hosts.
    server, other = HostileServer({"/v2/": respond(200, b"{}")}), HostileServer()
    for each, name in ((server, "registry.example"), (other, "other.example")):
        each.netloc, each.url = name, f"http://{name}"
    settings = lead(way, server, other)
    hosts = (server, other)
    script = {f"{host.url}{path}": behaviour for host in hosts for path, behaviour in host.script.items()}
    async with HostileServer(script) as proxy:
        await read(way, server, **settings, proxy=proxy.url)
    assert ["other.example"] == [
        host for target in proxy.targets if (host := target.split("/")[2]) != "registry.example"
    ]


async def test_no_proxy_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the environment sends nothing elsewhere."""
    async with HostileServer({}) as proxy, HostileServer({"/v2/": respond(200, b"{}")}) as server:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        async with connect(server) as client:
            await client.ping()
        assert [] == proxy.asked


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({"ca_file": "/nowhere.pem"}, "ca_file"),
        ({"client_key": str(CERTIFICATE)}, "client_key"),
        ({"proxy": "socks5://proxy.example"}, "proxy"),
        ({"proxy": "http://user:s3cret@proxy.example"}, "proxy"),
    ],
)
async def test_settings_that_are_wrong(given: dict[str, str], setting: str) -> None:
    """What cannot work is told at the start, with the name of the setting and no secret."""
    with pytest.raises(SettingsError, match=setting) as refused:
        load_settings({"registries": [{"url": "https://registry.example", **given}]})

    assert "s3cret" not in str(refused.value)

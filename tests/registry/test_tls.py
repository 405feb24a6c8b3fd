"""Whom we believe to be the registry and how we show who we are, over real TLS on loopback; and proxies."""

import ssl
from pathlib import Path

import pytest

from fakes.hostile import HostileServer, respond
from graph.errors import RegistryUnreachableError, RegistryUntrustedError, SettingsError
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.settings import RegistrySettings, load_settings

pytestmark = pytest.mark.anyio

# A certificate of 127.0.0.1 with its key, and the authority for it.
CERTIFICATE = Path(__file__).parent / "self_signed.pem"
ONCE = RetryPolicy(attempts=1)
THRICE = RetryPolicy(attempts=3, wait_initial=0, wait_max=0, wait_jitter=0)


def serve(*, wants_certificate: bool = False) -> HostileServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(CERTIFICATE)
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
    async with serve(wants_certificate=True) as server:
        async with connect(server, ca_file=CERTIFICATE, client_certificate=CERTIFICATE) as client:
            await client.ping()
        async with connect(server, ca_file=CERTIFICATE) as client:
            with pytest.raises(RegistryUnreachableError):
                await client.ping()
        assert 1 == len(server.asked)


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

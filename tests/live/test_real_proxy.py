"""With `proxy` every request goes through it: to the registry, plain or at https, and to its token server."""

from pathlib import Path

import pytest

from graph.errors import RegistryUnreachableError
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.settings import RegistrySettings
from live.certificates import NAME, Authority
from live.forward_proxy import forward_proxy
from live.holdings import ALL, HELD, crawl_once, fill, known_in, write_settings
from live.rigs import docker_registry, free_port
from live.token_server import serve_tokens

pytestmark = [pytest.mark.live, pytest.mark.anyio]

USER = "reader"
PASSWORD = "a password of the tests"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the registries hold."""
    directory = tmp_path_factory.mktemp("proxy")
    fill(directory)
    return directory


def test_every_request_goes_through(directory: Path, tmp_path: Path) -> None:
    """A registry that the proxy alone can find was asked as often as the crawl says, and its token server."""
    with (
        serve_tokens(directory, {USER: PASSWORD}) as (tokens, section),
        docker_registry(directory, auth=section) as url,
        forward_proxy({NAME: url.removeprefix("http://"), tokens.host: tokens.host}) as proxy,
    ):
        login = {"username": USER, "password": PASSWORD, "token_hosts": [tokens.host]}
        settings = write_settings(
            tmp_path / "settings.toml", {"url": f"http://{NAME}", "proxy": proxy.url, **login}
        )
        report = crawl_once(settings, tmp_path / "store.db")
        assert (None, {}) == (report.failure, report.trouble_counts)
        assert ALL == known_in(tmp_path / "store.db")
        assert {NAME, tokens.host} == proxy.requests.keys()
        # One token for `/v2/`, one for the catalog and one for each repository.
        assert 2 + len(HELD) == len(tokens.granted) == proxy.requests[tokens.host]
        assert report.requests == proxy.requests.total()
        assert not proxy.tunnels


def test_tunnel(directory: Path, tmp_path: Path) -> None:
    """TLS goes through a tunnel, in which the registry is believed for its own certificate."""
    authority = Authority("the authority of the registry")
    ca_file, _ = authority.certified.write(directory, "authority")
    certificate, key = authority.issue("the registry").write(directory, "registry")
    section = {"tls": {"certificate": str(certificate), "key": str(key)}}
    with (
        docker_registry(directory, tls=authority.trust(), http=section) as url,
        forward_proxy({f"{NAME}:443": url.removeprefix("https://")}) as proxy,
    ):
        settings = write_settings(
            tmp_path / "settings.toml", {"url": f"https://{NAME}", "proxy": proxy.url, "ca_file": ca_file}
        )
        report = crawl_once(settings, tmp_path / "store.db")
        assert (None, {}) == (report.failure, report.trouble_counts)
        assert ALL == known_in(tmp_path / "store.db")
        assert {f"{NAME}:443"} == proxy.tunnels.keys()
        assert not proxy.requests


async def test_proxy_refuses() -> None:
    """What the proxy cannot reach is told as such."""
    with forward_proxy({}) as proxy:
        await refuse("registry.test cannot be reached by the proxy, which refuses", proxy.url)
        assert 1 == proxy.tunnels.total()


async def test_proxy_is_away() -> None:
    """A proxy that is not there is told as such, and nobody is asked without it."""
    address = f"http://127.0.0.1:{free_port()}"
    await refuse("registry.test is behind a proxy that cannot be connected to", address)


async def refuse(reason: str, proxy: str) -> None:
    """Hold that the registry cannot be asked through this proxy, for that reason."""
    settings = RegistrySettings(url=f"https://{NAME}", proxy=proxy)
    async with RegistryClient(settings, retries=RetryPolicy(attempts=1)) as client:
        with pytest.raises(RegistryUnreachableError, match=reason):
            await client.ping()

"""A real registry at https, of an authority of its own, is read by who knows that one, and by nobody else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graph.errors import RegistryUnreachableError
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.settings import RegistrySettings
from live.certificates import Authority
from live.holdings import ALL, crawl_once, fill, known_in, write_settings
from live.rigs import docker_registry

pytestmark = [pytest.mark.live, pytest.mark.anyio]

ONCE = RetryPolicy(attempts=1)
DISTRUSTED = "has a TLS certificate that is not trusted"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both registries hold."""
    directory = tmp_path_factory.mktemp("tls")
    fill(directory)
    return directory


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Whom to believe."""
    return Authority("the authority of the registry")


@pytest.fixture(scope="module")
def ca_file(authority: Authority, directory: Path) -> Path:
    """The authority's certificate."""
    return authority.certified.write(directory, "authority")[0]


@pytest.fixture(scope="module")
def url(authority: Authority, directory: Path) -> Iterator[str]:
    """A registry that shows a certificate and wants none."""
    certificate, key = authority.issue("the registry").write(directory, "registry")
    section = {"tls": {"certificate": str(certificate), "key": str(key)}}
    with docker_registry(directory, tls=authority.trust(), http=section) as url:
        yield url


@pytest.fixture(scope="module")
def clients() -> Authority:
    """Whom a registry believes that wants to know who asks."""
    return Authority("the authority of clients")


@pytest.fixture(scope="module")
def client(clients: Authority, directory: Path) -> tuple[Path, Path]:
    """A client's certificate, and its key."""
    return clients.issue("the client").write(directory, "client")


@pytest.fixture(scope="module")
def asking(
    authority: Authority, clients: Authority, client: tuple[Path, Path], directory: Path
) -> Iterator[str]:
    """A registry that wants a certificate (`clientcas`)."""
    certificate, key = authority.issue("the registry that asks").write(directory, "asking")
    bundle, _ = clients.certified.write(directory, "clients")
    trust = authority.trust()
    trust.load_cert_chain(*client)
    section = {"tls": {"certificate": str(certificate), "key": str(key), "clientcas": [str(bundle)]}}
    with docker_registry(directory, tls=trust, http=section) as url:
        yield url


def test_named_authority(url: str, ca_file: Path, tmp_path: Path) -> None:
    """With `ca_file` all is known."""
    store = tmp_path / "store.db"
    settings = write_settings(tmp_path / "settings.toml", {"url": url, "ca_file": ca_file})
    assert crawl_once(settings, store).failure is None
    assert ALL == known_in(store)


async def test_authority_nobody_named(url: str) -> None:
    """Without it the registry is not asked, and the error says why."""
    await refuse(DISTRUSTED, url=url)


async def test_another_authority(url: str, tmp_path: Path) -> None:
    """That another authority calls itself the same does not make it the one."""
    certificate, _ = Authority("the authority of the registry").certified.write(tmp_path, "another")
    await refuse(DISTRUSTED, url=url, ca_file=certificate)


async def test_another_host(url: str, ca_file: Path) -> None:
    """A certificate for another host is none for this one, whoever signed it."""
    await refuse(DISTRUSTED, url=url.replace("127.0.0.1", "localhost"), ca_file=ca_file)


def test_unseen(url: str, tmp_path: Path) -> None:
    """Any certificate is believed where `skip_tls_verification` says so."""
    store = tmp_path / "store.db"
    settings = write_settings(tmp_path / "settings.toml", {"url": url, "skip_tls_verification": True})
    assert crawl_once(settings, store).failure is None
    assert ALL == known_in(store)


async def test_client_certificate(asking: str, ca_file: Path) -> None:
    """A registry that wants a certificate is asked by nobody who has none, and the error says so."""
    await refuse(
        "refused the TLS handshake, perhaps for want of a client_certificate", url=asking, ca_file=ca_file
    )


def test_client_certificate_is_shown(
    asking: str, client: tuple[Path, Path], ca_file: Path, tmp_path: Path
) -> None:
    """Who has one knows all."""
    certificate, key = client
    store, settings = tmp_path / "store.db", tmp_path / "settings.toml"
    write_settings(
        settings, {"url": asking, "ca_file": ca_file, "client_certificate": certificate, "client_key": key}
    )
    assert crawl_once(settings, store).failure is None
    assert ALL == known_in(store)


async def refuse(reason: str, **registry: Any) -> None:
    """Hold that the registry cannot be asked with these settings, for that reason."""
    async with RegistryClient(RegistrySettings(**registry), retries=ONCE) as client:
        with pytest.raises(RegistryUnreachableError, match=reason):
            await client.ping()

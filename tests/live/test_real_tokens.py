"""A real registry that wants signed tokens is read, and no token is fetched more often than it has to be."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from graph.errors import RegistryDeniedError
from graph.oci.reference import parse_repository_name, parse_tag_name
from graph.registry.client import RegistryClient
from graph.settings import RegistrySettings
from live.holdings import ALL, HELD, crawl_once, fill, known_in, write_settings
from live.rigs import docker_registry
from live.token_server import TokenServer, serve_tokens

pytestmark = [pytest.mark.live, pytest.mark.anyio]

USER = "reader"
PASSWORD = "a password of the tests"
CATALOG_SCOPE = "registry:catalog:*"
REPOSITORY = parse_repository_name("team/api")
SCOPE = f"repository:{REPOSITORY}:pull"
TAG = parse_tag_name("1")
SEVERAL = 50


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, TokenServer]]:
    """The URL of a registry that wants tokens, and the server that has them."""
    directory = tmp_path_factory.mktemp("tokens")
    fill(directory)
    with (
        serve_tokens(directory, {USER: PASSWORD}) as (tokens, section),
        docker_registry(directory, auth=section) as url,
    ):
        yield url, tokens


@pytest.fixture
def tokens(rig: tuple[str, TokenServer]) -> TokenServer:
    """The token server, of which nothing was asked yet and nothing special is wanted."""
    _, tokens = rig
    tokens.granted.clear()
    tokens.refused.clear()
    tokens.closed, tokens.stale = frozenset(), 0
    return tokens


@pytest.fixture
def settings(rig: tuple[str, TokenServer], tmp_path: Path) -> Callable[..., Path]:
    """Writes settings of the registry: with the right login unless something else is said."""
    url, tokens = rig

    def write(**others: object) -> Path:
        login = {"username": USER, "password": PASSWORD, "token_hosts": [tokens.host]}
        return write_settings(tmp_path / "settings.toml", {"url": url, **login, **others})

    return write


@pytest.fixture
def connect(rig: tuple[str, TokenServer]) -> Callable[..., RegistryClient]:
    """Makes a client of the registry, with the right login."""
    url, tokens = rig

    def make(**arguments: Callable[[], datetime]) -> RegistryClient:
        login = RegistrySettings(url=url, username=USER, password=PASSWORD, token_hosts=(tokens.host,))
        return RegistryClient(login, **arguments)

    return make


def test_each_scope_is_asked_for_once(
    tokens: TokenServer, settings: Callable[..., Path], tmp_path: Path
) -> None:
    """A crawl knows all there is by one token for `/v2/`, one for the catalog and one for each repository."""
    report = crawl_once(settings(), tmp_path / "store.db")
    assert (None, {}) == (report.failure, report.trouble_counts)
    assert ALL == known_in(tmp_path / "store.db")
    scopes = ["", CATALOG_SCOPE, *(f"repository:{name}:pull" for name in HELD)]
    assert sorted(scopes) == sorted(tokens.granted)


async def test_token_is_shared(tokens: TokenServer, connect: Callable[..., RegistryClient]) -> None:
    """Many that need a token at the same time, before there is one, are given the same."""
    async with connect() as client:
        heads = await asyncio.gather(*(client.head_manifest(REPOSITORY, TAG) for _ in range(SEVERAL)))
    assert {HELD[REPOSITORY][TAG].digest} == {head.digest for head in heads}
    assert [SCOPE] == tokens.granted


async def test_token_is_fetched_again(tokens: TokenServer, connect: Callable[..., RegistryClient]) -> None:
    """Once when four fifths of its time are over, and not again as long as the new one is good."""
    start = datetime.now(UTC)
    time = [start]
    async with connect(clock=lambda: time[0]) as client:
        counts = []
        for part in (0.0, 0.5, 0.79, 0.81, 0.85, 1.1, 1.7, 3.0):
            time[0] = start + part * timedelta(seconds=tokens.lifetime)
            await asyncio.gather(*(client.head_manifest(REPOSITORY, TAG) for _ in range(4)))
            counts.append(len(tokens.granted))
    assert [1, 1, 1, 2, 2, 2, 3, 4] == counts


async def test_refused_token_is_replaced(tokens: TokenServer, connect: Callable[..., RegistryClient]) -> None:
    """Many that hold a token which the registry refuses get one new one together."""
    tokens.stale = 1
    async with connect() as client:
        with pytest.raises(RegistryDeniedError, match="refuses the credentials"):
            await client.head_manifest(REPOSITORY, TAG)
        await asyncio.gather(*(client.head_manifest(REPOSITORY, TAG) for _ in range(SEVERAL)))
    assert [SCOPE] * 2 == tokens.granted


def test_closed_repository(tokens: TokenServer, settings: Callable[..., Path], tmp_path: Path) -> None:
    """A repository that the token is not good for is told of, and all others are known."""
    tokens.closed = frozenset({"team/web"})
    report = crawl_once(settings(), tmp_path / "store.db")
    assert None is report.failure
    assert {"REGISTRY_DENIED": 1} == report.trouble_counts
    tags, _ = known_in(tmp_path / "store.db", unknown=1)
    assert {name: found for name, found in ALL[0].items() if name != "team/web"} == tags


def test_wrong_password(tokens: TokenServer, settings: Callable[..., Path], tmp_path: Path) -> None:
    """The token server's refusal is told, is not asked for twice, and nothing known is lost."""
    store = tmp_path / "store.db"
    crawl_once(settings(), store)
    tokens.granted.clear()
    failure = crawl_once(settings(password="a wrong one"), store).failure
    assert failure is not None
    assert "REGISTRY_DENIED" == failure.code
    assert " has a token server that answered 401 (GET " in failure.message
    assert ([], [USER]) == (tokens.granted, tokens.refused)
    assert ALL == known_in(store)


def test_token_server_nobody_named(
    tokens: TokenServer, settings: Callable[..., Path], tmp_path: Path
) -> None:
    """A token server on another host gets no password unless the settings name it, and the error says so."""
    failure = crawl_once(settings(token_hosts=[]), tmp_path / "store.db").failure
    assert failure is not None
    assert f"asks for a token from {tokens.host}, which is not its own host" in failure.message
    assert "add it to token_hosts" in failure.message
    assert ([], []) == (tokens.granted, tokens.refused)

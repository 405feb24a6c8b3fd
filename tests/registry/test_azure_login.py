"""Who we are to Azure's registry: passwords, refresh tokens, Entra ID, anonymous pulls, and for what."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from builders import make_image
from fakes.azure_login import ACCESS_LIFETIME, REFRESH_LIFETIME, TOKEN_USER, Account, GuardedAzureRegistry
from graph.errors import RegistryDeniedError, SettingsError
from graph.oci.reference import RegistryName, RepositoryName
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.registry.entra import ENTRA_MARGIN, EntraIdentity, open_entra_identity
from graph.registry.exchange import RetryPolicy
from graph.registry.identity import IdentitySource, open_identity
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

URL = "https://contoso.azurecr.io"
WEB, API = RepositoryName("samples/web"), RepositoryName("samples/api")
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Clock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Told:
    token: str
    expires_on: int


@dataclass
class FakeCredential:
    """What azure-identity would be: `tokens` in turn, each good for an hour."""

    clock: Callable[[], datetime]
    tokens: list[str]
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def get_token(self, *scopes: str) -> Told:
        self.asked.append(scopes)
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        return Told(token, int(self.clock().timestamp()) + 3600)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def azure(clock: Clock) -> GuardedAzureRegistry:
    """Two repositories; alice may read both, bob the first, and the token `entra-alice` stands for alice."""
    registry = GuardedAzureRegistry(clock=clock)
    for name in (WEB, API):
        image = make_image(labels={"name": name})
        registry.put_manifest(name, image.data, image.media_type, "v1")
    registry.accounts = {"alice": Account("secret-a"), "bob": Account("secret-b", frozenset({WEB}))}
    registry.entra_tokens = {"entra-alice": "alice"}
    return registry


def connect(
    registry: GuardedAzureRegistry, clock: Clock, identity: IdentitySource | None = None, **settings: Any
) -> RegistryClient:
    return RegistryClient(
        RegistrySettings(url=URL, **settings),
        httpx.ASGITransport(registry),
        identity=identity,
        retries=RetryPolicy(attempts=1),
        clock=clock,
    )


async def read_all(client: RegistryClient) -> list[str]:
    """Read one of each: the ping, the catalog, tags, manifests and a manifest; the repositories."""
    await client.ping()
    names = [name async for page in client.list_repositories() for name in page]
    for name in names:
        tags = [tag async for page in client.list_tags(name) for tag in page]
        [page async for page in client.list_manifests(name)]
        await client.get_manifest(name, tags[0].name)
    return names


async def test_scopes_are_those_of_the_challenges(azure: GuardedAzureRegistry, clock: Clock) -> None:
    """A token is asked for each scope once: the catalog, and reading metadata and content of a repository."""
    async with connect(azure, clock, username="alice", password="secret-a") as client:
        assert [API, WEB] == await read_all(client)

    scopes = [form.get("scope") for _, _, form in azure.logins.asked]
    expected = [f"repository:{name}:{action}" for name in (API, WEB) for action in ("metadata_read", "pull")]
    assert [None, "registry:catalog:*", *expected] == scopes


@pytest.mark.parametrize("user", ["<token>", TOKEN_USER])
async def test_a_refresh_token_is_a_grant(azure: GuardedAzureRegistry, clock: Clock, user: str) -> None:
    """A refresh token goes to the token server by POST, and never as a password to the registry."""
    token = azure.issue("refresh_token", REFRESH_LIFETIME, user="alice")
    async with connect(azure, clock, username=user, password=token) as client:
        assert [API, WEB] == await read_all(client)

    assert {("/oauth2/token", "POST", "refresh_token")} == {
        (path, method, form["grant_type"]) for path, method, form in azure.logins.asked
    }
    sent = [request.headers.get("authorization", "") for request in azure.requests]
    assert not [header for header in sent if header.startswith("Basic")]


async def test_anonymous_pulls(azure: GuardedAzureRegistry, clock: Clock) -> None:
    """Nobody gets a token where anonymous pulls are allowed, and reads repositories with it."""
    azure.allows_anonymous = True
    async with connect(azure, clock) as client:
        assert 1 == len([tag async for page in client.list_tags(WEB) for tag in page])
        with pytest.raises(RegistryDeniedError):
            [page async for page in client.list_repositories()]


async def test_tokens_say_themselves_when_they_end(azure: GuardedAzureRegistry, clock: Clock) -> None:
    """An answer has no `expires_in`: the token is kept for as long as it says itself, and renewed ahead."""
    async with connect(azure, clock, username="alice", password="secret-a") as client:
        for seconds in (0, 0.79 * ACCESS_LIFETIME, 0.02 * ACCESS_LIFETIME):
            clock.now += timedelta(seconds=seconds)
            [page async for page in client.list_tags(WEB)]
            asked = azure.logins.count("/oauth2/token")
            assert asked == (1 if clock.now < NOW + timedelta(seconds=0.8 * ACCESS_LIFETIME) else 2)


async def test_wrong_passwords(azure: GuardedAzureRegistry, clock: Clock) -> None:
    """A password that is refused is an error that does not hold it."""
    async with connect(azure, clock, username="alice", password="wrong-one") as client:
        with pytest.raises(RegistryDeniedError) as caught:
            await client.ping()
    assert "wrong-one" not in f"{caught.value!r} {caught.value.__context__!r}"


async def test_entra_tokens_are_exchanged_once(azure: GuardedAzureRegistry, clock: Clock) -> None:
    """All scopes and all who ask at once share one token of Entra ID and one refresh token."""
    credential = FakeCredential(clock, ["entra-alice"])
    identity = EntraIdentity(RegistryName("contoso.azurecr.io"), credential, clock)
    async with connect(azure, clock, identity) as client:
        await client.ping()
        await asyncio.gather(*(read_all(client) for _ in range(20)))
        who = await client.identify()

    # What the registries of every cloud are called as an audience (azureADAuthenticationAsArmPolicy).
    assert [("https://containerregistry.azure.net/.default",)] == credential.asked
    assert 1 == azure.logins.count("/oauth2/exchange")
    assert 6 == azure.logins.count("/oauth2/token")
    assert "Microsoft Entra ID (azure-identity)" == who.source
    assert "entra-alice" not in f"{who!r} {client!r} {identity!r}"


async def test_entra_tokens_go_to_the_registry_alone(azure: GuardedAzureRegistry, clock: Clock) -> None:
    """The token of Entra ID is in the body of the exchange, and in nothing else that is sent."""
    identity = EntraIdentity(
        RegistryName("contoso.azurecr.io"), FakeCredential(clock, ["entra-alice"]), clock
    )
    seen: list[httpx.Request] = []

    class Watching(httpx.ASGITransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return await super().handle_async_request(request)

    settings = RegistrySettings(url=URL)
    async with RegistryClient(settings, Watching(azure), identity=identity, clock=clock) as client:
        await read_all(client)

    told = [f"{request.url} {request.headers.multi_items()} {request.content!r}" for request in seen]
    assert [f"{URL}/oauth2/exchange"] == [
        str(request.url) for request, text in zip(seen, told, strict=True) if "entra-alice" in text
    ]


async def test_a_refresh_token_that_was_revoked(azure: GuardedAzureRegistry, clock: Clock) -> None:
    """What the token server takes no more is forgotten, and the next request exchanges anew."""
    identity = EntraIdentity(
        RegistryName("contoso.azurecr.io"), FakeCredential(clock, ["entra-alice"]), clock
    )
    async with connect(azure, clock, identity) as client:
        await client.ping()
        # The same second makes the same token.
        azure.revoked.add(azure.issue("refresh_token", REFRESH_LIFETIME, user="alice"))
        clock.now += timedelta(seconds=1)
        with pytest.raises(RegistryDeniedError):
            [page async for page in client.list_manifests(WEB)]
        assert 1 == len([page async for page in client.list_manifests(WEB)])
    assert 2 == azure.logins.count("/oauth2/exchange")


async def test_entra_tokens_end(azure: GuardedAzureRegistry, clock: Clock) -> None:
    """azure-identity is asked again some minutes before its token ends, and not sooner."""
    credential = FakeCredential(clock, ["one", "two"])
    identity = EntraIdentity(RegistryName("contoso.azurecr.io"), credential, clock)
    told = []
    for seconds in (0, 3600 - ENTRA_MARGIN.total_seconds() - 1, 1):
        clock.now += timedelta(seconds=seconds)
        credentials = (await identity.identify(None)).credentials
        assert credentials is not None
        told.append(credentials.password)
    assert ["one", "one", "two"] == told


async def test_azure_identity_that_knows_nobody(clock: Clock) -> None:
    """What azure-identity raises is that we are nobody; its text, which may hold anything, is left out."""

    class Unavailable:
        def get_token(self, *scopes: str) -> Any:
            raise RuntimeError("a text with a secret")

    identity = EntraIdentity(RegistryName("contoso.azurecr.io"), Unavailable(), clock)
    with pytest.raises(RegistryDeniedError, match="RuntimeError") as caught:
        await identity.identify(None)
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_the_extra_is_missing(clock: Clock) -> None:
    """Without azure-identity the settings are told to be wrong, with what to install."""

    def load() -> Any:
        raise ImportError("No module named 'azure'")

    with pytest.raises(SettingsError, match=r"install `ocigraph\[azure\]`"):
        open_entra_identity(RegistryName("contoso.azurecr.io"), clock, load)


def test_the_extra_is_there(clock: Clock) -> None:
    """Where the settings ask for it the identity is azure-identity's, and making it asks nobody."""
    settings = RegistrySettings(url=URL, identity="azure")
    assert isinstance(open_identity(settings, clock), EntraIdentity)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"identity": "azure", "username": "a", "password": "b"}, "takes the place of username"),
        ({"identity": "azure", "auth_file": "/dev/null"}, "takes the place of auth_file"),
        ({"identity": "azure", "url": "http://contoso.azurecr.io"}, "needs a registry at https"),
        ({"identity": "gcp"}, "azure"),
    ],
)
def test_identities_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    """One identity for a registry, over TLS, of a provider that is known."""
    with pytest.raises(ValueError, match=message):
        RegistrySettings(**{"url": URL, **settings})


@pytest.mark.parametrize(
    ("place", "is_allowed"),
    [
        ({"url": URL}, True),
        ({"url": "https://registry.example", "dialect": "azure"}, True),
        ({"url": "https://registry.example"}, False),
        ({"url": "https://ghcr.io"}, False),
        ({"url": "oci:images"}, False),
    ],
)
def test_entra_identity_is_for_azure(place: dict[str, str], is_allowed: bool) -> None:
    """A token of Entra ID is exchanged at Azure's registries; another one could show it to them."""
    settings = RegistrySettings(identity="azure", **place)
    if is_allowed:
        assert "azure" == choose_dialect(settings).name
        return
    with pytest.raises(SettingsError, match="^identity: `azure` is for Azure's registries alone"):
        choose_dialect(settings)

"""Docker Hub: tags with their digests by its own API, with a token of its own, and pulls that are counted."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from builders import make_image
from fakes.docker_hub import DockerHub
from graph.errors import RegistryDeniedError, RegistryThrottledError, RegistryUnsupportedError
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.registry.entries import ListedTag
from graph.registry.exchange import RetryPolicy
from graph.registry.ledger import RequestKind
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

WEB = RepositoryName("acme/web")
PUSHED = datetime(2026, 1, 10, 23, 15, 6, 765432, UTC)
UPDATED = datetime(2026, 1, 11, 0, 0, 0, 123456, UTC)
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def connect(registry: DockerHub, *namespaces: str, password: str | None = None) -> RegistryClient:
    login = {} if password is None else {"username": "reader", "password": password}
    settings = RegistrySettings(url="https://docker.io", namespaces=namespaces, **login)
    return RegistryClient(
        settings, httpx.ASGITransport(registry), retries=RetryPolicy(attempts=1), clock=lambda: NOW
    )


async def collect_tags(client: RegistryClient, repository: RepositoryName) -> list[ListedTag]:
    return [tag async for page in client.list_tags(repository) for tag in page]


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
async def test_names_of_docker_hub(host: str) -> None:
    """Whatever it is called, it is asked where it answers, and keeps the name that it was given."""
    dialect = choose_dialect(RegistrySettings(url=f"https://{host}"))

    assert ("docker-hub", "https://registry-1.docker.io") == (dialect.name, dialect.url)
    registry = DockerHub()
    async with RegistryClient(
        RegistrySettings(url=f"https://{host}"), httpx.ASGITransport(registry)
    ) as client:
        await client.ping()
    assert host == client.name
    assert "registry-1.docker.io" == registry.requests[0].headers["host"]


async def test_another_host_is_asked_where_it_is() -> None:
    """The dialect may be named for a host that Docker does not have."""
    settings = RegistrySettings(url="http://localhost:5000", dialect="docker-hub")

    assert "http://localhost:5000" == choose_dialect(settings).url


async def test_tags_come_with_digests_and_times() -> None:
    """A page of tags says what each names and when it was last pushed; what is not told is None."""
    registry = DockerHub()
    image = make_image()
    registry.put_manifest(WEB, image.data, image.media_type, "old")
    registry.set_tag(WEB, "v1", image.digest)
    registry.untold = {"old"}

    async with connect(registry) as client:
        (page,) = [page async for page in client.list_tags(WEB)]

    assert (
        ListedTag(TagName("old"), None, None, UPDATED),
        ListedTag(TagName("v1"), Digest(image.digest), None, PUSHED),
    ) == page
    (request,) = registry.requests
    assert "hub.docker.com" == request.headers["host"]
    assert "authorization" not in request.headers


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (100, 1), (101, 2), (250, 3)])
async def test_requests_of_a_list(count: int, pages: int) -> None:
    """t tags cost ⌈t/100⌉ requests, whatever page the settings ask for, and no HEAD."""
    registry = DockerHub()
    registry.put_repository(WEB)
    for number in range(count):
        registry.put_manifest(WEB, make_image().data, tag=f"v{number:03}")

    async with connect(registry) as client:
        tags = [tag async for page in client.list_tags(WEB) for tag in page]

    assert count == len({tag.name for tag in tags})
    assert pages == client.ledger.count(RequestKind.TAGS) == client.ledger.total


async def test_one_token_for_all() -> None:
    """A login gets one token for many requests, and what it may see; the password goes nowhere else."""
    registry = DockerHub()
    registry.private = {"acme"}
    for name in (WEB, "acme/api"):
        registry.put_repository(name)

    async with connect(registry, "acme", password=registry.login[1]) as client:
        names = [name async for page in client.list_repositories() for name in page]
        for name in names:
            [page async for page in client.list_tags(name)]

    assert ["acme/api", WEB] == names
    assert [{"identifier": "reader", "secret": registry.login[1]}] == registry.bodies
    assert (1, 4) == (client.ledger.count(RequestKind.TOKEN), client.ledger.total)
    assert {"Bearer token-1"} == {r.headers["authorization"] for r in registry.requests if r.method == "GET"}


async def test_token_that_was_withdrawn() -> None:
    """A token that is refused is replaced once."""
    registry = DockerHub()
    registry.put_repository(WEB)

    async with connect(registry, password=registry.login[1]) as client:
        [page async for page in client.list_tags(WEB)]
        registry.tokens.clear()
        [page async for page in client.list_tags(WEB)]

    assert (2, 3) == (client.ledger.count(RequestKind.TOKEN), client.ledger.count(RequestKind.TAGS))


async def test_login_that_is_refused() -> None:
    """A wrong password is told of the API, and the registry is asked for the tags it shows to anybody."""
    registry = DockerHub()
    image = make_image()
    registry.put_manifest(WEB, image.data, image.media_type, "v1")

    async with connect(registry, "acme", password="wrong") as client:
        with pytest.raises(RegistryDeniedError) as caught:
            [page async for page in client.list_repositories()]
        tags = [page async for page in client.list_tags(WEB)]

    assert "wrong" not in f"{caught.value!r} {caught.value}"
    assert [(ListedTag(TagName("v1")),)] == tags


@pytest.mark.parametrize("token", [{"registrytoken": "s3cret"}, {"identitytoken": "s3cret"}])
async def test_tokens_are_not_for_the_api(token: dict[str, str], tmp_path: Path) -> None:
    """A token of the registry, or of its token server, never goes to another host as a password."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {"https://index.docker.io/v1/": token}}))
    registry = DockerHub()
    registry.put_manifest(WEB, make_image().data, make_image().media_type, "v1")
    settings = RegistrySettings(url="https://docker.io", auth_file=file)
    async with RegistryClient(settings, httpx.ASGITransport(registry)) as client:
        await collect_tags(client, WEB)

    assert [] == registry.bodies


async def test_a_login_for_a_namespace(tmp_path: Path) -> None:
    """Logins of containers' auth.json for one namespace each are told to the API there, and there only."""
    registry = DockerHub()
    registry.private = {"acme"}
    names = WEB, RepositoryName("beta/web"), RepositoryName("else/web")
    for name in names:
        registry.put_manifest(name, make_image().data, make_image().media_type, "v1")
    user, secret = registry.login

    def packed(password: str) -> dict[str, str]:
        return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}

    file = tmp_path / "auth.json"
    file.write_text(
        json.dumps({"auths": {"docker.io/acme": packed(secret), "docker.io/beta": packed("another")}})
    )
    settings = RegistrySettings(url="https://docker.io", auth_file=file)
    async with RegistryClient(settings, httpx.ASGITransport(registry)) as client:
        digests = [tag.digest is not None for name in names for tag in await collect_tags(client, name)]

    # The second is refused, and read the plain way.
    assert [True, False, True] == digests
    assert [secret, "another"] == [body["secret"] for body in registry.bodies]


async def test_nothing_is_listed_without_namespaces() -> None:
    """There is no catalog of Docker Hub; nothing is asked for one."""
    registry = DockerHub()

    async with connect(registry) as client:
        with pytest.raises(RegistryUnsupportedError):
            [page async for page in client.list_repositories()]

    assert [] == registry.requests


async def test_api_that_wants_fewer_requests() -> None:
    """When the API says 429, its timestamp is when to come back."""
    registry = DockerHub()
    registry.put_repository(WEB)
    registry.resumes_at = int(NOW.timestamp()) + 90

    async with connect(registry) as client:
        with pytest.raises(RegistryThrottledError) as caught:
            [page async for page in client.list_tags(WEB)]

    assert 90 == caught.value.retry_after


async def test_pulls_are_counted() -> None:
    """What remains is remembered; a HEAD takes nothing of it, and when nothing is left no GET is sent."""
    registry = DockerHub(pulls=1)
    image = make_image()
    registry.put_manifest(WEB, image.data, image.media_type, "v1")

    async with connect(registry) as client:
        await client.head_manifest(WEB, TagName("v1"))
        await client.get_manifest(WEB, TagName("v1"))
        with pytest.raises(RegistryThrottledError) as caught:
            await client.get_manifest(WEB, TagName("v1"))
        (origin, allowance) = next(iter(client.allowances.items()))

    assert ["HEAD", "GET"] == [request.method for request in registry.requests]
    assert timedelta(seconds=216).total_seconds() == caught.value.retry_after
    assert ("https://registry-1.docker.io", 0, 100) == (origin, allowance.remaining, allowance.limit)

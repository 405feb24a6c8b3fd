"""Where a vendor's list is refused the plain one is read, and no more is concluded than that says."""

import asyncio
from typing import Any

import httpx
import pytest

from fakes.sync_rig import image, push
from fakes.vendors import DOUBLES, HUB_API
from graph.errors import RegistryProtocolError
from graph.oci.reference import RepositoryName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.registry.exchange import RetryPolicy
from graph.sample import SampleRegistry
from graph.sample.answers import Answer, json_answer
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

WEB, ODD = RepositoryName("acme/web"), RepositoryName("odd/tool")
ONCE = RetryPolicy(attempts=1)
# Gitea's own API is asked with a login only; the others tell the anonymous too.
LOGIN = {"username": "reader", "password": "a token"}

# The dialects whose own list of tags may be lost, and where it has that of ODD.
OWN_TAGS = {
    "azure": "/acr/v1/odd/tool/_tags",
    "docker-hub": "/v2/namespaces/odd/repositories/tool/tags",
    "gitea": "/api/v1/packages/odd",
    "google": "/v2/odd/tool/tags/list",
    "harbor": "/api/v2.0/projects/odd/repositories/tool/artifacts",
    "quay": "/api/v1/repository/odd/tool/tag/",
}
# Google's list is the plain one, with more in it.
PLAIN = json_answer({"name": ODD, "tags": ["v1"]})


def connect(registry: Any, **settings: Any) -> RegistryClient:
    settings = {"url": "https://registry.example", **settings}
    if settings.get("dialect") == "docker-hub":
        settings["api_url"] = HUB_API
    given = RegistrySettings(**settings)
    if choose_dialect(given).name == "gitea":
        given = RegistrySettings(**settings, **LOGIN)
    return RegistryClient(given, httpx.ASGITransport(registry), retries=ONCE)


async def tags_of(client: RegistryClient, name: RepositoryName) -> list[str]:
    return [tag.name async for page in client.list_tags(name) for tag in page]


def faults_of(dialect: str) -> dict[str, int | Answer]:
    return {OWN_TAGS[dialect]: PLAIN if dialect == "google" else 404}


@pytest.mark.parametrize("dialect", OWN_TAGS)
async def test_one_repository_that_the_vendor_does_not_know(dialect: str) -> None:
    """It is read the plain way, and the others as before: an API that has answered is there."""
    registry = DOUBLES[dialect].make()
    push(registry, WEB, image("web"), "v1")
    push(registry, ODD, image("odd"), "v1")
    registry.faults = faults_of(dialect)

    async with connect(registry, dialect=dialect) as client:
        before = dict(client.capabilities)
        assert ["v1"] == await tags_of(client, WEB)
        first = [request.path for request in registry.requests]
        for _ in range(2):
            assert ["v1"] == await tags_of(client, ODD)
        registry.requests.clear()
        assert ["v1"] == await tags_of(client, WEB)

    assert first == [request.path for request in registry.requests]
    assert before == client.capabilities


@pytest.mark.parametrize(
    ("dialect", "url"),
    [
        ("docker-hub", "https://docker.io"),
        ("gitea", "https://codeberg.org"),
        ("harbor", "https://demo.goharbor.io"),
        ("quay", "https://quay.io"),
    ],
)
async def test_one_repository_of_the_vendor_itself(dialect: str, url: str) -> None:
    """Where the host is the vendor's own, its API is there, though it does not know the first."""
    registry = DOUBLES[dialect].make()
    push(registry, WEB, image("web"), "v1")
    push(registry, ODD, image("odd"), "v1")
    registry.faults = faults_of(dialect)

    async with connect(registry, url=url) as client:
        before = dict(client.capabilities)
        assert ["v1"] == await tags_of(client, ODD)
        registry.requests.clear()
        assert ["v1"] == await tags_of(client, WEB)

    assert not registry.requests[0].path.startswith(f"/v2/{WEB}")
    assert before == client.capabilities


@pytest.mark.parametrize("dialect", OWN_TAGS)
async def test_the_vendor_answers_late(dialect: str) -> None:
    """What was concluded while the first list of the vendor was under way is taken back when it comes."""
    registry = DOUBLES[dialect].make()
    push(registry, WEB, image("web"), "v1")
    push(registry, ODD, image("odd"), "v1")
    registry.faults = faults_of(dialect)
    is_odd_read = asyncio.Event()

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == OWN_TAGS[dialect].replace("odd", "acme").replace("tool", "web"):
            await is_odd_read.wait()
        await registry(scope, receive, send)

    async with connect(answer, dialect=dialect) as client:
        before = dict(client.capabilities)
        late = asyncio.ensure_future(tags_of(client, WEB))
        await asyncio.sleep(0)
        assert ["v1"] == await tags_of(client, ODD)
        assert before != client.capabilities
        is_odd_read.set()
        assert ["v1"] == await late
        assert before == client.capabilities


# What a front end may say at paths that it does not know.
PAGE = Answer(200, (("Content-Type", "text/html"),), b"<!doctype html><title>Welcome</title>")
FRONTS = {
    "page": PAGE,
    "login": Answer(302, (("Location", "https://login.example/"),), b""),
    "refusal": Answer(400, (), b"bad request"),
}


def behind(front: Answer) -> SampleRegistry:
    """A registry of no vendor, behind a front end that answers for every path that is not the plain API's."""
    registry = SampleRegistry()
    push(registry, WEB, image("web"), "v1")
    registry.faults = lambda request: front if not request.path.startswith("/v2/") else None
    return registry


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("host", ["harbor", "quay", "gitea", "forgejo"])
async def test_a_guess_that_was_wrong(host: str, front: str) -> None:
    """A registry that is only called so is read the plain way, whatever stands at the vendor's paths."""
    registry = behind(FRONTS[front])
    async with connect(registry, url=f"https://{host}.example") as client:
        assert host in (client.dialect.name, "forgejo")
        assert [(WEB,)] == [page async for page in client.list_repositories()]
        assert ["v1"] == await tags_of(client, WEB)
        registry.requests.clear()
        assert ["v1"] == await tags_of(client, WEB)
        assert CapabilityState.UNSUPPORTED is client.capabilities[Capability.PUSH_TIME]

    assert [f"/v2/{WEB}/tags/list"] == [request.path for request in registry.requests]


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("dialect", "url"),
    [
        ("harbor", "https://harbor.example"),
        ("quay", "https://quay.example"),
        ("gitea", "https://gitea.example"),
        ("auto", "https://demo.goharbor.io"),
        ("auto", "https://quay.io"),
        ("auto", "https://codeberg.org"),
    ],
)
async def test_no_guess(dialect: str, url: str, front: str) -> None:
    """Of a registry that the settings or its host say to be the vendor's, what is wrong is told."""
    async with connect(behind(FRONTS[front]), url=url, dialect=dialect) as client:
        before = dict(client.capabilities)
        with pytest.raises(RegistryProtocolError):
            await tags_of(client, WEB)
        assert before == client.capabilities


@pytest.mark.parametrize("dialect", ["harbor", "quay", "gitea"])
async def test_a_guess_that_was_right(dialect: str) -> None:
    """Once the vendor's API has answered, what is wrong with it is told and not got around."""
    registry = DOUBLES[dialect].make()
    push(registry, WEB, image("web"), "v1")
    async with connect(registry, url=f"https://{dialect}.example") as client:
        before = dict(client.capabilities)
        assert ["v1"] == await tags_of(client, WEB)
        registry.faults = lambda request: PAGE if not request.path.startswith("/v2/") else None
        with pytest.raises(RegistryProtocolError):
            await tags_of(client, WEB)
        assert before == client.capabilities

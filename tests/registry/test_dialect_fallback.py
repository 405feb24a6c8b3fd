"""Where a vendor's list is refused the plain one is read, and no more is concluded than that says."""

import asyncio
from typing import Any

import httpx
import pytest

from fakes.sync_rig import image, push
from fakes.vendors import DOUBLES
from graph.oci.reference import RepositoryName
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.sample.answers import Answer, json_answer
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

WEB, ODD = RepositoryName("acme/web"), RepositoryName("odd/tool")
ONCE = RetryPolicy(attempts=1)

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
    given = RegistrySettings(**{"url": "https://registry.example", **settings})
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

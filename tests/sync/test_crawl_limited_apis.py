"""Vendors' APIs that refuse too much in words of their own: the crawl goes on at the rate they allow."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from fakes.limited import ALLOWED, Bucket
from fakes.skipping_loop import SkippingLoop, loop_clock
from fakes.sync_rig import URL, image, push
from fakes.vendors import DOUBLES
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.settings import RegistrySettings
from graph.store.changes import ConfiguredRegistry
from graph.store.engine import open_store
from graph.store.observations import set_registries
from graph.sync.crawl import Crawler
from graph.sync.upstream import Upstream

pytestmark = pytest.mark.anyio

REPOSITORIES, BURST = 120, 5


@dataclass(frozen=True)
class Api:
    """Where a vendor's API is, what it says to what is too much, and how often a crawl asks it."""

    host: str
    refusal: Callable[[], httpx.Response]
    budget: int


def refuse_as_amazon() -> httpx.Response:
    """Amazon ECR, API reference, "Common Errors": ThrottlingException is a 400, and does not say how long."""
    body = json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"}).encode()
    return httpx.Response(400, stream=httpx.ByteStream(body))


def refuse_as_github() -> httpx.Response:
    """docs.github.com, "Rate limits for the REST API": a secondary limit is a 403 with `Retry-After`."""
    body = b'{"message":"You have exceeded a secondary rate limit"}'
    return httpx.Response(403, headers={"Retry-After": "1"}, stream=httpx.ByteStream(body))


# A list of images for each repository; before that the password and the repositories, or who the owner is and
# two pages of packages.
APIS = {
    "ecr": Api("api.ecr.eu-west-1.amazonaws.com", refuse_as_amazon, REPOSITORIES + 2),
    "github": Api("api.github.com", refuse_as_github, REPOSITORIES + 3),
}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": SkippingLoop}


@pytest.mark.parametrize("name", APIS)
async def test_one_a_second(name: str) -> None:
    """One crawl sees all, in the requests that there are without a limit, and refusals are few."""
    double, api = DOUBLES[name], APIS[name]
    registry = double.make()
    for number in range(REPOSITORIES):
        push(registry, f"acme/app{number}", image(f"{number % 10}"), "v1")
    transport = Bucket(registry, BURST, host=api.host, refusal=api.refusal)
    given = dict(double.settings)
    speaks = given.pop("speaks", choose_dialect)
    settings = RegistrySettings(**{"url": URL, "dialect": name, **given})
    client = RegistryClient(settings, transport, dialect=speaks(settings), clock=loop_clock)
    store = open_store(":memory:")
    with store.transaction() as db:
        (key,) = set_registries(db, [ConfiguredRegistry(client.name, settings.url, name)], loop_clock())
    async with client:
        report = await Crawler(Upstream(client, store, key, loop_clock)).crawl()
    store.close()

    assert (None, {}, REPOSITORIES) == (report.failure, report.trouble_counts, report.repositories)
    assert api.budget == transport.answered.total()
    first, *later = [transport.refused[minute] for minute in sorted(transport.answered)]
    assert first <= 16 + 12
    assert max(later) <= ALLOWED // 10

"""Requests that wait for a registry that is slow, and those beside them that ask about another."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from graph.schema.context import Limits
from graph.store.engine import MAX_SNAPSHOTS
from graph.sync.freshness import Demand
from requests_to_graph import FakeRefresher, graph_of
from store_builders import NOW, StoreBuilder

pytestmark = pytest.mark.anyio

TAGS = "repository(registry: %s, name: %s) { name tags { totalCount } }"
SLOW = TAGS % ('"slow.test"', '"web"')
OTHER = TAGS % ('"other.test"', '"web"')
# It reads on while the other field waits for its registry.
BOTH = "{ slow: " + SLOW + " other: " + OTHER + " }"

# Nobody gives up waiting for the slow one: a seat in the store comes free in no other way.
PATIENT = Limits(refresh_timeout=3600)


def two_registries() -> StoreBuilder:
    build = StoreBuilder()
    for name, observed_at in (("slow.test", NOW - timedelta(hours=1)), ("other.test", NOW)):
        registry = build.registry(name, catalog_observed_at=NOW)
        home = build.repository(registry, "web", observed_at=observed_at, crawled_at=observed_at)
        build.tag(home, "v1", build.image(home, [build.layer(registry, 10)]))
    return build


@pytest.mark.parametrize("query", ["{ " + SLOW + " }", BOTH])
async def test_who_waits_for_a_registry_holds_up_no_other_request(query: str) -> None:
    """However many requests wait for one that is slow, a request about another is answered meanwhile."""
    count = 2 * MAX_SNAPSHOTS
    waiting, answers = asyncio.Event(), asyncio.Event()

    async def wait(*_: Any) -> None:
        if count == len(refresher.asked):
            waiting.set()
        await answers.wait()

    refresher = FakeRefresher(wait)
    async with graph_of(two_registries(), limits=PATIENT) as graph, asyncio.timeout(10):

        def ask(query: str) -> Awaitable[Any]:
            return graph.ask(query, demand=Demand(300), refresher=refresher, limits=PATIENT)

        tasks = [asyncio.ensure_future(ask(query)) for _ in range(count)]
        await waiting.wait()
        response = await ask("{ " + OTHER + " }")
        answers.set()
        late = await asyncio.gather(*tasks)

    assert {"name": "web", "tags": {"totalCount": 1}} == response["data"]["repository"]
    assert count == len(refresher.asked)
    assert [False] * count == ["errors" in each for each in late]

"""How a registry answers now is shown beside how its crawl goes, where this process asks it."""

from datetime import timedelta

import pytest

from graph.sync.condition import Allowance, BreakerState, Condition
from requests_to_graph import graph_of
from store_builders import NOW, StoreBuilder

pytestmark = pytest.mark.anyio

QUERY = """{
  registries {
    sync { state breaker asksAgainAt rateLimits { host limit remaining resetsAt countsPullsOnly } }
  }
}"""


def two_registries() -> StoreBuilder:
    builder = StoreBuilder()
    builder.registry("one.test")
    builder.registry("two.test")
    return builder


async def test_each_registry_has_its_own() -> None:
    """One that is not asked says from when on it is again; one with limits says what is left of them."""
    limit = Allowance(3, NOW, 100, 21600.0, NOW + timedelta(hours=1), counts_pulls_only=True)
    conditions = {
        1: Condition(BreakerState.OPEN, NOW + timedelta(minutes=5), ()),
        2: Condition(BreakerState.CLOSED, None, [("https://two.test", limit)]),
    }
    async with graph_of(two_registries()) as graph:
        response = await graph.ask(QUERY, conditions=conditions.__getitem__)

    down, limited = (each["sync"] for each in response["data"]["registries"])
    assert ("OPEN", "2024-05-01T12:05:00Z", []) == (
        down["breaker"],
        down["asksAgainAt"],
        down["rateLimits"],
    )
    assert ("CLOSED", None) == (limited["breaker"], limited["asksAgainAt"])
    assert [
        {
            "host": "two.test",
            "limit": 100,
            "remaining": 3,
            "resetsAt": "2024-05-01T13:00:00Z",
            "countsPullsOnly": True,
        }
    ] == limited["rateLimits"]


async def test_nobody_knows_without_asking() -> None:
    """A command that only reads the store asks no registry, and says nothing of how it answers."""
    async with graph_of(two_registries()) as graph:
        response = await graph.ask(QUERY)

    for each in response["data"]["registries"]:
        assert (None, None, None) == tuple(
            each["sync"][name] for name in ("breaker", "asksAgainAt", "rateLimits")
        )

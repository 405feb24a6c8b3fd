"""While a crawl is held back by what the registry allows, whoever asks us is answered from the store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
import pytest

from fakes.limited import ALLOWED, Limited
from fakes.skipping_loop import SkippingLoop, loop_clock
from fakes.sync_rig import URL, image, push
from graph.app import Parts, create_app
from graph.oci.reference import parse_registry_name
from graph.sample import SampleRegistry
from graph.settings import load_settings
from graph.sync.crawl import Crawler

pytestmark = pytest.mark.anyio

NAME = parse_registry_name(URL.partition("://")[2])
REPOSITORIES = 20
TAGS = 10
# Ping, catalog and lists of tags, and a HEAD for each tag: it takes four minutes.
LATER_CRAWL = 2 + REPOSITORIES * (1 + TAGS)
SPENT_MINUTES = 2
DAY = 86_400.0

ALL = """{ registry { repositories(first: 100) { nodes { name tags(first: 100) { nodes { name } } } }
    sync { state error breaker asksAgainAt rateLimits { host limit remaining resetsAt } } } }"""
ONE = '{ repository(name: "team/app7") { tags(first: 100) { nodes { name artifact { size } } } } }'


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": SkippingLoop}


@asynccontextmanager
async def serve(limited: Limited) -> AsyncIterator[httpx.AsyncClient]:
    """A server that knows the registry, and crawls it again as soon as it is limited."""

    async def know(parts: Parts) -> None:
        limited.is_limited = False
        await Crawler(parts.upstreams[0]).crawl()
        limited.is_limited = True

    flags = {"sync_interval": 60.0, "max_age": DAY, "min_refresh_age": 0}
    # What a query may take is not the matter here, and this loop's time has nothing to do with it.
    settings = load_settings({"registries": [URL], "store": ":memory:", "time_limit": DAY, **flags})
    app = create_app(settings, clock=loop_clock, transports={NAME: limited}, prepare=know)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        yield client


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("tells", [True, False])
async def test_answers_go_on_while_a_crawl_is_held_back(tells: bool) -> None:
    """With time standing still, and without a request: what should be younger is said to be stale."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippingLoop)
    registry = SampleRegistry(supports_referrers=False)
    for number in range(REPOSITORIES):
        for tag in range(TAGS):
            push(registry, f"team/app{number}", image(f"{tag}"), f"v{tag}")
    limited = Limited(registry, tells)
    async with serve(limited) as client:

        async def ask(query: str, **headers: str) -> Any:
            response = await client.post("/graphql", json={"query": query}, headers=headers)
            return response.json()

        for _ in range(SPENT_MINUTES):
            await limited.told.acquire()
        loop.hold()
        spent, next_minute = limited.answered.total(), int(loop.time() // 60) + 1
        refused = limited.refused.total()
        young = await ask(ALL)
        old = await ask(ONE, **{"Cache-Control": "no-cache"})
        loop.release()

    assert SPENT_MINUTES * ALLOWED == spent < LATER_CRAWL
    assert (spent, refused) == (limited.answered.total(), limited.refused.total())
    assert "errors" not in young
    assert "stale" not in young["extensions"]
    nodes = young["data"]["registry"]["repositories"]["nodes"]
    assert {f"team/app{number}": TAGS for number in range(REPOSITORIES)} == {
        node["name"]: len(node["tags"]["nodes"]) for node in nodes
    }
    resets_at = f"2026-01-01T00:{next_minute:02}:00Z"
    # By what it has refused, or said to be spent: it tells whole seconds, and some latency ago.
    asks_again_at = young["data"]["registry"]["sync"].pop("asksAgainAt")
    assert 0 <= (at(asks_again_at) - at(resets_at)).total_seconds() < 2
    limit = {"host": NAME, "limit": ALLOWED, "remaining": 0, "resetsAt": resets_at}
    assert {
        "state": "RUNNING",
        "error": None,
        "breaker": "CLOSED",
        "rateLimits": [limit] if tells else [],
    } == young["data"]["registry"]["sync"]
    assert "errors" not in old
    assert TAGS == len(old["data"]["repository"]["tags"]["nodes"])
    assert [(["repository"], "REGISTRY_THROTTLED"), (["repository", "tags"], "REGISTRY_THROTTLED")] == [
        (stale["path"], stale["reason"]) for stale in old["extensions"]["stale"]
    ]

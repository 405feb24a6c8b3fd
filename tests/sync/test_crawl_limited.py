"""A registry that allows so many requests a minute: the crawl goes on at that rate, and never faster."""

import asyncio
from typing import Any

import pytest

from fakes.limited import ALLOWED, Limited
from fakes.skipping_loop import SkippingLoop, loop_clock
from fakes.sync_rig import URL, image, push
from graph.registry.client import RegistryClient
from graph.sample import SampleRegistry
from graph.settings import RegistrySettings
from graph.store.changes import ConfiguredRegistry
from graph.store.engine import Store, open_store
from graph.store.observations import set_registries
from graph.store.registries import load_registry_statuses
from graph.store.rows import SyncState
from graph.store.visibility import Visibility
from graph.sync.crawl import Crawler
from graph.sync.upstream import Upstream
from graph.sync.worker import Worker

pytestmark = pytest.mark.anyio

REPOSITORIES = 40
TAGS = 10


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": SkippingLoop}


async def crawl_until_done(crawler: Crawler, store: Store, key: int) -> int:
    """Let the worker crawl until a crawl has ended well; how many crawls that took."""
    ended = asyncio.Event()
    crawls = 0

    async def sleep(seconds: float) -> None:
        nonlocal crawls
        crawls += 1
        with store.transaction() as db:
            (status,) = load_registry_statuses(db, Visibility.everything(), [key])
        if status is not None and status.sync_state is SyncState.IDLE:
            ended.set()
        await asyncio.sleep(seconds)

    worker = asyncio.create_task(
        Worker(
            [crawler], intervals={crawler.upstream.client.name: 86_400}, sleep=sleep, chance=lambda: 0.0
        ).run()
    )
    await ended.wait()
    worker.cancel()
    await asyncio.wait({worker})
    return crawls


@pytest.mark.parametrize("tells", [True, False])
async def test_so_many_a_minute(tells: bool) -> None:
    """One crawl sees all, at the rate that is allowed, with no minute overdrawn.

    Where only a 429 tells, what is under way then is too much.
    """
    registry = SampleRegistry(supports_referrers=False)
    for number in range(REPOSITORIES):
        for tag in range(TAGS):
            push(registry, f"team{number % 7}/app{number}", image(f"{tag}"), f"v{tag}")
    transport = Limited(registry, tells)
    settings = RegistrySettings(url=URL)
    client = RegistryClient(settings, transport, clock=loop_clock)
    store = open_store(":memory:")
    with store.transaction() as db:
        (key,) = set_registries(db, [ConfiguredRegistry(client.name, URL, "oci")], loop_clock())
    try:
        crawls = await crawl_until_done(Crawler(Upstream(client, store, key, loop_clock)), store, key)
        with store.transaction() as db:
            (status,) = load_registry_statuses(db, Visibility.everything(), [key])
    finally:
        await client.aclose()
        store.close()
    assert (1, SyncState.IDLE) == (crawls, status and status.sync_state)
    # Ping, catalog, lists of tags, manifests by tag, configs, and the referrers probe.
    budget = 2 + REPOSITORIES * (1 + TAGS) + TAGS + 1
    assert budget == transport.answered.total()
    assert ALLOWED == max(transport.answered.values())
    # Each minute is spent, but where this loop skips the rest of one while a thread writes to the store.
    assert max(transport.answered) <= 2 * (budget // ALLOWED)
    assert max(transport.refused.values(), default=0) <= (0 if tells else settings.concurrency)

"""A registry that allows so many requests a minute: the crawl goes on at that rate, and never faster."""

import asyncio
from typing import Any

import pytest

from fakes.limited import ALLOWED, Bucket, Hourly, Limited
from fakes.skipping_loop import SkippingLoop, loop_clock
from fakes.sync_rig import URL, image, push
from graph.oci.reference import parse_registry_name
from graph.registry.client import RegistryClient
from graph.sample import SampleRegistry
from graph.settings import RegistrySettings
from graph.store.changes import ConfiguredRegistry
from graph.store.engine import Store, open_store
from graph.store.observations import load_known, set_registries
from graph.store.registries import load_registry_statuses
from graph.store.rows import SyncState
from graph.store.visibility import Visibility
from graph.sync.crawl import Crawler
from graph.sync.upstream import Upstream
from graph.sync.worker import Worker

pytestmark = pytest.mark.anyio

REPOSITORIES = 40
TAGS = 10
HOURS = 5  # that pulls of one repository's manifests take where ALLOWED are allowed an hour
NAME = parse_registry_name(URL.partition("://")[2])
# Ping, catalog, lists of tags, manifests by tag, configs, and the referrers probe.
BUDGET = 2 + REPOSITORIES * (1 + TAGS) + TAGS + 1


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


def fill() -> SampleRegistry:
    registry = SampleRegistry(supports_referrers=False)
    for number in range(REPOSITORIES):
        for tag in range(TAGS):
            push(registry, f"team{number % 7}/app{number}", image(f"{tag}"), f"v{tag}")
    return registry


async def crawl(transport: Limited | Bucket, concurrency: int = 16) -> None:
    """Crawl until all is seen: in one crawl, by the requests that there are without a limit."""
    client = RegistryClient(RegistrySettings(url=URL, concurrency=concurrency), transport, clock=loop_clock)
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
    assert BUDGET == transport.answered.total()
    # What is allowed is used, but where this loop skips a part of it while a thread writes to the store.
    assert max(transport.answered) <= 2 * (BUDGET // ALLOWED)


@pytest.mark.parametrize(
    ("tells", "is_silent", "refused"),
    [(True, False, 0), (False, False, 16), (False, True, 16 + 8)],
    ids=["tells before", "tells how long", "only refuses"],
)
async def test_so_many_a_minute(tells: bool, is_silent: bool, refused: int) -> None:
    """One crawl sees all, at the rate that is allowed, with no minute overdrawn.

    Where only a 429 tells, what is under way then is too much; where that says no more, what finds out when
    there are answers again is too.
    """
    transport = Limited(fill(), tells, is_silent=is_silent)
    await crawl(transport)
    assert ALLOWED == max(transport.answered.values())
    assert max(transport.refused.values(), default=0) <= refused


@pytest.mark.parametrize(("pulls_only", "most"), [(True, HOURS), (False, 3 * HOURS)])
async def test_less_than_a_batch_an_hour(pulls_only: bool, most: int) -> None:
    """What a crawl got before a limit stopped it is not got again by the next, in another process.

    Where only pulls count, none is made twice. Else configs and lists count too, and what was asked in vain:
    all of the first hour, and little of the others.
    """
    registry = SampleRegistry(supports_referrers=False)
    for number in range(HOURS * ALLOWED):
        push(registry, "team/app", image(f"{number}"), f"v{number}")
    transport = Hourly(registry, pulls_only=pulls_only)
    store = open_store(":memory:")
    with store.transaction() as db:
        (key,) = set_registries(db, [ConfiguredRegistry(NAME, URL, "oci")], loop_clock())
    hours = known = 0
    while known < HOURS * ALLOWED and hours < most:
        async with RegistryClient(RegistrySettings(url=URL), transport, clock=loop_clock) as client:
            report = await Crawler(Upstream(client, store, key, loop_clock)).crawl()
        hours += 1
        with store.transaction() as db:
            known = len([each for each in load_known(db, 1).artifacts.values() if each.has_manifest])
        await asyncio.sleep(report.retry_after or 0)
    store.close()
    assert HOURS * ALLOWED == known
    assert not pulls_only or HOURS * ALLOWED == len(transport.pulls)


@pytest.mark.parametrize(("burst", "concurrency"), [(1, 16), (5, 16), (10, 16), (5, 1)])
async def test_one_a_second(burst: int, concurrency: int) -> None:
    """Where a second allows one request the crawl finds that out, and goes on at that rate in one go."""
    transport = Bucket(fill(), burst)
    await crawl(transport, concurrency)
    first, *later = [transport.refused[minute] for minute in sorted(transport.answered)]
    assert first <= 16 + 12
    # After the first minute a refusal is how it finds out whether more is allowed by now.
    assert max(later) <= ALLOWED // 10

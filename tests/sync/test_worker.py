"""Crawls that go on in the background: when they begin, and what ends them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from builders import make_image
from fakes.sync_rig import Rig, open_rig, push
from graph.sample import Answer
from graph.sync.freshness import FIRST_BACK_OFF
from graph.sync.worker import Worker

pytestmark = pytest.mark.anyio

INTERVAL = 900.0


class Waits:
    """Waiting that takes no time: it moves the clock, and after so many waits never ends."""

    def __init__(self, rig: Rig, count: int) -> None:
        self.seconds: list[float] = []
        self.reached = asyncio.Event()
        self._rig = rig
        self._count = count

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(round(seconds, 1))
        self._rig.clock.advance(seconds)
        if len(self.seconds) == self._count:
            self.reached.set()
            await asyncio.Event().wait()


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[None]:
    """A worker that works meanwhile."""
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()


def worker_of(*rigs: Rig, sleep: Waits) -> Worker:
    intervals = {rig.upstream.client.name: INTERVAL for rig in rigs}
    return Worker([rig.crawler for rig in rigs], intervals=intervals, sleep=sleep, chance=lambda: 0.0)


async def test_crawls_come_at_an_interval(rig: Rig) -> None:
    """A registry that was never crawled is crawled at once, and then an interval after each end."""
    push(rig.registry, "web", make_image(), "v1")
    waits = Waits(rig, 3)
    async with working(worker_of(rig, sleep=waits)):
        await waits.reached.wait()
    assert [INTERVAL] * 3 == waits.seconds
    assert 3 == rig.spent()["PING"]


async def test_each_registry_has_its_own_interval(rig: Rig) -> None:
    """What is waited between crawls of a registry is told by its own name, whatever others have."""
    intervals = {rig.upstream.client.name: 60.0, "other.test": INTERVAL}
    waits = Waits(rig, 2)
    async with working(Worker([rig.crawler], intervals=intervals, sleep=waits, chance=lambda: 0.0)):
        await waits.reached.wait()
    assert [60.0] * 2 == waits.seconds


async def test_a_restart_waits_for_the_rest(rig: Rig) -> None:
    """A process that starts soon after a crawl waits for the rest of the interval."""
    await rig.crawl()
    rig.clock.advance(600)
    rig.restart()
    waits = Waits(rig, 1)
    async with working(worker_of(rig, sleep=waits)):
        await waits.reached.wait()
    assert [300.0] == waits.seconds


async def test_a_crawl_that_was_cut_off_goes_on_at_once(rig: Rig) -> None:
    """A process that starts after one was killed in the middle of a crawl waits for nothing."""
    await rig.crawl()
    rig.clock.advance(10)
    crawl = asyncio.create_task(rig.crawler.crawl())
    rig.registry.hooks = {rig.registry.request_count + 2: crawl.cancel}
    await asyncio.wait({crawl})
    rig.restart()
    waits = Waits(rig, 1)
    async with working(worker_of(rig, sleep=waits)):
        await waits.reached.wait()
    assert [INTERVAL] == waits.seconds
    assert 1 == rig.spent()["PING"]


async def test_failures_back_off(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """A registry that is down is asked again after waits that double; once it is back, at the interval."""
    rig.registry.faults = lambda request: 503
    waits = Waits(rig, 5)

    def recover() -> None:
        rig.registry.faults = {}

    rig.registry.hooks = {4: recover}
    async with working(worker_of(rig, sleep=waits)):
        await waits.reached.wait()
    assert [FIRST_BACK_OFF * factor for factor in (1, 2, 4)] == waits.seconds[:3]
    assert [INTERVAL, INTERVAL] == waits.seconds[3:]
    assert 3 == caplog.text.count("REGISTRY_FAILED")


async def test_a_registry_says_how_long_to_wait(rig: Rig) -> None:
    """A wait that the registry asks for is kept where it is longer than ours."""
    rig.registry.faults = lambda request: Answer(429, (("Retry-After", "500"),))
    waits = Waits(rig, 1)
    async with working(worker_of(rig, sleep=waits)):
        await waits.reached.wait()
    assert [500.0] == waits.seconds


async def test_no_catalog_is_no_reason_to_hurry(rig: Rig) -> None:
    """A registry without a catalog is crawled at the interval."""
    rig.registry.faults = {"/v2/_catalog": 404}
    waits = Waits(rig, 2)
    async with working(worker_of(rig, sleep=waits)):
        await waits.reached.wait()
    assert [INTERVAL, INTERVAL] == waits.seconds


async def test_one_registry_delays_no_other(rig: Rig) -> None:
    """While one registry never answers another is crawled again and again."""
    async with open_rig() as stuck:
        stuck.registry.hooks = {1: asyncio.Event().wait}
        waits = Waits(rig, 4)
        async with working(worker_of(stuck, rig, sleep=waits)):
            await waits.reached.wait()
        assert (4, 1) == (rig.spent()["PING"], stuck.registry.request_count)


async def test_a_mistake_of_ours_ends_no_loop(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody foresaw is logged, and the next crawl comes."""

    def break_down() -> None:
        raise ZeroDivisionError("nobody foresaw this")

    rig.registry.hooks = {1: break_down}
    waits = Waits(rig, 2)
    caplog.set_level(logging.INFO, "graph.sync")
    async with working(worker_of(rig, sleep=waits)):
        await waits.reached.wait()
    assert [FIRST_BACK_OFF, INTERVAL] == waits.seconds
    assert "ZeroDivisionError" in caplog.text
    assert "crawled registry.example" in caplog.text


async def test_nothing_to_do() -> None:
    """Without a registry the worker ends."""
    await Worker([], intervals={}).run()

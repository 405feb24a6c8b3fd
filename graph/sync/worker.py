"""Crawl every registry again and again, each in a loop of its own.

Rules of this file: when is decided in `freshness.py`, what a crawl does in `crawl.py`. A registry that is
slow, down or throttles delays no other. A crawl that fails is tried again after a while that grows; nothing
but being cancelled ends the loop, and that may happen at any moment, since a crawl that was cut off goes on
later.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from graph.errors import GraphError
from graph.store.registries import load_registry_statuses
from graph.store.rows import SyncState
from graph.store.visibility import Visibility
from graph.sync.crawl import Crawler
from graph.sync.freshness import wait_before_crawl
from graph.sync.report import CrawlReport

logger = logging.getLogger("graph.sync")


class Worker:
    """Keeps the store up with the registries while `run` runs."""

    def __init__(
        self,
        crawlers: Sequence[Crawler],
        *,
        intervals: Mapping[str, float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`intervals`: by the name of each registry, seconds from the end of one crawl to the next."""
        self._crawlers = crawlers
        self._intervals = intervals
        self._sleep = sleep
        self._chance = chance

    async def run(self) -> None:
        """Crawl until cancelled; then what is under way is cut off, and goes on at the next start."""
        async with asyncio.TaskGroup() as group:
            for crawler in self._crawlers:
                group.create_task(self._keep_up(crawler))

    async def _keep_up(self, crawler: Crawler) -> None:
        failures = 0
        retry_after = 0.0
        finished_at = await self._finished_at(crawler)
        while True:
            wait = wait_before_crawl(
                finished_at,
                crawler.upstream.clock(),
                interval=self._intervals[crawler.upstream.client.name],
                failures=failures,
                chance=self._chance(),
            )
            if max(wait, retry_after) > 0:
                await self._sleep(max(wait, retry_after))
            report = await _crawl(crawler)
            # A crawl that looked at all it knows has ended, even where there is no catalog to read.
            # One that was stopped after it had come further is a first failure, whatever was before.
            before = 0 if report is not None and report.has_progressed else failures
            failures = before + 1 if report is None or report.is_stopped else 0
            retry_after = report.retry_after or 0.0 if report is not None else 0.0
            finished_at = crawler.upstream.clock()

    async def _finished_at(self, crawler: Crawler) -> datetime | None:
        """When the last crawl ended, by this process or one before; None when one is due."""
        upstream = crawler.upstream
        try:
            async with upstream.store.snapshot() as snapshot:
                statuses = await snapshot.read(
                    load_registry_statuses, Visibility.everything(), [upstream.key]
                )
        except GraphError:
            logger.exception("the state of %s could not be read", upstream.client.name)
            return None
        status = statuses[0]
        return status.sync_finished_at if status is not None and status.sync_state is SyncState.IDLE else None


async def _crawl(crawler: Crawler) -> CrawlReport | None:
    """Crawl once; None when that could not be written down, or for a mistake of ours."""
    name = crawler.upstream.client.name
    try:
        report = await crawler.crawl()
    except Exception:
        logger.exception("the crawl of %s broke off", name)
        return None
    if report.failure is not None:
        logger.warning("the crawl of %s failed: %s: %s", name, report.failure.code, report.failure.message)
    else:
        logger.info(
            "crawled %s: %d repositories, %d tags, %d requests in %.1f s",
            name,
            report.repositories,
            report.tags,
            report.requests,
            report.elapsed,
        )
    return report

"""Crawl a registry: its catalog, then every repository, several at a time; go on where a crawl was cut off.

Rules of this file: it walks and counts; a repository is looked at by `repository.py`. One repository that
fails never stops another, nor does one that is throttled: `queue.py` tells when it is the registry as a whole
that wants fewer requests. That stops a crawl, and so does a registry that does not answer: after a repository
that ended in silence it is asked whether it is there at all. A crawl that was stopped or killed loses
nothing; the next one begins with the repositories that it left.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from datetime import datetime

from graph.errors import (
    ContentError,
    GraphError,
    RegistryDeniedError,
    RegistryError,
    RegistryThrottledError,
    StoreError,
)
from graph.oci.reference import RepositoryName
from graph.registry.capability import Capability, CapabilityState
from graph.store.changes import Failure
from graph.store.observations import (
    count_progress,
    finish_crawl,
    pending_repositories,
    repositories_missing_since,
    set_capabilities,
    set_progress,
    start_crawl,
)
from graph.sync.catalog import find_named, observe_catalog
from graph.sync.freshness import age_of
from graph.sync.patience import failure_of
from graph.sync.queue import Queue
from graph.sync.report import CrawlReport, Progress, Tally
from graph.sync.repository import crawl_repository, leave_repository
from graph.sync.tags import InCatalog
from graph.sync.upstream import Upstream

logger = logging.getLogger("graph.sync")

# Repositories looked at at once. Most have few tags and are a chain of five or six requests, so that it takes
# more of them than the client has connections (16 unless set otherwise) to keep those busy. What they write
# at the same time shares a transaction: of repositories of one image each, 64 at once take 12 % less of the
# processor than 32.
REPOSITORIES_AT_ONCE = 64

# Repositories read from the store at a time.
PENDING_PAGE = 500

# Repositories between two writes of how far the crawl is.
PROGRESS_STEP = 20

LEFT = Failure(
    RegistryThrottledError.code,
    "the registry wants fewer requests of the repositories beside it; this one is for the next crawl",
)


class Crawler:
    """Crawls one registry, one crawl at a time."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._stopped_since: datetime | None = None  # when the crawl began that was stopped half-way
        self._refused: set[str] = set()  # places (queue.py)
        self._probed_at: datetime | None = None  # when it was last found out whether it lists referrers

    @property
    def upstream(self) -> Upstream:
        """The registry that is crawled."""
        return self._upstream

    async def crawl(self, progress: Callable[[Progress], None] | None = None) -> CrawlReport:
        """Look at the whole registry; `progress` is called after each repository.

        A registry that fails is reported, not raised. When cancelled, the next crawl goes on.

        Raises StoreError when what is seen cannot be written down.
        """
        upstream = self._upstream
        began = upstream.clock()
        point = await upstream.store.write(start_crawl, upstream.key, began)
        since = self._stopped_since or point.started_at
        is_probed = self._forget_probe(began)
        is_resumed = point.is_resumed or since < began
        run = _Crawl(
            upstream,
            since,
            is_resumed=is_resumed,
            is_careful=is_resumed or point.was_throttled,
            refused=self._refused,
            progress=progress,
        )
        stopped: RegistryError | None = None
        try:
            failure = await run.crawl()
            self._stopped_since = None
            self._refused = run.refused
        except RegistryError as error:
            stopped, failure = error, failure_of(error)
            # One that came no further leaves the next nothing to go on with: all have a turn again, those
            # last that were refused.
            self._stopped_since = since if run.has_progressed else None
            self._refused |= run.refused
        if not is_probed and self._lists_referrers is not CapabilityState.UNKNOWN:
            self._probed_at = began
        capabilities = {str(name): str(state) for name, state in upstream.client.capabilities.items()}
        await upstream.store.write(set_capabilities, upstream.key, capabilities)
        finished_at = upstream.clock()
        await upstream.store.write(finish_crawl, upstream.key, finished_at, failure)
        tally = run.tally
        return CrawlReport(
            registry=upstream.client.name,
            started_at=began,
            finished_at=finished_at,
            is_resumed=point.is_resumed,
            is_stopped=stopped is not None,
            has_progressed=run.has_progressed,
            retry_after=None if stopped is None else stopped.retry_after,
            failure=failure,
            repositories=tally.repositories_done,
            repositories_failed=tally.repositories_failed,
            tags=tally.tags,
            manifests=tally.manifests,
            requests=run.requests,
            heads_without_digest=tally.heads_without_digest,
            names_dropped=run.names_dropped,
            troubles=tuple(tally.troubles),
            trouble_counts=dict(tally.trouble_counts),
        )

    @property
    def _lists_referrers(self) -> CapabilityState:
        return self._upstream.client.capabilities[Capability.REFERRERS]

    def _forget_probe(self, now: datetime) -> bool:
        """Let a registry that had no referrers API be asked again one day; tell whether it is known."""
        client = self._upstream.client
        if (
            self._lists_referrers is CapabilityState.UNSUPPORTED
            and client.dialect.capabilities[Capability.REFERRERS] is CapabilityState.UNKNOWN
            and self._probed_at is not None
            and age_of(self._probed_at, now) >= self._upstream.referrers_max_age
        ):
            client.capabilities[Capability.REFERRERS] = CapabilityState.UNKNOWN
        return self._lists_referrers is not CapabilityState.UNKNOWN


class _Crawl:
    """One crawl, from the ping to the last repository that was not finished `since` then."""

    def __init__(
        self,
        upstream: Upstream,
        since: datetime,
        *,
        is_resumed: bool,
        is_careful: bool,
        refused: Collection[str],
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.tally = Tally()
        self._upstream = upstream
        self._since = since
        self._is_resumed = is_resumed
        self._is_careful = is_careful
        self._progress = progress
        self._began = upstream.clock()
        self._requests = upstream.client.ledger.total
        self._dropped = upstream.client.dropped
        self._done_before = 0  # repositories that a crawl which this one goes on with has finished
        self._total = 0  # those, and what was left
        # What a complete catalog does not name; None: it is not complete.
        self._missing: set[int] | None = None
        self._queue = Queue(refused)
        self._workers = 0
        self._is_over = False  # one of them has raised what ends the crawl
        self._finished = 0  # repositories, without those that failed
        self._last_refusal: RegistryThrottledError | None = None
        self._last_key = 0
        self._is_read = False
        self._reading = asyncio.Lock()
        self._pinging = asyncio.Lock()

    @property
    def requests(self) -> int:
        """Requests made since it began."""
        return self._upstream.client.ledger.total - self._requests

    @property
    def names_dropped(self) -> int:
        """Listed since it began, and no names that the specification allows."""
        return self._upstream.client.dropped - self._dropped

    async def crawl(self) -> Failure | None:
        """Return why the catalog could not be read, if it could not; raise what stopped the crawl."""
        refusal: RegistryError | None = await self._ping()
        failure = await self._observe_catalog()
        async with self._upstream.store.snapshot() as snapshot:
            self._done_before, self._total = await snapshot.read(
                count_progress, self._upstream.key, self._since
            )
        await self._write_progress()
        self._tell()
        # Those that the settings name and nobody has seen: they have no row before they are seen.
        known = set(await find_named(self._upstream))
        self._queue.put([(None, name) for name in self._upstream.selection.named if name not in known])
        self._upstream.pace.begin(is_careful=self._is_careful)
        await self._work_together()
        self._leave()
        refusal = self._last_refusal or refusal
        if refusal is not None and not self.has_progressed:
            raise refusal
        await self._write_progress()
        return failure

    async def _ping(self) -> RegistryDeniedError | None:
        """Find out whether the registry is there; return that it refuses us, where that decides nothing.

        zuul-registry gives who has no login tokens for repositories alone, and so refuses to answer a ping,
        which docker takes for an answer. Repositories that the settings name are asked for all the same.
        """
        upstream = self._upstream
        try:
            await upstream.client.ping()
        except RegistryDeniedError as error:
            identity = await upstream.client.identify()
            if identity.credentials is not None or not upstream.selection.named:
                raise
            return error
        return None

    @property
    def refused(self) -> set[str]:
        """The places that the registry wanted fewer requests of."""
        return self._queue.refused

    @property
    def has_progressed(self) -> bool:
        """Whether any repository was looked at to its end."""
        return self._finished > 0

    async def _work_together(self) -> None:
        """Look at what is left, by as many workers as the pace allows: after a kill by few at first."""

        async def work() -> None:
            try:
                while not self._is_over and (repository := await self._next()) is not None:
                    await self._look_at(*repository)
                    hire()
            except BaseException:
                # Who ends just now must not hire: the group takes nobody any more.
                self._is_over = True
                raise
            self._workers -= 1

        def hire() -> None:
            while not self._is_over and self._workers < self._upstream.pace.looks(REPOSITORIES_AT_ONCE):
                self._workers += 1
                group.create_task(work())

        try:
            async with asyncio.TaskGroup() as group:
                hire()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def _leave(self) -> None:
        """Tell of what is not looked at since others of its place were refused."""
        for _, name in self._queue.left:
            self.tally.repositories_done += 1
            self.tally.repositories_failed += 1
            self.tally.add_trouble(name, "", LEFT)

    async def _next(self) -> tuple[int | None, RepositoryName] | None:
        async with self._reading:
            while (repository := self._queue.take()) is None and not self._is_read:
                async with self._upstream.store.snapshot() as snapshot:
                    page = await snapshot.read(
                        pending_repositories, self._upstream.key, self._since, self._last_key, PENDING_PAGE
                    )
                chosen = set(filter(self._upstream.selection.admits, (name for _, name in page)))
                self._queue.put([entry for entry in page if entry[1] in chosen])
                for key, name in page:
                    if name not in chosen:
                        await leave_repository(self._upstream, key, name)
                self._is_read = len(page) < PENDING_PAGE
                self._last_key = page[-1][0] if page else self._last_key
            return repository or self._queue.take_last()

    async def _look_at(self, key: int | None, name: RepositoryName) -> None:
        tally = self.tally
        error = await self._crawl_repository(key, name)
        if error is not None:
            tally.repositories_failed += 1
            tally.add_trouble(name, "", failure_of(error))
            await self._stop_if_down(name, error)
        else:
            self._finished += 1
            self._queue.answer(name)
        tally.repositories_done += 1
        self._total = max(self._total, self._done)
        self._tell()
        if tally.repositories_done % PROGRESS_STEP == 0:
            await self._write_progress()

    async def _observe_catalog(self) -> Failure | None:
        try:
            began = await observe_catalog(self._upstream)
        except RegistryThrottledError:
            raise
        except (RegistryError, ContentError) as error:
            # What is known already can be looked at without it.
            return failure_of(error)
        async with self._upstream.store.snapshot() as snapshot:
            missing = await snapshot.read(repositories_missing_since, self._upstream.key, began)
        self._missing = {key for key, _ in missing}
        return None

    def _in_catalog(self, key: int | None) -> InCatalog:
        if self._missing is None or key is None:
            return InCatalog.UNKNOWN
        return InCatalog.MISSING if key in self._missing else InCatalog.LISTED

    async def _crawl_repository(self, key: int | None, name: RepositoryName) -> GraphError | None:
        try:
            return await crawl_repository(
                self._upstream,
                key,
                name,
                self.tally,
                in_catalog=self._in_catalog(key),
                since=self._since if self._is_resumed else None,
            )
        except StoreError:
            raise
        except Exception:
            # A mistake of ours that one repository brings out must not hide all the others.
            logger.exception("looking at the repository %s failed", name)
            return GraphError("this program made a mistake with this repository; its log tells which")

    async def _stop_if_down(self, name: RepositoryName, error: GraphError) -> None:
        if isinstance(error, RegistryThrottledError):
            self._last_refusal = error
            if self._queue.refuse(name):
                raise error
            return
        self._queue.answer(name)
        if isinstance(error, RegistryError) and error.retryable:
            async with self._pinging:
                await self._ping()

    @property
    def _done(self) -> int:
        return self._done_before + self.tally.repositories_done

    async def _write_progress(self) -> None:
        await self._upstream.store.write(set_progress, self._upstream.key, self._done, self._total)

    def _tell(self) -> None:
        if self._progress is None:
            return
        tally = self.tally
        self._progress(
            Progress(
                repositories_done=self._done,
                repositories_total=self._total,
                tags=tally.tags,
                manifests=tally.manifests,
                requests=self.requests,
                elapsed=age_of(self._began, self._upstream.clock()),
            )
        )

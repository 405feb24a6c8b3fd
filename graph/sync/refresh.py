"""Refresh one thing on demand: a repository, a tag, the catalog, or what refers to an artifact.

Rules of this file: whoever asks for the same thing at the same time shares one task, its answer and its
error. An asker waits a bounded time; the task goes on when all of them have given up, since what it learns
is wanted. Where the registry has said that it will not answer within that time, of itself or of such a
question about this place (refusals.py), nobody waits and none is begun. The number of tasks is bounded for
each registry by itself, so that one that does not answer takes no other's, and nothing is queued: an asker
who is refused answers from the store.
"""

import asyncio
import logging
from collections.abc import Coroutine, Hashable, Iterable
from typing import Any

from graph.errors import (
    GraphError,
    NotObservedError,
    RegistryThrottledError,
    RegistryUnreachableError,
    UnknownRegistryError,
)
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.sync.catalog import observe_catalog
from graph.sync.condition import Condition
from graph.sync.queue import place_of
from graph.sync.refusals import Refusals
from graph.sync.repository import refresh_referrers, refresh_repository, refresh_tag
from graph.sync.upstream import Upstream

logger = logging.getLogger("graph.sync")

# Tasks at once for one registry: six requests of ten refreshes each. What all of them may hold in memory is
# bounded by sync.content.
MAX_REFRESHES = 64


class Refresher:
    """Asks registries on behalf of those who read the store.

    Every method returns when what was learned is stored, and raises what the registry's refusal means.
    """

    def __init__(
        self, upstreams: Iterable[Upstream], *, timeout: float = 10.0, max_refreshes: int = MAX_REFRESHES
    ) -> None:
        """`timeout`: seconds that one asker waits; `max_refreshes`: at once, for each registry."""
        self._upstreams = {upstream.key: upstream for upstream in upstreams}
        self._timeout = timeout
        self._max_refreshes = max_refreshes
        self._tasks: dict[int, dict[Hashable, asyncio.Task[GraphError | None]]] = {
            key: {} for key in self._upstreams
        }
        self._refusals = {key: Refusals() for key in self._upstreams}

    def condition_of(self, registry_key: int) -> Condition:
        """How the registry answers now."""
        return self._upstream(registry_key).condition

    async def refresh_repository(self, registry_key: int, name: RepositoryName) -> None:
        """Look at the tags of the repository, at what they name, and at whether what is untagged is there.

        Raises RegistryUnknownError for a repository that the registry does not show.
        """
        upstream = self._chosen(registry_key, name)
        refresh = refresh_repository(upstream, name)
        await self._share(registry_key, ("repository", name), refresh, place_of(name))

    async def refresh_tag(self, registry_key: int, name: RepositoryName, tag: TagName) -> None:
        """Look at what one tag names.

        A tag that is gone from a known repository is no error. Raises RegistryUnknownError for one of a
        repository that nobody knows.
        """
        upstream = self._chosen(registry_key, name)
        refresh = refresh_tag(upstream, name, tag)
        await self._share(registry_key, ("tag", name, tag), refresh, place_of(name))

    async def refresh_catalog(self, registry_key: int) -> None:
        """Look at which repositories there are; nothing is asked about any of them.

        Raises RegistryUnsupportedError where there is no catalog.
        """
        upstream = self._upstream(registry_key)
        await self._share(registry_key, ("catalog",), observe_catalog(upstream))

    async def refresh_referrers(self, registry_key: int, name: RepositoryName, digest: Digest) -> None:
        """Look at what refers to an artifact that is known.

        Raises NotObservedError where it is not, RegistryUnsupportedError where the registry does not tell.
        """
        upstream = self._chosen(registry_key, name)
        refresh = refresh_referrers(upstream, name, digest)
        await self._share(registry_key, ("referrers", name, digest), refresh, place_of(name))

    async def aclose(self) -> None:
        """End what is under way; those who wait for it are told that it was not done."""
        tasks = [task for tasks in self._tasks.values() for task in tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _chosen(self, registry_key: int, name: RepositoryName) -> Upstream:
        """Return whom to ask about the repository; raise NotObservedError where the settings leave it out."""
        upstream = self._upstream(registry_key)
        if not upstream.selection.admits(name):
            raise NotObservedError(f"the settings of {upstream.client.name} leave {name} out")
        return upstream

    def _upstream(self, registry_key: int) -> Upstream:
        try:
            return self._upstreams[registry_key]
        except KeyError:
            raise UnknownRegistryError("no registry with this key is configured") from None

    async def _run(
        self, registry_key: int, question: str, refresh: Coroutine[Any, Any, object]
    ) -> GraphError | None:
        error = await _as_value(refresh)
        upstream = self._upstreams[registry_key]
        # Where only pulls are counted, all else is worth asking.
        counts_pulls_only = any(each.counts_pulls_only for each in upstream.client.allowances.values())
        if isinstance(error, RegistryThrottledError) and error.retry_after and not counts_pulls_only:
            self._refusals[registry_key].note(question, upstream.clock(), error.retry_after)
        return error

    async def _share(
        self,
        registry_key: int,
        what: tuple[str, *tuple[Hashable, ...]],
        refresh: Coroutine[Any, Any, object],
        place: str = "",
    ) -> None:
        tasks = self._tasks[registry_key]
        client = self._upstreams[registry_key].client
        task = tasks.get(what)
        question = f"{what[0]} {place}"
        refused = self._refusals[registry_key].wait(question, self._upstreams[registry_key].clock())
        if (wait := max(client.held_for, refused)) > self._timeout:
            refresh.close()
            raise RegistryThrottledError(
                f"{client.name} wants no request for {wait:.0f} s", registry=client.name, retry_after=wait
            )
        if task is None and len(tasks) < self._max_refreshes:
            task = asyncio.create_task(self._run(registry_key, question, refresh))
            tasks[what] = task
            task.add_done_callback(lambda _: tasks.pop(what))
        else:
            refresh.close()
        if task is None:
            raise RegistryUnreachableError(
                f"{self._max_refreshes} refreshes of the registry are under way; try again"
            )
        # Not wait_for: that would cancel what others wait for.
        done, _ = await asyncio.wait({task}, timeout=self._timeout)
        if not done:
            raise RegistryUnreachableError(
                f"the registry did not answer within {self._timeout:g} s; the refresh goes on"
            )
        if task.cancelled():
            raise RegistryUnreachableError("the refresh was ended before it was done")
        error = task.result()
        if error is not None:
            raise error


async def _as_value(refresh: Coroutine[Any, Any, object]) -> GraphError | None:
    """Return the error, so that none is lost when nobody waits any more, and all who do get it."""
    try:
        await refresh
    except GraphError as error:
        return error
    except Exception:
        logger.exception("a refresh failed")
        return GraphError("this program made a mistake in a refresh; its log tells which")
    return None

"""Look at one repository, all of it or one thing in it: the order of the questions, and what ends them.

Rules of this file: the order makes each request the only one of its kind. All tags come before the children
of indexes (a child may be tagged), what is untagged after that (a tag may have moved away from it),
referrers last (nobody lists those of what is gone). A manifest that cannot be had is recorded and the look
goes on; a registry that does not answer ends it. Whatever ends it, what was seen until then is written
down.
"""

from datetime import datetime

from graph.errors import (
    ContentError,
    GraphError,
    NotObservedError,
    RegistryError,
    RegistryUnknownError,
    RegistryUnsupportedError,
)
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.registry.entries import ListedTag
from graph.store.changes import Failure
from graph.store.repositories import find_repositories
from graph.store.visibility import Visibility
from graph.sync.look import Look
from graph.sync.manifests import observe_manifests
from graph.sync.patience import failure_of
from graph.sync.report import Tally
from graph.sync.tags import InCatalog, observe_named, observe_tags
from graph.sync.untagged import (
    list_referrers,
    may_list_referrers,
    observe_children,
    observe_referrers,
    observe_roots,
)
from graph.sync.upstream import Upstream


async def crawl_repository(
    upstream: Upstream,
    key: int | None,
    name: RepositoryName,
    tally: Tally,
    *,
    in_catalog: InCatalog,
    since: datetime | None,
) -> GraphError | None:
    """Look at all of the repository; return why that was not possible, if it was not.

    `since`: when the crawl began, where it goes on with one that was cut off. What was observed since is not
    asked again; and a look may have ended after it wrote down an index and before it saw its children.
    Raises StoreError only.
    """
    async with upstream.turn(name):
        look = Look(upstream, key, name, tally, since=since)
        await look.load()
        try:
            error = await _observe(look, in_catalog, with_referrers=True)
        except (RegistryError, ContentError) as raised:
            if isinstance(raised, RegistryUnknownError) and in_catalog is InCatalog.MISSING:
                await look.finish(is_absent=True)
                return None
            error = raised
        await look.finish(is_finished=error is None, failure=None if error is None else failure_of(error))
        return error


async def leave_repository(upstream: Upstream, key: int, name: RepositoryName) -> None:
    """Note that the settings leave the repository out: it is absent here, whatever the registry holds."""
    async with upstream.turn(name):
        await Look(upstream, key, name, Tally()).finish(is_absent=True)


async def refresh_repository(upstream: Upstream, name: RepositoryName) -> None:
    """Look at the repository as a later crawl does, but for the lists of referrers.

    Raises RegistryError or ContentError when that was not possible, after writing it down.
    """
    async with upstream.turn(name):
        look = await _begin(upstream, name)
        try:
            error = await _observe(look, InCatalog.UNKNOWN, with_referrers=False)
        except (RegistryError, ContentError) as raised:
            error = raised
        await look.finish(failure=None if error is None else failure_of(error))
        if error is not None:
            raise error


async def refresh_tag(upstream: Upstream, name: RepositoryName, tag: TagName) -> None:
    """Look at what one tag names, and at the children if that is an index not seen before.

    Raises RegistryUnknownError when neither the store nor the registry knows the tag's repository, and
    RegistryError or ContentError when there was no answer.
    """
    async with upstream.turn(name):
        look = await _begin(upstream, name)
        seen_before = look.present()
        seen = await observe_named(look, [ListedTag(tag)], is_listed=False)
        error = look.patience.last_error  # of the tag: what comes next may fail for reasons of its own
        await look.load()
        await observe_children(look, seen_before)
        await look.finish()
        if not isinstance(seen.get(tag), Failure) or error is None:
            return
        if look.is_known and isinstance(error, RegistryUnknownError):
            return
        raise error


async def refresh_referrers(upstream: Upstream, name: RepositoryName, digest: Digest) -> None:
    """Look at what refers to an artifact that is known, and at what these refer to no further.

    Raises NotObservedError where it is not known, RegistryUnsupportedError where the registry does not tell,
    RegistryError or ContentError when there was no answer.
    """
    async with upstream.turn(name):
        look = await _begin(upstream, name)
        seen_before = look.present()
        if digest not in seen_before:
            raise NotObservedError(f"{name}@{digest} is not known to be there")
        if not may_list_referrers(look):
            raise RegistryUnsupportedError(f"{upstream.client.name} does not list referrers")
        is_listed = await list_referrers(look, [digest])
        error = look.patience.last_error  # of the list: what comes next may fail for reasons of its own
        await look.load()
        await observe_children(look, seen_before)
        await look.finish()
        if not is_listed and error is not None:
            raise error


async def _begin(upstream: Upstream, name: RepositoryName) -> Look:
    async with upstream.store.snapshot() as snapshot:
        rows = await snapshot.read(find_repositories, Visibility.everything(), [(upstream.key, name)])
    look = Look(upstream, rows[0].key if rows[0] is not None else None, name, Tally())
    await look.load()
    return look


async def _observe(
    look: Look, in_catalog: InCatalog, *, with_referrers: bool
) -> RegistryError | ContentError | None:
    """See all of it; return why the list of tags was cut short, if it was."""
    seen_before = look.present() if look.since is None else set()
    cut_short = await observe_tags(look, in_catalog)
    is_told = await observe_manifests(look)
    await look.load()
    if not is_told:
        await observe_children(look, seen_before)
        await observe_roots(look)
    if with_referrers:
        await observe_referrers(look, seen_before)
    return cut_short

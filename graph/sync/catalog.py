"""Look at a registry's catalog: which repositories there are.

Rules of this file: a name is written down as soon as its page came, whether the list is cut short later or
not. A repository that the catalog does not name is not absent by that: distribution 3.0 on S3 skips some
silently, so it takes its own list of tags to confirm it (`repository.py`).
"""

from collections.abc import Collection
from datetime import datetime

from graph.oci.reference import RepositoryName
from graph.store.observations import set_catalog_complete, set_catalog_page
from graph.store.repositories import find_repositories
from graph.store.visibility import Visibility
from graph.sync.upstream import Upstream


async def observe_catalog(upstream: Upstream) -> datetime:
    """Write down the whole catalog, but for what the settings leave out; return when the reading began: what
    was not named since is not in it.

    Where the settings name all repositories, theirs is the catalog and the registry is not asked; one that
    nobody has seen yet is written down by the look at it, if it is there.

    Raises RegistryError or ContentError when there is no catalog, or it was cut short.
    """
    began = upstream.clock()
    selection = upstream.selection
    if selection.is_named:
        known = await find_named(upstream)
        await upstream.store.write(set_catalog_page, upstream.key, list(known), began)
    else:
        async for names in upstream.client.list_repositories():
            chosen = [name for name in names if selection.admits(name)]
            await upstream.store.write(set_catalog_page, upstream.key, chosen, began)
    await upstream.store.write(set_catalog_complete, upstream.key, began)
    upstream.catalogs[upstream.key] = began
    return began


async def find_named(upstream: Upstream) -> Collection[RepositoryName]:
    """Return those repositories that the settings name which the store knows."""
    named = upstream.selection.named
    if not named:
        return []
    async with upstream.store.snapshot() as snapshot:
        rows = await snapshot.read(
            find_repositories, Visibility.everything(), [(upstream.key, name) for name in named]
        )
    return [name for name, row in zip(named, rows, strict=True) if row is not None]

"""Look at a registry's catalog: which repositories there are.

Rules of this file: a name is written down as soon as its page came, whether the list is cut short later or
not. A repository that the catalog does not name is not absent by that: distribution 3.0 on S3 skips some
silently, so it takes its own list of tags to confirm it (`repository.py`).
"""

from datetime import datetime

from graph.store.observations import set_catalog_complete, set_catalog_page
from graph.sync.upstream import Upstream


async def observe_catalog(upstream: Upstream) -> datetime:
    """Write down the whole catalog; return when the reading began: what was not named since is not in it.

    Raises RegistryError or ContentError when there is no catalog, or it was cut short.
    """
    began = upstream.clock()
    async for names in upstream.client.list_repositories():
        await upstream.store.write(set_catalog_page, upstream.key, names, began)
    await upstream.store.write(set_catalog_complete, upstream.key, began)
    upstream.catalogs[upstream.key] = began
    return began

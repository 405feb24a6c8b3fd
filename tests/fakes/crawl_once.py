"""Crawl the registry at a URL into a store once, as a process of its own: `crawl_once.py STORE URL`.

Prints the report. The client is the one of production, over a real socket.
"""

import asyncio
import sys
from datetime import UTC, datetime

from graph.registry.client import RegistryClient
from graph.settings import RegistrySettings
from graph.store.changes import ConfiguredRegistry
from graph.store.engine import open_store
from graph.store.observations import set_registries
from graph.sync.crawl import Crawler
from graph.sync.upstream import Upstream


def now() -> datetime:
    return datetime.now(UTC)


async def main(path: str, url: str) -> None:
    store = open_store(path)
    try:
        # One name whatever the port: a second server is the same registry.
        async with RegistryClient(RegistrySettings(url=url, name="registry.example")) as client:
            registries = [ConfiguredRegistry(client.name, url, "oci")]
            (key,) = await store.write(set_registries, registries, now())
            print(await Crawler(Upstream(client, store, key, now)).crawl())
    finally:
        store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

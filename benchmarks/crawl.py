"""Measure a first crawl of Debian's docker-registry against fetching the same URLs with bare aiohttp.

    PYTHONPATH=.:tests .venv/bin/python -m benchmarks.crawl [REPOSITORIES] [TAGS] [ROUNDS]

Needs `docker-registry` (apt-get install docker-registry). Prints a Markdown table: the medians of alternating
rounds, and their ratio. Both sides have the same number of connections; the bare side fetches what a crawl
asks for (tag lists, manifests by tag, configs), knows every URL before, and parses and keeps nothing.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from benchmarks.report import print_head, print_row
from builders import OCI_MANIFEST, make_image
from graph.app import crawl
from graph.settings import load_settings
from live.rigs import docker_registry
from live.seeding import push

CONCURRENCY = 16


def fill(url: str, repositories: int, tags: int) -> list[str]:
    """Push images without layers, each with a config of its own; every URL that a first crawl gets."""
    urls = [f"{url}/v2/", f"{url}/v2/_catalog?n=1000"]
    for repository in range(repositories):
        name = f"team/app-{repository}"
        urls.append(f"{url}/v2/{name}/tags/list?n=1000")
        for tag in range(tags):
            image = make_image([], author=f"{name}:v{tag}")
            push(url, name, image, f"v{tag}")
            (config,) = image.blobs
            urls += [f"{url}/v2/{name}/manifests/v{tag}", f"{url}/v2/{name}/blobs/{config.digest}"]
    return urls


async def fetch_bare(urls: list[str]) -> float:
    """Seconds to get all of them with nothing but aiohttp."""
    waiting = iter(urls)
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    began = time.perf_counter()
    async with aiohttp.ClientSession(connector=connector, headers={"Accept": OCI_MANIFEST}) as session:

        async def work() -> None:
            for url in waiting:
                async with session.get(url) as reply:
                    await reply.read()
                    reply.raise_for_status()

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    return time.perf_counter() - began


async def crawl_once(url: str) -> tuple[float, int]:
    """Seconds and requests of a first crawl into an empty store."""
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings(
            {
                "registries": [{"url": url, "concurrency": CONCURRENCY}],
                "store": str(Path(directory) / "store.sqlite3"),
            }
        )
        began = time.perf_counter()
        (report,) = await crawl(settings)
        spent = time.perf_counter() - began
    if report.failure is not None or report.trouble_counts:
        raise SystemExit(f"the crawl failed: {report.failure} {report.trouble_counts}")
    return spent, report.requests


async def compare(url: str, repositories: int, tags: int, rounds: int) -> None:
    """Print the table."""
    urls = fill(url, repositories, tags)
    bare, ours, requests = [], [], 0
    for _ in range(rounds):
        bare.append(await fetch_bare(urls))
        spent, requests = await crawl_once(url)
        ours.append(spent)
    slow, fast = statistics.median(ours), statistics.median(bare)
    print_head(["registry", "URLs", "requests of the crawl", "bare aiohttp (s)", "crawl (s)", "ratio"])
    print_row(["docker-registry", len(urls), requests, f"{fast:.2f}", f"{slow:.2f}", f"{slow / fast:.2f}"])


def main(repositories: int = 50, tags: int = 20, rounds: int = 5) -> None:
    """Run it."""
    with tempfile.TemporaryDirectory() as directory, docker_registry(Path(directory)) as url:
        asyncio.run(compare(url, repositories, tags, rounds))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

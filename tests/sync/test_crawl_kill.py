"""kill -9 in the middle of a crawl, for real: nothing stored is lost, and the next process goes on."""

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from builders import make_index, make_sbom
from fakes import crawl_once
from fakes.sync_rig import dump, image, manifests_fetched, push
from graph.sample import SampleRegistry
from graph.store.engine import open_store
from graph.store.recount import Difference, recount
from graph.sync.content import MAX_BATCH

pytestmark = pytest.mark.anyio

# Tags of the large repository: a batch and a bit.
MANY = MAX_BATCH + 100


def fill(registry: SampleRegistry) -> None:
    index = make_index([image("a"), image("a", architecture="arm64")])
    for name in ("shop/web", "shop/api"):
        push(registry, name, index, "v1")
        push(registry, name, image(name), "v2", "latest")
        push(registry, name, make_sbom(image(name)))
    for number in range(MANY):
        push(registry, "zoo/large", image(f"large {number % 7}"), f"v{number}")


@contextlib.asynccontextmanager
async def serve(registry: SampleRegistry) -> AsyncIterator[str]:
    """Serve it on a free port of the loopback interface; the URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        config = uvicorn.Config(registry, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = server.force_exit = True
            await serving


async def start(store: Path, url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        crawl_once.__file__,
        str(store),
        url,
        cwd=Path(__file__).parents[2],
        env={"PYTHONPATH": "."},
        stdout=asyncio.subprocess.PIPE,
    )


async def crawl(store: Path, url: str) -> str:
    process = await start(store, url)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


def read(store: Path) -> tuple[dict[str, list[tuple[Any, ...]]], list[Difference]]:
    opened = open_store(str(store))
    try:
        with opened.transaction() as db:
            return dump(db), recount(db)
    finally:
        opened.close()


async def test_kill_and_go_on(tmp_path: Path) -> None:
    """Killed at a request, a crawl leaves a store that is right; the next ends as if nothing had happened."""
    registry = SampleRegistry(page_size=10_000)
    fill(registry)
    async with serve(registry) as url:
        await crawl(tmp_path / "expected", url)
        expected, _ = read(tmp_path / "expected")
        for at_request in (5, 30, MAX_BATCH + 80):
            store = tmp_path / f"killed at {at_request}"
            before = await kill(registry, store, url, at_request)
            since = len(registry.requests)
            assert "is_resumed=True" in await crawl(store, url)
            after, differences = read(store)
            assert [] == differences
            assert expected == after
            manifests = {row[0] for row in before["manifests"]}
            tags = {row[:2] for row in before["tags"]}
            for repository, reference in manifests_fetched(registry.requests[since:]):
                assert reference not in manifests
                assert (repository, reference) not in tags
            large = sum(1 for repository, _ in tags if repository == "zoo/large")
            assert large in (0, MAX_BATCH)
            assert (at_request > MAX_BATCH) == (large > 0)


async def kill(
    registry: SampleRegistry, store: Path, url: str, at_request: int
) -> dict[str, list[tuple[Any, ...]]]:
    """Start a crawl, kill it when it makes that request; return what is stored then."""
    reached = asyncio.Event()

    async def hold() -> None:
        reached.set()
        await asyncio.Event().wait()

    registry.hooks = {registry.request_count + at_request: hold}
    process = await start(store, url)
    await reached.wait()
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL
    # A copy of all that the dead process left, its write-ahead log too: opening the store changes it.
    for path in store.parent.glob(f"{store.name}*"):
        shutil.copy(path, path.with_name(path.name.replace("killed", "seen")))
    before, differences = read(store.with_name(store.name.replace("killed", "seen")))
    assert [] == differences
    return before

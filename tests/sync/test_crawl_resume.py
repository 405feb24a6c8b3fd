"""A crawl that is cut off at any request goes on later, and ends as if nothing had happened."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from builders import (
    attestation_descriptor,
    make_artifact,
    make_attestation,
    make_helm_chart,
    make_index,
    make_sbom,
    make_signature,
)
from fakes.sync_rig import Clock, Rig, image, manifests_fetched, open_rig, push
from graph.sample import SampleRegistry
from graph.store.registries import load_registry_statuses
from graph.store.visibility import Visibility
from graph.sync.content import MAX_BATCH
from graph.sync.report import Progress

pytestmark = pytest.mark.anyio

WEEK = 7 * 86_400

# More than any crawl of the small registry takes.
MANY_REQUESTS = 200


def fill(registry: SampleRegistry) -> None:
    """What a crawl meets: nested and sparse indexes, attestations, referrers of referrers, a chart."""
    web = image("web")
    attestation = make_attestation(web)
    index = make_index([image("arm", architecture="arm64"), web, attestation_descriptor(attestation, web)])
    push(registry, "shop/web", attestation)
    push(registry, "shop/web", make_index([index]), "v1", "latest")
    push(registry, "shop/web", web, "amd64")
    push(registry, "shop/web", make_signature(web), str(make_signature(web).tag))
    sbom = make_sbom(web)
    push(registry, "shop/web", sbom)
    push(registry, "shop/web", make_artifact(subject=sbom))
    push(registry, "shop/api", index, "v1")
    push(registry, "shop/api", image("old"), "v0")
    sparse = make_index([image("here"), image("not here", architecture="s390x")])
    push(registry, "sparse", sparse, "v1")
    registry.delete_manifest("sparse", sparse.manifests[1].digest)
    push(registry, "charts/shop", make_helm_chart(), "0.1.0")
    registry.put_repository("empty")
    push(registry, "gone", image("gone"), "v1")


def change(registry: SampleRegistry) -> None:
    """What happens between two crawls: moves, deletions, new content, a repository that is gone."""
    push(registry, "shop/api", image("new"), "v1", "v2")
    registry.delete_tag("shop/api", "v0")
    push(registry, "shop/web", make_index([image("web"), image("new", architecture="ppc64le")]), "latest")
    registry.delete_manifest("shop/web", make_signature(image("web")).digest)
    push(registry, "shop/web", make_sbom(image("new", architecture="ppc64le")))
    push(registry, "fresh", image("old"), "v1")
    registry.delete_manifest("charts/shop", make_helm_chart().digest)
    registry.delete_repository("gone")


async def crawl_until(rig: Rig, request: int) -> bool:
    """Crawl, and cut the crawl off when it makes that request; tell whether it came so far."""
    rig.clock.advance(3600)
    crawl = asyncio.create_task(rig.crawler.crawl())
    rig.registry.hooks = {rig.registry.request_count + request: crawl.cancel}
    try:
        await crawl
    except asyncio.CancelledError:
        return True
    finally:
        rig.registry.hooks = {}
    return False


Steps: TypeAlias = list[Callable[[SampleRegistry], None]]


async def crawl_after(steps: Steps, supports_referrers: bool, store: Path) -> dict[str, Any]:
    """Fill the store by a crawl after each step; return what it holds."""
    async with open_rig(SampleRegistry(supports_referrers=supports_referrers), store=str(store)) as rig:
        for step in steps:
            step(rig.registry)
            assert (await rig.crawl()).failure is None
        assert [] == rig.recount()
        return rig.dump()


@pytest.mark.parametrize("supports_referrers", [True, False])
@pytest.mark.parametrize("steps", [[fill], [fill, change]], ids=["first", "later"])
async def test_cut_off_at_every_request(steps: Steps, supports_referrers: bool, tmp_path: Path) -> None:
    """Whichever request is the last: what is stored is right, nothing is fetched twice, the end is one."""
    expected = await crawl_after(steps, supports_referrers, tmp_path / "expected")
    await crawl_after(steps[:-1], supports_referrers, tmp_path / "before")
    for request in range(1, MANY_REQUESTS):
        registry, clock = SampleRegistry(supports_referrers=supports_referrers), Clock()
        for step in steps:
            step(registry)
        clock.advance(WEEK)
        shutil.copy(tmp_path / "before", tmp_path / str(request))
        async with open_rig(registry, store=str(tmp_path / str(request)), clock=clock) as rig:
            is_cut = await crawl_until(rig, request)
            assert [] == rig.recount()
            before = rig.dump()
            manifests = {row[0] for row in before["manifests"]}
            tags = {row[:2] for row in before["tags"] if row[2] is not None}
            rig.restart()
            since = len(rig.registry.requests)
            report = await rig.crawl()
            assert is_cut == report.is_resumed
            assert report.failure is None
            for repository, reference in manifests_fetched(registry.requests[since:]):
                held = registry.repositories.get(repository)
                is_gone = held is None or reference not in held.manifests  # asked once more, never fetched
                assert reference not in manifests or is_gone
                assert (repository, reference) not in tags
            assert [] == rig.recount()
            assert expected == rig.dump()
        if not is_cut:
            return
    raise AssertionError("the crawl never ended")


@pytest.mark.parametrize("ending", ["cut off", "throttled"])
async def test_progress_goes_on_too(ending: str) -> None:
    """What was finished before the interruption is done, of all that the crawl has to look at."""
    registry = SampleRegistry(supports_referrers=False)
    for number in range(100):
        push(registry, f"repository{number:03}", image("a"), "v1")
    async with open_rig(registry) as rig:
        if ending == "cut off":
            assert await crawl_until(rig, 150)
            rig.restart()
        else:
            registry.faults = lambda _: 429 if registry.request_count > 150 else None
            assert (await rig.crawl()).is_stopped
            registry.faults = {}
        finished = sum(1 for row in rig.dump()["repositories"] if not row[8])
        assert 0 < finished < 100
        told: list[Progress] = []
        report = await rig.crawler.crawl(told.append)
        assert 100 - finished == report.repositories
        expected = [(done, 100) for done in range(finished, 101)]
        assert expected == [(now.repositories_done, now.repositories_total) for now in told]
        (status,) = rig.read(load_registry_statuses, Visibility.everything(), [rig.key])
        assert (100, 100) == (status.repositories_done, status.repositories_total)


async def test_progress_is_there_from_the_beginning(rig: Rig) -> None:
    """As soon as the repositories are counted the store knows of how many a crawl has finished none."""
    for name in ("a", "b", "c"):
        push(rig.registry, name, image(name), "v1")
    assert await crawl_until(rig, 3)
    (status,) = rig.read(load_registry_statuses, Visibility.everything(), [rig.key])
    assert (0, 3) == (status.repositories_done, status.repositories_total)


@pytest.mark.parametrize("request_number", [1, 400, MAX_BATCH + 20, 2 * MAX_BATCH + 100, 3 * MAX_BATCH])
async def test_a_repository_loses_one_batch_at_most(request_number: int) -> None:
    """In a repository of many tags a crawl that is cut off has written down all but the last batch."""
    registry = SampleRegistry(supports_referrers=False, page_size=10_000)
    built = image("a")
    push(registry, "many", built, *(f"v{number}" for number in range(3 * MAX_BATCH)))
    async with open_rig(registry) as rig:
        assert await crawl_until(rig, request_number)
        seen = len(rig.tags("many"))
        # Ping, catalog, list of tags and a config are no tags; nor is the request that was cut off.
        assert seen >= request_number - 5 - MAX_BATCH
        assert seen % MAX_BATCH == 0
        rig.restart()
        since = len(registry.requests)
        await rig.crawl()
        assert 3 * MAX_BATCH - seen == len(manifests_fetched(registry.requests[since:]))
        assert 3 * MAX_BATCH == len(rig.tags("many"))
        assert [] == rig.recount()

"""Manifests so large that a batch is written before all of it is there."""

import pytest

from builders import Built, make_image, make_index, make_layer
from fakes.sync_rig import Rig, push, repository_name
from graph.oci.digest import Digest
from graph.store.changes import Discovery
from graph.store.content import known_manifests
from graph.sync.content import MAX_BATCH_BYTES, Batch
from graph.sync.patience import Patience

pytestmark = pytest.mark.anyio

# Bytes; three of them are more than a batch holds.
LARGE = MAX_BATCH_BYTES // 3 + 1


def large_image(seed: str) -> Built:
    return make_image([make_layer(seed)], annotations={"org.example.padding": "x" * LARGE})


async def test_a_batch_that_is_full_is_written(rig: Rig) -> None:
    """What a batch cannot hold is stored while the rest is fetched, each manifest once, and let go of."""
    images = [large_image(seed) for seed in "abcdef"]
    digests = [Digest(push(rig.registry, "web", built)) for built in images]
    async with Batch(rig.upstream, repository_name("web"), {}, Patience()) as batch:
        spent = await rig.cost(batch.get(digests, Discovery.CHILD))
        assert {"MANIFEST_GET": 6, "CONFIG": 6} == spent
        assert not batch.is_full
        assert set(digests) == set(batch.artifacts)
        assert set(digests) == rig.read(known_manifests, rig.key, digests)


async def test_a_crawl_of_large_manifests(rig: Rig) -> None:
    """Manifests that are written before their batch ends are artifacts, and counted, as all others."""
    rig.registry.supports_referrers = False
    for seed in "abc":
        push(rig.registry, "web", large_image(seed), f"v-{seed}")
    push(rig.registry, "web", make_index([large_image(seed) for seed in "def"]), "latest")
    spent, report = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_GET": 7, "CONFIG": 6, "REFERRERS": 1} == spent
    assert 7 == report.manifests
    assert 7 == len(rig.artifacts("web"))
    assert [] == rig.recount()

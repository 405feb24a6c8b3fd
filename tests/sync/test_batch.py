"""Manifests so large that a batch is written before all of it is there."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from builders import Built, make_artifact, make_image, make_index, make_layer
from fakes.sync_rig import Rig, push, repository_name
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName
from graph.registry.client import FetchedManifest, RegistryClient
from graph.registry.wire import MAX_MANIFEST_BYTES
from graph.store.changes import Discovery
from graph.store.content import known_manifests
from graph.sync.content import MAX_BATCH_BYTES, MAX_BYTES_UNDER_WAY, MAX_HELD_BYTES, Batch
from graph.sync.patience import Patience
from graph.sync.upstream import Upstream

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


async def test_what_all_hold_is_bounded(rig: Rig) -> None:
    """While all batches together hold their most, each is full with one manifest, and still gets all."""
    digests = [Digest(push(rig.registry, "web", make_image([make_layer(seed)]))) for seed in "abc"]
    rig.upstream.held_bytes = MAX_HELD_BYTES
    async with Batch(rig.upstream, repository_name("web"), {}, Patience()) as batch:
        assert not batch.is_full
        await batch.get(digests[:1], Discovery.CHILD)
        assert set(digests[:1]) == rig.read(known_manifests, rig.key, digests)
        spent = await rig.cost(batch.get(digests, Discovery.CHILD))
        assert {"MANIFEST_GET": 2, "CONFIG": 2} == spent
        assert set(digests) == rig.read(known_manifests, rig.key, digests)
    assert MAX_HELD_BYTES == rig.upstream.held_bytes


async def test_what_is_let_go_of_is_not_held(rig: Rig) -> None:
    """Bytes count as held until they are stored or given up, those of the config included."""
    image = make_image([make_layer("a")])
    digest = Digest(push(rig.registry, "web", image))
    async with Batch(rig.upstream, repository_name("web"), {}, Patience()) as batch:
        await batch.get([digest], Discovery.CHILD)
        assert len(image.data) == rig.upstream.held_bytes
        await batch.complete()
        assert len(image.data) < rig.upstream.held_bytes
    assert 0 == rig.upstream.held_bytes


class SlowClient:
    """Gives each manifest after others had time to be asked for; counts how many are under way."""

    def __init__(self, contents: Sequence[Built]) -> None:
        self.batch: Batch | None = None
        self.most = 0
        self.asked: list[str] = []
        self.asked_when_full = 0
        self._contents = {built.digest: built for built in contents}
        self._under_way = 0

    async def get_manifest(self, _: RepositoryName, digest: Digest) -> FetchedManifest:
        self.asked.append(digest)
        self.asked_when_full += self.batch is not None and self.batch.is_full
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        for _ in range(200):
            await asyncio.sleep(0)
        self._under_way -= 1
        built = self._contents[digest]
        return FetchedManifest(digest, built.media_type, built.data)


async def test_what_is_under_way_is_bounded(rig: Rig) -> None:
    """However large they are: no more manifests are under way than memory is set aside for, each asked once,
    and none is asked for while the batch is full.
    """
    contents = [make_artifact(annotations={"n": f"{n}" + "x" * (MAX_BATCH_BYTES // 20)}) for n in range(60)]
    client = SlowClient(contents)
    upstream = Upstream(cast(RegistryClient, client), rig.store, rig.key, rig.clock)
    digests = [Digest(built.digest) for built in contents]
    async with Batch(upstream, repository_name("web"), {}, Patience()) as batch:
        client.batch = batch
        await batch.get(digests, Discovery.CHILD)
        await batch.flush()
    assert MAX_BYTES_UNDER_WAY // MAX_MANIFEST_BYTES == client.most
    assert 0 == client.asked_when_full
    assert sorted(digests) == sorted(client.asked)
    assert set(digests) == rig.read(known_manifests, rig.key, digests)

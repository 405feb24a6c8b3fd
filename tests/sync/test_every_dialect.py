"""Whatever its vendor, a registry is crawled and refreshed, and tells all that its dialect declares."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from builders import make_index, make_sbom
from fakes.sync_rig import Rig, image, open_rig, push, repository_name, tag_name
from fakes.vendors import DOUBLES, TOOL, WEB, fill
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects import DIALECTS
from graph.sample import Answer, Request, SampleRegistry
from graph.sync.refresh import Refresher

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("name", DOUBLES)]

# Of a tag that was never seen to move, `changed_at` is what the registry says of its last push.
TOLD = """
SELECT t.name, COALESCE(t.pushed_at, t.changed_at, a.pushed_at) IS NOT NULL,
    COALESCE(t.locks, a.locks) IS NOT NULL
FROM tag t JOIN artifact a ON a.id = t.artifact_id JOIN repository r ON r.id = t.repository_id
WHERE r.name = :repository AND t.absent_at IS NULL
"""


@asynccontextmanager
async def crawled(name: str) -> AsyncIterator[tuple[SampleRegistry, Rig]]:
    """The vendor's double, filled, and a store that has been told of all of it."""
    double = DOUBLES[name]
    registry = double.make()
    fill(registry)
    async with open_rig(registry, dialect=double.dialect or name, **double.settings) as rig:
        report = await rig.crawl()
        assert {} == report.trouble_counts
        assert report.failure is None
        yield registry, rig


def named_by_tags() -> dict[str, str]:
    index = make_index([image("amd"), image("arm", architecture="arm64")])
    return {"v1": index.digest, "latest": index.digest, "v0": image("old").digest}


async def test_crawl(name: str) -> None:
    """All that a tag leads to is known, with the same layers as anywhere, and the counters are right."""
    async with crawled(name) as (_, rig):
        assert named_by_tags() == rig.tags(WEB)
        assert {"v1": image("tool").digest} == rig.tags(TOOL)
        artifacts = rig.artifacts(WEB)
        assert {"", "INDEX_CHILD"} <= set(artifacts.values())
        assert {image("amd").digest, image("arm", architecture="arm64").digest} <= set(artifacts)
        shared = image("old").blobs[1].digest
        assert shared in {row[0] for row in rig.dump()["blobs"]}
        assert [] == rig.recount()


async def test_refresh_of_a_repository(name: str) -> None:
    """On demand a moved tag is seen, a new one, and one that is gone; nothing else is forgotten."""
    async with crawled(name) as (registry, rig):
        push(registry, WEB, image("new"), "v0", "v2")
        registry.delete_tag(WEB, "latest")
        refresher = Refresher([rig.upstream])
        await refresher.refresh_repository(rig.key, repository_name(WEB))

        new = image("new").digest
        assert {"v1": named_by_tags()["v1"], "v0": new, "v2": new} == rig.tags(WEB)
        assert "DANGLING" == rig.artifacts(WEB)[image("old").digest]
        assert {"v1": image("tool").digest} == rig.tags(TOOL)
        assert [] == rig.recount()


async def test_refresh_of_a_tag(name: str) -> None:
    """One tag is looked at alone: what it names now, and that it is gone."""
    async with crawled(name) as (registry, rig):
        push(registry, WEB, image("new"), "v0")
        registry.delete_tag(WEB, "latest")
        refresher = Refresher([rig.upstream])
        for tag in ("v0", "latest"):
            await refresher.refresh_tag(rig.key, repository_name(WEB), tag_name(tag))

        assert {"v1": named_by_tags()["v1"], "v0": image("new").digest} == rig.tags(WEB)


async def test_refresh_of_the_catalog(name: str) -> None:
    """A repository that was made meanwhile is known by its name."""
    async with crawled(name) as (registry, rig):
        push(registry, "acme/later", image("later"), "v1")
        await Refresher([rig.upstream]).refresh_catalog(rig.key)
        assert {"acme/later", TOOL, WEB} == {row[0] for row in rig.dump()["repositories"]}


async def test_capabilities(name: str) -> None:
    """What a dialect declares is told by its registry, and what it denies nobody has learned."""
    async with crawled(name) as (_, rig):
        later, _ = await rig.spend()
        told = rig.read(_read_told, WEB)
        artifacts = rig.artifacts(WEB)
        declared = rig.client.dialect.capabilities
        found: Mapping[Capability, bool] = {
            Capability.CATALOG: {TOOL, WEB} == {row[0] for row in rig.dump()["repositories"]},
            Capability.TAG_DIGESTS: not later.get("MANIFEST_HEAD"),
            Capability.UNTAGGED_LISTING: image("untagged").digest in artifacts,
            Capability.PUSH_TIME: all(pushed for pushed, _ in told.values()),
            Capability.LOCKS: all(locks for _, locks in told.values()),
        }
        for capability, is_told in found.items():
            match declared[capability]:
                case CapabilityState.SUPPORTED:
                    assert is_told, capability
                case CapabilityState.UNSUPPORTED:
                    assert not is_told, capability
        # Whether it has the API shows when it is asked; where all manifests are listed nobody has to.
        lists_sbom = (
            make_sbom(make_index([image("amd"), image("arm", architecture="arm64")])).digest in artifacts
        )
        knows = rig.client.capabilities[Capability.REFERRERS] is CapabilityState.SUPPORTED
        assert (knows or found[Capability.UNTAGGED_LISTING]) is lists_sbom


@pytest.mark.parametrize("body", [b"[5]", b'"x"', b"5"])
async def test_lists_that_are_none(name: str, body: bytes) -> None:
    """Lists that say nothing of what is there cost nothing that is known."""
    async with crawled(name) as (registry, rig):
        known = rig.tags(WEB), rig.artifacts(WEB), rig.tags(TOOL)
        answers = ("/manifests/", "/blobs/", "/referrers/")

        def lie(request: Request) -> Answer | None:
            is_list = request.path != "/v2/" and not any(each in request.path for each in answers)
            return Answer(200, body=body) if is_list else None

        registry.faults = lie
        report = await rig.crawl()

        assert report.failure is not None or report.trouble_counts
        assert known == (rig.tags(WEB), rig.artifacts(WEB), rig.tags(TOOL))
        assert [] == rig.recount()


def test_every_dialect_has_a_double(name: str) -> None:
    """None is left out; layouts on disk have tests of their own."""
    double = DOUBLES[name]
    names = {dialect.name for dialect in DIALECTS}
    assert (double.dialect or name) in names
    assert names - {"layout"} == {double.dialect or each for each, double in DOUBLES.items()}


def _read_told(db: Any, repository: str) -> dict[str, tuple[bool, bool]]:
    rows = db.execute(text(TOLD), {"repository": repository})
    return {tag: (bool(pushed), bool(locks)) for tag, pushed, locks in rows}

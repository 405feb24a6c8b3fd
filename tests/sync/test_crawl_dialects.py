"""Every vendor's registry is crawled in its own dialect, for no more requests than docs/requests.md tells."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from builders import make_index, make_sbom
from fakes.azure import AzureRegistry
from fakes.docker_hub import DockerHub
from fakes.ecr import HOST, EcrRegistry, Signs
from fakes.github import TOKEN, GithubRegistry
from fakes.google import GoogleRegistry
from fakes.sync_rig import image, open_rig, push
from graph.registry.dialects.ecr import EcrDialect
from graph.sample import SampleRegistry

pytestmark = pytest.mark.anyio

WEB, TOOL = "acme/web", "acme/cli"


@dataclass(frozen=True)
class Vendor:
    """A double, how it is asked, and what a crawl of `fill` may cost by kind of request.

    Where untagged manifests are listed, the seven of `fill` are got and their five configs; else those six
    that tags, indexes and referrers lead to.
    """

    make: Callable[[], SampleRegistry]
    first: Mapping[str, int]
    later: Mapping[str, int]
    is_complete: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)


def lists(*, once: Mapping[str, int] = {}, **costs: int) -> tuple[dict[str, int], dict[str, int]]:
    """What a first crawl costs and what a later one, where lists tell everything."""
    return {"MANIFEST_GET": 7, "CONFIG": 5, **once, **costs}, costs


VENDORS = {
    "azure": Vendor(AzureRegistry, *lists(CATALOG=1, TAGS=2, MANIFESTS=2)),
    # Nothing untagged is listed: what no tag leads to is found by indexes and referrers, six manifests.
    "docker-hub": Vendor(
        DockerHub,
        {"CATALOG": 1, "TAGS": 2, "MANIFEST_GET": 6, "CONFIG": 4, "REFERRERS": 6},
        {"CATALOG": 1, "TAGS": 2},
        is_complete=False,
        settings={"namespaces": ("acme",)},
    ),
    # The ping is answered once the API has given a password.
    "ecr": Vendor(
        EcrRegistry,
        *lists(once={"TOKEN": 1, "PING": 2}, CATALOG=1, TAGS=2),
        settings={"url": f"https://{HOST}", "speaks": lambda settings: EcrDialect(settings, Signs())},
    ),
    # What kind of owner it is, and what it has; then one page for each of the two.
    "github": Vendor(
        GithubRegistry,
        *lists(once={"VENDOR": 1}, CATALOG=1, TAGS=2),
        settings={"namespaces": ("acme",), "username": "reader", "password": TOKEN},
    ),
    # acme and both below it; then one answer for each of the two.
    "google": Vendor(GoogleRegistry, *lists(CATALOG=3, TAGS=2), settings={"namespaces": ("acme",)}),
}


def fill(registry: SampleRegistry) -> None:
    """Two repositories: an index under two tags with an SBOM, an untagged image, a tagged one, and a tool."""
    index = make_index([image("amd"), image("arm", architecture="arm64")])
    push(registry, WEB, index, "v1", "latest")
    push(registry, WEB, image("untagged"))
    push(registry, WEB, make_sbom(index))
    push(registry, WEB, image("old"), "v0")
    push(registry, TOOL, image("tool"), "v1")


@pytest.mark.parametrize("name", VENDORS)
async def test_crawls(name: str) -> None:
    """A first crawl costs the lists, and one GET for each manifest and config; a later one the lists."""
    vendor = VENDORS[name]
    registry = vendor.make()
    fill(registry)
    async with open_rig(registry, dialect=name, **vendor.settings) as rig:
        first, report = await rig.spend()
        before = rig.dump()
        later, _ = await rig.spend()

        completeness = rig.repository(WEB)["completeness"]
        assert {} == report.trouble_counts
        assert {"v1", "latest", "v0"} == set(rig.tags(WEB))
        assert {"v1"} == set(rig.tags(TOOL))
        assert before == rig.dump()
        assert [] == rig.recount()

    assert {"PING": 1, **vendor.first} == first
    assert {"PING": 1, **vendor.later} == later
    assert ("COMPLETE" == completeness) is vendor.is_complete


@pytest.mark.parametrize("name", [name for name, vendor in VENDORS.items() if vendor.is_complete])
async def test_what_is_listed_no_more(name: str) -> None:
    """A manifest that a whole list lacks is absent, and a tag that moved leaves what it named dangling."""
    vendor = VENDORS[name]
    registry = vendor.make()
    fill(registry)
    async with open_rig(registry, dialect=name, **vendor.settings) as rig:
        await rig.crawl()
        registry.delete_manifest(WEB, image("untagged").digest)
        push(registry, WEB, image("new"), "v0")
        await rig.crawl()

        assert [image("untagged").digest] == list(rig.artifacts(WEB, present=False))
        assert "DANGLING" == rig.artifacts(WEB)[image("old").digest]
        assert [] == rig.recount()

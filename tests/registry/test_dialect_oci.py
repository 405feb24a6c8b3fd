"""distribution is asked the plain way: version 2, which pages no tags, and version 3, which does."""

import httpx
import pytest

from builders import make_image
from fakes.distribution import DistributionRegistry
from fakes.sync_rig import image, open_rig, push
from graph.oci.reference import RepositoryName
from graph.registry.client import RegistryClient
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

WEB = RepositoryName("team/web")


def connect(registry: DistributionRegistry, page_size: int) -> RegistryClient:
    settings = RegistrySettings(url="https://registry.example", page_size=page_size)
    return RegistryClient(settings, httpx.ASGITransport(registry))


@pytest.mark.parametrize(
    ("version", "count", "requests"),
    # A page that is just full and has no Link may have been cut: it is asked what follows, and version 2,
    # which sends the same again, for all.
    [(2, 99, 1), (2, 100, 3), (2, 101, 1), (2, 250, 1), (3, 100, 2), (3, 99, 1), (3, 101, 2), (3, 250, 3)],
)
async def test_requests_for_tags(version: int, count: int, requests: int) -> None:
    """n tags cost one request of version 2 and ⌈n/page⌉ of version 3, but for a page that is just full."""
    registry = DistributionRegistry(version)
    built = make_image()
    registry.put_manifest(WEB, built.data, built.media_type)
    for number in range(count):
        registry.set_tag(WEB, f"v{number}", built.digest)

    async with connect(registry, 100) as client:
        tags = {tag.name async for page in client.list_tags(WEB) for tag in page}

    assert count == len(tags)
    assert requests == len(registry.requests)


@pytest.mark.parametrize("version", [2, 3])
async def test_catalog(version: int) -> None:
    """A page that is too large is asked for again as a smaller one; the order decides nothing."""
    registry = DistributionRegistry(version)
    names = {"a-b", "a/b", *(f"team/image-{number}" for number in range(150))}
    for name in names:
        registry.put_repository(name)

    async with connect(registry, 5_000) as client:
        assert names == {name async for page in client.list_repositories() for name in page}

    assert ["n=5000", "n=100"] == [request.query for request in registry.requests[:2]]


@pytest.mark.parametrize("version", [2, 3])
async def test_crawl(version: int) -> None:
    """One manifest for each tag, one probe for referrers, and a HEAD for each tag later."""
    registry = DistributionRegistry(version)
    for number in range(3):
        push(registry, WEB, image(f"{number}"), f"v{number}")
    push(registry, "team/untagged", image("untagged"))
    async with open_rig(registry) as rig:
        first, report = await rig.spend()
        second, _ = await rig.spend()

        assert {} == report.trouble_counts
        assert "BEST_EFFORT" == rig.repository(WEB)["completeness"]
        assert [] == rig.recount()

    lists = {"PING": 1, "CATALOG": 1, "TAGS": 2}
    assert {**lists, "MANIFEST_GET": 3, "CONFIG": 3, "REFERRERS": 1} == first
    assert {**lists, "MANIFEST_HEAD": 3} == second

"""Artifactory has a catalog for each of its keys, and lists that hold what is no tag."""

import httpx
import pytest

from fakes.jfrog import JfrogRegistry
from fakes.sync_rig import image, open_rig, push
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

URL = "https://contoso.jfrog.io"


@pytest.mark.parametrize(("count", "requests"), [(1, 1), (100, 1), (101, 2)])
async def test_catalogs_of_keys(count: int, requests: int) -> None:
    """n images of a key cost ⌈n/page⌉ requests, whatever prefix the Link leaves out; others none."""
    registry = JfrogRegistry()
    for number in range(count):
        registry.put_repository(f"docker-local/image-{number}")
    registry.put_repository("docker-remote/other")
    settings = RegistrySettings(url=URL, namespaces=("docker-local",))

    async with RegistryClient(settings, httpx.ASGITransport(registry)) as client:
        found = {str(name) async for page in client.list_repositories() for name in page}

    assert {f"docker-local/image-{number}" for number in range(count)} == found
    assert requests == len(registry.requests)


@pytest.mark.parametrize(("url", "expected"), [(URL, "jfrog"), ("https://jfrog.io.example", "oci")])
def test_hosts_are_known(url: str, expected: str) -> None:
    """JFrog's own cloud."""
    assert expected == choose_dialect(RegistrySettings(url=url)).name


async def test_crawl() -> None:
    """Digests and nulls among the tags are dropped and counted; everything else is as plain as can be."""
    registry = JfrogRegistry(supports_referrers=False)
    push(registry, "docker-local/web", image("one"), "v1")
    async with open_rig(registry, dialect="jfrog", namespaces=("docker-local",)) as rig:
        first, report = await rig.spend()
        second, _ = await rig.spend()

        assert {} == report.trouble_counts
        assert ["v1"] == list(rig.tags("docker-local/web"))
        assert 4 == rig.client.dropped

    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_GET": 1, "CONFIG": 1, "REFERRERS": 1} == first
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 1} == second

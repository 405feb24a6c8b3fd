"""Gitea and Forgejo list the versions of images: tags with the time of their push, and what has no tag."""

from datetime import UTC, datetime

import httpx
import pytest

from builders import make_image, make_index, make_sbom
from fakes.gitea import GiteaRegistry
from fakes.sync_rig import image, open_rig, push
from graph.errors import RegistryUnknownError
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.sample import SampleRegistry
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

WEB = RepositoryName("team/web")
PUSHED = datetime(2025, 11, 24, 9, 50, 4, 0, UTC)
URL = "https://gitea.example"
LOGIN = {"username": "reader", "password": "a token"}


def connect(registry: SampleRegistry, **settings: object) -> RegistryClient:
    given = RegistrySettings(url=URL, **{**LOGIN, **settings})
    return RegistryClient(given, httpx.ASGITransport(registry))


async def test_versions() -> None:
    """What is called by a tag is one, what is called by a digest a manifest; alike names are others."""
    registry = GiteaRegistry()
    tagged, untagged = make_image(), make_image(architecture="arm64")
    registry.put_manifest(WEB, tagged.data, tagged.media_type, "v1")
    registry.put_manifest(WEB, untagged.data, untagged.media_type)
    registry.put_manifest("team/web-api", tagged.data, tagged.media_type, "other")

    async with connect(registry) as client:
        tags = [tag async for page in client.list_tags(WEB) for tag in page]
        manifests = [each async for page in client.list_manifests(WEB) for each in page]

    assert [ListedTag(TagName("v1"), changed_at=PUSHED)] == tags
    assert [ListedManifest(Digest(untagged.digest), pushed_at=PUSHED)] == manifests


@pytest.mark.parametrize(("count", "requests"), [(1, 1), (50, 1), (51, 2), (120, 3)])
async def test_requests_of_a_list(count: int, requests: int) -> None:
    """n versions cost ⌈n/50⌉ requests for each list."""
    registry = GiteaRegistry()
    built = make_image()
    registry.put_manifest(WEB, built.data, built.media_type)
    for number in range(count):
        registry.set_tag(WEB, f"v{number}", built.digest)

    async with connect(registry) as client:
        assert count == len([tag async for page in client.list_tags(WEB) for tag in page])
        assert [()] * requests == [page async for page in client.list_manifests(WEB)]

    assert 2 * requests == client.ledger.total


async def test_names_that_are_alike() -> None:
    """Twenty pages of images that are only called alike do not end the list."""
    registry = GiteaRegistry()
    built = make_image()
    for number in range(1000):
        registry.put_manifest("team/a-web", built.data, built.media_type, f"v{number}")
    registry.put_manifest(WEB, built.data, built.media_type, "v1")

    async with connect(registry) as client:
        assert ["v1"] == [tag.name async for page in client.list_tags(WEB) for tag in page]


async def test_repositories_of_owners() -> None:
    """Those of the owners of the settings, in the lower case that images have; without any, the catalog's."""
    registry = GiteaRegistry()
    built = make_image()
    for name in ("team/web", "team/api/v2", "other/tool"):
        registry.put_manifest(name, built.data, built.media_type, "v1")

    found = []
    for namespaces in ((), ("Team",)):
        async with connect(registry, namespaces=namespaces) as client:
            found.append([name async for page in client.list_repositories() for name in page])

    assert [["other/tool", "team/api/v2", "team/web"], ["team/api/v2", "team/web"]] == found


async def test_without_a_login() -> None:
    """The API tells nobody anything, so it is not asked: what is public is read the plain way."""
    registry = GiteaRegistry()
    built = make_image()
    for name in ("team/web", "other/tool"):
        registry.put_manifest(name, built.data, built.media_type, "v1")
    settings = {"url": URL, "namespaces": ["Team"]}
    async with RegistryClient(RegistrySettings(**settings), httpx.ASGITransport(registry)) as client:
        assert [(WEB,)] == [tuple(page) async for page in client.list_repositories()]
        assert ["v1"] == [tag.name async for page in client.list_tags(WEB) for tag in page]
        assert CapabilityState.UNSUPPORTED is client.capabilities[Capability.UNTAGGED_LISTING]

    assert not any(request.path.startswith("/api/") for request in registry.requests)


async def test_a_repository_that_is_not_there() -> None:
    """A search that finds nothing is no answer: the plain list says that there is no such image."""
    registry = GiteaRegistry()
    registry.put_repository("team/api")

    async with connect(registry) as client:
        with pytest.raises(RegistryUnknownError):
            [page async for page in client.list_tags(WEB)]

    assert CapabilityState.SUPPORTED is client.capabilities[Capability.UNTAGGED_LISTING]


async def test_what_is_only_called_gitea() -> None:
    """A registry without packages is asked the plain way, and that is remembered."""
    registry = SampleRegistry()
    built = make_image()
    registry.put_manifest(WEB, built.data, built.media_type, "v1")

    async with connect(registry) as client:
        for _ in range(2):
            assert [(ListedTag(TagName("v1")),)] == [page async for page in client.list_tags(WEB)]

    assert 3 == len(registry.requests)
    assert CapabilityState.UNSUPPORTED is client.capabilities[Capability.UNTAGGED_LISTING]


@pytest.mark.parametrize(
    ("url", "expected"),
    [("https://codeberg.org", "gitea"), (URL, "gitea"), ("https://forgejo.example", "gitea")],
)
def test_hosts_are_known(url: str, expected: str) -> None:
    """The public servers, and hosts that are called by either name."""
    assert expected == choose_dialect(RegistrySettings(url=url)).name


async def test_crawl() -> None:
    """All there is is known; a later crawl asks each tag what it names, and nothing of what has no tag."""
    registry = GiteaRegistry()
    index = make_index([image("one"), image("arm", architecture="arm64")])
    push(registry, WEB, index, "v1")
    push(registry, WEB, image("two"))
    push(registry, WEB, make_sbom(index))
    async with open_rig(registry, dialect="gitea", **LOGIN) as rig:
        first, report = await rig.spend()
        registry.delete_manifest(WEB, image("two").digest)
        second, _ = await rig.spend()

        assert {} == report.trouble_counts
        assert "COMPLETE" == rig.repository(WEB)["completeness"]
        assert ["", "INDEX_CHILD", "INDEX_CHILD", "REFERRER"] == sorted(rig.artifacts(WEB).values())
        assert [image("two").digest] == list(rig.artifacts(WEB, present=False))
        assert [] == rig.recount()

    lists = {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFESTS": 1}
    assert {**lists, "MANIFEST_GET": 5, "CONFIG": 3} == first
    assert {**lists, "MANIFEST_HEAD": 1} == second

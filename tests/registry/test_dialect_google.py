"""Google's registries tell every manifest with the tags, in one answer, and are walked like a tree."""

from datetime import UTC, datetime

import httpx
import pytest

from builders import make_image
from fakes.google import GoogleRegistry
from graph.errors import RegistryUnknownError, RegistryUnsupportedError
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.exchange import RetryPolicy
from graph.registry.ledger import RequestKind
from graph.sample import SampleRegistry
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

WEB = RepositoryName("project/samples/web")
UPLOADED = datetime(2025, 11, 24, 16, 0, 0, 123000, UTC)


def connect(registry: SampleRegistry, *namespaces: str, page_size: int = 1_000) -> RegistryClient:
    settings = RegistrySettings(
        url="https://europe-docker.pkg.dev", namespaces=namespaces, page_size=page_size
    )
    return RegistryClient(settings, httpx.ASGITransport(registry), retries=RetryPolicy(attempts=1))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://gcr.io", "google"),
        ("https://eu.gcr.io", "google"),
        ("https://europe-west1-docker.pkg.dev", "google"),
        ("https://notgcr.io", "oci"),
        ("https://europe-npm.pkg.dev", "oci"),
    ],
)
async def test_hosts_are_known(url: str, expected: str) -> None:
    """Google's hosts for images are told by name; a host that only looks like one is not."""
    assert expected == choose_dialect(RegistrySettings(url=url)).name


@pytest.mark.parametrize("writes_numbers", [False, True])
async def test_tags_and_manifests_of_one_answer(writes_numbers: bool) -> None:
    """One request tells tags with digests and every manifest with its time, numbers as texts or not."""
    registry = GoogleRegistry(writes_numbers=writes_numbers)
    tagged, untagged = make_image(), make_image(labels={"no": "tag"})
    registry.put_manifest(WEB, tagged.data, tagged.media_type, "v1")
    registry.set_tag(WEB, "v2", tagged.digest)
    registry.put_manifest(WEB, untagged.data, untagged.media_type)

    async with connect(registry) as client:
        tags = [page async for page in client.list_tags(WEB)]
        manifests = [page async for page in client.list_manifests(WEB)]

    digest = Digest(tagged.digest)
    assert [(ListedTag(TagName("v1"), digest), ListedTag(TagName("v2"), digest))] == tags
    assert [
        tuple(
            ListedManifest(Digest(each.digest), each.media_type, None, UPLOADED)
            for each in (tagged, untagged)
        )
    ] == manifests
    assert (1, 1) == (client.ledger.count(RequestKind.TAGS), client.ledger.total)


async def test_kept_once() -> None:
    """What came with the tags is given once: who asks for the manifests again gets what is there now."""
    registry = GoogleRegistry()
    registry.put_repository(WEB)

    async with connect(registry) as client:
        [page async for page in client.list_tags(WEB)]
        [page async for page in client.list_manifests(WEB)]
        image = make_image()
        registry.put_manifest(WEB, image.data, image.media_type)
        manifests = [page async for page in client.list_manifests(WEB)]

    assert [image.digest] == [manifest.digest for (manifest,) in manifests]
    assert (1, 1) == (client.ledger.count(RequestKind.TAGS), client.ledger.count(RequestKind.MANIFESTS))


async def test_repositories_are_a_tree() -> None:
    """Each name below a namespace is asked for once; what holds nothing itself is no repository."""
    registry = GoogleRegistry()
    image = make_image()
    for name in (WEB, "project/samples/web/nested", "project/tools", "elsewhere/web"):
        registry.put_manifest(name, image.data, image.media_type, "v1")

    async with connect(registry, "project", "project/samples") as client:
        names = [name async for page in client.list_repositories() for name in page]

    assert ["project/samples/web", "project/samples/web/nested", "project/tools"] == sorted(names)
    assert 5 == client.ledger.count(RequestKind.CATALOG) == client.ledger.total


async def test_a_namespace_that_is_not_there() -> None:
    """A namespace of the settings that nobody knows is told, and not taken for an empty registry."""
    async with connect(GoogleRegistry(), "project") as client:
        with pytest.raises(RegistryUnsupportedError) as caught:
            [page async for page in client.list_repositories()]

    assert isinstance(caught.value.__cause__, RegistryUnknownError)


async def test_the_catalog_without_namespaces() -> None:
    """gcr.io has a plain catalog, which is asked where the settings name nothing to walk from."""
    registry = GoogleRegistry(has_catalog=True)
    registry.put_repository(WEB)

    async with connect(registry) as client:
        assert [(WEB,)] == [page async for page in client.list_repositories()]


async def test_a_registry_that_only_has_the_name() -> None:
    """A list of tags without manifests is read as the plain list it is, and that is remembered."""
    registry = SampleRegistry(page_size=2)
    for number in range(3):
        registry.put_manifest(WEB, make_image().data, tag=f"v{number}")

    async with connect(registry, page_size=2) as client:
        for _ in range(2):
            tags = [tag.name async for page in client.list_tags(WEB) for tag in page]
            assert ["v0", "v1", "v2"] == tags
        with pytest.raises(RegistryUnsupportedError):
            [page async for page in client.list_manifests(WEB)]

    assert ["", "n=2", "n=2&last=v1", "n=2", "n=2&last=v1"] == [
        request.query for request in registry.requests
    ]
    assert CapabilityState.UNSUPPORTED is client.capabilities[Capability.TAG_DIGESTS]


async def test_an_empty_repository() -> None:
    """A repository that holds nothing says nothing about the registry, and is complete."""
    registry = GoogleRegistry()
    registry.put_repository(WEB)

    async with connect(registry) as client:
        assert [()] == [page async for page in client.list_tags(WEB)]
        assert [()] == [page async for page in client.list_manifests(WEB)]

    assert CapabilityState.SUPPORTED is client.capabilities[Capability.UNTAGGED_LISTING]
    assert 1 == client.ledger.total


async def test_a_repository_that_is_not_there() -> None:
    """A repository that nobody knows is unknown, and the registry is asked as before."""
    async with connect(GoogleRegistry()) as client:
        with pytest.raises(RegistryUnknownError):
            [page async for page in client.list_tags(WEB)]

    assert CapabilityState.SUPPORTED is client.capabilities[Capability.TAG_DIGESTS]

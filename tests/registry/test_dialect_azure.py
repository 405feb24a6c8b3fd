"""Azure Container Registry tells what the plain API cannot: untagged manifests, times, locks."""

from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from builders import make_image
from fakes.azure import AzureRegistry, Facts
from graph.errors import RegistryUnknownError, RegistryUnsupportedError
from graph.oci.digest import Digest
from graph.oci.locks import Locks
from graph.oci.reference import RepositoryName, TagName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.ledger import RequestKind
from graph.sample import SampleRegistry
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

WEB = RepositoryName("samples/web")
CREATED = datetime(2025, 11, 24, 9, 50, 4, 123456, UTC)
CHANGED = datetime(2026, 1, 10, 23, 15, 6, 765432, UTC)
OPEN = Locks(can_delete=True, can_write=True, can_list=True, can_read=True)


SETTINGS = RegistrySettings(url="https://contoso.azurecr.io")


def connect(registry: AzureRegistry, page_size: int = 1_000) -> RegistryClient:
    settings = RegistrySettings(url="https://contoso.azurecr.io", page_size=page_size)
    return RegistryClient(settings, httpx.ASGITransport(registry))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://contoso.azurecr.io", "azure"),
        ("https://contoso.azurecr.cn", "azure"),
        ("https://contoso.azurecr.us", "azure"),
        ("https://azurecr.io.example", "oci"),
        ("https://registry.example", "oci"),
    ],
)
async def test_login_servers_are_known(url: str, expected: str) -> None:
    """A login server is told by its domain; a host that only looks like one is not."""
    assert expected == choose_dialect(RegistrySettings(url=url)).name


async def test_tags_come_with_digests_times_and_locks() -> None:
    """A page of tags says what each names, when it was made and moved, and what is locked."""
    registry = AzureRegistry()
    image = make_image()
    registry.put_manifest(WEB, image.data, image.media_type, "v1")
    locked = {"deleteEnabled": False, "writeEnabled": False, "readEnabled": True, "listEnabled": True}
    registry.facts[WEB, "v1"] = Facts(attributes=locked)

    async with connect(registry) as client:
        (page,) = [page async for page in client.list_tags(WEB)]

    locks = Locks(can_delete=False, can_write=False, can_list=True, can_read=True)
    assert (ListedTag(TagName("v1"), Digest(image.digest), CREATED, CHANGED, locks),) == page


@pytest.mark.parametrize(
    ("attribute", "lock"),
    [("deleteEnabled", "can_delete"), ("writeEnabled", "can_write"), ("readEnabled", "can_read")],
)
async def test_each_lock(attribute: str, lock: str) -> None:
    """Each attribute is a lock of its own; what `listEnabled` hides is in no list."""
    registry = AzureRegistry()
    digest = registry.put_manifest(WEB, make_image().data, tag="v1")
    for item in ("v1", digest):
        registry.facts[WEB, item] = Facts(attributes=Facts().attributes | {attribute: False})

    async with connect(registry) as client:
        (tags,) = [page async for page in client.list_tags(WEB)]
        (manifests,) = [page async for page in client.list_manifests(WEB)]

    assert [replace(OPEN, **{lock: False})] * 2 == [tags[0].locks, manifests[0].locks]


async def test_untagged_manifests_are_listed() -> None:
    """A manifest without a tag is in the list; its tags are left out, and are not needed."""
    registry = AzureRegistry()
    image = make_image()
    registry.put_manifest(WEB, image.data, image.media_type)

    async with connect(registry) as client:
        (page,) = [page async for page in client.list_manifests(WEB)]

    expected = ListedManifest(Digest(image.digest), image.media_type, None, CREATED, CHANGED, OPEN)
    assert (expected,) == page
    assert CapabilityState.SUPPORTED is client.capabilities[Capability.UNTAGGED_LISTING]


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 1), (100, 1), (101, 2), (250, 3)])
async def test_requests_of_a_list(count: int, requests: int) -> None:
    """n tags and n manifests cost ⌈n/page⌉ requests each, and no HEAD."""
    registry = AzureRegistry()
    registry.put_repository(WEB)
    for number in range(count):
        image = make_image(labels={"number": str(number)})
        registry.put_manifest(WEB, image.data, image.media_type, f"v{number}")

    async with connect(registry, page_size=100) as client:
        tags = [tag async for page in client.list_tags(WEB) for tag in page]
        manifests = [manifest async for page in client.list_manifests(WEB) for manifest in page]

    assert (count, count) == (len(tags), len(manifests))
    assert 2 * requests == client.ledger.total
    assert requests == client.ledger.count(RequestKind.MANIFESTS)


async def test_page_that_is_too_large() -> None:
    """A page size that is refused is asked for again as 100, which every login server gives."""
    registry = AzureRegistry()
    registry.largest_page = 100
    registry.put_repository(WEB)

    async with connect(registry) as client:
        assert [(WEB,)] == [page async for page in client.list_repositories()]

    assert ["n=1000", "n=100"] == [request.query for request in registry.requests]


async def test_a_registry_that_only_has_the_name() -> None:
    """Where the paths of Azure are unknown the plain API is asked, and what it cannot tell is remembered."""
    registry = SampleRegistry()
    image = make_image()
    registry.put_manifest(WEB, image.data, image.media_type, "v1")

    async with RegistryClient(SETTINGS, httpx.ASGITransport(registry)) as client:
        repositories = [page async for page in client.list_repositories()]
        tags = [page async for page in client.list_tags(WEB)]
        with pytest.raises(RegistryUnsupportedError):
            [page async for page in client.list_manifests(WEB)]

    assert [(WEB,)] == repositories
    assert [(ListedTag(TagName("v1")),)] == tags
    assert ["/acr/v1/_catalog", "/v2/_catalog", f"/v2/{WEB}/tags/list"] == [
        request.path for request in registry.requests
    ]


async def test_a_repository_that_is_not_there() -> None:
    """A repository that neither list knows says nothing about the registry."""
    registry = AzureRegistry()

    async with connect(registry) as client:
        with pytest.raises(RegistryUnknownError):
            [page async for page in client.list_tags(WEB)]

    assert CapabilityState.SUPPORTED is client.capabilities[Capability.TAG_DIGESTS]


async def test_metadata_that_is_denied() -> None:
    """Who may pull and not read metadata gets the plain list, and other repositories are asked as before."""
    registry = AzureRegistry()
    for name in (WEB, "samples/api"):
        registry.put_repository(name)
    registry.faults = {f"/acr/v1/{WEB}/_tags": 403}

    async with connect(registry) as client:
        for name in (WEB, RepositoryName("samples/api")):
            [page async for page in client.list_tags(name)]

    assert [f"/acr/v1/{WEB}/_tags", f"/v2/{WEB}/tags/list", "/acr/v1/samples/api/_tags"] == [
        request.path for request in registry.requests
    ]

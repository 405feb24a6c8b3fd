"""zot's search tells what tags name, so that none has to be asked for; the plain list which there are."""

import httpx
import pytest

from builders import make_image, make_signature
from fakes.sync_rig import image, open_rig, push
from fakes.zot import ZotRegistry
from graph.errors import RegistryUnknownError
from graph.oci.reference import RepositoryName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.client import RegistryClient
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

WEB = RepositoryName("team/web")


def connect(registry: ZotRegistry, **settings: object) -> RegistryClient:
    return RegistryClient(
        RegistrySettings(url="https://zot.example", **settings), httpx.ASGITransport(registry)
    )


async def tags_of(client: RegistryClient) -> dict[str, str | None]:
    return {str(tag.name): tag.digest async for page in client.list_tags(WEB) for tag in page}


async def test_tags_come_with_digests() -> None:
    """What the search knows is told with the tag; what it leaves out, the tag of a signature, is not lost."""
    registry = ZotRegistry()
    built = make_image()
    signature = make_signature(built)
    push(registry, WEB, built, "v1")
    push(registry, WEB, signature, str(signature.tag))

    async with connect(registry) as client:
        assert {"v1": built.digest, str(signature.tag): None} == await tags_of(client)
        assert CapabilityState.SUPPORTED is client.capabilities[Capability.TAG_DIGESTS]

    assert ["/v2/_zot/ext/search", f"/v2/{WEB}/tags/list"] == [each.path for each in registry.requests]


async def test_without_the_search() -> None:
    """A zot without the extension is asked for it once."""
    registry = ZotRegistry()
    registry.has_search = False
    push(registry, WEB, make_image(), "v1")

    async with connect(registry) as client:
        for _ in range(2):
            assert {"v1": None} == await tags_of(client)

    assert 3 == len(registry.requests)


async def test_a_search_that_fails() -> None:
    """An error of the search is no repository without tags, and may be over the next time."""
    registry = ZotRegistry()
    built = make_image()
    push(registry, WEB, built, "v1")
    registry.search_errors = [{"message": "repo metadata not found"}]

    async with connect(registry) as client:
        failed = await tags_of(client)
        registry.search_errors = []
        assert [{"v1": None}, {"v1": built.digest}] == [failed, await tags_of(client)]


async def test_a_list_that_is_begun_again() -> None:
    """A tag that is deleted between two pages, and was the last of the first, costs the list a new start."""
    registry = ZotRegistry(page_size=2)
    built = make_image()
    for tag in ("v1", "v2", "v3"):
        push(registry, WEB, built, tag)
    registry.hooks[3] = lambda: registry.delete_tag(WEB, "v2")

    async with connect(registry, page_size=2) as client:
        assert {"v1", "v2", "v3"} == set(await tags_of(client))

    assert ["n=2", "n=2&last=v2", "n=2"] == [each.query for each in registry.requests[1:4]]


async def test_a_repository_that_is_not_there() -> None:
    """The search finds nothing, the list says that there is none."""
    async with connect(ZotRegistry()) as client:
        with pytest.raises(RegistryUnknownError):
            await tags_of(client)


async def test_crawl() -> None:
    """A crawl costs one request more for each repository, and none for each tag."""
    registry = ZotRegistry()
    for number in range(3):
        push(registry, WEB, image(f"{number}"), f"v{number}")
    async with open_rig(registry, dialect="zot") as rig:
        first, report = await rig.spend()
        second, _ = await rig.spend()

        assert {} == report.trouble_counts
        assert [] == rig.recount()

    assert {"PING": 1, "CATALOG": 1, "TAGS": 2, "MANIFEST_GET": 3, "CONFIG": 3, "REFERRERS": 3} == first
    assert {"PING": 1, "CATALOG": 1, "TAGS": 2} == second

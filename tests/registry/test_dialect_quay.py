"""Quay tells what each tag names and since when, to those that its API knows."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from builders import make_image
from fakes.quay import STARTED, TOKEN, QuayRegistry
from fakes.sync_rig import image, open_rig, push
from graph.errors import RegistryUnknownError
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.registry.entries import ListedTag
from graph.sample import SampleRegistry
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

WEB = RepositoryName("team/web")
CHANGED = datetime.fromtimestamp(STARTED, UTC)
URL = "https://quay.example"


def connect(registry: SampleRegistry, **settings: object) -> RegistryClient:
    return RegistryClient(RegistrySettings(url=URL, **settings), httpx.ASGITransport(registry))


async def tags_of(client: RegistryClient) -> list[ListedTag]:
    return [tag async for page in client.list_tags(WEB) for tag in page]


async def test_tags_come_with_digests_and_times() -> None:
    """A tag says what it names and since when; what it named before is not in the list."""
    registry = QuayRegistry()
    built = make_image()
    registry.put_manifest(WEB, built.data, built.media_type, "v1")
    registry.dead[WEB] = {"v0": built.digest}

    async with connect(registry) as client:
        assert [ListedTag(TagName("v1"), Digest(built.digest), changed_at=CHANGED)] == await tags_of(client)


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (100, 1), (101, 2), (250, 3)])
async def test_requests_of_a_list(count: int, requests: int) -> None:
    """n tags cost ⌈n/100⌉ requests, and no HEAD."""
    registry = QuayRegistry()
    built = make_image()
    registry.put_manifest(WEB, built.data, built.media_type)
    for number in range(count):
        registry.set_tag(WEB, f"v{number}", built.digest)

    async with connect(registry) as client:
        assert count == len(await tags_of(client))

    assert requests == client.ledger.total


async def test_repositories_of_namespaces() -> None:
    """The pages of a namespace follow an opaque token; only the namespaces of the settings are asked for."""
    registry = QuayRegistry()
    for name in ("team/a", "team/b", "team/c", "team/d/e", "other/f"):
        registry.put_repository(name)

    async with connect(registry, namespaces=("team", "other")) as client:
        found = [name async for page in client.list_repositories() for name in page]

    assert ["team/a", "team/b", "team/c", "team/d/e", "other/f"] == found
    assert 3 == len(registry.requests)


async def test_plain_lists_link_to_another_host() -> None:
    """Of an absolute Link only the query is used, on the host that we know."""
    registry = QuayRegistry(page_size=2)
    for name in ("a/a", "b/b", "c/c"):
        registry.put_repository(name)

    async with connect(registry) as client:
        assert ["a/a", "b/b", "c/c"] == [name async for page in client.list_repositories() for name in page]

    assert ["/v2/_catalog", "/v2/_catalog"] == [request.path for request in registry.requests]


async def test_private_repositories() -> None:
    """The API's token opens what is private; without it the plain list is asked, for this repository only."""
    registry = QuayRegistry()
    built = make_image()
    registry.put_manifest(WEB, built.data, built.media_type, "v1")
    registry.private.add(WEB)

    async with connect(registry, username="$oauthtoken", password=TOKEN) as client:
        known = await tags_of(client)
    async with connect(registry, username="team+robot", password="secret") as client:
        unknown = await tags_of(client)
        assert CapabilityState.SUPPORTED is client.capabilities[Capability.TAG_DIGESTS]

    assert [Digest(built.digest), None] == [tag.digest for tag in (*known, *unknown)]
    assert "authorization" not in registry.requests[1].headers


async def test_a_token_that_docker_keeps(tmp_path: Path) -> None:
    """The API's token opens it wherever it is written down; any other user's password is not for the API."""
    registry = QuayRegistry()
    built = make_image()
    registry.put_manifest(WEB, built.data, built.media_type, "v1")
    file = tmp_path / "config.json"
    for user in ("$oauthtoken", "team+robot"):
        packed = base64.b64encode(f"{user}:{TOKEN}".encode()).decode()
        file.write_text(json.dumps({"auths": {"quay.example": {"auth": packed}}}))
        async with connect(registry, auth_file=file) as client:
            assert [Digest(built.digest)] == [tag.digest for tag in await tags_of(client)]

    assert [f"Bearer {TOKEN}", None] == [
        request.headers.get("authorization") for request in registry.requests
    ]


async def test_what_is_only_called_quay() -> None:
    """A registry without the API is asked the plain way, and that is remembered."""
    registry = SampleRegistry()
    built = make_image()
    registry.put_manifest(WEB, built.data, built.media_type, "v1")

    async with connect(registry) as client:
        for _ in range(2):
            assert [ListedTag(TagName("v1"))] == await tags_of(client)

    assert 3 == len(registry.requests)
    assert CapabilityState.UNSUPPORTED is client.capabilities[Capability.TAG_DIGESTS]


async def test_a_repository_that_is_not_there() -> None:
    """A repository that neither list knows says nothing about the registry."""
    async with connect(QuayRegistry()) as client:
        with pytest.raises(RegistryUnknownError):
            await tags_of(client)

    assert CapabilityState.SUPPORTED is client.capabilities[Capability.TAG_DIGESTS]


@pytest.mark.parametrize(
    ("url", "expected"), [("https://quay.io", "quay"), (URL, "quay"), ("https://notquay.io", "oci")]
)
def test_hosts_are_known(url: str, expected: str) -> None:
    """quay.io and hosts called quay."""
    assert expected == choose_dialect(RegistrySettings(url=url)).name


async def test_crawl() -> None:
    """No tag is asked for one by one, neither first nor later; untagged manifests may be hidden."""
    registry = QuayRegistry(supports_referrers=False)
    for number in range(3):
        push(registry, WEB, image(f"{number}"), f"v{number}", f"w{number}")
    async with open_rig(registry, dialect="quay") as rig:
        first, report = await rig.spend()
        second, _ = await rig.spend()

        assert {} == report.trouble_counts
        assert "BEST_EFFORT" == rig.repository(WEB)["completeness"]
        assert [] == rig.recount()

    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_GET": 3, "CONFIG": 3, "REFERRERS": 1} == first
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1} == second

"""GitHub's registry: the versions of a package are its manifests, with their tags and times."""

from datetime import UTC, datetime

import httpx
import pytest

from builders import make_image
from fakes.github import TOKEN, GithubRegistry
from graph.errors import RegistryThrottledError, RegistryUnknownError, RegistryUnsupportedError
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.exchange import RetryPolicy
from graph.registry.ledger import RequestKind
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

WEB = RepositoryName("acme/tools/web")
CREATED = datetime(2024, 5, 6, 5, 20, 30, tzinfo=UTC)
UPDATED = datetime(2024, 5, 7, 6, 21, 31, tzinfo=UTC)
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def connect(registry: GithubRegistry, *namespaces: str, password: str | None = TOKEN) -> RegistryClient:
    login = {} if password is None else {"username": "reader", "password": password}
    settings = RegistrySettings(url="https://ghcr.io", namespaces=namespaces, **login)
    return RegistryClient(
        settings, httpx.ASGITransport(registry), retries=RetryPolicy(attempts=1), clock=lambda: NOW
    )


@pytest.mark.parametrize(("url", "expected"), [("https://ghcr.io", "github"), ("https://xghcr.io", "oci")])
async def test_host_is_known(url: str, expected: str) -> None:
    """GitHub's registry is told by its host."""
    assert expected == choose_dialect(RegistrySettings(url=url)).name


async def test_versions_are_manifests() -> None:
    """One list tells the tags with their digests, and every manifest with its times, untagged ones too."""
    registry = GithubRegistry()
    tagged, untagged = make_image(), make_image(labels={"no": "tag"})
    registry.put_manifest(WEB, tagged.data, tagged.media_type, "v1")
    registry.set_tag(WEB, "v2", tagged.digest)
    registry.put_manifest(WEB, untagged.data, untagged.media_type)

    async with connect(registry) as client:
        tags = [tag async for page in client.list_tags(WEB) for tag in page]
        manifests = [manifest async for page in client.list_manifests(WEB) for manifest in page]

    digest = Digest(tagged.digest)
    assert [ListedTag(TagName("v1"), digest), ListedTag(TagName("v2"), digest)] == tags
    assert [
        ListedManifest(Digest(each.digest), pushed_at=CREATED, changed_at=UPDATED)
        for each in (untagged, tagged)
    ] == manifests
    assert ["/users/acme", "/orgs/acme/packages/container/tools/web/versions"] == [
        request.path for request in registry.requests
    ]


async def test_slashes_of_a_package_are_encoded() -> None:
    """What follows the owner is one segment of the path."""
    dialect = choose_dialect(RegistrySettings(url="https://ghcr.io"))

    listing = dialect.versions(WEB, "/orgs/acme")  # type: ignore[attr-defined]
    assert "/orgs/acme/packages/container/tools%2Fweb/versions" == listing.path


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (100, 1), (101, 2), (250, 3)])
async def test_requests_of_a_list(count: int, pages: int) -> None:
    """m manifests cost ⌈m/100⌉ requests and one for the owner, whatever page the settings ask for."""
    registry = GithubRegistry(organisations=())
    registry.put_repository(WEB)
    for number in range(count):
        image = make_image(labels={"number": str(number)})
        registry.put_manifest(WEB, image.data, image.media_type, f"v{number}")

    async with connect(registry) as client:
        tags = [tag async for page in client.list_tags(WEB) for tag in page]
        manifests = [manifest async for page in client.list_manifests(WEB) for manifest in page]

    assert (count, count) == (len(tags), len(manifests))
    assert (pages, 1) == (client.ledger.count(RequestKind.TAGS), client.ledger.count(RequestKind.VENDOR))
    assert pages + 1 == client.ledger.total


async def test_packages_of_owners() -> None:
    """The repositories of each owner are listed, of an organisation or a user; their names are lower case."""
    registry = GithubRegistry()
    for name in (WEB, "acme/api", "person/site", "other/web"):
        registry.put_repository(name)

    async with connect(registry, "Acme", "person") as client:
        names = [name async for page in client.list_repositories() for name in page]

    assert ["acme/api", WEB, "person/site"] == names


async def test_nobody_is_asked_without_a_login() -> None:
    """Without a token the API would refuse everything: the registry alone is asked, and not for a catalog."""
    registry = GithubRegistry()
    image = make_image()
    registry.put_manifest(WEB, image.data, image.media_type, "v1")

    async with connect(registry, "acme", password=None) as client:
        tags = [page async for page in client.list_tags(WEB)]
        with pytest.raises(RegistryUnsupportedError):
            [page async for page in client.list_repositories()]
        with pytest.raises(RegistryUnsupportedError):
            [page async for page in client.list_manifests(WEB)]

    assert [(ListedTag(TagName("v1")),)] == tags
    assert [f"/v2/{WEB}/tags/list"] == [request.path for request in registry.requests]


async def test_package_that_is_not_shown() -> None:
    """A package that the API does not know is read from the registry; another one as before."""
    registry = GithubRegistry()
    image = make_image()
    registry.put_manifest(WEB, image.data, image.media_type, "v1")
    registry.put_manifest("acme/api", image.data, image.media_type, "v1")
    registry.faults = {"/orgs/acme/packages/container/tools/web/versions": 404}

    async with connect(registry) as client:
        tags = [page async for page in client.list_tags(WEB)]
        with pytest.raises(RegistryUnknownError):
            [page async for page in client.list_manifests(WEB)]
        others = [page async for page in client.list_tags(RepositoryName("acme/api"))]

    assert [(ListedTag(TagName("v1")),)] == tags
    assert [(ListedTag(TagName("v1"), Digest(image.digest)),)] == others


async def test_rate_limit() -> None:
    """A 403 with nothing remaining is a wait until the window ends, and no request is made before."""
    registry = GithubRegistry()
    registry.put_repository(WEB)
    registry.remaining, registry.reset = 0, int(NOW.timestamp()) + 600

    async with connect(registry) as client:
        for _ in range(2):
            with pytest.raises(RegistryThrottledError) as caught:
                [page async for page in client.list_tags(WEB)]
            assert 600 == caught.value.retry_after

    assert 1 == len(registry.requests)


async def test_refusal_is_no_limit() -> None:
    """A 403 with requests remaining, and no word of when to come back, is about this package alone."""
    registry = GithubRegistry(faults={"/users/acme": 403})
    image = make_image()
    registry.put_manifest(WEB, image.data, image.media_type, "v1")

    async with connect(registry) as client:
        tags = [page async for page in client.list_tags(WEB)]

    assert [(ListedTag(TagName("v1")),)] == tags


async def test_credentials_stay_apart() -> None:
    """The token goes to the API as Bearer; the registry is asked without, until it wants to know."""
    registry = GithubRegistry()
    registry.put_repository(WEB)

    async with connect(registry) as client:
        [page async for page in client.list_tags(WEB)]
        await client.ping()

    sent = {request.path: request.headers.get("authorization") for request in registry.requests}
    assert None is sent["/v2/"]
    assert f"Bearer {TOKEN}" == sent["/users/acme"]

"""Amazon ECR: images, untagged ones too, by an API of actions, and a password that it gives for a while."""

import sys
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from builders import make_image
from fakes.ecr import ACCOUNT, HOST, PASSWORD, PUSHED, EcrRegistry, Signs
from graph.errors import RegistryDeniedError, RegistryUnknownError, RegistryUnsupportedError, SettingsError
from graph.oci.digest import Digest
from graph.oci.locks import Locks
from graph.oci.reference import RepositoryName, TagName
from graph.registry.client import RegistryClient
from graph.registry.dialects.ecr import EcrDialect, EcrPublicDialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.exchange import RetryPolicy
from graph.registry.ledger import RequestKind
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

WEB = RepositoryName("samples/web")
PUSHED_AT = datetime.fromtimestamp(PUSHED, UTC)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
MUTABLE = Locks(can_write=True)


def connect(
    registry: EcrRegistry, *, page_size: int = 1_000, time: list[datetime] | None = None
) -> RegistryClient:
    settings = RegistrySettings(url=f"https://{HOST}", page_size=page_size)
    moment = time or [NOW]
    return RegistryClient(
        settings,
        httpx.ASGITransport(registry),
        dialect=EcrDialect(settings, Signs()),
        retries=RetryPolicy(attempts=1),
        clock=lambda: moment[0],
    )


def connect_public(registry: EcrRegistry, *namespaces: str) -> RegistryClient:
    settings = RegistrySettings(url="https://public.ecr.aws", namespaces=namespaces)
    return RegistryClient(
        settings,
        httpx.ASGITransport(registry),
        dialect=EcrPublicDialect(settings, Signs()),
        retries=RetryPolicy(attempts=1),
    )


@pytest.mark.parametrize(
    ("host", "region", "api"),
    [
        (HOST, "eu-west-1", "https://api.ecr.eu-west-1.amazonaws.com"),
        (
            f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn",
            "cn-north-1",
            "https://api.ecr.cn-north-1.amazonaws.com.cn",
        ),
        (
            f"{ACCOUNT}.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
            "us-gov-west-1",
            "https://api.ecr-fips.us-gov-west-1.amazonaws.com",
        ),
        (f"{ACCOUNT}.dkr-ecr.eu-west-1.on.aws", "eu-west-1", "https://ecr.eu-west-1.api.aws"),
    ],
)
async def test_hosts_tell_account_and_region(host: str, region: str, api: str) -> None:
    """A host of Amazon names whose registry it is and where its API is."""
    assert EcrDialect.speaks_at(host)
    service = EcrDialect(RegistrySettings(url=f"https://{host}"), Signs()).service
    assert (ACCOUNT, region, api) == (service.account, service.region, service.api)


@pytest.mark.parametrize("host", [f"{HOST}.example", f"x{HOST}", "1.dkr.ecr.eu-west-1.amazonaws.com"])
async def test_hosts_that_only_look_like_it(host: str) -> None:
    """A host that only looks like one is not, and cannot be made one by name: its region is not known."""
    assert not EcrDialect.speaks_at(host)
    with pytest.raises(SettingsError):
        EcrDialect(RegistrySettings(url=f"https://{host}"), Signs())


async def test_without_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is missing that is said at once; with a login of its own the plain API will do."""
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(SettingsError, match=r"ocigraph\[aws\]"):
        EcrDialect(RegistrySettings(url=f"https://{HOST}"))
    login = EcrDialect(RegistrySettings(url=f"https://{HOST}", username="AWS", password=PASSWORD))
    assert () == login.apis


async def test_images_tell_tags_and_manifests() -> None:
    """One list tells tags with digests and every manifest with its time; what is archived is left out."""
    registry = EcrRegistry()
    tagged, untagged = make_image(), make_image(labels={"no": "tag"})
    archived = make_image(labels={"is": "archived"})
    for image in (tagged, untagged, archived):
        registry.put_manifest(WEB, image.data, image.media_type)
    registry.set_tag(WEB, "v1", tagged.digest)
    registry.archived = {archived.digest}

    async with connect(registry) as client:
        tags = [tag async for page in client.list_tags(WEB) for tag in page]
        manifests = [manifest async for page in client.list_manifests(WEB) for manifest in page]

    assert [ListedTag(TagName("v1"), Digest(tagged.digest), locks=MUTABLE)] == tags
    assert {
        ListedManifest(Digest(each.digest), each.media_type, None, PUSHED_AT) for each in (tagged, untagged)
    } == set(manifests)
    assert [
        ("DescribeRepositories", {"registryId": ACCOUNT, "repositoryNames": [WEB], "maxResults": 1_000}),
        ("DescribeImages", {"registryId": ACCOUNT, "repositoryName": WEB, "maxResults": 1_000}),
    ] == registry.calls


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (100, 1), (101, 2), (250, 3)])
async def test_requests_of_a_list(count: int, pages: int) -> None:
    """m manifests cost ⌈m/page⌉ requests, and the catalog has told of what else there is."""
    registry = EcrRegistry()
    registry.put_repository(WEB)
    for number in range(count):
        image = make_image(labels={"number": str(number)})
        registry.put_manifest(WEB, image.data, image.media_type, f"v{number}")

    async with connect(registry, page_size=100) as client:
        names = [name async for page in client.list_repositories() for name in page]
        tags = [tag async for page in client.list_tags(WEB) for tag in page]
        manifests = [manifest async for page in client.list_manifests(WEB) for manifest in page]

    assert ([WEB], count, count) == (names, len(tags), len({each.digest for each in manifests}))
    assert (1, pages) == (client.ledger.count(RequestKind.CATALOG), client.ledger.count(RequestKind.TAGS))
    assert pages + 1 == client.ledger.total


async def test_page_of_ten_thousand() -> None:
    """No more than a thousand are asked for at once, whatever the settings say."""
    registry = EcrRegistry()
    registry.put_repository(WEB)

    async with connect(registry, page_size=10_000) as client:
        [page async for page in client.list_repositories()]

    assert [1_000] == [question["maxResults"] for _, question in registry.calls]


@pytest.mark.parametrize(
    ("told", "moves"),
    [
        ({"imageTagMutability": "MUTABLE"}, {"dev-1": True, "v1": True}),
        ({"imageTagMutability": "IMMUTABLE"}, {"dev-1": False, "v1": False}),
        (
            {
                "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "dev*"}],
            },
            {"dev-1": True, "v1": False},
        ),
        (
            {
                "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [
                    {"filterType": "WILDCARD", "filter": "*v-*"},
                    {"filterType": "WILDCARD", "filter": "v1"},
                ],
            },
            {"dev-1": False, "v1": False},
        ),
        ({}, {"dev-1": None, "v1": None}),
    ],
)
async def test_whether_tags_can_be_moved(told: dict[str, object], moves: dict[str, bool | None]) -> None:
    """A repository says whether its tags can be moved, with patterns for which the contrary is true."""
    registry = EcrRegistry()
    registry.mutability[WEB] = told
    for tag in moves:
        registry.put_manifest(WEB, make_image().data, tag=tag)

    async with connect(registry) as client:
        tags = [tag async for page in client.list_tags(WEB) for tag in page]

    assert moves == {tag.name: None if tag.locks is None else tag.locks.can_write for tag in tags}


async def test_password_is_asked_for_once() -> None:
    """The registry gets a password that the API gave, again when four fifths of its life are over."""
    registry = EcrRegistry()
    image = make_image()
    registry.put_manifest(WEB, image.data, image.media_type, "v1")
    registry.expires_at = (NOW + timedelta(hours=12)).timestamp()
    time = [NOW]

    async with connect(registry, time=time) as client:
        for hours in (0, 9, 10):
            time[0] = NOW + timedelta(hours=hours)
            await client.get_manifest(WEB, TagName("v1"))
        identity = await client.identify()

    assert 2 == [action for action, _ in registry.calls].count("GetAuthorizationToken")
    assert 2 == client.ledger.count(RequestKind.TOKEN)
    assert PASSWORD not in f"{identity!r} {client!r}"
    assert identity.credentials is not None and "AWS" == identity.credentials.username


async def test_signatures_stay_at_the_api() -> None:
    """What is signed goes to the API, the password to the registry, and neither to the other."""
    registry = EcrRegistry()
    image = make_image()
    registry.put_manifest(WEB, image.data, image.media_type, "v1")

    async with connect(registry) as client:
        [page async for page in client.list_tags(WEB)]
        await client.get_manifest(WEB, TagName("v1"))

    sent = {
        (r.headers["host"], r.headers.get("authorization", "nothing").split()[0]) for r in registry.requests
    }
    api = "api.ecr.eu-west-1.amazonaws.com"
    assert {(api, "AWS4-HMAC-SHA256"), (HOST, "nothing"), (HOST, "Basic")} == sent


async def test_repository_that_is_not_there() -> None:
    """A 400 that says so is a repository that is not known, and is not asked for in smaller pages."""
    registry = EcrRegistry()

    async with connect(registry) as client:
        with pytest.raises(RegistryUnknownError):
            [page async for page in client.list_manifests(WEB)]

    assert ["DescribeRepositories"] == [action for action, _ in registry.calls]


async def test_images_that_one_may_not_see() -> None:
    """Who may pull and not describe gets the plain list, and is told that there is no other."""
    registry = EcrRegistry()
    image = make_image()
    registry.put_manifest(WEB, image.data, image.media_type, "v1")
    registry.denied = {"DescribeImages", "DescribeRepositories"}

    async with connect(registry) as client:
        tags = [tag async for page in client.list_tags(WEB) for tag in page]
        with pytest.raises(RegistryDeniedError):
            [page async for page in client.list_manifests(WEB)]
        with pytest.raises(RegistryDeniedError):
            [page async for page in client.list_repositories()]

    assert [ListedTag(TagName("v1"))] == tags


async def test_own_repositories_of_the_public_registry() -> None:
    """One's own repositories are below one's alias, and are told of like private ones."""
    registry = EcrRegistry(alias="acme")
    image = make_image()
    own = RepositoryName("acme/samples/web")
    registry.put_manifest(own, image.data, image.media_type, "v1")

    async with connect_public(registry, "acme") as client:
        names = [name async for page in client.list_repositories() for name in page]
        tags = [tag async for page in client.list_tags(own) for tag in page]
        manifests = [manifest async for page in client.list_manifests(own) for manifest in page]

    digest = Digest(image.digest)
    assert ([own], [ListedTag(TagName("v1"), digest)]) == (names, tags)
    assert [ListedManifest(digest, image.media_type, None, PUSHED_AT)] == manifests
    assert [
        ("DescribeRepositories", {"maxResults": 1_000}),
        ("DescribeImages", {"repositoryName": "samples/web", "maxResults": 1_000}),
    ] == registry.calls


async def test_repositories_of_others_in_the_public_registry() -> None:
    """What is not one's own is read as anybody reads it, and nobody is asked for more."""
    registry = EcrRegistry(alias="acme")
    nginx = RepositoryName("nginx/nginx")
    registry.put_manifest(nginx, make_image().data, tag="v1")

    async with connect_public(registry, "acme") as client:
        tags = [tag async for page in client.list_tags(nginx) for tag in page]
        with pytest.raises(RegistryUnsupportedError):
            [page async for page in client.list_manifests(nginx)]

    assert [ListedTag(TagName("v1"))] == tags
    assert [] == registry.calls


async def test_public_registry_needs_nothing() -> None:
    """Without namespaces neither botocore nor credentials are wanted."""
    dialect = EcrPublicDialect(RegistrySettings(url="https://public.ecr.aws"))

    assert () == dialect.apis

"""GitLab lists the repositories of groups and projects; the rest is asked the plain way."""

import httpx
import pytest

from fakes.gitlab import TOKEN, GitlabRegistry
from fakes.sync_rig import image, open_rig, push
from graph.errors import RegistryDeniedError, RegistryUnsupportedError
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

URL = "https://registry.gitlab.com"


def connect(registry: GitlabRegistry, **settings: object) -> RegistryClient:
    given = {"url": URL, "username": "reader", "password": TOKEN, **settings}
    return RegistryClient(RegistrySettings(**given), httpx.ASGITransport(registry))


def fill() -> GitlabRegistry:
    registry = GitlabRegistry({"team/web", "team/sub/api", "solo/tool"})
    for name in ("team/web", "team/web/cache", "team/sub/api", "solo/tool"):
        registry.put_repository(name)
    return registry


async def repositories_of(client: RegistryClient) -> list[str]:
    return [str(name) async for page in client.list_repositories() for name in page]


@pytest.mark.parametrize(
    ("namespaces", "expected"),
    [
        (("team",), ["team/sub/api", "team/web", "team/web/cache"]),
        (("team/sub", "solo/tool"), ["team/sub/api", "solo/tool"]),
        (("team/web",), ["team/web", "team/web/cache"]),
    ],
)
async def test_repositories_of_groups_and_projects(namespaces: tuple[str, ...], expected: list[str]) -> None:
    """A group has those of the groups below it; what is no group is a project."""
    async with connect(fill(), namespaces=namespaces) as client:
        assert expected == await repositories_of(client)


async def test_paths_are_one_part() -> None:
    """The path of a group below a group goes into one part of the URL, as GitLab wants it."""
    asked: list[bytes] = []

    class Watching(httpx.ASGITransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(request.url.raw_path.partition(b"?")[0])
            return await super().handle_async_request(request)

    settings = RegistrySettings(
        url="https://registry.gitlab.com", namespaces=("team/sub",), username="reader", password=TOKEN
    )
    async with RegistryClient(settings, Watching(fill())) as client:
        assert ["team/sub/api"] == await repositories_of(client)

    assert [b"/api/v4/groups/team%2Fsub/registry/repositories"] == asked


@pytest.mark.parametrize(("count", "requests"), [(1, 1), (100, 1), (101, 2), (250, 3)])
async def test_requests_of_a_list(count: int, requests: int) -> None:
    """n repositories of a group cost ⌈n/100⌉ requests; of the Link only the query is used."""
    registry = GitlabRegistry(set())
    for number in range(count):
        registry.put_repository(f"team/project/image-{number}")

    async with connect(registry, namespaces=("team",)) as client:
        assert count == len(await repositories_of(client))

    assert requests == client.ledger.total
    assert {"gitlab.com"} == {request.headers["host"] for request in registry.requests}


async def test_without_namespaces() -> None:
    """The catalog is all there is then, and it is closed."""
    async with connect(fill()) as client:
        with pytest.raises(RegistryDeniedError):
            await repositories_of(client)


async def test_a_namespace_that_is_not_there() -> None:
    """Neither a group nor a project: the list of repositories cannot be had."""
    async with connect(fill(), namespaces=("nobody",)) as client:
        with pytest.raises(RegistryUnsupportedError):
            await repositories_of(client)


async def test_an_installation_of_ones_own() -> None:
    """Where the API is, the settings say; its login goes there, and nowhere that they do not name."""
    registry = fill()
    given = {"url": "https://registry.example", "dialect": "gitlab", "namespaces": ("team",)}

    async with connect(registry, **given, api_url="https://gitlab.example:8443") as client:
        assert 3 == len(await repositories_of(client))
    async with connect(registry, **given) as client:
        with pytest.raises(RegistryDeniedError):
            await repositories_of(client)

    assert ["gitlab.example:8443", "registry.example"] == [
        request.headers["host"] for request in registry.requests
    ]
    assert "authorization" not in registry.requests[1].headers


@pytest.mark.parametrize(("url", "expected"), [(URL, "gitlab"), ("https://registry.example", "oci")])
def test_hosts_are_known(url: str, expected: str) -> None:
    """Of all others the API's host is not known."""
    assert expected == choose_dialect(RegistrySettings(url=url)).name


async def test_crawl() -> None:
    """Repositories come from the API; tags, manifests and configs are asked for as of any registry."""
    registry = GitlabRegistry({"team/web"}, supports_referrers=False)
    for number in range(3):
        push(registry, "team/web", image(f"{number}"), f"v{number}")
    settings = {"namespaces": ("team",), "username": "reader", "password": TOKEN}
    async with open_rig(registry, dialect="gitlab", api_url="https://gitlab.example", **settings) as rig:
        first, report = await rig.spend()
        second, _ = await rig.spend()

        assert {} == report.trouble_counts
        assert ["v0", "v1", "v2"] == sorted(rig.tags("team/web"))

    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_GET": 3, "CONFIG": 3, "REFERRERS": 1} == first
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 3} == second

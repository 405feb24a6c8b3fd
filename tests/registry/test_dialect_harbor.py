"""Harbor tells of every artifact: with tags, times and what is immutable, in pages of a hundred."""

from datetime import UTC, datetime

import httpx
import pytest

from builders import make_artifact, make_image, make_index, make_sbom, make_signature
from fakes.harbor import HarborRegistry
from fakes.sync_rig import Rig, image, open_rig, push
from graph.errors import RegistryUnknownError
from graph.oci.digest import Digest
from graph.oci.locks import Locks
from graph.oci.reference import RepositoryName, TagName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.sample import SampleRegistry
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

WEB = RepositoryName("library/team/web")
PUSHED = datetime(2025, 11, 24, 9, 50, 4, 123000, UTC)
SIGNED = datetime(2025, 11, 25, 10, 0, 0, 0, UTC)
URL = "https://harbor.example"
DAY = 86_400


def connect(registry: SampleRegistry, **settings: object) -> RegistryClient:
    return RegistryClient(RegistrySettings(url=URL, **settings), httpx.ASGITransport(registry))


async def test_tags_come_with_digests_times_and_locks() -> None:
    """A tag says what it names, when it was pushed, and whether a rule keeps it from being moved."""
    registry = HarborRegistry()
    built = make_image()
    registry.put_manifest(WEB, built.data, built.media_type, "v1")
    registry.immutable.add((WEB, "v1"))

    async with connect(registry) as client:
        tags = [tag async for page in client.list_tags(WEB) for tag in page]

    locks = Locks(can_delete=False, can_write=False, can_list=None, can_read=None)
    assert [ListedTag(TagName("v1"), Digest(built.digest), PUSHED, None, locks)] == tags
    assert "/api/v2.0/projects/library/repositories/team%2Fweb/artifacts" == registry.requests[0].path


async def test_every_manifest_is_listed() -> None:
    """Children, untagged artifacts and accessories are in the list, each once."""
    registry = HarborRegistry()
    child, dangling = make_image(architecture="arm64"), make_image(architecture="s390x")
    index = make_index([child])
    push(registry, WEB, index, "v1")
    push(registry, WEB, dangling)
    push(registry, WEB, make_sbom(index))

    async with connect(registry) as client:
        manifests = [each async for page in client.list_manifests(WEB) for each in page]

    assert {each.digest for each in (index, child, dangling, make_sbom(index))} == {
        str(each.digest) for each in manifests
    }
    assert 4 == len(manifests)
    assert ListedManifest(Digest(index.digest), index.media_type, pushed_at=PUSHED) in manifests
    assert SIGNED in [each.pushed_at for each in manifests]


async def test_tags_of_accessories() -> None:
    """cosign's tag is told by the plain list only, and is not lost."""
    registry = HarborRegistry()
    built = make_image()
    signature = make_signature(built)
    push(registry, WEB, built, "v1")
    push(registry, WEB, signature, str(signature.tag))

    async with connect(registry) as client:
        tags = {tag.name: tag.digest async for page in client.list_tags(WEB) for tag in page}

    assert {"v1": built.digest, signature.tag: None} == tags


@pytest.mark.parametrize(("count", "requests"), [(1, 1), (100, 1), (101, 2), (250, 3)])
async def test_requests_of_a_list(count: int, requests: int) -> None:
    """n tagged artifacts cost ⌈n/100⌉ requests for each list, and one page of plain names; no HEAD."""
    registry = HarborRegistry(page_size=1000)
    for number in range(count):
        built = make_image(labels={"number": str(number)})
        registry.put_manifest(WEB, built.data, built.media_type, f"v{number}")

    async with connect(registry) as client:
        tags = [tag async for page in client.list_tags(WEB) for tag in page]
        manifests = [each async for page in client.list_manifests(WEB) for each in page]

    assert (count, count) == (len(tags), len(manifests))
    assert 2 * requests + 1 == client.ledger.total


async def test_repositories_of_projects() -> None:
    """All that we may see, or those of the projects that the settings name."""
    registry = HarborRegistry()
    for name in ("library/a", "library/b/c", "other/d"):
        registry.put_repository(name)

    found = []
    for namespaces in ((), ("library",)):
        async with connect(registry, namespaces=namespaces) as client:
            found.append([name async for page in client.list_repositories() for name in page])

    assert [["library/a", "library/b/c", "other/d"], ["library/a", "library/b/c"]] == found


async def test_login_comes_with_the_first_request() -> None:
    """Without a login Harbor does not refuse, it shows less: so it is sent at once, a robot's too."""
    registry = HarborRegistry()
    registry.put_repository(WEB)

    async with connect(registry, username="robot$reader", password="secret") as client:
        [page async for page in client.list_repositories()]

    assert ["Basic cm9ib3QkcmVhZGVyOnNlY3JldA=="] == registry.authorizations


async def test_what_is_only_called_harbor() -> None:
    """A registry without the paths of Harbor is asked the plain way, and that is remembered."""
    registry = SampleRegistry()
    built = make_image()
    registry.put_manifest(WEB, built.data, built.media_type, "v1")

    async with connect(registry) as client:
        assert [(WEB,)] == [page async for page in client.list_repositories()]
        assert [(ListedTag(TagName("v1")),)] == [page async for page in client.list_tags(WEB)]

    assert ["/api/v2.0/repositories", "/v2/_catalog", f"/v2/{WEB}/tags/list"] == [
        request.path for request in registry.requests
    ]
    assert CapabilityState.UNSUPPORTED is client.capabilities[Capability.UNTAGGED_LISTING]


async def test_a_repository_that_is_not_there() -> None:
    """A repository that neither list knows says nothing about the registry."""
    async with connect(HarborRegistry()) as client:
        with pytest.raises(RegistryUnknownError):
            [page async for page in client.list_tags(WEB)]

    assert CapabilityState.SUPPORTED is client.capabilities[Capability.TAG_DIGESTS]


@pytest.mark.parametrize(
    ("url", "expected"),
    [(URL, "harbor"), ("https://demo.goharbor.io", "harbor"), ("https://a.harbor", "oci")],
)
def test_hosts_are_known(url: str, expected: str) -> None:
    """A host that is called harbor is taken for one."""
    assert expected == choose_dialect(RegistrySettings(url=url)).name


async def test_crawl() -> None:
    """A crawl asks for no tag, knows all there is, and the next one asks for lists only.

    What refers to an accessory is in no list of Harbor's own: that is asked for.
    """
    registry = HarborRegistry()
    index = make_index([image("one"), image("arm", architecture="arm64")])
    signature = make_signature(index)
    push(registry, WEB, index, "v1", "latest")
    push(registry, WEB, image("two"))
    sbom = make_sbom(index)
    signed = make_artifact("application/vnd.example.signature", subject=sbom)
    twice = make_artifact("application/vnd.example.signature", subject=signed)
    for built in (sbom, signed, twice):
        push(registry, WEB, built)
    push(registry, WEB, signature, str(signature.tag))
    rig: Rig
    async with open_rig(registry, dialect="harbor") as rig:
        first, report = await rig.spend()
        second, _ = await rig.spend()
        artifacts = rig.artifacts(WEB)
        rig.clock.advance(DAY)
        third, _ = await rig.spend()
        assert artifacts == rig.artifacts(WEB)

        assert {} == report.trouble_counts
        assert "COMPLETE" == rig.repository(WEB)["completeness"]
        assert [] == rig.recount()

    lists = {"PING": 1, "CATALOG": 1, "TAGS": 2, "MANIFESTS": 1}
    # Two accessories, what refers to one of them, and to that.
    assert {**lists, "MANIFEST_GET": 8, "CONFIG": 4, "REFERRERS": 4} == first
    # Of a tag that only the plain list has it takes a HEAD to know what it names.
    assert {**lists, "MANIFEST_HEAD": 1} == second
    assert {**lists, "MANIFEST_HEAD": 1, "REFERRERS": 4} == third
    assert ["", "DANGLING", "INDEX_CHILD", "INDEX_CHILD", *4 * ["REFERRER"]] == sorted(artifacts.values())


async def test_what_refers_to_an_accessory_is_deleted() -> None:
    """It is asked for when the list of the accessory's referrers is read again, and gone then."""
    registry = HarborRegistry()
    built = make_image()
    sbom = make_sbom(built)
    signed = make_artifact("application/vnd.example.signature", subject=sbom)
    for each, tags in ((built, ("v1",)), (sbom, ()), (signed, ())):
        push(registry, WEB, each, *tags)
    async with open_rig(registry, dialect="harbor") as rig:
        await rig.crawl()
        registry.delete_manifest(WEB, signed.digest)
        rig.clock.advance(DAY)
        await rig.crawl()
        assert {built.digest: "", sbom.digest: "REFERRER"} == rig.artifacts(WEB)
        assert [] == rig.recount()

"""A registry that lists its manifests is crawled by lists: nothing is asked one by one, nothing is hidden."""

from collections.abc import AsyncIterator

import pytest

from builders import make_index, make_sbom
from fakes.azure import AzureRegistry, Facts
from fakes.sync_rig import Rig, image, open_rig, push
from fakes.vendors import DOUBLES, WEB, fill
from graph.sample import Answer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def azure() -> AsyncIterator[Rig]:
    """Azure's registry, which lists tags with their digests and every manifest, and an empty store."""
    async with open_rig(AzureRegistry(), dialect="azure", page_size=100) as rig:
        yield rig


async def test_first_crawl(azure: Rig) -> None:
    """Each list costs its pages, each manifest and config one GET, whatever names it, and nothing a HEAD."""
    one, two = image("one"), image("two")
    index = make_index([one, image("arm", architecture="arm64")])
    push(azure.registry, "web", index, "v1", "latest")
    push(azure.registry, "web", two)
    push(azure.registry, "web", make_sbom(index))

    spent, report = await azure.spend()

    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFESTS": 1, "MANIFEST_GET": 5, "CONFIG": 3} == spent
    assert {} == report.trouble_counts
    assert "COMPLETE" == azure.repository("web")["completeness"]
    assert ["", "DANGLING", "INDEX_CHILD", "INDEX_CHILD", "REFERRER"] == sorted(
        azure.artifacts("web").values()
    )
    assert [] == azure.recount()


async def test_later_crawl(azure: Rig) -> None:
    """A later crawl costs the lists, however many tags and untagged manifests there are."""
    for number in range(3):
        push(azure.registry, "web", image(f"tagged {number}"), f"v{number}")
        push(azure.registry, "web", image(f"untagged {number}"))
    await azure.crawl()
    before = azure.dump()

    spent, _ = await azure.spend()

    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFESTS": 1} == spent
    assert before == azure.dump()


@pytest.mark.parametrize(("count", "pages"), [(99, 1), (100, 1), (101, 2), (201, 3)])
async def test_pages(azure: Rig, count: int, pages: int) -> None:
    """n tags on n manifests cost ⌈n/page⌉ requests for each list."""
    for number in range(count):
        push(azure.registry, "web", image("the same", author=str(number)), f"v{number}")
    await azure.crawl()

    spent, _ = await azure.spend()

    assert {"PING": 1, "CATALOG": 1, "TAGS": pages, "MANIFESTS": pages} == spent


async def test_what_is_listed_no_more_is_absent(azure: Rig) -> None:
    """A manifest that a whole list lacks is absent; one whose tag moved away is dangling."""
    old, gone = image("old"), image("gone")
    push(azure.registry, "web", old, "latest")
    push(azure.registry, "web", gone)
    await azure.crawl()

    push(azure.registry, "web", image("new"), "latest")
    azure.registry.delete_manifest("web", gone.digest)
    await azure.crawl()

    assert "DANGLING" == azure.artifacts("web")[old.digest]
    assert [gone.digest] == list(azure.artifacts("web", present=False))
    assert [] == azure.recount()


async def test_a_list_that_is_cut_short_ends_nothing(azure: Rig) -> None:
    """Without its last page a list of manifests makes nothing absent, and what is untagged is asked for."""
    untagged = [image(f"untagged {number}") for number in range(150)]
    for each in untagged:
        push(azure.registry, "web", each)
    push(azure.registry, "web", image("tagged"), "v1")
    await azure.crawl()

    azure.registry.faults = lambda request: (
        400 if request.path.endswith("/_manifests") and "last=" in request.query else None
    )
    spent, _ = await azure.spend()

    assert 151 == len(azure.artifacts("web"))
    assert 150 == spent["MANIFEST_HEAD"]
    assert "BEST_EFFORT" == azure.repository("web")["completeness"]


async def test_manifests_that_cannot_be_read(azure: Rig) -> None:
    """A manifest that is listed and locked against reading is there, with why it could not be read."""
    locked = image("locked")
    push(azure.registry, "web", locked, "v1")
    closed = {"deleteEnabled": True, "writeEnabled": True, "listEnabled": True, "readEnabled": False}
    assert isinstance(azure.registry, AzureRegistry)
    azure.registry.facts["web", locked.digest] = Facts(attributes=closed)
    azure.registry.faults = {f"/v2/web/manifests/{locked.digest}": 403}

    await azure.crawl()

    assert {locked.digest: ""} == azure.artifacts("web")
    assert ["REGISTRY_DENIED"] == [row[4] for row in azure.dump()["artifacts"]]


@pytest.mark.parametrize(
    ("body", "troubles"),
    [
        (b'{"manifests":[{"digest":"<html>"}]}', {"REGISTRY_DOUBTFUL": 1}),
        (b'{"manifests":null}', {}),
        (b"{}", {}),
    ],
)
async def test_a_list_of_no_manifests(azure: Rig, body: bytes, troubles: dict[str, int]) -> None:
    """What a list leaves out that holds what is no digest, or lacks what a tag names, is asked for."""
    push(azure.registry, "web", image("tagged"), "v1")
    untagged = push(azure.registry, "web", image("untagged"))
    await azure.crawl()
    azure.registry.faults = {"/acr/v1/web/_manifests": Answer(200, body=body)}

    spent, report = await azure.spend()

    assert troubles == report.trouble_counts
    assert "DANGLING" == azure.artifacts("web")[untagged]
    assert "BEST_EFFORT" == azure.repository("web")["completeness"]
    assert 1 == spent["MANIFEST_HEAD"]


@pytest.mark.parametrize("name", ["github", "google", "harbor"])
async def test_an_object_that_lists_nothing(name: str) -> None:
    """A message in place of a list, under status 200, is no list of nothing."""
    double = DOUBLES[name]
    registry = double.make()
    fill(registry)
    async with open_rig(registry, dialect=name, **double.settings) as rig:
        await rig.crawl()
        known = rig.tags(WEB), rig.artifacts(WEB)
        body = b'{"message": "come back later"}'
        registry.faults = lambda request: None if "/v2/acme" in request.path else Answer(200, body=body)
        if name == "google":
            registry.faults = {f"/v2/{WEB}/tags/list": Answer(200, body=body)}
        report = await rig.crawl()

        assert report.failure is not None or report.trouble_counts
        assert known == (rig.tags(WEB), rig.artifacts(WEB))

"""What is wrong with one repository or its list of tags: it costs nothing known, and no other repository."""

import json

import pytest

from builders import (
    make_index,
)
from fakes.sync_rig import Rig, image, push
from graph.errors import DoubtfulListError
from graph.oci.reference import RepositoryName
from graph.sample import Answer, Request
from graph.sync.repository import refresh_repository

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (401, "REGISTRY_DENIED"),
        (403, "REGISTRY_DENIED"),
        (500, "REGISTRY_FAILED"),
        (503, "REGISTRY_FAILED"),
        (Answer(200, body=b"<html>"), "REGISTRY_PROTOCOL"),
        (Answer(200, body=b'{"tags": 5}'), "REGISTRY_PROTOCOL"),
        (Answer(200, body=b'{"errors": [{"code": "DENIED"}], "tags": []}'), "REGISTRY_PROTOCOL"),
        (Answer(200, body=b'{"errors": [{"code": "UNKNOWN"}]}'), "REGISTRY_PROTOCOL"),
        (Answer(302, (("Location", "http://elsewhere.example/"),)), "REGISTRY_PROTOCOL"),
    ],
)
async def test_one_repository_fails(rig: Rig, fault: int | Answer, code: str) -> None:
    """A repository whose list of tags cannot be had keeps what is known of it; the others are looked at."""
    for name in ("a", "b", "c"):
        push(rig.registry, name, image(name), "v1")
    await rig.crawl()
    known = rig.tags("b")
    for name in ("a", "b", "c"):
        push(rig.registry, name, image("new"), "v2")
    rig.registry.faults = {"/v2/b/tags/list": fault}
    report = await rig.crawl()
    assert report.failure is None
    assert (3, 1) == (report.repositories, report.repositories_failed)
    assert {code: 1} == report.trouble_counts
    assert (code, known) == (rig.repository("b")["error_code"], rig.tags("b"))
    assert {"v1", "v2"} == set(rig.tags("a")) == set(rig.tags("c"))
    rig.registry.faults = {}
    assert (await rig.crawl()).trouble_counts == {}
    assert rig.repository("b")["error_code"] is None
    assert {"v1", "v2"} == set(rig.tags("b"))
    assert [] == rig.recount()


async def test_a_list_of_tags_that_is_cut_short(rig: Rig) -> None:
    """What a list named before it was cut short is looked at; nothing is absent by it."""
    rig.registry.page_size = 2
    index = make_index([image("child")])
    for tag in ("v1", "v2", "v3", "v4"):
        push(rig.registry, "web", image(tag), tag)
    await rig.crawl()
    push(rig.registry, "web", index, "v1")
    rig.registry.delete_tag("web", "v3")
    rig.registry.faults = lambda request: 500 if "last=" in request.query else None
    report = await rig.crawl()
    assert {"REGISTRY_FAILED": 1} == report.trouble_counts
    assert {"v1", "v2", "v3", "v4"} == set(rig.tags("web"))
    assert rig.repository("web")["error_code"] == "REGISTRY_FAILED"


async def test_a_list_of_tags_without_end(rig: Rig) -> None:
    """A list whose pages lead back is cut short; the children of what it named are looked at all the same."""
    index = make_index([image("child")])
    push(rig.registry, "web", image("old"), "gone")
    await rig.crawl()
    rig.registry.delete_tag("web", "gone")
    push(rig.registry, "web", index, "v1")
    page = json.dumps({"name": "web", "tags": ["v1"]}).encode()
    link = ("Link", '</v2/web/tags/list?last=v1>; rel="next"')
    rig.registry.faults = {"/v2/web/tags/list": Answer(200, (link,), page)}
    report = await rig.crawl()
    assert {"REGISTRY_PROTOCOL": 1} == report.trouble_counts
    assert {"v1", "gone"} == set(rig.tags("web"))
    assert "INDEX_CHILD" == rig.artifacts("web")[index.manifests[0].digest]
    assert [] == rig.recount()


async def test_a_repository_that_is_gone(rig: Rig) -> None:
    """A repository that neither the catalog nor its own list of tags knows is absent, with all it held."""
    push(rig.registry, "web", make_index([image("a")]), "v1")
    push(rig.registry, "api", image("a"), "v1")
    await rig.crawl()
    rig.registry.delete_repository("web")
    spent, report = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 2, "MANIFEST_HEAD": 1} == spent
    assert {} == report.trouble_counts
    assert rig.repository("web")["absent_at"] is not None
    assert {} == rig.tags("web") == rig.artifacts("web")
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 1} == spent
    push(rig.registry, "web", make_index([image("a")]), "v1")
    await rig.crawl()
    assert rig.repository("web")["absent_at"] is None
    assert 2 == len(rig.artifacts("web"))
    assert [] == rig.recount()


async def test_a_catalog_that_skips_a_repository(rig: Rig) -> None:
    """A repository that the catalog leaves out but whose tags are listed is there (distribution 3 on S3)."""
    push(rig.registry, "web", image("a"), "v1")
    push(rig.registry, "web-two", image("b"), "v1")
    await rig.crawl()
    rig.registry.faults = {"/v2/_catalog": Answer(200, body=b'{"repositories": ["web-two"]}')}
    await rig.crawl()
    assert rig.repository("web")["absent_at"] is None
    assert {"v1"} == set(rig.tags("web"))


async def test_a_repository_of_untagged_manifests_only(rig: Rig) -> None:
    """A repository that is in the catalog and answers 404 for its tags has none (distribution 2.8.2)."""
    digest = push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    rig.registry.delete_tag("web", "v1")
    rig.registry.faults = {"/v2/web/tags/list": 404}
    report = await rig.crawl()
    assert {} == report.trouble_counts
    assert {} == rig.tags("web")
    assert {digest: "DANGLING"} == rig.artifacts("web")
    assert rig.repository("web")["absent_at"] is None
    assert [] == rig.recount()


@pytest.mark.parametrize("is_away", [True, False])
async def test_a_404_in_other_words(rig: Rig, is_away: bool) -> None:
    """404 of a list without a code of the specification is a proxy's, unless the registry answers a ping."""
    built = push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    has_catalog = False

    def answer(request: Request) -> Answer | None:
        nonlocal has_catalog
        is_there = not has_catalog or (request.path == "/v2/" and not is_away)
        has_catalog = has_catalog or request.path == "/v2/_catalog"
        return None if is_there else Answer(404, body=b"404 page not found")

    rig.registry.faults = answer
    spent, report = await rig.spend()
    assert 2 == spent["PING"]
    if is_away:
        assert {"REGISTRY_UNKNOWN": 1} == report.trouble_counts
        assert ({"v1": built}, {built: ""}) == (rig.tags("web"), rig.artifacts("web"))
    else:
        assert {} == report.trouble_counts
        assert {} == rig.tags("web")


async def test_a_registry_that_goes_away_behind_a_proxy(rig: Rig) -> None:
    """404 to whatever is asked, from one request on: what was known of the repository is still there."""
    index = make_index([image("child")])
    push(rig.registry, "web", index, "v1")
    push(rig.registry, "web", image("old"), "v0")
    await rig.crawl()
    rig.registry.delete_tag("web", "v0")
    await rig.crawl()
    known = rig.tags("web"), rig.artifacts("web")
    has_tags = False

    def answer(request: Request) -> Answer | None:
        nonlocal has_tags
        is_there, has_tags = not has_tags, has_tags or request.path == "/v2/web/tags/list"
        return None if is_there else Answer(404, body=b"404 page not found")

    rig.registry.faults = answer
    report = await rig.crawl()
    assert "REGISTRY_UNKNOWN" == rig.repository("web")["error_code"]
    assert {"REGISTRY_UNKNOWN": 2} == report.trouble_counts  # the tag, and the repository
    assert known == (rig.tags("web"), rig.artifacts("web"))
    rig.registry.faults = {}
    await rig.crawl()
    assert known == (rig.tags("web"), rig.artifacts("web"))
    assert [] == rig.recount()


async def test_tags_null(rig: Rig) -> None:
    """`"tags": null` is an empty list (distribution 2.8.2 after the last tag is gone)."""
    push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    rig.registry.faults = {"/v2/web/tags/list": Answer(200, body=b'{"name":"web","tags":null}')}
    await rig.crawl()
    assert {} == rig.tags("web")


@pytest.mark.parametrize("body", ['{"name":"web"}', '{"tags":[null]}', '{"name":"other","tags":[]}'])
async def test_a_list_of_nothing(rig: Rig, body: str) -> None:
    """A list without tags is one of none, whoever it says it is of (registries leave `tags` out)."""
    push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    rig.registry.faults = {"/v2/web/tags/list": Answer(200, body=body.encode())}
    report = await rig.crawl()
    assert {} == report.trouble_counts
    assert {} == rig.tags("web")


async def test_a_list_of_tags_with_what_is_none(rig: Rig) -> None:
    """What a list leaves out that holds what is no name is asked for: a tag is absent by a 404 alone."""
    push(rig.registry, "web", image("a"), "v1", "v2")
    gone = push(rig.registry, "web", image("b"), "v3")
    await rig.crawl()
    rig.registry.delete_tag("web", "v3")
    body = json.dumps({"name": "web", "tags": ["v1", "<v2>"]}).encode()
    rig.registry.faults = {"/v2/web/tags/list": Answer(200, body=body)}
    spent, report = await rig.spend()
    assert ({}, 1) == (report.trouble_counts, report.names_dropped)
    assert {"v1", "v2"} == set(rig.tags("web"))
    assert "DANGLING" == rig.artifacts("web")[gone]
    # The tags, and the artifact that has none left; a 404 is got once, since some registries know GET only.
    assert (4, 1) == (spent["MANIFEST_HEAD"], spent["MANIFEST_GET"])
    spent, _ = await rig.spend()
    assert (3, None) == (spent["MANIFEST_HEAD"], spent.get("MANIFEST_GET"))
    assert [] == rig.recount()


@pytest.mark.parametrize("items", [["<html>"], [5, {}], ["Tag with blanks", ""]])
async def test_a_list_of_no_tags_at_all(rig: Rig, items: list[object]) -> None:
    """A list of what is none is no list: nothing is absent by it, and the repository has an error."""
    push(rig.registry, "web", image("a"), "v1", "v2")
    await rig.crawl()
    known = rig.tags("web")
    push(rig.registry, "new", image("a"), "v1")
    fault = Answer(200, body=json.dumps({"name": "web", "tags": items}).encode())
    rig.registry.faults = {"/v2/web/tags/list": fault, "/v2/new/tags/list": fault}
    report = await rig.crawl()
    assert {"REGISTRY_DOUBTFUL": 2} == report.trouble_counts
    assert known == rig.tags("web")
    for name in ("web", "new"):
        assert "REGISTRY_DOUBTFUL" == rig.repository(name)["error_code"]
    assert rig.repository("new")["observed_at"] is None
    assert [] == rig.recount()


async def test_a_refresh_by_a_list_of_no_tags(rig: Rig) -> None:
    """A refresh asks for what such a list leaves out, as a crawl does."""
    push(rig.registry, "web", image("a"), "v1", "v2")
    await rig.crawl()
    rig.registry.delete_tag("web", "v2")
    rig.registry.faults = {"/v2/web/tags/list": Answer(200, body=b'{"tags":["!"]}')}
    with pytest.raises(DoubtfulListError):
        await refresh_repository(rig.upstream, RepositoryName("web"))
    assert ["v1"] == list(rig.tags("web"))

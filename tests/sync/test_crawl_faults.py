"""What registries get wrong: it is recorded where it belongs, costs nothing known, and stops nothing else."""

import json
from collections.abc import Callable

import pytest

from builders import (
    OCI_INDEX,
    OCI_MANIFEST,
    Built,
    make_artifact,
    make_blob,
    make_image,
    make_index,
    make_json,
    make_layer,
    make_sbom,
)
from fakes.sync_rig import Rig, image, push
from graph.errors import DoubtfulListError
from graph.oci.reference import RepositoryName
from graph.registry.wire import MAX_MANIFEST_BYTES
from graph.sample import Answer, Request
from graph.sync.patience import MAX_FAILURES_IN_A_ROW
from graph.sync.plan import MAX_INDEX_DEPTH, MAX_REFERRER_DEPTH
from graph.sync.repository import refresh_repository

pytestmark = pytest.mark.anyio

DAY = 86_400


def manifest_path(repository: str, reference: str) -> str:
    return f"/v2/{repository}/manifests/{reference}"


def error_of(rig: Rig, repository: str, digest: str) -> str | None:
    """The error code of an artifact."""
    (code,) = [row[4] for row in rig.dump()["artifacts"] if row[:2] == (repository, digest)]
    return code


def tag_error(rig: Rig, repository: str, tag: str) -> str | None:
    """The error code of a tag."""
    (code,) = [row[3] for row in rig.dump()["tags"] if row[:2] == (repository, tag)]
    return code


# Repositories.


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


# The catalog, and the registry as a whole.


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"errors":[{"code":"DENIED"}]}', "REGISTRY_PROTOCOL"),
        (b'{"repositories":["Web","<api>"]}', "REGISTRY_DOUBTFUL"),
        (b'{"repositories":["Web","other"]}', None),
        (b"{}", None),
    ],
)
async def test_a_catalog_of_no_repositories(rig: Rig, body: bytes, code: str | None) -> None:
    """A catalog of errors or of what is no name is none; what is known stays, whatever it says."""
    push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    rig.registry.faults = {"/v2/_catalog": Answer(200, body=body)}
    report = await rig.crawl()
    assert code == (report.failure.code if report.failure is not None else None)
    assert ["v1"] == list(rig.tags("web"))
    assert rig.repository("web")["absent_at"] is None


@pytest.mark.parametrize(("fault", "code"), [(404, "REGISTRY_UNSUPPORTED"), (403, "REGISTRY_DENIED")])
async def test_no_catalog(rig: Rig, fault: int, code: str) -> None:
    """Without a catalog what is known is looked at, nothing is absent, and the report says why."""
    push(rig.registry, "web", image("a"), "v1")
    push(rig.registry, "gone", image("a"), "v1")
    await rig.crawl()
    push(rig.registry, "web", image("b"), "v2")
    rig.registry.delete_repository("gone")
    rig.registry.faults = {"/v2/_catalog": fault}
    report = await rig.crawl()
    assert report.failure is not None
    assert (code, False) == (report.failure.code, report.is_stopped)
    assert {"v1", "v2"} == set(rig.tags("web"))
    assert {"v1"} == set(rig.tags("gone"))
    assert rig.repository("gone")["absent_at"] is None
    assert rig.repository("gone")["error_code"] == "REGISTRY_UNKNOWN"


async def test_a_catalog_that_is_cut_short(rig: Rig) -> None:
    """The part of the catalog that came is looked at; nothing is absent by the part that did not."""
    rig.registry.page_size = 1
    for name in ("a", "b", "c"):
        push(rig.registry, name, image(name), "v1")
    await rig.crawl()
    push(rig.registry, "aa", image("new"), "v1")
    rig.registry.delete_repository("c")
    rig.registry.faults = lambda request: 500 if request.query.endswith("last=aa") else None
    report = await rig.crawl()
    assert report.failure is not None
    assert "REGISTRY_FAILED" == report.failure.code
    assert {"v1"} == set(rig.tags("aa"))
    assert rig.repository("c")["absent_at"] is None


async def test_a_registry_that_is_down(rig: Rig) -> None:
    """A crawl of a registry that does not answer fails after one ping, and nothing known is lost."""
    push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    before = rig.dump()
    rig.registry.faults = lambda request: 503
    spent, report = await rig.spend()
    assert {"PING": 1} == spent
    assert report.failure is not None
    assert ("REGISTRY_FAILED", True) == (report.failure.code, report.is_stopped)
    assert before == rig.dump()


async def test_a_registry_that_goes_down(rig: Rig) -> None:
    """A crawl of a registry that stops answering ends soon; the next goes on with what was not finished."""
    rig.registry.supports_referrers = False
    for number in range(200):
        push(rig.registry, f"repository{number:03}", image("a"), "v1")

    def go_down() -> None:
        rig.registry.faults = lambda request: 503

    rig.registry.hooks = {300: go_down}
    spent, report = await rig.spend()
    assert report.failure is not None
    assert ("REGISTRY_FAILED", True) == (report.failure.code, report.is_stopped)
    # What was under way fails once or a few times, and one ping.
    assert sum(spent.values()) < 300 + 32 * 2
    assert [] == rig.recount()
    finished = sum(1 for row in rig.dump()["repositories"] if not row[8])
    assert finished > 0
    rig.registry.faults = {}
    spent, report = await rig.spend()
    assert report.failure is None
    assert 200 - finished == spent["TAGS"]
    assert all({"v1"} == set(rig.tags(f"repository{number:03}")) for number in (0, 100, 199))
    spent, _ = await rig.spend()
    assert 200 == spent["TAGS"]


async def test_a_registry_that_wants_fewer_requests(rig: Rig) -> None:
    """429 beyond the client's patience stops the crawl, and the report says how long to wait."""
    for name in ("a", "b", "c"):
        push(rig.registry, name, image(name), "v1")
    throttled = Answer(429, (("Retry-After", "120"),), b"slow down")
    rig.registry.faults = {manifest_path(name, "v1"): throttled for name in ("a", "b", "c")}
    report = await rig.crawl()
    assert report.failure is not None
    assert "REGISTRY_THROTTLED" == report.failure.code
    assert (True, 120) == (report.is_stopped, report.retry_after)


async def test_one_repository_in_silence(rig: Rig) -> None:
    """A repository that fails again and again is left after a few requests, and the registry is pinged."""
    rig.registry.supports_referrers = False
    for number in range(100):
        push(rig.registry, "bad", image(f"{number}"), f"v{number}")
    push(rig.registry, "good", image("good"), "v1")
    rig.registry.faults = lambda request: 500 if request.path.startswith("/v2/bad/manifests/") else None
    spent, report = await rig.spend()
    assert report.failure is None
    assert 1 == report.repositories_failed
    assert {"v1"} == set(rig.tags("good"))
    # At the beginning, and when the look has ended; where a sixth request failed by then, before that too.
    assert spent["PING"] in (2, 3)
    assert MAX_FAILURES_IN_A_ROW < spent["MANIFEST_GET"] < 100
    assert "REGISTRY_FAILED" == rig.repository("bad")["error_code"]


# Manifests.


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (403, "REGISTRY_DENIED"),
        (404, "REGISTRY_UNKNOWN"),
        (500, "REGISTRY_FAILED"),
        (Answer(200, body=b"x" * (MAX_MANIFEST_BYTES + 1)), "CONTENT_TOO_LARGE"),
    ],
)
async def test_one_tag_fails(rig: Rig, fault: int | Answer, code: str) -> None:
    """A tag whose manifest cannot be had is there with its error; the others of its repository are whole."""
    rig.registry.supports_referrers = False
    push(rig.registry, "web", image("a"), "v1")
    bad = push(rig.registry, "web", image("b"), "v2")
    rig.registry.faults = {manifest_path("web", "v2"): fault}
    report = await rig.crawl()
    assert {code: 1} == report.trouble_counts
    assert (None, code) == (rig.tags("web")["v2"], tag_error(rig, "web", "v2"))
    assert rig.tags("web")["v1"] is not None
    rig.registry.faults = {}
    await rig.crawl()
    assert (bad, None) == (rig.tags("web")["v2"], tag_error(rig, "web", "v2"))
    assert [] == rig.recount()


@pytest.mark.parametrize("fault", [401, 403, 500])
async def test_a_known_tag_that_fails(rig: Rig, fault: int) -> None:
    """A tag that is known keeps what it named while the registry refuses to say."""
    built = push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    rig.registry.faults = {manifest_path("web", "v1"): fault}
    await rig.crawl()
    assert built == rig.tags("web")["v1"]
    assert tag_error(rig, "web", "v1") is not None
    assert {built: ""} == rig.artifacts("web")
    rig.registry.faults = {}
    await rig.crawl()
    assert tag_error(rig, "web", "v1") is None


async def test_a_listed_tag_that_names_nothing(rig: Rig) -> None:
    """A tag that is listed and answers 404 is shown with its error, and what it named is asked for."""
    built = push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    rig.registry.delete_manifest("web", built)
    listed = Answer(200, body=b'{"name":"web","tags":["v1"]}')
    rig.registry.faults = {"/v2/web/tags/list": listed}
    await rig.crawl()
    assert "REGISTRY_UNKNOWN" == tag_error(rig, "web", "v1")
    assert {built} == set(rig.artifacts("web", present=False))
    assert [] == rig.recount()


@pytest.mark.parametrize(
    "data",
    [
        b"<html>not JSON</html>",
        b"[]",
        b'{"schemaVersion":2,"schemaVersion":2,"config":{},"layers":[]}',
        b'{"schemaVersion":2,"manifests":[],"layers":[]}',
        b"[" * 10_000,
    ],
    ids=["html", "list", "duplicate", "ambiguous", "deep"],
)
async def test_a_malformed_manifest(rig: Rig, data: bytes) -> None:
    """A manifest that cannot be read is an artifact with an error; its bytes are not asked for again."""
    rig.registry.supports_referrers = False
    push(rig.registry, "web", image("a"), "v1")
    bad = rig.registry.put_manifest("web", data, tag="v2")
    spent, report = await rig.spend()
    assert {"MALFORMED_MANIFEST": 1} == report.trouble_counts
    assert "MALFORMED_MANIFEST" == error_of(rig, "web", bad)
    assert {"v1", "v2"} == set(rig.tags("web"))
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 2} == spent
    assert [] == rig.recount()


@pytest.mark.parametrize(
    "body", [b"<html>log in</html>", b"", b"[]", b"{}", b'{"errors":[{"code":"DENIED"}]}', b'{"a":1,"a":2}']
)
@pytest.mark.parametrize("is_redirected", [False, True])
async def test_a_page_in_place_of_manifests(rig: Rig, body: bytes, is_redirected: bool) -> None:
    """A page under status 200, as of a login, is what no tag names: tags stay, and tell why."""
    index = make_index([image("child")])
    push(rig.registry, "web", index, "v1", "v2")
    push(rig.registry, "api", image("a"), "v1")
    await rig.crawl()
    before = rig.dump()
    push(rig.registry, "web", image("new"), "v3")
    push(rig.registry, "api", image("b"), "v2")
    page = Answer(200, (("Content-Type", "text/html"),), body)

    def log_in(request: Request) -> Answer | None:
        if request.path.startswith("/v2/web/manifests/"):
            return Answer(302, (("Location", "/login"),)) if is_redirected else page
        return page if request.path == "/login" else None

    rig.registry.faults = log_in
    report = await rig.crawl()
    assert {"REGISTRY_PROTOCOL": 3} == report.trouble_counts
    assert {"v1": index.digest, "v2": index.digest, "v3": None} == rig.tags("web")
    assert {"v1", "v2"} == set(rig.tags("api"))
    assert [row for row in before["artifacts"] if row[0] == "web"] == [
        row for row in rig.dump()["artifacts"] if row[0] == "web"
    ]
    rig.registry.faults = {}
    assert {} == (await rig.crawl()).trouble_counts
    assert [] == rig.recount()


async def test_a_refused_manifest_that_comes_back(rig: Rig) -> None:
    """Why it was refused is known when it is pushed again, by a tag or in an index; nobody asks again."""
    rig.registry.supports_referrers = False
    bad = make_blob(b'{"schemaVersion":2,"schemaVersion":2}', OCI_MANIFEST)
    index = make_index([bad, image("a")])
    push(rig.registry, "web", bad, "v1")
    push(rig.registry, "app", index, "v1")
    await rig.crawl()
    for name, built in (("web", bad), ("app", index), ("app", bad)):
        rig.registry.delete_manifest(name, built.digest)
    await rig.crawl()
    assert bad.digest in rig.artifacts("web", present=False)
    assert bad.digest in rig.artifacts("app", present=False)
    push(rig.registry, "web", bad, "v1")
    push(rig.registry, "app", index, "v1")
    for _ in range(2):
        spent, _ = await rig.spend()
        assert "MANIFEST_GET" not in spent
        for name in ("web", "app"):
            assert "MALFORMED_MANIFEST" == error_of(rig, name, bad.digest)
            assert bad.digest in rig.artifacts(name)
    assert [] == rig.recount()


@pytest.mark.parametrize("status", [404, 405])
async def test_head_that_does_not_work(rig: Rig, status: int) -> None:
    """Where HEAD is refused and GET works (Nexus) nothing is gone by that: what is left out is got."""
    rig.registry.supports_referrers = False
    index = make_index([image("a"), image("b")])
    rig.registry.faults = lambda request: status if request.method == "HEAD" else None
    push(rig.registry, "one", index, "v1")
    push(rig.registry, "two", index, "v1")
    old = push(rig.registry, "old", image("c"), "v1")
    await rig.crawl()
    everything = {name: set(rig.artifacts(name)) for name in ("one", "two", "old")}
    assert [3, 3, 1] == [len(found) for found in everything.values()]

    rig.registry.delete_tag("old", "v1")
    for _ in range(2):
        report = await rig.crawl()
        assert {} == report.trouble_counts
        assert everything == {name: set(rig.artifacts(name)) for name in everything}
    assert "DANGLING" == rig.artifacts("old")[old]

    rig.registry.delete_manifest("old", old)
    rig.restart()
    assert {} == (await rig.crawl()).trouble_counts
    assert {} == rig.artifacts("old")
    assert [] == rig.recount()


async def test_a_manifest_that_is_too_large(rig: Rig) -> None:
    """Of a manifest that is too large the tag is known once HEAD told the digest; then nobody asks again."""
    rig.registry.supports_referrers = False
    bad = rig.registry.put_manifest("web", b"x" * (MAX_MANIFEST_BYTES + 1), tag="v1")
    await rig.crawl()
    await rig.crawl()
    assert {"v1": bad} == rig.tags("web")
    assert "CONTENT_TOO_LARGE" == error_of(rig, "web", bad)
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 1} == spent


async def test_a_child_that_lies_about_its_digest(rig: Rig) -> None:
    """Bytes that are not what their digest says are refused, and poison nothing that comes later."""
    index = make_index([image("good"), image("bad", architecture="arm64")])
    push(rig.registry, "web", index, "v1")
    bad = index.manifests[1]
    rig.registry.put_manifest("web", image("other").data, digest=bad.digest)
    report = await rig.crawl()
    assert {"DIGEST_MISMATCH": 1} == report.trouble_counts
    assert "DIGEST_MISMATCH" == error_of(rig, "web", bad.digest)
    assert bad.digest not in {row[0] for row in rig.dump()["manifests"]}
    rig.registry.put_manifest("web", bad.data)
    await rig.crawl()
    assert error_of(rig, "web", bad.digest) is None
    assert "INDEX_CHILD" == rig.artifacts("web")[bad.digest]
    assert [] == rig.recount()


@pytest.mark.parametrize("body", [None, b"<html>", image("other").data])
async def test_a_head_that_lies_about_its_digest(rig: Rig, body: bytes | None) -> None:
    """A digest that a HEAD makes up is not believed: the tag is fetched, and its bytes tell."""
    built = push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    made_up = "sha256:" + "0" * 64
    lie = ("Docker-Content-Digest", made_up)

    def lying(request: Request) -> Answer | None:
        if body is not None and request.path == manifest_path("web", made_up):
            return Answer(200, (("Content-Type", OCI_MANIFEST), lie), body)
        is_head = request.method == "HEAD" and request.path == manifest_path("web", "v1")
        return Answer(200, (("Content-Type", "application/json"), lie)) if is_head else None

    rig.registry.faults = lying
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 1, "MANIFEST_GET": 2} == spent
    assert {"v1": built} == rig.tags("web")
    assert {built: ""} == rig.artifacts("web")


@pytest.mark.parametrize("refusal", [404, 405])
async def test_a_registry_that_knows_no_head(rig: Rig, refusal: int) -> None:
    """Where HEAD is a 404 and GET works (Nexus), tags are fetched, at every crawl; one that is mended too."""
    rig.registry.supports_referrers = False
    good, broken = image("a"), image("b")
    push(rig.registry, "web", broken, "broken")
    push(rig.registry, "web", good, "v1")
    del rig.registry.repositories["web"].manifests[broken.digest]
    rig.registry.faults = lambda request: refusal if request.method == "HEAD" else None
    await rig.crawl()
    for _ in range(2):
        spent, report = await rig.spend()
        assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 2, "MANIFEST_GET": 2} == spent
        assert {"REGISTRY_UNKNOWN": 1} == report.trouble_counts
        assert {"broken": None, "v1": good.digest} == rig.tags("web")
    push(rig.registry, "web", broken)
    rig.restart()
    report = await rig.crawl()
    assert {} == report.trouble_counts
    assert {"broken": broken.digest, "v1": good.digest} == rig.tags("web")


async def test_a_tag_named_by_another_algorithm(rig: Rig) -> None:
    """A HEAD that names the digest by sha512 is no move: the manifest is known by its sha256."""
    built = push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    other = ("Docker-Content-Digest", "sha512:" + "0" * 128)
    rig.registry.faults = lambda request: Answer(200, (other,)) if request.method == "HEAD" else None
    await rig.crawl()
    assert {"v1": built} == rig.tags("web")


# Configs.


@pytest.mark.parametrize(
    ("fault", "is_stored"),
    [
        (404, True),
        (Answer(200, body=b"another config"), True),
        (Answer(200, (("Content-Type", "text/html; charset=utf-8"),), b"<html>log in</html>"), False),
        (403, False),
        (500, False),
    ],
)
async def test_a_config_that_cannot_be_had(rig: Rig, fault: int | Answer, is_stored: bool) -> None:
    """An image without its config is shown as it is if asking again is no use, else it waits for that."""
    rig.registry.supports_referrers = False
    built = image("a", architecture="riscv64")
    push(rig.registry, "web", built, "v1")
    rig.registry.faults = lambda request: fault if "/blobs/" in request.path else None
    report = await rig.crawl()
    assert {"v1": built.digest} == rig.tags("web")
    assert is_stored == (error_of(rig, "web", built.digest) is None)
    assert is_stored == (report.trouble_counts == {})
    rig.registry.faults = {}
    spent, _ = await rig.spend()
    assert is_stored == ("CONFIG" not in spent)
    assert (None if is_stored else "riscv64") == rig.dump()["manifests"][0][4]
    assert [] == rig.recount()


async def test_a_config_that_is_malformed(rig: Rig) -> None:
    """An image whose config is no JSON is an image without a config."""
    config = make_blob(b"{", "application/vnd.oci.image.config.v1+json")
    built = make_image([make_layer("a")], config)
    push(rig.registry, "web", built, "v1")
    report = await rig.crawl()
    assert {} == report.trouble_counts
    assert {built.digest: ""} == rig.artifacts("web")
    assert [] == rig.recount()


async def test_a_config_larger_than_its_descriptor(rig: Rig) -> None:
    """A config is taken for no more than the manifest says it is: room for it was reckoned by that."""
    honest = image("a", architecture="riscv64")
    manifest = honest.document
    manifest["config"]["size"] -= 1
    lying = make_json(manifest, OCI_MANIFEST, blobs=honest.blobs)
    push(rig.registry, "web", lying, "v1")
    spent, report = await rig.spend()
    assert (1, {}) == (spent["CONFIG"], report.trouble_counts)
    assert {lying.digest: ""} == rig.artifacts("web")
    assert None is rig.dump()["manifests"][0][4]
    spent, _ = await rig.spend()
    assert "CONFIG" not in spent
    assert [] == rig.recount()


# Graphs without end, and lies about referrers.


async def test_indexes_in_indexes_end(rig: Rig) -> None:
    """Children are followed to a depth, at every crawl the same."""
    rig.registry.supports_referrers = False
    built = image("deep")
    for _ in range(MAX_INDEX_DEPTH + 3):
        built = make_index([built])
    push(rig.registry, "web", built, "v1")
    await rig.crawl()
    assert 1 + MAX_INDEX_DEPTH == len(rig.artifacts("web"))
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 1} == spent
    assert [] == rig.recount()


async def test_referrers_of_referrers_end(rig: Rig) -> None:
    """A registry that has a new referrer of whatever it is asked about does not keep a crawl for ever."""
    push(rig.registry, "web", image("a"), "v1")

    def answer(request: Request) -> Answer | None:
        if "/referrers/" not in request.path:
            return None
        subject = request.path.rpartition("/")[2]
        referrer = make_artifact(subject={"mediaType": OCI_INDEX, "digest": subject, "size": 2})
        push(rig.registry, "web", referrer)
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [referrer.descriptor()]}
        return Answer(200, (("Content-Type", OCI_INDEX),), json.dumps(body).encode())

    rig.registry.faults = answer
    for _ in range(2):
        await rig.crawl()
        rig.clock.advance(DAY)
        assert 1 + MAX_REFERRER_DEPTH == len(rig.artifacts("web"))
    assert [] == rig.recount()


def listing(*listed: Built) -> Callable[[Request], Answer | None]:
    """A registry that gives this list of referrers, whatever the subject."""
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [built.descriptor() for built in listed],
    }

    def answer(request: Request) -> Answer | None:
        if "/referrers/" not in request.path:
            return None
        return Answer(200, (("Content-Type", OCI_INDEX),), json.dumps(body).encode())

    return answer


async def test_a_listed_referrer_must_name_its_subject(rig: Rig) -> None:
    """A list may claim what it likes; a referrer counts for the subject that its own manifest names."""
    built, other = image("a"), image("b")
    sbom = make_sbom(other)
    push(rig.registry, "web", built, "v1")
    push(rig.registry, "web", sbom)
    rig.registry.faults = listing(sbom)
    spent, report = await rig.spend()
    assert {"REGISTRY_PROTOCOL": 1} == report.trouble_counts
    assert {built.digest: ""} == rig.artifacts("web")
    assert [] == rig.dump()["referrers"]
    rig.clock.advance(DAY)
    spent, _ = await rig.spend()
    assert "MANIFEST_GET" not in spent
    assert [] == rig.recount()


async def test_a_subject_listed_as_its_own_referrer(rig: Rig) -> None:
    """An image in the list of its own referrers (GitLab) is none."""
    built = image("a")
    push(rig.registry, "web", built, "v1")
    rig.registry.faults = listing(built)
    await rig.crawl()
    assert [] == rig.dump()["referrers"]
    assert {built.digest: ""} == rig.artifacts("web")


async def test_a_listed_referrer_that_is_gone(rig: Rig) -> None:
    """A referrer that is listed and answers 404 is not there."""
    built = image("a")
    push(rig.registry, "web", built, "v1")
    rig.registry.faults = listing(make_sbom(built))
    report = await rig.crawl()
    assert report.failure is None
    assert {built.digest: ""} == rig.artifacts("web")


async def test_a_referrer_that_another_repository_has(rig: Rig) -> None:
    """A referrer whose bytes are known from elsewhere counts if these name the subject; nobody asks again."""
    built = image("a")
    sbom = make_sbom(built)
    push(rig.registry, "one", built, "v1")
    push(rig.registry, "one", sbom)
    await rig.crawl()
    push(rig.registry, "two", built, "v1")
    push(rig.registry, "two", sbom)
    spent, _ = await rig.spend()
    assert 1 == spent["MANIFEST_GET"]
    assert {built.digest: "", sbom.digest: "REFERRER"} == rig.artifacts("two")
    assert [] == rig.recount()


async def test_lists_of_referrers_that_are_refused(rig: Rig) -> None:
    """A list that is refused leaves the question open: it is asked again by the next crawl."""
    built = image("a")
    push(rig.registry, "web", built, "v1")
    push(rig.registry, "web", make_sbom(built))
    await rig.crawl()
    rig.clock.advance(DAY)
    rig.registry.faults = lambda request: 500 if "/referrers/" in request.path else None
    report = await rig.crawl()
    assert {"REGISTRY_FAILED": 2} == report.trouble_counts
    assert 2 == len(rig.artifacts("web"))
    rig.registry.faults = {}
    spent, _ = await rig.spend()
    assert 2 == spent["REFERRERS"]


async def test_a_mistake_of_ours_in_one_repository(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody foresaw costs one repository, is logged, and never the others."""

    def break_down() -> None:
        raise ZeroDivisionError("nobody foresaw this")

    for name in ("a", "b"):
        push(rig.registry, name, image(name), "v1")
    rig.registry.hooks = {3: break_down}  # the first list of tags
    report = await rig.crawl()
    assert {"ERROR": 1} == report.trouble_counts
    assert 1 == len(rig.tags("a")) + len(rig.tags("b"))
    assert "ZeroDivisionError" in caplog.text
    await rig.crawl()
    assert 2 == len(rig.tags("a")) + len(rig.tags("b"))


async def test_names_that_are_none(rig: Rig) -> None:
    """What a registry lists that is no valid name is left out, and the report says how much that was."""
    push(rig.registry, "web", image("a"), "v1")
    listed = {
        "/v2/_catalog": {"repositories": ["Web", "web"]},
        "/v2/web/tags/list": {"name": "web", "tags": ["sha256:" + "0" * 64, "v1"]},
    }
    rig.registry.faults = {path: Answer(200, body=json.dumps(body).encode()) for path, body in listed.items()}

    report = await rig.crawl()

    assert 2 == report.names_dropped
    assert ["v1"] == list(rig.tags("web"))
    assert 1 == report.repositories

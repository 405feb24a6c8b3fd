"""What is wrong with a tag, a manifest or a config: it is recorded there, and stops nothing else."""

import pytest

from builders import (
    OCI_MANIFEST,
    make_blob,
    make_image,
    make_index,
    make_json,
    make_layer,
)
from fakes.sync_rig import Rig, image, push
from graph.registry.wire import MAX_MANIFEST_BYTES
from graph.sample import Answer, Request

pytestmark = pytest.mark.anyio


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

"""What is wrong with a catalog or a registry as a whole: a crawl costs nothing known, and tells of it."""

import json

import pytest

from fakes.sync_rig import Rig, image, push
from graph.sample import Answer
from graph.sync.patience import MAX_FAILURES_IN_A_ROW

pytestmark = pytest.mark.anyio


def manifest_path(repository: str, reference: str) -> str:
    return f"/v2/{repository}/manifests/{reference}"


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

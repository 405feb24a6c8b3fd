"""What is throttled keeps nobody else from being seen, and is not asked again and again either."""

from collections import Counter
from collections.abc import Callable

import pytest

from builders import make_index
from fakes.azure import AzureRegistry
from fakes.sync_rig import Rig, image, open_rig, push
from graph.oci.reference import RepositoryName
from graph.sample import Request, SampleRegistry
from graph.sample.registry import Answer
from graph.sync.crawl import REPOSITORIES_AT_ONCE
from graph.sync.queue import MAX_REFUSED, Queue

pytestmark = pytest.mark.anyio

# More than are looked at at once, so that most have their turn after a refusal.
GOOD = 3 * REPOSITORIES_AT_ONCE
BAD = 2 * REPOSITORIES_AT_ONCE

Faults = Callable[[Request], Answer | None]


def refuse(*prefixes: str) -> Faults:
    """A registry that answers 429 to whatever is asked of these repositories."""
    throttled = Answer(429, (("Retry-After", "120"),), b"slow down")
    paths = tuple(f"/v2/{prefix}" for prefix in prefixes)
    return lambda request: throttled if request.path.startswith(paths) else None


def fill(rig: Rig, *bad: str) -> None:
    # What is bad has the first turns.
    for name in bad:
        push(rig.registry, name, image(name), "v1")
    for number in range(GOOD):
        push(rig.registry, f"team{number % 7}/app{number}", image("good"), "v1")


def asked(rig: Rig, since: int, prefix: str) -> int:
    return sum(request.path.startswith(f"/v2/{prefix}") for request in rig.registry.requests[since:])


def seen(rig: Rig) -> int:
    """How many repositories were looked at to their end, ever."""
    return sum(1 for row in rig.dump()["repositories"] if not row[8])


async def test_one_repository_is_always_throttled(rig: Rig) -> None:
    """Every other is seen in every crawl, which ends; the one costs one request a crawl."""
    fill(rig, "bad/one")
    rig.registry.faults = refuse("bad/")
    for _ in range(3):
        since = len(rig.registry.requests)
        report = await rig.crawl()
        assert (False, GOOD + 1, 1) == (
            report.is_stopped,
            report.repositories,
            report.repositories_failed,
        )
        assert {"REGISTRY_THROTTLED": 1} == report.trouble_counts
        assert 1 == asked(rig, since, "bad/")
    assert GOOD == seen(rig)
    assert "REGISTRY_THROTTLED" == rig.repository("bad/one")["error_code"]


async def test_a_namespace_is_always_throttled(rig: Rig) -> None:
    """The others are seen in the first crawl; later ones try the namespace a few times, at their end."""
    fill(rig, *(f"bad/app{number}" for number in range(BAD)))
    rig.registry.faults = refuse("bad/")
    since = len(rig.registry.requests)
    report = await rig.crawl()
    assert (False, GOOD) == (report.is_stopped, seen(rig))
    assert {"REGISTRY_THROTTLED": BAD} == report.trouble_counts
    # Those that had begun when the first was refused, and the trials.
    assert asked(rig, since, "bad/") <= REPOSITORIES_AT_ONCE + MAX_REFUSED
    for _ in range(2):
        since = len(rig.registry.requests)
        report = await rig.crawl()
        assert not report.is_stopped
        assert {"REGISTRY_THROTTLED": BAD} == report.trouble_counts
        assert MAX_REFUSED == asked(rig, since, "bad/")
    rig.registry.faults = {}
    report = await rig.crawl()
    assert (0, GOOD + BAD) == (report.repositories_failed, seen(rig))


async def test_more_namespaces_than_a_crawl_puts_up_with(rig: Rig) -> None:
    """A crawl that was stopped goes on with the others, and the one after that begins anew."""
    names = [f"bad{number}/app" for number in range(4)]
    fill(rig, *names)
    rig.registry.faults = refuse("bad")
    report = await rig.crawl()
    assert (True, 120.0) == (report.is_stopped, report.retry_after)
    since = len(rig.registry.requests)
    report = await rig.crawl()
    assert (GOOD, False) == (seen(rig), report.is_stopped)
    assert asked(rig, since, "bad") <= len(names)
    since = len(rig.registry.requests)
    report = await rig.crawl()
    assert (GOOD + 4, False) == (report.repositories, report.is_stopped)
    assert asked(rig, since, "bad") <= len(names)


@pytest.mark.parametrize("name", ["team{}/app", "team/app{}", "app{}"])
async def test_a_registry_that_throttles_all(rig: Rig, name: str) -> None:
    """It is asked by those that had begun, and by MAX_REFUSED more at most; then the crawl stops."""
    for number in range(10 * REPOSITORIES_AT_ONCE):
        push(rig.registry, name.format(number), image("a"), "v1")
    throttled = refuse("")
    rig.registry.faults = lambda request: throttled(request) if rig.registry.request_count > 100 else None
    report = await rig.crawl()
    assert (True, 120.0) == (report.is_stopped, report.retry_after)
    assert rig.registry.request_count <= 100 + REPOSITORIES_AT_ONCE + MAX_REFUSED
    before = seen(rig)
    rig.registry.faults = {}
    since = len(rig.registry.requests)
    report = await rig.crawl()
    assert (10 * REPOSITORIES_AT_ONCE - before, 10 * REPOSITORIES_AT_ONCE) == (report.repositories, seen(rig))
    lists = Counter(request.path for request in rig.registry.requests[since:] if "/tags/" in request.path)
    assert {1} == set(lists.values())


def test_a_place_that_answers_again() -> None:
    """Once one of a refused place is answered, the rest of it has turns as all others have."""
    queue = Queue(["bad"])
    queue.put([(1, RepositoryName("bad/a")), (2, RepositoryName("bad/b")), (3, RepositoryName("good/a"))])
    assert (3, "good/a") == queue.take()
    queue.answer(RepositoryName("good/a"))
    assert queue.take() is None
    assert (1, "bad/a") == queue.take_last()
    assert queue.take_last() is None
    queue.answer(RepositoryName("bad/a"))
    assert (2, "bad/b") == queue.take()
    assert queue.left == []


def refuse_after(count: int, kind: str) -> Faults:
    """A registry that answers so many GETs of manifests, or of blobs, and 429 to those that follow."""
    answered = 0

    def fault(request: Request) -> Answer | None:
        nonlocal answered
        if f"/{kind}/" not in request.path or request.method != "GET":
            return None
        answered += 1
        return Answer(429, (("Retry-After", "120"),), b"slow down") if answered > count else None

    return fault


@pytest.mark.parametrize(
    ("pushed", "kind", "kept"),
    [
        ("tags", "manifests", 10),
        ("tags", "blobs", 10),
        ("untagged", "manifests", 10),
        ("children", "manifests", 9),
    ],
)
async def test_what_came_before_the_refusal(pushed: str, kind: str, kept: int) -> None:
    """What a look got before it was refused is stored, and not got again: a batch may be too much."""
    registry = AzureRegistry() if pushed == "untagged" else SampleRegistry(supports_referrers=False)
    images = [image(f"{number}") for number in range(20)]
    if pushed == "children":
        push(registry, "team/app", make_index(images), "v1")
    for number, built in enumerate(images):
        push(registry, "team/app", built, *([f"v{number}"] if pushed == "tags" else []))
    settings = {"dialect": "azure"} if pushed == "untagged" else {}
    # One after the other, so that nothing is under way when the refusal comes.
    async with open_rig(registry, concurrency=1, **settings) as rig:
        registry.faults = refuse_after(10, kind)
        report = await rig.crawl()
        assert {"REGISTRY_THROTTLED": 1} == report.trouble_counts
        assert kept == len(rig.artifacts("team/app")) - (pushed == "children")
        assert "REGISTRY_THROTTLED" == rig.repository("team/app")["error_code"]
        registry.faults = {}
        spent, report = await rig.spend()
        assert ({}, 20 - kept) == (report.trouble_counts, spent["MANIFEST_GET"])
        assert [] == rig.recount()

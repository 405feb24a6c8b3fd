"""Graphs without end, and lies about referrers."""

import json
from collections.abc import Callable

import pytest

from builders import (
    OCI_INDEX,
    Built,
    make_artifact,
    make_index,
    make_sbom,
)
from fakes.sync_rig import Rig, image, push
from graph.sample import Answer, Request
from graph.sync.plan import MAX_INDEX_DEPTH, MAX_REFERRER_DEPTH

pytestmark = pytest.mark.anyio

DAY = 86_400


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

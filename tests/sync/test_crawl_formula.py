"""The formula of docs/requests.md, worked out from what was pushed, against what a crawl sends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from builders import (
    Built,
    attestation_descriptor,
    make_artifact,
    make_attestation,
    make_helm_chart,
    make_index,
    make_sbom,
)
from fakes.sync_rig import Rig, image, push
from graph.oci.media_types import is_image_config

pytestmark = pytest.mark.anyio

DAY = 86_400

# By repository: what is pushed, with the tags that name it.
Pushed = Mapping[str, Sequence[tuple[Built, Sequence[str]]]]


def signature_of(built: Built) -> Built:
    return make_artifact("application/vnd.example.signature", subject=built)


AMD, ARM, TAGGED = image("amd"), image("arm", architecture="arm64"), image("tagged")
ATTESTATION = make_attestation(AMD)
INNER = make_index([AMD, ARM, attestation_descriptor(ATTESTATION, AMD)])
OUTER = make_index([INNER, TAGGED])
CHART = make_helm_chart()
SBOM, SBOM_OF_CHILD = make_sbom(OUTER), make_sbom(ARM)
EVERYTHING = [
    *((built, ()) for built in (AMD, ARM, ATTESTATION)),
    (INNER, ("inner", "inner-again")),
    (OUTER, ("latest",)),
    (TAGGED, ("amd64",)),
    (CHART, ("0.1.0",)),
    (SBOM, ()),
    (SBOM_OF_CHILD, ()),
    *((signature_of(built), ()) for built in (AMD, SBOM, CHART)),
    (signature_of(signature_of(SBOM)), ()),
    (image("nobody names it"), ()),  # and nobody sees it
]


@dataclass(frozen=True)
class Reached:
    """What a crawl can reach in one repository."""

    tags: int
    manifests: Mapping[str, Built]
    tagged: frozenset[str]
    children: frozenset[str]


def reach(pushed: Sequence[tuple[Built, Sequence[str]]], *, supports_referrers: bool) -> Reached:
    """Follow tags, the children of indexes and, where they are listed, referrers."""
    held = {built.digest: built for built, _ in pushed}
    tagged = frozenset(built.digest for built, tags in pushed if tags)
    waiting, reached, children = list(tagged), set(tagged), set()
    while waiting:
        digest = waiting.pop()
        below = [child["digest"] for child in held[digest].document.get("manifests", ())]
        children.update(below)
        if supports_referrers:
            below += [each for each, built in held.items() if subject_of(built) == digest]
        fresh = [each for each in below if each in held and each not in reached]
        reached.update(fresh)
        waiting += fresh
    tags = sum(len(tags) for _, tags in pushed)
    return Reached(tags, {digest: held[digest] for digest in reached}, tagged, frozenset(children))


def subject_of(built: Built) -> str | None:
    subject = built.document.get("subject")
    return subject and subject["digest"]


def configs_of(repositories: Sequence[Reached]) -> set[str]:
    """The distinct image configs of all."""
    documents = [built.document for each in repositories for built in each.manifests.values()]
    configs = [document["config"] for document in documents if "config" in document]
    return {config["digest"] for config in configs if is_image_config(config["mediaType"])}


async def check(rig: Rig, pushed: Pushed, *, supports_referrers: bool) -> None:
    """Hold the first crawl, a later one, and one after `referrers_max_age` against the formula.

    What one repository has by its digest alone no other has under a tag: else it would depend on which came
    first.
    """
    rig.registry.supports_referrers = supports_referrers
    for name, contents in pushed.items():
        for built, tags in contents:
            push(rig.registry, name, built, *tags)
    reached = [reach(contents, supports_referrers=supports_referrers) for contents in pushed.values()]
    tags = sum(each.tags for each in reached)
    children = [each.children - each.tagged for each in reached]
    by_digest = {digest for each in reached for digest in each.manifests.keys() - each.tagged}
    listings = sum(len(each.manifests) for each in reached)
    if not supports_referrers:
        listings = 1  # the probe
    lists = {"PING": 1, "CATALOG": 1, "TAGS": len(pushed)}

    spent, report = await rig.spend()

    assert ({}, None) == (report.trouble_counts, report.failure)
    assert {
        **lists,
        "MANIFEST_GET": tags + len(by_digest),
        "MANIFEST_HEAD": sum(map(len, children)) - len(set().union(*children)),
        "CONFIG": len(configs_of(reached)),
        "REFERRERS": listings,
    } == spent
    assert [set(each.manifests) for each in reached] == [set(rig.artifacts(name)) for name in pushed]

    spent, _ = await rig.spend()
    assert {**lists, "MANIFEST_HEAD": tags} == spent
    rig.clock.advance(DAY)
    spent, _ = await rig.spend()
    assert {**lists, "MANIFEST_HEAD": tags, "REFERRERS": listings} == spent
    assert [] == rig.recount()


@pytest.mark.parametrize("supports_referrers", [True, False])
async def test_nested_and_signed(rig: Rig, supports_referrers: bool) -> None:
    """Indexes in indexes, children that are tagged, referrers of images, of children and of referrers."""
    pushed = {"shop/web": EVERYTHING, "shop/api": EVERYTHING[:6], "charts": [EVERYTHING[6], EVERYTHING[11]]}
    await check(rig, pushed, supports_referrers=supports_referrers)


async def test_listings_counted_by_hand(rig: Rig) -> None:
    """Three images, two of them children; two indexes, an attestation, a chart, two SBOMs, 4 signatures."""
    for built, tags in EVERYTHING:
        push(rig.registry, "web", built, *tags)
    spent, _ = await rig.spend()
    assert 3 + 2 + 1 + 1 + 2 + 4 == spent["REFERRERS"] == len(rig.artifacts("web"))

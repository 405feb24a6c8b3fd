"""The formula of docs/requests.md, worked out from what was pushed, against what a crawl sends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

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


def none_left_out(spent: Mapping[str, int]) -> dict[str, int]:
    return {**dict.fromkeys(("MANIFEST_GET", "MANIFEST_HEAD", "CONFIG", "REFERRERS"), 0), **spent}


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
        listings = min(listings, 1)  # the probe
    lists = {"PING": 1, "CATALOG": 1, "TAGS": len(pushed)}

    spent, report = await rig.spend()

    assert ({}, None) == (report.trouble_counts, report.failure)
    assert {
        **lists,
        "MANIFEST_GET": tags + len(by_digest),
        "MANIFEST_HEAD": sum(map(len, children)) - len(set().union(*children)),
        "CONFIG": len(configs_of(reached)),
        "REFERRERS": listings,
    } == none_left_out(spent)
    assert [set(each.manifests) for each in reached] == [set(rig.artifacts(name)) for name in pushed]

    spent, _ = await rig.spend()
    later = {**lists, "MANIFEST_GET": 0, "MANIFEST_HEAD": tags, "CONFIG": 0, "REFERRERS": 0}
    assert later == none_left_out(spent)
    rig.clock.advance(DAY)
    spent, _ = await rig.spend()
    assert {**later, "REFERRERS": listings} == none_left_out(spent)
    assert [] == rig.recount()


@pytest.mark.parametrize("supports_referrers", [True, False])
async def test_nested_and_signed(rig: Rig, supports_referrers: bool) -> None:
    """Indexes in indexes, children that are tagged, referrers of images, of children and of referrers."""
    pushed = {"shop/web": EVERYTHING, "shop/api": EVERYTHING[:6], "charts": [EVERYTHING[6], EVERYTHING[11]]}
    await check(rig, pushed, supports_referrers=supports_referrers)


def any_holdings(seed: int) -> Pushed:
    """Some repositories with some of what was drawn: indexes of anything, referrers to anything."""
    rng = Random(seed)
    drawn = [image(str(number), architecture=rng.choice(["amd64", "arm64"])) for number in range(6)]
    drawn += [make_index(rng.sample(drawn, rng.randint(1, 3))) for _ in range(2)]
    drawn += [make_index(rng.sample(drawn, 2)), CHART]
    for number in range(5):
        subject = rng.choice(drawn)
        drawn.append(make_artifact(f"application/vnd.example.{number}", subject=subject))
    tags = {built.digest: ["v1", "v2"][: rng.choice([0, 0, 0, 1, 2])] for built in drawn}
    pushed = {}
    for number in range(rng.randint(1, 4)):
        held = {built.digest: built for built in rng.sample(drawn, rng.randint(1, len(drawn)))}
        waiting = list(held.values())
        while waiting:
            fresh = [child for child in waiting.pop().manifests if child.digest not in held]
            held.update((child.digest, child) for child in fresh)
            waiting += fresh
        named = enumerate(held.values())
        pushed[f"r{number}"] = [
            (built, [f"{tag}.{index}" for tag in tags[built.digest]]) for index, built in named
        ]
    return pushed


@pytest.mark.parametrize("supports_referrers", [True, False])
@pytest.mark.parametrize("seed", range(20))
async def test_any_holdings(rig: Rig, seed: int, supports_referrers: bool) -> None:
    """Whatever repositories hold, and share."""
    await check(rig, any_holdings(seed), supports_referrers=supports_referrers)


async def test_listings_counted_by_hand(rig: Rig) -> None:
    """Three images, two of them children; two indexes, an attestation, a chart, two SBOMs, 4 signatures."""
    for built, tags in EVERYTHING:
        push(rig.registry, "web", built, *tags)
    spent, _ = await rig.spend()
    assert 3 + 2 + 1 + 1 + 2 + 4 == spent["REFERRERS"] == len(rig.artifacts("web"))

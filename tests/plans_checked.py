"""The plan of a deletion, and what pulls fetch, against the oracle.

Rules of this file: as in `answers_checked.py`, for questions of which only a few can be asked: the caller
names the set.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from answers_checked import Asked
from deletion_oracle import Deletion, plan_deletion, without_tags
from oracle import Artifact, Oracle
from pull_oracle import Node, Pull, rollout
from requests_to_graph import Graph

DELETION = """
query ($artifacts: [String!], $tags: [String!], $repositories: [String!]) {
    deletion(artifacts: $artifacts, tags: $tags, repositories: $repositories) {
        artifactCount bytesFreed bytesFreedByNamedOnly bytesFreedByReferrers
        steps(first: 100) { nodes {
            reference reason causes { reference } causeCount breaks { reference } breakCount
        } }
        staying(first: 100) { nodes { reference reason holders { reference } holderCount tagCount } }
        blobs(first: 100) { nodes { digest size layer { digest } } }
    }
}
"""


async def check_deletion(
    graph: Graph,
    asked: Asked,
    named: Collection[tuple[str, Artifact]],
    tags: Collection[tuple[str, str, str]] = (),
    repositories: Collection[tuple[str, str]] = (),
) -> None:
    """The plan that deletes artifacts and repositories, and takes tags (registry, repository, tag) away."""
    variables = {
        "artifacts": [asked.address(*each) for each in named],
        "tags": [f"{registry}/{name}:{tag}" for registry, name, tag in tags],
        "repositories": [f"{registry}/{name}" for registry, name in repositories],
    }
    found = (await graph.data(DELETION, variables))["deletion"]
    plans: dict[str, Deletion] = {}
    steps, staying = _by_reference(found["steps"]), _by_reference(found["staying"])
    for registry, oracle in asked.oracles.items():
        members = {artifact for home, artifact in named if home == registry}
        for home, name in repositories:
            members |= oracle.members_of(name) if home == registry else set()
        taken = {(name, tag) for home, name, tag in tags if home == registry}
        plan = plans[registry] = plan_deletion(oracle, members, taken)
        left = without_tags(oracle, taken)
        for artifact, reason in plan.reasons.items():
            step = steps.pop(asked.address(registry, artifact))
            breaks = left.parents(artifact) - plan.reasons.keys()
            assert reason == step["reason"]
            assert {asked.address(registry, index) for index in breaks} == _references(step["breaks"])
        _check_order(list(_ordered(found["steps"], registry)), left, plan)
        for artifact, reason, holders in _staying(left, plan, {oracle_tag(oracle, each) for each in taken}):
            stay = staying.pop(asked.address(registry, artifact))
            assert (reason, len(left.ordinary_tags(artifact))) == (stay["reason"], stay["tagCount"])
            assert {asked.address(registry, holder) for holder in holders} == _references(stay["holders"])
    assert ({}, {}) == (steps, staying)
    _check_bytes(found, plans.values())


def oracle_tag(oracle: Oracle, tag: tuple[str, str]) -> Artifact:
    """What a tag (repository, tag) names."""
    name, text = tag
    return name, oracle.repositories[name].tags[text]


def _check_bytes(found: dict[str, Any], plans: Collection[Deletion]) -> None:
    assert {
        "artifactCount": sum(len(plan.reasons) for plan in plans),
        "bytesFreed": sum(plan.bytes_freed for plan in plans),
        "bytesFreedByNamedOnly": sum(plan.bytes_freed_by_named_only for plan in plans),
        "bytesFreedByReferrers": sum(plan.bytes_freed_by_referrers for plan in plans),
    } == {name: found[name] for name in found if name.startswith(("bytes", "artifact"))}
    blobs = [(blob["digest"], blob["size"]) for blob in found["blobs"]["nodes"]]
    assert sorted(blob for plan in plans for blob in plan.blobs.items()) == sorted(blobs)
    sizes = [size for _, size in blobs]
    assert sorted(sizes, reverse=True) == sizes


def _by_reference(connection: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {node["reference"]: node for node in connection["nodes"]}
    assert len(found) == len(connection["nodes"])  # nothing comes twice
    return found


def _references(nodes: Sequence[dict[str, Any]]) -> set[str]:
    return {node["reference"] for node in nodes}


def _ordered(steps: dict[str, Any], registry: str) -> Iterator[Artifact]:
    for node in steps["nodes"]:
        home, _, rest = node["reference"].partition("/")
        name, _, digest = rest.partition("@")
        if home == registry:
            yield name, digest


def _check_order(order: list[Artifact], left: Oracle, plan: Deletion) -> None:
    """An index comes before its children, and a referrer before its subject, but for circles of tags."""
    place = {artifact: position for position, artifact in enumerate(order)}
    before = {
        artifact: {
            other for other in {*left.children(artifact), *_subjects(left, artifact)} if other in place
        }
        - {artifact}
        for artifact in place
    }
    for artifact in order:
        for child in left.children(artifact):
            assert child not in place or place[artifact] < place[child]
        for other in before[artifact] if not _has_circle(before) else ():
            assert place[artifact] < place[other]


def _subjects(oracle: Oracle, artifact: Artifact) -> set[Artifact]:
    return {(artifact[0], subject) for subject in oracle.subjects(artifact)} & oracle.everything


def _has_circle(edges: dict[Artifact, set[Artifact]]) -> bool:
    left = set(edges)
    while True:
        ends = {artifact for artifact in left if not edges[artifact] & left}
        if not ends:
            return bool(left)
        left -= ends


def _staying(
    left: Oracle, plan: Deletion, loose: set[Artifact]
) -> Iterator[tuple[Artifact, str, set[Artifact]]]:
    """What stays though named by a tag, listed by what goes or a referrer of it; why, and what holds it."""
    gone = plan.reasons.keys()
    for artifact in left.everything - gone:
        subjects, parents = _subjects(left, artifact), left.parents(artifact)
        if artifact in loose or parents & gone or subjects & gone:
            if left.ordinary_tags(artifact):
                yield artifact, "TAGGED", set()
            elif parents - gone:
                yield artifact, "HELD_BY_INDEX", parents - gone
            else:
                yield artifact, "HELD_AS_REFERRER", subjects - gone


ROLLOUT = """
query ($artifacts: [String!]!, $platform: String, $present: Present, $reuse: Reuse!) {
    rollout(artifacts: $artifacts, platform: $platform, present: $present, reuse: $reuse) {
        layerBytes documentBytes totalBytes
        pulls {
            image { digest } layerBytes documentBytes totalBytes
            documents { digest size } fetched { digest size } present { digest }
        }
    }
}
"""
PULL = """
query ($artifact: String!, $platform: String, $present: Present, $reuse: Reuse!) {
    pull(artifact: $artifact, platform: $platform, present: $present, reuse: $reuse) {
        image { digest } layerBytes documentBytes totalBytes
        documents { digest size } fetched { digest size } present { digest }
    }
}
"""


async def check_pulls(
    graph: Graph,
    asked: Asked,
    registry: str,
    artifacts: Sequence[Artifact],
    platform: str,
    node: Node,
    reuse: str,
) -> None:
    """A rollout of the artifacts, and the pull of the first of them, to a node that holds something."""
    oracle = asked.oracles[registry]
    variables = {
        "platform": platform,
        "reuse": reuse,
        "present": {
            "artifacts": [asked.address(registry, artifact) for artifact in node.artifacts],
            "layers": list(node.layers),
            "diffIds": list(node.diff_ids),
        },
    }
    addresses = [asked.address(registry, artifact) for artifact in artifacts]
    expected = rollout(oracle, artifacts, platform, node, reuse)
    response = await graph.ask(ROLLOUT, {**variables, "artifacts": addresses})
    if expected is None:
        assert (None, 1) == (response["data"]["rollout"], len(response["errors"]))
        return
    assert "errors" not in response
    found = response["data"]["rollout"]
    _check_sums(found, found["pulls"])
    assert expected == [_shown_pull(oracle, pull) for pull in found["pulls"]]
    first = rollout(oracle, artifacts[:1], platform, node, reuse)
    alone = (await graph.data(PULL, {**variables, "artifact": addresses[0]}))["pull"]
    assert first == [_shown_pull(oracle, alone)]


def _check_sums(whole: dict[str, Any], parts: list[dict[str, Any]]) -> None:
    for name in ("layerBytes", "documentBytes", "totalBytes"):
        assert sum(part[name] for part in parts) == whole[name]


def _shown_pull(oracle: Oracle, pull: dict[str, Any]) -> Pull:
    """What a pull says it fetches, once its sums are seen to be those of the oracle's sizes."""
    listed = [[part["digest"] for part in pull[name]] for name in ("documents", "fetched", "present")]
    documents, fetched, present = listed
    sizes = [sum(oracle.sizes[digest] for digest in digests) for digests in (fetched, documents)]
    assert [*sizes, sum(sizes)] == [pull["layerBytes"], pull["documentBytes"], pull["totalBytes"]]
    return Pull(documents, fetched, present)

"""What a plan foretells is what leaves the disk, byte for byte, when somebody carries it out.

One `docker-registry` is filled once and crawled once. Each test copies its directory, deletes there what the
plan says, in its order, runs the collector of garbage without `--delete-untagged`, and looks at the blobs.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builders import make_image, make_index, make_layer, make_sbom, make_signature
from live.client import Graph
from live.rigs import blobs_on_disk, collect_garbage, docker_registry, ocigraph
from live.seeding import Builder, push, put_manifest, request, seed

pytestmark = pytest.mark.live

PLAN = """query ($artifacts: [String!], $tags: [String!], $repositories: [String!], $after: String) {
    deletion(artifacts: $artifacts, tags: $tags, repositories: $repositories) {
        artifactCount bytesFreed bytesFreedByNamedOnly bytesFreedByReferrers
        basis { exclusiveIsUpperBound }
        steps(first: 100, after: $after) {
            nodes { digest reason artifact { repository { name } } breaks { digest } }
            totalCount pageInfo { hasNextPage endCursor } }
        staying(first: 100) { nodes { digest reason holders { digest } tags { name } } }
    } }"""

BLOBS = """query ($artifacts: [String!], $tags: [String!], $repositories: [String!], $after: String) {
    deletion(artifacts: $artifacts, tags: $tags, repositories: $repositories) {
        blobs(first: 100, after: $after) { nodes { digest size } pageInfo { hasNextPage endCursor } } } }"""

Question = Mapping[str, Sequence[str]]

# What is asked, by the name of the test, and how often each reason is in the plan.
QUESTIONS: dict[str, tuple[Question, dict[str, int]]] = {
    "an image that shares its base with other repositories": (
        {"artifacts": ["shop/checkout:1"]},
        {"NAMED": 1},
    ),
    "an image with referrers by subject and a fallback tag": (
        {"artifacts": ["team/api:2.0"]},
        {"NAMED": 1, "REFERRER": 3},
    ),
    "one of two tags": ({"tags": ["team/web:latest"]}, {}),
    "both tags of a signed image": (
        {"tags": ["team/web:latest", "team/web:1.1"]},
        {"NAMED": 1, "REFERRER": 1},
    ),
    "repositories whose layers others use": ({"repositories": ["base/*"]}, {"NAMED": 2}),
    "an index that buildah pushed": ({"artifacts": ["multi/docker:1"]}, {"NAMED": 1, "CHILD": 2}),
    "an index with an attestation": ({"artifacts": ["attested/app:1"]}, {"NAMED": 1, "CHILD": 2}),
    "an index that shares a child with a kept one": (
        {"artifacts": ["yard/app:1"]},
        {"NAMED": 1, "CHILD": 1, "REFERRER": 2},
    ),
    "an index with a tagged child and a shared one": (
        {"artifacts": ["yard/app:2"]},
        {"NAMED": 1},
    ),
    "two indexes that share a child": (
        {"artifacts": ["yard/app:1", "yard/app:2"]},
        {"NAMED": 2, "CHILD": 2, "REFERRER": 2},
    ),
    "the last tag of an index": ({"tags": ["yard/nested:1"]}, {"NAMED": 1, "CHILD": 2}),
    "one of two manifests with one config": ({"artifacts": ["yard/config:a"]}, {"NAMED": 1}),
    "both manifests with one config": ({"repositories": ["yard/config"]}, {"NAMED": 2}),
    "a manifest that another repository has too": ({"artifacts": ["yard/copy:1"]}, {"NAMED": 1}),
    "a whole repository of many tags": ({"repositories": ["many/tags"]}, {"NAMED": 50}),
    "everything that two namespaces hold": (
        {"repositories": ["yard/app", "yard/copy", "multi/*"]},
        {"NAMED": 14},
    ),
}


@dataclass(frozen=True, slots=True)
class Yard:
    """A registry at rest: its directory, and a server that has crawled it."""

    directory: Path
    graph: Graph
    digests: Mapping[str, str]  # of what the questions cannot name by a tag

    def plan(self, question: Question) -> Any:
        """The plan, all pages of its steps in one list."""
        steps = list(self.graph.nodes(PLAN, "deletion.steps", question))
        plan = self.graph.ask(PLAN, question)["deletion"]
        assert plan["artifactCount"] == plan["steps"]["totalCount"] == len(steps)
        return {**plan, "steps": steps, "staying": plan["staying"]["nodes"]}

    def freed(self, question: Question) -> dict[str, int]:
        """Digest and size of every blob that the plan frees."""
        return {blob["digest"]: blob["size"] for blob in self.graph.nodes(BLOBS, "deletion.blobs", question)}

    def delete(self, steps: Sequence[Any], directory: Path) -> dict[str, int]:
        """Delete in a copy of the registry and collect its garbage; the blobs that are gone from its disk."""
        directory.mkdir()
        shutil.copytree(self.directory / "docker-registry", directory / "docker-registry")
        before = blobs_on_disk(directory)
        with docker_registry(directory) as url:
            for step in steps:
                name = step["artifact"]["repository"]["name"]
                request(f"{url}/v2/{name}/manifests/{step['digest']}", "DELETE")
        collect_garbage(directory)
        after = blobs_on_disk(directory)
        assert after.items() <= before.items()
        return {digest: size for digest, size in before.items() if digest not in after}


def seed_yard(url: str) -> dict[str, str]:
    """Indexes that share children, configs and manifests that are shared, referrers of referrers."""
    base = make_layer("yard", padding=70_000)
    images = [make_image([base, make_layer(f"child {n}", padding=9_000 + n)]) for n in range(4)]
    for tag, children in (("1", images[:2]), ("2", images[1:3])):
        push(url, "yard/app", make_index(children), tag)
    put_manifest(url, "yard/app", images[2], "2-amd64")
    # A signature of the child that only the first index has, and a list of parts of the signature.
    signature = make_signature(images[0])
    assert signature.tag is not None
    push(url, "yard/app", signature, signature.tag)
    sbom = make_sbom(signature)
    push(url, "yard/app", sbom)
    push(url, "yard/app", sbom, signature.digest.replace(":", "-") + ".sbom")
    push(url, "yard/copy", images[0], "1")
    push(url, "yard/nested", make_index([make_index([images[3]])]), "1")
    config = images[3].blobs[0]
    for tag in ("a", "b"):
        push(url, "yard/config", make_image([base], config, annotations={"org.example": tag}), tag)
    push(url, "yard/named", make_index([images[0], images[3]]), "1")
    return {"first child": images[0].digest, "last child": images[3].digest}


def seed_hidden(url: str) -> str:
    """A tagged image, and one that no tag leads to, which share a layer; the digest of the layer."""
    layer = make_layer("hidden", padding=33_000)
    push(url, "hidden/app", make_image([layer, make_layer("tagged")]), "1")
    push(url, "hidden/app", make_image([layer, make_layer("untagged")]))
    return layer.digest


@pytest.fixture(scope="module")
def yard(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """The registry of all questions; nothing changes in it once it is filled."""
    directory = tmp_path_factory.mktemp("yard")
    with docker_registry(directory) as url:
        seed(url, builder, has_referrers=False)
        digests = seed_yard(url)
        digests["hidden layer"] = seed_hidden(url)
        with ocigraph(url, directory / "store.db") as (server, _):
            graph = Graph(server)
            graph.wait_for_crawl()
            yield Yard(directory, graph, digests)


def total(freed: Mapping[str, int]) -> int:
    return sum(freed.values())


def reasons_of(plan: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for step in plan["steps"]:
        counts[step["reason"]] = counts.get(step["reason"], 0) + 1
    return counts


def named_of(plan: Any) -> list[Any]:
    return [step for step in plan["steps"] if step["reason"] == "NAMED"]


def test_nothing_is_garbage_before(yard: Yard, tmp_path: Path) -> None:
    """The rig: as it was filled the registry holds no garbage, so what leaves later is the plan's doing."""
    assert {} == yard.delete([], tmp_path / "copy")


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_whole_plan_frees_what_it_foretold(yard: Yard, tmp_path: Path, name: str) -> None:
    """Every digest of the plan deleted in its order: the blobs that it lists leave, `bytesFreed` in all."""
    question, reasons = QUESTIONS[name]
    plan = yard.plan(question)
    assert reasons == reasons_of(plan)
    gone = yard.delete(plan["steps"], tmp_path / "copy")
    assert yard.freed(question) == gone
    assert plan["bytesFreed"] == total(gone)


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_was_named_alone_frees_what_was_foretold(yard: Yard, tmp_path: Path, name: str) -> None:
    """Only what was named deleted: `bytesFreedByNamedOnly` leave."""
    plan = yard.plan(QUESTIONS[name][0])
    gone = yard.delete(named_of(plan), tmp_path / "copy")
    assert plan["bytesFreedByNamedOnly"] == total(gone)


def test_without_its_referrers_a_plan_frees_less(yard: Yard, tmp_path: Path) -> None:
    """`bytesFreedByReferrers` is what stays if the referrers of the plan are left where they are."""
    plan = yard.plan({"artifacts": ["team/api:2.0"]})
    kept = [step for step in plan["steps"] if step["reason"] != "REFERRER"]
    gone = yard.delete(kept, tmp_path / "copy")
    assert plan["bytesFreed"] - plan["bytesFreedByReferrers"] == total(gone)
    assert plan["bytesFreedByReferrers"] > 0


def test_the_plan_keeps_what_others_hold(yard: Yard) -> None:
    """A shared child, a tagged child and a tag that is left are each told, with what holds them."""
    plan = yard.plan({"artifacts": ["yard/app:2"]})
    staying = {stay["reason"]: stay for stay in plan["staying"]}
    assert ["2-amd64"] == [tag["name"] for tag in staying["TAGGED"]["tags"]]
    first = yard.plan({"artifacts": ["yard/app:1"]})
    (holder,) = staying["HELD_BY_INDEX"]["holders"]
    assert holder["digest"] == named_of(first)[0]["digest"]
    left = yard.plan({"tags": ["team/web:latest"]})
    assert [("TAGGED", ["1.1"])] == [
        (stay["reason"], [tag["name"] for tag in stay["tags"]]) for stay in left["staying"]
    ]
    assert 0 == left["bytesFreed"]


def test_a_named_child_of_a_kept_index_leaves_its_manifest_behind(yard: Yard, tmp_path: Path) -> None:
    """`breaks` says which index will lack it. This registry's collector keeps every manifest that an index
    names, even one that was deleted: of what was foretold all but that manifest leaves.
    """
    child = yard.digests["last child"]
    question = {"artifacts": [f"yard/nested@{child}", f"yard/named@{child}"]}
    plan = yard.plan(question)
    assert [1, 1] == [len(step["breaks"]) for step in plan["steps"]]
    gone = yard.delete(plan["steps"], tmp_path / "copy")
    foretold = yard.freed(question)
    assert {digest: size for digest, size in foretold.items() if digest != child} == gone
    assert plan["bytesFreed"] - foretold[child] == total(gone) > 0


def test_what_nobody_can_see_makes_the_forecast_an_upper_bound(yard: Yard, tmp_path: Path) -> None:
    """An untagged manifest that this registry lists to nobody holds a layer: fewer bytes leave, and the basis
    said so.
    """
    question = {"artifacts": ["hidden/app:1"]}
    plan = yard.plan(question)
    assert plan["basis"]["exclusiveIsUpperBound"]
    gone = yard.delete(plan["steps"], tmp_path / "copy")
    foretold = yard.freed(question)
    layer = yard.digests["hidden layer"]
    assert {digest: size for digest, size in foretold.items() if digest != layer} == gone
    assert plan["bytesFreed"] - foretold[layer] == total(gone) > 0


def test_everything(yard: Yard, tmp_path: Path) -> None:
    """All repositories at once: nothing is left but what an image that nobody can see uses."""
    plan = yard.plan({"repositories": ["*"]})
    gone = yard.delete(plan["steps"], tmp_path / "copy")
    left = {yard.digests["hidden layer"]}
    assert yard.freed({"repositories": ["*"]}).keys() - gone.keys() == left

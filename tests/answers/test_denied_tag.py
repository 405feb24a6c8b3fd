"""A tag that the registry would not resolve is not known, which every answer that it may belong to says."""

from datetime import datetime

import pytest

from requests_to_graph import graph_of
from store_builders import NOW, StoreBuilder

pytestmark = pytest.mark.anyio

BASIS = "basis { countsAreLowerBound exclusiveIsUpperBound }"
UNSURE = {"countsAreLowerBound": True, "exclusiveIsUpperBound": True}


def tag_store(code: str, **artifact: object) -> StoreBuilder:
    """A repository with one tag, which named an artifact before the registry refused to say what it names."""
    builder = StoreBuilder()
    repository = builder.repository(
        builder.registry("registry.test", catalog_observed_at=NOW), "web", observed_at=NOW, crawled_at=NOW
    )
    named = builder.image(repository, [], **artifact)
    builder.tag(repository, "v1", named, error_code=code, error_message="no")
    return builder


@pytest.mark.parametrize("absent_at", [NOW, None])
async def test_a_listed_tag_that_is_not_there(absent_at: datetime | None) -> None:
    """Of a tag that is listed and answers 404 nothing old is shown: its artifact is null, and why."""
    query = """{
        repository(name: "web") {
            tags { nodes { name artifact { digest } } }
            tag(name: "v1") { name artifact { digest } }
        }
        artifact(reference: "web:v1") { digest }
    }"""
    async with graph_of(tag_store("REGISTRY_UNKNOWN", absent_at=absent_at)) as graph:
        response = await graph.ask(query)

    unknown = {"name": "v1", "artifact": None}
    assert {"tags": {"nodes": [unknown]}, "tag": unknown} == response["data"]["repository"]
    assert response["data"]["artifact"] is None
    told = {tuple(error["path"]): error["extensions"]["code"] for error in response["errors"]}
    assert {
        ("repository", "tags", "nodes", 0, "artifact"): "REGISTRY_UNKNOWN",
        ("repository", "tag", "artifact"): "REGISTRY_UNKNOWN",
        ("artifact",): "REGISTRY_UNKNOWN",
    } == told


@pytest.mark.parametrize("code", ["REGISTRY_DENIED", "REGISTRY_FAILED"])
async def test_a_tag_without_an_answer(code: str) -> None:
    """Where the registry does not answer what a tag names, what it named before stands."""
    query = """{
        repository(name: "web") { tag(name: "v1") { artifact { digest } } }
        artifact(reference: "web:v1") { digest }
    }"""
    async with graph_of(tag_store(code)) as graph:
        response = await graph.ask(query)

    assert "errors" not in response
    assert response["data"]["artifact"] == response["data"]["repository"]["tag"]["artifact"]
    assert response["data"]["artifact"] is not None


def denied_store() -> StoreBuilder:
    """A repository that lists everything, one of whose tags the registry would not resolve; and another."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test", catalog_observed_at=NOW)
    web, other = (
        builder.repository(
            registry, name, observed_at=NOW, crawled_at=NOW, completeness="COMPLETE", absent_at=None
        )
        for name in ("web", "other")
    )
    for repository in (web, other):
        builder.tag(repository, "v1", builder.image(repository, [builder.layer(registry)]))
    builder.tag(web, "v2", None, error_code="REGISTRY_DENIED", error_message="no")
    return builder


async def test_figures_say_so() -> None:
    """What counts the repository is a lower bound; exclusive bytes anywhere in the registry an upper one."""
    query = f"""{{
        registry {{ storage {{ {BASIS} }} untagged {{ {BASIS} }} }}
        repository(name: "web") {{ storage {{ {BASIS} }} }}
        storage(repositories: ["web"]) {{ {BASIS} }}
        deletion(artifacts: ["web:v1"]) {{ {BASIS} }}
        other: storage(repositories: ["other"]) {{ {BASIS} }}
    }}"""
    async with graph_of(denied_store()) as graph:
        response = await graph.ask(query)

    data = response["data"]
    assert "errors" not in response
    assert UNSURE == data["registry"]["storage"]["basis"]
    assert UNSURE == data["registry"]["untagged"]["basis"]
    assert UNSURE == data["repository"]["storage"]["basis"]
    assert UNSURE == data["storage"]["basis"]
    assert UNSURE == data["deletion"]["basis"]
    assert {**UNSURE, "countsAreLowerBound": False} == data["other"]["basis"]


@pytest.mark.parametrize(
    "question",
    [
        'storage(artifacts: ["web:v1", "web:v2"]) { storedBytes }',
        'deletion(tags: ["web:v2"]) { bytesFreed }',
        'pull(artifact: "web:v2") { totalBytes }',
    ],
)
async def test_as_a_member(question: str) -> None:
    """Named in a set it is not known; it is not called a name that leads to nothing."""
    async with graph_of(denied_store()) as graph:
        response = await graph.ask(f"{{ {question} }}")

    assert ["NOT_OBSERVED"] == [error["extensions"]["code"] for error in response["errors"]]
    assert "web:v2" in response["errors"][0]["message"]

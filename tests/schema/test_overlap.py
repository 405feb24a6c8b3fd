"""`related` and `overlap`: who shares layers with whom, against a count by brute force."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from graph.schema.context import Limits
from requests_to_graph import Graph, codes_of, graph_of
from schema_stores import ragged_store, wide_store
from sharing import layers_of, related, shared, weight
from store_builders import StoreBuilder

pytestmark = pytest.mark.anyio

RELATED = """
query Related($first: Int = 100, $after: String) {
  registry {
    repositories {
      nodes {
        name
        related(first: $first, after: $after) {
          totalCount
          basis { completeness countsAreLowerBound }
          pageInfo { hasNextPage endCursor }
          nodes { name }
          edges { cursor overlapBytes layerCount node { name } layers { totalCount nodes { digest } } }
        }
      }
    }
    artifacts {
      nodes {
        reference
        related(first: $first) {
          totalCount
          edges { overlapBytes layerCount node { reference } layers { nodes { digest } } }
        }
      }
    }
  }
}
"""
OVERLAP = """
query Overlap($artifacts: [String!], $repositories: [String!], $registry: String) {
  overlap(artifacts: $artifacts, repositories: $repositories, registry: $registry) {
    members { name layerCount layerBytes repository { name } artifact { reference } }
    layerCounts
    overlapBytes
    basis { scope completeness countsAreLowerBound }
  }
}
"""


@pytest.fixture
async def graph() -> AsyncIterator[Graph]:
    async with graph_of(ragged_store()) as graph:
        yield graph


def _names(build: StoreBuilder) -> dict[str, dict[int, str]]:
    repositories = {row["id"]: row["name"] for row in build.rows["repository"]}
    return {
        "repository": repositories,
        "artifact": {
            row["id"]: "registry.test/"
            f"{repositories[row['repository_id']]}@{build.row('blob', row['manifest_id'])['digest']}"
            for row in build.rows["artifact"]
        },
    }


async def test_related_equals_brute_force(graph: Graph) -> None:
    """Whatever a repository or an artifact is made of, its list is what counting finds, layers and all."""
    build = ragged_store()
    build.derive()
    names = _names(build)
    response = await graph.ask(RELATED)
    data = response["data"]["registry"]
    shown = {
        "repository": {node["name"]: node["related"] for node in data["repositories"]["nodes"]},
        "artifact": {node["reference"]: node["related"] for node in data["artifacts"]["nodes"]},
    }
    for kind, lists in shown.items():
        title = "name" if kind == "repository" else "reference"
        for key, name in names[kind].items():
            if build.row(kind, key)["registry_id"] != 1:
                continue
            if kind == "artifact" and not build.row(kind, key)["has_manifest"]:
                assert lists[name] is None
                continue
            expected = related(build, kind, key)
            assert [
                (size, names[kind][other], count, [build.row("blob", blob)["digest"] for blob in blobs])
                for size, other, count in expected
                for blobs in [shared(build, kind, key, other)]
            ] == [
                (
                    edge["overlapBytes"],
                    edge["node"][title],
                    edge["layerCount"],
                    [layer["digest"] for layer in edge["layers"]["nodes"]],
                )
                for edge in lists[name]["edges"]
            ]
            assert len(expected) == lists[name]["totalCount"]
    assert ["CONTENT_TOO_LARGE"] == codes_of(response)
    assert [edge["node"] for edge in shown["repository"]["base"]["edges"]] == shown["repository"]["base"][
        "nodes"
    ]
    # That of the registry, whose list of repositories was never read to its end.
    assert {"completeness": "UNKNOWN", "countsAreLowerBound": True} == shown["repository"]["base"]["basis"]


async def test_related_of_an_index(graph: Graph) -> None:
    """An index has the layers of what it holds, which is left out itself, and so are other indexes."""
    query = '{ artifact(reference: "team/web:v1") { related { nodes { repository { name } kind } } } }'
    data = await graph.data(query)

    nodes = data["artifact"]["related"]["nodes"]
    assert {"team/api", "base", "deep/er/one"} == {node["repository"]["name"] for node in nodes}
    assert {"IMAGE"} == {node["kind"] for node in nodes}


async def test_all_pages_are_the_whole() -> None:
    """Page by page, through many that share as much, the list is what it is as a whole."""
    query = """query Page($first: Int!, $after: String) {
      repository(name: "a00000") {
        related(first: $first, after: $after) {
          pageInfo { hasNextPage hasPreviousPage endCursor } nodes { name }
        }
      }
    }"""
    async with graph_of(wide_store(60, 1, 4)) as graph:
        whole = (await graph.data(query, {"first": 100}))["repository"]["related"]
        walked: list[Any] = []
        after = None
        while True:
            page = (await graph.data(query, {"first": 7, "after": after}))["repository"]["related"]
            assert bool(walked) == page["pageInfo"]["hasPreviousPage"]
            walked += page["nodes"]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
    assert 59 == len(whole["nodes"])
    assert whole["nodes"] == walked


@pytest.mark.parametrize("repositories", [1, 20])
async def test_statements(repositories: int) -> None:
    """Related of all, their layers and the counts are one statement each, for 1 repository and for 20."""
    query = """query Many($first: Int!) { registry { repositories(first: $first) { nodes { related {
      totalCount basis { completeness }
      edges { node { name } layers { totalCount nodes { digest } } }
    } } } } }"""
    async with graph_of(wide_store(25, 2, 4)) as graph:
        data = await graph.data(query, {"first": repositories})

        assert repositories == len(data["registry"]["repositories"]["nodes"])
        # Repositories, related, how many, the basis, the layers, how many.
        assert 6 == len(graph.statements)


async def test_unseen_repository() -> None:
    """Nothing is not the same as not known."""
    build = ragged_store()
    build.repository(1, "unseen")
    async with graph_of(build) as graph:
        response = await graph.ask(
            "{ registry { repositories { nodes { name related { nodes { name } } } } } }"
        )

        lists = {
            node["name"]: node["related"] for node in response["data"]["registry"]["repositories"]["nodes"]
        }
        assert (None, {"nodes": []}) == (lists["unseen"], lists["empty"])
        assert ["NOT_OBSERVED"] == codes_of(response)


REPOSITORIES = ["team/web", "team/api", "base", "empty", "other.test/team/web"]


async def test_overlap_of_repositories(graph: Graph) -> None:
    """The matrix is what counting finds; another registry shares nothing, though it has the same names."""
    build = ragged_store()
    build.derive()
    overlap = (await graph.data(OVERLAP, {"repositories": REPOSITORIES}))["overlap"]

    sets = [layers_of(build, "repository", key) for key in (1, 2, 3, 4, 6)]
    _check_plottable(overlap, build, REPOSITORIES, sets)
    assert [name.removeprefix("other.test/") for name in REPOSITORIES] == [
        member["repository"]["name"] for member in overlap["members"]
    ]
    assert [0, 0, 0, 0] == overlap["layerCounts"][4][:4]
    assert {"scope": "ALL", "completeness": "BEST_EFFORT", "countsAreLowerBound": True} == overlap["basis"]


async def test_overlap_of_artifacts(graph: Graph) -> None:
    """An index is all that it holds; one whose manifest is not known shares nothing, as far as is known."""
    build = ragged_store()
    build.derive()
    unknown = next(row for row in build.rows["artifact"] if not row["has_manifest"])
    digest = build.row("blob", unknown["manifest_id"])["digest"]
    names = ["base:1.0", "team/web:v1", "team/web:v2", f"team/api@{digest}", "registry.test/team/api:v1.0"]
    overlap = (await graph.data(OVERLAP, {"artifacts": names}))["overlap"]

    tags = {row["name"]: row["artifact_id"] for row in build.rows["tag"]}
    keys = [tags["1.0"], tags["v2"], tags["v2"], unknown["id"], tags["v1.0"]]
    _check_plottable(overlap, build, names, [layers_of(build, "artifact", key) for key in keys])
    assert overlap["basis"]["countsAreLowerBound"]
    assert 4 == overlap["members"][1]["layerCount"]  # two in common, one of each platform


def _check_plottable(overlap: Any, build: StoreBuilder, names: list[str], sets: list[set[int]]) -> None:
    """As it comes as JSON: square tables of numbers, as many labels, alike across the diagonal."""
    overlap = json.loads(json.dumps(overlap))
    assert names == [member["name"] for member in overlap["members"]]
    for table, measure in (
        (overlap["layerCounts"], len),
        (overlap["overlapBytes"], lambda both: weight(build, both)),
    ):
        assert {len(names)} == {len(table), *map(len, table)}
        assert {int} == {type(cell) for row in table for cell in row}
        assert [list(column) for column in zip(*table, strict=True)] == table
        assert [[measure(x & y) for y in sets] for x in sets] == table
    assert [overlap["layerCounts"][place][place] for place in range(len(names))] == [
        member["layerCount"] for member in overlap["members"]
    ]
    assert [overlap["overlapBytes"][place][place] for place in range(len(names))] == [
        member["layerBytes"] for member in overlap["members"]
    ]


async def test_overlap_of_a_pattern(graph: Graph) -> None:
    """A pattern's members are labelled by their names; one that two patterns match comes once."""
    asked = {"repositories": ["team/*", "team/web", "other.test/t*"]}
    overlap = (await graph.data(OVERLAP, asked))["overlap"]

    assert ["team/api", "team/web", "other.test/team/web"] == [
        member["name"] for member in overlap["members"]
    ]


@pytest.mark.parametrize("count", [2, 100])
async def test_overlap_is_four_statements(count: int) -> None:
    """Names, matrix, basis and the members' own: as many for 2 as for 100."""
    async with graph_of(wide_store(100, 1, 4)) as graph:
        names = [f"a{number:05}" for number in range(count)]
        overlap = (await graph.data(OVERLAP, {"repositories": names}))["overlap"]

        assert count == len(overlap["layerCounts"])
        assert 4 == len(graph.statements)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "INVALID_INPUT"),
        ({"artifacts": ["base:1.0"], "repositories": ["base"]}, "INVALID_INPUT"),
        ({"repositories": []}, "INVALID_INPUT"),
        ({"repositories": ["base", "base"]}, "INVALID_INPUT"),
        ({"repositories": [f"r{number}" for number in range(101)]}, "QUERY_TOO_COSTLY"),
        ({"artifacts": [f"base:{number}" for number in range(101)]}, "QUERY_TOO_COSTLY"),
        ({"artifacts": ["base:1.0", "Not a name"]}, "INVALID_NAME"),
        ({"repositories": ["base", "UPPER"]}, "INVALID_NAME"),
        ({"repositories": ["base", "empty"], "registry": "nowhere.test"}, "UNKNOWN_REGISTRY"),
    ],
)
async def test_bad_members(graph: Graph, asked: dict[str, Any], code: str) -> None:
    """What is no question for a matrix is refused before anything is read."""
    response = await graph.ask(OVERLAP, asked)

    assert [code] == codes_of(response)
    assert {"overlap": None} == response["data"]
    assert [] == graph.statements


async def test_unknown_members(graph: Graph) -> None:
    """Names that lead to nothing are told in one error."""
    response = await graph.ask(OVERLAP, {"artifacts": ["base:1.0", "base:2.0", "base:3.0"]})

    [error] = response["errors"]
    assert ["overlap"] == error["path"]
    assert "base:2.0, base:3.0" in error["message"]
    assert ["UNKNOWN_MEMBER"] == codes_of(response)
    assert ["NOT_STORED"] == codes_of(await graph.ask(OVERLAP, {"repositories": ["base", "no/such"]}))
    assert ["INVALID_INPUT"] == codes_of(await graph.ask(OVERLAP, {"repositories": ["no/such/*"]}))


async def test_too_many_by_pattern() -> None:
    """A pattern that leads to more members than a matrix has is refused before they are compared."""
    async with graph_of(wide_store(101, 1, 2)) as graph:
        assert ["QUERY_TOO_COSTLY"] == codes_of(await graph.ask(OVERLAP, {"repositories": ["a*"]}))
        assert 1 == len(graph.statements)


async def test_cells_count() -> None:
    """A matrix of 50 costs 2,500 cells, its names, and its members and rows as they are shown."""
    query = "query Cells($names: [String!]) { overlap(repositories: $names) { basis { scope } } }"
    names = [f"a{number:05}" for number in range(50)]
    async with graph_of(wide_store(50, 1, 2)) as graph:
        await graph.data(query, {"names": names})
        assert 2_550 == graph.context.nodes
        response = await graph.ask(query, {"names": names}, limits=Limits(node_budget=2_549))
        assert ["QUERY_TOO_COSTLY"] == codes_of(response)

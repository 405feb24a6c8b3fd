"""What is below a namespace, ranked: its layers by what sharing them saves, and its artifacts."""

import pytest

from requests_to_graph import graph_of
from store_builders import NOW, StoreBuilder

pytestmark = pytest.mark.anyio

QUERY = """{ registry { namespaces { nodes {
  name
  layers(orderBy: SAVED_BYTES, filter: { sharedByAtLeast: 2 }) {
    totalCount nodes { savedBytes repositoryCount artifactCount }
  }
  artifacts(orderBy: SIZE, filter: { kinds: [IMAGE] }, first: 1) { totalCount nodes { size } }
} } } }"""


async def test_ranking_in_namespaces() -> None:
    """The layers below a namespace are those its repositories use; who shares them is told of all."""
    build = StoreBuilder()
    registry = build.registry("one.test", catalog_observed_at=NOW)
    common, inner, outer = (build.layer(registry, size) for size in (10, 1000, 5000))
    for number, (name, layers) in enumerate(
        (
            ("team/web", [common, inner]),
            ("team/deep/api", [common, inner]),
            ("teams/web", [common, outer]),
            ("base", [common, outer]),
        )
    ):
        build.image(build.repository(registry, name), layers, size=number)
    async with graph_of(build) as graph:
        data = await graph.data(QUERY)

        # Namespaces, their layers and artifacts, and a count of each.
        assert 5 == len(graph.statements)
    shared = {"repositoryCount": 2, "artifactCount": 2}
    everywhere = {"savedBytes": 30, "repositoryCount": 4, "artifactCount": 4}
    expected = {
        "team": ([{"savedBytes": 1000, **shared}, everywhere], 2, 1),
        "team/deep": ([{"savedBytes": 1000, **shared}, everywhere], 1, 1),
        "teams": ([{"savedBytes": 5000, **shared}, everywhere], 1, 2),
    }
    assert expected == {
        node["name"]: (
            node["layers"]["nodes"],
            node["artifacts"]["totalCount"],
            node["artifacts"]["nodes"][0]["size"],
        )
        for node in data["registry"]["namespaces"]["nodes"]
    }
    assert [2, 2, 2] == [node["layers"]["totalCount"] for node in data["registry"]["namespaces"]["nodes"]]

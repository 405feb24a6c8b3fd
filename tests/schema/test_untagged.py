"""Untagged, counted: what a registry, a namespace and a repository hold for which reason, through GraphQL."""

import pytest

from requests_to_graph import graph_of, paths_of
from schema_stores import ragged_store
from store_builders import NOW, StoreBuilder

pytestmark = pytest.mark.anyio

MANIFEST = 2  # bytes of every manifest that the builder makes
SHARE = "{ artifactCount storedBytes exclusiveBytes }"
UNTAGGED = f"untagged {{ dangling {SHARE} indexChildren {SHARE} referrers {SHARE} }}"


def share(count: int, stored: int, exclusive: int) -> dict[str, int]:
    return {"artifactCount": count, "storedBytes": stored, "exclusiveBytes": exclusive}


def cleaning_store() -> StoreBuilder:
    """`team/web` has an index in use with a signature, and two dangling images; `team/api` has one of their
    layers.
    """
    build = StoreBuilder()
    registry = build.registry("one.test", catalog_observed_at=NOW)
    web = build.repository(registry, "team/web", observed_at=NOW)
    api = build.repository(registry, "team/api", observed_at=NOW)
    build.repository(registry, "listed")
    shared, own = build.layer(registry, 1000), build.layer(registry, 100)
    child = build.manifest(registry, [shared])
    build.artifact(web, child, untagged="INDEX_CHILD")
    index = build.manifest(registry, children=[child])
    build.tag(web, "latest", build.artifact(web, index, kind="INDEX"))
    signature = build.image(web, [build.layer(registry, 7)], kind="SIGNATURE", untagged="REFERRER")
    build.referrer(index, signature)
    for layers in ([shared, own], [own]):
        build.image(web, layers, untagged="DANGLING")
    build.tag(api, "v1", build.image(api, [shared]))
    return build


async def test_untagged() -> None:
    """Each reason has figures of its own, in every owner."""
    query = f"""{{ registry {{ {UNTAGGED} namespaces {{ nodes {{ {UNTAGGED} }} }}
      repositories {{ nodes {{ name {UNTAGGED} }} }} }} }}"""
    async with graph_of(cleaning_store()) as graph:
        response = await graph.ask(query)

        # Namespaces, repositories, and of each kind of owner the sets and their weights.
        assert 8 == len(graph.statements)
    registry = response["data"]["registry"]
    expected = {
        "dangling": share(2, 1100 + 2 * MANIFEST, 100 + 2 * MANIFEST),
        "indexChildren": share(1, 1000 + MANIFEST, MANIFEST),
        "referrers": share(1, 7 + MANIFEST, 7 + MANIFEST),
    }
    nothing = dict.fromkeys(expected, share(0, 0, 0))
    assert expected == registry["untagged"] == registry["namespaces"]["nodes"][0]["untagged"]
    assert {"team/web": expected, "team/api": nothing, "listed": None} == {
        node["name"]: node["untagged"] for node in registry["repositories"]["nodes"]
    }
    # What nobody looked at is not empty.
    place = ("registry", "repositories", "nodes", 0, "untagged")
    assert {place: "NOT_OBSERVED"} == paths_of(response)


async def test_only_what_is_asked_for_is_weighed() -> None:
    """The counts of one reason cost the sets and one sum, and a basis is one statement more."""
    query = """{ registry { untagged { dangling { artifactCount } basis { scope countsAreLowerBound } } } }"""
    async with graph_of(cleaning_store()) as graph:
        data = await graph.data(query)

        assert 3 == len(graph.statements)
    assert {"scope": "ALL", "countsAreLowerBound": True} == data["registry"]["untagged"]["basis"]


RANKED = """query Ranked($first: Int, $after: String) {
  registry {
    artifacts(filter: { untagged: DANGLING }, orderBy: EXCLUSIVE_BYTES, first: $first, after: $after) {
      totalCount nodes { exclusiveBytes untagged } pageInfo { hasNextPage endCursor }
    }
  }
}"""


async def test_dangling_by_exclusive_bytes() -> None:
    """The clean-up list begins with what frees the most; it is paged like any other."""
    build = cleaning_store()
    build.image(1, [build.layer(1, 5000)], untagged="DANGLING")
    async with graph_of(build) as graph:
        page = (await graph.data(RANKED, {"first": 2}))["registry"]["artifacts"]

        # The weights, the page, the count, and what each of the page takes.
        assert 4 == len(graph.statements)
        rest = await graph.data(RANKED, {"first": 2, "after": page["pageInfo"]["endCursor"]})
    assert 3 == page["totalCount"]
    assert [5000 + MANIFEST, MANIFEST] == [node["exclusiveBytes"] for node in page["nodes"]]
    assert [MANIFEST] == [node["exclusiveBytes"] for node in rest["registry"]["artifacts"]["nodes"]]
    assert [True, False] == [
        each["pageInfo"]["hasNextPage"] for each in (page, rest["registry"]["artifacts"])
    ]


async def test_ragged() -> None:
    """However ragged the repositories are, their untagged artifacts are two statements, and add up."""
    query = f"{{ registry {{ {UNTAGGED} repositories {{ nodes {{ {UNTAGGED} }} }} }} }}"
    async with graph_of(ragged_store()) as graph:
        data = await graph.data(query)

        assert 5 == len(graph.statements)
    nodes = [node["untagged"] for node in data["registry"]["repositories"]["nodes"]]
    for reason, whole in data["registry"]["untagged"].items():
        assert whole["artifactCount"] == sum(node[reason]["artifactCount"] for node in nodes)
        assert all(node[reason]["exclusiveBytes"] <= node[reason]["storedBytes"] for node in nodes)

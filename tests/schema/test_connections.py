"""Lists in pages: everything once, in order, from both ends, counted only for who asks."""

import asyncio
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.schema.pages import DEFAULT_PAGE_SIZE
from requests_to_graph import Graph, codes_of, graph_of
from schema_stores import ragged_store, wide_store

pytestmark = pytest.mark.anyio

PAGE = """query ($first: Int, $after: String, $last: Int, $before: String, $order: LayerOrder) {
  registry { layers(first: $first, after: $after, last: $last, before: $before, orderBy: $order) {
    edges { cursor node { digest } } nodes { digest }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""
COUNT = "{ registry { layers { totalCount } } }"


async def walk(graph: Graph, size: int, order: str, *, backwards: bool) -> list[str]:
    """The digests of all layers, read page by page."""
    found: list[str] = []
    cursor = None
    while True:
        asked = {"last": size, "before": cursor} if backwards else {"first": size, "after": cursor}
        page = (await graph.data(PAGE, {**asked, "order": order}))["registry"]["layers"]
        digests = [edge["node"]["digest"] for edge in page["edges"]]
        assert digests == [node["digest"] for node in page["nodes"]]
        info = page["pageInfo"]
        assert [info["startCursor"], info["endCursor"]] == [
            page["edges"][0]["cursor"],
            page["edges"][-1]["cursor"],
        ]
        found = digests + found if backwards else found + digests
        if not info["hasPreviousPage" if backwards else "hasNextPage"]:
            return found
        cursor = info["startCursor" if backwards else "endCursor"]


@settings(max_examples=15, deadline=None)
@given(
    size=st.integers(1, 8),
    order=st.sampled_from(["FIRST_SEEN", "SIZE", "SAVED_BYTES_REVERSED", "SHARED"]),
    backwards=st.booleans(),
)
def test_pages_make_up_the_list(size: int, order: str, backwards: bool) -> None:
    """Whatever the page size, the order and the end one begins at: each item once, in the same order."""

    async def main() -> None:
        async with graph_of(ragged_store()) as graph:
            whole = await walk(graph, 100, order, backwards=False)

            assert whole == await walk(graph, size, order, backwards=backwards)
            assert len(whole) == len(set(whole))
            assert len(whole) == (await graph.data(COUNT))["registry"]["layers"]["totalCount"]

    asyncio.run(main())


async def test_pages_without_a_size() -> None:
    """Where no number is given, a page has twenty items, and says that there are more."""
    async with graph_of(wide_store(30, 1, 2)) as graph:
        data = await graph.data("{ registry { repositories { nodes { name } pageInfo { hasNextPage } } } }")

        assert DEFAULT_PAGE_SIZE == len(data["registry"]["repositories"]["nodes"]) == 20
        assert {"hasNextPage": True} == data["registry"]["repositories"]["pageInfo"]


async def test_an_empty_page() -> None:
    """An empty list has no cursors and no other page."""
    query = """{ registry { repositories(filter: {name: "none"}) { totalCount nodes { name }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""
    async with graph_of(ragged_store()) as graph:
        data = await graph.data(query)

        assert {
            "totalCount": 0,
            "nodes": [],
            "pageInfo": {
                "hasNextPage": False,
                "hasPreviousPage": False,
                "startCursor": None,
                "endCursor": None,
            },
        } == data["registry"]["repositories"]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ('repositories(filter: {name: "team/*"}, orderBy: NAME_REVERSED)', ["team/web", "team/api"]),
        ('repositories(filter: {namePrefix: "b"})', ["base"]),
        ('repositories(filter: {namespace: "deep"})', ["deep/er/one"]),
        ("repositories(orderBy: SIZE, first: 1)", ["base"]),
    ],
)
async def test_filters_and_orders_reach_the_store(field: str, expected: list[str]) -> None:
    """What narrows and sorts a list is what the store is asked for."""
    async with graph_of(ragged_store()) as graph:
        data = await graph.data("{ registry { found: " + field + " { nodes { name } } } }")

        assert expected == [node["name"] for node in data["registry"]["found"]["nodes"]]


async def test_a_count_has_the_filter_of_its_list() -> None:
    """The number beside a narrowed list is that of the narrowed list, for each parent its own."""
    query = """{ registry { repositories { nodes { name
      tagged: artifacts(filter: {isTagged: true}) { totalCount } all: artifacts { totalCount }
      dangling: artifacts(filter: {untagged: [DANGLING]}) { totalCount } } } } }"""
    async with graph_of(ragged_store()) as graph:
        data = await graph.data(query)
        counts = {
            node["name"]: [node[name]["totalCount"] for name in ("tagged", "all", "dangling")]
            for node in data["registry"]["repositories"]["nodes"]
        }

        assert {
            "base": [1, 1, 0],
            "deep/er/one": [1, 1, 0],
            "empty": [0, 0, 0],
            "team/api": [3, 4, 1],
            "team/web": [1, 4, 0],
        } == counts


# An object of each type with lists, where the store has one whose lists are not empty.
PARENTS = {
    "Query": "",
    "Registry": "registry",
    "Namespace": "registry namespaces nodes",
    "Repository": "registry repositories nodes",
    "Artifact": "registry repositories nodes artifacts nodes",
    "Layer": "registry layers nodes",
    "RepositoryOverlapEdge": "registry repositories nodes related edges",
    "ArtifactOverlapEdge": "registry repositories nodes artifacts nodes related edges",
    "Deletion": 'deletion(repositories:["base"])',
}


def cursors_in(data: Any) -> list[str]:
    """The last cursors of all pages in an answer."""
    if isinstance(data, list):
        return [cursor for item in data for cursor in cursors_in(item)]
    if not isinstance(data, dict):
        return []
    own = [data["endCursor"]] if data.get("endCursor") else []
    return own + [cursor for value in data.values() for cursor in cursors_in(value)]


async def test_every_list_takes_the_cursors_it_gave() -> None:
    """What is read of a cursor before anything else is what its list reads of it, in each of its orders."""
    async with graph_of(ragged_store()) as graph:
        types = graph.schema._schema.type_map
        lists = [
            (parent.name, name, field)
            for parent in types.values()
            if isinstance(parent, GraphQLObjectType)
            for name, field in parent.fields.items()
            if "after" in field.args
        ]
        assert {parent for parent, _, _ in lists} == set(PARENTS)
        taken = set()
        for parent, name, field in lists:
            orders: list[str | None] = [None]
            if "orderBy" in field.args:
                orders += get_named_type(field.args["orderBy"].type).values
            for order in orders:
                given = {"text": '"a"'} if name == "search" else {}
                given |= {} if order is None else {"orderBy": order}

                async def ask(parent: str = parent, name: str = name, **given: str) -> Any:
                    shown = "".join(f" {argument}: {value}" for argument, value in given.items())
                    fields = [*PARENTS[parent].split(), f"{name}(first: 1{shown})", "pageInfo", "endCursor"]
                    response = await graph.ask("{ " + " { ".join(fields) + " }" * len(fields))
                    assert [] == [code for code in codes_of(response) if code.startswith("INVALID")]
                    return response["data"]

                for cursor in cursors_in(await ask(**given))[-1:]:
                    await ask(**given, after=f'"{cursor}"')
                    taken.add((parent, name))

        # Of these the store has none; test_several_registries.py goes from page to page of copies.
        empty = {("Deletion", "staying"), ("Artifact", "copies")}
        assert {(parent, name) for parent, name, _ in lists} - empty == taken

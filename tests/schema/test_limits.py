"""What a query may cost: refused before anything runs where the document tells, else where it is spent."""

import asyncio
from dataclasses import asdict

import pytest
from graphql import get_introspection_query

from graph.schema.context import Limits
from graph.settings import Settings
from requests_to_graph import Graph, codes_of, graph_of, paths_of
from schema_stores import ragged_store, wide_store

pytestmark = pytest.mark.anyio

STANDARD = Limits()
DIGEST = f'"sha256:{"0" * 64}"'


def chain(count: int, body: str) -> str:
    """Fragments of which each spreads the next by `body`; the last one names a registry."""
    links = (f"fragment F{n} on Query {{ {body.replace('NEXT', f'...F{n + 1}')} }}" for n in range(count))
    return " ".join([*links, f"fragment F{count} on Query {{ registry {{ name }} }}"])


def times(count: int, text: str) -> str:
    """The text again and again, `#` being the number of the time."""
    return " ".join(text.replace("#", str(number)) for number in range(count))


LEVELS = "registry { repositories { nodes { ", " } } }"

REFUSED = {
    "depth": ("{ " + LEVELS[0] * 7 + "name" + LEVELS[1] * 7 + " }", "QUERY_TOO_DEEP"),
    "depth that no parser follows": ("{ " + "a { " * 400 + "b" + " }" * 400 + " }", "QUERY_TOO_DEEP"),
    "depth of fragments": ("{ " + "... { " * 400 + "__typename" + " }" * 400 + " }", "QUERY_TOO_DEEP"),
    "depth of a value": ("{ layers(digests: " + "[" * 800 + "]" * 800 + ") { size } }", "QUERY_TOO_DEEP"),
    "aliases": ("{ " + times(51, "a#: registry { name }") + " }", "TOO_MANY_ALIASES"),
    "aliases in fragments": (
        "{ ...F ...G } fragment F on Query { " + times(26, "a#: registry { ...N }") + " } "
        "fragment G on Query { x: registry { name } } fragment N on Registry { y: name }",
        "TOO_MANY_ALIASES",
    ),
    "aliases doubled by fragments": (
        "{ ...F0 } " + chain(60, "x: registry { name } NEXT b: registry { name } NEXT"),
        "TOO_MANY_ALIASES",
    ),
    "tokens": ("{ registry { " + times(2000, "name") + "} }", "TOO_MANY_TOKENS"),
    "the same field": ("{ registry { " + times(500, "name") + "} }", "QUERY_TOO_COSTLY"),
    "a page": ("{ registry { repositories(first: 101) { nodes { name } } } }", "INVALID_PAGE"),
    "a page from the back": ("{ registry { layers(last: 1000000000) { totalCount } } }", "INVALID_PAGE"),
    "a page of a thousand digits": (
        "{ registry { layers(last: " + "9" * 1000 + ") { totalCount } } }",
        "INVALID_PAGE",
    ),
    "a page in a fragment": (
        "{ registry { ...F } } fragment F on Registry { layers(first: 101) { totalCount } }",
        "INVALID_PAGE",
    ),
    "a list of ids": ("{ nodes(ids: [" + times(1001, '"x"') + "]) { id } }", "QUERY_TOO_COSTLY"),
    "a list of digests": ("{ layers(digests: [" + times(1001, DIGEST) + "]) { size } }", "QUERY_TOO_COSTLY"),
    "the schema, many times": (
        "{ " + times(50, "a#: __schema { types { fields { name } } }") + " }",
        "QUERY_TOO_COSTLY",
    ),
}


def test_limits_are_those_of_the_settings() -> None:
    """Where nobody chose, a query may cost what the settings have as their defaults."""
    assert {name: Settings.model_fields[name].default for name in Limits.__slots__} == asdict(STANDARD)


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_at_validation(name: str) -> None:
    """What the document alone tells to be too much is refused with its code, and nothing is read."""
    query, code = REFUSED[name]
    limits = Limits(max_tokens=20_000) if name.startswith("a list") else STANDARD
    async with graph_of(ragged_store(), limits=limits) as graph:
        response = await graph.ask(query)

        assert [code] == codes_of(response)
        assert "data" not in response
        assert [] == graph.statements


async def test_root_fields_together() -> None:
    """Pages whose sizes the document tells are added up: each is allowed, all of them are not."""
    pages = times(23, 'a#: search(text: "#", first: 900) { totalCount }')
    async with graph_of(ragged_store(), limits=Limits(page_size_max=900)) as graph:
        response = await graph.ask("{ " + pages + " }")

        assert ["QUERY_TOO_COSTLY"] == codes_of(response)
        assert "this query asks for 20700 nodes; 20000 are allowed" in response["errors"][0]["message"]


@pytest.mark.parametrize(("count", "is_allowed"), [(1000, True), (1001, False)])
async def test_look_ups_together(count: int, is_allowed: bool) -> None:
    """Ids and digests that the document writes out are added up, whichever fields they are given to."""
    ids, digests = times(500, '"x"'), times(count - 500, DIGEST)
    async with graph_of(ragged_store(), limits=Limits(max_tokens=100_000)) as graph:
        response = await graph.ask(
            f"{{ nodes(ids: [{ids}]) {{ id }} layers(digests: [{digests}]) {{ size }} }}"
        )

        assert is_allowed == ("data" in response)
        assert is_allowed == ("QUERY_TOO_COSTLY" not in codes_of(response))


@pytest.mark.parametrize(
    "body",
    ["NEXT NEXT", "registry { name } NEXT ... on Query { NEXT }", "registry { name } ... { NEXT } NEXT"],
)
async def test_fragments_that_double(body: str) -> None:
    """Fragments that spread each other twice are worked out once each, however deep the chain."""
    async with graph_of(ragged_store(), limits=STANDARD) as graph:
        response = await graph.ask("{ ...F0 } " + chain(60, body))

        assert {"registry": {"name": "registry.test"}} == response.get("data"), response


@pytest.mark.parametrize(
    "query",
    [
        "{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }",
        "{ ...Missing }",
        "{ registry { nothing { first: nothing(first: 7) } } } fragment F on Nothing { a }",
        "subscription { registry { name } }",
        "fragment F on Query { registry { name } }",
        "{ registry { repositories(first: $none) { nodes { name } } } }",
    ],
)
async def test_invalid_documents(query: str) -> None:
    """A document that is invalid otherwise is told so, by a code, whatever the limits make of it."""
    async with graph_of(ragged_store(), limits=STANDARD) as graph:
        response = await graph.ask(query)

        assert {"INVALID_QUERY"} == set(codes_of(response))


async def test_tools_may_ask_for_the_schema() -> None:
    """The query that tools send to learn the schema is within all limits."""
    query = get_introspection_query(
        schema_description=True, specified_by_url=True, input_value_deprecation=True
    )
    async with graph_of(ragged_store(), limits=STANDARD) as graph:
        data = await graph.data(query, limits=STANDARD)

        assert "Query" == data["__schema"]["queryType"]["name"]


async def ask_sharing(graph: Graph, limits: Limits) -> dict[tuple[str | int, ...], str]:
    response = await graph.ask(
        "{ registry { repositories(first: 10) { nodes { tags(first: 10) { nodes { artifact { layers "
        "{ layer { digest } } } } } } } } }",
        limits=limits,
    )
    return paths_of(response)


async def test_the_budget_of_nodes() -> None:
    """A level over the budget fails field by field and runs no statement; what is above it stays."""
    async with graph_of(wide_store(10, 2, 4)) as graph:
        # 10 repositories, 10 × 10 tags at most, 20 artifacts, 20 lists of 4 layers each, 80 layers.
        assert {} == await ask_sharing(graph, Limits(node_budget=310))
        assert 310 == graph.context.nodes
        assert 5 == len(graph.statements)

        paths = await ask_sharing(graph, Limits(node_budget=309))
        assert {"QUERY_TOO_COSTLY"} == set(paths.values())
        assert 80 == len(paths)
        assert {"layer"} == {path[-1] for path in paths}
        assert 4 == len(graph.statements)


@pytest.mark.parametrize(
    "fields",
    [
        "layers { createdBy } manifest { ... on ImageManifest { config { os } } }",
        "manifest { ... on ImageManifest { config { os } } } layers { createdBy }",
    ],
)
async def test_fields_that_share_a_read_count_each_for_itself(fields: str) -> None:
    """What a query costs does not depend on the order of its fields, though they read the same config."""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask('{ artifact(reference: "base:1.0") { ' + fields + " } }")

        # The artifact, its list of 2 layers, a step for each, its manifest, and its config as 10.
        assert 1 + (1 + 2) + 2 + 1 + 10 == response["extensions"]["cost"]["nodes"]


async def test_a_list_that_is_too_long_is_not_built() -> None:
    """Layers of manifests are counted as they are read: too many fail the field, not the process."""
    async with graph_of(wide_store(10, 2, 4)) as graph:
        paths = await ask_sharing(graph, Limits(node_budget=200))

        assert {"layers"} == {path[-1] for path in paths}
        assert {"QUERY_TOO_COSTLY"} == set(paths.values())


async def test_the_cost_is_told() -> None:
    """extensions.cost tells the nodes and fields counted, how many are allowed, and the statements."""
    async with graph_of(wide_store(10, 2, 4)) as graph:
        response = await graph.ask("{ registry { repositories(first: 5) { totalCount } } }", limits=STANDARD)

        assert {
            "nodes": 6,
            "limit": 20_000,
            "fields": 2,
            "fieldLimit": 400_000,
            "statements": 2,
        } == response["extensions"]["cost"]


async def test_the_time_limit_fires() -> None:
    """At the deadline the fields that wait fail with their places, and the answer comes at once."""
    async with graph_of(wide_store(10, 2, 4)) as graph:
        response = await graph.ask(
            "{ registry { name repositories { nodes { name } } } }",
            deadline=asyncio.get_running_loop().time(),
        )

        assert {("registry", "repositories"): "TIME_LIMIT"} == paths_of(response)
        assert {"name": "registry.test", "repositories": None} == response["data"]["registry"]


async def test_the_time_limit_in_the_middle() -> None:
    """When a statement would run for ever, the deadline interrupts it; what was answered before stays."""
    async with graph_of(wide_store(3, 1, 2)) as graph:

        async def wait_for_ever(*_: object) -> None:
            await asyncio.Event().wait()

        class Stuck:
            """A snapshot whose second read never ends."""

            def __init__(self, snapshot: object) -> None:
                self.snapshot = snapshot
                self.statements: list[str] = []

            async def read(self, *arguments: object) -> object:
                self.statements.append("")
                if len(self.statements) == 2:
                    await wait_for_ever()
                return await self.snapshot.read(*arguments)  # type: ignore[attr-defined]

        response = await graph.ask(
            "{ registry { repositories { nodes { name tags { totalCount } } } } }",
            deadline=asyncio.get_running_loop().time() + 0.2,
            around=Stuck,
        )

        assert {"TIME_LIMIT"} == set(paths_of(response).values())
        assert ["a00000", "a00001", "a00002"] == [
            node["name"] for node in response["data"]["registry"]["repositories"]["nodes"]
        ]

"""Fields of an answer are counted from the query alone, and no query is answered with more than it may."""

import pytest
from graphql import FragmentDefinitionNode, GraphQLField, OperationDefinitionNode, build_schema, parse

from graph.schema.context import FIELDS_PER_NODE, MAX_NAMES, Limits
from graph.schema.costs import FieldCount, Selections
from graph.schema.execution import MAX_VARIABLE_VALUES
from graph.schema.ids import MAX_LOOK_UPS, NodeType, format_id
from requests_to_graph import codes_of, graph_of, paths_of
from schema_stores import ragged_store, wide_store

pytestmark = pytest.mark.anyio

SDL = """
interface Named { name: String }
type Query { thing: Thing  many: [Thing!]  named: Named }
type Thing implements Named { name: String  size: Int  words: [String!]  part: Part  parts: [Part]
  page: Page  apart: Thing }
type Part implements Named { name: String  whole: Thing }
type Page { state: String  rows: [Part!]! }
"""

# The one root field of a query, and what is below it. `apart` is counted on its own.
COUNTS = {
    "{ thing { name size } }": FieldCount(2),
    "{ thing { name a: name b: name } }": FieldCount(3),
    "{ thing { part { name } } }": FieldCount(2),
    "{ thing { apart { name size } } }": FieldCount(1),
    "{ thing { words } }": FieldCount(1, 1),
    "{ thing { parts { name x: name } } }": FieldCount(1, 3),
    "{ many { name part { name } } }": FieldCount(0, 4),
    "{ many { __typename } }": FieldCount(0, 2),
    "{ named { name ... on Thing { size } ... on Part { whole { size words } } } }": FieldCount(4, 1),
    "{ thing { page { state rows { name } more: rows { name x: name } } } }": FieldCount(4, 2 + 3),
    "{ thing { ...F ...F ... { ...F } } } fragment F on Thing { name part { name } }": FieldCount(3),
    "{ thing { ...F } } fragment F on Named { name } fragment G on Part { a: name }": FieldCount(1),
    "{ thing { ...G ...Missing } } fragment G on Part { name }": FieldCount(),
    "{ thing { ...F } } fragment F on Thing { name ...G } fragment G on Thing { size ...F }": FieldCount(2),
    "{ thing { ...F } } fragment F on Thing { part { whole { ...F } } }": FieldCount(3),
    "{ thing { nothing { name } } }": FieldCount(1),
}


@pytest.mark.parametrize("query", COUNTS)
def test_fields_are_counted(query: str) -> None:
    """Each name in the answer counts, those of fragments once for each object, items with their lists."""
    schema, document = build_schema(SDL), parse(query)
    fragments = {
        each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
    }
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    assert schema.query_type is not None
    (root,) = operation.selection_set.selections
    field: GraphQLField = schema.query_type.fields[root.name.value]  # type: ignore[attr-defined]
    apart = schema.type_map["Thing"].fields["apart"]  # type: ignore[attr-defined]

    selections = Selections(schema, fragments, lambda asked: asked is apart)

    assert COUNTS[query] == selections.count(field.type, [root])  # type: ignore[list-item]


def names(count: int, field: str) -> str:
    """The field under so many names."""
    return " ".join(f"{field}{number}: {field}" for number in range(count))


@pytest.mark.parametrize(("more", "is_allowed"), [(8, True), (9, False)])
async def test_fields_that_the_document_tells(more: int, is_allowed: bool) -> None:
    """As many fields as there are for each node are answered; one more is refused before anything is read."""
    page = f"repositories(first: 10) {{ nodes {{ {names(18, 'name')} }} }}"
    query = f"{{ registry {{ {names(more, 'url')} {page} }} }}"
    limits = Limits(node_budget=10)
    async with graph_of(wide_store(10, 1, 2), limits=limits) as graph:
        response = await graph.ask(query, limits=limits)

        # The page, its list, ten items of it with 18 names each, and what is asked of the registry.
        assert FIELDS_PER_NODE * 10 == 1 + 1 + 10 * (1 + 18) + 8
        assert ([] if is_allowed else ["QUERY_TOO_COSTLY"]) == codes_of(response)
        assert is_allowed == ("data" in response)
        assert is_allowed == bool(graph.statements)


@pytest.mark.parametrize(("more", "is_allowed"), [(8, True), (9, False)])
async def test_fields_that_come_while_it_runs(more: int, is_allowed: bool) -> None:
    """A level with too many fields fails where it is asked for and is not read; what is above it stays."""
    tags = f"tags(first: 2) {{ nodes {{ {names(27, 'name')} }} }}"
    query = f"{{ registry {{ {names(more, 'url')} repositories(first: 10) {{ nodes {{ {tags} }} }} }} }}"
    limits = Limits(node_budget=30)
    async with graph_of(wide_store(10, 1, 2), limits=limits) as graph:
        response = await graph.ask(query, limits=limits)

        # The page with ten items that have a page each, and ten times two tags.
        assert FIELDS_PER_NODE * 30 == 1 + 1 + 10 * (1 + 1) + 10 * (1 + 2 * (1 + 27)) + 8
        assert ([] if is_allowed else ["QUERY_TOO_COSTLY"] * 10) == codes_of(response)
        assert is_allowed or {"tags"} == {path[-1] for path in paths_of(response)}
        assert 2 - (not is_allowed) == len(graph.statements)
        assert 10 == len(response["data"]["registry"]["repositories"]["nodes"])


async def test_fields_of_lists_are_told() -> None:
    """What a list brings is counted by its length, of layers as of what a document lists."""
    query = """{ artifact(reference: "base:1.0") { layers { digest size }
      manifest { ... on ImageManifest { config { os env labels { name value } } } } } }"""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(query, limits=Limits())

        # Two fields of the artifact; 2 layers; the manifest's one; three of the config, 2 variables, 1 label.
        assert 2 + 2 * 3 + 1 + 3 + 2 * 1 + 1 * 3 == response["extensions"]["cost"]["fields"]
        assert Limits().field_budget == response["extensions"]["cost"]["fieldLimit"]


async def test_look_ups_of_one_request() -> None:
    """Ids and digests are counted together before any is looked at: the field that has one too many fails."""
    query = """query ($few: [ID!]!, $rest: [ID!]!, $one: [Digest!]!) {
      few: nodes(ids: $few) { id } rest: nodes(ids: $rest) { id } one: layers(digests: $one) { size } }"""
    digest = f"sha256:{'0' * 64}"
    nowhere = format_id(NodeType.LAYER, "registry.test", digest)
    variables = {"few": ["?"], "rest": [nowhere] * (MAX_LOOK_UPS - 1), "one": [digest]}
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(query, variables)

        assert {("few", 0): "INVALID_ID", ("one",): "QUERY_TOO_COSTLY"} == paths_of(response)
        assert MAX_LOOK_UPS == len(response["data"]["few"]) + len(response["data"]["rest"])


async def test_names_of_one_request() -> None:
    """Names of sets are counted together before any is looked at: one more than may be fails its field."""
    query = """query ($most: [String!], $one: [String!]) { most: storage(repositories: $most) { __typename }
      one: storage(repositories: $one) { __typename } more: storage(artifacts: $one) { __typename } }"""
    variables = {"most": [f"r{number}" for number in range(MAX_NAMES - 1)], "one": ["base"]}
    async with graph_of(ragged_store()) as graph:
        paths = paths_of(await graph.ask(query, variables))

        assert "QUERY_TOO_COSTLY" == paths["more",]
        assert "QUERY_TOO_COSTLY" != paths["most",]
        assert ("one",) not in paths


@pytest.mark.parametrize("shape", ["list", "nested", "objects"])
@pytest.mark.parametrize(
    ("count", "is_allowed"), [(MAX_VARIABLE_VALUES, True), (MAX_VARIABLE_VALUES + 1, False)]
)
async def test_values_of_variables(shape: str, count: int, is_allowed: bool) -> None:
    """Variables hold so many values, however they are nested; a request with one more is not executed."""
    variables = {
        "list": {"unused": [0] * (count - 1)},
        "nested": {"unused": [[0] * 98 + [[]]] * ((count - 1) // 100) + [0] * ((count - 1) % 100)},
        "objects": {f"v{number}": {"a": 1} for number in range(count // 2)} | ({"w": 0} if count % 2 else {}),
    }[shape]
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask("{ registry { name } }", variables)

        assert ([] if is_allowed else ["QUERY_TOO_COSTLY"]) == codes_of(response)
        assert is_allowed == ("data" in response)

"""A query costs one statement for each selection of a batched field at most, whatever the data."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    EnumValueNode,
    FieldNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
    is_required_argument,
    parse,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.schema.batches import QUIET_TICKS
from graph.schema.context import Registries
from graph.schema.definition import build_schema
from graph.schema.fields import is_batched
from graph.schema.ids import NodeType, RegistryId, format_id, parse_id
from graph.store.engine import open_store
from graph.store.registries import load_registries
from graph.store.visibility import Visibility
from requests_to_graph import WIDE, Graph, codes_of, graph_of
from schema_stores import ragged_store, wide_store
from store_builders import NOW

pytestmark = pytest.mark.anyio

SHARING = """
query Sharing($count: Boolean = false, $first: Int = 100) {
  registry {
    repositories(first: $first) {
      totalCount @include(if: $count)
      nodes {
        tags(first: 10) {
          nodes { artifact { layers { layer { repositories(first: 5) { nodes { name } } } } } }
        }
      }
    }
  }
}
"""


@pytest.mark.parametrize("repositories", [1, 10, 100])
async def test_six_statements(repositories: int) -> None:
    """Repositories, tags, artifacts, layers, layers themselves, who shares them: six, for 1, 10 and 100."""
    async with graph_of(wide_store(repositories, 3, 6)) as graph:
        data = await graph.data(SHARING)

        assert repositories == len(data["registry"]["repositories"]["nodes"])
        assert 6 == len(graph.statements)


async def test_six_statements_on_ragged_data() -> None:
    """A repository with one tag beside one with many splits no level."""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(SHARING)

        assert 6 == len(graph.statements)
        assert ["REGISTRY_DENIED"] == [error["extensions"]["code"] for error in response["errors"]]


async def test_a_count_is_one_statement_more() -> None:
    """The length of a list is counted by a statement of its own, and only when asked for."""
    async with graph_of(wide_store(20, 2, 4)) as graph:
        data = await graph.data(SHARING, {"count": True})

        assert 20 == data["registry"]["repositories"]["totalCount"]
        assert 7 == len(graph.statements)


async def test_a_layer_in_thirty_thousand_repositories() -> None:
    """However many share a layer, six statements find the first five of them, and one more counts."""
    async with graph_of(wide_store(10, 2, 4, hot=30_000)) as graph:
        for size in (1, 10, 100):
            data = await graph.data(SHARING, {"first": size})
            assert size == len(data["registry"]["repositories"]["nodes"])
            assert 6 == len(graph.statements)
        await graph.data(SHARING, {"count": True})
        assert 7 == len(graph.statements)

        data = await graph.data(SHARING)
        first = data["registry"]["repositories"]["nodes"][0]["tags"]["nodes"][0]["artifact"]["layers"][0]

        assert [f"a{number:05}" for number in range(5)] == [
            node["name"] for node in first["layer"]["repositories"]["nodes"]
        ]
        assert 6 == len(graph.statements)


async def test_naming_a_registry_costs_nothing() -> None:
    """Registries are known since the start."""
    async with graph_of(ragged_store()) as graph:
        query = '{ registries { name url } registry { id } other: registry(name: "other.test") { dialect } }'
        data = await graph.data(query)

        assert ["registry.test", "other.test"] == [row["name"] for row in data["registries"]]
        assert [] == graph.statements


async def test_what_is_looked_up_by_alias_is_one_statement() -> None:
    """Ten names in one query are one look-up."""
    async with graph_of(ragged_store()) as graph:
        wanted = {"r0": "base", "r1": "empty", "r2": "team/web"}
        names = " ".join(f'{alias}: repository(name: "{name}") {{ name }}' for alias, name in wanted.items())
        data = await graph.data("{" + names + "}")

        assert {alias: {"name": name} for alias, name in wanted.items()} == data
        assert 1 == len(graph.statements)


async def test_fields_that_read_the_same_share_a_statement() -> None:
    """Artifacts are read by their keys once a level, be they what a tag names or what an index lists."""
    query = """{
      repository(name: "team/web") { artifacts { nodes { tags { nodes { artifact { digest } } } } } }
      artifact(reference: "team/web:v1") {
        manifest { ... on ImageIndex { manifests { artifact { digest } } } }
      }
    }"""
    async with graph_of(ragged_store()) as graph:
        data = await graph.data(query)

        assert [True, True, False] == [
            child["artifact"] is not None for child in data["artifact"]["manifest"]["manifests"]
        ]
        # Two look-ups, artifacts, manifest, tags, entries, and the artifacts of both.
        assert 7 == len(graph.statements)


# --- any query ---------------------------------------------------------------------------------------------

NAMES = {
    "name": ['"team/web"', '"base"', '"v1"', '"latest"'],
    "registry": ['"registry.test"', '"other.test"'],
    "reference": ['"team/web:v1"', '"base:1.0"', '"base"'],
    "artifact": ['"team/web:v1"', '"base:1.0"', '"team/web"'],
    "artifacts": ['["base:1.0", "team/api:v1.0", "team/web"]', "[]"],
    "platform": ['"linux/arm64"', '"linux/amd64"'],
    "present": ['{ artifacts: ["base:1.0"] }'],
    "reuse": ["BLOB", "CHAIN"],
    "text": ['"e"'],
    "digest": ['"sha256:' + "0" * 63 + '1"'],
    "repositories": ['["team/*", "base"]', "[]"],
    "tags": ['["team/web:v1", "base:1.0"]', "[]"],
    "digests": ['["sha256:' + "0" * 63 + '1", "sha256:' + "0" * 63 + '2"]'],
    # Of filters.
    "namePrefix": ['"team/"', '"v"'],
    "namespace": ['"team"'],
    "includeReferrerTags": ["true"],
    "isTagged": ["false"],  # with `true` no reason may be asked for
    "untagged": ["[DANGLING]", "[INDEX_CHILD, REFERRER]"],
    "kinds": ["[IMAGE, INDEX]"],
    "artifactType": ['"application/vnd.oci.image.config.v1+json"'],
    "os": ['"linux"'],
    "architecture": ['"arm64"'],
    "sharedByAtLeast": ["2"],
    "includeEmpty": ["false"],
    **dict.fromkeys(("createdSince", "changedSince", "pushedSince"), ['"2020-01-01T00:00:00Z"']),
    **dict.fromkeys(("createdBefore", "changedBefore", "pushedBefore"), ['"2030-01-01T00:00:00Z"']),
    **dict.fromkeys(("sizeAtLeast",), ["1"]),
    **dict.fromkeys(("sizeAtMost",), ["100000"]),
}

_DIGEST = "sha256:" + "0" * 63 + "1"
IDS = [
    format_id(NodeType.REGISTRY, "registry.test"),
    format_id(NodeType.NAMESPACE, "registry.test", "team"),
    format_id(NodeType.NAMESPACE, "registry.test", "nowhere"),
    *(format_id(NodeType.REPOSITORY, "registry.test", name) for name in ("team/web", "base", "nowhere")),
    format_id(NodeType.REPOSITORY, "other.test", "team/web"),
    *(format_id(NodeType.ARTIFACT, "registry.test", name, _DIGEST) for name in ("base", "team/web")),
    format_id(NodeType.TAG, "registry.test", "team/web", "v1"),
    format_id(NodeType.TAG, "registry.test", "base", "1.0"),
    format_id(NodeType.LAYER, "registry.test", _DIGEST),
    format_id(NodeType.LAYER, "registry.test", "sha256:" + "f" * 64),
]


@st.composite
def queries(draw: Any, schema: GraphQLSchema) -> str:
    """Any query of any shape, with any order and filter."""

    def value_of(name: str, of: Any) -> str:
        named = get_named_type(of)
        if isinstance(named, GraphQLInputObjectType) and name not in NAMES:
            chosen = draw(st.lists(st.sampled_from(sorted(named.fields)), max_size=2, unique=True))
            return (
                f"{{ {', '.join(f'{each}: {value_of(each, named.fields[each].type)}' for each in chosen)} }}"
            )
        if isinstance(named, GraphQLEnumType) and name not in NAMES:
            return draw(st.sampled_from(sorted(named.values)))
        if name == "id":
            return f'"{draw(st.sampled_from(IDS))}"'
        if name == "ids":
            return json.dumps(draw(st.lists(st.sampled_from(IDS), max_size=8)))
        return draw(st.sampled_from(NAMES[name]))

    def arguments_of(field: Any) -> str:
        given = [
            f"{name}: {value_of(name, argument.type)}"
            for name, argument in field.args.items()
            if is_required_argument(argument)
            or (name in (*NAMES, "filter", "orderBy", "scope") and draw(st.booleans()))
        ]
        if "first" in field.args:
            given.append(f"{draw(st.sampled_from(['first', 'last']))}: {draw(st.sampled_from([1, 2, 10]))}")
        return f"({', '.join(given)})" if given else ""

    def called(prefix: str, name: str) -> str:
        # What fragments for several types ask for must not be of one name and two types.
        return f"{prefix}{name}: {name}" if prefix else name

    def select(of: Any, depth: int, prefix: str = "") -> str:
        if isinstance(of, GraphQLUnionType | GraphQLInterfaceType):
            types = sorted(schema.get_possible_types(of), key=lambda each: each.name)
            some = draw(st.lists(st.sampled_from(types), max_size=3, unique=True))
            fragments = (f"... on {each.name} {select(each, depth, f'{each.name}_')}" for each in some)
            return f"{{ __typename {' '.join(fragments)} }}"
        leaves, branches = [], []
        for name, field in of.fields.items():
            if not is_composite_type(get_named_type(field.type)):
                leaves.append(name)
            else:
                branches.append(name)
        few = (
            st.lists(st.sampled_from(branches), max_size=2, unique=True)
            if depth and branches
            else st.just([])
        )
        chosen = draw(few)
        text = (
            [called(prefix, draw(st.sampled_from(leaves)))]
            if leaves and (not chosen or draw(st.booleans()))
            else []
        )
        for name in chosen:
            field = of.fields[name]
            below = select(get_named_type(field.type), depth - 1)
            text.append(f"{called(prefix, name)}{arguments_of(field)} {below}")
        return "{ " + (" ".join(text) or "__typename") + " }"

    return select(schema.query_type, draw(st.integers(3, 8)))


# Fields of the query itself that read something, and the statements that takes; what each is asked about is
# for their own tests.
ROOTS = {
    "repository": 1,
    "artifact": 1,
    "layers": 1,
    "pull": 7,
    "rollout": 7,
    "storage": 6,
    "overlap": 4,
    "deletion": 6,
}


def count_batched(schema: GraphQLSchema, query: str) -> int:
    """How many statements a query without named fragments may need: one for each selection of a batched
    field, one more where artifacts are sorted by their exclusive bytes, those of the fields it begins with,
    and one for each type of object that ids name.
    """
    document = parse(query)
    types = {parse_id(id) for id in IDS if f'"{id}"' in query}

    def walk(of: Any, node: Any) -> Iterator[int]:
        for selection in node.selection_set.selections if node.selection_set else ():
            if not isinstance(selection, FieldNode):
                yield from walk(schema.type_map[selection.type_condition.name.value], selection)
            elif not selection.name.value.startswith("__"):
                name = selection.name.value
                at_root = ROOTS.get(name, 0) if of is schema.query_type else 0
                yield at_root or is_batched(of.fields[name])
                yield sum(
                    isinstance(argument.value, EnumValueNode)
                    and argument.value.value.startswith("EXCLUSIVE_BYTES")
                    for argument in selection.arguments or ()
                )
                yield from walk(get_named_type(of.fields[name].type), selection)

    looked_up = {type(each) for each in types} - {RegistryId}
    return len(looked_up) + sum(walk(schema.query_type, document.definitions[0]))


@pytest.fixture(scope="module")
def ragged() -> Iterator[Graph]:
    """A store that many queries are asked of."""
    store = open_store(":memory:")
    with store.transaction() as db:
        ragged_store().insert(db)
        rows = load_registries(db, Visibility.everything())
    yield Graph(store, Registries(rows, {row.key: NOW for row in rows}), SCHEMA)
    store.close()


SCHEMA = build_schema(WIDE)
TYPES = SCHEMA._schema


@settings(max_examples=300, deadline=None)
@given(query=queries(TYPES))
def test_any_query(ragged: Graph, query: str) -> None:
    """Whatever is asked: no more statements than selections of batched fields, and no fault."""
    response = asyncio.run(ragged.ask(query))

    expected = {"REGISTRY_DENIED", "CONTENT_TOO_LARGE", "NOT_OBSERVED", "UNKNOWN_REGISTRY", "INVALID_NAME"}
    expected |= {"PLATFORM_NOT_FOUND", "INVALID_INPUT", "UNKNOWN_MEMBER", "NOT_STORED"}
    assert set(codes_of(response)) <= expected
    assert len(ragged.statements) <= count_batched(TYPES, query)


def test_ticks_are_enough_for_the_deepest_nesting() -> None:
    """Between two batched fields lie fewer lists and objects than ticks are waited for."""

    def depth(of: Any, seen: frozenset[str]) -> int:
        if isinstance(of, GraphQLUnionType | GraphQLInterfaceType):
            return max(depth(one, seen) for one in TYPES.get_possible_types(of))
        if not isinstance(of, GraphQLObjectType) or of.name in seen:
            return 0
        below = [
            1
            + is_list_type(get_nullable_type(field.type))
            + depth(get_named_type(field.type), seen | {of.name})
            for field in of.fields.values()
            if not is_batched(field)
        ]
        return max(below, default=0)

    shown = [of for of in TYPES.type_map.values() if isinstance(of, GraphQLObjectType) and of.name[0] != "_"]

    assert max(depth(of, frozenset()) for of in shown) <= QUIET_TICKS

"""The public schema: committed, promised, explained."""

from collections.abc import Iterator
from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_non_null_type,
)
from graphql.utilities import BreakingChangeType, find_breaking_changes

from graph.oci.deletion import DeletionReason, StayReason
from graph.oci.kind import ArtifactKind
from graph.oci.liveness import Untagged
from graph.oci.pull import DocumentRole, Reuse
from graph.registry.capability import Capability, CapabilityState
from graph.schema import enums, inputs
from graph.schema.definition import build_schema as build_graph
from graph.schema.definition import print_sdl
from graph.schema.fields import is_batched
from graph.store import filters, rows

ROOT = Path(__file__).parent.parent.parent
TYPES = build_graph()._schema

# A change of what may be null is ours to make; a client that reads names is not broken by it.
NAMES_STAY = {
    change
    for change in BreakingChangeType
    if change not in (BreakingChangeType.FIELD_CHANGED_KIND, BreakingChangeType.ARG_CHANGED_KIND)
}


def shown_types() -> Iterator[GraphQLNamedType]:
    return (of for name, of in TYPES.type_map.items() if not name.startswith("__"))


def test_schema_is_committed() -> None:
    """schema.graphql is what the code says: `make schema` writes it."""
    assert (ROOT / "schema.graphql").read_text() == print_sdl()


def test_promises_are_kept() -> None:
    """Every type, field, argument and value that was promised is there, of the promised type."""
    promised = build_schema((Path(__file__).parent / "contract.graphql").read_text())

    broken = [
        change.description for change in find_breaking_changes(promised, TYPES) if change.type in NAMES_STAY
    ]
    retyped = [
        f"{of.name}.{name}"
        for of in promised.type_map.values()
        if isinstance(of, GraphQLObjectType | GraphQLInterfaceType) and not of.name.startswith("__")
        for name, field in of.fields.items()
        if get_named_type(field.type).name != get_named_type(TYPES.type_map[of.name].fields[name].type).name
    ]

    assert [] == broken
    assert [] == retyped


def test_everything_is_explained() -> None:
    """Types, fields, arguments and values each have a description that ends like a sentence."""

    def described() -> Iterator[tuple[str, str | None]]:
        for of in shown_types():
            if of.name not in ("Int", "Float", "String", "Boolean", "ID"):
                yield of.name, of.description
            if isinstance(of, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
                for name, field in of.fields.items():
                    yield f"{of.name}.{name}", field.description
                    for argument, definition in getattr(field, "args", {}).items():
                        yield f"{of.name}.{name}({argument})", definition.description
            if isinstance(of, GraphQLEnumType):
                for name, value in of.values.items():
                    yield f"{of.name}.{name}", value.description

    assert [] == [name for name, text in described() if not text or text.strip()[-1] not in ".!?`"]


def test_what_may_be_null_says_why() -> None:
    """A field that may be null says what null means, unless it is read from the store as a whole."""
    silent = [
        f"{of.name}.{name}"
        for of in shown_types()
        if isinstance(of, GraphQLObjectType) and of.name != "Query"
        for name, field in of.fields.items()
        if not is_non_null_type(field.type)
        and not is_batched(field)
        and "ull" not in (field.description or "")
    ]

    assert [] == silent


def test_what_is_read_may_be_null() -> None:
    """A batched field and a field of the root may fail alone: they take nothing else with them."""
    strict = [
        f"{of.name}.{name}"
        for of in shown_types()
        if isinstance(of, GraphQLObjectType)
        for name, field in of.fields.items()
        if is_non_null_type(field.type) and (is_batched(field) or of is TYPES.query_type)
    ]

    assert [] == strict


def test_words_are_those_of_the_store() -> None:
    """Enumerations have the values of what they show, neither more nor fewer."""
    pairs = [
        (enums.ArtifactKind, ArtifactKind),
        (enums.UntaggedReason, Untagged),
        (enums.Completeness, rows.Completeness),
        (enums.Scope, rows.Scope),
        (enums.SyncState, rows.SyncState),
        (enums.CapabilityName, Capability),
        (enums.CapabilityState, CapabilityState),
        (enums.Reuse, Reuse),
        (enums.DocumentRole, DocumentRole),
        (enums.DeletionReason, DeletionReason),
        (enums.StayReason, StayReason),
    ]

    assert [] == [
        shown.__name__
        for shown, stored in pairs
        if {value.name for value in shown} != {value.value for value in stored}
    ]


def test_orders_are_those_of_the_store() -> None:
    """Each order of the store is shown in both directions, and converts to it."""
    pairs = [
        (inputs.RepositoryOrder, filters.RepositoryOrder),
        (inputs.TagOrder, filters.TagOrder),
        (inputs.ArtifactOrder, filters.ArtifactOrder),
        (inputs.LayerOrder, filters.LayerOrder),
    ]
    for shown, stored in pairs:
        converted = {word.name: word.to_store() for word in shown}
        assert {name for field in stored for name in (field.name, f"{field.name}_REVERSED")} == set(converted)
        for field in stored:
            ways = converted[field.name], converted[f"{field.name}_REVERSED"]
            assert [field, field] == [way.field for way in ways]
            assert ways[0].is_descending != ways[1].is_descending


def test_unions_begin_with_repositories() -> None:
    """A search gives a union, so that more can be found later; repositories are its first member."""
    union = TYPES.type_map["SearchResult"]

    assert isinstance(union, GraphQLUnionType)
    assert "Repository" == union.types[0].name

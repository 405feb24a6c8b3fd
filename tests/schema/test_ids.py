"""Global ids carry natural keys, mean one thing, and find their object again."""

import base64
from collections.abc import Sequence
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import InvalidIdError
from graph.schema.ids import (
    MAX_ID_LENGTH,
    ArtifactId,
    LayerId,
    NamespaceId,
    NodeType,
    RegistryId,
    RepositoryId,
    TagId,
    format_id,
    parse_id,
)
from requests_to_graph import graph_of
from schema_stores import ragged_store

pytestmark = pytest.mark.anyio

DIGEST = "sha256:" + "0" * 64

IDS = [
    (NodeType.REGISTRY, ("r.test:5000",), RegistryId("r.test:5000")),
    (NodeType.NAMESPACE, ("r.test", "a/b"), NamespaceId("r.test", "a/b")),
    (NodeType.REPOSITORY, ("r.test", "a/b"), RepositoryId("r.test", "a/b")),
    (NodeType.ARTIFACT, ("r.test", "a/b", DIGEST), ArtifactId("r.test", "a/b", DIGEST)),
    (NodeType.TAG, ("r.test", "a/b", "v1.2-X"), TagId("r.test", "a/b", "v1.2-X")),
    (NodeType.LAYER, ("r.test", DIGEST), LayerId("r.test", DIGEST)),
]


@pytest.mark.parametrize(("type", "names", "expected"), IDS)
def test_round_trip(type: NodeType, names: tuple[str, ...], expected: object) -> None:
    """What an id was made of is what it says."""
    assert expected == parse_id(format_id(type, *names))


def test_the_longest_names_fit() -> None:
    """An artifact of the longest registry, repository and digest still has an id."""
    registry, repository = "a" * 253 + ":65535", "a" * 255
    digest = "sha256+" + "x" * (512 - 7 - 129) + ":" + "0" * 128
    identity = format_id(NodeType.ARTIFACT, registry, repository, digest)

    assert len(identity) <= MAX_ID_LENGTH


@given(st.text(max_size=60))
def test_any_text_is_refused(text: str) -> None:
    """Text that nobody made an id of is InvalidIdError, and never another exception."""
    with pytest.raises(InvalidIdError):
        parse_id(text)


words = st.sampled_from(sorted({word for type, names, _ in IDS for word in (type, *names)}))


@given(
    st.one_of(st.sampled_from([(type, *names) for type, names, _ in IDS]), st.lists(words, max_size=5)),
    st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["", " ", "A", "a", "/", ":", "é"])), max_size=2),
    st.sampled_from(["", "", "=", "A", "\n"]),
)
def test_one_object_has_one_id(names: Sequence[str], edits: list[tuple[int, str]], end: str) -> None:
    """What looks much like an id is one that writes back as the same text, or refused."""
    plain = " ".join(names)
    for place, text in edits:
        plain = plain[:place] + text + plain[place + 1 :]
    identity = base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=") + end
    try:
        parsed = parse_id(identity)
    except InvalidIdError:
        return
    assert identity == format_id(NodeType(type(parsed).__name__.removesuffix("Id")), *astuple(parsed))


async def test_every_id_finds_its_object() -> None:
    """`node` and `nodes` find each object by the id it gives, and give the same id again."""
    query = """{ registry { id
      repositories { nodes { id tags { nodes { id } } artifacts { nodes { id layers { layer { id } } } } } }
      namespaces { nodes { id } } layers { nodes { id } } } }"""
    async with graph_of(ragged_store()) as graph:
        data = (await graph.ask(query))["data"]["registry"]
        ids = {data["id"]}
        for name in ("namespaces", "layers"):
            ids |= {node["id"] for node in data[name]["nodes"]}
        for repository in data["repositories"]["nodes"]:
            ids |= {repository["id"]}
            ids |= {tag["id"] for tag in repository["tags"]["nodes"]}
            ids |= {artifact["id"] for artifact in repository["artifacts"]["nodes"]}
        found = await graph.data(
            "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", {"ids": sorted(ids)}
        )
        one = await graph.data("query ($id: ID!) { node(id: $id) { id } }", {"id": data["id"]})

        assert sorted(ids) == [node["id"] for node in found["nodes"]]
        assert {type.value for type in NodeType} == {node["__typename"] for node in found["nodes"]}
        assert {"id": data["id"]} == one["node"]


async def test_a_list_of_ids_costs_one_statement_a_type() -> None:
    """However many ids are looked up, by however many fields, each type of object is read once."""
    async with graph_of(ragged_store()) as graph:
        names = ["base", "empty", "team/api", "team/web"]
        ids = [format_id(NodeType.REPOSITORY, "registry.test", name) for name in names]
        ids += [format_id(NodeType.TAG, "registry.test", "team/web", name) for name in ("v1", "v2", "v3")]
        query = """query ($ids: [ID!]!, $id: ID!) {
            nodes(ids: $ids) { id } again: nodes(ids: $ids) { id } node(id: $id) { id } }"""
        data = await graph.data(query, {"ids": ids, "id": ids[1]})

        assert [*ids[:6], None] == [node and node["id"] for node in data["nodes"]]
        assert ids[1] == data["node"]["id"]
        assert 2 == len(graph.statements)

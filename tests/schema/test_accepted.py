"""What was accepted is neither parsed nor validated again, and takes no more memory than is allowed."""

import gc
from collections import Counter
from types import ModuleType
from typing import Any

import pytest
from graphql import DocumentNode, parse
from hypothesis import given
from hypothesis import strategies as st
from strawberry.schema import schema as strawberry_schema

from graph.schema import validation
from graph.schema.accepted import MAX_KEPT_BYTES, AcceptedQueries, unlink_tokens
from graph.schema.context import Limits
from requests_to_graph import codes_of, graph_of
from schema_stores import ragged_store

pytestmark = pytest.mark.anyio

NAMES = "{ registry { name } }"


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a text was parsed, and a document validated."""
    done: Counter[str] = Counter()

    def count(module: ModuleType, name: str) -> None:
        function = getattr(module, name)

        def counting(*args: Any, **named: Any) -> Any:
            done[name] += 1
            return function(*args, **named)

        monkeypatch.setattr(module, name, counting)

    count(strawberry_schema, "parse")
    count(validation, "validate_document")
    return done


async def test_the_second_time(work: Counter[str]) -> None:
    """A query is parsed and validated once, with all limits in force, and answered the same each time."""
    async with graph_of(ragged_store()) as graph:
        answers = [await graph.data(NAMES) for _ in range(5)]

    assert [answers[0]] * 5 == answers
    assert {"parse": 1, "validate_document": 1} == work


async def test_refused_again(work: Counter[str]) -> None:
    """What was refused is not kept, nor validated when a limit refuses it; its words are the same again."""
    query = "{ registry { layers(first: 101) { totalCount } } }"
    async with graph_of(ragged_store()) as graph:
        first = await graph.ask(query)

        assert first == await graph.ask(query)
        assert ["INVALID_PAGE"] == codes_of(first)
    assert {"parse": 2} == work


async def test_variables_are_not_kept() -> None:
    """A document that is known is executed anew, with the variables of its request."""
    query = "query ($name: String!) { registry(name: $name) { name } }"
    async with graph_of(ragged_store()) as graph:
        for name in ("registry.test", "none", "registry.test"):
            data = (await graph.ask(query, {"name": name}))["data"]
            assert {"registry": {"name": name} if name != "none" else None} == data


async def test_errors_are_located_after_the_links_are_cut() -> None:
    """Line and column of an error are those of the text, the first time and when the document was kept."""
    query = "{\n  registry {\n    repository(name: $name) { name }\n  }\n}".replace("$name", '"UPPER"')
    async with graph_of(ragged_store()) as graph:
        for _ in range(2):
            (error,) = (await graph.ask(query))["errors"]
            assert [{"line": 3, "column": 5}] == error["locations"]


async def test_schemas_keep_their_own() -> None:
    """What one schema accepted, another that allows less refuses."""
    query = "{ registry { layers(first: 11) { totalCount } } }"
    async with graph_of(ragged_store(), limits=Limits(page_size_max=11)) as graph:
        assert "data" in await graph.ask(query)
    async with graph_of(ragged_store(), limits=Limits(page_size_max=10)) as graph:
        assert ["INVALID_PAGE"] == codes_of(await graph.ask(query))


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=60))
def test_bounded(asked: list[tuple[int, bool]]) -> None:
    """Never more bytes than allowed, of text or of tokens; the texts used last are those that are kept."""
    kept = AcceptedQueries(max_bytes=10_000)
    used: list[str] = []
    for size, is_comment in asked:
        query = f"{{ name }} # {'x' * 250 * size}" if is_comment else f"{{ {'name ' * 2 * size}}}"
        if kept.find(query) is None:
            kept.put(query, parse(query))
        used = [*(each for each in used if each != query), query]

        assert kept.bytes <= 10_000
        last, room = [], 10_000
        for each in reversed(used):
            size = 500 * parse(each).token_count + 4 * len(each)
            if size <= 10_000:
                room -= size
                if room < 0:
                    break
                last.append(each)
        assert len(last) == len(kept)
        used = last[::-1]
    assert all(kept.find(each) is not None for each in used)


FIELDS = " ".join(["name"] * 150 + ["url"] * 100 + ["id"] * 80 + ["dialect"] * 20)


@pytest.mark.parametrize(
    ("query", "is_kept"),
    [
        (f"query Q# {{ registry {{ {FIELDS} }} }}", True),
        (f"query Q# {{ registry {{ {FIELDS} none }} }}", False),
        (f"query Q# {{ registry {{ {FIELDS} layers(first: 101) {{ totalCount }} }} }}", False),
    ],
    ids=["accepted", "refused", "refused by a limit"],
)
async def test_what_is_not_kept_is_freed(query: str, is_kept: bool) -> None:
    """Documents are freed once they are answered; no garbage collection has to look for them."""
    query = query.replace("#", "%03d")
    size = 500 * parse(query % 0).token_count + 4 * len(query % 0)
    room = MAX_KEPT_BYTES // size
    async with graph_of(ragged_store()) as graph:
        gc.collect()
        before = _count_documents()
        gc.disable()
        try:
            for number in range(room + 10):
                assert is_kept == ("data" in await graph.ask(query % number))
            left = _count_documents() - before
        finally:
            gc.enable()

    assert (room if is_kept else 0) == left


def _count_documents() -> int:
    return sum(isinstance(each, DocumentNode) for each in gc.get_objects())


def test_unlinked_tokens() -> None:
    """No token leads to another; the document's place in the text stays."""
    document = parse(NAMES)
    unlink_tokens(document)
    assert document.loc is not None
    assert document.loc.start_token.next is None
    assert (0, len(NAMES)) == (document.loc.start, document.loc.end)

"""What a client sees of what went wrong: a place, a code, and nothing of our inside."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from graph.errors import RegistryThrottledError, StoreBusyError
from graph.sync.freshness import Demand
from requests_to_graph import FakeRefresher, codes_of, graph_of, paths_of
from schema_stores import ragged_store

pytestmark = pytest.mark.anyio


class Broken:
    """A snapshot whose reads fail in a way of their own."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.statements: list[str] = []

    async def read(self, *_: Any) -> Any:
        raise self.error


def broken(error: Exception) -> Callable[[Any], Broken]:
    return lambda _: Broken(error)


async def test_a_fault_is_masked_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """However many fields one fault fails, the log has it once, and the client none of its text."""
    names = " ".join(f'a{n}: repository(name: "r{n}") {{ name }}' for n in range(30))
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(
            "{ registry { name } " + names + " }", around=broken(KeyError("password=1"))
        )

    assert {"INTERNAL"} == set(codes_of(response))
    assert 30 == len(response["errors"])
    assert "password" not in str(response)
    assert {"name": "registry.test"} == response["data"]["registry"]
    assert 1 == len(caplog.records)
    assert "password=1" in caplog.text


async def test_our_errors_keep_their_words(caplog: pytest.LogCaptureFixture) -> None:
    """An error of ours shows its message and code, and is nobody's fault to log."""
    with caplog.at_level(logging.DEBUG, "graph"):
        async with graph_of(ragged_store()) as graph:
            response = await graph.ask(
                '{ repository(name: "base") { name } }', around=broken(StoreBusyError("the store is locked"))
            )

    assert {("repository",): "STORE_BUSY"} == paths_of(response)
    assert "the store is locked" == response["errors"][0]["message"]
    assert [] == caplog.records


async def test_what_a_registry_said_is_passed_on() -> None:
    """The specification's own codes and the time to wait are told beside ours."""

    async def throttle(*_: Any) -> None:
        raise RegistryThrottledError("slow down", codes=["TOOMANYREQUESTS"], retry_after=30.0)

    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(
            '{ repository(name: "new") { name } }', demand=Demand(0), refresher=FakeRefresher(throttle)
        )

    assert {
        "code": "REGISTRY_THROTTLED",
        "registryCodes": ["TOOMANYREQUESTS"],
        "retryAfter": 30.0,
    } == response["errors"][0]["extensions"]


@pytest.mark.parametrize(
    "query",
    [
        "{",
        "query",
        "{ registry { name ",
        '{ registry(name: "',
        "\ud800",
        "{ a: }",
        "nonsense",
        "{ nothing }",
    ],
)
async def test_what_is_no_query(query: str) -> None:
    """Text that is no GraphQL, or asks for what is not there, is INVALID_QUERY, with no data."""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(query)

    assert {"INVALID_QUERY"} == set(codes_of(response))
    assert "data" not in response


async def test_an_error_in_a_cached_refusal_keeps_its_code() -> None:
    """A query that is refused again and again has the same code each time."""
    async with graph_of(ragged_store()) as graph:
        answers = [await graph.ask("{ nothing }") for _ in range(3)]

    assert [["INVALID_QUERY"]] * 3 == [codes_of(answer) for answer in answers]

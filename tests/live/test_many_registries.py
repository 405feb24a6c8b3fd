"""One server over ten registries, three of which are trouble: the other seven are as quick as alone.

Nothing is timed: who waited for whom is told by counts and by the order in which requests arrive.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.crowd import BIG_BUDGET, BUDGET, REPOSITORIES, TAGS, Crowd, Turns, open_crowd, small_registry
from graph.app import create_app
from graph.oci.reference import RegistryName
from graph.registry.in_process import connect_in_process
from graph.settings import load_settings
from graph.sync.crawl import Crawler
from live.client import Graph
from live.rigs import ocigraph, wait_until

# The slow one answers so many requests, ping and catalog among them, and then none until the end.
TURNS = 3

REGISTRIES = "{ registries { name sync { state lastFinishedAt errorCode breaker } } }"
REPOSITORY = """query ($registry: String!, $name: String!) {
  repository(registry: $registry, name: $name) { tags(first: 100) { nodes { name artifact { size } } } } }"""


@dataclass(frozen=True)
class Served:
    """The server, and its registries when the last of the seven had been crawled."""

    graph: Graph
    crowd: Crowd
    sync: dict[str, Any]
    arrived: list[str]
    slow_answered: int


def sync_of(graph: Graph) -> dict[str, Any]:
    return {registry["name"]: registry["sync"] for registry in graph.ask(REGISTRIES)["registries"]}


async def remember(name: str, store: Path) -> None:
    """Fill a store as a crawl did that saw the registry before it went down."""
    settings = load_settings({"registries": [f"http://{name}"], "store": str(store), "sync_interval": 0})
    transports = {RegistryName(name): connect_in_process(small_registry())}
    app = create_app(
        settings, transports=transports, prepare=lambda parts: Crawler(parts.upstreams[0]).crawl()
    )
    async with app.router.lifespan_context(app):
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("many")
    store, settings = directory / "store.db", directory / "settings.toml"
    turns = Turns()
    with open_crowd(turns) as crowd:
        asyncio.run(remember(crowd.down, store))
        # A request waits for a refresh until the registry is given up (some 5 s).
        lines = ["min_refresh_age = 0", "time_limit = 30"]
        for name in crowd.names:
            lines += ["[[registries]]", f'url = "http://{name}"']
            # What is stored of it is young, and it is to be crawled all the same.
            lines += ["sync_interval = 0.001"] if name == crowd.down else []
        settings.write_text("\n".join(lines))
        with ocigraph(settings, store) as (url, _):
            graph = Graph(url)
            turns.give(TURNS)

            def look() -> dict[str, Any] | None:
                sync = sync_of(graph)
                return sync if all(sync[name]["lastFinishedAt"] for name in crowd.quick) else None

            sync = wait_until("the end of seven crawls", look)
            arrived = list(crowd.arrived)
            yield Served(graph, crowd, sync, arrived, crowd.slow_registry.answered)
        turns.give(BUDGET)  # to what still waits, so that its server can end


def test_seven_wait_for_nobody(served: Served) -> None:
    """The seven are crawled while the slow one is held after a few answers, and the big one has begun."""
    crowd = served.crowd
    assert ["IDLE"] * 7 == [served.sync[name]["state"] for name in crowd.quick]
    assert (TURNS, "RUNNING", None) == (
        served.slow_answered,
        served.sync[crowd.slow]["state"],
        served.sync[crowd.slow]["lastFinishedAt"],
    )
    last = max(number for number, name in enumerate(served.arrived) if name in crowd.quick)
    assert served.arrived[:last].count(crowd.big) < BIG_BUDGET / 10


def test_seven_cost_what_each_costs_alone(served: Served) -> None:
    """Each of the seven gets the requests of docs/requests.md, none more or less for its neighbours."""
    spent = served.crowd.requests()
    assert dict.fromkeys(served.crowd.quick, BUDGET) == {name: spent[name] for name in served.crowd.quick}


def test_seven_are_answered_from_the_store(served: Served) -> None:
    """Of each of the seven a query tells all, with no error and no request, whatever the others do."""
    before = served.crowd.requests()
    for name in served.crowd.quick:
        for number in range(REPOSITORIES):
            answer = served.graph.answer(REPOSITORY, {"registry": name, "name": f"team/app{number}"})
            assert "errors" not in answer
            assert "stale" not in answer["extensions"]
            tags = answer["data"]["repository"]["tags"]["nodes"]
            assert {f"v{tag}" for tag in range(TAGS)} == {tag["name"] for tag in tags}
    after = served.crowd.requests()
    assert {name: before[name] for name in served.crowd.quick} == {
        name: after[name] for name in served.crowd.quick
    }


def test_one_that_is_down_is_told(served: Served) -> None:
    """The one that is down fails by itself: its sync says so, and its breaker opens."""

    def look() -> Any:
        sync = sync_of(served.graph)[served.crowd.down]
        return sync if sync["state"] == "FAILED" else None

    sync = wait_until("the failure of the one that is down", look)
    assert "REGISTRY_UNREACHABLE" == sync["errorCode"]
    assert "OPEN" == sync["breaker"]


def test_one_that_is_down_is_answered_from_the_store(served: Served) -> None:
    """Who wants it fresh gets what is stored of the one that is down, and is told that it is stale."""
    down = served.crowd.down
    variables = {"registry": down, "name": "team/app0"}
    answer = served.graph.answer(REPOSITORY, variables, {"Cache-Control": "no-cache"})
    assert "errors" not in answer
    assert TAGS == len(answer["data"]["repository"]["tags"]["nodes"])
    assert {(down, "team/app0", "REGISTRY_UNREACHABLE")} == {
        (stale["registry"], stale["repository"], stale["reason"]) for stale in answer["extensions"]["stale"]
    }

"""Measure what three registries in trouble cost the other seven of one server.

    PYTHONPATH=.:tests .venv/bin/python -m benchmarks.many [ROUNDS] [SECONDS] [DELAY]

One registry is down, one answers a request a second, and one has a repository of 5,000 tags, which is crawled
again and again. A round is a server over the seven alone and one over all ten, each from an empty store, in
turns. Of each it tells how long the crawls of the seven took and then, for SECONDS, how long queries about
them take, one after the other. Every registry answers after DELAY seconds, as one far away does.

Rules of this file: `ocigraph serve` is a process of its own; so are the seven registries together, those in
trouble together, and who asks. All are on one machine: where it has few cores, the big registry itself takes
some of what the seven had alone. Prints a Markdown table: the medians of the rounds, and their ratios.
"""

import asyncio
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import uvicorn

from benchmarks.report import describe_machine, print_head, print_row, quantile
from fakes.crowd import InTurn, fill_big, small_registry
from fakes.sync_rig import image, push
from graph.sample import SampleRegistry
from live.client import Graph
from live.rigs import get, ocigraph, wait_until

QUICK = 7
REPOSITORIES, TAGS = 10, 10  # of each of the seven
COUNT = "/requests"  # at each registry: how many it had
ROUNDS = 5
SECONDS = 5.0
START_TIMEOUT = 120.0

SYNC = "{ registries { name sync { startedAt lastFinishedAt errorCode } } }"
QUERY = """query ($registry: String!, $name: String!) { repository(registry: $registry, name: $name) {
    tags(first: 10) { nodes { name artifact { size layers { digest layer { repositoryCount } } } } } } }"""


@dataclass(frozen=True)
class Round:
    """Seconds that each of the seven crawls took, that all took together, and that each query took.

    `others`: requests that the big one had meanwhile.
    """

    crawls: Sequence[float]
    together: float
    queries: Sequence[float]
    others: int


def quick_registry() -> SampleRegistry:
    """One of the seven. All hold the same, and each is asked for all of it."""
    registry = SampleRegistry(supports_referrers=False)
    for number in range(REPOSITORIES):
        for tag in range(TAGS):
            push(registry, f"team/app{number}", image(f"{number} {tag}"), f"v{tag}")
    return registry


def serve_quick(listeners: Sequence[socket.socket], delay: float) -> None:
    """Serve the seven until the process is ended."""
    _serve(listeners, [quick_registry() for _ in listeners], delay)


def serve_troubled(listeners: Sequence[socket.socket], delay: float) -> None:
    """Serve the slow one and the big one until the process is ended."""
    big = SampleRegistry()
    fill_big(big)
    _serve(listeners, [InTurn(small_registry(), lambda: asyncio.sleep(1)), big], delay)


def _serve(listeners: Sequence[socket.socket], registries: Sequence[Any], delay: float) -> None:
    by_port = dict(zip([listener.getsockname()[1] for listener in listeners], registries, strict=True))

    arrived = Counter[int]()

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        port = scope["server"][1]
        if scope["path"] == COUNT:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": str(arrived[port]).encode()})
            return
        arrived[port] += 1
        await asyncio.sleep(delay)
        await by_port[port](scope, receive, send)

    config = uvicorn.Config(serve, lifespan="off", log_config=None, access_log=False)
    uvicorn.Server(config).run(list(listeners))


@contextmanager
def serving(
    serve: Callable[[Sequence[socket.socket], float], None], count: int, delay: float
) -> Iterator[list[str]]:
    """Serve so many registries in a process of their own; their names."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        process = multiprocessing.get_context("fork").Process(target=serve, args=(listeners, delay))
        process.start()
        try:
            yield [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
        finally:
            process.terminate()
            process.join()


def measure(quick: Sequence[str], troubled: Sequence[str], big: str, seconds: float) -> Round:
    """Crawl all from nothing, then ask about the seven."""
    with tempfile.TemporaryDirectory() as directory:
        settings = Path(directory) / "settings.toml"
        lines = ["max_age = 1000000000"]
        for name in (*troubled, *quick):
            lines += ["[[registries]]", f'url = "http://{name}"']
            lines += ["sync_interval = 0.001"] if name == big else []
        settings.write_text("\n".join(lines))
        with ocigraph(settings, Path(directory) / "store.sqlite3") as (url, _):
            graph, before = Graph(url), count_requests(big)

            def look() -> dict[str, Any] | None:
                told = {each["name"]: each["sync"] for each in graph.ask(SYNC)["registries"]}
                return told if all(told[name]["lastFinishedAt"] for name in quick) else None

            told = wait_until("seven crawls", look, START_TIMEOUT)
            others = count_requests(big) - before
            queries = list(ask_about(graph, quick, seconds))
    assert all(told[name]["errorCode"] is None for name in quick)
    spans = [_span(told[name]) for name in quick]
    return Round(
        [end - begin for begin, end in spans],
        max(end for _, end in spans) - min(begin for begin, _ in spans),
        queries,
        others,
    )


def _span(sync: dict[str, Any]) -> tuple[float, float]:
    begin, end = (datetime.fromisoformat(sync[name]).timestamp() for name in ("startedAt", "lastFinishedAt"))
    return begin, end


def ask_about(graph: Graph, names: Sequence[str], seconds: float) -> Iterator[float]:
    """Seconds that each query about one of their repositories takes."""
    until = time.perf_counter() + seconds
    number = 0
    while time.perf_counter() < until:
        variables = {"registry": names[number % QUICK], "name": f"team/app{number % REPOSITORIES}"}
        number += 1
        began = time.perf_counter()
        data = graph.ask(QUERY, variables)
        yield time.perf_counter() - began
        assert len(data["repository"]["tags"]["nodes"]) == TAGS


def main() -> None:
    """Measure, and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    delay = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    alone: list[Round] = []
    among: list[Round] = []
    print(f"{describe_machine()}\n")
    with (
        serving(serve_quick, QUICK, delay) as quick,
        serving(serve_troubled, 2, delay) as (slow, big),
        socket.socket() as closed,
    ):
        closed.bind(("127.0.0.1", 0))
        down = f"127.0.0.1:{closed.getsockname()[1]}"
        wait_until("the big registry", lambda: get(f"http://{big}{COUNT}"), START_TIMEOUT)
        for _ in range(rounds):
            alone.append(measure(quick, (), big, seconds))
            among.append(measure(quick, (down, slow, big), big, seconds))
    print_head(
        [f"the seven, {rounds} rounds in turns, answers after {delay:g} s", "alone", "among the ten", "ratio"]
    )
    print_figure("crawl of one, median (s)", alone, among, lambda each: statistics.median(each.crawls), 2)
    print_figure("crawl of one, longest (s)", alone, among, lambda each: max(each.crawls), 2)
    print_figure("all seven crawls (s)", alone, among, lambda each: each.together, 2)
    print_figure("requests of the big one meanwhile", alone, among, lambda each: each.others, 0)
    print_figure("query p50 (ms)", alone, among, lambda each: 1e3 * quantile(each.queries, 0.5), 1)
    print_figure("query p95 (ms)", alone, among, lambda each: 1e3 * quantile(each.queries, 0.95), 1)


def count_requests(name: str) -> int:
    """How many requests the registry has had."""
    return int(get(f"http://{name}{COUNT}") or 0)


def print_figure(
    name: str,
    alone: Sequence[Round],
    among: Sequence[Round],
    figure: Callable[[Round], float],
    digits: int,
) -> None:
    """Print a row: the medians over the rounds, and their ratio."""
    one, other = (statistics.median(map(figure, rounds)) for rounds in (alone, among))
    ratio = f"{other / one:.2f}" if one else ""
    print_row([name, f"{one:.{digits}f}", f"{other:.{digits}f}", ratio])


if __name__ == "__main__":
    main()

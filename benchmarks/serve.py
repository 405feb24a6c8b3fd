"""Measure a running server on a large store: its memory, and whether it answers while a costly query runs.

    .venv/bin/python -m benchmarks.serve /tmp/large.sqlite3

Rules of this file: `ocigraph serve` runs as a process of its own, without crawls, over a registry that does
not answer. Ordinary queries come first, from four clients; then each costly query alone, while another
connection asks `/healthz` every ten milliseconds. Memory is what Linux counts as resident (VmRSS), with the
most there ever was (VmHWM) since the query began. Clients are processes of their own, so that nobody waits
for the one who measures.
"""

import argparse
import http.client
import json
import multiprocessing
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.costly import Known, Query, costly_queries
from benchmarks.report import (
    describe_machine,
    peak_resident_bytes,
    print_head,
    print_row,
    quantile,
    resident_bytes,
)
from benchmarks.synthetic import REGISTRY_URL

# Older than anything stored, so that no query asks the registry.
MAX_AGE = str(10**9)
CLIENTS = 4
SECONDS = 20.0
BETWEEN_LOOKS = 0.010
START_TIMEOUT = 60.0

_PREFIXED = 'filter: { namePrefix: "%(prefix)s" }'
ORDINARY = (
    f"{{ registry {{ repositories(first: 20, {_PREFIXED}) {{ nodes {{ name tags(first: 5) {{ nodes {{ name "
    "artifact { digest size } } } } } } }",
    "{ registry { layers(first: 10, filter: { sharedByAtLeast: 2 }, orderBy: SAVED_BYTES) { nodes { digest "
    "size savedBytes repositoryCount repositories(first: 5) { nodes { name } } } } } }",
    f"{{ registry {{ repositories(first: 10, {_PREFIXED}) {{ totalCount nodes {{ name artifacts(first: 5) {{ "
    "nodes { digest layers { digest layer { repositoryCount } } } } } } } }",
    '{ search(text: "%(prefix)s", first: 20) { nodes { ... on Repository { name } } } }',
    "{ registry { name sync { state repositoriesKnown } basis { completeness oldestObservedAt } } }",
)


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running_server(store: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `ocigraph serve` until the context ends."""
    command = [Path(sys.executable).with_name("ocigraph"), "serve", REGISTRY_URL, "--store", store]
    options = ("--port", str(port), "--sync-interval", "0", "--max-age", MAX_AGE, *options)
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen([*map(str, command), *options], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + START_TIMEOUT
            while not _is_ready(port):
                if server.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise SystemExit(f"the server did not start: {log.read().decode()}")
                time.sleep(0.1)
            yield server
        finally:
            server.terminate()
            server.wait(30)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def ask(connection: http.client.HTTPConnection, query: str, variables: dict[str, Any] | None = None) -> bytes:
    """Return the body of the answer."""
    body = json.dumps({"query": query, "variables": variables or {}})
    connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
    return connection.getresponse().read()


def _connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=120)


def ask_ordinary(port: int, seed: int, seconds: float, times: "Queue[list[float]]") -> None:
    """Ask ordinary queries, one after the other; give the seconds that each took."""
    random, connection = Random(seed), _connect(port)
    spent = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        prefix = random.choice("bcdfghjklmnprstvwz") + random.choice("aeiou")
        query = random.choice(ORDINARY).replace("%(prefix)s", prefix)
        began = time.perf_counter()
        answer = ask(connection, query)
        spent.append(time.perf_counter() - began)
        if b'"errors"' in answer:
            raise SystemExit(answer[:2_000])
    times.put(spent)


def ask_costly(port: int, query: Query, outcome: "Queue[dict[str, Any]]") -> None:
    """Ask one query, as often as it says; tell what came back last, and how long all of it took."""
    connection = _connect(port)
    began = time.perf_counter()
    for text in query.texts:
        answer = ask(connection, text, query.variables)
    spent = time.perf_counter() - began
    told = json.loads(answer)
    errors = told.get("errors") or []
    outcome.put(
        {
            "seconds": spent,
            "bytes": len(answer),
            "nodes": told.get("extensions", {}).get("cost", {}).get("nodes"),
            "errors": len(errors),
            "code": errors[0].get("extensions", {}).get("code") if errors else None,
            "message": errors[0].get("message") if errors else None,
        }
    )


def look_for_members(port: int) -> Known:
    """Ask the server for what makes queries costly."""
    connection = _connect(port)
    layers: list[str] = []
    ids: list[str] = []
    after_layer = after_repository = "null"
    page = (
        "{ registry { layers(first: 100, orderBy: SAVED_BYTES, after: %s) { edges { cursor node { digest "
        "} } } } }"
    )
    while len(layers) < 1_000:
        edges = json.loads(ask(connection, page % after_layer))["data"]["registry"]["layers"]["edges"]
        layers += [edge["node"]["digest"] for edge in edges]
        after_layer = json.dumps(edges[-1]["cursor"])
    page = (
        "{ registry { repositories(first: 100, after: %s) { edges { cursor node { artifacts(first: 5, "
        "filter: {kinds: [IMAGE]}) { nodes { id mediaType manifest { raw } } } } } } } }"
    )
    while len(ids) < 1_000:
        answer = json.loads(ask(connection, page % after_repository))["data"]["registry"]["repositories"]
        edges = answer["edges"]
        for edge in edges:
            found = edge["node"]["artifacts"]["nodes"]
            ids += [each["id"] for each in found if each["manifest"] and each["manifest"]["raw"]]
        after_repository = json.dumps(edges[-1]["cursor"])
    largest = "{ registry { repositories(first: 1, orderBy: SIZE_REVERSED) { nodes { name } } } }"
    answer = json.loads(ask(connection, largest))["data"]["registry"]["repositories"]
    return Known(ids, layers, answer["nodes"][0]["name"])


def measure_ordinary(port: int, process: int, seconds: float) -> None:
    """Print what ordinary queries take, and the memory after them."""
    times: Queue[list[float]] = multiprocessing.Queue()
    clients = [
        multiprocessing.Process(target=ask_ordinary, args=(port, number, seconds, times))
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    spent = [each for _ in clients for each in times.get()]
    for client in clients:
        client.join()
    print_head(
        ["ordinary queries", "clients", "a second", "p50 (ms)", "p95 (ms)", "resident (MiB)", "most (MiB)"]
    )
    print_row(
        [
            f"{len(spent):,} in {seconds:.0f} s",
            CLIENTS,
            f"{len(spent) / seconds:.0f}",
            f"{quantile(spent, 0.5) * 1e3:.1f}",
            f"{quantile(spent, 0.95) * 1e3:.1f}",
            f"{resident_bytes(process) / 2**20:.0f}",
            f"{peak_resident_bytes(process) / 2**20:.0f}",
        ]
    )
    print()


def measure_costly(port: int, process: int, query: Query) -> list[object]:
    """Ask it while `/healthz` is asked; return a row of the table."""
    # Linux forgets the peak when 5 is written here (proc(5), clear_refs).
    Path(f"/proc/{process}/clear_refs").write_text("5")
    outcome: Queue[dict[str, Any]] = multiprocessing.Queue()
    client = multiprocessing.Process(target=ask_costly, args=(port, query, outcome))
    connection = _connect(port)
    looks: list[float] = []
    client.start()
    while outcome.empty():
        began = time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        looks.append(time.perf_counter() - began)
        time.sleep(BETWEEN_LOOKS)
    told = outcome.get()
    client.join()
    if told["message"]:
        print(f"{query.name}: {told['code']}: {told['message'][:150]}", file=sys.stderr)
    ended = "all" if not told["errors"] else f"{told['errors']:,} {told['code']}"
    return [
        query.name,
        f"{told['nodes'] or 0:,}",
        ended,
        f"{told['bytes'] / 1e6:.1f}",
        f"{told['seconds']:.2f}",
        f"{quantile(looks, 0.5) * 1e3:.0f}",
        f"{quantile(looks, 0.95) * 1e3:.0f}",
        f"{max(looks) * 1e3:.0f}",
        f"{peak_resident_bytes(process) / 2**20:.0f}",
        f"{resident_bytes(process) / 2**20:.0f}",
    ]


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description="Measure a server on a large store.")
    parser.add_argument("store", type=Path, help="what benchmarks.synthetic wrote")
    parser.add_argument("--only", default="", help="costly queries with this text in their names")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of ordinary queries")
    parser.add_argument("--rounds", type=int, default=1, help="of all costly queries")
    arguments = parser.parse_args()
    port = free_port()
    print(f"{describe_machine()}\n")
    with running_server(arguments.store, port) as server:
        print(f"Resident after start: {resident_bytes(server.pid) / 2**20:.0f} MiB\n")
        measure_ordinary(port, server.pid, arguments.seconds)
        queries = costly_queries(look_for_members(port))
        print_head(
            [
                "costly query",
                "nodes",
                "answered",
                "MB",
                "seconds",
                "/healthz p50 (ms)",
                "p95 (ms)",
                "most (ms)",
                "most resident (MiB)",
                "after (MiB)",
            ]
        )
        for query in queries * arguments.rounds:
            if arguments.only in query.name:
                print_row(measure_costly(port, server.pid, query))


if __name__ == "__main__":
    main()

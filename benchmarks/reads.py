"""Measure how long reads take in the store: one of 460,000 repositories, and one of a tenth of it.

    .venv/bin/python -m benchmarks.reads /tmp/large.sqlite3 /tmp/tenth.sqlite3

Rules of this file: functions of `graph.store` are called on a reader's connection as the program has it, one
by one, each with another random member; its time is from the call to the rows in Python, without HTTP and
without GraphQL. Calls on both stores alternate, so that whatever else the machine does meets both. The file
is in the operating system's cache: every read is made by warm-up calls first. `noise` is the smaller store
against itself: the median of its odd calls over that of its even ones.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Connection, text

from benchmarks.report import describe_machine, print_head, print_row, quantile
from graph.store import addresses, artifacts, layers, manifests, registries, repositories, tags
from graph.store.engine import open_store
from graph.store.filters import (
    ArtifactOrder,
    LayerFilter,
    LayerOrder,
    Order,
    RepositoryFilter,
    RepositoryOrder,
    TagOrder,
)
from graph.store.pages import PageRequest
from graph.store.sqlite import create_readers
from graph.store.visibility import Visibility

ALL = Visibility.everything()
WARM_UP = 20
CALLS = 2_000
# Seconds that one row of the table takes at most; slow reads are called less often.
TIME_PER_ROW = 20.0


@dataclass(frozen=True, slots=True)
class Members:
    """What reads of one store are asked about."""

    registry: int
    layers: Sequence[int]  # each layer as likely as another
    referenced_layers: Sequence[int]  # each as likely as it is often used
    hottest_layer: int
    empty_layer: int
    repositories: Sequence[int]
    fattest_repository: int
    names: Sequence[str]
    artifacts: Sequence[int]
    manifests: Sequence[int]
    addresses: Sequence[tuple[int, str, str]]


# Takes a store's connection, its members and a random generator; gives the call that is timed.
Prepare = Callable[[Connection, Members, Random], Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    name: str
    prepare: Prepare


def _keys(db: Connection, sql: str, **parameters: Any) -> list[Any]:
    return list(db.execute(text(sql), parameters).scalars())


def _sample(db: Connection, random: Random, table: str, count: int, condition: str = "TRUE") -> list[int]:
    """Return keys of random rows that meet the condition."""
    (most,) = _keys(db, f"SELECT MAX(id) FROM {table}")
    found: list[int] = []
    while len(found) < count:
        key = random.randint(1, most)
        found += _keys(db, f"SELECT id FROM {table} WHERE id = :key AND {condition}", key=key)
    return found


def draw_members(db: Connection, random: Random, count: int = 3_000) -> Members:
    """Return random members of a store."""
    hottest = "SELECT id FROM blob WHERE is_layer AND is_empty = {} ORDER BY repository_count DESC LIMIT 1"
    filled = _sample(db, random, "repository", count, "artifact_count > 0")
    named = _sample(db, random, "tag", count, "NOT is_referrer_tag")
    images = _sample(db, random, "artifact", count, "kind = 'IMAGE'")
    (registry,) = _keys(db, "SELECT id FROM registry")
    found: Any = db.execute(
        text(
            "SELECT r.name, t.name FROM json_each(:keys) AS k JOIN tag AS t ON t.id = k.value "
            "JOIN repository AS r ON r.id = t.repository_id"
        ),
        {"keys": str(named)},
    )
    return Members(
        registry=registry,
        layers=_sample(db, random, "blob", count, "is_layer AND artifact_count > 0"),
        referenced_layers=_keys(
            db,
            "SELECT l.blob_id FROM json_each(:keys) AS k JOIN artifact AS a ON a.id = k.value "
            "JOIN manifest_layer AS l ON l.manifest_id = a.manifest_id",
            keys=str(images),
        ),
        hottest_layer=_keys(db, hottest.format(0))[0],
        empty_layer=_keys(db, hottest.format(1))[0],
        repositories=filled,
        fattest_repository=_keys(db, "SELECT id FROM repository ORDER BY tag_count DESC LIMIT 1")[0],
        names=_keys(
            db,
            "SELECT r.name FROM json_each(:keys) AS k JOIN repository AS r ON r.id = k.value",
            keys=str(filled),
        ),
        artifacts=images,
        manifests=_keys(
            db,
            "SELECT a.manifest_id FROM json_each(:keys) AS k JOIN artifact AS a ON a.id = k.value",
            keys=str(images),
        ),
        addresses=[(registry, repository, tag) for repository, tag in found],
    )


FIVE, TWENTY, HUNDRED = PageRequest(5), PageRequest(20), PageRequest(100)


def holders(pick: Callable[[Members, Random], Sequence[int]]) -> Prepare:
    """The first five repositories of the layers that are picked."""

    def prepare(db: Connection, of: Members, random: Random) -> Callable[[], object]:
        keys = pick(of, random)
        return lambda: repositories.page_layer_repositories(db, ALL, keys, FIVE)

    return prepare


def in_registry(function: Callable[..., object], *arguments: Any) -> Prepare:
    """A read of the registry, always the same."""
    return lambda db, of, _: lambda: function(db, ALL, [of.registry], *arguments)


def of_random(function: Callable[..., object], members: str, count: int, *arguments: Any) -> Prepare:
    """A read of that many random members."""

    def prepare(db: Connection, of: Members, random: Random) -> Callable[[], object]:
        keys = random.sample(getattr(of, members), count)
        return lambda: function(db, ALL, keys, *arguments)

    return prepare


def page_after(db: Connection, of: Members, random: Random) -> Callable[[], object]:
    """A page of repositories from a random place on, by its cursor."""
    start = RepositoryFilter(name_prefix=random.choice(of.names)[:4])
    (page,) = repositories.page_repositories(db, ALL, [of.registry], PageRequest(1), start)
    request = PageRequest(100, after=page.cursors[0])
    return lambda: repositories.page_repositories(db, ALL, [of.registry], request)


def search(word: Callable[[Members, Random], str], *, is_counted: bool = False) -> Prepare:
    """A search for a part of a name."""

    def prepare(db: Connection, of: Members, random: Random) -> Callable[[], object]:
        wanted, registry = word(of, random), [of.registry]
        if is_counted:
            return lambda: repositories.count_search(db, ALL, wanted, registry)
        return lambda: repositories.search_repositories(db, ALL, wanted, registry, TWENTY)

    return prepare


def nested(db: Connection, of: Members, random: Random) -> Callable[[], object]:
    """repositories(100) → tags(10) → artifact → layers → layer → repositories(5): six statements."""
    start = RepositoryFilter(name_prefix=random.choice(of.names)[:4])
    (before,) = repositories.page_repositories(db, ALL, [of.registry], PageRequest(1), start)
    request = PageRequest(100, after=before.cursors[0])

    def read() -> object:
        (page,) = repositories.page_repositories(db, ALL, [of.registry], request)
        named = tags.page_tags(db, ALL, [row.key for row in page.rows], PageRequest(10))
        keys = {tag.artifact_key for found in named for tag in found.rows if tag.artifact_key is not None}
        shown = artifacts.load_artifacts(db, ALL, list(keys))
        manifest_keys = {row.manifest_key for row in shown if row is not None}
        listed = manifests.load_manifest_layers(db, ALL, list(manifest_keys))
        blobs = list({layer.layer_key for found in listed for layer in found})
        layers.load_layers(db, ALL, blobs)
        return repositories.page_layer_repositories(db, ALL, blobs, FIVE)

    return read


def _middle(of: Members, random: Random) -> str:
    """Letters that many names have."""
    return random.choice(of.names)[1:4]


CASES = (
    Case("layer → first 5 repositories", holders(lambda of, r: [r.choice(of.layers)])),
    Case(
        "layer → first 5 repositories, of the layers of random images",
        holders(lambda of, r: [r.choice(of.referenced_layers)]),
    ),
    Case("hottest layer → first 5 repositories", holders(lambda of, _: [of.hottest_layer])),
    Case("empty layer → first 5 repositories", holders(lambda of, _: [of.empty_layer])),
    Case(
        "100 layers of random images → first 5 repositories of each",
        holders(lambda of, r: r.sample(of.referenced_layers, 100)),
    ),
    Case("layers of an artifact", of_random(manifests.load_manifest_layers, "manifests", 1)),
    Case("layers of 100 artifacts", of_random(manifests.load_manifest_layers, "manifests", 100)),
    Case("repositories(first: 100)", in_registry(repositories.page_repositories, HUNDRED)),
    Case("repositories(first: 100, after: …)", page_after),
    Case(
        "repositories(first: 100) by the time of a change, last first",
        in_registry(
            repositories.page_repositories, HUNDRED, None, Order(RepositoryOrder.CHANGED, is_descending=True)
        ),
    ),
    Case(
        "repositories(first: 100) by size, largest first",
        in_registry(
            repositories.page_repositories, HUNDRED, None, Order(RepositoryOrder.SIZE, is_descending=True)
        ),
    ),
    Case("repository by name", lambda db, of, r: _by_name(db, of, r)),
    Case("artifact by repository:tag", of_random(addresses.find_by_tag, "addresses", 1)),
    Case(
        "tags(first: 10) of 100 repositories", of_random(tags.page_tags, "repositories", 100, PageRequest(10))
    ),
    Case(
        "tags(first: 100) by version, of the repository with most tags",
        lambda db, of, _: (
            lambda: tags.page_tags(
                db, ALL, [of.fattest_repository], HUNDRED, None, Order(TagOrder.VERSION, is_descending=True)
            )
        ),
    ),
    Case(
        "artifacts(first: 20) of a repository", of_random(artifacts.page_artifacts, "repositories", 1, TWENTY)
    ),
    Case(
        "artifacts(first: 20) of the hottest layer",
        lambda db, of, _: lambda: artifacts.page_layer_artifacts(db, ALL, [of.hottest_layer], TWENTY),
    ),
    Case(
        "artifacts(first: 20) of the registry by size, largest first",
        in_registry(
            artifacts.page_registry_artifacts, TWENTY, None, Order(ArtifactOrder.SIZE, is_descending=True)
        ),
    ),
    Case(
        "layers(first: 20) of the registry by saved bytes",
        in_registry(layers.page_layers, TWENTY, None, Order(LayerOrder.SAVED_BYTES, is_descending=True)),
    ),
    Case(
        "the same, shared by 1,000 repositories or more",
        in_registry(
            layers.page_layers,
            TWENTY,
            LayerFilter(shared_by_at_least=1_000),
            Order(LayerOrder.SAVED_BYTES, is_descending=True),
        ),
    ),
    Case(
        "layers(first: 20) of a repository",
        of_random(layers.page_repository_layers, "repositories", 1, TWENTY),
    ),
    Case("status of the registry", in_registry(registries.load_registry_statuses)),
    Case("six levels: repositories(100) → … → layer → repositories(5)", nested),
    Case("search for what many names have", search(_middle)),
    Case("search for what no name has", search(lambda of, _: "nothing-has-this")),
    Case("count of a search", search(_middle, is_counted=True)),
)


def _by_name(db: Connection, of: Members, random: Random) -> Callable[[], object]:
    name = (of.registry, random.choice(of.names))
    return lambda: repositories.find_repositories(db, ALL, [name])


@contextmanager
def connect(path: Path) -> Iterator[Connection]:
    """A reader's connection, as the program has it, in one read transaction."""
    open_store(str(path)).close()
    engine = create_readers(path, 1)
    try:
        with engine.connect() as db:
            yield db
    finally:
        engine.dispose()


_COLUMNS = (
    "read (milliseconds)",
    "calls",
    "p50",
    "p95",
    "p99",
    "p50 on a tenth",
    "p95 on a tenth",
    "ratio of p50",
    "ratio of p95",
    "noise",
)


def measure(
    case: Case, stores: Sequence[tuple[Connection, Members]], random: Random, seconds: float
) -> list[list[float]]:
    """Return the seconds of each call, for each store; calls on them alternate."""
    times: list[list[float]] = [[] for _ in stores]
    began = time.perf_counter()
    for number in range(-WARM_UP, CALLS):
        for (db, members), spent in zip(stores, times, strict=True):
            call = case.prepare(db, members, random)
            start = time.perf_counter()
            call()
            end = time.perf_counter()
            if number >= 0:
                spent.append(end - start)
        if number >= WARM_UP and time.perf_counter() - began > seconds:
            break
    return times


def show(case: Case, times: Sequence[Sequence[float]]) -> list[str]:
    """Return a row of the table, in milliseconds."""
    row = [case.name, f"{len(times[0]):,}"]
    row += [f"{quantile(times[0], share) * 1e3:.2f}" for share in (0.5, 0.95, 0.99)]
    if len(times) == 1:
        return row
    large, small = times
    row += [f"{quantile(small, share) * 1e3:.2f}" for share in (0.5, 0.95)]
    row += [f"{quantile(large, share) / quantile(small, share):.2f}" for share in (0.5, 0.95)]
    return [*row, f"{quantile(small[1::2], 0.5) / quantile(small[::2], 0.5):.2f}"]


def main() -> None:
    """Measure every read, and print the table."""
    parser = argparse.ArgumentParser(description="Measure reads of large stores.")
    parser.add_argument("store", type=Path, help="what benchmarks.synthetic wrote")
    parser.add_argument("tenth", type=Path, nargs="?", help="a store of a tenth of it")
    parser.add_argument("--only", default="", help="rows with this text in their names")
    parser.add_argument("--seconds", type=float, default=TIME_PER_ROW, help="for each row, at most")
    arguments = parser.parse_args()
    random = Random(1)
    with connect(arguments.store) as large, connect(arguments.tenth or arguments.store) as small:
        opened = (large, small) if arguments.tenth else (large,)
        stores = [(db, draw_members(db, random)) for db in opened]
        print(f"{describe_machine()}\n")
        print_head(_COLUMNS if arguments.tenth else _COLUMNS[:5])
        for case in CASES:
            if arguments.only in case.name:
                print_row(show(case, measure(case, stores, random, arguments.seconds)))


if __name__ == "__main__":
    main()

"""What a page costs: walks along indexes, as far as the page goes, however long the list is."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from graph.store.artifacts import page_layer_artifacts
from graph.store.deletion import load_surroundings
from graph.store.layers import page_repository_layers
from graph.store.observations import pending_repositories
from graph.store.pages import PageRequest
from graph.store.registries import load_registry_statuses
from graph.store.repositories import count_layer_repositories, page_layer_repositories
from graph.store.sets import load_neighbourhood
from graph.store.sqlite import driver_of
from store_builders import ENGINES, NOW, StoreBuilder, filled_store, recorded_statements
from store_lists import EVERYTHING, list_cases, varied_store

HOT = 30_000
DEFAULTS = re.compile(
    r"((registry|namespace|layer).repositories NAME|(registry|layer).repositories FIRST_SEEN|.*tags NAME"
    r"|.*artifacts FIRST_SEEN|.*layers FIRST_SEEN) ascending"
    r"|registry.namespaces|artifact.referrers|search"
)
# All of a namespace is read for these, and sorted.
SORTED = re.compile(r"namespace\.(artifacts|layers) .*")
CASES = [
    case
    for case in list_cases(varied_store())
    if DEFAULTS.fullmatch(case.name) and not SORTED.fullmatch(case.name)
]


@pytest.fixture(scope="module", params=ENGINES)
def varied(request: pytest.FixtureRequest) -> Iterator[Connection]:
    with filled_store(varied_store(), request.param) as db:
        yield db


def hot_store() -> tuple[StoreBuilder, int, list[int]]:
    """A layer in 30,000 repositories, and a hundred that are in twenty each."""
    build = StoreBuilder()
    registry = build.registry("one.example")
    cold = [build.layer(registry) for _ in range(100)]
    repositories = [build.repository(registry, f"a{number:03}") for number in range(20)]
    for repository in repositories:
        build.image(repository, cold)
    hot = build.layer(registry)
    build.derive()
    manifest = build.manifest(registry, [hot])
    for number in range(HOT):
        repository = build.repository(registry, f"z{number:05}")
        artifact = build.artifact(repository, manifest)
        for blob in (manifest, hot):
            build.rows["artifact_blob"].append({"artifact_id": artifact, "blob_id": blob})
            row = {"id": len(build.rows["repository_blob"]) + 1, "repository_id": repository}
            row |= {"repository_name": f"z{number:05}", "blob_id": blob}
            build.rows["repository_blob"].append({**row, "is_layer": blob == hot, "artifact_count": 1})
    for name in ("artifact_count", "repository_count"):
        build.row("blob", hot)[name] += HOT
    return build, hot, cold


@pytest.fixture(scope="module", params=ENGINES)
def hot(request: pytest.FixtureRequest) -> Iterator[tuple[Connection, int, list[int]]]:
    build, layer, cold = hot_store()
    with filled_store(build, request.param) as db:
        yield db, layer, cold


def steps(db: Connection, read: Callable[[], Any]) -> int:
    """Return the instructions of SQLite's virtual machine that the read takes."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    read()
    driver_of(db).set_progress_handler(count, 1)
    try:
        read()
    finally:
        driver_of(db).set_progress_handler(None, 1)
    return taken


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plan(varied: Connection, case: Any) -> None:
    """A default order is a search along an index: no table is scanned and nothing is sorted."""
    with recorded_statements(varied) as statements:
        case.read(varied, case.parents, PageRequest(3))
    [(statement, parameters)] = statements
    plan = [row[3] for row in driver_of(varied).execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    scans = [line for line in plan if line.startswith("SCAN") and "keys VIRTUAL TABLE" not in line]
    assert [] == scans
    assert [] == [line for line in plan if "TEMP B-TREE" in line]


@pytest.mark.parametrize("page", [page_layer_repositories, page_layer_artifacts])
@pytest.mark.parametrize("is_backward", [False, True])
def test_hot_layer(hot: Any, page: Any, is_backward: bool) -> None:
    """A layer in 30,000 repositories costs a page what one in twenty does."""
    db, layer, cold = hot
    request = PageRequest(10, is_backward=is_backward)
    hot_steps = steps(db, lambda: page(db, EVERYTHING, [layer], request))
    cold_steps = steps(db, lambda: page(db, EVERYTHING, [cold[0]], request))
    assert abs(hot_steps - cold_steps) <= 20


def test_hot_count(hot: Any) -> None:
    """Counting them is reading a counter."""
    db, layer, cold = hot
    assert [HOT, 20] == count_layer_repositories(db, EVERYTHING, [layer, cold[0]])
    hot_steps = steps(db, lambda: count_layer_repositories(db, EVERYTHING, [layer]))
    assert abs(hot_steps - steps(db, lambda: count_layer_repositories(db, EVERYTHING, [cold[0]]))) <= 5


def test_parents(hot: Any) -> None:
    """Steps rise with the parents, and not faster; a hot one among a hundred changes nothing."""
    db, layer, cold = hot

    def taken(count: int) -> int:
        return steps(db, lambda: page_layer_repositories(db, EVERYTHING, cold[:count], PageRequest(5)))

    cost = {count: taken(count) for count in (10, 50, 100)}
    mixed = steps(db, lambda: page_layer_repositories(db, EVERYTHING, [*cold[:99], layer], PageRequest(5)))
    assert abs((cost[100] - cost[50]) / 50 - (cost[50] - cost[10]) / 40) <= 2
    assert abs(mixed - cost[100]) <= 20


def test_rebuilt_image() -> None:
    """The layers of a repository cost what they are, not what its manifests and configs are."""
    once, often = _rebuilt(1), _rebuilt(2000)
    assert often <= once + 20


def _rebuilt(builds: int) -> int:
    build = StoreBuilder()
    registry = build.registry("one.example")
    repository = build.repository(registry, "a")
    layers = [build.layer(registry) for _ in range(5)]
    for number in range(builds):
        build.artifact(repository, build.manifest(registry, layers, config=b"%d" % number))
    with filled_store(build) as db:
        return steps(db, lambda: page_repository_layers(db, EVERYTHING, [repository], PageRequest(20)))


def test_pending_page() -> None:
    """What a crawl asks for next costs what it is given, not what is left to be crawled."""
    few, many = _pending(50), _pending(2000)
    assert abs(many - few) <= 20


def _pending(repositories: int) -> int:
    build = StoreBuilder()
    registry = build.registry("one.example")
    for number in range(repositories):
        build.repository(registry, f"a{number}")
    with filled_store(build) as db:
        return steps(db, lambda: pending_repositories(db, registry, NOW, 0, 20))


def test_status_of_a_registry() -> None:
    """How well a registry is known is read from the ends of indexes, however many repositories it has."""

    def steps_of(count: int) -> int:
        build = StoreBuilder()
        registry = build.registry("one.example")
        for number in range(count):
            build.image(build.repository(registry, f"r{number:04}", crawled_at=NOW, observed_at=NOW))
        with filled_store(build) as db:
            return steps(db, lambda: load_registry_statuses(db, EVERYTHING, [registry]))

    assert abs(steps_of(1_000) - steps_of(10)) <= 20


@pytest.mark.parametrize("load", [load_neighbourhood, partial(load_surroundings, repository_keys=())])
def test_surroundings_of_an_index(load: Callable[..., Any]) -> None:
    """What is around an index is found along the index, not by a walk over its repository."""
    few, many = _around_an_index(load, 20), _around_an_index(load, 2_000)
    assert many < 1.5 * few


def _around_an_index(load: Callable[..., Any], others: int) -> int:
    build = StoreBuilder()
    registry = build.registry("one.example")
    repository = build.repository(registry, "app")
    for _ in range(others):
        build.artifact(repository, build.manifest(registry))
    children = [build.manifest(registry) for _ in range(5)]
    for child in children:
        build.artifact(repository, child)
    index = build.artifact(repository, build.manifest(registry, children=children))
    with filled_store(build) as db:
        return steps(db, lambda: load(db, EVERYTHING, artifact_keys=[index]))

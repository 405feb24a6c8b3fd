"""No page reads more than parents × (first + 1) rows of a list, whatever the list holds.

SQLite counts no rows here, and need not: where each list has just first + 1 entries there are no more to
read, and where each has ten times as many a page takes the same instructions, to the last. So it reads the
same rows.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import Connection

from graph.store.pages import PageRequest
from graph.store.sqlite import driver_of
from store_builders import ENGINES, StoreBuilder, filled_store
from store_lists import ListCase, list_cases

FIRST = 3
REGISTRIES = 2
LENGTHS = (FIRST + 1, 10 * (FIRST + 1))

# What reads all of its list, once; docs/benchmarks.md tells of each.
UNBOUNDED = re.compile(
    r"namespace\.(artifacts|layers) .*|namespace\.repositories (?!NAME).*"
    r"|layer\.repositories (CHANGED|SIZE).*|layer\.artifacts (?!FIRST_SEEN).*"
    r"|repository\.artifacts (PUSHED|SIZE).*|repository\.layers (?!FIRST_SEEN).*"
    r"|repository\.tags (FIRST_SEEN|CREATED).*|artifact\.tags (?!NAME).*"
    r"|.*\.artifacts EXCLUSIVE_BYTES.*"
)


def broad_store(length: int) -> StoreBuilder:
    """Registries with so many repositories, in a namespace that holds them all, of layers that all use."""
    build = StoreBuilder()
    for number in range(REGISTRIES):
        registry = build.registry(f"{number}.example")
        layers = [build.layer(registry, 100 + index) for index in range(length)]
        for index in range(length):
            home = "b" if index == 0 else f"b/{index}"
            build.image(build.repository(registry, f"{home}/web"), layers, size=index)
    return build


def deep_store(length: int) -> StoreBuilder:
    """Registries with one repository of so many artifacts, the first of which has as many tags."""
    build = StoreBuilder()
    for number in range(REGISTRIES):
        registry = build.registry(f"{number}.example")
        repository = build.repository(registry, "b/web")
        layers = [build.layer(registry, 100 + index) for index in range(length)]
        first, *_ = [build.image(repository, layers, size=index) for index in range(length)]
        for index in range(length):
            build.tag(repository, f"v{index}", first)
    return build


def signed_store(length: int) -> StoreBuilder:
    """Registries with one artifact that so many others refer to."""
    build = StoreBuilder()
    for number in range(REGISTRIES):
        repository = build.repository(build.registry(f"{number}.example"), "b/web")
        subject = build.image(repository)
        for _ in range(length):
            build.referrer(build.row("artifact", subject)["manifest_id"], build.image(repository))
    return build


# Which store has the list, and in which table the lists' owners are.
DEEP = re.compile(r"(repository\.(artifacts|tags)|artifact\.tags|namespace\.artifacts) .*")
TABLES = {"layer": "blob"}


def store_of(case: ListCase) -> Callable[[int], StoreBuilder]:
    if case.name == "artifact.referrers":
        return signed_store
    return deep_store if DEEP.fullmatch(case.name) else broad_store


def owners(build: StoreBuilder, case: ListCase) -> tuple[int, ...]:
    """The first owner of such a list in each registry; the search is about both registries at once."""
    owner, dot, _ = case.name.partition(".")
    if not dot:
        return (0,)
    found: dict[int, int] = {}
    for row in build.rows[TABLES.get(owner, owner)]:
        if owner != "layer" or row.get("is_layer"):
            found.setdefault(row.get("registry_id", row["id"]), row["id"])
    return tuple(found.values())


def steps(db: Connection, read: Callable[[], object]) -> int:
    """Return the instructions of SQLite's virtual machine that the read takes."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    driver_of(db).set_progress_handler(count, 1)
    try:
        read()
    finally:
        driver_of(db).set_progress_handler(None, 1)
    return taken


Stores = dict[Callable[[int], StoreBuilder], list[tuple[StoreBuilder, Connection]]]


@pytest.fixture(scope="module", params=ENGINES)
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    """Of each kind one whose lists are as short as can be, and one whose lists are long."""
    with ExitStack() as stack:

        def fill(build: StoreBuilder) -> tuple[StoreBuilder, Connection]:
            return build, stack.enter_context(filled_store(build, request.param))

        makers = (broad_store, deep_store, signed_store)
        yield {make: [fill(make(length)) for length in LENGTHS] for make in makers}


def every_list() -> list[ListCase]:
    build = broad_store(1)
    build.derive()
    return list(list_cases(build))


@pytest.mark.parametrize("is_backward", [False, True])
@pytest.mark.parametrize("case", every_list(), ids=lambda case: case.name)
def test_rows(stores: Stores, case: ListCase, is_backward: bool) -> None:
    """A page of a long list takes the instructions that one of a list with just one entry more takes."""
    opened = [(db, owners(build, case)) for build, db in stores[store_of(case)]]
    db, parents = opened[0]
    whole = PageRequest(LENGTHS[0] * (REGISTRIES if case.name == "search" else 1))
    for page in case.read(db, parents, whole):
        assert (whole.size, False) == (len(page.rows), page.has_next)

    request = PageRequest(FIRST, is_backward=is_backward)
    short, long = (
        steps(db, lambda db=db, parents=parents: case.read(db, parents, request)) for db, parents in opened
    )

    assert bool(UNBOUNDED.fullmatch(case.name)) is (short != long)

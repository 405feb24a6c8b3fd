"""What a write costs: counted in steps of SQLite's virtual machine, and read off its query plans."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection

from builders import Built, make_artifact, make_descriptor, make_image, make_index, make_layer, make_sbom
from graph.store.sqlite import driver_of
from store_writes import Writer

# Steps between two calls of the counter: few enough that one write is many of them.
STEP = 100


@pytest.fixture
def writer(db: Connection) -> Writer:
    return Writer(db)


@contextmanager
def counted(db: Connection) -> Iterator[Callable[[], int]]:
    """How many hundreds of instructions SQLite has run since."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    driver = driver_of(db)
    driver.set_progress_handler(count, STEP)
    try:
        yield lambda: steps
    finally:
        driver.set_progress_handler(None, 0)


def images(repository: str, first: int, count: int) -> list[Built]:
    """Images of one repository on a common base, each with two layers of its own."""
    base = [make_descriptor(f"{repository} base {n}") for n in range(3)]
    return [
        make_image([*base, *(make_descriptor(f"{repository} {number} {n}") for n in range(2))])
        for number in range(first, first + count)
    ]


def cost_of_look(writer: Writer, repository: str, first: int, count: int) -> int:
    """The cost of one part of a repository, content and look together."""
    part = images(repository, first, count)
    with counted(writer.db) as steps:
        writer.look(repository, {f"v{first + n}": image for n, image in enumerate(part)})
        return steps()


def test_parts_cost_the_same(writer: Writer) -> None:
    """The fortieth part of a repository costs what the third did: nothing grows with what is there."""
    costs = [cost_of_look(writer, "web", 50 * part, 50) for part in range(40)]
    assert max(costs[35:]) < 1.25 * max(costs[2:7])


def test_tags_of_one_artifact(writer: Writer) -> None:
    """The same for tags that all name one artifact."""
    (image,) = images("web", 0, 1)
    costs = []
    for part in range(20):
        with counted(writer.db) as steps:
            writer.look("web", {f"v{part}.{n}": image for n in range(50)})
            costs.append(steps())
    assert max(costs[15:]) < 1.25 * max(costs[2:7])


def test_referrers_of_one_subject(writer: Writer) -> None:
    """The same for referrers that all refer to one subject, and for children of one index."""
    (image,) = images("web", 0, 1)
    children = images("web", 1, 400)
    writer.look("web", {"latest": image, "all": make_index(children)})
    costs = []
    for part in range(20):
        referrers = [
            make_sbom(image),
            *(make_artifact(subject=image, annotations={"n": f"{part}.{n}"}) for n in range(20)),
        ]
        with counted(writer.db) as steps:
            writer.look("web", present=referrers)
            costs.append(steps())
    assert max(costs[15:]) < 1.25 * max(costs[2:7])


def test_other_repositories_cost_nothing(writer: Writer) -> None:
    """A repository costs the same in an empty registry and beside two hundred others on the same base."""
    alone = cost_of_look(writer, "first", 0, 20)
    for number in range(200):
        writer.look(f"other/{number}", {"latest": images("last", number, 1)[0]})
    among = cost_of_look(writer, "last", 1000, 20)
    assert among < 1.25 * alone


# What may be walked, by the names the statements give it: the list that came in (`k`, of each `g`), what was
# found on the way, and tables that hold only this write. Every real table has one letter, or its own name.
WALKABLE = re.compile(
    r"SCAN (k|g|below|up|down|held|change|total|more|turned|content_\w+|blob_\w+|CONSTANT|\(|\d+)( |$)"
)
# A search by nothing but the registry or the repository is a walk through all of it.
WHOLE = re.compile(r"\((registry_id|repository_id)=\?\)$")


def test_plans(writer: Writer) -> None:
    """No statement of a write walks through a table, a registry or a repository."""
    base = make_layer("base")
    one, two = make_image([base]), make_image([base, make_layer("two")])
    index = make_index([one, two])
    sbom = make_sbom(one)
    statements: set[str] = set()
    driver = driver_of(writer.db)
    driver.set_trace_callback(statements.add)
    writer.put(one, with_config=False)
    writer.put(make_index([{**two.descriptor(), "size": 1}]))
    for name in ("web", "api"):
        writer.see(name, present=[two])
        writer.look(name, {"latest": one, sbom.digest.replace(":", "-"): index}, present=[sbom, two])
        writer.look(name, {"latest": index}, absent=[one], observed=[], referrers_observed=[])
        writer.look(name, {"latest": two}, gone=["latest"], present=[one], absent=[sbom])
    driver.set_trace_callback(None)
    walks = [
        (step, statement)
        for statement in statements
        if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)", statement)
        for step in plan_of(driver, statement)
        if (step.startswith("SCAN") and not WALKABLE.match(step)) or WHOLE.search(step) or "AUTOMATIC" in step
    ]
    assert [] == walks
    assert len(statements) > 30


def plan_of(driver: sqlite3.Connection, statement: str) -> list[str]:
    return [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}")]

"""Writes that share a transaction: who shares it, and that nobody suffers for another."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from builders import make_descriptor, make_image
from graph.errors import StoreError
from graph.oci.reference import RegistryName, RepositoryName, TagName
from graph.store.changes import ArtifactChange, ConfiguredRegistry, Discovery, RepositoryChanges, TagChange
from graph.store.engine import Store, open_store
from graph.store.findings import Findings, write_findings
from graph.store.observations import set_registries
from graph.store.recount import recount
from graph.store.write_queue import MAX_WEIGHT
from store_writes import START, fetched

pytestmark = pytest.mark.anyio


class Names:
    """Writes names, and remembers which came together."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []

    def add(self, db: Connection, names: Sequence[str]) -> list[str]:
        self.groups.append(list(names))
        for name in names:
            db.execute(text("INSERT INTO media_type (name) VALUES (:name)"), {"name": name})
        if "bad" in names:
            raise LookupError("bad")
        return [name.upper() for name in names]


def read_names(db: Connection) -> list[str]:
    return list(db.execute(text("SELECT name FROM media_type ORDER BY id")).scalars())


@asynccontextmanager
async def busy(store: Store) -> AsyncIterator[None]:
    """Keep the writer busy until the end of the block, so that what is asked for meanwhile waits."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        begun.set()
        go_on.wait()

    holding = asyncio.create_task(store.write(hold))
    while not begun.is_set():
        await asyncio.sleep(0)
    try:
        yield
    finally:
        go_on.set()
        await holding


async def test_those_who_wait_share(store: Store) -> None:
    """Whoever waits for the writer goes in one transaction, in order, and gets a result of its own."""
    names = Names()
    add = names.add
    async with busy(store):
        tasks = [asyncio.create_task(store.write_together(add, item)) for item in "abc"]
        await asyncio.sleep(0)
    assert ["A", "B", "C"] == await asyncio.gather(*tasks)
    assert [["a", "b", "c"]] == names.groups
    assert ["a", "b", "c"] == await store.write(read_names)


async def test_one_fails_alone(store: Store) -> None:
    """A write that fails is undone by itself: the others of its transaction are written."""
    names = Names()
    add = names.add
    async with busy(store):
        tasks = [asyncio.create_task(store.write_together(add, item)) for item in ("a", "bad", "c")]
        await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert ["A", "C"] == [results[0], results[2]]
    assert isinstance(results[1], LookupError)
    assert [["a", "bad", "c"], ["a"], ["bad"], ["c"]] == names.groups
    assert ["a", "c"] == await store.write(read_names)


async def test_weight_is_bounded(store: Store) -> None:
    """No more weight than the bound goes in one transaction; what is heavier goes alone."""
    names = Names()
    add = names.add
    weights = [MAX_WEIGHT // 2, MAX_WEIGHT // 2, 1, MAX_WEIGHT + 1, 1]
    async with busy(store):
        tasks = [
            asyncio.create_task(store.write_together(add, item, weight=weight))
            for item, weight in zip("abcde", weights, strict=True)
        ]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert [["a", "b"], ["c"], ["d"], ["e"]] == names.groups


async def test_order_is_kept(store: Store) -> None:
    """A write between two others runs between them: it is never overtaken by those that would share."""
    names = Names()
    add = names.add
    async with busy(store):
        first = asyncio.create_task(store.write_together(add, "a"))
        await asyncio.sleep(0)
        between = asyncio.create_task(store.write(read_names))
        await asyncio.sleep(0)
        last = asyncio.create_task(store.write_together(add, "b"))
        await asyncio.sleep(0)
    await asyncio.gather(first, last)
    assert ["a"] == await between
    assert [["a"], ["b"]] == names.groups


async def test_cancelled_while_it_waits(store: Store) -> None:
    """A write that is cancelled before it began is not written, those beside it are."""
    names = Names()
    add = names.add
    async with busy(store):
        tasks = [asyncio.create_task(store.write_together(add, item)) for item in "abc"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert ["A", "C"] == [results[0], results[2]]
    assert ["a", "c"] == await store.write(read_names)


async def test_told_at_once(store: Store) -> None:
    """Those who shared a transaction have their results in one turn of the loop: it is woken once for all."""
    names = Names()
    add = names.add
    async with busy(store):
        tasks = [asyncio.create_task(store.write_together(add, item)) for item in "abc"]
        await asyncio.sleep(0)
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert set(tasks) == done


async def test_closed_while_it_waits() -> None:
    """Writes that wait when the store is closed are told so, and not done."""
    store = open_store(":memory:")
    names = Names()
    begun, go_on = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        begun.set()
        go_on.wait()

    holding = asyncio.create_task(store.write(hold))
    while not begun.is_set():
        await asyncio.sleep(0)
    tasks = [asyncio.create_task(store.write_together(names.add, "a"))]
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(store.close))
    while not any(task.done() for task in tasks):  # one is refused: the store is closed by now
        tasks.append(asyncio.create_task(store.write_together(names.add, "b")))
        await asyncio.sleep(0)
    go_on.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(holding, closing)
    assert {StoreError} == set(map(type, results))
    assert [] == names.groups


def test_loop_that_ends() -> None:
    """A write whose loop ends before the thread has it keeps no write of the next loop waiting."""
    store = open_store(":memory:")
    names = Names()

    async def give_up() -> None:
        asyncio.get_running_loop().stop()
        await store.write_together(names.add, "a")

    loop = asyncio.new_event_loop()
    abandoned = loop.create_task(give_up())
    loop.run_forever()
    abandoned.cancel()
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(abandoned)
    loop.close()
    try:
        assert "B" == asyncio.run(store.write_together(names.add, "b"))
        assert "b" in asyncio.run(store.write(read_names))
    finally:
        store.close()


def find(registry_id: int, name: str, seed: str, *, day: int = 0) -> Findings:
    """A look that found one image under one tag, on a base that all of them share."""
    new = fetched(make_image([make_descriptor("base", 500), make_descriptor(seed)]))
    digest = new.manifest.digest
    changes = RepositoryChanges(
        START + timedelta(days=day),
        tags=[TagChange(TagName("latest"), digest)],
        present=[ArtifactChange(digest, Discovery.TAG)],
        is_tag_list_complete=True,
    )
    return Findings(registry_id, RepositoryName(name), changes, [new])


def register(db: Connection, *names: str) -> list[int]:
    return set_registries(
        db, [ConfiguredRegistry(RegistryName(name), f"http://{name}", "oci") for name in names], START
    )


def dump(db: Connection) -> dict[str, list[Any]]:
    """What is stored, by names and digests."""
    statements = {
        "repository": "SELECT name, tag_count, artifact_count, stored_bytes, first_seen_at, observed_at "
        "FROM repository ORDER BY name",
        "blob": "SELECT registry_id, digest, artifact_count, repository_count, live_repository_count, "
        "saved_bytes FROM blob ORDER BY registry_id, digest",
        "manifest": "SELECT b.digest, m.first_seen_at FROM manifest AS m JOIN blob AS b ON b.id = m.blob_id "
        "ORDER BY b.registry_id, b.digest",
    }
    return {table: [tuple(row) for row in db.execute(text(sql))] for table, sql in statements.items()}


def write_all(groups: Callable[[list[Findings]], list[list[Findings]]]) -> dict[str, list[Any]]:
    """Write the same findings, in groups; return what is stored then."""
    store = open_store(":memory:")
    try:
        with store.transaction() as db:
            one, two = register(db, "one.example", "two.example")
            found = [
                find(one, "web", "a"),
                find(one, "team/api", "b", day=1),
                find(two, "web", "a", day=2),
                find(one, "other", "a", day=3),
                find(one, "web", "c", day=4),
                find(one, "late", "c", day=5),
            ]
            keys = [key for group in groups(found) for key in write_findings(db, group)]
            assert keys[0] == keys[4]
            assert 5 == len(set(keys))
            assert [] == recount(db)
            return dump(db)
    finally:
        store.close()


def test_together_or_apart() -> None:
    """Looks written together leave what they leave one by one: other registries and second looks too."""
    apart = write_all(lambda found: [[each] for each in found])
    assert apart == write_all(lambda found: [found])
    assert apart == write_all(lambda found: [found[:3], found[3:]])


def count_statements(db: Connection, registry_id: int, prefix: str, looks: int) -> int:
    """The statements of a write of so many looks; rows of one kind count as one."""
    db.info["statements"] = []
    write_findings(db, [find(registry_id, f"{prefix}-{n}", f"{prefix}-{n}") for n in range(looks)])
    return len(db.info.pop("statements"))


def test_statements_do_not_grow(db: Connection) -> None:
    """Forty looks are written with the statements of one."""
    (registry_id,) = register(db, "one.example")
    count_statements(db, registry_id, "first", 1)  # the first of all has media types to make
    one = count_statements(db, registry_id, "second", 1)
    assert one > 20
    assert one == count_statements(db, registry_id, "third", 40)


async def test_a_look_that_fails(store: Store) -> None:
    """A look that cannot be written down takes no other with it, and leaves nothing of itself."""
    (registry_id,) = await store.write(register, "one.example")
    nowhere = registry_id + 1
    async with busy(store):
        tasks = [
            asyncio.create_task(store.write_together(write_findings, each))
            for each in (
                find(registry_id, "web", "a"),
                find(nowhere, "web", "a"),
                find(registry_id, "api", "b"),
            )
        ]
        await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [int, StoreError, int] == list(map(type, results))
    stored = await store.write(dump)
    assert [("api", 1), ("web", 1)] == [row[:2] for row in stored["repository"]]
    assert [] == await store.write(recount)

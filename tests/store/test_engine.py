"""Who writes, who reads, in which transaction, and for how long."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import Connection, text

from graph.errors import StoreBusyError, StoreError, TimeLimitError
from graph.store.engine import MAX_SNAPSHOTS, Snapshot, Store, open_store

pytestmark = pytest.mark.anyio

ENDLESS = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT COUNT(*) FROM c"


def add_name(db: Connection, name: str) -> None:
    db.execute(text("INSERT INTO media_type (name) VALUES (:name)"), {"name": name})


def read_names(db: Connection) -> list[str]:
    return list(db.execute(text("SELECT name FROM media_type ORDER BY id")).scalars())


def run_endlessly(db: Connection, begun: Callable[[], None] = lambda: None) -> None:
    begun()
    db.execute(text(ENDLESS))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_write_commits(store: Store) -> None:
    """What a write did is there for the next read, and the write returns what its function returned."""
    await store.write(add_name, "a")
    async with store.snapshot() as snapshot:
        assert ["a"] == await snapshot.read(read_names)
    assert ["a"] == await store.write(read_names)


async def test_write_rolls_back(store: Store) -> None:
    """A write that raises leaves nothing behind, and raises the same to its caller."""

    def fail(db: Connection) -> None:
        add_name(db, "a")
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await store.write(fail)
    assert [] == await store.write(read_names)


async def test_writes_in_order(store: Store) -> None:
    """Writes asked for at once run one after the other, in the order they were asked for."""
    names = [f"{number:03}" for number in range(50)]
    await asyncio.gather(*(store.write(add_name, name) for name in names))
    assert names == await store.write(read_names)


async def test_snapshot_stays(store: Store) -> None:
    """A snapshot does not change while it is read, until it is renewed."""
    await store.write(add_name, "a")
    async with store.snapshot() as snapshot:
        assert ["a"] == await snapshot.read(read_names)
        await store.write(add_name, "b")
        assert ["a"] == await snapshot.read(read_names)
        await snapshot.renew()
        assert ["a", "b"] == await snapshot.read(read_names)


async def test_readers_never_wait(store: Store) -> None:
    """While a write is in the middle of its transaction, a new snapshot is read at once."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(db: Connection) -> None:
        add_name(db, "a")
        begun.set()
        go_on.wait()

    write = asyncio.create_task(store.write(hold))
    await until(begun.is_set)
    async with store.snapshot() as snapshot:
        assert [] == await snapshot.read(read_names)
    go_on.set()
    await write


async def test_snapshot_cannot_write(store: Store) -> None:
    """A read that would write is refused by the engine."""
    async with store.snapshot() as snapshot:
        with pytest.raises(StoreError):
            await snapshot.read(add_name, "a")
        assert [] == await snapshot.read(read_names)


async def test_statements(store: Store) -> None:
    """A snapshot tells each statement it sent, in order, without those that begin and end transactions."""
    async with store.snapshot() as snapshot:
        await snapshot.read(read_names)
        await snapshot.renew()
        await snapshot.read(lambda db: db.execute(text("SELECT 1")).scalar())
        assert ["SELECT name FROM media_type ORDER BY id", "SELECT 1"] == snapshot.statements


async def test_reads_take_turns(store: Store) -> None:
    """Reads of one snapshot asked for at once never run at the same time."""
    running: list[int] = []

    def read(db: Connection, number: int) -> int:
        running.append(number)
        db.execute(text("SELECT 1"))
        assert [number] == running
        running.remove(number)
        return number

    async with store.snapshot() as snapshot:
        assert list(range(20)) == await asyncio.gather(*(snapshot.read(read, n) for n in range(20)))


class Clock:
    """A clock that moves by a second each time it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def clocked() -> Iterator[Store]:
    store = open_store(":memory:", monotonic=Clock())
    yield store
    store.close()


async def test_deadline_stops_a_statement(clocked: Store) -> None:
    """A statement that would run for ever is interrupted at the deadline."""
    async with clocked.snapshot(deadline=100.0) as snapshot:
        with pytest.raises(TimeLimitError):
            await snapshot.read(run_endlessly)


async def test_deadline_stops_a_read(clocked: Store) -> None:
    """After the deadline nothing is read any more."""
    async with clocked.snapshot(deadline=0.5) as snapshot:
        with pytest.raises(TimeLimitError):
            await snapshot.read(read_names)
        assert [] == snapshot.statements


async def test_deadline_of_one_only(clocked: Store) -> None:
    """The deadline of a snapshot ends with it: whoever gets its connection next is not stopped."""
    async with clocked.snapshot(deadline=20.0) as snapshot:
        with pytest.raises(TimeLimitError):
            await snapshot.read(run_endlessly)
    async with clocked.snapshot() as snapshot:
        assert 200_000 == await snapshot.read(
            lambda db: db.execute(text(f"{ENDLESS.replace('FROM c)', 'FROM c LIMIT 200000)')}")).scalar()
        )


async def cancel_in_the_middle(snapshot: Snapshot) -> None:
    begun = threading.Event()
    read = asyncio.create_task(snapshot.read(run_endlessly, begun.set))
    await until(begun.is_set)
    read.cancel()
    with pytest.raises(asyncio.CancelledError):
        await read


async def test_cancelled_reads_leak_nothing(store: Store) -> None:
    """However many reads are cancelled in the middle of a statement, the next one gets a connection."""
    for _ in range(2 * MAX_SNAPSHOTS):
        async with store.snapshot() as snapshot:
            await cancel_in_the_middle(snapshot)
    async with store.snapshot() as snapshot:
        assert [] == await snapshot.read(read_names)
    await until(lambda: in_use(store) == 0)


def in_use(store: Store) -> int:
    pool: Any = store._readers.pool
    return int(pool.checkedout())


async def test_cancelled_read_lets_go_first(store: Store) -> None:
    """After a cancelled read the same snapshot is read again only when the thread has let go of it."""
    async with store.snapshot() as snapshot:
        await cancel_in_the_middle(snapshot)
        assert [] == await snapshot.read(read_names)


async def test_cancelled_before_it_began(store: Store) -> None:
    """A read that still waits for a thread is taken back."""
    begun, go_on = threading.Semaphore(0), threading.Event()

    def hold(db: Connection) -> None:
        begun.release()
        go_on.wait()

    async def occupy() -> None:
        async with store.snapshot() as snapshot:
            await snapshot.read(hold)

    holders = [asyncio.create_task(occupy()) for _ in range(4)]
    for _ in holders:
        await until(lambda: begun.acquire(blocking=False))
    ran: list[bool] = []
    async with store.snapshot() as snapshot:
        waiting = asyncio.create_task(snapshot.read(lambda db: ran.append(True)))
        await until(lambda: snapshot._job is not None)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    go_on.set()
    await asyncio.gather(*holders)
    assert [] == ran
    assert 0 == in_use(store)


async def test_more_snapshots_than_seats(store: Store) -> None:
    """Snapshots beyond the limit wait for their turn, and each gets it."""

    async def read() -> list[str]:
        async with store.snapshot() as snapshot:
            await snapshot.read(read_names)
            return await snapshot.read(read_names)

    answers = await asyncio.gather(*(read() for _ in range(5 * MAX_SNAPSHOTS)))
    assert [[]] * (5 * MAX_SNAPSHOTS) == answers
    assert 0 == in_use(store)


async def test_snapshot_without_a_read_takes_no_seat(store: Store) -> None:
    """A snapshot that has not read yet, or was renewed, keeps nobody waiting."""
    idle = [store.snapshot() for _ in range(2 * MAX_SNAPSHOTS)]
    opened = [await manager.__aenter__() for manager in idle]
    for snapshot in opened:
        await snapshot.read(read_names)
        await snapshot.renew()
    async with store.snapshot() as snapshot:
        assert [] == await snapshot.read(read_names)
    for manager in idle:
        await manager.__aexit__(None, None, None)


async def test_away_from_the_store_takes_no_seat(store: Store) -> None:
    """Who waits for something else keeps nobody waiting, and may read meanwhile what was written since."""
    waiting = [store.snapshot() for _ in range(2 * MAX_SNAPSHOTS)]
    opened = [await manager.__aenter__() for manager in waiting]
    async with AsyncExitStack() as stack:
        for snapshot in opened:
            assert [] == await snapshot.read(read_names)
            await stack.enter_async_context(snapshot.away())
        await store.write(add_name, "a")
        for snapshot in opened:
            assert ["a"] == await snapshot.read(read_names)
    assert 0 == in_use(store)
    assert ["a"] == await opened[0].read(read_names)
    await store.write(add_name, "b")
    assert ["a"] == await opened[0].read(read_names)
    for manager in waiting:
        await manager.__aexit__(None, None, None)


async def test_read_at_the_end_of_being_away(store: Store) -> None:
    """Whoever comes back sees what was written meanwhile, even if an older read is not over yet."""
    begun, go_on = threading.Event(), threading.Event()

    def read_slowly(db: Connection) -> list[str]:
        names = read_names(db)
        begun.set()
        go_on.wait()
        return names

    async with store.snapshot() as snapshot:
        async with snapshot.away():
            reading = asyncio.create_task(snapshot.read(read_slowly))
            await until(begun.is_set)
            await store.write(add_name, "a")
            asyncio.get_running_loop().call_soon(go_on.set)
        assert ["a"] == await snapshot.read(read_names)
        assert [] == await reading
    assert 0 == in_use(store)


async def test_cancelled_write_commits(store: Store) -> None:
    """A write that has begun is carried through, whoever stops waiting for it."""
    begun, go_on = threading.Event(), threading.Event()

    def write(db: Connection) -> None:
        begun.set()
        go_on.wait()
        add_name(db, "a")

    task = asyncio.create_task(store.write(write))
    await until(begun.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    assert ["a"] == await store.write(read_names)


async def test_closed_snapshot(store: Store) -> None:
    """A snapshot is not read after its end."""
    async with store.snapshot() as snapshot:
        pass
    with pytest.raises(StoreError, match="closed"):
        await snapshot.read(read_names)
    assert 0 == in_use(store)


async def test_closed_store(tmp_path: Path) -> None:
    """A closed store refuses to read and write."""
    store = open_store(str(tmp_path / "store.sqlite3"))
    store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.write(read_names)
    async with store.snapshot() as snapshot:
        with pytest.raises(StoreError, match="closed"):
            await snapshot.read(read_names)


def test_busy(tmp_path: Path) -> None:
    """A store that another process keeps locked is busy, which may be tried again."""
    path = str(tmp_path / "store.sqlite3")
    mine, other = open_store(path), open_store(path)
    with mine.transaction() as db:
        db.execute(text("PRAGMA busy_timeout = 0"))
    with other.transaction() as db:
        add_name(db, "a")
        with pytest.raises(StoreBusyError) as raised, mine.transaction():
            pass
    assert raised.value.retryable
    with mine.transaction() as db:
        assert ["a"] == read_names(db)
    mine.close()
    other.close()


def test_memory_is_gone() -> None:
    """A store in memory leaves no file behind."""
    store = open_store(":memory:")
    assert store._directory is not None
    directory = Path(store._directory.name)
    assert directory.is_dir()
    store.close()
    assert not directory.exists()


def test_file_stays(tmp_path: Path) -> None:
    """What a store in a file holds is there when it is opened again, by path or by URL."""
    path = tmp_path / "a store %20.sqlite3"
    store = open_store(str(path))
    with store.transaction() as db:
        add_name(db, "a")
    store.close()
    store = open_store(f"sqlite:///{quote(str(path))}")
    with store.transaction() as db:
        assert ["a"] == read_names(db)
    store.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("{tmp}/missing/store.sqlite3", "there is no directory"),
        ("mysql://host/store", "a store cannot be kept in mysql"),
        ("://", "neither a path nor a URL"),
        ("{tmp}/text", "not a database"),
        ("{tmp}", "unable to open"),
    ],
)
def test_unusable(tmp_path: Path, url: str, reason: str) -> None:
    """A store that cannot be opened says why."""
    (tmp_path / "text").write_text("this is no store, whatever its name is" * 100)
    with pytest.raises(StoreError, match=reason):
        open_store(url.format(tmp=tmp_path))

"""Open the store and run functions on it: one writer, many readers, each in a worker thread.

Rules of this file: it decides in which thread and which transaction a function of the store runs, and for
how long; it knows no table. What is peculiar to an engine is in `sqlite.py`. A connection is used by one
thread at a time and goes back only when no thread uses it, whatever is cancelled: a cancelled read is
interrupted, its connection returns when its thread has let go.
"""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from graph.errors import InputError, StoreError, TimeLimitError
from graph.places import hide_userinfo
from graph.settings import STORE_ENGINES
from graph.store import sqlite
from graph.store.migrations import check, migrate, refuse_foreign
from graph.store.threads import done, finished, submit, tell
from graph.store.write_queue import MAX_WEIGHT, WriteQueue

P = ParamSpec("P")
A = TypeVar("A")
T = TypeVar("T")

# Snapshots that may hold a transaction at once; more wait. Each may keep 2 MiB of pages
# (sqlite.READER_CACHE).
MAX_SNAPSHOTS = 16

# Threads that read. SQLite lets go of the interpreter while it works, rows are built holding it: more
# threads than this only take turns.
READ_THREADS = 4


def open_store(url: str, *, monotonic: Callable[[], float] = time.monotonic) -> "Store":
    """Open the store, create it where there is none, and bring its tables up to date.

    `url` is a path, `sqlite:///path`, or `:memory:` for one that is gone when it is closed. Deadlines are
    compared with `monotonic`, in seconds.

    Raises StoreOutdatedError if a newer version of this program wrote it, StoreError if somebody else did:
    what is no store of ours stays as it is.
    """
    directory = None
    path = _path_of(url)
    with _translated(name_of(url)):
        if path is None:
            # A file, not SQLite's own in-memory kind: that one has no write-ahead log, so readers and the
            # writer would behave otherwise than they do for real.
            directory = tempfile.TemporaryDirectory(prefix="ocigraph-")
            path = Path(directory.name) / "store.sqlite3"
        elif not path.parent.is_dir():
            raise StoreError(f"it cannot be opened: there is no directory {hide_userinfo(str(path.parent))}")
        refuse_foreign(sqlite.read_schema(path))
    store = Store(
        sqlite.create_writer(path, is_private=directory is not None),
        sqlite.create_readers(path, MAX_SNAPSHOTS),
        monotonic,
        directory,
        name=name_of(url),
    )
    try:
        with store.transaction() as db:
            migrate(db)
    except BaseException:
        store.close()
        raise
    return store


def view_store(url: str) -> "Store":
    """Open a store that exists, to read it only; neither it nor its directory need be writable.

    Raises InputError if there is no store, StoreOutdatedError if a newer version of this program wrote it,
    StoreError if an older one did or somebody else.
    """
    path = _find(url)
    with _translated(name_of(url)):
        # What would write gets connections that refuse to.
        engines = sqlite.create_viewers(path, 1), sqlite.create_viewers(path, MAX_SNAPSHOTS)
        refuse_foreign(sqlite.read_schema(path))
    store = Store(*engines, time.monotonic, None, name=name_of(url))
    try:
        with store.transaction() as db:
            check(db)
    except BaseException:
        store.close()
        raise
    return store


@contextmanager
def inspect_store(url: str) -> Iterator[Connection]:
    """Give one view of a store that exists, in the calling thread; no writer waits for it.

    Nothing is written: a store that is not up to date is refused. Raises what `view_store` raises.
    """
    store = view_store(url)
    try:
        with store.transaction() as db:
            yield db
    finally:
        store.close()


def _find(url: str) -> Path:
    path = _path_of(url)
    with _translated(name_of(url)):
        is_there = path is not None and path.is_file()
    if path is None or not is_there:
        raise InputError(f"there is no store at {name_of(url)}; make one with `ocigraph sync URL`")
    return path


def name_of(url: str) -> str:
    """What a store is called where it is told of one: its path. Raises StoreError for what is no address."""
    return hide_userinfo(str(_path_of(url) or ":memory:"))


def _path_of(url: str) -> Path | None:
    if url == ":memory:":
        return None
    if "://" not in url:
        return Path(url)
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError("the address of the store is neither a path nor a URL") from error
    if parsed.get_backend_name() not in STORE_ENGINES:
        raise StoreError(f"a store cannot be kept in {parsed.get_backend_name()}; sqlite is supported")
    return None if parsed.database in (None, "", ":memory:") else Path(parsed.database or "")


class Store:
    """What is known. Made by `open_store`; closed by its owner, once nothing uses it any more."""

    def __init__(
        self,
        writer: Engine,
        readers: Engine,
        monotonic: Callable[[], float],
        directory: "tempfile.TemporaryDirectory[str] | None",
        *,
        name: str,
    ) -> None:
        """`name` is what its errors call it."""
        self._name = name
        self._writer = writer
        self._readers = readers
        self._monotonic = monotonic
        self._directory = directory
        self._writes = WriteQueue(self.transaction)
        self._read_threads = ThreadPoolExecutor(READ_THREADS, "ocigraph-read")
        self._seats = asyncio.Semaphore(MAX_SNAPSHOTS)
        event.listen(readers, "before_cursor_execute", _record_statement)

    def close(self) -> None:
        """Wait for the functions that run, then close every connection; what was not begun is dropped."""
        self._writes.close()
        self._read_threads.shutdown(cancel_futures=True)
        self._readers.dispose()
        self._writer.dispose()
        if self._directory is not None:
            self._directory.cleanup()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Hold the one write transaction in the calling thread, for programs that have no event loop."""
        with _translated(self._name), self._writer.begin() as db:
            yield db

    async def write(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run the function in the one write transaction, in the writer's thread; return what it returns.

        Writes run in the order they were asked for. When the caller is cancelled, a write that has begun
        still commits: it is an observation made, and nobody waits for it.

        Raises StoreBusyError if another process holds the store for too long.
        """

        def run(db: Connection, _: Sequence[None]) -> Sequence[T]:
            return [function(db, *args, **kwargs)]

        return await self._writes.write(run, None, MAX_WEIGHT)

    async def write_together(
        self, function: Callable[[Connection, Sequence[A]], Sequence[T]], item: A, *, weight: int = 1
    ) -> T:
        """Run the function in the write transaction, once for the items of all who wait; return this one's.

        It takes the items in the order they were asked for and gives a result for each. `weight` says how
        much an item is to write: items of MAX_WEIGHT together (write_queue.py) share a transaction. If that
        fails, nothing of it is written and each item is done again alone, so that none suffers for another:
        the function must have no effect but on the store.

        Raises StoreBusyError if another process holds the store for too long.
        """
        return await self._writes.write(function, item, weight)

    @asynccontextmanager
    async def snapshot(self, *, deadline: float | None = None) -> "AsyncIterator[Snapshot]":
        """Give a view of the store that does not change while it is read.

        `deadline` is on the clock the store was opened with; reads raise TimeLimitError from then on.
        """
        snapshot = Snapshot(
            self._name, self._readers, self._read_threads, self._seats, self._monotonic, deadline
        )
        try:
            yield snapshot
        finally:
            snapshot._close()


class Snapshot:
    """One read transaction, begun by the first read. Made by `Store.snapshot`."""

    def __init__(
        self,
        store: str,
        readers: Engine,
        threads: ThreadPoolExecutor,
        seats: asyncio.Semaphore,
        monotonic: Callable[[], float],
        deadline: float | None,
    ) -> None:
        self.statements: list[str] = []  # every SQL statement sent, in order
        self._store = store
        self._readers = readers
        self._threads = threads
        self._seats = seats
        self._monotonic = monotonic
        self._deadline = deadline
        self._turn = asyncio.Lock()
        self._job: Future[Any] | None = None
        self._db: Connection | None = None
        self._has_seat = False
        self._away = 0  # those who wait for something else than the store
        self._is_given_up = False  # nobody waits for the job that runs
        self._is_closed = False

    async def read(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run the function on the snapshot's connection in a reader's thread; return what it returns.

        Calls run one after the other. Raises TimeLimitError at the deadline, in the middle of a statement
        too.
        """

        def run() -> T:
            with _translated(self._store):
                self._check_deadline()
                return function(self._begin(), *args, **kwargs)

        async with self._turn:
            await self._settle()
            await self._take_seat()
            self._job = submit(self._threads, run)
            try:
                return await finished(self._job)
            except asyncio.CancelledError:
                self._is_given_up = True
                raise
            finally:
                if self._away and not self._is_given_up:
                    self._release()

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Hold no transaction but in the middle of a read, until the end of the block.

        For a reader who waits for something else than the store: those who wait for a seat must not wait for
        that too. Each read meanwhile, and the first one after, sees what has been written since.
        """
        self._away += 1
        try:
            await self.renew()
            yield
            await self.renew()  # a read that is under way began before
        finally:
            self._away -= 1

    async def renew(self) -> None:
        """End the read transaction: the next read sees what has been written since."""
        async with self._turn:
            await self._settle()
            self._release()

    def _begin(self) -> Connection:
        if self._db is None:
            self._db = self._readers.connect()
            self._db.info["statements"] = self.statements
            self._db.begin()
            sqlite.set_interrupt(self._db, self._is_over)
        return self._db

    def _is_over(self) -> bool:
        return self._is_given_up or (self._deadline is not None and self._monotonic() >= self._deadline)

    def _check_deadline(self) -> None:
        if self._is_over():
            raise TimeLimitError("the request took longer than allowed and was stopped")

    async def _settle(self) -> None:
        """Wait for a job whose caller was cancelled."""
        if self._is_closed:
            raise StoreError("the snapshot is closed")
        if self._job is not None and not self._job.done():
            await done(self._job)
        self._job = None
        self._is_given_up = False

    async def _take_seat(self) -> None:
        if self._has_seat:
            return
        self._check_deadline()
        remaining = None if self._deadline is None else self._deadline - self._monotonic()
        try:
            async with asyncio.timeout(remaining):
                await self._seats.acquire()
        except TimeoutError as error:
            raise TimeLimitError("the request waited for the store longer than allowed") from error
        if self._is_closed:  # while we waited
            self._seats.release()
            raise StoreError("the snapshot is closed")
        self._has_seat = True

    def _release(self) -> None:
        try:
            self._return_connection()
        finally:
            self._return_seat()

    def _return_connection(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.info.pop("statements", None)
            sqlite.set_interrupt(db, None)
            db.close()

    def _return_seat(self) -> None:
        if self._has_seat:
            self._has_seat = False
            self._seats.release()

    def _close(self) -> None:
        self._is_closed = True
        if self._job is None or self._job.done() or self._job.cancel():
            self._release()
            return
        self._is_given_up = True
        loop = asyncio.get_running_loop()
        # The thread gives its connection back as soon as it lets go, even if the loop has ended by then.
        self._job.add_done_callback(lambda _: self._return_connection())
        self._job.add_done_callback(lambda _: tell(loop, self._return_seat))


@contextmanager
def _translated(store: str) -> Iterator[None]:
    """The one seam where the driver's exceptions become ours, which know of which store they are."""
    try:
        yield
    except StoreError as error:
        error.store = store
        raise
    except PermissionError as error:
        denied = StoreError("it cannot be opened: its directory may not be entered")
        denied.store = store
        raise denied from error
    except (DBAPIError, sqlite3.Error) as error:
        translated = sqlite.translate_error(error)
        if isinstance(translated, StoreError):
            translated.store = store
        raise translated from error


def _record_statement(db: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    statements = db.info.get("statements")
    if statements is not None:
        statements.append(statement)

"""SQLite: how its connections are opened, how its transactions begin, and what its errors mean.

Rules of this file: it knows the driver and the engine's settings, and no table. Every PRAGMA stands with its
reason. Every error of the driver leaves the store through `translate_error`.
"""

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from graph.errors import GraphError, StoreBusyError, StoreError, TimeLimitError

# How long a writer waits for another process's transaction, in milliseconds. Ours end well within a second;
# five leave room for a slow disk, and an asker of the API still has half of its ten seconds.
BUSY_TIMEOUT = 5_000

# Instructions of SQLite's virtual machine between two looks at the deadline: about 0.1 ms of work, so that a
# statement stops in time and the call into Python costs it nothing that can be measured.
INSTRUCTIONS_PER_CHECK = 10_000

# KiB of pages each reader keeps. Small on purpose: the operating system caches the file once for all of them.
READER_CACHE = 2_048
# KiB for the writer, whose inserts go to random leaves of the digest and sharing indexes.
WRITER_CACHE = 32_768

# Pages of 4 KiB in the log before they go into the file. Every image touches random leaves of the digest
# index, and a leaf that is written four times as often before it is copied is copied a quarter as often: a
# quarter more images a second than with SQLite's 1,000, and no more with 16,000.
CHECKPOINT = 4_000

# Bytes the write-ahead log may keep on disk after a checkpoint; a long reader can make it grow beyond.
LOG_SIZE = 64 * 1024 * 1024

_SHARED = (
    f"busy_timeout = {BUSY_TIMEOUT}",
    # Sorts and temporary tables stay off the disk; each is bounded by one page or one repository.
    "temp_store = MEMORY",
)
_WRITER = (
    *_SHARED,
    # Readers never wait for the writer nor the writer for them. Kept in the file; repeating it is free.
    "journal_mode = WAL",
    # A power cut may lose the last commits, never the file; what is lost is observed again.
    "synchronous = NORMAL",
    f"journal_size_limit = {LOG_SIZE}",
    f"cache_size = -{WRITER_CACHE}",
    # A row that points to nothing is a bug of ours, and fails. It costs a crawl 8 % of its writes.
    "foreign_keys = ON",
    f"wal_autocheckpoint = {CHECKPOINT}",
)
_READER = (
    *_SHARED,
    f"cache_size = -{READER_CACHE}",
    # A read that would write is a bug, and fails.
    "query_only = ON",
)


def create_writer(path: Path, *, is_private: bool = False) -> Engine:
    """Return an engine of one connection, whose transactions take the write lock when they begin.

    A deferred transaction that reads first and writes later fails when another process wrote in between,
    and no busy timeout helps: hence IMMEDIATE. `is_private` for a file that is thrown away: it is never
    synced.
    """
    pragmas = (*_WRITER, "synchronous = OFF") if is_private else _WRITER
    return _create(path, pragmas, "BEGIN IMMEDIATE", 1)


def create_readers(path: Path, size: int) -> Engine:
    """Return an engine of up to `size` connections that cannot write."""
    return _create(path, _READER, "BEGIN", size)


def create_viewers(path: Path, size: int) -> Engine:
    """Return an engine of up to `size` connections to a store that is there, and may be on a disk that is not
    to be written to.

    Raises StoreError where its log can be read by who may write there only.
    """
    path, mode = path.resolve(), "rw"  # the log is beside what a link names, not beside the link
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        # Beside a store that somebody has open there is an index of its log, which can be read. Where there
        # is none SQLite would make one, which its owner may then not write to; only what cannot change can
        # do without (sqlite.org, wal.html).
        mode = "ro" if os.path.exists(_beside(path, "-shm")) else "immutable"
        if mode == "immutable" and _size_of(_beside(path, "-wal")):
            raise StoreError(
                f"{_beside(path, '-wal')} has changes of the store that only who may write there can read"
            )
    return _create(path, _READER, "BEGIN", size, mode=mode)


def read_schema(path: Path) -> set[str]:
    """The names of the tables in the file, which stays as it is; none where there is no file or an empty one.

    Raises sqlite3.Error for a file that is no database.
    """
    path = path.resolve()
    if not _size_of(path):
        return set()
    # Opened in the usual way, the log of a database that somebody else made would be put into it in passing.
    # One that was being written when its process died is put in order first, as by whoever opens it.
    mode = "rw" if _size_of(_beside(path, "-journal")) else "immutable"
    if _size_of(_beside(path, "-wal")):
        mode = "ro"
    with closing(sqlite3.connect(_uri_of(path, mode), uri=True)) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size_of(path: Path) -> int:
    # Asked once: whoever closes a store last takes its log away.
    try:
        facts = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return facts.st_size if stat.S_ISREG(facts.st_mode) else 0


def _uri_of(path: Path, mode: str) -> str:
    query = "immutable=1" if mode == "immutable" else f"mode={mode}"
    return f"{path.absolute().as_uri()}?{query}"


def _create(path: Path, pragmas: tuple[str, ...], begin: str, size: int, *, mode: str = "rwc") -> Engine:
    address = _uri_of(path, mode)

    def connect() -> sqlite3.Connection:
        # isolation_level None: the driver begins nothing by itself. check_same_thread off: a connection
        # goes from thread to thread, one at a time; the engine that hands it out sees to that.
        return sqlite3.connect(
            address, uri=True, isolation_level=None, check_same_thread=False, cached_statements=512
        )

    engine = create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, pool_size=size, max_overflow=0, pool_use_lifo=True
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: Any) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin_transaction(db: Connection) -> None:
        driver_of(db).execute(begin)

    return engine


def driver_of(db: Connection) -> sqlite3.Connection:
    """Return the driver's own connection."""
    driver = db.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def set_interrupt(db: Connection, is_over: Callable[[], bool] | None) -> None:
    """Have running statements stop soon after `is_over` turns true; None takes the check away."""
    driver_of(db).set_progress_handler(is_over, INSTRUCTIONS_PER_CHECK)


def translate_error(error: DBAPIError | sqlite3.Error) -> GraphError:
    """Return what an error of the driver means to a caller."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    # Extended codes such as SQLITE_BUSY_SNAPSHOT carry the plain code in their low byte.
    code = (getattr(cause, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusyError("the store is locked by another process")
    if code == sqlite3.SQLITE_INTERRUPT:
        return TimeLimitError("the request took longer than allowed and was stopped")
    return StoreError(f"the store failed: {cause}")

"""Write a store that is as large as a public registry and holds what its first crawl would have left.

    .venv/bin/python -m benchmarks.synthetic /tmp/large.sqlite3 [--repositories 460000] [--seed 1]

Rules of this file: rows go to SQLite in bulk, with indexes made at the end and without a journal, into a file
that gets its name only when it is whole. What is drawn is told in `model.py`. The tables are those of the
migrations; a column that is not written here keeps the default that they give it. The same seed writes the
same rows.
"""

import argparse
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import zstandard

from benchmarks import model
from benchmarks.derivation import derive
from benchmarks.images import BEGAN_AT, DAY
from benchmarks.population import COLUMNS, Population
from graph.oci.reference import RegistryName
from graph.store.changes import ConfiguredRegistry
from graph.store.content import COMPRESSION_LEVEL
from graph.store.engine import open_store
from graph.store.observations import set_registries
from graph.store.tables import moment_of

# As many as were crawled of Docker Hub in 2017 (see model.py).
REPOSITORIES = 460_000
# Of the first so many repositories raw documents are stored, to have some that queries can ask for.
DOCUMENTS = 4_000

# Nothing answers there: a refresh fails at once, and on this machine.
REGISTRY_NAME = RegistryName("127.0.0.1:9")
REGISTRY_URL = f"http://{REGISTRY_NAME}"

# Rows kept before they are written: enough that a statement costs nothing beside its rows.
ROWS_PER_WRITE = 50_000

# The unique index on digests is written in random order; it has to fit, or each row costs a read.
_FAST = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -400000", "locking_mode = EXCLUSIVE")

Tell = Callable[[str], None]


class Rows:
    """Takes rows of any table and writes them in bulk."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in COLUMNS}
        self._waiting = 0
        self._compress = zstandard.ZstdCompressor(COMPRESSION_LEVEL).compress

    def add(self, table: str, *values: Any) -> None:
        """Take one row."""
        if table == "document":
            key, data = values
            values = (key, self._compress(data))
        self._rows[table].append(values)
        self._waiting += 1
        if self._waiting >= ROWS_PER_WRITE:
            self.write()

    def write(self) -> None:
        """Write what was taken."""
        for table, rows in self._rows.items():
            columns = COLUMNS[table].split()
            marks = ", ".join("?" * len(columns))
            self._db.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
            rows.clear()
        self._waiting = 0


def write_store(
    path: Path, repositories: int, *, seed: int = 1, documents: int = DOCUMENTS, tell: Tell | None = None
) -> None:
    """Write the store, over one that may be there."""
    draft = path.with_name(path.name + ".part")
    for suffix in ("", "-wal", "-shm"):
        draft.with_name(draft.name + suffix).unlink(missing_ok=True)
    registry_id = _create(draft)
    with sqlite3.connect(draft, isolation_level=None) as db:
        for pragma in _FAST:
            db.execute(f"PRAGMA {pragma}")
        indexes = _drop_indexes(db)
        db.execute("BEGIN")
        _populate(db, registry_id, repositories, seed, documents, tell or _say_nothing)
        for step in derive(db):
            (tell or _say_nothing)(step)
        _finish_crawl(db)
        (tell or _say_nothing)("indexes")
        for index in indexes:
            db.execute(index)
        db.execute("COMMIT")
    db.close()
    path.with_name(path.name + "-wal").unlink(missing_ok=True)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    draft.replace(path)


def _create(path: Path) -> int:
    """Create the tables as the program does; the key of the registry."""
    store = open_store(str(path))
    try:
        with store.transaction() as db:
            registry = ConfiguredRegistry(REGISTRY_NAME, REGISTRY_URL, "oci")
            began_at = moment_of(BEGAN_AT)
            assert began_at is not None
            return set_registries(db, [registry], began_at)[0]
    finally:
        store.close()


def _drop_indexes(db: sqlite3.Connection) -> list[str]:
    """Drop what the migrations made with CREATE INDEX; the statements that make it again."""
    found = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    indexes = dict(found.fetchall())
    for name in indexes:
        db.execute(f"DROP INDEX {name}")
    return list(indexes.values())


def _populate(
    db: sqlite3.Connection, registry_id: int, repositories: int, seed: int, documents: int, tell: Tell
) -> None:
    random = Random(seed)
    rows = Rows(db)
    tell("names")
    names = model.draw_names(random, repositories)
    population = Population(random, rows, registry_id, repositories, documents)
    for key, name in enumerate(names, 1):
        population.add_repository(key, name)
        if key % 20_000 == 0 or key == repositories:
            tell(f"{key:,} of {repositories:,} repositories")
    rows.write()


def _finish_crawl(db: sqlite3.Connection) -> None:
    db.execute(
        """
        UPDATE registry SET sync_state = 'IDLE', sync_started_at = :began, catalog_observed_at = :began,
            sync_finished_at = :ended, capabilities = :capabilities
        """,
        {
            "began": BEGAN_AT,
            "ended": BEGAN_AT + DAY,
            "capabilities": '{"CATALOG":"SUPPORTED","REFERRERS":"SUPPORTED"}',
        },
    )


def _say_nothing(_: str) -> None:
    """Where nobody waits."""


def describe(path: Path) -> list[tuple[str, int]]:
    """Return what is in a store, as names and numbers."""
    figures = {
        "repositories": "SELECT COUNT(*) FROM repository",
        "repositories that are not empty": "SELECT COUNT(*) FROM repository WHERE artifact_count > 0",
        "artifacts": "SELECT COUNT(*) FROM artifact",
        "indexes": "SELECT COUNT(*) FROM artifact WHERE kind = 'INDEX'",
        "untagged artifacts": "SELECT COUNT(*) FROM artifact WHERE untagged IS NOT NULL",
        "referrers": "SELECT COUNT(*) FROM referrer",
        "tags": "SELECT COUNT(*) FROM tag",
        "most tags of one repository": "SELECT MAX(tag_count) FROM repository",
        "namespaces": "SELECT COUNT(*) FROM namespace",
        "layer references": "SELECT COUNT(*) FROM manifest_layer",
        "unique layers": "SELECT layer_count FROM registry",
        "layers used by one artifact": "SELECT COUNT(*) FROM blob WHERE is_layer AND artifact_count = 1",
        "layers used by two repositories or more": "SELECT COUNT(*) FROM blob "
        "WHERE is_layer AND repository_count > 1",
        "repositories of the empty layer": "SELECT MAX(repository_count) FROM blob "
        "WHERE is_layer AND is_empty",
        "repositories of the most used other layer": "SELECT MAX(repository_count) FROM blob "
        "WHERE is_layer AND NOT is_empty",
        "images with the empty layer": "SELECT MAX(artifact_count) FROM blob WHERE is_layer AND is_empty",
        "rows of (repository, blob)": "SELECT COUNT(*) FROM repository_blob",
        "bytes stored (in the registry)": "SELECT stored_bytes FROM registry",
        "bytes as if nothing were shared": "SELECT logical_bytes FROM registry",
        "raw documents": "SELECT COUNT(*) FROM document",
    }
    with sqlite3.connect(path) as db:
        found = [(name, int(db.execute(sql).fetchone()[0] or 0)) for name, sql in figures.items()]
    db.close()
    return [*found, ("bytes of the file", path.stat().st_size)]


def main() -> None:
    """Write a store, and print what is in it as a table."""
    parser = argparse.ArgumentParser(description="Write a store as large as a public registry.")
    parser.add_argument("store", type=Path, help="the file to write")
    parser.add_argument("--repositories", type=int, default=REPOSITORIES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=DOCUMENTS, help="repositories with raw documents")
    arguments = parser.parse_args()
    began = time.monotonic()

    def tell(step: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {step}", file=sys.stderr, flush=True)

    write_store(
        arguments.store,
        arguments.repositories,
        seed=arguments.seed,
        documents=arguments.documents,
        tell=tell,
    )
    tell("done")
    print("| in the store | number |")
    print("|---|---:|")
    for name, number in describe(arguments.store):
        print(f"| {name} | {number:,} |")


if __name__ == "__main__":
    main()

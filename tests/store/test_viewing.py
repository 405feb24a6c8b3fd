"""A store that is only read is opened as it lies there, and what is no store of ours is left alone."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from graph.errors import InputError, StoreError
from graph.store.engine import inspect_store, open_store, view_store

NOBODY = 65534


@contextmanager
def unprivileged() -> Iterator[None]:
    """Who may do everything would not notice what is forbidden."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that others may enter, which those of pytest are not."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


def add_name(db: Connection, name: str) -> None:
    db.execute(text("INSERT INTO media_type (name) VALUES (:name)"), {"name": name})


def read_names(db: Connection) -> list[str]:
    return list(db.execute(text("SELECT name FROM media_type ORDER BY id")).scalars())


def make_store(path: Path) -> None:
    store = open_store(str(path))
    with store.transaction() as db:
        add_name(db, "a")
    store.close()


async def view(path: Path) -> list[str]:
    store = view_store(str(path))
    try:
        async with store.snapshot() as snapshot:
            return await snapshot.read(read_names)
    finally:
        store.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.anyio
@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o555, 0o444), (0o777, 0o444)])
async def test_what_may_not_be_written(folder: Path, folder_mode: int, file_mode: int) -> None:
    """Neither the store nor its directory need be writable to read it; a locked one stays as it is."""
    path = folder / "store.sqlite3"
    make_store(path)
    path.chmod(file_mode)
    folder.chmod(folder_mode)
    before = contents(folder)

    with unprivileged():
        assert ["a"] == await view(path)
        with inspect_store(str(path)) as db:
            assert ["a"] == read_names(db)

    if folder_mode == 0o555:
        assert before == contents(folder)
    assert before["store.sqlite3"] == path.read_bytes()


@pytest.mark.anyio
async def test_what_somebody_writes_meanwhile(folder: Path) -> None:
    """Beside a server of somebody else's what it has written is seen, though it is in the log only."""
    path = folder / "store.sqlite3"
    make_store(path)
    folder.chmod(0o755)
    writer = open_store(str(path))
    with writer.transaction() as db:
        add_name(db, "b")
    for each in folder.iterdir():
        each.chmod(0o644)

    with unprivileged():
        assert ["a", "b"] == await view(path)
    writer.close()


def test_a_log_that_cannot_be_read(folder: Path) -> None:
    """What is in a log alone is not left out: it is told that it cannot be read."""
    path, copied = folder / "store.sqlite3", folder / "copied"
    make_store(path)
    writer = open_store(str(path))
    with writer.transaction() as db:
        add_name(db, "b")
    copied.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", copied)
    writer.close()
    copied.chmod(0o555)

    with unprivileged(), pytest.raises(StoreError, match="-wal has changes") as refused:
        view_store(str(copied / path.name))
    assert str(copied / path.name) == refused.value.store


def test_a_view_cannot_write(tmp_path: Path) -> None:
    """What would write is refused by the engine."""
    make_store(tmp_path / "store.sqlite3")
    store = view_store(str(tmp_path / "store.sqlite3"))
    with pytest.raises(StoreError, match="readonly"), store.transaction() as db:
        add_name(db, "b")
    store.close()


def foreign(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


@pytest.mark.parametrize("opening", [open_store, view_store])
@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE notes (text)",),
        ("PRAGMA journal_mode = WAL", "CREATE TABLE repository (name)"),
        ("CREATE TABLE alembic_version (version_num)", "INSERT INTO alembic_version VALUES ('0001')"),
    ],
)
def test_databases_of_others(
    tmp_path: Path, opening: Callable[[str], object], statements: tuple[str, ...]
) -> None:
    """A database that is none of ours is refused, by its name, and stays as it is to the byte."""
    path = tmp_path / "other.db"
    foreign(path, *statements)
    before = contents(tmp_path)

    with pytest.raises(StoreError, match="none of ocigraph's") as refused:
        opening(str(path))

    assert str(path) == refused.value.store
    assert before == contents(tmp_path)


def test_a_database_of_others_that_is_open(tmp_path: Path) -> None:
    """Nor is the log of one that somebody is writing put into it."""
    path = tmp_path / "other.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE notes (text)")
    before = path.read_bytes()

    with pytest.raises(StoreError, match="none of ocigraph's"):
        open_store(str(path))

    assert before == path.read_bytes()
    db.close()


def test_a_database_without_tables_may_become_a_store(tmp_path: Path) -> None:
    """An empty file holds nothing of anybody's; to read it there is nothing, and what to do is told."""
    path = tmp_path / "new.db"
    path.touch()
    with pytest.raises(StoreError, match="`ocigraph serve` or `sync` brings it up to date"):
        view_store(str(path))
    assert 0 == path.stat().st_size

    open_store(str(path)).close()
    view_store(str(path)).close()


@pytest.mark.parametrize("url", ["{folder}/none.db", "sqlite:///{folder}/none.db", ":memory:", "{folder}"])
def test_no_store(tmp_path: Path, url: str) -> None:
    """Where there is none, none is made by looking."""
    with pytest.raises(InputError, match="there is no store at .*ocigraph sync URL"):
        view_store(url.format(folder=tmp_path))
    assert [] == list(tmp_path.iterdir())


def test_errors_know_their_store(tmp_path: Path) -> None:
    """Whoever has several is told which one failed; clients are not told where it is kept."""
    path = tmp_path / "store.sqlite3"
    make_store(path)
    store = open_store(str(path))
    with pytest.raises(StoreError) as failed, store.transaction() as db:
        db.execute(text("SELECT * FROM nowhere"))
    store.close()

    assert str(path) == failed.value.store
    assert str(tmp_path) not in str(failed.value)


@pytest.mark.parametrize("url", ["sqlite://alice:s3cret@/{folder}/a.db", "//alice:s3cret@{folder}/a.db"])
def test_errors_show_no_password(tmp_path: Path, url: str) -> None:
    """A store needs no login; one that was given all the same is shown to nobody."""
    for opening in (view_store, open_store):
        with pytest.raises((InputError, StoreError)) as failed:
            opening(url.format(folder=tmp_path / "missing"))
        assert "s3cret" not in f"{failed.value} {getattr(failed.value, 'store', '')}"


@pytest.mark.anyio
async def test_a_link_to_a_store(folder: Path) -> None:
    """The log is read that is beside the store, which is not beside a link to it."""
    (folder / "real").mkdir()
    path, link = folder / "real" / "store.sqlite3", folder / "link.sqlite3"
    make_store(path)
    writer = open_store(str(path))
    with writer.transaction() as db:
        add_name(db, "b")
    for each in path.parent.iterdir():
        each.chmod(0o644)
    link.symlink_to(path)

    with unprivileged():
        assert ["a", "b"] == await view(link)
    writer.close()


@pytest.mark.anyio
async def test_nothing_is_left_behind(folder: Path) -> None:
    """Who may write to the directory, but not to the store, leaves its owner nothing that locks him out."""
    path = folder / "store.sqlite3"
    make_store(path)
    path.chmod(0o644)
    folder.chmod(0o777)

    with unprivileged():
        assert ["a"] == await view(path)

    assert ["store.sqlite3"] == [each.name for each in folder.iterdir()]


def test_a_directory_that_may_not_be_entered(folder: Path) -> None:
    """It is told as an error of the store, by whoever opens it."""
    path = folder / "store.sqlite3"
    make_store(path)
    folder.chmod(0o700)

    with unprivileged():
        for open_it in (open_store, view_store):
            with pytest.raises(StoreError):
                open_it(str(path))


def test_a_log_that_is_taken_away_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes a store last removes its log, also between two looks at it."""
    path = folder / "store.sqlite3"
    make_store(path)
    plain = Path.is_file
    # As if the log had been there a moment ago.
    monkeypatch.setattr(Path, "is_file", lambda self: self.name.endswith("-wal") or plain(self))

    open_store(str(path)).close()

"""The steps that bring a store up to date."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text

from graph.errors import StoreOutdatedError
from graph.store.engine import Store, open_store
from graph.store.migrations import LAST_STEP, migrate, steps
from graph.store.tables import metadata


def test_tables_agree(db: Connection) -> None:
    """The steps lead to the tables that `tables.py` describes."""
    assert [] == compare_metadata(MigrationContext.configure(db, opts={"compare_type": True}), metadata)


def test_definitions_agree(db: Connection) -> None:
    """So do defaults, keys and conditions of indexes, which Alembic does not compare."""
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as described:
        assert _definitions(described) == _definitions(db)
    engine.dispose()


def _definitions(db: Connection) -> dict[str, list[str]]:
    """Each table and index with the parts of its definition; constraints come in any order."""
    rows = db.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'trigger'"))
    return {
        name: sorted(part.strip().rstrip(",)") for part in re.split(r"\n|, (?=CONSTRAINT)", sql))
        for name, sql in rows
        if name != "alembic_version"
    }


def test_repeated(db: Connection) -> None:
    """A store that is up to date is left alone."""
    before = db.execute(text("PRAGMA schema_version")).scalar_one()
    migrate(db)
    assert before == db.execute(text("PRAGMA schema_version")).scalar_one()


def test_last_step(db: Connection) -> None:
    """What is known without Alembic is where its steps lead."""
    assert (LAST_STEP,) == MigrationContext.configure(db).get_current_heads()
    steps.refuse_unknown(db)


def test_opened_without_alembic(tmp_path: Path) -> None:
    """A store that is up to date is opened without the memory that Alembic takes; a new one needs it."""
    program = (
        "import sys; from graph.store.engine import open_store; open_store(sys.argv[1]).close(); "
        "print('alembic' in sys.modules)"
    )
    run = [sys.executable, "-c", program, str(tmp_path / "store.sqlite3")]
    assert ["True", "False"] == [subprocess.check_output(run, text=True).strip() for _ in range(2)]


def test_newer(tmp_path: Path) -> None:
    """A store that a newer version wrote is refused, and not touched."""
    path = str(tmp_path / "store.sqlite3")
    store = open_store(path)
    with store.transaction() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(StoreOutdatedError, match="9999"):
        open_store(path)


def test_all_or_nothing(store: Store) -> None:
    """Steps that are cut off leave nothing: they are one transaction, DDL included."""
    with store.transaction() as db:
        names = db.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
        db.execute(text("PRAGMA defer_foreign_keys = ON"))
        for name in names:
            db.execute(text(f"DROP TABLE {name}"))
    with pytest.raises(LookupError), store.transaction() as db:
        migrate(db)
        raise LookupError
    with store.transaction() as db:
        assert 0 == db.execute(text("SELECT COUNT(*) FROM sqlite_master")).scalar_one()

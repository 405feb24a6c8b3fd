"""Bring the tables of a store up to date, in one transaction, or refuse what a newer version wrote.

Rules of this package: `versions/` holds one file per step, each written out in full and never changed after a
release; `tables.py` says where the last step leads, and a test compares the two. There is no alembic.ini: the
environment is `steps.py` and `env.py`.
"""

from collections.abc import Collection

from sqlalchemy import Connection, String, column, inspect, select, table

from graph.errors import StoreError

# Where `versions/` leads. Known here so that a store that is there already is opened without Alembic, a tenth
# of a server's memory: hence the imports within functions.
LAST_STEP = "0001"

# By these a store is told from any other database, at whatever step it is.
_OURS = frozenset({"alembic_version", "manifest_layer", "repository_blob"})


def refuse_foreign(tables: Collection[str]) -> None:
    """Raise StoreError if a database with these tables is somebody else's; without any it may become ours."""
    if tables and not set(tables) >= _OURS:
        raise StoreError(
            "it is a database, but none of ocigraph's: it is left as it is; give another path for the store"
        )


def migrate(db: Connection) -> None:
    """Apply every step that the store lacks.

    Raises StoreOutdatedError if the store is at a step that this version does not have.
    """
    if _is_at_last_step(db):
        return
    from graph.store.migrations import steps

    steps.apply(db)


def check(db: Connection) -> None:
    """Make sure that the tables are those of this version; nothing is written.

    Raises StoreOutdatedError if a newer version wrote the store, StoreError if it is not up to date.
    """
    if _is_at_last_step(db):
        return
    from graph.store.migrations import steps

    steps.refuse_unknown(db)
    raise StoreError("it is not as this version writes it; `ocigraph serve` or `sync` brings it up to date")


def _is_at_last_step(db: Connection) -> bool:
    # The table is Alembic's, and its shape documented ("Controlling the Alembic version table").
    if not inspect(db).has_table("alembic_version"):
        return False
    statement = select(column("version_num", String)).select_from(table("alembic_version"))
    return db.execute(statement).scalars().all() == [LAST_STEP]

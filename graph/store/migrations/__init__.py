"""Bring the tables of a store up to date, in one transaction, or refuse what a newer version wrote.

Rules of this package: `versions/` holds one file per step, each written out in full and never changed after a
release; `tables.py` says where the last step leads, and a test compares the two. There is no alembic.ini: the
environment is this file and `env.py`.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from graph.errors import StoreError, StoreOutdatedError


def migrate(db: Connection) -> None:
    """Apply every step that the store lacks.

    Raises StoreOutdatedError if the store is at a step that this version does not have.
    """
    config = _configure(db)
    if _lacks_steps(db, ScriptDirectory.from_config(config)):
        command.upgrade(config, "head")


def check(db: Connection) -> None:
    """Make sure that the tables are those of this version; nothing is written.

    Raises StoreOutdatedError if a newer version wrote the store, StoreError if it is not up to date.
    """
    if _lacks_steps(db, ScriptDirectory.from_config(_configure(db))):
        raise StoreError(
            "the store is not at the step of this version; `ocigraph serve` or `sync` brings it there"
        )


def _configure(db: Connection) -> Config:
    config = Config()
    # Alembic's options are interpolated, so a "%" in the path of the installation has to be doubled.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = db
    return config


def _lacks_steps(db: Connection, scripts: ScriptDirectory) -> bool:
    stored = set(MigrationContext.configure(db).get_current_heads())
    unknown = stored - {step.revision for step in scripts.walk_revisions()}
    if unknown:
        raise StoreOutdatedError(
            f"the store is at step {', '.join(sorted(unknown))}, which this version does not know: "
            "use the version that wrote it, or a newer one"
        )
    return stored != set(scripts.get_heads())

"""Apply the steps of `versions/`, with Alembic.

Rules of this file: it is imported only for a store that is not at the last step.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from graph.errors import StoreOutdatedError


def apply(db: Connection) -> None:
    """Apply every step that the store lacks. Raises StoreOutdatedError as `refuse_unknown` does."""
    refuse_unknown(db)
    command.upgrade(_configure(db), "head")


def refuse_unknown(db: Connection) -> None:
    """Raise StoreOutdatedError if the store is at a step that this version does not have."""
    scripts = ScriptDirectory.from_config(_configure(db))
    stored = set(MigrationContext.configure(db).get_current_heads())
    unknown = stored - {step.revision for step in scripts.walk_revisions()}
    if unknown:
        raise StoreOutdatedError(
            f"the store is at step {', '.join(sorted(unknown))}, which this version does not know: "
            "use the version that wrote it, or a newer one"
        )


def _configure(db: Connection) -> Config:
    config = Config()
    # Alembic's options are interpolated, so a "%" in the path of the installation has to be doubled.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = db
    return config

"""What registries tell of tags and artifacts besides what they are: when they were pushed, what is locked.

Rules of this file: columns that nothing is derived from. What a registry does not tell, or tells no more,
stays as it was; most tell nothing, and then no statement runs.
"""

import json
from collections.abc import Mapping

from sqlalchemy import Connection

from graph.oci.digest import Digest
from graph.oci.locks import Locks
from graph.store.bulk import run_rows
from graph.store.changes import RepositoryChanges, Told
from graph.store.tables import microseconds_of


def set_told(
    db: Connection, looks: Mapping[int, RepositoryChanges], artifact_keys: Mapping[int, Mapping[Digest, int]]
) -> None:
    """Set what looks were told, by the key of the repository; `artifact_keys` are of what they touched."""
    run_rows(
        db,
        """
        UPDATE artifact SET pushed_at = COALESCE(?, pushed_at), changed_at = COALESCE(?, changed_at),
            locks = COALESCE(?, locks)
        WHERE id = ?
        """,
        [
            (*_columns(told), artifact_keys[repository][digest])
            for repository, changes in looks.items()
            for digest, told in changes.told_artifacts.items()
            if digest in artifact_keys[repository]
        ],
    )
    run_rows(
        db,
        """
        UPDATE tag SET pushed_at = COALESCE(?, pushed_at), changed_at = COALESCE(?, changed_at),
            locks = COALESCE(?, locks)
        WHERE repository_id = ? AND name = ?
        """,
        [
            (*_columns(told), repository, name)
            for repository, changes in looks.items()
            for name, told in changes.told_tags.items()
        ],
    )


def _columns(told: Told) -> tuple[int | None, int | None, str | None]:
    return microseconds_of(told.pushed_at), microseconds_of(told.changed_at), dump_locks(told.locks)


def dump_locks(locks: Locks | None) -> str | None:
    """How locks are stored."""
    if locks is None:
        return None
    return json.dumps([locks.can_delete, locks.can_write, locks.can_list, locks.can_read])


def parse_locks(text: str | None) -> Locks | None:
    """Locks as they were stored."""
    return None if text is None else Locks(*json.loads(text))

"""Read where else an artifact is: the same digest in other repositories, of any registry.

Rules of this file: as in `graph.store.artifacts`. It is the one place where registries are compared (concept
C2): that a digest is the same says that the bytes are, never that they are stored once.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, and_

from graph.store.artifacts import ARTIFACTS
from graph.store.cursors import CursorForm
from graph.store.pages import Members, Page, PageRequest, count_members, keep_list, read_pages
from graph.store.rows import ArtifactRow
from graph.store.sorts import Sort
from graph.store.tables import artifact, artifact_blob, blob
from graph.store.visibility import Visibility

# What inner queries read from.
_origin = artifact.alias("origin")
_own = blob.alias("own")
_same = blob.alias("same")
_use = artifact_blob.alias("use")
_copy = artifact.alias("copy")

_LIST_NAME = "artifact.copies"
_BY_FIRST_SIGHT = Sort("FIRST_SEEN")  # keys rise


def copy_cursors() -> CursorForm:
    """Return what the cursors of an artifact's copies look like."""
    return _BY_FIRST_SIGHT.form(_LIST_NAME)


def page_copies(
    db: Connection,
    visibility: Visibility,
    artifact_keys: Sequence[int],
    request: PageRequest,
    registry_keys: tuple[int, ...],
) -> list[Page[ArtifactRow]]:
    """Return a page of the present artifacts of the same digest in these registries, first seen first.

    The artifact itself is none of them. All its copies are read for a page of them.
    """
    members = _copies(visibility, registry_keys)
    return read_pages(db, artifact_keys, ARTIFACTS, members, _BY_FIRST_SIGHT, request)


def count_copies(
    db: Connection, visibility: Visibility, artifact_keys: Sequence[int], registry_keys: tuple[int, ...]
) -> list[int]:
    """Return how many copies of each artifact there are in these registries."""
    return count_members(db, artifact_keys, _copies(visibility, registry_keys))


@keep_list
def _copies(visibility: Visibility, registry_keys: tuple[int, ...]) -> Members:
    source = (
        _origin.join(_own, _own.c.id == _origin.c.manifest_id)
        .join(_same, and_(_same.c.registry_id.in_(registry_keys), _same.c.digest == _own.c.digest))
        # A present artifact uses its manifest: this is the one index that leads from a manifest to artifacts.
        .join(_use, _use.c.blob_id == _same.c.id)
        .join(_copy, and_(_copy.c.id == _use.c.artifact_id, _copy.c.manifest_id == _use.c.blob_id))
    )
    conditions = (
        _copy.c.absent_at.is_(None),
        _use.c.artifact_id != _origin.c.id,
        visibility.restrict(_origin.c.repository_id),
        visibility.restrict(_copy.c.repository_id),
    )
    return Members(_LIST_NAME, source, _use.c.artifact_id, _origin.c.id, conditions)

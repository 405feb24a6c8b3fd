"""Read what artifacts point at and what points at them: an index's children, referrers, subjects.

Rules of this file: as in `graph.store.artifacts`. All of it is inside one repository: the same manifest in
another repository is another artifact, with children and referrers of its own.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, case, false, select

from graph.store.artifacts import ARTIFACTS
from graph.store.cursors import CursorForm
from graph.store.keys import key_set
from graph.store.pages import Members, Page, PageRequest, count_members, read_pages
from graph.store.rows import ArtifactRow
from graph.store.sorts import Sort
from graph.store.tables import artifact, manifest_child, referrer
from graph.store.visibility import Visibility

# Children of one index that are shown as its platforms; the largest in the wild have a few dozen.
MAX_PLATFORMS = 1_000

# What inner queries and queries from an artifact to another read from.
_item = artifact.alias("item")
_origin = artifact.alias("origin")
_edge = referrer.alias("edge")
_entry = manifest_child.alias("entry")

# The index that keeps a fallback tag's list is not itself shown as a referrer.
_HIDDEN = "FALLBACK_INDEX"

_LIST_NAME = "artifact.referrers"
_BY_FIRST_SIGHT = Sort("FIRST_SEEN")  # keys rise


def load_platforms(
    db: Connection, visibility: Visibility, artifact_keys: Sequence[int]
) -> list[list[ArtifactRow]]:
    """Return the children of each index that run and are present beside it, in its order, each once.

    Attestations are left out; of the others the first 1,000 entries are looked at.
    """
    keys = key_set(db, artifact_keys)
    earlier = manifest_child.alias("earlier")
    positions = (
        select(earlier.c.position)
        .where(earlier.c.manifest_id == _origin.c.manifest_id, earlier.c.is_attestation == false())
        .order_by(earlier.c.position)
        .limit(MAX_PLATFORMS)
        .correlate(_origin)
    )
    source = keys.source.join(_origin, _origin.c.id == keys.value).join(
        _entry,
        and_(_entry.c.manifest_id == _origin.c.manifest_id, _entry.c.position.in_(positions)),
    )
    is_child = and_(
        artifact.c.repository_id == _origin.c.repository_id, artifact.c.manifest_id == _entry.c.child_id
    )
    statement = (
        select(keys.value, _entry.c.position, *ARTIFACTS.columns)
        .select_from(ARTIFACTS.join_to(source, is_child))
        .where(artifact.c.absent_at.is_(None), visibility.restrict(artifact.c.repository_id))
    )
    found: dict[int, list[tuple[int, ArtifactRow]]] = {key: [] for key in artifact_keys}
    for key, position, *fields in db.execute(statement):
        found[key].append((position, ARTIFACTS.make(*fields)))
    return [_in_order(found[key]) for key in artifact_keys]


def referrer_cursors() -> CursorForm:
    """Return what the cursors of an artifact's referrers look like."""
    return _BY_FIRST_SIGHT.form(_LIST_NAME)


def page_referrers(
    db: Connection,
    visibility: Visibility,
    artifact_keys: Sequence[int],
    request: PageRequest,
    artifact_type: str | None = None,
) -> list[Page[ArtifactRow]]:
    """Return a page of the present artifacts that refer to each artifact, first seen first.

    They say so by their subject or by a referrer tag.
    """
    members = _referrers(visibility, artifact_type)
    return read_pages(db, artifact_keys, ARTIFACTS, members, _BY_FIRST_SIGHT, request)


def count_referrers(
    db: Connection, visibility: Visibility, artifact_keys: Sequence[int], artifact_type: str | None = None
) -> list[int]:
    """Return how many present artifacts refer to each artifact."""
    return count_members(db, artifact_keys, _referrers(visibility, artifact_type))


def find_subjects(
    db: Connection, visibility: Visibility, artifact_keys: Sequence[int]
) -> list[ArtifactRow | None]:
    """Return what each artifact refers to in its repository, absent or not.

    None where it refers to nothing, or to something nobody has seen. What its manifest names comes before
    what a referrer tag names.
    """
    keys = key_set(db, artifact_keys)
    source = keys.source.join(_edge, and_(_edge.c.artifact_id == keys.value, _edge.c.via != _HIDDEN))
    is_subject = and_(
        artifact.c.repository_id == _edge.c.repository_id, artifact.c.manifest_id == _edge.c.subject_id
    )
    statement = (
        select(keys.value, *ARTIFACTS.columns)
        .select_from(ARTIFACTS.join_to(source, is_subject))
        .where(visibility.restrict(artifact.c.repository_id))
        .order_by(case((_edge.c.via == "SUBJECT", 0), else_=1), artifact.c.id)
    )
    found: dict[int, ArtifactRow] = {}
    for key, *fields in db.execute(statement):
        if key not in found:
            found[key] = ARTIFACTS.make(*fields)
    return [found.get(key) for key in artifact_keys]


def _referrers(visibility: Visibility, artifact_type: str | None) -> Members:
    source = _origin.join(
        _edge,
        and_(_edge.c.repository_id == _origin.c.repository_id, _edge.c.subject_id == _origin.c.manifest_id),
    ).join(_item, _item.c.id == _edge.c.artifact_id)
    conditions = [
        _edge.c.via != _HIDDEN,
        _item.c.absent_at.is_(None),
        visibility.restrict(_origin.c.repository_id),
    ]
    if artifact_type is not None:
        conditions.append(_item.c.artifact_type == artifact_type)
    return Members(_LIST_NAME, source, _edge.c.artifact_id, _origin.c.id, tuple(conditions))


def _in_order(found: list[tuple[int, ArtifactRow]]) -> list[ArtifactRow]:
    found.sort(key=lambda entry: entry[0])
    return list({row.key: row for _, row in found}.values())

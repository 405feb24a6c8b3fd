"""What one look at a repository saw, written down, and which artifacts it touched.

Rules of this file: rows of `artifact`; tags are `moves.py`'s, and what follows from both `derived.py`'s.
What is absent keeps its row. A tag that names an artifact proves it present, whatever else the look says of
it. Why a manifest could not be had is kept only until it is.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from graph.oci.digest import Digest
from graph.oci.liveness import Untagged
from graph.oci.manifest import ArtifactKind
from graph.store.blobs import Facts, put_blobs
from graph.store.bulk import insert_rows, next_keys, read_rows, run, run_rows
from graph.store.changes import ArtifactChange, Discovery, RepositoryChanges
from graph.store.derived import Touched
from graph.store.moves import Moves, TagEffects
from graph.store.tables import artifact, microseconds_of


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a look did: which artifacts it touched, how many more ordinary tags there are, if anything
    changed.
    """

    touched: Touched
    tags: int
    is_changed: bool


@dataclass(frozen=True, slots=True)
class _Artifact:
    key: int
    has_manifest: bool
    is_present: bool


@dataclass(frozen=True, slots=True)
class _Copied:
    """What an artifact shows of its manifest, copied so that lists filter on one table."""

    kind: str
    artifact_type: str | None
    os: str | None
    architecture: str | None
    created_at: int | None
    size: int | None  # its own content, unless it has children: sizes.py says what they weigh


_NOTHING = _Copied(ArtifactKind.UNKNOWN.value, None, None, None, None, None)


def set_sighting(
    db: Connection, registry_id: int, repository_id: int, changes: RepositoryChanges
) -> Sighting:
    """Write down the artifacts and tags of a look."""
    at = microseconds_of(changes.at)
    seen = _seen(changes)
    missing = [digest for digest in changes.absent if digest not in seen]
    mentions = [(digest, Facts(change.size)) for digest, change in seen.items()]
    blobs = put_blobs(db, registry_id, [*mentions, *((digest, Facts()) for digest in missing)])
    stored = _load_artifacts(db, repository_id, blobs)
    new = [digest for digest in (*seen, *missing) if digest not in stored]
    keys = {digest: row.key for digest, row in stored.items()}
    keys.update(zip(new, next_keys(db, artifact, len(new)), strict=True))
    # Tags are looked at before artifacts are written, so that each row is written once and whole.
    moves = Moves(db, registry_id, repository_id, changes.tags, changes.absent_tags, at)
    moves.find(db, keys)
    effects = moves.effects
    touched = Touched(new={keys[digest] for digest in new}, referring=effects.referring)
    without = [blobs[digest] for digest in seen if digest not in stored or not stored[digest].has_manifest]
    copied = _load_copied(db, without)
    rows = [
        _new_row(
            registry_id, repository_id, at, keys[digest], blobs[digest], seen.get(digest), copied, effects
        )
        for digest in new
    ]
    insert_rows(db, artifact, _COLUMNS, rows)
    touched.contents |= touched.new
    touched.came = sum(digest in seen for digest in new)
    _see_again(db, at, {row: seen[digest] for digest, row in stored.items() if digest in seen}, changes)
    _revive(db, [row for digest, row in stored.items() if digest in seen], touched)
    _end(db, at, [stored[digest] for digest in missing if digest in stored], touched)
    learned = {
        stored[digest].key: copied[blobs[digest]]
        for digest in seen
        if digest in stored and not stored[digest].has_manifest and blobs[digest] in copied
    }
    _learn(db, learned, touched)
    _add_tags(db, effects, touched)
    _note_referrers(db, registry_id, repository_id, at, changes.referrers_observed)
    moves.write(db)
    return Sighting(touched, effects.tags, effects.is_changed or bool(touched.contents))


def _seen(changes: RepositoryChanges) -> dict[Digest, ArtifactChange]:
    """Return what is present by this look: what it says so of, what tags name, what is still there."""
    seen = {change.digest: change for change in changes.present}
    for change in changes.tags:
        if change.digest is not None and change.digest not in seen:
            seen[change.digest] = ArtifactChange(change.digest, Discovery.TAG)
    for digest in changes.observed:
        if digest not in seen:
            seen[digest] = ArtifactChange(digest, Discovery.LISTED)
    return seen


def _load_artifacts(
    db: Connection, repository_id: int, blobs: Mapping[Digest, int]
) -> dict[Digest, _Artifact]:
    found = read_rows(
        db,
        """
        SELECT a.manifest_id, a.id, a.has_manifest, a.absent_at IS NULL
        FROM {keys} AS k
        CROSS JOIN artifact AS a WHERE a.repository_id = :repository AND a.manifest_id = k.value
        """,
        {"repository": repository_id},
        keys=blobs.values(),
    )
    by_blob = {
        blob: _Artifact(key, bool(has_manifest), bool(is_present))
        for blob, key, has_manifest, is_present in found
    }
    return {digest: by_blob[blob] for digest, blob in blobs.items() if blob in by_blob}


def _load_copied(db: Connection, blobs: Collection[int]) -> dict[int, _Copied]:
    found = read_rows(
        db,
        """
        SELECT m.blob_id, m.kind, m.artifact_type, m.os, m.architecture, m.created_at,
            CASE WHEN m.child_count = 0 THEN m.content_bytes END
        FROM {keys} AS k JOIN manifest AS m ON m.blob_id = k.value
        """,
        keys=blobs,
    )
    return {blob: _Copied(*rest) for blob, *rest in found}


_COLUMNS = (
    "id",
    "registry_id",
    "repository_id",
    "manifest_id",
    "has_manifest",
    "media_type",
    "error_code",
    "error_message",
    "discovery",
    "first_seen_at",
    "observed_at",
    "pushed_at",
    "absent_at",
    "kind",
    "artifact_type",
    "os",
    "architecture",
    "created_at",
    "size",
    "untagged",
    "is_live",
    "tag_count",
)


def _new_row(
    registry_id: int,
    repository_id: int,
    at: int,
    key: int,
    blob: int,
    change: ArtifactChange | None,
    copied: Mapping[int, _Copied],
    effects: TagEffects,
) -> tuple[Any, ...]:
    """Return the row of an artifact; without a change, of one that was looked for and never was there."""
    known = copied.get(blob)
    shown = known or _NOTHING
    tags = effects.counts[key]
    is_live = change is not None and tags > 0
    return (
        key,
        registry_id,
        repository_id,
        blob,
        int(known is not None),
        *_lack(change, known is not None),
        (Discovery.SUBJECT if change is None else change.discovery).value,
        at,
        at,
        None if change is None else microseconds_of(change.pushed_at),
        at if change is None else None,
        shown.kind,
        shown.artifact_type,
        shown.os,
        shown.architecture,
        shown.created_at,
        # What is right for most: neither child nor referrer. derived.py and sizes.py correct the others.
        shown.size,
        None if tags else Untagged.DANGLING.value,
        int(is_live),
        tags,
    )


def _lack(change: ArtifactChange | None, has_manifest: bool) -> tuple[str | None, str | None, str | None]:
    """Return the media type and the error that stand in for a manifest."""
    if change is None or has_manifest:
        return (None, None, None)
    if change.error is None:
        return (change.media_type, None, None)
    return (change.media_type, change.error.code, change.error.message)


def _see_again(
    db: Connection, at: int, seen: Mapping[_Artifact, ArtifactChange], changes: RepositoryChanges
) -> None:
    told = {change.digest for change in changes.present}
    rows = [(at, microseconds_of(change.pushed_at), row.key) for row, change in seen.items()]
    run_rows(db, "UPDATE artifact SET observed_at = ?, pushed_at = COALESCE(?, pushed_at) WHERE id = ?", rows)
    lacks = [
        (*_lack(change, False), row.key)
        for row, change in seen.items()
        if not row.has_manifest and change.digest in told
    ]
    run_rows(
        db,
        """
        UPDATE artifact SET media_type = COALESCE(?, media_type), error_code = ?, error_message = ?
        WHERE id = ?
        """,
        lacks,
    )


def _revive(db: Connection, seen: Iterable[_Artifact], touched: Touched) -> None:
    keys = [row.key for row in seen if not row.is_present]
    run_rows(db, "UPDATE artifact SET absent_at = NULL WHERE id = ?", [(key,) for key in keys])
    touched.contents.update(keys)
    touched.came += len(keys)


def _end(db: Connection, at: int, missing: Iterable[_Artifact], touched: Touched) -> None:
    keys = [row.key for row in missing if row.is_present]
    run_rows(db, "UPDATE artifact SET absent_at = ? WHERE id = ?", [(at, key) for key in keys])
    touched.contents.update(keys)
    touched.came -= len(keys)


def _learn(db: Connection, copied: Mapping[int, _Copied], touched: Touched) -> None:
    """Show what became known of artifacts whose manifest was not had until now."""
    run_rows(
        db,
        """
        UPDATE artifact SET has_manifest = TRUE, media_type = NULL, error_code = NULL, error_message = NULL,
            kind = ?, artifact_type = ?, os = ?, architecture = ?, created_at = ?
        WHERE id = ?
        """,
        [
            (known.kind, known.artifact_type, known.os, known.architecture, known.created_at, key)
            for key, known in copied.items()
        ],
    )
    touched.contents.update(copied)


def _add_tags(db: Connection, effects: TagEffects, touched: Touched) -> None:
    steps = {key: step for key, step in effects.counts.items() if step and key not in touched.new}
    found = read_rows(
        db, "SELECT a.id, a.tag_count FROM {keys} AS k JOIN artifact AS a ON a.id = k.value", keys=steps
    )
    for key, tags in found:
        if (tags == 0) != (tags + steps[key] == 0):
            touched.tagged.add(key)
    rows = [(step, key) for key, step in steps.items()]
    run_rows(db, "UPDATE artifact SET tag_count = tag_count + ? WHERE id = ?", rows)


def _note_referrers(
    db: Connection, registry_id: int, repository_id: int, at: int, digests: Collection[Digest]
) -> None:
    run(
        db,
        """
        UPDATE artifact SET referrers_observed_at = :at
        WHERE repository_id = :repository AND manifest_id IN (
            SELECT b.id FROM {texts} AS k
            CROSS JOIN blob AS b WHERE b.registry_id = :registry AND b.digest = k.value)
        """,
        {"at": at, "repository": repository_id, "registry": registry_id},
        texts=digests,
    )

"""What looks at repositories saw, written down, and which artifacts they touched.

Rules of this file: rows of `artifact`; tags are `moves.py`'s, and what follows from both `derived.py`'s.
Looks at several repositories go down together: one statement for each kind of change, whosever it is. What
is absent keeps its row. A tag that names an artifact proves it present, whatever else the look says of it.
Why a manifest could not be had is kept only until it is.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from graph.oci.digest import Digest
from graph.oci.liveness import Untagged
from graph.oci.manifest import ArtifactKind
from graph.store.blobs import Facts, Mention, put_blobs
from graph.store.bulk import insert_rows, next_keys, read_rows, run_rows
from graph.store.changes import ArtifactChange, Discovery, RepositoryChanges
from graph.store.derived import Touched
from graph.store.moves import Moves, TagEffects
from graph.store.tables import artifact, microseconds_of
from graph.store.told import set_told


@dataclass(frozen=True, slots=True)
class Sightings:
    """What the looks did: which artifacts they touched; by repository, how many more ordinary tags there are;
    and the repositories in which anything changed.
    """

    touched: Touched
    tags: Mapping[int, int]
    changed: Set[int]


@dataclass(frozen=True, slots=True)
class _Artifact:
    key: int
    has_manifest: bool
    is_present: bool


@dataclass(slots=True)
class _Look:
    repository_id: int
    changes: RepositoryChanges
    at: int
    seen: dict[Digest, ArtifactChange]
    missing: list[Digest]
    stored: dict[Digest, _Artifact] = field(default_factory=dict)
    new: list[Digest] = field(default_factory=list)
    keys: dict[Digest, int] = field(default_factory=dict)  # of all that is seen or missing

    def mentions(self) -> Iterator[Mention]:
        for digest, change in self.seen.items():
            yield digest, Facts(change.size)
        for digest in self.missing:
            yield digest, Facts()


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


def set_sightings(db: Connection, registry_id: int, changes: Mapping[int, RepositoryChanges]) -> Sightings:
    """Write down the artifacts and tags of looks at repositories of one registry, by their keys."""
    looks = [_look(repository, each) for repository, each in changes.items()]
    blobs = put_blobs(db, registry_id, chain.from_iterable(look.mentions() for look in looks))
    _load_artifacts(db, looks, blobs)
    _give_keys(db, looks)
    # Tags are looked at before artifacts are written, so that each row is written once and whole.
    moves = Moves(db, registry_id, changes)
    moves.find(db, {look.repository_id: look.keys for look in looks})
    effects = moves.effects
    touched = Touched(referring=effects.referring)
    without = {
        blobs[digest]
        for look in looks
        for digest in look.seen
        if digest not in look.stored or not look.stored[digest].has_manifest
    }
    copied = _load_copied(db, without)
    _insert(db, registry_id, looks, blobs, copied, effects, touched)
    _see_again(db, looks)
    _revive(db, looks, touched)
    _end(db, looks, touched)
    _learn(db, looks, blobs, copied, touched)
    _add_tags(db, effects, touched)
    _note_referrers(db, looks)
    moves.write(db)
    set_told(db, changes, {look.repository_id: look.keys for look in looks})
    turned = {look.repository_id for look in looks if not touched.contents.isdisjoint(look.keys.values())}
    return Sightings(touched, effects.tags, effects.changed | turned)


def _look(repository_id: int, changes: RepositoryChanges) -> _Look:
    seen = _seen(changes)
    missing = [digest for digest in dict.fromkeys(changes.absent) if digest not in seen]
    return _Look(repository_id, changes, microseconds_of(changes.at), seen, missing)


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


def _load_artifacts(db: Connection, looks: Sequence[_Look], blobs: Mapping[Digest, int]) -> None:
    found = read_rows(
        db,
        """
        SELECT a.repository_id, a.manifest_id, a.id, a.has_manifest, a.absent_at IS NULL
        FROM {key_groups} AS k
        CROSS JOIN artifact AS a
        WHERE a.repository_id = CAST(g.key AS BIGINT) AND a.manifest_id = k.value
        """,
        groups={
            look.repository_id: [blobs[digest] for digest in (*look.seen, *look.missing)] for look in looks
        },
    )
    rows = {
        (repository, blob): _Artifact(key, bool(has_manifest), bool(is_present))
        for repository, blob, key, has_manifest, is_present in found
    }
    for look in looks:
        for digest in (*look.seen, *look.missing):
            row = rows.get((look.repository_id, blobs[digest]))
            if row is not None:
                look.stored[digest] = row


def _give_keys(db: Connection, looks: Sequence[_Look]) -> None:
    for look in looks:
        look.new = [digest for digest in (*look.seen, *look.missing) if digest not in look.stored]
        look.keys = {digest: row.key for digest, row in look.stored.items()}
    fresh = iter(next_keys(db, artifact, sum(len(look.new) for look in looks)))
    for look in looks:
        look.keys.update((digest, next(fresh)) for digest in look.new)


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


def _insert(
    db: Connection,
    registry_id: int,
    looks: Sequence[_Look],
    blobs: Mapping[Digest, int],
    copied: Mapping[int, _Copied],
    effects: TagEffects,
    touched: Touched,
) -> None:
    rows = [
        _new_row(registry_id, look, digest, blobs[digest], copied, effects)
        for look in looks
        for digest in look.new
    ]
    insert_rows(db, artifact, _COLUMNS, rows)
    for look in looks:
        touched.new.update(look.keys[digest] for digest in look.new)
        touched.came[look.repository_id] += sum(digest in look.seen for digest in look.new)
    touched.contents |= touched.new


def _new_row(
    registry_id: int,
    look: _Look,
    digest: Digest,
    blob: int,
    copied: Mapping[int, _Copied],
    effects: TagEffects,
) -> tuple[Any, ...]:
    """Return the row of an artifact; one that was looked for and never was there is absent."""
    change = look.seen.get(digest)
    known = None if change is None else copied.get(blob)  # it may be there in another repository
    key = look.keys[digest]
    shown = known or _NOTHING
    tags = effects.counts[key]
    is_live = change is not None and tags > 0
    return (
        key,
        registry_id,
        look.repository_id,
        blob,
        int(known is not None),
        *_lack(change, known is not None),
        (Discovery.SUBJECT if change is None else change.discovery).value,
        look.at,
        look.at,
        look.at if change is None else None,
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


def _see_again(db: Connection, looks: Sequence[_Look]) -> None:
    rows: list[tuple[Any, ...]] = []
    lacks: list[tuple[Any, ...]] = []
    for look in looks:
        told = {change.digest for change in look.changes.present}
        for digest, row in look.stored.items():
            change = look.seen.get(digest)
            if change is None:
                continue
            rows.append((look.at, row.key))
            if not row.has_manifest and digest in told:
                lacks.append((*_lack(change, False), row.key))
    run_rows(db, "UPDATE artifact SET observed_at = ? WHERE id = ?", rows)
    run_rows(
        db,
        """
        UPDATE artifact SET media_type = COALESCE(?, media_type), error_code = ?, error_message = ?
        WHERE id = ?
        """,
        lacks,
    )


def _revive(db: Connection, looks: Sequence[_Look], touched: Touched) -> None:
    keys = [
        (row.key, look.repository_id)
        for look in looks
        for digest, row in look.stored.items()
        if digest in look.seen and not row.is_present
    ]
    run_rows(db, "UPDATE artifact SET absent_at = NULL WHERE id = ?", [(key,) for key, _ in keys])
    touched.contents.update(key for key, _ in keys)
    touched.came.update(repository for _, repository in keys)


def _end(db: Connection, looks: Sequence[_Look], touched: Touched) -> None:
    rows = [
        (look.at, look.stored[digest].key, look.repository_id)
        for look in looks
        for digest in look.missing
        if digest in look.stored and look.stored[digest].is_present
    ]
    run_rows(db, "UPDATE artifact SET absent_at = ? WHERE id = ?", [(at, key) for at, key, _ in rows])
    touched.contents.update(key for _, key, _ in rows)
    touched.came.subtract(repository for _, _, repository in rows)


def _learn(
    db: Connection,
    looks: Sequence[_Look],
    blobs: Mapping[Digest, int],
    copied: Mapping[int, _Copied],
    touched: Touched,
) -> None:
    """Show what became known of artifacts whose manifest was not had until now."""
    rows = [
        (known.kind, known.artifact_type, known.os, known.architecture, known.created_at, row.key)
        for look in looks
        for digest, row in look.stored.items()
        if digest in look.seen and not row.has_manifest and (known := copied.get(blobs[digest])) is not None
    ]
    run_rows(
        db,
        """
        UPDATE artifact SET has_manifest = TRUE, media_type = NULL, error_code = NULL, error_message = NULL,
            kind = ?, artifact_type = ?, os = ?, architecture = ?, created_at = ?
        WHERE id = ?
        """,
        rows,
    )
    touched.contents.update(row[-1] for row in rows)


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


def _note_referrers(db: Connection, looks: Sequence[_Look]) -> None:
    at = {look.repository_id: look.at for look in looks}
    found = read_rows(
        db,
        """
        SELECT r.id, a.id
        FROM {text_groups} AS k
        CROSS JOIN repository AS r
        CROSS JOIN blob AS b
        CROSS JOIN artifact AS a
        WHERE r.id = CAST(g.key AS BIGINT) AND b.registry_id = r.registry_id AND b.digest = k.value
            AND a.repository_id = r.id AND a.manifest_id = b.id
        """,
        groups={look.repository_id: look.changes.referrers_observed for look in looks},
    )
    rows = [(at[repository], key) for repository, key in found]
    run_rows(db, "UPDATE artifact SET referrers_observed_at = ? WHERE id = ?", rows)

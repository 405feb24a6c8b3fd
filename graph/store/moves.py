"""Tags as looks at repositories saw them, and every move of theirs.

Rules of this file: rows of `tag` and `tag_move`. A tag that the registry would not resolve keeps what it
named before: not known is not none. A move is what was seen to change: the first sight comes from null, the
end goes to null, and what was not known before did not move. An absent tag names nothing and keeps its row.
What a look that began later has written of a tag stays: several processes may look at one repository.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from graph.oci.digest import Digest
from graph.oci.reference import TagName
from graph.oci.tags import ReferrerTagForm, parse_referrer_tag, version_key
from graph.store.blobs import Facts, put_blobs
from graph.store.bulk import insert_rows, next_keys, read_column, read_rows, run_rows
from graph.store.changes import Failure, RepositoryChanges, TagChange
from graph.store.tables import microseconds_of, tag, tag_move

# Microseconds by which a look may have begun before another and still be written after it. What is further
# ahead was written by a clock that was wrong, and holds nothing up.
MAX_OVERTAKING = 600_000_000


@dataclass(slots=True)
class TagEffects:
    """What the tags of some looks did to the repositories and the artifacts."""

    changed: set[int] = field(default_factory=set)  # repositories: a tag was first seen, moved or ended
    tags: Counter[int] = field(default_factory=Counter)  # how many more ordinary tags each of them has
    counts: Counter[int] = field(default_factory=Counter)  # how many more of them name each artifact
    referring: set[int] = field(default_factory=set)  # a referrer tag names them now, or did until now


@dataclass(frozen=True, slots=True)
class _Look:
    repository_id: int
    at: int
    changes: Mapping[TagName, TagChange]
    absent: Sequence[TagName]


@dataclass(frozen=True, slots=True)
class _Tag:
    key: int
    artifact_id: int | None
    subject_id: int | None
    is_referrer_tag: bool
    is_present: bool
    observed_at: int  # or found absent


class Moves:
    """Finds what the tags of some looks changed, then writes it: one statement for each kind of change."""

    def __init__(self, db: Connection, registry_id: int, looks: Mapping[int, RepositoryChanges]) -> None:
        """Read what is stored of the tags that are named, by the keys of their repositories."""
        self.effects = TagEffects()
        self._looks = [_look(repository, changes) for repository, changes in looks.items()]
        self._stored = _load_tags(db, self._looks)
        self._subjects = _put_subjects(
            db, registry_id, {name for look in self._looks for name in look.changes}
        )
        self._moves: list[tuple[int, int | None, int | None, int]] = []
        self._rows: list[tuple[object, ...]] = []
        self._seen: list[tuple[object, ...]] = []
        self._changed: list[tuple[object, ...]] = []
        self._ended: list[tuple[int, int, int]] = []

    def find(self, db: Connection, artifact_keys: Mapping[int, Mapping[Digest, int]]) -> None:
        """Find what changed; nothing is written yet.

        `artifact_keys` has, by repository, the key of each artifact that a tag names.
        """
        new = [
            (look, change)
            for look in self._looks
            for name, change in look.changes.items()
            if name not in self._stored[look.repository_id]
        ]
        for key, (look, change) in zip(next_keys(db, tag, len(new)), new, strict=True):
            self._see_first(look, key, change, artifact_keys[look.repository_id])
        for look in self._looks:
            for name, stored in self._stored[look.repository_id].items():
                if 0 < stored.observed_at - look.at <= MAX_OVERTAKING:
                    continue
                if name in look.changes:
                    self._see_again(look, stored, look.changes[name], artifact_keys[look.repository_id])
                elif stored.is_present:
                    self._end(look, stored)

    def _see_first(
        self, look: _Look, key: int, change: TagChange, artifact_keys: Mapping[Digest, int]
    ) -> None:
        target = None if change.digest is None else artifact_keys[change.digest]
        referrer_tag = parse_referrer_tag(change.name)
        self._rows.append(
            (
                key,
                look.repository_id,
                change.name,
                version_key(change.name),
                target,
                *_error_of(change.error),
                self._subjects.get(change.name),
                int(referrer_tag is not None),
                int(referrer_tag is not None and referrer_tag.form is ReferrerTagForm.FALLBACK),
                look.at,
                look.at,
            )
        )
        self._count(look, referrer_tag is not None, None, target, 1)
        self._move(look, key, None, target)

    def _see_again(
        self, look: _Look, stored: _Tag, change: TagChange, artifact_keys: Mapping[Digest, int]
    ) -> None:
        old = stored.artifact_id if stored.is_present else None
        target = old if change.digest is None else artifact_keys[change.digest]
        subject = self._subjects.get(change.name)
        if target == old and stored.is_present and subject == stored.subject_id:
            # Without an answer, what it names was last seen when it was last seen.
            self._seen.append(
                (None if change.digest is None else look.at, *_error_of(change.error), stored.key)
            )
            return
        has_moved = not stored.is_present or (old is not None and target != old)
        changed_at = look.at if has_moved else None
        self._changed.append((target, subject, *_error_of(change.error), look.at, changed_at, stored.key))
        self._count(look, stored.is_referrer_tag, old, target, 0 if stored.is_present else 1)
        self._move(look, stored.key, old, target)

    def _end(self, look: _Look, stored: _Tag) -> None:
        self._ended.append((look.at, look.at, stored.key))
        self._count(look, stored.is_referrer_tag, stored.artifact_id, None, -1)
        self._move(look, stored.key, stored.artifact_id, None)

    def _count(self, look: _Look, is_referrer_tag: bool, old: int | None, new: int | None, tags: int) -> None:
        effects = self.effects
        effects.changed.add(look.repository_id)
        named = [(key, step) for key, step in ((old, -1), (new, 1)) if key is not None]
        if is_referrer_tag:
            effects.referring.update(key for key, _ in named)
            return
        effects.tags[look.repository_id] += tags
        for key, step in named:
            effects.counts[key] += step

    def _move(self, look: _Look, key: int, old: int | None, new: int | None) -> None:
        if old != new:
            self._moves.append((key, old, new, look.at))

    def write(self, db: Connection) -> None:
        """Write what was found; the artifacts that tags name must be there by now."""
        insert_rows(db, tag, _COLUMNS, self._rows)
        run_rows(
            db,
            """
            UPDATE tag SET observed_at = COALESCE(?, observed_at), error_code = ?, error_message = ?
            WHERE id = ?
            """,
            self._seen,
        )
        run_rows(
            db,
            """
            UPDATE tag SET artifact_id = ?, referrer_subject_id = ?, error_code = ?, error_message = ?,
                observed_at = ?, changed_at = COALESCE(?, changed_at), absent_at = NULL
            WHERE id = ?
            """,
            self._changed,
        )
        run_rows(
            db,
            """
            UPDATE tag SET artifact_id = NULL, error_code = NULL, error_message = NULL,
                changed_at = ?, absent_at = ?
            WHERE id = ?
            """,
            self._ended,
        )
        columns = ("tag_id", "from_artifact_id", "to_artifact_id", "observed_at")
        insert_rows(db, tag_move, columns, self._moves)


_COLUMNS = (
    "id",
    "repository_id",
    "name",
    "version_key",
    "artifact_id",
    "error_code",
    "error_message",
    "referrer_subject_id",
    "is_referrer_tag",
    "is_fallback_tag",
    "first_seen_at",
    "observed_at",
)


def _look(repository_id: int, changes: RepositoryChanges) -> _Look:
    by_name = {change.name: change for change in changes.tags}
    # A tag that was both seen and missed, as when pages shift while they are read, was seen.
    absent = [name for name in changes.absent_tags if name not in by_name]
    return _Look(repository_id, microseconds_of(changes.at), by_name, absent)


def _load_tags(db: Connection, looks: Sequence[_Look]) -> dict[int, dict[TagName, _Tag]]:
    found = read_rows(
        db,
        """
        SELECT t.repository_id, t.name, t.id, t.artifact_id, t.referrer_subject_id, t.is_referrer_tag,
            t.absent_at, t.observed_at
        FROM {text_groups} AS k
        CROSS JOIN tag AS t WHERE t.repository_id = CAST(g.key AS BIGINT) AND t.name = k.value
        """,
        groups={look.repository_id: (*look.changes, *look.absent) for look in looks},
    )
    tags: dict[int, dict[TagName, _Tag]] = {look.repository_id: {} for look in looks}
    for repository, name, key, target, subject, is_referrer_tag, absent_at, observed_at in found:
        at = max(observed_at, absent_at or 0)
        tags[repository][name] = _Tag(key, target, subject, bool(is_referrer_tag), absent_at is None, at)
    return tags


def _put_subjects(db: Connection, registry_id: int, names: Iterable[TagName]) -> dict[TagName, int]:
    """Return the blob that each referrer tag refers to."""
    subjects: dict[TagName, Digest] = {}
    for name in names:
        referrer_tag = parse_referrer_tag(name)
        if referrer_tag is not None:
            subjects[name] = referrer_tag.subject or _find_half(db, registry_id, name)
    keys = put_blobs(db, registry_id, ((subject, Facts()) for subject in subjects.values()))
    return {name: keys[subject] for name, subject in subjects.items()}


def _find_half(db: Connection, registry_id: int, name: TagName) -> Digest:
    """Return the digest whose first half the tag holds, as with sha512.

    If nothing known begins so, the half stands for the whole: a subject that nobody has seen, which keeps its
    referrers live. To call them dangling would have them deleted.
    """
    algorithm, _, rest = name.partition("-")
    half = f"{algorithm}:{rest.partition('.')[0]}"
    known = read_column(
        db,
        """
        SELECT digest FROM blob WHERE registry_id = :registry AND digest > :half AND digest < :end LIMIT 1
        """,
        {"registry": registry_id, "half": half, "end": half + "g"},  # "g" is after every hexadecimal digit
    )
    return Digest(known[0] if known else half)


def _error_of(failure: Failure | None) -> tuple[str | None, str | None]:
    return (None, None) if failure is None else (failure.code, failure.message)

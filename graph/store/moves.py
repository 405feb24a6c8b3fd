"""Tags as one look at a repository saw them, and every move of theirs.

Rules of this file: rows of `tag` and `tag_move`. A tag that the registry would not resolve keeps what it
named before: not known is not none. A move is what was seen to change: the first sight comes from null, the
end goes to null, and what was not known before did not move. An absent tag names nothing and keeps its row.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from graph.oci.digest import Digest
from graph.oci.reference import TagName
from graph.oci.tags import ReferrerTagForm, parse_referrer_tag, version_key
from graph.store.blobs import Facts, put_blobs
from graph.store.bulk import insert_rows, next_keys, read_column, read_rows, run_rows
from graph.store.changes import Failure, TagChange
from graph.store.tables import tag, tag_move


@dataclass(slots=True)
class TagEffects:
    """What the tags of a look did to the artifacts."""

    is_changed: bool = False  # a tag was first seen, moved or ended
    tags: int = 0  # how many more ordinary tags there are
    counts: Counter[int] = field(default_factory=Counter)  # how many more of them name each artifact
    referring: set[int] = field(default_factory=set)  # a referrer tag names them now, or did until now


@dataclass(frozen=True, slots=True)
class _Tag:
    key: int
    artifact_id: int | None
    subject_id: int | None
    is_referrer_tag: bool
    is_present: bool


class Moves:
    """Finds what the tags of one look changed, then writes it: one statement for each kind of change."""

    def __init__(
        self,
        db: Connection,
        registry_id: int,
        repository_id: int,
        changes: Sequence[TagChange],
        absent: Sequence[TagName],
        at: int,
    ) -> None:
        """Read what is stored of the tags that are named; `at` in microseconds."""
        self.effects = TagEffects()
        self._repository_id = repository_id
        self._at = at
        # A tag that was both seen and missed, as when pages shift while they are read, was seen.
        self._changes = {change.name: change for change in changes}
        self._absent = [name for name in absent if name not in self._changes]
        self._stored = _load_tags(db, repository_id, (*self._changes, *self._absent))
        self._subjects = _put_subjects(db, registry_id, self._changes)
        self._moves: list[tuple[int, int | None, int | None, int]] = []
        self._rows: list[tuple[object, ...]] = []
        self._seen: list[tuple[object, ...]] = []
        self._changed: list[tuple[object, ...]] = []
        self._ended: list[tuple[int, int, int]] = []

    def find(self, db: Connection, artifact_keys: Mapping[Digest, int]) -> None:
        """Find what changed, given the key of each artifact that a tag names; nothing is written yet."""
        new = [change for name, change in self._changes.items() if name not in self._stored]
        for key, change in zip(next_keys(db, tag, len(new)), new, strict=True):
            self._see_first(key, change, artifact_keys)
        for name, stored in self._stored.items():
            if name in self._changes:
                self._see_again(stored, self._changes[name], artifact_keys)
            elif stored.is_present:
                self._end(stored)

    def _see_first(self, key: int, change: TagChange, artifact_keys: Mapping[Digest, int]) -> None:
        target = None if change.digest is None else artifact_keys[change.digest]
        referrer_tag = parse_referrer_tag(change.name)
        self._rows.append(
            (
                key,
                self._repository_id,
                change.name,
                version_key(change.name),
                target,
                *_error_of(change.error),
                self._subjects.get(change.name),
                int(referrer_tag is not None),
                int(referrer_tag is not None and referrer_tag.form is ReferrerTagForm.FALLBACK),
                self._at,
                self._at,
            )
        )
        self._count(referrer_tag is not None, None, target, 1)
        self._move(key, None, target)

    def _see_again(self, stored: _Tag, change: TagChange, artifact_keys: Mapping[Digest, int]) -> None:
        old = stored.artifact_id if stored.is_present else None
        target = old if change.digest is None else artifact_keys[change.digest]
        subject = self._subjects.get(change.name)
        if target == old and stored.is_present and subject == stored.subject_id:
            # Without an answer, what it names was last seen when it was last seen.
            self._seen.append(
                (None if change.digest is None else self._at, *_error_of(change.error), stored.key)
            )
            return
        has_moved = not stored.is_present or (old is not None and target != old)
        changed_at = self._at if has_moved else None
        self._changed.append((target, subject, *_error_of(change.error), self._at, changed_at, stored.key))
        self._count(stored.is_referrer_tag, old, target, 0 if stored.is_present else 1)
        self._move(stored.key, old, target)

    def _end(self, stored: _Tag) -> None:
        self._ended.append((self._at, self._at, stored.key))
        self._count(stored.is_referrer_tag, stored.artifact_id, None, -1)
        self._move(stored.key, stored.artifact_id, None)

    def _count(self, is_referrer_tag: bool, old: int | None, new: int | None, tags: int) -> None:
        effects = self.effects
        effects.is_changed = True
        named = [(key, step) for key, step in ((old, -1), (new, 1)) if key is not None]
        if is_referrer_tag:
            effects.referring.update(key for key, _ in named)
            return
        effects.tags += tags
        for key, step in named:
            effects.counts[key] += step

    def _move(self, key: int, old: int | None, new: int | None) -> None:
        if old != new:
            self._moves.append((key, old, new, self._at))

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


def _load_tags(db: Connection, repository_id: int, names: Collection[TagName]) -> dict[TagName, _Tag]:
    found = read_rows(
        db,
        """
        SELECT t.name, t.id, t.artifact_id, t.referrer_subject_id, t.is_referrer_tag, t.absent_at IS NULL
        FROM {texts} AS k CROSS JOIN tag AS t WHERE t.repository_id = :repository AND t.name = k.value
        """,
        {"repository": repository_id},
        texts=names,
    )
    return {
        name: _Tag(key, target, subject, bool(is_referrer_tag), bool(is_present))
        for name, key, target, subject, is_referrer_tag, is_present in found
    }


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

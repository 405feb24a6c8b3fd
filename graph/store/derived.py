"""What follows inside a repository from what was seen there: who refers to what, what is live, and why.

Rules of this file: it starts from the artifacts that looks touched, of as many repositories as were looked
at, and follows only what they can change: children and referrers, downwards, never into another repository.
Whatever lies above is read as it stands, since nothing below can change it. Who is live is decided by
`oci.liveness.classify`, never here. Counting is `counters.py`'s. Every join is a CROSS JOIN in the order of
the walk (bulk.py says why): SQLite would rather read the repository.
"""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import Connection

from graph.oci.liveness import Untagged, classify
from graph.store.bulk import read_column, read_rows, run
from graph.store.counters import StandingChange, count_contents
from graph.store.sizes import set_sizes


@dataclass(slots=True)
class Touched:
    """The artifacts of some repositories, by what the looks at them changed."""

    new: set[int] = field(default_factory=set)  # rows that did not exist
    contents: set[int] = field(default_factory=set)  # came, went, or had their manifest fetched; new ones too
    tagged: set[int] = field(default_factory=set)  # have an ordinary tag now, or none any more
    referring: set[int] = field(default_factory=set)  # a referrer tag names them now, or does not any more
    came: Counter[int] = field(default_factory=Counter)  # how many more are present, by repository


def derive(db: Connection, registry_id: int, touched: Touched) -> None:
    """Bring everything that follows from the touched artifacts up to date."""
    # No referrer tag names a new artifact but those of this very look.
    unnamed = touched.new - touched.referring
    edges = touched.contents | touched.referring
    edges |= _children_of_fallbacks(db, edges - unnamed)
    if not edges and not touched.tagged:
        return
    _set_referrers(db, edges, edges - unnamed, edges - touched.new)
    standings, live = _classify(db, edges | touched.tagged, touched.new)
    count_contents(
        db,
        registry_id,
        new=touched.new,
        contents=touched.contents,
        standings=standings,
        artifacts=touched.came,
        live_artifacts=live,
    )
    set_sizes(db, touched.contents)


def _children_of_fallbacks(db: Connection, artifact_ids: Collection[int]) -> set[int]:
    """Return what is listed by those of the artifacts that a fallback tag names, or may have named before."""
    children = read_column(
        db,
        """
        SELECT DISTINCT x.id
        FROM {keys} AS k
        CROSS JOIN artifact AS a
        CROSS JOIN manifest_child AS c
        CROSS JOIN artifact AS x
        WHERE a.id = k.value AND c.manifest_id = a.manifest_id
            AND x.repository_id = a.repository_id AND x.manifest_id = c.child_id
        """,
        keys=artifact_ids,
    )
    return set(children)


# A referrer that names its subject, whatever tags lead to it.
_BY_SUBJECT = """
SELECT a.repository_id, m.subject_id, a.id, 'SUBJECT'
FROM {keys} AS k
JOIN artifact AS a ON a.id = k.value
JOIN manifest AS m ON m.blob_id = a.manifest_id
WHERE a.absent_at IS NULL AND a.has_manifest AND m.subject_id IS NOT NULL
"""

_BY_TAG = """
SELECT a.repository_id, t.referrer_subject_id, a.id, 'REFERRER_TAG'
FROM {keys} AS k
JOIN artifact AS a ON a.id = k.value
JOIN tag AS t ON t.artifact_id = a.id
WHERE a.absent_at IS NULL AND t.absent_at IS NULL AND t.is_referrer_tag = TRUE
    AND NOT t.is_fallback_tag AND t.referrer_subject_id IS NOT NULL
"""

# What an index under a fallback tag lists are referrers, even if they do not name the subject themselves
# (distribution-spec, "Referrers Tag Schema").
_BY_FALLBACK = """
SELECT x.repository_id, t.referrer_subject_id, x.id, 'REFERRER_TAG'
FROM {keys} AS k
CROSS JOIN artifact AS x
CROSS JOIN manifest_child AS c
CROSS JOIN artifact AS a
CROSS JOIN tag AS t
WHERE x.id = k.value AND c.child_id = x.manifest_id
    AND a.repository_id = x.repository_id AND a.manifest_id = c.manifest_id AND t.artifact_id = a.id
    AND x.absent_at IS NULL AND a.absent_at IS NULL AND a.has_manifest AND t.absent_at IS NULL
    AND t.is_referrer_tag = TRUE AND t.is_fallback_tag AND t.referrer_subject_id <> x.manifest_id
"""

_FALLBACK_ITSELF = """
SELECT a.repository_id, t.referrer_subject_id, a.id, 'FALLBACK_INDEX'
FROM {keys} AS k
JOIN artifact AS a ON a.id = k.value
JOIN tag AS t ON t.artifact_id = a.id
WHERE a.absent_at IS NULL AND t.absent_at IS NULL AND t.is_referrer_tag = TRUE
    AND t.is_fallback_tag AND t.referrer_subject_id IS NOT NULL
"""


def _set_referrers(
    db: Connection, artifact_ids: Collection[int], named: Collection[int], old: Collection[int]
) -> None:
    """Set what the artifacts refer to. Referrer tags name only `named` ones; only `old` ones have edges."""
    run(db, "DELETE FROM referrer WHERE artifact_id IN (SELECT value FROM {keys} AS k)", keys=old)
    # The first claim about a pair stands.
    for edges, keys in (
        (_BY_SUBJECT, artifact_ids),
        (_BY_TAG, named),
        (_BY_FALLBACK, artifact_ids),
        (_FALLBACK_ITSELF, named),
    ):
        run(
            db,
            f"""
            INSERT INTO referrer (repository_id, subject_id, artifact_id, via)
            {edges} ON CONFLICT DO NOTHING
            """,
            keys=keys,
        )


_BELOW = """
WITH RECURSIVE below (id) AS (
    SELECT value FROM {keys} AS k
    UNION
    SELECT x.id
    FROM below
    CROSS JOIN artifact AS a
    CROSS JOIN manifest_child AS c
    CROSS JOIN artifact AS x
    WHERE a.id = below.id AND c.manifest_id = a.manifest_id
        AND x.repository_id = a.repository_id AND x.manifest_id = c.child_id
    UNION
    SELECT r.artifact_id
    FROM below
    CROSS JOIN artifact AS a
    CROSS JOIN referrer AS r
    WHERE a.id = below.id AND r.repository_id = a.repository_id AND r.subject_id = a.manifest_id
)
SELECT a.id, a.repository_id, a.absent_at IS NULL, a.tag_count > 0, a.is_live, a.untagged
FROM below JOIN artifact AS a ON a.id = below.id
"""

_INDEXES_ABOVE = """
SELECT DISTINCT p.id, p.is_live, x.id
FROM {keys} AS k
CROSS JOIN artifact AS x
CROSS JOIN manifest_child AS c
CROSS JOIN artifact AS p
WHERE x.id = k.value AND c.child_id = x.manifest_id
    AND p.repository_id = x.repository_id AND p.manifest_id = c.manifest_id
    AND p.absent_at IS NULL AND p.has_manifest
"""

_SUBJECTS_ABOVE = """
SELECT s.id, s.absent_at IS NULL, s.is_live, r.artifact_id
FROM {keys} AS k
JOIN referrer AS r ON r.artifact_id = k.value
LEFT JOIN artifact AS s ON s.repository_id = r.repository_id AND s.manifest_id = r.subject_id
"""


def _classify(
    db: Connection, seeds: Collection[int], new: Collection[int]
) -> tuple[list[StandingChange], Counter[int]]:
    """Return the standings that change, and how many more artifacts are live, by repository."""
    below = {key: rest for key, *rest in read_rows(db, _BELOW, keys=seeds)}
    present = {key for key, (_, is_present, *_) in below.items() if is_present}
    tagged = {key for key in present if below[key][2]}
    above: set[int] = set()
    children: dict[int, list[int]] = defaultdict(list)
    referrers: dict[int | None, list[int]] = defaultdict(list)
    for index, is_live, child in read_rows(db, _INDEXES_ABOVE, keys=present):
        children[index].append(child)
        if index not in below:
            above.add(index)
            if is_live:
                tagged.add(index)  # a root here: nothing below it can change that
    for subject, is_present, is_live, artifact in read_rows(db, _SUBJECTS_ABOVE, keys=present):
        # No row: nobody has looked for the subject, so it is not known to be absent.
        referrers[subject].append(artifact)
        if subject is not None and is_present and subject not in below:
            above.add(subject)
            if is_live:
                tagged.add(subject)
    standings = classify(present | above, tagged, children, referrers)
    changes: list[StandingChange] = []
    live: Counter[int] = Counter()
    for key, (repository, is_present, is_tagged, was_live, was_untagged) in below.items():
        if is_present:
            is_live, untagged = standings[key].is_live, standings[key].untagged
        else:
            is_live, untagged = False, None if is_tagged else Untagged.DANGLING
        live[repository] += is_live - (bool(was_live) and key not in new)
        if is_live != bool(was_live) or untagged != was_untagged:
            changes.append(StandingChange(key, is_live, untagged))
    return changes, live

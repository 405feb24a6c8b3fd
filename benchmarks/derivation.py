"""What follows from the rows of a first crawl, derived for a whole registry at once.

Rules of this file: statements over whole tables, which fill `artifact_blob`, `repository_blob`, `namespace`
and every counter. The store itself never does this (it counts changes); `graph.store.recount` holds the
result to a count from nothing. Written for SQLite, for one registry in which everything is present.
"""

from collections import Counter
from collections.abc import Iterator
from sqlite3 import Connection

from graph.oci.reference import RepositoryName, ancestors_of

_CONTENTS = """
INSERT INTO artifact_blob (artifact_id, blob_id)
SELECT id, manifest_id FROM artifact
UNION
SELECT a.id, m.config_id FROM artifact AS a JOIN manifest AS m ON m.blob_id = a.manifest_id
WHERE m.config_id IS NOT NULL
UNION
SELECT a.id, l.blob_id FROM artifact AS a JOIN manifest_layer AS l ON l.manifest_id = a.manifest_id
"""

# Keys rise as one look at a repository after the other gives them.
_HOLDERS = """
INSERT INTO repository_blob
    (repository_id, repository_name, blob_id, is_layer, artifact_count, live_artifact_count)
SELECT a.repository_id, r.name, b.id, b.is_layer, COUNT(*), SUM(a.is_live)
FROM artifact AS a
JOIN repository AS r ON r.id = a.repository_id
JOIN artifact_blob AS ab ON ab.artifact_id = a.id
JOIN blob AS b ON b.id = ab.blob_id
GROUP BY a.repository_id, b.id ORDER BY a.repository_id, b.id
"""

_BLOBS = """
UPDATE blob
SET artifact_count = u.artifacts, live_artifact_count = u.live,
    repository_count = u.repositories, live_repository_count = u.live_repositories,
    saved_bytes = CASE WHEN is_layer AND NOT is_empty THEN size * (u.artifacts - 1) ELSE 0 END
FROM (
    SELECT blob_id, SUM(artifact_count) AS artifacts, SUM(live_artifact_count) AS live,
        COUNT(*) AS repositories, SUM(live_artifact_count > 0) AS live_repositories
    FROM repository_blob GROUP BY blob_id
) AS u
WHERE blob.id = u.blob_id
"""


def derive(db: Connection) -> Iterator[str]:
    """Derive everything; gives the name of each step before it is taken."""
    for step, statement in (
        ("what artifacts use", _CONTENTS),
        ("what repositories hold", _HOLDERS),
        ("counters of blobs", _BLOBS),
        ("totals of repositories", _repository_totals()),
        ("totals of the registry", _registry_totals()),
    ):
        yield step
        db.execute(statement)
    yield "namespaces"
    _derive_namespaces(db)


def _assign(source: str) -> str:
    names = [
        f"{live}{name}"
        for live in ("", "live_")
        for name in ("artifact_count", "layer_count", "logical_bytes", "stored_bytes")
    ]
    return ", ".join(f"{name} = {source}.{name}" for name in names)


def _sums(use: str) -> str:
    return ", ".join(
        f"""
        SUM({use}.{live}artifact_count > 0 AND b.is_layer) AS {live}layer_count,
        SUM(b.size * {use}.{live}artifact_count) AS {live}logical_bytes,
        SUM(CASE WHEN {use}.{live}artifact_count > 0 THEN b.size ELSE 0 END) AS {live}stored_bytes"""
        for live in ("", "live_")
    )


def _repository_totals() -> str:
    return f"""
    UPDATE repository SET {_assign("u")}
    FROM (
        SELECT rb.repository_id, {_sums("rb")},
            (SELECT COUNT(*) FROM artifact AS a WHERE a.repository_id = rb.repository_id)
                AS artifact_count,
            (SELECT SUM(a.is_live) FROM artifact AS a WHERE a.repository_id = rb.repository_id)
                AS live_artifact_count
        FROM repository_blob AS rb JOIN blob AS b ON b.id = rb.blob_id
        GROUP BY rb.repository_id
    ) AS u
    WHERE repository.id = u.repository_id
    """


def _registry_totals() -> str:
    return f"""
    UPDATE registry
    SET {_assign("u")}, repository_count = u.repositories,
        repositories_done = u.repositories, repositories_total = u.repositories
    FROM (
        SELECT {_sums("b")},
            (SELECT COUNT(*) FROM artifact) AS artifact_count,
            (SELECT SUM(is_live) FROM artifact) AS live_artifact_count,
            (SELECT COUNT(*) FROM repository) AS repositories
        FROM blob AS b
    ) AS u
    """


def _derive_namespaces(db: Connection) -> None:
    counts: Counter[tuple[int, str]] = Counter()
    for registry, name in db.execute("SELECT registry_id, name FROM repository WHERE namespace IS NOT NULL"):
        counts.update((registry, namespace) for namespace in ancestors_of(RepositoryName(name)))
    db.executemany(
        "INSERT INTO namespace (registry_id, name, repository_count) VALUES (?, ?, ?)",
        ((registry, name, count) for (registry, name), count in sorted(counts.items())),
    )

"""Sums over whole registries, and where the store says otherwise.

Rules of this file: it stands on what the recount of each repository has checked: `artifact_blob`, standings
and the totals of repositories.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from sqlalchemy import Connection

from graph.oci.digest import EMPTY_DIGESTS
from graph.oci.reference import ancestors_of
from graph.store.recount.difference import Difference, compare, rows_of
from graph.store.recount.repository import TOTALS

# Blobs of one statement: a few milliseconds, so that progress is told and memory does not grow.
BLOBS_PER_STATEMENT = 5_000


def count_strays(db: Connection) -> Iterator[Difference]:
    """Rows that describe what is not there at all, and flags that the lists of a manifest decide."""
    for table in ("artifact_blob", "referrer"):
        stray = f"SELECT COUNT(*) FROM {table} WHERE artifact_id NOT IN (SELECT id FROM artifact)"
        yield from compare(f"{table} without artifact", rows_of(db, stray)[0][0], 0)
    layers = "SELECT COUNT(*) FROM blob WHERE is_layer <> (id IN (SELECT blob_id FROM manifest_layer))"
    yield from compare("blobs with a wrong is_layer", rows_of(db, layers)[0][0], 0)
    children = """
        SELECT COUNT(*) FROM manifest AS m
        WHERE child_count <> (SELECT COUNT(*) FROM manifest_child AS c WHERE c.manifest_id = m.blob_id)
        """
    yield from compare("manifests with a wrong child_count", rows_of(db, children)[0][0], 0)


def count_blobs(db: Connection, tell: Callable[[int, int], None]) -> Iterator[Difference]:
    """The counters of every blob; `tell` gets the keys done and the last key."""
    ((last,),) = rows_of(db, "SELECT COALESCE(MAX(id), 0) FROM blob")
    for start in range(0, last, BLOBS_PER_STATEMENT):
        rows = rows_of(
            db,
            """
            SELECT b.id, b.is_empty, b.artifact_count, b.live_artifact_count, b.repository_count,
                b.live_repository_count, b.saved_bytes, b.digest, COALESCE(b.size, 0),
                b.is_layer AND NOT b.is_foreign,
                COUNT(a.id), COUNT(CASE WHEN a.is_live THEN 1 END),
                COUNT(DISTINCT a.repository_id), COUNT(DISTINCT CASE WHEN a.is_live THEN a.repository_id END)
            FROM blob AS b
            LEFT JOIN artifact_blob AS ab ON ab.blob_id = b.id
            LEFT JOIN artifact AS a ON a.id = ab.artifact_id
            WHERE b.id > :start AND b.id <= :end GROUP BY b.id
            """,
            start=start,
            end=start + BLOBS_PER_STATEMENT,
        )
        for key, *stored, digest, size, is_saved, artifacts, live, repositories, live_repositories in rows:
            is_empty = digest in EMPTY_DIGESTS
            saved = size * (artifacts - 1) if is_saved and not is_empty and artifacts > 1 else 0
            counted = [is_empty, artifacts, live, repositories, live_repositories, saved]
            yield from compare(f"blob {key} counters", stored, counted)
        tell(min(start + BLOBS_PER_STATEMENT, last), last)


def count_registries(db: Connection) -> Iterator[Difference]:
    """The totals of every registry."""
    for key, repositories, *stored in rows_of(db, f"SELECT id, repository_count, {TOTALS} FROM registry"):
        present = "SELECT COUNT(*) FROM repository WHERE registry_id = :key AND absent_at IS NULL"
        yield from compare(
            f"registry {key} repository_count", repositories, rows_of(db, present, key=key)[0][0]
        )
        counted: list[int] = []
        for live in ("", "live_"):
            counted += rows_of(
                db,
                f"SELECT COALESCE(SUM({live}artifact_count), 0) FROM repository WHERE registry_id = :key",
                key=key,
            )[0]
            counted += rows_of(
                db,
                f"""
                SELECT COALESCE(SUM(CASE WHEN is_layer AND {live}artifact_count > 0 THEN 1 ELSE 0 END), 0),
                    COALESCE(SUM(COALESCE(size, 0) * {live}artifact_count), 0),
                    COALESCE(SUM(CASE WHEN {live}artifact_count > 0 AND NOT is_foreign
                        THEN COALESCE(size, 0) ELSE 0 END), 0)
                FROM blob WHERE registry_id = :key
                """,
                key=key,
            )[0]
        yield from compare(f"registry {key} totals", stored, counted)


def count_namespaces(db: Connection) -> Iterator[Difference]:
    """The namespace of every repository, and how many repositories each namespace has."""
    counted: Counter[tuple[int, str]] = Counter()
    for registry, name, namespace, is_present in rows_of(
        db, "SELECT registry_id, name, namespace, absent_at IS NULL FROM repository"
    ):
        yield from compare(f"repository {name!r} namespace", namespace, name.rpartition("/")[0] or None)
        if is_present:
            counted.update((registry, above) for above in ancestors_of(name))
    stored = Counter(
        {
            (registry, name): count
            for registry, name, count in rows_of(
                db, "SELECT registry_id, name, repository_count FROM namespace"
            )
        }
    )
    for place in counted.keys() | stored.keys():
        yield from compare(f"namespace {place}", stored[place], counted[place])

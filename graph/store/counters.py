"""The counters beside the data: which artifacts and repositories use a blob, and what that adds up to.

Rules of this file: changes go in, never a recount, and nothing outside the repositories is read but the blobs
that they touch. `artifact_blob` says what each present artifact uses; every figure follows from it and from
the facts of the blobs. A change is taken as the state after it less the state before it, so the same steps
serve an artifact that came, went, became live or had its manifest fetched. `recount.py` is what checks it.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import BigInteger, Column, Connection, Dialect, MetaData, Table
from sqlalchemy.schema import CreateTable

from graph.oci.reference import RepositoryName, ancestors_of
from graph.store.bulk import insert_rows, read_column, read_rows, run, run_rows
from graph.store.sizes import set_sizes
from graph.store.tables import Key

# Tables of the writer's connection alone, empty between two uses.
_own = MetaData()
_content_change = Table(
    "content_change",
    _own,
    Column("repository_id", BigInteger, nullable=False),
    Column("blob_id", BigInteger, nullable=False),
    Column("artifacts", BigInteger, nullable=False),
    Column("live", BigInteger, nullable=False),
    prefixes=["TEMPORARY"],
)
_content_total = Table(  # what changes about the use of a blob in one repository
    "content_total",
    _own,
    Column("repository_id", BigInteger, nullable=False),
    Column("blob_id", BigInteger, nullable=False),
    Column("artifacts", BigInteger, nullable=False),
    Column("live", BigInteger, nullable=False),
    Column("use_id", BigInteger),  # the row of repository_blob, if there is one
    Column("old_artifacts", BigInteger, nullable=False),  # of the repository
    Column("old_live", BigInteger, nullable=False),
    prefixes=["TEMPORARY"],
)
_blob_total = Table(  # the same of all repositories together
    "blob_total",
    _own,
    Column("blob_id", Key, primary_key=True),
    Column("artifacts", BigInteger, nullable=False),
    Column("live", BigInteger, nullable=False),
    Column("repositories", BigInteger, nullable=False),
    Column("live_repositories", BigInteger, nullable=False),
    prefixes=["TEMPORARY"],
)
_blob_change = Table(
    "blob_change",
    _own,
    Column("blob_id", Key, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("layer", BigInteger, nullable=False),
    prefixes=["TEMPORARY"],
)

_TOTALS = (
    "artifact_count",
    "live_artifact_count",
    "layer_count",
    "live_layer_count",
    "logical_bytes",
    "live_logical_bytes",
    "stored_bytes",
    "live_stored_bytes",
)
_ADD_TOTALS = ", ".join(f"{name} = {name} + ?" for name in _TOTALS)
_NOTHING = (0,) * 6  # more of all totals but the first two

_SAVED = """CASE WHEN is_layer AND NOT is_empty AND NOT is_foreign AND {count} > 1
    THEN COALESCE(size, 0) * ({count} - 1) ELSE 0 END"""


@dataclass(frozen=True, slots=True)
class BlobChange:
    """How much more a blob weighs, takes up, and is a layer (1, 0 or −1) than before."""

    blob_id: int
    size: int
    stored: int
    layer: int


@dataclass(frozen=True, slots=True)
class StandingChange:
    """What an artifact became: live or not, and why it is there without a tag."""

    artifact_id: int
    is_live: bool
    untagged: str | None


def count_contents(
    db: Connection,
    registry_id: int,
    *,
    new: Set[int],
    contents: Set[int],
    standings: Sequence[StandingChange],
    artifacts: Mapping[int, int],
    live_artifacts: Mapping[int, int],
) -> None:
    """Set the standings, and bring what artifacts use and all that is counted up to date.

    `contents` are the artifacts that came, went or had their manifest fetched, in whatever repositories;
    `artifacts` and `live_artifacts` say how many more there are now, by the key of the repository.
    """
    _start(db, _content_change, _content_total, _blob_total)
    touched = {*contents, *(standing.artifact_id for standing in standings)}
    _note_contents(db, touched - new, "-1")
    run_rows(
        db,
        "UPDATE artifact SET is_live = ?, untagged = ? WHERE id = ?",
        [(int(standing.is_live), standing.untagged, standing.artifact_id) for standing in standings],
    )
    _rewrite_contents(db, contents, contents - new)
    _note_contents(db, touched, "1")
    run(
        db,
        """
        INSERT INTO content_total
            (repository_id, blob_id, artifacts, live, use_id, old_artifacts, old_live)
        SELECT change.repository_id, change.blob_id, change.artifacts, change.live, rb.id,
            COALESCE(rb.artifact_count, 0), COALESCE(rb.live_artifact_count, 0)
        FROM (SELECT repository_id, blob_id, SUM(artifacts) AS artifacts, SUM(live) AS live
            FROM content_change GROUP BY repository_id, blob_id) AS change
        LEFT JOIN repository_blob AS rb
            ON rb.repository_id = change.repository_id AND rb.blob_id = change.blob_id
        WHERE change.artifacts <> 0 OR change.live <> 0
        """,
    )
    run(
        db,
        f"""
        INSERT INTO blob_total (blob_id, artifacts, live, repositories, live_repositories)
        SELECT blob_id, SUM(artifacts), SUM(live),
            SUM({_turn("old_artifacts", "artifacts")}), SUM({_turn("old_live", "live")})
        FROM content_total GROUP BY blob_id
        """,
    )
    _add_totals(db, registry_id, artifacts, live_artifacts)
    _count_in_repositories(db)
    _count_in_registry(db)


def _start(db: Connection, *tables: Table) -> None:
    for table in tables:
        run(db, _creation(table, db.dialect))
        run(db, f"DELETE FROM {table.name}")


@lru_cache(maxsize=8)  # one for each table above: SQLAlchemy does not keep compiled DDL
def _creation(table: Table, dialect: Dialect) -> str:
    return str(CreateTable(table, if_not_exists=True).compile(dialect=dialect))


def _note_contents(db: Connection, artifact_ids: Collection[int], sign: str) -> None:
    run(
        db,
        f"""
        INSERT INTO content_change (repository_id, blob_id, artifacts, live)
        SELECT a.repository_id, ab.blob_id, {sign}, CASE WHEN a.is_live THEN {sign} ELSE 0 END
        FROM {{keys}} AS k
        JOIN artifact AS a ON a.id = k.value
        JOIN artifact_blob AS ab ON ab.artifact_id = a.id
        """,
        keys=artifact_ids,
    )


def _rewrite_contents(db: Connection, artifact_ids: Collection[int], old: Collection[int]) -> None:
    run(db, "DELETE FROM artifact_blob WHERE artifact_id IN (SELECT value FROM {keys} AS k)", keys=old)
    run(
        db,
        """
        INSERT INTO artifact_blob (artifact_id, blob_id)
        SELECT a.id, a.manifest_id
        FROM {keys} AS k JOIN artifact AS a ON a.id = k.value
        WHERE a.absent_at IS NULL
        UNION ALL
        SELECT a.id, m.config_id
        FROM {keys} AS k JOIN artifact AS a ON a.id = k.value JOIN manifest AS m ON m.blob_id = a.manifest_id
        WHERE a.absent_at IS NULL AND a.has_manifest AND m.config_id IS NOT NULL
        UNION ALL
        SELECT a.id, l.blob_id
        FROM {keys} AS k
        JOIN artifact AS a ON a.id = k.value
        JOIN manifest_layer AS l ON l.manifest_id = a.manifest_id
        WHERE a.absent_at IS NULL AND a.has_manifest
        ON CONFLICT DO NOTHING
        """,
        keys=artifact_ids,
    )


def _turn(old: str, change: str) -> str:
    """SQL: 1 where something begins to be used by this change, −1 where it ceases to, else 0."""
    return (
        f"CASE WHEN {old} = 0 AND {old} + {change} > 0 THEN 1 "
        f"WHEN {old} > 0 AND {old} + {change} = 0 THEN -1 ELSE 0 END"
    )


def _sums(total: str, turn: str, live_turn: str) -> str:
    """SQL: what the changes of uses in `total`, joined to `b`, its blob, add up to: the last six totals."""
    layer = "CASE WHEN b.is_layer THEN 1 ELSE 0 END"
    stored = "CASE WHEN b.is_foreign THEN 0 ELSE COALESCE(b.size, 0) END"
    return f"""
        SUM({turn} * {layer}), SUM({live_turn} * {layer}),
        SUM({total}.artifacts * COALESCE(b.size, 0)), SUM({total}.live * COALESCE(b.size, 0)),
        SUM({turn} * {stored}), SUM({live_turn} * {stored})"""


def _add_totals(
    db: Connection, registry_id: int, artifacts: Mapping[int, int], live_artifacts: Mapping[int, int]
) -> None:
    sums = _sums(
        "total", _turn("total.old_artifacts", "total.artifacts"), _turn("total.old_live", "total.live")
    )
    found = read_rows(
        db,
        f"""
        SELECT total.repository_id, {sums}
        FROM content_total AS total CROSS JOIN blob AS b WHERE b.id = total.blob_id
        GROUP BY total.repository_id
        """,
    )
    more: dict[int, Sequence[int]] = {key: rest for key, *rest in found}
    run_rows(
        db,
        f"UPDATE repository SET {_ADD_TOTALS} WHERE id = ?",
        [
            (artifacts.get(key, 0), live_artifacts.get(key, 0), *more.get(key, _NOTHING), key)
            for key in artifacts.keys() | live_artifacts.keys() | more.keys()
        ],
    )
    sums = _sums(
        "total", _turn("b.artifact_count", "total.artifacts"), _turn("b.live_artifact_count", "total.live")
    )
    ((*all_more,),) = read_rows(
        db, f"SELECT {sums} FROM blob_total AS total CROSS JOIN blob AS b WHERE b.id = total.blob_id"
    )
    values = (
        sum(artifacts.values()),
        sum(live_artifacts.values()),
        *(value or 0 for value in all_more),
        registry_id,
    )
    run_rows(db, f"UPDATE registry SET {_ADD_TOTALS} WHERE id = ?", [values])


def _count_in_repositories(db: Connection) -> None:
    run(
        db,
        """
        INSERT INTO repository_blob
            (repository_id, repository_name, blob_id, is_layer, artifact_count, live_artifact_count)
        SELECT r.id, r.name, total.blob_id, b.is_layer, total.artifacts, total.live
        FROM content_total AS total CROSS JOIN blob AS b CROSS JOIN repository AS r
        WHERE b.id = total.blob_id AND r.id = total.repository_id AND total.old_artifacts = 0
        ORDER BY total.repository_id, total.blob_id
        """,
    )
    run(
        db,
        """
        DELETE FROM repository_blob
        WHERE id IN (SELECT use_id FROM content_total WHERE old_artifacts + artifacts = 0)
        """,
    )
    kept = read_rows(
        db,
        """
        SELECT old_artifacts + artifacts, old_live + live, use_id FROM content_total AS total
        WHERE old_artifacts > 0 AND old_artifacts + artifacts > 0
        """,
    )
    run_rows(db, "UPDATE repository_blob SET artifact_count = ?, live_artifact_count = ? WHERE id = ?", kept)


def _count_in_registry(db: Connection) -> None:
    # The IN says again what the join does: SQLite would walk the whole table to find the few rows.
    run(
        db,
        f"""
        UPDATE blob
        SET artifact_count = artifact_count + total.artifacts,
            live_artifact_count = live_artifact_count + total.live,
            repository_count = repository_count + total.repositories,
            live_repository_count = live_repository_count + total.live_repositories,
            saved_bytes = {_SAVED.format(count="(artifact_count + total.artifacts)")}
        FROM blob_total AS total
        WHERE blob.id IN (SELECT blob_id FROM blob_total) AND blob.id = total.blob_id
        """,
    )


def count_blob_changes(db: Connection, registry_id: int, changes: Sequence[BlobChange]) -> None:
    """Carry what became known of blobs into every sum that holds them; the blobs themselves are set already.

    Rare: each blob passes from no size to a claimed and to a verified one, becomes a layer, or ceases to be
    foreign, once at most.
    """
    felt = [change for change in changes if change.size or change.stored or change.layer]
    if not felt:
        return
    _start(db, _blob_change)
    insert_rows(
        db,
        _blob_change,
        ("blob_id", "size", "stored", "layer"),
        [(change.blob_id, change.size, change.stored, change.layer) for change in felt],
    )
    _add_to_totals(db, registry_id)
    run(
        db,
        """
        UPDATE repository_blob
        SET is_layer = (SELECT b.is_layer FROM blob AS b WHERE b.id = repository_blob.blob_id)
        WHERE blob_id IN (SELECT blob_id FROM blob_change WHERE layer <> 0)
        """,
    )
    run(
        db,
        f"""
        UPDATE blob SET saved_bytes = {_SAVED.format(count="artifact_count")}
        WHERE id IN (SELECT blob_id FROM blob_change)
        """,
    )
    users = """
        SELECT ab.artifact_id FROM blob_change AS change CROSS JOIN artifact_blob AS ab
        WHERE ab.blob_id = change.blob_id AND change.size <> 0
        """
    set_sizes(db, set(read_column(db, users)))


def _add_to_totals(db: Connection, registry_id: int) -> None:
    """Add blob_change to the totals of every repository that uses one of its blobs, and of the registry."""
    names = _TOTALS[2:]
    set_clause = ", ".join(f"{name} = {{table}}.{name} + more.{name}" for name in names)
    sums = """
        SUM(change.layer * CASE WHEN used.artifact_count > 0 THEN 1 ELSE 0 END) AS layer_count,
        SUM(change.layer * CASE WHEN used.live_artifact_count > 0 THEN 1 ELSE 0 END) AS live_layer_count,
        SUM(change.size * used.artifact_count) AS logical_bytes,
        SUM(change.size * used.live_artifact_count) AS live_logical_bytes,
        SUM(change.stored * CASE WHEN used.artifact_count > 0 THEN 1 ELSE 0 END) AS stored_bytes,
        SUM(change.stored * CASE WHEN used.live_artifact_count > 0 THEN 1 ELSE 0 END) AS live_stored_bytes"""
    run(
        db,
        f"""
        UPDATE repository SET {set_clause.format(table="repository")}
        FROM (SELECT used.repository_id AS id, {sums}
            FROM blob_change AS change CROSS JOIN repository_blob AS used
            WHERE used.blob_id = change.blob_id
            GROUP BY used.repository_id) AS more
        WHERE repository.id = more.id
        """,
    )
    run(
        db,
        f"""
        UPDATE registry SET {set_clause.format(table="registry")}
        FROM (SELECT {sums}
            FROM blob_change AS change CROSS JOIN blob AS used WHERE used.id = change.blob_id) AS more
        WHERE registry.id = :registry
        """,
        {"registry": registry_id},
    )


def count_repositories(
    db: Connection, registry_id: int, names: Collection[RepositoryName], step: int
) -> None:
    """Count repositories that came (1) or went (−1), in the registry and in every namespace above them."""
    if not names:
        return
    run(
        db,
        "UPDATE registry SET repository_count = repository_count + :more WHERE id = :registry",
        {"more": step * len(names), "registry": registry_id},
    )
    above = Counter(namespace for name in names for namespace in ancestors_of(name))
    run_rows(
        db,
        """
        INSERT INTO namespace (registry_id, name, repository_count) VALUES (?, ?, ?)
        ON CONFLICT (registry_id, name)
        DO UPDATE SET repository_count = namespace.repository_count + excluded.repository_count
        """,
        [(registry_id, name, step * count) for name, count in above.items()],
    )

"""Set what registries and repositories were seen to be: configured, listed, crawled, looked at, gone.

Rules of this file: everything here is mutable and carries the time it was observed. Nothing is deleted: what
is gone gets `absent_at`. Each function is one step of a transaction that the caller holds; `set_repository`
leaves every figure that follows from it right.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from graph.errors import RegistryThrottledError
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName, namespace_of
from graph.store.bulk import insert_rows, next_keys, read_column, read_rows, run, run_rows
from graph.store.changes import (
    ConfiguredRegistry,
    CrawlPoint,
    Failure,
    KnownArtifact,
    KnownRepository,
    KnownTag,
    RepositoryChanges,
)
from graph.store.counters import count_repositories
from graph.store.derived import derive
from graph.store.sightings import set_sightings
from graph.store.tables import microseconds_of, moment_of, repository


def set_registries(db: Connection, registries: Sequence[ConfiguredRegistry], at: datetime) -> list[int]:
    """Set the registries that are configured; return their keys, in the same order.

    One that is configured no more keeps what is known of it.
    """
    rows = [
        (item.name, item.url, item.dialect, int(item.is_partial), microseconds_of(at)) for item in registries
    ]
    run_rows(
        db,
        """
        INSERT INTO registry (name, url, dialect, is_partial, first_seen_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (name) DO UPDATE
        SET url = excluded.url, dialect = excluded.dialect, is_partial = excluded.is_partial
        """,
        rows,
    )
    found = "SELECT r.name, r.id FROM {texts} AS k JOIN registry AS r ON r.name = k.value"
    keys = dict(read_rows(db, found, texts=[item.name for item in registries]))
    return [keys[item.name] for item in registries]


def set_capabilities(db: Connection, registry_id: int, capabilities: Mapping[str, str]) -> None:
    """Set what the registry was found able to do: UNKNOWN, SUPPORTED or UNSUPPORTED by name."""
    text = json.dumps(dict(sorted(capabilities.items())))
    run(db, "UPDATE registry SET capabilities = :text WHERE id = :id", {"text": text, "id": registry_id})


def put_repository(db: Connection, registry_id: int, name: RepositoryName, at: datetime) -> int:
    """Return the key of the repository, which is new if nobody has named it before."""
    return put_repositories(db, registry_id, {name: at})[name]


def set_catalog_page(
    db: Connection, registry_id: int, names: Sequence[RepositoryName], at: datetime
) -> list[int]:
    """Note that the catalog names these repositories; return their keys, in the same order.

    One that is absent stays so until somebody looks: some registries list repositories for ever.
    """
    keys = put_repositories(db, registry_id, dict.fromkeys(names, at))
    rows = [(microseconds_of(at), key) for key in keys.values()]
    run_rows(db, "UPDATE repository SET listed_at = ? WHERE id = ?", rows)
    return [keys[name] for name in names]


def put_repositories(
    db: Connection, registry_id: int, names: Mapping[RepositoryName, datetime]
) -> dict[RepositoryName, int]:
    """Return the keys of the repositories; one that nobody has named before is new, and first seen then."""
    found = read_rows(
        db,
        """
        SELECT r.name, r.id FROM {texts} AS k
        CROSS JOIN repository AS r WHERE r.registry_id = :registry AND r.name = k.value
        """,
        {"registry": registry_id},
        texts=names,
    )
    keys: dict[RepositoryName, int] = dict(found)
    new = [name for name in names if name not in keys]
    keys.update(zip(new, next_keys(db, repository, len(new)), strict=True))
    columns = ("id", "registry_id", "name", "namespace", "first_seen_at")
    rows = [(keys[name], registry_id, name, namespace_of(name), microseconds_of(names[name])) for name in new]
    insert_rows(db, repository, columns, rows)
    count_repositories(db, registry_id, new, 1)
    return keys


def set_catalog_complete(db: Connection, registry_id: int, started_at: datetime) -> None:
    """Note that the catalog was read to its end, by a listing that began at `started_at`."""
    run(
        db,
        "UPDATE registry SET catalog_observed_at = :at WHERE id = :id",
        {"at": microseconds_of(started_at), "id": registry_id},
    )


def repositories_missing_since(
    db: Connection, registry_id: int, since: datetime
) -> list[tuple[int, RepositoryName]]:
    """Return the present repositories that the catalog has not named since then: they may be gone."""
    found = read_rows(
        db,
        """
        SELECT id, name FROM repository
        WHERE registry_id = :registry AND absent_at IS NULL AND (listed_at IS NULL OR listed_at < :since)
        ORDER BY id
        """,
        {"registry": registry_id, "since": microseconds_of(since)},
    )
    return [(key, name) for key, name in found]


def start_crawl(db: Connection, registry_id: int, at: datetime) -> CrawlPoint:
    """Begin a crawl; or go on with one that a process left when it was killed."""
    state, began, code = read_rows(
        db,
        "SELECT sync_state, sync_started_at, sync_error_code FROM registry WHERE id = :id",
        {"id": registry_id},
    )[0]
    started_at = moment_of(began)
    if state == "RUNNING" and started_at is not None:
        return CrawlPoint(started_at, is_resumed=True)
    run(
        db,
        """
        UPDATE registry
        SET sync_state = 'RUNNING', sync_started_at = :at, repositories_done = 0, repositories_total = 0
        WHERE id = :id
        """,
        {"at": microseconds_of(at), "id": registry_id},
    )
    return CrawlPoint(at, is_resumed=False, was_throttled=code == RegistryThrottledError.code)


def set_progress(db: Connection, registry_id: int, done: int, total: int) -> None:
    """Set how many repositories the crawl has finished, of how many."""
    run(
        db,
        "UPDATE registry SET repositories_done = :done, repositories_total = :total WHERE id = :id",
        {"done": done, "total": total, "id": registry_id},
    )


def finish_crawl(db: Connection, registry_id: int, at: datetime, failure: Failure | None) -> None:
    """Note that the crawl ended, and why if it failed as a whole."""
    run(
        db,
        """
        UPDATE registry
        SET sync_state = :state, sync_finished_at = :at,
            sync_error_code = :code, sync_error_message = :message
        WHERE id = :id
        """,
        {
            "state": "IDLE" if failure is None else "FAILED",
            "at": microseconds_of(at),
            "code": None if failure is None else failure.code,
            "message": None if failure is None else failure.message,
            "id": registry_id,
        },
    )


def pending_repositories(
    db: Connection, registry_id: int, started_at: datetime, after_id: int, limit: int
) -> list[tuple[int, RepositoryName]]:
    """Return the next repositories that the crawl begun at `started_at` has not finished, by key.

    Those that are absent count only if the catalog has named them again since.
    """
    # The plus keeps SQLite from the indexes of the registry: by any of them it reads and sorts all that is
    # left, for each page, where a walk by key stops at the last of the page.
    found = read_rows(
        db,
        """
        SELECT id, name FROM repository
        WHERE +registry_id = :registry AND id > :after
            AND (crawled_at IS NULL OR crawled_at < :started)
            AND (absent_at IS NULL OR listed_at >= :started)
        ORDER BY id LIMIT :limit
        """,
        {
            "registry": registry_id,
            "after": after_id,
            "started": microseconds_of(started_at),
            "limit": limit,
        },
    )
    return [(key, name) for key, name in found]


def count_progress(db: Connection, registry_id: int, started_at: datetime) -> tuple[int, int]:
    """Return how many repositories the crawl begun at `started_at` has finished, and of how many.

    The others are those that `pending_repositories` has yet to give.
    """
    done, pending = read_rows(
        db,
        """
        SELECT COUNT(*) FILTER (WHERE crawled_at >= :started),
            COUNT(*) FILTER (
                WHERE (crawled_at IS NULL OR crawled_at < :started)
                    AND (absent_at IS NULL OR listed_at >= :started)
            )
        FROM repository WHERE registry_id = :registry
        """,
        {"registry": registry_id, "started": microseconds_of(started_at)},
    )[0]
    return done, done + pending


def load_known(db: Connection, repository_id: int) -> KnownRepository:
    """Return all that is stored of a repository, to be compared with what the registry says now.

    Raises KeyError if there is none.
    """
    found = read_column(db, "SELECT crawled_at FROM repository WHERE id = :id", {"id": repository_id})
    if not found:
        raise KeyError(repository_id)
    return KnownRepository(
        crawled_at=moment_of(found[0]),
        tags=_load_tags(db, repository_id),
        artifacts=_load_artifacts(db, repository_id),
    )


def _load_tags(db: Connection, repository_id: int) -> dict[TagName, KnownTag]:
    found = read_rows(
        db,
        """
        SELECT t.name, b.digest, t.error_code, t.observed_at
        FROM tag AS t
        LEFT JOIN artifact AS a ON a.id = t.artifact_id
        LEFT JOIN blob AS b ON b.id = a.manifest_id
        WHERE t.repository_id = :id AND t.absent_at IS NULL
        """,
        {"id": repository_id},
    )
    return {name: KnownTag(digest, code, moment_of(at)) for name, digest, code, at in found}


def _load_artifacts(db: Connection, repository_id: int) -> dict[Digest, KnownArtifact]:
    listed = read_rows(
        db,
        """
        SELECT a.id, b.digest
        FROM artifact AS a
        JOIN manifest_child AS c ON c.manifest_id = a.manifest_id
        JOIN blob AS b ON b.id = c.child_id
        WHERE a.repository_id = :id AND a.has_manifest
        ORDER BY a.id, c.position
        """,
        {"id": repository_id},
    )
    children: dict[int, list[Digest]] = defaultdict(list)
    for key, child in listed:
        children[key].append(child)
    found = read_rows(
        db,
        """
        SELECT a.id, b.digest, a.has_manifest, a.absent_at, a.observed_at, a.error_code,
            a.referrers_observed_at, s.digest
        FROM artifact AS a
        JOIN blob AS b ON b.id = a.manifest_id
        LEFT JOIN manifest AS m ON m.blob_id = a.manifest_id AND a.has_manifest
        LEFT JOIN blob AS s ON s.id = m.subject_id
        WHERE a.repository_id = :id
        """,
        {"id": repository_id},
    )
    return {
        digest: KnownArtifact(
            has_manifest=bool(has_manifest),
            is_present=absent_at is None,
            error_code=error_code,
            referrers_observed_at=moment_of(referrers_at),
            subject=subject,
            children=tuple(children[key]) if key in children else (),
            absent_at=moment_of(absent_at),
            observed_at=moment_of(at),
        )
        for key, digest, has_manifest, absent_at, at, error_code, referrers_at, subject in found
    }


def set_repository(db: Connection, repository_id: int, changes: RepositoryChanges) -> None:
    """Write down one look at a repository, and bring all that follows from it up to date.

    What is not named stays as it was. A repository that is absent takes its tags and artifacts with it; one
    that shows a tag, an artifact or its whole list of tags is back.
    """
    set_repositories(db, {repository_id: changes})


def set_repositories(db: Connection, looks: Mapping[int, RepositoryChanges]) -> None:
    """Write down one look at each of the repositories, given by their keys, as `set_repository` does.

    Together: about forty statements do it, however many repositories there are.
    """
    found = read_rows(
        db,
        """
        SELECT r.id, r.registry_id, r.name, r.absent_at
        FROM {keys} AS k CROSS JOIN repository AS r WHERE r.id = k.value
        """,
        keys=looks,
    )
    stored = {key: _Repository(registry, name, absent_at) for key, registry, name, absent_at in found}
    by_registry: dict[int, dict[int, RepositoryChanges]] = defaultdict(dict)
    for key, changes in looks.items():
        whole = _end_all(db, key, changes) if changes.is_absent else changes
        by_registry[stored[key].registry_id][key] = whole
    for registry_id, some in by_registry.items():
        _set_in_registry(db, registry_id, stored, some)


@dataclass(frozen=True, slots=True)
class _Repository:
    registry_id: int
    name: RepositoryName
    absent_at: int | None


def _set_in_registry(
    db: Connection,
    registry_id: int,
    stored: Mapping[int, _Repository],
    looks: Mapping[int, RepositoryChanges],
) -> None:
    sightings = set_sightings(db, registry_id, looks)
    derive(db, registry_id, sightings.touched)
    rows: list[tuple[Any, ...]] = []
    turned: dict[bool, list[RepositoryName]] = {True: [], False: []}  # gone, and back
    for key, changes in looks.items():
        at, absent_at = microseconds_of(changes.at), stored[key].absent_at
        shows = bool(changes.tags or changes.present or changes.observed or changes.is_tag_list_complete)
        is_absent = changes.is_absent or (absent_at is not None and not shows)
        is_turned = is_absent != (absent_at is not None)
        if is_turned:
            turned[is_absent].append(stored[key].name)
        rows.append(
            (
                sightings.tags.get(key, 0),
                changes.completeness,
                at if changes.is_tag_list_complete else None,
                at if changes.is_crawled else None,
                at if key in sightings.changed or is_turned else None,
                (at if is_turned else absent_at) if is_absent else None,
                None if changes.error is None else changes.error.code,
                None if changes.error is None else changes.error.message,
                key,
            )
        )
    for is_absent, names in turned.items():
        count_repositories(db, registry_id, names, -1 if is_absent else 1)
    run_rows(
        db,
        """
        UPDATE repository
        SET tag_count = tag_count + ?,
            completeness = COALESCE(?, completeness),
            observed_at = COALESCE(?, observed_at),
            crawled_at = COALESCE(?, crawled_at),
            changed_at = COALESCE(?, changed_at),
            absent_at = ?,
            error_code = ?,
            error_message = ?
        WHERE id = ?
        """,
        rows,
    )


def _end_all(db: Connection, repository_id: int, changes: RepositoryChanges) -> RepositoryChanges:
    """Return the changes of a repository that is gone: everything in it is absent."""
    named = "SELECT name FROM tag WHERE repository_id = :id AND absent_at IS NULL"
    tags = read_column(db, named, {"id": repository_id})
    digests = read_column(
        db,
        """
        SELECT b.digest FROM artifact AS a JOIN blob AS b ON b.id = a.manifest_id
        WHERE a.repository_id = :id AND a.absent_at IS NULL
        """,
        {"id": repository_id},
    )
    return replace(changes, tags=(), present=(), observed=(), absent_tags=tags, absent=digests)

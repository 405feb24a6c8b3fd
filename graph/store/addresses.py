"""Read what addresses name, from the names alone: a tag or a digest in a repository of a registry (C17).

Rules of this file: each function runs one statement, whatever the number of addresses, and answers in their
order. What is known on the way is given too: that a repository is not known, or when it was looked at, says
why there is no artifact.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, FromClause, and_, select

from graph.store.artifacts import ARTIFACTS
from graph.store.keys import TripleSet, triple_set
from graph.store.repositories import REPOSITORIES
from graph.store.rows import ArtifactRow, RepositoryRow, TagRow
from graph.store.tables import artifact, blob, manifest, repository, tag
from graph.store.tags import TAGS
from graph.store.visibility import Visibility


@dataclass(frozen=True, slots=True)
class Addressed:
    """What an address leads to, as far as it is known; None from where it is not."""

    repository: RepositoryRow | None = None
    tag: TagRow | None = None  # always None for an address by digest
    artifact: ArtifactRow | None = None


def find_by_tag(
    db: Connection, visibility: Visibility, addresses: Sequence[tuple[int, str, str]]
) -> list[Addressed]:
    """Return what each (registry key, repository name, tag) names; absent tags are not found."""
    wanted = triple_set(db, addresses)
    source = (
        _join_repository(wanted, visibility)
        .outerjoin(
            tag,
            and_(
                tag.c.repository_id == repository.c.id, tag.c.name == wanted.third, tag.c.absent_at.is_(None)
            ),
        )
        .outerjoin(artifact, artifact.c.id == tag.c.artifact_id)
        .outerjoin(blob, blob.c.id == artifact.c.manifest_id)
        .outerjoin(manifest, manifest.c.blob_id == artifact.c.manifest_id)
    )
    return _read(db, addresses, wanted, source, has_tag=True)


def find_by_digest(
    db: Connection, visibility: Visibility, addresses: Sequence[tuple[int, str, str]]
) -> list[Addressed]:
    """Return what each (registry key, repository name, digest) names, absent artifacts too."""
    wanted = triple_set(db, addresses)
    source = (
        _join_repository(wanted, visibility)
        .outerjoin(blob, and_(blob.c.registry_id == repository.c.registry_id, blob.c.digest == wanted.third))
        .outerjoin(
            artifact, and_(artifact.c.repository_id == repository.c.id, artifact.c.manifest_id == blob.c.id)
        )
        .outerjoin(manifest, manifest.c.blob_id == artifact.c.manifest_id)
    )
    return _read(db, addresses, wanted, source, has_tag=False)


def _join_repository(wanted: TripleSet, visibility: Visibility) -> FromClause:
    return wanted.source.outerjoin(
        repository,
        and_(
            repository.c.registry_id == wanted.first,
            repository.c.name == wanted.second,
            visibility.restrict(repository.c.id),
        ),
    )


def _read(
    db: Connection,
    addresses: Sequence[tuple[int, str, str]],
    wanted: TripleSet,
    source: FromClause,
    *,
    has_tag: bool,
) -> list[Addressed]:
    listings = (REPOSITORIES, TAGS, ARTIFACTS) if has_tag else (REPOSITORIES, ARTIFACTS)
    columns = [column for listing in listings for column in listing.columns]
    statement = select(wanted.first, wanted.second, wanted.third, *columns).select_from(source)
    found = {}
    for first, second, third, *fields in db.execute(statement):
        rows = list(_split(fields, listings))
        found[first, second, third] = Addressed(rows[0], rows[1] if has_tag else None, rows[-1])
    return [found[address] for address in addresses]


def _split(fields: list[Any], listings: Sequence[Any]) -> Iterator[Any]:
    """Give the row of each listing, or None where the join found none: a row always has a key, its first."""
    begin = 0
    for listing in listings:
        end = begin + len(listing.columns)
        yield None if fields[begin] is None else listing.make(*fields[begin:end])
        begin = end

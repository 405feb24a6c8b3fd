"""Where the names of a set lead: addresses of artifacts, names of repositories, and globs of such names.

Rules of this file: each function runs one statement, whatever the number of names, and answers in their
order. What is not known and what is known to be gone are told apart; which of them is a mistake is the
caller's to say. Rows are slim, since a set may have thousands of names; `addresses.py` gives whole ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    literal_column,
    or_,
    select,
    union_all,
)

from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.store.conditions import repository_narrowing
from graph.store.filters import RepositoryFilter
from graph.store.keys import TripleSet, pair_set, triple_set
from graph.store.tables import artifact, blob, repository, tag
from graph.store.visibility import Visibility


@dataclass(frozen=True, slots=True)
class ArtifactAddress:
    """An artifact as a caller names it (`text`): by `digest`, and only without one by `tag` (C17)."""

    text: str
    registry_key: int
    repository: RepositoryName
    tag: TagName | None
    digest: Digest | None


@dataclass(frozen=True, slots=True)
class RepositoryPattern:
    """A repository by its whole name, or those whose names match a glob."""

    text: str
    registry_key: int
    name: str
    is_glob: bool


@dataclass(frozen=True, slots=True)
class FoundArtifact:
    """Where an address leads; None from where it is not known.

    `is_present`: the artifact is known and not seen to be gone; a tag that is gone leads nowhere.
    `is_observed`: somebody looked at the repository.
    """

    repository_key: int | None = None
    tag_key: int | None = None
    artifact_key: int | None = None
    is_present: bool = False
    is_observed: bool = False


@dataclass(frozen=True, slots=True)
class FoundRepository:
    """A repository that a name leads to, and how many artifacts it has, all of them and live ones."""

    key: int
    registry_key: int
    name: RepositoryName
    is_present: bool
    is_observed: bool
    artifact_count: int
    live_artifact_count: int


def find_artifacts_by_tag(
    db: Connection, visibility: Visibility, addresses: Sequence[tuple[int, str, str]]
) -> list[FoundArtifact]:
    """Return where each (registry key, repository name, tag) leads."""
    wanted = triple_set(db, addresses)
    is_tag = and_(
        tag.c.repository_id == repository.c.id, tag.c.name == wanted.third, tag.c.absent_at.is_(None)
    )
    source = (
        wanted.source.outerjoin(repository, _is_named(visibility, wanted.first, wanted.second))
        .outerjoin(tag, is_tag)
        .outerjoin(artifact, artifact.c.id == tag.c.artifact_id)
    )
    return _find_artifacts(db, addresses, wanted, source, tag.c.id)


def find_artifacts_by_digest(
    db: Connection, visibility: Visibility, addresses: Sequence[tuple[int, str, str]]
) -> list[FoundArtifact]:
    """Return where each (registry key, repository name, digest) leads."""
    wanted = triple_set(db, addresses)
    is_blob = and_(blob.c.registry_id == repository.c.registry_id, blob.c.digest == wanted.third)
    is_artifact = and_(artifact.c.repository_id == repository.c.id, artifact.c.manifest_id == blob.c.id)
    source = (
        wanted.source.outerjoin(repository, _is_named(visibility, wanted.first, wanted.second))
        .outerjoin(blob, is_blob)
        .outerjoin(artifact, is_artifact)
    )
    return _find_artifacts(db, addresses, wanted, source, literal_column("NULL"))


def _is_named(
    visibility: Visibility, registry_key: ColumnElement[int], name: ColumnElement[str]
) -> ColumnElement[bool]:
    return and_(
        repository.c.registry_id == registry_key,
        repository.c.name == name,
        visibility.restrict(repository.c.id),
    )


def _is_observed() -> ColumnElement[bool]:
    # Asking for one tag is a look at its repository too, and is not noted with the repository.
    return or_(repository.c.observed_at.is_not(None), repository.c.artifact_count > 0)


def _find_artifacts(
    db: Connection,
    addresses: Sequence[tuple[int, str, str]],
    wanted: TripleSet,
    source: FromClause,
    tag_key: ColumnElement[Any],
) -> list[FoundArtifact]:
    is_present = and_(artifact.c.id.is_not(None), artifact.c.absent_at.is_(None))
    statement = select(
        wanted.first,
        wanted.second,
        wanted.third,
        repository.c.id,
        tag_key,
        artifact.c.id,
        is_present,
        and_(repository.c.id.is_not(None), _is_observed()),
    ).select_from(source)
    found = {
        (first, second, third): FoundArtifact(home, tag_key, key, bool(is_present), bool(is_observed))
        for first, second, third, home, tag_key, key, is_present, is_observed in db.execute(statement)
    }
    return [found[address] for address in addresses]


_REPOSITORY_COLUMNS = (
    repository.c.id,
    repository.c.registry_id,
    repository.c.name,
    repository.c.absent_at.is_(None),
    _is_observed(),
    repository.c.artifact_count,
    repository.c.live_artifact_count,
)


def _make_repository(
    key: int, registry_key: int, name: str, is_present: Any, is_observed: Any, *counts: int
) -> FoundRepository:
    return FoundRepository(
        key, registry_key, RepositoryName(name), bool(is_present), bool(is_observed), *counts
    )


def find_repositories_by_name(
    db: Connection, visibility: Visibility, names: Sequence[tuple[int, str]]
) -> list[FoundRepository | None]:
    """Return the repository of each (registry key, name), absent ones too; None where none is known."""
    wanted = pair_set(db, names)
    statement = select(*_REPOSITORY_COLUMNS).select_from(
        wanted.source.join(repository, _is_named(visibility, wanted.first, wanted.second))
    )
    rows = [_make_repository(*record) for record in db.execute(statement)]
    found: dict[tuple[int, str], FoundRepository] = {(row.registry_key, row.name): row for row in rows}
    return [found.get(name) for name in names]


def find_repositories_by_glob(
    db: Connection, visibility: Visibility, globs: Sequence[tuple[int, RepositoryFilter]], limit: int
) -> list[list[FoundRepository]]:
    """Return the present repositories that each (registry key, filter by name) keeps, by name.

    At most `limit` are read, all together.
    """
    branches: list[Select[Any]] = []
    for position, (registry_key, narrowed) in enumerate(globs):
        conditions = repository_narrowing(db.dialect.name, narrowed, repository).beside()
        shown = (repository.c.absent_at.is_(None), visibility.restrict(repository.c.id))
        branches.append(
            select(literal_column(str(position)), *_REPOSITORY_COLUMNS).where(
                repository.c.registry_id == registry_key, *shown, *conditions
            )
        )
    found: list[list[FoundRepository]] = [[] for _ in globs]
    for position, *record in db.execute(union_all(*branches).limit(limit)):
        found[position].append(_make_repository(*record))
    return [sorted(rows, key=lambda row: row.name) for rows in found]

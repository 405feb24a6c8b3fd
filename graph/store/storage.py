"""What a registry, a namespace, a repository and an artifact take in storage (concepts, "Sizes").

Rules of this file: each function runs one statement, whatever the number of keys, and answers in their order.
Counters kept beside the data are read where they say it; what is exclusive has no counter, as one push may
change it for any number of repositories. Scope TAGGED counts live artifacts; exclusive to them is what no
other present artifact uses, a dangling one included. `logical_bytes` counts foreign layers, as `size` does.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    case,
    func,
    literal_column,
    select,
    union_all,
)

from graph.oci.sets import down, going
from graph.store.conditions import is_below, is_partly_live
from graph.store.keys import KeySet, key_set
from graph.store.rows import Scope, StorageRow
from graph.store.sets import load_contents, user_count, uses_in, weigh_contents, weigh_uses
from graph.store.tables import blob, namespace, registry, repository, repository_blob
from graph.store.visibility import Visibility

# Artifacts, entries of indexes and uses of blobs that the figures of one page of artifacts may be made from.
# A page of a hundred large indexes has a tenth of it.
MAX_CONTENT_ROWS = 200_000


def load_registry_storage(
    db: Connection, visibility: Visibility, registry_keys: Sequence[int], scope: Scope
) -> list[StorageRow | None]:
    """Return what each registry takes; None where the key is unknown."""
    keys = key_set(db, registry_keys)
    if not visibility.is_everything:
        source = keys.source.join(repository, repository.c.registry_id == keys.value)
        return _sum_repositories(db, visibility, registry_keys, keys, source, scope)
    # Whoever uses a blob is in the registry, so that all of it is exclusive; to its live artifacts all that
    # they use is, but for what a dangling one uses too.
    stored = _total(registry, "stored_bytes", scope)
    exclusive = stored if scope is Scope.ALL else stored - _partly_live_bytes()
    statement = select(*_totals(registry, scope), exclusive).where(
        registry.c.id.in_(select(keys.value).select_from(keys.source))
    )
    found = {key: StorageRow(*figures) for key, *figures in db.execute(statement)}
    return [found.get(key) for key in registry_keys]


def _partly_live_bytes() -> ColumnElement[int]:
    partly = blob.alias("partly")
    return (
        select(func.coalesce(func.sum(partly.c.size), 0))
        .where(partly.c.registry_id == registry.c.id, is_partly_live(partly))
        .correlate(registry)
        .scalar_subquery()
    )


def load_repository_storage(
    db: Connection, visibility: Visibility, repository_keys: Sequence[int], scope: Scope
) -> list[StorageRow | None]:
    """Return what each repository takes; None where the key is unknown."""
    keys = key_set(db, repository_keys)
    uses = uses_in(scope)
    stored = case((blob.c.is_foreign, 0), else_=func.coalesce(blob.c.size, 0))
    exclusive = (
        select(func.coalesce(func.sum(stored), 0))
        .select_from(repository_blob.join(blob, blob.c.id == repository_blob.c.blob_id))
        .where(repository_blob.c.repository_id == repository.c.id, uses == user_count(visibility))
        .correlate(repository)
        .scalar_subquery()
    )
    statement = select(*_totals(repository, scope), exclusive).where(
        repository.c.id.in_(select(keys.value).select_from(keys.source)), visibility.restrict(repository.c.id)
    )
    found = {key: StorageRow(*figures) for key, *figures in db.execute(statement)}
    return [found.get(key) for key in repository_keys]


def load_namespace_storage(
    db: Connection, visibility: Visibility, namespace_keys: Sequence[int], scope: Scope
) -> list[StorageRow | None]:
    """Return what all repositories below each namespace take; None where there is none."""
    keys = key_set(db, namespace_keys)
    below = is_below(repository, namespace)
    source = keys.source.join(namespace, namespace.c.id == keys.value).join(repository, below)
    return _sum_repositories(db, visibility, namespace_keys, keys, source, scope)


def _sum_repositories(
    db: Connection,
    visibility: Visibility,
    owners: Sequence[int],
    keys: KeySet,
    source: FromClause,
    scope: Scope,
) -> list[StorageRow | None]:
    """Return the figures of each owner from those of its repositories, which `source` joins to the keys."""
    uses = uses_in(scope)
    shown = visibility.restrict(repository.c.id)
    used = (
        select(
            keys.value.label("owner"),
            repository_blob.c.blob_id,
            uses.label("uses"),
            uses.label("leaving"),
        )
        .select_from(source.join(repository_blob, repository_blob.c.repository_id == repository.c.id))
        .where(shown, uses > 0)
        .subquery("used")
    )
    nothing: list[ColumnElement[Any]] = [literal_column("0")] * 4
    counted: Select[Any] = (
        select(*[keys.value, func.sum(_total(repository, "artifact_count", scope)), *nothing])
        .select_from(source)
        .where(shown)
        .group_by(keys.value)
    )
    counts: dict[int, int] = {}
    sums: dict[int, tuple[int, int, int, int]] = {}
    weighed = weigh_uses(used, visibility).add_columns(literal_column("1"))
    for owner, first, *rest, is_weight in db.execute(union_all(counted, weighed)):
        if is_weight:
            sums[owner] = (first, rest[0], rest[1], rest[2])
        else:
            counts[owner] = first
    return [
        StorageRow(counts[owner], *sums.get(owner, (0, 0, 0, 0))) if owner in counts else None
        for owner in owners
    ]


def load_artifact_storage(
    db: Connection, visibility: Visibility, artifact_keys: Sequence[int], limit: int = MAX_CONTENT_ROWS
) -> list[StorageRow]:
    """Return what each artifact takes with all that is below it; an absent one takes nothing.

    Raises QueryTooCostlyError if they come to more than `limit` artifacts, entries and uses.
    """
    around, contents = load_contents(db, visibility, artifact_keys, limit)
    rows = []
    for key in artifact_keys:
        named = {key} & around.repository_of.keys()
        members = down(named, around.children)
        leaving = going(named, around.children, around.parents, around.tagged)
        rows.append(StorageRow(len(members), *weigh_contents(members, leaving, contents)))
    return rows


def _totals(owner: Table, scope: Scope) -> Iterator[ColumnElement[Any]]:
    yield owner.c.id
    for name in ("artifact_count", "layer_count", "logical_bytes", "stored_bytes"):
        yield _total(owner, name, scope)


def _total(owner: Table, name: str, scope: Scope) -> ColumnElement[int]:
    return owner.c[name if scope is Scope.ALL else f"live_{name}"]

"""Read registries: which there are, and how well each is known.

Rules of this file: each function runs one statement, whatever the number of keys, and answers in their order.
How well a registry is known is looked up at the ends of indexes, never by reading all of its repositories: it
stands beside every figure that is computed.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, func, select, type_coerce

from graph.store.bases import has_unknown_manifests, weakest
from graph.store.keys import key_set
from graph.store.listings import Choice
from graph.store.rows import Completeness, RegistryRow, RegistryStatus, SyncState
from graph.store.tables import Instant, registry, repository
from graph.store.visibility import Visibility

_present = repository.alias("present")


def load_registries(db: Connection, visibility: Visibility) -> list[RegistryRow]:
    """Return every registry, in the order of their keys.

    Which registries there are is no secret: they are in the settings, and nobody is shown less of them.
    """
    statement = select(registry.c.id, registry.c.name, registry.c.url, registry.c.dialect)
    return [RegistryRow(*record) for record in db.execute(statement.order_by(registry.c.id))]


def load_registry_statuses(
    db: Connection, visibility: Visibility, registry_keys: Sequence[int]
) -> list[RegistryStatus | None]:
    """Return how well each registry is known as a whole; None where the key is unknown."""
    keys = key_set(db, registry_keys)
    statement = select(
        registry.c.id,
        registry.c.capabilities,
        type_coerce(registry.c.sync_state, Choice(SyncState)),
        registry.c.sync_started_at,
        registry.c.sync_finished_at,
        registry.c.sync_error_code,
        registry.c.sync_error_message,
        registry.c.repositories_done,
        registry.c.repositories_total,
        _repository_count(visibility),
        registry.c.catalog_observed_at,
        type_coerce(_end_of(visibility, "observed_at"), Instant()),
        _end_of(visibility, "completeness"),
        _end_of(visibility, "completeness", is_last=True),
        exists(_repositories(visibility).where(_present.c.crawled_at.is_(None))),
        has_unknown_manifests(visibility),
        registry.c.is_partial,
    ).where(registry.c.id.in_(select(keys.value).select_from(keys.source)))
    found = {record[0]: _status(*record) for record in db.execute(statement)}
    return [found.get(key) for key in registry_keys]


def _repositories(visibility: Visibility) -> Select[Any]:
    return (
        select(_present.c.id)
        .where(
            _present.c.registry_id == registry.c.id,
            _present.c.absent_at.is_(None),
            visibility.restrict(_present.c.id),
        )
        .correlate(registry)
    )


def _end_of(visibility: Visibility, column: str, *, is_last: bool = False) -> ColumnElement[Any]:
    """Return the least, or the greatest, value of the column among the registry's present repositories."""
    value = _present.c[column]
    return (
        _repositories(visibility)
        .with_only_columns(value)
        .where(value.is_not(None))
        .order_by(value.desc() if is_last else value)
        .limit(1)
        .scalar_subquery()
    )


def _repository_count(visibility: Visibility) -> ColumnElement[int]:
    if visibility.is_everything:
        return registry.c.repository_count
    return _repositories(visibility).with_only_columns(func.count()).scalar_subquery()


def _status(key: int, capabilities: str, *facts: Any) -> RegistryStatus:
    *shown, catalog_observed_at, oldest_observed_at, least, greatest = facts[:-3]
    has_pending, has_unknown, is_partial = map(bool, facts[-3:])
    is_unlisted = catalog_observed_at is None
    completeness = Completeness.UNKNOWN if is_unlisted else weakest(least, greatest)
    shown += [catalog_observed_at, oldest_observed_at, completeness]
    shown += [bool(has_pending or is_unlisted or is_partial), has_unknown, is_partial]
    return RegistryStatus(key, json.loads(capabilities), *shown)

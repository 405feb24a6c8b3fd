"""Read artifacts: by their keys and digests, and the lists of what they are in and of layers.

Rules of this file: each function runs one statement, whatever the number of keys, and answers in their order;
a page by exclusive bytes takes two (`ranking.py`).
Lists hold present artifacts; an absent one is found only by its key or its digest, with `absent_at`. What an
artifact points at and what points at it is in `graph.store.referrers`.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, Table, and_, func, type_coerce

from graph.oci.kind import ArtifactKind
from graph.oci.liveness import Untagged
from graph.store.conditions import artifact_narrowing, is_below
from graph.store.cursors import CursorForm
from graph.store.filters import ArtifactFilter, ArtifactOrder, Order
from graph.store.keys import KeySet
from graph.store.listings import Choice, Join, Listing, LocksColumn, find_rows, load_counts, load_rows
from graph.store.pages import Members, Page, PageRequest, count_members, keep_list, read_pages
from graph.store.ranking import rank_pages, rank_sort
from graph.store.rows import ArtifactRow
from graph.store.sorts import Sort, sort_by
from graph.store.tables import artifact, artifact_blob, blob, manifest, namespace, registry, repository
from graph.store.visibility import Visibility
from graph.store.ways import Served, choose_ways, columns_of, has_many

ARTIFACTS = Listing(
    ArtifactRow,
    (
        artifact.c.id,
        artifact.c.registry_id,
        artifact.c.repository_id,
        repository.c.name,
        artifact.c.manifest_id,
        blob.c.digest,
        artifact.c.has_manifest,
        artifact.c.error_code,
        artifact.c.error_message,
        type_coerce(artifact.c.kind, Choice(ArtifactKind)),
        artifact.c.artifact_type,
        func.coalesce(manifest.c.media_type, artifact.c.media_type),
        artifact.c.os,
        artifact.c.architecture,
        manifest.c.variant,
        manifest.c.os_version,
        artifact.c.size,
        type_coerce(artifact.c.untagged, Choice(Untagged)),
        func.coalesce(manifest.c.child_count, 0),
        artifact.c.created_at,
        artifact.c.pushed_at,
        artifact.c.changed_at,
        type_coerce(artifact.c.locks, LocksColumn),
        artifact.c.first_seen_at,
        artifact.c.observed_at,
        artifact.c.absent_at,
        artifact.c.referrers_observed_at,
    ),
    artifact,
    artifact.c.id,
    (
        Join(repository, repository.c.id == artifact.c.repository_id),
        Join(blob, blob.c.id == artifact.c.manifest_id),
        Join(manifest, manifest.c.blob_id == artifact.c.manifest_id, is_outer=True),
    ),
)

_BY_FIRST_SIGHT = Order(ArtifactOrder.FIRST_SEEN)
_ALL = ArtifactFilter()

_COLUMN_OF = {
    ArtifactOrder.FIRST_SEEN: None,  # keys rise
    ArtifactOrder.EXCLUSIVE_BYTES: None,  # `ranking.py` sorts by them
    ArtifactOrder.CREATED: "created_at",
    ArtifactOrder.PUSHED: "pushed_at",
    ArtifactOrder.SIZE: "size",
}

# What inner queries read from.
_item = artifact.alias("item")
_use = artifact_blob.alias("use")
_home = repository.alias("home")
_above = namespace.alias("above")
_counted = artifact.alias("counted")


def load_artifacts(db: Connection, visibility: Visibility, keys: Sequence[int]) -> list[ArtifactRow | None]:
    """Return the artifact of each key, absent ones too; None where the key is unknown."""
    return load_rows(db, keys, ARTIFACTS, visibility.restrict(artifact.c.repository_id))


def find_artifacts(
    db: Connection, visibility: Visibility, digests: Sequence[tuple[int, str]]
) -> list[ArtifactRow | None]:
    """Return the artifact of each (repository key, digest), absent ones too."""
    named = blob.alias("named")
    return find_rows(
        db,
        digests,
        ARTIFACTS,
        lambda wanted: ARTIFACTS.join_to(
            wanted.source.join(_home, _home.c.id == wanted.first).join(
                named, and_(named.c.registry_id == _home.c.registry_id, named.c.digest == wanted.second)
            ),
            and_(artifact.c.repository_id == _home.c.id, artifact.c.manifest_id == named.c.id),
        ),
        visibility.restrict(artifact.c.repository_id),
    )


def artifact_cursors(owner: str, order: Order[ArtifactOrder] | None = None) -> CursorForm:
    """Return what the cursors of the artifacts of an `owner` look like.

    It is "registry", "namespace", "repository" or "layer".
    """
    order = order or _BY_FIRST_SIGHT
    if order.field is ArtifactOrder.EXCLUSIVE_BYTES:
        return rank_sort(is_descending=order.is_descending).form(f"{owner}.artifacts")
    return _sort(order).form(f"{owner}.artifacts")


def page_artifacts(
    db: Connection,
    visibility: Visibility,
    repository_keys: Sequence[int],
    request: PageRequest,
    filter: ArtifactFilter | None = None,
    order: Order[ArtifactOrder] | None = None,
) -> list[Page[ArtifactRow]]:
    """Return a page of each repository's present artifacts; first seen first, unless told."""
    found = _owned_by(visibility, repository, filter, order)
    return _read_pages(db, visibility, repository_keys, found, order, request)


def count_artifacts(
    db: Connection,
    visibility: Visibility,
    repository_keys: Sequence[int],
    filter: ArtifactFilter | None = None,
) -> list[int]:
    """Return how many of each repository's present artifacts the filter keeps."""
    if visibility.is_everything and (filter or _ALL) == _ALL:
        return load_counts(db, repository_keys, repository.c.id, repository.c.artifact_count)
    members, _ = _owned_by(visibility, repository, filter, None)
    return count_members(db, repository_keys, members)


def page_registry_artifacts(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    request: PageRequest,
    filter: ArtifactFilter | None = None,
    order: Order[ArtifactOrder] | None = None,
) -> list[Page[ArtifactRow]]:
    """Return a page of each registry's present artifacts; first seen first, unless told."""
    found = _in_registry(visibility, filter, order)
    return _read_pages(db, visibility, registry_keys, found, order, request)


def count_registry_artifacts(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    filter: ArtifactFilter | None = None,
) -> list[int]:
    """Return how many of each registry's present artifacts the filter keeps."""
    if visibility.is_everything and (filter or _ALL) == _ALL:
        return load_counts(db, registry_keys, registry.c.id, registry.c.artifact_count)
    members, _ = _owned_by(visibility, registry, filter, None)
    return count_members(db, registry_keys, members)


def page_namespace_artifacts(
    db: Connection,
    visibility: Visibility,
    namespace_keys: Sequence[int],
    request: PageRequest,
    filter: ArtifactFilter | None = None,
    order: Order[ArtifactOrder] | None = None,
) -> list[Page[ArtifactRow]]:
    """Return a page of the present artifacts of the repositories below each namespace; first seen first,
    unless told. All artifacts of the namespace are read for a page of it.
    """
    found = _in_namespace(visibility, filter, order)
    return _read_pages(db, visibility, namespace_keys, found, order, request)


def count_namespace_artifacts(
    db: Connection,
    visibility: Visibility,
    namespace_keys: Sequence[int],
    filter: ArtifactFilter | None = None,
) -> list[int]:
    """Return how many of the present artifacts below each namespace the filter keeps."""
    members, _ = _in_namespace(visibility, filter, None)
    return count_members(db, namespace_keys, members)


def page_layer_artifacts(
    db: Connection,
    visibility: Visibility,
    layer_keys: Sequence[int],
    request: PageRequest,
    filter: ArtifactFilter | None = None,
    order: Order[ArtifactOrder] | None = None,
) -> list[Page[ArtifactRow]]:
    """Return a page of the present artifacts whose own manifest lists each layer; first seen first."""
    found = _of_layer(visibility, filter, order)
    return _read_pages(db, visibility, layer_keys, found, order, request)


def count_layer_artifacts(
    db: Connection, visibility: Visibility, layer_keys: Sequence[int], filter: ArtifactFilter | None = None
) -> list[int]:
    """Return how many of the present artifacts whose own manifest lists each layer the filter keeps."""
    if visibility.is_everything and (filter or _ALL) == _ALL:
        return load_counts(db, layer_keys, blob.c.id, blob.c.artifact_count)
    members, _ = _of_layer(visibility, filter, None)
    return count_members(db, layer_keys, members)


def _read_pages(
    db: Connection,
    visibility: Visibility,
    parents: Sequence[int],
    found: tuple[Members, Sort],
    order: Order[ArtifactOrder] | None,
    request: PageRequest,
) -> list[Page[ArtifactRow]]:
    members, sort = found
    if order is not None and order.field is ArtifactOrder.EXCLUSIVE_BYTES:
        descends = order.is_descending
        return rank_pages(db, visibility, parents, ARTIFACTS, members, request, is_descending=descends)
    return read_pages(db, parents, ARTIFACTS, members, sort, request)


@keep_list
def _owned_by(
    visibility: Visibility,
    owner: Table,
    filter: ArtifactFilter | None,
    order: Order[ArtifactOrder] | None,
) -> tuple[Members, Sort]:
    conditions, sort = _narrow(visibility, filter, order)
    present = _item.c.absent_at.is_(None)
    parent = _item.c[f"{owner.name}_id"]
    return Members(f"{owner.name}.artifacts", _item, _item.c.id, parent, (present, *conditions)), sort


@keep_list
def _in_namespace(
    visibility: Visibility, filter: ArtifactFilter | None, order: Order[ArtifactOrder] | None
) -> tuple[Members, Sort]:
    members, sort = _owned_by(visibility, repository, filter, order)
    source = _above.join(_home, is_below(_home, _above)).join(_item, _item.c.repository_id == _home.c.id)
    return replace(members, name="namespace.artifacts", source=source, parent=_above.c.id), sort


@keep_list
def _in_registry(
    visibility: Visibility, filter: ArtifactFilter | None, order: Order[ArtifactOrder] | None
) -> tuple[Members, Sort]:
    if order is not None and order.field is ArtifactOrder.EXCLUSIVE_BYTES:
        return _owned_by(visibility, registry, filter, order)  # all that the filter keeps is read anyway
    members, sort = _owned_by(visibility, registry, None, order)
    column = _COLUMN_OF[(order or _BY_FIRST_SIGHT).field]
    narrowing = artifact_narrowing(filter or _ALL, _item)
    ways = choose_ways(narrowing.served_beside(column), _item, _is_many, by_key=column is None)
    members = replace(members, conditions=(*members.conditions, *narrowing.conditions), ways=ways)
    return members, replace(sort, within=narrowing.range_of(column))


def _is_many(part: Served, keys: KeySet) -> ColumnElement[bool]:
    shown = (_counted.c.registry_id == keys.value, _counted.c.absent_at.is_(None))
    return has_many(_counted, keys, [*shown, *part.conditions(columns_of(_counted))])


@keep_list
def _of_layer(
    visibility: Visibility, filter: ArtifactFilter | None, order: Order[ArtifactOrder] | None
) -> tuple[Members, Sort]:
    conditions, sort = _narrow(visibility, filter, order)
    # Only present artifacts are said to use a blob, so the plain list is a walk along one index.
    is_plain = visibility.is_everything and (filter or _ALL) == _ALL and sort.inner is None
    source = _use if is_plain else _use.join(_item, _item.c.id == _use.c.artifact_id)
    return (
        Members(
            "layer.artifacts", source, _use.c.artifact_id, _use.c.blob_id, () if is_plain else conditions
        ),
        sort,
    )


def _narrow(
    visibility: Visibility, filter: ArtifactFilter | None, order: Order[ArtifactOrder] | None
) -> tuple[tuple[ColumnElement[bool], ...], Sort]:
    order = order or _BY_FIRST_SIGHT
    narrowing = artifact_narrowing(filter or _ALL, _item)
    column = _COLUMN_OF[order.field]
    conditions = (visibility.restrict(_item.c.repository_id), *narrowing.beside(column))
    return conditions, replace(_sort(order), within=narrowing.range_of(column))


def _sort(order: Order[ArtifactOrder]) -> Sort:
    return sort_by(order, _COLUMN_OF[order.field], _item, artifact)

"""Read layers: by their keys and digests, and the lists of a registry, a namespace and a repository.

Rules of this file: each function runs one statement, whatever the number of keys, and answers in their order.
A layer is a blob that some manifest lists among its layers and some present artifact uses (concept C13).
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    and_,
    case,
    exists,
    func,
    select,
    true,
)

from graph.store.conditions import is_below, is_layer, is_present_layer, layer_narrowing
from graph.store.cursors import CursorForm
from graph.store.filters import LayerFilter, LayerOrder, Order
from graph.store.keys import KeySet
from graph.store.listings import Listing, find_rows, load_counts, load_rows
from graph.store.pages import Members, Page, PageRequest, count_members, keep_list, read_pages
from graph.store.rows import LayerRow
from graph.store.sorts import Sort, sort_by
from graph.store.tables import blob, namespace, registry, repository, repository_blob
from graph.store.visibility import Visibility
from graph.store.ways import Served, choose_ways, columns_of, has_many

_BY_FIRST_SIGHT = Order(LayerOrder.FIRST_SEEN)
_ALL = LayerFilter()

_COLUMN_OF = {
    LayerOrder.FIRST_SEEN: None,  # keys rise
    LayerOrder.SIZE: "size",
    LayerOrder.SAVED_BYTES: "saved_bytes",
    LayerOrder.SHARED: "repository_count",
}

# What inner queries read from.
_item = blob.alias("item")
_counted = blob.alias("counted")
_holder = repository_blob.alias("holder")
_home = repository.alias("home")
_above = namespace.alias("above")


def load_layers(db: Connection, visibility: Visibility, keys: Sequence[int]) -> list[LayerRow | None]:
    """Return the layer of each key, one that nothing uses any more too; None where no manifest lists it."""
    return load_rows(db, keys, layer_listing(visibility), blob.c.is_layer, _is_visible(visibility, blob))


def find_layers(
    db: Connection, visibility: Visibility, digests: Sequence[tuple[int, str]]
) -> list[LayerRow | None]:
    """Return the layer of each (registry key, digest), one that nothing uses any more too."""
    return find_rows(
        db,
        digests,
        layer_listing(visibility),
        lambda wanted: wanted.source.join(
            blob, and_(blob.c.registry_id == wanted.first, blob.c.digest == wanted.second)
        ),
        blob.c.is_layer,
        _is_visible(visibility, blob),
    )


def layer_cursors(owner: str, order: Order[LayerOrder] | None = None) -> CursorForm:
    """Return what the cursors of the layers of an `owner` look like.

    It is "registry", "namespace" or "repository".
    """
    return _sort(order or _BY_FIRST_SIGHT).form(f"{owner}.layers")


def page_layers(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    request: PageRequest,
    filter: LayerFilter | None = None,
    order: Order[LayerOrder] | None = None,
) -> list[Page[LayerRow]]:
    """Return a page of the layers that present artifacts of each registry use.

    First seen first, unless told. By saved bytes or by sharing most layers of a registry are equal, and equal
    ones come in the order they were first seen.
    """
    members, sort = _along_index(visibility, filter or _ALL, order or _BY_FIRST_SIGHT)
    return read_pages(db, registry_keys, layer_listing(visibility), members, sort, request)


def count_layers(
    db: Connection, visibility: Visibility, registry_keys: Sequence[int], filter: LayerFilter | None = None
) -> list[int]:
    """Return how many layers of each registry the filter keeps."""
    if visibility.is_everything and (filter or _ALL) == _ALL:
        return load_counts(db, registry_keys, registry.c.id, registry.c.layer_count)
    members, _ = _in_registry(visibility, filter)
    return count_members(db, registry_keys, members)


def page_repository_layers(
    db: Connection,
    visibility: Visibility,
    repository_keys: Sequence[int],
    request: PageRequest,
    filter: LayerFilter | None = None,
    order: Order[LayerOrder] | None = None,
) -> list[Page[LayerRow]]:
    """Return a page of the layers that present artifacts of each repository use.

    Unless told, in the order they were first seen in the registry, by whichever repository had them first.
    """
    members, sort = _in_repository(visibility, filter, order or _BY_FIRST_SIGHT)
    return read_pages(db, repository_keys, layer_listing(visibility), members, sort, request)


def count_repository_layers(
    db: Connection, visibility: Visibility, repository_keys: Sequence[int], filter: LayerFilter | None = None
) -> list[int]:
    """Return how many layers of each repository the filter keeps."""
    if visibility.is_everything and (filter or _ALL) == _ALL:
        return load_counts(db, repository_keys, repository.c.id, repository.c.layer_count)
    members, _ = _in_repository(visibility, filter, None)
    return count_members(db, repository_keys, members)


def page_namespace_layers(
    db: Connection,
    visibility: Visibility,
    namespace_keys: Sequence[int],
    request: PageRequest,
    filter: LayerFilter | None = None,
    order: Order[LayerOrder] | None = None,
) -> list[Page[LayerRow]]:
    """Return a page of the layers that present artifacts below each namespace use; first seen first, unless
    told. All layers of the namespace are read for a page of it.
    """
    members, sort = _in_namespace(visibility, filter, order or _BY_FIRST_SIGHT)
    return read_pages(db, namespace_keys, layer_listing(visibility), members, sort, request)


def count_namespace_layers(
    db: Connection, visibility: Visibility, namespace_keys: Sequence[int], filter: LayerFilter | None = None
) -> list[int]:
    """Return how many layers below each namespace the filter keeps."""
    members, _ = _in_namespace(visibility, filter, None)
    return count_members(db, namespace_keys, members)


@keep_list
def _along_index(
    visibility: Visibility, filter: LayerFilter, order: Order[LayerOrder]
) -> tuple[Members, Sort]:
    members, sort = _in_registry(visibility, None, order)
    column = _COLUMN_OF[order.field]
    narrowing = layer_narrowing(filter, _item)
    ways = choose_ways(narrowing.served_beside(column), _item, _is_many, by_key=column is None)
    members = replace(members, conditions=(*members.conditions, *narrowing.conditions), ways=ways)
    return members, replace(sort, within=narrowing.range_of(column))


def _is_many(part: Served, keys: KeySet) -> ColumnElement[bool]:
    shown = (_counted.c.registry_id == keys.value, is_present_layer(_counted))
    return has_many(_counted, keys, [*shown, *part.conditions(columns_of(_counted))])


@keep_list
def _in_registry(
    visibility: Visibility, filter: LayerFilter | None, order: Order[LayerOrder] | None = None
) -> tuple[Members, Sort]:
    conditions, sort = _narrow(filter, order)
    shown = (is_present_layer(_item), _is_visible(visibility, _item))
    return Members("registry.layers", _item, _item.c.id, _item.c.registry_id, (*shown, *conditions)), sort


@keep_list
def _in_repository(
    visibility: Visibility, filter: LayerFilter | None, order: Order[LayerOrder] | None
) -> tuple[Members, Sort]:
    conditions, sort = _narrow(filter, order)
    shown = (is_layer(_holder), visibility.restrict(_holder.c.repository_id))
    source = _holder.join(_item, _item.c.id == _holder.c.blob_id)
    parent = _holder.c.repository_id
    return Members("repository.layers", source, _holder.c.blob_id, parent, (*shown, *conditions)), sort


@keep_list
def _in_namespace(
    visibility: Visibility, filter: LayerFilter | None, order: Order[LayerOrder] | None
) -> tuple[Members, Sort]:
    conditions, sort = _narrow(filter, order)
    # Each layer once, however many of the repositories hold it. That a present artifact uses it is not asked
    # of the layer itself: the indexes on such layers would lead through all of the registry.
    used = (
        select(_holder.c.blob_id)
        .select_from(_home.join(_holder, _holder.c.repository_id == _home.c.id))
        .where(is_below(_home, _above), is_layer(_holder), visibility.restrict(_home.c.id))
        .correlate(_above)
    )
    source = _above.join(_item, _item.c.id.in_(used))
    return Members("namespace.layers", source, _item.c.id, _above.c.id, tuple(conditions)), sort


def _narrow(
    filter: LayerFilter | None, order: Order[LayerOrder] | None
) -> tuple[list[ColumnElement[bool]], Sort]:
    narrowing = layer_narrowing(filter or _ALL, _item)
    order = order or _BY_FIRST_SIGHT
    column = _COLUMN_OF[order.field]
    return narrowing.beside(column), replace(_sort(order), within=narrowing.range_of(column))


def _sort(order: Order[LayerOrder]) -> Sort:
    return sort_by(order, _COLUMN_OF[order.field], _item, blob)


def _is_visible(visibility: Visibility, table: FromClause) -> ColumnElement[bool]:
    if visibility.is_everything:
        return true()
    held = repository_blob.alias("held")
    return exists().where(held.c.blob_id == table.c.id, visibility.restrict(held.c.repository_id))


@keep_list
def layer_listing(visibility: Visibility) -> Listing[LayerRow]:
    """Return what the row of a layer is made of, for that view."""
    counts = (blob.c.artifact_count, blob.c.repository_count, blob.c.saved_bytes)
    return Listing(
        LayerRow,
        (
            blob.c.id,
            blob.c.registry_id,
            blob.c.digest,
            blob.c.size,
            blob.c.is_empty,
            blob.c.is_foreign,
            *(counts if visibility.is_everything else _visible_counts(visibility)),
        ),
        blob,
        blob.c.id,
    )


def _visible_counts(visibility: Visibility) -> tuple[ColumnElement[int], ...]:
    """Return what the counters would be if there were nothing but what may be seen."""
    held = repository_blob.alias("held")
    condition = and_(held.c.blob_id == blob.c.id, visibility.restrict(held.c.repository_id))
    repositories = select(func.count()).where(condition).scalar_subquery()
    artifacts = select(func.coalesce(func.sum(held.c.artifact_count), 0)).where(condition).scalar_subquery()
    saved = case((blob.c.saved_bytes > 0, blob.c.size * (artifacts - 1)), else_=0)
    return artifacts, repositories, saved

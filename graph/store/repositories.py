"""Read repositories: by their keys and names, and the lists of a registry, a namespace and a layer.

Rules of this file: each function runs one statement, whatever the number of keys, and answers in their order.
Lists hold present repositories; an absent one is found only by its key or its name, with `absent_at`.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, and_, type_coerce

from graph.store.conditions import contains, is_below, is_layer, repository_narrowing
from graph.store.cursors import CursorForm
from graph.store.filters import Order, RepositoryFilter, RepositoryOrder, check_search
from graph.store.keys import KeySet
from graph.store.listings import Choice, Join, Listing, find_rows, load_counts, load_rows
from graph.store.pages import Members, Page, PageRequest, count_members, keep_list, merge_pages, read_pages
from graph.store.rows import Completeness, RepositoryRow
from graph.store.sorts import Sort, sort_by
from graph.store.tables import blob, namespace, registry, repository, repository_blob
from graph.store.visibility import Visibility
from graph.store.ways import Served, choose_ways, columns_of, has_many

_COLUMNS = (
    repository.c.id,
    repository.c.registry_id,
    repository.c.name,
    repository.c.namespace,
    type_coerce(repository.c.completeness, Choice(Completeness)),
    repository.c.first_seen_at,
    repository.c.observed_at,
    repository.c.crawled_at,
    repository.c.changed_at,
    repository.c.absent_at,
    repository.c.error_code,
    repository.c.error_message,
)
REPOSITORIES = Listing(RepositoryRow, _COLUMNS, repository, repository.c.id)

# The repositories of a layer are read from what says that they hold it: its keys are in order of first sight.
_OF_LAYER = Listing(
    RepositoryRow,
    _COLUMNS,
    repository_blob,
    repository_blob.c.id,
    (Join(repository, repository.c.id == repository_blob.c.repository_id),),
)

_BY_NAME = Order(RepositoryOrder.NAME)
_BY_FIRST_SIGHT = Order(RepositoryOrder.FIRST_SEEN)
_ALL = RepositoryFilter()

_SEARCH = "search.repositories"

_COLUMN_OF = {
    RepositoryOrder.NAME: "name",
    RepositoryOrder.FIRST_SEEN: None,  # keys rise
    RepositoryOrder.CHANGED: "changed_at",
    RepositoryOrder.SIZE: "stored_bytes",
}

# What inner queries read from.
_item = repository.alias("item")
_counted = repository.alias("counted")
_holder = repository_blob.alias("holder")
_above = namespace.alias("above")


def load_repositories(
    db: Connection, visibility: Visibility, keys: Sequence[int]
) -> list[RepositoryRow | None]:
    """Return the repository of each key, absent ones too; None where the key is unknown."""
    return load_rows(db, keys, REPOSITORIES, visibility.restrict(repository.c.id))


def find_repositories(
    db: Connection, visibility: Visibility, names: Sequence[tuple[int, str]]
) -> list[RepositoryRow | None]:
    """Return the repository of each (registry key, name), absent ones too."""
    return find_rows(
        db,
        names,
        REPOSITORIES,
        lambda wanted: wanted.source.join(
            repository, and_(repository.c.registry_id == wanted.first, repository.c.name == wanted.second)
        ),
        visibility.restrict(repository.c.id),
    )


def repository_cursors(owner: str, order: Order[RepositoryOrder] | None = None) -> CursorForm:
    """Return what the cursors of the repositories of an `owner`, "registry" or "namespace", look like."""
    return _sort(order or _BY_NAME).form(f"{owner}.repositories")


def layer_repository_cursors(order: Order[RepositoryOrder] | None = None) -> CursorForm:
    """Return what the cursors of the repositories that use a layer look like."""
    return _sort_of_layer(order or _BY_FIRST_SIGHT).form("layer.repositories")


def search_cursors() -> CursorForm:
    """Return what the cursors of what a search found look like."""
    return _sort(_BY_NAME).form(_SEARCH)


def page_repositories(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    request: PageRequest,
    filter: RepositoryFilter | None = None,
    order: Order[RepositoryOrder] | None = None,
) -> list[Page[RepositoryRow]]:
    """Return a page of each registry's present repositories; by name unless told."""
    members, sort = _along_index(db.dialect.name, visibility, filter or _ALL, order or _BY_NAME)
    return read_pages(db, registry_keys, REPOSITORIES, members, sort, request)


def count_repositories(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    filter: RepositoryFilter | None = None,
) -> list[int]:
    """Return how many present repositories of each registry the filter keeps."""
    if visibility.is_everything and (filter or _ALL) == _ALL:
        return load_counts(db, registry_keys, registry.c.id, registry.c.repository_count)
    members, _ = _in_registry(db.dialect.name, visibility, filter, _BY_FIRST_SIGHT)
    return count_members(db, registry_keys, members)


def page_namespace_repositories(
    db: Connection,
    visibility: Visibility,
    namespace_keys: Sequence[int],
    request: PageRequest,
    filter: RepositoryFilter | None = None,
    order: Order[RepositoryOrder] | None = None,
) -> list[Page[RepositoryRow]]:
    """Return a page of the present repositories below each namespace, at any depth; by name unless told."""
    members, sort = _in_namespace(db.dialect.name, visibility, filter, order or _BY_NAME)
    return read_pages(db, namespace_keys, REPOSITORIES, members, sort, request)


def count_namespace_repositories(
    db: Connection,
    visibility: Visibility,
    namespace_keys: Sequence[int],
    filter: RepositoryFilter | None = None,
) -> list[int]:
    """Return how many present repositories below each namespace the filter keeps."""
    if visibility.is_everything and (filter or _ALL) == _ALL:
        return load_counts(db, namespace_keys, namespace.c.id, namespace.c.repository_count)
    members, _ = _in_namespace(db.dialect.name, visibility, filter, _BY_FIRST_SIGHT)
    return count_members(db, namespace_keys, members)


def page_layer_repositories(
    db: Connection,
    visibility: Visibility,
    layer_keys: Sequence[int],
    request: PageRequest,
    order: Order[RepositoryOrder] | None = None,
) -> list[Page[RepositoryRow]]:
    """Return a page of the repositories that use each layer; first seen to use it first, unless told."""
    members, sort = _of_layer(visibility, order or _BY_FIRST_SIGHT)
    return read_pages(db, layer_keys, _OF_LAYER, members, sort, request)


def count_layer_repositories(db: Connection, visibility: Visibility, layer_keys: Sequence[int]) -> list[int]:
    """Return how many repositories use each layer."""
    if visibility.is_everything:
        return load_counts(db, layer_keys, blob.c.id, blob.c.repository_count)
    members, _ = _of_layer(visibility, _BY_FIRST_SIGHT)
    return count_members(db, layer_keys, members)


def search_repositories(
    db: Connection, visibility: Visibility, text: str, registry_keys: Sequence[int], request: PageRequest
) -> Page[RepositoryRow]:
    """Return a page of the present repositories of these registries whose name contains the text, by name.

    Upper and lower case are the same. Raises InvalidFilterError if there is no text, or too much.
    """
    members, sort = _with_text(visibility, text)
    pages = read_pages(db, sorted(set(registry_keys)), REPOSITORIES, members, sort, request)
    return merge_pages(pages, lambda row: (row.name, row.key), request)


def count_search(db: Connection, visibility: Visibility, text: str, registry_keys: Sequence[int]) -> int:
    """Return how many present repositories of these registries have the text in their name."""
    members, _ = _with_text(visibility, text)
    return sum(count_members(db, sorted(set(registry_keys)), members))


def _shown(visibility: Visibility) -> tuple[ColumnElement[bool], ...]:
    return (_item.c.absent_at.is_(None), visibility.restrict(_item.c.id))


@keep_list
def _in_registry(
    engine: str, visibility: Visibility, filter: RepositoryFilter | None, order: Order[RepositoryOrder]
) -> tuple[Members, Sort]:
    narrowing = repository_narrowing(engine, filter or _ALL, _item)
    column = _COLUMN_OF[order.field]
    conditions = (*_shown(visibility), *narrowing.beside(column))
    members = Members("registry.repositories", _item, _item.c.id, _item.c.registry_id, conditions)
    return members, replace(_sort(order), within=narrowing.range_of(column))


def _sort(order: Order[RepositoryOrder]) -> Sort:
    return sort_by(order, _COLUMN_OF[order.field], _item, repository)


def _sort_of_layer(order: Order[RepositoryOrder]) -> Sort:
    if order.field is RepositoryOrder.NAME:
        return sort_by(order, "repository_name", _holder, repository_blob)
    return _sort(order)


@keep_list
def _along_index(
    engine: str, visibility: Visibility, filter: RepositoryFilter, order: Order[RepositoryOrder]
) -> tuple[Members, Sort]:
    members, sort = _in_registry(engine, visibility, None, order)
    column = _COLUMN_OF[order.field]
    narrowing = repository_narrowing(engine, filter, _item)
    ways = choose_ways(narrowing.served_beside(column), _item, _is_many, by_key=column is None)
    members = replace(members, conditions=(*members.conditions, *narrowing.conditions), ways=ways)
    return members, replace(sort, within=narrowing.range_of(column))


def _is_many(part: Served, keys: KeySet) -> ColumnElement[bool]:
    shown = (_counted.c.registry_id == keys.value, _counted.c.absent_at.is_(None))
    return has_many(_counted, keys, [*shown, *part.conditions(columns_of(_counted))])


@keep_list
def _in_namespace(
    engine: str, visibility: Visibility, filter: RepositoryFilter | None, order: Order[RepositoryOrder]
) -> tuple[Members, Sort]:
    source = _above.join(_item, is_below(_item, _above))
    members, sort = _in_registry(engine, visibility, filter, order)
    return replace(members, name="namespace.repositories", source=source, parent=_above.c.id), sort


@keep_list
def _of_layer(visibility: Visibility, order: Order[RepositoryOrder]) -> tuple[Members, Sort]:
    condition = visibility.restrict(_holder.c.repository_id)
    members = Members("layer.repositories", _holder, _holder.c.id, _holder.c.blob_id, (condition,))
    if order.field is RepositoryOrder.NAME:
        members = replace(members, conditions=(condition, is_layer(_holder)))
    elif _COLUMN_OF[order.field] is not None:
        members = replace(members, source=_holder.join(_item, _item.c.id == _holder.c.repository_id))
    return members, _sort_of_layer(order)


def _with_text(visibility: Visibility, text: str) -> tuple[Members, Sort]:
    # Names are lower case, by the specification.
    conditions = (*_shown(visibility), contains(_item.c.name, check_search(text)))
    # A list for each registry, since only inside one is an index in the order of names.
    members = Members(_SEARCH, _item, _item.c.id, _item.c.registry_id, conditions)
    return members, _sort(_BY_NAME)

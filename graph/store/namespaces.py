"""Read namespaces: the prefixes of repository names (concept C4).

Rules of this file: each function runs one statement, whatever the number of keys, and answers in their order.
A namespace is there as long as a present repository is below it.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, FromClause, and_, func, literal_column, select

from graph.store.conditions import EVERYWHERE, Range, starting_with
from graph.store.cursors import CursorForm
from graph.store.filters import NamespaceOrder, Order, check_prefix
from graph.store.listings import Listing, find_rows, load_rows
from graph.store.pages import Members, Page, PageRequest, count_members, read_pages
from graph.store.rows import NamespaceRow
from graph.store.sorts import sort_by
from graph.store.tables import namespace, repository
from graph.store.visibility import Visibility

# What inner queries read from.
_item = namespace.alias("item")

_LIST_NAME = "registry.namespaces"
_SORT = sort_by(Order(NamespaceOrder.NAME), "name", _item, namespace)


def load_namespaces(db: Connection, visibility: Visibility, keys: Sequence[int]) -> list[NamespaceRow | None]:
    """Return the namespace of each key; None where there is none (any more)."""
    return load_rows(db, keys, _listing(visibility), _repository_count(visibility, namespace) > 0)


def find_namespaces(
    db: Connection, visibility: Visibility, names: Sequence[tuple[int, str]]
) -> list[NamespaceRow | None]:
    """Return the namespace of each (registry key, name)."""
    return find_rows(
        db,
        names,
        _listing(visibility),
        lambda wanted: wanted.source.join(
            namespace, and_(namespace.c.registry_id == wanted.first, namespace.c.name == wanted.second)
        ),
        _repository_count(visibility, namespace) > 0,
    )


def namespace_cursors() -> CursorForm:
    """Return what the cursors of a registry's namespaces look like."""
    return _SORT.form(_LIST_NAME)


def page_namespaces(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    request: PageRequest,
    prefix: str | None = None,
) -> list[Page[NamespaceRow]]:
    """Return a page of each registry's namespaces, by name, those that start with `prefix`.

    Raises what `check_prefix` raises.
    """
    sort = replace(_SORT, within=_range(prefix))
    return read_pages(db, registry_keys, _listing(visibility), _in_registry(visibility), sort, request)


def count_namespaces(
    db: Connection, visibility: Visibility, registry_keys: Sequence[int], prefix: str | None = None
) -> list[int]:
    """Return how many namespaces each registry has that start with `prefix`."""
    members = _in_registry(visibility, *_range(prefix).conditions(_item.c.name))
    return count_members(db, registry_keys, members)


def _range(prefix: str | None) -> Range:
    return EVERYWHERE if prefix is None else starting_with(check_prefix(prefix))


def _in_registry(visibility: Visibility, *conditions: ColumnElement[bool]) -> Members:
    shown = (_repository_count(visibility, _item) > 0, *conditions)
    return Members(_LIST_NAME, _item, _item.c.id, _item.c.registry_id, shown)


def _listing(visibility: Visibility) -> Listing[NamespaceRow]:
    columns = (
        namespace.c.id,
        namespace.c.registry_id,
        namespace.c.name,
        _repository_count(visibility, namespace),
    )
    return Listing(NamespaceRow, columns, namespace, namespace.c.id)


def _repository_count(visibility: Visibility, table: FromClause) -> ColumnElement[int]:
    if visibility.is_everything:
        return table.c.repository_count
    below = repository.alias("below")
    return (
        select(func.count())
        .where(
            below.c.registry_id == table.c.registry_id,
            below.c.absent_at.is_(None),
            below.c.name > table.c.name + literal_column("'/'"),
            below.c.name < table.c.name + literal_column("'0'"),
            visibility.restrict(below.c.id),
        )
        .scalar_subquery()
    )

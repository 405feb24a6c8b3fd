"""Read tags: by their keys and names, and the lists of a repository and of an artifact.

Rules of this file: each function runs one statement, whatever the number of keys, and answers in their order.
Only a key finds an absent tag. Tags that only point at referrers are left out of lists and counts unless the
filter asks for them.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, and_

from graph.store.conditions import tag_conditions
from graph.store.filters import Order, TagFilter, TagOrder
from graph.store.listings import Join, Listing, find_rows, load_counts, load_rows
from graph.store.pages import Members, Page, PageRequest, Sort, count_members, read_pages, sort_by
from graph.store.rows import TagRow
from graph.store.tables import artifact, repository, tag
from graph.store.visibility import Visibility

_LISTING = Listing(
    TagRow,
    (
        tag.c.id,
        repository.c.registry_id,
        tag.c.repository_id,
        repository.c.name,
        tag.c.name,
        tag.c.is_referrer_tag,
        tag.c.artifact_id,
        tag.c.error_code,
        tag.c.error_message,
        tag.c.first_seen_at,
        tag.c.observed_at,
        tag.c.changed_at,
        tag.c.absent_at,
    ),
    tag,
    tag.c.id,
    (Join(repository, repository.c.id == tag.c.repository_id),),
)

# With what the tag names beside it, for the order by when that was made.
_named = artifact.alias("named")
_WITH_ARTIFACT = Listing(
    TagRow,
    _LISTING.columns,
    tag,
    tag.c.id,
    (*_LISTING.joins, Join(_named, _named.c.id == tag.c.artifact_id, is_outer=True)),
)

_BY_NAME = Order(TagOrder.NAME)
_ORDINARY = TagFilter()

# What inner queries read from.
_item = tag.alias("item")
_item_named = artifact.alias("item_named")


def load_tags(db: Connection, visibility: Visibility, keys: Sequence[int]) -> list[TagRow | None]:
    """Return the tag of each key, absent ones too; None where the key is unknown."""
    return load_rows(db, keys, _LISTING, visibility.restrict(tag.c.repository_id))


def find_tags(
    db: Connection, visibility: Visibility, names: Sequence[tuple[int, str]]
) -> list[TagRow | None]:
    """Return the present tag of each (repository key, name)."""
    return find_rows(
        db,
        names,
        _LISTING,
        lambda wanted: _LISTING.join_to(
            wanted.source, and_(tag.c.repository_id == wanted.first, tag.c.name == wanted.second)
        ),
        tag.c.absent_at.is_(None),
        visibility.restrict(tag.c.repository_id),
    )


def page_tags(
    db: Connection,
    visibility: Visibility,
    repository_keys: Sequence[int],
    request: PageRequest,
    filter: TagFilter | None = None,
    order: Order[TagOrder] | None = None,
) -> list[Page[TagRow]]:
    """Return a page of each repository's present tags; by name unless told."""
    return _page(db, visibility, "repository", repository_keys, request, filter, order)


def count_tags(
    db: Connection, visibility: Visibility, repository_keys: Sequence[int], filter: TagFilter | None = None
) -> list[int]:
    """Return how many present tags of each repository the filter keeps."""
    if visibility.is_everything and (filter or _ORDINARY) == _ORDINARY:
        return load_counts(db, repository_keys, repository.c.id, repository.c.tag_count)
    return count_members(db, repository_keys, _members(db, visibility, "repository", filter))


def page_artifact_tags(
    db: Connection,
    visibility: Visibility,
    artifact_keys: Sequence[int],
    request: PageRequest,
    filter: TagFilter | None = None,
    order: Order[TagOrder] | None = None,
) -> list[Page[TagRow]]:
    """Return a page of the present tags that name each artifact; by name unless told."""
    return _page(db, visibility, "artifact", artifact_keys, request, filter, order)


def count_artifact_tags(
    db: Connection, visibility: Visibility, artifact_keys: Sequence[int], filter: TagFilter | None = None
) -> list[int]:
    """Return how many present tags that name each artifact the filter keeps."""
    if visibility.is_everything and (filter or _ORDINARY) == _ORDINARY:
        return load_counts(db, artifact_keys, artifact.c.id, artifact.c.tag_count)
    return count_members(db, artifact_keys, _members(db, visibility, "artifact", filter))


def _page(
    db: Connection,
    visibility: Visibility,
    owner: str,
    keys: Sequence[int],
    request: PageRequest,
    filter: TagFilter | None,
    order: Order[TagOrder] | None,
) -> list[Page[TagRow]]:
    order = order or _BY_NAME
    is_by_artifact = order.field is TagOrder.CREATED
    return read_pages(
        db,
        keys,
        _WITH_ARTIFACT if is_by_artifact else _LISTING,
        _members(db, visibility, owner, filter, is_by_artifact),
        _sort(order),
        request,
    )


def _members(
    db: Connection, visibility: Visibility, owner: str, filter: TagFilter | None, with_artifact: bool = False
) -> Members:
    conditions = (
        _item.c.absent_at.is_(None),
        visibility.restrict(_item.c.repository_id),
        *tag_conditions(db, filter or _ORDINARY, _item),
    )
    source = _item.outerjoin(_item_named, _item_named.c.id == _item.c.artifact_id) if with_artifact else _item
    return Members(f"{owner}.tags", source, _item.c.id, _item.c[f"{owner}_id"], conditions)


def _sort(order: Order[TagOrder]) -> Sort:
    if order.field is TagOrder.CREATED:
        return sort_by(order, "created_at", _item_named, _named)
    column = {
        TagOrder.NAME: "name",
        TagOrder.VERSION: "version_key",
        TagOrder.FIRST_SEEN: None,
        TagOrder.CHANGED: "changed_at",
    }[order.field]
    return sort_by(order, column, _item, tag)

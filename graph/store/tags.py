"""Read tags: by their keys and names, and the lists of a repository and of an artifact.

Rules of this file: each function runs one statement, whatever the number of keys, and answers in their order.
Only a key finds an absent tag. Tags that only point at referrers are left out of lists and counts unless the
filter asks for them.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, Table, and_, type_coerce

from graph.store.conditions import tag_narrowing
from graph.store.cursors import CursorForm
from graph.store.filters import Order, TagFilter, TagOrder
from graph.store.listings import Join, Listing, LocksColumn, find_rows, load_counts, load_rows
from graph.store.pages import Members, Page, PageRequest, count_members, keep_list, read_pages
from graph.store.rows import TagRow
from graph.store.sorts import Sort, sort_by
from graph.store.tables import artifact, repository, tag
from graph.store.visibility import Visibility

TAGS = Listing(
    TagRow,
    (
        tag.c.id,
        repository.c.registry_id,
        tag.c.repository_id,
        repository.c.name,
        tag.c.name,
        tag.c.artifact_id,
        tag.c.error_code,
        tag.c.error_message,
        tag.c.first_seen_at,
        tag.c.observed_at,
        tag.c.changed_at,
        tag.c.pushed_at,
        type_coerce(tag.c.locks, LocksColumn),
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
    TAGS.columns,
    tag,
    tag.c.id,
    (*TAGS.joins, Join(_named, _named.c.id == tag.c.artifact_id, is_outer=True)),
)

_BY_NAME = Order(TagOrder.NAME)
_ORDINARY = TagFilter()

_COLUMN_OF = {
    TagOrder.NAME: "name",
    TagOrder.VERSION: "version_key",
    TagOrder.FIRST_SEEN: None,  # keys rise
    TagOrder.CHANGED: "changed_at",
}

# What inner queries read from.
_item = tag.alias("item")
_item_named = artifact.alias("item_named")


def load_tags(db: Connection, visibility: Visibility, keys: Sequence[int]) -> list[TagRow | None]:
    """Return the tag of each key, absent ones too; None where the key is unknown."""
    return load_rows(db, keys, TAGS, visibility.restrict(tag.c.repository_id))


def find_tags(
    db: Connection, visibility: Visibility, names: Sequence[tuple[int, str]]
) -> list[TagRow | None]:
    """Return the present tag of each (repository key, name)."""
    return find_rows(
        db,
        names,
        TAGS,
        lambda wanted: TAGS.join_to(
            wanted.source, and_(tag.c.repository_id == wanted.first, tag.c.name == wanted.second)
        ),
        tag.c.absent_at.is_(None),
        visibility.restrict(tag.c.repository_id),
    )


def tag_cursors(owner: str, order: Order[TagOrder] | None = None) -> CursorForm:
    """Return what the cursors of the tags of an `owner`, "repository" or "artifact", look like."""
    return _sort(order or _BY_NAME).form(f"{owner}.tags")


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
    return _count(db, visibility, repository, repository_keys, filter)


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
    return _count(db, visibility, artifact, artifact_keys, filter)


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
    members, sort = _of_owner(db.dialect.name, visibility, owner, filter or _ORDINARY, order)
    listing = _WITH_ARTIFACT if order.field is TagOrder.CREATED else TAGS
    return read_pages(db, keys, listing, members, sort, request)


@keep_list
def _of_owner(
    engine: str, visibility: Visibility, owner: str, filter: TagFilter, order: Order[TagOrder]
) -> tuple[Members, Sort]:
    narrowing = tag_narrowing(engine, filter, _item)
    if order.field is TagOrder.CREATED:
        members = _members(visibility, owner, narrowing.beside())
        source = _item.outerjoin(_item_named, _item_named.c.id == _item.c.artifact_id)
        return replace(members, source=source), _sort(order)
    column = _COLUMN_OF[order.field]
    members = _members(visibility, owner, narrowing.beside(column))
    return members, replace(_sort(order), within=narrowing.range_of(column))


def _sort(order: Order[TagOrder]) -> Sort:
    if order.field is TagOrder.CREATED:
        return sort_by(order, "created_at", _item_named, _named)
    return sort_by(order, _COLUMN_OF[order.field], _item, tag)


def _count(
    db: Connection, visibility: Visibility, owner: Table, keys: Sequence[int], filter: TagFilter | None
) -> list[int]:
    if visibility.is_everything and (filter or _ORDINARY) == _ORDINARY:
        return load_counts(db, keys, owner.c.id, owner.c.tag_count)
    conditions = tag_narrowing(db.dialect.name, filter or _ORDINARY, _item).beside()
    return count_members(db, keys, _members(visibility, owner.name, conditions))


def _members(visibility: Visibility, owner: str, conditions: list[ColumnElement[bool]]) -> Members:
    shown = (_item.c.absent_at.is_(None), visibility.restrict(_item.c.repository_id))
    return Members(f"{owner}.tags", _item, _item.c.id, _item.c[f"{owner}_id"], (*shown, *conditions))

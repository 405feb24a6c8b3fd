"""Pages of artifacts by their exclusive bytes, which no index can sort: they change with what others use.

Rules of this file: all artifacts of a list that its filter keeps are weighed for a page of it, as in
`storage.py`, so there is a bound to how many they may be; two statements, whatever the number of parents.
"""

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import Connection, select

from graph.errors import QueryTooCostlyError
from graph.oci.sets import down, going
from graph.store.keys import key_set
from graph.store.listings import Listing, load_rows
from graph.store.pages import Members, Page, PageRequest, cut_page
from graph.store.sets import load_chosen_contents, weigh_contents
from graph.store.sorts import Sort
from graph.store.visibility import Visibility

R = TypeVar("R")

# Artifacts that are weighed for one answer: it takes some seconds.
MAX_RANKED = 30_000

# Artifacts, entries of indexes and uses of blobs that they are weighed by.
MAX_RANKED_ROWS = 400_000


def rank_sort(*, is_descending: bool) -> Sort:
    """Return how such a list is sorted."""
    return Sort("EXCLUSIVE_BYTES", kind=int, is_descending=is_descending)


def rank_pages(
    db: Connection,
    visibility: Visibility,
    parents: Sequence[int],
    listing: Listing[R],
    members: Members,
    request: PageRequest,
    *,
    is_descending: bool,
    limit: int = MAX_RANKED,
) -> list[Page[R]]:
    """Return a page of each parent's artifacts by their exclusive bytes, aligned with `parents`.

    Raises InvalidCursorError, and QueryTooCostlyError if the parents have more than `limit` artifacts.
    """
    sort = rank_sort(is_descending=is_descending)
    form = sort.form(members.name)
    after, before = form.read(request.after), form.read(request.before)
    keys = key_set(db, parents)
    chosen = (
        select(keys.value.label("parent"), members.key.label("member"))
        .select_from(keys.source.join(members.source, members.parent == keys.value))
        .where(*members.conditions)
        .limit(limit + 1)
        .cte("chosen")
    )
    pairs, around, contents = load_chosen_contents(db, visibility, chosen, MAX_RANKED_ROWS)
    if len(pairs) > limit:
        raise QueryTooCostlyError(len(pairs), limit, "artifacts to be weighed: narrow the filter")
    found: dict[int, list[tuple[int, int, int]]] = {parent: [] for parent in parents}
    for parent, key in pairs:
        leaving = going({key}, around.children, around.parents, around.tagged)
        weight = weigh_contents(down({key}, around.children), leaving, contents)
        found[parent].append((weight.exclusive_bytes, key, key))
    pages = [cut_page(list(found[parent]), sort, form.label, request, after, before) for parent in parents]
    wanted = [key for page in pages for key in page.rows]
    loaded: list[R | None] = load_rows(db, wanted, listing) if wanted else []
    rows = {key: row for key, row in zip(wanted, loaded, strict=True) if row is not None}
    return [
        Page([rows[key] for key in page.rows], page.cursors, page.has_next, page.has_previous)
        for page in pages
    ]

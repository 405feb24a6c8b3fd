"""Read which layers two repositories or two artifacts share, largest first.

Rules of this file: each function runs one statement, whatever the number of pairs, and answers in order.
The first of a pair is who was asked about, an index with all that it holds; the second is related to it, and
is nothing but itself.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select

from graph.store.cursors import CursorForm
from graph.store.keys import key_set, pair_set
from graph.store.layers import layer_listing
from graph.store.pages import Page, PageRequest
from graph.store.rankings import Ranking, open_window, rank, ranking_cursors, read_ranking
from graph.store.rows import LayerRow
from graph.store.users import ARTIFACT_USERS, REPOSITORY_USERS, Users, layers_of
from graph.store.visibility import Visibility


def overlap_cursors(users: Users) -> CursorForm:
    """Return what the cursors of the layers that two of them share look like."""
    return ranking_cursors(f"{users.name}.overlap SIZE")


def page_repository_overlap(
    db: Connection, visibility: Visibility, pairs: Sequence[tuple[int, int]], request: PageRequest
) -> list[Page[LayerRow]]:
    """Return a page of the layers that both repositories of each pair use, largest first."""
    return _page_overlap(db, visibility, REPOSITORY_USERS, pairs, request)


def page_artifact_overlap(
    db: Connection, visibility: Visibility, pairs: Sequence[tuple[int, int]], request: PageRequest
) -> list[Page[LayerRow]]:
    """Return a page of the layers that both use, largest first: the first with all it holds, the second."""
    return _page_overlap(db, visibility, ARTIFACT_USERS, pairs, request)


def count_repository_overlap(
    db: Connection, visibility: Visibility, pairs: Sequence[tuple[int, int]]
) -> list[int]:
    """Return how many layers both repositories of each pair use."""
    return _count_overlap(db, visibility, REPOSITORY_USERS, pairs)


def count_artifact_overlap(
    db: Connection, visibility: Visibility, pairs: Sequence[tuple[int, int]]
) -> list[int]:
    """Return how many layers both artifacts of each pair use."""
    return _count_overlap(db, visibility, ARTIFACT_USERS, pairs)


def _page_overlap(
    db: Connection,
    visibility: Visibility,
    users: Users,
    pairs: Sequence[tuple[int, int]],
    request: PageRequest,
) -> list[Page[LayerRow]]:
    window = open_window(overlap_cursors(users), request)
    both = _both(db, visibility, users, pairs).cte("both")
    ranking = Ranking(both, (both.c.parent, both.c.member), both.c.size, both.c.blob)
    page = rank(ranking, window.shape, layer_listing(visibility))
    return read_ranking(db, pairs, page, {}, window, lambda row, _: row)


def _count_overlap(
    db: Connection, visibility: Visibility, users: Users, pairs: Sequence[tuple[int, int]]
) -> list[int]:
    both = _both(db, visibility, users, pairs).subquery("both")
    statement = select(both.c.parent, both.c.member, func.count()).group_by(both.c.parent, both.c.member)
    counts = {(parent, member): count for parent, member, count in db.execute(statement)}
    return [counts.get(pair, 0) for pair in pairs]


def _both(
    db: Connection, visibility: Visibility, users: Users, pairs: Sequence[tuple[int, int]]
) -> Select[Any]:
    """Return the layers of each pair as (parent, member, blob, size)."""
    wanted = pair_set(db, pairs)
    asked = select(wanted.first.label("parent"), wanted.second.label("member")).select_from(wanted.source)
    pair = asked.cte("pair")
    _, layers = layers_of(users, visibility, key_set(db, [first for first, _ in pairs]))
    use = users.use("shared_use", visibility)
    return (
        select(pair.c.parent, pair.c.member, layers.c.blob, layers.c.size)
        .select_from(
            pair.join(layers, layers.c.parent == pair.c.parent).join(
                use.source, and_(use.member == pair.c.member, use.blob == layers.c.blob)
            )
        )
        .where(use.is_shown)
    )

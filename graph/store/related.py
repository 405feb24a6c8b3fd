"""Read what is related to a repository or an artifact: who shares layers with it, most bytes first.

Rules of this file: each function runs one statement, whatever the number of parents. `overlapBytes` is the
bytes of the layers that both use, each digest once (docs/questions.md). No index has the order, and all
who use the layers of a common base are tens of thousands, so a page is proved rather than sorted out:

1. The layers of a parent are taken from the rarest up, while all their users together are few. Those layers
   are *cold*, the rest *hot*. Who uses no cold layer shares at most the bytes of all hot ones.
2. Who uses a cold layer is looked at. So are, walked along the index of the rarest hot layer in the order of
   equals, some more: who shares all hot layers but no cold one is found there, in order.
3. What was looked at is weighed whole. Down to the bytes of all hot layers, and among those that share just
   that down to the last one walked, it is the list itself. Where it holds the page, that is the answer.
4. Where it does not (a parent built on several bases that nobody else combines, a page far down the list, one
   counted from the end), all users of all layers are weighed. In the same statement: a branch for the parents
   that are not proved. Where that takes no longer than the proof, there is nothing to prove.

On a store of 460,000 repositories a page takes 1.5 ms at the median and 5 ms at the worst, where weighing all
took up to 65 ms; what cannot be proved costs about 0.7 µs for each user of each layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    and_,
    case,
    distinct,
    false,
    func,
    or_,
    select,
    true,
    union,
    union_all,
)

from graph.store.cursors import MAX_INTEGER, CursorForm
from graph.store.keys import key_parameter, key_set, key_value
from graph.store.pages import Page, PageRequest
from graph.store.rankings import (
    AFTER,
    BEFORE,
    SIZE,
    RankedPage,
    Ranking,
    Shape,
    is_ahead,
    is_behind,
    open_window,
    rank,
    ranking_cursors,
    read_ranking,
)
from graph.store.rows import OverlapRow
from graph.store.users import ARTIFACT_USERS, REPOSITORY_USERS, Users, is_other, layers_of
from graph.store.visibility import Visibility


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is looked at to prove a page; the page is the same whatever it is."""

    cold_users: int = 300  # of the cold layers of a parent, together: each is looked up for each layer
    walked: int = 40  # users of a hot layer, and some more for each row of the page: not all have all layers
    walked_per_row: int = 3
    lookups_per_use: int = 1  # one look-up takes about as long as to read and add up a user of a layer

    @property
    def walk(self) -> ColumnElement[int]:
        """How many users of a hot layer are walked."""
        return SIZE * self.walked_per_row + self.walked

    def is_worth_it(self, layers: ColumnElement[int], users: ColumnElement[int]) -> ColumnElement[bool]:
        """Return whether to prove takes less than to weigh all, given how many layers and users there are."""
        return users * self.lookups_per_use > (self.walk + self.cold_users) * layers


_EFFORT = Effort()


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """What the statement of a page of related members is put together from."""

    users: Users
    visibility: Visibility
    shape: Shape
    effort: Effort
    own: CTE
    layers: CTE  # parent, blob, size, users, is_hot


def related_cursors(users: Users) -> CursorForm:
    """Return what the cursors of the list of those that share layers with one look like."""
    return ranking_cursors(f"{users.name}.related OVERLAP_BYTES")


def page_related_repositories(
    db: Connection,
    visibility: Visibility,
    repository_keys: Sequence[int],
    request: PageRequest,
    effort: Effort = _EFFORT,
) -> list[Page[OverlapRow]]:
    """Return a page of the present repositories that share a layer with each; most bytes first.

    Among those that share as much, last seen first comes first.
    """
    return _page_related(db, visibility, REPOSITORY_USERS, repository_keys, request, effort)


def page_related_artifacts(
    db: Connection,
    visibility: Visibility,
    artifact_keys: Sequence[int],
    request: PageRequest,
    effort: Effort = _EFFORT,
) -> list[Page[OverlapRow]]:
    """Return a page of the present artifacts that share a layer with each, or with what an index holds.

    In all repositories of the registry, most bytes first, then last seen first. What the index itself holds
    is left out.
    """
    return _page_related(db, visibility, ARTIFACT_USERS, artifact_keys, request, effort)


def count_related_repositories(
    db: Connection, visibility: Visibility, repository_keys: Sequence[int]
) -> list[int]:
    """Return how many present repositories share a layer with each; every use of its layers is read."""
    return _count_related(db, visibility, REPOSITORY_USERS, repository_keys)


def count_related_artifacts(
    db: Connection, visibility: Visibility, artifact_keys: Sequence[int]
) -> list[int]:
    """Return how many present artifacts share a layer with each; every use of its layers is read."""
    return _count_related(db, visibility, ARTIFACT_USERS, artifact_keys)


def _page_related(
    db: Connection,
    visibility: Visibility,
    users: Users,
    parents: Sequence[int],
    request: PageRequest,
    effort: Effort,
) -> list[Page[OverlapRow]]:
    window = open_window(related_cursors(users), request)
    engine = db.dialect.name
    page = _related_statement(engine, users, visibility, window.shape, effort)
    return read_ranking(db, parents, page, {"keys": key_value(engine, parents)}, window, OverlapRow)


@lru_cache(maxsize=64)  # two kinds of members, six shapes of a request, and some views
def _related_statement(
    engine: str, users: Users, visibility: Visibility, shape: Shape, effort: Effort
) -> RankedPage:
    own, layers = layers_of(users, visibility, key_parameter(engine), least=2)
    found = _found(_Parts(users, visibility, shape, effort, own, _tell_hot(layers, effort)))
    column = found.c
    ranking = Ranking(found, (column.parent,), column.bytes, column.member, (column.layers,))
    return rank(ranking, shape, users.listing)


def _tell_hot(layers: CTE, effort: Effort) -> CTE:
    column = layers.c
    so_far = func.sum(column.users).over(partition_by=column.parent, order_by=(column.users, column.blob))
    count = func.count().over(partition_by=column.parent)
    users = func.sum(column.users).over(partition_by=column.parent)
    is_hot = and_(so_far > effort.cold_users, effort.is_worth_it(count, users))
    return select(column.parent, column.blob, column.size, column.users, is_hot.label("is_hot")).cte(
        "ranked_layers"
    )


def _found(parts: _Parts) -> CTE:
    """Return who is related: all that was weighed of the proved parents, all there is of the others."""
    edge = _edge(parts)
    walked = _walked(parts, edge)
    weighed = _weigh(parts, _seen(parts, edge, walked))
    proved = _proved(parts, edge, walked, weighed)
    column, use = parts.layers.c, parts.users.use("any_use", parts.visibility)
    whole = (
        select(column.parent, use.member, func.sum(column.size), func.count())
        .select_from(parts.layers.join(use.source, use.blob == column.blob))
        .where(
            use.condition,
            column.parent.not_in(select(proved.c.parent)),
            is_other(parts.users, parts.own, column.parent, use.member),
        )
        .group_by(column.parent, use.member)
    )
    shown = select(weighed).where(weighed.c.parent.in_(select(proved.c.parent)))
    return union_all(shown, whole).cte("found")


def _edge(parts: _Parts) -> CTE:
    """Return, of each parent with hot layers, their bytes and the one to walk: the rarest that weighs."""
    column, rarest = parts.layers.c, parts.layers.alias("rarest")
    walked = (
        select(rarest.c.blob)
        .where(rarest.c.parent == column.parent, rarest.c.is_hot, rarest.c.size > 0)
        .order_by(rarest.c.users, rarest.c.blob)
        .limit(1)
        .correlate(parts.layers)
        .scalar_subquery()
    )
    return (
        select(column.parent, func.sum(column.size).label("bytes"), walked.label("blob"))
        .where(column.is_hot)
        .group_by(column.parent)
        .cte("edge")
    )


def _walked(parts: _Parts, edge: CTE) -> CTE:
    """Return the first users of that layer, as equals are ordered; behind the cursor, if it is one."""
    step = parts.users.use("step", parts.visibility)
    start: list[ColumnElement[bool]] = []
    if parts.shape.has_after:
        is_among = edge.c.bytes == AFTER.value
        start = [step.member < case((is_among, AFTER.key), else_=MAX_INTEGER)]
    steps = (
        select(step.member)
        .select_from(step.source)
        .where(step.blob == edge.c.blob, step.condition, *start)
        .order_by(step.member.desc())
        .limit(parts.effort.walk)
        .correlate(edge)
    )
    use = parts.users.use("walked_use", parts.visibility)
    return (
        select(edge.c.parent, use.member.label("member"))
        .select_from(edge.join(use.source, use.blob == edge.c.blob))
        .where(use.condition, use.member.in_(steps))
        .cte("walked")
    )


def _seen(parts: _Parts, edge: CTE, walked: CTE) -> CTE:
    """Return whom to weigh. What the cursors name is among them: it tells that the list goes on there."""
    column, use = parts.layers.c, parts.users.use("cold_use", parts.visibility)
    cold = (
        select(column.parent, use.member.label("member"))
        .select_from(parts.layers.join(use.source, use.blob == column.blob))
        .where(~column.is_hot, use.condition, column.parent.in_(select(edge.c.parent)))
    )
    named = [select(edge.c.parent, place.key) for place in parts.shape.cursors]
    return union(cold, select(walked), *named).cte("seen")


def _weigh(parts: _Parts, seen: CTE) -> CTE:
    column, use = parts.layers.c, parts.users.use("weighed_use", parts.visibility)
    is_used = and_(use.member == seen.c.member, use.blob == column.blob, use.is_shown)
    return (
        select(
            seen.c.parent,
            seen.c.member,
            func.sum(case((use.member.is_(None), 0), else_=column.size)).label("bytes"),
            func.count(use.member).label("layers"),
        )
        .select_from(
            # An outer join, so that each layer of the parent is looked up: SQLite would else read all that a
            # member has, which may be thousands of layers that are nobody else's.
            seen.join(parts.layers, column.parent == seen.c.parent).outerjoin(use.source, is_used)
        )
        .where(is_other(parts.users, parts.own, seen.c.parent, seen.c.member))
        .group_by(seen.c.parent, seen.c.member)
        .having(func.count(use.member) > 0)
        .cte("weighed")
    )


def _proved(parts: _Parts, edge: CTE, walked: CTE, weighed: CTE) -> CTE:
    """Return the parents of which the page, and whether the list goes on around it, is surely weighed."""
    last = _last_walked(parts, edge, walked)
    known = select(edge.c.parent, edge.c.bytes, last.label("last")).cte("known")

    def is_known(value: Any, key: Any) -> ColumnElement[bool]:
        return or_(value > known.c.bytes, and_(value == known.c.bytes, key >= known.c.last))

    def count_weighed(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
        return (
            select(func.count())
            .select_from(weighed)
            .where(weighed.c.parent == known.c.parent, *conditions)
            .correlate(known)
            .scalar_subquery()
        )

    place = (weighed.c.bytes, weighed.c.member)
    conditions: list[ColumnElement[bool]] = []
    if parts.shape.has_before:
        conditions.append(is_known(BEFORE.value, BEFORE.key))
        conditions.append(count_weighed(~is_ahead(*place, BEFORE)) > 0)
    elif parts.shape.is_backward:
        conditions.append(false())
    else:
        is_inside = is_behind(*place, AFTER) if parts.shape.has_after else true()
        conditions.append(count_weighed(is_inside, is_known(*place)) > SIZE)
    if parts.shape.has_after:
        starts = count_weighed(~is_behind(*place, AFTER)) > 0
        conditions.append(or_(AFTER.value > known.c.bytes, starts))
    return select(known.c.parent).where(*conditions).cte("proved")


def _last_walked(parts: _Parts, edge: CTE, walked: CTE) -> ColumnElement[int]:
    """Return the last key walked, 0 where that was all of the list, NULL where there was none to walk."""
    steps = (
        select(case((func.count() < parts.effort.walk, 0), else_=func.min(walked.c.member)))
        .where(walked.c.parent == edge.c.parent)
        .correlate(edge)
        .scalar_subquery()
    )
    return case((edge.c.blob.is_(None), None), else_=steps)


def _count_related(db: Connection, visibility: Visibility, users: Users, parents: Sequence[int]) -> list[int]:
    own, layers = layers_of(users, visibility, key_set(db, parents), least=2)
    use = users.use("counted_use", visibility)
    statement = (
        select(layers.c.parent, func.count(distinct(use.member)))
        .select_from(layers.join(use.source, use.blob == layers.c.blob))
        .where(use.condition, is_other(users, own, layers.c.parent, use.member))
        .group_by(layers.c.parent)
    )
    counts = {parent: count for parent, count in db.execute(statement)}  # noqa: C416  # mypy: dict() of Rows
    return [counts.get(parent, 0) for parent in parents]

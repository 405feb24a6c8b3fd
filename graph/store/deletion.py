"""What the plan of a deletion is worked out from, and what it would free.

Rules of this file: what goes and what stays is decided by `oci.deletion`; here is read what that needs, and
added up what follows. Each `load_…` runs one statement, whatever the number of keys. Only what is present is
read, and every edge stays inside its repository.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    Label,
    Select,
    and_,
    bindparam,
    case,
    false,
    func,
    literal_column,
    select,
    union_all,
)

from graph.errors import QueryTooCostlyError
from graph.oci.deletion import DeletionPlan, DeletionReason, DeletionStep, plan_deletion
from graph.oci.digest import Digest
from graph.store.conditions import key_of
from graph.store.filters import Order, TagOrder
from graph.store.keys import key_parameter, key_set, key_value, pair_parameter, pair_value
from graph.store.pages import Members, PageRequest, read_pages
from graph.store.rows import TagRow
from graph.store.sets import user_count
from graph.store.sorts import sort_by
from graph.store.tables import artifact, artifact_blob, blob, manifest_child, referrer, tag
from graph.store.tags import TAGS
from graph.store.visibility import Visibility

# Artifacts and edges that one plan may be worked out from: 14,000 signed images for two platforms each, about
# 3 s of CPU time. A repository of 6,000 such images takes 1.3 s.
MAX_SURROUNDINGS = 100_000


@dataclass(slots=True)
class Surroundings:
    """Some artifacts, whatever may go with them, and what may hold any of these, by key.

    `children` leads from an index, one from outside too, to those in here that it lists; `referrers` from a
    subject, and from None for one that is not known to be absent, to those in here that refer to it.
    """

    repository_of: dict[int, int] = field(default_factory=dict)
    tag_counts: dict[int, int] = field(default_factory=dict)  # ordinary tags
    children: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    referrers: dict[int | None, set[int]] = field(default_factory=lambda: defaultdict(set))


class Extent(IntEnum):
    """How much of a plan is deleted."""

    WHOLE = 0
    WITHOUT_REFERRERS = 1
    NAMED_ONLY = 2


@dataclass(frozen=True, slots=True)
class FreedBlob:
    """A blob that nothing uses any more once a plan is carried out, to the extent given or to a greater."""

    key: int
    registry_key: int
    digest: Digest
    size: int  # 0 where nobody says
    is_layer: bool
    extent: Extent


@dataclass(frozen=True, slots=True)
class Deletion:
    """A plan, and the blobs that nothing uses any more once it is carried out, the largest first.

    `tag_counts` says how many ordinary tags each artifact that stays keeps.
    """

    plan: DeletionPlan
    tag_counts: Mapping[int, int]
    freed: Sequence[FreedBlob]

    def bytes_freed(self, extent: Extent) -> int:
        """The bytes of what is freed if the plan is carried out to this extent."""
        return sum(blob.size for blob in self.freed if blob.extent >= extent)


def work_out_deletion(
    db: Connection,
    visibility: Visibility,
    artifact_keys: Collection[int],
    repository_keys: Collection[int],
    taken: Mapping[int, int],
) -> Deletion:
    """Return the plan that takes away these artifacts, all artifacts of these repositories, and some tags.

    `taken` is how many ordinary tags are taken away from each artifact that loses any tag. Two statements.

    Raises QueryTooCostlyError for more than MAX_SURROUNDINGS artifacts and edges.
    """
    around = load_surroundings(db, visibility, {*artifact_keys, *taken}, repository_keys)
    homes = set(repository_keys)
    named = {key for key in artifact_keys if key in around.repository_of}
    named.update(key for key, home in around.repository_of.items() if home in homes)
    tag_counts = {key: count - taken.get(key, 0) for key, count in around.tag_counts.items()}
    tagged = {key for key, count in tag_counts.items() if count > 0}
    released = taken.keys() & around.repository_of.keys()
    plan = plan_deletion(named, released, tagged, around.children, around.referrers)
    extents = {step.artifact: _extent_of(step, plan) for step in plan.steps}
    kept = {stay.artifact: tag_counts[stay.artifact] for stay in plan.staying}
    return Deletion(plan, kept, load_freed(db, visibility, extents))


def _extent_of(step: DeletionStep, plan: DeletionPlan) -> Extent:
    if step.reason is DeletionReason.NAMED:
        return Extent.NAMED_ONLY
    return Extent.WITHOUT_REFERRERS if step.artifact in plan.without_referrers else Extent.WHOLE


# What statements read from. Making an alias takes longer than the statement does.
_child, _referring, _index, _subject = (
    artifact.alias(name) for name in ("child", "referring", "index_above", "subject")
)
_item = tag.alias("item")

# What a row of the surroundings is about.
_MEMBER, _CHILD, _REFERRER = range(3)


def load_surroundings(
    db: Connection,
    visibility: Visibility,
    artifact_keys: Collection[int],
    repository_keys: Collection[int],
    limit: int = MAX_SURROUNDINGS,
) -> Surroundings:
    """Return these artifacts and all of these repositories, with what may go with them or hold them.

    What an ordinary tag holds, and is not asked for, is in here; what it holds in turn is not.

    Raises QueryTooCostlyError for more than `limit` artifacts and edges.
    """
    engine = db.dialect.name
    asked = {
        "artifacts": key_value(engine, list(artifact_keys)),
        "repositories": key_value(engine, list(repository_keys)),
        "limit": limit + 1,
    }
    around = Surroundings()
    count = 0
    for kind, first, second, third in db.execute(_around_statement(engine, visibility), asked):
        count += 1
        if kind == _MEMBER:
            around.repository_of[first] = second
            around.tag_counts[first] = third
        elif kind == _CHILD:
            around.children[first].add(second)
        elif not third:
            around.referrers[first].add(second)
    if count > limit:
        raise QueryTooCostlyError(count, limit, "artifacts that may go, and what holds them")
    return around


@lru_cache(maxsize=16)  # engines and some views: it takes four times as long to build as to run
def _around_statement(engine: str, visibility: Visibility) -> CompoundSelect[Any]:
    near = _near(engine, visibility)
    members = select(literal_column(str(_MEMBER)), near.c.id, near.c.repository_id, near.c.tag_count)
    limit: ColumnElement[int] = bindparam("limit", type_=BigInteger)
    return union_all(members, _child_rows(near), _referrer_rows(near)).limit(limit)


def _near(engine: str, visibility: Visibility) -> CTE:
    """Return what may go, and what right below that may not, as a table; `opens` says which goes on."""
    columns = ("id", "repository_id", "manifest_id", "has_manifest", "tag_count")
    asked = (artifact.c.absent_at.is_(None), visibility.restrict(artifact.c.repository_id))
    opens: Label[int] = literal_column("1").label("opens")
    roots: list[Select[Any]] = []
    for column, name in ((artifact.c.id, "artifacts"), (artifact.c.repository_id, "repositories")):
        wanted = key_parameter(engine, name)
        is_wanted = column.in_(select(wanted.value).select_from(wanted.source))
        roots.append(select(*(artifact.c[name] for name in columns), opens).where(is_wanted, *asked))
    near = roots[0].cte("near", recursive=True)
    is_child = _child.c.id == key_of(near.c.repository_id, manifest_child.c.child_id)
    is_referrer = and_(
        referrer.c.repository_id == near.c.repository_id, referrer.c.subject_id == near.c.manifest_id
    )
    below = near.join(manifest_child, manifest_child.c.manifest_id == near.c.manifest_id).join(
        _child, is_child
    )
    behind = near.join(referrer, is_referrer).join(_referring, _referring.c.id == referrer.c.artifact_id)
    steps = [
        select(*(found.c[name] for name in columns), case((found.c.tag_count > 0, 0), else_=1))
        .select_from(source)
        .where(near.c.opens == 1, found.c.absent_at.is_(None), *conditions)
        for found, source, conditions in (
            (_child, below, [near.c.has_manifest]),
            (_referring, behind, []),
        )
    ]
    return near.union(*roots[1:], *steps)


def _child_rows(near: CTE) -> Select[Any]:
    is_parent = _index.c.id == key_of(near.c.repository_id, manifest_child.c.manifest_id)
    return (
        select(literal_column(str(_CHILD)), _index.c.id, near.c.id, literal_column("0"))
        .select_from(
            near.join(manifest_child, manifest_child.c.child_id == near.c.manifest_id).join(_index, is_parent)
        )
        .where(_index.c.absent_at.is_(None), _index.c.has_manifest)
    )


def _referrer_rows(near: CTE) -> Select[Any]:
    is_subject = and_(
        _subject.c.repository_id == referrer.c.repository_id, _subject.c.manifest_id == referrer.c.subject_id
    )
    is_gone = case((_subject.c.absent_at.is_(None), 0), else_=1)
    return select(literal_column(str(_REFERRER)), _subject.c.id, near.c.id, is_gone).select_from(
        near.join(referrer, referrer.c.artifact_id == near.c.id).outerjoin(_subject, is_subject)
    )


def load_freed(db: Connection, visibility: Visibility, extents: Mapping[int, Extent]) -> list[FreedBlob]:
    """Return the blobs that only these artifacts use, the largest first; foreign layers are left out.

    Each artifact has the greatest extent to which a plan may be carried out and still delete it.
    """
    if not extents:
        return []
    pairs = pair_value([(key, int(extent)) for key, extent in extents.items()])
    statement = _freed_statement(db.dialect.name, visibility)
    freed = [
        FreedBlob(key, registry_key, digest, size, is_layer, Extent(extent))
        for key, registry_key, digest, size, is_layer, extent in db.execute(statement, {"pairs": pairs})
    ]
    return sorted(freed, key=lambda found: (-found.size, found.key))


@lru_cache(maxsize=16)  # as above
def _freed_statement(engine: str, visibility: Visibility) -> Select[Any]:
    pairs = pair_parameter(engine)
    uses = (
        select(
            artifact_blob.c.blob_id,
            func.count().label("uses"),
            # Where all users are in here, it is freed as long as the first of them to be left out is not.
            func.min(pairs.second).label("extent"),
        )
        .select_from(pairs.source.join(artifact_blob, artifact_blob.c.artifact_id == pairs.first))
        .group_by(artifact_blob.c.blob_id)
        .subquery("uses")
    )
    size = func.coalesce(blob.c.size, 0)
    return (
        select(blob.c.id, blob.c.registry_id, blob.c.digest, size, blob.c.is_layer, uses.c.extent)
        .select_from(uses.join(blob, blob.c.id == uses.c.blob_id))
        .where(uses.c.uses == user_count(visibility), blob.c.is_foreign == false())
    )


def load_tags_left(
    db: Connection,
    visibility: Visibility,
    artifact_keys: Sequence[int],
    taken: Collection[int],
    limit: int,
) -> list[list[TagRow]]:
    """Return the first ordinary tags of each artifact by name, those with the keys `taken` left out."""
    gone = key_set(db, list(taken))
    conditions: tuple[ColumnElement[bool], ...] = (
        _item.c.absent_at.is_(None),
        _item.c.is_referrer_tag == false(),
        _item.c.id.not_in(select(gone.value).select_from(gone.source)),
        visibility.restrict(_item.c.repository_id),
    )
    members = Members("artifact.tags_left", _item, _item.c.id, _item.c.artifact_id, conditions)
    sort = sort_by(Order(TagOrder.NAME), "name", _item, tag)
    pages = read_pages(db, artifact_keys, TAGS, members, sort, PageRequest(limit))
    return [page.rows for page in pages]

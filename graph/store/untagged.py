"""What is untagged in a registry, a namespace or a repository, counted and weighed by the reason.

Rules of this file: each function runs one statement, whatever the number of owners. The artifacts that are
untagged for one reason are a set like any other: what belongs to it and what goes with it is `down` and
`going` of `oci.sets`. They are counted where they are and never listed; what is below them and untagged for
another reason, or tagged, is listed, as only that has to be judged. Of a dangling index that is the images
that another index keeps, and of most other sets nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    case,
    func,
    literal_column,
    select,
    union_all,
)

from graph.errors import QueryTooCostlyError
from graph.oci.liveness import Untagged
from graph.oci.sets import going
from graph.store.conditions import is_below, key_of
from graph.store.keys import KeySet, key_set, pair_set
from graph.store.sets import weigh_uses
from graph.store.tables import artifact, artifact_blob, manifest_child, namespace, repository
from graph.store.visibility import Visibility

# Artifacts below untagged ones, and entries of indexes that list them, that one answer may be made from.
MAX_ROWS_BELOW = 200_000

# A number for each reason: what is weighed is told apart by its owner and its reason, as one key.
_NUMBER_OF: Mapping[Untagged, int] = {reason: number for number, reason in enumerate(Untagged)}


class Owner(Enum):
    """What holds untagged artifacts."""

    REGISTRY = auto()
    NAMESPACE = auto()
    REPOSITORY = auto()


@dataclass(frozen=True, slots=True)
class UntaggedSet:
    """The artifacts of an owner that are untagged for one reason: how many, and what else is below them.

    `leaving` goes with them, `staying` does not: a tag or another index holds it.
    """

    owner_key: int
    reason: Untagged
    artifact_count: int = 0
    leaving: tuple[int, ...] = ()
    staying: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class UntaggedWeight:
    """What a set of untagged artifacts takes in storage."""

    artifact_count: int
    stored_bytes: int
    exclusive_bytes: int


@dataclass(slots=True)
class _Below:
    """What is below one set and not in it."""

    count: int = 0
    members: dict[int, bool] = field(default_factory=dict)  # whether it has an ordinary tag
    named: set[int] = field(default_factory=set)  # of the set, those right above
    children: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    parents: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def judge(self, owner_key: int, reason: Untagged) -> UntaggedSet:
        tagged = {key for key, is_tagged in self.members.items() if is_tagged}
        leaving = going(self.named, self.children, self.parents, tagged) & self.members.keys()
        staying = self.members.keys() - leaving
        return UntaggedSet(owner_key, reason, self.count, tuple(sorted(leaving)), tuple(sorted(staying)))


# What a row is about: how many artifacts a set has, one that is below it, or an index that lists such a one.
_COUNT, _MEMBER, _EDGE = range(3)


def load_untagged(
    db: Connection,
    visibility: Visibility,
    owner: Owner,
    owner_keys: Sequence[int],
    limit: int = MAX_ROWS_BELOW,
) -> list[Mapping[Untagged, UntaggedSet]]:
    """Return the sets of untagged artifacts of each owner, by their reason.

    Raises QueryTooCostlyError if more than `limit` artifacts and entries of indexes have to be judged.
    """
    keys = key_set(db, owner_keys)
    below = _below(visibility, owner, keys)
    statement = union_all(_count_rows(visibility, owner, keys), _member_rows(below), _edge_rows(below))
    found: dict[tuple[int, Untagged], _Below] = defaultdict(_Below)
    judged = 0
    most = limit + len(owner_keys) * len(Untagged) + 1
    for kind, key, reason, first, second, flag in db.execute(statement.limit(most)):
        one = found[key, Untagged(reason)]
        judged += kind != _COUNT
        if kind == _COUNT:
            one.count = first
        elif kind == _MEMBER:
            one.members[first] = bool(flag)
        else:
            one.children[first].append(second)
            one.parents[second].append(first)
            one.named.update([first] if flag else [])
    if judged > limit:
        raise QueryTooCostlyError(judged, limit, "entries of indexes below untagged artifacts")
    return [{reason: found[key, reason].judge(key, reason) for reason in Untagged} for key in owner_keys]


def weigh_untagged(
    db: Connection, visibility: Visibility, owner: Owner, sets: Sequence[UntaggedSet]
) -> list[UntaggedWeight]:
    """Return what each set takes, its `storedBytes` and `exclusiveBytes` as those of any set."""
    keys = key_set(db, [one.owner_key for one in sets])
    counted = artifact.alias("counted")
    reasons = sorted({one.reason.value for one in sets})
    one_use: ColumnElement[int] = literal_column("1")
    listed = (
        select(
            (keys.value * len(_NUMBER_OF) + _number_of(counted)).label("owner"),
            artifact_blob.c.blob_id,
            one_use.label("uses"),
            one_use.label("leaving"),
        )
        .select_from(
            _owned(owner, keys, counted).join(artifact_blob, artifact_blob.c.artifact_id == counted.c.id)
        )
        .where(*_is_shown(visibility, counted), counted.c.untagged.in_(reasons))
    )
    branches: list[Select[Any]] = [listed]
    for is_leaving in (True, False):
        pairs = [(_code_of(one), key) for one in sets for key in (one.leaving if is_leaving else one.staying)]
        if pairs:
            wanted = pair_set(db, pairs)
            joined = wanted.source.join(artifact_blob, artifact_blob.c.artifact_id == wanted.second)
            leaving: ColumnElement[int] = literal_column(str(int(is_leaving)))
            branches.append(
                select(wanted.first, artifact_blob.c.blob_id, one_use, leaving).select_from(joined)
            )
    used = union_all(*branches).subquery("used")
    weights = {code: (stored, own) for code, _, _, stored, own in db.execute(weigh_uses(used, visibility))}
    return [UntaggedWeight(one.artifact_count, *weights.get(_code_of(one), (0, 0))) for one in sets]


def _code_of(one: UntaggedSet) -> int:
    return one.owner_key * len(_NUMBER_OF) + _NUMBER_OF[one.reason]


def _number_of(table: FromClause) -> ColumnElement[int]:
    return case(
        *((table.c.untagged == reason.value, number) for reason, number in _NUMBER_OF.items()), else_=-1
    )


def _owned(owner: Owner, keys: KeySet, table: FromClause) -> FromClause:
    """Return the keys joined to the artifacts that their owners hold."""
    if owner is Owner.REPOSITORY:
        return keys.source.join(table, table.c.repository_id == keys.value)
    if owner is Owner.REGISTRY:
        return keys.source.join(table, table.c.registry_id == keys.value)
    return (
        keys.source.join(namespace, namespace.c.id == keys.value)
        .join(repository, is_below(repository, namespace))
        .join(table, table.c.repository_id == repository.c.id)
    )


def _is_shown(visibility: Visibility, table: FromClause) -> Iterator[ColumnElement[bool]]:
    yield table.c.absent_at.is_(None)
    yield visibility.restrict(table.c.repository_id)


def _count_rows(visibility: Visibility, owner: Owner, keys: KeySet) -> Select[Any]:
    counted = artifact.alias("counted")
    nothing: list[ColumnElement[int]] = [literal_column("0")] * 2
    return (
        select(literal_column(str(_COUNT)), keys.value, counted.c.untagged, func.count(), *nothing)
        .select_from(_owned(owner, keys, counted))
        .where(*_is_shown(visibility, counted), counted.c.untagged.is_not(None))
        .group_by(keys.value, counted.c.untagged)
    )


def _below(visibility: Visibility, owner: Owner, keys: KeySet) -> CTE:
    """Return what is below each set and not in it, as a table."""
    counted, child = artifact.alias("counted"), artifact.alias("child")
    anchor = (
        select(
            keys.value.label("owner"),
            counted.c.untagged.label("reason"),
            child.c.id,
            child.c.repository_id,
            child.c.manifest_id,
            child.c.has_manifest,
        )
        .select_from(
            _owned(owner, keys, counted)
            .join(manifest_child, manifest_child.c.manifest_id == counted.c.manifest_id)
            .join(child, child.c.id == key_of(counted.c.repository_id, manifest_child.c.child_id))
        )
        .where(
            *_is_shown(visibility, counted),
            counted.c.untagged.is_not(None),
            counted.c.has_manifest,
            *_is_other(child, counted.c.untagged),
        )
        .cte("under", recursive=True)
    )
    entry, deeper = manifest_child.alias("entry"), artifact.alias("deeper")
    return anchor.union(
        select(
            anchor.c.owner,
            anchor.c.reason,
            deeper.c.id,
            deeper.c.repository_id,
            deeper.c.manifest_id,
            deeper.c.has_manifest,
        )
        .select_from(
            anchor.join(entry, entry.c.manifest_id == anchor.c.manifest_id).join(
                deeper, deeper.c.id == key_of(anchor.c.repository_id, entry.c.child_id)
            )
        )
        .where(anchor.c.has_manifest, *_is_other(deeper, anchor.c.reason))
    )


def _is_other(table: FromClause, reason: ColumnElement[Any]) -> Iterator[ColumnElement[bool]]:
    yield table.c.absent_at.is_(None)
    yield func.coalesce(table.c.untagged, literal_column("''")) != reason


def _member_rows(below: CTE) -> Select[Any]:
    member = artifact.alias("member")
    is_tagged = case((member.c.tag_count > 0, 1), else_=0)
    return select(
        literal_column(str(_MEMBER)),
        below.c.owner,
        below.c.reason,
        member.c.id,
        literal_column("0"),
        is_tagged,
    ).select_from(below.join(member, member.c.id == below.c.id))


def _edge_rows(below: CTE) -> Select[Any]:
    parent = artifact.alias("parent")
    is_in_set = case((parent.c.untagged == below.c.reason, 1), else_=0)
    return (
        select(literal_column(str(_EDGE)), below.c.owner, below.c.reason, parent.c.id, below.c.id, is_in_set)
        .select_from(
            below.join(manifest_child, manifest_child.c.child_id == below.c.manifest_id).join(
                parent, parent.c.id == key_of(below.c.repository_id, manifest_child.c.manifest_id)
            )
        )
        .where(parent.c.absent_at.is_(None), parent.c.has_manifest)
    )

"""Sets of artifacts: what is around their members, and what they weigh.

Rules of this file: each function runs one statement, whatever the number of keys. A set is artifacts one by
one, and whole repositories, whose artifacts are never listed: what a repository uses is counted beside the
data. Who belongs to a set and who goes with it is decided by `oci.sets`. What is absent is in no set.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    Subquery,
    and_,
    case,
    func,
    literal_column,
    select,
    union_all,
)

from graph.errors import QueryTooCostlyError
from graph.store.conditions import key_of
from graph.store.keys import key_set, pair_set
from graph.store.rows import Scope
from graph.store.tables import artifact, artifact_blob, blob, manifest_child, repository_blob
from graph.store.visibility import Visibility


@dataclass(frozen=True, slots=True)
class Use:
    """A blob that an artifact's own manifest is or lists."""

    blob_key: int
    size: int  # 0 where nobody says
    is_layer: bool
    is_foreign: bool
    artifact_count: int  # of all present artifacts that use it


@dataclass(slots=True)
class Neighbourhood:
    """Artifacts of a set and all that is below them, by key, and the indexes right above any of these.

    `children` and `parents` are the two directions of the same edges; an index outside has only the children
    that are in here. Everything is present, and every edge stays inside its repository.
    """

    repository_of: dict[int, int] = field(default_factory=dict)
    tagged: set[int] = field(default_factory=set)  # have an ordinary tag
    live: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)  # their manifest is not known
    children: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    parents: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def add_member(self, key: int, home: int, is_tagged: Any, is_live: Any, is_known: Any) -> None:
        """Take in one artifact, as it was read."""
        self.repository_of[key] = home
        for keys, is_in in ((self.tagged, is_tagged), (self.live, is_live), (self.unknown, not is_known)):
            if is_in:
                keys.add(key)

    def add_edge(self, parent: int, child: int, *_: Any) -> None:
        """Take in that an index lists an artifact, as it was read."""
        self.children[parent].append(child)
        self.parents[child].append(parent)


class Weight(NamedTuple):
    """What a set weighs. Bytes of one digest count once per registry, but in `logical_bytes`."""

    layer_count: int = 0
    logical_bytes: int = 0
    stored_bytes: int = 0
    exclusive_bytes: int = 0


def load_neighbourhood(
    db: Connection, visibility: Visibility, artifact_keys: Collection[int]
) -> Neighbourhood:
    """Return the artifacts with these keys and all that is around them; absent ones are left out."""
    below = _down(visibility, _keys_of(db, artifact_keys))
    around, _, _ = _read_around(db, union_all(_member_rows(below), _edge_rows(below)))
    return around


def load_contents(
    db: Connection, visibility: Visibility, artifact_keys: Collection[int], limit: int
) -> tuple[Neighbourhood, dict[int, list[Use]]]:
    """Return the neighbourhood of the artifacts, and what the artifacts and all that is below them use.

    Raises QueryTooCostlyError if that is more than `limit` artifacts, edges and uses, all together.
    """
    below = _down(visibility, _keys_of(db, artifact_keys))
    rows = union_all(_member_rows(below), _edge_rows(below), _use_rows(visibility, below))
    around, uses, _ = _read_around(db, rows, limit)
    return around, uses


def load_chosen_contents(
    db: Connection, visibility: Visibility, chosen: CTE, limit: int
) -> tuple[list[tuple[int, int]], Neighbourhood, dict[int, list[Use]]]:
    """Return the rows of `chosen`, each a parent and a member, and what `load_contents` does of the members.

    Raises QueryTooCostlyError as that does.
    """
    below = _down(visibility, select(chosen.c.member))
    nothing: list[ColumnElement[int]] = [literal_column("0")] * 4
    pairs = select(literal_column(str(_CHOICE)), chosen.c.parent, chosen.c.member, *nothing)
    rows = union_all(pairs, _member_rows(below), _edge_rows(below), _use_rows(visibility, below))
    around, uses, chosen_pairs = _read_around(db, rows, limit)
    return chosen_pairs, around, uses


def _read_around(
    db: Connection, statement: CompoundSelect[Any], limit: int | None = None
) -> tuple[Neighbourhood, dict[int, list[Use]], list[tuple[int, int]]]:
    around = Neighbourhood()
    uses: dict[int, list[Use]] = defaultdict(list)
    pairs: list[tuple[int, int]] = []
    if limit is not None:
        statement = statement.limit(limit + 1)
    read = 0
    for kind, key, *facts in db.execute(statement):
        read += 1
        if kind == _MEMBER:
            around.add_member(key, *facts[:4])
        elif kind == _EDGE:
            around.add_edge(key, facts[0])
        elif kind == _CHOICE:
            pairs.append((key, facts[0]))
        else:
            blob_key, size, is_layer, is_foreign, count = facts
            uses[key].append(Use(blob_key, size, bool(is_layer), bool(is_foreign), count))
    if limit is not None and read > limit:
        raise QueryTooCostlyError(read, limit, "entries of indexes and manifests")
    return around, uses, pairs


# What a row of a neighbourhood is about.
_MEMBER, _EDGE, _USE, _CHOICE = range(4)


def _keys_of(db: Connection, artifact_keys: Collection[int]) -> Select[Any]:
    keys = key_set(db, list(artifact_keys))
    return select(keys.value).select_from(keys.source)


def _down(visibility: Visibility, artifact_keys: Select[Any]) -> CTE:
    """Return the artifacts and what is below them, each once, as a table."""
    below = (
        select(artifact.c.id, artifact.c.repository_id, artifact.c.manifest_id, artifact.c.has_manifest)
        .where(
            artifact.c.id.in_(artifact_keys),
            artifact.c.absent_at.is_(None),
            visibility.restrict(artifact.c.repository_id),
        )
        .cte("below", recursive=True)
    )
    child = artifact.alias("child")
    listed = (
        select(child.c.id, child.c.repository_id, child.c.manifest_id, child.c.has_manifest)
        .select_from(
            below.join(manifest_child, manifest_child.c.manifest_id == below.c.manifest_id).join(
                child, child.c.id == key_of(below.c.repository_id, manifest_child.c.child_id)
            )
        )
        .where(below.c.has_manifest, child.c.absent_at.is_(None))
    )
    return below.union(listed)


def _member_rows(below: CTE) -> Select[Any]:
    return select(
        literal_column(str(_MEMBER)),
        artifact.c.id,
        artifact.c.repository_id,
        case((artifact.c.tag_count > 0, 1), else_=0),
        case((artifact.c.is_live, 1), else_=0),
        case((artifact.c.has_manifest, 1), else_=0),
        literal_column("0"),
    ).where(artifact.c.id.in_(select(below.c.id)))


def _edge_rows(below: CTE) -> Select[Any]:
    parent = artifact.alias("parent")
    nothing: list[ColumnElement[int]] = [literal_column("0")] * 4
    return (
        select(literal_column(str(_EDGE)), parent.c.id, below.c.id, *nothing)
        .distinct()
        .select_from(
            below.join(manifest_child, manifest_child.c.child_id == below.c.manifest_id).join(
                parent, parent.c.id == key_of(below.c.repository_id, manifest_child.c.manifest_id)
            )
        )
        .where(parent.c.absent_at.is_(None), parent.c.has_manifest)
    )


def _use_rows(visibility: Visibility, below: CTE) -> Select[Any]:
    return select(
        literal_column(str(_USE)),
        artifact_blob.c.artifact_id,
        blob.c.id,
        func.coalesce(blob.c.size, 0),
        case((blob.c.is_layer, 1), else_=0),
        case((blob.c.is_foreign, 1), else_=0),
        user_count(visibility),
    ).select_from(
        below.join(artifact_blob, artifact_blob.c.artifact_id == below.c.id).join(
            blob, blob.c.id == artifact_blob.c.blob_id
        )
    )


def user_count(visibility: Visibility) -> ColumnElement[int]:
    """Return how many present artifacts use a row of `blob`, of those that may be seen."""
    if visibility.is_everything:
        return blob.c.artifact_count
    held = repository_blob.alias("held")
    return (
        select(func.coalesce(func.sum(held.c.artifact_count), 0))
        .where(held.c.blob_id == blob.c.id, visibility.restrict(held.c.repository_id))
        .scalar_subquery()
    )


def weigh_uses(used: Subquery, visibility: Visibility) -> Select[Any]:
    """Return the statement for each `owner` of uses: its layers, its logical, stored and exclusive bytes.

    `used` has the columns `owner`, `blob_id`, `uses` (by its members) and `leaving` (those of them that go).
    """
    size = func.coalesce(blob.c.size, 0)
    stored = case((blob.c.is_foreign, 0), else_=size)
    per_blob = (
        select(
            used.c.owner,
            used.c.blob_id,
            func.sum(used.c.uses).label("uses"),
            func.sum(used.c.leaving).label("leaving"),
        )
        .group_by(used.c.owner, used.c.blob_id)
        .subquery("per_blob")
    )
    is_used = per_blob.c.uses > 0
    return (
        select(
            per_blob.c.owner,
            func.sum(case((and_(is_used, blob.c.is_layer), 1), else_=0)),
            func.sum(size * per_blob.c.uses),
            func.sum(case((is_used, stored), else_=0)),
            func.sum(case((per_blob.c.leaving == user_count(visibility), stored), else_=0)),
        )
        .select_from(per_blob.join(blob, blob.c.id == per_blob.c.blob_id))
        .group_by(per_blob.c.owner)
    )


def weigh_set(
    db: Connection,
    visibility: Visibility,
    members: Collection[int],
    leaving: Collection[int],
    repository_keys: Collection[int] = (),
    scope: Scope = Scope.ALL,
) -> Weight:
    """Return what artifacts (`down` of a set) and the artifacts of whole repositories weigh together.

    `leaving` are those of `members` that go with the set: what nothing but these and the repositories uses is
    exclusive. Of the repositories only the artifacts in `scope` are in the set. No member is in one of them.
    """
    gone = set(leaving)
    pairs = pair_set(db, [(key, int(key in gone)) for key in members])
    one_by_one = select(
        literal_column("0").label("owner"),
        artifact_blob.c.blob_id,
        literal_column("1").label("uses"),
        pairs.second.label("leaving"),
    ).select_from(pairs.source.join(artifact_blob, artifact_blob.c.artifact_id == pairs.first))
    keys = key_set(db, list(repository_keys))
    count = uses_in(scope)
    whole = (
        select(
            literal_column("0").label("owner"),
            repository_blob.c.blob_id,
            count.label("uses"),
            count.label("leaving"),
        )
        .select_from(keys.source.join(repository_blob, repository_blob.c.repository_id == keys.value))
        .where(count > 0)
    )
    used = union_all(*([one_by_one] if members else []), *([whole] if repository_keys else []))
    if not members and not repository_keys:
        return Weight()
    for _, *sums in db.execute(weigh_uses(used.subquery("used"), visibility)):
        return Weight(*sums)
    return Weight()


def weigh_contents(
    members: Collection[int], leaving: Set[int], contents: Mapping[int, Collection[Use]]
) -> Weight:
    """Return what artifacts whose contents were read weigh; `leaving` are those that go with the set."""
    blobs: dict[int, Use] = {}
    left: Counter[int] = Counter()  # uses by those that go
    logical = 0
    for member in members:
        for use in contents.get(member, ()):
            blobs[use.blob_key] = use
            logical += use.size
            left[use.blob_key] += member in leaving
    stored = [use for use in blobs.values() if not use.is_foreign]
    return Weight(
        sum(use.is_layer for use in blobs.values()),
        logical,
        sum(use.size for use in stored),
        sum(use.size for use in stored if left[use.blob_key] == use.artifact_count),
    )


def uses_in(scope: Scope) -> Column[int]:
    """Return the counter of `repository_blob` that counts the artifacts in the scope."""
    return repository_blob.c.artifact_count if scope is Scope.ALL else repository_blob.c.live_artifact_count

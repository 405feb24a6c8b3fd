"""Who uses which layer, for repositories and for artifacts: what related lists and matrices of overlap read.

Rules of this file: no statement is run here. A *member* is a repository or an artifact. A layer is a blob
that some manifest lists among its layers; empty ones are left out everywhere, foreign ones are layers like
any other (docs/questions.md). An artifact uses what its own manifest lists; what is asked about an index is
asked about the index and all that it holds, down({a}).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    FromClause,
    and_,
    exists,
    false,
    func,
    select,
    true,
)

from graph.store.artifacts import ARTIFACTS
from graph.store.conditions import is_layer, key_of
from graph.store.keys import KeySet
from graph.store.listings import Listing
from graph.store.repositories import REPOSITORIES
from graph.store.tables import artifact, artifact_blob, blob, manifest_child, repository_blob
from graph.store.visibility import Visibility


@dataclass(frozen=True, slots=True)
class Use:
    """One alias of what says who uses which blob."""

    source: FromClause
    member: ColumnElement[int]
    blob: ColumnElement[int]
    is_shown: ColumnElement[bool]  # it may be seen
    condition: ColumnElement[bool]  # it may be seen, and is of a layer: spelled as the index of users does


@dataclass(frozen=True, slots=True, eq=False)
class Users:
    """Repositories or artifacts, as users of layers."""

    name: str  # what cursors call the lists of one
    listing: Listing[Any]
    count: Column[int]  # of a blob: how many use it, whoever may see them
    use: Callable[[str, Visibility], Use]  # by the name of the alias
    own: Callable[[KeySet], CTE]  # (parent, member): what each parent is made of, itself too
    has_parts: bool  # whether that can be more than itself


def layers_of(users: Users, visibility: Visibility, keys: KeySet, least: int = 1) -> tuple[CTE, CTE]:
    """Return what the parents are made of as (parent, member), and their layers.

    The layers are (parent, blob, size, users), each once for a parent: those that at least so many use. One
    whose size nobody has said weighs nothing.
    """
    own = users.own(keys)
    use = users.use("own_use", visibility)
    layers = (
        select(
            own.c.parent,
            blob.c.id.label("blob"),
            func.coalesce(blob.c.size, 0).label("size"),
            users.count.label("users"),
        )
        .select_from(own.join(use.source, use.member == own.c.member).join(blob, blob.c.id == use.blob))
        .where(use.condition, is_layer(blob), blob.c.is_empty == false(), users.count >= least)
        .distinct()
        .cte("layers")
    )
    return own, layers


def is_other(
    users: Users, own: CTE, parent: ColumnElement[int], member: ColumnElement[int]
) -> ColumnElement[bool]:
    """Return the condition that the member is not the parent, nor what it is made of."""
    if not users.has_parts:
        return member != parent
    mine = own.alias()
    return ~exists().where(mine.c.parent == parent, mine.c.member == member)


def _repository_use(name: str, visibility: Visibility) -> Use:
    table = repository_blob.alias(name)
    is_shown = visibility.restrict(table.c.repository_id)
    return Use(table, table.c.repository_id, table.c.blob_id, is_shown, and_(is_layer(table), is_shown))


def _artifact_use(name: str, visibility: Visibility) -> Use:
    table = artifact_blob.alias(name)
    source: FromClause = table
    is_shown: ColumnElement[bool] = true()
    if not visibility.is_everything:
        home = artifact.alias(f"{name}_home")
        source = table.join(home, home.c.id == table.c.artifact_id)
        is_shown = visibility.restrict(home.c.repository_id)
    return Use(source, table.c.artifact_id, table.c.blob_id, is_shown, is_shown)


def _repository_own(keys: KeySet) -> CTE:
    return select(keys.value.label("parent"), keys.value.label("member")).select_from(keys.source).cte("own")


def _artifact_own(keys: KeySet) -> CTE:
    """Return down({a}) of each artifact; cycles end, as each is in it once."""
    top, entry, child = artifact.alias("top"), manifest_child.alias("entry"), artifact.alias("child")
    down = (
        select(
            keys.value.label("parent"),
            top.c.id.label("member"),
            top.c.repository_id,
            top.c.manifest_id,
            top.c.has_manifest,
        )
        .select_from(keys.source.join(top, top.c.id == keys.value))
        .cte("own", recursive=True)
    )
    return down.union(
        select(down.c.parent, child.c.id, child.c.repository_id, child.c.manifest_id, child.c.has_manifest)
        .select_from(
            down.join(entry, entry.c.manifest_id == down.c.manifest_id).join(
                child, child.c.id == key_of(down.c.repository_id, entry.c.child_id)
            )
        )
        .where(down.c.has_manifest, child.c.absent_at.is_(None))
    )


REPOSITORY_USERS = Users(
    "repository",
    REPOSITORIES,
    blob.c.repository_count,
    _repository_use,
    _repository_own,
    has_parts=False,
)
ARTIFACT_USERS = Users(
    "artifact", ARTIFACTS, blob.c.artifact_count, _artifact_use, _artifact_own, has_parts=True
)

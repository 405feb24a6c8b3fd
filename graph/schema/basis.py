"""What a computed figure stands on: beside every figure, so that nobody takes a bound for the truth.

Rules of this file: a figure carries its `Grounds`, and its basis is read only where somebody asks for it.
What a basis says is worked out in `store.bases`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from typing import Any

import strawberry

from graph.schema.batches import Answer
from graph.schema.context import Context
from graph.schema.enums import Completeness, Scope
from graph.schema.fields import batched
from graph.store import bases, rows
from graph.store.registries import load_registry_statuses
from graph.store.rows import BasisRow


class GroundsKind(Enum):
    """What a figure is about."""

    REGISTRY = auto()
    NAMESPACE = auto()
    REPOSITORY = auto()
    SET = auto()


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a figure was worked out from: one owner by its `key`, or a set of artifacts of repositories.

    `is_open`: the repositories are all of some kind, so that one that nobody has listed yet may be missing.
    """

    kind: GroundsKind
    key: int = 0
    scope: rows.Scope = rows.Scope.ALL
    repository_keys: tuple[int, ...] = ()
    is_open: bool = False


async def load_bases(context: Context, keys: Sequence[Grounds], /) -> Sequence[Answer]:
    """What figures with these grounds stand on; one statement for the owners of a kind, one for each set."""
    found: dict[Grounds, BasisRow | None] = {}
    for kind in GroundsKind:
        alike = [one for one in keys if one.kind is kind]
        if alike:
            found.update(zip(alike, await _load_alike(context, kind, alike), strict=True))
    # How well a repository is known does not depend on the scope of what is counted in it.
    return [None if (row := found[one]) is None else replace(row, scope=one.scope) for one in keys]


async def _load_alike(
    context: Context, kind: GroundsKind, grounds: Sequence[Grounds]
) -> Sequence[BasisRow | None]:
    keys, scope = [one.key for one in grounds], rows.Scope.ALL
    if kind is GroundsKind.REPOSITORY:
        return await context.read(bases.load_repository_bases, keys, scope)
    if kind is GroundsKind.NAMESPACE:
        return await context.read(bases.load_namespace_bases, keys, scope)
    if kind is GroundsKind.SET:
        return [
            await context.read(bases.load_set_basis, one.repository_keys, scope, one.is_open)
            for one in grounds
        ]
    statuses = await context.read(load_registry_statuses, keys)
    return [None if status is None else bases.registry_basis(status, scope) for status in statuses]


@strawberry.type(
    description="What figures stand on: which artifacts they count, and how well those are known."
)
class Basis:
    """What figures stand on."""

    scope: Scope = strawberry.field(description="Which artifacts are counted.")
    completeness: Completeness = strawberry.field(
        description="How much of what is there can have been seen; the weakest of all repositories involved "
        "counts."
    )
    oldest_observed_at: datetime | None = strawberry.field(
        description="The oldest look at a repository among those involved. Null: there was none."
    )
    exclusive_is_upper_bound: bool = strawberry.field(
        description="Whether bytes called exclusive may be fewer in truth: somewhere in the registry "
        "artifacts may exist that nobody can list and that use them too."
    )
    counts_are_lower_bound: bool = strawberry.field(
        description="Whether counts may be larger in truth: a repository involved has not been read to its "
        "end, a manifest in it is not known, or the settings leave a part of its registry out."
    )
    spans_registries: bool = strawberry.field(
        description="Whether what is counted lies in several registries. Nothing is shared between two "
        "registries: each one's figures are worked out by itself and then added, so that a layer that two of "
        "them hold is stored twice, and artifacts of different ones have an overlap of 0."
    )


def basis_field() -> Any:
    """A field `basis` of figures that have `grounds`."""
    return batched(
        load_bases,
        key=lambda figures: figures.grounds,
        description="What the figures stand on: whether they are exact, or how far they may be off.",
    )

"""What is untagged, counted and weighed by the reason: what a clean-up would have to tell apart (concept C9).

Rules of this file: who is untagged and why is the store's to say. Only what is asked for is weighed: in a
registry with many indexes most artifacts are some index's children.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import strawberry

from graph.errors import NotObservedError
from graph.oci.liveness import Untagged as Reason
from graph.schema.basis import Basis, Grounds, GroundsKind, basis_field
from graph.schema.batches import Answer
from graph.schema.context import Context
from graph.schema.fields import batched
from graph.schema.scalars import ByteCount
from graph.schema.storage import OwnerKey
from graph.store import untagged
from graph.store.untagged import Owner, UntaggedSet, UntaggedWeight

_OWNER_OF = {
    GroundsKind.REGISTRY: Owner.REGISTRY,
    GroundsKind.NAMESPACE: Owner.NAMESPACE,
    GroundsKind.REPOSITORY: Owner.REPOSITORY,
}


@dataclass(frozen=True, slots=True)
class UntaggedIn:
    """What is untagged in one owner, by the reason."""

    sets: Mapping[Reason, UntaggedSet]
    grounds: Grounds

    def of(self, reason: Reason) -> tuple[Owner, UntaggedSet]:
        """What is untagged for this reason, as a parent of its figures."""
        return _OWNER_OF[self.grounds.kind], self.sets[reason]


async def load_registry_untagged(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """What is untagged in each registry."""
    observed = context.registries.catalog_observed_at
    return await _load(context, GroundsKind.REGISTRY, [(key, key in observed) for key in keys])


async def load_namespace_untagged(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """What is untagged below each namespace."""
    return await _load(context, GroundsKind.NAMESPACE, [(key, True) for key in keys])


async def load_repository_untagged(context: Context, keys: Sequence[OwnerKey], /) -> Sequence[Answer]:
    """What is untagged in each repository."""
    return await _load(context, GroundsKind.REPOSITORY, keys)


async def _load(context: Context, kind: GroundsKind, keys: Sequence[OwnerKey]) -> Sequence[Answer]:
    found = await context.read(untagged.load_untagged, _OWNER_OF[kind], [key for key, _ in keys])
    return [
        UntaggedIn(sets, Grounds(kind, key))
        if is_observed or any(one.artifact_count for one in sets.values())
        else NotObservedError("nobody has looked at it yet")
        for (key, is_observed), sets in zip(keys, found, strict=True)
    ]


async def load_weights(context: Context, keys: Sequence[tuple[Owner, UntaggedSet]], /) -> Sequence[Answer]:
    """What each set of untagged artifacts takes; one statement for the owners of a kind."""
    weights: dict[tuple[Owner, UntaggedSet], UntaggedWeight] = {}
    for owner in Owner:
        sets = [one for kind, one in keys if kind is owner]
        if sets:
            found = await context.read(untagged.weigh_untagged, owner, sets)
            weights.update(zip([(owner, one) for one in sets], found, strict=True))
    return [weights[key] for key in keys]


@strawberry.type(description="Artifacts that are untagged for one reason: how many, and what they take.")
class UntaggedShare:
    """Artifacts that are untagged for one reason."""

    artifact_count: int = strawberry.field(description="How many artifacts are untagged for this reason.")
    stored_bytes: ByteCount = strawberry.field(
        description="What a registry keeps for them and for what they list: each digest once."
    )
    exclusive_bytes: ByteCount = strawberry.field(
        description="The part of `storedBytes` that would be freed if all of them were deleted."
    )


@strawberry.type(
    description="What no ordinary tag names, by the reason why it is there. Only what is dangling may be "
    "deleted without a second thought: deleting the children of an index breaks it."
)
class Untagged:
    """What is untagged, by the reason."""

    dangling: UntaggedShare | None = batched(
        load_weights,
        key=lambda row: row.of(Reason.DANGLING),
        description="What nothing in use leads to: what moved and removed tags left behind.",
    )
    index_children: UntaggedShare | None = batched(
        load_weights,
        key=lambda row: row.of(Reason.INDEX_CHILD),
        description="What an index that is in use lists, such as the images of a multi-platform image.",
    )
    referrers: UntaggedShare | None = batched(
        load_weights,
        key=lambda row: row.of(Reason.REFERRER),
        description="What refers to an artifact that is in use, such as its signatures.",
    )
    basis: Basis | None = basis_field()

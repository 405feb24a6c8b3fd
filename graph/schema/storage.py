"""What artifacts take in storage: of a registry, a namespace, a repository, an artifact and of any set.

Rules of this file: figures are the store's; here is what each is called, and when there is none. A figure of
what nobody ever looked at is not 0 but not known. Nothing is refreshed for a figure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import strawberry

from graph.errors import NotObservedError
from graph.oci.sets import down, going
from graph.schema.basis import Basis, Grounds, GroundsKind, basis_field
from graph.schema.batches import Answer
from graph.schema.context import Context
from graph.schema.enums import Scope
from graph.schema.fields import computed
from graph.schema.scalars import ByteCount
from graph.schema.sets import FoundSet, NamedSet, find_set
from graph.store import rows, sets, storage
from graph.store.rows import ArtifactRow, StorageRow

ScopeArgument: TypeAlias = Annotated[
    Scope, strawberry.argument(description="Which artifacts to count: all that are present, or live ones.")
]

# What a figure of one owner is about: its key in the store, and whether anything of it was ever looked at.
OwnerKey: TypeAlias = tuple[int, bool]


@dataclass(frozen=True, slots=True)
class Stored:
    """The figures of some artifacts, and what they stand on."""

    row: StorageRow
    grounds: Grounds


async def load_registry_storage(
    context: Context, keys: Sequence[int], /, *, scope: ScopeArgument = Scope.ALL
) -> Sequence[Answer]:
    """What each registry takes."""
    observed = context.registries.catalog_observed_at
    return await _load(
        context,
        [(key, key in observed) for key in keys],
        storage.load_registry_storage,
        GroundsKind.REGISTRY,
        scope,
        "nobody has looked at this registry yet",
    )


async def load_namespace_storage(
    context: Context, keys: Sequence[int], /, *, scope: ScopeArgument = Scope.ALL
) -> Sequence[Answer]:
    """What the repositories below each namespace take."""
    return await _load(
        context,
        [(key, True) for key in keys],
        storage.load_namespace_storage,
        GroundsKind.NAMESPACE,
        scope,
        "there is no repository below this namespace any more",
    )


async def load_repository_storage(
    context: Context, keys: Sequence[OwnerKey], /, *, scope: ScopeArgument = Scope.ALL
) -> Sequence[Answer]:
    """What each repository takes."""
    return await _load(
        context,
        keys,
        storage.load_repository_storage,
        GroundsKind.REPOSITORY,
        scope,
        "nobody has looked at this repository yet",
    )


async def _load(
    context: Context,
    owners: Sequence[OwnerKey],
    load: Callable[..., list[StorageRow | None]],
    kind: GroundsKind,
    scope: Scope,
    missing: str,
) -> Sequence[Answer]:
    stored_scope = rows.Scope[scope.name]
    found = await context.read(load, [key for key, _ in owners], stored_scope)
    return [
        NotObservedError(missing)
        if row is None or not (is_observed or row.artifact_count)
        else Stored(row, Grounds(kind, key, stored_scope))
        for (key, is_observed), row in zip(owners, found, strict=True)
    ]


async def load_artifact_storage(context: Context, keys: Sequence[tuple[int, int]], /) -> Sequence[Answer]:
    """What each artifact (its key and that of its repository) takes with all that is below it."""
    found = await context.read(storage.load_artifact_storage, [key for key, _ in keys])
    return [
        Stored(row, Grounds(GroundsKind.REPOSITORY, repository_key))
        for (_, repository_key), row in zip(keys, found, strict=True)
    ]


def artifact_storage_key(row: ArtifactRow) -> tuple[int, int]:
    """The artifact as a parent of its storage."""
    return row.key, row.repository_key


def pick_exclusive_bytes(_: ArtifactRow, __: Context, stored: Stored) -> int:
    """What would go with the artifact."""
    return stored.row.exclusive_bytes


async def load_set_storage(context: Context, keys: Sequence[tuple[NamedSet, Scope]], /) -> Sequence[Answer]:
    """What the artifacts of each set take; each by at most six statements, whatever is in it."""
    answers: list[Answer] = []
    for named, scope in keys:
        try:
            answers.append(await _measure(context, named, rows.Scope[scope.name]))
        except Exception as error:  # this set's alone
            answers.append(error)
    return answers


async def _measure(context: Context, named: NamedSet, scope: rows.Scope) -> Stored:
    found = await find_set(context, named)
    grounds = Grounds(
        GroundsKind.SET, scope=scope, repository_keys=tuple(found.repository_keys), is_open=named.has_globs
    )
    return Stored(await _weigh(context, found, scope), grounds)


async def _weigh(context: Context, found: FoundSet, scope: rows.Scope) -> StorageRow:
    whole = {row.key: row for row in found.whole_repositories}
    homes = {one.artifact_key: one.repository_key for one in found.artifacts}
    # What is in a repository that is a member as a whole is a member already.
    single = [key for key in found.artifact_keys if homes[key] not in whole]
    around = await context.read(sets.load_neighbourhood, single) if single else sets.Neighbourhood()
    chosen = set(single) if scope is rows.Scope.ALL else around.live.intersection(single)
    members = down(chosen, around.children)
    leaving = going(chosen, around.children, around.parents, around.tagged)
    weight = await context.read(sets.weigh_set, members, leaving, list(whole), scope)
    counts = [
        row.artifact_count if scope is rows.Scope.ALL else row.live_artifact_count for row in whole.values()
    ]
    return StorageRow(len(members) + sum(counts), *weight)


@strawberry.type(
    description="What some artifacts take in storage. A registry keeps one copy of each digest, however many "
    "artifacts use it, so that sums of sizes say little: here is what is really kept, and for whom."
)
class Storage:
    """What some artifacts take in storage."""

    artifact_count: int = computed(
        lambda stored, _: stored.row.artifact_count,
        description="How many artifacts: those that are asked about, and what the indexes among them list.",
    )
    layer_count: int = computed(
        lambda stored, _: stored.row.layer_count, description="How many different layers they use."
    )
    logical_bytes: ByteCount = computed(
        lambda stored, _: stored.row.logical_bytes,
        description="The sum of what each artifact's own manifest, config and layers weigh, as if nothing "
        "were shared.",
    )
    stored_bytes: ByteCount = computed(
        lambda stored, _: stored.row.stored_bytes,
        description="What a registry keeps for them: each digest once. Layers that are fetched from "
        "elsewhere are left out.",
    )
    exclusive_bytes: ByteCount = computed(
        lambda stored, _: stored.row.exclusive_bytes,
        description="The part of `storedBytes` that would be freed if they went, as no other artifact of the "
        "registry uses it. What an index lists goes with it, unless a tag or another index holds it.",
    )
    shared_bytes: ByteCount = computed(
        lambda stored, _: stored.row.shared_bytes,
        description="The part of `storedBytes` that would stay, as others use it too or hold it.",
    )
    basis: Basis | None = basis_field()

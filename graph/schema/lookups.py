"""Find objects by what names them: a name, an address, a digest, a global id.

Rules of this file: level functions whose keys are names, not keys of the store. `repository` and an address
by tag may ask the registry first; everything else is answered from the store.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from graph.errors import NotObservedError, UnknownRegistryError
from graph.oci.digest import Digest
from graph.oci.reference import LATEST, Reference, RepositoryName, TagName
from graph.schema.batches import Answer, Cost, LevelFunction, Location
from graph.schema.context import Context
from graph.schema.ids import ArtifactId, LayerId, NamespaceId, NodeId, RegistryId, RepositoryId, TagId
from graph.schema.repository import observation_of, tag_observation_of
from graph.schema.staleness import Observation, aged, freshen
from graph.schema.tag import unresolved
from graph.store import addresses, layers, namespaces, repositories
from graph.store.addresses import Addressed
from graph.store.rows import Completeness

# A registry's key, a repository's name, and a tag or a digest in it.
TagAddress: TypeAlias = tuple[int, RepositoryName, TagName]
DigestAddress: TypeAlias = tuple[int, RepositoryName, Digest]


async def find_repositories(
    context: Context, keys: Sequence[tuple[int, RepositoryName]], /
) -> Sequence[Answer]:
    """The repositories of these names; reads their tags first where they are too old."""
    found = await context.read(repositories.find_repositories, keys)
    observations = [
        observation_of(registry_key, name, None if row is None else row.observed_at)
        for (registry_key, name), row in zip(keys, found, strict=True)
    ]
    outcomes = await freshen(context, observations)
    if any(outcome.is_refreshed for outcome in outcomes):
        found = await context.read(repositories.find_repositories, keys)
    return [
        aged(context, observation, outcome, row, is_stored=row is not None)
        for observation, outcome, row in zip(observations, outcomes, found, strict=True)
    ]


async def find_tagged(context: Context, keys: Sequence[TagAddress], /) -> Sequence[Answer]:
    """The artifacts at these addresses by tag; asks the registry first where that is too old."""
    found = await context.read(addresses.find_by_tag, keys)
    observations = [_observation_of(key, addressed) for key, addressed in zip(keys, found, strict=True)]
    outcomes = await freshen(context, observations)
    if any(outcome.is_refreshed for outcome in outcomes):
        found = await context.read(addresses.find_by_tag, keys)
    return [
        aged(
            context,
            observation,
            outcome,
            _tagged(addressed),
            is_stored=observation.observed_at is not None,
        )
        for observation, outcome, addressed in zip(observations, outcomes, found, strict=True)
    ]


def _observation_of(key: TagAddress, found: Addressed) -> Observation:
    # A list of tags that lacks it is an observation too.
    seen = found.tag or found.repository
    return tag_observation_of(*key, None if seen is None else seen.observed_at)


def _tagged(found: Addressed) -> Answer:
    return (None if found.tag is None else unresolved(found.tag)) or found.artifact


async def find_addressed(context: Context, keys: Sequence[DigestAddress], /) -> Sequence[Answer]:
    """The artifacts at these addresses by digest."""
    found = await context.read(addresses.find_by_digest, keys)
    return [
        NotObservedError(f"nobody has seen {name}@{digest}")
        if addressed.artifact is None
        and (addressed.repository is None or addressed.repository.completeness is not Completeness.COMPLETE)
        else addressed.artifact
        for (_, name, digest), addressed in zip(keys, found, strict=True)
    ]


async def find_layers(context: Context, keys: Sequence[tuple[int, Digest]], /) -> Sequence[Answer]:
    """The layers with these digests."""
    return await context.read(layers.find_layers, keys)


async def find_namespace_nodes(context: Context, keys: Sequence[Any], /) -> Sequence[Answer]:
    """The namespaces that ids name."""
    return await context.read(namespaces.find_namespaces, keys)


async def find_repository_nodes(context: Context, keys: Sequence[Any], /) -> Sequence[Answer]:
    """The repositories that ids name, as they are stored."""
    return await context.read(repositories.find_repositories, keys)


async def find_artifact_nodes(context: Context, keys: Sequence[DigestAddress], /) -> Sequence[Answer]:
    """The artifacts that ids name."""
    return [found.artifact for found in await context.read(addresses.find_by_digest, keys)]


async def find_tag_nodes(context: Context, keys: Sequence[TagAddress], /) -> Sequence[Answer]:
    """The tags that ids name, as they are stored."""
    return [found.tag for found in await context.read(addresses.find_by_tag, keys)]


def ask(context: Context, function: LevelFunction, key: Any, location: Location, nodes: int = 1) -> Any:
    """A future of what the level function finds for the key; fields that look up the same share one call.

    `nodes` is what the answer counts in the budget.
    """
    batch = context.dispatcher.batch_of(function, {})
    return context.dispatcher.ask(batch, key, location, Cost(nodes))


def ask_reference(context: Context, reference: Reference, location: Location) -> Any:
    """A future of the artifact at an address. Raises UnknownRegistryError."""
    registry = context.registries.by_name(reference.registry)
    if reference.digest is not None:
        return ask(context, find_addressed, (registry.key, reference.repository, reference.digest), location)
    tag = reference.tag or LATEST
    return ask(context, find_tagged, (registry.key, reference.repository, tag), location)


def ask_node(context: Context, identity: NodeId, location: Location) -> Any:
    """The object that an id names, or a future of it; None for one of a registry that is not configured."""
    try:
        registry = context.registries.by_name(identity.registry)
    except UnknownRegistryError:
        return None
    match identity:
        case RegistryId():
            return registry
        case NamespaceId(_, name):
            return ask(context, find_namespace_nodes, (registry.key, name), location)
        case RepositoryId(_, name):
            return ask(context, find_repository_nodes, (registry.key, name), location)
        case ArtifactId(_, name, digest):
            return ask(context, find_artifact_nodes, (registry.key, name, digest), location)
        case TagId(_, name, tag):
            return ask(context, find_tag_nodes, (registry.key, name, tag), location)
        case LayerId(_, digest):
            return ask(context, find_layers, (registry.key, digest), location)

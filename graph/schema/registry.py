"""A registry: what it holds, what it can tell, and how far our knowledge of it goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import strawberry

from graph.errors import NotObservedError
from graph.schema.basis import Basis
from graph.schema.batches import Answer
from graph.schema.connections import Listed
from graph.schema.context import Context
from graph.schema.enums import CapabilityName, CapabilityState
from graph.schema.fields import batched
from graph.schema.inputs import (
    ArtifactFilterArgument,
    ArtifactOrderArgument,
    LayerFilterArgument,
    LayerOrderArgument,
    RepositoryFilterArgument,
    RepositoryOrderArgument,
)
from graph.schema.links import ArtifactConnection, LayerConnection, NamespaceConnection, RepositoryConnection
from graph.schema.nodes import Node
from graph.schema.staleness import Observation, aged, freshen
from graph.schema.storage import Storage, load_registry_storage
from graph.schema.sync_status import SyncStatus, pick_sync
from graph.schema.untagged import Untagged, load_registry_untagged
from graph.store import artifacts, layers, namespaces, registries, repositories, rows
from graph.store.bases import registry_basis
from graph.store.filters import check_prefix
from graph.store.pages import Page, PageRequest


@dataclass(frozen=True, slots=True)
class _Capability:
    name: CapabilityName
    state: str


async def load_statuses(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """How well each registry is known."""
    statuses = await context.read(registries.load_registry_statuses, keys)
    for status in statuses:
        if status is not None and status.catalog_observed_at is not None:
            context.registries.catalog_observed_at[status.key] = status.catalog_observed_at
    return [status or NotObservedError("the store does not know this registry yet") for status in statuses]


async def load_repositories(
    context: Context,
    keys: Sequence[int],
    /,
    *,
    page: PageRequest,
    filter: RepositoryFilterArgument = None,
    order_by: RepositoryOrderArgument = None,
) -> Sequence[Answer]:
    """A page of each registry's repositories; reads its catalog first where that is too old."""
    observations = [_catalog_of(context, key) for key in keys]
    outcomes = await freshen(context, observations)
    for key, outcome in zip(keys, outcomes, strict=True):
        if outcome.is_refreshed:
            context.registries.catalog_observed_at[key] = context.clock()
    pages = await context.read(repositories.page_repositories, keys, page, filter, order_by)
    return [
        aged(
            context,
            observation,
            outcome,
            Listed(found, observation.registry_key, repositories.count_repositories, (filter,)),
            is_stored=observation.observed_at is not None or bool(found.rows),
        )
        for observation, outcome, found in zip(observations, outcomes, pages, strict=True)
    ]


def _catalog_of(context: Context, key: int) -> Observation:
    registry = context.registries.by_key(key)
    return Observation(
        identity=("catalog", key),
        subject=f"the repositories of {registry.name}",
        registry_key=key,
        repository=None,
        observed_at=context.registries.catalog_observed_at.get(key),
        refresh=lambda refresher: refresher.refresh_catalog(key),
    )


async def load_namespaces(
    context: Context,
    keys: Sequence[int],
    /,
    *,
    page: PageRequest,
    prefix: Annotated[
        str | None,
        strawberry.argument(description="What the namespace starts with. Default: all namespaces."),
    ] = None,
) -> Sequence[Answer]:
    """A page of each registry's namespaces."""
    pages = await context.read(namespaces.page_namespaces, keys, page, prefix)
    return _listed(context, keys, pages, namespaces.count_namespaces, prefix)


async def load_artifacts(
    context: Context,
    keys: Sequence[int],
    /,
    *,
    page: PageRequest,
    filter: ArtifactFilterArgument = None,
    order_by: ArtifactOrderArgument = None,
) -> Sequence[Answer]:
    """A page of all artifacts of each registry."""
    pages = await context.read(artifacts.page_registry_artifacts, keys, page, filter, order_by)
    return _listed(context, keys, pages, artifacts.count_registry_artifacts, filter)


async def load_layers(
    context: Context,
    keys: Sequence[int],
    /,
    *,
    page: PageRequest,
    filter: LayerFilterArgument = None,
    order_by: LayerOrderArgument = None,
) -> Sequence[Answer]:
    """A page of all layers of each registry."""
    pages = await context.read(layers.page_layers, keys, page, filter, order_by)
    return _listed(context, keys, pages, layers.count_layers, filter)


def _listed(
    context: Context, keys: Sequence[int], pages: Sequence[Page[Any]], count: Any, narrowed: Any
) -> Sequence[Answer]:
    """The pages as lists; one that is empty because nobody has looked yet is an error."""
    return [
        Listed(page, key, count, (narrowed,))
        if page.rows or key in context.registries.catalog_observed_at
        else NotObservedError(f"nobody has looked at {context.registries.by_key(key).name} yet")
        for key, page in zip(keys, pages, strict=True)
    ]


def _pick_capabilities(_: Any, __: Context, status: rows.RegistryStatus) -> list[_Capability]:
    known = status.capabilities
    return [_Capability(name, known.get(name.name, CapabilityState.UNKNOWN.name)) for name in CapabilityName]


def pick_basis(_: Any, __: Context, status: rows.RegistryStatus) -> rows.BasisRow:
    """What figures over all that is present in the registry stand on."""
    return registry_basis(status, rows.Scope.ALL)


@strawberry.type(description="Something that a registry can tell, or cannot.")
class Capability:
    """What a registry can tell."""

    name: CapabilityName = strawberry.field(description="What it is about.")
    state: CapabilityState = strawberry.field(description="Whether the registry can tell it.")


@strawberry.type(
    description="A service that stores and gives out container images and other artifacts. Layers are shared "
    "inside one registry, never between two."
)
class Registry(Node):
    """A registry."""

    name: str = strawberry.field(
        description="Its login server: host and port if any, as in `myregistry.azurecr.io`. Always lower "
        "case."
    )
    url: str = strawberry.field(description="Where it is reached.")
    dialect: str = strawberry.field(
        description="Which vendor's additions to the distribution API are used with it; `oci` is the plain "
        "API."
    )
    capabilities: list[Capability] | None = batched(
        load_statuses,
        key=lambda row: row.key,
        pick=_pick_capabilities,
        description="What this registry can tell and what it cannot, as far as it was asked.",
    )
    repositories: RepositoryConnection | None = batched(
        load_repositories,
        key=lambda row: row.key,
        cursors=partial(repositories.repository_cursors, "registry"),
        description="Its repositories. Default order: by name. Reads the registry's list of repositories "
        "first when that is older than the request allows; null with an error while it was never read.",
    )
    namespaces: NamespaceConnection | None = batched(
        load_namespaces,
        key=lambda row: row.key,
        cursors=namespaces.namespace_cursors,
        parsers={"prefix": lambda _, text: check_prefix(text)},
        description="The prefixes of its repositories' names, by name.",
    )
    artifacts: ArtifactConnection | None = batched(
        load_artifacts,
        key=lambda row: row.key,
        cursors=partial(artifacts.artifact_cursors, "registry"),
        description="The artifacts of all its repositories.",
    )
    layers: LayerConnection | None = batched(
        load_layers,
        key=lambda row: row.key,
        cursors=partial(layers.layer_cursors, "registry"),
        description="The layers of all its repositories, each once. Most layers are used once: to see what "
        "is shared, sort by `SAVED_BYTES` or give `sharedByAtLeast: 2`.",
    )
    storage: Storage | None = batched(
        load_registry_storage,
        key=lambda row: row.key,
        description="What all it holds takes in storage.",
    )
    untagged: Untagged | None = batched(
        load_registry_untagged,
        key=lambda row: row.key,
        description="What is untagged in it, counted and weighed by the reason.",
    )
    sync: SyncStatus | None = batched(
        load_statuses,
        key=lambda row: row.key,
        pick=pick_sync,
        description="How the crawl goes that keeps our knowledge of it up to date.",
    )
    basis: Basis | None = batched(
        load_statuses,
        key=lambda row: row.key,
        pick=pick_basis,
        description="How well its content is known: what every count over it stands on.",
    )

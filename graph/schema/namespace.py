"""A namespace: a prefix of repository names, a way to look and never an owner of data (concept C4)."""

from collections.abc import Sequence
from functools import partial

import strawberry

from graph.schema.batches import Answer
from graph.schema.connections import Listed
from graph.schema.context import Context
from graph.schema.fields import batched, computed
from graph.schema.inputs import (
    ArtifactFilterArgument,
    ArtifactOrderArgument,
    LayerFilterArgument,
    LayerOrderArgument,
    RepositoryFilterArgument,
    RepositoryOrderArgument,
)
from graph.schema.links import ArtifactConnection, LayerConnection, RepositoryConnection
from graph.schema.nodes import Node
from graph.schema.registry import Registry
from graph.schema.storage import Storage, load_namespace_storage
from graph.schema.untagged import Untagged, load_namespace_untagged
from graph.store import artifacts, layers, repositories
from graph.store.pages import PageRequest


async def load_repositories(
    context: Context,
    keys: Sequence[int],
    /,
    *,
    page: PageRequest,
    filter: RepositoryFilterArgument = None,
    order_by: RepositoryOrderArgument = None,
) -> Sequence[Answer]:
    """A page of the repositories below each namespace."""
    pages = await context.read(repositories.page_namespace_repositories, keys, page, filter, order_by)
    count = repositories.count_namespace_repositories
    return [Listed(found, key, count, (filter,)) for key, found in zip(keys, pages, strict=True)]


async def load_artifacts(
    context: Context,
    keys: Sequence[int],
    /,
    *,
    page: PageRequest,
    filter: ArtifactFilterArgument = None,
    order_by: ArtifactOrderArgument = None,
) -> Sequence[Answer]:
    """A page of the artifacts below each namespace."""
    pages = await context.read(artifacts.page_namespace_artifacts, keys, page, filter, order_by)
    count = artifacts.count_namespace_artifacts
    return [Listed(found, key, count, (filter,)) for key, found in zip(keys, pages, strict=True)]


async def load_layers(
    context: Context,
    keys: Sequence[int],
    /,
    *,
    page: PageRequest,
    filter: LayerFilterArgument = None,
    order_by: LayerOrderArgument = None,
) -> Sequence[Answer]:
    """A page of the layers below each namespace."""
    pages = await context.read(layers.page_namespace_layers, keys, page, filter, order_by)
    count = layers.count_namespace_layers
    return [Listed(found, key, count, (filter,)) for key, found in zip(keys, pages, strict=True)]


@strawberry.type(
    description="A prefix of repository names that ends before a slash. Registries know no such thing: each "
    "repository stands on its own, and a namespace is a way to look at many."
)
class Namespace(Node):
    """A prefix of repository names."""

    registry: Registry = computed(
        lambda row, context: context.registries.by_key(row.registry_key),
        description="The registry it is in.",
    )
    name: str = strawberry.field(
        description="The prefix without its last slash: `marketing`, or `marketing/campaign10-18`."
    )
    repository_count: int = strawberry.field(description="How many repositories are below it, at any depth.")
    repositories: RepositoryConnection | None = batched(
        load_repositories,
        key=lambda row: row.key,
        cursors=partial(repositories.repository_cursors, "namespace"),
        description="The repositories below it, at any depth. Default order: by name.",
    )
    artifacts: ArtifactConnection | None = batched(
        load_artifacts,
        key=lambda row: row.key,
        cursors=partial(artifacts.artifact_cursors, "namespace"),
        description="The artifacts of all repositories below it.",
    )
    layers: LayerConnection | None = batched(
        load_layers,
        key=lambda row: row.key,
        cursors=partial(layers.layer_cursors, "namespace"),
        description="The layers of all repositories below it, each once. Who shares them, and what that "
        "saves, is told of the whole registry.",
    )
    storage: Storage | None = batched(
        load_namespace_storage,
        key=lambda row: row.key,
        description="What all repositories below it take in storage together.",
    )
    untagged: Untagged | None = batched(
        load_namespace_untagged,
        key=lambda row: row.key,
        description="What is untagged in the repositories below it, counted and weighed by the reason.",
    )

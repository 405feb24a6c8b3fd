"""A layer: one for each registry and digest, however many artifacts use it (concepts C2, C12, C13)."""

from collections.abc import Sequence
from functools import partial

import strawberry

from graph.oci.digest import Digest
from graph.schema.batches import Answer
from graph.schema.connections import Listed
from graph.schema.context import Context
from graph.schema.fields import batched, computed
from graph.schema.inputs import ArtifactFilterArgument, ArtifactOrderArgument, RepositoryOrderArgument
from graph.schema.links import ArtifactConnection, RepositoryConnection
from graph.schema.nodes import Node
from graph.schema.registry import Registry
from graph.schema.scalars import ByteCount
from graph.store import artifacts, repositories
from graph.store.pages import PageRequest


async def load_repositories(
    context: Context,
    keys: Sequence[int],
    /,
    *,
    page: PageRequest,
    order_by: RepositoryOrderArgument = None,
) -> Sequence[Answer]:
    """A page of the repositories that use each layer."""
    pages = await context.read(repositories.page_layer_repositories, keys, page, order_by)
    count = repositories.count_layer_repositories
    return [Listed(found, key, count, ()) for key, found in zip(keys, pages, strict=True)]


async def load_artifacts(
    context: Context,
    keys: Sequence[int],
    /,
    *,
    page: PageRequest,
    filter: ArtifactFilterArgument = None,
    order_by: ArtifactOrderArgument = None,
) -> Sequence[Answer]:
    """A page of the artifacts that use each layer."""
    pages = await context.read(artifacts.page_layer_artifacts, keys, page, filter, order_by)
    count = artifacts.count_layer_artifacts
    return [Listed(found, key, count, (filter,)) for key, found in zip(keys, pages, strict=True)]


@strawberry.type(
    description="A part of an image's file system. A registry keeps one copy of it, however many artifacts "
    "of however many repositories use it; here is who shares it, and what that saves."
)
class Layer(Node):
    """A layer."""

    registry: Registry = computed(
        lambda row, context: context.registries.by_key(row.registry_key),
        description="The registry it is in. The same layer in another registry is another object.",
    )
    digest: Digest = strawberry.field(description="The digest of its bytes, as they are sent.")
    size: ByteCount | None = strawberry.field(
        description="Its bytes as they are sent, most often compressed. Null: no manifest says."
    )
    is_empty: bool = strawberry.field(
        description="Whether it is known to hold nothing. Such a layer is in very many images, so it counts "
        "neither as shared nor as saving anything."
    )
    is_foreign: bool = strawberry.field(
        description="Whether it is to be fetched from elsewhere, so that the registry need not keep it."
    )
    repositories: RepositoryConnection | None = batched(
        load_repositories,
        key=lambda row: row.key,
        cursors=repositories.layer_repository_cursors,
        description="The repositories with an artifact that uses it. Default order: first seen to use it.",
    )
    repository_count: int = strawberry.field(description="How many repositories use it.")
    artifacts: ArtifactConnection | None = batched(
        load_artifacts,
        key=lambda row: row.key,
        cursors=partial(artifacts.artifact_cursors, "layer"),
        description="The artifacts whose own manifest lists it. Default order: first seen first.",
    )
    artifact_count: int = strawberry.field(description="How many artifacts use it, dangling ones too.")
    saved_bytes: ByteCount = strawberry.field(
        description="What sharing it saves: its size for every artifact that uses it but the first. 0 for an "
        "empty or foreign layer."
    )

"""A repository: the artifacts of one name, their tags and their layers (concepts C3, C4)."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, NamedTuple

import strawberry

from graph.errors import NotObservedError
from graph.oci.digest import Digest
from graph.oci.reference import LATEST, RepositoryName, TagName, parse_tag_name
from graph.schema.batches import Answer
from graph.schema.connections import Listed
from graph.schema.context import Context
from graph.schema.enums import Completeness
from graph.schema.fields import batched, computed
from graph.schema.inputs import (
    ArtifactFilterArgument,
    ArtifactOrderArgument,
    LayerFilterArgument,
    LayerOrderArgument,
    TagFilterArgument,
    TagOrderArgument,
)
from graph.schema.links import ArtifactConnection, ArtifactLink, LayerConnection, TagConnection, TagLink
from graph.schema.nodes import Node
from graph.schema.registry import Registry
from graph.schema.related import MemberKey, RepositoryOverlapConnection, load_related_repositories
from graph.schema.staleness import Observation, Outcome, aged, freshen
from graph.schema.storage import Storage, load_repository_storage
from graph.schema.untagged import Untagged, load_repository_untagged
from graph.store import artifacts, layers, rows, tags
from graph.store.pages import Page, PageRequest
from graph.store.related import related_cursors
from graph.store.rows import ArtifactRow, RepositoryRow
from graph.store.users import REPOSITORY_USERS


class RepositoryKey(NamedTuple):
    """A repository as a parent: its key in the store, and what it takes to ask its registry about it."""

    key: int
    registry_key: int
    name: RepositoryName
    observed_at: datetime | None


def key_of(row: RepositoryRow) -> RepositoryKey:
    """The repository as a parent."""
    return RepositoryKey(row.key, row.registry_key, row.name, row.observed_at)


def observation_of(registry_key: int, name: RepositoryName, observed_at: datetime | None) -> Observation:
    """When a repository's tags were last read, and how to read them now."""
    return Observation(
        identity=("repository", registry_key, name),
        subject=f"repository {name}",
        registry_key=registry_key,
        repository=name,
        observed_at=observed_at,
        refresh=lambda refresher: refresher.refresh_repository(registry_key, name),
    )


def tag_observation_of(
    registry_key: int, name: RepositoryName, tag: TagName, observed_at: datetime | None
) -> Observation:
    """When it was last seen what a tag names, and how to see it now."""
    return Observation(
        identity=("tag", registry_key, name, tag),
        subject=f"tag {name}:{tag}",
        registry_key=registry_key,
        repository=name,
        observed_at=observed_at,
        refresh=lambda refresher: refresher.refresh_tag(registry_key, name, tag),
    )


async def load_tags(
    context: Context,
    keys: Sequence[RepositoryKey],
    /,
    *,
    page: PageRequest,
    filter: TagFilterArgument = None,
    order_by: TagOrderArgument = None,
) -> Sequence[Answer]:
    """A page of each repository's tags; reads them first where they are too old."""
    outcomes = await _freshen(context, keys)
    pages = await context.read(tags.page_tags, [key.key for key in keys], page, filter, order_by)
    return _listed(context, keys, outcomes, pages, tags.count_tags, filter)


async def load_artifacts(
    context: Context,
    keys: Sequence[RepositoryKey],
    /,
    *,
    page: PageRequest,
    filter: ArtifactFilterArgument = None,
    order_by: ArtifactOrderArgument = None,
) -> Sequence[Answer]:
    """A page of each repository's artifacts; reads its tags first where they are too old."""
    outcomes = await _freshen(context, keys)
    pages = await context.read(artifacts.page_artifacts, [key.key for key in keys], page, filter, order_by)
    return _listed(context, keys, outcomes, pages, artifacts.count_artifacts, filter)


async def _freshen(context: Context, keys: Sequence[RepositoryKey]) -> list[tuple[Observation, Outcome]]:
    observations = [observation_of(key.registry_key, key.name, key.observed_at) for key in keys]
    return list(zip(observations, await freshen(context, observations), strict=True))


def _listed(
    context: Context,
    keys: Sequence[RepositoryKey],
    outcomes: Sequence[tuple[Observation, Outcome]],
    pages: Sequence[Page[Any]],
    count: Any,
    narrowed: Any,
) -> Sequence[Answer]:
    return [
        aged(
            context,
            observation,
            outcome,
            Listed(page, key.key, count, (narrowed,)),
            is_stored=key.observed_at is not None,
        )
        for key, (observation, outcome), page in zip(keys, outcomes, pages, strict=True)
    ]


async def find_tag(
    context: Context,
    keys: Sequence[RepositoryKey],
    /,
    *,
    name: Annotated[
        TagName,
        strawberry.argument(graphql_type=str, description="The tag's name, such as `v1.2`."),
    ] = LATEST,
) -> Sequence[Answer]:
    """The tag of this name of each repository; asks the registry first where it is too old."""
    wanted = [(key.key, name) for key in keys]
    found = await context.read(tags.find_tags, wanted)
    observations = [
        # A list of tags that lacks it is an observation too.
        tag_observation_of(
            key.registry_key, key.name, name, key.observed_at if tag is None else tag.observed_at
        )
        for key, tag in zip(keys, found, strict=True)
    ]
    outcomes = await freshen(context, observations)
    if any(outcome.is_refreshed for outcome in outcomes):
        found = await context.read(tags.find_tags, wanted)
    return [
        aged(context, observation, outcome, tag, is_stored=observation.observed_at is not None)
        for observation, outcome, tag in zip(observations, outcomes, found, strict=True)
    ]


async def find_artifact(
    context: Context,
    keys: Sequence[int],
    /,
    *,
    digest: Annotated[Digest, strawberry.argument(description="The digest of its manifest.")],
) -> Sequence[Answer]:
    """The artifact with this digest of each repository."""
    return await context.read(artifacts.find_artifacts, [(key, digest) for key in keys])


def _pick_artifact(row: RepositoryRow, _: Context, artifact: ArtifactRow | None) -> Answer:
    if artifact is None and row.completeness is not rows.Completeness.COMPLETE:
        return NotObservedError(f"nobody has seen this digest in repository {row.name}")
    return artifact


async def load_layers(
    context: Context,
    keys: Sequence[RepositoryKey],
    /,
    *,
    page: PageRequest,
    filter: LayerFilterArgument = None,
    order_by: LayerOrderArgument = None,
) -> Sequence[Answer]:
    """A page of the layers of each repository."""
    parents = [key.key for key in keys]
    pages = await context.read(layers.page_repository_layers, parents, page, filter, order_by)
    return [
        Listed(found, key.key, layers.count_repository_layers, (filter,))
        if found.rows or key.observed_at is not None
        else NotObservedError(f"nobody has looked at repository {key.name} yet")
        for key, found in zip(keys, pages, strict=True)
    ]


def _related_key(row: RepositoryRow) -> MemberKey:
    return MemberKey(row.key, row.registry_key, None if row.observed_at is not None else row.name)


@strawberry.type(
    description="A collection of artifacts with one name and different tags. The name and a tag together are "
    "what `docker pull` takes."
)
class Repository(Node):
    """A repository."""

    registry: Registry = computed(
        lambda row, context: context.registries.by_key(row.registry_key),
        description="The registry it is in.",
    )
    name: str = strawberry.field(
        description="Its whole name without the registry: `marketing/campaign10-18/web`."
    )
    namespace: str | None = strawberry.field(
        description="Everything before the last slash of its name. Null: there is no slash."
    )
    tags: TagConnection | None = batched(
        load_tags,
        key=key_of,
        cursors=partial(tags.tag_cursors, "repository"),
        description="Its tags. Tags that only point at signatures and the like are left out unless the "
        "filter asks for them. Read from the registry first when older than the request allows.",
    )
    tag: TagLink | None = batched(
        find_tag,
        key=key_of,
        parsers={"name": lambda _, name: parse_tag_name(name)},
        description="One of its tags. Null: it has no such tag. Asked of the registry first when older than "
        "the request allows.",
    )
    artifacts: ArtifactConnection | None = batched(
        load_artifacts,
        key=key_of,
        cursors=partial(artifacts.artifact_cursors, "repository"),
        description="What it holds, tagged and untagged: one artifact for each manifest digest. Read from "
        "the registry first when older than the request allows.",
    )
    artifact: ArtifactLink | None = batched(
        find_artifact,
        key=lambda row: row.key,
        pick=_pick_artifact,
        description="The artifact with this digest. Null: the registry lists all that the repository holds, "
        "and it is not there. Null with the error `NOT_OBSERVED`: it was not seen, which on other registries "
        "does not mean that it is not there.",
    )
    layers: LayerConnection | None = batched(
        load_layers,
        key=key_of,
        cursors=partial(layers.layer_cursors, "repository"),
        description="The layers of all its artifacts, each once.",
    )
    storage: Storage | None = batched(
        load_repository_storage,
        key=lambda row: (row.key, row.observed_at is not None),
        description="What all it holds takes in storage. Nothing is asked of the registry for it.",
    )
    related: RepositoryOverlapConnection | None = batched(
        load_related_repositories,
        key=_related_key,
        cursors=partial(related_cursors, REPOSITORY_USERS),
        description="The repositories of its registry that share layers with it, most shared bytes first, "
        "among equals what was seen last. Answered from the store. Null with an error while nobody has "
        "looked at it.",
    )
    untagged: Untagged | None = batched(
        load_repository_untagged,
        key=lambda row: (row.key, row.observed_at is not None),
        description="What is untagged in it, counted and weighed by the reason.",
    )
    completeness: Completeness = strawberry.field(
        description="How much of what it holds can have been seen: plain registries cannot list untagged "
        "manifests."
    )
    observed_at: datetime | None = strawberry.field(
        description="When its list of tags was last read to the end. Null: never."
    )
    changed_at: datetime | None = strawberry.field(
        description="When a tag or an artifact of it was last seen to change. Null: never since first seen."
    )
    first_seen_at: datetime = strawberry.field(description="When it was first seen.")
    absent_at: datetime | None = strawberry.field(
        description="When it was first found to be gone. Null: it is there."
    )

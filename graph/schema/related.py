"""What is related to a repository or an artifact: who shares its layers, and which (concept C13).

Rules of this file: everything is answered from the store, and nothing is refreshed for it: what is related
may be anywhere in the registry, so the basis is that of the whole registry.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import strawberry

from graph.errors import NotObservedError
from graph.schema.basis import Basis
from graph.schema.batches import Answer, Key
from graph.schema.connections import Connection, Edge, Listed
from graph.schema.context import Context
from graph.schema.fields import batched, computed
from graph.schema.links import ArtifactLink, LayerConnection, RepositoryLink
from graph.schema.registry import load_statuses, pick_basis
from graph.schema.scalars import ByteCount
from graph.store import related, shared
from graph.store.pages import PageRequest
from graph.store.rows import ArtifactRow, RepositoryRow
from graph.store.users import ARTIFACT_USERS, REPOSITORY_USERS, Users


class MemberKey(NamedTuple):
    """A repository or an artifact as the parent of what is related to it."""

    key: int
    registry_key: int
    unseen: str | None = None  # the name of a repository that nobody has looked at yet


# Two that share: the one that is asked about, and the one that is related to it.
PairKey: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _RelatedListed(Listed):
    """A page of what is related, and of whose registry it tells."""

    registry_key: int


@dataclass(frozen=True, slots=True)
class _OverlapEdge:
    cursor: str
    node: RepositoryRow | ArtifactRow
    overlap_bytes: int
    layer_count: int
    pair: tuple[Key, int]


async def load_related_repositories(
    context: Context, keys: Sequence[MemberKey], /, *, page: PageRequest
) -> Sequence[Answer]:
    """A page of the repositories that share layers with each."""
    pages = await context.read(related.page_related_repositories, [key.key for key in keys], page)
    return _listed(keys, pages, related.count_related_repositories)


async def load_related_artifacts(
    context: Context, keys: Sequence[MemberKey], /, *, page: PageRequest
) -> Sequence[Answer]:
    """A page of the artifacts that share layers with each."""
    pages = await context.read(related.page_related_artifacts, [key.key for key in keys], page)
    return _listed(keys, pages, related.count_related_artifacts)


async def load_repository_overlap(
    context: Context, keys: Sequence[PairKey], /, *, page: PageRequest
) -> Sequence[Answer]:
    """A page of the layers that both repositories of each pair use."""
    pages = await context.read(shared.page_repository_overlap, keys, page)
    count = shared.count_repository_overlap
    return [Listed(found, key, count, ()) for key, found in zip(keys, pages, strict=True)]


async def load_artifact_overlap(
    context: Context, keys: Sequence[PairKey], /, *, page: PageRequest
) -> Sequence[Answer]:
    """A page of the layers that both artifacts of each pair use."""
    pages = await context.read(shared.page_artifact_overlap, keys, page)
    count = shared.count_artifact_overlap
    return [Listed(found, key, count, ()) for key, found in zip(keys, pages, strict=True)]


def _listed(
    keys: Sequence[MemberKey], pages: Sequence[Any], count: Callable[..., list[int]]
) -> Sequence[Answer]:
    return [
        _RelatedListed(page, key.key, count, (), key.registry_key)
        if page.rows or key.unseen is None
        else NotObservedError(f"nobody has looked at repository {key.unseen} yet")
        for key, page in zip(keys, pages, strict=True)
    ]


def _edges(listed: Listed, _: Context) -> list[_OverlapEdge]:
    return [
        _OverlapEdge(cursor, row.node, row.overlap_bytes, row.layer_count, (listed.parent, row.node.key))
        for cursor, row in zip(listed.page.cursors, listed.page.rows, strict=True)
    ]


def _nodes(listed: Listed, _: Context) -> list[RepositoryRow | ArtifactRow]:
    return [row.node for row in listed.page.rows]


def _basis() -> Any:
    return batched(
        load_statuses,
        key=lambda listed: listed.registry_key,
        pick=pick_basis,
        description="What this stands on: how well the whole registry is known, as what is related may be "
        "anywhere in it. Null with an error only.",
    )


def _layers(function: Callable[..., Any], users: Users) -> Any:
    return batched(
        function,
        key=lambda edge: edge.pair,
        cursors=partial(shared.overlap_cursors, users),
        description="The layers that both use, largest first. Empty layers are left out.",
    )


_OVERLAP_BYTES = "The bytes of the layers that both use, each digest once. Empty layers are left out."
_LAYER_COUNT = "How many layers both use, each digest once. Empty layers are left out."


@strawberry.type(description="A repository that shares layers with another, and what they share.")
class RepositoryOverlapEdge(Edge[RepositoryLink]):
    """A repository that shares layers with another."""

    overlap_bytes: ByteCount = strawberry.field(description=_OVERLAP_BYTES)
    layer_count: int = strawberry.field(description=_LAYER_COUNT)
    layers: LayerConnection | None = _layers(load_repository_overlap, REPOSITORY_USERS)


@strawberry.type(
    description="The repositories that share layers with one, most shared bytes first: a page of them."
)
class RepositoryOverlapConnection(Connection[RepositoryLink]):
    """A page of the repositories that share layers with one."""

    edges: list[RepositoryOverlapEdge] = computed(  # type: ignore[assignment]  # each is an edge and more
        _edges, description="The repositories of this page, each with its cursor and what it shares."
    )
    nodes: list[RepositoryLink] = computed(
        _nodes, description="The repositories of this page, for who needs no more of them."
    )
    basis: Basis | None = _basis()


@strawberry.type(description="An artifact that shares layers with another, and what they share.")
class ArtifactOverlapEdge(Edge[ArtifactLink]):
    """An artifact that shares layers with another."""

    overlap_bytes: ByteCount = strawberry.field(description=_OVERLAP_BYTES)
    layer_count: int = strawberry.field(description=_LAYER_COUNT)
    layers: LayerConnection | None = _layers(load_artifact_overlap, ARTIFACT_USERS)


@strawberry.type(
    description="The artifacts that share layers with one, most shared bytes first: a page of them."
)
class ArtifactOverlapConnection(Connection[ArtifactLink]):
    """A page of the artifacts that share layers with one."""

    edges: list[ArtifactOverlapEdge] = computed(  # type: ignore[assignment]  # each is an edge and more
        _edges, description="The artifacts of this page, each with its cursor and what it shares."
    )
    nodes: list[ArtifactLink] = computed(
        _nodes, description="The artifacts of this page, for who needs no more of them."
    )
    basis: Basis | None = _basis()

"""Where a query begins. Every field may be null, so that one that fails never takes the others with it."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, TypeAlias

import strawberry

from graph.errors import InputError, NotObservedError
from graph.oci.digest import Digest
from graph.oci.reference import (
    Reference,
    RepositoryName,
    complete_name,
    parse_reference,
    parse_repository_name,
)
from graph.schema.artifact import Artifact
from graph.schema.batches import Answer, Location
from graph.schema.connections import Connection, Listed
from graph.schema.context import Context
from graph.schema.deletion import Deletion, load_deletions
from graph.schema.enums import Reuse, Scope
from graph.schema.fields import batched, rooted
from graph.schema.forecasts import Question
from graph.schema.ids import NodeId, parse_id
from graph.schema.layer import Layer
from graph.schema.lookups import ask, ask_node, ask_reference, find_layers, find_repositories
from graph.schema.nodes import Node
from graph.schema.overlap import Overlap, ask_overlap, parse_members
from graph.schema.pull import (
    PlatformArgument,
    PresentArgument,
    Pull,
    ReuseArgument,
    Rollout,
    ask_rollout,
    parse_question,
)
from graph.schema.registry import Registry
from graph.schema.repository import Repository
from graph.schema.sets import (
    ArtifactsArgument,
    NamedSet,
    RepositoriesArgument,
    SetRegistryArgument,
    parse_set,
)
from graph.schema.storage import ScopeArgument, Storage, load_set_storage
from graph.store import repositories
from graph.store.filters import check_search
from graph.store.pages import PageRequest
from graph.store.rows import RegistryRow
from graph.store.visibility import Visibility

RegistryArgument: TypeAlias = Annotated[
    str | None,
    strawberry.argument(
        description="The registry's name, such as `myregistry.azurecr.io`. Default: the first one configured."
    ),
]

TagsArgument: TypeAlias = Annotated[
    list[str] | None,
    strawberry.argument(
        description="Tags to take away, by address: `registry/repository:tag`. What has no other ordinary "
        "tag goes, unless an index that stays lists it."
    ),
]

SearchResult: TypeAlias = Annotated[
    Repository, strawberry.union("SearchResult", description="Something that a search found.")
]


async def search(
    context: Context,
    keys: Sequence[int],
    /,
    *,
    page: PageRequest,
    text: Annotated[
        str, strawberry.argument(description="What the name has in it, anywhere, in capitals or not.")
    ],
    registry: Annotated[
        int | None,
        strawberry.argument(
            graphql_type=str | None, description="The registry to search. Default: all of them."
        ),
    ] = None,
) -> Sequence[Answer]:
    """A page of what the text finds."""
    registry_keys = tuple(row.key for row in context.registries.rows) if registry is None else (registry,)
    found = await context.read(repositories.search_repositories, text, registry_keys, page)
    if not found.rows and not any(key in context.registries.catalog_observed_at for key in registry_keys):
        raise NotObservedError("nobody has looked at what could be searched yet")
    return [Listed(found, key, _count_search, (text, registry_keys)) for key in keys]


def _count_search(
    db: Any, visibility: Visibility, keys: Sequence[int], text: str, registry_keys: Sequence[int]
) -> list[int]:
    return [repositories.count_search(db, visibility, text, registry_keys) for _ in keys]


@strawberry.type(description="One page of what a search found.")
class SearchConnection(Connection[SearchResult]):
    """A page of what a search found."""


def _parse_node(
    _: Context, *, id: Annotated[strawberry.ID, strawberry.argument(description="The id of an object.")]
) -> NodeId:
    return parse_id(id)


def _parse_nodes(
    _: Context,
    *,
    ids: Annotated[
        list[strawberry.ID],
        strawberry.argument(description="The ids of objects, at most 1,000 in a request."),
    ],
) -> list[NodeId | InputError]:
    return [_parse_or_refuse(id) for id in ids]


def _parse_or_refuse(id: str) -> NodeId | InputError:
    try:
        return parse_id(id)
    except InputError as error:
        return error


def _ask_nodes(context: Context, ids: Sequence[NodeId | InputError], location: Location) -> Any:
    return [
        # An error is raised by the executor at its place of the list.
        identity if isinstance(identity, InputError) else ask_node(context, identity, location.add_key(index))
        for index, identity in enumerate(ids)
    ]


def _parse_registry(context: Context, *, name: RegistryArgument = None) -> RegistryRow:
    return context.registries.by_name(name)


def _parse_repository(
    context: Context,
    *,
    name: Annotated[
        str,
        strawberry.argument(
            description="The whole name without the registry, such as `marketing/campaign10-18/web`."
        ),
    ],
    registry: RegistryArgument = None,
) -> tuple[int, RepositoryName]:
    row = context.registries.by_name(registry)
    return row.key, parse_repository_name(complete_name(row.name, name))


def _parse_artifact(
    context: Context,
    *,
    reference: Annotated[
        str,
        strawberry.argument(
            description="`registry/repository:tag` or `registry/repository@digest`. Without a registry it "
            "is the first one configured, without tag and digest the tag `latest`; where both are given the "
            "digest decides."
        ),
    ],
) -> Reference:
    parsed = parse_reference(reference, context.registries.names)
    context.registries.by_name(parsed.registry)
    return parsed


def _parse_layers(
    context: Context,
    *,
    digests: Annotated[
        list[Digest], strawberry.argument(description="The digests of layers, at most 1,000 in a request.")
    ],
    registry: RegistryArgument = None,
) -> list[tuple[int, Digest]]:
    key = context.registries.by_name(registry).key
    return [(key, digest) for digest in digests]


def _ask_layers(context: Context, keys: Sequence[tuple[int, Digest]], location: Location) -> Any:
    return [ask(context, find_layers, key, location.add_key(index)) for index, key in enumerate(keys)]


def _parse_overlap(
    context: Context,
    *,
    artifacts: ArtifactsArgument = None,
    repositories: RepositoriesArgument = None,
    registry: SetRegistryArgument = None,
) -> NamedSet:
    return parse_members(context.registries, artifacts, repositories, registry)


def _parse_pull(
    context: Context,
    *,
    artifact: Annotated[
        str,
        strawberry.argument(
            description="The artifact by address: `registry/repository:tag` or `registry/repository@digest`."
        ),
    ],
    platform: PlatformArgument = None,
    present: PresentArgument = None,
    reuse: ReuseArgument = Reuse.BLOB,
) -> Question:
    return parse_question(context.registries, [artifact], platform, present, reuse)


def _parse_rollout(
    context: Context,
    *,
    artifacts: Annotated[
        list[str],
        strawberry.argument(
            description="The artifacts by address, in the order they are pulled; at most 1,000."
        ),
    ],
    platform: PlatformArgument = None,
    present: PresentArgument = None,
    reuse: ReuseArgument = Reuse.BLOB,
) -> Question:
    return parse_question(context.registries, artifacts, platform, present, reuse)


def _parse_storage(
    context: Context,
    *,
    artifacts: ArtifactsArgument = None,
    repositories: RepositoriesArgument = None,
    registry: SetRegistryArgument = None,
    scope: ScopeArgument = Scope.ALL,
) -> tuple[NamedSet, Scope]:
    named = parse_set(context.registries, artifacts=artifacts, repositories=repositories, registry=registry)
    return named, scope


def _ask_storage(context: Context, key: tuple[NamedSet, Scope], location: Location) -> Any:
    return ask(context, load_set_storage, key, location, max(1, key[0].name_count))


def _parse_deletion(
    context: Context,
    *,
    artifacts: ArtifactsArgument = None,
    tags: TagsArgument = None,
    repositories: RepositoriesArgument = None,
    registry: SetRegistryArgument = None,
) -> NamedSet:
    return parse_set(
        context.registries, artifacts=artifacts, repositories=repositories, tags=tags, registry=registry
    )


def _ask_deletion(context: Context, named: NamedSet, location: Location) -> Any:
    return ask(context, load_deletions, named, location, max(1, named.name_count))


@strawberry.type(
    description="What is in container registries, and which layers their repositories share. A field that "
    "is null with an error is not known; an empty list means that the registry said: none."
)
class Query:
    """Where a query begins."""

    node: Node | None = rooted(
        _parse_node,
        ask_node,
        description="The object with this id. Null: there is none (any more).",
    )
    nodes: list[Node | None] | None = rooted(
        _parse_nodes,
        _ask_nodes,
        description="The objects with these ids, in the same order; null for one that is not there.",
    )
    registries: list[Registry] | None = rooted(
        lambda _: None,
        lambda context, _, __: context.registries.rows,
        description="All registries that are configured here.",
    )
    registry: Registry | None = rooted(_parse_registry, lambda _, row, __: row, description="One registry.")
    repository: Repository | None = rooted(
        _parse_repository,
        lambda context, key, location: ask(context, find_repositories, key, location),
        description="One repository. Read from the registry first when older than the request allows, or "
        "when nobody has looked at it yet.",
    )
    artifact: Artifact | None = rooted(
        _parse_artifact,
        ask_reference,
        description="The artifact at this address. By tag it is asked of the registry first when older "
        "than the request allows. Null: the repository has no such tag, or the registry lists all it holds "
        "and it is not there.",
    )
    layers: list[Layer | None] | None = rooted(
        _parse_layers,
        _ask_layers,
        description="The layers with these digests, in the same order; null for one that no artifact uses. "
        "This is how to look up many at once.",
    )
    storage: Storage | None = rooted(
        _parse_storage,
        _ask_storage,
        description="What any set of artifacts takes in storage: named one by one, as whole repositories, or "
        "both. Answered from what is stored; one error names the members that are not. A set may span "
        "registries, which share nothing: their figures add.",
    )
    deletion: Deletion | None = rooted(
        _parse_deletion,
        _ask_deletion,
        description="What would have to be deleted so that these artifacts, what these tags alone name, and "
        "all artifacts of these repositories are gone, with what only they keep: in order, with the reasons "
        "and the bytes it would free. Nothing is deleted. Answered from the store.",
    )
    search: SearchConnection | None = batched(
        search,
        key=lambda _: 0,
        cursors=repositories.search_cursors,
        parsers={
            "text": lambda _, text: check_search(text),
            "registry": lambda context, name: context.registries.by_name(name).key,
        },
        description="Repositories by a part of their name, sorted by name.",
    )
    overlap: Overlap | None = rooted(
        _parse_overlap,
        ask_overlap,
        description="How much each of 2 to 100 artifacts, or of as many repositories, shares with each: a "
        "matrix to plot. Answered from the store.",
    )
    pull: Pull | None = rooted(
        _parse_pull,
        partial(ask_rollout, is_one=True),
        description="What a node fetches when it pulls an artifact, given what it holds already. Answered "
        "from the store.",
    )
    rollout: Rollout | None = rooted(
        _parse_rollout,
        ask_rollout,
        description="What a node fetches when it pulls several artifacts one after the other. Answered from "
        "the store.",
    )

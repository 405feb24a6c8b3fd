"""Where a query begins. Every field may be null, so that one that fails never takes the others with it."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import strawberry

from graph.errors import NotObservedError
from graph.oci.digest import Digest
from graph.oci.reference import parse_reference, parse_repository_name
from graph.schema.artifact import Artifact
from graph.schema.batches import Answer
from graph.schema.connections import Connection, Listed
from graph.schema.context import Context
from graph.schema.deletion import Deletion, load_deletions
from graph.schema.enums import Reuse, Scope
from graph.schema.fields import batched
from graph.schema.ids import parse_id
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
from graph.schema.sets import ArtifactsArgument, RepositoriesArgument, SetRegistryArgument, parse_set
from graph.schema.storage import ScopeArgument, Storage, load_set_storage
from graph.store import repositories
from graph.store.pages import PageRequest
from graph.store.visibility import Visibility

Info: TypeAlias = strawberry.Info[Context, None]

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
        str | None, strawberry.argument(description="The registry to search. Default: all of them.")
    ] = None,
) -> Sequence[Answer]:
    """A page of what the text finds."""
    chosen = context.registries.rows if registry is None else [context.registries.by_name(registry)]
    registry_keys = tuple(row.key for row in chosen)
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


def _node(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id of an object.")]
) -> Any:
    return ask_node(info.context, parse_id(id), info.path)


def _nodes(
    info: Info,
    ids: Annotated[
        list[strawberry.ID],
        strawberry.argument(description="The ids of objects, at most 1,000 in a request."),
    ],
) -> Any:
    answers = []
    for index, id in enumerate(ids):
        try:
            answers.append(ask_node(info.context, parse_id(id), info.path.add_key(index)))
        except Exception as error:  # the executor raises it at this place of the list
            answers.append(error)
    return answers


def _registries(info: Info) -> Any:
    return info.context.registries.rows


def _registry(info: Info, name: RegistryArgument = None) -> Any:
    return info.context.registries.by_name(name)


def _repository(
    info: Info,
    name: Annotated[
        str,
        strawberry.argument(
            description="The whole name without the registry, such as `marketing/campaign10-18/web`."
        ),
    ],
    registry: RegistryArgument = None,
) -> Any:
    row = info.context.registries.by_name(registry)
    return ask(info.context, find_repositories, (row.key, parse_repository_name(name)), info.path)


def _artifact(
    info: Info,
    reference: Annotated[
        str,
        strawberry.argument(
            description="`registry/repository:tag` or `registry/repository@digest`. Without a registry it "
            "is the first one configured, without tag and digest the tag `latest`; where both are given the "
            "digest decides."
        ),
    ],
) -> Any:
    parsed = parse_reference(reference, info.context.registries.names)
    return ask_reference(info.context, parsed, info.path)


def _layers(
    info: Info,
    digests: Annotated[
        list[Digest], strawberry.argument(description="The digests of layers, at most 1,000 in a request.")
    ],
    registry: RegistryArgument = None,
) -> Any:
    key = info.context.registries.by_name(registry).key
    return [
        ask(info.context, find_layers, (key, digest), info.path.add_key(index))
        for index, digest in enumerate(digests)
    ]


def _overlap(
    info: Info,
    artifacts: ArtifactsArgument = None,
    repositories: RepositoriesArgument = None,
    registry: SetRegistryArgument = None,
) -> Any:
    named = parse_members(info.context.registries, artifacts, repositories, registry)
    return ask_overlap(info.context, named, info.path)


def _pull(
    info: Info,
    artifact: Annotated[
        str,
        strawberry.argument(
            description="The artifact by address: `registry/repository:tag` or `registry/repository@digest`."
        ),
    ],
    platform: PlatformArgument = None,
    present: PresentArgument = None,
    reuse: ReuseArgument = Reuse.BLOB,
) -> Any:
    question = parse_question(info.context.registries, [artifact], platform, present, reuse)
    return ask_rollout(info.context, question, info.path, is_one=True)


def _rollout(
    info: Info,
    artifacts: Annotated[
        list[str],
        strawberry.argument(
            description="The artifacts by address, in the order they are pulled; at most 1,000."
        ),
    ],
    platform: PlatformArgument = None,
    present: PresentArgument = None,
    reuse: ReuseArgument = Reuse.BLOB,
) -> Any:
    question = parse_question(info.context.registries, artifacts, platform, present, reuse)
    return ask_rollout(info.context, question, info.path)


def _storage(
    info: Info,
    artifacts: ArtifactsArgument = None,
    repositories: RepositoriesArgument = None,
    registry: SetRegistryArgument = None,
    scope: ScopeArgument = Scope.ALL,
) -> Any:
    named = parse_set(
        info.context.registries, artifacts=artifacts, repositories=repositories, registry=registry
    )
    return ask(info.context, load_set_storage, (named, scope), info.path, max(1, named.name_count))


def _deletion(
    info: Info,
    artifacts: ArtifactsArgument = None,
    tags: TagsArgument = None,
    repositories: RepositoriesArgument = None,
    registry: SetRegistryArgument = None,
) -> Any:
    named = parse_set(
        info.context.registries, artifacts=artifacts, repositories=repositories, tags=tags, registry=registry
    )
    return ask(info.context, load_deletions, named, info.path, max(1, named.name_count))


@strawberry.type(
    description="What is in container registries, and which layers their repositories share. A field that "
    "is null with an error is not known; an empty list means that the registry said: none."
)
class Query:
    """Where a query begins."""

    node: Node | None = strawberry.field(
        resolver=_node, description="The object with this id. Null: there is none (any more)."
    )
    nodes: list[Node | None] | None = strawberry.field(
        resolver=_nodes,
        description="The objects with these ids, in the same order; null for one that is not there.",
    )
    registries: list[Registry] | None = strawberry.field(
        resolver=_registries, description="All registries that are configured here."
    )
    registry: Registry | None = strawberry.field(resolver=_registry, description="One registry.")
    repository: Repository | None = strawberry.field(
        resolver=_repository,
        description="One repository. Read from the registry first when older than the request allows, or "
        "when nobody has looked at it yet.",
    )
    artifact: Artifact | None = strawberry.field(
        resolver=_artifact,
        description="The artifact at this address. By tag it is asked of the registry first when older "
        "than the request allows. Null: the repository has no such tag, or the registry lists all it holds "
        "and it is not there.",
    )
    layers: list[Layer | None] | None = strawberry.field(
        resolver=_layers,
        description="The layers with these digests, in the same order; null for one that no artifact uses. "
        "This is how to look up many at once.",
    )
    storage: Storage | None = strawberry.field(
        resolver=_storage,
        description="What any set of artifacts takes in storage: named one by one, as whole repositories, or "
        "both. Answered from what is stored; one error names the members that are not. A set may span "
        "registries, which share nothing: their figures add.",
    )
    deletion: Deletion | None = strawberry.field(
        resolver=_deletion,
        description="What would have to be deleted so that these artifacts, what these tags alone name, and "
        "all artifacts of these repositories are gone, with what only they keep: in order, with the reasons "
        "and the bytes it would free. Nothing is deleted. Answered from the store.",
    )
    search: SearchConnection | None = batched(
        search, key=lambda _: 0, description="Repositories by a part of their name, sorted by name."
    )
    overlap: Overlap | None = strawberry.field(
        resolver=_overlap,
        description="How much each of 2 to 100 artifacts, or of as many repositories, shares with each: a "
        "matrix to plot. Answered from the store.",
    )
    pull: Pull | None = strawberry.field(
        resolver=_pull,
        description="What a node fetches when it pulls an artifact, given what it holds already. Answered "
        "from the store.",
    )
    rollout: Rollout | None = strawberry.field(
        resolver=_rollout,
        description="What a node fetches when it pulls several artifacts one after the other. Answered from "
        "the store.",
    )

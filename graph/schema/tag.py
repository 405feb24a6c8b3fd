"""A tag: a name for an artifact that can move (concepts C10, C11)."""

from collections.abc import Sequence
from datetime import datetime

import strawberry

from graph.errors import RegistryUnknownError
from graph.oci.reference import format_reference
from graph.schema.batches import Answer
from graph.schema.context import Context
from graph.schema.errors import recalled
from graph.schema.fields import batched, computed
from graph.schema.links import ArtifactLink, RepositoryLink
from graph.schema.locks import Locks
from graph.schema.nodes import Node
from graph.store import artifacts, repositories
from graph.store.rows import TagRow


async def load_repositories(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """The repositories with these keys."""
    return await context.read(repositories.load_repositories, keys)


async def load_artifacts(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """The artifacts with these keys."""
    return await context.read(artifacts.load_artifacts, keys)


def unresolved(row: TagRow) -> Exception | None:
    """Why nobody can say what the tag names; None where somebody can.

    What it named before stands where the registry denied it, failed or gave no answer. A 404 is an answer:
    what the tag named is not under it any more, and may be gone.
    """
    if row.artifact_key is None or row.error_code == RegistryUnknownError.code:
        return recalled(row.error_code, row.error_message)
    return None


def _artifact_key(row: TagRow) -> int | Exception | None:
    return unresolved(row) or row.artifact_key


def _reference(row: TagRow, context: Context) -> str:
    registry = context.registries.by_key(row.registry_key).name
    return format_reference(registry, row.repository_name, row.name)


@strawberry.type(
    description="A name for an artifact of a repository, most often a version. It can move to another "
    "artifact."
)
class Tag(Node):
    """A tag."""

    repository: RepositoryLink | None = batched(
        load_repositories,
        key=lambda row: row.repository_key,
        description="The repository it is in.",
    )
    name: str = strawberry.field(description="The tag itself, such as `latest` or `v1.2`.")
    reference: str = computed(
        _reference,
        description="The address to pull: `registry/repository:tag`. Tomorrow it may be another image.",
    )
    artifact: ArtifactLink | None = batched(
        load_artifacts,
        key=_artifact_key,
        description="What it names, as of `observedAt`. Null with an error: the registry has never said, or "
        "lists the tag and answers that it is not there.",
    )
    changed_at: datetime | None = strawberry.field(
        description="When the registry says that it last changed; where it does not say, when it was last "
        "seen to name another artifact than before. Null: never since first seen."
    )
    pushed_at: datetime | None = strawberry.field(
        description="When the registry says it was first pushed. Null: this registry does not say."
    )
    locks: Locks | None = strawberry.field(
        description="What the registry lets anybody do with it. Null: this registry does not say."
    )
    first_seen_at: datetime = strawberry.field(description="When it was first seen.")
    observed_at: datetime = strawberry.field(description="When it was last seen.")

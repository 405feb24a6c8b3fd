"""An artifact: what one repository holds under one digest (concepts C6 to C9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, NamedTuple

import strawberry

from graph.errors import NotKnownError, NotObservedError, RegistryUnsupportedError
from graph.oci.digest import Digest
from graph.oci.media_types import OCI_ARTIFACT_MANIFEST, READ_TYPES
from graph.oci.reference import RepositoryName, format_reference
from graph.schema.batches import Answer
from graph.schema.connections import Connection, Listed
from graph.schema.context import Context
from graph.schema.enums import ArtifactKind, ReferrersState, UntaggedReason
from graph.schema.errors import recalled
from graph.schema.fields import batched, computed
from graph.schema.inputs import TagFilterArgument, TagOrderArgument
from graph.schema.links import ArtifactConnection, ArtifactLink, RepositoryLink, TagConnection
from graph.schema.locks import Locks
from graph.schema.manifest import Manifest, ManifestIn, ManifestLayer, load_entries
from graph.schema.nodes import Node
from graph.schema.platform import Platform, platform_of
from graph.schema.related import ArtifactOverlapConnection, MemberKey, load_related_artifacts
from graph.schema.scalars import ByteCount
from graph.schema.staleness import Observation, Outcome, aged, freshen
from graph.schema.storage import (
    Storage,
    artifact_storage_key,
    load_artifact_storage,
    pick_exclusive_bytes,
)
from graph.schema.tag import load_repositories
from graph.store import copies, manifests, referrers, tags
from graph.store.filters import check_artifact_type
from graph.store.pages import PageRequest
from graph.store.related import related_cursors
from graph.store.rows import ArtifactRow, ManifestRow
from graph.store.users import ARTIFACT_USERS

# Kinds of manifests that tell what they bring.
_TOLD_TYPES = READ_TYPES | {OCI_ARTIFACT_MANIFEST}


class _SubjectKey(NamedTuple):
    """An artifact as the parent of its referrers, and what it takes to ask its registry for them."""

    key: int
    registry_key: int
    repository: RepositoryName
    digest: Digest
    observed_at: datetime | None


@dataclass(frozen=True, slots=True)
class _ReferrersListed(Listed):
    """A page of referrers, and whether there may be others."""

    state: ReferrersState


async def load_tags(
    context: Context,
    keys: Sequence[int],
    /,
    *,
    page: PageRequest,
    filter: TagFilterArgument = None,
    order_by: TagOrderArgument = None,
) -> Sequence[Answer]:
    """A page of the tags that name each artifact."""
    pages = await context.read(tags.page_artifact_tags, keys, page, filter, order_by)
    count = tags.count_artifact_tags
    return [Listed(found, key, count, (filter,)) for key, found in zip(keys, pages, strict=True)]


async def load_manifests(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """The manifests with these keys."""
    return await context.read(manifests.load_manifests, keys)


async def load_platforms(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """The children of each index that run."""
    return await context.read(referrers.load_platforms, keys)


async def load_subjects(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """What each artifact refers to."""
    return await context.read(referrers.find_subjects, keys)


async def load_referrers(
    context: Context,
    keys: Sequence[_SubjectKey],
    /,
    *,
    page: PageRequest,
    artifact_type: Annotated[
        str | None, strawberry.argument(description="Only those of this artifact type, exactly.")
    ] = None,
) -> Sequence[Answer]:
    """A page of what refers to each artifact; reads the registry's list first where it is too old."""
    observations = [_referrers_of(key) for key in keys]
    outcomes = await freshen(context, observations)
    pages = await context.read(referrers.page_referrers, [key.key for key in keys], page, artifact_type)
    answers = []
    for key, observation, outcome, found in zip(keys, observations, outcomes, pages, strict=True):
        state = _state_of(key, outcome)
        listed = _ReferrersListed(found, key.key, referrers.count_referrers, (artifact_type,), state)
        # That a registry has no such list is no failure: the state says so.
        is_stored = state is not ReferrersState.UNKNOWN or bool(found.rows)
        answers.append(aged(context, observation, outcome, listed, is_stored=is_stored))
    return answers


async def load_copies(context: Context, keys: Sequence[int], /, *, page: PageRequest) -> Sequence[Answer]:
    """A page of the same content elsewhere, in any of the registries."""
    registries = tuple(row.key for row in context.registries.rows)
    pages = await context.read(copies.page_copies, keys, page, registries)
    return [
        Listed(found, key, copies.count_copies, (registries,)) for key, found in zip(keys, pages, strict=True)
    ]


def _referrers_of(key: _SubjectKey) -> Observation:
    return Observation(
        identity=("referrers", key.registry_key, key.repository, key.digest),
        subject=f"the referrers of {key.repository}@{key.digest}",
        registry_key=key.registry_key,
        repository=key.repository,
        observed_at=key.observed_at,
        refresh=lambda refresher: refresher.refresh_referrers(key.registry_key, key.repository, key.digest),
    )


def _state_of(key: _SubjectKey, outcome: Outcome) -> ReferrersState:
    if outcome.is_refreshed or key.observed_at is not None:
        return ReferrersState.KNOWN
    if isinstance(outcome.error, RegistryUnsupportedError):
        return ReferrersState.UNSUPPORTED
    return ReferrersState.UNKNOWN


def _subject_key(row: ArtifactRow) -> _SubjectKey:
    return _SubjectKey(row.key, row.registry_key, row.repository_name, row.digest, row.referrers_observed_at)


def _manifest_key(row: ArtifactRow) -> int | Exception:
    if row.has_manifest:
        return row.manifest_key
    if row.error_code is None:
        return NotObservedError("its manifest has not been fetched yet")
    return recalled(row.error_code, row.error_message)


def _layers_key(row: ArtifactRow) -> int | Exception:
    # Of any other kind nothing is read but its type: an empty list would say that it has no layers.
    if row.has_manifest and row.media_type not in _TOLD_TYPES:
        return NotKnownError(f"what a manifest of type {row.media_type} brings is not told by it")
    return _manifest_key(row)


def _index_key(row: ArtifactRow) -> int | Exception:
    return row.key if row.has_manifest else _manifest_key(row)


def _related_key(row: ArtifactRow) -> MemberKey | int | Exception:
    return MemberKey(row.key, row.registry_key) if row.has_manifest else _manifest_key(row)


def _pick_manifest(row: ArtifactRow, _: Context, manifest: ManifestRow | None) -> Answer:
    if manifest is None:
        return NotObservedError("its manifest is not stored")
    return ManifestIn(
        manifest.key,
        manifest.registry_key,
        manifest.digest,
        manifest.media_type,
        manifest.size,
        manifest.schema_version,
        manifest.form,
        manifest.artifact_type,
        manifest.annotations,
        row.repository_key,
    )


def _reference(row: ArtifactRow, context: Context) -> str:
    registry = context.registries.by_key(row.registry_key).name
    return format_reference(registry, row.repository_name, row.digest)


def _child_count(row: ArtifactRow, _: Context) -> int | None:
    return row.child_count if row.has_manifest else None


@strawberry.type(
    description="The artifacts that refer to one, such as signatures, attestations and SBOMs: a page of them."
)
class ReferrerConnection(Connection[ArtifactLink]):
    """A page of referrers."""

    state: ReferrersState = strawberry.field(
        description="Whether these are all there are. An empty page means *none* only when this is `KNOWN`."
    )


@strawberry.type(
    description="What one repository holds under one manifest digest: a container image, an image index, a "
    "Helm chart or anything else. The same digest in two repositories is two artifacts."
)
class Artifact(Node):
    """An artifact."""

    repository: RepositoryLink | None = batched(
        load_repositories,
        key=lambda row: row.repository_key,
        description="The repository that holds it.",
    )
    digest: Digest = strawberry.field(description="The digest of its manifest.")
    reference: str = computed(
        _reference,
        description="The address to pull: `registry/repository@digest`. It always means the same content.",
    )
    tags: TagConnection | None = batched(
        load_tags,
        key=lambda row: row.key,
        cursors=partial(tags.tag_cursors, "artifact"),
        description="The tags that name it now; none for an untagged artifact.",
    )
    manifest: Manifest | None = batched(
        load_manifests,
        key=_manifest_key,
        pick=_pick_manifest,
        description="The document that names its content. Null with an error: the registry denies it, it is "
        "too large, or it has not been fetched yet.",
    )
    layers: list[ManifestLayer] | None = batched(
        load_entries,
        key=_layers_key,
        description="What its image manifest is made of, the lowest layer first; empty for an index, which "
        "has no layers of its own. Null with an error where `manifest` is, and where that is of a kind that "
        "does not tell, such as Docker's first format.",
    )
    kind: ArtifactKind = strawberry.field(description="What it is for.")
    media_type: str | None = strawberry.field(description="The media type of its manifest. Null: not known.")
    artifact_type: str | None = strawberry.field(
        description="What it says it is: `artifactType`, else the media type of its config. Null: not known."
    )
    platform: Platform | None = computed(
        platform_of, description="What it runs on. Null: an index, or no image, or not known."
    )
    size: ByteCount | None = strawberry.field(
        description="The bytes of everything it needs: its manifest, config and layers, of an index those of "
        "all its platforms, each digest once. Null while a manifest among them is not known. Of a manifest "
        "whose layers are not told only its own bytes count."
    )
    storage: Storage | None = batched(
        load_artifact_storage,
        key=artifact_storage_key,
        description="What it takes in storage with what it lists, if it is an index.",
    )
    exclusive_bytes: ByteCount | None = batched(
        load_artifact_storage,
        key=artifact_storage_key,
        pick=pick_exclusive_bytes,
        description="What would be freed if it were deleted: the bytes that nothing else in the registry "
        "uses. What it lists goes with it, unless a tag or another index holds it.",
    )
    untagged: UntaggedReason | None = strawberry.field(
        description="Why it is there although no ordinary tag names it. Null: a tag does."
    )
    platforms: list[ArtifactLink] | None = batched(
        load_platforms,
        key=_index_key,
        description="Of an index what it lists to be run, images or indexes again, and this repository "
        "holds: at most 1,000. Empty for anything else. Null with an error where `manifest` is.",
    )
    child_count: int | None = computed(
        _child_count,
        description="How many manifests an index lists, held here or not; 0 for anything else. Null: not "
        "known.",
    )
    referrers: ReferrerConnection | None = batched(
        load_referrers,
        key=_subject_key,
        cursors=referrers.referrer_cursors,
        parsers={"artifact_type": lambda _, text: check_artifact_type(text)},
        description="The artifacts in this repository that refer to it, such as signatures. Read from the "
        "registry first when older than the request allows.",
    )
    subject: ArtifactLink | None = batched(
        load_subjects,
        key=lambda row: row.key,
        description="What it refers to. Null: nothing, or something that this repository was not seen to "
        "hold.",
    )
    copies: ArtifactConnection | None = batched(
        load_copies,
        key=lambda row: row.key,
        cursors=copies.copy_cursors,
        description="The same digest elsewhere: the artifacts of other repositories, in any registry, that "
        "are the same content, first seen first. Within one registry they share all their layers; between "
        "two they share nothing and are stored twice. Answered from the store.",
    )
    related: ArtifactOverlapConnection | None = batched(
        load_related_artifacts,
        key=_related_key,
        cursors=partial(related_cursors, ARTIFACT_USERS),
        description="The artifacts of all repositories of its registry that share layers with it, or with "
        "what it holds if it is an index; most shared bytes first, among equals what was seen last. What an "
        "index holds is left out, and indexes are not listed, as they have no layers of their own. Answered "
        "from the store. Null with an error where `manifest` is.",
    )
    created_at: datetime | None = strawberry.field(
        description="When the image says it was made; build tools may set any time, or none. Null: it does "
        "not say."
    )
    pushed_at: datetime | None = strawberry.field(
        description="When the registry says it was pushed. Null: this registry does not say."
    )
    changed_at: datetime | None = strawberry.field(
        description="When the registry says that it, or what it keeps about it, last changed. Null: this "
        "registry does not say."
    )
    locks: Locks | None = strawberry.field(
        description="What the registry lets anybody do with it. Null: this registry does not say."
    )
    first_seen_at: datetime = strawberry.field(description="When it was first seen.")
    observed_at: datetime = strawberry.field(description="When it was last seen.")
    absent_at: datetime | None = strawberry.field(
        description="When it was first found to be gone. Null: it is there."
    )

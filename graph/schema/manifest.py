"""A manifest: the document that names an artifact's content (concept C15), in its three forms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import strawberry

from graph.errors import ContentTooLargeError, MalformedManifestError
from graph.oci.digest import Digest
from graph.oci.document import decode_json
from graph.oci.manifest import embeds_config
from graph.oci.media_types import SCHEMA1_TYPES
from graph.schema.batches import Answer
from graph.schema.context import Context
from graph.schema.documents import Annotation, pairs_of, read_documents
from graph.schema.fields import batched, computed
from graph.schema.image import (
    ImageConfig,
    check_hidden,
    load_configs,
    pick_config,
    pick_created_by,
    pick_diff_id,
)
from graph.schema.links import ArtifactLink, LayerLink
from graph.schema.platform import Platform, platform_of
from graph.schema.scalars import ByteCount, Json
from graph.schema.tag import load_artifacts
from graph.settings import Hidden
from graph.store import layers, manifests
from graph.store.listings import MAX_ANNOTATION_BYTES
from graph.store.rows import ManifestLayerRow, ManifestRow
from graph.store.visibility import Visibility

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ManifestIn(ManifestRow):
    """A manifest as found in one repository: there the entries of an index are artifacts."""

    repository_key: int


@dataclass(frozen=True, slots=True)
class _LayerEntry(ManifestLayerRow):
    """An entry of an image manifest's layers, and how many there are: the history is matched by count."""

    layer_count: int


async def load_entries(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """The layers of each manifest; an empty list for one that is no image's."""
    return await context.read(_read_entries, keys, context.nodes_left)


def _read_entries(
    db: Any, visibility: Visibility, keys: Sequence[int], limit: int
) -> list[list[_LayerEntry]]:
    return [
        [
            _LayerEntry(
                row.manifest_key,
                row.position,
                row.media_type,
                row.digest,
                row.size,
                row.layer_key,
                row.annotations,
                len(listed),
            )
            for row in listed
        ]
        for listed in manifests.load_manifest_layers(db, visibility, keys, limit)
    ]


async def load_children(context: Context, keys: Sequence[tuple[int, int]], /) -> Sequence[Answer]:
    """The entries of each index, with the artifacts they are in that repository."""
    return await context.read(manifests.load_manifest_children, keys, context.nodes_left)


async def load_layers(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """The layers with these keys."""
    return await context.read(layers.load_layers, keys)


async def load_texts(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """The exact text of each manifest."""
    return await read_documents(context, manifests.load_documents, keys, _keep_back(context, _text_of))


async def load_parsed(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """Each manifest as a JSON value."""
    return await read_documents(context, manifests.load_documents, keys, _keep_back(context, decode_json))


def _keep_back(context: Context, parse: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """`parse`, but for documents that hold a config where the operator hides what is in configs.

    What cannot be read is not shown either: nobody can tell what it holds.
    """

    def parse_shown(data: bytes) -> T:
        if embeds_config(decode_json(data)):
            check_hidden(context, *Hidden)
        return parse(data)

    return parse_shown if context.hide else parse


def _text_of(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedManifestError("the manifest is not UTF-8, so it cannot be shown as text") from error


def _show_document(row: ManifestIn, context: Context, document: Any) -> Any:
    if row.media_type in SCHEMA1_TYPES:  # it carries the configs of its layers
        check_hidden(context, *Hidden)
    context.show(row.size)
    return document


def _annotations(row: Any, _: Context) -> Any:
    if row.annotations is None:
        raise ContentTooLargeError("what this entry or document says in annotations", MAX_ANNOTATION_BYTES)
    return pairs_of(row.annotations)


@strawberry.interface(
    description="The document that names an artifact's content. Its digest is the SHA-256 of its bytes, so "
    "two manifests that differ in any byte have different digests, even when they list the same layers."
)
class Manifest:
    """The document that names an artifact's content."""

    digest: Digest = strawberry.field(description="The digest of its bytes.")
    media_type: str = strawberry.field(description="What kind of document it is.")
    size: ByteCount = strawberry.field(description="The bytes of the document itself.")
    schema_version: int | None = strawberry.field(
        description="The `schemaVersion` it states. Null: it states none."
    )
    artifact_type: str | None = strawberry.field(
        description="What it says it is: its `artifactType`, else the media type of its config. Null: "
        "neither."
    )
    annotations: list[Annotation] | None = computed(
        _annotations, description="The annotations of the document. Null with an error only.", is_long=True
    )
    raw: str | None = batched(
        load_texts,
        key=lambda row: row.key,
        pick=_show_document,
        nodes=10,
        description="Its exact text: the digest is the SHA-256 of this. Null with an error: its bytes are "
        "no text, or it holds what the operator hides, as Docker's first format does and any that embeds "
        "its config.",
    )
    document: Json | None = batched(
        load_parsed,
        key=lambda row: row.key,
        pick=_show_document,
        nodes=10,
        description="The same as a JSON value. Null with an error as `raw` is.",
    )


@strawberry.type(description="One entry of an image manifest's layers.")
class ManifestLayer:
    """One entry of an image manifest's layers."""

    position: int = strawberry.field(description="Its place, 0 for the lowest layer.")
    media_type: str = strawberry.field(description="How its bytes are packed.")
    digest: Digest = strawberry.field(description="The digest of its bytes, as they are sent.")
    size: ByteCount | None = strawberry.field(
        description="Its bytes as this manifest states them. Null: it does not."
    )
    annotations: list[Annotation] | None = computed(
        _annotations, description="The annotations of this entry. Null with an error only.", is_long=True
    )
    diff_id: Digest | None = batched(
        load_configs,
        key=lambda row: row.manifest_key,
        pick=pick_diff_id,
        description="The digest of its uncompressed bytes, by which container runtimes know it. Null: the "
        "manifest has no image config, or one that does not list a digest for each layer.",
    )
    created_by: str | None = batched(
        load_configs,
        key=lambda row: row.manifest_key,
        pick=pick_created_by,
        description="The step of the build that made it, most often a line of a Dockerfile. Null: the "
        "manifest has no image config, or one whose history does not have one step for each layer. Null "
        "with the error `HIDDEN`: the operator hides it.",
    )
    layer: LayerLink | None = batched(
        load_layers,
        key=lambda row: row.layer_key,
        description="The layer itself, and with it everybody who shares it.",
    )


@strawberry.type(description="The manifest of one image, or of another artifact that is described like one.")
class ImageManifest(Manifest):
    """The manifest of one image."""

    config: ImageConfig | None = batched(
        load_configs,
        key=lambda row: row.key,
        pick=pick_config,
        nodes=10,
        description="What the image says about itself. Null: its config is not an image's. Null with an "
        "error: it was not fetched, or it cannot be read.",
    )
    layers: list[ManifestLayer] | None = batched(
        load_entries,
        key=lambda row: row.key,
        description="What it is made of, the lowest layer first.",
    )


@strawberry.type(description="One entry of an image index.")
class ManifestChild:
    """One entry of an image index."""

    position: int = strawberry.field(description="Its place in the index, from 0.")
    digest: Digest = strawberry.field(description="The digest of the manifest it names.")
    media_type: str = strawberry.field(description="What kind of document that manifest is.")
    size: ByteCount | None = strawberry.field(
        description="The bytes of that manifest, as the index states them. Null: it does not."
    )
    platform: Platform | None = computed(platform_of, description="What it runs on. Null: not told.")
    is_attestation: bool = strawberry.field(
        description="Whether it is there to attest to another entry, not to be run."
    )
    annotations: list[Annotation] | None = computed(
        _annotations, description="The annotations of this entry. Null with an error only.", is_long=True
    )
    artifact: ArtifactLink | None = batched(
        load_artifacts,
        key=lambda row: row.artifact_key,
        description="The artifact it is in the same repository. Null: the repository does not hold it, so "
        "that this platform cannot be pulled.",
    )


@strawberry.type(description="A manifest that lists manifests, most often one image for each platform.")
class ImageIndex(Manifest):
    """A manifest that lists manifests."""

    manifests: list[ManifestChild] | None = batched(
        load_children,
        key=lambda row: (row.key, row.repository_key),
        description="The manifests it lists, in its order.",
    )


@strawberry.type(description="A manifest of any other kind, such as Docker's first format.")
class OtherManifest(Manifest):
    """A manifest of any other kind."""

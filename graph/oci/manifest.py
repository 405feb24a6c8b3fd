"""Manifests: image manifests, indexes, and every other document that a registry keeps as one.

Rules of this file: bytes come in, one value goes out, or MalformedManifestError. The media type decides the
form; a tag or a name never does. A type that we do not know gives an `OtherManifest`, in which nothing is
interpreted. A header is no part of what a digest names: it makes nothing else of a document that shows what
it is. A document that two readers could take for two things (CVE-2021-41190) is refused whoever sent it.
Whether the bytes are the right ones is the caller's question (`verify_digest`); here they are only given
their name.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from graph.errors import DigestMismatchError, MalformedManifestError
from graph.oci import media_types
from graph.oci.descriptor import (
    MAX_MEDIA_TYPE_LENGTH,
    Descriptor,
    DescriptorDocument,
    MediaTypeText,
    check_descriptor_names,
    make_descriptor,
)
from graph.oci.digest import Digest, compute_digest, verify_digest
from graph.oci.document import check_names, convert, decode_json, parse_time
from graph.oci.kind import ArtifactKind as ArtifactKind
from graph.oci.kind import kind_of_types

# Docker stops at 127 layers, but an artifact may list any number of files: 4 MiB, the largest manifest that
# distribution takes, hold 30,000. Ten thousand is more than was ever reported and still a bound on our rows.
MAX_LAYERS = 10_000
# A nightly build for every platform has dozens; a fallback index of referrers grows with every signature.
MAX_CHILDREN = 10_000


# The empty descriptor's content, `{}`, as a descriptor embeds it (image-spec, manifest.md).
EMPTY_DATA = "e30="


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """What lists a config and layers: an image, or an artifact packed like one.

    `artifact_type` follows the rule of the distribution-spec ("Listing Referrers"): the manifest's own, else
    the media type of its config. `config` is None only where a document leaves it out against the
    specification.
    """

    digest: Digest
    media_type: str
    size: int
    schema_version: int | None
    artifact_type: str | None
    subject: Descriptor | None
    annotations: Mapping[str, str]
    config: Descriptor | None
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """What lists other manifests, indexes among them: one image for several platforms, as a rule."""

    digest: Digest
    media_type: str
    size: int
    schema_version: int | None
    artifact_type: str | None
    subject: Descriptor | None
    annotations: Mapping[str, str]
    manifests: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class OtherManifest:
    """A manifest of any other media type. Only the OCI artifact manifest, dropped from the specification, has
    `blobs`, a subject and annotations here; a schema 1 manifest gives no sizes, so it has none.
    """

    digest: Digest
    media_type: str
    size: int
    schema_version: int | None
    artifact_type: str | None
    subject: Descriptor | None
    annotations: Mapping[str, str]
    blobs: tuple[Descriptor, ...]


Manifest: TypeAlias = ImageManifest | ImageIndex | OtherManifest

_Layers: TypeAlias = Annotated[list[DescriptorDocument], Meta(max_length=MAX_LAYERS)]
_Children: TypeAlias = Annotated[list[DescriptorDocument], Meta(max_length=MAX_CHILDREN)]


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int | None = None
    artifact_type: MediaTypeText | None = None
    subject: DescriptorDocument | None = None
    annotations: dict[str, str] | None = None


class _ImageDocument(_Document, frozen=True, rename="camel"):
    config: DescriptorDocument | None = None
    layers: _Layers | None = None


class _IndexDocument(_Document, frozen=True, rename="camel"):
    manifests: _Children | None = None


class _ArtifactDocument(_Document, frozen=True, rename="camel"):
    blobs: _Layers | None = None


_NAMES = (
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "blobs",
    "fsLayers",
    "subject",
    "annotations",
)
_FOLDED_NAMES = {name.casefold(): name for name in _NAMES}
_CONTENT_NAMES = ("config", "layers", "blobs", "fsLayers")  # none of them stands beside `manifests`

# BuildKit, attestation-storage.md: "attestation-manifest"; a child with any other value is to be ignored as
# well.
_REFERENCE_TYPE = "vnd.docker.reference.type"

# Content-Types that say nothing about a document: JSON of any kind, and what plain file servers answer. So
# does every type that is not an application's: text/plain, text/html.
_GENERIC_TYPES = frozenset({"application/json", "application/octet-stream", "application/x-json"})


def parse_manifest(data: bytes, content_type: str | None, expected: Digest | None = None) -> Manifest:
    """The manifest that the bytes are.

    `content_type` is the header they came with. If `expected` names these very bytes, the `mediaType` inside
    them overrules the header; without that a difference is refused (image-spec, media-types.md, "Media Type
    Conflicts"). The manifest's digest is `expected` if that fits, else the sha256 of the bytes.

    Raises MalformedManifestError; ContentTooLargeError past the bytes that `decode_json` reads.
    """
    document = decode_json(data)
    if not isinstance(document, dict):
        raise MalformedManifestError("a manifest is a JSON object")
    check_names(document, _FOLDED_NAMES)
    if _has(document, "manifests") and any(_has(document, name) for name in _CONTENT_NAMES):
        raise MalformedManifestError(
            "the document is an image manifest and an index at once (CVE-2021-41190)"
        )
    digest = _digest_of(data, expected)
    media_type = _media_type_of(document, content_type, is_named=digest == expected)
    if media_type not in media_types.READ_TYPES and not document.get("mediaType"):
        # One repository's header would otherwise take the layers from an image of another.
        with suppress(MalformedManifestError):
            return _parse_form(document, digest, _guess_media_type(document), len(data))
    return _parse_form(document, digest, media_type, len(data))


def _parse_form(document: dict[str, Any], digest: Digest, media_type: str, size: int) -> Manifest:
    if media_type in media_types.IMAGE_MANIFEST_TYPES:
        return _parse_image(document, digest, media_type, size)
    if media_type in media_types.IMAGE_INDEX_TYPES:
        return _parse_index(document, digest, media_type, size)
    return _parse_other(document, digest, media_type, size)


def _has(document: Mapping[str, Any], name: str) -> bool:
    return document.get(name) is not None


def _digest_of(data: bytes, expected: Digest | None) -> Digest:
    digest = compute_digest(data)
    if expected is None or expected == digest:
        return digest
    try:
        verify_digest(data, expected)
    except DigestMismatchError:
        return digest
    return expected


def _media_type_of(document: Mapping[str, Any], content_type: str | None, *, is_named: bool) -> str:
    said = _claimed_type(content_type)
    own = document.get("mediaType")
    if own is None or own == "":
        media_type = said or _guess_media_type(document)
    elif not isinstance(own, str):
        raise MalformedManifestError("mediaType is no text")
    elif said is not None and said != own.lower() and not is_named:
        raise MalformedManifestError("the Content-Type and the document's mediaType differ")
    else:
        media_type = own
    if len(media_type) > MAX_MEDIA_TYPE_LENGTH:
        raise MalformedManifestError(f"a media type of more than {MAX_MEDIA_TYPE_LENGTH} characters")
    return media_type


def _claimed_type(content_type: str | None) -> str | None:
    """The media type that a Content-Type claims; None where it claims nothing about a manifest."""
    media_type = media_types.strip_parameters(content_type or "")
    return media_type if media_type.startswith("application/") and media_type not in _GENERIC_TYPES else None


def _guess_media_type(document: Mapping[str, Any]) -> str:
    # `mediaType` is only a SHOULD in OCI documents, and old writers left it out; then the structure speaks,
    # as in containers/image (GuessMIMEType).
    if _has(document, "fsLayers"):
        return (
            media_types.DOCKER_SCHEMA1_SIGNED if _has(document, "signatures") else media_types.DOCKER_SCHEMA1
        )
    if _has(document, "manifests"):
        return media_types.OCI_IMAGE_INDEX
    if _has(document, "config") or _has(document, "layers"):
        config = document.get("config")
        is_docker = isinstance(config, dict) and config.get("mediaType") == media_types.DOCKER_IMAGE_CONFIG
        return media_types.DOCKER_MANIFEST if is_docker else media_types.OCI_IMAGE_MANIFEST
    raise MalformedManifestError("neither the Content-Type nor the document says what it is")


def _parse_image(document: dict[str, Any], digest: Digest, media_type: str, size: int) -> ImageManifest:
    _refuse_others(document, "an image manifest", "config", "layers")
    if not _has(document, "config") and not _has(document, "layers"):
        raise MalformedManifestError("an image manifest must have a config and layers")
    _check_descriptors(document, "layers")
    image = convert(document, _ImageDocument)
    _check_version(image.schema_version)
    config = _descriptor(image.config)
    return ImageManifest(
        digest,
        media_type,
        size,
        image.schema_version,
        image.artifact_type or (None if config is None else config.media_type),
        _descriptor(image.subject),
        image.annotations or {},
        config,
        _descriptors(image.layers),
    )


def _parse_index(document: dict[str, Any], digest: Digest, media_type: str, size: int) -> ImageIndex:
    _refuse_others(document, "an index", "manifests")
    if "manifests" not in document:  # but null is how Go writes an empty list
        raise MalformedManifestError("an index must list manifests")
    _check_descriptors(document, "manifests")
    index = convert(document, _IndexDocument)
    _check_version(index.schema_version)
    return ImageIndex(
        digest,
        media_type,
        size,
        index.schema_version,
        index.artifact_type or None,
        _descriptor(index.subject),
        index.annotations or {},
        _descriptors(index.manifests),
    )


def _parse_other(document: dict[str, Any], digest: Digest, media_type: str, size: int) -> OtherManifest:
    said = document.get("schemaVersion")
    version = said if type(said) is int and said in (1, 2) else None  # no other was ever defined
    if media_type in media_types.SCHEMA1_TYPES:
        _refuse_others(document, "a schema 1 manifest", "fsLayers")
    if media_type != media_types.OCI_ARTIFACT_MANIFEST:
        return OtherManifest(digest, media_type, size, version, None, None, {}, ())
    _refuse_others(document, "an artifact manifest", "blobs")
    _check_descriptors(document, "blobs")
    artifact = convert(document, _ArtifactDocument)
    return OtherManifest(
        digest,
        media_type,
        size,
        version,
        artifact.artifact_type or None,
        _descriptor(artifact.subject),
        artifact.annotations or {},
        _descriptors(artifact.blobs),
    )


def _refuse_others(document: Mapping[str, Any], what: str, *own: str) -> None:
    """Refuse a manifest with what only another kind has: a reader that looks for that first is misled."""
    for name in ("manifests", *_CONTENT_NAMES):
        if name not in own and _has(document, name):
            raise MalformedManifestError(f"{what} must not have {name} (CVE-2021-41190)")


def _check_version(version: int | None) -> None:
    if version not in (None, 2):
        raise MalformedManifestError("schemaVersion must be 2")


def _check_descriptors(document: Mapping[str, Any], list_name: str) -> None:
    listed = document.get(list_name)
    if isinstance(listed, list):
        check_descriptor_names(listed)
    check_descriptor_names((document.get("config"), document.get("subject")))


def _descriptor(document: DescriptorDocument | None) -> Descriptor | None:
    return None if document is None else make_descriptor(document)


def _descriptors(documents: Sequence[DescriptorDocument] | None) -> tuple[Descriptor, ...]:
    return tuple(map(make_descriptor, documents)) if documents else ()


def kind_of(manifest: Manifest) -> ArtifactKind:
    """What kind of artifact the manifest makes; never UNKNOWN, which is for manifests not yet read."""
    if isinstance(manifest, ImageIndex):
        return ArtifactKind.INDEX
    if isinstance(manifest, OtherManifest):
        if manifest.media_type in media_types.SCHEMA1_TYPES:
            return ArtifactKind.IMAGE
        config_type, listed = None, manifest.blobs
    else:
        config_type = None if manifest.config is None else manifest.config.media_type
        listed = manifest.layers
    return kind_of_types(
        manifest.artifact_type, config_type, {item.media_type for item in listed}, manifest.annotations
    )


def is_attestation_child(child: Descriptor) -> bool:
    """Whether an index lists this child to attest to another one, not to be run (BuildKit's convention).

    Tools that rewrite an index may lose the annotation but keep the platform unknown/unknown; nothing runs
    there.
    """
    if _REFERENCE_TYPE in child.annotations or child.artifact_type == media_types.DOCKER_ATTESTATION:
        return True
    platform = child.platform
    return platform is not None and platform.os == platform.architecture == "unknown"


def content_of(manifest: Manifest) -> tuple[Descriptor, ...]:
    """What the manifest itself needs, each digest once: its config, then its layers or blobs; never children.

    A digest that is listed as foreign and as not is given as not: then the registry must keep it.
    """
    if isinstance(manifest, ImageIndex):
        return ()
    if isinstance(manifest, OtherManifest):
        listed = manifest.blobs
    elif manifest.config is None:
        listed = manifest.layers
    else:
        listed = (manifest.config, *manifest.layers)
    content: dict[Digest, Descriptor] = {}
    for descriptor in listed:
        known = content.setdefault(descriptor.digest, descriptor)
        if known is not descriptor and known.is_foreign and not descriptor.is_foreign:
            content[descriptor.digest] = descriptor
    return tuple(content.values())


def created_annotation(manifest: Manifest) -> datetime | None:
    """When the manifest says it was made (image-spec, annotations.md); None where it does not."""
    annotations = manifest.annotations
    for name in (
        "org.opencontainers.image.created",
        "org.opencontainers.artifact.created",  # of the OCI artifact manifest
        "org.label-schema.build-date",  # what annotations.md says the first replaces
    ):
        created = parse_time(annotations.get(name))
        if created is not None:
            return created
    return None


def embeds_config(document: Any) -> bool:
    """Whether a decoded manifest of any form carries a config, or a manifest that may carry one, as `data`.

    A descriptor may hold what it names (image-spec, descriptor.md, "Embedded Content"). The config
    that says nothing, `{}`, does not count; layers are no configs.
    """
    if not isinstance(document, dict):
        return False
    listed = document.get("manifests")
    found = [document.get("config"), document.get("subject"), *(listed if isinstance(listed, list) else ())]
    return any(each.get("data") not in (None, "", EMPTY_DATA) for each in found if isinstance(each, dict))

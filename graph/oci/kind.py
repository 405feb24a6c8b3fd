"""What kind of artifact a manifest makes: its media types decide, never a tag, a name or a title.

Rules of this file: media types and two annotations go in, one word comes out. Signatures, attestations and
SBOMs come in three generations (a plain image whose layers tell; a config type; an artifactType), so the
question is asked of all three, the most explicit first. What nobody knows is OTHER, never an error.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum

from graph.oci import media_types


class ArtifactKind(StrEnum):
    """What an artifact is for."""

    IMAGE = "IMAGE"
    INDEX = "INDEX"
    HELM_CHART = "HELM_CHART"
    SIGNATURE = "SIGNATURE"
    ATTESTATION = "ATTESTATION"
    SBOM = "SBOM"
    WASM = "WASM"
    OTHER = "OTHER"  # read, and none of the above
    UNKNOWN = "UNKNOWN"  # not read yet; no manifest that was parsed is of this kind


_TYPES_OF_KIND: Mapping[ArtifactKind, Collection[str]] = {
    ArtifactKind.SIGNATURE: media_types.SIGNATURE_TYPES,
    ArtifactKind.ATTESTATION: media_types.ATTESTATION_TYPES,
    ArtifactKind.SBOM: media_types.SBOM_TYPES,
    ArtifactKind.WASM: media_types.WASM_TYPES,
    ArtifactKind.HELM_CHART: (media_types.HELM_CONFIG, media_types.HELM_CHART_LAYER),
}
_KINDS: Mapping[str, ArtifactKind] = {
    media_type: kind for kind, types in _TYPES_OF_KIND.items() for media_type in types
}

# Sigstore keeps signatures and attestations in one artifact type, a bundle; cosign 3 signs with an
# attestation whose predicate says that it is a signature, and older bundles say what they hold.
_BUNDLE_CONTENT = "dev.sigstore.bundle.content"
_BUNDLE_PREDICATE = "dev.sigstore.bundle.predicateType"
_SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"


def kind_of_types(
    artifact_type: str | None,
    config_type: str | None,
    layer_types: Collection[str],
    annotations: Mapping[str, str],
) -> ArtifactKind:
    """The kind of what lists a config and layers (or blobs) of these types; never INDEX or UNKNOWN.

    Layers tell only if all of them are of one kind: an image that carries an SBOM beside its files is an
    image.
    """
    for media_type in (artifact_type, config_type):
        if media_type is None:
            continue
        kind = _KINDS.get(media_type)
        if kind is not None:
            return kind
        if media_type.startswith(media_types.SIGSTORE_BUNDLE_PREFIX):
            return _kind_of_bundle(annotations)
    kinds = {_KINDS.get(media_type) for media_type in layer_types}
    if len(kinds) == 1:
        (kind,) = kinds
        if kind is not None:
            return kind
    return ArtifactKind.IMAGE if config_type in media_types.IMAGE_CONFIG_TYPES else ArtifactKind.OTHER


def _kind_of_bundle(annotations: Mapping[str, str]) -> ArtifactKind:
    if annotations.get(_BUNDLE_CONTENT) == "message-signature":
        return ArtifactKind.SIGNATURE
    predicate = annotations.get(_BUNDLE_PREDICATE, _SIGN_PREDICATE)
    return ArtifactKind.SIGNATURE if predicate == _SIGN_PREDICATE else ArtifactKind.ATTESTATION

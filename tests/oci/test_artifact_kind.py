"""Kinds of artifacts, by media type, across the generations of signatures, attestations and SBOMs."""

import pytest

import builders
from graph.oci import media_types
from graph.oci.manifest import (
    ArtifactKind,
    ImageIndex,
    is_attestation_child,
    kind_of,
    parse_manifest,
)

IMAGE = builders.make_image()
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def kind(built: builders.Built) -> ArtifactKind:
    return kind_of(parse_manifest(built.data, built.media_type))


def layered(*layer_types: str, config_type: str = media_types.OCI_IMAGE_CONFIG) -> builders.Built:
    layers = [builders.make_blob(layer_type.encode(), layer_type) for layer_type in layer_types]
    return builders.make_image(layers, builders.make_json({}, config_type))


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (IMAGE, ArtifactKind.IMAGE),
        (builders.make_image(docker=True), ArtifactKind.IMAGE),
        (builders.make_image([]), ArtifactKind.IMAGE),
        (builders.make_index([IMAGE]), ArtifactKind.INDEX),
        (builders.make_index([], docker=True), ArtifactKind.INDEX),
        (builders.make_index([], artifact_type=media_types.NOTATION_SIGNATURE), ArtifactKind.INDEX),
        (builders.make_helm_chart(), ArtifactKind.HELM_CHART),
        (builders.make_signature(IMAGE), ArtifactKind.SIGNATURE),
        (builders.make_artifact(media_types.NOTATION_SIGNATURE), ArtifactKind.SIGNATURE),
        (builders.make_artifact(media_types.COSIGN_SIGNATURE), ArtifactKind.SIGNATURE),
        (
            layered("application/jose+json", config_type=media_types.NOTATION_SIGNATURE),
            ArtifactKind.SIGNATURE,
        ),
        (builders.make_attestation(IMAGE), ArtifactKind.ATTESTATION),
        (builders.make_artifact(media_types.DOCKER_ATTESTATION), ArtifactKind.ATTESTATION),
        (layered(media_types.DSSE_ENVELOPE), ArtifactKind.ATTESTATION),
        (builders.make_sbom(IMAGE), ArtifactKind.SBOM),
        (builders.make_artifact("application/vnd.cyclonedx+json"), ArtifactKind.SBOM),
        (layered("text/spdx"), ArtifactKind.SBOM),
        (layered("application/wasm", config_type=media_types.WASM_CONFIG), ArtifactKind.WASM),
        (layered("application/vnd.wasm.content.layer.v1+wasm"), ArtifactKind.WASM),
        (builders.make_artifact(), ArtifactKind.OTHER),
        (layered("application/x", config_type=media_types.DOCKER_PLUGIN_CONFIG), ArtifactKind.OTHER),
        # One strange layer makes no image a signature.
        (layered(media_types.OCI_LAYER_GZIP, media_types.COSIGN_SIGNATURE_LAYER), ArtifactKind.IMAGE),
        (layered("application/spdx+json", "text/plain", config_type="application/x"), ArtifactKind.OTHER),
    ],
)
def test_media_types_decide_the_kind(built: builders.Built, expected: ArtifactKind) -> None:
    """The artifact type speaks first, then the config's type, then the layers if all agree."""
    assert expected == kind(built)


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, ArtifactKind.SIGNATURE),
        ({"dev.sigstore.bundle.content": "message-signature"}, ArtifactKind.SIGNATURE),
        (
            {
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
            },
            ArtifactKind.SIGNATURE,
        ),
        (
            {
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1",
            },
            ArtifactKind.ATTESTATION,
        ),
    ],
)
def test_sigstore_bundle_is_what_its_predicate_says(
    annotations: dict[str, str], expected: ArtifactKind
) -> None:
    """One artifact type for both: only the annotations tell a signature from an attestation."""
    assert expected == kind(builders.make_artifact(BUNDLE, annotations=annotations))


@pytest.mark.parametrize(
    ("document", "media_type", "expected"),
    [
        (
            {"blobs": [], "artifactType": "application/spdx+json"},
            media_types.OCI_ARTIFACT_MANIFEST,
            ArtifactKind.SBOM,
        ),
        ({"blobs": []}, media_types.OCI_ARTIFACT_MANIFEST, ArtifactKind.OTHER),
        ({"schemaVersion": 1, "fsLayers": []}, media_types.DOCKER_SCHEMA1, ArtifactKind.IMAGE),
        ({}, "application/vnd.unknown", ArtifactKind.OTHER),
    ],
)
def test_other_manifests_have_a_kind_too(document: object, media_type: str, expected: ArtifactKind) -> None:
    """Every manifest that was read has a kind; UNKNOWN is for those that were not."""
    assert expected == kind(builders.make_json(document, media_type))


def test_attestations_are_told_from_children_that_run() -> None:
    """BuildKit's convention: the annotation, the artifact type, or the platform unknown/unknown alone."""
    attestation = builders.make_attestation(IMAGE)
    cases = {
        "image": (IMAGE.descriptor(platform=IMAGE.platform), False),
        "image without a platform": (IMAGE.descriptor(), False),
        "half unknown": (IMAGE.descriptor(platform={"os": "linux", "architecture": "unknown"}), False),
        "annotated": (builders.attestation_descriptor(attestation, IMAGE), True),
        "annotated otherwise": (
            IMAGE.descriptor(annotations={"vnd.docker.reference.type": "something-else"}),
            True,
        ),
        "artifact": (attestation.descriptor(artifactType=media_types.DOCKER_ATTESTATION), True),
        "platform alone": (attestation.descriptor(platform=attestation.platform), True),
    }
    index = parse_manifest(builders.make_index([child for child, _ in cases.values()]).data, None)
    assert isinstance(index, ImageIndex)
    told = dict(zip(cases, map(is_attestation_child, index.manifests), strict=True))
    assert {name: expected for name, (_, expected) in cases.items()} == told

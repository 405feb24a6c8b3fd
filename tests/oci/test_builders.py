"""The builders of the tests build what the specifications call valid, and name it rightly."""

import gzip
import hashlib
import io
import tarfile
from typing import Any

import pytest

import builders
from graph.oci.digest import parse_digest, verify_digest
from graph.oci.image import parse_image_config, steps_of
from graph.oci.manifest import ImageIndex, ImageManifest, content_of, parse_manifest
from graph.oci.reference import parse_tag_name
from graph.oci.tags import parse_referrer_tag

IMAGE = builders.make_image([builders.make_layer("a"), builders.make_layer("b", padding=2000)])
OS_VERSION: dict[str, Any] = {"os.version": "10.0.20348.2031"}  # no name that Python could take
WINDOWS_CONFIG = builders.make_config([builders.make_layer()], os="windows", **OS_VERSION)
BUILT = {
    "image": IMAGE,
    "docker image": builders.make_image(docker=True),
    "windows image": builders.make_image(None, WINDOWS_CONFIG),
    "index": builders.make_index([IMAGE, builders.make_image(architecture="arm64", variant="v8")]),
    "docker list": builders.make_index([builders.make_image(docker=True)], docker=True),
    "artifact": builders.make_artifact(subject=IMAGE),
    "helm chart": builders.make_helm_chart(),
    "signature": builders.make_signature(IMAGE),
    "sbom": builders.make_sbom(IMAGE),
    "attestation": builders.make_attestation(IMAGE),
}


@pytest.mark.parametrize("name", BUILT)
def test_built_manifest_is_valid_and_brings_what_it_names(name: str) -> None:
    """Digest and size are those of the bytes, and everything a manifest needs comes with it."""
    built = BUILT[name]
    verify_digest(built.data, parse_digest(built.digest))
    manifest = parse_manifest(built.data, built.media_type)
    assert (built.digest, built.media_type, built.size) == (
        manifest.digest,
        manifest.media_type,
        len(built.data),
    )
    needed = {item.digest: item.size for item in content_of(manifest)}
    assert needed == {blob.digest: len(blob.data) for blob in built.blobs}
    for blob in built.blobs:
        verify_digest(blob.data, parse_digest(blob.digest))
    if isinstance(manifest, ImageIndex):
        assert {child.digest for child in manifest.manifests} == {child.digest for child in built.manifests}


def test_built_config_accounts_for_every_layer() -> None:
    """A history entry and a diff id for each layer, the diff id that of the tar inside."""
    manifest = parse_manifest(IMAGE.data, None)
    assert isinstance(manifest, ImageManifest) and manifest.config is not None
    blobs = {blob.digest: blob for blob in IMAGE.blobs}
    config = parse_image_config(blobs[manifest.config.digest].data)
    assert len(manifest.layers) == len(steps_of(config))
    tars = [gzip.decompress(blobs[layer.digest].data) for layer in manifest.layers]
    expected = tuple("sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars)
    assert expected == config.diff_ids
    for tar in tars:
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            assert ["content"] == archive.getnames()


def test_same_arguments_build_the_same_bytes() -> None:
    """Built content is stable, and a seed makes another."""
    assert builders.make_image() == builders.make_image()
    assert builders.make_layer("a").digest != builders.make_layer("b").digest
    assert builders.make_layer("a", padding=5000).size > 5000


def test_signature_comes_with_its_tag() -> None:
    """cosign's tag leads back to the image."""
    tag = builders.make_signature(IMAGE).tag
    assert tag is not None
    referrer_tag = parse_referrer_tag(parse_tag_name(tag))
    assert referrer_tag is not None
    assert IMAGE.digest == referrer_tag.subject


def test_empty_layer_is_docker_s() -> None:
    """The bytes behind the well-known digest."""
    verify_digest(builders.EMPTY_LAYER.data, parse_digest(builders.EMPTY_LAYER.digest))
    assert bytes(1024) == gzip.decompress(builders.EMPTY_LAYER.data)

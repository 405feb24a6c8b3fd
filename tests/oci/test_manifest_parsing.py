"""Manifests of every form: what the specifications print, what the wild holds, and what must be refused."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import builders
from graph.errors import MalformedManifestError
from graph.oci import media_types
from graph.oci.descriptor import Descriptor, Platform
from graph.oci.digest import EMPTY_DESCRIPTOR_DIGEST, Digest, compute_digest, parse_digest
from graph.oci.manifest import (
    MAX_CHILDREN,
    MAX_LAYERS,
    ImageIndex,
    ImageManifest,
    OtherManifest,
    content_of,
    created_annotation,
    parse_manifest,
)

CHILD = builders.make_descriptor("child", media_type=media_types.OCI_IMAGE_MANIFEST)
LAYER = builders.make_descriptor("layer")
FIXTURES = Path(__file__).parent / "fixtures"


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def descriptor(media_type: str, digest: str, size: int, platform: Platform | None = None) -> Descriptor:
    return Descriptor(media_type, Digest(digest), size, (), {}, None, platform)


def encode(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_image_manifest_of_the_specification() -> None:
    """image-spec, manifest.md, "Example Image Manifest"."""
    data = fixture("manifest.json")
    layer = media_types.OCI_LAYER_GZIP
    expected = ImageManifest(
        digest=compute_digest(data),
        media_type=media_types.OCI_IMAGE_MANIFEST,
        size=len(data),
        schema_version=2,
        artifact_type=media_types.OCI_IMAGE_CONFIG,
        subject=descriptor(
            media_types.OCI_IMAGE_MANIFEST,
            "sha256:5b0bcabd1ed22e9fb1310cf6c2dec7cdef19f0ad69efa1f392e94a4333501270",
            7682,
        ),
        annotations={"com.example.key1": "value1", "com.example.key2": "value2"},
        config=descriptor(
            media_types.OCI_IMAGE_CONFIG,
            "sha256:b5b2b2c507a0944348e0303114d8d93aaaa081732b86451d9bce1f432a537bc7",
            7023,
        ),
        layers=(
            descriptor(
                layer, "sha256:9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0", 32654
            ),
            descriptor(
                layer, "sha256:3c3a4604a545cdc127456d94e421cd355bca5b528f4a9c1905b15da2eb4a4c6b", 16724
            ),
            descriptor(
                layer, "sha256:ec4b8955958665577945c89419d1af06b5f7636b4ac3da7f12184802ad867736", 73109
            ),
        ),
    )
    assert expected == parse_manifest(data, media_types.OCI_IMAGE_MANIFEST)


@pytest.mark.parametrize(
    ("name", "media_type", "child_type"),
    [
        ("index.json", media_types.OCI_IMAGE_INDEX, media_types.OCI_IMAGE_MANIFEST),
        ("docker-list.json", media_types.DOCKER_MANIFEST_LIST, media_types.DOCKER_MANIFEST),
    ],
)
def test_index_of_the_specification(name: str, media_type: str, child_type: str) -> None:
    """image-spec, image-index.md, "Example Image Index"; distribution, "Example Manifest List"."""
    data = fixture(name)
    manifest = parse_manifest(data, media_type)
    assert isinstance(manifest, ImageIndex)
    assert (compute_digest(data), media_type, len(data), 2) == (
        manifest.digest,
        manifest.media_type,
        manifest.size,
        manifest.schema_version,
    )
    assert (
        descriptor(
            child_type,
            "sha256:e692418e4cbaf90ca69d05a66403747baa33ee08806650b51fab815ad7fc331f",
            7143,
            Platform("linux", "ppc64le", None, None),
        ),
        descriptor(
            child_type,
            "sha256:5b0bcabd1ed22e9fb1310cf6c2dec7cdef19f0ad69efa1f392e94a4333501270",
            7682,
            Platform("linux", "amd64", None, None),
        ),
    ) == manifest.manifests
    assert (None, None) == (manifest.subject, manifest.artifact_type)


def test_docker_manifest_of_the_specification() -> None:
    """distribution, image manifest version 2, schema 2: the same form under another media type."""
    manifest = parse_manifest(fixture("docker-manifest.json"), media_types.DOCKER_MANIFEST)
    assert isinstance(manifest, ImageManifest)
    assert media_types.DOCKER_IMAGE_CONFIG == manifest.artifact_type
    assert [32654, 16724, 73109] == [layer.size for layer in manifest.layers]
    assert {media_types.DOCKER_LAYER_GZIP} == {layer.media_type for layer in manifest.layers}


def test_artifact_of_the_specification() -> None:
    """image-spec, manifest.md, "Guidelines for Artifact Usage": the artifactType is the manifest's own."""
    manifest = parse_manifest(fixture("artifact.json"), None)
    assert isinstance(manifest, ImageManifest)
    assert "application/vnd.example+type" == manifest.artifact_type
    assert (descriptor(media_types.OCI_EMPTY, EMPTY_DESCRIPTOR_DIGEST, 2),) == manifest.layers
    assert manifest.layers == content_of(manifest)  # config and layer are one blob


def test_oci_artifact_manifest_is_read_though_dropped() -> None:
    """The OCI artifact manifest, which Azure registries still hold, gives its blobs and its subject."""
    data = fixture("oci-artifact.json")
    expected = OtherManifest(
        digest=compute_digest(data),
        media_type=media_types.OCI_ARTIFACT_MANIFEST,
        size=len(data),
        schema_version=None,
        artifact_type="application/vnd.example.sbom.v1",
        subject=descriptor(
            media_types.OCI_IMAGE_MANIFEST,
            "sha256:cc06a2839488b8bd2a2b99dcdc03d5cfd818eed72ad08ef3cc197aac64c0d0a0",
            1234,
        ),
        annotations={
            "org.opencontainers.artifact.created": "2022-01-01T14:42:55Z",
            "org.example.sbom.format": "json",
        },
        blobs=(
            descriptor(
                "application/gzip",
                "sha256:87923725d74f4bfb94c9e86d64170f7521aad8221a5de834851470ca142da630",
                123,
            ),
        ),
    )
    manifest = parse_manifest(data, media_types.OCI_ARTIFACT_MANIFEST)
    assert expected == manifest
    assert expected.blobs == content_of(manifest)
    assert datetime(2022, 1, 1, 14, 42, 55, tzinfo=UTC) == created_annotation(manifest)


def test_nested_index_lists_indexes() -> None:
    """image-index.md: an index may list indexes."""
    image = builders.make_image()
    inner = builders.make_index([image])
    outer = parse_manifest(builders.make_index([inner, image]).data, None)
    assert isinstance(outer, ImageIndex)
    assert [media_types.OCI_IMAGE_INDEX, media_types.OCI_IMAGE_MANIFEST] == [
        child.media_type for child in outer.manifests
    ]


def test_index_may_have_an_artifact_type_and_a_subject() -> None:
    """image-index.md: both are allowed on an index, and its artifactType is its own alone."""
    subject = builders.make_image()
    built = builders.make_index([], artifact_type="application/vnd.example", subject=subject)
    index = parse_manifest(built.data, built.media_type)
    assert isinstance(index, ImageIndex)
    assert "application/vnd.example" == index.artifact_type
    assert index.subject is not None and subject.digest == index.subject.digest
    assert () == index.manifests == content_of(index)


@pytest.mark.parametrize(
    ("artifact_type", "expected"),
    [
        ("application/vnd.example", "application/vnd.example"),
        ("", media_types.OCI_EMPTY),
        (None, media_types.OCI_EMPTY),
    ],
)
def test_artifact_type_is_its_own_or_else_the_configs(artifact_type: str | None, expected: str) -> None:
    """distribution-spec, "Listing Referrers": empty or missing means the config's media type."""
    document = builders.make_artifact().document | {"artifactType": artifact_type}
    assert expected == parse_manifest(encode(document), None).artifact_type


@pytest.mark.parametrize("name", ["annotations", "subject", "artifactType", "layers", "manifests"])
def test_optional_field_that_is_null_is_absent(name: str) -> None:
    """Null is the same as leaving it out; Go writes an empty list of layers so."""
    image = builders.make_image()
    document = image.document
    with_null = parse_manifest(encode(document | {name: None}), None)
    document.pop(name, None)
    without = parse_manifest(encode(document), None)
    assert isinstance(with_null, ImageManifest) and isinstance(without, ImageManifest)
    assert (without.annotations, without.subject, without.artifact_type, without.layers, without.config) == (
        with_null.annotations,
        with_null.subject,
        with_null.artifact_type,
        with_null.layers,
        with_null.config,
    )


def test_index_of_null_is_an_empty_index() -> None:
    """Go writes an empty list as null where the field is not left out."""
    index = parse_manifest(b'{"schemaVersion":2,"manifests":null}', media_types.OCI_IMAGE_INDEX)
    assert isinstance(index, ImageIndex)
    assert () == index.manifests


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json", "text/plain; charset=utf-8", "binary/x"]
)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("manifest.json", media_types.OCI_IMAGE_MANIFEST),
        ("docker-manifest.json", media_types.DOCKER_MANIFEST),
        ("index.json", media_types.OCI_IMAGE_INDEX),
    ],
)
def test_structure_speaks_where_no_media_type_does(
    name: str, content_type: str | None, expected: str
) -> None:
    """Old writers leave mediaType out and file servers say application/json: the structure decides."""
    document = json.loads(fixture(name))
    del document["mediaType"]
    assert expected == parse_manifest(encode(document), content_type).media_type


def test_header_decides_where_the_document_does_not_say() -> None:
    """A manifest list without mediaType is what the Content-Type says."""
    document = json.loads(fixture("docker-list.json"))
    del document["mediaType"]
    manifest = parse_manifest(encode(document), media_types.DOCKER_MANIFEST_LIST + "; charset=utf-8")
    assert isinstance(manifest, ImageIndex)
    assert media_types.DOCKER_MANIFEST_LIST == manifest.media_type


@pytest.mark.parametrize(
    "content_type",
    [
        "application/vnd.unknown.v1+json",
        media_types.OCI_ARTIFACT_MANIFEST,
        media_types.DOCKER_SCHEMA1,
        media_types.DOCKER_SCHEMA1_SIGNED,
    ],
)
@pytest.mark.parametrize("name", ["manifest.json", "docker-manifest.json", "index.json"])
def test_header_makes_nothing_else_of_the_bytes(name: str, content_type: str) -> None:
    """What a digest names is one thing in every repository, whatever each was told when it was pushed."""
    document = json.loads(fixture(name))
    del document["mediaType"]
    data = encode(document)
    assert parse_manifest(data, None) == parse_manifest(data, content_type, compute_digest(data))


def test_header_and_document_that_differ_are_refused_unless_the_digest_decides() -> None:
    """media-types.md, "Media Type Conflicts": bytes named by their digest overrule the header."""
    data = fixture("manifest.json")
    with pytest.raises(MalformedManifestError, match="differ"):
        parse_manifest(data, media_types.DOCKER_MANIFEST)
    with pytest.raises(MalformedManifestError, match="differ"):
        parse_manifest(data, media_types.DOCKER_MANIFEST, compute_digest(b"other"))
    manifest = parse_manifest(data, media_types.DOCKER_MANIFEST, compute_digest(data))
    assert media_types.OCI_IMAGE_MANIFEST == manifest.media_type


def test_digest_that_was_asked_for_names_the_manifest_if_it_fits() -> None:
    """A child listed by sha512 is known by that digest; a digest that does not fit is ignored here."""
    data = fixture("manifest.json")
    sha512 = parse_digest("sha512:" + hashlib.sha512(data).hexdigest())
    assert sha512 == parse_manifest(data, None, sha512).digest
    for other in (compute_digest(b"other"), Digest("sha512:" + "0" * 128), Digest("blake3:" + "0" * 64)):
        assert compute_digest(data) == parse_manifest(data, None, other).digest


@pytest.mark.parametrize("media_type", [media_types.DOCKER_SCHEMA1, media_types.DOCKER_SCHEMA1_SIGNED])
def test_schema_1_is_a_row_without_blobs(media_type: str) -> None:
    """Schema 1 gives no sizes, so nothing is claimed about its layers."""
    document: dict[str, Any] = {
        "schemaVersion": 1,
        "name": "web",
        "tag": "v1",
        "fsLayers": [{"blobSum": EMPTY_DESCRIPTOR_DIGEST}],
        "history": [{"v1Compatibility": "{}"}],
    }
    if media_type == media_types.DOCKER_SCHEMA1_SIGNED:
        document["signatures"] = [{"header": {}}]
    for content_type in (None, media_type):
        manifest = parse_manifest(encode(document), content_type)
        assert isinstance(manifest, OtherManifest)
        assert (media_type, 1, ()) == (manifest.media_type, manifest.schema_version, manifest.blobs)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"mediaType": "application/vnd.unknown.v1+json", "schemaVersion": "two"},
        {"schemaVersion": True, "annotations": 5, "subject": "none", "layers": "none"},
        {"config": {"digest": 1}, "layers": [1, 2]},
        {"schemaVersion": 10**19},
        {"schemaVersion": 2.0},
        {"manifests": "all of them"},
    ],
)
def test_unknown_media_type_is_a_row_in_which_nothing_is_read(document: dict[str, Any]) -> None:
    """Any JSON object of a type that we do not know is kept, whatever it holds."""
    data = encode(document)
    expected = OtherManifest(
        compute_digest(data), "application/vnd.unknown.v1+json", len(data), None, None, None, {}, ()
    )
    assert expected == parse_manifest(data, "application/vnd.unknown.v1+json")


def test_most_layers_and_children_allowed_are_read() -> None:
    """The bounds are the last counts allowed."""
    image = parse_manifest(encode(builders.make_image([LAYER] * MAX_LAYERS, LAYER).document), None)
    index = parse_manifest(encode(builders.make_index([CHILD] * MAX_CHILDREN).document), None)
    assert isinstance(image, ImageManifest) and isinstance(index, ImageIndex)
    assert (MAX_LAYERS, MAX_CHILDREN) == (len(image.layers), len(index.manifests))


def test_image_without_a_config_keeps_its_layers() -> None:
    """Against the specification, but its layers are known: a row, not an exception."""
    document = builders.make_image([LAYER]).document
    del document["config"]
    manifest = parse_manifest(encode(document), None)
    assert isinstance(manifest, ImageManifest)
    assert (None, None, 1) == (manifest.config, manifest.artifact_type, len(manifest.layers))
    assert manifest.layers == content_of(manifest)


def test_content_names_each_digest_once() -> None:
    """content(a): the config, then the layers, each digest once; foreign only if every listing is."""
    foreign = builders.make_descriptor("one", 5, urls=["https://example.com"])
    own = builders.make_descriptor("one", 5)
    other = builders.make_descriptor("two", 7)
    config = builders.make_descriptor("config", 3, media_types.OCI_IMAGE_CONFIG)
    manifest = parse_manifest(builders.make_image([foreign, other, own, foreign, other], config).data, None)
    content = content_of(manifest)
    assert [config["digest"], foreign["digest"], other["digest"]] == [item.digest for item in content]
    assert [False, False, False] == [item.is_foreign for item in content]
    only_foreign = parse_manifest(builders.make_image([foreign, foreign], config).data, None)
    assert [False, True] == [item.is_foreign for item in content_of(only_foreign)]


@pytest.mark.parametrize(
    ("annotations", "created"),
    [
        (
            {"org.opencontainers.image.created": "2024-05-06T07:08:09Z"},
            datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        ),
        ({"org.label-schema.build-date": "2024-05-06T07:08:09Z"}, datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        (
            {
                "org.opencontainers.image.created": "never",
                "org.label-schema.build-date": "2024-05-06T07:08:09Z",
            },
            datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        ),
        ({"org.opencontainers.image.created": "0001-01-01T00:00:00Z"}, None),
        ({"created": "2024-05-06T07:08:09Z"}, None),
        ({}, None),
    ],
)
def test_created_annotation_is_read_where_there_is_a_time(
    annotations: dict[str, str], created: datetime | None
) -> None:
    """annotations.md: the pre-defined name, or the label-schema name that it replaces."""
    manifest = parse_manifest(builders.make_image(annotations=annotations).data, None)
    assert created == created_annotation(manifest)

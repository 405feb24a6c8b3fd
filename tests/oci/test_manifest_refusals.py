"""Manifests that must be refused: ambiguous ones (CVE-2021-41190), malformed ones, and those past a bound."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import builders
from graph.errors import ContentError, ContentTooLargeError, MalformedManifestError
from graph.oci import media_types
from graph.oci.digest import compute_digest
from graph.oci.document import MAX_DOCUMENT_BYTES
from graph.oci.manifest import (
    MAX_CHILDREN,
    MAX_LAYERS,
    ImageIndex,
    ImageManifest,
    content_of,
    parse_manifest,
)


def encode(document: Any) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize("own", [None, "application/" + "x" * 300])
def test_endless_media_type_is_refused(own: str | None) -> None:
    """A media type has a bound, wherever it comes from."""
    data = encode({"schemaVersion": 2, "mediaType": own})
    with pytest.raises(MalformedManifestError, match="255 characters"):
        parse_manifest(data, "application/" + "x" * 300)


def change(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: document | fields


CHILD = builders.make_descriptor("child", media_type=media_types.OCI_IMAGE_MANIFEST)
LAYER = builders.make_descriptor("layer")
BAD_IMAGES = {
    "manifests beside layers": change(manifests=[CHILD]),
    "an empty list of manifests beside layers": change(manifests=[]),
    "fsLayers beside layers": change(fsLayers=[{"blobSum": CHILD["digest"]}]),
    "blobs beside layers": change(blobs=[LAYER]),
    "fsLayers and manifests": lambda _: {"schemaVersion": 2, "fsLayers": [], "manifests": []},
    "manifests and nothing else": lambda _: {"schemaVersion": 2, "manifests": [CHILD]},
    "no config, no layers": lambda _: {"schemaVersion": 2},
    "an error instead": lambda _: {"errors": [{"code": "UNAUTHORIZED", "message": "no"}]},
    "manifests in another case": change(Manifests=[CHILD]),
    "layers in another case": change(LAYERS=[LAYER]),
    "a long s in layers": lambda document: document | {"layer\u017f": [LAYER]},
    "media type in another case": change(MediaType=media_types.OCI_IMAGE_INDEX),
    "config digest in another case": change(config=LAYER | {"Digest": CHILD["digest"]}),
    "layer digest in another case": change(layers=[LAYER | {"Digest": CHILD["digest"]}]),
    "subject digest in another case": change(subject=LAYER | {"Digest": CHILD["digest"]}),
    "schema version 1": change(schemaVersion=1),
    "schema version of text": change(schemaVersion="2"),
    "layers no list": change(layers={}),
    "layer no object": change(layers=["sha256:0"]),
    "layer null": change(layers=[None]),
    "config no object": change(config="sha256:0"),
    "subject without a digest": change(subject={"mediaType": "text/plain", "size": 1}),
    "annotations no map": change(annotations=["a"]),
    "annotation of a number": change(annotations={"a": 1}),
    "artifact type of a number": change(artifactType=1),
    "media type of a number": change(mediaType=1),
    "too many layers": change(layers=[LAYER] * (MAX_LAYERS + 1)),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
@pytest.mark.parametrize("media_type", [media_types.OCI_IMAGE_MANIFEST, media_types.DOCKER_MANIFEST])
def test_bad_image_manifest_is_refused(name: str, media_type: str) -> None:
    """CVE-2021-41190 and its like: what could be read as two things, or is none, is never stored."""
    document = builders.make_image(docker=media_type == media_types.DOCKER_MANIFEST).document
    data = encode(BAD_IMAGES[name](document))
    with pytest.raises(MalformedManifestError):
        parse_manifest(data, media_type)
    # Nor does it help that the digest was asked for.
    with pytest.raises(MalformedManifestError):
        parse_manifest(data, media_type, compute_digest(data))


BAD_INDEXES = {
    "config beside manifests": change(config=LAYER),
    "layers beside manifests": change(layers=[]),
    "blobs beside manifests": change(blobs=[LAYER]),
    "fsLayers beside manifests": change(fsLayers=[]),
    "layers beside manifests of null": change(manifests=None, layers=[LAYER]),
    "layers in another case": change(Layers=[LAYER]),
    "config and layers, no manifests": lambda _: {"schemaVersion": 2, "config": LAYER, "layers": [LAYER]},
    "no manifests": lambda _: {"schemaVersion": 2},
    "schema version 1": change(schemaVersion=1),
    "child digest in another case": change(manifests=[CHILD | {"DIGEST": LAYER["digest"]}]),
    "child no object": change(manifests=[1]),
    "too many children": change(manifests=[CHILD] * (MAX_CHILDREN + 1)),
}


@pytest.mark.parametrize("name", BAD_INDEXES)
@pytest.mark.parametrize("media_type", [media_types.OCI_IMAGE_INDEX, media_types.DOCKER_MANIFEST_LIST])
def test_bad_index_is_refused(name: str, media_type: str) -> None:
    """CVE-2021-41190 from the other side."""
    document = builders.make_index([CHILD], docker=media_type == media_types.DOCKER_MANIFEST_LIST).document
    data = encode(BAD_INDEXES[name](document))
    with pytest.raises(MalformedManifestError):
        parse_manifest(data, media_type)
    with pytest.raises(MalformedManifestError):
        parse_manifest(data, media_type, compute_digest(data))


@pytest.mark.parametrize("media_type", [None, media_types.OCI_ARTIFACT_MANIFEST, "application/vnd.unknown"])
def test_ambiguous_document_is_refused_whatever_it_is_called(media_type: str | None) -> None:
    """Index and image at once has no honest use under any type."""
    data = encode({"schemaVersion": 2, "config": LAYER, "layers": [], "manifests": [CHILD]})
    with pytest.raises(MalformedManifestError, match="CVE-2021-41190"):
        parse_manifest(data, media_type)


@pytest.mark.parametrize(
    ("media_type", "own"),
    [(media_types.OCI_ARTIFACT_MANIFEST, "blobs"), (media_types.DOCKER_SCHEMA1, "fsLayers")],
)
@pytest.mark.parametrize("other", ["config", "layers", "blobs", "fsLayers"])
def test_kind_beside_another_is_refused(media_type: str, own: str, other: str) -> None:
    """Of the kinds that are read no more, too: the next reader may look for another list first."""
    document = {"mediaType": media_type, own: []}
    parse_manifest(encode(document), media_type)
    if other != own:
        with pytest.raises(MalformedManifestError, match="CVE-2021-41190"):
            parse_manifest(encode(document | {other: {} if other == "config" else []}), media_type)


@pytest.mark.parametrize("data", [b"[]", b"null", b'"{}"', b"1", b"", b"<html>", b"{", b"[" * 100_000])
def test_document_that_is_no_object_is_refused(data: bytes) -> None:
    """A manifest is a JSON object of limited depth."""
    with pytest.raises(MalformedManifestError):
        parse_manifest(data, media_types.OCI_IMAGE_MANIFEST)


def test_name_given_twice_is_refused_at_any_depth() -> None:
    """Two readers take two of them: `layers` twice is two images."""
    data = builders.make_image().data
    twice = data.replace(b'"layers":', b'"layers":[],"layers":')
    digest_twice = data.replace(b'"digest":', b'"digest":"sha256:0","digest":', 1)
    for bad in (twice, digest_twice):
        with pytest.raises(MalformedManifestError, match="twice"):
            parse_manifest(bad, None)


def test_document_past_the_limit_is_too_large() -> None:
    """The reader has its own limit, beside that of the download."""
    with pytest.raises(ContentTooLargeError):
        parse_manifest(b" " * (MAX_DOCUMENT_BYTES + 1), None)


field_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "x", CHILD["digest"], "text/plain"]),
    lambda values: (
        st.lists(values, max_size=2)
        | st.dictionaries(
            st.sampled_from(["mediaType", "digest", "size", "platform", "a"]), values, max_size=4
        )
    ),
    max_leaves=8,
) | st.sampled_from([CHILD, [CHILD], LAYER, [LAYER]])
documents = st.dictionaries(
    st.sampled_from(
        [
            "schemaVersion",
            "mediaType",
            "artifactType",
            "config",
            "layers",
            "manifests",
            "blobs",
            "subject",
            "annotations",
        ]
    ),
    field_values,
)
content_types = st.none() | st.sampled_from(
    [
        *media_types.MANIFEST_TYPES,
        *media_types.SCHEMA1_TYPES,
        "application/json",
        "application/vnd.x",
        ";",
        "x" * 300,
    ]
)


@given(documents, content_types)
def test_any_object_is_a_manifest_or_a_content_error(
    document: dict[str, Any], content_type: str | None
) -> None:
    """No document breaks the parser; what it accepts is of the form that its media type says."""
    data = encode(document)
    try:
        manifest = parse_manifest(data, content_type)
    except ContentError:
        return
    assert (compute_digest(data), len(data)) == (manifest.digest, manifest.size)
    assert isinstance(manifest, ImageManifest) == (manifest.media_type in media_types.IMAGE_MANIFEST_TYPES)
    assert isinstance(manifest, ImageIndex) == (manifest.media_type in media_types.IMAGE_INDEX_TYPES)
    assert len(content_of(manifest)) == len({item.digest for item in content_of(manifest)})

"""Descriptors as documents give them: required fields, bounds, and optional fields that are null."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import MalformedManifestError
from graph.oci import media_types
from graph.oci.descriptor import (
    MAX_MEDIA_TYPE_LENGTH,
    MAX_PLATFORM_LENGTH,
    MAX_SIZE,
    MAX_URLS,
    Descriptor,
    Platform,
)
from graph.oci.digest import Digest
from graph.oci.manifest import ImageIndex, parse_manifest

DIGEST = "sha256:" + "5b0bcabd" * 8


def read(**fields: Any) -> Descriptor:
    """The only child of an index, after `fields` replaced its own."""
    child = {"mediaType": "text/plain", "digest": DIGEST, "size": 7682, **fields}
    document = {"schemaVersion": 2, "manifests": [child]}
    index = parse_manifest(json.dumps(document).encode(), media_types.OCI_IMAGE_INDEX)
    assert isinstance(index, ImageIndex)
    return index.manifests[0]


def test_descriptor_of_the_specification_is_read() -> None:
    """descriptor.md: media type, digest and size; the rest is optional."""
    assert Descriptor("text/plain", Digest(DIGEST), 7682, (), {}, None, None) == read()


def test_every_optional_field_is_read() -> None:
    """descriptor.md: urls, annotations, artifactType and platform; `data` is not ours to keep."""
    descriptor = read(
        urls=["https://example.com/example-manifest"],
        annotations={"a": "b", "": ""},
        artifactType="application/vnd.example",
        platform={
            "os": "windows",
            "architecture": "arm",
            "variant": "v7",
            "os.version": "10.0.14393.1066",
            "os.features": ["win32k"],
            "features": ["sse4"],
        },
        data="e30=",
        unheardOf={"of": 1},
    )
    assert (
        Descriptor(
            "text/plain",
            Digest(DIGEST),
            7682,
            ("https://example.com/example-manifest",),
            {"a": "b", "": ""},
            "application/vnd.example",
            Platform("windows", "arm", "v7", "10.0.14393.1066"),
        )
        == descriptor
    )


@pytest.mark.parametrize("name", ["urls", "annotations", "artifactType", "platform"])
def test_optional_field_that_is_null_is_absent(name: str) -> None:
    """Null is how Go writes an empty list or map: the same as leaving it out."""
    assert read() == read(**{name: None})


def test_parts_of_a_platform_that_are_null_or_empty_are_not_known() -> None:
    """An empty os is no os."""
    assert Platform(None, None, None, None) == read(platform={"os": "", "variant": None}).platform


@pytest.mark.parametrize("size", [0, 1, 2**53 - 1])
def test_size_within_the_bound_is_read(size: int) -> None:
    """Sizes are 0 … 2^53−1, what a JSON number carries to any client."""
    assert size == read(size=size).size


@pytest.mark.parametrize(
    "fields",
    [
        {"size": -1},
        {"size": 2**53},
        {"size": 2**63 - 1},
        {"size": "7682"},
        {"size": 1.5},
        {"size": True},
        {"size": None},
        {"digest": None},
        {"digest": ""},
        {"digest": 5},
        {"digest": "sha256:abc"},
        {"digest": "sha256:../../etc"},
        {"digest": DIGEST.upper()},
        {"mediaType": None},
        {"mediaType": ""},
        {"mediaType": "x" * (MAX_MEDIA_TYPE_LENGTH + 1)},
        {"artifactType": "x" * (MAX_MEDIA_TYPE_LENGTH + 1)},
        {"urls": "https://example.com"},
        {"urls": [1]},
        {"urls": [""] * (MAX_URLS + 1)},
        {"annotations": {"a": 1}},
        {"annotations": {"a": None}},
        {"annotations": ["a"]},
        {"platform": "linux"},
        {"platform": {"os": 1}},
        {"platform": {"os": "x" * (MAX_PLATFORM_LENGTH + 1)}},
    ],
    ids=str,
)
def test_descriptor_that_breaks_a_rule_is_refused(fields: dict[str, Any]) -> None:
    """A digest that is none, a size out of bounds, a field of another type: nothing is guessed."""
    with pytest.raises(MalformedManifestError):
        read(**fields)


@pytest.mark.parametrize("name", ["mediaType", "digest", "size"])
def test_required_field_must_be_there(name: str) -> None:
    """descriptor.md: three properties are REQUIRED; the message says which and where."""
    child = {"mediaType": "text/plain", "digest": DIGEST, "size": 1}
    del child[name]
    document = json.dumps({"schemaVersion": 2, "manifests": [child]}).encode()
    with pytest.raises(MalformedManifestError, match=rf"`{name}` - at `\$.manifests"):
        parse_manifest(document, media_types.OCI_IMAGE_INDEX)


@pytest.mark.parametrize("name", ["Digest", "SIZE", "mediatype", "URLs"])
def test_field_in_another_case_is_refused(name: str) -> None:
    """A client in Go would take `Digest` for `digest`, and so fetch other content than we show."""
    with pytest.raises(MalformedManifestError, match="another case"):
        read(**{name: "x"})


@pytest.mark.parametrize(
    ("fields", "is_foreign"),
    [
        ({}, False),
        ({"urls": []}, False),
        ({"urls": ["https://example.com"]}, True),
        ({"mediaType": media_types.DOCKER_FOREIGN_LAYER_GZIP}, True),
        ({"mediaType": media_types.OCI_NONDISTRIBUTABLE_PREFIX + "+zstd"}, True),
    ],
)
def test_content_with_urls_or_a_type_that_says_so_is_foreign(
    fields: dict[str, Any], is_foreign: bool
) -> None:
    """Foreign content need not be in the registry: it counts in sizes, never in stored bytes."""
    assert is_foreign == read(**fields).is_foreign


texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=20)
platform_texts = st.none() | texts.filter(bool)
descriptors = st.builds(
    Descriptor,
    texts.filter(bool),
    st.binary(min_size=32, max_size=32).map(lambda data: Digest("sha256:" + data.hex())),
    st.integers(0, MAX_SIZE),
    st.lists(texts, max_size=3).map(tuple),
    st.dictionaries(texts, texts, max_size=3),
    st.none() | texts.filter(bool),
    st.none() | st.builds(Platform, platform_texts, platform_texts, platform_texts, platform_texts),
)


def write(descriptor: Descriptor) -> dict[str, Any]:
    platform = descriptor.platform
    return {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
        "urls": list(descriptor.urls) or None,
        "annotations": dict(descriptor.annotations),
        "artifactType": descriptor.artifact_type,
        "platform": platform
        and {
            "os": platform.os,
            "architecture": platform.architecture,
            "variant": platform.variant,
            "os.version": platform.os_version,
        },
    }


@given(descriptors)
def test_written_descriptor_reads_back(descriptor: Descriptor) -> None:
    """parse(format(x)) == x."""
    assert descriptor == read(**write(descriptor))

"""Media types: the few questions that are asked of them."""

import pytest

from graph.oci import media_types


@pytest.mark.parametrize(
    ("content_type", "media_type"),
    [
        ("application/vnd.oci.image.index.v1+json", media_types.OCI_IMAGE_INDEX),
        ("application/vnd.oci.image.index.v1+json; charset=utf-8", media_types.OCI_IMAGE_INDEX),
        (" Application/VND.oci.image.index.v1+JSON ;x=y;z", media_types.OCI_IMAGE_INDEX),
        ("", ""),
        (";", ""),
    ],
)
def test_content_type_is_read_without_parameters(content_type: str, media_type: str) -> None:
    """Parameters of a Content-Type are ignored, and its case is."""
    assert media_type == media_types.strip_parameters(content_type)


@pytest.mark.parametrize(
    ("media_type", "is_foreign"),
    [
        (media_types.OCI_LAYER_GZIP, False),
        (media_types.DOCKER_LAYER_GZIP, False),
        (media_types.DOCKER_FOREIGN_LAYER, True),
        (media_types.DOCKER_FOREIGN_LAYER_GZIP, True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", True),
    ],
)
def test_foreign_layers_are_told_by_type(media_type: str, is_foreign: bool) -> None:
    """Docker's foreign and OCI's non-distributable layers need not be in the registry."""
    assert is_foreign == media_types.is_foreign_layer(media_type)


@pytest.mark.parametrize(
    ("media_type", "is_config"),
    [
        (media_types.OCI_IMAGE_CONFIG, True),
        (media_types.DOCKER_IMAGE_CONFIG, True),
        (media_types.OCI_EMPTY, False),
        (media_types.HELM_CONFIG, False),
        (media_types.DOCKER_PLUGIN_CONFIG, False),
        ("application/vnd.unknown.config.v1+json", False),
    ],
)
def test_only_image_configs_may_be_parsed(media_type: str, is_config: bool) -> None:
    """A config of an unknown type is opaque (image-spec, manifest.md: MUST NOT be parsed)."""
    assert is_config == media_types.is_image_config(media_type)


def test_every_form_that_we_read_is_accepted_but_schema_1() -> None:
    """A type left out of Accept would be answered 404 or, by distribution 2.8, with another manifest."""
    read = (
        media_types.IMAGE_MANIFEST_TYPES | media_types.IMAGE_INDEX_TYPES | {media_types.OCI_ARTIFACT_MANIFEST}
    )
    assert read == set(media_types.MANIFEST_TYPES)
    assert not media_types.SCHEMA1_TYPES & set(media_types.MANIFEST_TYPES)

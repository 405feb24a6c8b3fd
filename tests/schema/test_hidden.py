"""What the operator hides is null with an error, never empty; and so is the raw text that has it too."""

import base64
import json
from typing import Any

import pytest

from graph.settings import Hidden
from requests_to_graph import graph_of, paths_of
from schema_stores import ragged_store
from store_builders import StoreBuilder

pytestmark = pytest.mark.anyio

QUERY = """{ artifact(reference: "base:1.0") { manifest { raw document ... on ImageManifest {
  config { os cmd env labels { name } history { createdBy } raw }
  layers { position diffId createdBy } } } } }"""
CONFIG = ("artifact", "manifest", "config")
LAYERS = ("artifact", "manifest", "layers")


@pytest.mark.parametrize(
    ("hidden", "paths"),
    [
        (Hidden.CONFIG_ENV, {(*CONFIG, "env"), (*CONFIG, "raw")}),
        (Hidden.LABELS, {(*CONFIG, "labels"), (*CONFIG, "raw")}),
        (
            Hidden.HISTORY,
            {(*CONFIG, "history"), (*CONFIG, "raw"), (*LAYERS, 0, "createdBy"), (*LAYERS, 1, "createdBy")},
        ),
    ],
)
async def test_hidden_is_told(hidden: Hidden, paths: set[tuple[str | int, ...]]) -> None:
    """Each part that is hidden has the error HIDDEN; the rest of the config is there."""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(QUERY, hide=frozenset({hidden}))

    assert dict.fromkeys(paths, "HIDDEN") == paths_of(response)
    manifest = response["data"]["artifact"]["manifest"]
    assert {"os": "linux", "cmd": ["/bin/sh"]}.items() <= manifest["config"].items()
    assert manifest["raw"] is not None
    assert 64 + 7 == len(manifest["layers"][0]["diffId"])


async def test_no_hidden_word_gets_out() -> None:
    """With everything hidden, no secret of the config is anywhere in the answer."""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(QUERY, hide=frozenset(Hidden))

    assert not any(word in json.dumps(response) for word in ("secret", "somebody", "COPY", "ADD"))


async def test_manifests_that_hold_configs() -> None:
    """A manifest of Docker's first format carries its layers' configs: its text is hidden with them."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    data = b'{"schemaVersion": 1, "history": [{"v1Compatibility": "secret"}]}'
    media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    manifest = builder.manifest(registry, data=data, media_type=media_type, form="OTHER")
    repository = builder.repository(registry, "old")
    builder.tag(repository, "latest", builder.artifact(repository, manifest))
    query = '{ artifact(reference: "old") { manifest { __typename raw document } } }'
    async with graph_of(builder) as graph:
        shown = await graph.data(query)
        response = await graph.ask(query, hide=frozenset({Hidden.HISTORY}))

    assert {"__typename": "OtherManifest", "raw": data.decode(), "document": json.loads(data)} == shown[
        "artifact"
    ]["manifest"]
    assert {
        ("artifact", "manifest", "raw"): "HIDDEN",
        ("artifact", "manifest", "document"): "HIDDEN",
    } == paths_of(response)


CONFIG_DATA = base64.b64encode(b'{"config": {"Env": ["TOKEN=secret"]}}').decode()
DESCRIPTOR: dict[str, Any] = {
    "mediaType": "application/vnd.oci.image.config.v1+json",
    "digest": f"sha256:{'c' * 64}",
    "size": 37,
}


@pytest.mark.parametrize(
    ("content", "is_hidden"),
    [
        ({"config": {**DESCRIPTOR, "data": CONFIG_DATA}, "layers": []}, True),
        ({"config": {**DESCRIPTOR, "data": "e30="}, "layers": []}, False),
        ({"config": DESCRIPTOR, "layers": [{**DESCRIPTOR, "data": CONFIG_DATA}]}, False),
        ({"manifests": [DESCRIPTOR, {**DESCRIPTOR, "data": CONFIG_DATA}]}, True),
        ({"config": DESCRIPTOR, "layers": [], "subject": {**DESCRIPTOR, "data": CONFIG_DATA}}, True),
        ({"manifests": "none", "config": 7, "subject": ["data"]}, False),
    ],
    ids=["config", "the empty config", "a layer", "an entry of an index", "a subject", "of other types"],
)
async def test_manifests_that_embed_configs(content: dict[str, Any], is_hidden: bool) -> None:
    """A descriptor may carry what it names: where that is a config, text and JSON value are hidden."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    data = json.dumps({"schemaVersion": 2, **content}).encode()
    manifest = builder.manifest(registry, data=data)
    repository = builder.repository(registry, "app")
    builder.tag(repository, "latest", builder.artifact(repository, manifest))
    query = '{ artifact(reference: "app") { manifest { digest raw document } } }'
    async with graph_of(builder) as graph:
        shown = await graph.data(query)
        response = await graph.ask(query, hide=frozenset({Hidden.CONFIG_ENV}))

    assert data.decode() == shown["artifact"]["manifest"]["raw"]
    assert json.loads(data) == shown["artifact"]["manifest"]["document"]
    hidden = {("artifact", "manifest", name): "HIDDEN" for name in ("raw", "document")}
    assert (hidden if is_hidden else {}) == paths_of(response)
    assert is_hidden == (response["data"]["artifact"]["manifest"]["raw"] is None)


async def test_what_cannot_be_read_is_not_shown() -> None:
    """Bytes that are no JSON are text to anybody, but not where something is hidden."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    manifest = builder.manifest(registry, data=b'{"config"', media_type="text/none", form="OTHER")
    repository = builder.repository(registry, "app")
    builder.tag(repository, "latest", builder.artifact(repository, manifest))
    query = '{ artifact(reference: "app") { manifest { raw } } }'
    async with graph_of(builder) as graph:
        assert '{"config"' == (await graph.data(query))["artifact"]["manifest"]["raw"]
        response = await graph.ask(query, hide=frozenset({Hidden.LABELS}))

    assert {("artifact", "manifest", "raw"): "MALFORMED_MANIFEST"} == paths_of(response)

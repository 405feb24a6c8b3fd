"""What the operator hides is null with an error, never empty; and so is the raw text that has it too."""

import json

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

"""Concepts that no other test names by its number, each shown by one query.

The rest stands where its parts are tested: `grep -rn "C13" tests` finds what holds concept C13.
"""

import pytest

from requests_to_graph import graph_of
from store_builders import StoreBuilder

pytestmark = pytest.mark.anyio


async def test_c02_a_layer_in_two_registries_is_two_layers() -> None:
    """Sharing is counted inside one registry: the same digest in another is another layer (concept C2)."""
    build = StoreBuilder()
    for name, count in (("one.example", 2), ("two.example", 1)):
        registry = build.registry(name)
        layer = build.layer(registry, 100)
        build.row("blob", layer)["digest"] = f"sha256:{7:064x}"
        for number in range(count):
            build.image(build.repository(registry, f"app{number}"), [layer])
    query = "{ registries { layers { nodes { id digest artifactCount savedBytes } } } }"
    async with graph_of(build) as graph:
        answer = await graph.ask(query)
    one, two = [registry["layers"]["nodes"][0] for registry in answer["data"]["registries"]]
    assert one["digest"] == two["digest"]
    assert one["id"] != two["id"]
    assert [(2, 100), (1, 0)] == [(layer["artifactCount"], int(layer["savedBytes"])) for layer in (one, two)]


async def test_c06_the_same_digest_in_two_repositories_is_two_artifacts_and_one_manifest() -> None:
    """An artifact is this repository and this digest; the manifest is one (concept C6)."""
    build = StoreBuilder()
    registry = build.registry("one.example")
    manifest = build.manifest(registry, [build.layer(registry)])
    for name in ("a", "b"):
        build.artifact(build.repository(registry, name), manifest)
    query = "{ registry { artifacts { nodes { id digest manifest { digest } } } } }"
    async with graph_of(build) as graph:
        answer = await graph.ask(query)
    first, second = answer["data"]["registry"]["artifacts"]["nodes"]
    assert first["id"] != second["id"]
    assert first["digest"] == second["digest"]
    assert first["manifest"] == second["manifest"] == {"digest": first["digest"]}


async def test_c15_manifests_of_the_same_layers_differ() -> None:
    """Two manifests that list the same layers are two, each with a digest of its own (concept C15)."""
    build = StoreBuilder()
    registry = build.registry("one.example")
    layers, repository = [build.layer(registry), build.layer(registry)], build.repository(registry, "a")
    build.image(repository, layers)
    build.image(repository, layers)
    listed = "... on ImageManifest { layers { digest } }"
    query = f"{{ registry {{ artifacts {{ nodes {{ digest manifest {{ {listed} }} }} }} }} }}"
    async with graph_of(build) as graph:
        answer = await graph.ask(query)
    first, second = answer["data"]["registry"]["artifacts"]["nodes"]
    assert first["digest"] != second["digest"]
    assert first["manifest"] == second["manifest"]
    assert 2 == len(first["manifest"]["layers"])


async def test_c14_a_node_fetches_the_layers_that_it_lacks() -> None:
    """What a node holds already it does not fetch again: a pull costs what is missing (concept C14)."""
    build = StoreBuilder()
    registry = build.registry("one.example")
    shared, own = build.layer(registry, 100), build.layer(registry, 7)
    repository = build.repository(registry, "a")
    for tag, layers in (("base", [shared]), ("app", [shared, own])):
        build.tag(repository, tag, build.image(repository, layers))
    query = """{
        alone: pull(artifact: "a:app") { layerBytes }
        beside: pull(artifact: "a:app", present: { artifacts: ["a:base"] }) { layerBytes }
    }"""
    async with graph_of(build) as graph:
        answer = await graph.ask(query)
    assert {"alone": {"layerBytes": 107}, "beside": {"layerBytes": 7}} == answer["data"]

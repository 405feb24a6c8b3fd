"""What ocigraph says of registries of others is what `skopeo` says of them, for everything they hold."""

import hashlib
from pathlib import Path

import pytest

from builders import make_image, make_layer
from live.census import Skopeo, take_census
from live.client import Graph
from live.conftest import RIGS, LiveRegistry
from live.rigs import kill, ocigraph, wait_until
from live.seeding import RECIPES, push

pytestmark = pytest.mark.live

REPOSITORIES = """query ($after: String) { registry { repositories(first: 100, after: $after) {
    nodes { name namespace } totalCount pageInfo { hasNextPage endCursor } } } }"""

TAGS = """query ($name: String!, $after: String, $filter: TagFilter) { repository(name: $name) {
    tags(first: 100, after: $after, filter: $filter) {
        nodes { name reference artifact { digest } } totalCount pageInfo { hasNextPage endCursor } } } }"""

ARTIFACTS = """query ($name: String!, $after: String) { repository(name: $name) {
    artifacts(first: 100, after: $after) {
        nodes {
            digest kind mediaType size untagged reference
            manifest { mediaType size raw
                ... on ImageIndex { manifests { digest artifact { digest } } } }
            layers { digest size mediaType }
            platforms { digest platform { os architecture } }
        }
        totalCount pageInfo { hasNextPage endCursor } } } }"""

LAYERS = """query ($digests: [Digest!]!) { layers(digests: $digests) {
    digest size artifactCount repositoryCount savedBytes
    repositories(first: 100) { nodes { name } totalCount }
    artifacts(first: 100) { nodes { digest repository { name } } totalCount } } }"""

REFERRERS = """query ($reference: String!) { artifact(reference: $reference) {
    referrers(first: 100) { state nodes { digest kind } } } }"""

HISTORY = """query ($reference: String!) { artifact(reference: $reference) { manifest {
    ... on ImageManifest { config { os architecture env } layers { digest createdBy diffId } } } } }"""


def artifacts_of(graph: Graph, name: str) -> dict[str, dict[str, object]]:
    """Every artifact of a repository by digest."""
    return {
        artifact["digest"]: artifact
        for artifact in graph.nodes(ARTIFACTS, "repository.artifacts", {"name": name})
    }


def test_every_repository_is_known(registry: LiveRegistry, graph: Graph) -> None:
    """The repositories are those of the catalog, each once, with the namespace before the last slash."""
    expected = [
        {"name": name, "namespace": name.rpartition("/")[0] or None} for name in sorted(registry.census.tags)
    ]
    found = list(graph.nodes(REPOSITORIES, "registry.repositories"))
    assert expected == sorted(found, key=lambda node: node["name"])


def test_every_tag_points_where_it_points(registry: LiveRegistry, graph: Graph) -> None:
    """Each repository has the tags that `skopeo list-tags` prints, on the digests that it inspects."""
    for name, tags in registry.census.tags.items():
        variables = {"name": name, "filter": {"includeReferrerTags": True}}
        found = list(graph.nodes(TAGS, "repository.tags", variables))
        assert tags == {tag["name"]: tag["artifact"]["digest"] for tag in found}
        assert len(tags) == len(found)
        for tag in found:
            assert f"{registry.name}/{name}:{tag['name']}" == tag["reference"]


def test_every_artifact_is_what_skopeo_prints(registry: LiveRegistry, graph: Graph) -> None:
    """Each manifest, byte for byte, with its media type, its layers in order and all sizes."""
    for name, manifests in registry.census.manifests.items():
        found = artifacts_of(graph, name)
        assert manifests.keys() == found.keys()
        for digest, seen in manifests.items():
            artifact = found[digest]
            manifest = artifact["manifest"]
            assert seen.data.decode() == manifest["raw"]
            assert len(seen.data) == manifest["size"]
            assert seen.document["mediaType"] == manifest["mediaType"] == artifact["mediaType"]
            layers = [(layer["digest"], layer["size"], layer["mediaType"]) for layer in artifact["layers"]]
            assert seen.layers == layers
            assert registry.census.size(name, digest) == artifact["size"]
            assert f"{registry.name}/{name}@{digest}" == artifact["reference"]

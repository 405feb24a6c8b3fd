"""What ocigraph says of registries of others is what `skopeo` says of them, for everything they hold."""

import pytest

from live.census import Skopeo
from live.client import Graph
from live.conftest import LiveRegistry
from live.seeding import RECIPES, Recipe
from live.seeding import REPOSITORIES as SEEDED

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
    ... on ImageManifest { config { os architecture env history { createdBy } }
    layers { digest createdBy diffId } } } } }"""


def artifacts_of(graph: Graph, name: str) -> dict[str, dict[str, object]]:
    """Every artifact of a repository by digest."""
    return {
        artifact["digest"]: artifact
        for artifact in graph.nodes(ARTIFACTS, "repository.artifacts", {"name": name})
    }


def test_every_repository_is_known(registry: LiveRegistry, graph: Graph) -> None:
    """The repositories are those of the catalog, or those named, each once, with the namespace before the
    last slash.
    """
    assert list(SEEDED) == sorted(registry.census.tags)
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


def test_layers_reveal_what_is_shared(registry: LiveRegistry, graph: Graph) -> None:
    """C13: each layer is used by exactly the artifacts and repositories whose manifests list it."""
    users = registry.census.layer_users()
    sizes = {
        digest: size
        for manifests in registry.census.manifests.values()
        for seen in manifests.values()
        for digest, size, _ in seen.layers
    }
    digests = sorted(users)
    found = graph.ask(LAYERS, {"digests": digests})["layers"]
    for digest, layer in zip(digests, found, strict=True):
        artifacts = {(name, user) for name, found in users[digest].items() for user in found}
        expected = {
            "digest": digest,
            "size": sizes[digest],
            "artifactCount": len(artifacts),
            "repositoryCount": len(users[digest]),
            "savedBytes": sizes[digest] * (len(artifacts) - 1),
            "repositories": sorted(users[digest]),
            "artifacts": sorted(artifacts),
        }
        layer["repositories"] = sorted(node["name"] for node in layer["repositories"]["nodes"])
        layer["artifacts"] = sorted(
            (node["repository"]["name"], node["digest"]) for node in layer["artifacts"]["nodes"]
        )
        assert expected == layer


def test_base_layers_are_shared_across_repositories(registry: LiveRegistry) -> None:
    """The registry was filled as meant: the base of all is in nine repositories, in both formats."""
    base = registry.census.manifests["base/os"][registry.census.tags["base/os"]["1"]]
    users = registry.census.layer_users()
    for digest, _, _ in base.layers:
        assert {
            *("arch/amd64", "base/os", "base/runtime", "multi/docker", "multi/oci"),
            *("shop/cart", "shop/checkout", "team/api", "team/web"),
        } == users[digest].keys()


def test_kinds(registry: LiveRegistry, graph: Graph) -> None:
    """Charts, signatures, lists of parts, attestations and indexes are told from images."""
    special = {digest: kind for (_, digest), kind in registry.seeded.kinds.items()}
    for name, manifests in registry.census.manifests.items():
        found = {digest: artifact["kind"] for digest, artifact in artifacts_of(graph, name).items()}
        expected = {
            digest: special.get(digest, "INDEX" if seen.children else "IMAGE")
            for digest, seen in manifests.items()
        }
        assert expected == found


def test_referrers(registry: LiveRegistry, graph: Graph) -> None:
    """What refers to an image is found by the referrers API, else by the fallback tag."""
    for (name, subject), expected in registry.seeded.referrers.items():
        reference = f"{registry.name}/{name}@{subject}"
        found = graph.ask(REFERRERS, {"reference": reference})["artifact"]["referrers"]
        assert expected == {node["digest"] for node in found["nodes"]}
        for node in found["nodes"]:
            assert registry.seeded.kinds[name, node["digest"]] == node["kind"]


def test_signature_by_tag_is_a_referrer(registry: LiveRegistry, graph: Graph) -> None:
    """What cosign pushes under `sha256-….sig` refers to the image of that digest."""
    tags = registry.census.tags["team/web"]
    subject = tags["1.1"]
    found = graph.ask(REFERRERS, {"reference": f"{registry.name}/team/web@{subject}"})
    signature = {"digest": tags[subject.replace(":", "-") + ".sig"], "kind": "SIGNATURE"}
    assert [signature] == found["artifact"]["referrers"]["nodes"]


def test_referrer_tags_are_hidden_unless_asked_for(registry: LiveRegistry, graph: Graph) -> None:
    """A tag list has the ordinary tags alone."""
    for name in ("team/api", "team/web"):
        found = graph.nodes(TAGS, "repository.tags", {"name": name})
        ordinary = {tag for tag in registry.census.tags[name] if not tag.startswith("sha256-")}
        assert ordinary == {tag["name"] for tag in found}


def test_untagged_says_why(registry: LiveRegistry, graph: Graph) -> None:
    """C9: nothing here dangles; what has no ordinary tag is the child of an index or refers to something."""
    for name, manifests in registry.census.manifests.items():
        found = artifacts_of(graph, name)
        tagged = {
            digest for tag, digest in registry.census.tags[name].items() if not tag.startswith("sha256-")
        }
        listed = {child for seen in manifests.values() for child in seen.children}
        for digest in manifests:
            expected = None if digest in tagged else "INDEX_CHILD" if digest in listed else "REFERRER"
            assert expected == found[digest]["untagged"]


def test_index_lists_its_children(registry: LiveRegistry, graph: Graph) -> None:
    """The children of an index are artifacts of the same repository; those that run are its platforms."""
    for name, tag in (("multi/oci", "1"), ("multi/docker", "1"), ("attested/app", "1")):
        index = registry.census.manifests[name][registry.census.tags[name][tag]]
        found = artifacts_of(graph, name)[index.digest]
        children = [{"digest": child, "artifact": {"digest": child}} for child in index.children]
        assert children == found["manifest"]["manifests"]
        platforms = {
            child["digest"]: (child["platform"]["os"], child["platform"]["architecture"])
            for child in index.document["manifests"]
            if child["platform"]["os"] != "unknown"
        }
        assert platforms == {
            platform["digest"]: (platform["platform"]["os"], platform["platform"]["architecture"])
            for platform in found["platforms"]
        }


@pytest.mark.parametrize(
    "recipe", [recipe for recipe in RECIPES if recipe.base], ids=lambda recipe: recipe.name
)
def test_layers_tell_their_line(registry: LiveRegistry, graph: Graph, recipe: Recipe) -> None:
    """C12: each layer says the line of the Dockerfile that made it, and its DiffID, as the config does."""
    config = Skopeo(registry.url).inspect_config(recipe.name)
    lines = [entry["created_by"] for entry in config["history"] if not entry.get("empty_layer")]
    found = graph.ask(HISTORY, {"reference": f"{registry.name}/{recipe.name}"})["artifact"]["manifest"]
    assert lines == [layer["createdBy"] for layer in found["layers"]]
    assert config["rootfs"]["diff_ids"] == [layer["diffId"] for layer in found["layers"]]
    assert config["config"]["Env"] == found["config"]["env"]
    assert (config["os"], config["architecture"]) == (found["config"]["os"], found["config"]["architecture"])

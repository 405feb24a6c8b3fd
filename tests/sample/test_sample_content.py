"""The sample is what the documentation of registries talks about, consistent and the same everywhere."""

import json
from typing import Any

import pytest

from builders import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, digest_of
from graph.sample import SampleRegistry, fill_sample, rebuild_v2
from graph.sample.holdings import StoredRepository


@pytest.fixture
def registry() -> SampleRegistry:
    """The sample."""
    filled = SampleRegistry()
    fill_sample(filled)
    return filled


def documents(repository: StoredRepository) -> dict[str, dict[str, Any]]:
    """The manifests of a repository, decoded."""
    return {digest: json.loads(manifest.data) for digest, manifest in repository.manifests.items()}


def layers_of(registry: SampleRegistry, name: str, tag: str) -> list[str]:
    repository = registry.repositories[name]
    return [layer["digest"] for layer in documents(repository)[repository.tags[tag]]["layers"]]


def test_repositories_and_tags(registry: SampleRegistry) -> None:
    """C3, C4, C17: the repositories by name, with their tags."""
    expected = {
        "acr-helloworld": ["latest", "v1", "v2", "v3"],
        "charts/campaign": ["0.1.0", "0.2.0"],
        "dotnet/aspnet": ["2.1", "6.0", "8.0"],
        "dotnet/runtime": ["8.0"],
        "dotnet/runtime-deps": ["8.0"],
        "marketing/campaign10-18/api": ["latest", "v1", "v2", "v3"],
        "marketing/campaign10-18/email-sender": ["v1", "v2"],
        "marketing/campaign10-18/web": ["latest", "v1", "v2"],
        "product-returns/legacy-integrator": ["20180715"],
        "product-returns/web-submission": ["20180604", "20220510", "latest"],
        "samples/myimage": ["1.0.0", "latest"],
    }
    assert expected == {name: sorted(stored.tags) for name, stored in registry.repositories.items()}


def test_sample_is_the_same_on_every_machine(registry: SampleRegistry) -> None:
    """The digests follow from nothing but this code; documentation may quote them."""
    tags = registry.repositories["acr-helloworld"].tags
    expected = "sha256:85946d6230d896ebc3d0332779bef2cc33bb3513338e3faa0728e2d6217872ff"
    assert expected == tags["latest"]


def test_every_document_is_whole(registry: SampleRegistry) -> None:
    """Manifests are under their digest; configs are there, layers have the size listed, children exist."""
    for repository in registry.repositories.values():
        for digest, manifest in repository.manifests.items():
            assert digest == digest_of(manifest.data)
            document = json.loads(manifest.data)
            assert manifest.media_type == document["mediaType"]
            for child in document.get("manifests", []):
                assert child["size"] == len(repository.manifests[child["digest"]].data)
            for layer in document.get("layers", []):
                assert layer["size"] == repository.blobs[layer["digest"]].size
            if "config" in document:
                config = repository.blobs[document["config"]["digest"]].data
                assert config is not None
                assert document["config"]["size"] == len(config)


def test_history_tells_the_line_of_each_layer(registry: SampleRegistry) -> None:
    """C12: in every image, history without the empty entries, DiffIDs and layers are equally many."""
    images = 0
    for repository in registry.repositories.values():
        for document in documents(repository).values():
            if "image" not in document.get("config", {}).get("mediaType", ""):
                continue
            data = repository.blobs[document["config"]["digest"]].data
            assert data is not None
            config = json.loads(data)
            if config["architecture"] == "unknown":
                continue
            images += 1
            made = [entry for entry in config["history"] if not entry.get("empty_layer")]
            assert len(document["layers"]) == len(made) == len(config["rootfs"]["diff_ids"])
            assert config["config"]["Env"]
    assert images == 20


def test_layers_are_shared_across_repositories(registry: SampleRegistry) -> None:
    """C13: applications begin with all layers of their base, whether they are Docker's or OCI."""
    old, new = (layers_of(registry, "dotnet/aspnet", tag) for tag in ("2.1", "8.0"))
    for name, tag in (("acr-helloworld", "v1"), ("marketing/campaign10-18/web", "v2")):
        assert old == layers_of(registry, name, tag)[: len(old)]
    assert new == layers_of(registry, "acr-helloworld", "v3")[: len(new)]
    runtime = layers_of(registry, "dotnet/runtime", "8.0")
    deps = layers_of(registry, "dotnet/runtime-deps", "8.0")
    assert new[: len(runtime)] == runtime
    assert runtime[: len(deps)] == deps


def test_both_formats_are_there(registry: SampleRegistry) -> None:
    """Docker's schema 2 and OCI stand side by side."""
    types = {
        manifest.media_type
        for repository in registry.repositories.values()
        for manifest in repository.manifests.values()
    }
    assert {DOCKER_MANIFEST, OCI_MANIFEST, OCI_INDEX} == types


def test_index_has_two_platforms_and_their_attestations(registry: SampleRegistry) -> None:
    """The index holds an image for each platform and, as BuildKit does, an attestation for each image."""
    repository = registry.repositories["samples/myimage"]
    children = documents(repository)[repository.tags["latest"]]["manifests"]
    images, attestations = children[:2], children[2:]
    assert [child["platform"] for child in images] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]
    assert [child["platform"] for child in attestations] == [{"architecture": "unknown", "os": "unknown"}] * 2
    assert [
        {
            "vnd.docker.reference.digest": image["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        }
        for image in images
    ] == [child["annotations"] for child in attestations]


def test_signature_and_sbom_refer_to_the_latest(registry: SampleRegistry) -> None:
    """Two referrers of acr-helloworld:latest, and no others in the registry."""
    latest = registry.repositories["acr-helloworld"].tags["latest"]
    referrers = {
        (name, manifest.subject, manifest.artifact_type)
        for name, repository in registry.repositories.items()
        for manifest in repository.manifests.values()
        if manifest.subject
    }
    assert {
        ("acr-helloworld", latest, "application/spdx+json"),
        ("acr-helloworld", latest, "application/vnd.cncf.notary.signature"),
    } == referrers


def test_rebuild_leaves_the_first_build_untagged(registry: SampleRegistry) -> None:
    """C8: v2 moves to a manifest that differs in the application's layer only; the old one stays."""
    repository = registry.repositories["acr-helloworld"]
    first, before = repository.tags["v2"], layers_of(registry, "acr-helloworld", "v2")
    rebuild_v2(registry)
    after = layers_of(registry, "acr-helloworld", "v2")
    assert first in repository.manifests
    assert first not in repository.tags.values()
    base = layers_of(registry, "dotnet/aspnet", "6.0")
    assert base == before[: len(base)] == after[: len(base)]
    assert set(before[len(base) :]).isdisjoint(after[len(base) :])

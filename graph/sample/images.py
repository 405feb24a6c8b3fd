"""Builds the documents of images, indexes and artifacts and puts them into a sample registry.

The bytes depend on the arguments alone: no clock, no randomness, no compression, so that a digest is the same
on every machine. A layer is a size and a digest derived from the step that makes it; its bytes never exist.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graph.sample.answers import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, dump_json
from graph.sample.holdings import sha256
from graph.sample.registry import SampleRegistry

DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
IN_TOTO = "application/vnd.in-toto+json"

Descriptor = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on."""

    architecture: str
    variant: str | None = None
    os: str = "linux"

    def document(self) -> dict[str, str]:
        """As descriptors and configs write it."""
        fields = {"architecture": self.architecture, "os": self.os}
        return fields if self.variant is None else {**fields, "variant": self.variant}


AMD64 = Platform("amd64")
ARM64 = Platform("arm64", "v8")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a Dockerfile: a layer of `size` bytes, or where that is None a change of the config alone.

    Two steps make the same layer if they agree in all but `at`; `content` tells apart what the line does not,
    such as two builds of one program.
    """

    created_by: str
    at: str
    size: int | None = None
    content: str = ""

    def layer(self, platform: Platform, media_type: str) -> Descriptor:
        """The compressed layer as a manifest lists it."""
        return {"mediaType": media_type, "digest": self._digest("layer", platform), "size": self.size}

    def diff_id(self, platform: Platform) -> str:
        """The digest that the uncompressed layer would have."""
        return self._digest("diff", platform)

    def _digest(self, what: str, platform: Platform) -> str:
        parts = (what, platform.os, platform.architecture, self.created_by, str(self.size), self.content)
        return sha256("\n".join(parts).encode())

    def history(self) -> dict[str, Any]:
        """The line as a config's history tells it."""
        entry: dict[str, Any] = {"created": self.at, "created_by": self.created_by}
        return entry if self.size is not None else {**entry, "empty_layer": True}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an image is built, from the empty one up, and what its config says in the end."""

    steps: tuple[Step, ...] = ()
    env: tuple[str, ...] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    exposed_ports: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def then(self, *steps: Step, env: Sequence[str] = (), **changes: Any) -> "Recipe":
        """The recipe that begins with this one, as FROM does; `env` is added, the other changes replace."""
        return replace(self, steps=self.steps + steps, env=(*self.env, *env), **changes)

    @property
    def layers(self) -> tuple[Step, ...]:
        """The steps that make layers."""
        return tuple(step for step in self.steps if step.size is not None)

    def config(self, platform: Platform) -> bytes:
        """The config of the image."""
        settings: dict[str, Any] = {
            "ExposedPorts": {port: {} for port in self.exposed_ports} or None,
            "Env": list(self.env),
            "Entrypoint": self.entrypoint,
            "Cmd": self.cmd,
            "WorkingDir": self.working_dir,
            "Labels": dict(self.labels) or None,
        }
        document = {
            **platform.document(),
            "created": self.steps[-1].at,
            "config": {name: value for name, value in settings.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [step.diff_id(platform) for step in self.layers]},
            "history": [step.history() for step in self.steps],
        }
        return dump_json(document)


def describe(media_type: str, data: bytes) -> Descriptor:
    """The descriptor of the bytes."""
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


def put_image(
    registry: SampleRegistry,
    repository: str,
    recipe: Recipe,
    *tags: str,
    platform: Platform = AMD64,
    is_docker: bool = False,
) -> Descriptor:
    """Push the image and give it the tags; its descriptor. `is_docker`: Docker's schema 2 in place of OCI."""
    config = recipe.config(platform)
    registry.put_blob(repository, config)
    layers = [step.layer(platform, DOCKER_LAYER if is_docker else OCI_LAYER) for step in recipe.layers]
    media_type = DOCKER_MANIFEST if is_docker else OCI_MANIFEST
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": describe(DOCKER_CONFIG if is_docker else OCI_CONFIG, config),
        "layers": layers,
    }
    return put_document(registry, repository, manifest, *tags)


def put_index(
    registry: SampleRegistry, repository: str, children: Sequence[Descriptor], *tags: str
) -> Descriptor:
    """Push an index of the children, whose descriptors carry their platforms already; its descriptor."""
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(children)}
    return put_document(registry, repository, index, *tags)


def put_artifact(
    registry: SampleRegistry,
    repository: str,
    layers: Sequence[Descriptor],
    *tags: str,
    artifact_type: str | None = None,
    config: bytes = b"{}",
    config_type: str = OCI_EMPTY,
    subject: Descriptor | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Descriptor:
    """Push what is no image: a chart, a signature, a list of parts. `subject` is what it is about."""
    registry.put_blob(repository, config)
    manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST}
    if artifact_type is not None:
        manifest["artifactType"] = artifact_type
    manifest["config"] = describe(config_type, config)
    manifest["layers"] = list(layers)
    if subject is not None:
        manifest["subject"] = {name: subject[name] for name in ("mediaType", "digest", "size")}
    if annotations:
        manifest["annotations"] = dict(annotations)
    return put_document(registry, repository, manifest, *tags)


def put_attestation(registry: SampleRegistry, repository: str, image: Descriptor, size: int) -> Descriptor:
    """Push the provenance of an image as BuildKit keeps it in an index; the entry for that index.

    An image manifest of no platform whose one layer is an in-toto statement (moby/buildkit,
    docs/attestations/attestation-storage.md).
    """
    digest = sha256(f"provenance of {image['digest']}".encode())
    config = dump_json(
        {
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest]},
        }
    )
    predicate = {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}
    layer: Descriptor = {"mediaType": IN_TOTO, "digest": digest, "size": size, "annotations": predicate}
    attestation = put_artifact(registry, repository, [layer], config=config, config_type=OCI_CONFIG)
    about = {
        "vnd.docker.reference.digest": image["digest"],
        "vnd.docker.reference.type": "attestation-manifest",
    }
    unknown = {"architecture": "unknown", "os": "unknown"}
    return {**attestation, "annotations": about, "platform": unknown}


def put_document(
    registry: SampleRegistry, repository: str, document: Mapping[str, Any], *tags: str
) -> Descriptor:
    """Push a manifest of any kind with the tags, and make every layer it lists known by its size."""
    data = dump_json(document)
    media_type: str = document["mediaType"]
    digest = registry.put_manifest(repository, data, media_type)
    for tag in tags:
        registry.set_tag(repository, tag, digest)
    held = registry.repositories[repository].blobs
    for layer in document.get("layers", ()):
        if layer["digest"] not in held:
            registry.declare_blob(repository, layer["digest"], layer["size"])
    return describe(media_type, data)

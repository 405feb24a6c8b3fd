"""Valid content of every kind, in one line: layers, configs, images, indexes, artifacts, referrers.

Rules of this file: standard library only, nothing of `graph`, so that no test compares the package with
itself. The same arguments give the same bytes, always; a `seed` is what makes two layers differ. A `Built`
brings along what has to be in the registry with it: `blobs` (config and layers) and `manifests` (the children
of an index).
"""

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
COSIGN_SIGNATURE = "application/vnd.dev.cosign.simplesigning.v1+json"
SPDX = "application/spdx+json"
IN_TOTO = "application/vnd.in-toto+json"

CREATED = "2024-01-02T03:04:05Z"

Document: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Built:
    """Bytes with the facts that name them. `tag` is set where a tag belongs to the content (cosign's)."""

    data: bytes
    media_type: str
    digest: str
    size: int
    blobs: "tuple[Built, ...]" = ()
    manifests: "tuple[Built, ...]" = ()
    platform: Document | None = None  # an image's, as an index gives it
    diff_id: str | None = None  # a layer's
    tag: str | None = None

    @property
    def document(self) -> Document:
        """The JSON of a config or manifest, decoded afresh: change it at will."""
        document: Document = json.loads(self.data)
        return document

    def descriptor(self, **more: Any) -> Document:
        """How another document names this one; `more` are further fields, such as annotations."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, **more}


Content: TypeAlias = Built | Document  # a dict is a descriptor of content that nobody holds


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def make_blob(data: bytes, media_type: str = "application/octet-stream") -> Built:
    return Built(data, media_type, digest_of(data), len(data))


def make_json(document: Any, media_type: str, **facts: Any) -> Built:
    """Any document at all, valid or not, as the bytes that Go would write."""
    data = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return Built(data, media_type, digest_of(data), len(data), **facts)


EMPTY_CONFIG = make_blob(b"{}", OCI_EMPTY)
# The layer that Docker wrote for every instruction that changed no file: a gzipped empty tar, 32 bytes.
EMPTY_LAYER = Built(
    base64.b64decode("H4sIAAAJbogA/2IYBaNgFIxYAAgAAP//Lq+17wAEAAA="),
    DOCKER_LAYER,
    "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4",
    32,
    diff_id=digest_of(bytes(1024)),
)


def make_layer(seed: str = "layer", *, padding: int = 0, media_type: str = OCI_LAYER) -> Built:
    """A gzipped tar with one file: the seed and, to weigh more, `padding` bytes that do not compress."""
    content = seed.encode() + hashlib.shake_256(seed.encode()).digest(padding)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    tar = packed.getvalue()
    data = gzip.compress(tar, mtime=0)
    return Built(data, media_type, digest_of(data), len(data), diff_id=digest_of(tar))


def make_descriptor(seed: str, size: int = 1000, media_type: str = OCI_LAYER, **more: Any) -> Document:
    """The descriptor of content that need not exist, of any size: for sums, for foreign layers (`urls`)."""
    return {"mediaType": media_type, "digest": digest_of(seed.encode()), "size": size, **more}


def make_config(
    layers: Sequence[Content] = (),
    *,
    created: str | None = CREATED,
    os: str = "linux",
    architecture: str = "amd64",
    variant: str | None = None,
    history: Sequence[Document] | None = None,
    docker: bool = False,
    runtime: Mapping[str, Any] | None = None,
    **more: Any,
) -> Built:
    """An image's config: `runtime` is its inner object (Env, Cmd, Labels …), `more` further top-level fields.

    The history has one entry a layer unless another is given.
    """
    diff_ids = [_diff_id(layer) for layer in layers]
    if history is None:
        history = [{"created": CREATED, "created_by": f"COPY layer {n}"} for n in range(len(diff_ids))]
    document = {
        "created": created,
        "os": os,
        "architecture": architecture,
        "variant": variant,
        "config": dict(runtime or {}),
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": list(history),
        **more,
    }
    document = {name: value for name, value in document.items() if value is not None}
    platform = {name: document[name] for name in ("os", "architecture", "variant") if name in document}
    return make_json(document, DOCKER_CONFIG if docker else OCI_CONFIG, platform=platform)


def make_image(
    layers: Sequence[Content] | None = None,
    config: Content | None = None,
    *,
    annotations: Mapping[str, str] | None = None,
    subject: Content | None = None,
    artifact_type: str | None = None,
    docker: bool = False,
    **config_fields: Any,
) -> Built:
    """An image manifest, OCI's or Docker's schema 2; one small layer unless others are given.

    Without a config one is made for the layers from `config_fields` (the arguments of `make_config`).
    """
    if layers is None:
        layers = [make_layer(media_type=DOCKER_LAYER if docker else OCI_LAYER)]
    if config is None:
        config = make_config(layers, docker=docker, **config_fields)
    return _make_manifest(
        DOCKER_MANIFEST if docker else OCI_MANIFEST,
        {
            "artifactType": artifact_type,
            "config": _descriptor(config),
            "layers": [_descriptor(layer) for layer in layers],
            "subject": None if subject is None else _descriptor(subject),
            "annotations": None if annotations is None else dict(annotations),
        },
        blobs=_unique([config, *layers]),
        platform=config.platform if isinstance(config, Built) else None,
    )


def make_index(
    manifests: Sequence[Content],
    *,
    annotations: Mapping[str, str] | None = None,
    subject: Content | None = None,
    artifact_type: str | None = None,
    docker: bool = False,
) -> Built:
    """An image index or Docker manifest list; each child that is an image brings its platform along."""
    return _make_manifest(
        DOCKER_LIST if docker else OCI_INDEX,
        {
            "artifactType": artifact_type,
            "manifests": [_child(manifest) for manifest in manifests],
            "subject": None if subject is None else _descriptor(subject),
            "annotations": None if annotations is None else dict(annotations),
        },
        manifests=_unique(manifests),
    )


def make_artifact(
    artifact_type: str = "application/vnd.example.artifact",
    *,
    subject: Content | None = None,
    layers: Sequence[Content] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Built:
    """An artifact as the image-spec advises: artifactType, the empty config, a text blob if no others."""
    if layers is None:
        layers = [make_blob(artifact_type.encode(), "text/plain")]
    return make_image(
        layers, EMPTY_CONFIG, subject=subject, artifact_type=artifact_type, annotations=annotations
    )


def make_helm_chart(name: str = "chart", version: str = "0.1.0") -> Built:
    """A Helm chart as `helm push` writes it."""
    config = make_json({"name": name, "version": version, "apiVersion": "v2"}, HELM_CONFIG)
    chart = make_layer(f"{name}-{version}", media_type=HELM_CHART)
    return make_image([chart], config, annotations={"org.opencontainers.image.title": name})


def make_signature(image: Built) -> Built:
    """A signature as cosign 2 pushes it: no subject, but `tag` says what is signed."""
    claim = {
        "critical": {
            "image": {"docker-manifest-digest": image.digest},
            "type": "cosign container image signature",
        }
    }
    payload = make_json(claim, COSIGN_SIGNATURE)
    layer = payload.descriptor(annotations={"dev.cosignproject.cosign/signature": "MEUCIQ=="})
    built = make_image([layer], make_config([payload]))
    return Built(
        built.data,
        built.media_type,
        built.digest,
        built.size,
        blobs=(*built.blobs, payload),
        tag=image.digest.replace(":", "-") + ".sig",
    )


def make_sbom(image: Built) -> Built:
    """An SPDX document that refers to the image."""
    document = make_json({"spdxVersion": "SPDX-2.3", "name": image.digest}, SPDX)
    return make_artifact(SPDX, subject=image, layers=[document])


def make_attestation(image: Built) -> Built:
    """A BuildKit attestation of the older shape, an image; `attestation_descriptor` lists it in an index."""
    statement = make_json({"_type": "https://in-toto.io/Statement/v0.1", "subject": [image.digest]}, IN_TOTO)
    layer = statement.descriptor(
        annotations={"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}
    )
    config = make_config([statement], os="unknown", architecture="unknown")
    built = make_image([layer], config)
    return Built(
        built.data,
        built.media_type,
        built.digest,
        built.size,
        blobs=(config, statement),
        platform={"os": "unknown", "architecture": "unknown"},
    )


def attestation_descriptor(attestation: Built, image: Built) -> Document:
    """How BuildKit lists an attestation among the children of an index."""
    annotations = {
        "vnd.docker.reference.digest": image.digest,
        "vnd.docker.reference.type": "attestation-manifest",
    }
    return attestation.descriptor(annotations=annotations, platform=attestation.platform)


def _make_manifest(media_type: str, fields: Document, **facts: Any) -> Built:
    document = {"schemaVersion": 2, "mediaType": media_type}
    document.update({name: value for name, value in fields.items() if value is not None})
    return make_json(document, media_type, **facts)


def _descriptor(content: Content) -> Document:
    return content.descriptor() if isinstance(content, Built) else content


def _child(content: Content) -> Document:
    if isinstance(content, Built) and content.platform is not None:
        return content.descriptor(platform=content.platform)
    return _descriptor(content)


def _diff_id(content: Content) -> str:
    if isinstance(content, Built):
        return content.diff_id or content.digest
    return digest_of(content["digest"].encode())


def _unique(contents: Sequence[Content]) -> tuple[Built, ...]:
    """What is held, each digest once, in order."""
    return tuple({content.digest: content for content in contents if isinstance(content, Built)}.values())

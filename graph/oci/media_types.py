"""Media types that decide something here, and the questions asked of them.

Rules of this file: constants and predicates over text. A type that is not listed is not an error anywhere; it
is a row like any other, of which less is known. Sources: image-spec media-types.md, distribution's schema
packages, Helm's pkg/registry/constants.go, cosign's SIGNATURE_SPEC.md, BuildKit's attestation-storage.md.
"""

from functools import lru_cache

OCI_IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_IMAGE_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
# Dropped from the image-spec before 1.1; Azure registries still hold some. It has blobs[] and no config.
OCI_ARTIFACT_MANIFEST = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

OCI_IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_IMAGE_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_PLUGIN_CONFIG = "application/vnd.docker.plugin.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
WASM_CONFIG = "application/vnd.wasm.config.v0+json"
WASM_CONFIG_V1 = "application/vnd.wasm.config.v1+json"

OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar"
DOCKER_FOREIGN_LAYER_GZIP = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
OCI_NONDISTRIBUTABLE_PREFIX = "application/vnd.oci.image.layer.nondistributable.v1.tar"
HELM_CHART_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

COSIGN_SIGNATURE_LAYER = "application/vnd.dev.cosign.simplesigning.v1+json"
COSIGN_SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"
COSIGN_SBOM = "application/vnd.dev.cosign.artifact.sbom.v1+json"
NOTATION_SIGNATURE = "application/vnd.cncf.notary.signature"
SIGSTORE_BUNDLE_PREFIX = (
    "application/vnd.dev.sigstore.bundle"  # followed by ".v0.3+json", "+json;version=0.2"
)
IN_TOTO = "application/vnd.in-toto+json"
DSSE_ENVELOPE = "application/vnd.dsse.envelope.v1+json"
DOCKER_ATTESTATION = "application/vnd.docker.attestation.manifest.v1+json"

IMAGE_MANIFEST_TYPES = frozenset({OCI_IMAGE_MANIFEST, DOCKER_MANIFEST})
IMAGE_INDEX_TYPES = frozenset({OCI_IMAGE_INDEX, DOCKER_MANIFEST_LIST})
SCHEMA1_TYPES = frozenset({DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED})
# Those in which everything is read.
READ_TYPES = IMAGE_MANIFEST_TYPES | IMAGE_INDEX_TYPES
IMAGE_CONFIG_TYPES = frozenset({OCI_IMAGE_CONFIG, DOCKER_IMAGE_CONFIG})

SIGNATURE_TYPES = frozenset({COSIGN_SIGNATURE_LAYER, COSIGN_SIGNATURE, NOTATION_SIGNATURE})
ATTESTATION_TYPES = frozenset({IN_TOTO, DSSE_ENVELOPE, DOCKER_ATTESTATION})
SBOM_TYPES = frozenset(
    {
        "application/spdx+json",
        "text/spdx",
        "text/spdx+json",  # cosign attach sbom
        "text/spdx+xml",
        "application/vnd.cyclonedx",
        "application/vnd.cyclonedx+json",
        "application/vnd.cyclonedx+xml",
        "application/vnd.syft+json",
        COSIGN_SBOM,
    }
)
WASM_TYPES = frozenset(
    {WASM_CONFIG, WASM_CONFIG_V1, "application/wasm", "application/vnd.wasm.content.layer.v1+wasm"}
)

# What a reader accepts, in the order of preference. Without a match distribution 2.8 answers 404, `*/*`
# matches nothing there, and a list asked for by tag is silently replaced by its linux/amd64 child; hence all
# of them. Schema 1 is left out: its digest is not that of its bytes, and 2.8 would rewrite schema 2 into it.
MANIFEST_TYPES: tuple[str, ...] = (
    OCI_IMAGE_INDEX,
    OCI_IMAGE_MANIFEST,
    DOCKER_MANIFEST_LIST,
    DOCKER_MANIFEST,
    OCI_ARTIFACT_MANIFEST,
)


def is_image_config(media_type: str) -> bool:
    """Whether a config of this type may be parsed; any other is opaque (image-spec, manifest.md)."""
    return media_type in IMAGE_CONFIG_TYPES


@lru_cache(maxsize=256)  # asked of every layer several times, of a handful of types
def is_foreign_layer(media_type: str) -> bool:
    """Whether a registry need not keep layers of this type (Docker's foreign, OCI's non-distributable)."""
    return media_type.startswith(OCI_NONDISTRIBUTABLE_PREFIX) or media_type in (
        DOCKER_FOREIGN_LAYER,
        DOCKER_FOREIGN_LAYER_GZIP,
    )


def strip_parameters(content_type: str) -> str:
    """The media type of a Content-Type header: lower case, without parameters such as `; charset=utf-8`."""
    return content_type.partition(";")[0].strip().lower()

"""The content of one registry: blobs, layers on shared bases, manifests over them.

Rules of this file: rows of content tables only, with keys rising in the order of first sight; who holds what
is `population.py`'s, what follows from both `derivation.py`'s. Memory does not grow with the registry.

Documents (raw manifests and configs) would make the store several times as large, and no list reads them:
images have them, as large as real ones, only while `has_documents` is set. Digests are those of the bytes
then, and random numbers otherwise.
"""

from collections.abc import Sequence
from itertools import count
from random import Random
from typing import Any, NamedTuple, Protocol

from benchmarks import model
from benchmarks.documents import draw_digest, make_config, make_manifest
from graph.oci import media_types
from graph.oci.digest import EMPTY_DESCRIPTOR_DIGEST, compute_digest
from graph.store.tables import moment_of

SECOND = 1_000_000
DAY = 86_400 * SECOND
# 2026-01-01T00:00:00Z in microseconds, when the crawl began; images are up to eight years older.
BEGAN_AT = 1_767_225_600 * SECOND
OLDEST = BEGAN_AT - 8 * 365 * DAY

SBOM_TYPE = "application/spdx+json"
GZIPPED_EMPTY_TAR = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4"
ATTESTATION_ANNOTATIONS = '{"vnd.docker.reference.type":"attestation-manifest"}'

Platform = tuple[str | None, str | None, str | None]
NO_PLATFORM: Platform = (None, None, None)
UNKNOWN_PLATFORM: Platform = ("unknown", "unknown", None)

# What each row has, in this order; other columns keep their defaults.
COLUMNS = {
    "blob": "id registry_id digest size is_size_verified is_layer is_empty",
    "document": "blob_id data",
    "media_type": "id name",
    "manifest": "blob_id media_type schema_version form kind artifact_type config_id subject_id os "
    "architecture variant created_at content_bytes child_count first_seen_at",
    "manifest_layer": "manifest_id position blob_id media_type_id claimed_size",
    "manifest_child": "manifest_id position child_id media_type_id claimed_size os architecture variant "
    "is_attestation annotations",
}


class Sink(Protocol):
    """Where rows go."""

    def add(self, table: str, *values: Any) -> None:
        """Take one row, its values in the order of COLUMNS."""


class Blob(NamedTuple):
    """A blob, with the size that everybody claims it has."""

    key: int
    size: int
    digest: str


class Form(NamedTuple):
    """What a manifest without children says that it is."""

    kind: str
    media_type: str
    config_type: str
    layer_type: str


OCI = media_types.OCI_IMAGE_MANIFEST
DOCKER_IMAGE = Form(
    "IMAGE",
    media_types.DOCKER_MANIFEST,
    media_types.DOCKER_IMAGE_CONFIG,
    media_types.DOCKER_LAYER_GZIP,
)
OCI_IMAGE = Form("IMAGE", OCI, media_types.OCI_IMAGE_CONFIG, media_types.OCI_LAYER_GZIP)
CHART = Form("HELM_CHART", OCI, media_types.HELM_CONFIG, media_types.HELM_CHART_LAYER)
ATTESTATION = Form("ATTESTATION", OCI, media_types.OCI_IMAGE_CONFIG, media_types.IN_TOTO)
SIGNATURE = Form("SIGNATURE", OCI, media_types.OCI_IMAGE_CONFIG, media_types.COSIGN_SIGNATURE_LAYER)
SBOM = Form("SBOM", OCI, media_types.OCI_EMPTY, SBOM_TYPE)


class Manifest(NamedTuple):
    """A manifest that was put, and what artifacts copy of it."""

    blob: Blob
    content: frozenset[Blob]
    kind: str
    artifact_type: str | None
    platform: Platform
    created_at: int | None

    @property
    def size(self) -> int:
        """The bytes of its own content, each digest once."""
        return sum(blob.size for blob in self.content)


class Images:
    """Draws images and what is beside them, and gives the rows of their content to a sink."""

    def __init__(self, random: Random, sink: Sink, registry_id: int) -> None:
        self.has_documents = False  # of the images put from now on
        self.at = BEGAN_AT  # when what is put from now on is first seen
        self._random = random
        self._sink = sink
        self._registry_id = registry_id
        self._blob_keys = count(1)
        self._types: dict[str, int] = {}
        self._bases = model.Bases(random)
        self._base_layers: list[Blob | None] = [None] * self._bases.layer_count
        self._empty_layer: Blob | None = None
        self._empty_config: Blob | None = None
        self._sibling: tuple[str | None, tuple[Blob, ...]] = (None, ())

    def draw_layers(self, namespace: str | None) -> tuple[Blob, ...]:
        """Return the layers of an image that is not a new release of another."""
        random = self._random
        wanted = model.LAYERS_PER_IMAGE.draw(random)
        layers = self._draw_shared(namespace)
        own = max(wanted - len(layers), 1)
        empty: set[int] = set()
        if random.random() < model.IMAGES_WITH_EMPTY_LAYER:
            empty.update(random.sample(range(own), max(1, round(own * random.random() * 0.7))))
        for position in range(own):
            layers.append(self._get_empty_layer() if position in empty else self.add_layer())
        self._sibling = (namespace, tuple(layers))
        return tuple(layers)

    def _draw_shared(self, namespace: str | None) -> list[Blob]:
        random = self._random
        namespace_before, layers = self._sibling
        is_sibling = namespace is not None and namespace_before == namespace
        if is_sibling and random.random() < model.IMAGES_LIKE_THEIR_SIBLING:
            return list(layers[: max(1, len(layers) - random.randint(1, 4))])
        if random.random() < model.IMAGES_WITH_BASE:
            return [self._get_base_layer(number) for number in self._bases.draw(random)]
        return []

    def draw_release(self, before: Sequence[Blob]) -> tuple[Blob, ...]:
        """Return the layers of the next release of an image: its last ones are new."""
        replaced = min(self._random.randint(1, 3), len(before))
        return (*before[:-replaced], *(self.add_layer() for _ in range(replaced)))

    def draw_variant(self, of: Sequence[Blob]) -> tuple[Blob, ...]:
        """Return the layers of the same image for another platform: only the lowest is the same."""
        return (of[0], *(self.add_layer() for _ in of[1:]))

    def _get_base_layer(self, number: int) -> Blob:
        layer = self._base_layers[number]
        if layer is None:
            layer = self._base_layers[number] = self.add_layer(model.BASE_LAYER_BYTES.draw(self._random))
        return layer

    def _get_empty_layer(self) -> Blob:
        if self._empty_layer is None:
            self._empty_layer = self._add_blob(32, GZIPPED_EMPTY_TAR, is_layer=True, is_empty=True)
        return self._empty_layer

    def _get_empty_config(self) -> Blob:
        if self._empty_config is None:
            digest = EMPTY_DESCRIPTOR_DIGEST
            self._empty_config = self._add_blob(2, digest, is_verified=True, is_empty=True)
        return self._empty_config

    def add_layer(self, size: int | None = None) -> Blob:
        """Add a layer that nothing lists yet."""
        if size is None:
            size = model.LAYER_BYTES.draw(self._random)
        return self._add_blob(size, draw_digest(self._random), is_layer=True)

    def _add_blob(
        self,
        size: int,
        digest: str,
        *,
        is_verified: bool = False,
        is_layer: bool = False,
        is_empty: bool = False,
    ) -> Blob:
        blob = Blob(next(self._blob_keys), size, digest)
        self._sink.add("blob", blob.key, self._registry_id, digest, size, is_verified, is_layer, is_empty)
        return blob

    def _add_document(self, data: bytes) -> Blob:
        blob = self._add_blob(len(data), compute_digest(data), is_verified=True)
        self._sink.add("document", blob.key, data)
        return blob

    def put_image(
        self,
        form: Form,
        layers: Sequence[Blob],
        platform: Platform = NO_PLATFORM,
        subject: Blob | None = None,
    ) -> Manifest:
        """Put a manifest over these layers, with a config of its own."""
        random = self._random
        created_at = random.randrange(OLDEST, BEGAN_AT) if form.kind == "IMAGE" else None
        if form is DOCKER_IMAGE and self.has_documents:
            config, blob = self._put_documents(layers, platform, created_at or BEGAN_AT)
        else:
            if form.config_type == media_types.OCI_EMPTY:
                config = self._get_empty_config()
            else:
                config_size = model.CONFIG_BYTES.draw(random)
                config = self._add_blob(config_size, draw_digest(random), is_verified=True)
            size = model.MANIFEST_BYTES + model.MANIFEST_BYTES_PER_LAYER * len(layers)
            blob = self._add_blob(size, draw_digest(random), is_verified=True)
        layer_type = self._type_key(form.layer_type)
        for position, layer in enumerate(layers):
            self._sink.add("manifest_layer", blob.key, position, layer.key, layer_type, layer.size)
        # By the manifest's own word, else by its config's type (image-spec, "artifactType").
        artifact_type = SBOM_TYPE if form is SBOM else form.config_type
        content = frozenset((blob, config, *layers))
        manifest = Manifest(blob, content, form.kind, artifact_type, platform, created_at)
        self._put_manifest(manifest, form.media_type, config, subject, 0)
        return manifest

    def _put_documents(
        self, layers: Sequence[Blob], platform: Platform, created_at: int
    ) -> tuple[Blob, Blob]:
        size = model.CONFIG_BYTES.draw(self._random)
        created = moment_of(created_at)
        assert created is not None
        config = self._add_document(
            make_config(self._random, len(layers), created.isoformat(), platform, size)
        )
        listed = [(layer.digest, layer.size) for layer in layers]
        return config, self._add_document(make_manifest(config.digest, config.size, listed))

    def put_index(self, children: Sequence[Manifest]) -> Manifest:
        """Put an index of these manifests; those of no platform that runs are attestations."""
        size = model.INDEX_BYTES + model.INDEX_BYTES_PER_CHILD * len(children)
        blob = self._add_blob(size, draw_digest(self._random), is_verified=True)
        child_type = self._type_key(OCI)
        for position, child in enumerate(children):
            is_attestation = child.platform == UNKNOWN_PLATFORM
            self._sink.add(
                "manifest_child",
                blob.key,
                position,
                child.blob.key,
                child_type,
                child.blob.size,
                *child.platform,
                is_attestation,
                ATTESTATION_ANNOTATIONS if is_attestation else None,
            )
        index = Manifest(blob, frozenset((blob,)), "INDEX", None, NO_PLATFORM, None)
        self._put_manifest(index, media_types.OCI_IMAGE_INDEX, None, None, len(children))
        return index

    def _put_manifest(
        self, manifest: Manifest, media_type: str, config: Blob | None, subject: Blob | None, children: int
    ) -> None:
        self._sink.add(
            "manifest",
            manifest.blob.key,
            media_type,
            2,
            "INDEX" if children else "IMAGE",
            manifest.kind,
            manifest.artifact_type,
            None if config is None else config.key,
            None if subject is None else subject.key,
            *manifest.platform,
            manifest.created_at,
            manifest.size,
            children,
            self.at,
        )

    def _type_key(self, name: str) -> int:
        key = self._types.get(name)
        if key is None:
            key = self._types[name] = len(self._types) + 1
            self._sink.add("media_type", key, name)
        return key

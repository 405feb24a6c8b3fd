"""Put manifests and configs: bytes that were verified, stored once per registry, never changed and never
fetched again.

Rules of this file: nothing here makes an artifact present; whoever saw one says so in `observations.py`.
Everything is put by digest, so repeating it is harmless. Documents are compressed by zstd, apart from what
is asked of them.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import zstandard
from sqlalchemy import Connection

from graph.errors import ContentError
from graph.oci.descriptor import Descriptor, Platform
from graph.oci.digest import Digest
from graph.oci.image import ImageSummary, summarize_image_config
from graph.oci.manifest import (
    ImageIndex,
    ImageManifest,
    Manifest,
    OtherManifest,
    content_of,
    created_annotation,
    is_attestation_child,
    kind_of,
)
from graph.oci.media_types import is_image_config
from graph.store.blobs import Facts, Mention, put_blobs
from graph.store.bulk import insert_rows, next_keys, read_column, read_rows, run, run_rows
from graph.store.changes import NewManifest
from graph.store.documents import decompress
from graph.store.listings import MAX_ANNOTATION_BYTES, UNKEPT_ANNOTATIONS
from graph.store.tables import (
    document,
    manifest,
    manifest_child,
    manifest_layer,
    media_type,
    microseconds_of,
)

# An ordinary manifest and its config take 46 µs where zstd's own default, 3, takes 60 µs and saves 2 % of
# their bytes: half of these are digests, which no level compresses.
COMPRESSION_LEVEL = 1
# Of zstd itself; the interpreter is not held meanwhile.
COMPRESSION_THREADS = 2


def known_manifests(db: Connection, registry_id: int, digests: Collection[Digest]) -> set[Digest]:
    """Return those of the digests whose manifest is stored: they need not be fetched."""
    return _known(db, registry_id, digests, "manifest")


def known_configs(db: Connection, registry_id: int, digests: Collection[Digest]) -> set[Digest]:
    """Return those of the digests whose config is stored: they need not be fetched."""
    return _known(db, registry_id, digests, "document")


def _known(db: Connection, registry_id: int, digests: Collection[Digest], table: str) -> set[Digest]:
    found = read_column(
        db,
        f"""
        SELECT b.digest
        FROM {{texts}} AS k
        CROSS JOIN blob AS b
        JOIN {table} AS stored ON stored.blob_id = b.id
        WHERE b.registry_id = :registry AND b.digest = k.value
        """,
        {"registry": registry_id},
        texts=digests,
    )
    return set(found)


def load_subjects(
    db: Connection, registry_id: int, digests: Collection[Digest]
) -> dict[Digest, Digest | None]:
    """Return what each of the digests whose manifest is stored names as its subject; None for no subject."""
    found = read_rows(
        db,
        """
        SELECT b.digest, s.digest
        FROM {texts} AS k
        CROSS JOIN blob AS b
        JOIN manifest AS m ON m.blob_id = b.id
        LEFT JOIN blob AS s ON s.id = m.subject_id
        WHERE b.registry_id = :registry AND b.digest = k.value
        """,
        {"registry": registry_id},
        texts=digests,
    )
    return dict(found)


def put_manifests(db: Connection, registry_id: int, manifests: Sequence[NewManifest], at: datetime) -> None:
    """Put the manifests with what they list, and the configs that came with them.

    A config that is stored already need not come again. One that comes later than manifests that name it
    completes them: platform and time of creation, on their artifacts too.
    """
    put_dated_manifests(db, registry_id, [(new, at) for new in manifests])


def put_dated_manifests(
    db: Connection, registry_id: int, manifests: Sequence[tuple[NewManifest, datetime]]
) -> None:
    """Put manifests as `put_manifests` does, each with the time it was seen at."""
    if not manifests:
        return
    keys = put_blobs(db, registry_id, (mention for new, _ in manifests for mention in _mentions(new)))
    by_key = {keys[new.manifest.digest]: new for new, _ in manifests}
    seen_at = {keys[new.manifest.digest]: microseconds_of(at) for new, at in reversed(manifests)}
    stored = "SELECT m.blob_id FROM {keys} AS k JOIN manifest AS m ON m.blob_id = k.value"
    fresh = {key: by_key[key] for key in by_key.keys() - set(read_column(db, stored, keys=by_key))}
    new_configs = _put_documents(db, by_key, keys)
    configs = {**new_configs, **_stored_configs(db, fresh, keys, new_configs)}
    _complete(db, new_configs)
    _insert_manifests(db, fresh, keys, configs, seen_at)


def _mentions(new: NewManifest) -> Iterator[Mention]:
    content = new.manifest
    yield content.digest, Facts(len(new.data), is_size_verified=True)
    if content.subject is not None:
        yield content.subject.digest, Facts(content.subject.size)
    config = _config_of(new)
    if config is not None:
        if new.config_data is not None:
            yield config.digest, Facts(len(new.config_data), is_size_verified=True)
        yield config.digest, Facts(config.size)
    for child in _children_of(content):
        yield child.digest, Facts(child.size)
    for layer in _layers_of(content):
        yield layer.digest, Facts(layer.size, is_layer=True, is_foreign=layer.is_foreign)


def _config_of(new: NewManifest) -> Descriptor | None:
    return new.manifest.config if isinstance(new.manifest, ImageManifest) else None


def _put_documents(
    db: Connection, manifests: Mapping[int, NewManifest], keys: Mapping[Digest, int]
) -> dict[int, ImageSummary]:
    """Put what bytes are not stored yet; return the image configs among them."""
    documents: dict[int, bytes] = {}
    configs: dict[int, ImageSummary] = {}
    for key, new in manifests.items():
        documents[key] = new.data
        config = _config_of(new)
        if config is not None and new.config_data is not None:
            documents[keys[config.digest]] = new.config_data
            if new.config is not None:
                configs[keys[config.digest]] = new.config
    known = set(
        read_column(
            db,
            "SELECT d.blob_id FROM {keys} AS k JOIN document AS d ON d.blob_id = k.value",
            keys=documents,
        )
    )
    fresh = {key: data for key, data in documents.items() if key not in known}
    rows = list(zip(fresh, _compress(tuple(fresh.values())), strict=True))
    insert_rows(db, document, ("blob_id", "data"), rows)
    return {key: config for key, config in configs.items() if key not in known}


def _compress(documents: Sequence[bytes]) -> Iterator[bytes]:
    """Compress each, in their order, all at once: what else the process does goes on meanwhile."""
    if not documents:
        return iter(())
    # Not shared between calls: a compressor serves one thread at a time.
    compressor = zstandard.ZstdCompressor(COMPRESSION_LEVEL)
    done = compressor.multi_compress_to_buffer(list(documents), threads=COMPRESSION_THREADS)
    return (done[place].tobytes() for place in range(len(done)))


def _stored_configs(
    db: Connection,
    manifests: Mapping[int, NewManifest],
    keys: Mapping[Digest, int],
    known: Mapping[int, ImageSummary],
) -> dict[int, ImageSummary]:
    """Return the image configs of the manifests that were stored before, read from their bytes."""
    named = [config for config in map(_config_of, manifests.values()) if config is not None]
    wanted = {keys[config.digest] for config in named if is_image_config(config.media_type)} - known.keys()
    found = read_rows(
        db,
        "SELECT d.blob_id, d.data FROM {keys} AS k JOIN document AS d ON d.blob_id = k.value",
        keys=wanted,
    )
    configs = {}
    for key, data in found:
        with suppress(ContentError):  # stored, and no config: shown as it is, never read
            configs[key] = summarize_image_config(decompress(data))
    return configs


def _complete(db: Connection, configs: Mapping[int, ImageSummary]) -> None:
    """Tell manifests that were put before their config, and the artifacts with them, what it says."""
    named = "SELECT m.config_id FROM {keys} AS k JOIN manifest AS m ON m.config_id = k.value"
    late = set(read_column(db, named, keys=configs))
    if not late:
        return
    run_rows(
        db,
        """
        UPDATE manifest
        SET os = ?, architecture = ?, variant = ?, os_version = ?, created_at = COALESCE(?, created_at)
        WHERE config_id = ?
        """,
        [(*_platform_of(configs[key]), microseconds_of(configs[key].created), key) for key in late],
    )
    run(
        db,
        """
        UPDATE artifact SET os = m.os, architecture = m.architecture, created_at = m.created_at
        FROM manifest AS m
        WHERE artifact.manifest_id = m.blob_id AND artifact.has_manifest
            AND m.config_id IN (SELECT value FROM {keys} AS k)
        """,
        keys=late,
    )


def _insert_manifests(
    db: Connection,
    manifests: Mapping[int, NewManifest],
    keys: Mapping[Digest, int],
    configs: Mapping[int, ImageSummary],
    seen_at: Mapping[int, int],
) -> None:
    rows, layers, children = [], [], []
    types = _put_media_types(
        db, {listed.media_type for new in manifests.values() for listed in _listed(new.manifest)}
    )
    for key, new in manifests.items():
        rows.append(_manifest_row(key, new, keys, configs, seen_at[key]))
        for position, layer in enumerate(_layers_of(new.manifest)):
            layers.append(_layer_row(key, position, layer, keys, types))
        for position, child in enumerate(_children_of(new.manifest)):
            children.append(_child_row(key, position, child, keys, types))
    insert_rows(db, manifest, _MANIFEST_COLUMNS, rows)
    insert_rows(db, manifest_layer, _LAYER_COLUMNS, layers)
    insert_rows(db, manifest_child, _CHILD_COLUMNS, children)


def _put_media_types(db: Connection, names: Collection[str]) -> dict[str, int]:
    found = "SELECT t.name, t.id FROM {texts} AS k JOIN media_type AS t ON t.name = k.value"
    types: dict[str, int] = dict(read_rows(db, found, texts=names))
    new = [name for name in names if name not in types]
    types.update(zip(new, next_keys(db, media_type, len(new)), strict=True))
    insert_rows(db, media_type, ("name", "id"), [(name, types[name]) for name in new])
    return types


def _layers_of(content: Manifest) -> tuple[Descriptor, ...]:
    if isinstance(content, ImageManifest):
        return content.layers
    return content.blobs if isinstance(content, OtherManifest) else ()


def _children_of(content: Manifest) -> tuple[Descriptor, ...]:
    return content.manifests if isinstance(content, ImageIndex) else ()


def _listed(content: Manifest) -> tuple[Descriptor, ...]:
    return _layers_of(content) or _children_of(content)


_MANIFEST_COLUMNS = (
    "blob_id",
    "media_type",
    "schema_version",
    "form",
    "kind",
    "artifact_type",
    "config_id",
    "subject_id",
    "os",
    "architecture",
    "variant",
    "os_version",
    "created_at",
    "annotations",
    "content_bytes",
    "child_count",
    "first_seen_at",
)
_LAYER_COLUMNS = ("manifest_id", "position", "blob_id", "media_type_id", "claimed_size", "annotations")
_CHILD_COLUMNS = (
    "manifest_id",
    "position",
    "child_id",
    "media_type_id",
    "claimed_size",
    "os",
    "architecture",
    "variant",
    "os_version",
    "is_attestation",
    "annotations",
)


def _manifest_row(
    key: int, new: NewManifest, keys: Mapping[Digest, int], configs: Mapping[int, ImageSummary], at: int
) -> tuple[Any, ...]:
    content = new.manifest
    config = _config_of(new)
    config_key = None if config is None else keys[config.digest]
    image = None if config_key is None else configs.get(config_key)
    created = None if image is None else image.created
    form = "OTHER"
    if isinstance(content, ImageManifest | ImageIndex):
        form = "IMAGE" if isinstance(content, ImageManifest) else "INDEX"
    return (
        key,
        content.media_type,
        content.schema_version,
        form,
        kind_of(content).value,
        content.artifact_type,
        config_key,
        None if content.subject is None else keys[content.subject.digest],
        *_platform_of(image),
        microseconds_of(created or created_annotation(content)),
        _annotations(content.annotations),
        # By what this document claims; set anew by what is known of the blobs when an artifact has it
        # (sizes.py).
        len(new.data) + sum(listed.size for listed in content_of(content)),
        len(_children_of(content)),
        at,
    )


def _layer_row(
    key: int, position: int, layer: Descriptor, keys: Mapping[Digest, int], types: Mapping[str, int]
) -> tuple[Any, ...]:
    return (
        key,
        position,
        keys[layer.digest],
        types[layer.media_type],
        layer.size,
        _annotations(layer.annotations),
    )


def _child_row(
    key: int, position: int, child: Descriptor, keys: Mapping[Digest, int], types: Mapping[str, int]
) -> tuple[Any, ...]:
    return (
        key,
        position,
        keys[child.digest],
        types[child.media_type],
        child.size,
        *_platform_of(child.platform),
        int(is_attestation_child(child)),
        _annotations(child.annotations),
    )


def _platform_of(
    source: ImageSummary | Platform | None,
) -> tuple[str | None, str | None, str | None, str | None]:
    if source is None:
        return (None, None, None, None)
    return (source.os, source.architecture, source.variant, source.os_version)


def _annotations(annotations: Mapping[str, str]) -> str | None:
    if not annotations:
        return None
    text = json.dumps(annotations, ensure_ascii=False, separators=(",", ":"))
    return text if len(text.encode()) <= MAX_ANNOTATION_BYTES else UNKEPT_ANNOTATIONS

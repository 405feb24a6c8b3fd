"""Read manifests: their facts, their entries, and the exact bytes of them and of their configs.

Rules of this file: each function runs one statement, whatever the number of keys, and answers in their order.
A manifest's key is its blob's; the same manifest in two repositories is one (concept C6), and is seen by whom
sees an artifact that has it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select, true, type_coerce

from graph.errors import QueryTooCostlyError
from graph.store.documents import decompress
from graph.store.keys import key_set, pair_set
from graph.store.listings import Choice, Join, Listing, Pairs, load_rows
from graph.store.rows import ManifestChildRow, ManifestForm, ManifestLayerRow, ManifestRow
from graph.store.tables import (
    artifact,
    blob,
    document,
    manifest,
    manifest_child,
    manifest_layer,
    media_type,
)
from graph.store.visibility import Visibility

# Entries that one read may give. One manifest has at most 10,000 (`graph.oci.manifest`), and a query's budget
# of nodes is far less; this only keeps a page of a hundred hostile ones from becoming a million rows.
MAX_ENTRIES = 100_000

# Bytes of documents that one read may give: they are in memory all together.
MAX_BYTES = 64 * 1024 * 1024

_LISTING = Listing(
    ManifestRow,
    (
        manifest.c.blob_id,
        blob.c.registry_id,
        blob.c.digest,
        manifest.c.media_type,
        blob.c.size,
        manifest.c.schema_version,
        type_coerce(manifest.c.form, Choice(ManifestForm)),
        manifest.c.artifact_type,
        type_coerce(manifest.c.annotations, Pairs()),
    ),
    manifest,
    manifest.c.blob_id,
    (Join(blob, blob.c.id == manifest.c.blob_id),),
)


def load_manifests(db: Connection, visibility: Visibility, keys: Sequence[int]) -> list[ManifestRow | None]:
    """Return the manifest of each key; None where its bytes are not stored."""
    return load_rows(db, keys, _LISTING, _is_visible(visibility, manifest.c.blob_id))


def load_manifest_layers(
    db: Connection, visibility: Visibility, manifest_keys: Sequence[int], limit: int = MAX_ENTRIES
) -> list[list[ManifestLayerRow]]:
    """Return the layers of each manifest, in its order; none for one that is not stored, or is an index.

    Raises QueryTooCostlyError if they are more than `limit`, all together.
    """
    keys = key_set(db, manifest_keys)
    statement = (
        select(
            manifest_layer.c.manifest_id,
            manifest_layer.c.position,
            media_type.c.name,
            blob.c.digest,
            func.coalesce(manifest_layer.c.claimed_size, blob.c.size),
            manifest_layer.c.blob_id,
            type_coerce(manifest_layer.c.annotations, Pairs()),
        )
        .select_from(
            keys.source.join(manifest_layer, manifest_layer.c.manifest_id == keys.value)
            .join(blob, blob.c.id == manifest_layer.c.blob_id)
            .join(media_type, media_type.c.id == manifest_layer.c.media_type_id)
        )
        .where(_is_visible(visibility, manifest_layer.c.manifest_id))
        .limit(limit + 1)
    )
    found: dict[int, list[ManifestLayerRow]] = {key: [] for key in manifest_keys}
    for record in _within(limit, db.execute(statement).all()):
        found[record[0]].append(ManifestLayerRow(*record))
    return [sorted(found[key], key=lambda row: row.position) for key in manifest_keys]


def load_manifest_children(
    db: Connection, visibility: Visibility, manifests: Sequence[tuple[int, int]], limit: int = MAX_ENTRIES
) -> list[list[ManifestChildRow]]:
    """Return the entries of each index, in its order, with the present artifact each is in that repository.

    `manifests` are pairs of a manifest's key and a repository's.

    Raises QueryTooCostlyError if the entries are more than `limit`, all together.
    """
    wanted = pair_set(db, manifests)
    statement = (
        select(
            wanted.second,
            manifest_child.c.manifest_id,
            manifest_child.c.position,
            media_type.c.name,
            blob.c.digest,
            func.coalesce(manifest_child.c.claimed_size, blob.c.size),
            manifest_child.c.os,
            manifest_child.c.architecture,
            manifest_child.c.variant,
            manifest_child.c.os_version,
            manifest_child.c.is_attestation,
            type_coerce(manifest_child.c.annotations, Pairs()),
            artifact.c.id,
        )
        .select_from(
            wanted.source.join(manifest_child, manifest_child.c.manifest_id == wanted.first)
            .join(blob, blob.c.id == manifest_child.c.child_id)
            .join(media_type, media_type.c.id == manifest_child.c.media_type_id)
            .outerjoin(
                artifact,
                and_(
                    artifact.c.repository_id == wanted.second,
                    artifact.c.manifest_id == manifest_child.c.child_id,
                    artifact.c.absent_at.is_(None),
                ),
            )
        )
        .where(visibility.restrict(wanted.second))
        .limit(limit + 1)
    )
    found: dict[tuple[int, int], list[ManifestChildRow]] = {pair: [] for pair in manifests}
    for repository_key, *fields in _within(limit, db.execute(statement).all()):
        found[(fields[0], repository_key)].append(ManifestChildRow(*fields))
    return [sorted(found[pair], key=lambda row: row.position) for pair in manifests]


def load_documents(
    db: Connection, visibility: Visibility, manifest_keys: Sequence[int], limit: int = MAX_BYTES
) -> list[bytes | None]:
    """Return the exact bytes of each manifest; None where they are not stored.

    Raises QueryTooCostlyError if they are more than `limit` bytes, all together.
    """
    return _load_bytes(db, visibility, manifest_keys, manifest.c.blob_id, limit)


def load_configs(
    db: Connection, visibility: Visibility, manifest_keys: Sequence[int], limit: int = MAX_BYTES
) -> list[bytes | None]:
    """Return the exact bytes of each manifest's config; None where it names none, or none is stored.

    Raises QueryTooCostlyError if they are more than `limit` bytes, all together.
    """
    return _load_bytes(db, visibility, manifest_keys, manifest.c.config_id, limit)


def _load_bytes(
    db: Connection, visibility: Visibility, keys: Sequence[int], of: ColumnElement[Any], limit: int
) -> list[bytes | None]:
    wanted = key_set(db, keys)
    statement = (
        select(manifest.c.blob_id, document.c.data)
        .select_from(manifest.join(document, document.c.blob_id == of))
        .where(
            manifest.c.blob_id.in_(select(wanted.value).select_from(wanted.source)),
            _is_visible(visibility, manifest.c.blob_id),
        )
    )
    found: dict[int, bytes] = {}
    total = 0
    for key, data in db.execute(statement):
        found[key] = decompress(data)
        total += len(found[key])
        if total > limit:
            raise QueryTooCostlyError(total, limit, "bytes of documents")
    return [found.get(key) for key in keys]


def _is_visible(visibility: Visibility, manifest_id: ColumnElement[int]) -> ColumnElement[bool]:
    if visibility.is_everything:
        return true()
    having = artifact.alias("having")
    return exists().where(having.c.manifest_id == manifest_id, visibility.restrict(having.c.repository_id))


def _within(limit: int, records: Sequence[Any]) -> Sequence[Any]:
    if len(records) > limit:
        raise QueryTooCostlyError(len(records), limit)
    return records

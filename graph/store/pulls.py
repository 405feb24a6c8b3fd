"""Read what pulls are worked out from: the entries of indexes, and the documents and layers of images.

Rules of this file: each function runs one statement, or two where it says so, whatever the number of keys.
What is fetched and what is there already is decided by `oci.pull`; here is only what the store knows.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    false,
    func,
    select,
    type_coerce,
)

from graph.errors import ContentError, QueryTooCostlyError
from graph.oci.descriptor import Platform
from graph.oci.digest import Digest
from graph.oci.image import parse_image_config
from graph.oci.media_types import IMAGE_INDEX_TYPES
from graph.oci.pull import MAX_ENTRIES
from graph.store.keys import PairSet, key_set, pair_set
from graph.store.listings import Choice
from graph.store.manifests import load_configs
from graph.store.rows import ManifestForm
from graph.store.tables import artifact, blob, manifest, manifest_child, manifest_layer, media_type
from graph.store.visibility import Visibility

_child = artifact.alias("child")
_below = manifest.alias("below")
_config = blob.alias("config")


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """An entry of an index. `platform` is the entry's own, else what its manifest's config tells.

    Without `artifact_key` the repository does not hold it; without `has_manifest` its manifest is not known,
    and `error_code` says why where somebody does.
    """

    manifest_key: int
    digest: Digest
    platform: Platform | None
    is_index: bool
    artifact_key: int | None
    has_manifest: bool
    error_code: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer of an image. `size` is what counts of it everywhere, else what this manifest claims."""

    position: int
    key: int
    digest: Digest
    size: int | None


@dataclass(frozen=True, slots=True)
class StoredImage:
    """What is pulled with one manifest: its document, its config's, and its layers from the lowest."""

    key: int
    media_type: str
    form: ManifestForm
    digest: Digest
    size: int | None
    config_digest: Digest | None
    config_size: int | None
    layers: list[StoredLayer] = field(default_factory=list)


def load_index_entries(
    db: Connection, visibility: Visibility, indexes: Sequence[tuple[int, int]], limit: int = MAX_ENTRIES
) -> dict[tuple[int, int], list[IndexEntry]]:
    """Return the entries of each index and of every index below it, but for attestations.

    `indexes`, and the keys of what is returned, are pairs of a repository's key and a manifest's. Indexes
    that list each other are read once.

    Raises QueryTooCostlyError if the entries are more than `limit`, all together.
    """
    statement = _entries_within(pair_set(db, indexes), visibility).limit(limit + 1)
    records = db.execute(statement).all()
    if len(records) > limit:
        raise QueryTooCostlyError(len(records), limit, "entries of indexes")
    found: dict[tuple[int, int], list[IndexEntry]] = {}
    for repository_key, index_key, _, key, digest, type_name, *facts in sorted(
        records, key=itemgetter(0, 1, 2)
    ):
        own, told, (form, artifact_key, has_manifest, *error) = facts[:4], facts[4:8], facts[8:]
        found.setdefault((repository_key, index_key), []).append(
            IndexEntry(
                key,
                digest,
                _platform(own) or _platform(told),
                form is ManifestForm.INDEX or (form is None and type_name in IMAGE_INDEX_TYPES),
                artifact_key,
                bool(has_manifest),
                *error,
            )
        )
    return found


def _entries_within(wanted: PairSet, visibility: Visibility) -> Select[Any]:
    within = (
        select(wanted.first.label("repository_id"), wanted.second.label("manifest_id"))
        .select_from(wanted.source)
        .where(visibility.restrict(wanted.first))
        .cte("within", recursive=True)
    )
    entry = manifest_child.alias("entry")
    nested = (
        select(within.c.repository_id, entry.c.child_id)
        .select_from(
            within.join(entry, entry.c.manifest_id == within.c.manifest_id)
            .join(_below, and_(_below.c.blob_id == entry.c.child_id, _below.c.form == ManifestForm.INDEX))
            .join(_child, _is_held(within, entry))
        )
        .where(entry.c.is_attestation == false())
    )
    within = within.union(nested)
    return (
        select(
            within.c.repository_id,
            manifest_child.c.manifest_id,
            manifest_child.c.position,
            manifest_child.c.child_id,
            blob.c.digest,
            media_type.c.name,
            *_platform_columns(manifest_child),
            *_platform_columns(_below),
            type_coerce(_below.c.form, Choice(ManifestForm)),
            _child.c.id,
            _child.c.has_manifest,
            _child.c.error_code,
            _child.c.error_message,
        )
        .select_from(
            within.join(manifest_child, manifest_child.c.manifest_id == within.c.manifest_id)
            .join(blob, blob.c.id == manifest_child.c.child_id)
            .join(media_type, media_type.c.id == manifest_child.c.media_type_id)
            .outerjoin(_child, _is_held(within, manifest_child))
            .outerjoin(_below, _below.c.blob_id == manifest_child.c.child_id)
        )
        .where(manifest_child.c.is_attestation == false())
    )


def _is_held(within: CTE, entry: FromClause) -> ColumnElement[bool]:
    """The condition that the repository of the index holds what the entry lists."""
    return and_(
        _child.c.repository_id == within.c.repository_id,
        _child.c.manifest_id == entry.c.child_id,
        _child.c.absent_at.is_(None),
    )


def _platform_columns(table: FromClause) -> list[ColumnElement[Any]]:
    return [table.c.os, table.c.architecture, table.c.variant, table.c.os_version]


def _platform(parts: Sequence[str | None]) -> Platform | None:
    os, architecture, variant, os_version = parts
    return None if os is None and architecture is None else Platform(os, architecture, variant, os_version)


def load_images(
    db: Connection, visibility: Visibility, manifest_keys: Collection[int], limit: int = MAX_ENTRIES
) -> dict[int, StoredImage]:
    """Return what is pulled with each manifest, in two statements; nothing for one that is not stored.

    Who may see it is decided by whoever found the keys in a repository.

    Raises QueryTooCostlyError if the layers are more than `limit`, all together.
    """
    keys = key_set(db, list(manifest_keys))
    facts = select(
        manifest.c.blob_id,
        manifest.c.media_type,
        type_coerce(manifest.c.form, Choice(ManifestForm)),
        blob.c.digest,
        blob.c.size,
        _config.c.digest,
        _config.c.size,
    ).select_from(
        keys.source.join(manifest, manifest.c.blob_id == keys.value)
        .join(blob, blob.c.id == manifest.c.blob_id)
        .outerjoin(_config, _config.c.id == manifest.c.config_id)
    )
    images = {record[0]: StoredImage(*record) for record in db.execute(facts)}
    keys = key_set(db, list(images))
    layers = (
        select(
            manifest_layer.c.manifest_id,
            manifest_layer.c.position,
            manifest_layer.c.blob_id,
            blob.c.digest,
            func.coalesce(blob.c.size, manifest_layer.c.claimed_size),
        )
        .select_from(
            keys.source.join(manifest_layer, manifest_layer.c.manifest_id == keys.value).join(
                blob, blob.c.id == manifest_layer.c.blob_id
            )
        )
        .limit(limit + 1)
    )
    records = db.execute(layers).all()
    if len(records) > limit:
        raise QueryTooCostlyError(len(records), limit, "layers")
    for key, *layer in sorted(records, key=itemgetter(0, 1)):
        images[key].layers.append(StoredLayer(*layer))
    return images


def load_diff_ids(
    db: Connection, visibility: Visibility, manifest_keys: Sequence[int], limit: int
) -> tuple[Mapping[int, Sequence[Digest]], int]:
    """Return the DiffIDs that each manifest's config lists, and how many bytes of configs were read.

    A manifest whose config is not stored, or cannot be read, has none.

    Raises QueryTooCostlyError if the configs are more than `limit` bytes, all together.
    """
    found: dict[int, Sequence[Digest]] = {}
    size = 0
    for key, data in zip(manifest_keys, load_configs(db, visibility, manifest_keys, limit), strict=True):
        if data is not None:
            size += len(data)
            with suppress(ContentError):
                found[key] = parse_image_config(data).diff_ids
    return found, size

"""Put blobs: one row per registry and digest, whatever names it and however often.

Rules of this file: a size that was verified stands against every claim, among claims the first one stands,
and a second, different size marks the blob; it is never counted twice. A blob is a layer once a manifest
lists it as one. It is foreign only while everything that names it does so as a foreign layer. When what is
known of a blob that is in use changes, the sums it is in are changed with it (`counters.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from graph.oci.digest import EMPTY_DIGESTS, Digest
from graph.store.bulk import insert_rows, next_keys, read_rows, run_rows
from graph.store.counters import BlobChange, count_blob_changes
from graph.store.tables import blob

_COLUMNS = ("size", "is_size_verified", "has_size_conflict", "is_layer", "is_foreign")


@dataclass(frozen=True, slots=True)
class Mention:
    """How somebody names a blob. `is_verified`: its bytes were held and counted."""

    digest: Digest
    size: int | None = None
    is_verified: bool = False
    is_layer: bool = False
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a blob."""

    size: int | None = None
    is_size_verified: bool = False
    has_size_conflict: bool = False
    is_layer: bool = False
    is_foreign: bool = False

    @property
    def stored_bytes(self) -> int:
        """What the registry keeps for it."""
        return 0 if self.is_foreign else self.size or 0

    def learn(self, mention: Mention) -> "Facts":
        """Return what is known after one more mention."""
        size, has_conflict = self.size, self.has_size_conflict
        if mention.size is not None and mention.size != size:
            has_conflict = has_conflict or size is not None
            if size is None or (mention.is_verified and not self.is_size_verified):
                size = mention.size
        return Facts(
            size,
            self.is_size_verified or mention.is_verified,
            has_conflict,
            self.is_layer or mention.is_layer,
            self.is_foreign and mention.is_foreign,
        )


def put_blobs(db: Connection, registry_id: int, mentions: Iterable[Mention]) -> dict[Digest, int]:
    """Put every blob that is mentioned; return the key of each digest."""
    by_digest: dict[Digest, list[Mention]] = {}
    for mention in mentions:
        by_digest.setdefault(mention.digest, []).append(mention)
    keys: dict[Digest, int] = {}
    changes: list[BlobChange] = []
    updates: list[tuple[int | None, bool, bool, bool, bool, int]] = []
    for key, digest, *columns in _load(db, registry_id, by_digest):
        keys[digest] = key
        before = Facts(columns[0], *map(bool, columns[1:]))
        after = _learn(before, by_digest[digest])
        if after != before:
            updates.append((*_values(after), key))
            changes.append(
                BlobChange(
                    key,
                    size=(after.size or 0) - (before.size or 0),
                    stored=after.stored_bytes - before.stored_bytes,
                    layer=after.is_layer - before.is_layer,
                )
            )
    new = [digest for digest in by_digest if digest not in keys]
    rows = []
    for key, digest in zip(next_keys(db, blob, len(new)), new, strict=True):
        keys[digest] = key
        first = by_digest[digest][0]
        facts = _learn(Facts(is_foreign=first.is_foreign), by_digest[digest])
        rows.append((key, registry_id, digest, digest in EMPTY_DIGESTS, *_values(facts)))
    insert_rows(db, blob, ("id", "registry_id", "digest", "is_empty", *_COLUMNS), rows)
    run_rows(db, f"UPDATE blob SET {' = ?, '.join(_COLUMNS)} = ? WHERE id = ?", updates)
    count_blob_changes(db, registry_id, changes)
    return keys


def _load(
    db: Connection, registry_id: int, digests: Iterable[Digest]
) -> Iterable[tuple[int, Digest, int | None, int, int, int, int]]:
    columns = ", ".join(f"b.{name}" for name in _COLUMNS)
    return read_rows(
        db,
        f"SELECT b.id, b.digest, {columns} FROM {{texts}} AS k "
        "JOIN blob AS b ON b.registry_id = :registry AND b.digest = k.value",
        {"registry": registry_id},
        texts=digests,
    )


def _learn(facts: Facts, mentions: Iterable[Mention]) -> Facts:
    for mention in mentions:
        facts = facts.learn(mention)
    return facts


def _values(facts: Facts) -> tuple[int | None, bool, bool, bool, bool]:
    return (
        facts.size,
        facts.is_size_verified,
        facts.has_size_conflict,
        facts.is_layer,
        facts.is_foreign,
    )

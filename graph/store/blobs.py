"""Put blobs: one row per registry and digest, whatever names it and however often.

Rules of this file: a size that was verified stands against every claim, among claims the first one stands,
and a second, different size marks the blob; it is never counted twice. A blob is a layer once a manifest
lists it as one. It is foreign only while everything that names it does so as a foreign layer. When what is
known of a blob that is in use changes, the sums it is in are changed with it (`counters.py`).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection

from graph.oci.digest import EMPTY_DIGESTS, Digest
from graph.store.bulk import insert_rows, next_keys, read_rows, run_rows
from graph.store.counters import BlobChange, count_blob_changes
from graph.store.tables import blob

_COLUMNS = ("size", "is_size_verified", "has_size_conflict", "is_layer", "is_foreign")


class Facts(NamedTuple):
    """What is known of a blob, or what one naming of it tells; in the order of `_COLUMNS`.

    A tuple for its price: a crawl makes a dozen for every image.
    """

    size: int | None = None
    is_size_verified: bool = False  # its bytes were held and counted
    has_size_conflict: bool = False
    is_layer: bool = False
    is_foreign: bool = False

    @property
    def stored_bytes(self) -> int:
        """What the registry keeps for it."""
        return 0 if self.is_foreign else self.size or 0

    def learn(self, more: "Facts") -> "Facts":
        """Return what is known after it was named once more."""
        size, has_conflict = self.size, self.has_size_conflict or more.has_size_conflict
        if more.size is not None and more.size != size:
            has_conflict = has_conflict or size is not None
            if size is None or (more.is_size_verified and not self.is_size_verified):
                size = more.size
        return Facts(
            size,
            self.is_size_verified or more.is_size_verified,
            has_conflict,
            self.is_layer or more.is_layer,
            self.is_foreign and more.is_foreign,
        )


Mention: TypeAlias = tuple[Digest, Facts]


def put_blobs(db: Connection, registry_id: int, mentions: Iterable[Mention]) -> dict[Digest, int]:
    """Put every blob that is mentioned; return the key of each digest."""
    told: dict[Digest, Facts] = {}
    for digest, facts in mentions:
        known = told.setdefault(digest, facts)
        if known is not facts and known != facts:
            told[digest] = known.learn(facts)
    keys: dict[Digest, int] = {}
    updates: list[tuple[Any, ...]] = []
    changes: list[BlobChange] = []
    for key, digest, size, *flags in _load(db, registry_id, told):
        keys[digest] = key
        before = Facts(size, *map(bool, flags))
        after = before.learn(told[digest])
        if after != before:
            updates.append((*after, key))
            changes.append(_change(key, before, after))
    new = [digest for digest in told if digest not in keys]
    rows = []
    for key, digest in zip(next_keys(db, blob, len(new)), new, strict=True):
        keys[digest] = key
        size, *flags = told[digest]
        rows.append((key, registry_id, digest, int(digest in EMPTY_DIGESTS), size, *map(int, flags)))
    insert_rows(db, blob, ("id", "registry_id", "digest", "is_empty", *_COLUMNS), rows)
    run_rows(db, f"UPDATE blob SET {' = ?, '.join(_COLUMNS)} = ? WHERE id = ?", updates)
    count_blob_changes(db, registry_id, changes)
    return keys


def _load(db: Connection, registry_id: int, digests: Collection[Digest]) -> Sequence[Any]:
    return read_rows(
        db,
        f"""
        SELECT b.id, b.digest, {", ".join(f"b.{name}" for name in _COLUMNS)}
        FROM {{texts}} AS k CROSS JOIN blob AS b
        WHERE b.registry_id = :registry AND b.digest = k.value
        """,
        {"registry": registry_id},
        texts=digests,
    )


def _change(key: int, before: Facts, after: Facts) -> BlobChange:
    return BlobChange(
        key,
        size=(after.size or 0) - (before.size or 0),
        stored=after.stored_bytes - before.stored_bytes,
        layer=after.is_layer - before.is_layer,
    )

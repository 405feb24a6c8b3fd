"""Stores for tests, written straight into the tables, with everything derived computed the naive way.

`StoreBuilder` keeps its rows as plain dicts: what a test expects is worked out from them, and `insert` puts
them into a store. Nothing here goes through the write side, so a read that is wrong cannot agree with a write
that is.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import zstandard
from sqlalchemy import Connection, Table, event

from graph.store import tables
from graph.store.engine import open_store
from graph.store.tables import microseconds_of

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)

# The address of a store that is thrown away, by engine: what the suite runs on.
ENGINES = {"sqlite": ":memory:"}

Row = dict[str, Any]

# Each table after those it points to.
_ORDER = (
    tables.media_type,
    tables.registry,
    tables.repository,
    tables.namespace,
    tables.blob,
    tables.manifest,
    tables.document,
    tables.manifest_layer,
    tables.manifest_child,
    tables.artifact,
    tables.tag,
    tables.artifact_blob,
    tables.repository_blob,
    tables.referrer,
)


class StoreBuilder:
    """Rows to be, by table; each function adds one and returns its key."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {table.name: [] for table in _ORDER}
        self.content: dict[int, list[int]] = {}  # manifest key → its config and layers
        self._media_types: dict[str, int] = {}
        self._is_derived = False

    def registry(self, name: str, **columns: Any) -> int:
        return self._add(
            "registry", name=name, url=f"http://{name}", dialect="oci", first_seen_at=NOW, **columns
        )

    def repository(self, registry_id: int, name: str, **columns: Any) -> int:
        return self._add(
            "repository",
            registry_id=registry_id,
            name=name,
            namespace=name.rpartition("/")[0] or None,
            **{"first_seen_at": NOW, **columns},
        )

    def blob(self, registry_id: int, size: int | None = 100, **columns: Any) -> int:
        digest = f"sha256:{len(self.rows['blob']) + 1:064x}"
        return self._add("blob", registry_id=registry_id, digest=digest, size=size, **columns)

    def layer(self, registry_id: int, size: int | None = 100, **columns: Any) -> int:
        return self.blob(registry_id, size, is_layer=True, **columns)

    def manifest(
        self,
        registry_id: int,
        layers: Sequence[int] = (),
        children: Sequence[int | Row] = (),
        *,
        config: bytes | None = None,
        data: bytes = b"{}",
        **columns: Any,
    ) -> int:
        """Add a manifest; a child is the key of its manifest, or a row of `manifest_child` with it."""
        key = self.blob(registry_id, len(data), is_size_verified=True)
        config_id = None if config is None else self.blob(registry_id, len(config), is_size_verified=True)
        self.content[key] = [*layers] if config_id is None else [config_id, *layers]
        self.rows["manifest"].append(
            {
                "blob_id": key,
                "media_type": "application/vnd.oci.image.manifest.v1+json",
                "form": "INDEX" if children else "IMAGE",
                "kind": "INDEX" if children else "IMAGE",
                "config_id": config_id,
                "content_bytes": 0,
                "child_count": len(children),
                "first_seen_at": NOW,
                **columns,
            }
        )
        for blob_id, document in ((key, data), (config_id, config)):
            if document is not None:
                packed = zstandard.ZstdCompressor().compress(document)
                self.rows["document"].append({"blob_id": blob_id, "data": packed})
        layer_type, child_type = self._media_type("layer"), self._media_type("manifest")
        self.rows["manifest_layer"] += [
            {"manifest_id": key, "position": position, "blob_id": layer, "media_type_id": layer_type}
            for position, layer in enumerate(layers)
        ]
        self.rows["manifest_child"] += [
            {
                "manifest_id": key,
                "position": position,
                "media_type_id": child_type,
                **(child if isinstance(child, dict) else {"child_id": child}),
            }
            for position, child in enumerate(children)
        ]
        return key

    def artifact(self, repository_id: int, manifest_id: int, **columns: Any) -> int:
        repository = self.row("repository", repository_id)
        return self._add(
            "artifact",
            registry_id=repository["registry_id"],
            repository_id=repository_id,
            manifest_id=manifest_id,
            **{
                "has_manifest": True,
                "discovery": "TAG",
                "first_seen_at": NOW,
                "observed_at": NOW,
                "kind": "IMAGE",
                "absent_at": repository.get("absent_at"),
                "is_live": columns.get("untagged") != "DANGLING",
                **columns,
            },
        )

    def image(self, repository_id: int, layers: Sequence[int] = (), **columns: Any) -> int:
        """Add an artifact with a manifest of its own."""
        registry_id = self.row("repository", repository_id)["registry_id"]
        return self.artifact(repository_id, self.manifest(registry_id, layers), **columns)

    def tag(self, repository_id: int, name: str, artifact_id: int | None = None, **columns: Any) -> int:
        return self._add(
            "tag",
            repository_id=repository_id,
            name=name,
            artifact_id=artifact_id,
            **{"version_key": name, "first_seen_at": NOW, "observed_at": NOW, **columns},
        )

    def referrer(self, subject_id: int, artifact_id: int, via: str = "SUBJECT") -> None:
        repository_id = self.row("artifact", artifact_id)["repository_id"]
        self.rows["referrer"].append(
            {
                "repository_id": repository_id,
                "subject_id": subject_id,
                "artifact_id": artifact_id,
                "via": via,
            }
        )

    def row(self, table: str, key: int) -> Row:
        return self.rows[table][key - 1]

    def insert(self, db: Connection) -> None:
        """Put all rows, and what follows from them, into an empty store."""
        self.derive()
        for table in _ORDER:
            insert_rows(db, table, self.rows[table.name])

    def _media_type(self, name: str) -> int:
        if name not in self._media_types:
            self._media_types[name] = self._add("media_type", name=f"application/vnd.oci.{name}")
        return self._media_types[name]

    def _add(self, table: str, **columns: Any) -> int:
        key = len(self.rows[table]) + 1
        self.rows[table].append({"id": key, **columns})
        return key

    def derive(self) -> None:
        """Work out what follows from the rows; nothing is added after that."""
        if self._is_derived:
            return
        self._is_derived = True
        uses = self._use_blobs()
        for blob in self.rows["blob"]:
            artifacts = uses[blob["id"]]
            live = [artifact for artifact in artifacts if artifact["is_live"]]
            for prefix, users in (("", artifacts), ("live_", live)):
                blob[f"{prefix}artifact_count"] = len(users)
                blob[f"{prefix}repository_count"] = len({artifact["repository_id"] for artifact in users})
            is_saving = blob.get("is_layer") and not blob.get("is_empty") and not blob.get("is_foreign")
            blob["saved_bytes"] = (blob["size"] or 0) * max(0, len(artifacts) - 1) if is_saving else 0
        for repository in self.rows["repository"]:
            self._total(repository, "repository_id")
        for registry in self.rows["registry"]:
            self._total(registry, "registry_id")
            present = [row for row in self._present("repository") if row["registry_id"] == registry["id"]]
            registry["repository_count"] = len(present)
            self._derive_namespaces(registry["id"], [row["name"] for row in present])
        tag_counts = Counter(row["artifact_id"] for row in self._ordinary_tags())
        for artifact in self.rows["artifact"]:
            artifact["tag_count"] = tag_counts[artifact["id"]]

    def _use_blobs(self) -> dict[int, list[Row]]:
        uses: dict[int, list[Row]] = defaultdict(list)
        holders: dict[tuple[int, int], Row] = {}
        for artifact in self._present("artifact"):
            manifest_id = artifact["manifest_id"]
            for blob_id in dict.fromkeys([manifest_id, *self.content.get(manifest_id, [])]):
                uses[blob_id].append(artifact)
                self.rows["artifact_blob"].append({"artifact_id": artifact["id"], "blob_id": blob_id})
                pair = (artifact["repository_id"], blob_id)
                holder = holders.setdefault(
                    pair,
                    {
                        "id": len(holders) + 1,
                        "repository_id": pair[0],
                        "repository_name": self.row("repository", pair[0])["name"],
                        "blob_id": blob_id,
                        "is_layer": bool(self.row("blob", blob_id).get("is_layer")),
                        "artifact_count": 0,
                        "live_artifact_count": 0,
                    },
                )
                holder["artifact_count"] += 1
                holder["live_artifact_count"] += bool(artifact["is_live"])
        self.rows["repository_blob"] = list(holders.values())
        return uses

    def _total(self, owner: Row, column: str) -> None:
        present = [row for row in self._present("artifact") if row[column] == owner["id"]]
        live = [row for row in present if row["is_live"]]
        for prefix, members in (("", present), ("live_", live)):
            keys = {row["id"] for row in members}
            used = [row["blob_id"] for row in self.rows["artifact_blob"] if row["artifact_id"] in keys]
            blobs = [self.row("blob", key) for key in set(used)]
            owner[f"{prefix}artifact_count"] = len(keys)
            owner[f"{prefix}layer_count"] = len([blob for blob in blobs if blob.get("is_layer")])
            owner[f"{prefix}logical_bytes"] = sum(self.row("blob", key)["size"] or 0 for key in used)
            owner[f"{prefix}stored_bytes"] = sum(
                blob["size"] or 0 for blob in blobs if not blob.get("is_foreign")
            )
        if column == "repository_id":
            owner["tag_count"] = len(
                [row for row in self._ordinary_tags() if row["repository_id"] == owner["id"]]
            )

    def _derive_namespaces(self, registry_id: int, names: Iterable[str]) -> None:
        counts: dict[str, int] = defaultdict(int)
        for name in names:
            parts = name.split("/")
            for end in range(1, len(parts)):
                counts["/".join(parts[:end])] += 1
        for name, count in counts.items():
            self._add("namespace", registry_id=registry_id, name=name, repository_count=count)

    def _present(self, table: str) -> list[Row]:
        return [row for row in self.rows[table] if row.get("absent_at") is None]

    def _ordinary_tags(self) -> list[Row]:
        return [row for row in self._present("tag") if not row.get("is_referrer_tag")]


def insert_rows(db: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows; columns that a row lacks get their default, which is the same for all of them."""
    by_columns: dict[tuple[str, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        by_columns[tuple(row)].append(tuple(map(_stored, row.values())))
    for columns, values in by_columns.items():
        assert all(column in table.c for column in columns)
        marks = ", ".join("?" * len(columns))
        db.exec_driver_sql(f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})", values)


def _stored(value: Any) -> Any:
    return microseconds_of(value) if isinstance(value, datetime) else value


@contextmanager
def filled_store(builder: StoreBuilder, engine: str = "sqlite") -> Iterator[Connection]:
    """Give a connection to a store that holds the builder's rows."""
    store = open_store(ENGINES[engine])
    try:
        with store.transaction() as db:
            builder.insert(db)
            yield db
    finally:
        store.close()


@contextmanager
def recorded_statements(db: Connection) -> Iterator[list[tuple[str, Any]]]:
    """Give the statements sent meanwhile, each with its parameters."""
    statements: list[tuple[str, Any]] = []

    def record(_db: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    event.listen(db, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(db, "before_cursor_execute", record)

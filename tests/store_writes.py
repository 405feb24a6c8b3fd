"""Short ways to put content into a store and to look at repositories, for tests of the write side."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from builders import Built
from graph.oci.digest import Digest
from graph.oci.image import summarize_image_config
from graph.oci.manifest import ImageManifest, parse_manifest
from graph.oci.media_types import is_image_config
from graph.oci.reference import RegistryName, RepositoryName, TagName
from graph.store.changes import (
    ArtifactChange,
    ConfiguredRegistry,
    Discovery,
    Failure,
    NewManifest,
    RepositoryChanges,
    TagChange,
)
from graph.store.content import put_manifests
from graph.store.observations import put_repository, set_registries, set_repository

START = datetime(2024, 5, 1, tzinfo=UTC)
DENIED = Failure("REGISTRY_DENIED", "no")


def fetched(built: Built, *, with_config: bool = True) -> NewManifest:
    """The manifest as a crawl puts it, with its config unless that could not be had."""
    manifest = parse_manifest(built.data, built.media_type)
    descriptor = manifest.config if isinstance(manifest, ImageManifest) else None
    if descriptor is None or not with_config:
        return NewManifest(manifest, built.data)
    data = next(blob.data for blob in built.blobs if blob.digest == descriptor.digest)
    config = summarize_image_config(data) if is_image_config(descriptor.media_type) else None
    return NewManifest(manifest, built.data, config, data)


@dataclass
class Writer:
    """One registry of a store, each step a minute after the one before."""

    db: Connection
    now: datetime = START

    def __post_init__(self) -> None:
        registry = ConfiguredRegistry(RegistryName("registry.example"), "https://registry.example", "oci")
        (self.registry,) = set_registries(self.db, [registry], self.now)

    def tick(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now

    def put(self, *contents: Built, with_config: bool = True) -> None:
        put_manifests(
            self.db,
            self.registry,
            [fetched(built, with_config=with_config) for built in contents],
            self.tick(),
        )

    def repository(self, name: str) -> int:
        return put_repository(self.db, self.registry, RepositoryName(name), self.now)

    def look(
        self,
        name: str,
        tags: Mapping[str, Built | Failure] | None = None,
        *,
        gone: Sequence[str] = (),
        present: Iterable[Built] = (),
        absent: Iterable[Built] = (),
        **more: Any,
    ) -> datetime:
        """Look at a repository, after putting what it shows."""
        targets = tags or {}
        shown = [built for built in (*targets.values(), *present) if isinstance(built, Built)]
        put_manifests(self.db, self.registry, [fetched(built) for built in shown], self.now)
        return self.see(name, targets, gone=gone, present=present, absent=absent, **more)

    def see(
        self,
        name: str,
        tags: Mapping[str, Built | Failure] | None = None,
        *,
        gone: Sequence[str] = (),
        present: Iterable[Built] = (),
        absent: Iterable[Built] = (),
        **more: Any,
    ) -> datetime:
        """Look at a repository without putting what it shows."""
        at = self.tick()
        changes = RepositoryChanges(
            at=at,
            tags=[
                TagChange(TagName(tag), None, target)
                if isinstance(target, Failure)
                else TagChange(TagName(tag), Digest(target.digest))
                for tag, target in (tags or {}).items()
            ],
            absent_tags=[TagName(tag) for tag in gone],
            present=[ArtifactChange(Digest(built.digest), Discovery.CHILD) for built in present],
            absent=[Digest(built.digest) for built in absent],
            **more,
        )
        set_repository(self.db, self.repository(name), changes)
        return at

    def read(self, sql: str, **parameters: Any) -> list[Any]:
        rows = self.db.execute(text(sql), parameters).all()
        return [row[0] if len(row) == 1 else tuple(row) for row in rows]

    def artifact(self, name: str, built: Built, columns: str) -> Any:
        """The columns of an artifact of the repository."""
        (row,) = self.read(
            f"""
            SELECT {columns} FROM artifact AS a JOIN repository AS r ON r.id = a.repository_id
            JOIN blob AS b ON b.id = a.manifest_id WHERE r.name = :name AND b.digest = :digest
            """,
            name=name,
            digest=built.digest,
        )
        return row

    def blob(self, digest: str, columns: str) -> Any:
        """The columns of a blob."""
        (row,) = self.read(f"SELECT {columns} FROM blob WHERE digest = :digest", digest=digest)
        return row

"""Read manifests (being filled in)."""

from collections.abc import Sequence

from sqlalchemy import Connection

from graph.store.rows import ManifestChildRow, ManifestLayerRow, ManifestRow
from graph.store.visibility import Visibility


def load_manifests(
    db: Connection,
    visibility: Visibility,
    keys: Sequence[int],
) -> list[ManifestRow | None]:
    """Return the manifest of each key; None where its bytes are not stored."""
    raise NotImplementedError


def load_manifest_layers(
    db: Connection,
    visibility: Visibility,
    manifest_keys: Sequence[int],
) -> list[list[ManifestLayerRow]]:
    """Return the layers of each manifest, in its order."""
    raise NotImplementedError


def load_manifest_children(
    db: Connection,
    visibility: Visibility,
    manifests: Sequence[tuple[int, int]],
) -> list[list[ManifestChildRow]]:
    """Return the entries of each index, in its order, with the artifact each is in that repository.

    A key is (manifest key, repository key).
    """
    raise NotImplementedError


def load_documents(
    db: Connection,
    visibility: Visibility,
    manifest_keys: Sequence[int],
) -> list[bytes | None]:
    """Return the exact bytes of each manifest."""
    raise NotImplementedError


def load_configs(
    db: Connection,
    visibility: Visibility,
    manifest_keys: Sequence[int],
) -> list[bytes | None]:
    """Return the exact bytes of each manifest's config; None where it has none, or none that was fetched."""
    raise NotImplementedError

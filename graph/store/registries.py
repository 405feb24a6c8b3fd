"""Read registries (being filled in)."""

from collections.abc import Sequence

from sqlalchemy import Connection

from graph.store.rows import RegistryRow, RegistryStatus
from graph.store.visibility import Visibility


def load_registries(
    db: Connection,
    visibility: Visibility,
) -> list[RegistryRow]:
    """Return every registry, in the order of their keys."""
    raise NotImplementedError


def load_registry_statuses(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
) -> list[RegistryStatus | None]:
    """Return what is known of each registry as a whole; None where the key is unknown."""
    raise NotImplementedError

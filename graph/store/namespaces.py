"""Read namespaces (being filled in)."""

from collections.abc import Sequence

from sqlalchemy import Connection

from graph.store.pages import Page, PageRequest
from graph.store.rows import NamespaceRow
from graph.store.visibility import Visibility


def load_namespaces(
    db: Connection,
    visibility: Visibility,
    keys: Sequence[int],
) -> list[NamespaceRow | None]:
    """Return the namespace of each key; None where there is none (any more)."""
    raise NotImplementedError


def find_namespaces(
    db: Connection,
    visibility: Visibility,
    names: Sequence[tuple[int, str]],
) -> list[NamespaceRow | None]:
    """Return the namespace of each (registry key, name)."""
    raise NotImplementedError


def page_namespaces(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    request: PageRequest,
    prefix: str | None = None,
) -> list[Page[NamespaceRow]]:
    """Return a page of each registry's namespaces, by name, those that start with `prefix`."""
    raise NotImplementedError


def count_namespaces(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    prefix: str | None = None,
) -> list[int]:
    """Return how many namespaces each registry has that start with `prefix`."""
    raise NotImplementedError

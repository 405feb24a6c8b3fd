"""Read repositories (being filled in)."""

from collections.abc import Sequence

from sqlalchemy import Connection

from graph.store.filters import Order, RepositoryFilter, RepositoryOrder
from graph.store.pages import Page, PageRequest
from graph.store.rows import RepositoryRow
from graph.store.visibility import Visibility


def load_repositories(
    db: Connection,
    visibility: Visibility,
    keys: Sequence[int],
) -> list[RepositoryRow | None]:
    """Return the repository of each key, absent ones too; None where the key is unknown."""
    raise NotImplementedError


def find_repositories(
    db: Connection,
    visibility: Visibility,
    names: Sequence[tuple[int, str]],
) -> list[RepositoryRow | None]:
    """Return the repository of each (registry key, name), absent ones too."""
    raise NotImplementedError


def page_repositories(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    request: PageRequest,
    filter: RepositoryFilter | None = None,
    order: Order[RepositoryOrder] | None = None,
) -> list[Page[RepositoryRow]]:
    """Return a page of each registry's present repositories."""
    raise NotImplementedError


def count_repositories(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    filter: RepositoryFilter | None = None,
) -> list[int]:
    """Return how many present repositories of each registry the filter keeps."""
    raise NotImplementedError


def page_namespace_repositories(
    db: Connection,
    visibility: Visibility,
    namespace_keys: Sequence[int],
    request: PageRequest,
    filter: RepositoryFilter | None = None,
    order: Order[RepositoryOrder] | None = None,
) -> list[Page[RepositoryRow]]:
    """Return a page of the present repositories below each namespace, at any depth."""
    raise NotImplementedError


def count_namespace_repositories(
    db: Connection,
    visibility: Visibility,
    namespace_keys: Sequence[int],
    filter: RepositoryFilter | None = None,
) -> list[int]:
    """Return how many present repositories below each namespace the filter keeps."""
    raise NotImplementedError


def page_layer_repositories(
    db: Connection,
    visibility: Visibility,
    layer_keys: Sequence[int],
    request: PageRequest,
    order: Order[RepositoryOrder] | None = None,
) -> list[Page[RepositoryRow]]:
    """Return a page of the repositories that use each layer, first seen to first."""
    raise NotImplementedError


def count_layer_repositories(
    db: Connection,
    visibility: Visibility,
    layer_keys: Sequence[int],
) -> list[int]:
    """Return how many repositories use each layer."""
    raise NotImplementedError


def search_repositories(
    db: Connection,
    visibility: Visibility,
    text: str,
    registry_keys: Sequence[int],
    request: PageRequest,
) -> Page[RepositoryRow]:
    """Return a page of the present repositories of these registries whose name contains the text, by name."""
    raise NotImplementedError


def count_search(
    db: Connection,
    visibility: Visibility,
    text: str,
    registry_keys: Sequence[int],
) -> int:
    """Return how many present repositories of these registries have the text in their name."""
    raise NotImplementedError

"""Read layers (being filled in)."""

from collections.abc import Sequence

from sqlalchemy import Connection

from graph.store.filters import LayerFilter, LayerOrder, Order
from graph.store.pages import Page, PageRequest
from graph.store.rows import LayerRow
from graph.store.visibility import Visibility


def load_layers(
    db: Connection,
    visibility: Visibility,
    keys: Sequence[int],
) -> list[LayerRow | None]:
    """Return the layer of each key; None where no manifest lists it."""
    raise NotImplementedError


def find_layers(
    db: Connection,
    visibility: Visibility,
    digests: Sequence[tuple[int, str]],
) -> list[LayerRow | None]:
    """Return the layer of each (registry key, digest); None where no present artifact uses it."""
    raise NotImplementedError


def page_layers(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    request: PageRequest,
    filter: LayerFilter | None = None,
    order: Order[LayerOrder] | None = None,
) -> list[Page[LayerRow]]:
    """Return a page of the layers that present artifacts of each registry use."""
    raise NotImplementedError


def count_layers(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    filter: LayerFilter | None = None,
) -> list[int]:
    """Return how many layers of each registry the filter keeps."""
    raise NotImplementedError


def page_repository_layers(
    db: Connection,
    visibility: Visibility,
    repository_keys: Sequence[int],
    request: PageRequest,
    filter: LayerFilter | None = None,
    order: Order[LayerOrder] | None = None,
) -> list[Page[LayerRow]]:
    """Return a page of the layers that present artifacts of each repository use."""
    raise NotImplementedError


def count_repository_layers(
    db: Connection,
    visibility: Visibility,
    repository_keys: Sequence[int],
    filter: LayerFilter | None = None,
) -> list[int]:
    """Return how many layers of each repository the filter keeps."""
    raise NotImplementedError

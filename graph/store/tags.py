"""Read tags (being filled in)."""

from collections.abc import Sequence

from sqlalchemy import Connection

from graph.store.filters import Order, TagFilter, TagOrder
from graph.store.pages import Page, PageRequest
from graph.store.rows import TagRow
from graph.store.visibility import Visibility


def load_tags(
    db: Connection,
    visibility: Visibility,
    keys: Sequence[int],
) -> list[TagRow | None]:
    """Return the tag of each key, absent ones too; None where the key is unknown."""
    raise NotImplementedError


def find_tags(
    db: Connection,
    visibility: Visibility,
    names: Sequence[tuple[int, str]],
) -> list[TagRow | None]:
    """Return the present tag of each (repository key, name)."""
    raise NotImplementedError


def page_tags(
    db: Connection,
    visibility: Visibility,
    repository_keys: Sequence[int],
    request: PageRequest,
    filter: TagFilter | None = None,
    order: Order[TagOrder] | None = None,
) -> list[Page[TagRow]]:
    """Return a page of each repository's present tags."""
    raise NotImplementedError


def count_tags(
    db: Connection,
    visibility: Visibility,
    repository_keys: Sequence[int],
    filter: TagFilter | None = None,
) -> list[int]:
    """Return how many present tags of each repository the filter keeps."""
    raise NotImplementedError


def page_artifact_tags(
    db: Connection,
    visibility: Visibility,
    artifact_keys: Sequence[int],
    request: PageRequest,
    filter: TagFilter | None = None,
    order: Order[TagOrder] | None = None,
) -> list[Page[TagRow]]:
    """Return a page of the present tags that name each artifact."""
    raise NotImplementedError


def count_artifact_tags(
    db: Connection,
    visibility: Visibility,
    artifact_keys: Sequence[int],
    filter: TagFilter | None = None,
) -> list[int]:
    """Return how many present tags that name each artifact the filter keeps."""
    raise NotImplementedError

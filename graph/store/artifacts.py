"""Read artifacts (being filled in)."""

from collections.abc import Sequence

from sqlalchemy import Connection

from graph.store.filters import ArtifactFilter, ArtifactOrder, Order
from graph.store.pages import Page, PageRequest
from graph.store.rows import ArtifactRow
from graph.store.visibility import Visibility


def load_artifacts(
    db: Connection,
    visibility: Visibility,
    keys: Sequence[int],
) -> list[ArtifactRow | None]:
    """Return the artifact of each key, absent ones too; None where the key is unknown."""
    raise NotImplementedError


def find_artifacts(
    db: Connection,
    visibility: Visibility,
    digests: Sequence[tuple[int, str]],
) -> list[ArtifactRow | None]:
    """Return the artifact of each (repository key, digest), absent ones too."""
    raise NotImplementedError


def page_artifacts(
    db: Connection,
    visibility: Visibility,
    repository_keys: Sequence[int],
    request: PageRequest,
    filter: ArtifactFilter | None = None,
    order: Order[ArtifactOrder] | None = None,
) -> list[Page[ArtifactRow]]:
    """Return a page of each repository's present artifacts."""
    raise NotImplementedError


def count_artifacts(
    db: Connection,
    visibility: Visibility,
    repository_keys: Sequence[int],
    filter: ArtifactFilter | None = None,
) -> list[int]:
    """Return how many of each repository's present artifacts the filter keeps."""
    raise NotImplementedError


def page_registry_artifacts(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    request: PageRequest,
    filter: ArtifactFilter | None = None,
    order: Order[ArtifactOrder] | None = None,
) -> list[Page[ArtifactRow]]:
    """Return a page of each registry's present artifacts."""
    raise NotImplementedError


def count_registry_artifacts(
    db: Connection,
    visibility: Visibility,
    registry_keys: Sequence[int],
    filter: ArtifactFilter | None = None,
) -> list[int]:
    """Return how many of each registry's present artifacts the filter keeps."""
    raise NotImplementedError


def page_layer_artifacts(
    db: Connection,
    visibility: Visibility,
    layer_keys: Sequence[int],
    request: PageRequest,
    filter: ArtifactFilter | None = None,
    order: Order[ArtifactOrder] | None = None,
) -> list[Page[ArtifactRow]]:
    """Return a page of the present artifacts that use each layer."""
    raise NotImplementedError


def count_layer_artifacts(
    db: Connection,
    visibility: Visibility,
    layer_keys: Sequence[int],
    filter: ArtifactFilter | None = None,
) -> list[int]:
    """Return how many of the present artifacts that use each layer the filter keeps."""
    raise NotImplementedError


def load_platforms(
    db: Connection,
    visibility: Visibility,
    artifact_keys: Sequence[int],
) -> list[list[ArtifactRow]]:
    """Return the children of each index that run and are present beside it, in its order, at most 1,000."""
    raise NotImplementedError


def page_referrers(
    db: Connection,
    visibility: Visibility,
    artifact_keys: Sequence[int],
    request: PageRequest,
    artifact_type: str | None = None,
) -> list[Page[ArtifactRow]]:
    """Return a page of the present artifacts that refer to each artifact, first seen first."""
    raise NotImplementedError


def count_referrers(
    db: Connection,
    visibility: Visibility,
    artifact_keys: Sequence[int],
    artifact_type: str | None = None,
) -> list[int]:
    """Return how many present artifacts refer to each artifact."""
    raise NotImplementedError


def find_subjects(
    db: Connection,
    visibility: Visibility,
    artifact_keys: Sequence[int],
) -> list[ArtifactRow | None]:
    """Return what each artifact refers to, in its repository; None where it refers to nothing we know."""
    raise NotImplementedError

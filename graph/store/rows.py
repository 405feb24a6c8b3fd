"""The rows that reads give: plain values, complete enough that showing one asks nothing more.

Rules of this file: values only, no statement. `key` is the row's integer key in the store, stable for its
life; `…_key` is the key of another row. Times are aware UTC, sizes are bytes. A value that is None is not
known, unless its line says what else it means.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from graph.oci.digest import Digest
from graph.oci.liveness import Untagged
from graph.oci.locks import Locks
from graph.oci.manifest import ArtifactKind
from graph.oci.reference import RegistryName, RepositoryName, TagName


class Completeness(StrEnum):
    """How much of what a repository or a registry holds we can have seen."""

    COMPLETE = "COMPLETE"  # the registry lists untagged manifests, and its list was read to the end
    BEST_EFFORT = (
        "BEST_EFFORT"  # tags and what they lead to; untagged manifests may exist that nobody can list
    )
    UNKNOWN = "UNKNOWN"  # no crawl has read it to its end yet


class Scope(StrEnum):
    """Which artifacts a figure counts."""

    TAGGED = "TAGGED"  # live ones
    ALL = "ALL"  # present ones


class SyncState(StrEnum):
    """What the crawl of a registry is doing."""

    NEVER = "NEVER"
    RUNNING = "RUNNING"
    IDLE = "IDLE"
    FAILED = "FAILED"


class ManifestForm(StrEnum):
    """Which shape a manifest's document has."""

    IMAGE = "IMAGE"
    INDEX = "INDEX"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class RegistryRow:
    """A registry; nothing here changes while the process runs."""

    key: int
    name: RegistryName
    url: str
    dialect: str


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """What is known of a registry as a whole, and how well.

    `completeness` is the weakest of its repositories', UNKNOWN while its catalog was never read to the end.
    `oldest_observed_at` is the oldest look at a present repository. `is_partly_unseen`: some present
    repository was never crawled, the catalog never read to its end, or the settings leave repositories out
    (`is_partial`), so that counts are lower bounds.
    """

    key: int
    capabilities: Mapping[str, str]  # name → UNKNOWN, SUPPORTED, UNSUPPORTED
    sync_state: SyncState
    sync_started_at: datetime | None
    sync_finished_at: datetime | None
    sync_error_code: str | None
    sync_error_message: str | None
    repositories_done: int  # of the crawl that runs or ran last
    repositories_total: int
    repository_count: int  # present
    catalog_observed_at: datetime | None  # None: never read to its end
    oldest_observed_at: datetime | None
    completeness: Completeness
    is_partly_unseen: bool
    has_unknown_manifests: bool  # of present artifacts
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class BasisRow:
    """What figures stand on.

    `completeness` is the weakest of the repositories involved, `oldest_observed_at` the oldest look at one of
    them (None: there was none). `exclusive_is_upper_bound`: an artifact that nobody can list may use what is
    called exclusive, in whichever repository of a registry involved. `counts_are_lower_bound`: a repository
    involved was never crawled to its end, or a manifest in it is not known. `spans_registries`: they are of
    several registries, between which nothing is shared (C2).
    """

    scope: Scope
    completeness: Completeness
    oldest_observed_at: datetime | None
    exclusive_is_upper_bound: bool
    counts_are_lower_bound: bool
    spans_registries: bool = False


@dataclass(frozen=True, slots=True)
class StorageRow:
    """What artifacts take in storage (concepts, "Sizes"); bytes of one digest count once per registry, but
    in `logical_bytes`.
    """

    artifact_count: int
    layer_count: int
    logical_bytes: int
    stored_bytes: int
    exclusive_bytes: int

    @property
    def shared_bytes(self) -> int:
        """What would stay if they went, since others use it too."""
        return self.stored_bytes - self.exclusive_bytes


@dataclass(frozen=True, slots=True)
class NamespaceRow:
    """A prefix of repository names; `repository_count` counts at any depth below it (concept C4)."""

    key: int
    registry_key: int
    name: str
    repository_count: int


@dataclass(frozen=True, slots=True)
class RepositoryRow:
    """A repository, present or (`absent_at`) no longer."""

    key: int
    registry_key: int
    name: RepositoryName
    namespace: str | None  # None: its name has no "/"
    completeness: Completeness
    first_seen_at: datetime
    observed_at: datetime | None  # its tag list was last read to its end; None: never
    crawled_at: datetime | None  # the last crawl that finished it, manifests and all
    changed_at: datetime | None
    absent_at: datetime | None
    error_code: str | None  # why the last look failed; None when it did not
    error_message: str | None


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """An artifact: this repository and this digest (concept C6).

    What comes from its manifest (`media_type`, `variant`, `os_version`, `child_count`, and all that is
    UNKNOWN or None beside them) is known where `has_manifest`; else `error_code` says why not.
    """

    key: int
    registry_key: int
    repository_key: int
    repository_name: RepositoryName
    manifest_key: int
    digest: Digest
    has_manifest: bool
    error_code: str | None
    error_message: str | None
    kind: ArtifactKind
    artifact_type: str | None
    media_type: str | None
    os: str | None
    architecture: str | None
    variant: str | None
    os_version: str | None
    size: int | None  # with its children's content; None while a child's manifest is not known
    untagged: Untagged | None  # None: it has an ordinary tag
    child_count: int  # entries of an index, present or not
    created_at: datetime | None
    pushed_at: datetime | None  # the registry says so, and the two below
    changed_at: datetime | None
    locks: Locks | None
    first_seen_at: datetime
    observed_at: datetime
    absent_at: datetime | None
    referrers_observed_at: datetime | None


@dataclass(frozen=True, slots=True)
class TagRow:
    """A tag; no `artifact_key`: the registry would not say which artifact it names, and `error_code` why."""

    key: int
    registry_key: int
    repository_key: int
    repository_name: RepositoryName
    name: TagName
    artifact_key: int | None
    error_code: str | None
    error_message: str | None
    first_seen_at: datetime
    observed_at: datetime
    changed_at: datetime | None  # the registry says so, or it was last seen to move; None: never
    pushed_at: datetime | None  # the registry says so
    locks: Locks | None
    absent_at: datetime | None


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer: one per registry and digest (concepts C2, C13); counts are of present artifacts, scope ALL."""

    key: int
    registry_key: int
    digest: Digest
    size: int | None
    is_empty: bool
    is_foreign: bool
    artifact_count: int
    repository_count: int
    saved_bytes: int


@dataclass(frozen=True, slots=True)
class OverlapRow:
    """A repository or an artifact, and what it shares with the one that it was listed for."""

    node: RepositoryRow | ArtifactRow
    overlap_bytes: int  # the bytes of the layers that both use, each digest once, empty ones left out
    layer_count: int  # how many these are


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A manifest whose bytes are stored; `size` is that of the document itself."""

    key: int
    registry_key: int
    digest: Digest
    media_type: str
    size: int
    schema_version: int | None
    form: ManifestForm
    artifact_type: str | None
    annotations: Mapping[str, str] | None  # None: too many to keep


@dataclass(frozen=True, slots=True)
class ManifestLayerRow:
    """One entry of an image manifest's layers; `size` is what this manifest claims."""

    manifest_key: int
    position: int
    media_type: str
    digest: Digest
    size: int | None
    layer_key: int
    annotations: Mapping[str, str] | None  # None: too many to keep


@dataclass(frozen=True, slots=True)
class ManifestChildRow:
    """One entry of an index; no `artifact_key`: the repository it was read in does not hold that manifest."""

    manifest_key: int
    position: int
    media_type: str
    digest: Digest
    size: int | None
    os: str | None
    architecture: str | None
    variant: str | None
    os_version: str | None
    is_attestation: bool
    annotations: Mapping[str, str] | None  # None: too many to keep
    artifact_key: int | None

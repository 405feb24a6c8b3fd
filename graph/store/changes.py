"""What goes into the store and what a crawl asks it first, as values.

Rules of this file: values only, no statement and no decision. `New…` is content, put once and verified
before it comes here; `Known…` is what the store holds; `…Change` and `…Changes` are what a look at a
registry found. Times are aware UTC, sizes are bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from graph.oci.digest import Digest
from graph.oci.image import ImageSummary
from graph.oci.locks import Locks
from graph.oci.manifest import Manifest
from graph.oci.reference import RegistryName, TagName


class Discovery(StrEnum):
    """How an artifact came to be known."""

    TAG = "TAG"
    CHILD = "CHILD"
    REFERRER = "REFERRER"
    SUBJECT = "SUBJECT"
    LISTED = "LISTED"  # the registry lists untagged manifests, and listed it


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something could not be learned; `code` is one of `docs/errors.md`."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ConfiguredRegistry:
    """A registry as the settings name it; `is_partial` where they leave repositories of it out."""

    name: RegistryName
    url: str
    dialect: str
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class NewManifest:
    """A manifest whose bytes hash to its digest, with its image config where it has one that was fetched."""

    manifest: Manifest
    data: bytes
    config: ImageSummary | None = None
    config_data: bytes | None = None


@dataclass(frozen=True, slots=True)
class CrawlPoint:
    """Where a crawl stands: `is_resumed` when an earlier process left it unfinished.

    `was_throttled`: the one before ended since the registry wanted fewer requests.
    """

    started_at: datetime
    is_resumed: bool
    was_throttled: bool = False


@dataclass(frozen=True, slots=True)
class KnownTag:
    """A present tag; no digest: the registry would not say which artifact it names."""

    digest: Digest | None
    error_code: str | None
    observed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KnownArtifact:
    """An artifact that is or was in the repository.

    `children` are the digests its manifest lists, present or not.
    """

    has_manifest: bool
    is_present: bool
    error_code: str | None
    referrers_observed_at: datetime | None
    subject: Digest | None
    children: tuple[Digest, ...]
    absent_at: datetime | None = None
    observed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KnownRepository:
    """All that is stored of one repository: its present tags, and its artifacts, absent ones included."""

    crawled_at: datetime | None = None
    tags: Mapping[TagName, KnownTag] = field(default_factory=dict)
    artifacts: Mapping[Digest, KnownArtifact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TagChange:
    """A tag that was seen, and what it names; no digest: the registry would not say, for `error`."""

    name: TagName
    digest: Digest | None
    error: Failure | None = None


@dataclass(frozen=True, slots=True)
class ArtifactChange:
    """An artifact that was seen to be present; `error` tells why its manifest could not be had."""

    digest: Digest
    discovery: Discovery
    media_type: str | None = None
    size: int | None = None
    error: Failure | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What the registry tells of a tag or a manifest besides; None: what it told before stays."""

    pushed_at: datetime | None = None
    changed_at: datetime | None = None
    locks: Locks | None = None


@dataclass(frozen=True, slots=True)
class RepositoryChanges:
    """What one look at a repository found; whatever is not named stays as it was.

    `observed` are artifacts that are there still, or again: of their rows only `observed_at` and `absent_at`
    move. `referrers_observed` are those whose list of referrers was read. `is_crawled` when the look is the
    last of a crawl. `completeness` is COMPLETE, BEST_EFFORT or UNKNOWN, or None to leave it. `told_tags` and
    `told_artifacts` are of those that are there by this look. `is_absent` when the registry does not know the
    repository any more: then every tag and artifact of it is absent too.
    """

    at: datetime
    tags: Sequence[TagChange] = ()
    absent_tags: Sequence[TagName] = ()
    present: Sequence[ArtifactChange] = ()
    absent: Sequence[Digest] = ()
    observed: Sequence[Digest] = ()
    referrers_observed: Sequence[Digest] = ()
    is_tag_list_complete: bool = False
    is_crawled: bool = False
    completeness: str | None = None
    error: Failure | None = None
    is_absent: bool = False
    told_tags: Mapping[TagName, Told] = field(default_factory=dict)
    told_artifacts: Mapping[Digest, Told] = field(default_factory=dict)

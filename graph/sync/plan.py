"""Decide what to ask about a repository, and what the answers change in the store.

Rules of this file: pure; no network, no store, no clock. What is stored comes in as a `KnownRepository`, what
the registry said as an `ObservedRepository`, what follows goes out as `RepositoryChanges`.

- A tag is absent when a list of tags that was read to its end lacks it, or when the registry answered 404
  to it and no list names it; never because a list was cut short.
- An artifact is absent when the registry answered 404 to its digest in this repository.
- What holds an artifact vouches for it: the child of a present index, and the referrer that a list of
  referrers named, are not asked for one by one. What nothing vouches for is a *root*, and is asked for at
  every crawl.
- Bytes are immutable. A manifest that is stored, or is refused for what its bytes are, is not fetched again.
- Every walk visits a digest once and ends at a named depth, so that cycles and chains without end do end.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from graph.errors import ContentTooLargeError, MalformedManifestError, RegistryUnknownError
from graph.oci.digest import Digest
from graph.oci.reference import TagName
from graph.store.changes import (
    ArtifactChange,
    Discovery,
    Failure,
    KnownArtifact,
    KnownRepository,
    KnownTag,
    RepositoryChanges,
    TagChange,
    Told,
)
from graph.sync.freshness import age_of

# Indexes inside indexes that are followed. One level is common and two are seen (an index of an index per
# version); nothing real is deeper.
MAX_INDEX_DEPTH = 6

# Referrers of referrers that are followed: a signature of an SBOM of an image is two.
MAX_REFERRER_DEPTH = 6

# An absent child is asked for again this many seconds after it was found missing, then after twice as many,
# and so on: an index may have been pushed before its children, but a child that was deleted does not come
# back.
FIRST_SECOND_LOOK = 86_400.0

# Failures that lie in the bytes: as long as the digest is the same, so is the answer.
PERMANENT_CODES = frozenset({MalformedManifestError.code, ContentTooLargeError.code})


class Question(StrEnum):
    """How a tag is asked for."""

    HEAD = "HEAD"  # which digest it names
    GET = "GET"  # that, and the manifest with it


@dataclass(frozen=True, slots=True)
class ObservedArtifact:
    """An artifact the registry gave or named; `failure` tells why its manifest could not be had."""

    discovery: Discovery
    media_type: str | None = None
    size: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class ObservedRepository:
    """What the registry said about a repository, or about a part of it; what was not asked is not here."""

    tags: Mapping[TagName, Digest | Failure] = field(default_factory=dict)
    listed_tags: Collection[TagName] | None = None  # the whole list; None when it was not read to its end
    missing_tags: Collection[TagName] = ()  # 404 to a tag that no list named
    artifacts: Mapping[Digest, ObservedArtifact] = field(default_factory=dict)
    answered: Collection[Digest] = ()  # still there, by HEAD
    missing: Collection[Digest] = ()  # 404 to the digest
    referrers: Mapping[Digest, Collection[Digest]] = field(default_factory=dict)  # verified, by subject
    told_tags: Mapping[TagName, Told] = field(default_factory=dict)
    told_artifacts: Mapping[Digest, Told] = field(default_factory=dict)
    is_complete: bool = False  # a list of every manifest, untagged ones too, was read to its end
    is_finished: bool = False  # nothing of this crawl is left to be asked
    is_absent: bool = False  # neither the catalog nor the list of tags knows it
    failure: Failure | None = None  # why the rest could not be asked


def question_of(known: KnownRepository, name: TagName, *, counts_pulls: bool) -> Question:
    """Return how to ask for the tag.

    The first crawl of a repository gets each tag's manifest at once. Later ones ask for the digest first:
    most tags have not moved, and a new tag often names what is stored. A tag that an interrupted first
    crawl has stored counts as later. Where pulls are counted (Dialect.counts_pulls) the digest is asked for
    first even then: it costs no pull, and often names what another tag has brought.
    """
    tag = known.tags.get(name)
    is_first = known.crawled_at is None and (tag is None or tag.digest is None)
    return Question.GET if is_first and not counts_pulls else Question.HEAD


def is_refusal_known(known: KnownRepository, name: TagName, refusal: Failure) -> bool:
    """Tell whether a HEAD of the tag only says again what a GET of it has said: then it is not got again.

    A refused HEAD alone says nothing of the tag: some registries only know GET (Nexus: 404). A tag that can
    be read there has no error, so that it is got after each such HEAD.
    """
    tag = known.tags.get(name)
    return tag is not None and tag.error_code == refusal.code


def is_seen_since(known: KnownRepository, name: TagName, since: datetime | None) -> bool:
    """Tell whether the crawl begun at `since` has asked for the tag and stored what it names."""
    tag = known.tags.get(name)
    if since is None or tag is None or tag.digest is None or tag.error_code is not None:
        return False
    is_young = tag.observed_at is not None and tag.observed_at >= since
    return is_young and not needs_manifest(known.artifacts.get(tag.digest))


def needs_manifest(artifact: KnownArtifact | None) -> bool:
    """Tell whether the artifact's manifest is worth asking for."""
    return artifact is None or not (artifact.has_manifest or artifact.error_code in PERMANENT_CODES)


def plan_children(
    known: KnownRepository, at: datetime, *, seen_before: Set[Digest], asked: Set[Digest]
) -> tuple[Digest, ...]:
    """Return the children of present indexes to ask for, nearest to a tag first.

    An absent child is asked for again when an index that was not in `seen_before` lists it, and now and then.
    What this look has `asked` is not asked again.
    """
    present = {digest: artifact for digest, artifact in known.artifacts.items() if artifact.is_present}
    wanted: dict[Digest, None] = {}
    for digest, depth in _depths(present).items():
        if depth >= MAX_INDEX_DEPTH:
            continue
        for child in present[digest].children:
            artifact = known.artifacts.get(child)
            if child in asked:
                continue
            if artifact is not None and not artifact.is_present:
                if digest in seen_before and not _is_second_look_due(artifact, known.crawled_at, at):
                    continue
            elif not needs_manifest(artifact):
                continue
            wanted[child] = None
    return tuple(wanted)


def _depths(present: Mapping[Digest, KnownArtifact]) -> dict[Digest, int]:
    """How many indexes lie above each present artifact, by the shortest way down."""
    held = {child for artifact in present.values() for child in artifact.children}
    level: list[Digest] = [digest for digest in present if digest not in held]
    depths = dict.fromkeys(level, 0)
    depth = 0
    while level:
        depth += 1
        below = {child: None for digest in level for child in present[digest].children}
        level = [child for child in below if child in present and child not in depths]
        depths.update(dict.fromkeys(level, depth))
    return depths


def _is_second_look_due(artifact: KnownArtifact, crawled_at: datetime | None, at: datetime) -> bool:
    """Whether one of the moments absent_at + 1, 2, 4, … times FIRST_SECOND_LOOK lies after the last crawl."""
    if artifact.absent_at is None or crawled_at is None:
        return False
    return _doublings(age_of(artifact.absent_at, at)) > _doublings(age_of(artifact.absent_at, crawled_at))


def _doublings(age: float) -> int:
    return math.floor(math.log2(age / FIRST_SECOND_LOOK)) if age >= FIRST_SECOND_LOOK else -1


def plan_roots(
    known: KnownRepository, *, asked: Set[Digest], since: datetime | None = None
) -> tuple[Digest, ...]:
    """Return the present, untagged artifacts that nothing vouches for: are they still there?

    `since` is when a crawl began that was cut off: what was there since then is not asked again.
    """
    present = {digest: artifact for digest, artifact in known.artifacts.items() if artifact.is_present}
    below = _vouched_by(present)
    vouched = {digest for held in below.values() for digest in held}
    # A tag that is listed but answers 404 says nothing about what it named before.
    tagged = {
        tag.digest
        for tag in known.tags.values()
        if tag.digest in present and tag.error_code != RegistryUnknownError.code
    }
    roots = [digest for digest in present if digest not in vouched and digest not in tagged]
    # Digests cannot form a cycle unless a hash is broken, and then its members vouch for each other only.
    reached = _reach([*tagged, *roots], below)
    roots += [digest for digest in present if digest not in reached]
    return tuple(
        digest
        for digest in roots
        if digest not in asked and not _is_there_since(known.artifacts[digest], since)
    )


def _is_there_since(artifact: KnownArtifact, since: datetime | None) -> bool:
    if since is None or artifact.observed_at is None or needs_manifest(artifact):
        return False
    return artifact.observed_at >= since


def _vouched_by(present: Mapping[Digest, KnownArtifact]) -> dict[Digest, list[Digest]]:
    """What each present artifact vouches for: its children, and its referrers where their list was read."""
    below: dict[Digest, list[Digest]] = {}
    for digest, artifact in present.items():
        below.setdefault(digest, []).extend(child for child in artifact.children if child in present)
        subject = present.get(artifact.subject) if artifact.subject is not None else None
        if artifact.subject is not None and subject is not None and subject.referrers_observed_at is not None:
            below.setdefault(artifact.subject, []).append(digest)
    return below


def _reach(starts: Iterable[Digest | None], below: Mapping[Digest, Collection[Digest]]) -> set[Digest]:
    waiting = [digest for digest in starts if digest is not None]
    reached = set(waiting)
    while waiting:
        found = [digest for digest in below.get(waiting.pop(), ()) if digest not in reached]
        reached.update(found)
        waiting.extend(found)
    return reached


def plan_subjects(
    known: KnownRepository, at: datetime, max_age: float, *, asked: Set[Digest]
) -> tuple[Digest, ...]:
    """Return the present manifests whose referrers were never listed, or `max_age` seconds ago and more."""
    return tuple(
        digest
        for digest, artifact in known.artifacts.items()
        if artifact.is_present
        and artifact.has_manifest
        and digest not in asked
        and age_of(artifact.referrers_observed_at, at) >= max_age
        and _referrer_depth(known, digest) < MAX_REFERRER_DEPTH
    )


def refers_to_any(known: KnownRepository, digest: Digest, subjects: Collection[Digest]) -> bool:
    """Tell whether it refers to one of the subjects, or to what refers to one."""
    return any(subject in subjects for subject in _subjects_above(known, digest))


def _referrer_depth(known: KnownRepository, digest: Digest) -> int:
    return sum(1 for _ in _subjects_above(known, digest))


def _subjects_above(known: KnownRepository, digest: Digest) -> Iterator[Digest]:
    for _ in range(MAX_REFERRER_DEPTH):
        artifact = known.artifacts.get(digest)
        if artifact is None or artifact.subject is None:
            return
        digest = artifact.subject
        yield digest


def plan_unlisted(known: KnownRepository, listed: Mapping[Digest, Collection[Digest]]) -> tuple[Digest, ...]:
    """Return the known referrers that a list of their subject's referrers has just left out.

    They may be gone, or the registry forgetful: like a root they are asked for, unless something else
    vouches for them.
    """
    tagged = {tag.digest for tag in known.tags.values()}
    held = {
        child for artifact in known.artifacts.values() if artifact.is_present for child in artifact.children
    }
    return tuple(
        digest
        for digest, artifact in known.artifacts.items()
        if artifact.is_present
        and artifact.subject is not None
        and artifact.subject in listed
        and digest not in listed[artifact.subject]
        and digest not in tagged
        and digest not in held
    )


def plan_changes(known: KnownRepository, observed: ObservedRepository, at: datetime) -> RepositoryChanges:
    """Return what the observation changes in the store; `at` is when it began."""
    tags = tuple(_tag_change(name, seen) for name, seen in observed.tags.items())
    named = dict.fromkeys(seen for seen in observed.tags.values() if not isinstance(seen, Failure))
    named.update(dict.fromkeys(observed.answered))
    named.update(dict.fromkeys(digest for listed in observed.referrers.values() for digest in listed))
    present = [_artifact_change(digest, artifact) for digest, artifact in observed.artifacts.items()]
    still_there: list[Digest] = []
    for digest in named:
        if digest in observed.artifacts:
            continue
        artifact = known.artifacts.get(digest)
        if artifact is not None and (artifact.is_present or not needs_manifest(artifact)):
            still_there.append(digest)  # or there again: its manifest, or why it has none, is what it was
        else:  # its bytes are stored already, from elsewhere
            present.append(ArtifactChange(digest, Discovery.TAG))
    listed = observed.listed_tags
    return RepositoryChanges(
        at=at,
        tags=tags,
        absent_tags=tuple(
            name
            for name in known.tags
            if name in observed.missing_tags or (listed is not None and name not in listed)
        ),
        present=tuple(present),
        absent=tuple(d for d in observed.missing if d not in named and d not in observed.artifacts),
        observed=tuple(still_there),
        referrers_observed=tuple(observed.referrers),
        is_tag_list_complete=listed is not None,
        is_crawled=observed.is_finished,
        completeness=_completeness(observed),
        error=observed.failure,
        is_absent=observed.is_absent,
        told_tags=observed.told_tags,
        told_artifacts=observed.told_artifacts,
    )


def _completeness(observed: ObservedRepository) -> str | None:
    if not observed.is_finished:
        return None
    # Plain OCI has no list of manifests: what nobody points at is invisible (distribution-spec#222).
    return "COMPLETE" if observed.is_complete else "BEST_EFFORT"


def _tag_change(name: TagName, seen: Digest | Failure) -> TagChange:
    return TagChange(name, None, seen) if isinstance(seen, Failure) else TagChange(name, seen)


def _artifact_change(digest: Digest, artifact: ObservedArtifact) -> ArtifactChange:
    return ArtifactChange(digest, artifact.discovery, artifact.media_type, artifact.size, artifact.failure)


def is_news(known: KnownRepository, changes: RepositoryChanges) -> bool:
    """Tell whether the changes are more than a later time of observation."""
    return bool(
        changes.present
        or changes.absent
        or changes.absent_tags
        or changes.is_absent
        or any(not known.artifacts[digest].is_present for digest in changes.observed)
        or any(_is_tag_news(known.tags.get(tag.name), tag) for tag in changes.tags)
    )


def _is_tag_news(tag: KnownTag | None, change: TagChange) -> bool:
    if tag is None:
        return True
    if change.error is not None:
        return tag.error_code != change.error.code
    return tag.error_code is not None or tag.digest != change.digest

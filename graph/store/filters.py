"""What a list can be narrowed to and sorted by.

Rules of this file: values only. A filter is checked when it is made, so a filter that exists can be asked;
what is wrong is told by the names that those who ask GraphQL gave it.
Ranges include their lower end and leave out their upper one for times
(`created_since` ≤ t < `created_before`), and include both ends for sizes. None is no restriction.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from graph.errors import InvalidFilterError
from graph.oci.liveness import Untagged
from graph.oci.manifest import ArtifactKind
from graph.oci.reference import parse_name_prefix, parse_repository_name, parse_tag_prefix

# Characters of a pattern, a prefix, a namespace or a text to search for: one more than the longest name
# (255, what distribution accepts), so that a whole name with one wildcard still fits.
MAX_PATTERN_LENGTH = 256

# Characters of an artifact type, operating system or architecture. A media type is at most 127 + 1 + 127
# characters (RFC 6838, section 4.2).
MAX_VALUE_LENGTH = 255

# The largest size and the largest count: what a JSON number carries exactly.
MAX_SIZE = 2**53 - 1


class NamespaceOrder(StrEnum):
    """What namespaces are sorted by."""

    NAME = "NAME"


class RepositoryOrder(StrEnum):
    """What repositories are sorted by."""

    NAME = "NAME"
    FIRST_SEEN = "FIRST_SEEN"  # in the list of a layer: first seen to hold it
    CHANGED = "CHANGED"
    SIZE = "SIZE"  # stored bytes, scope ALL


class TagOrder(StrEnum):
    """What tags are sorted by."""

    NAME = "NAME"
    VERSION = "VERSION"  # natural and semantic: v1.9 before v1.10, 1.0-rc1 before 1.0
    FIRST_SEEN = "FIRST_SEEN"
    CHANGED = "CHANGED"
    CREATED = "CREATED"  # when the image it names was made


class ArtifactOrder(StrEnum):
    """What artifacts are sorted by."""

    FIRST_SEEN = "FIRST_SEEN"
    CREATED = "CREATED"
    PUSHED = "PUSHED"
    SIZE = "SIZE"
    EXCLUSIVE_BYTES = "EXCLUSIVE_BYTES"  # nothing is sorted by it but what can be weighed at once


class LayerOrder(StrEnum):
    """What layers are sorted by."""

    FIRST_SEEN = "FIRST_SEEN"
    SIZE = "SIZE"
    SAVED_BYTES = "SAVED_BYTES"
    SHARED = "SHARED"  # number of repositories


F = TypeVar("F", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Order(Generic[F]):
    """A field and a direction. Rows that lack the value come last in both; equal ones by their key."""

    field: F
    is_descending: bool = False


@dataclass(frozen=True, slots=True)
class RepositoryFilter:
    """Which repositories.

    `name` is a glob: `*` stands for any characters, "/" too, `?` for one, and nothing else is special.
    `namespace` is recursive (concept C4).
    """

    name: str | None = None
    name_prefix: str | None = None
    namespace: str | None = None
    changed_since: datetime | None = None
    changed_before: datetime | None = None

    def __post_init__(self) -> None:
        """Raise InvalidFilterError if it is too long or contradicts itself, InvalidNameError for what is no
        namespace, or starts no name.
        """
        _check_text("name", self.name, MAX_PATTERN_LENGTH)
        _check_text("namePrefix", self.name_prefix, MAX_PATTERN_LENGTH)
        _check_text("namespace", self.namespace, MAX_PATTERN_LENGTH)
        if self.name_prefix is not None:
            parse_name_prefix(self.name_prefix)
        if self.namespace is not None:
            parse_repository_name(self.namespace)  # which is what it may be called
        _check_times("changed", self.changed_since, self.changed_before)


@dataclass(frozen=True, slots=True)
class TagFilter:
    """Which tags: `name` is a glob; the tags that only point at referrers are left out unless asked for."""

    name: str | None = None
    name_prefix: str | None = None
    include_referrer_tags: bool = False

    def __post_init__(self) -> None:
        """Raise InvalidFilterError if it is too long, InvalidNameError for a prefix that starts no name."""
        _check_text("name", self.name, MAX_PATTERN_LENGTH)
        _check_text("namePrefix", self.name_prefix, MAX_PATTERN_LENGTH)
        if self.name_prefix is not None:
            parse_tag_prefix(self.name_prefix)


@dataclass(frozen=True, slots=True)
class ArtifactFilter:
    """Which artifacts; `untagged` are the reasons to keep, and implies that it is not tagged."""

    is_tagged: bool | None = None
    untagged: Collection[Untagged] | None = None
    kinds: Collection[ArtifactKind] | None = None
    artifact_type: str | None = None
    os: str | None = None
    architecture: str | None = None
    created_since: datetime | None = None
    created_before: datetime | None = None
    size_at_least: int | None = None
    size_at_most: int | None = None

    def __post_init__(self) -> None:
        """Raise InvalidFilterError if it is too long or contradicts itself."""
        if self.is_tagged and self.untagged is not None:
            raise InvalidFilterError("tagged artifacts have no reason to be untagged: give one or the other")
        for name in ("untagged", "kinds"):
            _check_choices(name, chosen := getattr(self, name))
            # What is described once for each filter is found again by it.
            object.__setattr__(self, name, None if chosen is None else frozenset(chosen))
        _check_text("artifactType", self.artifact_type, MAX_VALUE_LENGTH)
        _check_text("os", self.os, MAX_VALUE_LENGTH)
        _check_text("architecture", self.architecture, MAX_VALUE_LENGTH)
        _check_times("created", self.created_since, self.created_before)
        _check_sizes(self.size_at_least, self.size_at_most)


@dataclass(frozen=True, slots=True)
class LayerFilter:
    """Which layers: `shared_by_at_least` counts repositories, and leaves out the empty layers."""

    shared_by_at_least: int | None = None
    size_at_least: int | None = None
    size_at_most: int | None = None
    include_empty: bool = True

    def __post_init__(self) -> None:
        """Raise InvalidFilterError if it contradicts itself."""
        if self.shared_by_at_least is not None and not 1 <= self.shared_by_at_least <= MAX_SIZE:
            raise InvalidFilterError("sharedByAtLeast is a number of repositories, 1 or more")
        _check_sizes(self.size_at_least, self.size_at_most)


def check_search(text: str) -> str:
    """Return the text to search for, as names spell it.

    Raises InvalidFilterError if it is empty or too long, or holds what no name has.
    """
    if not text.strip():
        raise InvalidFilterError("there is no text to search for")
    _check_text("text", text, MAX_PATTERN_LENGTH)
    return text.strip().lower()


def check_prefix(prefix: str) -> str:
    """Return the prefix.

    Raises InvalidFilterError if it is too long, InvalidNameError if no name starts with it.
    """
    _check_text("prefix", prefix, MAX_PATTERN_LENGTH)
    return parse_name_prefix(prefix)


def check_artifact_type(text: str) -> str:
    """Return the artifact type.

    Raises InvalidFilterError if it is too long.
    """
    _check_text("artifactType", text, MAX_VALUE_LENGTH)
    return text


def _check_text(name: str, value: str | None, limit: int) -> None:
    if value is None:
        return
    if len(value) > limit:
        raise InvalidFilterError(f"{name} is longer than {limit} characters")
    # SQLite takes a pattern to end there: it would match what begins as the pattern does.
    if "\0" in value:
        raise InvalidFilterError(f"{name} holds the character U+0000, which no name has")
    # JSON can spell half of a surrogate pair; no name holds one and no engine takes it.
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidFilterError(f"{name} is not valid Unicode")


def _check_choices(name: str, values: Collection[StrEnum] | None) -> None:
    if values is not None and not values:
        raise InvalidFilterError(f"{name} is an empty list, which nothing matches: leave it out to match all")


def _check_times(name: str, since: datetime | None, before: datetime | None) -> None:
    if any(moment is not None and moment.utcoffset() is None for moment in (since, before)):
        raise InvalidFilterError(f"a time of {name} lacks its offset from UTC")
    if since is not None and before is not None and since >= before:
        raise InvalidFilterError(f"{name}Since is not earlier than {name}Before")


def _check_sizes(at_least: int | None, at_most: int | None) -> None:
    if any(size is not None and not 0 <= size <= MAX_SIZE for size in (at_least, at_most)):
        raise InvalidFilterError(f"a size is a number of bytes from 0 to {MAX_SIZE}")
    if at_least is not None and at_most is not None and at_least > at_most:
        raise InvalidFilterError("sizeAtLeast is more than sizeAtMost")

"""The arguments that narrow and sort lists, and what they mean to the store.

Rules of this file: declarations and one conversion each. The store's filters check themselves when they are
made, so a wrong one is refused before anything is read. An order is one word: names and versions come
ascending, times newest first, sizes and counts largest first; `…_REVERSED` is the same the other way round.
"""

from collections.abc import Collection
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, TypeAlias, TypeVar

import strawberry

from graph.oci.kind import ArtifactKind as StoredKind
from graph.oci.liveness import Untagged
from graph.schema.enums import ArtifactKind, UntaggedReason
from graph.schema.scalars import ByteCount
from graph.store import filters
from graph.store.filters import Order

F = TypeVar(
    "F", bound=filters.RepositoryOrder | filters.TagOrder | filters.ArtifactOrder | filters.LayerOrder
)

# The largest first, and the newest; a name and a version ascend, and so does what was first seen.
_DESCENDING = frozenset({"CHANGED", "CREATED", "PUSHED", "SIZE", "EXCLUSIVE_BYTES", "SAVED_BYTES", "SHARED"})
_REVERSED = "_REVERSED"

_GLOB = "A pattern for the whole name: `*` stands for any characters, `/` too, and `?` for one."
_PREFIX = "What the name starts with."


def _order(word: Enum, fields: type[F]) -> Order[F]:
    name = word.name.removesuffix(_REVERSED)
    return Order(fields(name), (name in _DESCENDING) != word.name.endswith(_REVERSED))


@strawberry.enum(description="What repositories are sorted by. Those that lack the value come last.")
class RepositoryOrder(Enum):
    """What repositories are sorted by."""

    NAME = strawberry.enum_value("NAME", description="By name, a to z.")
    NAME_REVERSED = strawberry.enum_value("NAME_REVERSED", description="By name, z to a.")
    FIRST_SEEN = strawberry.enum_value(
        "FIRST_SEEN", description="First seen first; of a layer's repositories, first seen to hold it."
    )
    FIRST_SEEN_REVERSED = strawberry.enum_value("FIRST_SEEN_REVERSED", description="Last seen first.")
    CHANGED = strawberry.enum_value("CHANGED", description="The latest change first.")
    CHANGED_REVERSED = strawberry.enum_value("CHANGED_REVERSED", description="The oldest change first.")
    SIZE = strawberry.enum_value("SIZE", description="The most stored bytes first.")
    SIZE_REVERSED = strawberry.enum_value("SIZE_REVERSED", description="The fewest stored bytes first.")

    def to_store(self) -> Order[filters.RepositoryOrder]:
        """The same in the store's words."""
        return _order(self, filters.RepositoryOrder)


@strawberry.enum(description="What tags are sorted by. Those that lack the value come last.")
class TagOrder(Enum):
    """What tags are sorted by."""

    NAME = strawberry.enum_value("NAME", description="By name, character by character.")
    NAME_REVERSED = strawberry.enum_value("NAME_REVERSED", description="By name, backwards.")
    VERSION = strawberry.enum_value(
        "VERSION", description="By version, the lowest first: v1.9 before v1.10, 1.0-rc1 before 1.0."
    )
    VERSION_REVERSED = strawberry.enum_value("VERSION_REVERSED", description="By version, the highest first.")
    FIRST_SEEN = strawberry.enum_value("FIRST_SEEN", description="First seen first.")
    FIRST_SEEN_REVERSED = strawberry.enum_value("FIRST_SEEN_REVERSED", description="Last seen first.")
    CHANGED = strawberry.enum_value("CHANGED", description="Last moved first.")
    CHANGED_REVERSED = strawberry.enum_value("CHANGED_REVERSED", description="Moved the longest ago first.")
    CREATED = strawberry.enum_value("CREATED", description="The tag of the newest image first.")
    CREATED_REVERSED = strawberry.enum_value(
        "CREATED_REVERSED", description="The tag of the oldest image first."
    )

    def to_store(self) -> Order[filters.TagOrder]:
        """The same in the store's words."""
        return _order(self, filters.TagOrder)


@strawberry.enum(description="What artifacts are sorted by. Those that lack the value come last.")
class ArtifactOrder(Enum):
    """What artifacts are sorted by."""

    FIRST_SEEN = strawberry.enum_value(
        "FIRST_SEEN",
        description="First seen first, as they were written down: `firstSeenAt` of two repositories that "
        "were read at the same time may say otherwise.",
    )
    FIRST_SEEN_REVERSED = strawberry.enum_value("FIRST_SEEN_REVERSED", description="Last seen first.")
    CREATED = strawberry.enum_value("CREATED", description="Newest first, by when the image was made.")
    CREATED_REVERSED = strawberry.enum_value(
        "CREATED_REVERSED", description="Oldest first, by when the image was made."
    )
    PUSHED = strawberry.enum_value("PUSHED", description="Last pushed first, where the registry tells.")
    PUSHED_REVERSED = strawberry.enum_value(
        "PUSHED_REVERSED", description="Pushed the longest ago first, where the registry tells."
    )
    SIZE = strawberry.enum_value("SIZE", description="Largest first.")
    SIZE_REVERSED = strawberry.enum_value("SIZE_REVERSED", description="Smallest first.")
    EXCLUSIVE_BYTES = strawberry.enum_value(
        "EXCLUSIVE_BYTES",
        description="The one whose deletion would free the most bytes first. Each artifact is weighed for "
        "it, so that a list of more than 10,000 has to be narrowed, as by `untagged: DANGLING`.",
    )
    EXCLUSIVE_BYTES_REVERSED = strawberry.enum_value(
        "EXCLUSIVE_BYTES_REVERSED", description="The one whose deletion would free the fewest bytes first."
    )

    def to_store(self) -> Order[filters.ArtifactOrder]:
        """The same in the store's words."""
        return _order(self, filters.ArtifactOrder)


@strawberry.enum(description="What layers are sorted by.")
class LayerOrder(Enum):
    """What layers are sorted by."""

    FIRST_SEEN = strawberry.enum_value("FIRST_SEEN", description="First seen first.")
    FIRST_SEEN_REVERSED = strawberry.enum_value("FIRST_SEEN_REVERSED", description="Last seen first.")
    SIZE = strawberry.enum_value("SIZE", description="Largest first.")
    SIZE_REVERSED = strawberry.enum_value("SIZE_REVERSED", description="Smallest first.")
    SAVED_BYTES = strawberry.enum_value(
        "SAVED_BYTES", description="The one whose sharing saves the most bytes first."
    )
    SAVED_BYTES_REVERSED = strawberry.enum_value(
        "SAVED_BYTES_REVERSED", description="The one whose sharing saves the fewest bytes first."
    )
    SHARED = strawberry.enum_value("SHARED", description="The one that the most repositories share first.")
    SHARED_REVERSED = strawberry.enum_value(
        "SHARED_REVERSED", description="The one that the fewest repositories share first."
    )

    def to_store(self) -> Order[filters.LayerOrder]:
        """The same in the store's words."""
        return _order(self, filters.LayerOrder)


@strawberry.input(description="Which repositories to keep: those for which all that is given holds.")
class RepositoryFilter:
    """Which repositories to keep."""

    name: str | None = strawberry.field(description=_GLOB)
    name_prefix: str | None = strawberry.field(description=_PREFIX)
    namespace: str | None = strawberry.field(
        description="A namespace they are in, at any depth: `marketing` keeps `marketing/campaign10-18/web`."
    )
    changed_since: datetime | None = strawberry.field(description="They changed at this moment or later.")
    changed_before: datetime | None = strawberry.field(description="They last changed before this moment.")

    def to_store(self) -> filters.RepositoryFilter:
        """The same in the store's words. Raises InvalidFilterError and InvalidNameError."""
        return filters.RepositoryFilter(
            self.name, self.name_prefix, self.namespace, self.changed_since, self.changed_before
        )


@strawberry.input(description="Which tags to keep: those for which all that is given holds.")
class TagFilter:
    """Which tags to keep."""

    name: str | None = strawberry.field(description=_GLOB)
    name_prefix: str | None = strawberry.field(description=_PREFIX)
    include_referrer_tags: bool = strawberry.field(
        default=False,
        description="Give the tags too that only point at signatures and the like of another artifact: "
        "`sha256-…`, `….sig`, `….att`, `….sbom`.",
    )

    def to_store(self) -> filters.TagFilter:
        """The same in the store's words. Raises InvalidFilterError and InvalidNameError."""
        return filters.TagFilter(self.name, self.name_prefix, bool(self.include_referrer_tags))


@strawberry.input(description="Which artifacts to keep: those for which all that is given holds.")
class ArtifactFilter:
    """Which artifacts to keep."""

    is_tagged: bool | None = strawberry.field(
        description="Only those that an ordinary tag names, or only those that none does."
    )
    untagged: list[UntaggedReason] | None = strawberry.field(
        description="Only untagged ones, for one of these reasons."
    )
    kinds: list[ArtifactKind] | None = strawberry.field(description="Only of one of these kinds.")
    artifact_type: str | None = strawberry.field(description="The artifact type, exactly.")
    os: str | None = strawberry.field(description="The operating system, such as `linux`.")
    architecture: str | None = strawberry.field(description="The architecture, such as `arm64`.")
    created_since: datetime | None = strawberry.field(
        description="The image was made at this moment or later."
    )
    created_before: datetime | None = strawberry.field(description="The image was made before this moment.")
    size_at_least: ByteCount | None = strawberry.field(description="It has this many bytes or more.")
    size_at_most: ByteCount | None = strawberry.field(description="It has this many bytes or fewer.")

    def to_store(self) -> filters.ArtifactFilter:
        """The same in the store's words. Raises InvalidFilterError."""
        return filters.ArtifactFilter(
            is_tagged=self.is_tagged,
            untagged=_choices(self.untagged, Untagged),
            kinds=_choices(self.kinds, StoredKind),
            artifact_type=self.artifact_type,
            os=self.os,
            architecture=self.architecture,
            created_since=self.created_since,
            created_before=self.created_before,
            size_at_least=self.size_at_least,
            size_at_most=self.size_at_most,
        )


@strawberry.input(description="Which layers to keep: those for which all that is given holds.")
class LayerFilter:
    """Which layers to keep."""

    shared_by_at_least: int | None = strawberry.field(
        description="This many repositories share it, or more. Leaves the empty layers out, which are in all."
    )
    size_at_least: ByteCount | None = strawberry.field(description="It has this many bytes or more.")
    size_at_most: ByteCount | None = strawberry.field(description="It has this many bytes or fewer.")
    include_empty: bool = strawberry.field(
        default=True, description="Whether to give layers that are known to hold nothing."
    )

    def to_store(self) -> filters.LayerFilter:
        """The same in the store's words. Raises InvalidFilterError."""
        return filters.LayerFilter(
            self.shared_by_at_least,
            self.size_at_least,
            self.size_at_most,
            self.include_empty is not False,
        )


C = TypeVar("C", bound=Enum)


def _choices(given: Collection[Enum] | None, stored: type[C]) -> tuple[C, ...] | None:
    return None if given is None else tuple(dict.fromkeys(stored(choice.value) for choice in given))


def _argument(shown: Any, description: str) -> Any:
    return strawberry.argument(graphql_type=shown | None, description=description)


# A level function takes the store's words; the schema shows ours.
RepositoryFilterArgument: TypeAlias = Annotated[
    filters.RepositoryFilter | None, _argument(RepositoryFilter, "Which repositories to keep. Default: all.")
]
TagFilterArgument: TypeAlias = Annotated[
    filters.TagFilter | None,
    _argument(TagFilter, "Which tags to keep. Default: all that are not only there for a referrer."),
]
ArtifactFilterArgument: TypeAlias = Annotated[
    filters.ArtifactFilter | None, _argument(ArtifactFilter, "Which artifacts to keep. Default: all.")
]
LayerFilterArgument: TypeAlias = Annotated[
    filters.LayerFilter | None, _argument(LayerFilter, "Which layers to keep. Default: all.")
]
RepositoryOrderArgument: TypeAlias = Annotated[
    Order[filters.RepositoryOrder] | None, _argument(RepositoryOrder, "How to sort.")
]
TagOrderArgument: TypeAlias = Annotated[
    Order[filters.TagOrder] | None, _argument(TagOrder, "How to sort. Default: by name.")
]
ArtifactOrderArgument: TypeAlias = Annotated[
    Order[filters.ArtifactOrder] | None, _argument(ArtifactOrder, "How to sort. Default: first seen first.")
]
LayerOrderArgument: TypeAlias = Annotated[
    Order[filters.LayerOrder] | None, _argument(LayerOrder, "How to sort. Default: first seen first.")
]

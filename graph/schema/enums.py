"""The words that fields of the schema give, each explained. Rules of this file: declarations only.

The values are those of the enumerations in `oci` and `store`, word for word; a test compares them.
"""

from enum import Enum

import strawberry


@strawberry.enum(description="What an artifact is for, told by its media types.")
class ArtifactKind(Enum):
    """What an artifact is for."""

    IMAGE = strawberry.enum_value("IMAGE", description="A container image for one platform.")
    INDEX = strawberry.enum_value(
        "INDEX", description="A list of manifests, most often one image for each platform."
    )
    HELM_CHART = strawberry.enum_value("HELM_CHART", description="A Helm chart.")
    SIGNATURE = strawberry.enum_value("SIGNATURE", description="A signature of another artifact.")
    ATTESTATION = strawberry.enum_value(
        "ATTESTATION", description="A signed statement about another artifact, such as its provenance."
    )
    SBOM = strawberry.enum_value("SBOM", description="A software bill of materials of another artifact.")
    WASM = strawberry.enum_value("WASM", description="A WebAssembly module or component.")
    OTHER = strawberry.enum_value("OTHER", description="Its manifest was read, and it is none of the others.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="Its manifest has not been read.")


@strawberry.enum(description="Why an artifact that no ordinary tag names is in its repository.")
class UntaggedReason(Enum):
    """Why an artifact without an ordinary tag is there."""

    INDEX_CHILD = strawberry.enum_value(
        "INDEX_CHILD", description="An index that is in use lists it: deleting it would break that index."
    )
    REFERRER = strawberry.enum_value(
        "REFERRER", description="It refers to an artifact that is in use, such as a signature does."
    )
    DANGLING = strawberry.enum_value(
        "DANGLING", description="Nothing in use leads to it: what a moved or removed tag left behind."
    )


@strawberry.enum(description="Whether a registry is asked at all.")
class BreakerState(Enum):
    """Whether a registry is asked."""

    CLOSED = strawberry.enum_value("CLOSED", description="It is.")
    OPEN = strawberry.enum_value("OPEN", description="It is not: it has failed too often in a row.")
    HALF_OPEN = strawberry.enum_value("HALF_OPEN", description="One request is on its way, to find out.")


@strawberry.enum(description="How much of what the registry holds can have been seen.")
class Completeness(Enum):
    """How much can have been seen."""

    COMPLETE = strawberry.enum_value(
        "COMPLETE", description="Everything: the registry lists untagged manifests, and the list was read."
    )
    BEST_EFFORT = strawberry.enum_value(
        "BEST_EFFORT",
        description="All tags and what they lead to. Untagged manifests may exist that nobody can list.",
    )
    UNKNOWN = strawberry.enum_value(
        "UNKNOWN",
        description="No crawl has read it to its end yet: what a query has read meanwhile is shown.",
    )


@strawberry.enum(description="Which artifacts a figure counts.")
class Scope(Enum):
    """Which artifacts a figure counts."""

    TAGGED = strawberry.enum_value(
        "TAGGED", description="What is in use: tagged, or held by or referring to what is."
    )
    ALL = strawberry.enum_value("ALL", description="Everything that is present, dangling artifacts too.")


@strawberry.enum(description="What the crawl of a registry is doing.")
class SyncState(Enum):
    """What a crawl is doing."""

    NEVER = strawberry.enum_value("NEVER", description="The registry was never crawled.")
    RUNNING = strawberry.enum_value("RUNNING", description="A crawl is under way.")
    IDLE = strawberry.enum_value("IDLE", description="The last crawl went well; the next one is due later.")
    FAILED = strawberry.enum_value("FAILED", description="The last crawl ended with an error.")


@strawberry.enum(description="Something that a registry can tell, or cannot.")
class CapabilityName(Enum):
    """Something that a registry can tell."""

    CATALOG = strawberry.enum_value("CATALOG", description="Which repositories there are.")
    REFERRERS = strawberry.enum_value(
        "REFERRERS", description="Which artifacts refer to one, such as its signatures."
    )
    UNTAGGED_LISTING = strawberry.enum_value(
        "UNTAGGED_LISTING", description="Which manifests a repository holds, untagged ones too."
    )
    PUSH_TIME = strawberry.enum_value("PUSH_TIME", description="When something was pushed.")
    TAG_DIGESTS = strawberry.enum_value(
        "TAG_DIGESTS",
        description="What each tag names, with the list of tags: none has to be asked for.",
    )
    LOCKS = strawberry.enum_value("LOCKS", description="What may not be changed or deleted.")
    EVENTS = strawberry.enum_value("EVENTS", description="That something changed, when it happens.")


@strawberry.enum(description="Whether a registry can tell something.")
class CapabilityState(Enum):
    """Whether a registry can tell something."""

    SUPPORTED = strawberry.enum_value("SUPPORTED", description="It can.")
    UNSUPPORTED = strawberry.enum_value("UNSUPPORTED", description="It cannot.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="Nobody has asked it yet.")


@strawberry.enum(description="Whether all referrers of an artifact can be known.")
class ReferrersState(Enum):
    """Whether all referrers can be known."""

    KNOWN = strawberry.enum_value("KNOWN", description="The registry was asked for the list.")
    UNSUPPORTED = strawberry.enum_value(
        "UNSUPPORTED", description="The registry has no such list; what is given was found by other ways."
    )
    UNKNOWN = strawberry.enum_value(
        "UNKNOWN", description="The list has not been read; what is given was found by other ways."
    )


@strawberry.enum(description="How a node keeps layers, and so when it takes one for one that it has.")
class Reuse(Enum):
    """When a node takes a layer for one that it has."""

    BLOB = strawberry.enum_value(
        "BLOB",
        description="A store of content, as containerd, Podman and CRI-O have: it reuses a layer that it has "
        "under the same digest, in whatever image.",
    )
    CHAIN = strawberry.enum_value(
        "CHAIN",
        description="Docker's classic store of layers: it reuses a layer only on the same layers below, and "
        "from the first that is missing on it fetches all.",
    )


@strawberry.enum(description="What a document is to the image that is pulled.")
class DocumentRole(Enum):
    """What a document is to an image."""

    INDEX = strawberry.enum_value("INDEX", description="An index on the way to the image.")
    MANIFEST = strawberry.enum_value("MANIFEST", description="The manifest of the image.")
    CONFIG = strawberry.enum_value("CONFIG", description="What the image says about itself.")


@strawberry.enum(description="Why an artifact is in the plan of a deletion.")
class DeletionReason(Enum):
    """Why an artifact is in the plan of a deletion."""

    NAMED = strawberry.enum_value(
        "NAMED", description="It is named: by itself, by its repository, or by the last tag it had."
    )
    CHILD = strawberry.enum_value(
        "CHILD", description="It has no tag, and nothing lists it but indexes that go."
    )
    REFERRER = strawberry.enum_value(
        "REFERRER",
        description="It refers to something that goes, as a signature does, and to nothing that stays.",
    )


@strawberry.enum(
    description="Why an artifact stays although it was named, or is next to something that goes: the first "
    "of these that is true."
)
class StayReason(Enum):
    """Why an artifact stays."""

    TAGGED = strawberry.enum_value("TAGGED", description="It has an ordinary tag that is not taken away.")
    HELD_BY_INDEX = strawberry.enum_value(
        "HELD_BY_INDEX", description="An index that stays lists it: deleting it would break that index."
    )
    HELD_AS_REFERRER = strawberry.enum_value(
        "HELD_AS_REFERRER",
        description="It refers to something that stays, or to something that nobody has looked for.",
    )

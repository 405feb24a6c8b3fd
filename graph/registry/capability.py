"""What a registry may or may not be able to tell, and whether we know yet."""

from enum import StrEnum


class Capability(StrEnum):
    """Something that not every registry can tell."""

    CATALOG = "CATALOG"
    """Lists its repositories."""
    REFERRERS = "REFERRERS"
    """Lists what refers to a manifest (OCI 1.1)."""
    UNTAGGED_LISTING = "UNTAGGED_LISTING"
    """Lists manifests without a tag; the plain OCI API has no call for it."""
    PUSH_TIME = "PUSH_TIME"
    """Says when something was pushed."""
    TAG_DIGESTS = "TAG_DIGESTS"
    """Says with the list of tags what each names, so that no tag has to be asked for."""
    LOCKS = "LOCKS"
    """Says what may not be changed or deleted."""
    EVENTS = "EVENTS"
    """Tells of changes when they happen."""


class CapabilityState(StrEnum):
    """Whether a registry has a capability: not known until it was asked."""

    UNKNOWN = "UNKNOWN"
    SUPPORTED = "SUPPORTED"
    UNSUPPORTED = "UNSUPPORTED"

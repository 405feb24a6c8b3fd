"""What lists of a registry hold: tags and manifests, with whatever the registry tells about them besides.

Rules of this file: values. What a registry did not say is None. Times are the registry's own, in UTC.
"""

from dataclasses import dataclass
from datetime import datetime

from graph.oci.digest import Digest
from graph.oci.locks import Locks
from graph.oci.reference import TagName


@dataclass(frozen=True, slots=True)
class ListedTag:
    """A tag of a list. Without a digest it has to be asked for what it names."""

    name: TagName
    digest: Digest | None = None
    pushed_at: datetime | None = None
    """When it was first pushed."""
    changed_at: datetime | None = None
    """When it, or what is known about it, last changed."""
    locks: Locks | None = None


@dataclass(frozen=True, slots=True)
class ListedManifest:
    """A manifest of a list; an untagged one has no tags."""

    digest: Digest
    media_type: str | None = None
    size: int | None = None
    """Bytes of the manifest itself, where the registry tells them; most tell the size of the image."""
    pushed_at: datetime | None = None
    changed_at: datetime | None = None
    locks: Locks | None = None
    lists_referrers: bool = True
    """Whether what refers to it is in the list too."""

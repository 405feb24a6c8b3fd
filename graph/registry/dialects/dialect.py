"""What a dialect is, and what it is given to ask with.

A dialect says where a kind of registry keeps its lists, how they are read, and what can be had that the
plain API has not. The rest of the package sees capabilities, never a vendor's name. Rules of this package:
one file for each vendor, each quirk beside its evidence; a dialect sends nothing itself, and asks only to
read.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from graph.oci.reference import RepositoryName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.listing import Listing
from graph.registry.wire import Request

Entry = TypeVar("Entry")


class Reader(Protocol):
    """Asks one registry, with its identity and within its limits."""

    def pages(self, listing: Listing[Entry]) -> AsyncIterator[Sequence[Entry]]:
        """The list, page by page; raises RegistryError where it is cut short."""

    async def document(self, request: Request) -> Any:
        """The JSON that answers a request; raises RegistryError."""


class Dialect(Protocol):
    """How one kind of registry likes to be asked."""

    @property
    def name(self) -> str:
        """What the settings call it."""

    @property
    def capabilities(self) -> Mapping[Capability, CapabilityState]:
        """What is known of every registry of this kind before it is asked."""

    @property
    def apis(self) -> Sequence[str]:
        """The origins of the vendor's own APIs that are asked besides the registry; each gets the login."""

    def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """The repositories, page by page."""

    def list_tags(self, reader: Reader, repository: RepositoryName) -> AsyncIterator[Sequence[ListedTag]]:
        """The repository's tags, page by page; with their digests where TAG_DIGESTS is supported."""

    def list_manifests(
        self, reader: Reader, repository: RepositoryName
    ) -> AsyncIterator[Sequence[ListedManifest]]:
        """Every manifest of the repository; asked only where UNTAGGED_LISTING is supported."""

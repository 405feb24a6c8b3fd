"""What a dialect is, and what it is given to ask with.

A dialect says where a kind of registry keeps its lists, how they are read, and what can be had that the
plain API has not. The rest of the package sees capabilities, never a vendor's name. Rules of this package:
one file for each vendor, each quirk beside its evidence; a dialect sends nothing itself, and asks only to
read.
"""

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    MutableMapping,
    Sequence,
)
from datetime import datetime
from typing import Any, Protocol, TypeVar

from graph.errors import (
    RegistryDeniedError,
    RegistryProtocolError,
    RegistryUnknownError,
    RegistryUnsupportedError,
)
from graph.oci.reference import RepositoryName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.identity import IdentitySource
from graph.registry.listing import Listing
from graph.registry.signer import Signer
from graph.registry.wire import Reply, Request

Entry = TypeVar("Entry")

# What a registry that is not the vendor's may say to a question for the vendor's list.
_ABSENCES = (RegistryUnknownError, RegistryUnsupportedError, RegistryDeniedError, RegistryProtocolError)

# Nothing is learned of a registry from what one owner's repository is refused for.
NOTHING: Collection[Capability] = ()

Ask = Callable[[Request], Awaitable[Reply]]
Clock = Callable[[], datetime]


class Reader(Protocol):
    """Asks one registry, with its identity and within its limits."""

    @property
    def capabilities(self) -> MutableMapping[Capability, CapabilityState]:
        """What the registry can tell, as far as it is known; a dialect may learn that it cannot."""

    @property
    def has_vendor_lists(self) -> bool:
        """Whether a list that the plain API has not was ever read: then the vendor's API is there."""

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
    def url(self) -> str:
        """Where the registry answers, which need not be what it is called."""

    @property
    def apis(self) -> Sequence[str]:
        """The origins of the vendor's own APIs that are asked besides the registry; each gets the login."""

    @property
    def counts_pulls(self) -> bool:
        """A GET of a manifest counts against a limit that a HEAD does not count against."""

    def open_identity(self, ask: Ask, clock: Clock) -> IdentitySource | None:
        """Who we are to the registry, where the vendor has a way of its own to tell; None: as written down.

        `ask` puts a question to the registry or to an API of `apis`.
        """

    def open_signer(self, api: str, identity: IdentitySource, clock: Clock) -> Signer | None:
        """What says who we are on SIGNED requests to one of `apis`; None where none are."""

    def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """The repositories, page by page."""

    def list_tags(self, reader: Reader, repository: RepositoryName) -> AsyncIterator[Sequence[ListedTag]]:
        """The repository's tags, page by page; with their digests where TAG_DIGESTS is supported."""

    def list_manifests(
        self, reader: Reader, repository: RepositoryName
    ) -> AsyncIterator[Sequence[ListedManifest]]:
        """Every manifest of the repository; asked only where UNTAGGED_LISTING is supported."""


def read_with_fallback(
    reader: Reader,
    own: Listing[Entry],
    plain: Listing[Entry],
    lost: Collection[Capability],
    *,
    is_guess: bool = False,
) -> AsyncIterator[Sequence[Entry]]:
    """The vendor's list; where the registry has none, or not for us, the plain one."""
    return fall_back(reader, reader.pages(own), reader.pages(plain), lost, is_guess=is_guess)


async def fall_back(
    reader: Reader,
    own: AsyncIterator[Sequence[Entry]],
    plain: AsyncIterator[Sequence[Entry]],
    lost: Collection[Capability],
    *,
    is_guess: bool = False,
) -> AsyncIterator[Sequence[Entry]]:
    """The pages of the vendor's list; where the registry has none, or not for us, the plain ones.

    A registry that has the plain list and has never shown one of the vendor's is not what it looked like:
    what is `lost` with that is remembered, and the vendor's list is not asked for again. One that only
    refuses us may grant another repository, and one whose vendor's API has answered may not know this one.

    `is_guess`: nobody said that it is the vendor's. Then what has never answered in the vendor's way is none
    of its APIs, whatever stands there: a page for people, a redirect to a login, a refusal of the path.
    """
    is_denied = False
    is_lost = any(reader.capabilities[each] is CapabilityState.UNSUPPORTED for each in lost)
    if reader.has_vendor_lists or not is_lost:
        is_begun = False
        try:
            async for page in own:
                if not is_begun:  # though another answer may have been taken for the end of it
                    reader.capabilities.update(dict.fromkeys(lost, CapabilityState.SUPPORTED))
                is_begun = True
                yield page
            return
        except _ABSENCES as error:
            is_garbled = isinstance(error, RegistryProtocolError)
            if is_begun or (is_garbled and (reader.has_vendor_lists or not is_guess)):
                raise
            is_denied = isinstance(error, RegistryDeniedError)
    async for page in plain:
        if not is_denied and not reader.has_vendor_lists:
            reader.capabilities.update(dict.fromkeys(lost, CapabilityState.UNSUPPORTED))
        yield page

"""The plain API: distribution specification 1.1, and `_catalog`, which it reserves but does not specify."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from graph.oci.reference import RepositoryName, parse_repository_name, parse_tag_name
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.dialect import Ask, Clock, Reader
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.identity import IdentitySource
from graph.registry.ledger import RequestKind
from graph.registry.listing import Listing
from graph.registry.origin import host_of
from graph.registry.signer import Signer
from graph.registry.wire import CATALOG_SCOPE, pull_scope, repository_path
from graph.settings import AUTOMATIC_DIALECT, RegistrySettings


class OciDialect:
    """Any registry that speaks `/v2/`.

    Every other dialect falls back to it.
    """

    name = "oci"
    # The specification has no call that lists manifests (distribution-spec #222), none that tells a tag's
    # digest with its name, and none that tells times.
    capabilities: Mapping[Capability, CapabilityState] = {
        Capability.CATALOG: CapabilityState.UNKNOWN,
        Capability.REFERRERS: CapabilityState.UNKNOWN,
        Capability.TAG_DIGESTS: CapabilityState.UNSUPPORTED,
        Capability.UNTAGGED_LISTING: CapabilityState.UNSUPPORTED,
        Capability.PUSH_TIME: CapabilityState.UNSUPPORTED,
        Capability.LOCKS: CapabilityState.UNSUPPORTED,
        Capability.EVENTS: CapabilityState.UNSUPPORTED,
    }

    known_hosts: Collection[str] = ()
    """The vendor's own, where nothing has to be found out."""
    apis: Sequence[str] = ()
    counts_pulls = False

    def __init__(self, settings: RegistrySettings) -> None:
        self.settings = settings

    @property
    def is_guess(self) -> bool:
        """Whether nothing but the name of the host says that this dialect is spoken there."""
        return self.settings.dialect == AUTOMATIC_DIALECT and not self._is_known

    @property
    def _is_known(self) -> bool:
        return host_of(self.settings.url.partition("://")[2]) in self.known_hosts

    def may_lack(self, capabilities: Collection[Capability]) -> Collection[Capability]:
        """Which of these a registry may turn out to lack: none where it is the vendor's own."""
        return () if self._is_known else capabilities

    @property
    def url(self) -> str:
        """Where the settings say that it is."""
        return self.settings.url

    def open_identity(self, ask: Ask, clock: Clock) -> IdentitySource | None:
        """As it is written down."""
        return None

    def open_signer(self, api: str, identity: IdentitySource, clock: Clock) -> Signer | None:
        """Nothing is signed."""
        return None

    @classmethod
    def speaks_at(cls, host: str) -> bool:
        """Any host may speak it; it is what is left when no other dialect is recognised."""
        return False

    def catalog(self) -> Listing[RepositoryName]:
        """`GET /v2/_catalog`."""
        return Listing(
            RequestKind.CATALOG,
            "/v2/_catalog",
            CATALOG_SCOPE,
            _read_repositories,
            parse_repository_name,
            is_plain=True,
        )

    def tags(self, repository: RepositoryName) -> Listing[ListedTag]:
        """`GET /v2/<name>/tags/list`: end-8a and 8b."""
        path = f"{repository_path(repository)}/tags/list"
        return Listing(RequestKind.TAGS, path, pull_scope(repository), _read_tags, parse_tag, is_plain=True)

    def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """The catalog, page by page."""
        return reader.pages(self.catalog())

    def list_tags(self, reader: Reader, repository: RepositoryName) -> AsyncIterator[Sequence[ListedTag]]:
        """The names of the tags, page by page."""
        return reader.pages(self.tags(repository))

    def list_manifests(
        self, reader: Reader, repository: RepositoryName
    ) -> AsyncIterator[Sequence[ListedManifest]]:
        """Never called: it is declared that there is no such list."""
        raise NotImplementedError


def parse_tag(name: Any) -> ListedTag:
    """A tag of which only the name is listed."""
    return ListedTag(parse_tag_name(name))


def _read_repositories(page: dict[str, Any]) -> Any:
    return page.get("repositories")


def _read_tags(page: dict[str, Any]) -> Any:
    return page.get("tags")

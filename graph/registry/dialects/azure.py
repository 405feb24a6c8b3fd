"""Azure Container Registry: its data plane lists manifests, untagged ones too, and tags with their digests.

Sources: the published interface, Azure/azure-rest-api-specs, containerregistry.json of 2021-07-01, and what
its users found. What differs from the plain API:

- `/acr/v1/<name>/_tags` and `/_manifests` page by `last` and `n` with a Link that is relative and may hold an
  empty `orderby=`; the query is sent back as it came. The last page may leave its list out or say null
  (Azure/acr-cli).
- A manifest's own list of tags is incomplete beyond some ten of them (Azure/azure-cli #7438), and is null,
  missing or empty without any (Azure/acr #175): what a tag names is taken from `_tags` alone.
- `imageSize` is what the image weighs, not the manifest, and there is neither `subject` nor layers: each
  manifest is still read once.
- What `listEnabled: false` hides is in no list; what `readEnabled: false` locks is listed and cannot be read.
- The scope a token needs is named by the challenge (`metadata_read` in all that was seen); a token for some
  repositories cannot list the catalog, and those that queries name are known.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from graph.oci.digest import parse_digest
from graph.oci.locks import Locks
from graph.oci.reference import RepositoryName, parse_repository_name, parse_tag_name
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.dialect import Reader, read_with_fallback
from graph.registry.dialects.oci import OciDialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.ledger import RequestKind
from graph.registry.listing import LINKED_ALWAYS, Listing
from graph.registry.times import parse_time
from graph.registry.wire import CATALOG_SCOPE, segments

# What a registry that has none of these paths cannot tell: one that only has such a name.
_LOST = frozenset(
    {Capability.TAG_DIGESTS, Capability.UNTAGGED_LISTING, Capability.PUSH_TIME, Capability.LOCKS}
)

# Hosts of the public, the Chinese and the American government's cloud.
_DOMAINS = (".azurecr.io", ".azurecr.cn", ".azurecr.us")


class AzureDialect(OciDialect):
    """Azure Container Registry."""

    name = "azure"
    capabilities: Mapping[Capability, CapabilityState] = {
        **OciDialect.capabilities,
        Capability.CATALOG: CapabilityState.SUPPORTED,
        Capability.TAG_DIGESTS: CapabilityState.SUPPORTED,
        Capability.UNTAGGED_LISTING: CapabilityState.SUPPORTED,
        Capability.PUSH_TIME: CapabilityState.SUPPORTED,
        Capability.LOCKS: CapabilityState.SUPPORTED,
        Capability.EVENTS: CapabilityState.SUPPORTED,
    }

    @classmethod
    def speaks_at(cls, host: str) -> bool:
        """Every login server of Azure is below one of its domains."""
        return host.endswith(_DOMAINS)

    def own_catalog(self) -> Listing[RepositoryName]:
        """`GET /acr/v1/_catalog`."""
        return Listing(
            RequestKind.CATALOG,
            "/acr/v1/_catalog",
            CATALOG_SCOPE,
            lambda page: page.get("repositories"),
            parse_repository_name,
            paging=LINKED_ALWAYS,
        )

    def own_tags(self, repository: RepositoryName) -> Listing[ListedTag]:
        """`GET /acr/v1/<name>/_tags`."""
        return Listing(
            RequestKind.TAGS,
            f"/acr/v1/{segments(repository)}/_tags",
            _scope(repository),
            lambda page: page.get("tags"),
            _parse_tag,
            lambda item: item["name"],
            LINKED_ALWAYS,
        )

    def manifests(self, repository: RepositoryName) -> Listing[ListedManifest]:
        """`GET /acr/v1/<name>/_manifests`."""
        return Listing(
            RequestKind.MANIFESTS,
            f"/acr/v1/{segments(repository)}/_manifests",
            _scope(repository),
            lambda page: page.get("manifests"),
            _parse_manifest,
            lambda item: item["digest"],
            LINKED_ALWAYS,
        )

    def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """The catalog, page by page."""
        return read_with_fallback(reader, self.own_catalog(), self.catalog(), _LOST)

    def list_tags(self, reader: Reader, repository: RepositoryName) -> AsyncIterator[Sequence[ListedTag]]:
        """The tags with what they name, page by page."""
        return read_with_fallback(reader, self.own_tags(repository), self.tags(repository), _LOST)

    def list_manifests(
        self, reader: Reader, repository: RepositoryName
    ) -> AsyncIterator[Sequence[ListedManifest]]:
        """Every manifest, page by page."""
        return reader.pages(self.manifests(repository))


def _scope(repository: RepositoryName) -> str:
    return f"repository:{repository}:metadata_read"


def _parse_tag(item: Any) -> ListedTag:
    return ListedTag(
        parse_tag_name(item["name"]),
        parse_digest(item["digest"]),
        parse_time(item.get("createdTime")),
        parse_time(item.get("lastUpdateTime")),
        _parse_locks(item.get("changeableAttributes")),
    )


def _parse_manifest(item: Any) -> ListedManifest:
    media_type = item.get("mediaType")  # in every answer that was seen, and in no schema
    return ListedManifest(
        parse_digest(item["digest"]),
        media_type if isinstance(media_type, str) else None,
        pushed_at=parse_time(item.get("createdTime")),
        changed_at=parse_time(item.get("lastUpdateTime")),
        locks=_parse_locks(item.get("changeableAttributes")),
    )


def _parse_locks(attributes: Any) -> Locks | None:
    if not isinstance(attributes, Mapping):
        return None

    def read(name: str) -> bool | None:
        value = attributes.get(name)
        return value if isinstance(value, bool) else None

    return Locks(read("deleteEnabled"), read("writeEnabled"), read("listEnabled"), read("readEnabled"))

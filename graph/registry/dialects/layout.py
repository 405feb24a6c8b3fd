"""An OCI image layout or an archive of `docker save`: all that is in the file is told, at once.

Its API is our own (`layouts/transport.py`), so that there is nothing to be careful about: tags come with
their digests, and every manifest is listed. A file says nothing of times, and nobody locks what is in it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from graph.oci.digest import parse_digest
from graph.oci.reference import RepositoryName, parse_repository_name, parse_tag_name
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.dialect import Reader
from graph.registry.dialects.oci import OciDialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.ledger import RequestKind
from graph.registry.listing import Listing, Paging
from graph.registry.wire import segments

WHOLE = Paging(size_name="", has_own_cursor=False)


class LayoutDialect(OciDialect):
    """Images on disk."""

    name = "layout"
    capabilities: Mapping[Capability, CapabilityState] = {
        **OciDialect.capabilities,
        Capability.CATALOG: CapabilityState.SUPPORTED,
        Capability.REFERRERS: CapabilityState.SUPPORTED,
        Capability.TAG_DIGESTS: CapabilityState.SUPPORTED,
        Capability.UNTAGGED_LISTING: CapabilityState.SUPPORTED,
    }

    @property
    def url(self) -> str:
        """What its requests begin with; none of them leaves."""
        return f"http://{self.settings.name}"

    def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """The names under which images are in the file."""
        return reader.pages(
            Listing(
                RequestKind.CATALOG,
                "/v2/_catalog",
                None,
                lambda page: page.get("repositories"),
                parse_repository_name,
                paging=WHOLE,
            )
        )

    def list_tags(self, reader: Reader, repository: RepositoryName) -> AsyncIterator[Sequence[ListedTag]]:
        """The tags with what they name."""
        return reader.pages(
            Listing(
                RequestKind.TAGS,
                f"/layout/{segments(repository)}/tags",
                None,
                lambda page: page.get("tags"),
                _parse_tag,
                lambda item: item["name"],
                WHOLE,
            )
        )

    def list_manifests(
        self, reader: Reader, repository: RepositoryName
    ) -> AsyncIterator[Sequence[ListedManifest]]:
        """Every manifest that the index leads to."""
        return reader.pages(
            Listing(
                RequestKind.MANIFESTS,
                f"/layout/{segments(repository)}/manifests",
                None,
                lambda page: page.get("manifests"),
                _parse_manifest,
                lambda item: item["digest"],
                WHOLE,
            )
        )


def _parse_tag(item: Any) -> ListedTag:
    digest = item["digest"]  # none of a damaged image: who asks for the tag is told why
    return ListedTag(parse_tag_name(item["name"]), None if digest is None else parse_digest(digest))


def _parse_manifest(item: Any) -> ListedManifest:
    return ListedManifest(parse_digest(item["digest"]), item["mediaType"], item["size"])

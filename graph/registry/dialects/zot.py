"""zot: its search tells in one answer what every tag of a repository names.

Sources: project-zot/zot, pkg/extensions/search/schema.graphql, and its tests, which ask by GET. What differs
from the plain API:

- `/v2/_zot/ext/search` is GraphQL, where it was built in and switched on. It knows tagged images only, and no
  tag of a signature, so the plain list says which tags there are and the search what they name.
- A mistake in a query is 422, an error of the search 200 with `errors`: nothing is known then, and the tags
  are asked one by one. Versions before 2.0 leave `sha256:` out of a digest, which is as good as none.
- A list whose `last` was deleted meanwhile is 404, without a body; it is begun again. `n` must be a number.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from graph.errors import (
    DoubtfulListError,
    RegistryDeniedError,
    RegistryProtocolError,
    RegistryUnknownError,
    RegistryUnsupportedError,
)
from graph.oci.digest import Digest, parse_digest
from graph.oci.reference import RepositoryName, TagName, parse_tag_name
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.dialect import Reader
from graph.registry.dialects.oci import OciDialect
from graph.registry.entries import ListedTag
from graph.registry.ledger import RequestKind
from graph.registry.listing import Listing, Paging
from graph.registry.wire import pull_scope


class ZotDialect(OciDialect):
    """zot."""

    name = "zot"
    capabilities: Mapping[Capability, CapabilityState] = {
        **OciDialect.capabilities,
        Capability.CATALOG: CapabilityState.SUPPORTED,
        Capability.TAG_DIGESTS: CapabilityState.UNKNOWN,
        Capability.EVENTS: CapabilityState.SUPPORTED,
    }

    @classmethod
    def speaks_at(cls, host: str) -> bool:
        """A host that is called zot."""
        return host.startswith("zot.")

    def search(self, repository: RepositoryName) -> Listing[ListedTag]:
        """The tagged images of a repository, all in one answer."""
        # A repository's name holds nothing that would end the string.
        query = f'{{ImageList(repo:"{repository}"){{Results{{Tag Digest}}}}}}'
        return Listing(
            RequestKind.TAGS,
            "/v2/_zot/ext/search",
            pull_scope(repository),
            _read_images,
            _parse_image,
            lambda item: item["Tag"],
            Paging(size_name="", extra=urlencode({"query": query}), has_own_cursor=False),
        )

    async def list_tags(
        self, reader: Reader, repository: RepositoryName
    ) -> AsyncIterator[Sequence[ListedTag]]:
        """The names of the tags, with what they name as far as the search knows it."""
        digests = await self._find_digests(reader, repository)
        async for page in reader.pages(self.tags(repository)):
            yield [replace(tag, digest=digests.get(tag.name)) for tag in page]

    async def _find_digests(self, reader: Reader, repository: RepositoryName) -> dict[TagName, Digest]:
        found: dict[TagName, Digest] = {}
        if reader.capabilities[Capability.TAG_DIGESTS] is CapabilityState.UNSUPPORTED:
            return found
        try:
            async for page in reader.pages(self.search(repository)):
                found.update((tag.name, tag.digest) for tag in page if tag.digest is not None)
        except DoubtfulListError:
            return found
        except (RegistryUnknownError, RegistryUnsupportedError):
            reader.capabilities[Capability.TAG_DIGESTS] = CapabilityState.UNSUPPORTED
        except (RegistryDeniedError, RegistryProtocolError):
            return {}
        else:
            reader.capabilities[Capability.TAG_DIGESTS] = CapabilityState.SUPPORTED
        return found


def _read_images(page: Mapping[str, Any]) -> Any:
    data = page.get("data")
    images = data.get("ImageList") if isinstance(data, dict) and not page.get("errors") else None
    # Anything but a list is refused, so that an error does not look like a repository without tags.
    return images.get("Results") or [] if isinstance(images, dict) else False


def _parse_image(item: Any) -> ListedTag:
    return ListedTag(parse_tag_name(item["Tag"]), parse_digest(item["Digest"]))

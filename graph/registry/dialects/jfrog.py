"""JFrog Artifactory: a registry of several, each under a key, whose catalogs are apart.

Sources: JFrog's REST API documentation ("List Docker Repositories"), and what others ran into. What differs
from the plain API:

- Where a key is part of the name (`<key>/<image>`, the repository path method), the catalog of a key is at
  `/artifactory/api/docker/<key>/v2/_catalog` and has the images without it: the settings name the keys
  (`namespaces`). Where a key has a host of its own, the plain API is all there is to know.
- The Link to the next page leaves a prefix out (RTFACT-18971): only its query is used.
- Lists hold digests where tags should be (containers/skopeo #2346); they are dropped.
- A tag that is not there can be 403 (sigstore/cosign #2973).
- Untagged manifests and times are told by the storage API file by file, and by AQL, which wants a POST:
  neither is asked.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from urllib.parse import quote

from graph.oci.reference import RepositoryName, parse_repository_name
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.dialect import Reader
from graph.registry.dialects.oci import OciDialect
from graph.registry.ledger import RequestKind
from graph.registry.listing import Listing
from graph.registry.wire import CATALOG_SCOPE


class JfrogDialect(OciDialect):
    """JFrog Artifactory."""

    name = "jfrog"
    capabilities: Mapping[Capability, CapabilityState] = {
        **OciDialect.capabilities,
        Capability.EVENTS: CapabilityState.SUPPORTED,
    }

    @classmethod
    def speaks_at(cls, host: str) -> bool:
        """JFrog's own cloud."""
        return host.endswith(".jfrog.io")

    def repositories(self, key: str) -> Listing[RepositoryName]:
        """The images of one key, named as they are pulled."""
        return Listing(
            RequestKind.CATALOG,
            f"/artifactory/api/docker/{quote(key, safe='')}/v2/_catalog",
            CATALOG_SCOPE,
            lambda page: page.get("repositories"),
            lambda name: parse_repository_name(f"{key}/{name}"),
        )

    async def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """The images of the keys of the settings, else the catalog."""
        if not self.settings.namespaces:
            async for page in reader.pages(self.catalog()):
                yield page
        for key in self.settings.namespaces:
            async for page in reader.pages(self.repositories(key)):
                yield page

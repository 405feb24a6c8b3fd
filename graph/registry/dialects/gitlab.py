"""GitLab: its API lists the repositories of a group or project; everything else is asked the plain way.

Sources: GitLab's documentation, api/container_registry.md and administration/packages/container_registry.md.
What differs from the plain API:

- `_catalog` is closed to all but the administrator of the registry, so the settings name groups or projects
  (`namespaces`). A group's list holds those of the groups below it.
- The API is on another host than the registry: known of registry.gitlab.com, else `api_url`. A personal
  access token, as password, gets into both; `Authorization: Bearer` is what the API takes it as.
- Pages have 100 items at most; a Link with the host of the API leads on, by page or by keyset.
- The API's list of tags has no digests, and a request for each tag tells its digest and when the image was
  built, not pushed: a HEAD of the plain API costs as much and tells as much, so that is asked.
- Its registry takes the tag `sha256-<hex>` for the digest `sha256:<hex>` (oras-project/oras-go #1396), so
  that an index seems to refer to itself; a referrer counts once its own manifest names the subject.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from urllib.parse import quote

from graph.errors import RegistryUnknownError
from graph.oci.reference import RepositoryName, parse_repository_name
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.dialect import Reader
from graph.registry.dialects.oci import OciDialect
from graph.registry.ledger import RequestKind
from graph.registry.listing import Listing, Paging
from graph.registry.origin import host_of
from graph.registry.wire import Login
from graph.settings import RegistrySettings

_PAGING = Paging(size_name="per_page", largest=100, has_own_cursor=False)

_REGISTRY = "registry.gitlab.com"
_API = "https://gitlab.com"


class GitlabDialect(OciDialect):
    """GitLab."""

    name = "gitlab"
    capabilities: Mapping[Capability, CapabilityState] = {**OciDialect.capabilities}

    def __init__(self, settings: RegistrySettings) -> None:
        super().__init__(settings)
        is_public = host_of(settings.url.partition("://")[2]) == _REGISTRY
        self.api = settings.api_url or (_API if is_public else None)
        self.apis: Sequence[str] = () if self.api is None else (self.api,)

    @classmethod
    def speaks_at(cls, host: str) -> bool:
        """GitLab's own; where another one's API is, its host does not tell."""
        return host == _REGISTRY

    def repositories(self, kind: str, path: str) -> Listing[RepositoryName]:
        """`GET /api/v4/groups/<path>/registry/repositories`, or of a project."""
        return Listing(
            RequestKind.CATALOG,
            f"/api/v4/{kind}/{quote(path, safe='')}/registry/repositories",
            None,
            lambda page: page.get(""),
            lambda item: parse_repository_name(item["path"]),
            lambda item: item["path"],
            _PAGING,
            api=self.api,
            login=Login.BEARER,
            is_array=True,
        )

    async def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """The repositories of the groups and projects of the settings; without any, the catalog."""
        if self.api is None or not self.settings.namespaces:
            async for page in reader.pages(self.catalog()):
                yield page
            return
        for namespace in self.settings.namespaces:
            async for page in self._read(reader, namespace):
                yield page

    async def _read(self, reader: Reader, namespace: str) -> AsyncIterator[Sequence[RepositoryName]]:
        """What a group has, or where there is no group of that name a project."""
        is_group = False
        try:
            async for page in reader.pages(self.repositories("groups", namespace)):
                is_group = True
                yield page
            return
        except RegistryUnknownError:
            if is_group:
                raise
        async for page in reader.pages(self.repositories("projects", namespace)):
            yield page

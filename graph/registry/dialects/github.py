"""GitHub Container Registry: the API of GitHub's packages tells manifests, untagged ones too, and times.

Source: docs.github.com/rest/packages/packages, version 2022-11-28 of the API. What differs from the plain
API:

- The lists are at api.github.com (GitHub Enterprise: below `/api/v3` of its host, which `api_url` names), and
  every one needs a token, a classic one with `read:packages`, even for what is public. Without a login only
  the registry is asked.
- What belongs to an organisation is at another path than what belongs to a user; which an owner is, is asked
  once for each.
- A package is a repository without its owner, and slashes in its name are written `%2F`. A version is a
  manifest, named by its digest, with its tags in `metadata`; one without tags is untagged.
- The Link is absolute and leads to another path (`/organizations/<number>/…`), so that only its query counts.
- Too many requests are refused with 403 as well as 429 (docs.github.com, "Rate limits for the REST API").
- There is no catalog: repositories are listed for the owners in `namespaces`. Names of owners have capital
  letters, those of repositories have none.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from graph.errors import RegistryError, RegistryThrottledError, RegistryUnsupportedError
from graph.oci.digest import parse_digest
from graph.oci.reference import RepositoryName, parse_repository_name, parse_tag_name
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.dialect import NOTHING, Reader, fall_back
from graph.registry.dialects.images import ImageLists, ListedImage
from graph.registry.dialects.oci import OciDialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.ledger import RequestKind
from graph.registry.listing import Listing, Paging
from graph.registry.times import parse_time
from graph.registry.wire import Login, Reply, Request, pull_scope
from graph.settings import RegistrySettings

_HOST = "ghcr.io"
_API = "https://api.github.com"
_VERSION = (("X-GitHub-Api-Version", "2022-11-28"),)

# Bytes of what is told about one owner; GitHub's answer has some 2 KiB.
MAX_OWNER_BYTES = 64 * 1024
# Owners remembered; a person or a firm has a handful. The oldest goes first.
MAX_OWNERS = 1_024


class GithubDialect(OciDialect):
    """GitHub Container Registry."""

    name = "github"
    capabilities: Mapping[Capability, CapabilityState] = {
        **OciDialect.capabilities,
        Capability.CATALOG: CapabilityState.SUPPORTED,
        Capability.TAG_DIGESTS: CapabilityState.SUPPORTED,
        Capability.UNTAGGED_LISTING: CapabilityState.SUPPORTED,
        Capability.PUSH_TIME: CapabilityState.SUPPORTED,
        Capability.EVENTS: CapabilityState.SUPPORTED,
    }
    known_hosts = frozenset({_HOST})

    def __init__(self, settings: RegistrySettings) -> None:
        super().__init__(settings)
        # Who has a registry of one's own has a login that is not for GitHub's API.
        self.api = settings.api_url or (_API if self._is_known else None)
        self.apis: Sequence[str] = (self.api,) if self.api is not None and settings.has_login else ()
        self._lists = ImageLists()
        self._owners: dict[str, str] = {}
        self._asking = asyncio.Lock()
        if not self.apis:
            self.capabilities = {
                **OciDialect.capabilities,
                Capability.CATALOG: CapabilityState.UNSUPPORTED,
            }

    @classmethod
    def speaks_at(cls, host: str) -> bool:
        """GitHub's own; where an Enterprise's registry is, its host does not tell."""
        return host in cls.known_hosts

    def packages(self, owner: str, path: str) -> Listing[RepositoryName]:
        """`GET /orgs/<owner>/packages`, or of a user."""
        return Listing(
            RequestKind.CATALOG,
            f"{path}/packages",
            None,
            lambda page: page.get(""),
            lambda item: parse_repository_name(f"{owner}/{item['name']}".lower()),
            lambda item: item["name"],
            Paging("per_page", 100, "package_type=container", has_own_cursor=False),
            self.api,
            Login.BEARER,
            _VERSION,
            _refusal_of,
            is_array=True,
        )

    def versions(self, repository: RepositoryName, path: str) -> Listing[ListedImage]:
        """`GET /orgs/<owner>/packages/container/<package>/versions`, or of a user."""
        package = quote(repository.partition("/")[2], safe="")
        return Listing(
            RequestKind.TAGS,
            f"{path}/packages/container/{package}/versions",
            pull_scope(repository),
            lambda page: page.get(""),
            _parse_version,
            lambda item: item["name"],
            Paging("per_page", 100, "state=active", has_own_cursor=False),
            self.api,
            Login.BEARER,
            _VERSION,
            _refusal_of,
            is_array=True,
        )

    async def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """The packages of the owners in `namespaces`."""
        if not self.apis or not self.settings.namespaces:
            raise RegistryUnsupportedError(
                f"{self.settings.name} lists the repositories of owners, for a login and the namespaces of "
                f"the settings{'' if self.api else ', where these name its api_url'}",
                registry=self.settings.name,
            )
        for owner in self.settings.namespaces:
            async for page in reader.pages(self.packages(owner, await self._path(reader, owner))):
                yield page

    def list_tags(self, reader: Reader, repository: RepositoryName) -> AsyncIterator[Sequence[ListedTag]]:
        """The tags with what they name, from the list of versions."""
        plain = reader.pages(self.tags(repository))
        if not self.apis:
            return plain
        own = self._lists.tags(repository, self._images(reader, repository, RequestKind.TAGS))
        # One package that is not known, or not to us, says nothing of another owner's.
        return fall_back(reader, own, plain, NOTHING)

    def list_manifests(
        self, reader: Reader, repository: RepositoryName
    ) -> AsyncIterator[Sequence[ListedManifest]]:
        """Every manifest, from the list of versions that told the tags."""
        images = self._images(reader, repository, RequestKind.MANIFESTS)
        return self._lists.manifests(repository, images)

    async def _images(
        self, reader: Reader, repository: RepositoryName, kind: RequestKind
    ) -> AsyncIterator[Sequence[ListedImage]]:
        path = await self._path(reader, repository.partition("/")[0], pull_scope(repository))
        async for page in reader.pages(replace(self.versions(repository, path), kind=kind)):
            yield page

    async def _path(self, reader: Reader, owner: str, scope: str | None = None) -> str:
        """The path below which an owner's packages are; `scope` tells as whom to ask."""
        async with self._asking:
            if owner not in self._owners:
                request = Request(
                    self.settings.name,
                    RequestKind.VENDOR,
                    "GET",
                    f"{self.api}/users/{quote(owner, safe='')}",
                    body_limit=MAX_OWNER_BYTES,
                    scope=scope,
                    login=Login.BEARER,
                    api=self.api,
                    headers=_VERSION,
                    refusal_of=_refusal_of,
                )
                answer = await reader.document(request)
                is_organisation = isinstance(answer, dict) and answer.get("type") == "Organization"
                while len(self._owners) >= MAX_OWNERS:
                    del self._owners[next(iter(self._owners))]
                self._owners[owner] = "orgs" if is_organisation else "users"
            return f"/{self._owners[owner]}/{quote(owner, safe='')}"


def _refusal_of(reply: Reply) -> type[RegistryError] | None:
    is_spent = reply.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in reply.headers
    return RegistryThrottledError if reply.status == 403 and is_spent else None


def _parse_version(item: Any) -> ListedImage:
    digest = parse_digest(item["name"])
    metadata = item.get("metadata") or {}
    tags = (metadata.get("container") or {}).get("tags")
    manifest = ListedManifest(
        digest, pushed_at=parse_time(item.get("created_at")), changed_at=parse_time(item.get("updated_at"))
    )
    return ListedImage(manifest, tuple(ListedTag(parse_tag_name(tag), digest) for tag in tags or ()))

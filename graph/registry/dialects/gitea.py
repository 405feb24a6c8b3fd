"""Gitea and Forgejo: their packages are lists of versions, and a manifest without a tag is one by its digest.

Sources: go-gitea/gitea, routers/api/v1/packages/package.go and routers/api/packages/container/. What differs
from the plain API:

- A push writes a version that is called as it was pushed, by tag or by digest, in lower case; a tag that is
  pushed again is a new version, and the manifest it named before is gone with the old one (manifest.go,
  createPackageAndVersion). So the versions named by digests and what tags name are all there is.
- `/api/v1/packages/<owner>` lists versions, 50 a page unless the server allows more, with a Link; `q` finds
  parts of names too. It tells no digest of what has a tag.
- The plain list of tags pages without a Link; the one of `_catalog`, of all owners, has one.
- The challenge is Bearer without service and scope, and a bare Basic. The API answers 404 to who may not see,
  and 401 to the anonymous, who may read what is public the plain way (1.26.0: "token is required").
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from graph.oci.digest import Digest, parse_digest
from graph.oci.reference import RepositoryName, TagName, parse_repository_name, parse_tag_name
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.dialect import Reader, fall_back
from graph.registry.dialects.oci import OciDialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.ledger import RequestKind
from graph.registry.listing import Listing, Paging
from graph.registry.times import parse_time
from graph.registry.wire import Login, pull_scope
from graph.settings import RegistrySettings

_LOST = frozenset({Capability.UNTAGGED_LISTING, Capability.PUSH_TIME})

# What an administrator allows a page unless he says otherwise (MAX_RESPONSE_ITEMS).
_PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a package: a tag, or a manifest that was pushed by its digest."""

    repository: RepositoryName
    tag: TagName | None
    digest: Digest | None
    created_at: datetime | None


class GiteaDialect(OciDialect):
    """Gitea, Forgejo."""

    name = "gitea"
    capabilities: Mapping[Capability, CapabilityState] = {
        **OciDialect.capabilities,
        Capability.UNTAGGED_LISTING: CapabilityState.SUPPORTED,
        Capability.PUSH_TIME: CapabilityState.SUPPORTED,
        Capability.EVENTS: CapabilityState.SUPPORTED,
    }

    known_hosts = frozenset({"gitea.com", "codeberg.org"})  # the two that anybody may use

    def __init__(self, settings: RegistrySettings) -> None:
        super().__init__(settings)
        if not settings.has_login:
            self.capabilities = OciDialect.capabilities

    @classmethod
    def speaks_at(cls, host: str) -> bool:
        """The public servers, and a host that is called by either name."""
        return host in cls.known_hosts or host.startswith(("gitea.", "forgejo."))

    def versions(self, kind: RequestKind, owner: str, image: str | None = None) -> Listing[Version]:
        """`GET /api/v1/packages/<owner>`, of images whose name contains this one."""
        query = {"type": "container"} | ({} if image is None else {"q": image})
        return Listing(
            kind,
            f"/api/v1/packages/{quote(owner, safe='')}",
            None if image is None else pull_scope(RepositoryName(f"{owner}/{image}")),
            lambda page: page.get(""),
            _parse_version,
            lambda item: f"{item['name']}:{item['version']}",
            Paging(size_name="limit", largest=_PAGE_SIZE, extra=urlencode(query), has_own_cursor=False),
            login=Login.BASIC,
            is_array=True,
        )

    async def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """The images of the owners of the settings; without any, the catalog, which has those of all."""
        owners = self.settings.namespaces
        if owners and self.settings.has_login:
            for owner in owners:
                async for page in reader.pages(self.versions(RequestKind.CATALOG, owner)):
                    yield list(dict.fromkeys(version.repository for version in page))
            return
        wanted = {owner.lower() for owner in owners}
        async for names in reader.pages(self.catalog()):
            yield [name for name in names if not wanted or name.partition("/")[0] in wanted]

    def list_tags(self, reader: Reader, repository: RepositoryName) -> AsyncIterator[Sequence[ListedTag]]:
        """The tags with the time of their last push; what they name has to be asked."""
        plain = reader.pages(self.tags(repository))
        if not self.settings.has_login:
            return plain
        own = self._own_tags(reader, repository)
        return fall_back(reader, own, plain, self.may_lack(_LOST), is_guess=self.is_guess)

    async def list_manifests(
        self, reader: Reader, repository: RepositoryName
    ) -> AsyncIterator[Sequence[ListedManifest]]:
        """Every manifest that has a version of its own: all but those that were pushed by tag."""
        async for page in self._read(reader, RequestKind.MANIFESTS, repository):
            yield [
                ListedManifest(version.digest, pushed_at=version.created_at)
                for version in page
                if version.digest is not None
            ]

    async def _own_tags(
        self, reader: Reader, repository: RepositoryName
    ) -> AsyncIterator[Sequence[ListedTag]]:
        is_there = False
        async for page in self._read(reader, RequestKind.TAGS, repository):
            is_there = is_there or bool(page)
            yield [
                ListedTag(version.tag, changed_at=version.created_at)
                for version in page
                if version.tag is not None
            ]
        if not is_there:
            # A search that finds nothing is no 404; the plain list tells whether there is such an image.
            async for tags in reader.pages(self.tags(repository)):
                yield tags

    async def _read(
        self, reader: Reader, kind: RequestKind, repository: RepositoryName
    ) -> AsyncIterator[Sequence[Version]]:
        """The versions of one image: what is only called alike is left out."""
        owner, _, image = repository.partition("/")
        async for page in reader.pages(self.versions(kind, owner, image)):
            yield [version for version in page if version.repository == repository]


def _parse_version(item: Any) -> Version:
    reference = item["version"]
    digest = parse_digest(reference) if ":" in reference else None
    return Version(
        parse_repository_name(f"{item['owner']['login']}/{item['name']}".lower()),
        None if digest is not None else parse_tag_name(reference),
        digest,
        parse_time(item.get("created_at")),
    )

"""Harbor: its API lists every artifact of a repository, children and untagged ones too, with tags and times.

Sources: goharbor/harbor, api/v2.0/swagger.yaml, src/pkg/artifact/dao/dao.go, src/server/v2.0/handler/
artifact.go. What differs from the plain API:

- A repository is asked for by project and by the rest of its name, in which a slash is encoded twice: `a/b`
  is `a%252Fb` (swagger.yaml, "repository_name").
- Pages have 100 items at most and 10 unless asked; a relative Link leads on, and back, by number of page.
- Without `q=base=*` the children of an index are not listed; with it nothing is left out but accessories
  (signatures and the like), which stand with what they belong to. What belongs to an accessory is not told.
- Tags stand with their artifacts. Those of accessories (cosign's `sha256-….sig`) do not: the plain list has
  their names.
- Login is Basic with the first request: without it only public projects are shown, and nothing is refused. A
  robot's name holds a `$`.
- `_catalog` answers only repositories that hold something, and 400 when the one in `last` was deleted.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from graph.errors import RegistryUnknownError
from graph.oci.digest import parse_digest
from graph.oci.locks import Locks
from graph.oci.reference import RepositoryName, TagName, parse_repository_name, parse_tag_name
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.dialect import Reader, read_with_fallback
from graph.registry.dialects.oci import OciDialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.ledger import RequestKind
from graph.registry.listing import Listing, Paging
from graph.registry.times import parse_time
from graph.registry.wire import Login, pull_scope, segments

_LOST = frozenset(
    {Capability.TAG_DIGESTS, Capability.UNTAGGED_LISTING, Capability.PUSH_TIME, Capability.LOCKS}
)

# Ours, no field of Harbor's: it stands with what it belongs to.
_IS_ACCESSORY = " accessory"


def _paging(extra: str = "") -> Paging:
    return Paging(size_name="page_size", largest=100, extra=extra, has_own_cursor=False)


class HarborDialect(OciDialect):
    """Harbor."""

    name = "harbor"
    capabilities: Mapping[Capability, CapabilityState] = {
        **OciDialect.capabilities,
        Capability.CATALOG: CapabilityState.SUPPORTED,
        Capability.TAG_DIGESTS: CapabilityState.SUPPORTED,
        Capability.UNTAGGED_LISTING: CapabilityState.SUPPORTED,
        Capability.PUSH_TIME: CapabilityState.SUPPORTED,
        Capability.LOCKS: CapabilityState.SUPPORTED,
        Capability.EVENTS: CapabilityState.SUPPORTED,
    }

    known_hosts = frozenset({"demo.goharbor.io"})  # the project's own, to try it out

    @classmethod
    def speaks_at(cls, host: str) -> bool:
        """A host that is called harbor; whoever is called so and is none is found out."""
        return host in cls.known_hosts or host.startswith("harbor.")

    def repositories(self, project: str | None) -> Listing[RepositoryName]:
        """`GET /api/v2.0/repositories`, or of one project."""
        where = "" if project is None else f"/projects/{quote(project, safe='')}"
        return Listing(
            RequestKind.CATALOG,
            f"/api/v2.0{where}/repositories",
            None,
            lambda page: page.get(""),
            lambda item: parse_repository_name(item["name"]),
            lambda item: item["name"],
            _paging(),
            login=Login.BASIC,
            is_array=True,
        )

    def own_tags(self, repository: RepositoryName) -> Listing[ListedTag]:
        """The tags of the artifacts that have some."""
        return Listing(
            RequestKind.TAGS,
            _artifacts_path(repository),
            pull_scope(repository),
            _read_tags,
            _parse_tag,
            lambda item: item["name"],
            _paging("q=tags%3D%2A&with_tag=true&with_immutable_status=true"),
            login=Login.BASIC,
            is_array=True,
        )

    def manifests(self, repository: RepositoryName) -> Listing[ListedManifest]:
        """The artifacts, and the accessories that stand with them."""
        return Listing(
            RequestKind.MANIFESTS,
            _artifacts_path(repository),
            pull_scope(repository),
            _read_manifests,
            _parse_manifest,
            lambda item: item["digest"],
            _paging("q=base%3D%2A&with_tag=false&with_accessory=true"),
            login=Login.BASIC,
            is_array=True,
        )

    async def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """The repositories of the projects of the settings, else of every project that we may see."""
        if not self.settings.namespaces:
            own, plain = self.repositories(None), self.catalog()
            lost = self.may_lack(_LOST)
            async for page in read_with_fallback(reader, own, plain, lost, is_guess=self.is_guess):
                yield page
        for project in self.settings.namespaces:
            async for page in reader.pages(self.repositories(project)):
                yield page

    async def list_tags(
        self, reader: Reader, repository: RepositoryName
    ) -> AsyncIterator[Sequence[ListedTag]]:
        """The tags with what they name; those of accessories by name alone."""
        if "/" not in repository:  # in no project, hence not Harbor's: a proxy in front of it may have such
            async for page in reader.pages(self.tags(repository)):
                yield page
            return
        told: set[TagName] = set()
        is_own = True
        own, plain = self.own_tags(repository), self.tags(repository)
        lost = self.may_lack(_LOST)
        async for page in read_with_fallback(reader, own, plain, lost, is_guess=self.is_guess):
            yield page
            told.update(tag.name for tag in page)
            is_own = is_own and all(tag.digest is not None for tag in page)
        if not is_own or reader.capabilities[Capability.TAG_DIGESTS] is CapabilityState.UNSUPPORTED:
            return
        try:
            async for page in reader.pages(self.tags(repository)):
                if rest := [tag for tag in page if tag.name not in told]:
                    yield rest
        except RegistryUnknownError:
            return  # without a single tag

    def list_manifests(
        self, reader: Reader, repository: RepositoryName
    ) -> AsyncIterator[Sequence[ListedManifest]]:
        """Every manifest, page by page."""
        return reader.pages(self.manifests(repository))


def _artifacts_path(repository: RepositoryName) -> str:
    project, _, rest = repository.partition("/")
    name = "%252F".join(segments(RepositoryName(rest)).split("/"))
    return f"/api/v2.0/projects/{segments(RepositoryName(project))}/repositories/{name}/artifacts"


def _objects(items: Any) -> list[Any]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _read_tags(page: Mapping[str, Any]) -> list[Any]:
    strange = [item for item in page[""] if not isinstance(item, dict)]
    tags = [
        {**tag, "digest": artifact.get("digest")}
        for artifact in _objects(page[""])
        for tag in _objects(artifact.get("tags"))
    ]
    return strange + tags


def _read_manifests(page: Mapping[str, Any]) -> list[Any]:
    artifacts = _objects(page[""])
    accessories = (each for artifact in artifacts for each in _objects(artifact.get("accessories")))
    return [*page[""], *({**each, _IS_ACCESSORY: True} for each in accessories)]


def _parse_tag(item: Any) -> ListedTag:
    is_immutable = item.get("immutable")
    locks = None
    if isinstance(is_immutable, bool):
        locks = Locks(can_delete=not is_immutable, can_write=not is_immutable, can_list=None, can_read=None)
    return ListedTag(
        parse_tag_name(item["name"]),
        parse_digest(item["digest"]),
        parse_time(item.get("push_time")),
        locks=locks,
    )


def _parse_manifest(item: Any) -> ListedManifest:
    media_type = item.get("manifest_media_type")
    return ListedManifest(
        parse_digest(item["digest"]),
        media_type if isinstance(media_type, str) and media_type else None,
        # `size` is what the whole image weighs. An accessory has a time of creation only.
        pushed_at=parse_time(item.get("push_time") or item.get("creation_time")),
        lists_referrers=_IS_ACCESSORY not in item,
    )

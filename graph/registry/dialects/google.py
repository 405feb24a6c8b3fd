"""Google Artifact Registry and Container Registry: the list of tags tells every manifest, and what is below.

Source: google/go-containerregistry, pkg/v1/google/list.go. What differs from the plain API:

- The answer to `tags/list` has a `manifest` for each digest, untagged ones too, with its tags, media type and
  times in milliseconds (texts, which is all that Google's own gcrane takes; a number is read too), and in
  `child` the names one level below. It is whole, whatever its size and whatever was asked for.
- It is told by the presence of these two, not by the host: other registries at such hosts have neither.
- `imageSizeBytes` is what the image weighs, not the manifest.
- Repositories are a tree, and pkg.dev has no catalog of them: it is walked from the `namespaces` of the
  settings (a project, or a project and a repository in it), one request for each name. Without any the plain
  catalog is asked, which gcr.io has.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graph.errors import InvalidNameError, RegistryUnknownError, RegistryUnsupportedError
from graph.oci.digest import parse_digest
from graph.oci.reference import RepositoryName, parse_repository_name, parse_tag_name
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.dialect import Reader, fall_back
from graph.registry.dialects.images import ImageLists, ListedImage
from graph.registry.dialects.oci import OciDialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.ledger import RequestKind
from graph.registry.listing import MAX_NAMES, Document, Listing, Paging
from graph.registry.times import parse_epoch
from graph.registry.wire import MAX_PAGE_BYTES, Request, pull_scope, repository_path
from graph.settings import RegistrySettings

# What a registry cannot tell whose list of tags is the plain one.
_LOST = frozenset({Capability.TAG_DIGESTS, Capability.UNTAGGED_LISTING, Capability.PUSH_TIME})

# gcr.io and its continents, and the hosts of Artifact Registry, one for each place.
_HOST = "gcr.io"
_DOMAINS = (".gcr.io", "-docker.pkg.dev")

_WHOLE = Paging(size_name="", next_of=lambda page, query: None, has_own_cursor=False)

# Names of the tree that are asked for at once; the client has slots for some, 16 unless set otherwise.
_AT_ONCE = 16


class GoogleDialect(OciDialect):
    """Google Artifact Registry and Container Registry."""

    name = "google"
    capabilities: Mapping[Capability, CapabilityState] = {
        **OciDialect.capabilities,
        Capability.CATALOG: CapabilityState.SUPPORTED,
        Capability.TAG_DIGESTS: CapabilityState.SUPPORTED,
        Capability.UNTAGGED_LISTING: CapabilityState.SUPPORTED,
        Capability.PUSH_TIME: CapabilityState.SUPPORTED,
        Capability.EVENTS: CapabilityState.SUPPORTED,  # Pub/Sub, topic `gcr`
    }

    def __init__(self, settings: RegistrySettings) -> None:
        super().__init__(settings)
        self._lists = ImageLists()

    @classmethod
    def speaks_at(cls, host: str) -> bool:
        """Google's registries have hosts of their own, one for each place."""
        return host == _HOST or host.endswith(_DOMAINS)

    def images(self, repository: RepositoryName) -> Listing[ListedImage]:
        """`GET /v2/<name>/tags/list`, for all that it tells."""
        return Listing(
            RequestKind.TAGS,
            f"{repository_path(repository)}/tags/list",
            pull_scope(repository),
            _read_images,
            _parse_image,
            lambda item: item[0],
            _WHOLE,
        )

    async def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """What is below the namespaces and holds something, several names at a time; else the catalog."""
        if not self.settings.namespaces:
            async for page in reader.pages(self.catalog()):
                yield page
            return
        waiting = deque(parse_repository_name(name) for name in self.settings.namespaces)
        seen = set(waiting)
        while waiting:
            names = [waiting.popleft() for _ in range(min(_AT_ONCE, len(waiting)))]
            answers = await asyncio.gather(*(self._visit(reader, name) for name in names))
            found = []
            for name, answer in zip(names, answers, strict=True):
                if answer.get("manifest") or answer.get("tags"):
                    found.append(name)
                below = [each for each in _children(name, answer) if each not in seen]
                seen.update(below)
                waiting.extend(below)
            if len(seen) > MAX_NAMES:
                raise RegistryUnsupportedError(
                    f"{self.settings.name} lists more than {MAX_NAMES} names", registry=self.settings.name
                )
            yield found

    async def _visit(self, reader: Reader, name: RepositoryName) -> Document:
        request = Request(
            self.settings.name,
            RequestKind.CATALOG,
            "GET",
            f"{self.url}{repository_path(name)}/tags/list",
            body_limit=MAX_PAGE_BYTES,
            scope=pull_scope(name),
        )
        try:
            answer = await reader.document(request)
        except RegistryUnknownError:
            if name in self.settings.namespaces:
                raise
            return {}  # deleted since it was named
        return answer if isinstance(answer, dict) else {}

    def list_tags(self, reader: Reader, repository: RepositoryName) -> AsyncIterator[Sequence[ListedTag]]:
        """The tags with what they name, all at once."""
        own = self._lists.tags(repository, reader.pages(self.images(repository)))
        return fall_back(reader, own, reader.pages(self.tags(repository)), _LOST)

    def list_manifests(
        self, reader: Reader, repository: RepositoryName
    ) -> AsyncIterator[Sequence[ListedManifest]]:
        """Every manifest, all at once; from the answer that told the tags."""
        own = replace(self.images(repository), kind=RequestKind.MANIFESTS)
        return self._lists.manifests(repository, reader.pages(own))


def _children(name: RepositoryName, answer: Document) -> list[RepositoryName]:
    children = answer.get("child")
    found = []
    for child in children if isinstance(children, list) else ():
        try:
            found.append(parse_repository_name(f"{name}/{child}"))
        except InvalidNameError:
            continue
    return found


def _read_images(page: dict[str, Any]) -> Any:
    images = page.get("manifest")
    if isinstance(images, dict):
        return list(images.items())
    if "child" not in page:
        if "tags" in page:
            raise RegistryUnsupportedError("the registry lists tags as others do")
        return False  # no list at all
    return []


def _parse_image(item: tuple[str, Any]) -> ListedImage:
    digest, facts = parse_digest(item[0]), item[1]
    media_type, tags = facts.get("mediaType"), facts.get("tag")
    manifest = ListedManifest(
        digest,
        media_type if isinstance(media_type, str) else None,
        pushed_at=parse_epoch(facts.get("timeUploadedMs"), per_second=1000),
    )
    return ListedImage(manifest, tuple(ListedTag(parse_tag_name(tag), digest) for tag in tags or ()))

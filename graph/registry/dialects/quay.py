"""Quay, Red Hat's and quay.io: its API tells what each tag names and since when; untagged manifests it hides.

Sources: quay/quay, endpoints/api/repository.py and tag.py, endpoints/v2/. What differs from the plain API:

- `/api/v1/repository` wants a namespace (400 without one), and leads on by an encrypted `next_page`.
- `/api/v1/repository/<name>/tag/` has 100 tags a page at most and counts its pages; without `onlyActiveTags`
  it lists what tags named before, for as long as the time machine keeps it, which is no list of manifests.
- `start_ts` is when the tag began to name this, so it is a change, not a first push.
- The API knows no user and password, only an application's token: whose user is `$oauthtoken`, as `docker
  login` has it, is let in there too, and anybody else sees what is public.
- The Link of the plain lists is absolute, with the host that Quay was configured with; only its query is
  used. Its `_catalog` pages by a token there too, and is empty for the anonymous unless a flag is set.
- A manifest list may be sparse: children that were never mirrored answer 404.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from graph.oci.digest import parse_digest
from graph.oci.reference import RepositoryName, parse_repository_name, parse_tag_name
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.dialect import Reader, read_with_fallback
from graph.registry.dialects.oci import OciDialect
from graph.registry.entries import ListedTag
from graph.registry.ledger import RequestKind
from graph.registry.listing import Document, Listing, Paging
from graph.registry.times import parse_epoch
from graph.registry.wire import MAX_QUERY_LENGTH, Login, pull_scope, segments

_LOST = frozenset({Capability.TAG_DIGESTS, Capability.PUSH_TIME})


class QuayDialect(OciDialect):
    """Quay, and quay.io."""

    name = "quay"
    capabilities: Mapping[Capability, CapabilityState] = {
        **OciDialect.capabilities,
        Capability.TAG_DIGESTS: CapabilityState.SUPPORTED,
        Capability.PUSH_TIME: CapabilityState.SUPPORTED,
        Capability.EVENTS: CapabilityState.SUPPORTED,
    }

    known_hosts = frozenset({"quay.io"})

    @classmethod
    def speaks_at(cls, host: str) -> bool:
        """quay.io, and a host that is called quay."""
        return host in cls.known_hosts or host.startswith("quay.")

    def repositories(self, namespace: str) -> Listing[RepositoryName]:
        """`GET /api/v1/repository` of one namespace."""
        query = urlencode({"namespace": namespace, "public": "true"})
        return Listing(
            RequestKind.CATALOG,
            "/api/v1/repository",
            None,
            lambda page: page.get("repositories"),
            lambda item: parse_repository_name(_name_of(item)),
            _name_of,
            Paging(size_name="", extra=query, next_of=_next_token(query), has_own_cursor=False),
            login=Login.API_TOKEN,
        )

    def own_tags(self, repository: RepositoryName) -> Listing[ListedTag]:
        """`GET /api/v1/repository/<name>/tag/`, those that are alive."""
        return Listing(
            RequestKind.TAGS,
            f"/api/v1/repository/{segments(repository)}/tag/",
            pull_scope(repository),
            lambda page: page.get("tags"),
            _parse_tag,
            lambda item: item["name"],
            Paging(
                size_name="limit",
                largest=100,
                extra="onlyActiveTags=true",
                next_of=_next_page,
                has_own_cursor=False,
            ),
            login=Login.API_TOKEN,
        )

    async def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """The repositories of the namespaces of the settings, else those that the catalog shows us."""
        if not self.settings.namespaces:
            async for page in reader.pages(self.catalog()):
                yield page
        for namespace in self.settings.namespaces:
            async for page in reader.pages(self.repositories(namespace)):
                yield page

    def list_tags(self, reader: Reader, repository: RepositoryName) -> AsyncIterator[Sequence[ListedTag]]:
        """The tags with what they name, page by page."""
        own, plain = self.own_tags(repository), self.tags(repository)
        lost = self.may_lack(_LOST)
        return read_with_fallback(reader, own, plain, lost, is_guess=self.is_guess)


def _name_of(item: Any) -> str:
    return f"{item['namespace']}/{item['name']}"


def _next_token(query: str) -> Any:
    def next_of(page: Document, _: str) -> str | None:
        token = page.get("next_page")
        if not token:
            return None
        if not isinstance(token, str) or len(token) > MAX_QUERY_LENGTH // 4:
            raise ValueError("sends a link that names no page")
        return f"{query}&next_page={quote(token, safe='')}"

    return next_of


def _next_page(page: Document, query: str) -> str | None:
    if page.get("has_additional") is not True:
        return None
    asked = dict(parse_qsl(query))
    # Counted here: what the page calls itself is not needed, and could lead anywhere.
    return urlencode({**asked, "page": str(int(asked.get("page", "1")) + 1)})


def _parse_tag(item: Any) -> ListedTag:
    return ListedTag(
        parse_tag_name(item["name"]),
        parse_digest(item["manifest_digest"]),
        changed_at=parse_epoch(item.get("start_ts")),
    )

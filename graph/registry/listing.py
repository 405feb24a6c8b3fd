"""Walk a list page by page, however the registry pages, and know whether it was the whole list.

Rules of this file: no I/O. `Pager` says which query to ask next and is told what came back. A registry
decides how many pages there are, so everything is bounded: pages, names, pages that bring nothing new, and
a query is never asked twice. A list that was cut short raises; only a whole one ends.

What is out there: distribution 2.8 ignores `n` and `last` for tags and sends all; Gitea pages without Link;
GHCR and Quay list oldest first, ECR in no order; Pulp links to an empty last page; craneoperator met a
registry whose next page was the first again; zot answers 404 and Harbor 400 when the name in `last` was
deleted meanwhile.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import urlsplit

from graph.errors import (
    ContentTooLargeError,
    InvalidDigestError,
    InvalidNameError,
    MalformedManifestError,
    RegistryError,
)
from graph.oci.digest import parse_digest
from graph.oci.document import decode_json
from graph.oci.reference import RegistryName
from graph.registry.ledger import RequestKind
from graph.registry.wire import (
    MAX_PAGE_BYTES,
    MAX_QUERY_LENGTH,
    Login,
    Reply,
    Request,
    last_query,
    read_by_action,
)

# Pages of one list. Docker Hub's published 457,627 repositories are 4,577 pages of 100.
MAX_PAGES = 10_000
# Names in one list: some four times the largest published registry.
MAX_NAMES = 2_000_000
# Pages in a row without a new name: some, since a registry may page before it filters by what we may see.
MAX_BARREN_PAGES = 10
# Asked for when the registry refuses the page size of the settings; Quay's, ACR's and Docker Hub's maximum.
SMALLER_PAGE_SIZE = 100


Entry = TypeVar("Entry")
Document: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Paging:
    """How a list is asked for page by page."""

    size_name: str = "n"
    largest: int | None = None
    """The largest page the registry is documented to give; None: whatever the settings ask for."""
    extra: str = ""
    """A query that every page is asked with, such as an order."""
    next_of: Callable[[Document, str], str | None] | None = None
    """From a page and the query it answers to the query of the next, or None after the last. None: the
    Link header tells."""
    has_own_cursor: bool = True
    """Whether `last` may be made from the last name of a page that is full and has no Link."""

    def first_query(self, page_size: int | None) -> str:
        """The query of the first page."""
        size = f"{self.size_name}={page_size}" if page_size and self.size_name else ""
        return "&".join(part for part in (self.extra, size) if part)


LINKED = Paging()
# Where a page without Link is known to be the last, however full it is.
LINKED_ALWAYS = Paging(has_own_cursor=False)


@dataclass(frozen=True, slots=True)
class Listing(Generic[Entry]):
    """A list that a registry has: where it is and how a page of it is read."""

    kind: RequestKind
    path: str
    scope: str | None
    read: Callable[[Any], Any]
    """From a page's JSON object to its list of items, which may be anything."""
    parse: Callable[[Any], Entry]
    """From an item to what is listed; raises InvalidNameError or InvalidDigestError for one that is none."""
    name_of: Callable[[Any], Any] = lambda item: item
    """What an item is called, to page on from there and to notice what comes twice."""
    paging: Paging = LINKED
    api: str | None = None
    """The origin of the vendor's own API, where the list is not on the registry itself."""
    login: Login = Login.CHALLENGE
    headers: tuple[tuple[str, str], ...] = ()
    refusal_of: Callable[[Reply], type[RegistryError] | None] | None = None
    """What the vendor means by an answer other than 200, where its status does not tell."""
    is_array: bool = False
    """Whether a page is an array, as GitHub, GitLab, Harbor and Gitea send it, and no object with one."""
    is_plain: bool = False
    """It is the plain API's, so that it says nothing of the vendor's."""
    action: tuple[str, Callable[[str], str]] | None = None
    """What is asked for by name and not by path, and the JSON that asks for the page of a query."""

    def build(self, registry: RegistryName, origin: str, query: str) -> Request:
        """The request for one page; `query` is sent as it is."""
        if self.action is not None:
            action, write = self.action
            request = read_by_action(
                registry, self.kind, self.api or origin, action, write(query), MAX_PAGE_BYTES
            )
            return replace(request, refusal_of=self.refusal_of)
        return Request(
            registry,
            self.kind,
            "GET",
            f"{self.api or origin}{self.path}" + (f"?{query}" if query else ""),
            body_limit=MAX_PAGE_BYTES,
            scope=self.scope,
            login=self.login,
            api=self.api,
            headers=self.headers,
            refusal_of=self.refusal_of,
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[Entry]):
    """One page: what it lists, what its items are called, how many were none, and how many of these nobody
    can tell what they stand for."""

    entries: list[Entry]
    names: list[str]
    dropped: int
    doubtful: int
    document: Document = field(repr=False)


class _Cursor(Enum):
    """Who says where the next page begins."""

    REGISTRY = "REGISTRY"
    OWN = "OWN"
    NONE = "NONE"  # the whole list is asked for at once


class Pager:
    """The course of one list. `query` is what to ask next; None when the list is complete.

    After each question call `accept` with what came, or `refuse` with the status that came instead. Both
    decide; a ValueError means that the list was cut short, its text continues "the registry …".
    """

    def __init__(self, page_size: int | None, *, paging: Paging = LINKED, max_names: int = MAX_NAMES) -> None:
        """`page_size` None: leave the size out and take what the registry thinks right."""
        largest = paging.largest
        self.page_size = page_size if largest is None or page_size is None else min(page_size, largest)
        self._paging = paging
        self._max_names = max_names
        self._has_links = False
        self._is_restarted = False
        self._start()

    def _start(self) -> None:
        self.query: str | None = self._paging.first_query(self.page_size)
        self._cursor = _Cursor.REGISTRY
        self._pages = 0
        self._barren_pages = 0
        self._visited = {self.query}
        # Hashes, not names: a third of the memory, and nobody can make two collide (Python's are salted).
        self._seen: set[int] = set()

    @property
    def pages(self) -> int:
        """Pages accepted since the start or restart."""
        return self._pages

    def accept(self, names: Sequence[str], next_query: str | None) -> None:
        """A page came, with these names and maybe a link to the next."""
        hashes = set(map(hash, names))
        known = len(self._seen)
        self._seen |= hashes
        fresh = len(self._seen) - known
        self._pages += 1
        if len(self._seen) > self._max_names:
            raise ValueError(f"lists more than {self._max_names} names")
        if next_query is not None:
            self._has_links = True
            self._cursor = _Cursor.REGISTRY
            self._barren_pages = 0 if fresh else self._barren_pages + 1
            if self._barren_pages >= MAX_BARREN_PAGES:
                raise ValueError(f"sent {MAX_BARREN_PAGES} pages in a row without a new name")
        else:
            next_query = self._go_on_without_link(names, len(hashes), fresh)
        if next_query is not None:
            self._visit(next_query)
        self.query = next_query

    def refuse(self, status: int | None, codes: Sequence[str] = ()) -> bool:
        """The question was refused, with these codes of the specification: whether to go on with another."""
        if self._cursor is _Cursor.OWN and status in (400, 404, 405):
            # ECR answers 405 to a `last` that it did not make.
            self._ask_for_all()
            return True
        if self._pages == 0 and status in (400, 405) and self.page_size is not None:
            # distribution: 400 above catalog.maxentries; ECR: 405 above 1,000.
            self.page_size = SMALLER_PAGE_SIZE if self.page_size > SMALLER_PAGE_SIZE else None
            self._start()
            return True
        is_bare = status == 404 and not codes and self._paging is LINKED
        if self._pages == 0 and is_bare and self.page_size is not None:
            # zuul-registry: 404, in HTML, for any parameter. Who knows no repository says that by a code.
            self.page_size = None
            self._start()
            return True
        if self._pages > 0 and status in (400, 404) and not self._is_restarted:
            self._is_restarted = True
            self._start()
            return True
        return False

    def _go_on_without_link(self, names: Sequence[str], distinct: int, fresh: int) -> str | None:
        """What to ask after a page without Link: by the specification nothing, in practice it depends."""
        if self._cursor is _Cursor.NONE:
            if distinct < len(self._seen):
                raise ValueError("sent fewer names when asked for all of them than page by page")
            return None
        if self._cursor is _Cursor.OWN and fresh < distinct:
            return self._ask_for_all()
        is_full = self.page_size is not None and len(names) == self.page_size
        if self._has_links or not is_full or not self._paging.has_own_cursor:
            return None
        self._cursor = _Cursor.OWN
        return last_query(len(names), names[-1])

    def _ask_for_all(self) -> str:
        """Paging does not work here: the whole list at once settles whether there is more.

        distribution 2.8 ignores both `n` and `last` for tags, so a repository with as many tags as a page
        looks like one with more. go-containerregistry takes `n` for its catalog and ignores `last`, so a
        first page looks like a whole list.
        """
        self._cursor = _Cursor.NONE
        self.query = ""
        return self.query

    def _visit(self, query: str) -> None:
        if query in self._visited:
            raise ValueError("leads back to a page it has sent before")
        if self._pages >= MAX_PAGES:
            raise ValueError(f"lists more than {MAX_PAGES} pages")
        self._visited.add(query)


def read_page(listing: Listing[Entry], body: bytes) -> Page[Entry]:
    """What a page lists; ValueError for no page.

    The Content-Type is not looked at: ECR sends lists as text/plain.
    """
    try:
        document = decode_json(body, max_bytes=MAX_PAGE_BYTES)
    except (MalformedManifestError, ContentTooLargeError) as error:
        raise ValueError(f"sent a list that cannot be read: {error}") from None
    refuse_errors(document)
    if not isinstance(document, list if listing.is_array else dict):
        raise ValueError("sent a list that is none")
    if listing.is_array:
        document = {"": document}
    items = listing.read(document)
    if items is None:
        items = []  # distribution 2.8 writes null once the last tag is gone
    if not isinstance(items, list):
        raise ValueError("sent a list that is none")
    entries, names, doubtful = [], [], 0
    for item in items:
        try:
            name = listing.name_of(item)
            if not isinstance(name, str):
                raise TypeError
            names.append(name)
            entries.append(listing.parse(item))
        except (InvalidNameError, InvalidDigestError, LookupError, TypeError, AttributeError):
            doubtful += not _stands_for_nothing(item)
    return Page(entries, names, len(items) - len(entries), doubtful, document)


def refuse_errors(document: Any) -> None:
    """Raise ValueError for an error document (distribution-spec, "Error Codes") that came with status 200:
    it lacks what it should hold, and would look like a list of nothing."""
    if isinstance(document, dict) and document.get("errors"):
        raise ValueError("sent errors in place of what was asked for")


def _stands_for_nothing(item: Any) -> bool:
    """Whether an item is known to be listed where there is no entry: Nexus lists nulls among tags
    (skopeo#2409), Artifactory (skopeo#2346) and zuul-registry digests."""
    if not isinstance(item, str):
        return item is None
    try:
        parse_digest(item)
    except InvalidDigestError:
        return False
    return True


def query_of(url: Any) -> str | None:
    """The query of a link in a document, to be asked of the path we know; None when there is no link.

    Raises ValueError for a link that names no page.
    """
    if not url:
        return None
    query = urlsplit(url).query if isinstance(url, str) else ""
    if not query or len(query) > MAX_QUERY_LENGTH:
        raise ValueError("sends a link that names no page")
    return query

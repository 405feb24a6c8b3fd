"""Ask a registry for lists and documents, page by page, and know whether it was the whole list.

Rules of this file: it decides where a page comes from and what a refusal of one means; `listing.py` decides
how to go on. What was yielded before an error is still true.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

from graph.errors import (
    ContentTooLargeError,
    DoubtfulListError,
    MalformedManifestError,
    RegistryDeniedError,
    RegistryError,
    RegistryProtocolError,
    RegistryThrottledError,
    RegistryUnknownError,
)
from graph.oci.document import decode_json
from graph.oci.reference import RegistryName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.ledger import RequestKind
from graph.registry.listing import Listing, Pager, read_page, refuse_errors
from graph.registry.wire import Reply, Request, next_query

Entry = TypeVar("Entry")

_NOT_ABOUT_PAGES = (RegistryUnknownError, RegistryDeniedError, RegistryThrottledError)


class PageReader:
    """The lists of one registry, as seen by one identity."""

    def __init__(
        self,
        registry: RegistryName,
        origin: str,
        ask: Callable[[Request], Awaitable[Reply]],
        page_size: int,
        capabilities: MutableMapping[Capability, CapabilityState],
    ) -> None:
        """`page_size` is what to ask for; a registry that refuses it is asked for less."""
        self.capabilities = capabilities
        self.has_vendor_lists = False
        """Whether a list that the plain API has not was ever read."""
        self.dropped = 0
        """Items of lists that were no valid names."""
        self._registry = registry
        self._origin = origin
        self._ask = ask
        self._page_size = page_size
        self._page_sizes: dict[tuple[RequestKind, str | None, str], int | None] = {}

    async def pages(self, listing: Listing[Entry]) -> AsyncIterator[list[Entry]]:
        """Yield what is listed, one list a page, in the registry's own order; an item may come twice.

        Raises DoubtfulListError, after the last page, when it held what is no name; of a catalog only when it
        held nothing else, since no repository is absent by its catalog alone. Raises RegistryError when the
        list was cut short.
        """
        # What a vendor's own list takes says nothing about the plain one.
        kind, paging = (listing.kind, listing.api, listing.paging.size_name), listing.paging
        pager = Pager(self._page_sizes.get(kind, self._page_size), paging=paging)
        has_entries = False
        doubted: Request | None = None
        async for request, reply in self.walk(
            pager, lambda query: listing.build(self._registry, self._origin, query)
        ):
            try:
                page = read_page(listing, reply.body)
            except ValueError as error:
                raise request.error(RegistryProtocolError, str(error)) from None
            self.has_vendor_lists |= not listing.is_plain
            self.dropped += page.dropped
            has_entries = has_entries or bool(page.entries)
            doubted = request if page.doubtful else doubted
            self._page_sizes[kind] = pager.page_size
            cut_short = None
            try:
                if paging.next_of is None:
                    following = next_query(request, reply)
                else:
                    following = paging.next_of(page.document, pager.query or "")
                pager.accept(page.names, following)
            except ValueError as error:
                cut_short = request.error(RegistryProtocolError, str(error))
            yield page.entries  # what the page says is true even where it cannot be followed
            if cut_short is not None:
                raise cut_short
        if doubted is not None and not (has_entries and listing.kind is RequestKind.CATALOG):
            raise doubted.error(DoubtfulListError, "lists what is no name")

    async def walk(
        self, pager: Pager, build: Callable[[str], Request]
    ) -> AsyncIterator[tuple[Request, Reply]]:
        """Ask page after page; whoever iterates tells the pager what came before it asks for the next."""
        while pager.query is not None:
            request = build(pager.query)
            page = pager.pages + 1
            try:
                reply = await self._ask(request)
            except RegistryError as error:
                # Amazon says 400 of whatever is wrong, and its body what: smaller pages would not help.
                is_said = error.http_status == 400 and isinstance(error, _NOT_ABOUT_PAGES)
                if not is_said and pager.refuse(error.http_status, error.codes):
                    continue
                if page > 1 and error.http_status in (400, 404):
                    # Never "unknown": the first page was there.
                    reason = f"broke its list off with {error.http_status} at page {page}"
                    raise request.error(
                        RegistryProtocolError, reason, http_status=error.http_status
                    ) from error
                raise
            yield request, reply

    async def document(self, request: Request) -> Any:
        """The JSON that answers the request. Raises RegistryError."""
        reply = await self._ask(request)
        try:
            document = decode_json(reply.body, max_bytes=request.body_limit)
            refuse_errors(document)
        except (MalformedManifestError, ContentTooLargeError) as error:
            raise request.error(RegistryProtocolError, f"sent what cannot be read: {error}") from None
        except ValueError as error:
            raise request.error(RegistryProtocolError, str(error)) from None
        return document

"""Read one registry: its repositories, tags, manifests, configs and referrers.

1.  Names and digests were proved by the parsers of `graph.oci`; no other text gets into a URL.
2.  Bytes that a digest names are held against it before anyone sees them.
3.  A list either comes whole or ends in an error; what was yielded before the error is still true.
4.  What a registry cannot do is found out once and remembered in `capabilities`.

It only reads: there is no method here, nor a request in `wire`, that could change a registry.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx

from graph.errors import (
    ContentTooLargeError,
    DigestMismatchError,
    GraphError,
    RegistryError,
    RegistryFailedError,
    RegistryProtocolError,
    RegistryUnknownError,
    RegistryUnreachableError,
    RegistryUnsupportedError,
)
from graph.oci.descriptor import Descriptor
from graph.oci.digest import Digest, compute_digest, verify_digest
from graph.oci.reference import RegistryName, RepositoryName, TagName
from graph.registry.allowance import Allowance
from graph.registry.breaker import Breaker
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects import Dialect, choose_dialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.exchange import Exchange, RetryPolicy
from graph.registry.identity import Identity, IdentitySource, open_identity
from graph.registry.layouts import LayoutTransport
from graph.registry.ledger import Ledger, RequestKind
from graph.registry.listing import Pager
from graph.registry.manifests import is_manifest, is_page, read_digest, read_media_type
from graph.registry.mirrors import fetch_from, open_mirror, settings_of_mirror
from graph.registry.origin import AddressGuard, Origin, named_hosts, parse_origin
from graph.registry.reader import PageReader
from graph.registry.referrers import MAX_REFERRERS, is_referrers_index, read_referrers, says_missing
from graph.registry.signer import Signer
from graph.registry.transport import open_connections
from graph.registry.wire import MAX_CONFIG_BYTES, Endpoint, Reply, Request, next_query
from graph.settings import RegistrySettings


@dataclass(frozen=True, slots=True)
class ManifestHead:
    """What a HEAD says of a manifest. Nothing of it is verified; what the registry leaves out is None."""

    digest: Digest | None
    media_type: str | None
    size: int | None


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest's exact bytes and the digest they have. `media_type` is what the registry calls them."""

    digest: Digest
    media_type: str | None
    data: bytes


def _utc_now() -> datetime:
    return datetime.now(UTC)


class RegistryClient:
    """One registry, as seen by one identity. An async context manager; close it to close its connections."""

    def __init__(
        self,
        settings: RegistrySettings,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        dialect: Dialect | None = None,
        identity: IdentitySource | None = None,
        retries: RetryPolicy | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        """`transport` takes the place of the network, and is closed with the client.

        Raises SettingsError for a dialect that does not exist and an `auth_file` that cannot be read.
        """
        self.name: RegistryName = settings.name
        self.dialect: Dialect = dialect or choose_dialect(settings)
        self.ledger = Ledger()
        self.capabilities: dict[Capability, CapabilityState] = dict(self.dialect.capabilities)
        self.breaker = Breaker(clock)
        """Whether it is asked at all."""
        self._finding_out, self._probe = asyncio.Lock(), asyncio.Lock()
        origin = parse_origin(self.dialect.url)
        if transport is None and settings.layout is not None:
            transport = LayoutTransport(*settings.layout)
        self._endpoint = Endpoint(settings.name, origin)
        named = named_hosts(settings.token_hosts, settings.proxy)
        connect = open_connections(settings, origin, transport)
        self._identity = (
            identity or self.dialect.open_identity(self._ask, clock) or open_identity(settings, clock)
        )

        def open_exchange(origin: Origin, signer: Signer | None = None) -> Exchange:
            guard = AddressGuard(origin, named)
            return Exchange(
                Endpoint(settings.name, origin),
                connect(guard),
                guard=guard,
                ledger=self.ledger,
                identity=self._identity,
                token_hosts=settings.token_hosts,
                concurrency=settings.concurrency,
                timeout=settings.timeout,
                retries=retries or RetryPolicy(),
                clock=clock,
                signer=signer,
            )

        self._exchange = open_exchange(origin)
        # A vendor's own API is another origin with connections and a login of its own.
        self._apis = {
            api: open_exchange(parse_origin(api), self.dialect.open_signer(api, self._identity, clock))
            for api in self.dialect.apis
        }
        self._mirrors = [
            open_mirror(settings_of_mirror(settings, url), transport, self.ledger, clock)
            for url in settings.mirrors
        ]
        self._reader = PageReader(
            settings.name, str(origin), self._ask, settings.page_size, self.capabilities
        )

    def __repr__(self) -> str:
        return f"RegistryClient({self.name!r}, dialect={self.dialect.name!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        for exchange in (self._exchange, *self._apis.values()):
            await exchange.aclose()
        for mirror in self._mirrors:
            await mirror.aclose()

    async def _ask(self, request: Request) -> Reply:
        exchange = self._exchange if request.api is None else self._apis[request.api]
        is_ping = request.kind is RequestKind.PING  # which finds out whether it is there, and always may
        if not is_ping and (wait := self.breaker.hold()) > 0:
            reason = "did not answer lately, and is not asked for a while"
            raise request.error(RegistryUnreachableError, reason, retry_after=wait)
        try:
            reply = await exchange.ask(request)
        except (RegistryUnreachableError, RegistryFailedError):
            self.breaker.note_failure(is_decisive=is_ping)
            if not is_ping:
                await self._find_out()
            raise
        except GraphError:
            self.breaker.note_answer(is_ping=is_ping)
            raise
        except BaseException:
            self.breaker.note_end()
            raise
        self.breaker.note_answer(is_ping=is_ping)
        return reply

    async def _find_out(self) -> None:
        """Ping the registry if it is suspect, once for all whose requests failed."""
        async with self._finding_out:
            if self.breaker.is_suspect:
                with suppress(GraphError):
                    await self.ping()

    async def identify(self) -> Identity:
        """Who we are to this registry, and where that is written down; no request is made to it."""
        return await self._identity.identify(None)

    async def ping(self) -> None:
        """Nothing, if the registry answers `/v2/` to us; raises RegistryError if not."""
        await self._ask(self._endpoint.ping())

    @property
    def asks_who_we_are(self) -> bool:
        """Whether the registry ever has; what it answered before, it answers anybody."""
        return self._exchange.asks_who_we_are

    @property
    def allowances(self) -> Mapping[str, Allowance]:
        """By origin, what it said last of how many requests it still answers; left out where it does not."""
        exchanges = {str(self._endpoint.origin): self._exchange, **self._apis}
        return {
            origin: exchange.allowance
            for origin, exchange in exchanges.items()
            if exchange.allowance is not None
        }

    @property
    def held_for(self) -> float:
        """Seconds for which the registry is asked nothing, since it has said that it wants no request."""
        return self._exchange.held_for

    @property
    def dropped(self) -> int:
        """Items of lists that were no valid names."""
        return self._reader.dropped

    async def list_repositories(self) -> AsyncIterator[tuple[RepositoryName, ...]]:
        """Yield the repositories, one tuple a page, in the registry's own order; a name may come twice.

        Raises RegistryUnsupportedError where there is no catalog, RegistryError when the list was cut short.
        """
        has_catalog = False
        try:
            async for names in self.dialect.list_repositories(self._reader):
                has_catalog = True
                self.capabilities[Capability.CATALOG] = CapabilityState.SUPPORTED
                yield tuple(names)
        except (RegistryUnknownError, RegistryUnsupportedError) as error:
            if has_catalog:
                raise
            self.capabilities[Capability.CATALOG] = CapabilityState.UNSUPPORTED
            raise RegistryUnsupportedError(
                f"{self.name} does not list its repositories ({error.request})", **_facts(error)
            ) from error

    async def list_tags(self, repository: RepositoryName) -> AsyncIterator[tuple[ListedTag, ...]]:
        """Yield the repository's tags, one tuple a page, in the registry's own order; a tag may come twice.

        Each has its digest where TAG_DIGESTS is supported and the vendor's API knows the repository.

        Raises RegistryUnknownError where the registry does not know the repository, which distribution 2.8
        also says of one that holds untagged manifests only; DoubtfulListError at the end of a list that holds
        what is no name; RegistryError when the list was cut short.
        """
        async for tags in self.dialect.list_tags(self._reader, repository):
            yield tuple(tags)

    async def list_manifests(self, repository: RepositoryName) -> AsyncIterator[tuple[ListedManifest, ...]]:
        """Yield every manifest of the repository, tagged or not, one tuple a page; one may come twice.

        Raises RegistryUnsupportedError unless UNTAGGED_LISTING is supported; RegistryUnknownError where the
        registry does not know the repository; RegistryError when the list was cut short.
        """
        if self.capabilities[Capability.UNTAGGED_LISTING] is not CapabilityState.SUPPORTED:
            raise RegistryUnsupportedError(
                f"{self.name} does not list untagged manifests", registry=self.name
            )
        async for manifests in self.dialect.list_manifests(self._reader, repository):
            yield tuple(manifests)

    async def head_manifest(self, repository: RepositoryName, reference: TagName | Digest) -> ManifestHead:
        """What the registry says a tag or digest is, without its bytes.

        Asked by digest, the answer has that digest. Raises RegistryUnknownError where there is none.
        """
        request = self._endpoint.manifest("HEAD", repository, reference)
        reply = await self._ask(request)
        named = read_digest(reply)
        if _is_digest(reference):
            asked = Digest(reference)
            # Another algorithm is allowed; another digest of the same one is a lie.
            if named is not None and named != asked and _algorithm(named) == _algorithm(asked):
                raise request.error(RegistryProtocolError, f"answers with {named} for another digest")
            named = asked
        length = reply.headers.get("content-length", "")
        size = int(length) if length.isascii() and length.isdigit() and len(length) <= 15 else None
        return ManifestHead(named, read_media_type(reply), size)

    async def get_manifest(self, repository: RepositoryName, reference: TagName | Digest) -> FetchedManifest:
        """The bytes of a manifest, and their digest as computed here.

        Raises RegistryUnknownError where there is none, DigestMismatchError when the bytes are not what a
        digest names, RegistryProtocolError where by a tag something came that nothing says is a manifest,
        ContentTooLargeError.
        """

        def make(endpoint: Endpoint) -> Request:
            return endpoint.manifest("GET", repository, reference)

        reply = None
        if _is_digest(reference):
            reply = await fetch_from(self._mirrors, make, Digest(reference))
        request = make(self._endpoint)
        reply = reply or await self._ask(request)
        # Docker-Content-Digest is not believed: it is missing on ECR and wrong on "so many registries"
        # (go-containerregistry, fetcher.go), and the bytes tell better.
        if _is_digest(reference):
            digest = Digest(reference)
            verify_digest(reply.body, digest)
        else:
            digest = compute_digest(reply.body)
            if not is_manifest(reply, digest):
                raise request.error(RegistryProtocolError, "answers a tag with what is no manifest")
        return FetchedManifest(digest, read_media_type(reply), reply.body)

    async def get_config(self, repository: RepositoryName, descriptor: Descriptor) -> bytes:
        """The bytes of a config, verified; its `urls`, if it has any, are never asked.

        Raises RegistryUnknownError, DigestMismatchError, ContentTooLargeError (before a request, if it says
        so), RegistryProtocolError for a page in its place, which says nothing of the config.
        """
        if descriptor.size > MAX_CONFIG_BYTES:
            raise ContentTooLargeError("the config", MAX_CONFIG_BYTES)

        def make(endpoint: Endpoint) -> Request:
            return endpoint.config(repository, descriptor.digest)

        reply = await fetch_from(self._mirrors, make, descriptor.digest)
        request = make(self._endpoint)
        reply = reply or await self._ask(request)
        try:
            verify_digest(reply.body, descriptor.digest)
        except DigestMismatchError:
            if is_page(reply):
                raise request.error(RegistryProtocolError, "sends a page in place of a config") from None
            raise
        return reply.body

    async def list_referrers(self, repository: RepositoryName, digest: Digest) -> tuple[Descriptor, ...]:
        """Everything the registry says refers to a digest, which need not exist itself.

        Raises RegistryUnsupportedError where there is no such API, at once when that is known: only the
        first request to a registry ever finds out, and the others wait for it.
        """
        if self.capabilities[Capability.REFERRERS] is CapabilityState.UNKNOWN:
            async with self._probe:
                if self.capabilities[Capability.REFERRERS] is CapabilityState.UNKNOWN:
                    return await self._list_referrers(repository, digest)
        return await self._list_referrers(repository, digest)

    async def _list_referrers(self, repository: RepositoryName, digest: Digest) -> tuple[Descriptor, ...]:
        if self.capabilities[Capability.REFERRERS] is CapabilityState.UNSUPPORTED:
            request = self._endpoint.referrers(repository, digest, "")
            raise request.error(RegistryUnsupportedError, "has no referrers API")
        found: dict[Digest, Descriptor] = {}
        pager = Pager(None, max_names=MAX_REFERRERS)
        try:
            async for request, reply in self._reader.walk(
                pager, lambda query: self._endpoint.referrers(repository, digest, query)
            ):
                if not is_referrers_index(reply):
                    raise request.error(RegistryProtocolError, "sent no index of referrers", http_status=200)
                self.capabilities[Capability.REFERRERS] = CapabilityState.SUPPORTED
                try:
                    descriptors = read_referrers(reply)
                    found.update((descriptor.digest, descriptor) for descriptor in descriptors)
                    digests = [descriptor.digest for descriptor in descriptors]
                    pager.accept(digests, next_query(request, reply))
                except ValueError as error:
                    raise request.error(RegistryProtocolError, str(error)) from None
        except RegistryError as error:
            if self.capabilities[Capability.REFERRERS] is CapabilityState.UNKNOWN and says_missing(error):
                self.capabilities[Capability.REFERRERS] = CapabilityState.UNSUPPORTED
                raise RegistryUnsupportedError(
                    f"{self.name} has no referrers API ({error.request})", **_facts(error)
                ) from error
            raise
        return tuple(found.values())


def _facts(error: RegistryError) -> dict[str, Any]:
    return {
        "registry": error.registry,
        "request": error.request,
        "http_status": error.http_status,
        "codes": error.codes,
    }


def _is_digest(reference: TagName | Digest) -> bool:
    return ":" in reference  # which no tag may hold


def _algorithm(digest: Digest) -> str:
    return digest.partition(":")[0]

"""Docker Hub: its own API lists the repositories of a namespace, and tags with their digests.

Sources: docker/docs, content/reference/api/hub/latest.yaml and docker-hub/usage/pulls.md. What differs from
the plain API:

- What is called docker.io or index.docker.io answers at registry-1.docker.io; its catalog is switched off.
- Lists are at hub.docker.com, by number of page, at most 100 a page. A tag's `digest` is missing from old
  ones, which are asked for what they name; `tag_last_pushed` is when it was last pushed (renovate #38659: not
  when its digest first was).
- A login there is a token, got by POST of the user and a password or access token to `/v2/auth/token`;
  without a login what is public is told.
- There is no list of untagged manifests: the one there was vanished in 2023 (docker/hub-feedback #2362).
- A 429 of the API says when to come back by `X-Retry-After`, a unix timestamp. Pulls are counted apart, and
  a HEAD of a manifest is none: see `allowance.py`.
- Every name has a namespace; that of official images is `library`.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from graph.errors import InvalidDigestError, RegistryUnsupportedError
from graph.oci.digest import Digest, parse_digest
from graph.oci.reference import RepositoryName, parse_repository_name, parse_tag_name
from graph.registry.auth import Credentials, Token, ask_for_token
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.dialect import Clock, Reader, fall_back
from graph.registry.dialects.oci import OciDialect
from graph.registry.entries import ListedTag
from graph.registry.identity import IdentitySource
from graph.registry.ledger import RequestKind
from graph.registry.listing import Listing, Paging, query_of
from graph.registry.origin import host_of
from graph.registry.signer import Send, Signer
from graph.registry.times import parse_time
from graph.registry.tokens import TokenCache, TokenKey
from graph.registry.wire import Login, Request, pull_scope, repository_of
from graph.settings import RegistrySettings

_URL = "https://registry-1.docker.io"
_API = "https://hub.docker.com"

_LOST = frozenset({Capability.TAG_DIGESTS, Capability.PUSH_TIME})
_PAGING = Paging(
    "page_size", 100, next_of=lambda page, query: query_of(page.get("next")), has_own_cursor=False
)


class DockerHubDialect(OciDialect):
    """Docker Hub."""

    name = "docker-hub"
    capabilities: Mapping[Capability, CapabilityState] = {
        **OciDialect.capabilities,
        Capability.CATALOG: CapabilityState.SUPPORTED,
        Capability.TAG_DIGESTS: CapabilityState.SUPPORTED,
        Capability.PUSH_TIME: CapabilityState.SUPPORTED,
        Capability.EVENTS: CapabilityState.SUPPORTED,
    }
    counts_pulls = True
    known_hosts = frozenset(
        {"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
    )

    def __init__(self, settings: RegistrySettings) -> None:
        super().__init__(settings)
        # The login of another host is not for Docker Hub's API.
        self.api = settings.api_url or (_API if self._is_known else None)
        self.apis: Sequence[str] = () if self.api is None else (self.api,)
        if self.api is None:
            self.capabilities = {
                **OciDialect.capabilities,
                Capability.CATALOG: CapabilityState.UNSUPPORTED,
            }

    @classmethod
    def speaks_at(cls, host: str) -> bool:
        """Docker's names for its own registry."""
        return host in cls.known_hosts

    @property
    def url(self) -> str:
        """Where the registry answers, whichever of its names the settings have."""
        host = host_of(self.settings.url.partition("://")[2])
        return _URL if host in self.known_hosts else self.settings.url

    def open_signer(self, api: str, identity: IdentitySource, clock: Clock) -> Signer | None:
        """A token of the API for the login of the registry."""
        return _HubSigner(self.settings, api, identity, clock)

    def repositories(self, namespace: str) -> Listing[RepositoryName]:
        """`GET /v2/namespaces/<namespace>/repositories`."""
        return Listing(
            RequestKind.CATALOG,
            f"/v2/namespaces/{namespace}/repositories",
            None,
            lambda page: page.get("results"),
            lambda item: parse_repository_name(f"{namespace}/{item['name']}"),
            lambda item: item["name"],
            _PAGING,
            self.api,
            Login.SIGNED,
        )

    def own_tags(self, repository: RepositoryName) -> Listing[ListedTag]:
        """`GET /v2/namespaces/<namespace>/repositories/<name>/tags`."""
        namespace, _, name = repository.rpartition("/")
        return Listing(
            RequestKind.TAGS,
            f"/v2/namespaces/{namespace}/repositories/{name}/tags",
            pull_scope(repository),
            lambda page: page.get("results"),
            _parse_tag,
            lambda item: item["name"],
            _PAGING,
            self.api,
            Login.SIGNED,
        )

    async def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """The repositories of the namespaces in the settings."""
        if not self.apis or not self.settings.namespaces:
            raise RegistryUnsupportedError(
                f"{self.settings.name} lists the repositories of namespaces, and the settings name none",
                registry=self.settings.name,
            )
        for namespace in self.settings.namespaces:
            async for page in reader.pages(self.repositories(namespace)):
                yield page

    def list_tags(self, reader: Reader, repository: RepositoryName) -> AsyncIterator[Sequence[ListedTag]]:
        """The tags with what they name and when each was last pushed."""
        plain = reader.pages(self.tags(repository))
        if not self.apis or repository.count("/") != 1:
            return plain  # no API, or no name of a repository here; the registry says so in its own way
        return fall_back(reader, reader.pages(self.own_tags(repository)), plain, self.may_lack(_LOST))


def _parse_tag(item: Any) -> ListedTag:
    pushed_at = parse_time(item.get("tag_last_pushed")) or parse_time(item.get("last_updated"))
    return ListedTag(parse_tag_name(item["name"]), _parse_digest(item.get("digest")), changed_at=pushed_at)


def _parse_digest(value: Any) -> Digest | None:
    try:
        return parse_digest(value) if isinstance(value, str) else None
    except InvalidDigestError:
        return None


class _HubSigner:
    """Holds the token of one login."""

    def __init__(self, settings: RegistrySettings, api: str, identity: IdentitySource, clock: Clock) -> None:
        self._registry = settings.name
        self._url = f"{api}/v2/auth/token"
        self._identity = identity
        self._clock = clock
        self._tokens = TokenCache(clock)
        self._sent: tuple[TokenKey, str] | None = None

    async def sign(self, request: Request, send: Send) -> Sequence[tuple[str, str]]:
        """A token for a user; none for nobody, nor for who holds a token that is for others."""
        credentials = (await self._identity.identify(repository_of(request.scope))).credentials
        if credentials is None or not credentials.is_user:
            return ()
        key = TokenKey(self._url, None, credentials, None)
        authorization = (
            await self._tokens.obtain(key, lambda: self._fetch(credentials, send))
        ).authorization()
        self._sent = key, authorization
        return (("Authorization", authorization),)

    def is_worth_another(self, request: Request) -> bool:
        """A token may have been withdrawn before its time: once more with a new one."""
        if self._sent is None:
            return False
        self._tokens.discard(*self._sent)
        return True

    async def _fetch(self, credentials: Credentials, send: Send) -> Token:
        document = json.dumps({"identifier": credentials.username, "secret": credentials.password})
        flow = ask_for_token(self._registry, self._url, document, self._clock())
        request = next(flow)
        while True:
            try:
                request = flow.send(await send(request))
            except StopIteration as done:
                token: Token = done.value
                return token

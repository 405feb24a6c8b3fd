"""Find the Authorization header for a request, and remember how this registry wants to be asked.

Rules of this file: it sends nothing but through the function it was given, and only to token servers that
`auth.pin_realm` let pass. Nothing is offered before the registry asked for it.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from graph.errors import RegistryDeniedError
from graph.oci.reference import RegistryName
from graph.registry.auth import (
    ENTRA_TOKEN_USER,
    IDENTITY_TOKEN_USER,
    Basic,
    Bearer,
    Credentials,
    GivenBearer,
    Scheme,
    Token,
    choose_scheme,
    choose_scope,
    token_flow,
)
from graph.registry.entra import exchange_request, read_refresh_token
from graph.registry.headers import parse_challenges
from graph.registry.identity import IdentitySource
from graph.registry.origin import Origin
from graph.registry.tokens import TokenCache, TokenKey
from graph.registry.wire import Login, Reply, Request, repository_of

# Scopes remembered that a registry wanted in place of ours; one repository has one or two.
MAX_LEARNED_SCOPES = 4096


class Authorizer:
    """What one registry wants to see before it answers."""

    def __init__(
        self,
        registry: RegistryName,
        origin: Origin,
        identity: IdentitySource,
        token_hosts: Sequence[str],
        clock: Callable[[], datetime],
        send: Callable[[Request], Awaitable[Reply]],
    ) -> None:
        self._registry = registry
        self._origin = origin
        self._identity = identity
        self._token_hosts = tuple(token_hosts)
        self._clock = clock
        self._send = send
        self._tokens = TokenCache(clock)
        self._scheme: Scheme | None = None
        self._learned_scopes: dict[str | None, str | None] = {}

    @property
    def is_asked(self) -> bool:
        """Whether the registry ever wanted to know who we are."""
        return self._scheme is not None

    async def aclose(self) -> None:
        """Stop every token request under way."""
        await self._tokens.aclose()

    async def prepare(self, request: Request) -> str | None:
        """The header to send at once, from what the registry asked for before; None if it never asked."""
        if request.login is not Login.CHALLENGE:
            credentials = await self._identify(request)
            # A token is for the registry, or for its token server; a vendor's API is neither.
            if credentials is None or not credentials.is_user:
                return None
            if request.login is Login.API_TOKEN and not credentials.is_api_token:
                return None
            if request.login in (Login.BEARER, Login.API_TOKEN):
                if not credentials.has_token:
                    raise request.error(RegistryDeniedError, "wants a token, and the password can be none")
                return credentials.bearer()
            return credentials.authorization()
        if self._scheme is None:
            return None
        # One file of logins may hold a token for one repository and a password for the next.
        credentials = await self._identify(request)
        match self._scheme:
            case Basic():
                return (
                    credentials.authorization() if credentials is not None and credentials.is_user else None
                )
            case _ if credentials is not None and credentials.is_registry_token:
                return credentials.bearer()
            case Bearer() as bearer:
                scope = self._learned_scopes.get(request.scope, request.scope)
                return await self._obtain(request, bearer, scope, refused=None)
            case GivenBearer():
                return None

    async def answer(self, request: Request, reply: Reply, sent: str | None) -> str:
        """The header to send in answer to a 401, where `sent` is the header that was refused.

        Raises RegistryDeniedError when there is nothing better to offer than what was refused.
        """
        if request.login is not Login.CHALLENGE:
            raise request.error(RegistryDeniedError, "refuses the credentials", http_status=401)
        credentials = await self._identify(request)
        challenges = parse_challenges(reply.headers.get_list("www-authenticate"))
        try:
            scheme = choose_scheme(challenges, self._origin, self._token_hosts, credentials)
        except ValueError as error:
            raise request.error(RegistryDeniedError, str(error), http_status=401) from None
        self._scheme = scheme
        if isinstance(scheme, Bearer):
            scope = choose_scope(request.scope, scheme.scope)
            self._learn(request.scope, scope)
            offer = await self._obtain(request, scheme, scope, refused=sent)
        elif credentials is None:
            offer = ""  # never: `choose_scheme` takes these only where there are credentials
        elif isinstance(scheme, GivenBearer):
            offer = credentials.bearer()
        else:
            offer = credentials.authorization()
        if not offer or offer == sent:
            raise request.error(RegistryDeniedError, "refuses the credentials", http_status=401)
        return offer

    def _learn(self, own: str | None, wanted: str | None) -> None:
        self._learned_scopes.pop(own, None)
        if wanted != own:
            self._learned_scopes[own] = wanted
            if len(self._learned_scopes) > MAX_LEARNED_SCOPES:
                del self._learned_scopes[next(iter(self._learned_scopes))]

    async def _identify(self, request: Request) -> Credentials | None:
        return (await self._identity.identify(repository_of(request.scope))).credentials

    async def _obtain(self, request: Request, bearer: Bearer, scope: str | None, refused: str | None) -> str:
        credentials = await self._identify(request)
        # Entra's own token is renewed now and then; whom it stands for is the same.
        is_entra = credentials is not None and credentials.is_entra_token
        identity = ENTRA_TOKEN_USER if is_entra else credentials
        key = TokenKey(bearer.realm, bearer.service, identity, scope)
        self._tokens.discard(key, refused)

        async def fetch() -> Token:
            return await self._fetch(bearer, scope, credentials)

        return (await self._tokens.obtain(key, fetch)).authorization()

    async def _fetch(self, bearer: Bearer, scope: str | None, credentials: Credentials | None) -> Token:
        if credentials is None or not credentials.is_entra_token:
            return await self._run_flow(bearer, scope, credentials)
        key = TokenKey(f"{self._origin}/oauth2/exchange", bearer.service, ENTRA_TOKEN_USER, None)
        refresh = await self._tokens.obtain(key, lambda: self._exchange(bearer, credentials.password))
        try:
            return await self._run_flow(bearer, scope, Credentials(IDENTITY_TOKEN_USER, refresh.value))
        except RegistryDeniedError:
            # It may have been revoked; whoever asks next gets another one.
            self._tokens.discard(key, refresh.authorization())
            raise

    async def _exchange(self, bearer: Bearer, entra_token: str) -> Token:
        request = exchange_request(self._registry, self._origin, bearer.service, entra_token)
        return read_refresh_token(request, await self._send(request), self._clock())

    async def _run_flow(self, bearer: Bearer, scope: str | None, credentials: Credentials | None) -> Token:
        flow = token_flow(self._registry, bearer, scope, credentials, self._clock())
        request = next(flow)
        while True:
            try:
                request = flow.send(await self._send(request))
            except StopIteration as done:
                token: Token = done.value
                return token

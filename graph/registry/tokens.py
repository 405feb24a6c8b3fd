"""Keep tokens until they expire, and ask for each only once however many want it.

Rules of this file: no HTTP; how a token is fetched comes in as a function, and so does the time. A token is
kept for one (realm, service, identity, scope) and given to nobody who asks for another. A fetch that
several wait for goes on when one of them gives up.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from graph.errors import GraphError
from graph.registry.auth import Credentials, Token

# Tokens kept at once; one repository needs one. The least recently used goes first.
MAX_CACHED_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class TokenKey:
    """What a token is good for. `identity` is None for anonymous.

    A user name is not enough of an identity: all identity tokens have the same one, and a file of logins may
    hold several for one registry.
    """

    realm: str
    service: str | None
    identity: Credentials | str | None
    scope: str | None


class TokenCache:
    """The tokens of one registry client."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._tokens: dict[TokenKey, Token] = {}
        self._flights: dict[TokenKey, asyncio.Task[Token]] = {}

    def __repr__(self) -> str:
        return f"TokenCache({len(self._tokens)} tokens)"

    async def obtain(self, key: TokenKey, fetch: Callable[[], Coroutine[Any, Any, Token]]) -> Token:
        """A token that is valid now: the one kept, or one that is fetched.

        From `refresh_at` on the first to ask fetches a new one, while the others go on with the old; should
        the fetch fail, so does the first, as long as the old one is valid.
        """
        kept = self._tokens.pop(key, None)
        now = self._clock()
        if kept is not None and now < kept.expires_at:
            self._tokens[key] = kept  # the most recently used is last
            if now < kept.refresh_at or key in self._flights:
                return kept
        else:
            kept = None
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(self._fly(key, fetch))
            flight.add_done_callback(_retrieve_exception)
        try:
            return await asyncio.shield(flight)
        except GraphError:
            if kept is not None:
                return kept
            raise

    def discard(self, key: TokenKey, authorization: str | None) -> None:
        """Forget a token that the registry refused, unless it has been replaced since."""
        kept = self._tokens.get(key)
        if kept is not None and kept.authorization() == authorization:
            del self._tokens[key]

    async def aclose(self) -> None:
        """Stop every fetch under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _fly(self, key: TokenKey, fetch: Callable[[], Coroutine[Any, Any, Token]]) -> Token:
        try:
            token = await fetch()
            self._tokens[key] = token
            while len(self._tokens) > MAX_CACHED_TOKENS:
                del self._tokens[next(iter(self._tokens))]
            return token
        finally:
            del self._flights[key]


def _retrieve_exception(flight: asyncio.Task[Token]) -> None:
    # Where nobody waits any longer, asyncio would log the failure as one that was never retrieved.
    if not flight.cancelled():
        flight.exception()

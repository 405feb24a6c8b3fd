"""Fetch from somewhere else what a digest names: mirrors and pull-through caches of a registry.

Rules of this file: only manifests by digest and configs are asked of a mirror, since their bytes prove
themselves; a tag or a list may be old there. Whatever a mirror does, the registry itself is asked next. A
mirror is an origin of its own: nothing by which the registry knows us is shown to it, and its refusals are
its own.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

import httpx

from graph.errors import GraphError, RegistryDeniedError, RegistryUnknownError
from graph.oci.digest import Digest, verify_digest
from graph.registry.breaker import Breaker, BreakerState
from graph.registry.exchange import Exchange, RetryPolicy
from graph.registry.identity import open_identity
from graph.registry.ledger import Ledger
from graph.registry.origin import AddressGuard, named_hosts, parse_origin
from graph.registry.transport import open_connections
from graph.registry.wire import Endpoint, Reply, Request
from graph.settings import RegistrySettings

# Makes the request for one thing at an endpoint.
MakeRequest: TypeAlias = Callable[[Endpoint], Request]


def settings_of_mirror(settings: RegistrySettings, url: str) -> RegistrySettings:
    """How a mirror is reached: as the registry is, but as nobody, or as `auth_file` says of its host."""
    ours = {"username": None, "password": None, "password_file": None, "identity": None, "token_hosts": ()}
    trust = {"client_certificate": None, "client_key": None, "skip_tls_verification": False}
    return settings.model_copy(update={"url": url, **ours, **trust})


def open_mirror(
    settings: RegistrySettings,
    transport: httpx.AsyncBaseTransport | None,
    ledger: Ledger,
    clock: Callable[[], datetime],
) -> "Mirror":
    """A mirror that is reached as `settings_of_mirror` says; its requests are counted with the registry's.

    `transport` takes the place of the network.
    """
    origin = parse_origin(settings.url)
    guard = AddressGuard(origin, named_hosts(settings.token_hosts, settings.proxy))
    endpoint = Endpoint(settings.name, origin)
    exchange = Exchange(
        endpoint,
        open_connections(settings, origin, transport)(guard),
        guard=guard,
        ledger=ledger,
        identity=open_identity(settings, clock),
        token_hosts=(),
        concurrency=settings.concurrency,
        timeout=settings.timeout,
        retries=RetryPolicy(attempts=1),  # what fails here is had from the registry
        clock=clock,
    )
    return Mirror(endpoint, exchange, clock)


class Mirror:
    """One mirror. Its text shows no secret."""

    def __init__(self, endpoint: Endpoint, exchange: Exchange, clock: Callable[[], datetime]) -> None:
        self._endpoint = endpoint
        self._exchange = exchange
        self._breaker = Breaker(clock)

    def __repr__(self) -> str:
        return f"Mirror({self._endpoint.origin})"

    async def aclose(self) -> None:
        """Close its connections."""
        await self._exchange.aclose()

    async def fetch(self, make: MakeRequest, digest: Digest) -> Reply | None:
        """The answer whose bytes are what the digest names; None where the mirror has none for us.

        One that fails, or gives other bytes, is asked nothing for a while.
        """
        if self._breaker.hold() > 0:
            return None
        try:
            reply = await self._exchange.ask(make(self._endpoint))
            verify_digest(reply.body, digest)
        except (RegistryUnknownError, RegistryDeniedError):
            self._breaker.note_answer()
            return None
        except GraphError:
            self._breaker.note_failure(is_decisive=self._breaker.state is BreakerState.CLOSED)
            return None
        except BaseException:
            self._breaker.note_end()
            raise
        self._breaker.note_answer()
        return reply


async def fetch_from(mirrors: Sequence[Mirror], make: MakeRequest, digest: Digest) -> Reply | None:
    """The answer of the first mirror that has what the digest names; None where none has."""
    for mirror in mirrors:
        reply = await mirror.fetch(make, digest)
        if reply is not None:
            return reply
    return None

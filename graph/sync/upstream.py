"""What the crawl and the refreshes of one registry share: whom to ask, where to keep it, what is under way.

Rules of this file: it decides nothing about content. Two looks at one repository take turns, so that a list
of tags that was read earlier never overwrites what was read later; a digest is fetched once at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from enum import Enum

from graph.errors import RegistryDeniedError
from graph.oci.reference import RepositoryName
from graph.registry.client import FetchedManifest, RegistryClient
from graph.store.engine import Store
from graph.sync.condition import Condition
from graph.sync.flight import Flights
from graph.sync.pace import Pace
from graph.sync.selection import Selection


class Stored(Enum):
    """What lands for a digest whose bytes the store has already."""

    STORED = "STORED"


class Upstream:
    """One registry, its client and its rows in the store. Make one, for the crawl and the refreshes alike."""

    def __init__(
        self,
        client: RegistryClient,
        store: Store,
        registry_key: int,
        clock: Callable[[], datetime],
        *,
        selection: Selection | None = None,
        referrers_max_age: float = 86_400.0,
        catalogs: MutableMapping[int, datetime] | None = None,
    ) -> None:
        """`referrers_max_age` is in seconds; `clock` tells the time in UTC.

        `catalogs` has, by the key of a registry, when its catalog was last read to its end; those who read
        the store may hold it too, so that they need not ask the store for it each time.
        """
        self.client = client
        self.store = store
        self.key = registry_key
        self.clock = clock
        self.selection = selection or Selection()
        self.referrers_max_age = referrers_max_age
        self.catalogs = {} if catalogs is None else catalogs
        self.manifests: Flights[FetchedManifest | Stored] = Flights()
        self.configs: Flights[bytes | Stored] = Flights()
        self.pace = Pace()
        # Whether the last HEAD that told something was one that a GET proved wrong; None: none has told yet.
        self.refuses_heads: bool | None = None
        self.held_bytes = 0  # of manifests and configs, by all batches together (content.py)
        self._turns: dict[RepositoryName, tuple[asyncio.Lock, int]] = {}

    @property
    def condition(self) -> Condition:
        """How the registry answers now."""
        breaker = self.client.breaker
        allowances = sorted(self.client.allowances.items(), key=lambda told: told[0])
        asks_again_at = breaker.asks_again_at
        if (wait := self.client.held_for) > 0:
            held_until = self.clock() + timedelta(seconds=wait)
            asks_again_at = held_until if asks_again_at is None else max(asks_again_at, held_until)
        return Condition(breaker.state, asks_again_at, allowances)

    async def check(self) -> None:
        """Nothing, if the registry answers a ping, be it by refusing us; raises RegistryError if not."""
        with suppress(RegistryDeniedError):
            await self.client.ping()

    @property
    def looks(self) -> int:
        """How many repositories are being looked at."""
        return len(self._turns)

    @asynccontextmanager
    async def turn(self, repository: RepositoryName) -> AsyncIterator[None]:
        """Wait until nobody else looks at the repository, then let nobody else."""
        lock, users = self._turns.get(repository, (asyncio.Lock(), 0))
        self._turns[repository] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._turns.pop(repository)
            if users > 1:
                self._turns[repository] = (lock, users - 1)

"""Ask the schema in tests as the server does: one store, one request at a time, the rest by argument."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from graph.errors import RegistryUnreachableError
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.schema.context import Context, Limits, Registries
from graph.schema.definition import GraphSchema, build_schema
from graph.schema.execution import execute
from graph.store.engine import Snapshot, Store, open_store
from graph.store.registries import load_registries
from graph.store.visibility import Visibility
from graph.sync.freshness import Demand
from store_builders import NOW, StoreBuilder

Response = dict[str, Any]

# Anything stored is young enough, and nobody is asked.
FROM_STORE = Demand(float("inf"))

WIDE = Limits(node_budget=10_000_000)


class FakeRefresher:
    """Stands for sync: keeps what was asked, and does what `act` says, else gets no answer."""

    def __init__(self, act: Callable[..., Awaitable[None]] | None = None) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._act = act

    async def refresh_repository(self, registry_key: int, name: RepositoryName) -> None:
        await self._ask("repository", registry_key, name)

    async def refresh_catalog(self, registry_key: int) -> None:
        await self._ask("catalog", registry_key)

    async def refresh_tag(self, registry_key: int, name: RepositoryName, tag: TagName) -> None:
        await self._ask("tag", registry_key, name, tag)

    async def refresh_referrers(self, registry_key: int, name: RepositoryName, digest: Digest) -> None:
        await self._ask("referrers", registry_key, name, digest)

    async def _ask(self, *what: Any) -> None:
        self.asked.append(what)
        if self._act is None:
            raise RegistryUnreachableError("no answer")
        await self._act(*what)


class Graph:
    """A store and a schema to ask."""

    def __init__(self, store: Store, registries: Registries, schema: GraphSchema) -> None:
        self.store = store
        self.registries = registries
        self.schema = schema
        self.context: Context  # of the last request
        self.statements: list[str] = []  # of the last request

    async def ask(
        self,
        query: str,
        variables: dict[str, Any] | None = None,
        *,
        demand: Demand = FROM_STORE,
        refresher: FakeRefresher | None = None,
        limits: Limits | None = None,
        clock: Callable[[], datetime] = lambda: NOW,
        deadline: float | None = None,
        around: Callable[[Snapshot], Any] = lambda snapshot: snapshot,
        **more: Any,
    ) -> Response:
        """The response map of one request; `around` may stand between it and the store."""
        async with self.store.snapshot(deadline=deadline) as snapshot:
            self.context = Context(
                snapshot=around(snapshot),
                registries=self.registries,
                refresher=refresher,
                demand=demand,
                clock=clock,
                limits=limits or WIDE,
                deadline=deadline,
                **more,
            )
            response = await execute(self.schema, self.context, query, variables)
            self.statements = snapshot.statements
            return response

    async def data(self, query: str, variables: dict[str, Any] | None = None, **more: Any) -> Any:
        """The data of a request that must have no error."""
        response = await self.ask(query, variables, **more)
        assert "errors" not in response, response["errors"]
        return response["data"]


@asynccontextmanager
async def graph_of(
    builder: StoreBuilder, *, limits: Limits = WIDE, observed: bool = True
) -> AsyncIterator[Graph]:
    """A store that holds the builder's rows; `observed`: the catalogs of its registries were read NOW."""
    store = open_store(":memory:")
    try:
        with store.transaction() as db:
            builder.insert(db)
            rows = load_registries(db, Visibility.everything())
        catalogs = {row.key: NOW for row in rows} if observed else {}
        yield Graph(store, Registries(rows, catalogs), build_schema(limits))
    finally:
        await asyncio.to_thread(store.close)


def codes_of(response: Response) -> list[str]:
    """The codes of the errors, in order."""
    return [error["extensions"]["code"] for error in response.get("errors", [])]


def paths_of(response: Response) -> dict[tuple[str | int, ...], str]:
    """The code of each error by its path."""
    return {
        tuple(error["path"]): error["extensions"]["code"]
        for error in response.get("errors", [])
        if "path" in error
    }

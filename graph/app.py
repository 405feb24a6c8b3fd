"""Puts settings, registries, store, sync and schema together; nothing else does.

Three things are made of the same parts: the application that serves (`create_app`), one crawl (`crawl`), and
one answer from what is stored (`answer`). What is opened here is closed here, whatever uses it first.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from graph import __version__, graphiql, process
from graph.endpoint import BearerToken, Endpoint, Parameters, expect_token
from graph.errors import GraphError, SettingsError
from graph.oci.reference import RegistryName
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.registry.identity import ANONYMOUS
from graph.registry.in_process import Transport
from graph.schema.context import Context, Limits, Registries
from graph.schema.definition import build_schema
from graph.schema.execution import execute
from graph.settings import RegistrySettings, Settings
from graph.store.changes import ConfiguredRegistry
from graph.store.engine import Store, open_store, view_store
from graph.store.observations import set_registries
from graph.store.registries import load_registries, load_registry_statuses
from graph.store.rows import RegistryRow
from graph.store.visibility import Visibility
from graph.sync.crawl import Crawler
from graph.sync.freshness import CacheControl, Demand, demand_of, parse_cache_control
from graph.sync.refresh import Refresher
from graph.sync.report import CrawlReport, Progress
from graph.sync.selection import select
from graph.sync.upstream import Upstream
from graph.sync.worker import Worker

Clock = Callable[[], datetime]
# What `create_app` makes; its lifespan opens and closes the parts.
Application = Starlette


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """What serves queries and keeps up with the registries, open and connected."""

    store: Store
    registries: Registries
    upstreams: Sequence[Upstream]
    refresher: Refresher


@asynccontextmanager
async def open_parts(
    settings: Settings, *, clock: Clock = utc_now, transports: Mapping[RegistryName, Transport] | None = None
) -> AsyncIterator[Parts]:
    """Open the store and the clients of every registry of the settings.

    `transports` has, by the registry's name, what carries its requests instead of the network.
    Raises StoreError when the store cannot be opened, SettingsError when a registry's settings are no good.
    """
    async with AsyncExitStack() as stack:
        store = open_store(settings.store)
        stack.callback(store.close)
        dialects = []
        for number, registry in enumerate(settings.registries):
            with _numbered(number):
                dialects.append(choose_dialect(registry))
        selections = [select(each.name, each.include, each.exclude) for each in settings.registries]
        configured = [
            ConfiguredRegistry(each.name, each.url, dialect.name, not selection.is_everything)
            for each, dialect, selection in zip(settings.registries, dialects, selections, strict=True)
        ]
        keys = await store.write(set_registries, configured, clock())
        rows = [
            RegistryRow(key, each.name, each.url, each.dialect)
            for key, each in zip(keys, configured, strict=True)
        ]
        registries = Registries(rows, await read_catalogs(store, keys))
        upstreams = []
        for number, (key, registry, dialect, selection) in enumerate(
            zip(keys, settings.registries, dialects, selections, strict=True)
        ):
            transport = (transports or {}).get(registry.name)
            with _numbered(number):
                client = RegistryClient(registry, transport, dialect=dialect, clock=clock)
            await stack.enter_async_context(client)
            upstreams.append(
                Upstream(
                    client,
                    store,
                    key,
                    clock,
                    selection=selection,
                    referrers_max_age=(
                        settings.referrers_max_age
                        if registry.referrers_max_age is None
                        else registry.referrers_max_age
                    ),
                    catalogs=registries.catalog_observed_at,
                )
            )
        refresher = Refresher(upstreams, timeout=settings.refresh_timeout)
        stack.push_async_callback(refresher.aclose)
        yield Parts(store, registries, upstreams, refresher)


@contextmanager
def _numbered(number: int) -> Iterator[None]:
    """Mistakes in the settings of one registry by the names that they have among those of all."""
    try:
        yield
    except SettingsError as error:
        raise SettingsError([f"registries.{number}.{problem}" for problem in error.problems]) from error


async def read_catalogs(store: Store, keys: Sequence[int]) -> dict[int, datetime]:
    """When each registry's catalog was last read to its end, by the registry's key."""
    async with store.snapshot() as snapshot:
        statuses = await snapshot.read(load_registry_statuses, Visibility.everything(), keys)
    return {
        status.key: status.catalog_observed_at
        for status in statuses
        if status is not None and status.catalog_observed_at is not None
    }


@asynccontextmanager
async def open_context(
    settings: Settings,
    store: Store,
    registries: Registries,
    *,
    refresher: Refresher | None,
    demand: Demand,
    demands: Mapping[int, Demand] | None = None,
    clock: Clock,
) -> AsyncIterator[Context]:
    """One request: a view of the store, and the time and the nodes it may use from now on.

    Without a `refresher` no registry is asked.
    """
    deadline = asyncio.get_running_loop().time() + settings.time_limit
    async with store.snapshot(deadline=deadline) as snapshot:
        yield Context(
            snapshot=snapshot,
            registries=registries,
            refresher=refresher,
            conditions=None if refresher is None else refresher.condition_of,
            demand=demand,
            demands=demands,
            clock=clock,
            limits=Limits.of(settings),
            hide=settings.hide,
            deadline=deadline,
        )


@dataclass(frozen=True, slots=True)
class LoginCheck:
    """As whom a registry is asked, where that is written down, and why the registry did not answer, if so.

    `username` is None where we are nobody, and `<token>` where an identity token takes its place. `below` has
    the users as whom parts of the registry are asked, which nobody has tried. `is_known`: it asked for one;
    where it did not, its answer says nothing of our login.
    """

    registry: RegistryName
    dialect: str
    source: str
    username: str | None
    below: Mapping[str, str]
    is_known: bool
    failure: GraphError | None


async def check_logins(
    settings: Settings, *, transports: Mapping[RegistryName, Transport] | None = None
) -> list[LoginCheck]:
    """Ask each registry of the settings once whether it answers us. Raises SettingsError."""

    async def check(number: int, registry: RegistrySettings) -> LoginCheck:
        source, username, below, failure = ANONYMOUS, None, dict[str, str](), None
        with _numbered(number):
            client = RegistryClient(registry, (transports or {}).get(registry.name))
        async with client:
            try:
                identity = await client.identify()
                source, below = identity.source, dict(identity.below)
                username = identity.credentials.username if identity.credentials is not None else None
                await client.ping()
            except GraphError as error:
                failure = error
            known = client.asks_who_we_are
            return LoginCheck(registry.name, client.dialect.name, source, username, below, known, failure)

    return await asyncio.gather(*(check(*each) for each in enumerate(settings.registries)))


async def crawl(
    settings: Settings, *, progress: Callable[[RegistryName, Progress], None] | None = None
) -> list[CrawlReport]:
    """Crawl every registry of the settings once, all at the same time; their reports in order.

    What ends one crawl, such as a mistake of ours, is raised when the others have come to their ends.
    """
    async with open_parts(settings) as parts:

        async def crawl_one(upstream: Upstream) -> CrawlReport:
            def tell(now: Progress) -> None:
                if progress is not None:
                    progress(upstream.client.name, now)

            return await Crawler(upstream).crawl(tell)

        ended = await asyncio.gather(*map(crawl_one, parts.upstreams), return_exceptions=True)
    reports = []
    for each in ended:
        if isinstance(each, BaseException):
            raise each
        reports.append(each)
    return reports


async def answer(
    settings: Settings, query: str, variables: Mapping[str, Any], operation_name: str | None = None
) -> dict[str, Any]:
    """The response map of one query, from what is stored and nothing else.

    The registries are those of the store: none has to be in the settings. Raises InputError where there is no
    store, StoreError when it cannot be opened.
    """
    store = view_store(settings.store)
    try:
        async with store.snapshot() as snapshot:
            rows = await snapshot.read(load_registries, Visibility.everything())
        registries = Registries(rows, await read_catalogs(store, [row.key for row in rows]))
        any_age = demand_of(CacheControl(), max_age=math.inf, min_refresh_age=0)
        async with open_context(
            settings, store, registries, refresher=None, demand=any_age, clock=utc_now
        ) as context:
            schema = build_schema(context.limits)
            return await execute(schema, context, query, variables, operation_name)
    finally:
        store.close()


def create_app(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    transports: Mapping[RegistryName, Transport] | None = None,
    prepare: Callable[[Parts], Awaitable[None]] | None = None,
) -> Application:
    """The ASGI application of `ocigraph serve`. Its lifespan opens the parts and starts to crawl.

    `prepare` is awaited with the parts before anything is served or crawled.
    Raises SettingsError when the file of the bearer token cannot be used.
    """
    schema = build_schema(Limits.of(settings))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_parts(settings, clock=clock, transports=transports) as parts:
            if prepare is not None:
                await prepare(parts)
            app.state.parts = parts
            process.settle_collector()
            async with _keep_up(settings, parts):
                yield

    def open_request(request: Request) -> AbstractAsyncContextManager[Context]:
        parts: Parts = request.app.state.parts
        asked = parse_cache_control(",".join(request.headers.getlist("cache-control")))

        def demand(max_age: float) -> Demand:
            return demand_of(asked, max_age=max_age, min_refresh_age=settings.min_refresh_age)

        own = {
            row.key: demand(registry.max_age)
            for row, registry in zip(parts.registries.rows, settings.registries, strict=True)
            if registry.max_age is not None
        }
        return open_context(
            settings,
            parts.store,
            parts.registries,
            refresher=parts.refresher,
            demand=demand(settings.max_age),
            demands=own,
            clock=clock,
        )

    async def run(context: Context, asked: Parameters) -> dict[str, Any]:
        return await execute(schema, context, asked.query, asked.variables, asked.operation_name)

    endpoint = Endpoint(
        run, open_request, graphiql.render_page(graphiql.load_examples()), settings.max_body_bytes
    )
    routes = [
        Route("/graphql", endpoint),
        Mount("/graphiql", StaticFiles(directory=graphiql.STATIC)),
        Route("/healthz", report_health),
        Route("/readyz", report_readiness),
    ]
    return Starlette(routes=routes, middleware=build_middleware(settings), lifespan=lifespan)


@asynccontextmanager
async def _keep_up(settings: Settings, parts: Parts) -> AsyncIterator[None]:
    """Crawl each registry now and then, none waiting for another, until the context ends."""
    intervals = settings.sync_intervals()
    if not intervals:
        yield
        return
    kept_up = [upstream for upstream in parts.upstreams if upstream.client.name in intervals]
    worker = Worker([Crawler(upstream) for upstream in kept_up], intervals=intervals)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def report_health(request: Request) -> Response:
    """200 as long as the process answers at all."""
    return JSONResponse({"status": "ok", "version": __version__})


async def report_readiness(request: Request) -> Response:
    """200 when the store can be read, else 503."""
    parts: Parts = request.app.state.parts
    deadline = asyncio.get_running_loop().time() + 5.0
    try:
        async with parts.store.snapshot(deadline=deadline) as snapshot:
            await snapshot.read(load_registries, Visibility.everything())
    except GraphError as error:
        return JSONResponse({"status": "not ready", "code": error.code}, 503)
    return JSONResponse({"status": "ready"})


def build_middleware(settings: Settings) -> list[Middleware]:
    """CORS outermost, so that a browser may read the refusal of a missing token.

    Raises SettingsError when the file of the token cannot be used.
    """
    middleware = []
    if settings.cors_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Cache-Control", "Content-Type"],
                expose_headers=["Age"],
            )
        )
    token = settings.read_token()
    if token is not None:
        open_paths = ("/healthz", "/readyz", "/graphiql/")
        middleware.append(Middleware(BearerToken, is_token=expect_token(token), open_paths=open_paths))
    return middleware

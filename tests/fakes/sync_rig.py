"""A sample registry, the real client, a real store and what keeps it up, with a clock that tests move.

Rules of this file: nothing of `graph` is replaced. `dump` shows what the store holds by names and digests, so
that two stores that were filled in different orders can be compared.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import Connection, text

from builders import Built, make_image, make_layer
from graph.oci.reference import RepositoryName, TagName
from graph.registry.client import RegistryClient
from graph.registry.dialects import Dialect
from graph.registry.exchange import RetryPolicy
from graph.registry.ledger import RequestKind
from graph.sample import Request, SampleRegistry
from graph.settings import RegistrySettings
from graph.store.changes import ConfiguredRegistry
from graph.store.engine import Store, open_store
from graph.store.observations import set_registries
from graph.store.recount import Difference, recount
from graph.sync.crawl import Crawler
from graph.sync.report import CrawlReport
from graph.sync.upstream import Upstream

URL = "https://registry.example"
START = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Clock:
    """Time that passes by a millisecond when it is read, and by more when a test says so."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Rig:
    """One registry and one store; `restart` is what a new process would have."""

    registry: SampleRegistry
    store: Store
    clock: Clock
    client: RegistryClient
    upstream: Upstream
    crawler: Crawler
    key: int
    clients: list[RegistryClient] = field(default_factory=list)

    async def crawl(self) -> CrawlReport:
        """Crawl an hour later."""
        self.clock.advance(3600)
        return await self.crawler.crawl()

    async def spend(self) -> tuple[dict[str, int], CrawlReport]:
        """Crawl, and return what requests it took, by kind; kinds not used are left out."""
        crawl = asyncio.ensure_future(self.crawl())
        return await self.cost(crawl), crawl.result()

    async def cost(self, look: Awaitable[object]) -> dict[str, int]:
        """Return what requests a look takes, by kind."""
        before = Counter(self.spent())
        await look
        return dict(Counter(self.spent()) - before)

    def spent(self) -> dict[str, int]:
        """Return what requests this client has made, by kind; kinds not used are left out."""
        counts = {str(kind): self.client.ledger.count(kind) for kind in RequestKind}
        return {kind: count for kind, count in counts.items() if count}

    def restart(self) -> None:
        """Forget all but the store: a new client, which knows nothing of the registry, and a new crawler."""
        self.client = make_client(self.registry)
        self.clients.append(self.client)
        self.upstream = Upstream(self.client, self.store, self.key, self.clock)
        self.crawler = Crawler(self.upstream)

    def read(self, function: Any, *args: Any) -> Any:
        """Run a function of the store."""
        with self.store.transaction() as db:
            return function(db, *args)

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return what is stored, without keys and times."""
        return self.read(dump)

    def recount(self) -> list[Difference]:
        return self.read(recount)

    def tags(self, repository: str) -> dict[str, str | None]:
        """Return the present tags of a repository and what they name."""
        return {row[1]: row[2] for row in self.dump()["tags"] if row[0] == repository and row[4]}

    def artifacts(self, repository: str, *, present: bool = True) -> dict[str, str]:
        """Return the present, or the absent, artifacts and why they are untagged ("" where they are not)."""
        return {
            row[1]: row[6] or ""
            for row in self.dump()["artifacts"]
            if row[0] == repository and bool(row[2]) is present
        }

    def repository(self, name: str) -> dict[str, Any]:
        """Return the row of a repository."""
        return self.read(_repository, name)


def make_client(
    app: Any, speaks: Callable[[RegistrySettings], Dialect] | None = None, **settings: Any
) -> RegistryClient:
    """A client that carries requests to an ASGI app, and makes each once; `speaks` makes its dialect."""
    transport = httpx.ASGITransport(app)
    registry = RegistrySettings(**{"url": URL, **settings})
    dialect = None if speaks is None else speaks(registry)
    return RegistryClient(registry, transport, dialect=dialect, retries=RetryPolicy(attempts=1))


@asynccontextmanager
async def open_rig(
    registry: SampleRegistry | None = None,
    *,
    store: str = ":memory:",
    clock: Clock | None = None,
    is_partial: bool = False,
    **settings: Any,
) -> AsyncIterator[Rig]:
    """A registry and a store, both empty unless given; the clock of a store that is not must go on."""
    registry = registry or SampleRegistry()
    clock = clock or Clock()
    opened = open_store(store)
    client = make_client(registry, **settings)
    with opened.transaction() as db:
        configured = ConfiguredRegistry(client.name, URL, client.dialect.name, is_partial)
        (key,) = set_registries(db, [configured], clock())
    upstream = Upstream(client, opened, key, clock)
    rig = Rig(registry, opened, clock, client, upstream, Crawler(upstream), key, [client])
    try:
        yield rig
    finally:
        for used in rig.clients:
            await used.aclose()
        opened.close()


def push(registry: SampleRegistry, repository: str, built: Built, *tags: str) -> str:
    """Put a manifest with all that it needs, and point the tags at it; return its digest."""
    for blob in built.blobs:
        registry.put_blob(repository, blob.data)
    for child in built.manifests:
        push(registry, repository, child)
    registry.put_manifest(repository, built.data, built.media_type)
    for tag in tags:
        registry.set_tag(repository, tag, built.digest)
    return built.digest


def image(seed: str, **fields: str) -> Built:
    """An image of two layers, one of which all images share."""
    return make_image([make_layer("base"), make_layer(seed)], **fields)


def manifests_fetched(requests: Iterable[Request]) -> list[tuple[str, str]]:
    """Return repository and reference of each manifest that was asked for by GET."""
    found = []
    for request in requests:
        repository, separator, reference = request.path.removeprefix("/v2/").partition("/manifests/")
        if separator and request.method == "GET":
            found.append((repository, reference))
    return found


def repository_name(name: str) -> RepositoryName:
    return RepositoryName(name)


def tag_name(name: str) -> TagName:
    return TagName(name)


def dump(db: Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {name: [tuple(row) for row in db.execute(text(sql))] for name, sql in _DUMPS.items()}


def _repository(db: Connection, name: str) -> dict[str, Any]:
    rows = db.execute(text("SELECT * FROM repository WHERE name = :name"), {"name": name})
    return dict(rows.mappings().one())


_DUMPS = {
    "repositories": """
        SELECT name, absent_at IS NULL, completeness, error_code, tag_count, artifact_count, stored_bytes,
            observed_at IS NULL, crawled_at IS NULL
        FROM repository ORDER BY name
    """,
    "tags": """
        SELECT r.name, t.name, b.digest, t.error_code, t.absent_at IS NULL
        FROM tag AS t JOIN repository AS r ON r.id = t.repository_id
        LEFT JOIN artifact AS a ON a.id = t.artifact_id LEFT JOIN blob AS b ON b.id = a.manifest_id
        ORDER BY r.name, t.name
    """,
    "artifacts": """
        SELECT r.name, b.digest, a.absent_at IS NULL, a.has_manifest, a.error_code, a.kind, a.untagged,
            a.is_live, a.size, a.os, a.architecture, a.referrers_observed_at IS NULL, a.tag_count
        FROM artifact AS a JOIN repository AS r ON r.id = a.repository_id
        JOIN blob AS b ON b.id = a.manifest_id
        ORDER BY r.name, b.digest
    """,
    "referrers": """
        SELECT r.name, s.digest, b.digest, f.via
        FROM referrer AS f JOIN repository AS r ON r.id = f.repository_id
        JOIN blob AS s ON s.id = f.subject_id
        JOIN artifact AS a ON a.id = f.artifact_id JOIN blob AS b ON b.id = a.manifest_id
        ORDER BY r.name, s.digest, b.digest
    """,
    "manifests": """
        SELECT b.digest, m.form, m.kind, m.os, m.architecture, d.data IS NULL
        FROM manifest AS m JOIN blob AS b ON b.id = m.blob_id LEFT JOIN document AS d ON d.blob_id = b.id
        ORDER BY b.digest
    """,
    "blobs": "SELECT digest, size, artifact_count, repository_count, saved_bytes FROM blob ORDER BY digest",
}

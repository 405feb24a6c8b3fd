"""What one request carries through the executor: what it may see and cost, and what it has used so far.

Rules of this file: one `Context` for each request, made by `app` or the command line, never kept. It reads
the store and asks sync; what to read and when to ask is decided by the fields.
"""

import asyncio
from collections.abc import Callable, Hashable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, Self, TypeVar

from graph.errors import QueryTooCostlyError, UnknownRegistryError
from graph.oci.digest import Digest
from graph.oci.reference import RegistryName, RepositoryName, TagName
from graph.schema.batches import Batch, Cost, Dispatcher
from graph.schema.costs import Selections
from graph.schema.ids import MAX_LOOK_UPS
from graph.schema.scalars import format_time
from graph.settings import Hidden, Settings
from graph.store.rows import RegistryRow
from graph.store.visibility import Visibility
from graph.sync.condition import Condition
from graph.sync.freshness import Demand, age_of

T = TypeVar("T")

# Names in the sets of one request, all of its fields together: as many as the largest set has. Each takes
# some ten microseconds to be read, all in one turn of the event loop.
MAX_NAMES = 10_000

# Bytes of manifests and configs that one request may hold, read exactly as they are. A typical manifest has
# 2 KiB, a typical config 8; the largest allowed has 8 MiB.
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024

# Fields of an answer for each node that the query may read. The rows with most fields have 20 of their own;
# the answer with as many as it may takes some seconds of the executor and 60 MiB.
FIELDS_PER_NODE = 20

# Bytes of documents, and characters of texts taken from them, that one answer may show. It is another bound
# than the one above: under many aliases, or for many keys of one thing, what is held once is shown a thousand
# times, and one text of a config may be nearly all of it.
MAX_SHOWN_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost. Times are seconds; the settings of the same names explain each."""

    node_budget: int = 20_000
    page_size_max: int = 100
    max_depth: int = 20
    max_aliases: int = 50
    max_tokens: int = 2_000
    refreshes_per_request: int = 10
    refresh_timeout: float = 10.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The limits that the operator chose."""
        return cls(**{name: getattr(settings, name) for name in cls.__slots__})

    @property
    def field_budget(self) -> int:
        """Fields that the answer to one request may have."""
        return FIELDS_PER_NODE * self.node_budget


class Snapshot(Protocol):
    """A view of the store that does not change but while its reader is away."""

    statements: list[str]

    async def read(self, function: Callable[..., T], /, *args: Any) -> T:
        """Run a function of the store in a worker thread; it is given the database first."""

    def away(self) -> AbstractAsyncContextManager[None]:
        """Keep nobody else from the store until the end of the block; then see what was written since."""


class Refresher(Protocol):
    """Asks a registry now, and returns when what it said is stored. Raises GraphError when it cannot.

    Concurrent askers for one thing share one look at it.
    """

    async def refresh_repository(self, registry_key: int, name: RepositoryName) -> None:
        """Read the repository's list of tags and what is new in it."""

    async def refresh_catalog(self, registry_key: int) -> None:
        """Read the registry's list of repositories."""

    async def refresh_tag(self, registry_key: int, name: RepositoryName, tag: TagName) -> None:
        """Learn which artifact the tag names."""

    async def refresh_referrers(self, registry_key: int, name: RepositoryName, digest: Digest) -> None:
        """Read the list of what refers to the artifact."""


@dataclass(slots=True)
class Registries:
    """The registries of this process, in the order of the settings; the same object serves every request.

    They are read once at the start, so that naming one costs no statement. `catalog_observed_at` is when
    the list of repositories was last read to its end; whoever learns of it writes it here.
    """

    rows: Sequence[RegistryRow]
    catalog_observed_at: MutableMapping[int, datetime]

    def by_key(self, key: int) -> RegistryRow:
        """The registry with this key in the store."""
        return next(row for row in self.rows if row.key == key)

    def by_name(self, name: str | None) -> RegistryRow:
        """The registry with this name; without one the first. Raises UnknownRegistryError."""
        wanted = None if name is None else name.lower()
        for row in self.rows:
            if wanted is None or row.name == wanted:
                return row
        if wanted is None:
            raise UnknownRegistryError("no registry is configured")
        raise UnknownRegistryError(f"no registry named {wanted[:255]!r} is configured")

    @property
    def names(self) -> list[RegistryName]:
        """Their names, in the order of the settings."""
        return [row.name for row in self.rows]


@dataclass(frozen=True, slots=True)
class Stale:
    """An answer that is older than the request allows, and why it was not refreshed."""

    path: list[str | int]
    registry: str
    repository: str | None
    observed_at: datetime | None
    reason: str

    def to_json(self) -> Mapping[str, Any]:
        """How `extensions.stale` lists it."""
        return {
            "path": self.path,
            "registry": self.registry,
            "repository": self.repository,
            "observedAt": None if self.observed_at is None else format_time(self.observed_at),
            "reason": self.reason,
        }


class Context:
    """One request: see the parameters. `deadline` is on the clock of the event loop, in seconds."""

    def __init__(
        self,
        *,
        snapshot: Snapshot,
        registries: Registries,
        refresher: Refresher | None,
        conditions: Callable[[int], Condition] | None = None,
        demand: Demand,
        demands: Mapping[int, Demand] | None = None,
        clock: Callable[[], datetime],
        limits: Limits | None = None,
        visibility: Visibility | None = None,
        hide: frozenset[Hidden] = frozenset(),
        deadline: float | None = None,
    ) -> None:
        """Without a `refresher`, as in a command that only reads the store, nothing is refreshed, and without
        `conditions`, of each registry by its key, nobody knows how it answers now. `demands` has, by the key
        of a registry, what differs from `demand`.
        """
        self.snapshot = snapshot
        self.registries = registries
        self.refresher = refresher
        self.conditions = conditions
        self._demand, self._demands = demand, demands or {}
        self.clock = clock
        self.limits = limits or Limits()
        self.visibility = visibility or Visibility.everything()
        self.hide = hide
        self.deadline = deadline
        self.dispatcher = Dispatcher(self)
        self.is_operation_named = False
        # By field and its first node in the query, what its arguments mean: see arguments.py.
        self.arguments: dict[tuple[str, int], Any] = {}
        self.has_wrong_input = False
        # By field and its nodes in the query, its batch and what one answer counts: see fields.py.
        self.selected: dict[tuple[object, ...], tuple[Batch, Cost]] = {}
        self.selections: Selections | None = None  # of the document, from when it is executed
        self.nodes = 0
        self.fields = 0
        self.look_ups = 0
        self.members = 0
        self.unlisted_errors = 0
        self.document_bytes_left = MAX_DOCUMENT_BYTES
        self.shown_bytes = 0
        self.stale: list[Stale] = []
        self.oldest_observed_at: datetime | None = None
        # The refreshes of this request, by what was refreshed: nothing is asked twice, see staleness.py.
        self.refreshes: dict[tuple[Hashable, ...], asyncio.Task[Any]] = {}

    async def read(self, function: Callable[..., T], /, *args: Any) -> T:
        """Run a read function of the store: it is given the database, our visibility and the arguments."""
        return await self.snapshot.read(function, self.visibility, *args)

    def demand_of(self, registry_key: int) -> Demand:
        """How old an answer about this registry may be."""
        return self._demands.get(registry_key, self._demand)

    def charge(self, nodes: int, fields: int = 0) -> None:
        """Count nodes that are about to be read, and the fields of the answer that are plain attributes of
        them; raise QueryTooCostlyError where not as many are left.
        """
        if self.nodes + nodes > self.limits.node_budget:
            raise QueryTooCostlyError(self.nodes + nodes, self.limits.node_budget)
        if self.fields + fields > self.limits.field_budget:
            raise QueryTooCostlyError(self.fields + fields, self.limits.field_budget, "fields")
        self.nodes += nodes
        self.fields += fields

    def look_up(self, names: int) -> None:
        """Count ids and digests before they are looked at; raise QueryTooCostlyError at the bound."""
        if self.look_ups + names > MAX_LOOK_UPS:
            raise QueryTooCostlyError(self.look_ups + names, MAX_LOOK_UPS, "ids and digests")
        self.look_ups += names

    def name_members(self, names: int) -> None:
        """Count names of sets before they are looked at; raise QueryTooCostlyError at the bound."""
        if self.members + names > MAX_NAMES:
            raise QueryTooCostlyError(self.members + names, MAX_NAMES, "names of sets")
        self.members += names

    def show(self, size: int) -> None:
        """Count the size of a text each time it is shown; raise QueryTooCostlyError at the bound."""
        if self.shown_bytes + size > MAX_SHOWN_BYTES:
            raise QueryTooCostlyError(self.shown_bytes + size, MAX_SHOWN_BYTES, "bytes of documents")
        self.shown_bytes += size

    @property
    def nodes_left(self) -> int:
        """How many nodes may still be read."""
        return self.limits.node_budget - self.nodes

    def note_age(self, observed_at: datetime) -> None:
        """Remember the oldest observation that a refreshable field answered from."""
        if self.oldest_observed_at is None or observed_at < self.oldest_observed_at:
            self.oldest_observed_at = observed_at

    def age(self) -> int | None:
        """Whole seconds since the oldest observation that a refreshable field answered from; None without
        one.
        """
        if self.oldest_observed_at is None:
            return None
        return int(age_of(self.oldest_observed_at, self.clock()))

    def to_extensions(self) -> Mapping[str, Any]:
        """What the response tells beside its data: what it cost, and which answers are old."""
        cost = {
            "nodes": self.nodes,
            "limit": self.limits.node_budget,
            "fields": self.fields,
            "fieldLimit": self.limits.field_budget,
            "statements": len(self.snapshot.statements),
        }
        if not self.stale:
            return {"cost": cost}
        return {"cost": cost, "stale": [stale.to_json() for stale in self.stale]}

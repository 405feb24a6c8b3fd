"""How the crawl of a registry goes, and how the registry answers now.

Rules of this file: the first is read from the store with what else is known of a registry, the second is
asked of this process, which keeps it nowhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import strawberry

from graph.schema.context import Context
from graph.schema.enums import BreakerState, SyncState
from graph.store import rows
from graph.sync import condition


@dataclass(frozen=True, slots=True)
class _RateLimit:
    host: str
    limit: int | None
    remaining: int
    resets_at: datetime | None
    observed_at: datetime
    counts_pulls_only: bool


@dataclass(frozen=True, slots=True)
class _SyncStatus:
    state: rows.SyncState
    started_at: datetime | None
    last_finished_at: datetime | None
    progress: float | None
    repositories_done: int
    repositories_total: int
    repositories_known: int
    error: str | None
    error_code: str | None
    breaker: condition.BreakerState | None
    asks_again_at: datetime | None
    rate_limits: Sequence[_RateLimit] | None


def pick_sync(_: Any, context: Context, status: rows.RegistryStatus) -> _SyncStatus:
    """How the crawl goes of the registry with this status, and how it answers."""
    done, total = status.repositories_done, status.repositories_total
    is_measured = status.sync_state is rows.SyncState.RUNNING and total > 0
    now = None if context.conditions is None else context.conditions(status.key)
    return _SyncStatus(
        state=status.sync_state,
        started_at=status.sync_started_at,
        last_finished_at=status.sync_finished_at,
        progress=min(done / total, 1.0) if is_measured else None,
        repositories_done=done,
        repositories_total=total,
        repositories_known=status.repository_count,
        error=status.sync_error_message,
        error_code=status.sync_error_code,
        breaker=None if now is None else now.breaker,
        asks_again_at=None if now is None else now.asks_again_at,
        rate_limits=None if now is None else [_rate_limit(*told) for told in now.allowances],
    )


def _rate_limit(origin: str, told: condition.Allowance) -> _RateLimit:
    return _RateLimit(
        urlsplit(origin).netloc,
        told.limit,
        told.remaining,
        told.resets_at,
        told.observed_at,
        told.counts_pulls_only,
    )


@strawberry.type(description="How many requests a host of a registry still answers, by its own word.")
class RateLimit:
    """How many requests a host still answers."""

    host: str = strawberry.field(description="The host that said so: the registry's, or its vendor's API.")
    limit: int | None = strawberry.field(
        description="How many requests it answers in all, in its own window of time. Null: it does not say."
    )
    remaining: int = strawberry.field(
        description="How many of them were left. None is sent while it is 0 and `resetsAt` has not come."
    )
    resets_at: datetime | None = strawberry.field(
        description="When there are `limit` again. Null: it does not say."
    )
    observed_at: datetime = strawberry.field(description="When it said so.")
    counts_pulls_only: bool = strawberry.field(
        description="Only downloads of manifests count, as on Docker Hub; otherwise every request does."
    )


@strawberry.type(description="How the crawl of a registry goes: what keeps our knowledge of it up to date.")
class SyncStatus:
    """How the crawl of a registry goes."""

    state: SyncState = strawberry.field(description="What the crawl is doing.")
    started_at: datetime | None = strawberry.field(
        description="When the crawl that runs, or ran last, began. Null: there was none."
    )
    last_finished_at: datetime | None = strawberry.field(
        description="When a crawl last came to its end. Null: none has yet."
    )
    progress: float | None = strawberry.field(
        description="How far the crawl that runs has come, 0 to 1, in repositories. Null: none runs, or it "
        "is still counting them."
    )
    repositories_done: int = strawberry.field(
        description="Repositories that the crawl that runs, or ran last, has read."
    )
    repositories_total: int = strawberry.field(
        description="Repositories that the crawl that runs, or ran last, found to read."
    )
    repositories_known: int = strawberry.field(
        description="Repositories that are known and not seen to be gone."
    )
    error: str | None = strawberry.field(
        description="Why the last crawl failed, in words. Null: it did not fail."
    )
    error_code: str | None = strawberry.field(
        description="Why the last crawl failed, as a code such as `REGISTRY_UNREACHABLE`. Null: it did not."
    )
    breaker: BreakerState | None = strawberry.field(
        description="Whether the registry is asked at all: after some failures in a row it is not, for a "
        "while, and answers come from what is known. Null: this process asks no registry."
    )
    asks_again_at: datetime | None = strawberry.field(
        description="Where it is asked nothing now, since it does not answer or has refused what was too "
        "much: from when on the next request goes out. Null: it is asked."
    )
    rate_limits: list[RateLimit] | None = strawberry.field(
        description="How many requests it still answers, by the word of each of its hosts that says so; one "
        "that only refuses is none of them. Null: this process asks no registry."
    )

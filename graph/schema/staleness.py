"""Refresh what is too old for the request, and tell what stayed old.

Rules of this file: only what a field hands to `freshen` is ever refreshed, at most `refreshes_per_request`
things in a request, none twice, and all of one level at the same time. Who waits for a registry holds no
place in the store meanwhile: one that is slow delays only those who ask about it. A refresh that fails or
takes too long never fails a field that has something stored; the answer then comes from the store, and
`extensions.stale` lists it with the reason. What is too old is decided in `sync.freshness`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from graph.errors import GraphError, NotObservedError, NotStoredError
from graph.schema.batches import Aged, Answer, Location
from graph.schema.context import Context, Refresher, Stale
from graph.schema.errors import INTERNAL, INTERNAL_MESSAGE
from graph.sync.freshness import Freshness, judge

logger = logging.getLogger("graph.schema")

# Part of the time a request has left that one wait for a registry may take: what is stored still has to be
# read and shown, and the next level may have to ask again.
PATIENCE = 0.5

_WRONG = "a request with something wrong in it asks no registry"


class Reason(StrEnum):
    """Why an answer was not refreshed, where no error of a registry says it."""

    ONLY_IF_CACHED = "ONLY_IF_CACHED"  # the request forbids it
    REFRESH_LIMIT = "REFRESH_LIMIT"  # the request has caused as many refreshes as it may
    REFRESH_TIMEOUT = "REFRESH_TIMEOUT"  # the registry took longer than a request waits
    OFFLINE = "OFFLINE"  # this process asks no registry
    INVALID_INPUT = "INVALID_INPUT"  # the request has to be mended and sent again: it asks no registry


@dataclass(frozen=True, slots=True)
class Observation:
    """Something that was observed then, or never, and how to observe it now.

    Two with equal `identity` are the same thing; `subject` names it for people.
    """

    identity: tuple[Hashable, ...]
    subject: str
    registry_key: int
    repository: str | None
    observed_at: datetime | None
    refresh: Callable[[Refresher], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went: refreshed, or young enough (then there is no `reason`), or neither."""

    is_refreshed: bool = False
    reason: str | None = None
    error: GraphError | None = None


async def freshen(context: Context, observations: Sequence[Observation]) -> list[Outcome]:
    """Refresh what is too old and may be refreshed; the outcome of each, in order.

    The next read of the request sees what was refreshed.
    """
    now = context.clock()
    tasks = []
    for observation in observations:
        is_due = (
            judge(observation.observed_at, now, context.demand_of(observation.registry_key))
            is Freshness.REFRESH
        )
        task = context.refreshes.get(observation.identity)
        has_room = len(context.refreshes) < context.limits.refreshes_per_request
        may_start = has_room and not context.has_wrong_input
        if task is None and is_due and may_start and context.refresher is not None:
            task = asyncio.create_task(_refresh(context, context.refresher, observation))
            context.refreshes[observation.identity] = task
        if task is not None and not task.done():
            tasks.append(task)
    if tasks:
        async with context.snapshot.away():
            await asyncio.gather(*tasks)
    return [_outcome_of(context, observation, now) for observation in observations]


def aged(
    context: Context, observation: Observation, outcome: Outcome, answer: Answer, *, is_stored: bool
) -> Answer:
    """The answer of a field that was freshened, with what has to be told about its age.

    Unless something `is_stored` to answer with, it is the error that says why nothing is known.
    """
    if not outcome.is_refreshed and observation.observed_at is not None:
        context.note_age(observation.observed_at)
    if outcome.reason is None:
        return answer
    if not is_stored:
        return outcome.error
    registry = context.registries.by_key(observation.registry_key).name
    reason = outcome.reason

    def note(location: Location) -> None:
        path = location.as_list()
        context.stale.append(Stale(path, registry, observation.repository, observation.observed_at, reason))

    return Aged(answer, note)


def _judge(context: Context, observation: Observation, now: datetime) -> Freshness:
    return judge(observation.observed_at, now, context.demand_of(observation.registry_key))


def _outcome_of(context: Context, observation: Observation, now: datetime) -> Outcome:
    task = context.refreshes.get(observation.identity)
    if task is not None:
        outcome: Outcome = task.result()
        return outcome
    match _judge(context, observation, now):
        case Freshness.FRESH:
            return Outcome()
        case Freshness.STALE | Freshness.NOT_STORED:
            message = f"nothing is stored about {observation.subject}, and the request is only-if-cached"
            return Outcome(reason=Reason.ONLY_IF_CACHED, error=NotStoredError(message))
        case Freshness.REFRESH if context.has_wrong_input:
            message = f"nobody has looked at {observation.subject} yet, and {_WRONG}"
            return Outcome(reason=Reason.INVALID_INPUT, error=NotObservedError(message))
        case Freshness.REFRESH if context.refresher is None:
            message = f"nobody has looked at {observation.subject} yet, and this process asks no registry"
            return Outcome(reason=Reason.OFFLINE, error=NotObservedError(message))
        case Freshness.REFRESH:
            message = f"nobody has looked at {observation.subject} yet, and this request may not ask for more"
            return Outcome(reason=Reason.REFRESH_LIMIT, error=NotObservedError(message))


async def _refresh(context: Context, refresher: Refresher, observation: Observation) -> Outcome:
    patience = context.limits.refresh_timeout
    if context.deadline is not None:
        left = context.deadline - asyncio.get_running_loop().time()
        patience = min(patience, left * PATIENCE)
    try:
        async with asyncio.timeout(patience):
            await observation.refresh(refresher)
    except TimeoutError:
        message = f"nobody has looked at {observation.subject} yet, and the registry takes its time"
        return Outcome(reason=Reason.REFRESH_TIMEOUT, error=NotObservedError(message))
    except GraphError as error:
        return Outcome(reason=error.code, error=error)
    except Exception:
        logger.exception("refreshing %s failed", observation.subject)
        return Outcome(reason=INTERNAL, error=NotObservedError(INTERNAL_MESSAGE))
    return Outcome(is_refreshed=True)

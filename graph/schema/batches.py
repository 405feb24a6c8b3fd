"""Answer a field of a query once for all of its parents, level by level.

A field that needs the store is a *level function*: it takes the keys of all parents and returns their
answers, in the same order. The dispatcher of a request collects what the executor asks for and calls each
level function once for a whole level. Rules of this file:

1. A level is dispatched when nobody asks for more: not one new key in QUIET_TICKS turns of the event loop.
   The executor awaits a list of one directly and gathers a list of ten, a turn later for each nesting; so
   the fields of one level are asked for in different turns, whatever the shape of the data.
2. *All* fields of a level go together, and nothing is dispatched while answers are handed out. So a
   selection is answered by one call, and a query costs at most one call for each of its selections.
3. An answer known from an earlier level is handed out with the next one, not at once: what depends on it
   would run ahead of its level, and split the one below.
4. Answers are handed out in slices, as the executor needs about 3 µs for each field of each object and does
   not let go of the event loop while it works. A long list, and one that a turn of the loop has no more room
   for, is handed out item by item for the same reason.

Nothing here knows Strawberry, a type of the schema, or the store.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol, TypeAlias

from graph.errors import TimeLimitError

# Turns of the event loop without a new key after which a level is taken to be complete. Between two batched
# fields the executor needs one turn for each list or object it gathers; the longest such way in the schema is
# four (connection, edges, node, field), which a test checks. A turn costs some microseconds.
QUIET_TICKS = 8

# Seconds the executor may work on what one slice woke. `/healthz` has to answer within 0.25 s of it.
SLICE_SECONDS = 0.008

# Fields in the first slice of a level, before anything was measured, and in the largest one. An answer whose
# fields nobody counted counts its nodes.
FIRST_SLICE = 256
LARGEST_SLICE = 16_384

# Items of a list that the executor may be given at once: each that waits for more is a task of its own.
LONG_LIST = 100

# Fields of lists that the executor may be given in one turn of the event loop: about 20 ms of it.
TURN_FIELDS = 4_000

# Fields that take the executor as long as one item of a list that is to come: a task and two futures.
ITEM_FIELDS = 8

Key: TypeAlias = Hashable
# A value, None, or an exception that says why there is none.
Answer: TypeAlias = Any
# Where in the result the answer goes: graphql-core's linked list, its newest element first.
Location: TypeAlias = Any


# Answers one field for all parents: called with the request, the keys and the arguments of the field, it
# gives as many answers as keys, in their order. An answer that is an exception fails the field of that parent
# only; one that is raised fails all.
LevelFunction: TypeAlias = Callable[..., Awaitable[Sequence[Answer]]]


@dataclass(frozen=True, slots=True)
class Aged:
    """An answer with a remark about its age: `note` is called with each place in the result it goes to."""

    answer: Answer
    note: Callable[[Location], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one answer counts: nodes and fields of it, and further fields for each item where it is a list."""

    nodes: int = 1
    fields: int = 0
    each: int = 0


NODE = Cost()


@dataclass(slots=True)
class Batch:
    """One batched field with one set of arguments, and the parents that wait for it."""

    function: LevelFunction
    arguments: Mapping[str, Any]
    answers: dict[Key, Answer] = field(default_factory=dict)
    waiting: "dict[Key, list[_Waiter]]" = field(default_factory=dict)


@dataclass(slots=True)
class _Waiter:
    future: "asyncio.Future[Answer]"
    location: Location
    cost: Cost  # of what the answer may bring; one that is a list is counted again, by its length
    pick: Callable[[Answer], Answer] | None


class Request(Protocol):
    """What a dispatcher needs of the request it works for."""

    @property
    def deadline(self) -> float | None:
        """When the time of the request is over, on the clock of the event loop."""

    def charge(self, nodes: int, fields: int) -> None:
        """Count what is about to be read and shown; raise QueryTooCostlyError where it is too much."""


class Dispatcher:
    """The batches of one request. `ask` for an answer; `close` when the request is over."""

    def __init__(self, request: Request, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic` measures, in seconds, how long others work on the answers they were handed."""
        self._request = request
        self._monotonic = monotonic
        self._batches: dict[tuple[LevelFunction, tuple[tuple[str, Hashable], ...]], Batch] = {}
        self._pending: dict[int, Batch] = {}
        self._level: list[tuple[Batch, dict[Key, list[_Waiter]]]] = []
        self._items: deque[tuple[_Waiter, Answer]] = deque()  # of long lists, to be handed out
        self._asked = 0
        self._turn_fields = 0  # of lists that the executor was given in this turn of the loop
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    def batch_of(self, function: LevelFunction, arguments: Mapping[str, Hashable]) -> Batch:
        """The batch of these arguments; the same one however often, and by whichever fields, it is asked."""
        identity = (function, tuple(sorted(arguments.items())))
        batch = self._batches.get(identity)
        if batch is None:
            batch = self._batches[identity] = Batch(function, arguments)
        return batch

    def ask(
        self,
        batch: Batch,
        key: Key,
        location: Location,
        cost: Cost = NODE,
        pick: Callable[[Answer], Answer] | None = None,
    ) -> "asyncio.Future[Answer]":
        """A future of the batch's answer for the parent with this key, or of what `pick` takes of it.

        `cost` is what the answer counts here: fields that share a batch need not count the same. Each call
        gives a future of its own: one that is cancelled, because a sibling failed, takes nothing from other
        parents with the same key.
        """
        future = self._start()
        batch.waiting.setdefault(key, []).append(_Waiter(future, location, cost, pick))
        self._pending[id(batch)] = batch
        return future

    def portion(self, items: Sequence[Answer], each: int) -> "Sequence[Answer] | asyncio.Future[Answer]":
        """A list with `each` fields an item: as it is, or futures of its items where they are many.

        Where the executor was given as many fields in this turn as it may, it is a future of that.
        """
        if self._turn_fields < TURN_FIELDS or len(items) < 2:
            return self._spread(items, each)
        waiter = _Waiter(self._start(), None, Cost(1, each * len(items), each), None)
        self._items.append((waiter, list(items)))
        return waiter.future

    def _spread(self, items: Sequence[Answer], each: int) -> Sequence[Answer]:
        fields = each * len(items)
        if len(items) > LONG_LIST or (len(items) > 1 and self._turn_fields + fields > TURN_FIELDS):
            self._turn_fields += ITEM_FIELDS * len(items)
            return self.trickle(items, each)
        self._turn_fields += fields
        return items

    def trickle(self, items: Sequence[Answer], each: int) -> "Sequence[asyncio.Future[Answer]]":
        """Futures of the items of a list with `each` fields an item, which come little by little."""
        cost = Cost(1, each)
        waiters = [_Waiter(self._start(), None, cost, None) for _ in items]
        self._items.extend(zip(waiters, items, strict=True))
        return [waiter.future for waiter in waiters]

    def _start(self) -> "asyncio.Future[Answer]":
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # else each raise would lengthen it
        self._asked += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Stop what still runs; nobody waits for it."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        self._turn_fields = 0  # a task begins in a later turn than whoever made it
        try:
            async with asyncio.timeout_at(self._request.deadline):
                while await self._collect():
                    await self._hand_out(await self._answer_level())
                    self._level = []
        except TimeoutError:
            await self._fail(TimeLimitError("the request took longer than allowed and was stopped"))
        except Exception as error:  # a fault of ours: without this the request would wait for ever
            await self._fail(error)

    async def _collect(self) -> bool:
        """Wait until the level is complete; False when nothing was asked for."""
        quiet = 0
        while quiet < QUIET_TICKS:
            asked = self._asked
            await self._hand_out(iter(()))
            await self._let_go()
            quiet = quiet + 1 if asked == self._asked else 0
        for batch in self._pending.values():
            self._level.append((batch, batch.waiting))
            batch.waiting = {}
        self._pending = {}
        return bool(self._level)

    async def _answer_level(self) -> Iterator[tuple[_Waiter, Answer]]:
        """Those who wait in the level, each with its answer."""
        failures = await asyncio.gather(*(self._answer(batch, waiting) for batch, waiting in self._level))
        return (
            (waiter, failure or batch.answers[key])
            for (batch, waiting), failure in zip(self._level, failures, strict=True)
            for key, waiters in waiting.items()
            for waiter in waiters
        )

    async def _answer(self, batch: Batch, waiting: Mapping[Key, Sequence[_Waiter]]) -> Exception | None:
        """Learn the batch's answers; returns why none of the waiting may have one, if so."""
        costs = [waiter.cost for waiters in waiting.values() for waiter in waiters]
        try:
            self._request.charge(sum(cost.nodes for cost in costs), sum(cost.fields for cost in costs))
        except Exception as error:
            return error
        keys = [key for key in waiting if key not in batch.answers]
        if keys:
            batch.answers.update(zip(keys, await self._call(batch, keys), strict=True))
        nodes = fields = 0
        for key, waiters in waiting.items():
            length = _length_of(batch.answers[key])
            nodes += len(waiters) * length
            fields += sum(waiter.cost.each for waiter in waiters) * length
        try:
            self._request.charge(nodes, fields)
        except Exception as error:
            return error
        return None

    async def _call(self, batch: Batch, keys: Sequence[Key]) -> Sequence[Answer]:
        try:
            answers = await batch.function(self._request, keys, **batch.arguments)
            if len(answers) != len(keys):
                raise RuntimeError(f"{batch.function} gave {len(answers)} answers for {len(keys)} keys")
        except Exception as error:
            return [error] * len(keys)
        return answers

    async def _hand_out(self, answers: Iterator[tuple[_Waiter, Answer]]) -> None:
        slice_fields, began, count = float(FIRST_SLICE), self._monotonic(), 0
        for waiter, answer in chain(answers, self._take_items()):
            self._settle(waiter, answer)
            count += max(waiter.cost.nodes, waiter.cost.fields)
            if count >= slice_fields:
                # Whoever was woken runs now, and asks for what the next level is made of.
                await self._let_go()
                took = max(self._monotonic() - began, 1e-6)
                # At most double: one cheap slice says little about the next.
                growth = min(SLICE_SECONDS / took, 2.0)
                slice_fields = min(max(slice_fields * growth, 1.0), LARGEST_SLICE)
                began, count = self._monotonic(), 0

    async def _let_go(self) -> None:
        await asyncio.sleep(0)
        self._turn_fields = 0

    async def _fail(self, failure: Exception) -> None:
        """Fail whatever waits, and whatever asks from now on."""
        self._failure = failure
        self._level.extend((batch, batch.waiting) for batch in self._pending.values())
        self._pending = {}
        waiters = [waiter for _, waiting in self._level for waiters in waiting.values() for waiter in waiters]
        waiters.extend(waiter for waiter, _ in self._items)
        self._level = []
        self._items.clear()
        await self._hand_out((waiter, failure) for waiter in waiters)

    def _take_items(self) -> Iterator[tuple[_Waiter, Answer]]:
        while self._items:
            yield self._items.popleft()

    def _settle(self, waiter: _Waiter, answer: Answer) -> None:
        if waiter.future.done():  # cancelled: a sibling that must not be null failed
            return
        if isinstance(answer, Aged):
            answer.note(waiter.location)
            answer = answer.answer
        try:
            if waiter.pick is not None and not isinstance(answer, Exception):
                answer = waiter.pick(answer)
            if isinstance(answer, list):
                answer = self._spread(answer, waiter.cost.each)
        except Exception as error:
            answer = error
        if isinstance(answer, Exception):
            waiter.future.set_exception(answer)
            waiter.future.exception()  # else one nobody comes back for is "never retrieved"
        else:
            waiter.future.set_result(answer)


def _length_of(answer: Answer) -> int:
    return len(answer) if isinstance(answer, list) else 0

"""Who writes when: one thread, one transaction after the other, shared by those who wait for it together.

Rules of this file: writes begin in the order they were asked for. Neighbours that run the same function share
a transaction, up to a weight; nobody waits for company. What fails together is done again one by one, so that
none suffers for another. The thread and the event loop meet once for each transaction, not once for each
write: every meeting wakes the loop through a socket and may hand the interpreter over.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from graph.errors import StoreBusyError, StoreError
from graph.store.threads import submit, tell

A = TypeVar("A")
T = TypeVar("T")

# How much is written in one transaction that several writes share; what an item weighs, its caller says. As
# much as the largest single write of a crawl (sync's MAX_BATCH: a quarter of a second), so that sharing makes
# nobody wait longer than that does.
MAX_WEIGHT = 500


@dataclass(slots=True, eq=False)
class _Write(Generic[A, T]):
    function: Callable[[Connection, Sequence[A]], Sequence[T]]
    item: A
    weight: int
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[T]"  # set by the loop alone; cancelled when its caller is


class WriteQueue:
    """The writes that wait, and the thread that does them."""

    def __init__(self, begin: Callable[[], AbstractContextManager[Connection]]) -> None:
        """`begin` gives the one write transaction."""
        self._begin = begin
        self._thread = ThreadPoolExecutor(1, "ocigraph-write")
        self._asked: deque[_Write[Any, Any]] = deque()  # since the loop last came round
        self._waiting: deque[_Write[Any, Any]] = deque()  # put in by the loop, taken out by the thread
        self._is_closed = False

    def close(self) -> None:
        """Wait for the transaction that runs; drop what was not begun."""
        self._is_closed = True
        self._thread.shutdown(cancel_futures=True)
        for writes in (self._waiting, self._asked):
            while writes:
                _tell_of([writes.popleft()], StoreError("the store was closed"))

    async def write(
        self, function: Callable[[Connection, Sequence[A]], Sequence[T]], item: A, weight: int
    ) -> T:
        """Have the function run on the item, and on those of others who wait; return the item's result.

        Raises what the function raises for this item alone, and StoreError if the store is closed.
        """
        loop = asyncio.get_running_loop()
        write: _Write[A, T] = _Write(function, item, weight, loop, loop.create_future())
        self._asked.append(write)
        # It begins after what the loop is about to run anyway: those whose writes have just ended together,
        # and who ask for the next, would else be written one by one. The first call takes them all;
        # there is one for each because a loop may end before it: the next loop's must not wait for that.
        loop.call_soon(self._hand_over)
        return await write.answer

    def _hand_over(self) -> None:
        if not self._asked:
            return
        self._waiting.extend(self._asked)
        self._asked.clear()
        try:
            submit(self._thread, self._write_all)
        except StoreError as error:
            while self._waiting:
                _tell_of([self._waiting.popleft()], error)

    def _write_all(self) -> None:
        while not self._is_closed and self._waiting:
            self._run(self._take())

    def _take(self) -> Sequence[_Write[Any, Any]]:
        together: list[_Write[Any, Any]] = []
        weight = 0
        while self._waiting:
            write = self._waiting[0]
            if together and (
                write.function is not together[0].function
                or write.loop is not together[0].loop
                or weight + write.weight > MAX_WEIGHT
            ):
                break
            self._waiting.popleft()
            if not write.answer.cancelled():
                together.append(write)
                weight += write.weight
        return together

    def _run(self, together: Sequence[_Write[Any, Any]]) -> None:
        if not together:
            return
        try:
            with self._begin() as db:
                results = together[0].function(db, [write.item for write in together])
                assert len(results) == len(together)
        except BaseException as error:
            # A store that is busy has kept all of them waiting; others may have failed for one of them.
            if len(together) == 1 or isinstance(error, StoreBusyError):
                _tell_of(together, error)
            else:
                for write in together:
                    self._run([write])
            return
        _tell_of(together, results)


def _tell_of(writes: Sequence[_Write[Any, Any]], outcome: Sequence[Any] | BaseException) -> None:
    """Give writes of one loop their results, or the error that they share, in one turn of it."""
    tell(writes[0].loop, partial(_answer, writes, outcome))


def _answer(writes: Sequence[_Write[Any, Any]], outcome: Sequence[Any] | BaseException) -> None:
    if isinstance(outcome, BaseException):
        for write in writes:
            if not write.answer.done():  # its caller was cancelled
                write.answer.set_exception(outcome)
        return
    for write, result in zip(writes, outcome, strict=True):
        if not write.answer.done():
            write.answer.set_result(result)

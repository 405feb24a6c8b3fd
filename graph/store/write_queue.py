"""Who writes when: one thread, one transaction after the other, shared by those who wait for it together.

Rules of this file: writes begin in the order they were asked for. Neighbours that run the same function share
a transaction, up to a weight; nobody waits for company. What fails together is done again one by one, so that
none suffers for another.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from graph.errors import StoreBusyError, StoreError
from graph.store.threads import finished, submit

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
    job: "Future[T]" = field(default_factory=Future)


class WriteQueue:
    """The writes that wait, and the thread that does them."""

    def __init__(self, begin: Callable[[], AbstractContextManager[Connection]]) -> None:
        """`begin` gives the one write transaction."""
        self._begin = begin
        self._thread = ThreadPoolExecutor(1, "ocigraph-write")
        self._waiting: deque[_Write[Any, Any]] = deque()  # put in by whoever asks, taken out by the thread

    def close(self) -> None:
        """Wait for the transaction that runs; drop what was not begun."""
        self._thread.shutdown(cancel_futures=True)
        while self._waiting:
            self._waiting.popleft().job.cancel()

    async def write(
        self, function: Callable[[Connection, Sequence[A]], Sequence[T]], item: A, weight: int
    ) -> T:
        """Have the function run on the item, and on those of others who wait; return the item's result.

        Raises what the function raises for this item alone, and StoreError if the store is closed.
        """
        write = _Write(function, item, weight)
        self._waiting.append(write)
        # A turn for each write: as many as there may be transactions. A turn that finds none is over. It
        # begins after what the loop is about to run anyway: those whose writes have just ended together, and
        # who ask for the next, would else be written one by one.
        asyncio.get_running_loop().call_soon(self._begin_turn, write)
        return await finished(write.job)

    def _begin_turn(self, write: _Write[Any, Any]) -> None:
        try:
            submit(self._thread, self._take_turn)
        except StoreError:
            write.job.cancel()

    def _take_turn(self) -> None:
        together: list[_Write[Any, Any]] = []
        weight = 0
        while self._waiting:
            write = self._waiting[0]
            if together and (
                write.function is not together[0].function or weight + write.weight > MAX_WEIGHT
            ):
                break
            self._waiting.popleft()
            if write.job.set_running_or_notify_cancel():
                together.append(write)
                weight += write.weight
        if together:
            self._run(together)

    def _run(self, together: Sequence[_Write[Any, Any]]) -> None:
        try:
            with self._begin() as db:
                results = together[0].function(db, [write.item for write in together])
                assert len(results) == len(together)
        except BaseException as error:
            # A store that is busy has kept all of them waiting; others may have failed for one of them.
            if len(together) == 1 or isinstance(error, StoreBusyError):
                for write in together:
                    write.job.set_exception(error)
            else:
                for write in together:
                    self._run([write])
            return
        for write, result in zip(together, results, strict=True):
            write.job.set_result(result)

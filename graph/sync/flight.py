"""Fetch each digest once, however many ask for it at the same time; and work through a list a few at a time.

Rules of this file: asyncio only; it knows neither registries nor the store. A digest is *claimed* by
whoever fetches it, *lands* when its bytes are in hand, and is *released* when they are stored or given up.
Between the two everybody who wants it shares what landed; the store is asked only by the holder of a claim,
so that nothing falls between "not stored yet" and "no longer under way".
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from graph.oci.digest import Digest

T = TypeVar("T")


class Flights(Generic[T]):
    """The digests that are being fetched now."""

    def __init__(self) -> None:
        self._flights: dict[Digest, asyncio.Future[T | None]] = {}

    def claim(self, digest: Digest) -> bool:
        """Take it upon the caller to fetch the digest; False when somebody else has."""
        if digest in self._flights:
            return False
        self._flights[digest] = asyncio.get_running_loop().create_future()
        return True

    def land(self, digest: Digest, value: T) -> None:
        """Give the claimed digest's bytes to all who wait for it."""
        flight = self._flights[digest]
        if not flight.done():
            flight.set_result(value)

    def release(self, digests: Iterable[Digest]) -> None:
        """Let go of claims; who still waits for one is told to look for itself."""
        for digest in digests:
            flight = self._flights.pop(digest)
            if not flight.done():
                flight.set_result(None)

    async def wait(self, digest: Digest) -> T | None:
        """Return what landed for somebody else's claim; None when it was given up or is over already.

        A refusal is never shared: what one repository denies, another may give.
        """
        flight = self._flights.get(digest)
        # A waiter that is cancelled must not cancel the flight of the others.
        return None if flight is None else await asyncio.shield(flight)


async def drain(
    waiting: deque[T],
    function: Callable[[T], Awaitable[None]],
    *,
    at_once: int,
    until: Callable[[], bool] = lambda: False,
) -> None:
    """Take items off the front and call the function with each, `at_once` at a time, while `until` is false.

    What was not taken stays in `waiting`. The first exception ends the others and is raised as it is.
    """

    async def work() -> None:
        while waiting and not until():
            await function(waiting.popleft())

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(waiting))):
                group.create_task(work())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None

"""One fetch for all who want a digest, and a list worked through a few at a time."""

import asyncio
from collections import deque

import pytest

from graph.oci.digest import Digest
from graph.sync.flight import Flights, drain

pytestmark = pytest.mark.anyio

A, B = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)


async def test_one_claim_for_each_digest() -> None:
    """The first to claim a digest has it until it is released; other digests are free."""
    flights: Flights[bytes] = Flights()
    assert [True, False, True] == [flights.claim(A), flights.claim(A), flights.claim(B)]
    flights.release([A])
    assert flights.claim(A)


async def test_everybody_gets_what_landed() -> None:
    """Who waits before it lands and who comes after both get it, until it is released."""
    flights: Flights[bytes] = Flights()
    flights.claim(A)
    early = asyncio.create_task(flights.wait(A))
    await asyncio.sleep(0)
    flights.land(A, b"bytes")
    assert (b"bytes", b"bytes") == (await early, await flights.wait(A))
    flights.release([A])
    assert await flights.wait(A) is None


async def test_what_is_given_up_is_told() -> None:
    """Who waits for a claim that is given up learns that nothing came."""
    flights: Flights[bytes] = Flights()
    flights.claim(A)
    waiting = asyncio.create_task(flights.wait(A))
    await asyncio.sleep(0)
    flights.release([A])
    assert await waiting is None


async def test_who_gives_up_waiting_harms_nobody() -> None:
    """A waiter that is cancelled takes nothing from the others."""
    flights: Flights[bytes] = Flights()
    flights.claim(A)
    impatient, patient = (asyncio.create_task(flights.wait(A)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    flights.land(A, b"bytes")
    assert await patient == b"bytes"


async def test_drain_works_at_once_on_so_many() -> None:
    """Every item is taken once, in order, and never more than so many are under way."""
    under_way = most = 0
    taken: list[int] = []

    async def work(item: int) -> None:
        nonlocal under_way, most
        taken.append(item)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    waiting = deque(range(20))
    await drain(waiting, work, at_once=3)
    assert (list(range(20)), 3, 0) == (taken, most, len(waiting))


async def test_drain_stops_when_told() -> None:
    """What is not begun when `until` turns true is left where it was."""
    taken: list[int] = []

    async def work(item: int) -> None:
        taken.append(item)
        await asyncio.sleep(0)

    waiting = deque(range(20))
    await drain(waiting, work, at_once=2, until=lambda: len(taken) >= 4)
    assert ([0, 1, 2, 3], list(range(4, 20))) == (taken, list(waiting))


async def test_drain_raises_what_was_raised() -> None:
    """The first exception ends the others and comes out as it is, not in a group."""
    ended: list[int] = []

    async def work(item: int) -> None:
        if item == 1:
            raise KeyError(item)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(item)

    with pytest.raises(KeyError):
        await drain(deque(range(5)), work, at_once=5)
    assert [0, 2, 3, 4] == sorted(ended)


async def test_drain_of_nothing() -> None:
    """An empty list is no work."""
    await drain(deque[int](), lambda item: asyncio.sleep(item), at_once=5)

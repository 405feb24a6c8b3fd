"""A registry that fails again and again is left alone for a while that grows; one answer ends that."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from fakes.skipping_loop import SkippingLoop
from graph.errors import RegistryFailedError, RegistryUnknownError, RegistryUnreachableError
from graph.oci.reference import RepositoryName, TagName
from graph.registry.breaker import FIRST_PAUSE, LONGEST_PAUSE, MAX_FAILURES, Breaker, BreakerState
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

WEB, V1 = RepositoryName("team/web"), TagName("v1")
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Answers(httpx.AsyncBaseTransport):
    """Answers every request with one status; 0 is silence."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.pinged: int | None = None  # what a ping is answered with, if not the same
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        status = self.status if self.pinged is None or request.url.path != "/v2/" else self.pinged
        if not status:
            raise httpx.ConnectError("refused")
        return httpx.Response(status, stream=httpx.ByteStream(b""))


def connect(transport: Answers, clock: Clock) -> RegistryClient:
    settings = RegistrySettings(url="https://registry.example")
    return RegistryClient(settings, transport, retries=RetryPolicy(attempts=1), clock=clock)


def test_pauses_grow() -> None:
    """Each failure after that of a ping doubles the pause, up to a bound; an answer forgets them all."""
    clock = Clock()
    breaker = Breaker(clock)
    pauses = []
    for is_first in (True, *[False] * 8):
        breaker.note_failure(is_decisive=is_first)
        assert breaker.asks_again_at is not None
        pauses.append((breaker.asks_again_at - clock()).total_seconds())
        clock.advance(pauses[-1])
        assert 0 == breaker.hold()
        assert BreakerState.HALF_OPEN is breaker.state
    assert [FIRST_PAUSE * 2**n for n in range(6)] + [LONGEST_PAUSE] * 3 == pauses

    breaker.note_answer()
    assert (BreakerState.CLOSED, 0) == (breaker.state, breaker.hold())


def test_what_was_under_way_makes_it_no_longer() -> None:
    """Fifty requests that fail together are one failure: the pause is the first one."""
    clock = Clock()
    breaker = Breaker(clock)
    breaker.note_failure(is_decisive=True)
    for _ in range(49):
        breaker.note_failure()
    assert FIRST_PAUSE == breaker.hold()


def test_one_finds_out() -> None:
    """While one request is on its way to find out, no other is sent; one that was cancelled tells nothing."""
    clock = Clock()
    breaker = Breaker(clock)
    breaker.note_failure(is_decisive=True)
    assert (BreakerState.OPEN, FIRST_PAUSE) == (breaker.state, breaker.hold())
    clock.advance(FIRST_PAUSE)
    assert [0, FIRST_PAUSE] == [breaker.hold(), breaker.hold()]
    breaker.note_end()
    assert (BreakerState.OPEN, 0) == (breaker.state, breaker.hold())


@pytest.mark.parametrize(("status", "error"), [(0, RegistryUnreachableError), (500, RegistryFailedError)])
async def test_a_registry_that_fails_is_asked_no_more(status: int, error: type[Exception]) -> None:
    """After so many failures a ping, and the next fail without a request until one is let through."""
    transport, clock = Answers(status), Clock()
    async with connect(transport, clock) as client:
        for _ in range(MAX_FAILURES):
            with pytest.raises(error):
                await client.get_manifest(WEB, V1)
        for _ in range(20):
            with pytest.raises(RegistryUnreachableError, match="not asked for a while") as refused:
                await client.head_manifest(WEB, V1)
        assert MAX_FAILURES + 1 == transport.asked
        assert FIRST_PAUSE == refused.value.retry_after

        transport.status = 404
        clock.advance(FIRST_PAUSE)
        with pytest.raises(RegistryUnknownError):
            await client.get_manifest(WEB, V1)
        assert BreakerState.CLOSED is client.breaker.state
    assert MAX_FAILURES + 2 == transport.asked


async def test_a_registry_that_answers_a_ping_is_asked_on() -> None:
    """However often requests fail, it is there: each is sent, with a ping now and then between."""
    transport, clock = Answers(500), Clock()
    transport.pinged = 200
    async with connect(transport, clock) as client:
        for _ in range(10 * MAX_FAILURES):
            with pytest.raises(RegistryFailedError):
                await client.get_manifest(WEB, V1)
        assert BreakerState.CLOSED is client.breaker.state
        assert 10 * MAX_FAILURES + 1 == transport.asked
        clock.advance(FIRST_PAUSE)
        with pytest.raises(RegistryFailedError):
            await client.get_manifest(WEB, V1)
    assert 10 * MAX_FAILURES + 3 == transport.asked


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": SkippingLoop})])
async def test_refusals_are_answers() -> None:
    """A registry that denies, does not know or throttles is there; after a 429 it is waited for."""
    transport = Answers(404)
    async with connect(transport, Clock()) as client:
        for status in (404, 403, 429) * MAX_FAILURES:
            transport.status = status
            with pytest.raises(Exception, match="registry"):
                await client.get_manifest(WEB, V1)
        assert BreakerState.CLOSED is client.breaker.state
    assert 3 * MAX_FAILURES == transport.asked


async def test_a_ping_decides() -> None:
    """One ping without an answer is enough, and a ping is sent whatever was before."""
    transport, clock = Answers(0), Clock()
    async with connect(transport, clock) as client:
        with pytest.raises(RegistryUnreachableError):
            await client.ping()
        with pytest.raises(RegistryUnreachableError, match="not asked"):
            await client.get_manifest(WEB, V1)
        transport.status = 200
        await client.ping()
        assert BreakerState.CLOSED is client.breaker.state
    assert 2 == transport.asked

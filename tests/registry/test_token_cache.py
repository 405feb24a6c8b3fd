"""Tokens are kept, renewed ahead of time, and asked for once however many want one."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from graph.errors import RegistryFailedError
from graph.registry.auth import Token
from graph.registry.tokens import MAX_CACHED_TOKENS, TokenCache, TokenKey

pytestmark = pytest.mark.anyio

KEY = TokenKey("https://registry.example/token", "s", None, "repository:a:pull")


class Clock:
    """The time, as the test sets it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Issuer:
    """Issues numbered tokens of 100 seconds; waits while `gate` is closed, fails while it is broken."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.issued = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_broken = False

    async def __call__(self) -> Token:
        self.issued += 1
        number = self.issued
        await self.gate.wait()
        if self.is_broken:
            raise RegistryFailedError("no")
        now = self.clock()
        return Token(f"t{number}", now + timedelta(seconds=80), now + timedelta(seconds=100))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def issuer(clock: Clock) -> Issuer:
    return Issuer(clock)


async def values(*askers: Awaitable[Token]) -> list[str]:
    return [token.value for token in await asyncio.gather(*askers)]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_fifty_askers_one_request(clock: Clock, issuer: Issuer) -> None:
    """Whoever wants the same token at the same time waits for the same request."""
    cache = TokenCache(clock)
    assert ["t1"] * 50 == await values(*(cache.obtain(KEY, issuer) for _ in range(50)))
    assert 1 == issuer.issued


async def test_kept_until_it_expires(clock: Clock, issuer: Issuer) -> None:
    """A token serves until four fifths of its life, and not a second after its end."""
    cache = TokenCache(clock)
    await cache.obtain(KEY, issuer)
    clock.pass_(79)
    assert ["t1"] == await values(cache.obtain(KEY, issuer))
    clock.pass_(21)
    assert ["t2"] == await values(cache.obtain(KEY, issuer))


async def test_renewed_ahead(clock: Clock, issuer: Issuer) -> None:
    """While the first asker after four fifths fetches a new token, the others go on with the old one."""
    cache = TokenCache(clock)
    await cache.obtain(KEY, issuer)
    clock.pass_(80)
    issuer.gate.clear()
    first = asyncio.create_task(cache.obtain(KEY, issuer))
    await until(lambda: issuer.issued == 2)

    assert ["t1", "t1"] == await values(cache.obtain(KEY, issuer), cache.obtain(KEY, issuer))
    issuer.gate.set()
    assert ["t2", "t2"] == await values(first, cache.obtain(KEY, issuer))


async def test_failed_renewal_costs_nothing(clock: Clock, issuer: Issuer) -> None:
    """As long as the old token is valid, it makes up for a token server that is down."""
    cache = TokenCache(clock)
    await cache.obtain(KEY, issuer)
    issuer.is_broken = True
    clock.pass_(80)
    assert ["t1"] == await values(cache.obtain(KEY, issuer))
    clock.pass_(20)
    with pytest.raises(RegistryFailedError):
        await cache.obtain(KEY, issuer)


async def test_failure_is_shared_but_not_kept(clock: Clock, issuer: Issuer) -> None:
    """A failed request fails all who waited for it, and the next asker tries again."""
    cache = TokenCache(clock)
    issuer.is_broken = True
    results = await asyncio.gather(*(cache.obtain(KEY, issuer) for _ in range(3)), return_exceptions=True)
    assert [RegistryFailedError] * 3 == [type(result) for result in results]
    issuer.is_broken = False
    assert ["t2"] == await values(cache.obtain(KEY, issuer))


async def test_one_asker_gives_up(clock: Clock, issuer: Issuer) -> None:
    """A request goes on for the others when one of those who wait is cancelled."""
    cache = TokenCache(clock)
    issuer.gate.clear()
    impatient = asyncio.create_task(cache.obtain(KEY, issuer))
    patient = asyncio.create_task(cache.obtain(KEY, issuer))
    await until(lambda: issuer.issued == 1)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    issuer.gate.set()
    assert ["t1"] == await values(patient)


async def test_each_key_has_its_own(clock: Clock, issuer: Issuer) -> None:
    """Realm, service, identity and scope each make another token."""
    cache = TokenCache(clock)
    keys = [
        KEY,
        TokenKey("https://other.example/token", "s", None, KEY.scope),
        TokenKey(KEY.realm, "other", None, KEY.scope),
        TokenKey(KEY.realm, "s", "alice", KEY.scope),
        TokenKey(KEY.realm, "s", None, "repository:b:pull"),
    ]
    for key in keys * 2:
        await cache.obtain(key, issuer)
    assert len(keys) == issuer.issued


async def test_refused_token_is_forgotten(clock: Clock, issuer: Issuer) -> None:
    """A token that the registry refused is not given again, but its successor is left alone."""
    cache = TokenCache(clock)
    await cache.obtain(KEY, issuer)
    cache.discard(KEY, "Bearer other")
    assert ["t1"] == await values(cache.obtain(KEY, issuer))
    cache.discard(KEY, "Bearer t1")
    assert ["t2"] == await values(cache.obtain(KEY, issuer))
    cache.discard(KEY, "Bearer t1")
    assert ["t2"] == await values(cache.obtain(KEY, issuer))


async def test_kept_tokens_are_bounded(clock: Clock, issuer: Issuer) -> None:
    """The least recently used token goes first."""
    cache = TokenCache(clock)
    await cache.obtain(KEY, issuer)
    for number in range(MAX_CACHED_TOKENS - 1):
        await cache.obtain(TokenKey("r", None, None, str(number)), issuer)
    await cache.obtain(KEY, issuer)
    await cache.obtain(TokenKey("r", None, None, "one more"), issuer)
    before = issuer.issued
    await cache.obtain(KEY, issuer)
    assert before == issuer.issued
    await cache.obtain(TokenKey("r", None, None, "0"), issuer)
    assert before + 1 == issuer.issued


async def test_close_stops_requests(clock: Clock, issuer: Issuer) -> None:
    """Closing leaves no request behind."""
    cache = TokenCache(clock)
    issuer.gate.clear()
    asker = asyncio.create_task(cache.obtain(KEY, issuer))
    await until(lambda: issuer.issued == 1)
    await cache.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asker

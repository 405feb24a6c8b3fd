"""How a registry answers now, of all that keeps it from being asked."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from graph.errors import RegistryFailedError
from graph.registry.breaker import FIRST_PAUSE, BreakerState
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.settings import RegistrySettings
from graph.store.engine import open_store
from graph.sync.upstream import Upstream

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("wanted", "seconds"), [(1, FIRST_PAUSE), (30, 30)])
async def test_asked_again_when_nothing_keeps_it(wanted: int, seconds: float) -> None:
    """Paused by its breaker and by its own word, it is asked again when both are over."""

    def refuse(request: httpx.Request) -> httpx.Response:
        headers = {"Retry-After": str(wanted)}
        return httpx.Response(503, headers=headers, stream=httpx.ByteStream(b""))

    store = open_store(":memory:")
    async with RegistryClient(
        RegistrySettings(url="https://registry.example"),
        httpx.MockTransport(refuse),
        retries=RetryPolicy(attempts=1),
        clock=lambda: NOW,
    ) as client:
        with pytest.raises(RegistryFailedError):
            await client.ping()
        condition = Upstream(client, store, 1, lambda: NOW).condition
    store.close()

    assert BreakerState.OPEN is condition.breaker
    assert condition.asks_again_at is not None
    told = (condition.asks_again_at - NOW) / timedelta(seconds=1)
    assert seconds - 1 < told <= seconds

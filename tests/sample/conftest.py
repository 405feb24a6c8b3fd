"""Clients of others for sample registries."""

from collections.abc import AsyncIterator

import httpx
import pytest

from graph.sample import SampleRegistry
from sample.reading import Connect


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes clients of a registry, and closes them."""
    clients: list[httpx.AsyncClient] = []

    def make(registry: SampleRegistry) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(registry)
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://registry.test"))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()

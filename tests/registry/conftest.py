"""What the tests of the registry client share: settings in one line, and no waiting between attempts."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.settings import RegistrySettings

ONCE = RetryPolicy(attempts=1)


@pytest.fixture
def make_client() -> Callable[..., RegistryClient]:
    """A client of an ASGI app, or of what listens at `url`; one attempt unless `retries` says otherwise."""

    def make(
        app: Any = None,
        *,
        url: str = "https://registry.example",
        retries: RetryPolicy = ONCE,
        clock: Any = None,
        **settings: Any,
    ) -> RegistryClient:
        return RegistryClient(
            RegistrySettings(url=url, **settings),
            None if app is None else httpx.ASGITransport(app),
            retries=retries,
            **({} if clock is None else {"clock": clock}),
        )

    return make

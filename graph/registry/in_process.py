"""Reach a registry that runs in this process: the sample of the demo, the registries of tests.

It ignores time limits and holds a whole body at once, so that nothing about slowness or size can be learned
through it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import httpx

# What carries the requests of a client.
Transport: TypeAlias = httpx.AsyncBaseTransport

AsgiApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


def connect_in_process(app: AsgiApp) -> Transport:
    """A transport to an ASGI application, with no socket between."""
    return httpx.ASGITransport(app=app)

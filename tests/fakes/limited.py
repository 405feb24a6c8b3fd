"""A registry that answers so many requests a minute or an hour, or one a second; time is skipped."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from fakes.skipping_loop import EPOCH
from graph.sample import SampleRegistry

ALLOWED = 60  # a minute
LATENCY = 0.05  # seconds


class Limited(httpx.AsyncBaseTransport):
    """Refuses what is over ALLOWED in a minute; `tells` says so in headers before it has to.

    `is_silent` refuses without a word of how long. `told` is released once in each minute that is spent, when
    the client has been told that it is.
    """

    def __init__(self, app: SampleRegistry, tells: bool, *, is_silent: bool = False) -> None:
        self.answered: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self.told = asyncio.Semaphore(0)
        self.is_limited = True
        self._app = httpx.ASGITransport(app)
        self._tells = tells
        self._is_silent = is_silent
        self._answering = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self.is_limited:
            return await self._app.handle_async_request(request)
        now = asyncio.get_running_loop().time()
        minute = int(now // 60)
        if self.answered[minute] >= ALLOWED:
            return await self._refuse(minute, now)
        self.answered[minute] += 1
        remaining = ALLOWED - self.answered[minute]
        self._answering += 1
        await asyncio.sleep(LATENCY)
        response = await self._app.handle_async_request(request)
        self._answering -= 1
        if self._tells:
            response.headers["X-RateLimit-Limit"] = str(ALLOWED)
            response.headers["X-RateLimit-Remaining"] = str(remaining)
            response.headers["X-RateLimit-Reset"] = str(int(EPOCH.timestamp()) + (minute + 1) * 60)
            if self.answered[minute] == ALLOWED and self._answering == 0:
                self.told.release()
        return response

    async def _refuse(self, minute: int, now: float) -> Any:
        self.refused[minute] += 1
        is_first = self.refused[minute] == 1
        left = str(int((minute + 1) * 60 - now) + 1)
        await asyncio.sleep(LATENCY)
        if is_first:
            self.told.release()
        return refuse({} if self._is_silent else {"Retry-After": left})


class Hourly(httpx.AsyncBaseTransport):
    """Refuses what is over ALLOWED in an hour; with `pulls_only` it counts GETs of manifests alone.

    `pulls` has the paths of these that were answered.
    """

    def __init__(self, app: SampleRegistry, *, pulls_only: bool) -> None:
        self.answered: Counter[int] = Counter()
        self.pulls: list[str] = []
        self._app = httpx.ASGITransport(app)
        self._pulls_only = pulls_only

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        now = asyncio.get_running_loop().time()
        hour = int(now // 3600)
        is_pull = request.method == "GET" and "/manifests/" in request.url.path
        await asyncio.sleep(LATENCY)
        if is_pull or not self._pulls_only:
            if self.answered[hour] >= ALLOWED:
                return refuse({"Retry-After": str(int((hour + 1) * 3600 - now) + 1)})
            self.answered[hour] += 1
        self.pulls += [request.url.path] * is_pull
        return await self._app.handle_async_request(request)


class Bucket(httpx.AsyncBaseTransport):
    """Allows `burst` requests at once and one more each second: nginx, Envoy and most gateways do it so.

    With a `host` only requests there are limited; `refusal` is what is said to those that are too much.
    """

    def __init__(
        self,
        app: SampleRegistry,
        burst: int,
        *,
        host: str | None = None,
        refusal: Callable[[], httpx.Response] = lambda: refuse({"Retry-After": "1"}),
    ) -> None:
        self.answered: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self._app = httpx.ASGITransport(app)
        self._burst = burst
        self._host = host
        self._refusal = refusal
        self._left, self._filled_at = float(burst), 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._host not in (None, request.url.host):
            await asyncio.sleep(LATENCY)
            return await self._app.handle_async_request(request)
        now = asyncio.get_running_loop().time()
        self._left = min(self._burst, self._left + (now - self._filled_at) * ALLOWED / 60)
        self._filled_at = now
        is_allowed = self._left >= 1
        self._left -= is_allowed
        (self.answered if is_allowed else self.refused)[int(now // 60)] += 1
        await asyncio.sleep(LATENCY)
        return await self._app.handle_async_request(request) if is_allowed else self._refusal()


def refuse(headers: Mapping[str, str]) -> httpx.Response:
    """A 429."""
    return httpx.Response(429, headers=dict(headers), stream=httpx.ByteStream(b"slow down"))

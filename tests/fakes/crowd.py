"""Ten registries on loopback, each on a port of its own: seven as they should be, and three that are trouble.

Rules of this file: the registries are sample registries; one is down, one answers one request at a time, when
its turn comes, and one has a repository of BIG_TAGS tags. All are served by one thread. `arrived` has every
request of all of them in the order of its arrival, so that who waited for whom is a matter of counting.
"""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import uvicorn

from builders import make_image
from fakes.sync_rig import image, push
from graph.sample import SampleRegistry
from graph.sample.registry import Receive, Scope, Send

# Of each of the seven, and of the slow one.
REPOSITORIES = 4
TAGS = 5
# Each on an image of its own.
BIG_TAGS = 5_000

# What each of the seven costs (docs/requests.md): ping, catalog; lists of tags, manifests, configs; a probe.
BUDGET = 2 + REPOSITORIES * (1 + 2 * TAGS) + 1
BIG_BUDGET = 2 + 1 + 2 * BIG_TAGS + 1  # its list of tags has one page

NextTurn = Callable[[], Awaitable[object]]


class Turns:
    """Turns that another thread gives; waiting for one takes as long as it takes."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_waited_for = threading.Event()

    async def __call__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_waited_for.set()
        await self._turns.acquire()

    def give(self, count: int) -> None:
        """Let so many more requests be answered."""
        assert self._is_waited_for.wait(30)
        assert self._loop is not None
        for _ in range(count):
            self._loop.call_soon_threadsafe(self._turns.release)


class InTurn:
    """A registry that answers one request after the other, each when its turn comes."""

    def __init__(self, registry: SampleRegistry, next_turn: NextTurn) -> None:
        self.answered = 0
        self._registry = registry
        self._next_turn = next_turn
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._lock:
            await self._next_turn()
            self.answered += 1
        await self._registry(scope, receive, send)


@dataclass
class Crowd:
    """The ten by their names (host and port), and what has arrived at them."""

    quick: Sequence[str]
    down: str
    slow: str
    big: str
    slow_registry: InTurn
    arrived: list[str]

    @property
    def names(self) -> list[str]:
        """All ten, those that are trouble first."""
        return [self.down, self.slow, self.big, *self.quick]

    def requests(self) -> Counter[str]:
        """How many requests have arrived, by the registry's name."""
        return Counter(list(self.arrived))


def fill_small(registry: SampleRegistry) -> None:
    """The same content in each: what one registry has told of it must spare no other a request."""
    registry.supports_referrers = False
    for number in range(REPOSITORIES):
        for tag in range(TAGS):
            push(registry, f"team/app{number}", image(f"{number} {tag}"), f"v{tag}")


def fill_big(registry: SampleRegistry) -> None:
    """One repository, its list of tags in one page."""
    registry.supports_referrers = False
    registry.page_size = 10 * BIG_TAGS
    for number in range(BIG_TAGS):
        push(registry, "big/app", make_image(author=str(number)), f"v{number}")


def small_registry() -> SampleRegistry:
    """One of the seven."""
    registry = SampleRegistry()
    fill_small(registry)
    return registry


@contextmanager
def open_crowd(next_turn: NextTurn) -> Iterator[Crowd]:
    """Serve them, without the one that is down: its port refuses connections, and is nobody else's."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(9)]
        closed = stack.enter_context(socket.socket())
        closed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        closed.bind(("127.0.0.1", 0))
        down, slow, big, *quick = map(_name_of, [closed, *listeners])
        slow_registry, big_registry = InTurn(small_registry(), next_turn), SampleRegistry()
        fill_big(big_registry)
        crowd = Crowd(quick, down, slow, big, slow_registry, [])
        apps = {slow: slow_registry, big: big_registry, **{name: small_registry() for name in quick}}

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            host, port = scope["server"]
            name = f"{host}:{port}"
            crowd.arrived.append(name)
            await apps[name](scope, receive, send)

        stack.enter_context(served(serve, listeners))
        yield crowd


@contextmanager
def served(app: uvicorn._types.ASGI3Application, listeners: Sequence[socket.socket]) -> Iterator[None]:
    """Serve the app in a thread of its own; what is under way at the end is cut off."""
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=(list(listeners),))
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def _name_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"{host}:{port}"

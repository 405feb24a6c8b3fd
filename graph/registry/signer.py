"""How a request to a vendor's own API says who we are, where neither Basic nor a fixed token will do.

Rules of this file: what a signer says goes to the one API it was made for, on requests that follow no
redirect. It sends nothing but through the function it is given.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from graph.registry.wire import Reply, Request

Send = Callable[[Request], Awaitable[Reply]]


class Signer(Protocol):
    """Says who we are to one API of a vendor."""

    async def sign(self, request: Request, send: Send) -> Sequence[tuple[str, str]]:
        """The headers to send with this request; none for nobody. Raises RegistryError."""

    def is_worth_another(self, request: Request) -> bool:
        """Whether a request that was refused (401) may be signed better; forgets what was refused."""

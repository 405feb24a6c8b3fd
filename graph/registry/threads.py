"""A thread of one's own for what blocks: files, libraries of others, the look-up of a name.

asyncio's own threads are few, six on a machine with two processors, and all registries share them: one with
a large archive, or a name server that does not answer, would keep every other one waiting. Rules of this
file: what has begun is never interrupted; whoever is cancelled gives up the answer, not the thread.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class OwnThread:
    """Runs one function after the other. The thread is begun when it is first needed."""

    def __init__(self, name: str) -> None:
        """`name` is what the thread is called where threads are listed."""
        self._executor = ThreadPoolExecutor(1, name)

    async def run(self, function: Callable[[], T]) -> T:
        """What the function returns, or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    def close(self) -> None:
        """Begin nothing more; what has begun goes on to its end."""
        self._executor.shutdown(wait=False, cancel_futures=True)

"""Wait in an event loop for what a thread does.

Rules of this file: a job is a `concurrent.futures.Future`; the loop never blocks on one, and a thread that
has begun is never left behind: whoever is cancelled gives up the answer, not the thread.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from graph.errors import StoreError

T = TypeVar("T")


def submit(threads: ThreadPoolExecutor, function: Callable[[], T]) -> "Future[T]":
    """Have a thread run the function; raise StoreError if the threads were shut down."""
    try:
        return threads.submit(function)
    except RuntimeError as error:  # what an executor that was shut down raises
        raise StoreError("the store is closed") from error


async def finished(job: "Future[T]") -> T:
    """Wait for a job of a thread; when cancelled, take it back if it has not begun, else let it end."""
    try:
        await done(job)
    except asyncio.CancelledError:
        job.cancel()
        raise
    if job.cancelled():
        raise StoreError("the store was closed")
    return job.result()


async def done(job: "Future[Any]") -> None:
    """Wait until the job has ended, however it did."""
    # Not asyncio.wrap_future: cancelling that marks the job done while its thread still runs.
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    job.add_done_callback(lambda _: tell(loop, ended.set))
    await ended.wait()


def tell(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Have the loop call the function soon, if it still runs."""
    with suppress(RuntimeError):  # the loop has ended: nobody is left to be told
        loop.call_soon_threadsafe(function)

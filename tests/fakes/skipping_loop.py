"""An event loop on which waiting takes no time: whenever nothing is ready, its clock jumps to the next timer.

So a test can let an hour of `Retry-After` pass and then read from the clock that it did. For tests without
sockets: a loop that waits for the network would jump over the answer.
"""

import asyncio
import selectors
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class _SkippingSelector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]  # chosen at run time
    skipped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None and timeout > 0:
            self.skipped += timeout
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """`time` counts the seconds that were skipped, and nothing else."""

    def __init__(self) -> None:
        self._skipping = _SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.skipped


def loop_clock() -> datetime:
    """The time of day on a skipping loop: it begins with the year 2026."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())

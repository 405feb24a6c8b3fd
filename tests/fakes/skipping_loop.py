"""An event loop on which waiting takes no time: whenever nothing is ready, its clock jumps to the next timer.

So a test can let an hour of `Retry-After` pass and then read from the clock that it did. For tests without
sockets: a loop that waits for the network would jump over the answer.

Time may be held: then threads alone go on, and who waits for a timer waits until it is released.
"""

import asyncio
import selectors
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

# Seconds of real time in which some thread is done, while time is held: if none is, all wait for ever.
LONGEST_SILENCE = 30.0


# Seconds of real time that threads have to come back before the clock jumps: a store that writes, say.
A_WHILE = 0.001


class _SkippingSelector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]  # chosen at run time
    skipped = 0.0
    is_held = False

    def select(self, timeout: float | None = None) -> Any:
        if self.is_held and timeout is not None and timeout > 0:
            ready = super().select(LONGEST_SILENCE)
            if not ready:
                raise AssertionError("time is held, and everything waits for it to pass")
            return ready
        ready = super().select(timeout and min(timeout, A_WHILE))
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

    def hold(self) -> None:
        """Let time stand still."""
        self._skipping.is_held = True

    def release(self) -> None:
        """Let time pass again."""
        self._skipping.is_held = False


def loop_clock() -> datetime:
    """The time of day on a skipping loop: it begins with the year 2026."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())

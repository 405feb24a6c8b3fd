"""Whether a registry is asked at all: when it does not answer a ping nobody asks it, for a while that grows.

A registry that is down costs each who asks it the time until it is given up, again and again. Rules of this
file: no I/O, the clock is an argument. A *failure* is no answer, or an error of the registry's own (5xx),
after all its retries; every other answer, a refusal too, shows that it is there. Failures alone decide
nothing, however many: one repository that cannot be read has a hundred at once. They make the registry
*suspect*, and a ping decides. While the breaker is open one request in so many seconds is let through, and
its answer closes it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum

# In a row, over all that is asked of the registry, until it is suspect: more than the look at one repository
# puts up with one after the other (sync.patience), which is followed by a ping anyway.
MAX_FAILURES = 6

# Seconds until it is asked again, doubled by each further failure.
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0


class BreakerState(StrEnum):
    """Whether a registry is asked."""

    CLOSED = "CLOSED"
    """It is."""
    OPEN = "OPEN"
    """It is not: it has failed too often."""
    HALF_OPEN = "HALF_OPEN"
    """One request is on its way, to find out."""


class Breaker:
    """What is remembered of one registry's failures."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._failures = 0
        self._pause = 0.0
        self._reopens_at: datetime | None = None  # None: closed
        self._cleared_at: datetime | None = None  # when it last answered a ping
        self._is_probing = False

    @property
    def state(self) -> BreakerState:
        """Whether the registry is asked."""
        if self._reopens_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._is_probing else BreakerState.OPEN

    @property
    def asks_again_at(self) -> datetime | None:
        """From when on the next request is let through; None: at once."""
        return self._reopens_at

    @property
    def is_suspect(self) -> bool:
        """Whether a ping should find out whether it is there; it is no more for a while once one has."""
        if self._reopens_at is not None or self._failures < MAX_FAILURES:
            return False
        pause = timedelta(seconds=FIRST_PAUSE)
        return self._cleared_at is None or self._clock() - self._cleared_at >= pause

    def hold(self) -> float:
        """Seconds in which no request may be sent; 0: this one may, and has to be noted when it has ended."""
        if self._reopens_at is None:
            return 0.0
        wait = (self._reopens_at - self._clock()).total_seconds()
        if wait > 0 or self._is_probing:
            return max(wait, FIRST_PAUSE)
        self._is_probing = True
        return 0.0

    def note_answer(self, *, is_ping: bool = False) -> None:
        """Note that the registry answered; a ping clears it for a while."""
        if is_ping:
            self._cleared_at = self._clock()
        self._failures = 0
        self._pause = 0.0
        self._reopens_at = None
        self._is_probing = False

    def note_failure(self, *, is_decisive: bool = False) -> None:
        """Note that it failed; `is_decisive` where that is enough to open.

        What was under way when it opened fails too, and makes the pause no longer.
        """
        is_probe = self._is_probing
        self._failures += 1
        self._is_probing = False
        if is_decisive or is_probe:
            self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
            self._reopens_at = self._clock() + timedelta(seconds=self._pause)

    def note_end(self) -> None:
        """Note that a request ended without telling anything: it was cancelled."""
        self._is_probing = False

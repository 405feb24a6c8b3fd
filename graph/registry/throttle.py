"""When the next request may go out, after a registry has refused one because there were too many.

Rules of this file: no I/O, no clock; a moment is what the caller says, in seconds. What a registry allows is
found out as TCP finds out what a line carries: a refusal doubles the time between two requests, each answer
takes a little of it away. What was under way together is refused together, and counts once. A registry
that does not say how long to wait is asked with a single request after a wait that grows until it answers.
"""

import math

# Seconds between two requests after the first refusal.
FIRST_INTERVAL = 0.05
# By how much a refusal after an answer lengthens that, and an answer shortens it: a registry that allows one
# request a second then refuses about one in thirty.
GROWTH = 2.0
RECOVERY = 0.98
# Shorter than this it makes no difference: a crawl makes some hundred requests a second.
LEAST_INTERVAL = 0.01

# Seconds to wait after a refusal that does not say how long; doubled by each that follows without an answer.
FIRST_WAIT = 1.0


class Throttle:
    """What one registry's refusals have taught."""

    def __init__(self, wait_max: float) -> None:
        """`wait_max`: seconds that no refusal holds others back beyond, and no two requests are apart."""
        self.interval = 0.0
        """Seconds between two requests."""
        self._wait_max = wait_max
        self._resume_at = -math.inf
        self._next_at = -math.inf
        self._refused_at = -math.inf
        self._untold = FIRST_WAIT
        self._is_answered = True  # something was, since the last refusal

    def wait(self, now: float) -> float:
        """Seconds until a request may be sent; 0 or less: now."""
        return max(self._resume_at, self._next_at) - now

    def held_for(self, now: float) -> float:
        """Seconds until any request may be sent, by the last refusal."""
        return max(0.0, self._resume_at - now)

    @property
    def has_answered(self) -> bool:
        """Whether anything was answered since the last refusal."""
        return self._is_answered

    @property
    def is_searching(self) -> bool:
        """Whether nobody was answered since the last refusal, and the waits still grow."""
        return not self._is_answered and self._untold < self._wait_max

    def note_sent(self, now: float) -> None:
        """Note that a request goes out."""
        self._next_at = now + self.interval

    def note_answer(self) -> None:
        """Note that a request was answered, whatever the answer but a refusal."""
        self._is_answered = True
        self.interval *= RECOVERY
        if self.interval < LEAST_INTERVAL:
            self.interval = 0.0

    def note_refusal(self, sent_at: float, now: float, told: float | None) -> None:
        """Note that a request was refused; `told`: the seconds that the registry says to wait.

        A wait beyond the longest is left to who asked: it may be for that alone.
        """
        if told is not None and told > self._wait_max:
            return
        if sent_at >= self._refused_at:
            self._refused_at = now
            self._learn()
        wait = self._untold if told is None else told
        self._resume_at = max(self._resume_at, now + wait)

    def _learn(self) -> None:
        if self._is_answered:
            longer = max(self.interval * GROWTH, FIRST_INTERVAL)
            self.interval = min(longer, self._wait_max)
            self._untold = FIRST_WAIT
        else:
            self._untold = min(self._untold * 2, self._wait_max)
        self._is_answered = False

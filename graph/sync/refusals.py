"""Remember which questions a registry wants not to be asked for a while, so that queries do not ask in vain.

Rules of this file: pure, moments are arguments. A wait of a minute holds the whole registry back
(`registry.throttle`). A longer one may be for a namespace alone, as in `queue.py`, for a mirror behind it or
for the vendor's API: so it is remembered for such a question about that place, and others are asked.
"""

from datetime import datetime, timedelta

# Questions to one registry that are remembered; the one refused longest ago goes first.
MAX_QUESTIONS = 1_024


class Refusals:
    """The questions to one registry that were refused, and until when."""

    def __init__(self) -> None:
        self._until: dict[str, datetime] = {}

    def wait(self, question: str, now: datetime) -> float:
        """Seconds until it may be asked; 0: now."""
        until = self._until.get(question)
        return 0.0 if until is None else max(0.0, (until - now).total_seconds())

    def note(self, question: str, now: datetime, seconds: float) -> None:
        """Note that the registry wants not to be asked it for so many seconds."""
        self._until.pop(question, None)
        self._until[question] = now + timedelta(seconds=seconds)
        while len(self._until) > MAX_QUESTIONS:
            del self._until[next(iter(self._until))]

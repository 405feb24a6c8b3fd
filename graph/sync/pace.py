"""Decide how many requests a look makes between two writes: what a kill can lose.

Rules of this file: no I/O; the time comes in as seconds. A write costs little beside a request, but one for
each request would cost more than the requests. So what is not written down yet is bounded in three ways, for
all looks at a registry together:

- by number, MAX_UNSAVED requests, shared among the looks, and MAX_BATCH for each;
- by time: what comes slowly is written after about SAVE_AFTER seconds;
- after a kill, by what this process has saved itself: it begins with writes after FEWEST requests, and
  loses at most a fourth of what it has saved when it is killed too. So a process that is killed again and
  again, however soon, still comes to the end of the crawl. Likewise after a crawl that ended since the
  registry wanted fewer requests: what it will allow may be less than a batch.
"""

import math

# Tags or digests looked at between two writes of one look. Each may take three requests: a HEAD, a GET, and
# a GET of the config.
MAX_BATCH = 500
# The same for all looks at a registry together: 25 each when there are as many as a crawl makes at once.
MAX_UNSAVED = 1600
# The same for a look at the beginning, where a process before was killed. Small, so that what a killed
# process did is not lost; not one, since a write costs as much as a few requests.
FEWEST = 8
# One in so many of the requests saved since a kill may be unsaved.
SHARE_UNSAVED = 4
# Seconds of requests that may be lost.
SAVE_AFTER = 5.0


class Pace:
    """What all looks at one registry have saved, and how long that took."""

    def __init__(self) -> None:
        self._saved: int | None = None  # None: nothing was cut off before
        self._seconds_each = 0.0  # between two requests of one look, as it was lately

    def begin(self, *, is_careful: bool) -> None:
        """Begin a crawl; carefully, where an earlier one was cut off."""
        self._saved = 0 if is_careful else None

    def note(self, requests: int, seconds: float) -> None:
        """Count requests of one look, what they told being stored, and the time from first to last."""
        if requests > 0:
            self._seconds_each = seconds / requests
            if self._saved is not None:
                self._saved += requests

    def looks(self, most: int) -> int:
        """How many repositories may be looked at at once."""
        return most if self._saved is None else min(most, 1 + self._saved // (SHARE_UNSAVED * FEWEST))

    def batch(self, looks: int) -> int:
        """How many tags or digests one look of so many may ask for before it writes."""
        limits = [MAX_BATCH, MAX_UNSAVED // max(looks, 1)]
        if self._saved is not None:
            limits.append(self._saved // (SHARE_UNSAVED * max(looks, 1)))
        if self._seconds_each > 0:
            limits.append(math.ceil(min(SAVE_AFTER / self._seconds_each, MAX_BATCH)))
        return max(min(limits), FEWEST)

"""Decide how old an answer may be, whether a stored one is young enough, and when to look again.

Rules of this file: pure; the time is an argument, an age is seconds, nothing here asks or stores anything.
The words are those of RFC 9111. A request says how old is too old with `Cache-Control: max-age=N`,
`no-cache` or `only-if-cached` (5.2.1); every other directive is ignored.
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

# Characters of a header that are read; the longest useful one has about 30.
MAX_HEADER_LENGTH = 1024

# RFC 9111, 1.2.2: a recipient takes a larger number of seconds for this one.
MAX_DELTA_SECONDS = 2**31

# Seconds to wait after the first failed crawl; doubled after each further one.
FIRST_BACK_OFF = 30.0
# The longest such wait, seconds, where the interval is not longer still: a registry that comes back after a
# weekend is noticed within the hour.
LONGEST_BACK_OFF = 3600.0

_DIRECTIVE = re.compile(
    r"""(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^\s,"]*)))?""",
)


@dataclass(frozen=True, slots=True)
class CacheControl:
    """What a request's Cache-Control asks; `max_age` in seconds, None where it does not say."""

    max_age: float | None = None
    no_cache: bool = False
    only_if_cached: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """How old an answer may be, in seconds, and whether a registry may be asked for a younger one."""

    lifetime: float
    may_refresh: bool = True


class Freshness(StrEnum):
    """What to do about one answer."""

    FRESH = "FRESH"  # answer from the store
    REFRESH = "REFRESH"  # ask the registry first
    STALE = "STALE"  # answer from the store, and say that it is old
    NOT_STORED = "NOT_STORED"  # there is nothing to answer with, and nobody may be asked


def parse_cache_control(value: str | None) -> CacheControl:
    """Return what the header's value asks; several header lines are joined by commas before.

    Never fails: what cannot be read is ignored, as an unknown directive is. Of two `max-age` the smaller
    holds: no answer is older than either allowed.
    """
    max_age: float | None = None
    names = set()
    for match in _DIRECTIVE.finditer((value or "")[:MAX_HEADER_LENGTH]):
        name = match["name"].lower()
        names.add(name)
        # Both forms are read, though only the token should be sent (RFC 9111, 5.2).
        seconds = _parse_delta_seconds(match["token"] or match["quoted"] or "") if name == "max-age" else None
        if seconds is not None:
            max_age = seconds if max_age is None else min(max_age, seconds)
    return CacheControl(max_age, "no-cache" in names, "only-if-cached" in names)


def _parse_delta_seconds(text: str) -> float | None:
    if not (text.isascii() and text.isdecimal()):
        return None
    digits = text.lstrip("0") or "0"
    # The length decides first: int() refuses a number of thousands of digits.
    return float(MAX_DELTA_SECONDS if len(digits) > 10 else min(int(digits), MAX_DELTA_SECONDS))


def demand_of(asked: CacheControl, *, max_age: float, min_refresh_age: float) -> Demand:
    """Return what the request demands; `max_age` is the age allowed where it says nothing.

    Nothing younger than `min_refresh_age` seconds is too old, whatever is asked: a browser with its cache
    switched off sends `no-cache` on every request.
    """
    lifetime = max_age if asked.max_age is None else asked.max_age
    if asked.no_cache:
        lifetime = 0.0
    return Demand(max(lifetime, min_refresh_age), may_refresh=not asked.only_if_cached)


def age_of(observed_at: datetime | None, now: datetime) -> float:
    """Return the seconds since it was observed; infinite if it never was, 0 if the clock was set back."""
    if observed_at is None:
        return math.inf
    return max(0.0, (now - observed_at).total_seconds())


def judge(observed_at: datetime | None, now: datetime, demand: Demand) -> Freshness:
    """Return what to do about an answer that was observed then, or never."""
    if age_of(observed_at, now) < demand.lifetime:
        return Freshness.FRESH
    if demand.may_refresh:
        return Freshness.REFRESH
    return Freshness.NOT_STORED if observed_at is None else Freshness.STALE


def wait_before_crawl(
    finished_at: datetime | None, now: datetime, *, interval: float, failures: int, chance: float
) -> float:
    """Return the seconds until the next crawl of a registry.

    After a crawl that succeeded that is the rest of `interval`; a registry never crawled is due at once.
    After `failures` failed ones in a row the wait starts at FIRST_BACK_OFF and doubles, up to the longer of
    `interval` and LONGEST_BACK_OFF. `chance`, 0 to 1, takes up to half of it away, so that the registries
    behind one broken proxy are not all asked in the same second.
    """
    if failures == 0:
        return max(0.0, interval - age_of(finished_at, now))
    longest = max(interval, LONGEST_BACK_OFF)
    # 2 ** 30 × FIRST_BACK_OFF is a thousand years: the exponent is cut before it overflows a float.
    wait = min(FIRST_BACK_OFF * 2.0 ** min(failures - 1, 30), longest)
    return wait * (1 - chance / 2)

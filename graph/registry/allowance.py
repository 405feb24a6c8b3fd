"""How many requests a registry still lets us make, as its answers tell.

Rules of this file: no I/O, no clock. What cannot be read is as if it had not been told. What is spent is
held back before it is sent, since a request that is refused may count too. Two forms are known:

- `ratelimit-limit: 100;w=21600` with `ratelimit-remaining: 0;w=21600`, a number and the seconds it is for:
  Docker Hub's pulls, of which only a GET of a manifest is one and a HEAD is none (docker/docs,
  docker-hub/usage/pulls.md). There is no word of when it is filled up again.
- `X-RateLimit-Limit`, `-Remaining`, `-Reset`, the last a unix timestamp: Docker Hub's own API, GitHub and
  GitLab (the latter without `X-`); every request counts.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import httpx

from graph.registry.times import parse_epoch

# Seconds for which a registry can make us hold back by saying that nothing remains; GitHub's window.
MAX_HOLD = 3600.0

# What is a moment and not a number of seconds: 2001 in unix time, and thirty years as a wait.
_FIRST_TIMESTAMP = 1_000_000_000
# Digits of a number that is read.
_MAX_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a registry said last of how many requests it still answers."""

    remaining: int
    observed_at: datetime
    limit: int | None = None
    window: float | None = None
    """Seconds that the limit is for."""
    resets_at: datetime | None = None
    counts_pulls_only: bool = False
    """Only a GET of a manifest counts."""

    def after(self, before: "Allowance | None") -> "Allowance":
        """What to go by now that this was read after `before`: answers overtake each other.

        Within one window less is left, never more; and one that is over says nothing of the next.
        """
        if before is None or before.resets_at is None or self.resets_at is None:
            return self
        if self.resets_at < before.resets_at and self.resets_at <= self.observed_at:
            return before
        if self.resets_at == before.resets_at:
            return replace(self, remaining=min(self.remaining, before.remaining))
        return self

    def hold_until(self) -> datetime | None:
        """When the next request that counts may go out; None: now."""
        if self.remaining > 0:
            return None
        latest = self.observed_at + timedelta(seconds=MAX_HOLD)
        if self.resets_at is not None:
            return min(self.resets_at, latest)
        if self.window is not None and self.limit:
            # Nobody says when; on average one more is allowed after this long.
            return min(self.observed_at + timedelta(seconds=self.window / self.limit), latest)
        return None


def read_allowance(headers: httpx.Headers, now: datetime) -> Allowance | None:
    """What an answer says of it; None where it says nothing."""
    for prefix in ("x-ratelimit", "ratelimit"):
        remaining, window = _read_number(headers.get(f"{prefix}-remaining"))
        if remaining is None:
            continue
        limit, _ = _read_number(headers.get(f"{prefix}-limit"))
        reset, _ = _read_number(headers.get(f"{prefix}-reset"))
        return Allowance(
            remaining,
            now,
            limit,
            None if window is None else float(window),
            None if reset is None else read_moment(reset, now),
            counts_pulls_only=window is not None,
        )
    return None


def read_moment(value: int, now: datetime) -> datetime:
    """The moment that a number means: a unix timestamp, or so many seconds from now."""
    moment = parse_epoch(value) if value >= _FIRST_TIMESTAMP else None
    return moment or now + timedelta(seconds=min(value, _FIRST_TIMESTAMP))


def _read_number(text: str | None) -> tuple[int | None, int | None]:
    """The number, and the seconds it is for where `;w=` tells them."""
    number, _, parameter = (text or "").partition(";")
    name, _, window = parameter.partition("=")
    return _parse(number), _parse(window) if name.strip() == "w" else None


def _parse(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None

"""The times that vendors' APIs tell, read.

Rules of this file: a time that cannot be read is None, never an error: it is told beside what matters.
"""

from datetime import UTC, datetime
from typing import Any

# Longest text taken for a time. ACR writes seven digits of a second, Docker Hub nanoseconds.
_MAX_LENGTH = 40


def parse_time(value: Any) -> datetime | None:
    """The moment that an RFC 3339 text names, in UTC; without an offset it is taken as UTC."""
    if not isinstance(value, str) or len(value) > _MAX_LENGTH:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_epoch(value: Any, *, per_second: int = 1) -> datetime | None:
    """The moment so many parts of a second after 1970; Google writes texts, Amazon fractions."""
    try:
        return datetime.fromtimestamp(float(value) / per_second, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None

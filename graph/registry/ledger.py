"""Count what was sent to a registry, by kind, so that budgets of requests can be held."""

from collections import Counter
from enum import StrEnum


class RequestKind(StrEnum):
    """What a request was for."""

    PING = "PING"
    CATALOG = "CATALOG"
    TAGS = "TAGS"
    MANIFESTS = "MANIFESTS"
    MANIFEST_HEAD = "MANIFEST_HEAD"
    MANIFEST_GET = "MANIFEST_GET"
    CONFIG = "CONFIG"
    REFERRERS = "REFERRERS"
    VENDOR = "VENDOR"  # a single document of a vendor's own API
    TOKEN = "TOKEN"
    REDIRECT = "REDIRECT"


class Ledger:
    """Every request that left, answered or not; a retry counts again, and so does each hop of a redirect."""

    def __init__(self) -> None:
        self._counts: Counter[RequestKind] = Counter()

    def __repr__(self) -> str:
        return "Ledger({})".format(", ".join(f"{kind}={count}" for kind, count in self._counts.items()))

    @property
    def total(self) -> int:
        """Requests of every kind."""
        return self._counts.total()

    def count(self, kind: RequestKind) -> int:
        """Requests of one kind."""
        return self._counts[kind]

    def add(self, kind: RequestKind) -> None:
        """Record one request, at the moment it is sent."""
        self._counts[kind] += 1

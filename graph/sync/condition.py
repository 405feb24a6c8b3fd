"""What a registry lets us do now: whether it is asked, and how many requests it still answers.

Rules of this file: values of the moment, of this process alone. They are kept nowhere: after a restart they
are found out anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from graph.registry.allowance import Allowance
from graph.registry.breaker import BreakerState

__all__ = ["Allowance", "BreakerState", "Condition"]


@dataclass(frozen=True, slots=True)
class Condition:
    """How a registry answers; `allowances` are what its hosts said last, each with the host's origin."""

    breaker: BreakerState
    asks_again_at: datetime | None
    """Where it is asked nothing now, by the breaker or since it wants nothing more: until when."""
    allowances: Sequence[tuple[str, Allowance]]

"""What a computed figure stands on: beside every figure, so that nobody takes a bound for the truth.

Rules of this file: the type alone. What a basis says is worked out in `store.bases`.
"""

from datetime import datetime

import strawberry

from graph.schema.enums import Completeness, Scope


@strawberry.type(
    description="What figures stand on: which artifacts they count, and how well those are known."
)
class Basis:
    """What figures stand on."""

    scope: Scope = strawberry.field(description="Which artifacts are counted.")
    completeness: Completeness = strawberry.field(
        description="How much of what is there can have been seen; the weakest of all repositories counts."
    )
    oldest_observed_at: datetime | None = strawberry.field(
        description="The oldest look at a repository among those that count. Null: there was none."
    )
    exclusive_is_upper_bound: bool = strawberry.field(
        description="Whether bytes called exclusive may be fewer in truth: artifacts may exist that nobody "
        "can list and that use them too."
    )
    counts_are_lower_bound: bool = strawberry.field(
        description="Whether counts may be larger in truth: not every repository has been read yet."
    )

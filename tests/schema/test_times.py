"""Times as input: whatever RFC 3339 allows, and the moment it names."""

from datetime import UTC, datetime

import pytest

from requests_to_graph import graph_of
from store_builders import StoreBuilder

pytestmark = pytest.mark.anyio

NOON = "2024-05-01T12:00:00"


def store_of_one(created_at: datetime) -> StoreBuilder:
    """One image that was made then."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    repository = builder.repository(registry, "one", observed_at=created_at)
    builder.artifact(repository, builder.manifest(registry), created_at=created_at)
    return builder


@pytest.mark.parametrize(
    "text",
    [
        f"{NOON}Z",
        f"{NOON}z",
        "2024-05-01t12:00:00z",
        f"{NOON}.000Z",
        f"{NOON}-00:00",
        "2024-05-01T14:30:00+02:30",
    ],
)
async def test_moment_of_a_time(text: str) -> None:
    """It is this moment in every spelling: since then there is an image, and before then there is none."""
    query = "query ($t: DateTime) { registry { since: artifacts(filter: {createdSince: $t}) { totalCount } "
    query += "before: artifacts(filter: {createdBefore: $t}) { totalCount } } }"
    async with graph_of(store_of_one(datetime(2024, 5, 1, 12, tzinfo=UTC))) as graph:
        registry = (await graph.data(query, {"t": text}))["registry"]

    assert (1, 0) == (registry["since"]["totalCount"], registry["before"]["totalCount"])

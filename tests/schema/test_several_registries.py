"""Sets over two registries that hold the very same layers: nothing is shared between them (concept C2)."""

from typing import Any

import pytest

from requests_to_graph import graph_of
from store_builders import NOW, StoreBuilder

pytestmark = pytest.mark.anyio

MANIFEST = 2  # bytes of every manifest that the builder makes
BASE, TOP = 1000, 30

STORAGE = """query Storage($names: [String!]) {
  storage(repositories: $names) {
    layerCount storedBytes exclusiveBytes sharedBytes basis { spansRegistries }
  }
}"""
OVERLAP = """query Overlap($names: [String!]) {
  overlap(repositories: $names) { layerCounts overlapBytes basis { spansRegistries } }
}"""


def mirrored_store() -> StoreBuilder:
    """`web` and `api` in one.test have the same two layers, and so has `web` in two.test."""
    build = StoreBuilder()
    digests: list[str] = []
    for name, repositories in (("one.test", ("web", "api")), ("two.test", ("web",))):
        registry = build.registry(name, catalog_observed_at=NOW)
        layers = [build.layer(registry, size) for size in (BASE, TOP)]
        digests = digests or [build.row("blob", layer)["digest"] for layer in layers]
        for layer, digest in zip(layers, digests, strict=True):
            build.row("blob", layer)["digest"] = digest
        for repository in repositories:
            home = build.repository(
                registry, repository, observed_at=NOW, crawled_at=NOW, completeness="COMPLETE"
            )
            build.tag(home, "v1", build.image(home, layers))
    return build


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        # In one registry the second repository adds its manifest alone.
        (["web", "api"], (2, BASE + TOP + 2 * MANIFEST, BASE + TOP + 2 * MANIFEST, False)),
        # Another registry keeps the layers again, and what `api` shares with `web` stays when that goes.
        (["web", "two.test/web"], (4, 2 * (BASE + TOP + MANIFEST), BASE + TOP + 2 * MANIFEST, True)),
        (["two.test/web"], (2, BASE + TOP + MANIFEST, BASE + TOP + MANIFEST, False)),
    ],
)
async def test_storage_over_registries(names: list[str], expected: tuple[Any, ...]) -> None:
    """The sums of two registries add, layers of the same digest too, and the basis says so."""
    layers, stored, exclusive, spans = expected
    async with graph_of(mirrored_store()) as graph:
        data = await graph.data(STORAGE, {"names": names})

    assert {
        "layerCount": layers,
        "storedBytes": stored,
        "exclusiveBytes": exclusive,
        "sharedBytes": stored - exclusive,
        "basis": {"spansRegistries": spans},
    } == data["storage"]


@pytest.mark.parametrize(
    ("names", "common", "spans"), [(["web", "api"], 2, False), (["web", "two.test/web"], 0, True)]
)
async def test_overlap_over_registries(names: list[str], common: int, spans: bool) -> None:
    """Repositories with the same layers overlap in one registry, and not at all in two."""
    shared = BASE + TOP if common else 0
    async with graph_of(mirrored_store()) as graph:
        data = await graph.data(OVERLAP, {"names": names})

    assert {
        "layerCounts": [[2, common], [common, 2]],
        "overlapBytes": [[BASE + TOP, shared], [shared, BASE + TOP]],
        "basis": {"spansRegistries": spans},
    } == data["overlap"]

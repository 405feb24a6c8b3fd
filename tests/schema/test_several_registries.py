"""Sets over two registries that hold the very same layers: nothing is shared between them (concept C2)."""

from typing import Any

import pytest

from graph.schema.context import Registries
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


COPIES = """query Copies($size: Int!, $after: String) {
  artifact(reference: "one.test/web:v1") {
    digest
    copies(first: $size, after: $after) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes { digest reference repository { registry { name } } }
    }
  }
}"""


def copied_store() -> StoreBuilder:
    """One image in `web` and `copy` of one.test, and in two.test and gone.test; `was` holds it no more."""
    build = StoreBuilder()
    digest = None
    for name, repositories in (
        ("one.test", ("web", "copy", "was")),
        ("two.test", ("web",)),
        ("gone.test", ("web",)),
    ):
        registry = build.registry(name, catalog_observed_at=NOW)
        manifest = build.manifest(registry, [build.layer(registry, BASE)])
        digest = digest or build.row("blob", manifest)["digest"]
        build.row("blob", manifest)["digest"] = digest
        for repository in repositories:
            home = build.repository(registry, repository, observed_at=NOW, crawled_at=NOW)
            if repository == "was":
                build.artifact(home, manifest, absent_at=NOW)
            else:
                build.tag(home, "v1", build.artifact(home, manifest))
        build.tag(home, "other", build.image(home, [build.layer(registry, TOP)]))
    return build


def places(connection: Any) -> list[tuple[str, str]]:
    return [
        (node["repository"]["registry"]["name"], node["reference"].split("@")[0])
        for node in connection["nodes"]
    ]


async def test_copies_are_found_in_every_registry() -> None:
    """The same digest elsewhere: not here, not what is gone, not what no setting names any more."""
    async with graph_of(copied_store()) as graph:
        graph.registries = Registries(graph.registries.rows[:2], graph.registries.catalog_observed_at)
        found = (await graph.data(COPIES, {"size": 10}))["artifact"]
        statements = len(graph.statements)
        first = (await graph.data(COPIES, {"size": 1}))["artifact"]["copies"]
        after = first["pageInfo"]["endCursor"]
        second = (await graph.data(COPIES, {"size": 1, "after": after}))["artifact"]["copies"]

    expected = [("one.test", "one.test/copy"), ("two.test", "two.test/web")]
    assert expected == places(found["copies"])
    assert {found["digest"]} == {node["digest"] for node in found["copies"]["nodes"]}
    assert 2 == found["copies"]["totalCount"]
    assert expected == places(first) + places(second)
    assert (True, False) == (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"])
    # The address, the copies, their number, and where they are.
    assert 4 == statements


async def test_copies_of_many_cost_one_statement() -> None:
    """However many artifacts are asked about."""
    query = "{ registries { artifacts { nodes { copies { nodes { digest } } } } } }"
    async with graph_of(copied_store()) as graph:
        data = await graph.data(query)
        statements = len(graph.statements)

    counts = [
        sorted(len(node["copies"]["nodes"]) for node in registry["artifacts"]["nodes"])
        for registry in data["registries"]
    ]
    assert [[0, 3, 3], [0, 3], [0, 3]] == counts
    assert 2 == statements

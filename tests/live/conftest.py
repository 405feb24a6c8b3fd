"""Registries of others, filled, with an ocigraph server over each; see rigs.py for what is skipped when."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from live.census import Census, list_repositories, take_census
from live.client import Graph
from live.rigs import crane_registry, distribution_registry, docker_registry, ocigraph, referrers_registry
from live.seeding import Builder, Seeded, seed

RIGS = {
    "docker-registry": docker_registry,
    "distribution": distribution_registry,
    "crane": crane_registry,
    "go-containerregistry": referrers_registry,
}
# The others answer 404, as most registries in use do.
WITH_REFERRERS = "go-containerregistry"


@dataclass(frozen=True, slots=True)
class LiveRegistry:
    """A running registry, what was put into it and what skopeo says it holds."""

    url: str
    has_referrers: bool
    seeded: Seeded
    census: Census

    @property
    def name(self) -> str:
        """Its name in the graph: host and port."""
        return self.url.removeprefix("http://")


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Every image, built once for all registries."""
    builder = Builder(tmp_path_factory.mktemp("buildah"))
    builder.build_all()
    return builder


@pytest.fixture(scope="session", params=list(RIGS))
def registry(
    request: pytest.FixtureRequest, builder: Builder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveRegistry]:
    """Each registry in turn, filled; nothing changes in it afterwards."""
    has_referrers = request.param == WITH_REFERRERS
    with RIGS[request.param](tmp_path_factory.mktemp(request.param)) as url:
        seeded = seed(url, builder, has_referrers=has_referrers)
        yield LiveRegistry(url, has_referrers, seeded, take_census(url, list_repositories(url), seeded.kinds))


@pytest.fixture(scope="session")
def graph(registry: LiveRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """A server that has crawled the registry once."""
    store = tmp_path_factory.mktemp("store") / "store.db"
    with ocigraph(registry.url, store) as (url, _):
        graph = Graph(url)
        graph.wait_for_crawl()
        yield graph

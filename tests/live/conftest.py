"""Registries of others, filled, with an ocigraph server over each; see rigs.py for what is skipped when."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from live.census import Census, list_repositories, take_census
from live.client import Graph
from live.holdings import write_settings
from live.rigs import (
    ZUUL_WRITER,
    crane_registry,
    distribution_registry,
    docker_registry,
    ocigraph,
    referrers_registry,
    zuul_registry,
)
from live.seeding import ANYBODY, REPOSITORIES, Builder, Seeded, log_in, seed

RIGS = {
    "docker-registry": docker_registry,
    "distribution": distribution_registry,
    "crane": crane_registry,
    "go-containerregistry": referrers_registry,
    "zuul-registry": zuul_registry,
}
# The others answer 404, as most registries in use do.
WITH_REFERRERS = "go-containerregistry"
# It lists no repositories, so they are named, and only a writer may write.
WITHOUT_CATALOG = "zuul-registry"


@dataclass(frozen=True, slots=True)
class LiveRegistry:
    """A running registry, what was put into it and what skopeo says it holds."""

    url: str
    has_catalog: bool
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
    has_referrers, has_catalog = request.param == WITH_REFERRERS, request.param != WITHOUT_CATALOG
    with RIGS[request.param](tmp_path_factory.mktemp(request.param)) as url:
        writer = ANYBODY if has_catalog else log_in(url, ZUUL_WRITER)
        seeded = seed(url, builder, has_referrers=has_referrers, writer=writer)
        repositories = list_repositories(url) if has_catalog else REPOSITORIES
        census = take_census(url, repositories, seeded.kinds)
        yield LiveRegistry(url, has_catalog, has_referrers, seeded, census)


@pytest.fixture(scope="session")
def graph(registry: LiveRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """A server that has crawled the registry once."""
    directory = tmp_path_factory.mktemp("store")
    place: str | Path = registry.url
    if not registry.has_catalog:
        entry = {"url": registry.url, "include": list(REPOSITORIES)}
        place = write_settings(directory / "settings.toml", entry)
    with ocigraph(place, directory / "store.db") as (url, _):
        graph = Graph(url)
        graph.wait_for_crawl()
        yield graph

"""Through a pull-through cache (distribution's `proxy`) every question about a repository is answered right.

Its catalog is of the cache alone: what somebody had it fetch, and has not been evicted since.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from live.client import Graph
from live.holdings import ALL, HELD, fill, known
from live.rigs import docker_registry, get, ocigraph
from live.seeding import put_manifest

pytestmark = pytest.mark.live

TAGS = """query ($name: String!) { repository(name: $name) {
    tags(first: 100) { nodes { name artifact { digest } } } } }"""
REPOSITORIES = "{ registry { repositories(first: 100) { nodes { name } } } }"


@dataclass(frozen=True, slots=True)
class Cache:
    """A cache, what it is of, and a server over it that was asked about every repository by name.

    `before` and `then` are the repositories that were known before, and the tags that were told. `part` stops
    the registry that it is a cache of.
    """

    upstream: str
    part: Callable[[], None]
    url: str
    directory: Path
    graph: Graph
    before: list[str]
    then: dict[str, dict[str, str]]

    def catalog(self) -> list[str]:
        """What the cache says that it has."""
        listed: list[str] = json.loads(get(f"{self.url}/v2/_catalog") or b"")["repositories"]
        return listed


def tags_of(graph: Graph, name: str, **headers: str) -> dict[str, str]:
    """Tag → digest, as the server tells it of one repository."""
    nodes = graph.ask(TAGS, {"name": name}, headers)["repository"]["tags"]["nodes"]
    return {tag["name"]: tag["artifact"]["digest"] for tag in nodes}


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cache]:
    """A cache that nobody used before us."""
    full, empty, store = (tmp_path_factory.mktemp(name) for name in ("upstream", "cache", "store"))
    fill(full)
    with ExitStack() as behind:
        upstream = behind.enter_context(docker_registry(full))
        with (
            docker_registry(empty, proxy={"remoteurl": upstream}) as url,
            ocigraph(url, store / "store.db", "--sync-interval", "0.3", MIN_REFRESH_AGE="0") as (server, _),
        ):
            graph = Graph(server)
            graph.wait_for_crawl()
            before = [node["name"] for node in graph.ask(REPOSITORIES)["registry"]["repositories"]["nodes"]]
            then = {name: tags_of(graph, name) for name in HELD}
            yield Cache(upstream, behind.close, url, empty, graph, before, then)


def test_question_reaches_upstream(cache: Cache) -> None:
    """A fresh cache lists nothing, yet who asks by name is told all, which every crawl reads from then on."""
    assert [] == cache.before
    assert ALL[0] == cache.then
    cache.graph.wait_for_whole_crawl()
    assert ALL == known(cache.graph)
    assert sorted(HELD) == sorted(cache.catalog())


def test_changes(cache: Cache) -> None:
    """A tag moved upstream is seen by who wants it fresh; what the cache evicts is not taken for deleted."""
    built = HELD["team/api"]["1"]
    put_manifest(cache.upstream, "team/api", built, "latest")
    assert {**ALL[0]["team/api"], "latest": built.digest} == tags_of(
        cache.graph, "team/api", **{"Cache-Control": "no-cache"}
    )

    cache.graph.wait_for_whole_crawl()
    repositories = cache.directory / "docker-registry" / "docker" / "registry" / "v2" / "repositories"
    shutil.rmtree(repositories / "team" / "web")
    assert "team/web" not in cache.catalog()
    cache.graph.wait_for_whole_crawl()
    assert sorted(HELD) == sorted(known(cache.graph)[0])
    assert ALL[0]["team/web"] == known(cache.graph)[0]["team/web"]


def test_upstream_is_away(cache: Cache) -> None:
    """While the registry behind it is away, what the cache has is known, and nothing is taken for deleted."""
    cache.graph.wait_for_whole_crawl()
    cache.part()
    cache.graph.wait_for_whole_crawl()
    assert ALL == known(cache.graph)
    assert ALL[0]["team/api"] == tags_of(cache.graph, "team/api", **{"Cache-Control": "no-cache"})

"""What happens in a registry of others while ocigraph watches: pushes, moved tags, deletions, and a kill."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from builders import Built, make_image, make_layer
from live.client import Graph
from live.conftest import RIGS
from live.holdings import write_settings
from live.rigs import kill, ocigraph, wait_until
from live.seeding import push, request

pytestmark = pytest.mark.live

# Seconds between crawls: as short as makes no difference to a registry of two images.
INTERVAL = "0.3"

ARTIFACTS = """query ($name: String!) { repository(name: $name) { artifacts(first: 100) { nodes {
    digest untagged absentAt tags(first: 10) { nodes { name } } } } } }"""

TAG = """query ($name: String!, $tag: String!) { repository(name: $name) {
    tag(name: $tag) { artifact { digest } changedAt } } }"""

LAYER = """query ($digests: [Digest!]!) { layers(digests: $digests) {
    artifactCount repositories(first: 10) { nodes { name } } } }"""

CRAWL = "{ registry { sync { startedAt lastFinishedAt } artifacts(first: 1) { totalCount } } }"

# In the registry whose crawl is killed: several times as many as are looked at at once.
REPOSITORIES = 200


@pytest.fixture(params=["docker-registry", "crane"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Each registry, empty, to be changed at will."""
    rig: Callable[[Path], AbstractContextManager[str]] = RIGS[request.param]
    with rig(tmp_path) as url:
        yield url


def make_app(build: str) -> Built:
    """An image of two layers, the second of which is this build's."""
    return make_image([make_layer("base"), make_layer(build)])


def layer_of(built: Built) -> str:
    """The digest of the layer that is this build's own."""
    digest: str = built.document["layers"][-1]["digest"]
    return digest


def known(graph: Graph) -> dict[str, tuple[str | None, bool, list[str]]]:
    """Digest → why it is untagged, whether it is absent, its tags."""
    repository = graph.ask(ARTIFACTS, {"name": "app"})["repository"]
    return {
        node["digest"]: (
            node["untagged"],
            node["absentAt"] is not None,
            sorted(tag["name"] for tag in node["tags"]["nodes"]),
        )
        for node in repository["artifacts"]["nodes"]
    }


def test_moved_tag_leaves_the_old_artifact_untagged(url: str, tmp_path: Path) -> None:
    """C7, C8: new content under a tag leaves the old one dangling, with its layers, until it is deleted."""
    old, new = make_app("first"), make_app("second")
    push(url, "app", old, "v1")
    with ocigraph(url, tmp_path / "store.db", "--sync-interval", INTERVAL) as (server, _):
        graph = Graph(server)
        graph.wait_for_crawl()
        assert {old.digest: (None, False, ["v1"])} == known(graph)
        before = graph.ask(TAG, {"name": "app", "tag": "v1"})["repository"]["tag"]

        push(url, "app", new, "v1", "latest")
        graph.wait_for_whole_crawl()
        assert {
            old.digest: ("DANGLING", False, []),
            new.digest: (None, False, ["latest", "v1"]),
        } == known(graph)
        after = graph.ask(TAG, {"name": "app", "tag": "v1"})["repository"]["tag"]
        assert new.digest == after["artifact"]["digest"]
        assert before["changedAt"] != after["changedAt"]
        layers = graph.ask(LAYER, {"digests": [layer_of(old)]})["layers"]
        assert layers == [{"artifactCount": 1, "repositories": {"nodes": [{"name": "app"}]}}]

        request(f"{url}/v2/app/manifests/{old.digest}", "DELETE")
        graph.wait_for_whole_crawl()
        assert {new.digest: (None, False, ["latest", "v1"])} == {
            digest: found for digest, found in known(graph).items() if not found[1]
        }
        layers = graph.ask(LAYER, {"digests": [layer_of(old)]})["layers"]
        assert layers in ([None], [{"artifactCount": 0, "repositories": {"nodes": []}}])


def test_no_cache_sees_a_push_at_once(url: str, tmp_path: Path) -> None:
    """Without a crawl in between, `Cache-Control: no-cache` shows a tag that was pushed a moment ago."""
    old, new = make_app("first"), make_app("second")
    push(url, "app", old, "v1")
    with ocigraph(url, tmp_path / "store.db", MIN_REFRESH_AGE="0") as (server, _):
        graph = Graph(server)
        finished = graph.wait_for_crawl()
        push(url, "app", new, "v1")
        variables = {"name": "app", "tag": "v1"}
        cached = graph.ask(TAG, variables)["repository"]["tag"]
        assert old.digest == cached["artifact"]["digest"]
        fresh = graph.ask(TAG, variables, {"Cache-Control": "no-cache"})["repository"]["tag"]
        assert new.digest == fresh["artifact"]["digest"]
        assert finished == graph.wait_for_crawl()


def test_killed_crawl_goes_on(url: str, tmp_path: Path) -> None:
    """`kill -9` in the first crawl, twice: the next start goes on with it, and in the end all is known."""
    pushed = {}
    for n in range(REPOSITORIES):
        name = f"team{n % 4}/app{n}"
        pushed[name] = push(url, name, make_app(f"build {n}"), "v1")
    store = tmp_path / "store.db"
    # One request at a time, so that a crawl is not over before anybody has looked at it.
    slow = write_settings(tmp_path / "slow.toml", {"url": url, "concurrency": 1})
    killed = []
    for at_least in (1, REPOSITORIES // 2):
        with ocigraph(slow, store) as (server, running):
            sync = wait_until("a part of the crawl", partial(read_crawl, Graph(server), at_least))
            kill(running)
        killed.append(sync)
    assert [None, None] == [sync["lastFinishedAt"] for sync in killed]
    with ocigraph(url, store) as (server, _):
        graph = Graph(server)
        graph.wait_for_crawl()
        finished = read_crawl(graph, at_least=REPOSITORIES)
        assert finished is not None
        assert killed[0]["startedAt"] == finished["startedAt"]
        for name, digest in pushed.items():
            found = graph.ask(TAG, {"name": name, "tag": "v1"})["repository"]["tag"]
            assert digest == found["artifact"]["digest"]
        shared = graph.ask(LAYER, {"digests": [layer_of(make_app("build 0")), make_layer("base").digest]})
        assert [1, REPOSITORIES] == [layer["artifactCount"] for layer in shared["layers"]]


def read_crawl(graph: Graph, at_least: int) -> dict[str, Any] | None:
    """How the crawl stands, once so many artifacts are known; before the first is, there may be no list."""
    answer = graph.answer(CRAWL)
    assert {"NOT_OBSERVED"} >= {error["extensions"]["code"] for error in answer.get("errors", ())}
    registry = answer["data"]["registry"]
    sync: dict[str, Any] = registry["sync"]
    artifacts = registry["artifacts"]
    return sync if artifacts is not None and artifacts["totalCount"] >= at_least else None

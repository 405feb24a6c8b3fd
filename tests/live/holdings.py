"""What the registries hold that are reached in special ways: little, with a layer that repositories share.

It is put into the directory of a `docker-registry` before that one is told whom to let in, so that nothing of
ours has to get past a guard to fill it.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from builders import make_image, make_index, make_layer
from graph.app import answer, crawl
from graph.settings import load_settings
from graph.sync.report import CrawlReport
from live.client import Graph
from live.rigs import docker_registry
from live.seeding import push

BASE = make_layer("base", padding=2_000)
IMAGES = {name: make_image([BASE, make_layer(name)]) for name in ("os", "web", "api", "new api")}
HELD = {
    "base/os": {"1": IMAGES["os"]},
    "team/api": {"1": IMAGES["api"], "2": IMAGES["new api"], "latest": IMAGES["new api"]},
    "team/web": {"1": IMAGES["web"], "index": make_index([IMAGES["web"]])},
}

# Repository → tag → digest, and in how many artifacts and repositories the base is.
Known: TypeAlias = tuple[Mapping[str, Mapping[str, str]], tuple[int, int]]
ALL: Known = (
    {name: {tag: built.digest for tag, built in tags.items()} for name, tags in HELD.items()},
    (4, 3),
)

QUERY = f"""{{ registry {{ repositories(first: 100) {{ nodes {{
    name tags(first: 100) {{ nodes {{ name artifact {{ digest }} }} }} }} }} }}
    layers(digests: ["{BASE.digest}"]) {{ artifactCount repositoryCount }} }}"""


def fill(directory: Path) -> None:
    """Put everything into the `docker-registry` of this directory, which must not be running."""
    with docker_registry(directory) as url:
        for repository, tags in HELD.items():
            for tag, built in tags.items():
                push(url, repository, built, tag)


def known(graph: Graph) -> Known:
    """What the server knows, once it has crawled."""
    graph.wait_for_crawl()
    return _read(graph.ask(QUERY))


def crawl_once(settings: Path, store: Path) -> CrawlReport:
    """The report of one crawl of the only registry of these settings, without a process of its own."""
    (report,) = asyncio.run(crawl(load_settings({"store": str(store)}, settings)))
    return report


def known_in(store: Path, *, unknown: int = 0) -> Known:
    """What the store knows, of which nobody is asked; of so many repositories it has to know no tags."""
    response = asyncio.run(answer(load_settings({"store": str(store)}), QUERY, {}))
    errors = [error["extensions"]["code"] for error in response.get("errors", ())]
    assert ["NOT_OBSERVED"] * unknown == errors
    return _read(response["data"])


def _read(data: Any) -> Known:
    tags = {
        repository["name"]: {tag["name"]: tag["artifact"]["digest"] for tag in repository["tags"]["nodes"]}
        for repository in data["registry"]["repositories"]["nodes"]
        if repository["tags"] is not None
    }
    (base,) = data["layers"]
    return tags, (base["artifactCount"], base["repositoryCount"])


def write_settings(file: Path, *registries: Mapping[str, object]) -> Path:
    """A file of settings with these registries; its path again."""
    lines = []
    for registry in registries:
        lines.append("[[registries]]")
        # What TOML writes as JSON does: texts, numbers, yes and no, and lists of them.
        lines += [f"{name} = {json.dumps(value, default=str)}" for name, value in registry.items()]
    file.write_text("\n".join(lines) + "\n")
    return file

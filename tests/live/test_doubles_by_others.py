"""The doubles of vendors serve skopeo: what they add to the plain API takes nothing from it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from graph.sample import SampleRegistry, fill_sample
from live.census import take_census
from live.rigs import answer_of, free_port, process

pytestmark = pytest.mark.live

DOUBLES = {
    "docker_hub": "DockerHub()",
    "gitea": "GiteaRegistry()",
    "github": "GithubRegistry()",
    "gitlab": "GitlabRegistry(set())",
    "google": "GoogleRegistry()",
    "harbor": "HarborRegistry()",
    # Pages of three, with a Link to a host that is not there.
    "quay": "QuayRegistry(page_size=3)",
    "zot": "ZotRegistry(page_size=3)",
}

SERVER = """\
import sys, uvicorn
from fakes.{module} import *
from graph.sample import fill_sample
registry = {made}
fill_sample(registry)
uvicorn.run(registry, port=int(sys.argv[1]), log_level="warning", lifespan="off")
"""

# With an index, its children and more tags than a page.
NAMES = ("acr-helloworld", "samples/myimage")


@pytest.fixture(params=DOUBLES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Each double in turn, filled with the sample, on a port of loopback."""
    port, log = free_port(), tmp_path / "double.log"
    source = SERVER.format(module=request.param, made=DOUBLES[request.param])
    tests = Path(__file__).parent.parent
    path = os.pathsep.join(map(str, (tests.parent, tests)))
    with process([sys.executable, "-c", source, str(port)], log, {"PYTHONPATH": path}) as running:
        answer_of(running, log, f"http://127.0.0.1:{port}/v2/")
        yield f"http://127.0.0.1:{port}"


def test_skopeo_sees_every_manifest(url: str) -> None:
    """Every tag, and every manifest byte for byte."""
    sample = SampleRegistry()
    fill_sample(sample)
    held = {name: sample.repositories[name] for name in NAMES}

    census = take_census(
        url, list(NAMES), [(name, digest) for name in NAMES for digest in held[name].manifests]
    )

    assert {name: held[name].tags for name in NAMES} == census.tags
    for name in NAMES:
        found = {digest: seen.data for digest, seen in census.manifests[name].items()}
        assert {digest: manifest.data for digest, manifest in held[name].manifests.items()} == found

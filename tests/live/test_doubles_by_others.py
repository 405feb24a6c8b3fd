"""The doubles of vendors serve skopeo and crane: what they add to the plain API takes nothing from it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import digest_of
from graph.sample import SampleRegistry, fill_sample
from live.census import take_census
from live.rigs import answer_of, find_tool, free_port, process, run

pytestmark = pytest.mark.live

# Each by the module it is in, and what makes it.
DOUBLES = {
    "azure": "AzureRegistry()",
    "distribution 2": "DistributionRegistry(2)",
    "distribution 3": "DistributionRegistry(3)",
    "docker_hub": "DockerHub()",
    # ECR Public; the other wants a login, see test_amazon_by_others.py.
    "ecr": 'EcrRegistry(alias="acme")',
    "gitea": "GiteaRegistry()",
    "github": "GithubRegistry()",
    "gitlab": "GitlabRegistry(set())",
    "google": "GoogleRegistry()",
    "harbor": "HarborRegistry()",
    # skopeo takes all that is listed for tags, and fails at what is none, which is how it was found.
    "jfrog": "JfrogRegistry(is_dirty=False)",
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

# crane refuses to follow that Link, so its Quay has all on one page.
DOUBLES_OF_CRANE = {**DOUBLES, "quay": "QuayRegistry()"}

# With an index, its children and more tags than a page.
NAMES = ("acr-helloworld", "samples/myimage")


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The double that a test asks for, filled with the sample, on a port of loopback."""
    name, made = request.param
    port, log = free_port(), tmp_path / "double.log"
    source = SERVER.format(module=name.split()[0], made=made)
    tests = Path(__file__).parent.parent
    path = os.pathsep.join(map(str, (tests.parent, tests)))
    with process([sys.executable, "-c", source, str(port)], log, {"PYTHONPATH": path}) as running:
        answer_of(running, log, f"http://127.0.0.1:{port}/v2/")
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("url", DOUBLES.items(), ids=DOUBLES, indirect=True)
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


@pytest.mark.parametrize("url", DOUBLES_OF_CRANE.items(), ids=DOUBLES, indirect=True)
def test_crane_verifies_every_tag(url: str) -> None:
    """Every tag on whatever page, and that what it names has the digest that it is told to have."""
    sample = SampleRegistry()
    fill_sample(sample)
    crane = find_tool("crane")
    address = url.removeprefix("http://")
    for name in NAMES:
        tags = sample.repositories[name].tags
        listed = run([crane, "ls", "--insecure", f"{address}/{name}"]).split()
        # Each is read whole, and hashed.
        found = {
            tag: digest_of(run([crane, "manifest", "--insecure", f"{address}/{name}:{tag}"]).encode())
            for tag in listed
        }
        told = {tag: run([crane, "digest", "--insecure", f"{address}/{name}:{tag}"]).strip() for tag in tags}
        assert (tags, tags) == (found, told)

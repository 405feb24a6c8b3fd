"""The sample registry serves the clients of others: skopeo and crane find all that it was filled with."""

import sys
from collections.abc import Iterator

import pytest

from graph.sample import SampleRegistry, fill_sample
from live.census import take_census
from live.rigs import answer_of, find_tool, free_port, process, run

pytestmark = pytest.mark.live

# Pages of three, so that every list of more is followed by its Link.
SERVER = """\
import sys, uvicorn
from graph.sample import SampleRegistry, fill_sample
registry = SampleRegistry(page_size=3)
fill_sample(registry)
uvicorn.run(registry, port=int(sys.argv[1]), log_level="warning", lifespan="off")
"""


@pytest.fixture(scope="module")
def sample() -> SampleRegistry:
    """What the server was filled with."""
    registry = SampleRegistry()
    fill_sample(registry)
    return registry


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The sample registry on a port of loopback: its host and port."""
    address = f"127.0.0.1:{(port := free_port())}"
    log = tmp_path_factory.mktemp("sample") / "sample.log"
    with process([sys.executable, "-c", SERVER, str(port)], log) as running:
        answer_of(running, log, f"http://{address}/v2/")
        yield address


def test_skopeo_sees_every_manifest(sample: SampleRegistry, address: str) -> None:
    """Every tag, and every manifest byte for byte."""
    everything = [(name, digest) for name, held in sample.repositories.items() for digest in held.manifests]
    census = take_census(f"http://{address}", sorted(sample.repositories), everything)
    assert {name: held.tags for name, held in sample.repositories.items()} == census.tags
    for name, held in sample.repositories.items():
        found = {digest: seen.data for digest, seen in census.manifests[name].items()}
        assert {digest: manifest.data for digest, manifest in held.manifests.items()} == found


def test_skopeo_reads_an_image(address: str) -> None:
    """What `skopeo inspect` without --raw does: it negotiates the type and reads the config."""
    skopeo = find_tool("skopeo")
    printed = run([skopeo, "inspect", "--tls-verify=false", f"docker://{address}/acr-helloworld:v3"])
    assert '"DOTNET_VERSION=8.0.10"' in printed


def test_crane_follows_every_page(sample: SampleRegistry, address: str) -> None:
    """The catalog and the tags, which come in pages of three."""
    crane = find_tool("crane")
    assert sorted(sample.repositories) == run([crane, "catalog", "--insecure", address]).split()
    for name, held in sample.repositories.items():
        listed = run([crane, "ls", "--insecure", f"{address}/{name}"]).split()
        assert sorted(held.tags) == listed


def test_crane_verifies_what_it_reads(address: str) -> None:
    """The digest of a tag, and the manifests under an index for each platform."""
    crane = find_tool("crane")
    for platform in ("linux/amd64", "linux/arm64/v8"):
        image = f"{address}/samples/myimage:latest"
        config = run([crane, "config", "--insecure", "--platform", platform, image])
        assert f'"architecture":"{platform.split("/")[1]}"' in config

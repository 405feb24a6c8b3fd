"""gcrane, Google's client of its registries, reads the double: tags, untagged manifests, what is below."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.google import CREATED, UPLOADED
from graph.sample import SampleRegistry, fill_sample
from live.rigs import answer_of, find_tool, free_port, process, run

pytestmark = pytest.mark.live

SERVER = """\
import sys, uvicorn
from fakes.google import GoogleRegistry
from graph.sample import fill_sample
registry = GoogleRegistry()
fill_sample(registry)
uvicorn.run(registry, port=int(sys.argv[1]), log_level="warning", lifespan="off")
"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The double, filled with the sample, on loopback."""
    port, log = free_port(), tmp_path / "double.log"
    command = [sys.executable, "-c", SERVER, str(port)]
    with process(command, log, {"PYTHONPATH": ":".join(sys.path)}) as running:
        answer_of(running, log, f"http://127.0.0.1:{port}/v2/")
        yield f"127.0.0.1:{port}"


def test_gcrane_walks_the_tree(address: str) -> None:
    """From a project down, every tag and every manifest, untagged ones too, with its times."""
    sample = SampleRegistry()
    fill_sample(sample)
    gcrane = find_tool("gcrane")
    below = {name: held for name, held in sample.repositories.items() if name.startswith("samples/")}

    listed = run([gcrane, "ls", "-r", f"{address}/samples"]).split()
    documents = [
        json.loads(line)
        for line in run([gcrane, "ls", "-r", "--json", f"{address}/samples"]).split("\n")
        if line
    ]

    expected = {f"{address}/{name}:{tag}" for name, held in below.items() for tag in held.tags}
    expected |= {f"{address}/{name}@{digest}" for name, held in below.items() for digest in held.manifests}
    assert below and expected == set(listed)
    shown = {document["name"]: document for document in documents}
    assert {"samples", *below} == shown.keys()
    for name, held in below.items():
        manifests = shown[name]["manifest"]
        assert {digest: each.media_type for digest, each in held.manifests.items()} == {
            digest: each["mediaType"] for digest, each in manifests.items()
        }
        assert {(str(CREATED), str(UPLOADED))} == {
            (each["timeCreatedMs"], each["timeUploadedMs"]) for each in manifests.values()
        }

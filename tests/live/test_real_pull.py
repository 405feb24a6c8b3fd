"""What a pull was foretold to cost is what the registry's own log says that it sent, to the byte.

`skopeo` pulls into an `oci:` layout, a store of content by digest; `buildah` into the storage it shares with
Podman. Both ask for the manifest and the config of an image even where they have them, so each image is
pulled once.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from live.access_log import AccessLog, Sent
from live.census import Skopeo
from live.client import Graph
from live.rigs import docker_registry, find_tool, ocigraph, run
from live.seeding import Builder, docker_url

FORETOLD = """
query Foretold($artifacts: [String!]!, $platform: String, $present: Present) {
  rollout(artifacts: $artifacts, platform: $platform, present: $present) {
    layerBytes documentBytes totalBytes
    basis { countsAreLowerBound }
    pulls {
      documents { role digest size }
      fetched { digest size }
      present { digest }
      layerBytes documentBytes totalBytes
    }
  }
}
"""

BASE, WEB, API, MULTI = "base/runtime:1", "team/web:1.0", "team/api:2.0", "multi/oci:1"


class Rig:
    """A registry that logs, seeded, a server over it and clients that pull."""

    def __init__(self, url: str, log: Path, graph: Graph) -> None:
        self.url = url
        self.graph = graph
        self._log = AccessLog(log, url)

    def foretell(self, *artifacts: str, **variables: Any) -> Any:
        """What a rollout is said to cost."""
        rollout = self.graph.ask(FORETOLD, {"artifacts": artifacts, **variables})["rollout"]
        assert rollout["basis"] == {"countsAreLowerBound": False}
        return rollout

    def check(self, pull: Any, name: str, act: Callable[[], object]) -> None:
        """Assert that pulling sends what was foretold of it, and nothing else."""
        tag = name.partition(":")[2]
        documents, layers = pull["documents"], pull["fetched"]
        # The first document is asked for by the tag, those below an index and all blobs by digest.
        names = [tag, *(document["digest"] for document in documents[1:])]
        expected = [
            Sent("blobs" if document["role"] == "CONFIG" else "manifests", reference, document["size"])
            for reference, document in zip(names, documents, strict=True)
        ] + [Sent("blobs", layer["digest"], layer["size"]) for layer in layers]

        sent = self._log.during(act, len(expected))

        assert sorted(expected) == sorted(sent)
        assert pull["layerBytes"] == sum(each.size for each in sent if each.reference in of(layers))
        assert pull["documentBytes"] == sum(each.size for each in sent if each.reference not in of(layers))
        assert pull["totalBytes"] == sum(each.size for each in sent)
        assert documents[0]["digest"] == Skopeo(self.url).inspect(name).digest

    def copy(self, name: str, layout: Path, architecture: str = "amd64") -> None:
        """Pull with skopeo into a layout."""
        target = f"oci:{layout}:{name.replace('/', '-').replace(':', '-')}-{architecture}"
        platform = ["--override-os", "linux", "--override-arch", architecture]
        run(
            [
                *(find_tool("skopeo"), *platform),
                *("copy", "--src-tls-verify=false", docker_url(self.url, name), target),
            ]
        )


def of(listed: Sequence[Any]) -> set[str]:
    return {each["digest"] for each in listed}


@pytest.fixture(scope="module")
def rig(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Images on a common base and an index of two platforms."""
    directory = tmp_path_factory.mktemp("pull")
    log = directory / "access.log"
    with docker_registry(directory, access_log=log) as url:
        builder.push_all(url)
        with ocigraph(url, directory / "store.db") as (graph_url, _):
            graph = Graph(graph_url)
            graph.wait_for_crawl()
            yield Rig(url, log, graph)


def test_on_a_base_that_is_there(rig: Rig, tmp_path: Path) -> None:
    """An image on a base that the layout has: its own layers, its manifest and its config are sent."""
    base = rig.foretell(BASE)["pulls"][0]
    assert [] == base["present"]
    rig.check(base, BASE, lambda: rig.copy(BASE, tmp_path / "layout"))

    derived = rig.foretell(WEB, present={"artifacts": [BASE]})["pulls"][0]

    assert of(base["fetched"]) == of(derived["present"])
    rig.check(derived, WEB, lambda: rig.copy(WEB, tmp_path / "layout"))


@pytest.mark.parametrize("key", ["layers", "diffIds"])
def test_the_base_by_what_a_node_knows(rig: Rig, tmp_path: Path, key: str) -> None:
    """Naming the layers of the base by digest or by DiffID foretells the same, and the same is sent."""
    skopeo = Skopeo(rig.url)
    known = {
        "layers": [digest for digest, _, _ in skopeo.inspect(BASE).layers],
        "diffIds": skopeo.inspect_config(BASE)["rootfs"]["diff_ids"],
    }
    rig.copy(BASE, tmp_path / "layout")

    derived = rig.foretell(WEB, present={key: known[key]})["pulls"][0]

    assert 1 == len(derived["fetched"])
    rig.check(derived, WEB, lambda: rig.copy(WEB, tmp_path / "layout"))


@pytest.mark.parametrize(("architecture", "present"), [("amd64", [BASE]), ("arm64", [])])
def test_one_platform_of_an_index(rig: Rig, tmp_path: Path, architecture: str, present: list[str]) -> None:
    """Of an index the index, one manifest, its config and its layers are sent, and nothing of the other."""
    for name in present:
        rig.copy(name, tmp_path / "layout")

    rollout = rig.foretell(MULTI, platform=f"linux/{architecture}", present={"artifacts": present})

    (pull,) = rollout["pulls"]
    assert ["INDEX", "MANIFEST", "CONFIG"] == [document["role"] for document in pull["documents"]]
    assert bool(present) == bool(pull["present"])
    rig.check(pull, MULTI, lambda: rig.copy(MULTI, tmp_path / "layout", architecture))


def test_a_rollout(rig: Rig, tmp_path: Path) -> None:
    """Three images in order: each sends what those before it did not bring."""
    names = [WEB, BASE, API]
    rollout = rig.foretell(*names)

    for pull, name in zip(rollout["pulls"], names, strict=True):
        rig.check(pull, name, lambda name=name: rig.copy(name, tmp_path / "layout"))
    assert [] == rollout["pulls"][1]["fetched"]
    assert rollout["totalBytes"] == sum(pull["totalBytes"] for pull in rollout["pulls"])


def test_another_client(rig: Rig, tmp_path: Path) -> None:
    """The storage of Podman and Buildah, which unpacks layers, is sent the same."""
    names = [BASE, WEB, API]
    storage = Builder(tmp_path)

    for pull, name in zip(rig.foretell(*names)["pulls"], names, strict=True):
        rig.check(pull, name, lambda name=name: storage.pull(docker_url(rig.url, name)))

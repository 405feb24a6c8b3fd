"""What a pull was foretold to cost is what the registry's own log says that it sent, to the byte.

`skopeo` pulls into an `oci:` layout, a store of content by digest; `buildah` into the storage it shares with
Podman. Both ask for the manifest and the config of an image even where they have them, so each image is
pulled once.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from live.census import Skopeo
from live.pulling import Rig, logging_registry, of
from live.rigs import find_tool, run
from live.seeding import Builder, docker_url

BASE, WEB, API, MULTI = "base/runtime:1", "team/web:1.0", "team/api:2.0", "multi/oci:1"


def copy(rig: Rig, name: str, layout: Path, architecture: str = "amd64") -> None:
    """Pull with skopeo into a layout."""
    target = f"oci:{layout}:{name.replace('/', '-').replace(':', '-')}-{architecture}"
    platform = ["--override-os", "linux", "--override-arch", architecture]
    run(
        [
            *(find_tool("skopeo"), *platform),
            *("copy", "--src-tls-verify=false", docker_url(rig.url, name), target),
        ]
    )


@pytest.fixture(scope="module")
def rig(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Images on a common base and an index of two platforms."""
    with logging_registry(tmp_path_factory.mktemp("pull"), builder.push_all) as rig:
        yield rig


def test_on_a_base_that_is_there(rig: Rig, tmp_path: Path) -> None:
    """An image on a base that the layout has: its own layers, its manifest and its config are sent."""
    base = rig.foretell(BASE)["pulls"][0]
    assert [] == base["present"]
    rig.check(base, BASE, lambda: copy(rig, BASE, tmp_path / "layout"))

    derived = rig.foretell(WEB, present={"artifacts": [BASE]})["pulls"][0]

    assert of(base["fetched"]) == of(derived["present"])
    rig.check(derived, WEB, lambda: copy(rig, WEB, tmp_path / "layout"))


@pytest.mark.parametrize("key", ["layers", "diffIds"])
def test_the_base_by_what_a_node_knows(rig: Rig, tmp_path: Path, key: str) -> None:
    """Naming the layers of the base by digest or by DiffID foretells the same, and the same is sent."""
    skopeo = Skopeo(rig.url)
    known = {
        "layers": [digest for digest, _, _ in skopeo.inspect(BASE).layers],
        "diffIds": skopeo.inspect_config(BASE)["rootfs"]["diff_ids"],
    }
    copy(rig, BASE, tmp_path / "layout")

    derived = rig.foretell(WEB, present={key: known[key]})["pulls"][0]

    assert 1 == len(derived["fetched"])
    rig.check(derived, WEB, lambda: copy(rig, WEB, tmp_path / "layout"))


@pytest.mark.parametrize(("architecture", "present"), [("amd64", [BASE]), ("arm64", [])])
def test_one_platform_of_an_index(rig: Rig, tmp_path: Path, architecture: str, present: list[str]) -> None:
    """Of an index the index, one manifest, its config and its layers are sent, and nothing of the other."""
    for name in present:
        copy(rig, name, tmp_path / "layout")

    rollout = rig.foretell(MULTI, platform=f"linux/{architecture}", present={"artifacts": present})

    (pull,) = rollout["pulls"]
    assert ["INDEX", "MANIFEST", "CONFIG"] == [document["role"] for document in pull["documents"]]
    assert bool(present) == bool(pull["present"])
    rig.check(pull, MULTI, lambda: copy(rig, MULTI, tmp_path / "layout", architecture))


def test_a_rollout(rig: Rig, tmp_path: Path) -> None:
    """Three images in order: each sends what those before it did not bring."""
    names = [WEB, BASE, API]
    rollout = rig.foretell(*names)

    for pull, name in zip(rollout["pulls"], names, strict=True):
        rig.check(pull, name, lambda name=name: copy(rig, name, tmp_path / "layout"))
    assert [] == rollout["pulls"][1]["fetched"]
    assert rollout["totalBytes"] == sum(pull["totalBytes"] for pull in rollout["pulls"])


def test_another_client(rig: Rig, tmp_path: Path) -> None:
    """The storage of Podman and Buildah, which unpacks layers, is sent the same."""
    names = [BASE, WEB, API]
    storage = Builder(tmp_path)

    for pull, name in zip(rig.foretell(*names)["pulls"], names, strict=True):
        rig.check(pull, name, lambda name=name: storage.pull(docker_url(rig.url, name)))

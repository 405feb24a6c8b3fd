"""Real nodes pull one image after the other, and fetch of each what the rollout foretold, to the byte.

Docker's classic store is what `CHAIN` means, containerd what `BLOB` means. The images share layers in every
way that tells the two apart: on other layers below, twice in one image, compressed anew, under one config.
"""

import gzip
import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import Built, digest_of, make_config, make_image, make_layer
from live.daemons import Pull, containerd, dockerd
from live.pulling import Rig, logging_registry
from live.seeding import push

REPOSITORY = "nodes/image"

LAYERS = [make_layer(f"layer {n}", padding=1000 + 100 * n) for n in range(4)]
# Images of up to four layers, drawn by these seeds.
SEEDS = range(16)


def compress_anew(layer: Built) -> Built:
    """The same layer under another digest."""
    data = gzip.compress(gzip.decompress(layer.data), compresslevel=1, mtime=1)
    return replace(layer, data=data, digest=digest_of(data), size=len(data))


ANEW = [compress_anew(layer) for layer in LAYERS]


def draw_stack(seed: int) -> list[Built]:
    chosen = random.Random(seed)
    return [chosen.choice(LAYERS + ANEW) for _ in range(chosen.randint(1, 4))]


def images() -> Iterator[Built]:
    """What is pulled, in order."""
    a, b, c, d = LAYERS
    stacks: Sequence[list[Built]] = [
        [a, b, c],
        [a, b, d],  # on the same layers
        [d, b, c],  # on others
        [a, d, c],  # from the first that is missing on
        [a, d, a],  # twice
        [a, b],  # a part of a chain
        ANEW[:2],  # a chain of the same content
        [a, ANEW[1]],
        *map(draw_stack, SEEDS),
    ]
    for number, stack in enumerate(stacks):
        yield make_image(stack, author=f"image {number}")
    # The same image, compressed anew; then one on what was not fetched of it.
    config = make_config([c, c], author="the same")
    yield make_image([c, c], config)
    yield make_image([ANEW[2], c], config)
    yield make_image([ANEW[2], b], author="after")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A registry with the images, each under its number."""

    def fill(url: str) -> None:
        for number, image in enumerate(images()):
            push(url, REPOSITORY, image, str(number))

    with logging_registry(tmp_path_factory.mktemp("nodes"), fill) as rig:
        yield rig


@pytest.mark.parametrize(("node", "reuse"), [(dockerd, "CHAIN"), (containerd, "BLOB")])
def test_a_node(rig: Rig, tmp_path: Path, node: Any, reuse: str) -> None:
    """What the node asks the registry for, image by image, is what the rollout says of each."""
    names = [f"{REPOSITORY}:{number}" for number, _ in enumerate(images())]
    host = rig.url.removeprefix("http://")
    daemon: AbstractContextManager[Pull] = node(tmp_path)
    with daemon as pull:
        rollout = rig.foretell(*names, reuse=reuse)
        for each, name in zip(rollout["pulls"], names, strict=True):
            rig.check(each, name, lambda name=name: pull(f"{host}/{name}"))


def test_the_ways_differ(rig: Rig) -> None:
    """The images tell the two ways apart, or the test above would say little."""
    names = [f"{REPOSITORY}:{number}" for number, _ in enumerate(images())]

    blob, chain = (rig.foretell(*names, reuse=reuse)["pulls"] for reuse in ("BLOB", "CHAIN"))

    assert sum(one["fetched"] != other["fetched"] for one, other in zip(blob, chain, strict=True)) >= 8

"""What pulls fetch, by brute force.

Rules of this file: as in `oracle.py`. A node is the set of what it holds; a rollout looks at every layer of
every image.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from oracle import Artifact, Document, Oracle

# The platforms that a node of each platform runs, the best first; what tells none comes last.
RUNS: dict[str, list[str | None]] = {
    "linux/amd64": ["linux/amd64", None],
    "linux/arm64": ["linux/arm64", "linux/arm/v7", None],
    "linux/arm/v7": ["linux/arm/v7", None],
}


@dataclass(frozen=True)
class Node:
    """What a node holds already: artifacts, layers by digest, layers by DiffID."""

    artifacts: Sequence[Artifact] = ()
    layers: Sequence[str] = ()
    diff_ids: Sequence[str] = ()


@dataclass(frozen=True)
class Pull:
    """Digests of documents to fetch, of layers to fetch, and of layers that are there; each once."""

    documents: list[str]
    fetched: list[str]
    present: list[str]


@dataclass
class Layer:
    digest: str
    diff_id: str | None


@dataclass
class Image:
    """Documents, the config if it tells the DiffID of each layer, and the layers, lowest first."""

    documents: list[str]
    config: str | None
    layers: list[Layer]


def prefixes(chain: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(chain[:end]) for end in range(1, len(chain) + 1)}


@dataclass
class Held:
    """What a node holds: digests it has or knows, DiffIDs it told, chains of layers, documents, configs."""

    layers: set[str]
    diff_ids: set[str]
    chains: set[tuple[str, ...]] = field(default_factory=set)
    told: set[tuple[str, ...]] = field(default_factory=set)  # chains known by DiffIDs, under any digests
    documents: set[str] = field(default_factory=set)
    configs: set[str] = field(default_factory=set)

    def keep(self, image: Image, reuse: str) -> None:
        self.documents |= set(image.documents)
        if reuse == "CHAIN" and image.config in self.configs:
            return  # such an image is not pulled, so nothing is learned of its digests
        if image.config is not None:
            self.configs.add(image.config)
        self.layers |= {layer.digest for layer in image.layers}
        self.chains |= prefixes([layer.diff_id or layer.digest for layer in image.layers])

    def find_blobs(self, image: Image) -> list[bool]:
        """Which layers are there where each is content with a digest."""
        there = self.layers | self.documents | set(image.documents)
        return [layer.digest in there or layer.diff_id in self.diff_ids for layer in image.layers]

    def find_chain(self, image: Image) -> list[bool]:
        """Which layers are there where each lies on those below it."""
        if image.config is not None and image.config in self.configs:
            return [True] * len(image.layers)
        here: list[bool] = []
        for end, layer in enumerate(image.layers, 1):
            chain = tuple(below.diff_id or below.digest for below in image.layers[:end])
            known = chain in self.told or (chain in self.chains and layer.digest in self.layers)
            here.append(known and all(here))
        return here


def choose(oracle: Oracle, artifact: Artifact, platform: str) -> list[str] | None:
    """The manifests from an artifact to the image that a node of the platform pulls, that one last.

    None: an index has no image for the platform, or not here.
    """
    if artifact not in oracle.everything or artifact[1] not in oracle.documents:
        return None
    if "manifests" not in oracle.documents[artifact[1]]:
        return [artifact[1]]
    offers = offers_of(oracle, artifact, [artifact[1]])
    ranked = [(RUNS[platform].index(told), way) for told, way in offers if told in RUNS[platform]]
    if not ranked:
        return None
    _, way = min(ranked, key=lambda offer: offer[0])  # the first among equals
    return way if choose(oracle, (artifact[0], way[-1]), platform) else None


def offers_of(oracle: Oracle, index: Artifact, way: list[str]) -> list[tuple[str | None, list[str]]]:
    """The platform of every image below an index, in order, and the way there."""
    offers: list[tuple[str | None, list[str]]] = []
    for child in oracle.documents[index[1]]["manifests"]:
        below = (index[0], child["digest"])
        if "index" not in child["mediaType"]:
            offers.append((platform_of(oracle, child), [*way, child["digest"]]))
        elif below in oracle.everything and child["digest"] in oracle.documents:
            offers += offers_of(oracle, below, [*way, child["digest"]])
    return offers


def platform_of(oracle: Oracle, child: Document) -> str | None:
    told = child.get("platform")
    if told is None:
        config = oracle.documents.get(child["digest"], {}).get("config", {}).get("digest")
        told = json.loads(oracle.bytes.get(config, b"{}"))
    if "os" not in told:
        return None
    return "/".join(told[name] for name in ("os", "architecture", "variant") if name in told)


def rollout(
    oracle: Oracle, artifacts: Sequence[Artifact], platform: str, node: Node, reuse: str
) -> list[Pull] | None:
    """What each pull fetches, and what need not be fetched. None: one of them cannot be pulled."""
    ways = {artifact: choose(oracle, artifact, platform) for artifact in [*node.artifacts, *artifacts]}
    if any(way is None for way in ways.values()):
        return None
    images = {artifact: image_of(oracle, way or []) for artifact, way in ways.items()}
    name_diff_ids([images[artifact] for artifact in [*node.artifacts, *artifacts]])
    held = Held(set(node.layers), set(node.diff_ids))
    told = {layer.digest: layer.diff_id for image in images.values() for layer in image.layers}
    held.chains |= prefixes([told.get(digest) or digest for digest in node.layers])
    held.told |= prefixes(node.diff_ids)
    for artifact in node.artifacts:
        held.keep(images[artifact], reuse)
    pulls = []
    for artifact in artifacts:
        image = images[artifact]
        here = held.find_blobs(image) if reuse == "BLOB" else held.find_chain(image)
        pairs = list(zip(image.layers, here, strict=True))
        pulls.append(
            Pull(
                [digest for digest in dict.fromkeys(image.documents) if digest not in held.documents],
                list(dict.fromkeys(layer.digest for layer, is_here in pairs if not is_here)),
                list(dict.fromkeys(layer.digest for layer, is_here in pairs if is_here)),
            )
        )
        held.keep(image, reuse)
    return pulls


def image_of(oracle: Oracle, way: list[str]) -> Image:
    document = oracle.documents[way[-1]]
    config = document.get("config", {}).get("digest")
    layers = [layer["digest"] for layer in document.get("layers", ())]
    said = oracle.stack(way[-1])
    diff_ids = said if len(said) == len(layers) else [None] * len(layers)
    return Image(
        [*way, *([config] if config else [])],
        config if layers and None not in diff_ids else None,
        [Layer(digest, diff_id) for digest, diff_id in zip(layers, diff_ids, strict=True)],
    )


def name_diff_ids(images: Sequence[Image]) -> None:
    """Where a config does not tell, another image's does; where none does, the digest stands for it."""
    said: dict[str, str] = {}
    for layer in (layer for image in images for layer in image.layers):
        if layer.diff_id is not None:
            said.setdefault(layer.digest, layer.diff_id)
    for layer in (layer for image in images for layer in image.layers):
        layer.diff_id = layer.diff_id or said.get(layer.digest)

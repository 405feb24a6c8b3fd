"""What a node fetches when it pulls images, given what it holds already (concept C14).

Rules of this file: pure, over values that somebody loaded. A pull fetches documents (the indexes on the way,
the chosen manifest, its config) and layers; whatever has a digest is fetched once. What was pulled is held
from then on, so a list of images is a rollout: each pays only what the ones before it did not bring.

Which layers are reused depends on how the node keeps them:

* BLOB: a store of content by digest. A layer is there if its digest is, wherever in whichever image, or its
  DiffID where the node told DiffIDs. containerd keeps blobs so (`Unpacker.fetch` hands each missing layer to
  the fetcher, which finds what its content store has: containerd core/unpack/unpacker.go, 0099e609ac0b), and
  Podman and CRI-O look for a layer by the digest of its compressed and of its uncompressed bytes, not by what
  is below it (`tryReusingBlobAsPending` in containers/image storage/storage_dest.go, 0097f83f37e8).
* CHAIN: Docker's classic store of layers, which keeps no compressed bytes. Its layers are named by their
  ChainID (image-spec v1.1.1, config.md, "Layer ChainID"): the hash of a DiffID and of the chain below it. A
  pull walks the layers from the lowest, and one is there if the node knows the DiffID of its digest *and*
  holds the chain that ends with it; from the first that is missing on, every layer is fetched
  (`LayerDownloadManager.Download` in moby distribution/xfer/download.go, 941846a3390a). A node knows the
  DiffIDs of the digests it has pulled or pushed (`GetDiffID` in distribution/metadata/v2_metadata_service.go,
  0928f3f2e3ed), and it does not ask the config for them, except on Windows. An image whose config it holds is
  not pulled at all (`pullSchema2Layers` in distribution/pull_v2.go, 3f948df467c6).

What is measured is content: answers to HEAD, redirects and whatever a client asks for twice are not in it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from graph.errors import QueryTooCostlyError
from graph.oci.descriptor import Platform
from graph.oci.digest import Digest
from graph.oci.platforms import rank_platform, runnable_on

# Entries of indexes that one question may go through, and documents and layers that its images may have: some
# 3 µs each. A rollout of a thousand images has 10,000 layers; a node with ten thousand images some 80,000.
MAX_ENTRIES = 100_000


class Reuse(StrEnum):
    """When a node takes a layer for one that it holds."""

    BLOB = "BLOB"  # the same digest, or a DiffID that it told
    CHAIN = "CHAIN"  # the same, on the same layers below


class DocumentRole(StrEnum):
    """What a document is to the image that is pulled."""

    INDEX = "INDEX"
    MANIFEST = "MANIFEST"
    CONFIG = "CONFIG"


@dataclass(frozen=True, slots=True)
class PulledDocument:
    """A document of an image; `size` is in bytes, None where nobody said."""

    role: DocumentRole
    digest: Digest
    size: int | None


@dataclass(frozen=True, slots=True)
class PulledLayer:
    """A layer of an image, 0 the lowest. `diff_id` is None where it was not loaded, or is not known."""

    position: int
    digest: Digest
    size: int | None
    diff_id: Digest | None = None


@dataclass(frozen=True, slots=True)
class PulledImage:
    """An image for one platform: its documents, with the indexes on the way, and its layers, lowest first."""

    documents: tuple[PulledDocument, ...]
    layers: tuple[PulledLayer, ...]

    @property
    def config(self) -> Digest | None:
        """The digest of its config; None where it has none that tells a DiffID for each layer."""
        if not self.layers or any(layer.diff_id is None for layer in self.layers):
            return None
        return next((part.digest for part in self.documents if part.role is DocumentRole.CONFIG), None)


@dataclass(frozen=True, slots=True)
class Held:
    """What a node is said to hold before the first pull.

    `layers` and `diff_ids` are sets for BLOB. For CHAIN each is one image's stack, the lowest layer first, as
    `docker image inspect` prints `RootFS.Layers`: a layer means nothing there without those below it.
    """

    images: Sequence[PulledImage] = ()
    layers: Sequence[Digest] = ()
    diff_ids: Sequence[Digest] = ()


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one pull fetches, and what of it need not be fetched; each digest once in each list.

    Bytes are lower bounds where `is_lower_bound`: the size of something fetched is not known.
    """

    documents: tuple[PulledDocument, ...]
    fetched: tuple[PulledLayer, ...]
    present: tuple[PulledLayer, ...]
    layer_bytes: int
    document_bytes: int
    is_lower_bound: bool


def forecast_pulls(
    images: Sequence[PulledImage], held: Held, reuse: Reuse, limit: int = MAX_ENTRIES
) -> list[Forecast]:
    """What pulling the images, one after the other, fetches each time.

    Raises QueryTooCostlyError if they, and those that are held, have more than `limit` documents and layers:
    an image that is pulled a thousand times is gone through each time.
    """
    count = sum(len(image.documents) + len(image.layers) for image in (*images, *held.images))
    if count > limit:
        raise QueryTooCostlyError(count, limit, "documents and layers")
    known = _known_diff_ids([*held.images, *images])
    node = _BlobNode(known) if reuse is Reuse.BLOB else _ChainNode(known)
    for image in held.images:
        node.keep(image)
    node.tell(held.layers, held.diff_ids)
    forecasts = []
    for image in images:
        documents = tuple(_once(part for part in image.documents if part.digest not in node.documents))
        fetched, present = node.sort(image)
        sizes = [*(layer.size for layer in fetched), *(part.size for part in documents)]
        forecasts.append(
            Forecast(
                documents,
                tuple(fetched),
                tuple(present),
                sum(layer.size or 0 for layer in fetched),
                sum(part.size or 0 for part in documents),
                None in sizes,
            )
        )
        node.keep(image)
    return forecasts


def _once(parts: Iterable[PulledDocument]) -> Iterator[PulledDocument]:
    return iter({part.digest: part for part in parts}.values())


def _known_diff_ids(images: Iterable[PulledImage]) -> dict[Digest, Digest]:
    """The DiffID of each digest that some config tells; where two tell different ones, the first."""
    known: dict[Digest, Digest] = {}
    for image in images:
        for layer in image.layers:
            if layer.diff_id is not None:
                known.setdefault(layer.digest, layer.diff_id)
    return known


class _BlobNode:
    """A node that keeps content by digest. `known`: the DiffID of each digest that any image here tells."""

    def __init__(self, known: Mapping[Digest, Digest]) -> None:
        self.documents: set[Digest] = set()
        self._known = known
        self._layers: set[Digest] = set()
        self._diff_ids: frozenset[Digest] = frozenset()

    def keep(self, image: PulledImage) -> None:
        self.documents.update(part.digest for part in image.documents)
        self._layers.update(layer.digest for layer in image.layers)

    def tell(self, layers: Sequence[Digest], diff_ids: Sequence[Digest]) -> None:
        self._layers.update(layers)
        self._diff_ids = frozenset(diff_ids)

    def sort(self, image: PulledImage) -> tuple[list[PulledLayer], list[PulledLayer]]:
        # A document that is fetched with the image is there too: many artifacts list their config as a layer.
        documents = {part.digest for part in image.documents}
        present: dict[Digest, PulledLayer] = {}
        fetched: dict[Digest, PulledLayer] = {}
        for layer in image.layers:
            is_there = (
                layer.digest in self._layers
                or layer.digest in documents
                or layer.digest in self.documents
                or (layer.diff_id or self._known.get(layer.digest)) in self._diff_ids
            )
            (present if is_there else fetched).setdefault(layer.digest, layer)
        return list(fetched.values()), list(present.values())


@dataclass(slots=True)
class _Link:
    """A layer on a certain chain, and what lies on it. `is_told`: it came as a DiffID, under any digest."""

    above: dict[Digest, "_Link"] = field(default_factory=dict)
    is_told: bool = False


class _ChainNode:
    """A node that keeps chains of layers. `known`: the DiffID of each digest that any image here tells.

    Where no config tells a layer's DiffID its digest stands for it: the same digest has the same DiffID.
    """

    def __init__(self, known: Mapping[Digest, Digest]) -> None:
        self.documents: set[Digest] = set()
        self._known = known
        self._bottom = _Link()
        self._digests: set[Digest] = set()  # whose DiffIDs the node knows
        self._configs: set[Digest] = set()

    def _diff_id(self, layer: PulledLayer) -> Digest:
        return layer.diff_id or self._known.get(layer.digest, layer.digest)

    def keep(self, image: PulledImage) -> None:
        self.documents.update(part.digest for part in image.documents)
        if image.config is not None and image.config in self._configs:
            return  # it was not pulled, so the node learned nothing of its digests
        if image.config is not None:
            self._configs.add(image.config)
        self._digests.update(layer.digest for layer in image.layers)
        self._stack(map(self._diff_id, image.layers), is_told=False)

    def tell(self, layers: Sequence[Digest], diff_ids: Sequence[Digest]) -> None:
        self._digests.update(layers)
        self._stack((self._known.get(digest, digest) for digest in layers), is_told=False)
        self._stack(diff_ids, is_told=True)

    def _stack(self, diff_ids: Iterable[Digest], *, is_told: bool) -> None:
        link = self._bottom
        for diff_id in diff_ids:
            link = link.above.setdefault(diff_id, _Link())
            link.is_told = link.is_told or is_told

    def sort(self, image: PulledImage) -> tuple[list[PulledLayer], list[PulledLayer]]:
        present: dict[Digest, PulledLayer] = {}
        fetched: dict[Digest, PulledLayer] = {}
        is_held = image.config is not None and image.config in self._configs
        link: _Link | None = self._bottom
        for layer in image.layers:
            if link is not None:
                link = link.above.get(self._diff_id(layer))
            if link is not None and not link.is_told and layer.digest not in self._digests:
                link = None
            (fetched if link is None and not is_held else present).setdefault(layer.digest, layer)
        return list(fetched.values()), list(present.values())


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of an index. `platform` is the entry's, else its manifest's; None: neither tells one."""

    manifest: int
    platform: Platform | None
    is_index: bool


class Chooser:
    """Chooses the images that a node of one platform pulls, looking at no more than `limit` entries for all.

    Indexes that list the same big one are cheap to store, and would be dear to go through each by itself.
    """

    def __init__(self, platform: Platform, limit: int = MAX_ENTRIES) -> None:
        self._wanted = runnable_on(platform)
        self._ranks: dict[Platform | None, int | None] = {}
        self._limit = limit
        self._seen = 0

    def choose(self, root: int, entries: Mapping[int, Sequence[Entry]]) -> tuple[int, ...] | None:
        """The way from an index to the image that is pulled: the index first, the image last.

        `entries` are those of every index that is known, attestations left out. Indexes may list indexes: of
        all images below, the one of the best platform is taken, and among equals the one that is listed
        first. None: there is none. Each index is gone into once, so that a circle of them ends.

        Raises QueryTooCostlyError at the limit.
        """
        best: tuple[int, int, int] | None = None  # rank, the index that lists it, its manifest
        listed_in = {root: root}  # where each index was found; paths would grow with the square of the depth
        waiting = self._enter(root, entries)
        while waiting:
            entry, index = waiting.pop()
            rank = self._rank(entry.platform)
            if rank is None:
                continue
            if not entry.is_index:
                if best is None or rank < best[0]:
                    best = rank, index, entry.manifest
            elif entry.manifest not in listed_in:
                listed_in[entry.manifest] = index
                waiting.extend(self._enter(entry.manifest, entries))
        if best is None:
            return None
        _, index, manifest = best
        way = [manifest, index]
        while way[-1] != root:
            way.append(listed_in[way[-1]])
        return tuple(reversed(way))

    def _enter(self, index: int, entries: Mapping[int, Sequence[Entry]]) -> list[tuple[Entry, int]]:
        listed = entries.get(index, ())
        self._seen += len(listed)
        if self._seen > self._limit:
            raise QueryTooCostlyError(self._seen, self._limit, "entries of indexes")
        return [(entry, index) for entry in reversed(listed)]

    def _rank(self, platform: Platform | None) -> int | None:
        if platform not in self._ranks:
            self._ranks[platform] = rank_platform(self._wanted, platform)
        return self._ranks[platform]


def offered_platforms(root: int, entries: Mapping[int, Sequence[Entry]]) -> list[Platform]:
    """The platforms of the images below an index that tell one, each once, in its order."""
    found: dict[Platform, None] = {}
    seen = {root}
    waiting = list(reversed(entries.get(root, ())))
    while waiting:
        entry = waiting.pop()
        if not entry.is_index:
            if entry.platform is not None:
                found[entry.platform] = None
        elif entry.manifest not in seen:
            seen.add(entry.manifest)
            waiting.extend(reversed(entries.get(entry.manifest, ())))
    return list(found)

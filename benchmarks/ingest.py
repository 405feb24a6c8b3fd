"""Measure how fast new manifests get from bytes into the store: parse, put, set, with every counter.

    .venv/bin/python -m benchmarks.ingest [--manifests 20000] [--tags 1 5 20 50]

Rules of this file: what is timed begins with raw bytes in memory and ends with every look written down,
through the functions and the transactions of a crawl, in a process tuned as a crawl's is: as many looks at
once, each written once for what its tags name and once for its end, in a store that is a real file. Documents
are made outside the timed part, some repositories at a time, so that resident memory shows what the store
needs. Every manifest is new, and so is its config; half of the images stand on one of fifty bases of four
layers, and in half of those of a repository all but the last two layers are those of the image before.
"""

import argparse
import asyncio
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from benchmarks.documents import draw_digest, make_config, make_manifest
from benchmarks.model import CONFIG_BYTES, LAYER_BYTES, LAYERS_PER_IMAGE
from benchmarks.report import describe_machine, print_head, print_row, resident_bytes
from graph.oci.digest import compute_digest
from graph.oci.image import summarize_image_config
from graph.oci.manifest import parse_manifest
from graph.oci.media_types import DOCKER_MANIFEST
from graph.oci.reference import RegistryName, RepositoryName, TagName
from graph.process import tune_process
from graph.store.changes import (
    ArtifactChange,
    ConfiguredRegistry,
    Discovery,
    NewManifest,
    RepositoryChanges,
    TagChange,
)
from graph.store.engine import Store, open_store
from graph.store.findings import Findings, write_findings
from graph.store.observations import set_catalog_page, set_registries
from graph.store.recount import recount
from graph.sync.crawl import REPOSITORIES_AT_ONCE
from graph.sync.flight import drain

AT = datetime(2026, 1, 1, tzinfo=UTC)
CREATED = "2025-06-01T12:00:00.123456789Z"
PLATFORM = ("linux", "amd64", None)
# Manifests made before some of them are timed: more repositories than are looked at at once, and 30 MB.
PREPARED = 2_000
# Memory is looked at when so many percent of the manifests are in.
MARKS = (10, 50, 100)

Documents = tuple[bytes, bytes]  # a manifest and its config


class Pushes:
    """Makes the documents of one repository after the other."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._bases = [self._draw_layers(4) for _ in range(50)]

    def _draw_layers(self, count: int) -> list[tuple[str, int]]:
        return [(draw_digest(self._random), LAYER_BYTES.draw(self._random)) for _ in range(count)]

    def draw_repository(self, images: int) -> list[Documents]:
        """Return the documents of so many images."""
        random = self._random
        base = random.choice(self._bases) if random.random() < 0.5 else []
        layers: list[tuple[str, int]] = []
        documents = []
        for _ in range(images):
            if layers and random.random() < 0.5:
                layers = [*layers[:-2], *self._draw_layers(min(2, len(layers)))]
            else:
                wanted = LAYERS_PER_IMAGE.draw(random)
                layers = [*base, *self._draw_layers(max(1, wanted - len(base)))]
            config = make_config(random, len(layers), CREATED, PLATFORM, CONFIG_BYTES.draw(random))
            documents.append((make_manifest(compute_digest(config), len(config), layers), config))
        return documents


async def ingest(
    store: Store, registry_id: int, name: RepositoryName, documents: Sequence[Documents]
) -> None:
    """Do what a crawl does with the documents of one repository once it has them."""
    manifests = [
        NewManifest(parse_manifest(data, DOCKER_MANIFEST), data, summarize_image_config(config), config)
        for data, config in documents
    ]
    digests = [each.manifest.digest for each in manifests]
    seen = RepositoryChanges(
        at=AT,
        tags=[TagChange(TagName(f"1.{number}"), digest) for number, digest in enumerate(digests)],
        present=[ArtifactChange(digest, Discovery.TAG) for digest in digests],
    )
    ended = RepositoryChanges(at=AT, is_tag_list_complete=True, is_crawled=True, completeness="BEST_EFFORT")
    for findings in (
        Findings(registry_id, name, seen, manifests),
        Findings(registry_id, name, ended),
    ):
        await store.write_together(write_findings, findings, weight=findings.weight)


@dataclass(frozen=True, slots=True)
class Ingested:
    """What it took; `cpu` and `seconds` are seconds, `resident` bytes at each mark."""

    count: int
    seconds: float
    cpu: float
    resident: Mapping[int, int]
    differences: int


async def run(path: Path, manifests: int, tags: int) -> Ingested:
    """Ingest so many manifests, so many of them in each repository."""
    pushes = Pushes(Random(1))
    store = open_store(str(path))
    registry = ConfiguredRegistry(RegistryName("127.0.0.1:9"), "http://127.0.0.1:9", "oci")
    (registry_id,) = await store.write(set_registries, [registry], AT)
    names = [RepositoryName(f"team-{number % 100}/app-{number}") for number in range(manifests // tags)]
    count, seconds, cpu = len(names) * tags, 0.0, 0.0
    resident: dict[int, int] = {}
    step = max(1, PREPARED // tags)
    for start in range(0, len(names), step):
        # A crawl has the names from the catalog before it looks.
        await store.write(set_catalog_page, registry_id, names[start : start + step], AT)
        waiting = deque((name, pushes.draw_repository(tags)) for name in names[start : start + step])
        wall, process = time.perf_counter(), time.process_time()
        await drain(waiting, lambda some: ingest(store, registry_id, *some), at_once=REPOSITORIES_AT_ONCE)
        seconds += time.perf_counter() - wall
        cpu += time.process_time() - process
        for mark in MARKS:
            if mark not in resident and min(start + step, len(names)) * 100 >= mark * len(names):
                resident[mark] = resident_bytes()
    differences = len(await store.write(recount))
    store.close()
    return Ingested(count, seconds, cpu, resident, differences)


def main() -> None:
    """Measure it, and print the table."""
    parser = argparse.ArgumentParser(description="Measure ingest from memory.")
    parser.add_argument("--manifests", type=int, default=20_000)
    parser.add_argument(
        "--tags", type=int, nargs="+", default=[1, 5, 20, 50], help="images of each repository"
    )
    arguments = parser.parse_args()
    marks = [f"MiB at {mark} %" for mark in MARKS]
    print(f"{describe_machine()}\n")
    tune_process()
    print_head(
        ["ingest", "new manifests", "seconds", "a second", "CPU µs each", *marks, "differences of a recount"]
    )
    for tags in arguments.tags:
        with tempfile.TemporaryDirectory() as directory:
            done = asyncio.run(run(Path(directory) / "store.sqlite3", arguments.manifests, tags))
        print_row(
            [
                f"{tags} images a repository",
                f"{done.count:,}",
                f"{done.seconds:.1f}",
                f"{done.count / done.seconds:,.0f}",
                f"{done.cpu / done.count * 1e6:.0f}",
                *(f"{done.resident[mark] / 2**20:.0f}" for mark in MARKS),
                done.differences,
            ]
        )


if __name__ == "__main__":
    main()

"""Measure how fast new manifests get from bytes into the store: parse, put, set, with every counter.

    .venv/bin/python -m benchmarks.ingest [--manifests 20000] [--tags 50]

Rules of this file: what is timed begins with raw bytes in memory and ends with a committed transaction for
each repository, as a crawl commits them, in a store that is a real file. Documents are made one repository
at a time outside the timed part, so that resident memory shows what the store needs. Every manifest is new,
and so is its config; half of the images stand on one of fifty bases of four layers, and in half of those of a
repository all but the last two layers are those of the image before.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from sqlalchemy import Connection

from benchmarks.documents import draw_digest, make_config, make_manifest
from benchmarks.model import CONFIG_BYTES, LAYER_BYTES, LAYERS_PER_IMAGE
from benchmarks.report import describe_machine, print_head, print_row, resident_bytes
from graph.oci.digest import compute_digest
from graph.oci.image import parse_image_config
from graph.oci.manifest import parse_manifest
from graph.oci.media_types import DOCKER_MANIFEST
from graph.oci.reference import RegistryName, RepositoryName, TagName
from graph.store.changes import (
    ArtifactChange,
    ConfiguredRegistry,
    Discovery,
    NewManifest,
    RepositoryChanges,
    TagChange,
)
from graph.store.content import put_manifests
from graph.store.engine import open_store
from graph.store.observations import put_repository, set_registries, set_repository
from graph.store.recount import recount

AT = datetime(2026, 1, 1, tzinfo=UTC)
CREATED = "2025-06-01T12:00:00.123456789Z"
PLATFORM = ("linux", "amd64", None)
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


def ingest(db: Connection, registry_id: int, name: str, documents: Sequence[Documents]) -> None:
    """Do what a crawl does with the documents of one repository once it has them."""
    manifests = [
        NewManifest(parse_manifest(data, DOCKER_MANIFEST), data, parse_image_config(config), config)
        for data, config in documents
    ]
    key = put_repository(db, registry_id, RepositoryName(name), AT)
    put_manifests(db, registry_id, manifests, AT)
    digests = [each.manifest.digest for each in manifests]
    changes = RepositoryChanges(
        at=AT,
        tags=[TagChange(TagName(f"1.{number}"), digest) for number, digest in enumerate(digests)],
        present=[ArtifactChange(digest, Discovery.TAG) for digest in digests],
        is_tag_list_complete=True,
        is_crawled=True,
    )
    set_repository(db, key, changes)


def run(path: Path, manifests: int, tags: int) -> tuple[float, dict[int, int], int]:
    """Return the seconds it took, the resident bytes at each mark, and the differences of a recount."""
    pushes = Pushes(Random(1))
    store = open_store(str(path))
    with store.transaction() as db:
        registry = ConfiguredRegistry(RegistryName("127.0.0.1:9"), "http://127.0.0.1:9", "oci")
        (registry_id,) = set_registries(db, [registry], AT)
    spent = 0.0
    resident: dict[int, int] = {}
    done = 0
    for number in range(manifests // tags):
        documents = pushes.draw_repository(tags)
        began = time.perf_counter()
        with store.transaction() as db:
            ingest(db, registry_id, f"team-{number % 100}/app-{number}", documents)
        spent += time.perf_counter() - began
        done += len(documents)
        for mark in MARKS:
            if mark not in resident and done * 100 >= mark * (manifests // tags * tags):
                resident[mark] = resident_bytes()
    with store.transaction() as db:
        differences = len(recount(db))
    store.close()
    return spent, resident, differences


def main() -> None:
    """Measure it, and print the table."""
    parser = argparse.ArgumentParser(description="Measure ingest from memory.")
    parser.add_argument("--manifests", type=int, default=20_000)
    parser.add_argument("--tags", type=int, nargs="+", default=[5, 50], help="images of each repository")
    arguments = parser.parse_args()
    marks = [f"MiB at {mark} %" for mark in MARKS]
    print(f"{describe_machine()}\n")
    print_head(["ingest", "new manifests", "seconds", "a second", *marks, "differences of a recount"])
    for tags in arguments.tags:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "store.sqlite3"
            spent, resident, differences = run(path, arguments.manifests, tags)
        count = arguments.manifests // tags * tags
        print_row(
            [
                f"{tags} images a repository",
                f"{count:,}",
                f"{spent:.1f}",
                f"{count / spent:,.0f}",
                *(f"{resident[mark] / 2**20:.0f}" for mark in MARKS),
                differences,
            ]
        )


if __name__ == "__main__":
    main()

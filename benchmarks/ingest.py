"""Measure how fast new manifests get from bytes into the store: parse, put, set, with every counter.

    .venv/bin/python benchmarks/ingest.py [MANIFESTS]

Prints a Markdown table. Each image has ten layers, five of them of one of fifty bases, and a config; a
repository has twenty tags. Documents are made outside the timed part, one repository at a time, so memory
shows what the store keeps and not what the benchmark does. The time is that of this machine.
"""

import hashlib
import json
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from graph.oci.image import parse_image_config
from graph.oci.manifest import parse_manifest
from graph.oci.reference import parse_registry_name, parse_repository_name, parse_tag_name
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

TAGS = 20
AT = datetime(2026, 11, 24, tzinfo=UTC)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_image(number: int, layers: int = 10) -> tuple[bytes, bytes]:
    """The manifest and the config of an image; the same bytes for the same number."""
    base = number // TAGS % 50
    names = [f"base-{base}-{position}" for position in range(5)]
    names += [f"own-{number}-{position}" for position in range(5)]
    names = names[:layers]
    digests = [digest_of(name.encode()) for name in names]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-02T03:04:05Z",
        "config": {"Env": ["PATH=/usr/bin"], "Labels": {"number": str(number)}},
        "rootfs": {"type": "layers", "diff_ids": digests},
        "history": [{"created_by": f"RUN step {name}"} for name in names],
    }
    config_data = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config_data), "size": len(config_data)},
        "layers": [
            {"mediaType": LAYER, "digest": digest, "size": 4_000_000 + position}
            for position, digest in enumerate(digests)
        ],
    }
    return json.dumps(manifest).encode(), config_data


def ingest(db: Connection, registry: int, name: str, documents: list[tuple[bytes, bytes]]) -> None:
    """What a crawl does with the documents of one repository once it has them."""
    manifests = [
        NewManifest(parse_manifest(data, MANIFEST), data, parse_image_config(config), config)
        for data, config in documents
    ]
    repository = put_repository(db, registry, parse_repository_name(name), AT)
    put_manifests(db, registry, manifests, AT)
    digests = [each.manifest.digest for each in manifests]
    changes = RepositoryChanges(
        at=AT,
        tags=[TagChange(parse_tag_name(f"v{number}"), digest) for number, digest in enumerate(digests)],
        present=[ArtifactChange(digest, Discovery.TAG) for digest in digests],
        is_tag_list_complete=True,
        is_crawled=True,
    )
    set_repository(db, repository, changes)


def resident() -> float:
    """Resident memory now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main(total: int) -> None:
    marks: dict[int, float] = {}
    spent = 0.0
    with tempfile.TemporaryDirectory() as directory:
        store = open_store(str(Path(directory) / "store.sqlite3"))
        with store.transaction() as db:
            configured: Any = ConfiguredRegistry(parse_registry_name("registry.example"), "https://x", "oci")
            (registry,) = set_registries(db, [configured], AT)
        repositories = total // TAGS
        for number in range(repositories):
            documents = [make_image(number * TAGS + tag) for tag in range(TAGS)]
            began = time.perf_counter()
            with store.transaction() as db:
                ingest(db, registry, f"team/app-{number}", documents)
            spent += time.perf_counter() - began
            percent = (number + 1) * 100 // repositories
            if percent in (10, 50, 100) and percent not in marks:
                marks[percent] = resident()
        with store.transaction() as db:
            differences = len(recount(db)) if total <= 20_000 else None
        store.close()
    print("| new manifests | seconds | manifests a second | resident at 10 %, 50 %, 100 % (MiB) | recount |")
    print("| --- | --- | --- | --- | --- |")
    memory = ", ".join(f"{marks[percent]:.0f}" for percent in (10, 50, 100))
    checked = "not run" if differences is None else f"{differences} differences"
    print(f"| {total} | {spent:.1f} | {total / spent:.0f} | {memory} | {checked} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)

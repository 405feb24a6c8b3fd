"""Manifests and configs as builders write them, as large as real ones, each unlike every other.

Rules of this file: bytes from random numbers; no row and no network. What they list need not exist.
"""

import json
from collections.abc import Sequence
from random import Random

from graph.oci.media_types import DOCKER_IMAGE_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST

# Lines of a Dockerfile that add no layer, for each one that does (ENV, CMD, LABEL, EXPOSE).
EMPTY_LINES_PER_LAYER = 0.8
VARIABLES = ("PATH", "LANG", "HOME", "APP_VERSION", "GPG_KEY", "NODE_VERSION", "PYTHONUNBUFFERED")
LABELS = (
    "maintainer",
    "org.opencontainers.image.source",
    "org.opencontainers.image.revision",
    "org.opencontainers.image.title",
)


def draw_digest(random: Random) -> str:
    """Return the digest of bytes that nobody has."""
    return f"sha256:{random.getrandbits(256):064x}"


def draw_text(random: Random, characters: int) -> str:
    """Return text that compresses about as well as the lines of a Dockerfile do."""
    words = (
        "RUN",
        "apt-get",
        "install",
        "--no-install-recommends",
        "&&",
        "rm",
        "-rf",
        "/var/lib/apt",
        "curl",
    )
    parts: list[str] = []
    length = 0
    while length < characters:
        part = random.choice(words) if random.random() < 0.7 else f"{random.getrandbits(40):x}"
        parts.append(part)
        length += len(part) + 1
    return " ".join(parts)[:characters]


def make_config(
    random: Random, layers: int, created: str, platform: Sequence[str | None], size: int
) -> bytes:
    """Return an image's config of about `size` bytes, with one line of history or more for each layer."""
    lines = layers + round(layers * EMPTY_LINES_PER_LAYER)
    characters = max(20, (size - 900 - 180 * layers) // lines)
    history: list[dict[str, object]] = [
        {"created": created, "created_by": draw_text(random, characters)} for _ in range(lines)
    ]
    for line in random.sample(history, lines - layers):
        line["empty_layer"] = True
    os, architecture, variant = platform
    config = {
        "architecture": architecture,
        "config": {
            "Env": [f"{name}={random.getrandbits(80):x}" for name in VARIABLES],
            "Cmd": ["/usr/bin/server", "--port", "8080"],
            "Entrypoint": ["/docker-entrypoint.sh"],
            "Labels": {name: f"{random.getrandbits(160):x}" for name in LABELS},
            "WorkingDir": "/srv",
            "ExposedPorts": {"8080/tcp": {}},
        },
        "created": created,
        "history": history,
        "os": os,
        "rootfs": {"type": "layers", "diff_ids": [draw_digest(random) for _ in range(layers)]},
    }
    if variant is not None:
        config["variant"] = variant
    return json.dumps(config, separators=(",", ":")).encode()


def make_manifest(config_digest: str, config_size: int, layers: Sequence[tuple[str, int]]) -> bytes:
    """Return an image manifest as Docker writes it, over layers given by digest and size."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": DOCKER_IMAGE_CONFIG, "size": config_size, "digest": config_digest},
        "layers": [
            {"mediaType": DOCKER_LAYER_GZIP, "size": size, "digest": digest} for digest, size in layers
        ],
    }
    return json.dumps(manifest, indent=3).encode()

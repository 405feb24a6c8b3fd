"""Layouts on disk, right and wrong ones, in one line: standard library only, nothing of `graph`."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from builders import Built

REF_NAME = "org.opencontainers.image.ref.name"


def named(built: Built, name: str | None = None, **annotations: str) -> dict[str, Any]:
    """An entry of a layout's index, with the name that skopeo would write."""
    notes = {**({} if name is None else {REF_NAME: name}), **annotations}
    return built.descriptor(**({"annotations": notes} if notes else {}))


def layout_files(entries: Sequence[Mapping[str, Any]], contents: Iterable[Built]) -> dict[str, bytes]:
    """The files of a layout whose index has these entries, and the blobs of these contents."""
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": list(entries)}).encode(),
    }
    for built in contents:
        for each in everything(built):
            algorithm, _, encoded = each.digest.partition(":")
            files[f"blobs/{algorithm}/{encoded}"] = each.data
    return files


def everything(built: Built) -> list[Built]:
    """The content itself and all it brings along."""
    return [built, *built.blobs, *(each for child in built.manifests for each in everything(child))]


def write_directory(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_tar(path: Path, files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Path:
    """A tar of the files, in pax format as Go writes it where it must; `links` are symbolic, by name."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.pax_headers = {"mtime": "1700000000.123456789"}
            archive.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return path


def write_zipped(path: Path, files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Path:
    """The same, compressed with gzip, whatever it is called."""
    path.write_bytes(gzip.compress(write_tar(path, files, links).read_bytes(), compresslevel=1))
    return path


def docker_files(images: Mapping[str, Built], layer_path: str = "{digest}.tar") -> dict[str, bytes]:
    """What `docker save` writes of these images, by address; layers stand there as they are given."""
    files: dict[str, bytes] = {}
    listed = []
    for address, image in images.items():
        config, *layers = image.blobs
        files[f"{config.digest[7:]}.json"] = config.data
        paths = [layer_path.format(digest=layer.digest[7:]) for layer in layers]
        files |= {path: layer.data for path, layer in zip(paths, layers, strict=True)}
        tags = [address] if address else None
        listed.append({"Config": f"{config.digest[7:]}.json", "RepoTags": tags, "Layers": paths})
    files["manifest.json"] = json.dumps(listed).encode()
    return files

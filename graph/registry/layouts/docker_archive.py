"""Read an archive of `docker save`: images as Docker's daemon has them, without manifests.

`manifest.json` lists for each image its config, its tags and its layers as uncompressed tars. The manifest is
made of that exactly as containers/image (docker/internal/tarfile/src.go) makes it, so that skopeo and podman
give the same image the same digest: Docker's schema 2 with layers named by the DiffIDs of the config. What a
layer holds is not hashed: the config says its digest, and nobody reads the layer.

An image that is damaged has its tags, which tell what is wrong to whoever asks for them; one that is damaged
and has no name has the list of what is untagged tell it.

An archive that Docker 25 or later wrote is an OCI image layout as well, which keeps the true manifests: that
is the better reading.
"""

import json
from typing import Any

from graph.errors import ContentError, InvalidDigestError
from graph.oci.digest import Digest, compute_digest, parse_digest
from graph.oci.document import decode_json
from graph.oci.manifest import MAX_LAYERS
from graph.oci.media_types import DOCKER_IMAGE_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST
from graph.oci.reference import RepositoryName, TagName
from graph.registry.layouts.contents import Contents, Held, is_same_address, parse_address
from graph.registry.layouts.files import Files
from graph.registry.layouts.members import LayoutError
from graph.registry.wire import MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES

# Images of one archive: more than any daemon was seen to hold.
MAX_IMAGES = 10_000


def read_docker_archive(files: Files, default: RepositoryName, name: str | None = None) -> Contents:
    """All that the archive holds, or one image of it; what has no tag goes into the repository `default`.

    Raises LayoutError where it is none, or has no image of this name.
    """
    contents = Contents()
    for image in _read_images(files):
        addresses = _read_addresses(image, name)
        if name is not None and not addresses:
            continue
        try:
            data, config, path = _make_manifest(files, image)
        except LayoutError as error:
            for repository, tag in addresses:
                contents.repository(repository).damaged[tag] = str(error)
            if not addresses:
                contents.repository(default).damage = str(error)
            continue
        digest = compute_digest(data)
        contents.paths[config] = path
        held = Held(DOCKER_MANIFEST, len(data), data=data)
        for repository, tag in addresses:
            contents.repository(repository).manifests[digest] = held
            contents.repository(repository).tags[tag] = digest
        if not addresses:
            contents.repository(default).manifests[digest] = held
    if name is not None and not contents.repositories:
        raise LayoutError(f"holds no image that is called {name!r}")
    return contents


def _read_images(files: Files) -> list[dict[str, Any]]:
    try:
        images = decode_json(files.read("manifest.json", MAX_MANIFEST_BYTES))
    except FileNotFoundError:
        raise LayoutError("is no archive of docker save: it has no file manifest.json") from None
    except ContentError as error:
        raise LayoutError(f"has a manifest.json that cannot be read: {error}") from None
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise LayoutError("has a manifest.json that is no list of images")
    if len(images) > MAX_IMAGES:
        raise LayoutError(f"holds more than {MAX_IMAGES} images")
    return images


def _read_addresses(image: dict[str, Any], name: str | None) -> list[tuple[RepositoryName, TagName]]:
    """What the image is called, or those of its names that mean `name`; what is no address is no name."""
    tags = image.get("RepoTags")
    texts = [each for each in tags if isinstance(each, str)] if isinstance(tags, list) else []
    meant = [each for each in texts if name is None or is_same_address(each, name)]
    return [address for each in meant if (address := parse_address(each)) is not None]


def _make_manifest(files: Files, image: dict[str, Any]) -> tuple[bytes, Digest, str]:
    """The manifest that the image would have, the digest of its config, and the file that has the config."""
    path = image.get("Config")
    if not isinstance(path, str):
        raise LayoutError("has an image without a config")
    try:
        config = files.read(path, MAX_CONFIG_BYTES)
        diff_ids = _read_diff_ids(decode_json(config))
        paths = _texts(image, "Layers")
        if len(paths) != len(diff_ids):
            raise LayoutError("has an image whose config tells another number of layers")
        sizes = [files.size(each) for each in paths]
    except FileNotFoundError as error:
        raise LayoutError(f"lacks a file of an image: {str(error)[:200]}") from None
    except ContentError as error:
        raise LayoutError(f"has a config that cannot be read: {error}") from None
    digest = compute_digest(config)
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": DOCKER_IMAGE_CONFIG, "size": len(config), "digest": digest},
        "layers": [
            # "gzip" although they are not: so does containers/image, and the digest depends on it.
            {"mediaType": DOCKER_LAYER_GZIP, "size": size, "digest": diff_id}
            for size, diff_id in zip(sizes, diff_ids, strict=True)
        ],
    }
    return json.dumps(document, separators=(",", ":")).encode(), digest, path


def _read_diff_ids(config: Any) -> list[Digest]:
    file_system = config.get("rootfs") if isinstance(config, dict) else None
    diff_ids = file_system.get("diff_ids") if isinstance(file_system, dict) else None
    try:
        if not isinstance(diff_ids, list) or len(diff_ids) > MAX_LAYERS:
            raise TypeError
        return [parse_digest(each) for each in diff_ids]
    except (TypeError, InvalidDigestError):
        raise LayoutError("has a config that does not tell the digests of its layers") from None


def _texts(image: dict[str, Any], name: str) -> list[str]:
    value = image.get(name)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise LayoutError(f"has an image whose {name} are no list of texts")
    return value

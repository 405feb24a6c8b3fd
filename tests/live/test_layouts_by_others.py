"""Layouts and archives that buildah and skopeo wrote are read here as skopeo reads them."""

import hashlib
import json
from pathlib import Path

import pytest

from graph.oci.reference import RepositoryName, TagName
from graph.registry.client import RegistryClient
from graph.settings import RegistrySettings
from live.rigs import find_tool, run
from live.seeding import Builder

pytestmark = [pytest.mark.live, pytest.mark.anyio]


def inspect(address: str) -> bytes:
    """The manifest's bytes as skopeo gives them."""
    return run([find_tool("skopeo"), "inspect", "--raw", address]).encode()


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


async def contents_of(url: str) -> dict[str, tuple[dict[str, str], set[str]]]:
    """Each repository's tags and manifests, every one of them read, and so verified."""
    found = {}
    async with RegistryClient(RegistrySettings(url=url)) as client:
        names = [name async for page in client.list_repositories() for name in page]
        for name in names:
            manifests = {each.digest async for page in client.list_manifests(name) for each in page}
            for digest in manifests:
                assert digest == (await client.get_manifest(name, digest)).digest
            tags = {tag.name: str(tag.digest) async for page in client.list_tags(name) for tag in page}
            found[str(name)] = (dict(tags), {str(each) for each in manifests})
    return found


async def test_layout_by_buildah(builder: Builder, tmp_path: Path) -> None:
    """Several images in one directory, one of them for two platforms."""
    path = tmp_path / "images"
    builder.save("team/web:1.0", f"oci:{path}:web-1.0")
    builder.save("team/api:2.0", f"oci:{path}:team/api:2.0")
    builder.save_list(f"oci:{path}:list")

    found = await contents_of(f"oci:{path}")

    index = inspect(f"oci:{path}:list")
    children = {child["digest"] for child in json.loads(index)["manifests"]}
    web, api = digest_of(inspect(f"oci:{path}:web-1.0")), digest_of(inspect(f"oci:{path}:team/api:2.0"))
    assert {
        "images": ({"list": digest_of(index), "web-1.0": web}, {digest_of(index), web, *children}),
        "team/api": ({"2.0": api}, {api}),
    } == found
    assert {"team/api": ({"2.0": api}, {api})} == await contents_of(f"oci:{path}:team/api:2.0")


async def test_layout_in_a_tar_by_skopeo(builder: Builder, tmp_path: Path) -> None:
    """What skopeo calls an oci-archive is the same layout in a tar."""
    path = tmp_path / "image.tar"
    builder.save("team/web:1.0", f"oci:{tmp_path / 'image'}:1.0")
    run([find_tool("skopeo"), "copy", f"oci:{tmp_path / 'image'}:1.0", f"oci-archive:{path}:1.0"])

    expected = digest_of(inspect(f"oci-archive:{path}"))

    assert {"image": ({"1.0": expected}, {expected})} == await contents_of(f"oci:{path}")
    run(["gzip", str(path)])
    assert {"image": ({"1.0": expected}, {expected})} == await contents_of(f"oci-archive:{path}.gz:1.0")


async def test_archive_for_docker(builder: Builder, tmp_path: Path) -> None:
    """Of an archive as Docker saves one skopeo makes the same manifest, byte for byte."""
    path = tmp_path / "saved.tar"
    builder.save("shop/cart:1", f"docker-archive:{path}:shop/cart:1")

    found = await contents_of(f"docker-archive:{path}")
    async with RegistryClient(RegistrySettings(url=f"docker-archive:{path}")) as client:
        fetched = await client.get_manifest(RepositoryName("docker.io/shop/cart"), TagName("1"))

    assert inspect(f"docker-archive:{path}").strip() == fetched.data
    # buildah writes the name that was asked for and the one that it has in its own storage.
    held = ({"1": fetched.digest}, {fetched.digest})
    assert {"docker.io/shop/cart": held, "localhost/shop/cart": held} == found
    run(["gzip", str(path)])
    assert {"docker.io/shop/cart": held} == await contents_of(
        f"docker-archive:{path}.gz:docker.io/shop/cart:1"
    )

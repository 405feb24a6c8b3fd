"""Images on disk are read as a registry is: by names, tags and digests, and nothing is believed unseen."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from builders import make_attestation, make_image, make_index, make_layer, make_sbom
from graph.errors import (
    ContentTooLargeError,
    DigestMismatchError,
    RegistryError,
    RegistryProtocolError,
    RegistryUnknownError,
    RegistryUnreachableError,
)
from graph.oci.digest import Digest
from graph.oci.manifest import ImageManifest, parse_manifest
from graph.oci.reference import RepositoryName, TagName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.client import RegistryClient
from graph.registry.dialects import choose_dialect
from graph.registry.exchange import RetryPolicy
from graph.registry.wire import MAX_MANIFEST_BYTES
from graph.settings import RegistrySettings
from layout_builders import layout_files, named, write_directory, write_tar, write_zipped

pytestmark = pytest.mark.anyio

IMAGE = make_image([make_layer("one"), make_layer("two")])
OTHER = make_image([make_layer("other")])


def connect(path: Path, kind: str = "oci", **settings: Any) -> RegistryClient:
    return RegistryClient(RegistrySettings(url=f"{kind}:{path}", **settings), retries=RetryPolicy(attempts=1))


@pytest.fixture(params=[write_directory, write_tar, write_zipped], ids=["directory", "tar", "gzip"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Mapping[str, bytes]], Path]:
    """A function that writes the files of a layout to disk: as a directory, a tar, a compressed tar."""

    def write(files: Mapping[str, bytes]) -> Path:
        path: Path = request.param(tmp_path / "shop", files)
        return path

    return write


async def read_all(client: RegistryClient) -> dict[str, tuple[dict[str, str | None], set[str]]]:
    """Each repository's tags, with what they name, and its manifests."""
    found = {}
    async for names in client.list_repositories():
        for name in names:
            tags = {tag.name: tag.digest async for page in client.list_tags(name) for tag in page}
            manifests = {each.digest async for page in client.list_manifests(name) for each in page}
            found[str(name)] = (dict(tags), set(manifests))
    return found


async def test_what_skopeo_names(write: Callable[..., Path]) -> None:
    """A tag alone belongs to the repository that is called after the file; an address names another."""
    index = make_index([IMAGE, make_attestation(IMAGE)])
    entries = [named(index, "v1"), named(OTHER, "localhost:5000/team/api:2.0")]
    path = write(layout_files(entries, [index, OTHER]))

    async with connect(path) as client:
        found = await read_all(client)

    assert {
        "shop": ({"v1": index.digest}, {index.digest, *(each.digest for each in index.manifests)}),
        "localhost-5000/team/api": ({"2.0": OTHER.digest}, {OTHER.digest}),
    } == found


async def test_what_docker_names(tmp_path: Path) -> None:
    """Docker and containerd write the whole address beside the tag."""
    name = {"io.containerd.image.name": "docker.io/library/web:1"}
    files = layout_files([named(IMAGE, "1", **name)], [IMAGE])

    async with connect(write_tar(tmp_path / "save.tar", files)) as client:
        found = await read_all(client)

    assert {"docker.io/library/web": ({"1": IMAGE.digest}, {IMAGE.digest})} == found


async def test_what_nobody_names(write: Callable[..., Path]) -> None:
    """An entry without a name is there, untagged: beside its subject where it has one."""
    sbom = make_sbom(IMAGE)
    entries = [named(sbom), named(OTHER), named(IMAGE, "web:1")]
    path = write(layout_files(entries, [IMAGE, OTHER, sbom]))

    async with connect(path) as client:
        found = await read_all(client)
        referrers = await client.list_referrers(RepositoryName("web"), Digest(IMAGE.digest))

    assert {
        "web": ({"1": IMAGE.digest}, {IMAGE.digest, sbom.digest}),
        "shop": ({}, {OTHER.digest}),
    } == found
    assert [sbom.digest] == [each.digest for each in referrers]


async def test_content(write: Callable[..., Path]) -> None:
    """Manifests and configs come as the bytes that their digests name."""
    path = write(layout_files([named(IMAGE, "v1")], [IMAGE]))
    manifest = parse_manifest(IMAGE.data, None)
    assert isinstance(manifest, ImageManifest) and manifest.config is not None

    async with connect(path) as client:
        by_tag = await client.get_manifest(RepositoryName("shop"), TagName("v1"))
        head = await client.head_manifest(RepositoryName("shop"), Digest(IMAGE.digest))
        data = await client.get_config(RepositoryName("shop"), manifest.config)
        with pytest.raises(RegistryUnknownError):
            await client.get_manifest(RepositoryName("shop"), TagName("v2"))

    assert (IMAGE.data, IMAGE.blobs[0].data) == (by_tag.data, data)
    assert (IMAGE.digest, IMAGE.media_type, IMAGE.size) == (head.digest, head.media_type, head.size)


async def test_a_layout_that_changes(tmp_path: Path) -> None:
    """What was written since is seen, without a restart."""
    path = write_directory(tmp_path / "shop", layout_files([named(IMAGE, "v1")], [IMAGE]))

    async with connect(path) as client:
        before = await read_all(client)
        write_directory(path, layout_files([named(IMAGE, "v1"), named(OTHER, "v2")], [IMAGE, OTHER]))
        after = await read_all(client)

    assert [["v1"], ["v1", "v2"]] == [list(found["shop"][0]) for found in (before, after)]


async def test_a_blob_that_is_missing(write: Callable[..., Path]) -> None:
    """A manifest whose file is not there is not there, whoever names it: that is legal in a layout."""
    index = make_index([IMAGE, OTHER])
    files = layout_files([named(index, "v1")], [index])
    del files[f"blobs/sha256/{OTHER.digest[7:]}"]

    async with connect(write(files)) as client:
        found = await read_all(client)
        with pytest.raises(RegistryUnknownError):
            await client.get_manifest(RepositoryName("shop"), Digest(OTHER.digest))

    assert {"shop": ({"v1": index.digest}, {index.digest, IMAGE.digest})} == found


async def test_bytes_that_are_others(write: Callable[..., Path]) -> None:
    """A file that is not what its name says is refused, and leads to nothing."""
    index = make_index([IMAGE])
    files = layout_files([named(OTHER, "v1")], [OTHER])
    files[f"blobs/sha256/{OTHER.digest[7:]}"] = index.data

    async with connect(write(files)) as client:
        found = await read_all(client)
        with pytest.raises(DigestMismatchError):
            await client.get_manifest(RepositoryName("shop"), Digest(OTHER.digest))

    assert {"shop": ({"v1": OTHER.digest}, {OTHER.digest})} == found


async def test_a_tag_whose_file_is_missing(write: Callable[..., Path]) -> None:
    """The tag is there and cannot be read, with the file named; the others are read as ever."""
    files = layout_files([named(IMAGE, "v1"), named(OTHER, "v2")], [IMAGE, OTHER])
    path = f"blobs/sha256/{OTHER.digest[7:]}"
    data = files.pop(path)
    layout = write(files)

    async with connect(layout) as client:
        found = await read_all(client)
        with pytest.raises(RegistryUnknownError, match=f"shop lacks the file {path}"):
            await client.get_manifest(RepositoryName("shop"), TagName("v2"))
        assert IMAGE.data == (await client.get_manifest(RepositoryName("shop"), TagName("v1"))).data
        if layout.is_dir():
            (layout / path).write_bytes(data)
            assert OTHER.data == (await client.get_manifest(RepositoryName("shop"), TagName("v2"))).data
            assert OTHER.digest in (await read_all(client))["shop"][1]

    assert {"shop": ({"v1": IMAGE.digest, "v2": OTHER.digest}, {IMAGE.digest})} == found


async def test_a_manifest_that_is_too_large(write: Callable[..., Path]) -> None:
    """It is refused as a registry's is, by its size."""
    files = layout_files([named(OTHER, "v1")], [OTHER])
    files[f"blobs/sha256/{OTHER.digest[7:]}"] = bytes(MAX_MANIFEST_BYTES + 1)

    async with connect(write(files)) as client:
        assert {"shop": ({"v1": OTHER.digest}, {OTHER.digest})} == await read_all(client)
        with pytest.raises(ContentTooLargeError):
            await client.get_manifest(RepositoryName("shop"), TagName("v1"))


async def test_links_out_of_a_directory(tmp_path: Path) -> None:
    """No link out is followed, not even to the right bytes, and a pipe is no file: each tag says so."""
    secret = tmp_path / "secret"
    secret.write_bytes(IMAGE.data)
    path = write_directory(tmp_path / "shop", layout_files([named(IMAGE, "v1"), named(OTHER, "v2")], []))
    (path / "blobs" / "sha256").mkdir(parents=True)
    (path / "blobs" / "sha256" / IMAGE.digest[7:]).symlink_to(secret)
    os.mkfifo(path / "blobs" / "sha256" / OTHER.digest[7:])

    async with connect(path) as client:
        for tag, reason in {"v1": "leads out of it.*blobs/sha256/", "v2": "lacks the file"}.items():
            with pytest.raises(RegistryError, match=reason):
                await client.get_manifest(RepositoryName("shop"), TagName(tag))


@pytest.mark.parametrize("target", ["{root}/../elsewhere/blobs", "../elsewhere/blobs", "sub/../../elsewhere"])
async def test_folders_that_are_elsewhere(tmp_path: Path, target: str) -> None:
    """Nor is a link out followed on the way to a file."""
    write_directory(tmp_path / "elsewhere", layout_files([], [IMAGE]))
    path = write_directory(tmp_path / "shop", layout_files([named(IMAGE, "v1")], []))
    (path / "blobs").symlink_to(target.format(root=path))

    async with connect(path) as client:
        assert ({"v1": IMAGE.digest}, {IMAGE.digest}) == (await read_all(client))["shop"]
        with pytest.raises(RegistryProtocolError, match="shop has a link that leads out of it.*: blobs "):
            await client.get_manifest(RepositoryName("shop"), TagName("v1"))


async def test_links_within_a_directory(tmp_path: Path) -> None:
    """A link to what is in the directory too is followed, of a folder as of a file."""
    files = layout_files([named(IMAGE, "v1")], [IMAGE])
    path = write_directory(
        tmp_path / "shop", {name.replace("blobs/", "all/kept/"): data for name, data in files.items()}
    )
    (path / "blobs").symlink_to("all/./kept")
    manifest = path / "all" / "kept" / "sha256" / IMAGE.digest[7:]
    manifest.rename(path / "moved")
    manifest.symlink_to("../../../moved")

    async with connect(path) as client:
        assert IMAGE.data == (await client.get_manifest(RepositoryName("shop"), TagName("v1"))).data


async def test_links_in_a_ring(tmp_path: Path) -> None:
    """They are not followed for ever."""
    path = write_directory(tmp_path / "shop", layout_files([named(IMAGE, "v1")], []))
    (path / "blobs").symlink_to("balls")
    (path / "balls").symlink_to("blobs")

    async with connect(path) as client:
        with pytest.raises(RegistryProtocolError, match="more than 8 links"):
            await client.get_manifest(RepositoryName("shop"), TagName("v1"))


async def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """It is the trouble of the one tag, and no reason to ask again and again."""
    path = write_directory(tmp_path / "shop", layout_files([named(IMAGE, "v1")], []))
    (path / "blobs").mkdir()
    (path / "blobs" / "sha256").write_bytes(b"no folder")

    async with connect(path) as client:
        with pytest.raises(RegistryProtocolError, match="cannot be read, blobs/.*: Not a directory"):
            await client.get_manifest(RepositoryName("shop"), TagName("v1"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"oci-layout": None}, "no file oci-layout"),
        ({"oci-layout": b'{"imageLayoutVersion":"2.0.0"}'}, "version that is not known"),
        ({"oci-layout": b"[" * 5000}, "version that is not known"),
        ({"index.json": b"{"}, "index.json that cannot be read"),
        ({"index.json": b'{"layers":[]}'}, "index.json"),
        ({"index.json": b'{"manifests":[],"manifests":[]}'}, "index.json that cannot be read"),
    ],
)
async def test_what_is_no_layout(
    write: Callable[..., Path], change: Mapping[str, bytes | None], reason: str
) -> None:
    """What is wrong with the whole is told, and by the registry's name."""
    files = layout_files([], []) | change
    path = write({name: data for name, data in files.items() if data is not None})

    async with connect(path) as client:
        with pytest.raises((RegistryProtocolError, RegistryUnreachableError), match=f"shop .*{reason}"):
            await client.ping()


async def test_nothing_there(tmp_path: Path) -> None:
    """A path with nothing at it is a registry that cannot be reached: it may come to be."""
    async with connect(tmp_path / "shop") as client:
        with pytest.raises(RegistryUnreachableError, match="shop cannot be read: No such file"):
            await client.ping()


@pytest.mark.parametrize(
    ("url", "dialect", "name"),
    [
        ("oci:/srv/images", "layout", "images"),
        ("oci:/srv/Images.tar", "layout", "images.tar"),
        ("docker-archive:/srv/saved.tar", "layout", "saved.tar"),
        ("oci:/srv/images:v1", "layout", "images"),
        ("oci-archive:/srv/images.tar:v1", "layout", "images.tar"),
        ("docker-archive:/srv/saved.tar:docker.io/team/web:1.0", "layout", "saved.tar"),
        ("oci:5000", "oci", "oci:5000"),
    ],
)
def test_layouts_are_told_by_their_url(url: str, dialect: str, name: str) -> None:
    """A path behind `oci:` is a layout; what only has digits there is a host with a port."""
    settings = RegistrySettings(url=url)

    assert (dialect, name) == (choose_dialect(settings).name, settings.name)


@pytest.mark.parametrize(
    "url", ["oci:images:", "oci:images:@0", "docker-archive:saved.tar:team/web@sha256:1"]
)
def test_names_of_images_that_are_none(url: str) -> None:
    """What is behind the second colon and names no image is refused, with the right form."""
    with pytest.raises(ValueError, match="nor its repository and tag; write [a-z-]+:path or [a-z-]+:path:t"):
        RegistrySettings(url=url)


def test_places_are_spelled_out() -> None:
    """A relative path is from where the command was given; skopeo's name of a layout in a tar will do."""
    here = Path.cwd()

    places = [RegistrySettings(url=url).url for url in ("oci:images:v1", "oci-archive:a.tar")]

    assert [f"oci:{here}/images:v1", f"oci:{here}/a.tar"] == places


async def test_one_image_of_a_layout(write: Callable[..., Path]) -> None:
    """`oci:path:tag` is one image, with what it leads to and what refers to it, and nothing else."""
    index, sbom = make_index([IMAGE]), make_sbom(IMAGE)
    name = {"io.containerd.image.name": "docker.io/library/busybox:1.36"}
    entries = [
        named(index, "v1"),
        named(OTHER, "team/web:2"),
        named(OTHER, "1.36", **name),
        named(sbom),
        named(OTHER),
    ]
    path = write(layout_files(entries, [index, OTHER, sbom]))
    other = {OTHER.digest}

    found = {}
    for image in ("v1", "team/web:2", "busybox:1.36", "1.36"):
        async with connect(Path(f"{path}:{image}")) as client:
            found[image] = await read_all(client)

    assert {
        "v1": {"shop": ({"v1": index.digest}, {index.digest, IMAGE.digest, sbom.digest})},
        "team/web:2": {"team/web": ({"2": OTHER.digest}, other)},
        "busybox:1.36": {"docker.io/library/busybox": ({"1.36": OTHER.digest}, other)},
        "1.36": {"docker.io/library/busybox": ({"1.36": OTHER.digest}, other)},
    } == found


async def test_an_image_that_is_not_there(write: Callable[..., Path]) -> None:
    """A name that no image has is an error, and not a registry without images."""
    path = write(layout_files([named(IMAGE, "v1"), named(OTHER)], [IMAGE, OTHER]))

    async with connect(Path(f"{path}:v2")) as client:
        with pytest.raises(RegistryProtocolError, match="shop holds no image that is called 'v2'"):
            await client.ping()


def test_files_that_are_called_as_no_registry_is() -> None:
    """A file's name that cannot be a registry's is a mistake until another is given."""
    with pytest.raises(ValueError, match="my images.*give it one"):
        RegistrySettings(url="oci:/srv/my images")

    assert "mine" == RegistrySettings(url="oci:/srv/my images", name="mine").name


@pytest.mark.parametrize(
    ("url", "dialect"), [("oci:/srv/images", "azure"), ("https://registry.example", "layout")]
)
def test_a_dialect_that_does_not_fit(url: str, dialect: str) -> None:
    """Nobody else's dialect is spoken by a file, nor a file's by anybody else."""
    with pytest.raises(ValueError, match=f"{url} is no "):
        RegistrySettings(url=url, dialect=dialect)


async def test_capabilities(tmp_path: Path) -> None:
    """A file tells all but times and locks."""
    async with connect(tmp_path / "shop") as client:
        told = {each for each, state in client.capabilities.items() if state is CapabilityState.SUPPORTED}

    assert {
        Capability.CATALOG,
        Capability.REFERRERS,
        Capability.TAG_DIGESTS,
        Capability.UNTAGGED_LISTING,
    } == told

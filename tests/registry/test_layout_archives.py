"""Archives are read without being unpacked: what `docker save` wrote, and what somebody wrote to harm us."""

import bz2
import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from builders import Built, make_config, make_image, make_layer
from graph.errors import RegistryProtocolError
from graph.oci.reference import RepositoryName, TagName
from graph.places import LayoutKind
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.registry.layouts import LayoutTransport
from graph.registry.layouts.files import Archive, Plain
from graph.registry.layouts.members import LayoutError, read_members
from graph.registry.layouts.unzipped import Unzipped
from graph.settings import RegistrySettings
from layout_builders import docker_files, layout_files, named, write_tar, write_zipped

pytestmark = pytest.mark.anyio

IMAGE = make_image([make_layer("one"), make_layer("two")], docker=True)
OTHER = make_image([make_layer("other")], docker=True)
WEB = RepositoryName("web")


def connect(kind: str, path: Path) -> RegistryClient:
    return RegistryClient(RegistrySettings(url=f"{kind}:{path}"), retries=RetryPolicy(attempts=1))


def diff_ids(image: Built) -> list[str]:
    ids: list[str] = image.blobs[0].document["rootfs"]["diff_ids"]
    return ids


async def test_docker_save(tmp_path: Path) -> None:
    """Each image has a manifest of Docker's kind, with layers by their DiffIDs and the sizes of the tars."""
    path = write_tar(tmp_path / "saved.tar", docker_files({"web:1": IMAGE}))

    async with connect("docker-archive", path) as client:
        repositories = [page async for page in client.list_repositories()]
        fetched = await client.get_manifest(WEB, TagName("1"))

    manifest = json.loads(fetched.data)
    config, *layers = IMAGE.blobs
    assert [(WEB,)] == repositories
    assert config.digest == manifest["config"]["digest"]
    assert list(zip(diff_ids(IMAGE), [layer.size for layer in layers], strict=True)) == [
        (layer["digest"], layer["size"]) for layer in manifest["layers"]
    ]


async def test_images_without_a_tag(tmp_path: Path) -> None:
    """An image saved by its id is there, untagged, in the repository called after the file."""
    path = write_tar(tmp_path / "saved.tar", docker_files({"": IMAGE}))

    async with connect("docker-archive", path) as client:
        assert [("saved",)] == [page async for page in client.list_repositories()]
        (manifests,) = [page async for page in client.list_manifests(RepositoryName("saved"))]
        assert [()] == [page async for page in client.list_tags(RepositoryName("saved"))]

    assert 1 == len(manifests)


async def test_links_within_an_archive(tmp_path: Path) -> None:
    """Docker before 25 kept a layer once, and linked to it from every other image."""
    saved = docker_files({"web:1": IMAGE})
    (path, *_) = json.loads(saved["manifest.json"])[0]["Layers"]
    saved["first/layer.tar"] = saved.pop(path)
    archive = write_tar(tmp_path / "saved.tar", saved, {path: "first/layer.tar"})

    async with connect("docker-archive", archive) as client:
        manifest = json.loads((await client.get_manifest(WEB, TagName("1"))).data)

    assert IMAGE.blobs[1].size == manifest["layers"][0]["size"]


@pytest.mark.parametrize("target", ["../../../../etc/passwd", "/etc/passwd", "a", "b"])
async def test_links_out_of_an_archive(tmp_path: Path, target: str) -> None:
    """A link is a name among the members or nothing, and no ring of links is followed for ever."""
    path = write_tar(tmp_path / "a.tar", {"c": b"c"}, {"a": target, "b": "a"})

    with pytest.raises(FileNotFoundError):
        Archive(path).read("a", 100)


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_names_out_of_an_archive(tmp_path: Path, name: str) -> None:
    """A member whose name leads out of the archive is none."""
    path = write_tar(tmp_path / "a.tar", {name: b"evil", "./good": b"good"})

    archive = Archive(path)

    assert b"good" == archive.read("good", 100)
    for asked in (name, "evil", "/evil"):
        with pytest.raises(FileNotFoundError):
            archive.read(asked, 100)


def tar_of(*members: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> bytes:
    """The members with no bytes, so that a size is whatever is claimed."""
    data = b"".join(member.tobuf(format) for member in members)
    return data + bytes(1024)


def member(name: str = "a", **facts: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in facts.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (bytes(10_240), "empty"),
        (b"not a tar" * 200, "no tar"),
        (bz2.compress(b"x" * 2000), "compressed in a way"),
        (tar_of(member(size=10**12)), "cut short"),
        (tar_of(member(size=2**63 - 1), format=tarfile.GNU_FORMAT), "cut short"),
        (tar_of(member(type=tarfile.XHDTYPE, size=10**9)), "header of more than 65536"),
        (tar_of(member(type=tarfile.GNUTYPE_LONGNAME, size=10**9)), "header of more than 65536"),
        (tar_of(member(type=tarfile.GNUTYPE_SPARSE)), "holes"),
        (tar_of(member())[:512] + b"\1" * 512, "damaged"),
        (tar_of(member(type=tarfile.XHDTYPE, size=512))[:512] + b"999 path=a\n" + bytes(501), "damaged"),
        (tar_of(member(type=tarfile.XHDTYPE, size=512))[:512] + b"0 path=a\n" + bytes(503), "damaged"),
    ],
)
def test_archives_that_harm(tmp_path: Path, data: bytes, reason: str) -> None:
    """What an archive claims is held against what there is before a byte of it is read."""
    path = tmp_path / "a.tar"
    for written in (data, gzip.compress(data)):
        path.write_bytes(written)

        with pytest.raises(LayoutError, match=reason):
            Archive(path).size("a")


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(bytes(4096))[:20],
        b"\x1f\x8b",
        b"\x1f\x8b" + b"no gzip" * 100,
        gzip.compress(bytes(4096))[:10] + b"\xff" * 100,
    ],
)
def test_gzip_that_is_damaged(tmp_path: Path, data: bytes) -> None:
    """It is told as what it is, by the layout's error."""
    path = tmp_path / "a.tar.gz"
    path.write_bytes(data)

    with pytest.raises(LayoutError, match="compressed, and (damaged|was cut short)"):
        Archive(path).size("a")


def test_decompression_has_bounds(tmp_path: Path) -> None:
    """Neither what comes out of a small file nor what is kept of it grows without end."""
    path = write_zipped(tmp_path / "a.tar.gz", {"a": b"{" * 3000, "b": bytes(9_000_000), "c": b"[" * 3000})
    with path.open("rb") as file:
        for bounds, reason in (
            ({"max_bytes": 9_000_000}, "more than 9000000 bytes"),
            ({"max_kept_bytes": 5000}, "too many documents"),
        ):
            with pytest.raises(LayoutError, match=reason):
                read_members(Unzipped(file.fileno(), **bounds))
        unzipped = Unzipped(file.fileno(), max_kept_bytes=6000)
        assert ["a", "b", "c"] == list(read_members(unzipped))
        assert [3000, 3000] == [len(data) for data in unzipped.documents.values()]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(b"") * 1000, "too many streams"),
        (gzip.compress(b"")[:3] + b"\x08" + bytes(6) + b"a" * 10_000_000, "more than 3000000 bytes"),
        (gzip.compress(b"") + bytes(10_000_000), "more than 3000000 bytes"),
    ],
    ids=["streams", "a name", "filling"],
)
def test_compression_of_nothing_has_bounds(tmp_path: Path, data: bytes, reason: str) -> None:
    """What a file makes us read is bounded too, where nothing comes out of it."""
    path = tmp_path / "a.tar.gz"
    path.write_bytes(data)
    with path.open("rb") as file, pytest.raises(LayoutError, match=reason):
        read_members(Unzipped(file.fileno(), max_bytes=3_000_000, max_streams=999))


@pytest.mark.parametrize("size", [0, 4])
def test_a_tar_without_an_end(tmp_path: Path, size: int) -> None:
    """Neither the blocks of zeros at the end are missed nor what fills up the last one."""
    path = tmp_path / "a.tar"
    data = member(size=size).tobuf() + b"abcd"[:size]
    for written in (data, gzip.compress(data)):
        path.write_bytes(written)
        assert size == Archive(path).size("a")


def test_gzip_in_parts(tmp_path: Path) -> None:
    """A file of several streams, as pigz and bgzip write it, is one tar."""
    path = write_tar(tmp_path / "a.tar", {"a": b"{}", "b": b"[1]", "c": b"no JSON"})
    data = path.read_bytes()
    path.write_bytes(gzip.compress(data[:700]) + gzip.compress(b"") + gzip.compress(data[700:]) + bytes(1000))

    archive = Archive(path)

    assert (b"{}", b"[1]", 7) == (archive.read("a", 9), archive.read("b", 9), archive.size("c"))
    with pytest.raises(LayoutError, match="no JSON: c"):
        archive.read("c", 9)


@pytest.mark.parametrize("name", ["saved.tar.gz", "saved.tgz", "Saved.TAR"])
async def test_docker_save_that_is_compressed(tmp_path: Path, name: str) -> None:
    """`docker save web:1 | gzip` gives the same images under the same names."""
    files = docker_files({"web:1": IMAGE, "": OTHER})
    plain = write_tar(tmp_path / "plain.tar", files)
    zipped = write_zipped(tmp_path / name, files)

    async with connect("docker-archive", plain) as one, connect("docker-archive", zipped) as other:
        expected = await one.get_manifest(WEB, TagName("1"))
        assert expected == await other.get_manifest(WEB, TagName("1"))
        assert [("saved", "web")] == [page async for page in other.list_repositories()]


def test_an_archive_without_end(tmp_path: Path) -> None:
    """The number of members is bounded, whatever the length of the file."""
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(member()) + member().tobuf() * 100)

    with path.open("rb") as file:
        assert ["a"] == list(read_members(Plain(file.fileno()), max_members=2))
    path.write_bytes(member().tobuf() * 101)
    with path.open("rb") as file, pytest.raises(LayoutError, match="more than 100 members"):
        read_members(Plain(file.fileno()), max_members=100)


def test_long_names(tmp_path: Path) -> None:
    """Names of more than 100 characters are read in both of the ways in which they are written."""
    name = "/".join(["directory"] * 20)
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        path = tmp_path / f"{format}.tar"
        with tarfile.open(path, "w", format=format) as archive:
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"long"))

        assert b"long" == Archive(path).read(name, 100)


def without(name: str) -> Callable[[dict[str, bytes]], None]:
    def change(saved: dict[str, bytes]) -> None:
        del saved[name]

    return change


def rewrite(**facts: object) -> Callable[[dict[str, bytes]], None]:
    def change(saved: dict[str, bytes]) -> None:
        (image,) = json.loads(saved["manifest.json"])
        saved["manifest.json"] = json.dumps([image | facts]).encode()

    return change


CONFIG = f"{IMAGE.blobs[0].digest[7:]}.json"
LAYER = f"{IMAGE.blobs[1].digest[7:]}.tar"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without(CONFIG), "lacks a file of an image"),
        (without(LAYER), "lacks a file of an image"),
        (rewrite(Config=1), "without a config"),
        (rewrite(Layers=[]), "another number of layers"),
        (rewrite(Layers=None), "Layers are no list"),
        (rewrite(Config="../../etc/passwd"), "lacks a file of an image"),
        (rewrite(Config="manifest.json"), "does not tell the digests"),
    ],
)
async def test_images_that_are_damaged(
    tmp_path: Path, change: Callable[[dict[str, bytes]], None], reason: str
) -> None:
    """What is wrong with one image is told of its tags, and others are read."""
    saved = docker_files({"web:1": IMAGE})
    change(saved)
    good = docker_files({"web:2": OTHER})
    saved["manifest.json"] = json.dumps(
        json.loads(saved["manifest.json"]) + json.loads(good.pop("manifest.json"))
    ).encode()
    path = write_tar(tmp_path / "saved.tar", saved | good)

    async with connect("docker-archive", path) as client:
        tags = [tag async for page in client.list_tags(WEB) for tag in page]
        listed = [each.digest async for page in client.list_manifests(WEB) for each in page]
        fetched = await client.get_manifest(WEB, TagName("2"))
        with pytest.raises(RegistryProtocolError, match=reason):
            await client.get_manifest(WEB, TagName("1"))

    assert [("1", None), ("2", fetched.digest)] == [(tag.name, tag.digest) for tag in tags]
    assert [fetched.digest] == listed


@pytest.mark.parametrize("tags", [None, [1], 1])
async def test_damaged_images_without_a_tag(tmp_path: Path, tags: object) -> None:
    """What is damaged and has no name is told by the list in which it would have been."""
    saved = docker_files({"web:1": IMAGE})
    rewrite(Layers=[], RepoTags=tags)(saved)
    path = write_tar(tmp_path / "saved.tar", saved)

    async with connect("docker-archive", path) as client:
        assert [("saved",)] == [page async for page in client.list_repositories()]
        with pytest.raises(RegistryProtocolError, match="another number of layers"):
            assert [] == [page async for page in client.list_manifests(RepositoryName("saved"))]


@pytest.mark.parametrize("name", ["busybox:1", "docker.io/library/busybox:1", "library/busybox:1"])
async def test_one_image_of_docker_save(tmp_path: Path, name: str) -> None:
    """`docker-archive:path:image` is the one that has this name, by whichever of its forms, and no other."""
    path = write_tar(tmp_path / "saved.tar", docker_files({"web:1": IMAGE, "busybox:1": OTHER, "": IMAGE}))

    async with connect("docker-archive", Path(f"{path}:{name}")) as client:
        assert [("busybox",)] == [page async for page in client.list_repositories()]
        assert ["1"] == [
            tag.name async for page in client.list_tags(RepositoryName("busybox")) for tag in page
        ]

    async with connect("docker-archive", Path(f"{path}:busybox:2")) as client:
        with pytest.raises(RegistryProtocolError, match="no image that is called 'busybox:2'"):
            await client.ping()


async def test_what_docker_did_not_save(tmp_path: Path) -> None:
    """An archive that does not list its images is refused whole."""
    path = write_tar(tmp_path / "saved.tar", {"repositories": b"{}"})

    async with connect("docker-archive", path) as client:
        with pytest.raises(RegistryProtocolError, match="no file manifest.json"):
            await client.ping()


async def test_addresses_that_are_none(tmp_path: Path) -> None:
    """A tag that no registry could have does not hide the image."""
    path = write_tar(tmp_path / "saved.tar", docker_files({"Not/An Address": IMAGE}))

    async with connect("docker-archive", path) as client:
        assert [("saved",)] == [page async for page in client.list_repositories()]


async def test_blobs_that_are_too_large(tmp_path: Path) -> None:
    """A layer is never read, whoever asks for it as a config."""
    large = make_layer("large", padding=9_000_000)
    image = make_image([large], make_config([large]))
    path = write_tar(tmp_path / "shop.tar", layout_files([named(image, "v1")], [image]))
    transport = LayoutTransport(LayoutKind.OCI, path)

    answers = [
        await transport.handle_async_request(httpx.Request("GET", f"http://shop/v2/shop/blobs/{digest}"))
        for digest in (image.blobs[0].digest, large.digest)
    ]

    assert [200, 404] == [answer.status_code for answer in answers]

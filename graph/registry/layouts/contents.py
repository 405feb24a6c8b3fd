"""What a layout holds, as repositories with tags and manifests, and how images on disk are named.

Rules of this file: no I/O. A layout has no repositories, only names that its writers left: skopeo and buildah
write what stands behind the path (`oci:dir:v1`), containerd and Docker the whole address. Without a name the
repository is called after the file, so that what is there is shown in any case.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from graph.errors import InvalidNameError
from graph.oci.digest import Digest
from graph.oci.reference import LATEST, RepositoryName, TagName, parse_repository_name, parse_tag_name

# image-spec, annotations.md; and containerd's images.AnnotationImageName, which Docker writes too.
REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"

# Where nothing of a file's name can stand in the name of a repository.
UNNAMED = RepositoryName("images")


@dataclass(frozen=True, slots=True)
class Held:
    """A manifest that is there, and what a list of referrers tells of it, where it refers to something."""

    media_type: str
    size: int
    subject: Digest | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    data: bytes | None = field(default=None, repr=False)
    """Its bytes where no file has them."""


@dataclass(slots=True)
class HeldRepository:
    """The tags and manifests that go under one name."""

    tags: dict[TagName, Digest] = field(default_factory=dict)
    manifests: dict[Digest, Held] = field(default_factory=dict)
    missing: dict[Digest, Held] = field(default_factory=dict)
    """What tags name and no file has."""
    damaged: dict[TagName, str] = field(default_factory=dict)
    """Tags of images without a digest, and why; the texts continue "the registry …"."""
    damage: str | None = None
    """Why something that no tag names is not among the manifests."""

    def find(self, digest: Digest) -> Held | None:
        """What goes under this digest; None for what nothing names."""
        return self.manifests.get(digest) or self.missing.get(digest)


@dataclass(slots=True)
class Contents:
    """All that a layout holds; `paths` has the files of blobs that are not where a layout has them."""

    repositories: dict[RepositoryName, HeldRepository] = field(default_factory=dict)
    paths: dict[Digest, str] = field(default_factory=dict)

    def repository(self, name: RepositoryName) -> HeldRepository:
        """The repository of this name, made empty if there was none."""
        return self.repositories.setdefault(name, HeldRepository())

    def path_of(self, digest: Digest) -> str:
        """The file of a blob."""
        return self.paths.get(digest) or blob_path(digest)


def blob_path(digest: Digest) -> str:
    """Where a layout keeps a blob: `blobs/<algorithm>/<encoded>` (image-spec, image-layout.md)."""
    algorithm, _, encoded = digest.partition(":")
    return f"blobs/{algorithm}/{encoded}"


def repository_of_file(name: str) -> RepositoryName:
    """What the repository is called whose images have no name: as the file, without `.tar` or `.tar.gz`."""
    stem = re.sub(r"\.(tar|tar\.gz|tgz)$", "", name.lower())
    text = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")
    return RepositoryName(text) if text else UNNAMED


def read_name(
    annotations: Mapping[str, str], default: RepositoryName
) -> tuple[RepositoryName, TagName | None]:
    """Under which name and tag an entry of a layout's index goes; no tag where it has no name."""
    address = annotations.get(IMAGE_NAME)
    if address is None:
        address = annotations.get(REF_NAME, "")
        try:
            return default, parse_tag_name(address)
        except InvalidNameError:
            pass
    return parse_address(address) or (default, None)


def is_meant(annotations: Mapping[str, str], image: str | None) -> bool:
    """Whether an entry of a layout's index is the image of this name; None means any."""
    if image is None or image == annotations.get(REF_NAME):
        return True
    return IMAGE_NAME in annotations and is_same_address(annotations[IMAGE_NAME], image)


def is_same_address(one: str, other: str) -> bool:
    """Whether two addresses mean the same, where Docker leaves out its own host and `latest`."""
    return one == other or _spell_out(one) == _spell_out(other) is not None


def _spell_out(address: str) -> tuple[str, TagName] | None:
    parsed = parse_address(address)
    if parsed is None:
        return None
    name, tag = parsed
    return name.removeprefix("docker.io/").removeprefix("library/"), tag


def parse_address(address: str) -> tuple[RepositoryName, TagName] | None:
    """Repository and tag of an address such as `docker.io/library/busybox:1.36`; None where it is none.

    The host stays part of the name, since two hosts may have images of one name; `localhost:5000/web` becomes
    `localhost-5000/web`, because no repository's name holds a colon.
    """
    name, colon, tag = address.partition("@")[0].rpartition(":")
    if not colon or "/" in tag:
        name, tag = address.partition("@")[0], LATEST
    host, slash, rest = name.partition("/")
    try:
        return parse_repository_name(f"{host.replace(':', '-')}{slash}{rest}"), parse_tag_name(tag)
    except InvalidNameError:
        return None

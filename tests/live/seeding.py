"""What the live registries hold: images that buildah built and pushed, and what plain PUTs add to them.

`buildah` builds without a network: from scratch, with files of a temporary directory, children FROM bases.
Charts, referrers and the many tags are pushed with the requests of the distribution specification alone.
"""

import base64
import hashlib
import json
import shutil
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin

from builders import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Built,
    attestation_descriptor,
    make_artifact,
    make_attestation,
    make_blob,
    make_helm_chart,
    make_image,
    make_index,
    make_layer,
    make_sbom,
    make_signature,
)
from live.rigs import find_tool, run

NOTATION = "application/vnd.cncf.notary.signature"
TAG_COUNT = 150
# Tags that point at one manifest in many/tags.
TAGS_A_MANIFEST = 3


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image that buildah builds: `files` by path and size, each a COPY line and so a layer."""

    name: str
    files: Mapping[str, int]
    base: str | None = None
    is_docker: bool = False
    architecture: str = "amd64"


RECIPES = (
    Recipe("base/os:1", {"etc/os": 220_000, "lib/libc": 410_000}),
    Recipe("base/runtime:1", {"usr/runtime": 530_000}, base="base/os:1"),
    Recipe("team/web:1.0", {"app/web": 31_000}, base="base/runtime:1", is_docker=True),
    Recipe("team/web:1.1", {"app/web": 32_000}, base="base/runtime:1", is_docker=True),
    Recipe("team/api:1.0", {"app/api": 21_000}, base="base/runtime:1"),
    Recipe("team/api:2.0", {"app/api": 22_000, "app/extra": 4_000}, base="base/runtime:1"),
    Recipe("shop/cart:1", {"app/cart": 41_000}, base="base/runtime:1", is_docker=True),
    Recipe("shop/checkout:1", {"app/checkout": 42_000}, base="base/os:1"),
    Recipe("solo:1", {"app/solo": 51_000}),
    Recipe("arch/amd64:1", {"app/amd64": 61_000}, base="base/os:1"),
    Recipe("arch/arm64:1", {"app/arm64": 62_000}, architecture="arm64"),
)

REPOSITORIES = tuple(
    sorted(
        {recipe.name.partition(":")[0] for recipe in RECIPES}
        | {"multi/oci", "multi/docker", "charts/app", "attested/app", "many/tags"}
    )
)


@dataclass(slots=True)
class Seeded:
    """What was put into a registry beyond what its tags tell.

    `kinds` is what each of some artifacts is; `referrers` maps a subject to what refers to it by its own
    `subject`; both are keyed by repository and digest.
    """

    kinds: dict[tuple[str, str], str] = field(default_factory=dict)
    referrers: dict[tuple[str, str], set[str]] = field(default_factory=dict)


class Builder:
    """buildah with a storage of its own."""

    def __init__(self, directory: Path) -> None:
        self._tool = find_tool("buildah")
        self._directory = directory
        self._storage = (
            *("--root", directory / "root", "--runroot", directory / "runroot"),
            # Neither a kernel module nor a mount is needed for it.
            *("--storage-driver", "vfs"),
        )

    def _buildah(self, *arguments: str | Path) -> str:
        return run([self._tool, *self._storage, *arguments])

    def build(self, recipe: Recipe) -> None:
        """Build the image as `localhost/NAME`."""
        context = self._directory / "context"
        shutil.rmtree(context, ignore_errors=True)
        lines = [f"FROM {'scratch' if recipe.base is None else f'localhost/{recipe.base}'}"]
        lines += [f"LABEL org.opencontainers.image.title={recipe.name}", "ENV SEEDED=yes"]
        for path, size in recipe.files.items():
            file = context / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(hashlib.shake_256(f"{recipe.name} {path}".encode()).digest(size))
            lines.append(f"COPY {path} /{path}")
        lines.append(f'CMD ["/{path}"]')
        (context / "Containerfile").write_text("\n".join(lines))
        self._buildah(
            *("build", "--layers", "--pull-never", "--isolation", "chroot", "--arch", recipe.architecture),
            *("--format", "docker" if recipe.is_docker else "oci"),
            *("--tag", f"localhost/{recipe.name}", context),
        )

    def build_all(self) -> None:
        """Every image of RECIPES, and a list of two platforms."""
        for recipe in RECIPES:
            self.build(recipe)
        self._buildah("manifest", "create", "localhost/list")
        for architecture in ("amd64", "arm64"):
            self._buildah("manifest", "add", "localhost/list", f"localhost/arch/{architecture}:1")

    def pull(self, name: str) -> None:
        """Pull an image, as `docker_url` addresses it, into the storage; what is there is not fetched."""
        self._buildah("pull", "--tls-verify=false", name)

    def save(self, name: str, destination: str) -> None:
        """Write what was built to a layout or an archive, as containers/image addresses it."""
        self._buildah("push", f"localhost/{name}", destination)

    def save_list(self, destination: str) -> None:
        """Write the list of two platforms, and both of them."""
        self._buildah("manifest", "push", "--all", "localhost/list", destination)

    def push_all(self, url: str, password: str = "") -> None:
        """Everything built, the bases first, and the list in both formats; `password`: "USER:PASSWORD"."""
        options = ["--tls-verify=false", *(("--creds", password) if password else ())]
        for recipe in RECIPES:
            self._buildah("push", *options, f"localhost/{recipe.name}", docker_url(url, recipe.name))
        for name, form in (("multi/oci:1", "oci"), ("multi/docker:1", "v2s2")):
            self._buildah(
                *("manifest", "push", "--all", *options, "--format", form),
                *("localhost/list", docker_url(url, name)),
            )


def docker_url(url: str, name: str) -> str:
    """How buildah and skopeo address an image of a registry."""
    return f"docker://{url.removeprefix('http://')}/{name}"


def request(url: str, method: str, data: bytes = b"", **headers: str) -> tuple[Mapping[str, str], bytes]:
    """Headers and body of the answer; anything but success is an exception."""
    asked = urllib.request.Request(url, data or None, headers, method=method)
    with urllib.request.urlopen(asked, timeout=30) as response:
        return response.headers, response.read()


def push_blob(url: str, repository: str, blob: Built, **login: str) -> None:
    """POST for a place, PUT the bytes there (distribution-spec, "Pushing a blob monolithically")."""
    base = f"{url}/v2/{repository}/blobs/uploads/"
    headers, _ = request(base, "POST", **{"Content-Length": "0"}, **login)
    place = urljoin(base, headers["Location"])
    joint = "&" if "?" in place else "?"
    place = f"{place}{joint}digest={blob.digest}"
    request(place, "PUT", blob.data, **{"Content-Type": blob.media_type}, **login)


def push(url: str, repository: str, built: Built, *tags: str, **login: str) -> str:
    """Everything the manifest needs, then the manifest, by digest if there is no tag; its digest.

    `login`: the header that says who pushes, where the registry wants to know.
    """
    for blob in built.blobs:
        push_blob(url, repository, blob, **login)
    for child in built.manifests:
        push(url, repository, child, **login)
    for reference in tags or (built.digest,):
        put_manifest(url, repository, built, reference, **login)
    return built.digest


def put_manifest(url: str, repository: str, built: Built, reference: str, **login: str) -> None:
    place = f"{url}/v2/{repository}/manifests/{reference}"
    request(place, "PUT", built.data, **{"Content-Type": built.media_type}, **login)


def get_manifest(url: str, repository: str, reference: str, **login: str) -> Built:
    """The manifest as the registry has it, of whatever kind it is."""
    accept = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))
    place = f"{url}/v2/{repository}/manifests/{reference}"
    headers, data = request(place, "GET", Accept=accept, **login)
    return make_blob(data, headers["Content-Type"])


@dataclass(frozen=True, slots=True)
class Writer:
    """Who may push where not everybody may: "USER:PASSWORD" for buildah, and a header for plain PUTs."""

    password: str = ""
    login: Mapping[str, str] = field(default_factory=dict)


ANYBODY = Writer()


def log_in(url: str, password: str) -> Writer:
    """Who may push to zuul-registry, whose token server makes no difference between repositories."""
    basic = base64.b64encode(password.encode()).decode()
    place = f"{url}/auth/token?scope=repository:any:push"
    _, body = request(place, "GET", Authorization=f"Basic {basic}")
    return Writer(password, {"Authorization": f"Bearer {json.loads(body)['token']}"})


def seed(url: str, builder: Builder, *, has_referrers: bool, writer: Writer = ANYBODY) -> Seeded:
    """Fill an empty registry; `has_referrers` says whether it keeps the lists of referrers itself."""
    seeded, login = Seeded(), writer.login
    builder.push_all(url, writer.password)
    latest = get_manifest(url, "team/web", "1.1", **login)
    put_manifest(url, "team/web", latest, "latest", **login)
    signature = make_signature(latest)
    assert signature.tag is not None
    seeded.kinds["team/web", push(url, "team/web", signature, signature.tag, **login)] = "SIGNATURE"
    chart = make_helm_chart("app", "0.1.0")
    seeded.kinds["charts/app", push(url, "charts/app", chart, "0.1.0", **login)] = "HELM_CHART"
    seed_referrers(url, seeded, has_referrers, **login)
    seed_attested(url, seeded, **login)
    seed_many_tags(url, **login)
    for name in ("multi/oci", "multi/docker"):
        seeded.kinds[name, get_manifest(url, name, "1", **login).digest] = "INDEX"
    return seeded


def seed_referrers(url: str, seeded: Seeded, has_referrers: bool, **login: str) -> None:
    """A signature and an SBOM of team/api:2.0, with the fallback tag where the registry keeps no list."""
    image = get_manifest(url, "team/api", "2.0", **login)
    signature, sbom = make_artifact(NOTATION, subject=image), make_sbom(image)
    for built, kind in ((signature, "SIGNATURE"), (sbom, "SBOM")):
        seeded.kinds["team/api", push(url, "team/api", built, **login)] = kind
    seeded.referrers["team/api", image.digest] = {signature.digest, sbom.digest}
    if not has_referrers:
        entries = [
            signature.descriptor(artifactType=NOTATION),
            sbom.descriptor(artifactType="application/spdx+json"),
        ]
        push(url, "team/api", make_index(entries), image.digest.replace(":", "-"), **login)


def seed_attested(url: str, seeded: Seeded, **login: str) -> None:
    """An index as BuildKit pushes it: an image and what attests it."""
    image = make_image([make_layer("attested")])
    attestation = make_attestation(image)
    entries = [image.descriptor(platform=image.platform), attestation_descriptor(attestation, image)]
    push(url, "attested/app", image, **login)
    seeded.kinds["attested/app", push(url, "attested/app", attestation, **login)] = "ATTESTATION"
    seeded.kinds["attested/app", push(url, "attested/app", make_index(entries), "1", **login)] = "INDEX"


def seed_many_tags(url: str, **login: str) -> None:
    """Many tags on manifests that differ in an annotation only, so that all share all their layers."""
    layers = [make_layer(f"many {n}", padding=5_000) for n in range(3)]
    for n in range(0, TAG_COUNT, TAGS_A_MANIFEST):
        built = make_image(layers, annotations={"org.opencontainers.image.version": f"1.{n}"})
        tags = tuple(f"1.{n + m}" for m in range(TAGS_A_MANIFEST))
        if n == 0:
            push(url, "many/tags", built, *tags, **login)
        else:
            for tag in tags:
                put_manifest(url, "many/tags", built, tag, **login)

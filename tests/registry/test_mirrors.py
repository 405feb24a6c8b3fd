"""What a digest names may come from a mirror: verified, without our login, and never a list or a tag."""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from builders import Built, make_image
from fakes.sync_rig import Clock, push
from graph.errors import DigestMismatchError
from graph.oci.descriptor import Descriptor
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.registry.breaker import FIRST_PAUSE
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.registry.ledger import RequestKind
from graph.registry.mirrors import settings_of_mirror
from graph.sample import SampleRegistry
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

REGISTRY, MIRROR, SECOND = "registry.example", "mirror.example", "second.example"
WEB = RepositoryName("team/web")
PASSWORD = "correct horse"


class Hosts(httpx.AsyncBaseTransport):
    """Each host is a registry of its own; remembers what was asked of each, and what was shown to it."""

    def __init__(self, **registries: SampleRegistry) -> None:
        self.faults: dict[str, Callable[[httpx.Request], httpx.Response | None]] = {}
        self.asked: dict[str, list[str]] = {}
        self.shown: dict[str, set[str]] = {}
        self._apps = {name: httpx.ASGITransport(registry) for name, registry in registries.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)  # so that several are under way at once
        host = request.url.host
        self.asked.setdefault(host, []).append(request.url.path)
        self.shown.setdefault(host, set()).update(request.headers.get_list("authorization"))
        name = host.split(".")[0]
        fault = self.faults.get(name, lambda _: None)(request)
        return fault or await self._apps[name].handle_async_request(request)

    def count(self, host: str) -> int:
        return len(self.asked.get(host, []))


def challenge(request: httpx.Request) -> httpx.Response | None:
    """Everybody has to log in."""
    if "authorization" in request.headers:
        return None
    return httpx.Response(401, headers={"WWW-Authenticate": "Basic"}, stream=httpx.ByteStream(b""))


def answer(status: int, body: bytes = b"") -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, stream=httpx.ByteStream(body))


def filled(image: Built) -> SampleRegistry:
    registry = SampleRegistry()
    push(registry, WEB, image, "v1")
    return registry


def connect(
    hosts: Hosts, *mirrors: str, clock: Callable[[], datetime] | None = None, **settings: Any
) -> RegistryClient:
    urls = [f"https://{mirror}" for mirror in mirrors or (MIRROR,)]
    return RegistryClient(
        RegistrySettings(url=f"https://{REGISTRY}", mirrors=urls, **settings),
        hosts,
        retries=RetryPolicy(attempts=1),
        clock=clock or Clock(),
    )


def config_of(image: Built) -> Descriptor:
    config = json.loads(image.data)["config"]
    return Descriptor(config["mediaType"], Digest(config["digest"]), config["size"], (), {}, None, None)


async def test_only_what_a_digest_names_comes_from_a_mirror() -> None:
    """Manifests by digest and configs; a ping, lists, tags, a HEAD and referrers are the registry's."""
    image = make_image()
    hosts = Hosts(registry=filled(image), mirror=filled(image))
    async with connect(hosts) as client:
        await client.ping()
        assert [WEB] == [name async for page in client.list_repositories() for name in page]
        assert ["v1"] == [tag.name async for page in client.list_tags(WEB) for tag in page]
        await client.head_manifest(WEB, Digest(image.digest))
        await client.get_manifest(WEB, TagName("v1"))
        await client.list_referrers(WEB, Digest(image.digest))
        assert 0 == hosts.count(MIRROR)

        before = hosts.count(REGISTRY)
        manifest = await client.get_manifest(WEB, Digest(image.digest))
        config = await client.get_config(WEB, config_of(image))
        assert image.data == manifest.data
        assert config_of(image).size == len(config)

    assert before == hosts.count(REGISTRY)
    assert 2 == hosts.count(MIRROR)
    # Counted like any other, whoever answers.
    assert (2, 1) == tuple(
        client.ledger.count(kind) for kind in (RequestKind.MANIFEST_GET, RequestKind.CONFIG)
    )


@pytest.mark.parametrize("fault", [answer(500), answer(429), answer(200, b"{}"), answer(302)])
async def test_a_mirror_that_fails_is_left_alone(fault: Callable[[httpx.Request], httpx.Response]) -> None:
    """The registry is asked instead, and the mirror not again for a while; other bytes are never believed."""
    image = make_image()
    hosts = Hosts(registry=filled(image), mirror=filled(image))
    hosts.faults["mirror"] = fault
    async with connect(hosts) as client:
        for _ in range(3):
            assert image.data == (await client.get_manifest(WEB, Digest(image.digest))).data
    assert (1, 3) == (hosts.count(MIRROR), hosts.count(REGISTRY))


async def test_a_mirror_that_fails_many_at_once() -> None:
    """However many wait for it when it fails, it is asked again after the first pause."""
    image = make_image()
    hosts = Hosts(registry=filled(image), mirror=filled(image))
    hosts.faults["mirror"] = answer(500)
    clock = Clock()
    async with connect(hosts, clock=clock) as client:
        await asyncio.gather(*(client.get_manifest(WEB, Digest(image.digest)) for _ in range(10)))
        failed = hosts.count(MIRROR)
        clock.advance(FIRST_PAUSE)
        hosts.faults.clear()
        await client.get_manifest(WEB, Digest(image.digest))
    assert 1 < failed
    assert (failed + 1, 10) == (hosts.count(MIRROR), hosts.count(REGISTRY))


async def test_what_a_mirror_lacks() -> None:
    """The next mirror is asked, then the registry; a mirror that does not know it is asked for the next."""
    image = make_image()
    hosts = Hosts(registry=filled(image), mirror=SampleRegistry(), second=filled(image))
    async with connect(hosts, MIRROR, SECOND) as client:
        for _ in range(2):
            await client.get_manifest(WEB, Digest(image.digest))
    assert (2, 2, 0) == tuple(map(hosts.count, (MIRROR, SECOND, REGISTRY)))


async def test_bytes_of_nobody() -> None:
    """Where the registry's own bytes are not what the digest names either, that is the error."""
    image = make_image()
    hosts = Hosts(registry=filled(image), mirror=filled(image))
    hosts.faults = {"mirror": answer(200, b"{}"), "registry": answer(200, b"{}")}
    async with connect(hosts) as client:
        with pytest.raises(DigestMismatchError):
            await client.get_manifest(WEB, Digest(image.digest))


async def test_a_login_stays_at_its_origin(tmp_path: Path) -> None:
    """A mirror that asks for a login does not get the registry's, nor the registry a mirror's."""
    image = make_image()
    hosts = Hosts(registry=filled(image), mirror=filled(image))
    hosts.faults = {"mirror": challenge, "registry": challenge}
    async with connect(hosts, username="reader", password=PASSWORD) as client:
        await client.get_manifest(WEB, Digest(image.digest))
    ours = "Basic " + base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
    assert {MIRROR: set(), REGISTRY: {ours}} == hosts.shown

    theirs = base64.b64encode(b"mirror:battery staple").decode()
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {MIRROR: {"auth": theirs}}}))
    hosts.shown.clear()
    hosts.faults = {"mirror": challenge}
    async with connect(hosts, auth_file=file) as client:
        await client.get_manifest(WEB, Digest(image.digest))
        await client.ping()
    assert {MIRROR: {f"Basic {theirs}"}, REGISTRY: set()} == hosts.shown


async def test_what_names_us_is_not_for_mirrors(tmp_path: Path) -> None:
    """Neither a client's certificate nor the will to believe any certificate is meant for a mirror."""
    for name in ("cert.pem", "key.pem", "ca.pem"):
        (tmp_path / name).write_text("x")
    settings = RegistrySettings(
        url=f"https://{REGISTRY}",
        username="reader",
        password=PASSWORD,
        client_certificate=tmp_path / "cert.pem",
        client_key=tmp_path / "key.pem",
        ca_file=tmp_path / "ca.pem",
        skip_tls_verification=True,
        token_hosts=("auth.example",),
    )
    mirror = settings_of_mirror(settings, f"https://{MIRROR}")
    differing = {
        name for name in RegistrySettings.model_fields if getattr(settings, name) != getattr(mirror, name)
    }
    assert {
        "url",
        "username",
        "password",
        "client_certificate",
        "client_key",
        "skip_tls_verification",
        "token_hosts",
    } == differing
    assert PASSWORD not in repr(mirror)


@pytest.mark.parametrize(
    "mirror", ["https://user:secret@mirror.example", "ftp://mirror", "https://mirror/path"]
)
def test_what_is_no_mirror(mirror: str) -> None:
    """A mirror is an origin and nothing more."""
    with pytest.raises(ValueError, match="mirrors"):
        RegistrySettings(url=f"https://{REGISTRY}", mirrors=[mirror])

"""Content, names and events of a registry that means harm, read by a real crawl over real loopback sockets.

The table of attacks is in `test_leaks`. After each crawl two things are looked at: every request that the
registry got is one that a crawl of its honest part makes, and the origin that its documents name got nothing.
"""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from builders import (
    OCI_INDEX,
    OCI_MANIFEST,
    Built,
    make_artifact,
    make_descriptor,
    make_image,
    make_index,
    make_json,
)
from fakes.guarded import LOGIN, GuardedServer, secrets_in
from fakes.hostile import HostileServer, respond
from graph.app import create_app
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.settings import RegistrySettings, load_settings
from graph.store.changes import ConfiguredRegistry
from graph.store.engine import open_store
from graph.store.observations import set_registries
from graph.sync.crawl import Crawler
from graph.sync.plan import MAX_INDEX_DEPTH, MAX_REFERRER_DEPTH
from graph.sync.report import CrawlReport
from graph.sync.upstream import Upstream

pytestmark = pytest.mark.anyio

IMAGE = make_image()
ZERO = "sha256:" + "0" * 64


async def crawl(server: GuardedServer) -> CrawlReport:
    """Crawl the registry with a login into a store of its own."""

    def now() -> datetime:
        return datetime.now(UTC)

    store = open_store(":memory:")
    try:
        settings = RegistrySettings(url=server.url, **LOGIN)
        async with RegistryClient(settings, retries=RetryPolicy(attempts=1)) as client:
            registries = [ConfiguredRegistry(client.name, server.url, client.dialect.name)]
            (key,) = await store.write(set_registries, registries, now())
            return await Crawler(Upstream(client, store, key, now)).crawl()
    finally:
        store.close()


def list_(server: GuardedServer, repositories: list[Any], tags: list[Any]) -> None:
    """Have the registry list these repositories, each with these tags, and say that nothing refers to any."""
    server.script["/v2/_catalog"] = respond(200, as_json({"repositories": repositories}))
    for name in repositories:
        server.script[f"/v2/{name}/tags/list"] = respond(200, as_json({"name": name, "tags": tags}))


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


def paths_of(server: GuardedServer, kind: str) -> set[str]:
    """What was asked for of one kind of content, with the token."""
    return {path for path in server.paths if f"/{kind}/" in path}


def manifest(fields: dict[str, Any], media_type: str = OCI_MANIFEST) -> Built:
    """A manifest with these fields, valid or not."""
    return make_json({"schemaVersion": 2, "mediaType": media_type, **fields}, media_type)


async def test_foreign_layers() -> None:
    """The URLs of a document are text: nobody asks them, not even for a config that the registry lacks."""
    async with HostileServer() as thief, GuardedServer() as server:
        urls = {"urls": [f"{thief.url}/layer", f"{server.url}/token", "file:///etc/passwd"]}
        layer = make_descriptor("foreign", **urls)
        config = make_descriptor("config", media_type="application/vnd.oci.image.config.v1+json", **urls)
        foreign = manifest({"config": config, "layers": [layer]})
        index = make_index(
            [foreign.descriptor(**urls), make_descriptor("gone", media_type=OCI_MANIFEST, **urls)]
        )
        server.hold("a", foreign, "v1")
        server.hold("a", index, "v2")
        list_(server, ["a"], ["v1", "v2"])
        await crawl(server)
    assert b"" == thief.heard
    assert {f"/v2/a/blobs/{config['digest']}"} == paths_of(server, "blobs")
    assert {"/token"} == {asked.path for asked in server.asked} - set(server.paths) - {"/v2/_catalog"}


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, OCI_INDEX])
async def test_two_types(media_type: str) -> None:
    """A document that is an image to one and an index to another is neither: nothing it names is asked."""
    child = make_image(annotations={"no": "1"})
    both = {
        "config": IMAGE.document["config"],
        "layers": IMAGE.document["layers"],
        "manifests": [child.descriptor()],
    }
    async with GuardedServer() as server:
        confused = manifest(both, media_type)
        server.hold("a", child)
        server.hold("a", IMAGE)
        server.hold("a", confused, "v1")
        list_(server, ["a"], ["v1"])
        await crawl(server)
    asked_for = paths_of(server, "manifests") | paths_of(server, "blobs")
    assert set() == asked_for - {f"/v2/a/manifests/{reference}" for reference in ("v1", confused.digest)}
    assert set() != asked_for


@pytest.mark.parametrize(
    "digest",
    [
        "../../../token",
        "sha256:../../../../token",
        "sha256:" + "0" * 63 + "/",
        "//{thief}/x",
        "@{thief}/x",
        "sha256:" + "0" * 64 + "?x={thief}",
        "sha256:" + "0" * 64 + "#",
        "sha256:%2e%2e",
        "sha256:" + "A" * 64,
    ],
)
async def test_digests_that_are_paths(digest: str) -> None:
    """A digest that is none leads to no request, whichever document it stands in."""
    async with HostileServer() as thief, GuardedServer() as server:
        bad = {"mediaType": OCI_MANIFEST, "digest": digest.format(thief=thief.netloc), "size": 10}
        server.hold("a", IMAGE, "image")
        server.hold("a", manifest({"config": bad, "layers": []}), "config")
        server.hold("a", manifest({"config": IMAGE.document["config"], "layers": [bad]}), "layer")
        server.hold("a", manifest({"manifests": [bad]}, OCI_INDEX), "child")
        server.hold(
            "a", manifest({"config": IMAGE.document["config"], "layers": [], "subject": bad}), "subject"
        )
        referrers = as_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [bad]})
        server.script[f"/v2/a/referrers/{IMAGE.digest}"] = respond(200, referrers, content_type=OCI_INDEX)
        tags = ["image", "config", "layer", "child", "subject"]
        list_(server, ["a"], tags)
        held = set(server.script)
        await crawl(server)
    assert b"" == thief.heard
    # What was asked for is held by the registry, or is the question what refers to a manifest it holds.
    asked_for = {path for path in server.paths if "/referrers/" not in path}
    assert len(tags) <= len(asked_for)
    assert set() == asked_for - held - {"/v2/"}
    referred = {path.rpartition("/")[2] for path in server.paths if "/referrers/" in path}
    assert set() == {digest for digest in referred if f"/v2/a/manifests/{digest}" not in held}


async def test_names_that_lead_elsewhere() -> None:
    """Names of repositories and tags that are paths, hosts or queries are dropped, the others are read."""
    async with HostileServer() as thief, GuardedServer() as server:
        names = [
            f"/{thief.netloc}/x",
            f"//{thief.netloc}/x",
            f"@{thief.netloc}/x",
            f"{thief.url}/x",
            "../../token",
            "a/../../token",
            "a?x=1",
            "a#x",
            "a%2f..%2ftoken",
            "a\r\nHost: x",
            "A",
            "a//b",
            ".",
            7,
            None,
            "a",
        ]
        tags = [
            "../../../token",
            "v1?x=1",
            "v1#x",
            "v1%2f",
            "v1/x",
            f"//{thief.netloc}",
            "v1\r\nX: y",
            ".v",
            None,
            "v1",
        ]
        server.hold("a", IMAGE, "v1")
        list_(server, ["a"], tags)
        server.script["/v2/_catalog"] = respond(200, as_json({"repositories": names}))
        await crawl(server)
    assert b"" == thief.heard
    content = {f"/v2/a/manifests/{reference}" for reference in ("v1", IMAGE.digest)}
    content |= {f"/v2/a/blobs/{IMAGE.document['config']['digest']}", f"/v2/a/referrers/{IMAGE.digest}"}
    assert set() == set(server.paths) - content - {"/v2/", "/v2/_catalog", "/v2/a/tags/list"}
    assert f"/v2/a/manifests/{IMAGE.digest}" in server.paths or "/v2/a/manifests/v1" in server.paths


async def test_graph_without_end() -> None:
    """Indexes within indexes and referrers of referrers are followed to a named depth."""
    async with GuardedServer() as server:
        chain = [IMAGE]
        while len(chain) <= 4 * MAX_INDEX_DEPTH:
            chain.append(make_index([chain[-1]]))
        server.hold("a", chain[-1], "nested")
        server.hold("b", IMAGE, "referred")
        subject = IMAGE
        for number in range(4 * MAX_REFERRER_DEPTH):
            referrer = make_artifact(f"application/x.{number}", subject=subject)
            server.hold("b", referrer)
            page = as_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [referrer.descriptor()]})
            server.script[f"/v2/b/referrers/{subject.digest}"] = respond(200, page, content_type=OCI_INDEX)
            subject = referrer
        list_(server, ["a", "b"], [])
        server.script["/v2/a/tags/list"] = respond(200, as_json({"name": "a", "tags": ["nested"]}))
        server.script["/v2/b/tags/list"] = respond(200, as_json({"name": "b", "tags": ["referred"]}))
        await crawl(server)
    nested = {path for path in paths_of(server, "manifests") if path.startswith("/v2/a/")}
    referred = {path for path in paths_of(server, "manifests") if path.startswith("/v2/b/")}
    # A tag is one more path of the manifest it names.
    assert len(nested) <= 1 + MAX_INDEX_DEPTH + 1
    assert len(referred) <= 1 + MAX_REFERRER_DEPTH + 1
    assert len(nested) > 2 and len(referred) > 2


@pytest.mark.parametrize(
    "path", ["/", "/events", "/notifications", "/webhook", "/hooks/a", "/healthz", "/readyz"]
)
async def test_no_events(path: str) -> None:
    """Nothing takes an event: whoever sends one makes us ask no registry."""
    event = {"events": [{"action": "push", "target": {"repository": "a", "tag": "v1", "digest": ZERO}}]}
    async with GuardedServer() as server:
        registry = {"url": server.url, **LOGIN}
        settings = load_settings({"registries": [registry], "store": ":memory:", "sync_interval": 0})
        app = create_app(settings)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):
            response = await client.post(path, json=event)
    assert response.status_code in (404, 405)
    assert [] == server.asked
    assert [] == secrets_in(response.content)

"""The double of Azure's registry, read over a real socket by the client that Azure publishes for Python.

What the double has wrong in shape, paging or login that client would not read: it knows nothing of ours.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import uvicorn
from azure.containerregistry import ArtifactManifestOrder, ContainerRegistryClient
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

from builders import make_image, make_index, make_layer
from fakes.azure import Facts
from fakes.azure_login import Account, GuardedAzureRegistry
from fakes.sync_rig import push

TAGS = 250


@dataclass
class Told:
    token: str
    expires_on: int


class Credential:
    """What stands for azure-identity."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.scopes: set[str] = set()

    def get_token(self, *scopes: str, **_: object) -> Told:
        self.scopes.update(scopes)
        return Told(self.token, int(time.time()) + 3600)


@contextmanager
def served(registry: GuardedAzureRegistry) -> Iterator[str]:
    """Serve it on a free port of the loopback interface, in a thread; the URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # who connects before the thread serves waits
        registry.scheme, registry.login_server = "http", f"127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(registry, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://{registry.login_server}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def azure() -> GuardedAzureRegistry:
    """Three repositories, one of an index and 250 tags; `entra-alice` opens all, `entra-bob` one."""
    registry = GuardedAzureRegistry()
    arm = make_image([make_layer("arm")], architecture="arm64")
    index = make_index([make_image([make_layer("base")]), arm])
    push(registry, "shop/web", index, *(f"v{number}" for number in range(TAGS)))
    push(registry, "shop/api", make_image([make_layer("api")]), "latest")
    push(registry, "other", make_image([make_layer("other")]))
    locked = {"deleteEnabled": False, "writeEnabled": True, "readEnabled": True, "listEnabled": True}
    registry.facts["shop/api", "latest"] = Facts(attributes=locked)
    registry.accounts = {"alice": Account(), "bob": Account(repositories=frozenset({"shop/api"}))}
    registry.entra_tokens = {"entra-alice": "alice", "entra-bob": "bob"}
    return registry


@pytest.fixture
def url(azure: GuardedAzureRegistry) -> Iterator[str]:
    with served(azure) as address:
        yield address


@contextmanager
def client_of(url: str, token: str | None) -> Iterator[ContainerRegistryClient]:
    credential = None if token is None else Credential(token)
    with ContainerRegistryClient(url, credential, retry_total=0) as client:
        yield client


# The client refuses to send tokens to plain http unless each call says so.
PLAIN = {"enforce_https": False}


def test_repositories(azure: GuardedAzureRegistry, url: str) -> None:
    """The catalog comes page by page, along the Links."""
    with client_of(url, "entra-alice") as client:
        assert ["other", "shop/api", "shop/web"] == list(
            client.list_repository_names(results_per_page=2, **PLAIN)
        )
        shown = client._client.container_registry.get_properties("shop/web", **PLAIN)
    assert (TAGS, 3) == (shown.tag_count, shown.manifest_count)


def test_tags(azure: GuardedAzureRegistry, url: str) -> None:
    """Tags come with what they name, when, and what is locked; none is lost or told twice between pages."""
    with client_of(url, "entra-alice") as client:
        tags = list(client.list_tag_properties("shop/web", results_per_page=100, **PLAIN))
        (locked,) = client.list_tag_properties("shop/api", **PLAIN)
    assert sorted(f"v{number}" for number in range(TAGS)) == [tag.name for tag in tags]
    assert {azure.repositories["shop/web"].tags["v0"]} == {tag.digest for tag in tags}
    assert datetime(2025, 11, 24, 9, 50, 4, 123456, UTC) == locked.created_on
    assert (False, True) == (locked.can_delete, locked.can_write)


def test_orders(azure: GuardedAzureRegistry, url: str) -> None:
    """By time a list comes page by page too, the last changed first or last."""
    held = sorted(azure.repositories["shop/web"].manifests)
    for number, digest in enumerate(held):
        azure.facts["shop/web", digest] = Facts(updated=f"2026-02-0{3 - number}T00:00:00.1234567Z")
    with client_of(url, "entra-alice") as client:
        for order, expected in (
            (ArtifactManifestOrder.LAST_UPDATED_ON_DESCENDING, held),
            (ArtifactManifestOrder.LAST_UPDATED_ON_ASCENDING, held[::-1]),
        ):
            shown = client.list_manifest_properties("shop/web", order_by=order, results_per_page=2, **PLAIN)
            assert expected == [each.digest for each in shown]


def test_manifests(azure: GuardedAzureRegistry, url: str) -> None:
    """Manifests come with what they weigh and run on, untagged ones too, and at most ten of their tags."""
    stored = azure.repositories["shop/web"]
    with client_of(url, "entra-alice") as client:
        shown = {
            each.digest: each
            for each in client.list_manifest_properties("shop/web", results_per_page=2, **PLAIN)
        }
        index = client.get_manifest_properties("shop/web", stored.tags["v0"], **PLAIN)
        document = client.get_manifest("shop/web", stored.tags["v0"], **PLAIN).manifest
    assert stored.manifests.keys() == shown.keys()
    children = [each["digest"] for each in document["manifests"]]
    assert [("amd64", "linux"), ("arm64", "linux")] == [
        (shown[digest].architecture.value, shown[digest].operating_system.value) for digest in children
    ]
    for digest in children:
        manifest = json.loads(stored.manifests[digest].data)
        weight = sum(each["size"] for each in [manifest["config"], *manifest["layers"]])
        assert (weight, None) == (shown[digest].size_in_bytes, shown[digest].tags)
    assert 10 == len(index.tags)


def test_a_login_for_some_repositories(url: str) -> None:
    """Who may read one repository reads that one, and neither another nor the catalog."""
    with client_of(url, "entra-bob") as client:
        assert ["latest"] == [tag.name for tag in client.list_tag_properties("shop/api", **PLAIN)]
        for read in (
            lambda: list(client.list_tag_properties("shop/web", **PLAIN)),
            lambda: list(client.list_repository_names(**PLAIN)),
        ):
            with pytest.raises(ClientAuthenticationError):
                read()


def test_logins_that_are_refused(azure: GuardedAzureRegistry, url: str) -> None:
    """A token of another tenant is not exchanged, and nobody reads where nobody may."""
    for token in ("entra-mallory", None):
        with client_of(url, token) as client, pytest.raises(HttpResponseError) as caught:
            list(client.list_tag_properties("shop/api", **PLAIN))
        assert 401 == caught.value.status_code


def test_anonymous_pulls(azure: GuardedAzureRegistry, url: str) -> None:
    """Where anonymous pulls are allowed nobody reads repositories."""
    azure.allows_anonymous = True
    try:
        with client_of(url, None) as client:
            assert ["latest"] == [tag.name for tag in client.list_tag_properties("shop/api", **PLAIN)]
    finally:
        azure.allows_anonymous = False


def test_what_is_not_there(url: str) -> None:
    """What is not there is 404, in the shape of an error that the client reads."""
    with client_of(url, "entra-alice") as client:
        for read in (
            lambda: list(client.list_tag_properties("nothing", **PLAIN)),
            lambda: client.get_tag_properties("shop/api", "nothing", **PLAIN),
            lambda: client.get_manifest_properties("shop/api", f"sha256:{0:064x}", **PLAIN),
        ):
            with pytest.raises(ResourceNotFoundError):
                read()


def test_nothing_can_be_written(azure: GuardedAzureRegistry, url: str) -> None:
    """The double lets nobody delete, as the client asks for it."""
    held = len(azure.repositories["other"].manifests)
    with client_of(url, "entra-alice") as client, pytest.raises(HttpResponseError):
        client.delete_repository("other", **PLAIN)
    assert held == len(azure.repositories["other"].manifests)

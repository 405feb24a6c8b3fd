"""A registry that wants our credentials to go, or us to ask, where it says: over real loopback sockets."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from builders import OCI_MANIFEST, make_image
from fakes.hostile import HostileServer, respond
from graph.errors import RegistryDeniedError, RegistryProtocolError
from graph.oci.reference import RepositoryName, TagName
from graph.registry.client import RegistryClient
from graph.registry.ledger import RequestKind

pytestmark = pytest.mark.anyio

MakeClient = Callable[..., RegistryClient]
A = RepositoryName("a")
V1 = TagName("v1")
MANIFEST = "/v2/a/manifests/v1"
IMAGE = make_image()
ALICE = {"username": "alice", "password": "wonderland"}


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize("settings", [{}, ALICE])
async def test_redirect_with_credentials(make_client: MakeClient, settings: dict[str, str]) -> None:
    """Storage on another origin sees neither token nor password, though another port is all that differs."""
    async with HostileServer() as storage, HostileServer() as server:
        storage.script["/x"] = respond(200, IMAGE.data, **{"content-type": OCI_MANIFEST})
        server.script |= {
            MANIFEST: [
                respond(401, **{"www-authenticate": 'Bearer realm="/token"'}),
                respond(307, location=f"{storage.url}/x?sig=a%2Fb"),
            ],
            "/token": respond(200, as_json({"token": "secret"})),
        }
        async with make_client(url=server.url, **settings) as client:
            assert IMAGE.digest == (await client.get_manifest(A, V1)).digest
            assert 1 == client.ledger.count(RequestKind.REDIRECT)
    assert "Bearer secret" == server.asked[-1].headers["authorization"]
    assert [("/x?sig=a%2Fb", None)] == [(a.target, a.headers.get("authorization")) for a in storage.asked]


@pytest.mark.parametrize(
    "location",
    [
        "http://10.0.0.1/x",
        "http://169.254.169.254/x",
        "http://0.0.0.0/x",
        "http://u:p@127.0.0.1/x",
        "gopher://x/",
        "file:///etc/passwd",
    ],
)
async def test_redirect_into_the_network(make_client: MakeClient, location: str) -> None:
    """A redirect to an address that only an operator may name is not followed."""
    async with (
        HostileServer({MANIFEST: respond(302, location=location)}) as server,
        make_client(url=server.url) as client,
    ):
        with pytest.raises(RegistryProtocolError):
            await client.get_manifest(A, V1)
    assert 1 == len(server.asked)


@pytest.mark.parametrize("realm", ["http://{other}/token", "//{other}/token", "http://{here}@{other}/token"])
async def test_realm_on_another_host(make_client: MakeClient, realm: str) -> None:
    """A challenge that sends our password to another host is not answered."""
    async with HostileServer() as other, HostileServer() as server:
        where = realm.format(other=other.netloc, here=server.netloc)
        server.script[MANIFEST] = respond(401, **{"www-authenticate": f'Bearer realm="{where}",service="s"'})
        async with make_client(url=server.url, **ALICE) as client:
            with pytest.raises(RegistryDeniedError):
                await client.get_manifest(A, V1)
    assert [] == other.asked
    assert [None] == [asked.headers.get("authorization") for asked in server.asked]


async def test_token_server_redirects(make_client: MakeClient) -> None:
    """A token request is never redirected, not even on the same host: the password would go along."""
    async with HostileServer() as other, HostileServer() as server:
        server.script |= {
            MANIFEST: respond(401, **{"www-authenticate": 'Bearer realm="/token"'}),
            "/token": respond(307, location=f"{other.url}/token"),
        }
        async with make_client(url=server.url, **ALICE) as client:
            with pytest.raises(RegistryProtocolError):
                await client.get_manifest(A, V1)
    assert [] == other.asked


async def test_refusal_in_a_loop(make_client: MakeClient) -> None:
    """A registry that hands out tokens and refuses each is asked twice."""
    script = {
        MANIFEST: respond(401, **{"www-authenticate": 'Bearer realm="/token"'}),
        "/token": respond(200, as_json({"token": "t"})),
    }
    async with HostileServer(script) as server, make_client(url=server.url) as client:
        with pytest.raises(RegistryDeniedError):
            await client.get_manifest(A, V1)
    assert [MANIFEST, "/token?scope=repository%3Aa%3Apull", MANIFEST] == server.targets

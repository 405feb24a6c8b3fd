"""No password, token, signature or cookie shows in any text that the client makes."""

import base64
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from fakes.hostile import Behaviour, HostileServer, flood, respond, stay_silent, write
from graph.errors import GraphError
from graph.oci.reference import RegistryName, RepositoryName, TagName
from graph.registry.auth import Credentials, Token
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.registry.ledger import RequestKind
from graph.registry.wire import Request

pytestmark = pytest.mark.anyio

MakeClient = Callable[..., RegistryClient]
A = RepositoryName("a")
V1 = TagName("v1")
MANIFEST = "/v2/a/manifests/v1"

PASSWORD = "correct-horse"
TOKEN = "battery-staple"
SIGNATURE = "signed-by-storage"
COOKIE = "cookie-monster"
DETAIL = "/var/lib/registry/storage"
SECRETS = (
    PASSWORD,
    TOKEN,
    SIGNATURE,
    COOKIE,
    DETAIL,
    base64.b64encode(f"alice:{PASSWORD}".encode()).decode(),
)
REFUSAL = json.dumps(
    {"errors": [{"code": "UNKNOWN", "message": DETAIL, "detail": {"Path": DETAIL}}]}
).encode()


def shown(error: BaseException) -> Iterator[str]:
    """Every text that a logger or error tracker could make of an error and of what hangs on to it."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield from (str(current), repr(current), repr(vars(current)), repr(current.args))
        yield from traceback.format_exception(current)
        pending += [current.__cause__, current.__context__]


@pytest.mark.parametrize(
    "storage",
    [
        respond(403, REFUSAL),
        respond(500, REFUSAL, **{"set-cookie": COOKIE}),
        respond(302, location=f"http://10.0.0.1/x?sig={SIGNATURE}"),
        respond(302, location=f"http://alice:{PASSWORD}@127.0.0.1/x"),
        respond(200, b"{}", **{"content-encoding": "gzip"}),
        write(),
        write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"),
        write(b"SSH-2.0\r\n\r\n"),
        write(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000),
        stay_silent,
        flood(64 * 1024 * 1024),
    ],
)
async def test_errors_and_logs(
    make_client: MakeClient, storage: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever fails behind a token and a signed redirect, nobody reads either, in debug logs or errors."""
    caplog.set_level(logging.DEBUG)
    async with HostileServer() as elsewhere, HostileServer() as server:
        elsewhere.script["/x"] = storage
        server.script |= {
            MANIFEST: [
                respond(401, REFUSAL, **{"www-authenticate": 'Bearer realm="/token"'}),
                respond(307, location=f"{elsewhere.url}/x?X-Amz-Signature={SIGNATURE}"),
            ],
            "/token": respond(200, json.dumps({"token": TOKEN}).encode()),
        }
        retries = RetryPolicy(attempts=2, wait_initial=0, wait_jitter=0)
        login = {"username": "alice", "password": PASSWORD}
        timeout = 0.3 if storage is stay_silent else 30
        async with make_client(url=server.url, retries=retries, timeout=timeout, **login) as client:
            with pytest.raises(GraphError) as caught:
                await client.get_manifest(A, V1)
            texts = [*shown(caught.value), repr(client), repr(client._exchange), repr(vars(client))]
        texts += [record.getMessage() + repr(vars(record)) for record in caplog.records]

    assert f"Bearer {TOKEN}" == server.asked[-1].headers["authorization"]
    assert [] == [(secret, text) for secret in SECRETS for text in texts if secret in text]


@pytest.mark.parametrize(
    "token_server",
    [
        respond(401, REFUSAL),
        respond(200, json.dumps({"token": f"{TOKEN}\r\nX: y"}).encode()),
        respond(307, location=f"/x?token={TOKEN}"),
        write(),
    ],
)
async def test_errors_of_token_servers(make_client: MakeClient, token_server: Behaviour) -> None:
    """What fails at the token server shows neither the password nor what was nearly a token."""
    async with HostileServer() as server:
        server.script |= {
            MANIFEST: respond(401, **{"www-authenticate": 'Bearer realm="/token"'}),
            "/token": token_server,
        }
        async with make_client(url=server.url, username="alice", password=PASSWORD) as client:
            with pytest.raises(GraphError) as caught:
                await client.get_manifest(A, V1)
    assert [] == [(secret, text) for secret in SECRETS for text in shown(caught.value) if secret in text]


async def test_values(make_client: MakeClient) -> None:
    """Values that hold a secret do not show it."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    request = Request(
        RegistryName("registry.example"),
        RequestKind.TOKEN,
        "POST",
        f"https://alice:{PASSWORD}@registry.example/token?sig={SIGNATURE}#{TOKEN}",
        authorization=f"Bearer {TOKEN}",
        form=f"password={PASSWORD}",
    )
    values = (Credentials("alice", PASSWORD), Token(TOKEN, moment, moment), request)
    texts = [text for value in values for text in (repr(value), str(value))]
    assert [] == [(secret, text) for secret in SECRETS for text in texts if secret in text]

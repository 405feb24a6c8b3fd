"""What blocks for one registry keeps no other waiting: nothing here needs the threads that all share."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from fakes.hostile import HostileServer, respond
from graph.errors import RegistryDeniedError
from graph.oci.reference import RegistryName
from graph.registry import aws
from graph.registry.aws import AwsSigner
from graph.registry.client import RegistryClient
from graph.registry.entra import EntraIdentity
from graph.registry.ledger import RequestKind
from graph.registry.wire import Request, read_by_action
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

ASK = "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories"


@asynccontextmanager
async def taken() -> AsyncIterator[None]:
    """All that asyncio has of threads waits for the end."""
    loop, end = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    waiting = loop.run_in_executor(None, end.wait)
    try:
        yield
    finally:
        end.set()
        await waiting


async def by_name(tmp_path: Path) -> None:
    async with HostileServer({"/v2/": respond(200)}) as server:
        settings = RegistrySettings(url=server.url.replace("127.0.0.1", "localhost"))
        async with RegistryClient(settings) as client:
            await client.ping()


async def on_disk(tmp_path: Path) -> None:
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (tmp_path / "index.json").write_text('{"schemaVersion":2,"manifests":[]}')
    async with RegistryClient(RegistrySettings(url=f"oci:{tmp_path}", name="images")) as client:
        await client.ping()


async def of_entra(tmp_path: Path) -> None:
    credential = SimpleNamespace(get_token=lambda scope: SimpleNamespace(token="t", expires_on=4e9))
    name = RegistryName("contoso.azurecr.io")
    await EntraIdentity(name, credential, lambda: datetime.now(UTC)).identify(None)


def question() -> Request:
    return read_by_action(RegistryName("ecr"), RequestKind.CATALOG, "https://api.example", ASK, "{}", 1)


async def of_amazon(tmp_path: Path) -> None:
    await AwsSigner("ecr", "eu-west-1").sign(question(), send=None)  # type: ignore[arg-type]  # none is sent


ASKS: Mapping[str, Callable[[Path], Awaitable[None]]] = {
    "a host by its name": by_name,
    "images on disk": on_disk,
    "Entra ID": of_entra,
    "Amazon": of_amazon,
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
async def test_no_shared_thread_is_needed(
    ask: Callable[[Path], Awaitable[None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry is asked while every thread that all share is taken."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with taken(), asyncio.timeout(30):
        await ask(tmp_path)


async def test_credentials_that_nobody_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of botocore's that hangs is given up, and told; the next who asks is told so too."""
    release = threading.Event()
    signer = AwsSigner("ecr", "eu-west-1")
    monkeypatch.setattr(signer, "_find", release.wait)
    monkeypatch.setattr(aws, "FINDING_TIMEOUT", 0.05)
    for _ in range(2):
        with pytest.raises(RegistryDeniedError, match="found none within"):
            await signer.sign(question(), send=None)  # type: ignore[arg-type]  # none is sent
    release.set()

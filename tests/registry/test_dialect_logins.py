"""A vendor's API is told who we are by whatever holds the login, and as the one who reads this repository."""

import base64
import json
from pathlib import Path

import httpx
import pytest

from fakes.github import TOKEN
from fakes.sync_rig import image, push
from fakes.vendors import DOUBLES
from graph.errors import RegistryUnsupportedError
from graph.oci.reference import RepositoryName
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

ACME, BETA = RepositoryName("acme/web"), RepositoryName("beta/web")

# How a login of a user and this password is told to the API, by dialect.
SHOWN = {
    "gitea": lambda user: f"Basic {packed(user)}",
    "github": lambda user: f"Bearer {TOKEN}",
    "harbor": lambda user: f"Basic {packed(user)}",
    "quay": lambda user: f"Bearer {TOKEN}",
}


def packed(user: str) -> str:
    return base64.b64encode(f"{user}:{TOKEN}".encode()).decode()


@pytest.mark.parametrize("dialect", SHOWN)
async def test_a_login_for_a_namespace(dialect: str, tmp_path: Path) -> None:
    """A login that a file has for one namespace, such as a robot of Harbor's, is shown there only."""
    registry = DOUBLES[dialect].make()
    for name in (ACME, BETA):
        push(registry, name, image("web"), "v1")
    user = "$oauthtoken" if dialect == "quay" else "robot"
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {"registry.example/acme": {"auth": packed(user)}}}))
    api_url = DOUBLES[dialect].settings.get("api_url")
    settings = RegistrySettings(
        url="https://registry.example", dialect=dialect, api_url=api_url, auth_file=file
    )
    transport, once = httpx.ASGITransport(registry), RetryPolicy(attempts=1)
    async with RegistryClient(settings, transport, retries=once) as client:
        for name in (ACME, BETA):
            assert ["v1"] == [tag.name async for page in client.list_tags(name) for tag in page]

    told = {"acme": set(), "beta": set()}
    for request in registry.requests:
        if not request.path.startswith("/v2/"):
            told["acme" if "acme" in request.path else "beta"].add(request.headers.get("authorization"))
    assert {"acme": {SHOWN[dialect](user)}, "beta": {None}} == told


@pytest.mark.parametrize("dialect", ["docker-hub", "github"])
async def test_a_login_of_ones_own_stays(dialect: str) -> None:
    """A registry of one's own has an API of its own, which is named: the vendor's is not for its login."""
    registry = DOUBLES[dialect].make()
    push(registry, ACME, image("web"), "v1")
    settings = RegistrySettings(
        url="https://registry.corp.example",
        dialect=dialect,
        username="alice",
        password="s3cret",
        namespaces=("acme",),
    )
    transport, once = httpx.ASGITransport(registry), RetryPolicy(attempts=1)
    async with RegistryClient(settings, transport, retries=once) as client:
        assert ["v1"] == [tag.name async for page in client.list_tags(ACME) for tag in page]
        with pytest.raises(RegistryUnsupportedError):
            [page async for page in client.list_repositories()]

    assert {"registry.corp.example"} == {request.headers["host"] for request in registry.requests}

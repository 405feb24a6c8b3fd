"""Who we are to a registry: from the settings, from a file, from the helper that it names, or nobody."""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.scripted import Answer, Asked, ScriptedRegistry, answer_error, answer_json
from graph.errors import RegistryDeniedError, SettingsError
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName
from graph.places import name_of_place
from graph.registry.auth import Credentials
from graph.registry.auth_file import AuthFile, parse_auth_file
from graph.registry.client import RegistryClient
from graph.registry.credential_helper import ask_helper
from graph.registry.identity import ANONYMOUS, HELPER_LIFETIME, FileIdentity, Identity, open_identity
from graph.settings import RegistrySettings

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
URL = "https://registry.example"


def basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def now() -> datetime:
    return NOW


async def test_settings_come_first(tmp_path: Path) -> None:
    """A user and password in the settings are who we are, whatever a file says."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {"registry.example": {"auth": basic("bob:x")}}}))
    settings = RegistrySettings(url=URL, username="alice", password="secret", auth_file=file)

    assert Identity("the settings", Credentials("alice", "secret")) == await open_identity(
        settings, now
    ).identify(None)


async def test_file_is_read_by_host(tmp_path: Path) -> None:
    """Who logged in did so at a host, whatever the settings call the registry."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {"registry.example": {"auth": basic("bob:x")}}}))
    settings = RegistrySettings(url=URL, name="prod", auth_file=file)

    assert Identity(str(file), Credentials("bob", "x")) == await open_identity(settings, now).identify(None)


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", "s3cret\udcff"),
        ("alice\ud800", "s3cret"),
        ("<registry-token>", "s3cret\r\nX: y"),
        ("<registry-token>", "s3cr\xe9t"),
    ],
)
def test_a_password_that_cannot_be_sent(username: str, password: str) -> None:
    """What no request can hold, such as a variable that is not UTF-8, is told of before one is made."""
    settings = RegistrySettings(url=URL, username=username, password=password)
    with pytest.raises(SettingsError) as refused:
        open_identity(settings, now)

    assert ["password: it or the username holds what no request can: bytes, or a line's end"] == list(
        refused.value.problems
    )
    assert "s3cr" not in repr(refused.value)


async def test_a_password_that_is_no_token() -> None:
    """Where a vendor's API wants a token, one that no header can hold is refused before it is sent."""
    settings = RegistrySettings(
        url="https://ghcr.io", username="alice", password="s3cr\xe9t\n", namespaces=("acme",)
    )
    registry = ScriptedRegistry({})
    async with RegistryClient(settings, httpx.ASGITransport(registry)) as client:
        with pytest.raises(RegistryDeniedError, match="wants a token, and the password can be none"):
            [page async for page in client.list_repositories()]

    assert [] == registry.asked


async def test_a_password_that_is_renewed_in_its_file(tmp_path: Path) -> None:
    """A token that ends within the hour is written anew to its file, and used from then on."""
    secret = tmp_path / "secret"
    secret.write_text("one\n")
    source = open_identity(RegistrySettings(url=URL, username="oauth2accesstoken", password_file=secret), now)
    told = [await source.identify(None)]
    for text in ("second\n", "", "\xff", "the third\n"):
        secret.write_bytes(text.encode("latin-1"))
        told.append(await source.identify(None))
    secret.unlink()
    told.append(await source.identify(None))

    # What is half written, or gone, leaves the one before.
    passwords = [each.credentials.password for each in told if each.credentials is not None]
    assert ["one", "second", "second", "second", "the third", "the third"] == passwords
    assert {f"the settings ({secret})"} == {each.source for each in told}


async def test_a_login_that_is_renewed_in_its_file(tmp_path: Path) -> None:
    """A file that `docker login` has written anew is read anew; one that is broken leaves what it said."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {"registry.example": {"auth": basic("AWS:one")}}}))
    source = open_identity(RegistrySettings(url=URL, auth_file=file), now)
    told = [await source.identify(None)]
    for text in (json.dumps({"auths": {"registry.example": {"auth": basic("AWS:second")}}}), "{", "{}"):
        file.write_text(text)
        told.append(await source.identify(None))

    assert [Credentials("AWS", "one"), *[Credentials("AWS", "second")] * 2, None] == [
        each.credentials for each in told
    ]
    assert ANONYMOUS == told[-1].source


async def test_a_renewed_password_gets_a_token_of_its_own(tmp_path: Path) -> None:
    """The registry is asked with what the file says now, though the token of before has not ended."""
    secret = tmp_path / "secret"
    secret.write_text("one")
    asked: list[str] = []

    def give_token(asked_: Asked) -> Answer:
        asked.append(base64.b64decode(asked_.headers["authorization"].removeprefix("Basic ")).decode())
        return answer_json({"token": f"token-{len(asked)}", "expires_in": 3600})

    def ping(asked_: Asked) -> Answer:
        if asked_.headers.get("authorization") == f"Bearer token-{len(asked)}":
            return answer_json({})
        return answer_error(401, "UNAUTHORIZED", WWW_Authenticate=f'Bearer realm="{URL}/token"')

    registry = ScriptedRegistry({"/v2/": ping, "/token": give_token})
    settings = RegistrySettings(url=URL, username="alice", password_file=secret)
    async with RegistryClient(settings, httpx.ASGITransport(registry)) as client:
        for password in ("one", "one", "other"):
            secret.write_text(password)
            await client.ping()

    assert ["alice:one", "alice:other"] == asked


async def test_nobody() -> None:
    """Without any of it we are nobody; no file of the person who runs the program is looked for."""
    assert Identity(ANONYMOUS, None) == await open_identity(RegistrySettings(url=URL), now).identify(None)


async def test_helper_is_asked_now_and_then() -> None:
    """What a helper says is kept a while, and asked for anew after that."""
    asked = []
    time = [NOW]

    async def ask(name: str, server: str) -> Credentials:
        asked.append((name, server))
        return Credentials("alice", f"secret {len(asked)}")

    file = AuthFile(store="pass")
    source = FileIdentity(Path("config.json"), file, "registry.example", lambda: time[0], ask)
    first = [await source.identify(None) for _ in range(3)]
    time[0] += timedelta(seconds=HELPER_LIFETIME)
    second = await source.identify("team/app")

    assert [Identity("docker-credential-pass (config.json)", Credentials("alice", "secret 1"))] * 3 == first
    assert Credentials("alice", "secret 2") == second.credentials
    assert [("pass", "registry.example")] * 2 == asked


async def test_a_refusal_is_shared() -> None:
    """Who waits for a helper that refuses is refused with it; who comes later has it asked again."""
    asked, answer = [], asyncio.Event()

    async def ask(name: str, server: str) -> Credentials:
        asked.append(server)
        await answer.wait()
        if len(asked) == 1:
            raise RegistryDeniedError("docker-credential-pass gave no answer within 30 s")
        return Credentials("alice", "secret")

    source = FileIdentity(Path("config.json"), AuthFile(store="pass"), "registry.example", now, ask)
    waiting = [asyncio.create_task(source.identify(f"team/app{number}")) for number in range(50)]
    await asyncio.sleep(0)
    answer.set()
    refused = await asyncio.gather(*waiting, return_exceptions=True)

    assert {RegistryDeniedError} == set(map(type, refused))
    assert ["registry.example"] == asked
    assert Credentials("alice", "secret") == (await source.identify(None)).credentials


@pytest.mark.parametrize("url", ["https://docker.io", "https://index.docker.io", "registry-1.docker.io:443"])
@pytest.mark.parametrize("kept_as", ["https://index.docker.io/v1/", "docker.io"])
@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
async def test_helper_knows_docker_hub_by_an_old_name(
    url: str, kept_as: str, key: str, tmp_path: Path
) -> None:
    """`docker login` keeps Docker Hub's login by the address of its old index, `podman login` by its name."""
    program = tmp_path / "docker-credential-desktop"
    program.write_text(
        f"""#!/bin/sh
        read server
        if [ "$server" != {kept_as} ]; then echo credentials not found; exit 1; fi
        echo '{{"ServerURL": "", "Username": "alice", "Secret": "secret"}}'
        """
    )
    program.chmod(0o755)
    file = parse_auth_file(
        json.dumps({key: "desktop" if key == "credsStore" else {kept_as: "desktop"}}).encode()
    )

    async def ask(name: str, server: str) -> Credentials | None:
        return await ask_helper(name, server, find=lambda _: program)

    host = name_of_place(RegistrySettings(url=url).url)
    told = await FileIdentity(Path("config.json"), file, host, now, ask).identify("library/nginx")

    assert Credentials("alice", "secret") == told.credentials


@pytest.mark.parametrize("content", [None, "not JSON: s3cret"])
def test_a_file_that_cannot_be_used(content: str | None, tmp_path: Path) -> None:
    """A file that was named and cannot be used is the operator's mistake, told without what is in it."""
    file = tmp_path / "config.json"
    file.write_text(content or "{}")
    settings = RegistrySettings(url=URL, auth_file=file)
    if content is None:
        file.unlink()

    with pytest.raises(SettingsError, match="auth_file") as refused:
        open_identity(settings, now)

    assert "s3cret" not in str(refused.value)


async def test_each_repository_as_who_may_read_it(tmp_path: Path) -> None:
    """A file with logins for namespaces sends each request with the one that fits it."""
    logins = {"registry.example": "all:x", "registry.example/team": "team:x"}
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {key: {"auth": basic(login)} for key, login in logins.items()}}))
    refusal = answer_error(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="registry"')
    registry = ScriptedRegistry(
        {
            f"/v2/{name}/manifests/sha256:{'a' * 64}": lambda asked: (
                Answer() if "authorization" in asked.headers else refusal
            )
            for name in ("team/app", "other")
        }
    )
    client = RegistryClient(RegistrySettings(url=URL, auth_file=file), httpx.ASGITransport(registry))
    async with client:
        for name in ("team/app", "other", "team/app"):
            await client.head_manifest(RepositoryName(name), Digest(f"sha256:{'a' * 64}"))

    sent = [(asked.target.split("/")[2], asked.headers.get("authorization")) for asked in registry.asked]
    team, everyone = f"Basic {basic('team:x')}", f"Basic {basic('all:x')}"
    assert [("team", None), ("team", team), ("other", everyone), ("team", team)] == sent


async def test_a_given_token_goes_as_it_is(tmp_path: Path) -> None:
    """A `registrytoken` is sent to the registry that asks for a token, and to no token server.

    Nor is it sent for a repository with a login of its own, nor that login as a token or as Basic.
    """
    entries = {
        "registry.example": {"registrytoken": "given"},
        "registry.example/team": {"auth": basic("team:x")},
    }
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": entries}))
    accepted = {"other": "Bearer given", "team/app": "Bearer issued"}
    challenge = 'Bearer realm="https://registry.example/token",service="registry.example"'
    refusal = answer_error(401, "UNAUTHORIZED", WWW_Authenticate=challenge)

    def guard(name: str) -> Callable[[Asked], Answer]:
        return lambda asked: Answer() if asked.headers.get("authorization") == accepted[name] else refusal

    digest = Digest(f"sha256:{'a' * 64}")
    script: dict[str, Any] = {f"/v2/{name}/manifests/{digest}": guard(name) for name in accepted}
    script["/token"] = answer_json({"token": "issued", "expires_in": 300})
    registry = ScriptedRegistry(script)
    client = RegistryClient(RegistrySettings(url=URL, auth_file=file), httpx.ASGITransport(registry))
    async with client:
        for name in ("other", "other", "team/app", "other"):
            await client.head_manifest(RepositoryName(name), digest)

    given, issued = "Bearer given", "Bearer issued"
    assert [
        *[("other", None), ("other", given), ("other", given)],
        *[("team", None), ("/token", f"Basic {basic('team:x')}"), ("team", issued), ("other", given)],
    ] == [
        (
            "/token" if asked.target.startswith("/token") else asked.target.split("/")[2],
            asked.headers.get("authorization"),
        )
        for asked in registry.asked
    ]


@pytest.mark.parametrize("realm", ["https://evil.example/token", ""])
async def test_a_given_token_needs_no_token_server(realm: str, tmp_path: Path) -> None:
    """Whatever token server the registry names, a token that was given is for the registry alone."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {"registry.example": {"registrytoken": "given"}}}))
    refusal = answer_error(401, "UNAUTHORIZED", WWW_Authenticate=f'Bearer realm="{realm}"')
    registry = ScriptedRegistry(
        {"/v2/": lambda asked: Answer() if asked.headers.get("authorization") else refusal}
    )
    client = RegistryClient(RegistrySettings(url=URL, auth_file=file), httpx.ASGITransport(registry))
    async with client:
        await client.ping()

    assert [None, "Bearer given"] == [asked.headers.get("authorization") for asked in registry.asked]


async def test_a_given_token_is_no_password(tmp_path: Path) -> None:
    """A token is never sent as a password, where the registry asks for one."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {"registry.example": {"registrytoken": "given"}}}))
    refusal = answer_error(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="registry"')
    registry = ScriptedRegistry({"/v2/": refusal})
    client = RegistryClient(RegistrySettings(url=URL, auth_file=file), httpx.ASGITransport(registry))
    async with client:
        with pytest.raises(RegistryDeniedError):
            await client.ping()

    assert [None] == [asked.headers.get("authorization") for asked in registry.asked]

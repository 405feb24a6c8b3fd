"""The logins of Docker's config.json and containers' auth.json, as their tools read them."""

import base64
import json
from typing import Any

import pytest

from graph.registry.auth import Credentials
from graph.registry.auth_file import MAX_AUTH_FILE_BYTES, AuthFile, parse_auth_file


def packed(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def read(**document: Any) -> AuthFile:
    return parse_auth_file(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (packed("alice:secret"), Credentials("alice", "secret")),
        (packed("alice:se:cr:et"), Credentials("alice", "se:cr:et")),
        (packed("alice:secret\0"), Credentials("alice", "secret")),
        ({"username": "alice", "password": "secret"}, Credentials("alice", "secret")),
        ({"identitytoken": "refresh"}, Credentials("<token>", "refresh")),
        ({**packed("0000:x"), "identitytoken": "refresh"}, Credentials("<token>", "refresh")),
        ({"registrytoken": "bearer"}, Credentials("<registry-token>", "bearer")),
        ({**packed("alice:x"), "registrytoken": "bearer"}, Credentials("<registry-token>", "bearer")),
        ({"registrytoken": "a\r\nHost: b"}, None),
        ({"username": "alice", "password": "secret\ud800"}, None),
        ({"identitytoken": "\udcff"}, None),
        (packed("alice"), None),
        (packed("alice:"), None),
        (packed(":secret"), None),
        ({"auth": "not base64!"}, None),
        ({"auth": base64.b64encode(b"\xff:\xff").decode()}, None),
        ({}, None),
        ("alice:secret", None),
        (None, None),
    ],
)
def test_entry(entry: object, expected: Credentials | None) -> None:
    """An entry is a packed or plain login or an identity token; one that cannot be read is nobody's."""
    assert expected == read(auths={"registry.example": entry}).choose("registry.example")


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("registry.example", "registry.example"),
        ("https://registry.example", "registry.example"),
        ("https://registry.example/v2/", "registry.example"),
        ("http://localhost:5000", "localhost:5000"),
        ("Registry.Example:443", "registry.example:443"),
        ("registry.example:443", "registry.example"),
        ("registry.example", "registry.example:443"),
        ("registry.example/v2/", "registry.example"),
        ("index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io:443"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("https://index.docker.io/v1/", "registry-1.docker.io"),
        ("docker.io", "registry-1.docker.io"),
    ],
)
def test_key(key: str, registry: str) -> None:
    """A key may have a scheme, an API's path and the usual port; Docker's own registry has several names."""
    found = read(auths={key: packed("alice:secret")}).choose(registry)

    assert Credentials("alice", "secret") == found


@pytest.mark.parametrize(
    ("repository", "expected"),
    [("team/app/web", "deep"), ("team/app", "deep"), ("team/other", "team"), ("else", "all"), (None, "all")],
)
def test_longest_key_decides(repository: str | None, expected: str) -> None:
    """containers-auth.json(5): a login for a namespace or repository comes before the registry's own."""
    file = read(
        auths={
            "registry.example": packed("all:x"),
            "registry.example/team": packed("team:x"),
            "registry.example/team/app": packed("deep:x"),
            "registry.example/team/app/we": packed("trap:x"),
        }
    )

    assert Credentials(expected, "x") == file.choose("registry.example", repository)


def test_port_by_scheme() -> None:
    """Which port is left out depends on the scheme; a namespace may be called as an API is."""
    file = read(auths={"a.example:443": packed("tls:x"), "b.example/v2": packed("team:x")})

    assert [None, Credentials("tls", "x")] == [
        file.choose("a.example", scheme=each) for each in ("http", "https")
    ]
    assert [None, Credentials("team", "x")] == [file.choose("b.example", each) for each in (None, "v2/app")]


def test_helpers_come_first() -> None:
    """The helper of a registry comes before the store of all, and that before the file's own logins."""
    logins = {"a.example": packed("alice:x"), "b.example": packed("alice:x")}

    assert "gcloud" == read(auths=logins, credsStore="pass", credHelpers={"a.example": "gcloud"}).choose(
        "a.example"
    )
    assert "pass" == read(auths=logins, credsStore="pass", credHelpers={"a.example": "gcloud"}).choose(
        "b.example"
    )


@pytest.mark.parametrize("name", ["../evil", "a b", "", "-x", "a/b", "x" * 65, 7, None])
def test_names_of_helpers(name: object) -> None:
    """A helper's name becomes a program's: what could name another one is nobody's."""
    file = read(credHelpers={"registry.example": name}, credsStore=name)

    assert file.choose("registry.example") is None


def test_nobody() -> None:
    """A registry that the file does not name is asked as nobody, however alike their names are."""
    file = read(auths={"registry.example": packed("alice:secret")})

    assert [None] * 3 == [
        file.choose(name) for name in ("registry.example.evil", "xregistry.example", "registry.example:8443")
    ]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b" " * (MAX_AUTH_FILE_BYTES + 1)]
)
def test_no_auth_file(data: bytes) -> None:
    """What is no such file is an error that shows nothing of it."""
    with pytest.raises(ValueError):
        parse_auth_file(data)


def test_nothing_is_shown() -> None:
    """The text of a file's values shows no secret."""
    assert "secret" not in repr(read(auths={"registry.example": packed("alice:secret")}))

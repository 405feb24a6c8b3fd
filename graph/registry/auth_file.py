"""Read who we are out of Docker's `config.json` and containers' `auth.json`.

Sources: docker/cli, cli/config/configfile and types; containers-auth.json(5). Both hold `auths`,
`credHelpers` and `credsStore`, keyed by registry: `host[:port]`, with a scheme and path in Docker's oldest
entries (`https://index.docker.io/v1/`), with a namespace or repository behind it in containers'.

Rules of this file: pure, bytes in and values out; which entry is meant is decided here, what a helper says
elsewhere. An entry that cannot be read is as if it were not there, but a file that cannot be is an error:
an operator who named it wants it used. Nothing here shows a secret in its text.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graph.registry.auth import IDENTITY_TOKEN_USER, REGISTRY_TOKEN_USER, Credentials
from graph.registry.origin import DEFAULT_PORTS

# Bytes of such a file that are read. Some tools keep hundreds of logins in one; each has a few hundred.
MAX_AUTH_FILE_BYTES = 4 * 1024 * 1024

# What a helper may be called: it becomes part of a program's name.
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

# What Docker calls its own registry, in its configuration and in references.
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
# What helpers are asked for there, in this order: `docker login` keeps the login under the first
# (docker/cli, registry.IndexServer), `podman login` under the second.
_DOCKER_HUB_SERVERS = ("https://index.docker.io/v1/", "docker.io")


@dataclass(frozen=True, slots=True)
class AuthFile:
    """The logins of a file, by a key without scheme: `host[:port]`, maybe with `/namespace` behind it."""

    logins: Mapping[str, Credentials] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str | None = None

    def choose(
        self, registry: str, repository: str | None = None, *, scheme: str = "https"
    ) -> Credentials | str | None:
        """The login for a repository, or the name of the helper that knows it; None for nobody.

        `registry` is `host[:port]`, and `scheme` says which port is meant where it has none.

        A helper for the registry comes before the store of all, and that before what the file itself holds;
        among those the longest key that fits decides, as in containers-auth.json(5).
        """
        names = _names(registry, scheme)
        if helper := next((self.helpers[name] for name in names if name in self.helpers), None):
            return helper
        if self.store is not None:
            return self.store
        found = (self.logins[key] for key in _keys(names, repository) if key in self.logins)
        return next(found, None)

    def users_below(self, registry: str, *, scheme: str = "https") -> dict[str, str]:
        """Who is asked as whom about a part of the registry: the users, by namespace or repository."""
        names = _names(registry, scheme)
        if self.store is not None or any(name in self.helpers for name in names):
            return {}
        below = {}
        for key in sorted(self.logins):
            name, slash, path = key.partition("/")
            if slash and name in names:
                below[path] = self.logins[key].username
        return below


def servers_of(registry: str) -> tuple[str, ...]:
    """What a helper is asked for, one after the other until it knows one: what tools store a login under."""
    return _DOCKER_HUB_SERVERS if registry.removesuffix(":443") in _DOCKER_HUB else (registry,)


def _names(registry: str, scheme: str) -> list[str]:
    """What the registry may be called in a file: as it is here first, then with or without its port."""
    port = f":{DEFAULT_PORTS[scheme]}"
    host = registry.removesuffix(port)
    names = [registry]
    if host != registry:
        names.append(host)
    elif re.search(r":[0-9]+$", registry) is None:
        names.append(f"{registry}{port}")
    if host in _DOCKER_HUB:
        names += sorted(_DOCKER_HUB - {host})
    return names


def _keys(names: Sequence[str], repository: str | None) -> Iterator[str]:
    path = f"/{repository}" if repository else ""
    while path:
        yield from (f"{name}{path}" for name in names)
        path = path.rpartition("/")[0]
    yield from names


def parse_auth_file(data: bytes) -> AuthFile:
    """What the file says; ValueError, without a secret in its text, for one that is none."""
    if len(data) > MAX_AUTH_FILE_BYTES:
        raise ValueError(f"holds more than {MAX_AUTH_FILE_BYTES} bytes")
    is_json = True
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        is_json = False
    # Raised here and not in the handler: json's error holds the whole file, and would hang on to this one.
    if not is_json:
        raise ValueError("is not JSON")
    if not isinstance(document, dict):
        raise ValueError("is not a JSON object")
    logins = {}
    for key, entry in _mapping(document, "auths").items():
        credentials = _parse_login(entry)
        if credentials is not None:
            logins[_normalise(key)] = credentials
    helpers = {
        _normalise(key): name for key, name in _mapping(document, "credHelpers").items() if _is_helper(name)
    }
    store = document.get("credsStore")
    return AuthFile(logins, helpers, store if _is_helper(store) else None)


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _is_helper(name: Any) -> bool:
    return isinstance(name, str) and _HELPER.fullmatch(name) is not None


def _normalise(key: str) -> str:
    """The key without scheme and without the `/v1/` or `/v2/` that old entries end with."""
    _, scheme, rest = key.partition("://")
    host, slash, path = (rest if scheme else key).partition("/")
    # Without a scheme it is only the last slash that tells an API from a namespace called `v2`.
    if re.fullmatch(r"v[12]/" if not scheme else r"v[12]/?", path):
        path = ""
    path = path.strip("/")
    return f"{host.lower()}/{path}" if slash and path else host.lower()


def _parse_login(entry: Any) -> Credentials | None:
    if not isinstance(entry, dict):
        return None
    given = entry.get("registrytoken")
    if isinstance(given, str) and given:
        return _sendable(REGISTRY_TOKEN_USER, given)
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return _sendable(IDENTITY_TOKEN_USER, token)
    username, password = entry.get("username"), entry.get("password")
    packed = entry.get("auth")
    if isinstance(packed, str) and packed:
        try:
            text = base64.b64decode(packed, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        # Docker writes a NUL behind some passwords (docker/cli #1011).
        username, _, password = text.rstrip("\0").partition(":")
    if isinstance(username, str) and isinstance(password, str) and username and password:
        return _sendable(username, password)
    return None


def _sendable(username: str, password: str) -> Credentials | None:
    credentials = Credentials(username, password)
    return credentials if credentials.is_sendable else None

"""Who we are to one registry, wherever that is written down, and how long it may be believed.

Rules of this file: what a source says is asked for when it is first needed and kept for a while; several who
need it at once ask once, and are refused by one refusal. Which source was used can be told (`source`), its
secret cannot.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

from graph.errors import GraphError, SettingsError
from graph.places import name_of_place
from graph.registry.auth import Credentials
from graph.registry.auth_file import MAX_AUTH_FILE_BYTES, AuthFile, parse_auth_file, servers_of
from graph.registry.credential_helper import ask_helper
from graph.registry.watched_file import WatchedFile
from graph.settings import IdentityProvider, RegistrySettings, read_secret

# Seconds that a helper's answer is believed. The shortest-lived that helpers are known to give, those of
# Google, last an hour and may be half over.
HELPER_LIFETIME = 900.0

ANONYMOUS = "nobody (anonymous)"
UNSENDABLE = "it or the username holds what no request can: bytes, or a line's end"

Ask = Callable[[str, str], Awaitable[Credentials | None]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are for one request, and where that is written down."""

    source: str
    credentials: Credentials | None
    below: Mapping[str, str] = field(default_factory=dict)
    """Other users, for parts of the registry: by namespace or repository, in the same source."""


class IdentitySource(Protocol):
    """Where it is written down who we are."""

    async def identify(self, repository: str | None) -> Identity:
        """Who we are when we ask about the repository, or about the registry itself."""


class KeptIdentity:
    """What a source said last, until it is due again."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._told: tuple[datetime, Identity] | None = None
        self._refusals = 0
        self._refusal: GraphError | None = None

    async def get(self, ask: Callable[[], Awaitable[tuple[datetime, Identity]]]) -> Identity:
        """Who we are; `ask` says until when, too, and its error is raised by all who waited for it.

        A source that hangs would else keep each of them waiting in turn.
        """
        before = self._refusals
        async with self._lock:
            if self._refusals > before and self._refusal is not None:
                raise self._refusal
            if self._told is None or self._clock() >= self._told[0]:
                try:
                    self._told = await ask()
                except GraphError as error:
                    self._refusals += 1
                    self._refusal = error
                    raise
            return self._told[1]


class FixedIdentity:
    """The settings say it, or nothing does."""

    def __init__(self, source: str, credentials: Credentials | None) -> None:
        self._identity = Identity(source, credentials)

    async def identify(self, repository: str | None) -> Identity:
        """The same for every repository."""
        return self._identity


class SecretFileIdentity:
    """The settings say who we are, and a file our password, which may be renewed there."""

    def __init__(self, source: str, credentials: Credentials, file: Path) -> None:
        """`credentials` are those of now."""
        self._source = source
        self._username = credentials.username
        self._credentials = WatchedFile(file, self._read, credentials)

    async def identify(self, repository: str | None) -> Identity:
        """The same for every repository."""
        return Identity(self._source, self._credentials.get())

    def _read(self, file: Path) -> Credentials:
        credentials = Credentials(self._username, read_secret(file))
        if not credentials.is_sendable:
            raise ValueError(UNSENDABLE)
        return credentials


class FileIdentity:
    """A file of Docker or containers says it, or names a helper that knows."""

    def __init__(
        self,
        path: Path,
        file: AuthFile,
        registry: str,
        clock: Callable[[], datetime],
        ask: Ask = ask_helper,
        *,
        scheme: str = "https",
    ) -> None:
        """`registry` is `host[:port]` of a URL with this scheme."""
        self._path = path
        self._file = WatchedFile(path, read_auth_file, file)
        self._registry = registry
        self._scheme = scheme
        self._clock = clock
        self._ask = ask
        self._kept = KeptIdentity(clock)

    async def identify(self, repository: str | None) -> Identity:
        """The entry that fits best, or what the helper says, which is asked now and then."""
        file = self._file.get()
        chosen = file.choose(self._registry, repository, scheme=self._scheme)
        if not isinstance(chosen, str):
            below = {} if repository else file.users_below(self._registry, scheme=self._scheme)
            is_told = chosen is not None or bool(below)
            return Identity(str(self._path) if is_told else ANONYMOUS, chosen, below)
        return await self._kept.get(partial(self._ask_helper, chosen))

    async def _ask_helper(self, helper: str) -> tuple[datetime, Identity]:
        due_at = self._clock() + timedelta(seconds=HELPER_LIFETIME)
        credentials = await self._ask_for_each(helper)
        return due_at, Identity(f"docker-credential-{helper} ({self._path})", credentials)

    async def _ask_for_each(self, helper: str) -> Credentials | None:
        for server in servers_of(self._registry):
            credentials = await self._ask(helper, server)
            if credentials is not None:
                return credentials
        return None


def open_identity(settings: RegistrySettings, clock: Callable[[], datetime]) -> IdentitySource:
    """Where the settings say that it is written down who we are; nowhere is anonymous.

    Raises SettingsError when a file that they name cannot be used, what they ask for is not installed, or no
    request can hold the password.
    """
    if settings.identity is IdentityProvider.AZURE:
        from graph.registry.entra import open_entra_identity  # which knows what an identity is from here

        return open_entra_identity(settings.name, clock)
    if settings.username is not None and settings.password is not None:
        credentials = Credentials(settings.username, settings.password.get_secret_value())
        if not credentials.is_sendable:
            raise SettingsError([f"password: {UNSENDABLE}"])
        if settings.password_file is None:
            return FixedIdentity("the settings", credentials)
        source = f"the settings ({settings.password_file})"
        return SecretFileIdentity(source, credentials, settings.password_file)
    if settings.auth_file is not None:
        # Whatever we call it, who logged in did so at a host.
        host = name_of_place(settings.url)
        scheme = "http" if settings.url.startswith("http://") else "https"
        logins = read_auth_file(settings.auth_file)
        return FileIdentity(settings.auth_file, logins, host, clock, scheme=scheme)
    return FixedIdentity(ANONYMOUS, None)


def read_auth_file(path: Path) -> AuthFile:
    """What the file says. Raises SettingsError when it cannot be read."""
    try:
        with path.expanduser().open("rb") as stream:
            return parse_auth_file(stream.read(MAX_AUTH_FILE_BYTES + 1))
    except OSError as error:
        raise SettingsError([f"auth_file: {path} cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise SettingsError([f"auth_file: {path} {error}"]) from error

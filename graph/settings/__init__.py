"""What the operator chose: one object, read once.

It comes from flags, `OCIGRAPH_*` variables and a TOML file, in that order. Rules of this file: nothing is
opened here but the settings file and the files of secrets it names. Every mistake is found before any is
reported, each with the name of its setting. A name that no setting has is a mistake too, since a misspelt
limit that is silently ignored is worse than none.
"""

import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from graph.errors import SettingsError
from graph.places import hide_userinfo
from graph.settings.registry import (
    AUTOMATIC_DIALECT,
    DiscreetModel,
    IdentityProvider,
    RegistrySettings,
    read_secret,
)

__all__ = [
    "AUTOMATIC_DIALECT",
    "Hidden",
    "IdentityProvider",
    "RegistrySettings",
    "SETTINGS_VARIABLE",
    "STORE_ENGINES",
    "Settings",
    "VARIABLE_PREFIX",
    "load_settings",
    "read_secret",
]

VARIABLE_PREFIX = "OCIGRAPH_"
SETTINGS_VARIABLE = "OCIGRAPH_SETTINGS"
_REGISTRIES_VARIABLE = "OCIGRAPH_REGISTRIES"

# Where a store can be kept, as its URL begins.
STORE_ENGINES = frozenset({"sqlite"})

# What a browser sends as `Origin`: a scheme and a host, with a port if it is not the scheme's own.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s*]+", re.ASCII)

# What every client can put into a header: more than RFC 6750 asks of a bearer token, and one line.
_TOKEN = re.compile(r"[\x20-\x7e]+")


class Hidden(StrEnum):
    """What `hide` can keep back, because it often holds secrets."""

    CONFIG_ENV = "config-env"
    LABELS = "labels"
    HISTORY = "history"


def _split(value: Any) -> Any:
    """A variable holds a list as words between commas or spaces."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


def _split_registries(value: Any) -> Any:
    urls = _split(value)
    if not isinstance(urls, list | tuple):
        return urls
    return [{"url": url} if isinstance(url, str) else url for url in urls]


class Settings(DiscreetModel, BaseSettings):
    """Everything an operator can choose. `load_settings` makes one."""

    model_config = SettingsConfigDict(env_prefix=VARIABLE_PREFIX, frozen=True, extra="forbid")

    registries: Annotated[tuple[RegistrySettings, ...], NoDecode, BeforeValidator(_split_registries)] = Field(
        default=(), description="The registries to read; each `[[registries]]` table, or a list of URLs."
    )
    username: str | None = Field(
        default=None, description="For the one registry given by URL alone: its user."
    )
    password: SecretStr | None = Field(
        default=None, description="For the one registry given by URL alone: its password."
    )
    password_file: Path | None = Field(
        default=None, description="For the one registry given by URL alone: a file with it."
    )
    store: str = Field(
        default="ocigraph.sqlite3", description="The store: a path, a SQLite URL or `:memory:`."
    )
    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    max_age: float = Field(
        default=300, ge=0, description="Seconds after which an answer is refreshed when asked for."
    )
    min_refresh_age: float = Field(
        default=10, ge=0, description="Seconds in which nothing is asked of a registry twice."
    )
    refreshes_per_request: int = Field(
        default=10, ge=0, le=100, description="Refreshes one GraphQL request may cause."
    )
    refresh_timeout: float = Field(default=10, gt=0, description="Seconds a request waits for a refresh.")
    sync_interval: float = Field(
        default=900, ge=0, description="Seconds between crawls; 0: no crawl but by `ocigraph sync`."
    )
    referrers_max_age: float = Field(
        default=86_400, ge=0, description="Seconds after which a crawl lists referrers again."
    )
    node_budget: int = Field(
        default=20_000,
        ge=1,
        description="Nodes one GraphQL request may read; its answer may have 20 times as many fields.",
    )
    time_limit: float = Field(default=10, gt=0, description="Seconds one GraphQL request may take.")
    page_size_max: int = Field(default=100, ge=1, le=1000, description="The largest `first` or `last`.")
    max_depth: int = Field(default=20, ge=1, description="Levels a GraphQL query may nest.")
    max_aliases: int = Field(default=50, ge=0, description="Aliases a GraphQL query may use.")
    max_tokens: int = Field(default=2_000, ge=1, description="Tokens a GraphQL query may have.")
    max_body_bytes: int = Field(
        default=2_097_152, ge=1_024, description="Bytes the body of a request may have."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(), description="Origins whose pages may ask, such as `https://portal.example`; `*`: any."
    )
    token_file: Path | None = Field(
        default=None, description="A file with the bearer token every request must bring."
    )
    hide: Annotated[frozenset[Hidden], NoDecode, BeforeValidator(_split)] = Field(
        default=frozenset(),
        description="What to keep back: `config-env`, `labels`, `history`, which has the Dockerfile's lines "
        "of `ENV` and `LABEL`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _give_identity(cls, data: Any) -> Any:
        """Hand the top-level identity to the only registry; with several it would reach a wrong one."""
        identity = {
            key: data[key] for key in ("username", "password", "password_file") if data.get(key) is not None
        }
        if not identity:
            return data
        registries = _split_registries(data.get("registries", ()))
        if not isinstance(registries, list | tuple) or len(registries) != 1:
            return data  # refused below
        own = registries[0] if isinstance(registries[0], Mapping) else registries[0].model_dump()
        return {**data, "registries": [{**identity, **own}]}

    @field_validator("username", "password", "password_file")
    @classmethod
    def _keep_identity_apart(cls, value: Any, info: ValidationInfo) -> Any:
        # Without any it is not used: a shell in which `serve URL` was started asks the store there, too.
        if value is not None and len(info.data.get("registries", ())) > 1:
            raise ValueError("needs exactly one registry; with several, give each its own")
        return value

    @field_validator("registries")
    @classmethod
    def _tell_registries_apart(cls, registries: tuple[RegistrySettings, ...]) -> tuple[RegistrySettings, ...]:
        if twice := _repeated(registry.name for registry in registries):
            raise ValueError(twice)
        return registries

    @field_validator("store")
    @classmethod
    def _check_store(cls, store: str) -> str:
        engine, separator, _ = store.partition("://")
        if not store or (separator and engine.partition("+")[0] not in STORE_ENGINES):
            kinds = ", ".join(sorted(STORE_ENGINES))
            raise ValueError(f"is a path, :memory: or a URL of {kinds}, not {engine or 'nothing'}")
        return store

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        lowered = tuple(origin.lower() for origin in origins)
        for origin in lowered:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin, such as https://portal.example, nor `*`")
        return lowered

    @field_validator("token_file")
    @classmethod
    def _check_token_file(cls, file: Path | None) -> Path | None:
        if file is not None:
            try:
                _read_token(file)
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"{file} cannot be read: {error}") from error
        return file

    def sync_intervals(self) -> dict[str, float]:
        """Seconds between crawls of each registry that is crawled without being asked, by its name."""
        intervals = {
            registry.name: self.sync_interval if registry.sync_interval is None else registry.sync_interval
            for registry in self.registries
        }
        return {name: interval for name, interval in intervals.items() if interval > 0}

    def read_token(self) -> str | None:
        """The bearer token that requests must bring, or None when anyone may ask.

        Raises SettingsError when the file cannot be read, or holds nothing that a request can bring.
        """
        if self.token_file is None:
            return None
        try:
            return _read_token(self.token_file)
        except (OSError, ValueError) as error:
            raise SettingsError([f"token_file: {error}"]) from error


def _read_token(file: Path) -> str:
    token = read_secret(file)
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"{file} holds no token that a request can bring: one line of ASCII")
    return token


FindProblems = Callable[[RegistrySettings], Sequence[str]]


def load_settings(
    flags: Mapping[str, Any],
    file: Path | None = None,
    *,
    needs_registries: bool = False,
    find_problems: FindProblems | None = None,
) -> Settings:
    """The settings from flags, else `OCIGRAPH_*` variables, else the TOML file, else the defaults.

    `file` may also be named by `OCIGRAPH_SETTINGS`. A flag that is None was not given.
    Raises SettingsError with every mistake in them; `needs_registries`: that there is no registry is one.
    `find_problems` finds those of a registry that a look at the settings alone does not show.
    """
    problems = _find_unknown_variables()
    read = _read_file(file, problems)
    in_file = read or {}
    given = {name: value for name, value in flags.items() if value is not None}
    # Whether a file that cannot be read names any is not known.
    is_known = read is not None
    named = (given.get("registries"), os.environ.get(_REGISTRIES_VARIABLE), in_file.get("registries"))
    if needs_registries and is_known and not any(named):
        problems.append("registries: none is given; name one, such as `https://registry.example.com`")

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(  # type: ignore[override]  # sources come by name; two are wanted
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            **others: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=in_file)

    registries: Mapping[int, RegistrySettings]
    try:
        settings = Loaded(**given)
        registries = dict(enumerate(settings.registries))
    except ValidationError as error:
        problems += [_describe(problem) for problem in error.errors(include_url=False, include_input=False)]
        tables = _tables_of(next(filter(None, named), ()))
        registries = _read_each(tables)
        problems += [each for each in _find_repeated(tables) if each not in problems]
    for number, registry in registries.items():
        more = find_problems(registry) if find_problems is not None else ()
        problems += [f"registries.{number}.{problem}" for problem in more]
    if problems:
        raise SettingsError(problems)
    return settings


def _tables_of(registries: Any) -> dict[int, dict[str, Any]]:
    """What is given of each registry by its number, where one of them is not as it should be."""
    split = _split_registries(registries)
    tables = split if isinstance(split, list | tuple) else ()
    return {number: dict(table) for number, table in enumerate(tables) if isinstance(table, Mapping)}


def _read_each(tables: Mapping[int, dict[str, Any]]) -> dict[int, RegistrySettings]:
    """Those that are as they should be."""
    read = {}
    for number, table in tables.items():
        with suppress(ValidationError):
            read[number] = RegistrySettings.model_validate(table)
    return read


def _find_repeated(tables: Mapping[int, dict[str, Any]]) -> Sequence[str]:
    """The mistake of a name that several have, whatever else is wrong with them."""
    parts = {"url", "name"}
    named = {
        number: {key: value for key, value in table.items() if key in parts}
        for number, table in tables.items()
    }
    twice = _repeated(registry.name for registry in _read_each(named).values())
    return [f"registries: {twice}"] if twice else []


def _repeated(names: Iterable[str]) -> str | None:
    """What is wrong with names of which some are there more than once; None where none is."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    return f"{', '.join(twice)} is given more than once" if twice else None


def _read_file(file: Path | None, problems: list[str]) -> dict[str, Any] | None:
    """What the TOML file says, if there is one; None, and one problem more, where it cannot be read."""
    name = "--settings"
    if file is None and SETTINGS_VARIABLE in os.environ:
        name, file = SETTINGS_VARIABLE, Path(os.environ[SETTINGS_VARIABLE])
    if file is None:
        return {}
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        problems.append(f"{name}: {file} cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{name}: {file} is not TOML: {error}")
    return None


def _find_unknown_variables() -> list[str]:
    known = {SETTINGS_VARIABLE} | {VARIABLE_PREFIX + name.upper() for name in Settings.model_fields}
    return [
        f"{name}: no setting has this name"
        for name in sorted(os.environ)
        if name.startswith(VARIABLE_PREFIX) and name not in known
    ]


# What pydantic says in words of Python.
_MESSAGES: Mapping[Any, str] = {
    "extra_forbidden": "no setting has this name",
    "tuple_type": "must be a list",
    "frozen_set_type": "must be a list",
    "model_type": "must be a URL or a table",
    (
        "registries",
        "tuple_type",
    ): "must be a list of URLs, or of tables, each of which begins with [[registries]]",
}


def _describe(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    message = _MESSAGES.get((where, problem["type"])) or _MESSAGES.get(problem["type"]) or problem["msg"]
    # What a setting must not hold is often shown with the reason why.
    message = hide_userinfo(message.removeprefix("Value error, "))
    return f"{where}: {message}" if where else message

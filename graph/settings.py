"""What the operator chose: one object, read once.

It comes from flags, `OCIGRAPH_*` variables and a TOML file, in that order. Rules of this file: nothing is
opened here but the settings file and the files of secrets it names. Every mistake is found before any is
reported, each with the name of its setting. A name that no setting has is a mistake too, since a misspelt
limit that is silently ignored is worse than none.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
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

from graph.errors import InvalidNameError, SettingsError
from graph.oci.reference import RegistryName, parse_registry_name
from graph.places import LayoutKind, name_of_place, parse_api_url, parse_layout, parse_place

VARIABLE_PREFIX = "OCIGRAPH_"
SETTINGS_VARIABLE = "OCIGRAPH_SETTINGS"

# A password is a line; a file that holds more than this is not one (an Entra or ECR token has about 3 KiB).
MAX_SECRET_BYTES = 64 * 1024


# What `dialect` says when nobody chose one.
AUTOMATIC_DIALECT = "auto"


# An owner's name reaches the path of a request: what GitHub, Docker Hub, Quay, Harbor and GitLab allow in
# one, with groups below groups, and nothing that leads to another path.
_NAMESPACE = re.compile(r"[A-Za-z0-9_][\w.-]{0,254}(/[A-Za-z0-9_][\w.-]{0,254}){0,20}", re.ASCII)


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


def _read_secret(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(MAX_SECRET_BYTES + 1)
    if len(data) > MAX_SECRET_BYTES:
        raise ValueError(f"{path} holds more than {MAX_SECRET_BYTES} bytes")
    secret = data.decode().strip()
    if not secret:
        raise ValueError(f"{path} is empty")
    return secret


class RegistrySettings(BaseModel):
    """How to reach one registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(
        description="Where the registry is: `https://host[:port]`; plain http must be written out. Or images "
        "on disk: `oci:path` (a layout, a directory or a tar) or `docker-archive:path` (of `docker save`)."
    )
    name: RegistryName = Field(
        default=RegistryName(""),
        validate_default=True,
        description="What the API calls it. Default: the host and port of `url`, or the name of the file.",
    )
    dialect: str = Field(
        default=AUTOMATIC_DIALECT,
        description="Which vendor's additions it speaks; `oci` is the plain API. `auto`: told by the host.",
    )
    namespaces: tuple[str, ...] = Field(
        default=(),
        description="Whose repositories to list, where a vendor lists them by owner: an organisation, a "
        "project.",
    )
    api_url: str | None = Field(
        default=None,
        description="Where the vendor's own API is, if not where the vendor has it: "
        "`https://host[:port][/path]`. The login goes there too.",
    )
    username: str | None = Field(default=None, description="The user to log in as; none: anonymous.")
    password_file: Path | None = Field(default=None, description="A file that holds the password.")
    password: SecretStr | None = Field(
        default=None, validate_default=True, description="The password or token of `username`."
    )
    auth_file: Path | None = Field(
        default=None,
        description="A `config.json` of Docker or `auth.json` of containers to take the login from, with the "
        "credential helpers it names. Read only when named here.",
    )
    token_hosts: tuple[str, ...] = Field(
        default=(),
        description="Other hosts the registry's token server may be on; the password goes there too.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) of authorities to trust besides the system's, for this registry.",
    )
    client_certificate: Path | None = Field(
        default=None, description="A certificate (PEM) to show to the registry, its key with it or apart."
    )
    client_key: Path | None = Field(
        default=None, description="The key (PEM) of `client_certificate`, where that does not hold it."
    )
    skip_tls_verification: bool = Field(
        default=False,
        description="Believe any certificate: whoever is in between reads the password and makes up answers.",
    )
    proxy: str | None = Field(
        default=None,
        description="An HTTP proxy, `http://host:port`, for every request to this registry. No variable such "
        "as `HTTPS_PROXY` is looked at.",
    )
    concurrency: int = Field(default=16, ge=1, le=256, description="Requests under way at once.")
    page_size: int = Field(
        default=1000, ge=1, le=10_000, description="Names to ask for a page; made smaller on refusal."
    )
    timeout: float = Field(default=30, gt=0, le=3600, description="Seconds for one whole request.")

    @property
    def layout(self) -> tuple[LayoutKind, Path] | None:
        """The images on disk that take the place of a registry."""
        return parse_layout(self.url)

    # Each rule stands at one field, though some look at an earlier one too: a validator of the whole model
    # would not run, and so not tell its mistake, before every other is mended.

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        return parse_place(url)

    @field_validator("namespaces")
    @classmethod
    def _check_namespaces(cls, namespaces: tuple[str, ...]) -> tuple[str, ...]:
        for namespace in namespaces:
            if not _NAMESPACE.fullmatch(namespace):
                raise ValueError(f"{namespace!r} is not the name of an owner, nor several between slashes")
        return namespaces

    @field_validator("api_url")
    @classmethod
    def _check_api_url(cls, url: str | None) -> str | None:
        return None if url is None else parse_api_url(url)

    @field_validator("name")
    @classmethod
    def _name_after_host(cls, name: str, info: ValidationInfo) -> RegistryName:
        if not name and "url" not in info.data:
            return RegistryName("")  # the url is wrong, and told to be
        try:
            return parse_registry_name(name or name_of_place(info.data["url"]))
        except InvalidNameError as error:
            raise ValueError(str(error) if name else f"{error}; give it one") from error

    @field_validator("ca_file", "client_certificate", "client_key")
    @classmethod
    def _check_file(cls, file: Path | None) -> Path | None:
        if file is not None and not os.access(file, os.R_OK):
            raise ValueError(f"{file} cannot be read")
        return file

    @field_validator("client_key")
    @classmethod
    def _need_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if key is not None and info.data.get("client_certificate") is None:
            raise ValueError("is of use with client_certificate only")
        return key

    @field_validator("proxy")
    @classmethod
    def _check_proxy(cls, proxy: str | None) -> str | None:
        if proxy is not None:
            parts = urlsplit(proxy)
            plain = parts.scheme == "http" and parts.hostname and parts.path in ("", "/") and not parts.query
            if not plain or "@" in parts.netloc:
                raise ValueError("must be http://host:port, without user or password")
        return proxy

    @field_validator("password")
    @classmethod
    def _read_password(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        file = info.data.get("password_file")
        if file is not None and password is not None:
            raise ValueError("password and password_file were both given")
        if file is not None:
            try:
                password = SecretStr(_read_secret(file))
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"password_file cannot be read: {error}") from error
        if "username" in info.data and (info.data["username"] is None) != (password is None):
            raise ValueError("username and password belong together")
        return password


class Settings(BaseSettings):
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
        default=frozenset(), description="What to keep back: `config-env`, `labels`, `history`."
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
        if value is not None and len(info.data.get("registries", [None])) != 1:
            raise ValueError("needs exactly one registry; with several, give each its own")
        return value

    @field_validator("registries")
    @classmethod
    def _tell_registries_apart(cls, registries: tuple[RegistrySettings, ...]) -> tuple[RegistrySettings, ...]:
        names = [registry.name for registry in registries]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is given more than once")
        return registries

    @field_validator("token_file")
    @classmethod
    def _check_token_file(cls, file: Path | None) -> Path | None:
        if file is not None and not os.access(file, os.R_OK):
            raise ValueError(f"{file} cannot be read")
        return file

    def read_token(self) -> str | None:
        """The bearer token that requests must bring, or None when anyone may ask.

        Raises SettingsError when the file cannot be read or holds nothing.
        """
        if self.token_file is None:
            return None
        try:
            return _read_secret(self.token_file)
        except (OSError, ValueError) as error:
            raise SettingsError([f"token_file: {error}"]) from error


def load_settings(flags: Mapping[str, Any], file: Path | None = None) -> Settings:
    """The settings from flags, else `OCIGRAPH_*` variables, else the TOML file, else the defaults.

    `file` may also be named by `OCIGRAPH_SETTINGS`. A flag that is None was not given.
    Raises SettingsError with every mistake in them.
    """
    if file is None and SETTINGS_VARIABLE in os.environ:
        file = Path(os.environ[SETTINGS_VARIABLE])
    in_file = {} if file is None else _read_toml(file)
    given = {name: value for name, value in flags.items() if value is not None}

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

    problems = _find_unknown_variables()
    try:
        settings = Loaded(**given)
    except ValidationError as error:
        problems += [_describe(problem) for problem in error.errors(include_url=False, include_input=False)]
    if problems:
        raise SettingsError(problems)
    return settings


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"settings file {file}: {error}"]) from error


def _find_unknown_variables() -> list[str]:
    known = {SETTINGS_VARIABLE} | {VARIABLE_PREFIX + name.upper() for name in Settings.model_fields}
    return [
        f"{name}: no setting has this name"
        for name in sorted(os.environ)
        if name.startswith(VARIABLE_PREFIX) and name not in known
    ]


def _describe(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    message = "no setting has this name" if problem["type"] == "extra_forbidden" else problem["msg"]
    message = message.removeprefix("Value error, ")
    return f"{where}: {message}" if where else message

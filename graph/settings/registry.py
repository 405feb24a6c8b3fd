"""What the operator chose about one registry: where it is, who we are to it, what to read of it and when.

Rules of this file: nothing is opened here but the files of secrets that are named. Each rule stands at one
field, though some look at an earlier one too: a validator of the whole model would not run, and so not tell
its mistake, before every other is mended.
"""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from graph.errors import InvalidNameError
from graph.oci.reference import RegistryName, parse_registry_name, parse_repository_name
from graph.places import (
    Layout,
    hide_userinfo,
    is_netloc,
    name_of_place,
    parse_api_url,
    parse_layout,
    parse_place,
    parse_url,
)

# A password is a line; a file that holds more than this is not one (an Entra or ECR token has about 3 KiB).
MAX_SECRET_BYTES = 64 * 1024


# Mirrors of one registry: each may be asked for each manifest.
MAX_MIRRORS = 10

# Names and globs in `include`, and in `exclude`: each is held against each name that a registry lists.
MAX_PATTERNS = 1_000

# What `dialect` says when nobody chose one, and all that it may say: what `registry.dialects` calls them.
AUTOMATIC_DIALECT = "auto"
LAYOUT_DIALECT = "layout"
DIALECT_NAMES = frozenset(
    {
        AUTOMATIC_DIALECT,
        LAYOUT_DIALECT,
        "azure",
        "docker-hub",
        "ecr",
        "ecr-public",
        "gitea",
        "github",
        "gitlab",
        "google",
        "harbor",
        "jfrog",
        "oci",
        "quay",
        "zot",
    }
)


# An owner's name reaches the path of a request: what GitHub, Docker Hub, Quay, Harbor and GitLab allow in
# one, with groups below groups, and nothing that leads to another path.
_NAMESPACE = re.compile(r"[A-Za-z0-9_][\w.-]{0,254}(/[A-Za-z0-9_][\w.-]{0,254}){0,20}", re.ASCII)


class IdentityProvider(StrEnum):
    """Who can be asked who we are, where neither a password nor a file says it."""

    AZURE = "azure"


def read_secret(path: Path) -> str:
    """The line that the file holds; OSError or ValueError where there is none."""
    with path.open("rb") as file:
        data = file.read(MAX_SECRET_BYTES + 1)
    if len(data) > MAX_SECRET_BYTES:
        raise ValueError(f"{path} holds more than {MAX_SECRET_BYTES} bytes")
    try:
        secret = data.decode().strip()
    except UnicodeDecodeError:
        secret = None
    # Raised here and not in the handler: the decoder's error holds the bytes, and would hang on to this one.
    if secret is None:
        raise ValueError(f"{path} is not UTF-8")
    if not secret:
        raise ValueError(f"{path} is empty")
    return secret


class DiscreetModel(BaseModel):
    """Settings whose text shows no user or password of a URL, not even where none is allowed."""

    def __repr__(self) -> str:
        return hide_userinfo(super().__repr__())

    def __str__(self) -> str:
        return hide_userinfo(super().__str__())


class RegistrySettings(DiscreetModel):
    """How to reach one registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(
        description="Where the registry is: `https://host[:port]`; plain http must be written out. Or images "
        "on disk: `oci:path` (a layout: a directory, `.tar` or `.tar.gz`) or `docker-archive:path` (of "
        "`docker save`, `.tar` or `.tar.gz`), with `:tag` behind it for one image only."
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
    include: tuple[str, ...] = Field(
        default=(),
        description="Repositories to read: names, and globs with `*` and `?`. None: all. One that is named "
        "is read whether the registry lists it or not; where all are, its list is not asked for.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), description="Repositories to leave out: names and globs, whatever `include` says."
    )
    api_url: str | None = Field(
        default=None,
        description="Where the vendor's own API is, if not where the vendor has it: "
        "`https://host[:port][/path]`. The login goes there too. The public ones of Docker Hub, GitHub and "
        "GitLab are asked for their own hosts alone.",
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
    identity: IdentityProvider | None = Field(
        default=None,
        description="`azure`: log in as Microsoft Entra ID knows this machine or its user, for which "
        "`ocigraph[azure]` has to be installed. Never unless named here.",
    )
    token_hosts: tuple[str, ...] = Field(
        default=(),
        description="Other hosts the registry's token server may be on; the password goes there too.",
    )
    mirrors: tuple[str, ...] = Field(
        default=(),
        description="Mirrors or pull-through caches, `https://host[:port]`, to fetch manifests by digest and "
        "configs from; lists and tags never. Our login is not for them; `auth_file` may have one of theirs.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) of authorities to trust besides the system's, for this registry and "
        "whatever it leads to.",
    )
    client_certificate: Path | None = Field(
        default=None,
        description="A certificate (PEM) to show to the registry, its key with it or apart. At other origins "
        "(storage, token server, vendor's API, mirror) it is never shown.",
    )
    client_key: Path | None = Field(
        default=None, description="The key (PEM) of `client_certificate`, where that does not hold it."
    )
    skip_tls_verification: bool = Field(
        default=False,
        description="Believe any certificate of the registry itself: whoever is in between reads the "
        "password and makes up answers. At other origins certificates are verified all the same.",
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
    max_age: float | None = Field(
        default=None,
        ge=0,
        description="Seconds after which an answer about this registry is refreshed, where not as all.",
    )
    referrers_max_age: float | None = Field(
        default=None,
        ge=0,
        description="Seconds after which a crawl of this registry lists referrers again, where not as all.",
    )
    sync_interval: float | None = Field(
        default=None,
        ge=0,
        description="Seconds between crawls of this registry, where not as those of all; 0: no crawl but by "
        "`ocigraph sync`.",
    )

    @property
    def layout(self) -> Layout | None:
        """The images on disk that take the place of a registry."""
        return parse_layout(self.url)

    @property
    def has_login(self) -> bool:
        """Whether a login is written down, be it that of another registry in a file of many."""
        return self.username is not None or self.auth_file is not None

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        return parse_place(url)

    @field_validator("dialect")
    @classmethod
    def _check_dialect(cls, dialect: str, info: ValidationInfo) -> str:
        if dialect not in DIALECT_NAMES:
            raise ValueError(f"{dialect!r} is not known; known: {', '.join(sorted(DIALECT_NAMES))}")
        if "url" in info.data:
            url = info.data["url"]
            if parse_layout(url) is None and dialect == LAYOUT_DIALECT:
                raise ValueError(f"{url} is no layout")
            if parse_layout(url) is not None and dialect not in (AUTOMATIC_DIALECT, LAYOUT_DIALECT):
                raise ValueError(f"{url} is no registry that speaks {dialect!r}")
        return dialect

    @field_validator("namespaces")
    @classmethod
    def _check_namespaces(cls, namespaces: tuple[str, ...]) -> tuple[str, ...]:
        for namespace in namespaces:
            if not _NAMESPACE.fullmatch(namespace):
                raise ValueError(f"{namespace!r} is not the name of an owner, nor several between slashes")
        return namespaces

    @field_validator("include", "exclude")
    @classmethod
    def _check_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if len(patterns) > MAX_PATTERNS:
            raise ValueError(f"more than {MAX_PATTERNS} names and globs")
        for pattern in patterns:
            try:
                # What a glob leaves open may be anything that a name allows.
                parse_repository_name(re.sub(r"[*?]+", "x", pattern))
            except InvalidNameError as error:
                raise ValueError(f"{pattern!r}: {error}") from error
        return patterns

    @field_validator("mirrors")
    @classmethod
    def _check_mirrors(cls, mirrors: tuple[str, ...]) -> tuple[str, ...]:
        if len(mirrors) > MAX_MIRRORS:
            raise ValueError(f"more than {MAX_MIRRORS}")
        return tuple(parse_url(mirror) for mirror in mirrors)

    @field_validator("token_hosts")
    @classmethod
    def _check_token_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not is_netloc(host):
                raise ValueError(f"{host!r} is no host, such as auth.example or auth.example:8443")
        return hosts

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

    @field_validator("identity")
    @classmethod
    def _check_identity(cls, identity: IdentityProvider | None, info: ValidationInfo) -> Any:
        if identity is None:
            return None
        others = [name for name in ("username", "auth_file") if info.data.get(name) is not None]
        if others:
            raise ValueError(f"takes the place of {others[0]}; give one of the two")
        if info.data.get("url", "https:").startswith("http:"):
            raise ValueError("needs a registry at https, since it sends a token that is good elsewhere too")
        return identity

    @field_validator("auth_file", "ca_file", "client_certificate", "client_key")
    @classmethod
    def _check_file(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is None:
            return None
        if info.field_name == "auth_file":
            # Read where a registry is asked, perhaps by another user than who asks the store alone.
            is_found = os.path.exists(os.path.expanduser(file))
        else:
            is_found = os.access(file, os.R_OK)  # opened by libraries that know no `~`
        if not is_found:
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
        if proxy is None:
            return None
        scheme, _, netloc = proxy.partition("://")
        if scheme != "http" or not is_netloc(netloc.removesuffix("/")):
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
                password = SecretStr(read_secret(file))
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"password_file cannot be read: {error}") from error
        if "username" in info.data and (info.data["username"] is None) != (password is None):
            raise ValueError("username and password belong together")
        return password

"""How a registry is answered when it asks who we are: Basic, or a Bearer token from its token server.

1.  A 401 carries challenges. `choose_scheme` takes the first one we can answer: Bearer before Basic.
2.  For Bearer, `token_flow` asks the realm for a token: a generator that yields requests, takes replies and
    returns the token, so that it can be driven without a network (distribution, spec/auth/token.md and
    oauth.md).
3.  The token is sent to the registry, and to nobody else.

Rules of this file: no I/O, no clock. The password goes to the realm, so the realm is pinned before a
request to it exists (CVE-2026-48978): https unless the registry itself is plain http in the settings, and
the registry's own host or one that the operator named. Nothing here shows a secret in its text.
"""

import base64
import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import urlencode, urlsplit

from graph.errors import (
    MalformedManifestError,
    RegistryDeniedError,
    RegistryError,
    RegistryProtocolError,
    RegistryUnknownError,
    RegistryUnsupportedError,
)
from graph.oci.document import decode_json
from graph.oci.reference import RegistryName
from graph.registry.headers import Challenge
from graph.registry.ledger import RequestKind
from graph.registry.origin import DEFAULT_PORTS, Origin, parse_origin, resolve_url
from graph.registry.wire import CATALOG_SCOPE, JSON_TYPES, MAX_TOKEN_BYTES, Reply, Request, explain

# Token servers that are known to be on another host than their registry. Evidence: Docker Hub's published
# pull documentation (auth.docker.io/token), GitLab's container registry documentation
# (gitlab.com/jwt/auth).
TOKEN_HOSTS: dict[str, str] = {
    "docker.io": "auth.docker.io",
    "index.docker.io": "auth.docker.io",
    "registry-1.docker.io": "auth.docker.io",
    "registry.gitlab.com": "gitlab.com",
}

# Seconds a token is believed. The token specification: 60 where `expires_in` is missing or smaller.
MIN_TOKEN_LIFETIME = 60.0
MAX_TOKEN_LIFETIME = 24 * 3600.0
# Part of its life after which a token is asked for anew, while the old one still serves.
REFRESH_AFTER = 0.8
# Characters of a token or scope: what fits, with room left, into the 8 KiB that servers allow a header.
MAX_TOKEN_LENGTH = 7 * 1024
MAX_SCOPE_LENGTH = 2048

# Docker's convention: this user name says that the password is a refresh token ("identity token").
IDENTITY_TOKEN_USER = "<token>"
# Azure's convention for the same, since `docker login` wants a user (Azure/acr, docs/AAD-OAuth.md). The
# registry takes it for a grant of its published interface, and never as Basic on its own paths.
AZURE_TOKEN_USER = "00000000-0000-0000-0000-000000000000"
# Ours: the password is a Bearer token for the registry itself, sent as it is (docker/cli, types.AuthConfig:
# `registrytoken`).
REGISTRY_TOKEN_USER = "<registry-token>"
# Ours: the password is a token of Microsoft Entra ID, to be exchanged for a refresh token (`entra.py`).
ENTRA_TOKEN_USER = "<entra>"
# Quay's convention: the password is a token of its API too (quay/quay, auth/credential_consts.py).
API_TOKEN_USER = "$oauthtoken"
CLIENT_ID = "ocigraph"

_VISIBLE = re.compile(r"[\x21-\x7e]+")
_SCOPE = re.compile(r"[\x21-\x7e]+(?: +[\x21-\x7e]+)*")
_CONTENT_PATH = re.compile(r"/(?:blobs|manifests|tags|referrers)(?:/|$)")
_WRITE_ACTIONS = frozenset({"push", "delete", "write"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to one registry."""

    username: str
    password: str = field(repr=False)

    @property
    def is_identity_token(self) -> bool:
        """The password is a refresh token, good for the token server only."""
        return self.username in (IDENTITY_TOKEN_USER, AZURE_TOKEN_USER)

    @property
    def is_entra_token(self) -> bool:
        """The password is a token of Microsoft Entra ID, good for nothing but to be exchanged."""
        return self.username == ENTRA_TOKEN_USER

    @property
    def is_registry_token(self) -> bool:
        """The password is a Bearer token, good for the registry only."""
        return self.username == REGISTRY_TOKEN_USER

    @property
    def is_api_token(self) -> bool:
        """The password is a token of the vendor's API, and good for the registry as any password."""
        return self.username == API_TOKEN_USER

    @property
    def is_sendable(self) -> bool:
        """There is a way to send it: as UTF-8, and a token for the registry as the text of a header."""
        try:
            f"{self.username}{self.password}".encode()
        except UnicodeEncodeError:
            return False
        return self.has_token or not self.is_registry_token

    @property
    def has_token(self) -> bool:
        """The password may be a token: what could end a header is none."""
        return _VISIBLE.fullmatch(self.password) is not None

    @property
    def is_user(self) -> bool:
        """A user and a password, which may be sent as such."""
        return not (self.is_identity_token or self.is_entra_token or self.is_registry_token)

    def authorization(self) -> str:
        """The value of a Basic Authorization header (RFC 7617), in UTF-8."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def bearer(self) -> str:
        """The value of a Bearer Authorization header (RFC 6750), where the password is a token."""
        return f"Bearer {self.password}"


@dataclass(frozen=True, slots=True)
class Basic:
    """The registry wants user and password with every request."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """The registry wants a token from this realm, whose URL has been pinned."""

    realm: str
    service: str | None
    scope: str | None


@dataclass(frozen=True, slots=True)
class GivenBearer:
    """The registry wants a token, and we were given one: no token server is asked."""


Scheme: TypeAlias = Basic | Bearer | GivenBearer


@dataclass(frozen=True, slots=True)
class Token:
    """A token and how long it is good for."""

    value: str = field(repr=False)
    refresh_at: datetime
    expires_at: datetime

    def authorization(self) -> str:
        """The value of a Bearer Authorization header (RFC 6750)."""
        return f"Bearer {self.value}"


def choose_scheme(
    challenges: Sequence[Challenge],
    origin: Origin,
    token_hosts: Iterable[str],
    credentials: Credentials | None,
) -> Scheme:
    """The first challenge that can be answered, Bearer before Basic; ValueError if none can."""
    refusal = "asks for a kind of authentication that is not known here"
    for challenge in challenges:
        if challenge.scheme == "bearer":
            if credentials is not None and credentials.is_registry_token:
                return GivenBearer()
            try:
                realm = pin_realm(challenge.parameters.get("realm", ""), origin, token_hosts)
            except ValueError as error:
                refusal = str(error)
                continue
            service, scope = challenge.parameters.get("service"), challenge.parameters.get("scope")
            return Bearer(realm, service or None, scope or None)
    if any(challenge.scheme == "basic" for challenge in challenges):
        if credentials is not None and credentials.is_user:
            return Basic()
        refusal = "asks for a user and password, and the settings have none"
    raise ValueError(refusal)


def pin_realm(realm: str, origin: Origin, token_hosts: Iterable[str]) -> str:
    """The URL of a token server that credentials may go to; ValueError, with the reason, for any other."""
    if not realm:
        raise ValueError("asks for a token and names no realm to get it from")
    # A relative realm is one on the registry itself.
    url = resolve_url(f"{origin}/", realm)
    target = parse_origin(url)
    if target.scheme == "http" and origin.scheme != "http":
        raise ValueError("asks for a token from a realm that is not https")
    allowed = {origin.netloc, *token_hosts}
    if origin.host in TOKEN_HOSTS and target.scheme == "https":
        allowed.add(TOKEN_HOSTS[origin.host])
    # A POST there would be a write, and what a challenge names is not ours to trust with one.
    if _CONTENT_PATH.search(urlsplit(url).path):
        raise ValueError("asks for a token from a path that holds content")
    # `netloc` has no default port, so `auth.example` and `auth.example:443` are the same.
    if target.netloc not in {_without_default_port(host, target.scheme) for host in allowed}:
        raise ValueError(
            f"asks for a token from {target.netloc}, which is not its own host; "
            "if that is right, add it to token_hosts"
        )
    return url


def _without_default_port(host: str, scheme: str) -> str:
    return host.lower().removesuffix(f":{DEFAULT_PORTS[scheme]}")


def choose_scope(own: str | None, offered: str | None) -> str | None:
    """The scope to ask a token for: the challenge's, since only the registry knows what it wants (ACR).

    But never one to write with: such actions are taken out, and a scope that holds nothing else gives way
    to our own. So does one that is not of the specification's grammar (zuul-registry sends `read`, Codeberg
    `*`, Amazon ECR Public `aws`): docker sends its own in any case, so token servers know that, while
    zuul-registry's takes the `read` that it offers for the wish to write.
    """
    if offered is None or len(offered) > MAX_SCOPE_LENGTH or not _SCOPE.fullmatch(offered):
        return own
    kept = []
    for entry in offered.split():
        # `type:name:actions`, where the name may hold one ":" too (host:port): cut at the first and the last.
        head, colon, actions = entry.rpartition(":")
        if not colon or ":" not in head:
            if own is None:
                kept.append(entry)
            continue
        reading = [action for action in actions.split(",") if action not in _WRITE_ACTIONS]
        if reading:
            kept.append(f"{head}:{','.join(reading)}")
    return " ".join(kept) or own


def token_flow(
    registry: RegistryName, bearer: Bearer, scope: str | None, credentials: Credentials | None, now: datetime
) -> Generator[Request, Reply, Token]:
    """Get a token: yields each request, takes its reply, returns the token.

    GET with Basic (or anonymous) first, since every token server knows it; POST with a grant for identity
    tokens, and for a password where the server has no GET. A token that allows less than was asked for is
    not an error here: the registry will say so.

    Raises RegistryDeniedError when the credentials are refused, RegistryError for other answers.
    """
    if credentials is not None and credentials.is_identity_token:
        # For `/v2/` no challenge names a scope, and Azure's interface demands one of a grant. A token that
        # allows less than this one is given all the same.
        scope = scope or CATALOG_SCOPE
        request = _post_request(registry, bearer, scope, {"refresh_token": credentials.password})
        return read_token(request, (yield request), now)
    request = _get_request(registry, bearer, scope, credentials)
    reply = yield request
    if reply.status in (404, 405) and credentials is not None:
        grant = {"username": credentials.username, "password": credentials.password}
        request = _post_request(registry, bearer, scope, grant)
        reply = yield request
    return read_token(request, reply, now)


def ask_for_token(
    registry: RegistryName, url: str, document: str, now: datetime
) -> Generator[Request, Reply, Token]:
    """Get a token of a vendor's own API, for the login that a JSON document holds."""
    request = replace(_token_request(registry, "POST", url, None, None), json=document)
    return read_token(request, (yield request), now)


def _get_request(
    registry: RegistryName, bearer: Bearer, scope: str | None, credentials: Credentials | None
) -> Request:
    # One parameter for each scope. Some token servers read only the first, so we ask for one at a time.
    pairs = [("service", bearer.service)] if bearer.service else []
    pairs += [("scope", entry) for entry in (scope or "").split()]
    query = "&".join(part for part in (urlsplit(bearer.realm).query, urlencode(pairs)) if part)
    url = urlsplit(bearer.realm)._replace(query=query).geturl()
    return _token_request(registry, "GET", url, credentials.authorization() if credentials else None, None)


def _post_request(
    registry: RegistryName, bearer: Bearer, scope: str | None, grant: dict[str, str]
) -> Request:
    form = {"grant_type": "refresh_token" if "refresh_token" in grant else "password"}
    form |= {"client_id": CLIENT_ID, "service": bearer.service or "", **grant}
    if scope:
        form["scope"] = scope
    return grant_request(registry, bearer.realm, form)


def grant_request(registry: RegistryName, url: str, form: dict[str, str]) -> Request:
    """A grant, as a form, to a token server whose URL has been pinned."""
    return _token_request(registry, "POST", url, None, urlencode(form))


def _token_request(
    registry: RegistryName, method: str, url: str, authorization: str | None, form: str | None
) -> Request:
    return Request(
        registry,
        RequestKind.TOKEN,
        method,
        url,
        accept=JSON_TYPES,
        body_limit=MAX_TOKEN_BYTES,
        authorization=authorization,
        form=form,
    )


def read_token(
    request: Request, reply: Reply, now: datetime, names: Sequence[str] = ("token", "access_token")
) -> Token:
    """The token that a token server gives under the first of these names that has one.

    Raises RegistryDeniedError when it refuses, RegistryError for other answers.
    """
    if 300 <= reply.status < 400:
        # Following it would carry the password along (go-containerregistry #2292).
        reason = "has a token server that redirects, which is never followed"
        raise request.error(RegistryProtocolError, reason, http_status=reply.status)
    if reply.status != 200:
        raise _explain_refusal(request, reply, now)
    try:
        document = decode_json(reply.body)
    except MalformedManifestError:
        document = None
    value: Any = None
    if isinstance(document, dict):
        value = next(filter(None, map(document.get, names)), None)
    # A token goes into a header: whatever could end the header, or the request, is not a token.
    if not isinstance(value, str) or len(value) > MAX_TOKEN_LENGTH or not _VISIBLE.fullmatch(value):
        raise request.error(RegistryProtocolError, "has a token server that answers 200 without a token")
    return make_token(value, document.get("expires_in"), now)


def make_token(value: str, expires_in: Any, now: datetime) -> Token:
    """The token, believed as long as the answer says, or else as the token itself does."""
    lifetime = _read_lifetime(_lifetime_of_claims(value) if expires_in is None else expires_in)
    return Token(value, now + REFRESH_AFTER * lifetime, now + lifetime)


def _lifetime_of_claims(value: str) -> Any:
    """Seconds from `iat` to `exp` of a JWT (RFC 7519, 4.1); None where the token does not say.

    Azure's token server leaves `expires_in` out. The two claims are compared with each other, as the clock
    that they were written by need not be ours. Nothing else in the token is looked at, and its signature is
    the registry's to check: who forges a token can only make us ask for another one sooner or later.
    """
    parts = value.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = decode_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return claims["exp"] - claims["iat"]
    except (ValueError, LookupError, TypeError, MalformedManifestError):
        return None


def _read_lifetime(expires_in: Any) -> timedelta:
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError, OverflowError):
        seconds = MIN_TOKEN_LIFETIME
    # The comparison is written so that NaN, from a text, falls to the minimum.
    seconds = min(seconds, MAX_TOKEN_LIFETIME) if seconds > MIN_TOKEN_LIFETIME else MIN_TOKEN_LIFETIME
    return timedelta(seconds=seconds)


def _explain_refusal(request: Request, reply: Reply, now: datetime) -> RegistryError:
    error = explain(request, reply, now)
    # A token server answers 400 to a grant it refuses (RFC 6749, 5.2); 404 says nothing about the repository.
    is_no = isinstance(error, RegistryDeniedError | RegistryUnknownError | RegistryUnsupportedError)
    if reply.status == 400 or is_no:
        reason = f"has a token server that answered {' '.join([str(reply.status), *error.codes])}"
        return request.error(RegistryDeniedError, reason, http_status=reply.status, codes=error.codes)
    return error

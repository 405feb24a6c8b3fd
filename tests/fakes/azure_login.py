"""Azure's registry behind its login: `/oauth2/exchange` and `/oauth2/token`, and what each path wants.

Built from Azure/azure-rest-api-specs, containerregistry.json of 2021-07-01, Azure/acr, docs/AAD-OAuth.md and
Token-BasicAuth.md, and what the vendor's Python client sends. Standard library only.

- Who has no token is answered 401 with a challenge that names the scope of that very path.
- A token of Entra ID is exchanged for a refresh token, and that for an access token of one scope or more; an
  access token may also be had for a user and password, by GET with Basic or by POST, and by nobody at all
  where anonymous pulls are allowed.
- Tokens are JWTs that say themselves when they end; the answers have no `expires_in`.
- Who may use some repositories only gets a token with less than was asked for, and so never the catalog.
- What would allow to write is refused.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from fakes.azure import AzureRegistry
from graph.sample.answers import Answer, RefusedError, Request, error_answer, json_answer
from graph.sample.registry import join_headers

# Seconds that tokens live for (Azure/acr, docs/AAD-OAuth.md, has such ones).
ACCESS_LIFETIME, REFRESH_LIFETIME = 75 * 60, 3 * 3600

# The user that stands for a refresh token where a user and a password are wanted.
TOKEN_USER = "00000000-0000-0000-0000-000000000000"

_KEY = b"only this double has it"
_READING = frozenset({"pull", "metadata_read", "content/read", "*"})
_PLAIN = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs|tags|referrers)/.*")
_OWN = re.compile(r"/acr/v1/(?P<name>.+?)(?:/_(?:tags|manifests).*)?")


@dataclass
class Account:
    """Who may log in. `repositories`: the only ones that may be read; None: all, and the catalog."""

    password: str = ""
    repositories: frozenset[str] | None = None


@dataclass
class Log:
    """What the token server was asked: path, method, and the form or query without its secrets."""

    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def count(self, path: str) -> int:
        return sum(path == each for each, _, _ in self.asked)


class GuardedAzureRegistry(AzureRegistry):
    """`accounts` by user; `entra_tokens` to the account that each stands for; `allows_anonymous` pulls."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC), **options: Any) -> None:
        super().__init__(**options)
        self.clock = clock
        self.scheme = "https"
        self.accounts: dict[str, Account] = {}
        self.entra_tokens: dict[str, str] = {}
        self.allows_anonymous = False
        self.revoked: set[str] = set()
        self.logins = Log()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].startswith("/oauth2/"):
            return await super().__call__(scope, receive, send)
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        request = Request(
            scope["method"],
            scope["path"],
            scope.get("query_string", b"").decode("latin-1"),
            join_headers(scope["headers"]),
        )
        await self._record(request)
        try:
            answer = self._log_in(request, body)
        except RefusedError as error:
            answer = error.answer
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def answer(self, request: Request) -> Answer:
        wanted = _scope_of(request.path)
        if (error := self._refusal(request, wanted)) is None:
            return super().answer(request)
        challenge = f'Bearer realm="{self.scheme}://{self.login_server}/oauth2/token"'
        challenge += f',service="{self.login_server}"'
        challenge += f',scope="{wanted}"' if wanted else ""
        challenge += f',error="{error}"' if error else ""
        refusal = error_answer(
            401, "UNAUTHORIZED", "authentication required, visit https://aka.ms/acr/authorization"
        )
        return Answer(401, (*refusal.headers, ("Www-Authenticate", challenge)), refusal.body)

    def _refusal(self, request: Request, wanted: str) -> str | None:
        """Why the request is not answered, as the challenge says it; None where it is."""
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind == "Basic":
            account = self._account(*_read_basic(value))
            allowed = None if account is None else _cut(wanted, account.repositories)
        elif kind == "Bearer":
            claims = self._read(value, "access_token")
            if claims is None:
                return "invalid_token"
            allowed = claims["scopes"]
        else:
            return ""
        if allowed is None or not set(wanted.split()) <= set(allowed):
            return "insufficient_scope"
        return None

    def _log_in(self, request: Request, body: bytes) -> Answer:
        text = request.query if request.method == "GET" else body.decode()
        given = parse_qs(text, keep_blank_values=True)
        form = {name: values[0] for name, values in given.items()}
        hidden = ("access_token", "refresh_token", "password")
        shown = {name: value for name, value in form.items() if name not in hidden}
        self.logins.asked.append((request.path, request.method, shown))
        content_type = request.headers.get("content-type", "").partition(";")[0]
        if request.method == "POST" and content_type != "application/x-www-form-urlencoded":
            raise RefusedError(415, "UNSUPPORTED", "a form is wanted")
        if form.get("service") != self.login_server:
            raise RefusedError(400, "BAD_REQUEST", "service is not this registry")
        if request.path == "/oauth2/exchange" and request.method == "POST":
            return self._exchange(form)
        if request.path == "/oauth2/token" and request.method in ("GET", "POST"):
            return self._grant(request, form, " ".join(given.get("scope", [])))
        raise RefusedError(405, "UNSUPPORTED", "the token server does not know this")

    def _exchange(self, form: Mapping[str, str]) -> Answer:
        # The other two grants of the interface are deprecated.
        if form.get("grant_type") != "access_token" or not form.get("access_token"):
            raise RefusedError(400, "BAD_REQUEST", "grant_type is access_token, with an access_token")
        user = self.entra_tokens.get(form["access_token"])
        if user is None:
            raise RefusedError(401, "UNAUTHORIZED", "this is no token of our tenant")
        return json_answer({"refresh_token": self.issue("refresh_token", REFRESH_LIFETIME, user=user)})

    def _grant(self, request: Request, form: Mapping[str, str], scope: str) -> Answer:
        account = self._grantee(request, form)
        if account is None:
            raise RefusedError(401, "UNAUTHORIZED", "authentication required")
        if not scope and request.method == "POST":
            raise RefusedError(400, "BAD_REQUEST", "scope is required")
        for entry in scope.split():
            kind, _, rest = entry.partition(":")
            _, _, actions = rest.rpartition(":")
            if kind not in ("repository", "registry") or not actions:
                raise RefusedError(400, "BAD_REQUEST", "not a scope")
            if not set(actions.split(",")) <= _READING:
                raise RefusedError(403, "DENIED", "this double lets nobody write")
        scopes = _cut(scope, account.repositories)
        return json_answer({"access_token": self.issue("access_token", ACCESS_LIFETIME, scopes=scopes)})

    def _grantee(self, request: Request, form: Mapping[str, str]) -> Account | None:
        anonymous = Account(repositories=frozenset(self.repositories)) if self.allows_anonymous else None
        if request.method == "GET":
            kind, _, value = request.headers.get("authorization", "").partition(" ")
            return self._account(*_read_basic(value)) if kind == "Basic" else anonymous
        match form.get("grant_type"):
            case "refresh_token":
                return self._account(TOKEN_USER, form.get("refresh_token", ""))
            case "password" if "username" in form:
                return self._account(form["username"], form.get("password", ""))
            case "password":
                return anonymous  # what the vendor's client sends for nobody
        raise RefusedError(400, "BAD_REQUEST", "grant_type is refresh_token or password")

    def _account(self, user: str, password: str) -> Account | None:
        if user == TOKEN_USER:
            claims = self._read(password, "refresh_token")
            return None if claims is None else self.accounts[claims["user"]]
        account = self.accounts.get(user)
        return account if account is not None and password and account.password == password else None

    def issue(self, kind: str, lifetime: int, **claims: Any) -> str:
        """A token that says itself what it is, from when and to when."""
        now = int(self.clock().timestamp())
        claims |= {
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "aud": self.login_server,
            "grant_type": kind,
        }
        signed = f"{_pack({'alg': 'HS256', 'typ': 'JWT'})}.{_pack(claims)}"
        return f"{signed}.{_sign(signed)}"

    def _read(self, token: str, kind: str) -> dict[str, Any] | None:
        signed, _, signature = token.rpartition(".")
        if token in self.revoked or not signed or not hmac.compare_digest(signature, _sign(signed)):
            return None
        payload = signed.partition(".")[2]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        is_valid = claims["grant_type"] == kind and self.clock().timestamp() < claims["exp"]
        return claims if is_valid else None


def _scope_of(path: str) -> str:
    """What a request for this path needs a token for; empty: any token will do."""
    if path in ("/acr/v1/_catalog", "/v2/_catalog"):
        return "registry:catalog:*"
    if match := _PLAIN.fullmatch(path):
        action = "pull" if match["kind"] in ("manifests", "blobs") else "metadata_read"
        return f"repository:{match['name']}:{action}"
    if match := _OWN.fullmatch(path):
        return f"repository:{match['name']}:metadata_read"
    return ""


def _cut(scope: str, repositories: frozenset[str] | None) -> list[str]:
    """The entries of the scope that may be granted, one for each action."""
    granted = []
    for entry in scope.split():
        head, _, actions = entry.rpartition(":")
        kind, _, name = head.partition(":")
        if repositories is None or (kind == "repository" and name in repositories):
            granted += [f"{head}:{action}" for action in actions.split(",")]
    return granted


def _read_basic(value: str) -> tuple[str, str]:
    user, _, password = base64.b64decode(value).decode().partition(":")
    return user, password


def _pack(document: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def _sign(text: str) -> str:
    return (
        base64.urlsafe_b64encode(hmac.new(_KEY, text.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    )

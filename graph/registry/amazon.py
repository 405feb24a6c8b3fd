"""How Amazon's APIs are spoken to: actions, pages, errors, and the password that one of them gives.

Sources: botocore, data/ecr and data/ecr-public (protocol `json` 1.1); the API reference of
GetAuthorizationToken. Rules of this file: no botocore, and no secret in any text.
"""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

from graph.errors import (
    MalformedManifestError,
    RegistryDeniedError,
    RegistryError,
    RegistryProtocolError,
    RegistryThrottledError,
    RegistryUnknownError,
    RegistryUnsupportedError,
)
from graph.oci.document import decode_json
from graph.registry.auth import MAX_TOKEN_LIFETIME, REFRESH_AFTER, Credentials
from graph.registry.identity import Identity, KeptIdentity
from graph.registry.ledger import RequestKind
from graph.registry.listing import Document
from graph.registry.times import parse_epoch
from graph.registry.wire import MAX_QUERY_LENGTH, MAX_TOKEN_BYTES, Reply, Request, read_by_action
from graph.settings import RegistrySettings

_ERRORS: Mapping[str, type[RegistryError]] = {
    "RepositoryNotFoundException": RegistryUnknownError,
    "RegistryNotFoundException": RegistryUnknownError,
    "ImageNotFoundException": RegistryUnknownError,
    "UnsupportedCommandException": RegistryUnsupportedError,
    "AccessDeniedException": RegistryDeniedError,
    "ExpiredTokenException": RegistryDeniedError,
    "IncompleteSignatureException": RegistryDeniedError,
    "InvalidSignatureException": RegistryDeniedError,
    "MissingAuthenticationTokenException": RegistryDeniedError,
    "UnrecognizedClientException": RegistryDeniedError,
    "LimitExceededException": RegistryThrottledError,
    "ThrottlingException": RegistryThrottledError,
    "TooManyRequestsException": RegistryThrottledError,
}


@dataclass(frozen=True, slots=True)
class Service:
    """One of Amazon's registries: where its API is and what it calls itself."""

    name: str
    target: str
    region: str
    api: str
    account: str | None = None

    def action(self, name: str) -> str:
        """The action as the header names it."""
        return f"{self.target}.{name}"

    def body(self, **fixed: Any) -> Callable[[str], str]:
        """From the query of a page to the JSON that asks for it."""
        fixed = {key: value for key, value in (("registryId", self.account), *fixed.items()) if value}

        def write(query: str) -> str:
            page = {key: values[0] for key, values in parse_qs(query).items()}
            size = {"maxResults": int(page.pop("maxResults"))} if "maxResults" in page else {}
            return json.dumps({**fixed, **size, **page})

        return write


class PasswordIdentity:
    """The user AWS, and a password that is asked for when the one before is due."""

    def __init__(
        self,
        settings: RegistrySettings,
        service: Service,
        ask: Callable[[Request], Awaitable[Reply]],
        clock: Callable[[], datetime],
    ) -> None:
        self._request = replace(
            read_by_action(
                settings.name,
                RequestKind.TOKEN,
                service.api,
                service.action("GetAuthorizationToken"),
                "{}",
                MAX_TOKEN_BYTES,
            ),
            refusal_of=refusal_of,
        )
        self._ask = ask
        self._clock = clock
        self._kept = KeptIdentity(clock)

    async def identify(self, repository: str | None) -> Identity:
        """The same for every repository. Raises RegistryError where Amazon gives no password."""
        return await self._kept.get(self._ask_for_password)

    async def _ask_for_password(self) -> tuple[datetime, Identity]:
        now = self._clock()
        credentials, expires_at = _read_password(self._request, await self._ask(self._request))
        lifetime = min(expires_at - now, timedelta(seconds=MAX_TOKEN_LIFETIME))
        identity = Identity("credentials of Amazon (GetAuthorizationToken)", credentials)
        return now + REFRESH_AFTER * lifetime, identity


def _read_password(request: Request, reply: Reply) -> tuple[Credentials, datetime]:
    try:
        data = decode_json(reply.body)["authorizationData"]
        data = data[0] if isinstance(data, list) else data  # ECR has a list of one, ECR Public the one
        text = base64.b64decode(data["authorizationToken"], validate=True).decode()
        user, colon, password = text.partition(":")
        expires_at = parse_epoch(data.get("expiresAt"))
    except (MalformedManifestError, LookupError, TypeError, AttributeError, ValueError):
        user = colon = password = ""
        expires_at = None
    if not colon or not user or not password or expires_at is None:
        raise request.error(RegistryProtocolError, "gives no password that can be read")
    return Credentials(user, password), expires_at


def next_query(page: Document, query: str) -> str | None:
    """The query of the page after this one, with the token that its body has."""
    token = page.get("nextToken")
    if not token:
        return None
    if not isinstance(token, str) or len(token) > MAX_QUERY_LENGTH:
        raise ValueError("sends a token of the next page that is none")
    size = {key: values[0] for key, values in parse_qs(query).items() if key == "maxResults"}
    return urlencode({**size, "nextToken": token})


def refusal_of(reply: Reply) -> type[RegistryError] | None:
    """What an error of theirs means; None where its type is not known."""
    try:
        document = decode_json(reply.body)
    except MalformedManifestError:
        return None
    kind = document.get("__type") if isinstance(document, dict) else None
    return _ERRORS.get(kind.rpartition("#")[2]) if isinstance(kind, str) else None

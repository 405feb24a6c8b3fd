"""Log in to Azure Container Registry as Microsoft Entra ID knows us: a person, a service or this machine.

Three steps, of which this file takes the first two; `auth.token_flow` takes the third:

1.  azure-identity finds a token of Entra ID: from `AZURE_*` variables, a workload identity, a managed
    identity or `az login`, in the order of its `DefaultAzureCredential`.
2.  `POST /oauth2/exchange` of the registry gives a refresh token for it, with `grant_type=access_token`, the
    one of its grants that is not deprecated (Azure/azure-rest-api-specs, containerregistry.json 2021-07-01).
3.  `POST /oauth2/token` gives an access token for each scope.

Rules of this file: the one home of azure-identity, which is imported when a registry is opened whose settings
ask for it, and by nobody else. The token of Entra ID goes to the registry's own origin alone, never to a host
that a challenge names. None of the texts of azure-identity's errors are passed on: its logger has them.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

from graph.errors import RegistryDeniedError, SettingsError
from graph.oci.reference import RegistryName
from graph.registry.auth import ENTRA_TOKEN_USER, Credentials, Token, grant_request, read_token
from graph.registry.identity import Identity, KeptIdentity
from graph.registry.origin import Origin
from graph.registry.threads import OwnThread
from graph.registry.wire import Reply, Request

# Whom the token of Entra ID is for: the registries of all clouds. The audience of Azure Resource Manager,
# which older clients ask for, can be switched off in a registry (azureADAuthenticationAsArmPolicy).
SCOPE = "https://containerregistry.azure.net/.default"

# Seconds that azure-identity may take; a machine without a managed identity is found out by time-outs.
ENTRA_TIMEOUT = 60.0
# Seconds before its end at which a token of Entra ID is asked for anew; it lives for an hour or more.
ENTRA_MARGIN = timedelta(seconds=300)

SOURCE = "Microsoft Entra ID (azure-identity)"


class AccessToken(Protocol):
    """What azure-identity gives."""

    @property
    def token(self) -> str:
        """The token."""

    @property
    def expires_on(self) -> int:
        """When it ends, in seconds since 1970."""


class TokenCredential(Protocol):
    """What of azure-identity is used."""

    def get_token(self, *scopes: str) -> Any:
        """An `AccessToken`; it may ask the network, and keep it."""


class EntraIdentity:
    """An `IdentitySource`: asks azure-identity in a thread, once for all who wait, until the token ends."""

    def __init__(
        self, registry: RegistryName, credential: TokenCredential, clock: Callable[[], datetime]
    ) -> None:
        self._registry = registry
        self._credential = credential
        self._kept = KeptIdentity(clock)
        self._thread = OwnThread("ocigraph-entra")

    async def identify(self, repository: str | None) -> Identity:
        """The same for every repository. Raises RegistryDeniedError where there is no such identity."""
        return await self._kept.get(self._ask)

    async def _ask(self) -> tuple[datetime, Identity]:
        token = await self._ask_library()
        expires_at = datetime.fromtimestamp(token.expires_on, UTC)
        return expires_at - ENTRA_MARGIN, Identity(SOURCE, Credentials(ENTRA_TOKEN_USER, token.token))

    async def _ask_library(self) -> AccessToken:
        failure = None
        try:
            async with asyncio.timeout(ENTRA_TIMEOUT):
                token: AccessToken = await self._thread.run(partial(self._credential.get_token, SCOPE))
                return token
        except TimeoutError:
            failure = f"gave no answer within {ENTRA_TIMEOUT:g} s"
        except Exception as error:  # azure-core's own, and what its HTTP client lets through
            failure = f"has no identity for us ({type(error).__name__}); its log tells what was tried"
        raise RegistryDeniedError(f"azure-identity {failure}", registry=self._registry)


def _import_credential() -> Callable[[], TokenCredential]:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential


def open_entra_identity(
    registry: RegistryName,
    clock: Callable[[], datetime],
    load: Callable[[], Callable[[], TokenCredential]] = _import_credential,
) -> EntraIdentity:
    """The identity that azure-identity finds. Raises SettingsError where it is not installed."""
    try:
        credential = load()
    except ImportError:
        raise SettingsError(
            ["identity: `azure` needs azure-identity, which is not installed; install `ocigraph[azure]`"]
        ) from None
    return EntraIdentity(registry, credential(), clock)


def exchange_request(
    registry: RegistryName, origin: Origin, service: str | None, entra_token: str
) -> Request:
    """Ask the registry for a refresh token."""
    form = {"grant_type": "access_token", "service": service or origin.host, "access_token": entra_token}
    return grant_request(registry, f"{origin}/oauth2/exchange", form)


def read_refresh_token(request: Request, reply: Reply, now: datetime) -> Token:
    """The refresh token of the answer. Raises RegistryDeniedError when it refuses ours."""
    return read_token(request, reply, now, names=["refresh_token"])

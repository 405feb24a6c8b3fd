"""Credentials and signatures of Amazon Web Services: the one home of botocore, the extra `ocigraph[aws]`.

Rules of this file: botocore is imported when it is needed and not before, and does two things only: it finds
credentials as Amazon's own tools do (variables, files, the roles of containers and machines), and signs.
Requests are ours. Looking for credentials may read files and ask a metadata service, so it is done in a
thread; what is found is refreshed by botocore when it is due. Signatures bear the time of botocore's clock.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from graph.errors import RegistryDeniedError, SettingsError
from graph.registry.signer import Send
from graph.registry.threads import OwnThread
from graph.registry.wire import Request

# What signing adds to a request; the last only with temporary credentials.
_SIGNED_HEADERS = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")

# Seconds that botocore may take to find credentials: a role of a machine or a program of one's own is asked.
FINDING_TIMEOUT = 60.0


class AwsSigner:
    """Signs requests to one service in one region (Signature Version 4)."""

    def __init__(self, service: str, region: str) -> None:
        """Raises SettingsError where botocore is not installed."""
        try:
            import botocore.auth
            import botocore.awsrequest
            import botocore.exceptions
            import botocore.session
        except ImportError as error:
            raise SettingsError(
                [f"dialect: {service} needs the extra of Amazon, `pip install ocigraph[aws]`"]
            ) from error
        self._service = service
        self._region = region
        self._botocore: Any = botocore
        self._session: Any = botocore.session.Session()
        self._finding = asyncio.Lock()
        self._thread = OwnThread("ocigraph-aws")

    async def sign(self, request: Request, send: Send) -> Sequence[tuple[str, str]]:
        """The headers that sign this request. Raises RegistryDeniedError where there are no credentials."""
        try:
            async with asyncio.timeout(FINDING_TIMEOUT), self._finding:
                credentials = await self._thread.run(self._find)
        except TimeoutError:
            reason = f"wants credentials of Amazon, and botocore found none within {FINDING_TIMEOUT:g} s"
            raise request.error(RegistryDeniedError, reason) from None
        if credentials is None:
            raise request.error(RegistryDeniedError, "wants credentials of Amazon, and there are none")
        signed = self._botocore.awsrequest.AWSRequest(
            method=request.method, url=request.url, data=request.json, headers=dict(request.headers)
        )
        self._botocore.auth.SigV4Auth(credentials, self._service, self._region).add_auth(signed)
        return [(name, signed.headers[name]) for name in _SIGNED_HEADERS if name in signed.headers]

    def is_worth_another(self, request: Request) -> bool:
        """Never: the same credentials would sign again."""
        return False

    def _find(self) -> Any:
        try:
            found = self._session.get_credentials()
            return None if found is None else found.get_frozen_credentials()
        except self._botocore.exceptions.BotoCoreError:
            # A profile that is not there, a role that cannot be had: its text may tell of files and URLs.
            return None

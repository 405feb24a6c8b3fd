"""A registry over a real loopback socket that shows nothing without a login, and tries to have it elsewhere.

Rules of this file: what the registry says once somebody is logged in is the script's; the way to log in is
here, so that in every test the secrets are in use when they could leak. `secrets_in` looks for them in bytes
as they came over a wire, in the forms that a client gives them.
"""

import base64
import json
import ssl
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from builders import Built
from fakes.hostile import Behaviour, HostileServer, respond
from fakes.scripted import Asked

USER = "alice"
PASSWORD = "correct-horse-9f2c"
TOKEN = "battery-staple-7be1"
LOGIN = {"username": USER, "password": PASSWORD}

_BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
TOKEN_ANSWER = json.dumps({"token": TOKEN, "expires_in": 3600}).encode()


def forms_of(secret: str) -> set[bytes]:
    """The secret as it is, in a URL, in a form, and in base64, with whatever stands before it."""
    forms = {secret.encode(), quote(secret, safe="").encode()}
    for before in range(3):
        packed = base64.b64encode(b"x" * before + secret.encode())
        # The characters at both ends depend on the neighbours.
        forms.add(packed[4:-4])
    return forms


def secrets_in(heard: bytes, secrets: Iterable[str] = (PASSWORD, TOKEN, _BASIC)) -> list[bytes]:
    """The forms of the secrets that the bytes hold; none is what a test wants."""
    return [form for secret in secrets for form in forms_of(secret) if form in heard]


class GuardedServer(HostileServer):
    """A registry with a token server at `/token`, which may be told to challenge in another way.

    `script` is what it says to who has the token, `/v2/` from the start; `challenge` and `token_answer` are
    said to everybody.
    """

    def __init__(
        self,
        script: Mapping[str, Behaviour | list[Behaviour]] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__({"/v2/": respond(200, b"{}"), **(script or {})}, tls)
        self.challenge = 'Bearer realm="/token",service="s"'
        self.token_answer = respond(200, TOKEN_ANSWER)

    def hold(self, repository: str, built: Built, *references: str) -> None:
        """Answer for the content by digest, and for the manifest by these tags too."""
        for blob in built.blobs:
            self.script[f"/v2/{repository}/blobs/{blob.digest}"] = respond(200, blob.data)
        for child in built.manifests:
            self.hold(repository, child)
        for reference in (built.digest, *references):
            self.script[f"/v2/{repository}/manifests/{reference}"] = respond(
                200, built.data, content_type=built.media_type, docker_content_digest=built.digest
            )

    @property
    def paths(self) -> list[str]:
        """What was asked for with a login, in order."""
        return [asked.path for asked in self.asked if asked.headers.get("authorization") == f"Bearer {TOKEN}"]

    def _choose(self, asked: Asked) -> Behaviour:
        authorization = asked.headers.get("authorization")
        if asked.path == "/token":
            return self.token_answer if authorization == f"Basic {_BASIC}" else respond(401)
        if authorization != f"Bearer {TOKEN}":
            return respond(401, www_authenticate=self.challenge)
        return super()._choose(asked)

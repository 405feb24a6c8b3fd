"""A token server, as distribution describes one in its specification of tokens (spec/auth/jwt.md).

It signs with RS256 and sends its certificate along (`x5c`), which the registry believes for the authority in
its `rootcertbundle`. What it was asked for is kept, to be counted.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from time import time
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from live.certificates import Authority

ISSUER = "the token server of the tests"
SERVICE = "the registry of the tests"


@dataclass(slots=True)
class TokenServer:
    """What it says, and what it was asked; all but the last three fields may be changed while it runs."""

    # Who may ask, by user and password.
    users: Mapping[str, str]
    # Repositories that nobody may read.
    closed: frozenset[str] = frozenset()
    # Seconds that a token is good for from when it was signed, and that it is said to be good for.
    lifetime: int = 300
    # How many of the next tokens were signed, they say, an hour ago.
    stale: int = 0
    # The scope of each request that was answered with a token; none for a token that is good for nothing.
    granted: list[str] = field(default_factory=list)
    # The user of each that was refused.
    refused: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def host(self) -> str:
        """Host and port."""
        return self.url.removeprefix("http://")


@contextmanager
def serve_tokens(
    directory: Path, users: Mapping[str, str]
) -> Iterator[tuple[TokenServer, dict[str, object]]]:
    """A running server, and the section `auth` of the settings of a registry that believes it."""
    authority = Authority("the authority of tokens")
    signer = authority.issue("the signer of tokens", is_rsa=True)
    assert isinstance(signer.key, rsa.RSAPrivateKey)
    key = signer.key
    bundle, _ = authority.certified.write(directory, "tokens")
    chain = base64.b64encode(signer.certificate.public_bytes(serialization.Encoding.DER)).decode()
    state, lock = TokenServer(users), Lock()

    def sign(claims: Mapping[str, object]) -> str:
        header = {"typ": "JWT", "alg": "RS256", "x5c": [chain]}
        signed = ".".join(_encode(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{_encode(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            user, _, password = _decode_basic(self.headers.get("Authorization", "")).partition(":")
            if state.users.get(user) != password:
                with lock:
                    state.refused.append(user)
                self._answer(401, {"details": "incorrect username or password"})
                return
            scopes = asked.get("scope", [])
            with lock:
                state.granted.append(" ".join(scopes))
                is_stale, state.stale = state.stale > 0, max(0, state.stale - 1)
            now = int(time()) - (3600 if is_stale else 0)
            claims = {
                "iss": ISSUER,
                "aud": SERVICE,
                "sub": user,
                "iat": now,
                "nbf": now,
                "exp": now + state.lifetime,
                "access": [_grant(scope) for scope in scopes if scope.split(":")[1] not in state.closed],
            }
            self._answer(200, {"token": sign(claims), "expires_in": state.lifetime})

        def _answer(self, status: int, document: Mapping[str, object]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        token = {"realm": f"{state.url}/token", "service": SERVICE, "issuer": ISSUER}
        try:
            yield state, {"token": {**token, "rootcertbundle": str(bundle)}}
        finally:
            server.shutdown()


def _grant(scope: str) -> Mapping[str, object]:
    kind, name, actions = scope.split(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode_basic(header: str) -> str:
    return base64.b64decode(header.removeprefix("Basic ")).decode()

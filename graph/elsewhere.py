"""Asks a GraphQL server that runs elsewhere, for `ocigraph query --url`.

Rules of this file: whatever comes back ends as an answer of GraphQL or as one of our errors. The token goes
to the address that was typed and nowhere else, so no redirect is followed. What is read is bounded.
"""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from graph.errors import InputError, ServerError, ServerUnreachableError

# Seconds that a server is waited for; its own limit for a query is 10 s unless set otherwise.
TIMEOUT = 60.0
# Bytes of an answer: 400,000 fields, which is what a server of ours allows unless told otherwise, have less.
MAX_ANSWER_BYTES = 256 * 1024 * 1024


class _Stay(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for the answer."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def ask_server(url: str, token: str | None, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of the server to a request of GraphQL over HTTP: `data`, `errors` or both.

    Raises InputError for what is no address, ServerUnreachableError where nobody answers, and ServerError for
    what is no answer of GraphQL.
    """
    _check(url)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, json.dumps(asked).encode(), headers)
    opener = urllib.request.build_opener(_Stay)
    try:
        try:
            reply = opener.open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            reply = error
        with reply:
            status = reply.status
            body = reply.read(MAX_ANSWER_BYTES + 1)
    except http.client.HTTPException as error:
        raise ServerError(f"{url} does not speak HTTP to the end: {type(error).__name__}") from error
    except (OSError, UnicodeError) as error:  # the latter of a host with a label that none can have
        raise ServerUnreachableError(f"{url} does not answer: {error}") from error
    if 300 <= status < 400:
        raise ServerError(f"{url} answers {status}, a redirect, which is not followed")
    if len(body) > MAX_ANSWER_BYTES:
        raise ServerError(f"{url} answers with more than {MAX_ANSWER_BYTES} bytes")
    return _read(url, body)


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_address = False
    if not url.startswith(("http://", "https://")):
        raise InputError("--url must begin with http:// or https://")
    if not is_address or not url.isascii() or not url.isprintable() or " " in url:
        raise InputError("--url is no address, such as http://127.0.0.1:8000/graphql")
    if "@" in parts.netloc:
        raise InputError("--url must hold no user or password: --token-file names a file with a token")


def _read(url: str, body: bytes) -> dict[str, Any]:
    try:
        response = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ServerError(f"{url} does not answer with JSON; is it a GraphQL server?") from error
    if not _is_answer(response):
        raise ServerError(f"{url} does not answer as a GraphQL server does")
    answer: dict[str, Any] = response
    return answer


def _is_answer(response: Any) -> bool:
    if not isinstance(response, dict) or not {"data", "errors"} & response.keys():
        return False
    errors = response.get("errors")
    return errors is None or isinstance(errors, list) and all(isinstance(error, dict) for error in errors)

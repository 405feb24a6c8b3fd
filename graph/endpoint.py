"""GraphQL over HTTP: what a request may be, what its answer looks like, and who may ask.

The protocol is the draft of https://graphql.github.io/graphql-over-http/. It is served by the few lines here
and not by Strawberry's own view, which answers everything with 200 and `application/json`, does not know
`application/graphql-response+json` and reads a body of any size: overriding that would be longer than this
(docs/decisions/). Rules of this file: HTTP only. What a query means is the schema's affair.
"""

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graph import graphiql, process
from graph.schema.context import Context

RESPONSE_TYPE = "application/graphql-response+json"
LEGACY_TYPE = "application/json"

_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")

# Seconds in which a request's body must have arrived: the largest has 2 MiB.
BODY_SECONDS = 10.0

# Of a refused request's body, the bytes that are read and thrown away, and the seconds that may take: a
# client that writes all of its body before it reads would else find the connection broken, and not see why.
DISCARDED_BYTES = 16 * 1024 * 1024
DISCARD_SECONDS = 5.0

# Bytes of an answer that are given to the server at a time.
PART_BYTES = 256 * 1024


class RequestError(Exception):
    """A request that is not one of GraphQL over HTTP; it is answered without being executed."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a request, each of the type that the protocol gives it."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None


def parse_parameters(given: Mapping[str, Any]) -> Parameters:
    """Check the parameters of a request. Raises RequestError with status 400."""
    query, variables = given.get("query"), given.get("variables")
    operation_name, extensions = given.get("operationName"), given.get("extensions")
    if not isinstance(query, str) or not query.strip():
        raise RequestError(400, "the request has no `query`")
    if variables is not None and not isinstance(variables, dict):
        raise RequestError(400, "`variables` is not an object")
    if operation_name is not None and not isinstance(operation_name, str):
        raise RequestError(400, "`operationName` is not a string")
    if extensions is not None and not isinstance(extensions, dict):
        raise RequestError(400, "`extensions` is not an object")
    return Parameters(query, variables, operation_name or None)


def pick_response_type(accept: str | None) -> str:
    """The media type of the answer that a client with this `Accept` gets.

    One that says nothing gets what every client understands. Raises RequestError with status 406.
    """
    weights = _weigh(accept or "*/*")
    newer, older = (_weight_of(each, weights) for each in (RESPONSE_TYPE, LEGACY_TYPE))
    if newer > 0 and (older == 0 or RESPONSE_TYPE in weights and newer >= older):
        return RESPONSE_TYPE
    if older > 0:
        return LEGACY_TYPE
    raise RequestError(406, f"answers are {RESPONSE_TYPE} or {LEGACY_TYPE}")


def _weigh(accept: str) -> dict[str, float]:
    """The media ranges of an `Accept` with their weights (RFC 9110, 12.5.1); 0 is what will not do."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        media_range, *parameters = (each.strip() for each in part.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        value = float(weight) if _WEIGHT.fullmatch(weight) else 1.0
        weights[media_range] = max(value, weights.get(media_range, 0.0))
    return weights


def _weight_of(media_type: str, weights: Mapping[str, float]) -> float:
    """That of the range which fits it most closely."""
    fitting = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((weights[each] for each in fitting if each in weights), 0.0)


async def _read_body(request: Request, limit: int) -> bytes:
    try:
        if int(request.headers.get("content-length", "0")) > limit:
            raise RequestError(413, f"the body is larger than {limit} bytes")
    except ValueError:
        raise RequestError(400, "Content-Length is not a number") from None
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise RequestError(413, f"the body is larger than {limit} bytes")
    except TimeoutError:
        raise RequestError(408, f"the body did not arrive within {BODY_SECONDS:.0f} s") from None
    return bytes(body)


async def _discard_body(receive: Receive) -> None:
    """Read what is left of a request's body, and keep nothing; more than DISCARDED_BYTES is left unread."""
    size = 0
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            while size <= DISCARDED_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _decode(text: bytes | str, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise RequestError(400, f"{what} is not valid JSON") from None


async def read_parameters(request: Request, max_body_bytes: int) -> Parameters:
    """The parameters of a GET or a POST. Raises RequestError."""
    if request.method == "GET":
        given: Any = dict(request.query_params)
        for name in ("variables", "extensions"):
            if name in given:
                given[name] = _decode(given[name], f"`{name}`")
        return parse_parameters(given)
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    if media_type.strip() != LEGACY_TYPE or "charset" in parameters and "utf-8" not in parameters:
        raise RequestError(415, f"the body of a request must be {LEGACY_TYPE} in UTF-8")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise RequestError(
            415, "the body of a request must not be compressed", {"Accept-Encoding": "identity"}
        )
    given = _decode(await _read_body(request, max_body_bytes), "the body")
    if not isinstance(given, dict):
        raise RequestError(400, "the body is not an object; batches are not served")
    return parse_parameters(given)


def is_for_page(request: Request) -> bool:
    """Whether a browser opens the address, rather than a client that asks a query."""
    accepts_html = _weigh(request.headers.get("accept", "")).get("text/html", 0.0) > 0
    return request.method == "GET" and accepts_html and "query" not in request.query_params


class Endpoint:
    """`/graphql`: queries by GET and POST, and the page for a browser."""

    def __init__(
        self,
        execute: Callable[[Context, Parameters], Awaitable[dict[str, Any]]],
        open_context: Callable[[Request], AbstractAsyncContextManager[Context]],
        page: str,
        max_body_bytes: int,
    ) -> None:
        self._execute = execute
        self._open_context = open_context
        self._page = page
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_read = False

        async def read() -> Message:
            nonlocal is_read
            message = await receive()
            is_read = not message.get("more_body", False)
            return message

        try:
            response = await self._answer(Request(scope, read))
        except RequestError as error:
            response = _refuse(str(error), "INVALID_REQUEST", error.status, error.headers)
            if not is_read and error.status != 408:  # one that drips is waited for no longer
                await _discard_body(receive)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "POST"):
            raise RequestError(405, "queries come by GET or POST", {"Allow": "GET, POST"})
        if is_for_page(request):
            return HTMLResponse(
                self._page,
                headers={
                    "Content-Security-Policy": graphiql.CONTENT_SECURITY_POLICY,
                    "Cache-Control": "no-cache",
                    "Vary": "Accept",
                },
            )
        response_type = pick_response_type(request.headers.get("accept"))
        parameters = await read_parameters(request, self._max_body_bytes)
        async with self._open_context(request) as context:
            body = await self._execute(context, parameters)
            response = _respond(body, response_type, context.age())
            fields = context.fields
        # What nothing refers to any more is freed here and costs the collector nothing.
        del body, context
        process.collect_after(fields)
        return response


def _respond(body: Mapping[str, Any], response_type: str, age: int | None) -> Response:
    """The answer; one without data is a refusal, which only the newer media type may call 400."""
    refused = "data" not in body and response_type == RESPONSE_TYPE
    # What a query shows may be private and, but for single documents, changes; nobody may keep it.
    headers = {"Cache-Control": "private, no-store", "Vary": "Accept"}
    if age is not None:
        headers["Age"] = str(age)
    return Answer(orjson.dumps(body), 400 if refused else 200, headers, f"{response_type}; charset=utf-8")


class Answer(Response):
    """A body that is sent in parts, each when the client has taken the one before.

    Given whole, a body of tens of MiB is copied twice on its way: by the server, and into the buffer of a
    connection that does not take it at once.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = memoryview(self.body)
        for start in range(0, len(body), PART_BYTES):
            part = bytes(body[start : start + PART_BYTES])
            await send(
                {"type": "http.response.body", "body": part, "more_body": start + PART_BYTES < len(body)}
            )


def _refuse(message: str, code: str, status: int, headers: Mapping[str, str]) -> Response:
    return JSONResponse({"errors": [{"message": message, "extensions": {"code": code}}]}, status, headers)


def expect_token(token: str) -> Callable[[str], bool]:
    """Whether a token that was sent is this one, found out in a time that tells nothing of it.

    A function and not the token is what the middleware gets, since Starlette shows its arguments.
    """
    expected = token.encode()

    def is_token(sent: str) -> bool:
        return hmac.compare_digest(sent.encode(), expected)

    return is_token


class BearerToken:
    """Lets only requests through that bring the token; `open_paths` are for everybody."""

    def __init__(self, app: ASGIApp, is_token: Callable[[str], bool], open_paths: Sequence[str]) -> None:
        """`is_token` is what `expect_token` returns."""
        self._app = app
        self._is_token = is_token
        self._open_paths = tuple(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_allowed(scope):
            refusal = _refuse(
                "a bearer token is needed", "UNAUTHENTICATED", 401, {"WWW-Authenticate": "Bearer"}
            )
            await _discard_body(receive)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        request = Request(scope)
        # The page itself holds nothing of the registry; what it asks for brings the token.
        if is_for_page(request) or scope["path"].startswith(self._open_paths):
            return True
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._is_token(token.strip())

"""Put one request to a registry and take the answer: authorised, redirected, capped, timed, counted.

1.  `ask` retries what may pass by itself (no answer, 5xx, 429), waiting as long as `Retry-After` says, up
    to a bound.
2.  Each attempt sends what authorization is known, and answers one 401 from the registry's own origin.
3.  Each request takes a slot, has a deadline for all of it, and follows at most `MAX_REDIRECTS` by hand.
4.  Each body is read as it arrives and cut at the limit of its kind.

Rules of this file: transports are called directly, not through `httpx.AsyncClient`, whose habits are a
danger here: it keeps cookies, decompresses without a limit, lets its auth flow answer the challenges of
whatever host it was redirected to, and logs every URL, signatures included. Credentials never go to another
origin than the one that asked for them. Only errors of this package leave.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

import httpx
import stamina

from graph.errors import (
    ContentTooLargeError,
    GraphError,
    RegistryDeniedError,
    RegistryError,
    RegistryProtocolError,
    RegistryThrottledError,
    RegistryUnreachableError,
)
from graph.registry.allowance import Allowance, read_allowance
from graph.registry.authorizer import Authorizer
from graph.registry.identity import IdentitySource
from graph.registry.ledger import Ledger, RequestKind
from graph.registry.origin import AddressGuard, parse_origin, resolve_redirect
from graph.registry.signer import Signer
from graph.registry.throttle import Throttle
from graph.registry.transport import explain_failure
from graph.registry.wire import (
    MAX_ERROR_BYTES,
    USER_AGENT,
    Endpoint,
    Login,
    Reply,
    Request,
    explain,
    is_throttling,
    read_wait,
)

# Hops of one request. Registries need one (blob to storage) or two (registry.k8s.io); curl and Go stop at 10.
MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

# Kinds whose body is content named by a digest, so that a body that is too large is the content's fault.
_CONTENT_KINDS = {RequestKind.MANIFEST_GET: "the manifest", RequestKind.CONFIG: "the config"}


# Seconds to wait beyond the moment when a server answers again: it tells that in whole seconds.
RESET_MARGIN = 1.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to go on. All times are in seconds."""

    attempts: int = 4
    wait_initial: float = 0.5
    wait_max: float = 8.0
    wait_jitter: float = 0.5
    retry_after_max: float = 60.0
    """A `Retry-After` beyond this is not waited for; the error carries it, and who asked decides."""


class Exchange:
    """The way to one registry. Its text shows no secret."""

    def __init__(
        self,
        endpoint: Endpoint,
        transport: httpx.AsyncBaseTransport,
        *,
        guard: AddressGuard,
        ledger: Ledger,
        identity: IdentitySource,
        token_hosts: Sequence[str],
        concurrency: int,
        timeout: float,
        retries: RetryPolicy,
        clock: Callable[[], datetime],
        signer: Signer | None = None,
    ) -> None:
        """`signer` says who we are on requests that are to be SIGNED; without one nobody is."""
        self.allowance: Allowance | None = None
        """What the server said last of how many requests it still answers; None: it says nothing of it."""
        self._signer = signer
        self._endpoint = endpoint
        self._transport = transport
        self._guard = guard
        self._ledger = ledger
        self._timeout = timeout
        self._retries = retries
        self._clock = clock
        self._slots = asyncio.Semaphore(concurrency)
        self._throttle = Throttle(retries.retry_after_max)
        self._counted = 0  # requests under way that count towards the allowance
        self._answered = asyncio.Event()  # set for a moment by each of them
        self._authorizer = Authorizer(
            endpoint.registry, endpoint.origin, identity, token_hosts, clock, self._send_token_request
        )

    def __repr__(self) -> str:
        return f"Exchange({self._endpoint.origin})"

    @property
    def asks_who_we_are(self) -> bool:
        """Whether the registry ever has; what it answered before, it answers anybody."""
        return self._authorizer.is_asked

    @property
    def held_for(self) -> float:
        """Seconds for which no request goes out, by the server's own word; 0 where it has said nothing."""
        wait = self._throttle.held_for(asyncio.get_running_loop().time())
        if self.allowance is not None and not self.allowance.counts_pulls_only:
            until = self.allowance.hold_until()
            wait = max(wait, 0.0 if until is None else (until - self._clock()).total_seconds())
        return max(0.0, wait)

    async def aclose(self) -> None:
        """Stop what is under way and close the connections."""
        await self._authorizer.aclose()
        await self._transport.aclose()

    async def ask(self, request: Request) -> Reply:
        """The answer with status 200.

        Raises RegistryError for any other, ContentTooLargeError for a manifest or config over its limit.
        """
        policy = self._retries
        async for attempt in stamina.retry_context(
            on=self._wait_before_retry,
            attempts=policy.attempts,
            timeout=None,
            wait_initial=policy.wait_initial,
            wait_max=policy.wait_max,
            wait_jitter=policy.wait_jitter,
        ):
            with attempt:
                return await self._ask_patiently(request)
        raise AssertionError("the last attempt returns or raises")

    def _wait_before_retry(self, error: Exception) -> bool | float:
        """What stamina asks: not again, again after its own back-off, or again after so many seconds."""
        if not isinstance(error, GraphError) or not error.retryable:
            return False
        retry_after = error.retry_after if isinstance(error, RegistryError) else None
        if retry_after is None:
            return not isinstance(error, RegistryThrottledError) or self._throttle.has_answered
        return retry_after if retry_after <= self._retries.retry_after_max else False

    async def _ask_patiently(self, request: Request) -> Reply:
        """The answer; where the registry refuses everybody and does not say how long, when it does again.

        That counts as one attempt: whose turn it is to find out is chance.
        """
        while True:
            try:
                return await self._ask_once(request)
            except RegistryThrottledError as error:
                is_told = error.retry_after is not None
                if is_told or self._retries.attempts == 1 or not self._throttle.is_searching:
                    raise

    async def _ask_once(self, request: Request) -> Reply:
        self._hold_back(request)
        if request.login is Login.SIGNED:
            return await self._ask_signed(request)
        authorization = await self._authorizer.prepare(request)
        reply = await self._send(request, authorization)
        if reply.status == 401 and not reply.is_foreign:
            # Once: a registry that refuses what it has just asked for will refuse it again.
            authorization = await self._authorizer.answer(request, reply, authorization)
            reply = await self._send(request, authorization)
            if reply.status == 401 and not reply.is_foreign:
                raise request.error(RegistryDeniedError, "refuses the credentials", http_status=401)
        if reply.status != 200:
            raise explain(request, reply, self._clock())
        return reply

    async def _ask_signed(self, request: Request) -> Reply:
        reply = await self._send(await self._sign(request), None)
        if reply.status == 401 and self._signer is not None and self._signer.is_worth_another(request):
            reply = await self._send(await self._sign(request), None)
        if reply.status != 200:
            raise explain(request, reply, self._clock())
        return reply

    async def _sign(self, request: Request) -> Request:
        if self._signer is None:
            return request
        signed = await self._signer.sign(request, self._send_token_request)
        return replace(request, headers=(*request.headers, *signed))

    def _hold_back(self, request: Request) -> None:
        """Raise RegistryThrottledError for what the server has said that it will not answer."""
        if (wait := self._hold(request)) > 0:
            reason = "has no more requests left for us"
            raise request.error(RegistryThrottledError, reason, retry_after=wait)

    def _hold(self, request: Request) -> float:
        """Seconds until the server answers such a request again, by its own word."""
        until = None if self.allowance is None else self.allowance.hold_until()
        if until is None or not self._counts(request):
            return 0.0
        return (until - self._clock()).total_seconds()

    def _counts(self, request: Request) -> bool:
        """Whether the request is one of those that the server allows a number of."""
        if self.allowance is None or request.kind is RequestKind.TOKEN:
            return False
        return request.kind is RequestKind.MANIFEST_GET or not self.allowance.counts_pulls_only

    async def _wait_for_allowance(self, request: Request) -> None:
        """Wait while what is under way may spend what is left; raise where that would take too long."""
        while self._counts(request) and self.allowance is not None:
            if (wait := self._hold(request)) > 0:
                if wait > self._retries.retry_after_max:
                    self._hold_back(request)
                await asyncio.sleep(wait + RESET_MARGIN)
            elif 0 < self.allowance.remaining <= self._counted:
                await self._answered.wait()
            else:
                return

    def _note_allowance(self, reply: Reply) -> None:
        told = read_allowance(reply.headers, self._clock())
        if told is not None:
            self.allowance = told.after(self.allowance)

    async def _send_token_request(self, request: Request) -> Reply:
        return await self._send(request, request.authorization)

    def _note_throttling(self, request: Request, reply: Reply, sent_at: float) -> None:
        """Hold every request of this registry back, not only the one that was told to wait."""
        if reply.is_foreign:
            return
        wait = read_wait(reply, self._clock())
        if is_throttling(request, reply) or (reply.status == 503 and wait is not None):
            self._throttle.note_refusal(sent_at, asyncio.get_running_loop().time(), wait)
        else:
            self._throttle.note_answer()

    async def _wait_for_turn(self) -> None:
        loop = asyncio.get_running_loop()
        while (wait := self._throttle.wait(loop.time())) > 0:
            await asyncio.sleep(wait)

    async def _send(self, request: Request, authorization: str | None) -> Reply:
        """One request and its redirects, within one slot and one deadline."""
        async with self._slots:
            await self._wait_for_turn()
            await self._wait_for_allowance(request)
            counts = self._counts(request)
            self._counted += counts
            sent_at = asyncio.get_running_loop().time()
            self._throttle.note_sent(sent_at)
            try:
                async with asyncio.timeout(self._timeout):
                    reply = await self._follow(request, authorization)
                self._note_throttling(request, reply, sent_at)
                if not reply.is_foreign and request.kind is not RequestKind.TOKEN:
                    self._note_allowance(reply)
                return reply
            except TimeoutError:
                pass
            finally:
                self._counted -= counts
                self._answered.set()
                self._answered.clear()
        reason = f"gave no complete answer within {self._timeout:g} s"
        raise request.error(RegistryUnreachableError, reason)

    async def _follow(self, request: Request, authorization: str | None) -> Reply:
        origin = self._endpoint.origin
        url, kind, is_foreign = request.url, request.kind, False
        for _ in range(MAX_REDIRECTS + 1):
            reply = await self._send_once(request, url, kind, authorization, is_foreign)
            if reply.status not in _REDIRECTS or not request.follows_redirects:
                return reply
            try:
                url = resolve_redirect(url, reply.headers.get("location"), origin, self._guard)
            except ValueError as error:
                raise request.error(RegistryProtocolError, str(error), http_status=reply.status) from None
            if parse_origin(url) != origin:
                # For good: a way back to the registry does not bring the credentials back.
                authorization, is_foreign = None, True
            kind = RequestKind.REDIRECT
        raise request.error(RegistryProtocolError, f"redirects more than {MAX_REDIRECTS} times")

    async def _send_once(
        self, request: Request, url: str, kind: RequestKind, authorization: str | None, is_foreign: bool
    ) -> Reply:
        self._ledger.add(kind)
        failure: httpx.HTTPError | httpx.InvalidURL | None = None
        try:
            response = await self._transport.handle_async_request(_to_httpx(request, url, authorization))
            async with aclosing(response):
                body = await _read_body(request, response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = error
        # Raised here and not in the handler: the failure of a foreign transport may hold URLs and headers.
        if failure is not None:
            kind_of_error, reason = explain_failure(failure)
            if is_foreign:
                reason = f"redirects to a server that {reason}"
            elif request.kind is RequestKind.TOKEN:
                reason = f"has a token server that {reason}"
            raise request.error(kind_of_error, reason)
        return Reply(response.status_code, response.headers, body, is_foreign)


def _to_httpx(request: Request, url: str, authorization: str | None) -> httpx.Request:
    headers = [("Accept", request.accept), ("Accept-Encoding", "identity"), ("User-Agent", USER_AGENT)]
    headers += request.headers
    if authorization is not None:
        headers.append(("Authorization", authorization))
    content = None
    if request.json is not None:
        content = request.json.encode()
        if all(name.lower() != "content-type" for name, _ in request.headers):
            headers.append(("Content-Type", "application/json"))
    if request.form is not None:
        headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        content = request.form.encode()
    return httpx.Request(request.method, url, headers=headers, content=content)


async def _read_body(request: Request, response: httpx.Response) -> bytes:
    """The body up to its limit; of an answer other than 200 only as much as an error's codes need."""
    if request.method == "HEAD":
        return b""
    is_error = response.status_code != 200
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", ""):
        if is_error:
            return b""
        # Digests are of the bytes as they are, and a decompressor has no limit.
        raise request.error(RegistryProtocolError, "sent a compressed body although asked not to")
    limit = MAX_ERROR_BYTES if is_error else request.body_limit
    length = response.headers.get("content-length", "")
    if not is_error and length.isascii() and length.isdigit() and int(length[:20]) > limit:
        raise _too_large(request, limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            if is_error:
                break
            raise _too_large(request, limit)
    return b"".join(chunks)[:limit]


def _too_large(request: Request, limit: int) -> GraphError:
    if request.kind in _CONTENT_KINDS:
        return ContentTooLargeError(_CONTENT_KINDS[request.kind], limit)
    return request.error(RegistryProtocolError, f"sent a body of more than {limit} bytes")

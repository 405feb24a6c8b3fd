"""What is sent to a registry and what its answers mean, without sending anything.

Rules of this file: no I/O, no clock. A request can only be GET or HEAD, and POST to a token server or of
an action that is known to read: `Request` refuses to be anything else, so no code path can write to a
registry. URLs are built from
validated segments only. What an error body says beyond its codes is not repeated: registries put storage
paths into `detail`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final
from urllib.parse import quote, urlsplit

import httpx

from graph import __version__
from graph.errors import (
    InvalidNameError,
    MalformedManifestError,
    RegistryDeniedError,
    RegistryError,
    RegistryFailedError,
    RegistryProtocolError,
    RegistryThrottledError,
    RegistryUnknownError,
    RegistryUnsupportedError,
)
from graph.oci.digest import Digest
from graph.oci.document import decode_json
from graph.oci.media_types import MANIFEST_TYPES, OCI_IMAGE_INDEX
from graph.oci.reference import RegistryName, RepositoryName, TagName
from graph.registry.allowance import read_allowance, read_moment
from graph.registry.headers import next_link
from graph.registry.ledger import RequestKind
from graph.registry.origin import Origin, redact_url, resolve_url

# Bytes read of a body, by what it is. Manifests and configs: distribution takes 4 MiB, regclient reads 8.
MAX_MANIFEST_BYTES = 8 * 1024 * 1024
MAX_CONFIG_BYTES = 8 * 1024 * 1024
# A registry without paging of tags (distribution 2.8) sends all at once: 16 MiB are some 400,000 names.
MAX_PAGE_BYTES = 16 * 1024 * 1024
# What containers/image reads of a token answer; Entra's tokens have some 3 KiB.
MAX_TOKEN_BYTES = 1024 * 1024
# Read of an answer that is not 200, for its codes; the rest is left. What go-containerregistry reads.
MAX_ERROR_BYTES = 64 * 1024

# Codes kept of one error body, and the longest code, in characters. The specification's longest has 21.
MAX_ERROR_CODES = 16
_ERROR_CODE = re.compile(r"[A-Z0-9_]{1,64}")

# Seconds for which a registry can make us stay away; Docker Hub's pulls are counted for six hours.
MAX_WAIT = 24 * 3600.0

# Characters of a cursor in a Link. Quay's and ECR's encrypted ones have some hundreds.
MAX_QUERY_LENGTH = 4096

USER_AGENT = f"ocigraph/{__version__}"
JSON_TYPES = "application/json, */*;q=0.5"

# All manifest types at once: without a match distribution 2.8 answers 404, or silently replaces an index by
# its linux/amd64 child, which has another digest (measured on 2.8.2).
MANIFEST_ACCEPT = ", ".join(MANIFEST_TYPES)

_SEGMENT = re.compile(r"(?!\.+$)[A-Za-z0-9._:+=-]+")


class Login(Enum):
    """How a request says who we are."""

    CHALLENGE = "CHALLENGE"  # not before the registry asks, and then as it asks: Basic or a Bearer token
    BASIC = "BASIC"  # user and password at once: vendors' own APIs answer 401 without a challenge
    BEARER = "BEARER"  # the password is a token of the vendor's API
    SIGNED = "SIGNED"  # as the dialect's signer says
    API_TOKEN = "API_TOKEN"  # the same where its user says that it is, else nobody


# The header that names what a POST to one of Amazon's APIs asks for, and what may be asked for. All of it
# reads: AmazonEC2ContainerRegistry is ECR, SpencerFrontendService is ECR Public (botocore, targetPrefix).
ACTION_HEADER = "X-Amz-Target"
READ_ACTIONS = frozenset(
    f"{service}.{action}"
    for service in ("AmazonEC2ContainerRegistry_V20150921", "SpencerFrontendService")
    for action in ("DescribeRepositories", "DescribeImages", "GetAuthorizationToken")
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a registry or to its token server. Its text shows no header, no body and no secret."""

    registry: RegistryName
    kind: RequestKind
    method: str
    url: str = field(repr=False)
    accept: str = JSON_TYPES
    body_limit: int = MAX_ERROR_BYTES
    scope: str | None = None
    """What a token must allow, in the token specification's grammar; None: whatever the challenge says."""
    follows_redirects: bool = False
    authorization: str | None = field(default=None, repr=False)
    """Only on requests to a token server; on all others the exchange adds it."""
    form: str | None = field(default=None, repr=False)
    json: str | None = field(default=None, repr=False)
    """The body, where it is JSON and not a form."""
    login: Login = Login.CHALLENGE
    api: str | None = None
    """The origin of the vendor's own API, where the request goes there and not to the registry."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """What the vendor's API wants besides, such as the version of it that is meant."""
    refusal_of: Callable[["Reply"], type[RegistryError] | None] | None = field(default=None, repr=False)
    """What the vendor's API means by an answer other than 200; None where its status tells that."""

    def __post_init__(self) -> None:
        actions = [value for name, value in self.headers if name.lower() == ACTION_HEADER.lower()]
        if actions and (len(actions) > 1 or actions[0] not in READ_ACTIONS or self.api is None):
            raise ValueError(f"{actions} is never sent to a registry")
        is_question = self.kind is RequestKind.TOKEN or bool(actions)
        if self.method not in ("GET", "HEAD") and not (self.method == "POST" and is_question):
            raise ValueError(f"{self.method} is never sent to a registry")
        if self.login is Login.SIGNED and self.follows_redirects:
            raise ValueError("what is signed for one place is never sent to another")

    def __str__(self) -> str:
        return f"{self.method} {redact_url(self.url)}"

    def error(
        self,
        kind: type[RegistryError],
        reason: str,
        *,
        http_status: int | None = None,
        codes: Iterable[str] = (),
        retry_after: float | None = None,
    ) -> RegistryError:
        """An error about this request; `reason` continues "the registry …"."""
        return kind(
            f"{self.registry} {reason} ({self})",
            registry=self.registry,
            request=str(self),
            http_status=http_status,
            codes=tuple(codes),
            retry_after=retry_after,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, its body read up to the limit of the request."""

    status: int
    headers: httpx.Headers = field(default_factory=httpx.Headers, repr=False)
    body: bytes = field(default=b"", repr=False)
    is_foreign: bool = False
    """A redirect led away from the registry's origin: its challenges and refusals are not the registry's."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One registry's `/v2/`: makes the requests."""

    registry: RegistryName
    origin: Origin

    def ping(self) -> Request:
        """end-1 of the distribution specification."""
        return Request(self.registry, RequestKind.PING, "GET", f"{self.origin}/v2/")

    def manifest(self, method: str, repository: RepositoryName, reference: TagName | Digest) -> Request:
        """end-3: a manifest by tag or digest, with every manifest type accepted."""
        return Request(
            self.registry,
            RequestKind.MANIFEST_HEAD if method == "HEAD" else RequestKind.MANIFEST_GET,
            method,
            f"{self.origin}{repository_path(repository)}/manifests/{_segment(reference)}",
            accept=MANIFEST_ACCEPT,
            body_limit=MAX_MANIFEST_BYTES,
            scope=pull_scope(repository),
            follows_redirects=True,
        )

    def config(self, repository: RepositoryName, digest: Digest) -> Request:
        """end-2: a blob; only configs are ever read."""
        return Request(
            self.registry,
            RequestKind.CONFIG,
            "GET",
            f"{self.origin}{repository_path(repository)}/blobs/{_segment(digest)}",
            accept="*/*",
            body_limit=MAX_CONFIG_BYTES,
            scope=pull_scope(repository),
            follows_redirects=True,
        )

    def referrers(self, repository: RepositoryName, digest: Digest, query: str) -> Request:
        """end-12a: one page of what refers to a digest."""
        url = f"{self.origin}{repository_path(repository)}/referrers/{_segment(digest)}"
        return Request(
            self.registry,
            RequestKind.REFERRERS,
            "GET",
            f"{url}?{query}" if query else url,
            accept=OCI_IMAGE_INDEX,
            body_limit=MAX_MANIFEST_BYTES,
            scope=pull_scope(repository),
        )


def read_by_action(
    registry: RegistryName, kind: RequestKind, api: str, action: str, json: str, body_limit: int
) -> Request:
    """A question to one of Amazon's APIs, which are all asked by POST, whatever it is that they do."""
    return Request(
        registry,
        kind,
        "POST",
        f"{api}/",
        body_limit=body_limit,
        json=json,
        login=Login.SIGNED,
        api=api,
        headers=((ACTION_HEADER, action), ("Content-Type", "application/x-amz-json-1.1")),
    )


def repository_path(repository: RepositoryName) -> str:
    """The path below which everything of a repository is."""
    return f"/v2/{segments(repository)}"


def segments(repository: RepositoryName) -> str:
    """The name as the segments of a path."""
    return "/".join(_segment(part) for part in repository.split("/"))


def pull_scope(repository: RepositoryName) -> str:
    """The scope of a token that may read a repository."""
    return f"repository:{repository}:pull"


def repository_of(scope: str | None) -> str | None:
    """The repository that a scope of ours is about; None for the registry itself."""
    kind, _, rest = (scope or "").partition(":")
    return rest.rpartition(":")[0] if kind == "repository" else None


CATALOG_SCOPE: Final = "registry:catalog:*"


def _segment(text: str) -> str:
    # The parsers of graph.oci have proved this already. It is proved again where a URL is built, because
    # digests that a registry sent and nobody checked have led clients to other paths with credentials
    # (CVE-2024-3727).
    if not _SEGMENT.fullmatch(text):
        raise InvalidNameError(f"{text[:80]!r} cannot be part of a request")
    return text


def next_query(request: Request, reply: Reply) -> str | None:
    """The query of the next page, as the Link of this one gives it; None when there is none.

    Only the query is kept, and asked of the path and origin we know: Quay and Pulp send absolute links with
    another host than the one we were given, Artifactory leaves out a prefix of the path, and a hostile link
    leads to our own registry (GHSA-h7vf-4x9w-h99v). The query is not decoded: cursors are opaque.

    Raises ValueError for a link that names no page.
    """
    target = next_link(reply.headers.get_list("link"))
    if target is None:
        return None
    query = urlsplit(resolve_url(request.url, target)).query
    if not query:
        raise ValueError("sends a Link that names no page")
    if len(query) > MAX_QUERY_LENGTH:
        raise ValueError(f"sends a Link with a query of more than {MAX_QUERY_LENGTH} characters")
    return query


def last_query(page_size: int, last: str) -> str:
    """The query of the page after an item, for registries that page without Link (Gitea)."""
    return f"n={page_size}&last={quote(last, safe='')}"


def applied_filters(reply: Reply) -> frozenset[str]:
    """What a referrers list was filtered by (`OCI-Filters-Applied`); we never ask for a filter."""
    values = ",".join(reply.headers.get_list("oci-filters-applied")).split(",")
    return frozenset(value.strip() for value in values if value.strip())


def error_codes(body: bytes) -> tuple[str, ...]:
    """The codes of an error body; none when it is HTML, text or anything else."""
    try:
        document = decode_json(body)
    except MalformedManifestError:
        return ()
    errors = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(errors, list):
        return ()
    codes = (entry.get("code") for entry in errors[:MAX_ERROR_CODES] if isinstance(entry, dict))
    return tuple(code for code in codes if isinstance(code, str) and _ERROR_CODE.fullmatch(code))


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds to wait: a number of them or a date (RFC 9110, 10.2.3); None for anything else."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())


def read_wait(reply: Reply, now: datetime) -> float | None:
    """Seconds that a refusal wants us to wait, MAX_WAIT at most; None where it does not say."""
    wait = _read_wait(reply, now)
    return None if wait is None else min(wait, MAX_WAIT)


def _read_wait(reply: Reply, now: datetime) -> float | None:
    headers = reply.headers
    wait = parse_retry_after(headers.get("retry-after"), now)
    if wait is not None:
        return wait
    # Docker Hub's API has a name of its own for it, and a unix timestamp where others have seconds
    # (docker/docs, content/reference/api/hub/latest.yaml, "Rate Limiting").
    moment = headers.get("x-retry-after", "").strip()
    if moment.isascii() and moment.isdigit() and len(moment) <= 12:
        return max(0.0, (read_moment(int(moment), now) - now).total_seconds())
    # GitHub refuses with 403 as well as 429, and says when its window ends.
    allowance = read_allowance(headers, now) if reply.status in (403, 429) else None
    until = None if allowance is None else allowance.hold_until()
    return None if until is None else max(0.0, (until - now).total_seconds())


_ERRORS_BY_STATUS: dict[int, type[RegistryError]] = {
    401: RegistryDeniedError,
    403: RegistryDeniedError,
    404: RegistryUnknownError,
    405: RegistryUnsupportedError,
    429: RegistryThrottledError,
    501: RegistryUnsupportedError,
}


def is_throttling(request: Request, reply: Reply) -> bool:
    """Whether the answer refuses what is too much: Amazon's APIs say so with 400, and GitHub's with 403."""
    if reply.status == 200:
        return False
    told = request.refusal_of(reply) if request.refusal_of is not None else None
    return (told or _ERRORS_BY_STATUS.get(reply.status)) is RegistryThrottledError


def explain(request: Request, reply: Reply, now: datetime) -> RegistryError:
    """The error that an answer other than 200 means: by its status first, then by its codes."""
    codes = error_codes(reply.body)
    answer = " ".join([str(reply.status), *codes])
    retry_after = read_wait(reply, now)
    if reply.is_foreign:
        # Storage that a redirect led to: an expired signature or a lost blob; a new redirect may cure it.
        kind: type[RegistryError] = RegistryFailedError
        reason = f"redirects to a server that answered {reply.status}"
        codes = ()
    else:
        kind = _ERRORS_BY_STATUS.get(reply.status, RegistryProtocolError)
        if reply.status >= 500 and kind is RegistryProtocolError:
            kind = RegistryFailedError
        if reply.status == 400 and "UNSUPPORTED" in codes:
            kind = RegistryUnsupportedError
        if request.refusal_of is not None:
            kind = request.refusal_of(reply) or kind
        reason = f"answered {answer}"
    return request.error(kind, reason, http_status=reply.status, codes=codes, retry_after=retry_after)

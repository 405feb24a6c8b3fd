"""A registry in memory that serves the OCI distribution API v1.1, as a plain ASGI app.

What it holds is put in by functions; over HTTP it can only be read. Tests make it fail, page, lack referrers
or lie; the demo fills it with `fill_sample`.

What it serves, and how where the specification leaves room:

- `GET /v2/`, and `_catalog` and `tags/list` with `n`, `last` and Link; tags in lexical order without case.
- Manifests by tag and by digest, GET and HEAD, with ETag and If-None-Match. As in distribution 2.8, a request
  whose Accept does not name the manifest's media type gets 404 MANIFEST_UNKNOWN, and `*/*` names none.
- Blobs, GET and HEAD. A blob may be declared by digest and size alone: HEAD tells its size, GET answers 404,
  for bytes that were never kept cannot be given. There are no ranges.
- Referrers, paged by Link and filtered by `artifactType`. A subject nobody pushed has an empty list, not 404.
- Errors with the bodies of the specification; any method but GET and HEAD is 405 UNSUPPORTED.

As in distribution a repository stays in the catalog when its last manifest goes; `delete_repository` takes
it away.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from graph.sample.answers import (
    OCI_INDEX,
    OCI_MANIFEST,
    Answer,
    Headers,
    RefusedError,
    Request,
    accepted_types,
    cut_page,
    error_answer,
    is_etag_matched,
    json_answer,
    link_headers,
)
from graph.sample.holdings import (
    Blob,
    StoredRepository,
    read_manifest,
    referrer_descriptor,
    sha256,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Hook = Callable[[], Awaitable[None] | None]
Fault = int | Answer | None
Faults = Mapping[str, int | Answer] | Callable[[Request], Fault]

# Entries on one page when the client asks for no number, and at most: distribution's default for the catalog.
DEFAULT_PAGE_SIZE = 100

# Requests kept in the ledger: more than any test makes; a demo that runs for weeks forgets the oldest.
LEDGER_LIMIT = 100_000

NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
TAGS_PATH = re.compile(r"/v2/(?P<name>.+)/tags/list")
ITEM_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs|referrers)/(?P<reference>[^/]+)")


class SampleRegistry:
    """An ASGI app; `httpx.ASGITransport(SampleRegistry())` carries a client to it without a socket.

    - `page_size`: the most entries of any page.
    - `supports_referrers`: where false, the referrers API is a plain 404, as in distribution.
    - `gives_digest_header`: where false, Docker-Content-Digest and ETag are left out.
    - `faults`: a repository's name, or a path such as `/v2/_catalog`, to the status (or `Answer`) that every
      request for it gets; or a function from the `Request` to one of these, None for no fault.

    All of these are attributes and may be changed later. `hooks` maps n to what runs, and may raise, before
    the nth request counted from 1; each runs once. `requests` is the ledger of what arrived, in order.
    """

    def __init__(
        self,
        *,
        page_size: int = DEFAULT_PAGE_SIZE,
        supports_referrers: bool = True,
        gives_digest_header: bool = True,
        faults: Faults | None = None,
    ) -> None:
        if page_size < 1:
            raise ValueError(f"page_size is at least 1, not {page_size}")
        self.page_size = page_size
        self.supports_referrers = supports_referrers
        self.gives_digest_header = gives_digest_header
        self.faults: Faults = {} if faults is None else faults
        self.hooks: dict[int, Hook] = {}
        self.requests: list[Request] = []
        self.request_count = 0
        self.repositories: dict[str, StoredRepository] = {}

    # What it holds.

    def put_repository(self, repository: str) -> StoredRepository:
        """The repository of this name, made empty if there was none."""
        if NAME.fullmatch(repository) is None:
            raise ValueError(f"not a repository name: {repository!r}")
        return self.repositories.setdefault(repository, StoredRepository())

    def put_blob(self, repository: str, data: bytes) -> str:
        """Keep the bytes; their digest."""
        digest = sha256(data)
        self.put_repository(repository).blobs[digest] = Blob(len(data), data)
        return digest

    def declare_blob(self, repository: str, digest: str, size: int) -> None:
        """Make a blob known by its size alone; GET will not give it."""
        self.put_repository(repository).blobs[digest] = Blob(size, None)

    def put_manifest(
        self,
        repository: str,
        data: bytes,
        media_type: str = OCI_MANIFEST,
        tag: str | None = None,
        *,
        digest: str | None = None,
    ) -> str:
        """Keep the manifest, move the tag to it; its digest.

        The bytes may be anything: nothing checks that they are JSON, or that blobs and children are here.
        `digest` puts them under another name: a registry that lies.
        """
        digest = digest or sha256(data)
        stored = self.put_repository(repository)
        stored.manifests[digest] = read_manifest(data, media_type)
        if tag is not None:
            stored.tags[tag] = digest
        return digest

    def set_tag(self, repository: str, tag: str, digest: str) -> None:
        """Point the tag at a manifest of the repository."""
        stored = self.repositories[repository]
        if digest not in stored.manifests:
            raise KeyError(digest)
        stored.tags[tag] = digest

    def delete_manifest(self, repository: str, digest: str) -> None:
        """Forget the manifest and every tag that points at it."""
        stored = self.repositories[repository]
        del stored.manifests[digest]
        stored.tags = {tag: target for tag, target in stored.tags.items() if target != digest}

    def delete_tag(self, repository: str, tag: str) -> None:
        """Forget the tag; its manifest stays."""
        del self.repositories[repository].tags[tag]

    def delete_repository(self, repository: str) -> None:
        """Forget the repository and all it holds."""
        del self.repositories[repository]

    # How it answers.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"only http is served, not {scope['type']}")
        request = Request(
            method=scope["method"],
            path=scope["path"],
            query=scope.get("query_string", b"").decode("latin-1"),
            headers=join_headers(scope["headers"]),
        )
        await self._record(request)
        answer = self.answer(request)
        length = len(answer.body) if answer.length is None else answer.length
        headers = (
            *answer.headers,
            ("Content-Length", str(length)),
            ("Docker-Distribution-API-Version", "registry/2.0"),
        )
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
            }
        )
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else answer.body})

    async def _record(self, request: Request) -> None:
        self.request_count += 1
        self.requests.append(request)
        if len(self.requests) > LEDGER_LIMIT:
            del self.requests[: LEDGER_LIMIT // 2]
        hook = self.hooks.pop(self.request_count, None)
        if hook is not None:
            waiting = hook()
            if inspect.isawaitable(waiting):
                await waiting

    def answer(self, request: Request) -> Answer:
        """The answer to one request, outside of HTTP and the ledger."""
        fault = self._fault(request)
        if fault is not None:
            return fault
        if request.method not in ("GET", "HEAD"):
            refusal = error_answer(405, "UNSUPPORTED", "this registry can only be read")
            return Answer(405, (*refusal.headers, ("Allow", "GET, HEAD")), refusal.body)
        try:
            return self._route(request)
        except RefusedError as error:
            return error.answer

    def _fault(self, request: Request) -> Answer | None:
        if callable(self.faults):
            fault = self.faults(request)
        else:
            match = TAGS_PATH.fullmatch(request.path) or ITEM_PATH.fullmatch(request.path)
            by_name = self.faults.get(match["name"]) if match else None
            fault = self.faults.get(request.path) if by_name is None else by_name
        if isinstance(fault, int):
            return error_answer(fault, FAULT_CODES.get(fault, "UNKNOWN"), "this fault was asked for")
        return fault

    def _route(self, request: Request) -> Answer:
        if request.path == "/v2/":
            return json_answer({})
        if request.path == "/v2/_catalog":
            return self._catalog(request)
        if match := TAGS_PATH.fullmatch(request.path):
            return self._tags(request, check_name(match["name"]))
        if match := ITEM_PATH.fullmatch(request.path):
            name, reference = check_name(match["name"]), match["reference"]
            if match["kind"] == "manifests":
                return self._manifest(request, name, reference)
            if match["kind"] == "blobs":
                return self._blob(request, name, reference)
            if self.supports_referrers:
                return self._referrers(request, name, reference)
        # What distribution says of a path it does not know, the referrers API among them.
        return Answer(404, (("Content-Type", "text/plain; charset=utf-8"),), b"404 page not found\n")

    def _catalog(self, request: Request) -> Answer:
        page = cut_page(sorted(self.repositories), request, self.page_size, key=lambda name: name)
        link = link_headers(request.path, page.last, {"n": request.parameter("n")})
        return json_answer({"repositories": page.entries}, headers=link)

    def _tags(self, request: Request, name: str) -> Answer:
        tags = sorted(self._repository(name).tags, key=lexical)
        page = cut_page(tags, request, self.page_size, key=lexical)
        link = link_headers(request.path, page.last, {"n": request.parameter("n")})
        return json_answer({"name": name, "tags": page.entries}, headers=link)

    def _manifest(self, request: Request, name: str, reference: str) -> Answer:
        stored = self._repository(name)
        digest = check_digest(reference) if ":" in reference else stored.tags.get(reference)
        manifest = None if digest is None else stored.manifests.get(digest)
        if digest is None or manifest is None:
            raise RefusedError(404, "MANIFEST_UNKNOWN", f"{name} holds no {reference}")
        if manifest.media_type.partition(";")[0].strip().lower() not in accepted_types(request.headers):
            raise RefusedError(
                404,
                "MANIFEST_UNKNOWN",
                f"{reference} is {manifest.media_type}, which the request does not accept",
            )
        headers = self._content_headers(manifest.media_type, digest)
        if self.gives_digest_header and is_etag_matched(request.headers, f'"{digest}"'):
            return Answer(304, headers[1:])
        return Answer(200, headers, manifest.data)

    def _blob(self, request: Request, name: str, reference: str) -> Answer:
        digest = check_digest(reference)
        blob = self._repository(name).blobs.get(digest)
        if blob is None:
            raise RefusedError(404, "BLOB_UNKNOWN", f"{name} holds no {digest}")
        headers = self._content_headers("application/octet-stream", digest)
        if blob.data is not None:
            return Answer(200, headers, blob.data)
        if request.method == "HEAD":
            return Answer(200, headers, length=blob.size)
        raise RefusedError(404, "BLOB_UNKNOWN", f"of {digest} only the size is kept here, not the bytes")

    def _referrers(self, request: Request, name: str, reference: str) -> Answer:
        subject = check_digest(reference)
        wanted = request.parameter("artifactType")
        stored = self.repositories.get(name, StoredRepository())
        found = {
            digest: referrer_descriptor(digest, manifest)
            for digest, manifest in stored.manifests.items()
            if manifest.subject == subject and (not wanted or manifest.artifact_type == wanted)
        }
        page = cut_page(sorted(found), request, self.page_size, key=lambda digest: digest)
        headers = link_headers(request.path, page.last, {"artifactType": wanted, "n": request.parameter("n")})
        if wanted:
            headers = (*headers, ("OCI-Filters-Applied", "artifactType"))
        index = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [found[digest] for digest in page.entries],
        }
        return json_answer(index, media_type=OCI_INDEX, headers=headers)

    def _repository(self, name: str) -> StoredRepository:
        stored = self.repositories.get(name)
        if stored is None:
            raise RefusedError(404, "NAME_UNKNOWN", f"there is no repository {name}")
        return stored

    def _content_headers(self, media_type: str, digest: str) -> Headers:
        named = (("Docker-Content-Digest", digest), ("ETag", f'"{digest}"'))
        return (("Content-Type", media_type), *(named if self.gives_digest_header else ()))


FAULT_CODES: Mapping[int, str] = {
    400: "UNSUPPORTED",
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NAME_UNKNOWN",
    429: "TOOMANYREQUESTS",
}


def join_headers(lines: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    # skopeo sends one Accept line for each media type; RFC 9110, 5.2, has them joined.
    joined: dict[str, str] = {}
    for raw_name, raw_value in lines:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def lexical(name: str) -> tuple[str, str]:
    # The specification's "lexical order (i.e. case-insensitive alphanumeric order)", made total.
    return name.lower(), name


def check_name(name: str) -> str:
    if NAME.fullmatch(name) is None:
        raise RefusedError(400, "NAME_INVALID", f"not a repository name: {name}")
    return name


def check_digest(text: str) -> str:
    pattern = SHA256 if text.startswith("sha256:") else DIGEST
    if pattern.fullmatch(text) is None:
        raise RefusedError(400, "DIGEST_INVALID", f"not a digest: {text}")
    return text

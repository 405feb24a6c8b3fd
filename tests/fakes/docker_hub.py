"""Docker Hub as far as it is published: the registry, which counts pulls, and the API of namespaces.

Built from docker/docs, content/reference/api/hub/latest.yaml and docker-hub/usage/pulls.md: pages by number
with an absolute `next`, a token by POST, 429 with a unix timestamp, a limit of pulls that a GET of a manifest
counts against and a HEAD does not, and no catalog.
"""

import json
import re
from collections.abc import MutableMapping
from typing import Any

from graph.sample import SampleRegistry
from graph.sample.answers import Answer, RefusedError, Request, json_answer

PUSHED = "2026-01-10T23:15:06.765432Z"
UPDATED = "2026-01-11T00:00:00.123456Z"
DEFAULT_PAGE, LARGEST_PAGE = 10, 100

_REPOSITORIES = re.compile(r"/v2/namespaces/(?P<namespace>[^/]+)/repositories")
_TAGS = re.compile(r"/v2/namespaces/(?P<namespace>[^/]+)/repositories/(?P<name>[^/]+)/tags")


class DockerHub(SampleRegistry):
    """`pulls` is how many GETs of manifests are left; None: as many as one likes.

    `login` is the user and secret that a token is given for; `private` has namespaces that need one. `bodies`
    has what was posted. `resumes_at`: until then the API answers 429. `untold`: tags without a digest.
    """

    def __init__(self, *, pulls: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.pulls = pulls
        self.login = ("reader", "dckr_pat_0123456789")
        self.tokens: set[str] = set()
        self.private: set[str] = set()
        self.bodies: list[dict[str, Any]] = []
        self.resumes_at: int | None = None
        self.untold: set[str] = set()
        self._body = b""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        self._body = b""
        if scope.get("method") == "POST":
            self._body = (await receive())["body"]
        await super().__call__(scope, receive, send)

    def answer(self, request: Request) -> Answer:
        if request.path == "/v2/auth/token":
            return self._give_token(request)
        is_pull = request.method == "GET" and "/manifests/" in request.path
        if is_pull and self.pulls is not None:
            if self.pulls == 0:
                told = (("Content-Type", "text/plain"), *self._limits())
                return Answer(429, told, b"You have reached your unauthenticated pull rate limit.")
            self.pulls -= 1
        answer = super().answer(request)
        if "/manifests/" not in request.path:
            return answer
        return Answer(answer.status, (*answer.headers, *self._limits()), answer.body, answer.length)

    def _limits(self) -> tuple[tuple[str, str], ...]:
        if self.pulls is None:
            return ()
        return (("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", f"{self.pulls};w=21600"))

    def _give_token(self, request: Request) -> Answer:
        if request.method != "POST" or request.headers.get("content-type") != "application/json":
            return _refuse(400, "bad request")
        self.bodies.append(json.loads(self._body))
        if (self.bodies[-1].get("identifier"), self.bodies[-1].get("secret")) != self.login:
            return _refuse(401, "incorrect authentication credentials")
        token = f"token-{len(self.bodies)}"
        self.tokens.add(token)
        return json_answer({"access_token": token})

    def _route(self, request: Request) -> Answer:
        if request.path == "/v2/_catalog":
            raise RefusedError(404, "UNSUPPORTED", "the catalog is switched off")
        match = _REPOSITORIES.fullmatch(request.path) or _TAGS.fullmatch(request.path)
        if match is None:
            return super()._route(request)
        if self.resumes_at is not None:
            return Answer(429, (("X-Retry-After", str(self.resumes_at)),), b"")
        authorization = request.headers.get("authorization")
        is_known = authorization in {f"Bearer {token}" for token in self.tokens}
        if authorization is not None and not is_known:
            return _refuse(401, "token is not valid")
        namespace = match["namespace"]
        if namespace in self.private and not is_known:
            return _refuse(404, "object not found")
        if "name" not in match.groupdict():
            inside = f"{namespace}/"
            names = sorted(n.removeprefix(inside) for n in self.repositories if n.startswith(inside))
            return self._page(request, [{"name": name, "namespace": namespace} for name in names])
        stored = self.repositories.get(f"{namespace}/{match['name']}")
        if stored is None:
            return _refuse(404, "object not found")
        return self._page(request, [self._show_tag(tag, stored.tags[tag]) for tag in sorted(stored.tags)])

    def _show_tag(self, tag: str, digest: str) -> dict[str, Any]:
        return {
            "name": tag,
            "images": [{"architecture": "amd64", "digest": None, "os": "linux", "size": 123}],
            "last_updated": UPDATED,
            "tag_last_pushed": None if tag in self.untold else PUSHED,
            "digest": None if tag in self.untold else digest,
        }

    def _page(self, request: Request, items: list[dict[str, Any]]) -> Answer:
        size = int(request.parameter("page_size") or DEFAULT_PAGE)
        page = int(request.parameter("page") or 1)
        if size > LARGEST_PAGE:
            return _refuse(400, "page_size is too large")
        is_last = page * size >= len(items)
        url = f"https://hub.docker.com{request.path}?page={page + 1}&page_size={size}"
        return json_answer(
            {
                "count": len(items),
                "next": None if is_last else url,
                "previous": None,
                "results": items[(page - 1) * size : page * size],
            }
        )


def _refuse(status: int, message: str) -> Answer:
    body = json.dumps({"detail": message, "message": message}).encode()
    return Answer(status, (("Content-Type", "application/json"),), body)

"""GitHub's registry and the packages of its API, as far as they are published.

Built from docs.github.com/rest/packages/packages and recorded answers: bare arrays, newest version first, an
absolute Link to a path with a number in it, a token for everything, 404 for what the token may not see, 403
when no request remains. The registry itself has no catalog.
"""

import json
import re
from typing import Any
from urllib.parse import unquote

from graph.sample import SampleRegistry
from graph.sample.answers import Answer, RefusedError, Request, json_answer

TOKEN = "ghp_0123456789"
CREATED = "2024-05-06T05:20:30Z"
UPDATED = "2024-05-07T06:21:31Z"
DEFAULT_PAGE, LARGEST_PAGE = 30, 100

_OWNER = re.compile(r"/users/(?P<owner>[^/]+)")
_PACKAGES = re.compile(r"/(?P<kind>orgs|users)/(?P<owner>[^/]+)/packages")
_VERSIONS = re.compile(r"/(?P<kind>orgs|users)/(?P<owner>[^/]+)/packages/container/(?P<package>.+)/versions")


class GithubRegistry(SampleRegistry):
    """`organisations` has the owners that are none of a user; `remaining` counts the API's requests down."""

    def __init__(self, *, organisations: tuple[str, ...] = ("acme",), **options: Any) -> None:
        super().__init__(**options)
        self.organisations = organisations
        self.remaining = 5_000
        self.reset = 1_800_000_000

    def answer(self, request: Request) -> Answer:
        answer = super().answer(request)
        if request.path.startswith("/v2/"):
            return answer
        told = (
            ("X-RateLimit-Limit", "5000"),
            ("X-RateLimit-Remaining", str(max(self.remaining, 0))),
            ("X-RateLimit-Reset", str(self.reset)),
        )
        return Answer(answer.status, (*answer.headers, *told), answer.body)

    def _route(self, request: Request) -> Answer:
        if request.path == "/v2/_catalog":
            raise RefusedError(404, "UNSUPPORTED", "there is no catalog here")
        if request.path.startswith("/v2/"):
            return super()._route(request)
        self.remaining -= 1
        if self.remaining < 0:
            return _refuse(403, "API rate limit exceeded")
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _refuse(401, "Requires authentication")
        if request.headers.get("x-github-api-version") != "2022-11-28":
            return _refuse(400, "this version of the API is not known")
        if match := _OWNER.fullmatch(request.path):
            owner = match["owner"]
            kind = "Organization" if owner.lower() in self.organisations else "User"
            return json_answer({"login": owner, "type": kind})
        match = _PACKAGES.fullmatch(request.path) or _VERSIONS.fullmatch(request.path)
        if match is None or (match["kind"] == "orgs") is not (match["owner"].lower() in self.organisations):
            return _refuse(404, "Not Found")
        owner = match["owner"].lower()
        if "package" not in match.groupdict():
            names = [name for name in self.repositories if name.startswith(f"{owner}/")]
            items = [{"name": name.partition("/")[2], "package_type": "container"} for name in sorted(names)]
            return self._page(request, items)
        name = f"{owner}/{unquote(match['package'])}"
        if name not in self.repositories:
            return _refuse(404, "Package not found.")
        return self._page(request, self._versions(name))

    def _versions(self, name: str) -> list[dict[str, Any]]:
        stored = self.repositories[name]
        versions = [
            {
                "id": number,
                "name": digest,
                "created_at": CREATED,
                "updated_at": UPDATED,
                "metadata": {
                    "package_type": "container",
                    "container": {"tags": [tag for tag, target in stored.tags.items() if target == digest]},
                },
            }
            for number, digest in enumerate(stored.manifests)
        ]
        return versions[::-1]

    def _page(self, request: Request, items: list[dict[str, Any]]) -> Answer:
        size = min(int(request.parameter("per_page") or DEFAULT_PAGE), LARGEST_PAGE)
        page = int(request.parameter("page") or 1)
        link: tuple[tuple[str, str], ...] = ()
        if page * size < len(items):
            query = re.sub(r"&page=\d+", "", request.query)
            path = re.sub(r"^/(orgs|users)/[^/]+", "/organizations/122929872", request.path)
            last = -(-len(items) // size)
            url = f"https://api.github.com{path}?{query}&page="
            link = (("Link", f'<{url}{page + 1}>; rel="next", <{url}{last}>; rel="last"'),)
        return json_answer(items[(page - 1) * size : page * size], headers=link)


def _refuse(status: int, message: str) -> Answer:
    body = json.dumps({"message": message, "documentation_url": "https://docs.github.com/rest"})
    return Answer(status, (("Content-Type", "application/json"),), body.encode())

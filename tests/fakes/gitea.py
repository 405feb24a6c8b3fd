"""Gitea and Forgejo as far as they are published: packages as lists of versions, beside the plain API.

Built from go-gitea/gitea, routers/api/v1/packages/package.go and routers/api/packages/container/: what was
pushed by tag is a version called so, what was pushed by digest another; tags page without a Link. The API
wants a login, whatever it is asked for; here every login may see everything.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from graph.sample import SampleRegistry
from graph.sample.answers import Answer, RefusedError, Request, json_answer

LARGEST_PAGE = 50
CREATED = "2025-11-24T09:50:04Z"

_PACKAGES = re.compile(r"/api/v1/packages/(?P<owner>[^/]+)")


class GiteaRegistry(SampleRegistry):
    """Repositories are `owner/image`; owners are shown as they write themselves, with capitals."""

    def _route(self, request: Request) -> Answer:
        if match := _PACKAGES.fullmatch(request.path):
            if not request.headers.get("authorization", "").startswith("Basic "):
                raise RefusedError(401, "UNAUTHORIZED", "token is required")
            return self._packages(request, match["owner"].lower())
        answer = super()._route(request)
        if request.path.endswith("/tags/list"):
            headers = tuple(header for header in answer.headers if header[0] != "Link")
            return Answer(answer.status, headers, answer.body)
        return answer

    def _packages(self, request: Request, owner: str) -> Answer:
        if not any(name.startswith(f"{owner}/") for name in self.repositories):
            raise RefusedError(404, "NOT_FOUND", "user redirect does not exist")
        wanted = request.parameter("q") or ""
        found = [each for each in self._versions(owner) if wanted in each["name"]]
        size = min(LARGEST_PAGE, int(request.parameter("limit") or LARGEST_PAGE))
        page = int(request.parameter("page") or 1)
        headers = [("X-Total-Count", str(len(found)))]
        if len(found) > page * size:
            kept = {name: request.parameter(name) for name in ("type", "q") if request.parameter(name)}
            query = urlencode({**kept, "page": page + 1, "limit": size})
            url = f"https://gitea.internal{request.path}"
            headers.append(("Link", f'<{url}?{query}>; rel="next",<{url}?page=9>; rel="last"'))
        return json_answer(found[(page - 1) * size : page * size], headers=tuple(headers))

    def _versions(self, owner: str) -> Iterator[dict[str, Any]]:
        for name, held in sorted(self.repositories.items()):
            if name.partition("/")[0] != owner:
                continue
            tagged = set(held.tags.values())
            for version in [*held.tags, *(digest for digest in held.manifests if digest not in tagged)]:
                yield {
                    "owner": {"login": owner.capitalize()},
                    "type": "container",
                    "name": name.partition("/")[2],
                    "version": version,
                    "created_at": CREATED,
                }

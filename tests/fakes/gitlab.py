"""GitLab as far as it is published: its REST API's lists of container repositories, beside the plain API.

Built from GitLab's documentation, api/container_registry.md: paths of groups and projects encoded as one
part, pages of 20 and at most 100, a Link with the API's own host, 404 to whoever may not see.
"""

import re
from typing import Any
from urllib.parse import urlencode

from graph.sample import SampleRegistry
from graph.sample.answers import Answer, RefusedError, Request, json_answer

TOKEN = "glpat-token"

_REPOSITORIES = re.compile(r"/api/v4/(?P<kind>groups|projects)/(?P<path>.+)/registry/repositories")


class GitlabRegistry(SampleRegistry):
    """`projects` are the projects that have repositories; every other namespace of theirs is a group."""

    def __init__(self, projects: set[str], **options: Any) -> None:
        super().__init__(**options)
        self.projects = projects

    def _route(self, request: Request) -> Answer:
        if request.path == "/v2/_catalog":
            raise RefusedError(403, "DENIED", "access forbidden")
        match = _REPOSITORIES.fullmatch(request.path)
        if match is None:
            return super()._route(request)
        kind, path = match.groups()
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise RefusedError(401, "UNAUTHORIZED", "401 Unauthorized")
        names = [name for name in sorted(self.repositories) if f"{name}/".startswith(f"{path}/")]
        if not names or (kind == "projects") is not (path in self.projects):
            raise RefusedError(404, "NOT_FOUND", "404 Not Found")
        size = min(100, int(request.parameter("per_page") or 20))
        page = int(request.parameter("page") or 1)
        shown = [
            {"id": number, "path": name, "location": f"registry.example/{name}"}
            for number, name in enumerate(names)
        ]
        headers = ()
        if len(names) > page * size:
            query = urlencode({"page": page + 1, "per_page": size})
            url = f"https://gitlab.internal{request.path.replace(path, path.replace('/', '%2F'))}"
            headers = (("Link", f'<{url}?{query}>; rel="next", <{url}?page=1>; rel="first"'),)
        return json_answer(shown[(page - 1) * size : page * size], headers=headers)

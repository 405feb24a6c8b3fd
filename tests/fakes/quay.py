"""Quay as far as it is published: `/api/v1/` beside the plain API.

Built from quay/quay, endpoints/api/repository.py and tag.py: a namespace is asked for, pages of tags are
counted, those of repositories named by a token, and plain lists link to the host that it was configured with.
"""

import re
from typing import Any

from graph.sample import SampleRegistry
from graph.sample.answers import Answer, RefusedError, Request, json_answer

LARGEST_PAGE = 100
# Repositories of one page; Quay has it as a constant, larger than this.
REPOSITORIES = 2
STARTED = 1_763_977_804
TOKEN = "application-token"

_TAGS = re.compile(r"/api/v1/repository/(?P<name>.+)/tag/")


class QuayRegistry(SampleRegistry):
    """`private` has the repositories that only the token sees; `dead` the tags of the past, by repository."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.private: set[str] = set()
        self.dead: dict[str, dict[str, str]] = {}

    def _route(self, request: Request) -> Answer:
        is_known = request.headers.get("authorization") == f"Bearer {TOKEN}"
        if request.path == "/api/v1/repository":
            return self._repositories(request, is_known)
        if match := _TAGS.fullmatch(request.path):
            name = match["name"]
            if name in self.private and not is_known:
                raise RefusedError(401, "UNAUTHORIZED", "Requires authentication")
            return self._list_tags(request, name)
        answer = super()._route(request)
        headers = [
            (key, value.replace("</", "<http://quay.internal:8080/") if key == "Link" else value)
            for key, value in answer.headers
        ]
        return Answer(answer.status, tuple(headers), answer.body, answer.length)

    def _repositories(self, request: Request, is_known: bool) -> Answer:
        namespace = request.parameter("namespace")
        if not namespace:
            raise RefusedError(400, "INVALID", "namespace, starred or public are required for this API call")
        names = [
            name
            for name in sorted(self.repositories)
            if name.startswith(f"{namespace}/") and (is_known or name not in self.private)
        ]
        start = int((request.parameter("next_page") or "token+/=0").removeprefix("token+/="))
        shown = names[start : start + REPOSITORIES]
        document: dict[str, Any] = {
            "repositories": [{"namespace": namespace, "name": name.partition("/")[2]} for name in shown]
        }
        if len(names) > start + REPOSITORIES:
            document["next_page"] = f"token+/={start + REPOSITORIES}"
        return json_answer(document)

    def _list_tags(self, request: Request, name: str) -> Answer:
        held = self._repository(name)
        size = min(LARGEST_PAGE, max(1, int(request.parameter("limit") or 50)))
        page = max(1, int(request.parameter("page") or 1))
        tags = [{"name": tag, "manifest_digest": digest} for tag, digest in held.tags.items()]
        if request.parameter("onlyActiveTags") != "true":
            dead = self.dead.get(name, {}).items()
            tags += [{"name": tag, "manifest_digest": digest, "end_ts": STARTED} for tag, digest in dead]
        shown = [
            {**tag, "start_ts": STARTED, "is_manifest_list": False}
            for tag in tags[(page - 1) * size : page * size]
        ]
        return json_answer({"tags": shown, "page": page, "has_additional": len(tags) > page * size})

"""zot as far as it is published: its search beside the plain API, with the referrers API.

Built from project-zot/zot, pkg/extensions/search and its tests: GraphQL by GET, 422 for what is no query,
tags of signatures left out, and a list whose `last` is gone answered with 404.
"""

import json
import re
from typing import Any

from graph.sample import SampleRegistry
from graph.sample.answers import Answer, Request, json_answer

_QUERY = re.compile(r'\{ImageList\(repo:"(?P<name>[^"]+)"\)\{Results\{Tag Digest\}\}\}')


class ZotRegistry(SampleRegistry):
    """`has_search`: whether the extension was built in; `search_errors`: what it answers instead."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.has_search = True
        self.search_errors: list[dict[str, str]] = []

    def _route(self, request: Request) -> Answer:
        if request.path == "/v2/_zot/ext/search":
            return self._search(request) if self.has_search else Answer(404)
        last = request.parameter("last")
        if request.path.endswith("/tags/list") and last is not None:
            name = request.path.removeprefix("/v2/").removesuffix("/tags/list")
            if last not in self._repository(name).tags:
                return Answer(404)
        return super()._route(request)

    def _search(self, request: Request) -> Answer:
        match = _QUERY.fullmatch(request.parameter("query") or "")
        if match is None:
            return Answer(422, (("Content-Type", "application/json"),), json.dumps({"errors": []}).encode())
        if self.search_errors:
            return json_answer({"errors": self.search_errors, "data": None})
        held = self.repositories.get(match["name"])
        tags = {} if held is None else held.tags
        results = [{"Tag": tag, "Digest": digest} for tag, digest in tags.items() if not tag.endswith(".sig")]
        return json_answer({"data": {"ImageList": {"Results": results}}})

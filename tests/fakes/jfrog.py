"""JFrog Artifactory as its users met it: a catalog for each key, Links without a prefix, dirty lists.

Built from JFrog's REST API documentation and from RTFACT-18971, containers/skopeo #2346 and
sigstore/cosign #2973.
"""

import json
import re
from typing import Any
from urllib.parse import urlencode

from graph.sample import SampleRegistry
from graph.sample.answers import Answer, Request, cut_page, json_answer

_CATALOG = re.compile(r"/artifactory/api/docker/(?P<key>[^/]+)/v2/_catalog")


class JfrogRegistry(SampleRegistry):
    """Repositories are `key/image`; where `is_dirty`, a digest and a null stand in every list of tags."""

    def __init__(self, *, is_dirty: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.is_dirty = is_dirty

    def _route(self, request: Request) -> Answer:
        if match := _CATALOG.fullmatch(request.path):
            key = match["key"]
            names = [name.removeprefix(f"{key}/") for name in sorted(self.repositories)]
            names = [name for name in names if f"{key}/{name}" in self.repositories]
            page = cut_page(names, request, self.page_size, key=lambda name: name)
            query = urlencode({"last": page.last or "", "n": request.parameter("n") or ""})
            headers = () if page.last is None else (("Link", f'</v2/_catalog?{query}>; rel="next"'),)
            return json_answer({"repositories": page.entries}, headers=headers)
        answer = super()._route(request)
        if self.is_dirty and request.path.endswith("/tags/list") and answer.status == 200:
            document: dict[str, Any] = json.loads(answer.body)
            document["tags"] += ["sha256:" + "0" * 64, None]
            return json_answer(document, headers=tuple(each for each in answer.headers if each[0] == "Link"))
        if answer.status == 404 and "/manifests/" in request.path and "sha256:" not in request.path:
            return Answer(403, answer.headers, answer.body)
        return answer

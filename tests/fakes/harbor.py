"""Harbor as far as it is published: `/api/v2.0/` beside the plain API.

Built from goharbor/harbor, api/v2.0/swagger.yaml and src/pkg/artifact/dao/dao.go: names encoded twice, pages
of 100 at most, Link in both directions, children hidden without `q=base=*`, accessories hidden with it too.
"""

import json
import re
from typing import Any
from urllib.parse import unquote, urlencode

from graph.sample import SampleRegistry
from graph.sample.answers import Answer, RefusedError, Request, json_answer

PAGE_SIZE = 10
LARGEST_PAGE = 100
PUSHED = "2025-11-24T09:50:04.123Z"
SIGNED = "2025-11-25T10:00:00.000Z"

_REPOSITORIES = re.compile(r"/api/v2\.0/(?:projects/(?P<project>[^/]+)/)?repositories")
# One decoding is HTTP's own; what is left of the second is in the name.
_ARTIFACTS = re.compile(r"/api/v2\.0/projects/(?P<project>[^/]+)/repositories/(?P<name>[^/]+)/artifacts")


class HarborRegistry(SampleRegistry):
    """`immutable` has the tags that may not be moved, by repository and tag."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.immutable: set[tuple[str, str]] = set()
        self.authorizations: list[str] = []

    def _route(self, request: Request) -> Answer:
        if request.path.startswith("/api/"):
            self.authorizations.append(request.headers.get("authorization", ""))
        if match := _REPOSITORIES.fullmatch(request.path):
            project = match["project"]
            names = [name for name in sorted(self.repositories) if project in (None, name.split("/")[0])]
            return self._page(request, [{"name": name, "artifact_count": 1} for name in names])
        if match := _ARTIFACTS.fullmatch(request.path):
            return self._artifacts(request, f"{match['project']}/{unquote(match['name'])}")
        return super()._route(request)

    def _artifacts(self, request: Request, name: str) -> Answer:
        if name not in self.repositories:
            raise RefusedError(404, "NOT_FOUND", f"repository {name} not found")
        held = self.repositories[name]
        children = {child for each in held.manifests.values() for child in children_of(each.data)}
        tagged = set(held.tags.values())
        accessories = self._accessories(name)
        hidden = {digest for each in accessories.values() for digest in each}
        query = request.parameter("q") or ""
        if query not in ("", "base=*", "tags=*", "tags=nil"):
            raise RefusedError(400, "BAD_REQUEST", f"q is not understood: {query}")
        shown = []
        for digest in held.manifests:
            is_base = query == "base=*" or digest in tagged or digest not in children
            if digest in hidden or not is_base or (query == "tags=*" and digest not in tagged):
                continue
            if query == "tags=nil" and digest in tagged:
                continue
            shown.append(self._show(request, name, digest, accessories.get(digest, [])))
        return self._page(request, shown)

    def _accessories(self, name: str) -> dict[str, list[str]]:
        """By subject, the manifests that Harbor takes for something that belongs to it."""
        held = self.repositories[name]
        found: dict[str, list[str]] = {}
        for digest, manifest in held.manifests.items():
            if manifest.subject in held.manifests:
                found.setdefault(str(manifest.subject), []).append(digest)
        for tag, digest in held.tags.items():
            if tag.endswith(".sig"):
                found.setdefault(tag.removesuffix(".sig").replace("-", ":", 1), []).append(digest)
        return found

    def _show(self, request: Request, name: str, digest: str, accessories: list[str]) -> dict[str, Any]:
        held = self.repositories[name]
        tags = [
            {"name": tag, "push_time": PUSHED, "immutable": (name, tag) in self.immutable}
            for tag, target in sorted(held.tags.items())
            if target == digest
        ]
        return {
            "digest": digest,
            "size": 0,
            "manifest_media_type": held.manifests[digest].media_type,
            "push_time": PUSHED,
            "pull_time": "0001-01-01T00:00:00.000Z",
            "tags": tags if request.parameter("with_tag") == "true" and tags else None,
            "accessories": [
                {"digest": each, "subject_artifact_digest": digest, "creation_time": SIGNED}
                for each in accessories
            ]
            if request.parameter("with_accessory") == "true"
            else None,
        }

    def _page(self, request: Request, items: list[dict[str, Any]]) -> Answer:
        size = int(request.parameter("page_size") or PAGE_SIZE)
        page = int(request.parameter("page") or 1)
        if not 0 < size <= LARGEST_PAGE:
            raise RefusedError(422, "UNPROCESSABLE", f"page_size is at most {LARGEST_PAGE}")
        links = []
        kept = {each: request.parameter(each) for each in ("q", "with_tag", "with_immutable_status")}
        kept["with_accessory"] = request.parameter("with_accessory")
        for number, rel in ((page - 1, "prev"), (page + 1, "next")):
            if 1 <= number <= -(-len(items) // size):
                query = {name: value for name, value in kept.items() if value is not None}
                query |= {"page": str(number), "page_size": str(size)}
                links.append(f'<{request.path.replace("%", "%25")}?{urlencode(query)}>; rel="{rel}"')
        headers = (("X-Total-Count", str(len(items))), *([("Link", " , ".join(links))] if links else []))
        return json_answer(items[(page - 1) * size : page * size], headers=headers)


def children_of(data: bytes) -> list[str]:
    """The digests that an index lists."""
    document = json.loads(data)
    return [child["digest"] for child in document.get("manifests", [])]

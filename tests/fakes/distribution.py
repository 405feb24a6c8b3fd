"""distribution, the plain registry, in two versions: what 2.8 and 3.0 do where the specification leaves room.

Built from distribution/distribution, registry/handlers/{catalog,tags}.go at v2.8.2 and v3.0.0, and from what
a running 2.8.2 answered.
"""

from typing import Any

from graph.sample import SampleRegistry
from graph.sample.answers import Answer, RefusedError, Request, cut_page, json_answer, link_headers

# catalog.maxentries: above it a number is refused; and what a page has where none is asked for.
MAX_ENTRIES = 1000


class DistributionRegistry(SampleRegistry):
    """`version` is 2 or 3. Neither lists referrers."""

    def __init__(self, version: int, **options: Any) -> None:
        super().__init__(page_size=MAX_ENTRIES, supports_referrers=False, **options)
        self.version = version

    def _catalog(self, request: Request) -> Answer:
        size = self._page_size(request)
        # By components, so that `a/b` is before `a-b`; the specification's order is another.
        names = sorted(self.repositories, key=lambda name: name.split("/"))
        last = (request.parameter("last") or "").split("/")
        names = [name for name in names if name.split("/") > last]
        link = link_headers(request.path, names[size - 1] if len(names) > size else None, {"n": str(size)})
        return json_answer({"repositories": names[:size]}, headers=link)

    def _page_size(self, request: Request) -> int:
        text = request.parameter("n") or "100"
        if not text.isdecimal():
            if self.version == 2:
                return 100
            raise RefusedError(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested")
        if int(text) > MAX_ENTRIES:
            raise RefusedError(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested")
        return int(text)

    def _tags(self, request: Request, name: str) -> Answer:
        held = self._repository(name)
        if not held.tags and self.version == 2:
            # Of a repository that never had a tag, though the catalog names it.
            raise RefusedError(404, "NAME_UNKNOWN", "repository name not known to registry")
        if self.version == 2:
            return json_answer({"name": name, "tags": list(held.tags)})
        if "n=" in request.query:
            self._page_size(request)
        page = cut_page(sorted(held.tags), request, MAX_ENTRIES, key=lambda tag: tag)
        link = link_headers(request.path, page.last, {"n": request.parameter("n")})
        return json_answer({"name": name, "tags": page.entries or None}, headers=link)

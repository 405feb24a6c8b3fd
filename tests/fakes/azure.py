"""Azure Container Registry as far as it is published: its `/acr/v1/` paths beside the plain API.

Built from Azure/azure-rest-api-specs, containerregistry.json of 2021-07-01, and the shapes its users
recorded: a Link that keeps an empty `orderby=`, times with seven digits of a second, lists left out where
there is nothing, a manifest's tags told up to ten.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from graph.sample import SampleRegistry
from graph.sample.answers import Answer, RefusedError, Request, json_answer
from graph.sample.holdings import StoredRepository

# Items of a page where `n` is missing (Azure/azure-powershell #22922), and the most there are of any.
PAGE_SIZE = 100

# Tags told with a manifest (Azure/azure-cli #7438).
TAGS_OF_MANIFEST = 10

# What `orderby` takes; anything else is the order of names (ArtifactTagOrder, ArtifactManifestOrder).
_ORDERS = {"timedesc": "newest", "timeasc": "oldest"}

_PLATFORM = ("architecture", "os")

_LIST = re.compile(r"/acr/v1/(?P<name>.+)/(?P<kind>_tags|_manifests)(?:/(?P<item>[^/]+))?")
_REPOSITORY = re.compile(r"/acr/v1/(?P<name>[^_].*)")


@dataclass
class Facts:
    """What the registry knows of a tag or manifest besides."""

    created: str = "2025-11-24T09:50:04.1234567Z"
    updated: str = "2026-01-10T23:15:06.7654321Z"
    attributes: dict[str, bool] = field(
        default_factory=lambda: {
            "deleteEnabled": True,
            "writeEnabled": True,
            "readEnabled": True,
            "listEnabled": True,
        }
    )


class AzureRegistry(SampleRegistry):
    """`facts` has what is special, by (repository, tag or digest); everything else has `Facts()`."""

    def __init__(self, login_server: str = "contoso.azurecr.io", **options: Any) -> None:
        super().__init__(**options)
        self.login_server = login_server
        self.facts: dict[tuple[str, str], Facts] = {}
        self.largest_page = 1_000

    def _route(self, request: Request) -> Answer:
        if request.path == "/acr/v1/_catalog":
            return self._page(request, "repositories", sorted(self.repositories), {})
        if match := _LIST.fullmatch(request.path):
            name, kind, item = match.groups()
            head = {"registry": self.login_server, "imageName": name}
            one, show = ("tag", self._show_tag) if kind == "_tags" else ("manifest", self._show_manifest)
            stored = self._repository(name)
            held = stored.tags if kind == "_tags" else stored.manifests
            if item is not None:
                if item not in held:
                    raise RefusedError(404, f"{one.upper()}_UNKNOWN", f"the {one} {item} is not known")
                return json_answer({**head, one: show(name, item)})
            listed = [each for each in sorted(held) if self._is_listed(name, each)]
            if order := _ORDERS.get(request.parameter("orderby") or ""):
                listed.sort(key=lambda each: self._facts(name, each).updated, reverse=order == "newest")
            answer = self._page(request, f"{one}s", listed, head)
            return answer if listed else json_answer(head)
        if match := _REPOSITORY.fullmatch(request.path):
            name = match["name"]
            stored = self._repository(name)
            return json_answer(
                {
                    "registry": self.login_server,
                    "imageName": name,
                    **self._times(name, ""),
                    "manifestCount": len(stored.manifests),
                    "tagCount": len(stored.tags),
                    "changeableAttributes": self._facts(name, "").attributes,
                }
            )
        return super()._route(request)

    def _page(self, request: Request, kind: str, names: Sequence[str], head: dict[str, Any]) -> Answer:
        size = int(request.parameter("n") or PAGE_SIZE)
        if not 0 < size <= self.largest_page:
            raise RefusedError(400, "PAGINATION_NUMBER_INVALID", f"n is not within 1 and {self.largest_page}")
        last = request.parameter("last") or ""
        if request.parameter("orderby") in _ORDERS:
            names = names[names.index(last) + 1 :] if last in names else names
        else:
            names = [name for name in names if name > last]
        shown, headers = names[:size], ()
        if len(names) > size:
            query = urlencode({"last": shown[-1], "n": size, "orderby": request.parameter("orderby") or ""})
            headers = (("Link", f'<{request.path}?{query}>; rel="next"'),)
        if kind == "repositories":
            return json_answer({kind: shown}, headers=headers)
        show = self._show_tag if kind == "tags" else self._show_manifest
        return json_answer({**head, kind: [show(head["imageName"], each) for each in shown]}, headers=headers)

    def _facts(self, name: str, item: str) -> Facts:
        return self.facts.get((name, item), Facts())

    def _times(self, name: str, item: str) -> dict[str, str]:
        facts = self._facts(name, item)
        return {"createdTime": facts.created, "lastUpdateTime": facts.updated}

    def _is_listed(self, name: str, item: str) -> bool:
        return self._facts(name, item).attributes["listEnabled"]

    def _show_tag(self, name: str, tag: str) -> dict[str, Any]:
        return {
            "name": tag,
            "digest": self.repositories[name].tags[tag],
            **self._times(name, tag),
            "signed": False,
            "changeableAttributes": self._facts(name, tag).attributes,
        }

    def _show_manifest(self, name: str, digest: str) -> dict[str, Any]:
        stored = self.repositories[name]
        tags = [tag for tag, target in sorted(stored.tags.items()) if target == digest]
        shown = {
            "digest": digest,
            **_describe(stored, digest),
            **self._times(name, digest),
            "mediaType": stored.manifests[digest].media_type,
            "changeableAttributes": self._facts(name, digest).attributes,
        }
        return {**shown, "tags": tags[:TAGS_OF_MANIFEST]} if tags else shown


def _describe(stored: StoredRepository, digest: str) -> dict[str, Any]:
    """What the registry reads out of a manifest: what the image weighs and runs on, what an index lists."""
    try:
        document = json.loads(stored.manifests[digest].data)
    except ValueError:
        return {"imageSize": 0}
    if "manifests" in document:
        references = [
            {"digest": each["digest"], **{key: each.get("platform", {}).get(key) for key in _PLATFORM}}
            for each in document["manifests"]
        ]
        return {"imageSize": 0, "references": references}
    config = document.get("config", {})
    size = sum(each.get("size", 0) for each in [config, *document.get("layers", [])])
    blob = stored.blobs.get(config.get("digest", ""))
    facts = json.loads(blob.data) if blob is not None and blob.data else {}
    platform = {key: facts.get(key) for key in _PLATFORM}
    return {"imageSize": size, **platform, "configMediaType": config.get("mediaType")}

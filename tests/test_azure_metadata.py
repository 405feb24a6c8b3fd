"""One query prints what Azure's own commands print of a repository's manifests (concept C16).

`az acr manifest list-metadata` prints the items of `/acr/v1/<name>/_manifests`, page after page, as they
come; `az acr repository show-manifests` the digest, tags and last change of each (Azure/azure-cli, acr).
The double that answers is read by Azure's own client in registry/test_azure_by_sdk.py.
"""

import re
from datetime import datetime
from typing import Any

import httpx
import pytest

from builders import make_index, make_sbom
from fakes.azure import TAGS_OF_MANIFEST, AzureRegistry, Facts
from fakes.sync_rig import image, push
from graph.app import Parts, create_app
from graph.oci.reference import parse_registry_name
from graph.registry.in_process import connect_in_process
from graph.settings import load_settings
from graph.sync.crawl import Crawler

pytestmark = pytest.mark.anyio

NAME = parse_registry_name("contoso.azurecr.io")
WEB = "shop/web"
# More than a page, though not of the untagged ones.
TAGS, PAGE = 25, 10

QUERY = """{ repository(name: "shop/web") { completeness artifacts(first: 100) { totalCount nodes {
    digest tags(first: 100) { nodes { name locks { canDelete canWrite canList canRead } pushedAt changedAt } }
    pushedAt changedAt mediaType platform { os architecture } size manifest { size document
        ... on ImageIndex { manifests { digest platform { os architecture } } } }
    locks { canDelete canWrite canList canRead }
} } } }"""


def fill() -> AzureRegistry:
    """An index under many tags, its children, its SBOM, a locked image, and several that no tag names."""
    registry = AzureRegistry()
    index = make_index([image("amd"), image("arm", architecture="arm64")])
    push(registry, WEB, index, *(f"v{number:02}" for number in range(TAGS)))
    push(registry, WEB, make_sbom(index))
    push(registry, WEB, image("locked"), "stable")
    for number in range(10):
        push(registry, WEB, image(f"left {number}"))
    locked = {"deleteEnabled": False, "writeEnabled": False, "readEnabled": True, "listEnabled": True}
    registry.facts[WEB, image("locked").digest] = Facts(attributes=locked)
    registry.facts[WEB, "stable"] = Facts(attributes=locked | {"writeEnabled": True})
    for number, digest in enumerate(sorted(registry.repositories[WEB].manifests)):
        facts = registry.facts.setdefault((WEB, digest), Facts())
        facts.created = f"2025-01-{number + 1:02}T09:50:04.1234567Z"
        facts.updated = f"2025-02-{number + 1:02}T10:51:05.7654321Z"
    return registry


async def list_metadata(registry: AzureRegistry, kind: str) -> list[dict[str, Any]]:
    """What `az` prints: every item of every page."""
    items: list[dict[str, Any]] = []
    path: str | None = f"/acr/v1/{WEB}/_{kind}?n={PAGE}"
    transport = httpx.ASGITransport(registry)
    async with httpx.AsyncClient(transport=transport, base_url=f"https://{NAME}") as client:
        while path:
            answer = await client.get(path)
            items += answer.json()[kind]
            link = re.fullmatch(r'<(.+)>; rel="next"', answer.headers.get("link", ""))
            path = link[1] if link else None
    return items


def moment(text: str) -> datetime:
    """A time in microseconds, whatever is written behind them."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text))


def attributes(locks: dict[str, bool]) -> dict[str, bool]:
    """Locks as Azure writes them."""
    return {f"{key.removeprefix('can').lower()}Enabled": value for key, value in locks.items()}


def printed(node: dict[str, Any]) -> dict[str, Any]:
    """An artifact of our answer as Azure prints a manifest."""
    shown = {
        "digest": node["digest"],
        "createdTime": moment(node["pushedAt"]),
        "lastUpdateTime": moment(node["changedAt"]),
        "mediaType": node["mediaType"],
        "changeableAttributes": attributes(node["locks"]),
    }
    if tags := [tag["name"] for tag in node["tags"]["nodes"]]:
        shown["tags"] = tags
    children = node["manifest"].get("manifests")
    if children is not None:
        references = [{"digest": child["digest"], **child["platform"]} for child in children]
        return {**shown, "imageSize": 0, "references": references}
    platform = node["platform"] or {"os": None, "architecture": None}
    # What is weighed there is the config and the layers.
    weight = int(node["size"]) - int(node["manifest"]["size"])
    return {
        **shown,
        **platform,
        "imageSize": weight,
        "configMediaType": node["manifest"]["document"]["config"]["mediaType"],
    }


async def answer_of(registry: AzureRegistry) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The answer to QUERY after one crawl, and what was asked of the registry, as method and path."""
    raw = {
        "registries": [{"url": f"https://{NAME}", "page_size": PAGE}],
        "store": ":memory:",
        "sync_interval": 0,
    }
    settings = load_settings(raw)
    asked: list[tuple[str, str]] = []

    async def prepare(parts: Parts) -> None:
        await Crawler(parts.upstreams[0]).crawl()
        asked.extend((request.method, request.path) for request in registry.requests)

    app = create_app(settings, transports={NAME: connect_in_process(registry)}, prepare=prepare)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        answer = (await client.post("/graphql", json={"query": QUERY})).json()
    assert "errors" not in answer
    repository: dict[str, Any] = answer["data"]["repository"]
    return repository, asked


async def test_c16_the_query_prints_what_azure_prints() -> None:
    """Every field of every manifest, tagged or not, is Azure's; and there are more than ten tags (C16)."""
    registry = fill()
    theirs = await list_metadata(registry, "manifests")
    repository, _ = await answer_of(registry)

    assert "COMPLETE" == repository["completeness"]
    ours = {node["digest"]: printed(node) for node in repository["artifacts"]["nodes"]}
    assert len(theirs) == repository["artifacts"]["totalCount"] == len(ours) > PAGE
    assert {TAGS, 1} == {len(row["tags"]) for row in ours.values() if "tags" in row}
    for row in theirs:
        expected = {**row, **{key: moment(row[key]) for key in ("createdTime", "lastUpdateTime")}}
        found = ours[row["digest"]]
        if "tags" in found:
            found["tags"] = found["tags"][:TAGS_OF_MANIFEST]
        assert expected == found


async def test_c16_tags_have_their_own_times_and_locks() -> None:
    """What Azure says of a tag is said of the tag, whatever it says of what that names (C16)."""
    registry = fill()
    theirs = await list_metadata(registry, "tags")
    repository, _ = await answer_of(registry)

    ours = {
        tag["name"]: (
            node["digest"],
            moment(tag["pushedAt"]),
            moment(tag["changedAt"]),
            attributes(tag["locks"]),
        )
        for node in repository["artifacts"]["nodes"]
        for tag in node["tags"]["nodes"]
    }
    assert ours == {
        row["name"]: (
            row["digest"],
            moment(row["createdTime"]),
            moment(row["lastUpdateTime"]),
            row["changeableAttributes"],
        )
        for row in theirs
    }


async def test_c16_costs_the_pages_of_two_lists() -> None:
    """A crawl asks ⌈t/page⌉ and ⌈m/page⌉ times, for nothing by HEAD, and once for each manifest's bytes."""
    registry = fill()
    held = registry.repositories[WEB]
    repository, asked = await answer_of(registry)

    paths = [path for _, path in asked]
    assert {"GET"} == {method for method, _ in asked}
    assert -(-len(held.tags) // PAGE) == paths.count(f"/acr/v1/{WEB}/_tags")
    assert -(-len(held.manifests) // PAGE) == paths.count(f"/acr/v1/{WEB}/_manifests")
    got = [path for path in paths if "/manifests/" in path]
    assert sorted(f"/v2/{WEB}/manifests/{digest}" for digest in held.manifests) == sorted(got)

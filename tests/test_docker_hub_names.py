"""What is typed without a namespace is an official image at Docker Hub, as docker has it, only there."""

from typing import Any

import httpx
import pytest

from builders import make_image
from fakes.docker_hub import DockerHub
from fakes.sync_rig import push
from graph.app import Parts, create_app
from graph.oci.reference import parse_registry_name
from graph.settings import load_settings
from graph.sync.crawl import Crawler

pytestmark = pytest.mark.anyio

QUERY = """{ repository(name: "nginx") { name tags(first: 5) { nodes { name } } }
    artifact(reference: "nginx:1.27") { digest }
    storage(repositories: ["nginx"]) { artifactCount } }"""


@pytest.mark.parametrize(
    ("host", "holds", "expected"),
    [
        ("docker.io", "library/nginx", "library/nginx"),
        ("registry-1.docker.io", "library/nginx", "library/nginx"),
        ("registry.example", "nginx", "nginx"),
    ],
)
async def test_names_as_they_are_typed(host: str, holds: str, expected: str) -> None:
    """A repository, an address, a member of a set and what `include` names are all meant so."""
    registry = DockerHub()
    image = make_image()
    push(registry, holds, image, "1.27")
    push(registry, f"other/{holds}", make_image(author="other"), "1.27")
    settings = load_settings(
        {
            "store": ":memory:",
            "sync_interval": 0,
            "max_age": 1e9,
            "registries": [{"url": f"https://{host}", "include": ["nginx"]}],
        }
    )

    async def crawl(parts: Parts) -> None:
        report = await Crawler(parts.upstreams[0]).crawl()
        assert (1, {}) == (report.repositories, report.trouble_counts)

    app = create_app(
        settings, transports={parse_registry_name(host): httpx.ASGITransport(registry)}, prepare=crawl
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        answer: Any = (await client.post("/graphql", json={"query": QUERY})).json()
    assert "errors" not in answer, answer["errors"]
    assert {
        "repository": {"name": expected, "tags": {"nodes": [{"name": "1.27"}]}},
        "artifact": {"digest": image.digest},
        "storage": {"artifactCount": 1},
    } == answer["data"]

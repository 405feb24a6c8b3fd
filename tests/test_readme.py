"""What the documents show is what happens: queries have their answers, and settings load."""

import json
import re
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from graph.app import Parts, create_app
from graph.graphiql import load_examples
from graph.oci.reference import parse_registry_name
from graph.registry.in_process import connect_in_process
from graph.sample import SAMPLE_REGISTRY_NAME, SampleRegistry, fill_sample, rebuild_v2
from graph.settings import load_settings
from graph.sync.crawl import Crawler

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NAME = parse_registry_name(SAMPLE_REGISTRY_NAME)


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


DOCUMENTS = [
    path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if "```graphql" in path.read_text(encoding="utf-8")
]


@asynccontextmanager
async def demo() -> AsyncIterator[Callable[[str], Awaitable[Any]]]:
    """What `ocigraph demo` serves; gives what asks it."""
    sample = SampleRegistry()
    fill_sample(sample)

    async def prepare(parts: Parts) -> None:
        (upstream,) = parts.upstreams
        await Crawler(upstream).crawl()
        rebuild_v2(sample)
        await Crawler(upstream).crawl()

    # The sample speaks plain OCI, whatever its name looks like.
    registry = {"url": f"http://{NAME}", "dialect": "oci"}
    settings = load_settings({"registries": [registry], "store": ":memory:", "sync_interval": 0})
    app = create_app(settings, transports={NAME: connect_in_process(sample)}, prepare=prepare)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):

        async def ask(query: str) -> Any:
            return (await client.post("/graphql", json={"query": query})).json()

        yield ask


@pytest.mark.anyio
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
async def test_queries_have_their_answers(path: Path) -> None:
    """Each query that is shown, asked of the sample registry, is answered with the JSON below it."""
    text = path.read_text(encoding="utf-8")
    queries, answers = blocks("graphql", text), blocks("json", text)
    async with demo() as ask:
        given = [await ask(query) for query in queries]

    assert len(queries) > 0
    assert [] == [answer["errors"] for answer in given if "errors" in answer]
    assert [json.loads(answer) for answer in answers] == [answer["data"] for answer in given]


@pytest.mark.anyio
async def test_examples_of_graphiql_have_answers() -> None:
    """Each tab that a first visit opens holds a query that is answered without an error."""
    async with demo() as ask:
        answers = [await ask(query) for query in load_examples()]

    assert 6 == len(answers)
    assert [] == [answer["errors"] for answer in answers if "errors" in answer]


@pytest.mark.parametrize("text", [README, (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")])
def test_settings_load(text: str, tmp_path: Path) -> None:
    """Each settings file that is shown is one, but for the secrets, which are where the reader has them."""
    for block in blocks("toml", text):
        shown = tomllib.loads(block)
        for registry in shown["registries"]:
            if "password_file" in registry:
                registry["password_file"] = str(tmp_path / "secret")
        (tmp_path / "secret").write_text("secret")

        settings = load_settings(shown)

        assert len(shown["registries"]) == len(settings.registries)

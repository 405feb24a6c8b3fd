"""What the documents show is what happens: queries have their answers, and settings load."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from graph.app import Parts, create_app
from graph.graphiql import load_examples
from graph.oci.reference import parse_registry_name
from graph.registry.client import RegistryClient
from graph.registry.dialects import DIALECTS, choose_dialect
from graph.registry.in_process import connect_in_process
from graph.sample import SAMPLE_REGISTRY_NAME, SampleRegistry, fill_sample, rebuild_v2
from graph.settings import RegistrySettings, Settings, load_settings
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


def load_block(block: str, folder: Path) -> Settings:
    """The settings that a file with this text has, its secrets and files of logins in the folder."""
    named = {"password_file": "secret", "auth_file": "{}"}
    for name, text in named.items():
        (folder / name).write_text(text)
        block = re.sub(f'^{name} = ".*"$', f'{name} = "{folder / name}"', block, flags=re.MULTILINE)
    file = folder / "settings.toml"
    file.write_text(block)
    return load_settings({}, file)


SETTINGS = [README, *((ROOT / "docs" / name).read_text("utf-8") for name in ("settings.md", "registries.md"))]


@pytest.mark.parametrize("block", [block for text in SETTINGS for block in blocks("toml", text)])
def test_settings_load(block: str, tmp_path: Path) -> None:
    """Each settings file that is shown is one, but for the secrets, which are where the reader has them."""
    assert load_block(block, tmp_path).registries


# Which dialect is spoken after the block of a section is pasted.
VENDORS = {
    "Azure Container Registry": "azure",
    "Docker Hub": "docker-hub",
    "GitHub Container Registry": "github",
    "Google Artifact Registry and Container Registry": "google",
    "Amazon ECR": "ecr",
    "Amazon ECR Public": "ecr-public",
    "Harbor": "harbor",
    "Quay": "quay",
    "GitLab": "gitlab",
    "Gitea and Forgejo": "gitea",
    "zot": "zot",
    "JFrog Artifactory": "jfrog",
    "Distribution, and any other": "oci",
    "Images on disk": "layout",
}
SECTIONS = dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^##)", README, re.DOTALL | re.MULTILINE))


def test_every_vendor_has_a_section() -> None:
    """Nobody has to read of another vendor; and a dialect that is added is shown."""
    assert list(VENDORS) == list(SECTIONS)
    assert {dialect.name for dialect in DIALECTS} == set(VENDORS.values())


@pytest.mark.anyio
@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_is_pasted(vendor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one block of five lines at most, and makes a client of the vendor's dialect that has a login."""
    (block,) = re.findall(r"```[a-z]+\n(.*?)```", SECTIONS[vendor], re.DOTALL)
    lines = block.strip().splitlines()
    assert len(lines) <= 5
    if VENDORS[vendor] == "layout":
        # They are run by test_examples.
        urls = [line.removeprefix(".venv/bin/ocigraph serve ") for line in lines]
        assert {"layout"} == {choose_dialect(RegistrySettings(url=url)).name for url in urls}
        return
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    (registry,) = load_block(block, tmp_path).registries
    async with RegistryClient(registry) as client:
        found = client.dialect.name
        has_login = registry.username is None or (await client.identify()).credentials is not None

    assert VENDORS[vendor] == found
    assert has_login

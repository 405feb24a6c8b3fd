"""GraphiQL as a person meets it: `ocigraph demo` in a process of its own, its page in Chromium, with no network."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from live.rigs import answer_of, find_tool, free_port, process, wait_until

pytestmark = pytest.mark.live

# Headless as root in a container; the rest keeps the browser from asking Google's hosts for things of its own.
CHROMIUM_OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1400,900"
).split()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page that `ocigraph demo` serves."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    log = tmp_path_factory.mktemp("demo") / "demo.log"
    with process([sys.executable, "-m", "graph", "demo", "--port", str(port)], log) as running:
        answer_of(running, log, f"{address}/readyz")
        yield f"{address}/graphql"


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Chrome]:
    """A browser that has never been started before and writes down what it loads and complains about."""
    options = ChromeOptions()
    options.binary_location = find_tool("chromium", "apt-get install chromium")
    for option in [*CHROMIUM_OPTIONS, f"--user-data-dir={tmp_path}"]:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = find_tool("chromedriver", "apt-get install chromium-driver")
    with Chrome(options, Service(driver)) as browser:
        yield browser


def test_graphiql_answers_offline(demo: str, chromium: Chrome, tmp_path: Path) -> None:
    """A first visit opens with a query; running it shows an answer; nothing came from elsewhere or was refused."""
    chromium.get(demo)
    run = wait_until("the button to run a query", lambda: find(chromium, "button.graphiql-execute-button"))
    assert "{" in editor_text(chromium, ".graphiql-query-editor")
    run.click()
    answer = wait_until("an answer", lambda: json_or_none(editor_text(chromium, ".result-window")))
    chromium.save_screenshot(str(tmp_path / "graphiql.png"))

    assert answer["data"]
    assert "errors" not in answer
    assert {urlsplit(demo).netloc} == {urlsplit(url).netloc for url in loaded_urls(chromium)}
    assert [] == chromium.get_log("browser")


def test_graphiql_knows_the_schema(demo: str, chromium: Chrome) -> None:
    """The documentation that GraphiQL shows comes from the introspection query, within the limits of the server."""
    chromium.get(demo)
    wait_until("the documentation's button", lambda: find(chromium, "[aria-label^='Show Documentation']")).click()

    shown = wait_until("the root type", lambda: find(chromium, ".graphiql-doc-explorer-content .graphiql-doc-explorer-root-type, .graphiql-doc-explorer-root-type"))

    assert "query" in shown.text or shown.text

"""GraphiQL as a person meets it: the page of `ocigraph demo`, a process of its own, in Chromium, offline."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from live.rigs import answer_of, find_tool, free_port, process, wait_until

pytestmark = pytest.mark.live

CHROMIUM_OPTIONS = [
    # Without a screen, and as root in a container.
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,900"),
    # It asks its makers' hosts for nothing of its own.
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--disable-quic",
]


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
    options.binary_location = find_tool("chromium")
    for option in [*CHROMIUM_OPTIONS, f"--user-data-dir={tmp_path}"]:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = find_tool("chromedriver")
    with Chrome(options, Service(driver)) as browser:
        yield browser


def test_first_visit_opens_with_a_query(demo: str, chromium: Chrome, tmp_path: Path) -> None:
    """The page opens with an example that has an answer; nothing came from elsewhere, nothing was refused."""
    chromium.get(demo)

    example = wait_until("an example query", lambda: read_editor(chromium, "query-editor"))
    click(chromium, "button.graphiql-execute-button")
    answer = json.loads(wait_until("an answer", lambda: read_editor(chromium, "result-window")))
    # Kept by pytest for the last three runs, for a person to look at.
    chromium.save_screenshot(str(tmp_path / "graphiql.png"))

    assert "{" in example
    assert answer["data"] and "errors" not in answer
    assert {urlsplit(demo).netloc} == {urlsplit(url).netloc for url in loaded_urls(chromium)}
    assert [] == chromium.get_log("browser")


def test_a_query_can_be_typed(demo: str, chromium: Chrome) -> None:
    """What a person types into the editor is what is sent."""
    chromium.get(demo)
    click(chromium, ".graphiql-query-editor .CodeMirror")

    keys = ActionChains(chromium).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL)
    keys.send_keys("query Typed { __typename }").perform()
    # GraphiQL reads the operation's name, which it sends, a tenth of a second after the last key.
    wait_until("the tab's new name", lambda: "Typed" in (texts(chromium, ".graphiql-tab") or []) or None)
    click(chromium, "button.graphiql-execute-button")

    answer = json.loads(wait_until("an answer", lambda: read_editor(chromium, "result-window")))
    assert {"__typename": "Query"} == answer["data"]


def test_schema_is_documented(demo: str, chromium: Chrome) -> None:
    """GraphiQL's introspection query is within the server's limits: the page lists the types of ours."""
    chromium.get(demo)
    click(chromium, "[aria-label='Show Documentation Explorer']")

    names = wait_until("the types", lambda: texts(chromium, ".graphiql-doc-explorer-type-name"))

    assert {"Registry", "Repository", "Artifact", "Tag", "Layer", "Manifest"} <= set(names)


def click(browser: Chrome, selector: str) -> None:
    wait_until(selector, lambda: next(iter(browser.find_elements(By.CSS_SELECTOR, selector)), None)).click()


def texts(browser: Chrome, selector: str) -> list[str] | None:
    """The text of every element that the selector finds; None while there is none."""
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)] or None


def read_editor(browser: Chrome, name: str) -> str | None:
    """The text in one of GraphiQL's editors, of which the document holds the lines in view; None if empty."""
    script = "return document.querySelector(arguments[0])?.CodeMirror?.getValue()"
    return browser.execute_script(script, f"[class$='{name}'] .CodeMirror") or None


def loaded_urls(browser: Chrome) -> list[str]:
    """Every address of the network that the browser asked since it started."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    # The browser's own pages and what is inside a style sheet are no network.
    return [url for url in urls if not url.startswith(("chrome:", "data:"))]

"""Gitea as it is: versions of packages, an API for who logs in, and the plain lists for everybody."""

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builders import make_image, make_layer
from graph.app import answer
from graph.settings import load_settings
from live.census import take_census
from live.holdings import ALL, HELD, crawl_once, known_in, write_settings
from live.rigs import GITEA_ADMIN, gitea, run_ocigraph
from live.seeding import push, request

pytestmark = pytest.mark.live

USER, _, PASSWORD = GITEA_ADMIN.partition(":")
BASIC = {"Authorization": f"Basic {base64.b64encode(GITEA_ADMIN.encode()).decode()}"}
UNTAGGED = make_image([make_layer("untagged")])
HIDDEN = make_image([make_layer("hidden")])

REPOSITORY = """query ($name: String!) { repository(name: $name) { completeness
    artifacts(first: 100) { nodes { digest untagged pushedAt } }
    tags(first: 100) { nodes { name changedAt } } } }"""


@dataclass(frozen=True)
class Gitea:
    """A running Gitea that holds HELD, UNTAGGED in team/web, and HIDDEN where only its owner may look."""

    url: str
    directory: Path

    def settings(self, **others: object) -> Path:
        """Settings to read it with, in which nobody logs in."""
        registry = {"url": self.url, "dialect": "gitea", **others}
        return write_settings(self.directory / "settings.toml", registry)

    def settings_of_user(self, **others: object) -> Path:
        """The same, with a login."""
        return self.settings(username=USER, password=PASSWORD, **others)

    def make_owner(self, name: str, visibility: str) -> None:
        """Make an organisation, which may own images."""
        body = json.dumps({"username": name, "visibility": visibility}).encode()
        request(f"{self.url}/api/v1/orgs", "POST", body, **BASIC, **{"Content-Type": "application/json"})

    def login(self) -> dict[str, str]:
        """The header of who may push."""
        _, body = request(f"{self.url}/v2/token", "GET", **BASIC)
        return {"Authorization": f"Bearer {json.loads(body)['token']}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gitea]:
    directory = tmp_path_factory.mktemp("gitea")
    with gitea(directory) as url:
        server = Gitea(url, directory)
        for owner, visibility in (("base", "public"), ("Team", "public"), ("hidden", "private")):
            server.make_owner(owner, visibility)
        login = server.login()
        for repository, tags in HELD.items():
            for tag, built in tags.items():
                push(url, repository, built, tag, **login)
        push(url, "team/web", UNTAGGED, **login)
        push(url, "hidden/app", HIDDEN, "1", **login)
        yield server


def ask(store: Path, name: str) -> Any:
    """What the store knows of a repository."""
    settings = load_settings({"store": str(store)})
    response = asyncio.run(answer(settings, REPOSITORY, {"name": name}))
    assert "errors" not in response, response
    return response["data"]["repository"]


def test_who_logs_in(server: Gitea, tmp_path: Path) -> None:
    """All there is is known: what has no tag, when it was pushed, and that no more is there."""
    store = tmp_path / "store.db"
    report = crawl_once(server.settings_of_user(), store)
    assert (None, {}, 0) == (report.failure, report.trouble_counts, report.names_dropped)
    tags, shared = known_in(store)
    assert ({**ALL[0], "hidden/app": {"1": HIDDEN.digest}}, ALL[1]) == (tags, shared)

    web = ask(store, "team/web")
    assert "COMPLETE" == web["completeness"]
    untagged = {each["digest"]: each["untagged"] for each in web["artifacts"]["nodes"] if each["untagged"]}
    assert {UNTAGGED.digest: "DANGLING"} == untagged
    (pushed,) = (each["pushedAt"] for each in web["artifacts"]["nodes"] if each["digest"] == UNTAGGED.digest)
    assert pushed is not None
    assert all(tag["changedAt"] is not None for tag in web["tags"]["nodes"])


def test_nobody(server: Gitea, tmp_path: Path) -> None:
    """Who does not log in reads what is public the plain way, and is refused nothing."""
    store = tmp_path / "store.db"
    report = crawl_once(server.settings(), store)
    assert (None, {}) == (report.failure, report.trouble_counts)
    assert ALL == known_in(store)
    assert "BEST_EFFORT" == ask(store, "team/web")["completeness"]


def test_owners(server: Gitea, tmp_path: Path) -> None:
    """`namespaces` chooses the owners, as they write themselves or not, with a login and without."""
    expected = {name: tags for name, tags in ALL[0].items() if name.startswith("team/")}
    for number, settings in enumerate((server.settings, server.settings_of_user)):
        store = tmp_path / f"{number}.db"
        report = crawl_once(settings(namespaces=["Team"]), store)
        assert (None, {}) == (report.failure, report.trouble_counts)
        assert expected == known_in(store)[0]


def test_later_crawl(server: Gitea, tmp_path: Path) -> None:
    """It fetches nothing again; what a tag named before it was pushed anew is gone, as it is in Gitea."""
    store, settings = tmp_path / "store.db", server.settings_of_user()
    first, second = make_image([make_layer("first")]), make_image([make_layer("second")])
    push(server.url, "team/moved", first, "latest", **server.login())
    crawl_once(settings, store)
    assert 0 == crawl_once(settings, store).manifests

    push(server.url, "team/moved", second, "latest", **server.login())
    report = crawl_once(settings, store)
    assert (None, {}, 1) == (report.failure, report.trouble_counts, report.manifests)
    assert [second.digest] == [each["digest"] for each in ask(store, "team/moved")["artifacts"]["nodes"]]
    census = take_census(server.url, ["team/moved"])
    assert {"latest": second.digest} == census.tags["team/moved"]


def test_what_skopeo_prints(server: Gitea, tmp_path: Path) -> None:
    """The tags are those that skopeo lists, on the digests that it inspects."""
    store = tmp_path / "store.db"
    crawl_once(server.settings(namespaces=["base", "team"]), store)
    assert take_census(server.url, HELD).tags == {name: known_in(store)[0][name] for name in HELD}


def test_login_check(server: Gitea) -> None:
    """A login that it accepts is told from one that it refuses."""
    assert 0 == run_ocigraph("login-check", server.settings_of_user()).returncode
    done = run_ocigraph("login-check", server.settings(username=USER, password="wrong"))
    assert 3 == done.returncode
    assert "REGISTRY_DENIED" in done.stdout
    assert PASSWORD not in done.stdout

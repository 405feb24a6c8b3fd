"""A real registry that wants user and password is read with a login from wherever it is written down."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from live.client import Graph
from live.holdings import ALL, crawl_once, fill, known, known_in, write_settings
from live.rigs import docker_registry, find_tool, ocigraph, run, run_ocigraph, tool_environment

pytestmark = pytest.mark.live

USER = "reader"
PASSWORD = "a password of the tests"
# Of that password, by bcrypt, the one kind that distribution takes; any program that writes it salts anew.
HTPASSWD = f"{USER}:$2y$05$abcdefghijklmnopqrstuuComanBKiU1JTRzmmvE2xk8ApqQhbSI.\n"
WRONG = "a wrong password"
NOBODY = "nobody (anonymous)"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that lets in nobody but USER."""
    directory = tmp_path_factory.mktemp("htpasswd")
    fill(directory)
    file = directory / "htpasswd"
    file.write_text(HTPASSWD)
    with docker_registry(directory, auth={"htpasswd": {"realm": "tests", "path": str(file)}}) as url:
        yield url


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """A file with the right password."""
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    return file


@pytest.fixture
def auth_file(tmp_path: Path, url: str) -> Path:
    """What skopeo writes down when somebody logs in to the registry with it."""
    file = tmp_path / "auth.json"
    host = url.removeprefix("http://")
    login = ("login", "--tls-verify=false", "--authfile", file, "--username", USER, "--password", PASSWORD)
    run([find_tool("skopeo"), *login, host], environment=tool_environment())
    return file


def test_password_of_a_file(url: str, password_file: Path, tmp_path: Path) -> None:
    """`serve` with user and password file knows all there is."""
    settings = write_settings(
        tmp_path / "settings.toml", {"url": url, "username": USER, "password_file": password_file}
    )
    with ocigraph(settings, tmp_path / "store.db") as (server, _):
        assert ALL == known(Graph(server))


def test_login_that_skopeo_wrote(url: str, auth_file: Path, password_file: Path, tmp_path: Path) -> None:
    """`sync` with what `skopeo login` wrote knows all; a wrong password later is told, and loses nothing."""
    store, settings = tmp_path / "store.db", tmp_path / "settings.toml"
    write_settings(settings, {"url": url, "auth_file": auth_file})
    done = run_ocigraph("sync", settings, "--store", store)
    assert 0 == done.returncode, done.stderr
    assert ALL == known_in(store)

    password_file.write_text(WRONG)
    write_settings(settings, {"url": url, "username": USER, "password_file": password_file})
    failure = crawl_once(settings, store).failure
    assert failure is not None
    assert "REGISTRY_DENIED" == failure.code
    assert f"{url.removeprefix('http://')} refuses the credentials" in failure.message
    assert ALL == known_in(store)


def test_login_check(url: str, auth_file: Path, password_file: Path, tmp_path: Path) -> None:
    """Each login is told by its user and by where it is written, whatever the name; no secret is."""
    wrong_file = tmp_path / "wrong"
    wrong_file.write_text(WRONG)
    settings = write_settings(
        tmp_path / "settings.toml",
        {"name": "by-password", "url": url, "username": USER, "password_file": password_file},
        {"name": "by-skopeo", "url": url, "auth_file": auth_file},
        {"name": "by-mistake", "url": url, "username": USER, "password_file": wrong_file},
        {"name": "by-nobody", "url": url},
    )
    done = run_ocigraph("login-check", settings)
    asked = f"(GET {url}/v2/)"
    expected = [
        ("by-password", USER, f"the settings ({password_file})", "ok"),
        ("by-skopeo", USER, str(auth_file), "ok"),
        ("by-mistake", USER, f"the settings ({wrong_file})", "refuses the credentials"),
        ("by-nobody", NOBODY, NOBODY, "asks for a user and password, and the settings have none"),
    ]
    text = "".join(
        f"{name} (oci)\n  user:   {user}\n  from:   {source}\n"
        f"  answer: {reason if reason == 'ok' else f'REGISTRY_DENIED: {name} {reason} {asked}'}\n"
        for name, user, source, reason in expected
    )
    assert text == done.stdout
    assert ("", 3) == (done.stderr, done.returncode)
    assert PASSWORD not in text and WRONG not in text

"""Settings: three sources, every mistake at once, no secret in sight."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from graph.errors import SettingsError
from graph.registry.problems import find_problems
from graph.settings import Hidden, load_settings


def problems_of(flags: dict[str, object], file: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(flags, file)
    return caught.value.problems


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_flags_before_variables_before_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag wins over a variable, a variable over the file, the file over the default."""
    file = write(tmp_path / "s.toml", "port = 1\nmax_age = 2\ntime_limit = 3\n")
    monkeypatch.setenv("OCIGRAPH_PORT", "10")
    monkeypatch.setenv("OCIGRAPH_MAX_AGE", "20")

    settings = load_settings({"port": 100, "host": None}, file)

    assert (100, 20, 3, "127.0.0.1") == (settings.port, settings.max_age, settings.time_limit, settings.host)


def test_file_named_by_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OCIGRAPH_SETTINGS names the file where no flag does."""
    monkeypatch.setenv("OCIGRAPH_SETTINGS", str(write(tmp_path / "s.toml", 'hide = ["labels"]')))

    assert frozenset({Hidden.LABELS}) == load_settings({}).hide


def test_registry_is_named_after_its_host() -> None:
    """A registry's name is its login server in lower case; https is meant where nothing is said."""
    settings = load_settings({"registries": ["MyRegistry.azurecr.io", "http://localhost:5000"]})

    assert [
        ("https://myregistry.azurecr.io", "myregistry.azurecr.io"),
        ("http://localhost:5000", "localhost:5000"),
    ] == [(registry.url, registry.name) for registry in settings.registries]


def test_registries_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable lists URLs between spaces or commas."""
    monkeypatch.setenv("OCIGRAPH_REGISTRIES", "one.example, two.example")

    assert ["one.example", "two.example"] == [registry.name for registry in load_settings({}).registries]


def test_every_mistake_is_reported_with_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run tells all: a wrong type, a value out of range, names nobody knows, a bad registry."""
    file = write(
        tmp_path / "s.toml",
        'port = "many"\nnode_budget = 0\nprot = 1\n[[registries]]\nurl = "https://a.example/v2/x"\n',
    )
    monkeypatch.setenv("OCIGRAPH_MAXAGE", "3")

    problems = problems_of({}, file)

    assert ["OCIGRAPH_MAXAGE", "node_budget", "port", "prot", "registries.0.url"] == sorted(
        problem.split(":")[0] for problem in problems
    )


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("https://user:secret@a.example", "user or password"),
        ("ftp://a.example", "https://host"),
        ("https://a.example/path", "registry only"),
        ("https://a.example?x=1", "registry only"),
        ("https://", "https://host"),
    ],
)
def test_bad_url(url: str, part: str) -> None:
    """A URL names a registry and nothing else, and the message does not repeat a secret in it."""
    (problem,) = problems_of({"registries": [url]})

    assert part in problem
    assert "secret" not in problem.replace("username", "")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"proxy": "http://proxy.example:99999"}, "proxy: must be http://host:port"),
        ({"proxy": "http://:3128"}, "proxy: must be http://host:port"),
        ({"proxy": "http://alice:secret@proxy.example:3128"}, "proxy: must be http://host:port"),
        ({"proxy": "http://proxy.example:3128/path"}, "proxy: must be http://host:port"),
        ({"proxy": "https://proxy.example:3128"}, "proxy: must be http://host:port"),
        ({"token_hosts": ["https://auth.example/x"]}, "token_hosts: 'https://auth.example/x' is no host"),
        ({"token_hosts": [""]}, "token_hosts: '' is no host"),
        ({"include": "team/*"}, "include: must be a list"),
    ],
)
def test_bad_setting_of_a_registry(wrong: Mapping[str, Any], told: str) -> None:
    """What a registry cannot be reached with is told before it is tried, and in an operator's words."""
    (problem,) = problems_of({"registries": [{"url": "https://a.example", **wrong}]})

    assert problem.startswith(f"registries.0.{told}")
    assert "secret" not in problem


def test_hosts_as_networks_of_containers_have_them() -> None:
    """A proxy or token server may be called what no registry may: with an underscore, or by an address."""
    given = {"proxy": "http://squid_1:3128/", "token_hosts": ["auth_1:8443", "[::1]:8443", "auth.example"]}
    (registry,) = load_settings({"registries": [{"url": "https://a.example", **given}]}).registries

    assert ("http://squid_1:3128/", ("auth_1:8443", "[::1]:8443", "auth.example")) == (
        registry.proxy,
        registry.token_hosts,
    )


def test_registries_that_are_no_list(tmp_path: Path) -> None:
    """One bracket too few makes a table of the list, and is told with the brackets that it takes."""
    file = write(tmp_path / "s.toml", '[registries]\nurl = "https://a.example"\n')

    assert (
        "registries: must be a list of URLs, or of tables, each of which begins with [[registries]]",
    ) == problems_of({}, file)


def test_identity_goes_to_the_only_registry(tmp_path: Path) -> None:
    """username and password_file beside a single URL are its identity."""
    secret = write(tmp_path / "secret", "hunter2\n")

    (registry,) = load_settings(
        {"registries": ["a.example"], "username": "me", "password_file": str(secret)}
    ).registries

    assert registry.password is not None
    assert ("me", "hunter2") == (registry.username, registry.password.get_secret_value())


def test_identity_without_a_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login in the variables is in nobody's way where no registry is asked, as by `ocigraph query`."""
    monkeypatch.setenv("OCIGRAPH_USERNAME", "me")
    monkeypatch.setenv("OCIGRAPH_PASSWORD_FILE", "/run/secrets/registry")

    assert () == load_settings({}).registries
    with pytest.raises(SettingsError) as caught:
        load_settings({}, needs_registries=True)
    (problem,) = caught.value.problems
    assert problem.startswith("registries: none is given")


def test_identity_is_never_shared() -> None:
    """With two registries a top-level password would reach the wrong one, so it is refused."""
    problems = problems_of({"registries": ["a.example", "b.example"], "username": "u", "password": "p"})

    refusal = "needs exactly one registry; with several, give each its own"
    assert [f"username: {refusal}", f"password: {refusal}"] == list(problems)


def test_one_mistake_hides_no_other(tmp_path: Path) -> None:
    """Rules that look at two settings, or at a file, are told beside the mistakes of single ones."""
    missing = str(tmp_path / "missing")
    problems = problems_of(
        {
            "registries": [
                {"url": "ftp://a.example", "concurrency": 0, "username": "alone"},
                {"url": "b.example", "password_file": missing, "page_size": 0},
            ],
            "username": "u",
            "port": 99_999,
            "token_file": missing,
        }
    )

    assert [
        "port",
        "registries.0.concurrency",
        "registries.0.password",
        "registries.0.url",
        "registries.1.page_size",
        "registries.1.password",
        "token_file",
    ] == sorted(problem.split(":")[0] for problem in problems)


def test_same_registry_twice() -> None:
    """Two entries of one name would be one row of the store."""
    assert ("registries: a.example is given more than once",) == problems_of(
        {"registries": ["a.example", "A.example"]}
    )


@pytest.mark.parametrize("other", [{"port": 99_999}, {"sync_interval": "often"}, {}])
def test_files_and_repetitions_are_told_beside_the_rest(tmp_path: Path, other: dict[str, object]) -> None:
    """That a registry is given twice, or a login's file is missing, waits for nothing to be mended."""
    registries = [
        {"url": "a.example", "auth_file": str(tmp_path / "missing")},
        {"url": "b.example", "page_size": 0, "auth_file": str(tmp_path / "missing")},
        {"url": "https://B.example", "prot": 1},
        {"url": "ftp://c.example"},
    ]

    problems = problems_of({"registries": registries, **other})

    expected = [
        *other,
        "registries",
        "registries.0.auth_file",
        "registries.1.auth_file",
        "registries.1.page_size",
        "registries.2.prot",
        "registries.3.url",
    ]
    assert sorted(expected) == sorted(problem.split(":")[0] for problem in problems)
    assert "registries: b.example is given more than once" in problems


def test_what_the_files_hold_is_told_beside_the_rest(tmp_path: Path) -> None:
    """What shows only when a registry's files are read, or its dialect is chosen, is told with the others."""
    broken = write(tmp_path / "broken", "s3cret")
    registries = [
        {"url": "a.example", "auth_file": str(broken), "ca_file": str(broken)},
        {"url": "b.example", "dialect": "ecr"},
        {"url": "oci:images"},
    ]
    with pytest.raises(SettingsError) as caught:
        load_settings({"registries": registries, "port": 99_999}, find_problems=find_problems)

    problems = caught.value.problems
    assert ["port", "registries.0.auth_file", "registries.0.ca_file", "registries.1.dialect"] == sorted(
        problem.split(":")[0] for problem in problems
    )
    assert "s3cret" not in str(caught.value)
    with pytest.raises(SettingsError) as caught:
        load_settings({"registries": registries}, find_problems=find_problems)
    assert list(problems[1:]) == list(caught.value.problems)


def test_a_login_in_ones_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may begin with `~`, as people write that of Docker's logins."""
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "config.json", "{}")

    settings = load_settings({"registries": [{"url": "a.example", "auth_file": "~/config.json"}]})

    assert [] == find_problems(settings.registries[0])


def test_no_secret_in_repr(tmp_path: Path) -> None:
    """Settings may be logged."""
    settings = load_settings({"registries": ["a.example"], "username": "me", "password": "hunter2"})

    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_unreadable_files_are_mistakes(tmp_path: Path) -> None:
    """A missing settings file, a broken one and a missing secret each name the file."""
    missing = tmp_path / "missing.toml"

    assert "missing.toml" in problems_of({}, missing)[0]
    assert "broken.toml" in problems_of({}, write(tmp_path / "broken.toml", "= 3"))[0]
    assert (
        "nothing-here"
        in problems_of(
            {"registries": ["a.example"], "username": "u", "password_file": str(tmp_path / "nothing-here")}
        )[0]
    )


def test_token_file(tmp_path: Path) -> None:
    """The bearer token is the file's text without the line end; an empty file is a mistake."""
    assert load_settings({}).read_token() is None
    assert "t0ken" == load_settings({"token_file": write(tmp_path / "t", "t0ken\n")}).read_token()
    with pytest.raises(SettingsError):
        load_settings({"token_file": write(tmp_path / "empty", "\n")}).read_token()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("ghe.example/api/v3/", "https://ghe.example/api/v3"),
        ("https://GITLAB.example:8443", "https://gitlab.example:8443"),
        ("http://localhost:1", "http://localhost:1"),
    ],
)
def test_address_of_a_vendors_api(given: str, kept: str) -> None:
    """A vendor's API may be below a path."""
    registry = {"url": "https://a.example", "api_url": given}

    assert [kept] == [each.api_url for each in load_settings({"registries": [registry]}).registries]


@pytest.mark.parametrize("url", ["https://u:p@a.example", "https://a.example/../x", "https://a.example/?q=1"])
def test_what_no_vendors_api_has(url: str) -> None:
    """A user, a way to another path and a query are refused."""
    problems = problems_of({"registries": [{"url": "https://a.example", "api_url": url}]})

    assert ["registries.0.api_url"] == [problem.split(":")[0] for problem in problems]


@pytest.mark.parametrize("name", ["", "/", "a//b", "../a", "a b", "a/..", "a?b", "é"])
def test_namespaces_lead_nowhere_else(name: str) -> None:
    """A namespace becomes part of a path: what could lead to another one is refused."""
    problems = problems_of({"registries": [{"url": "https://a.example", "namespaces": ["Org.1/team", name]}]})

    assert ["registries.0.namespaces"] == [problem.split(":")[0] for problem in problems]


def test_unknown_dialect() -> None:
    """A dialect that does not exist is told where it is named, with those that do."""
    (problem,) = problems_of({"registries": [{"url": "b.example", "dialect": "esperanto"}]})

    assert problem.startswith("registries.0.dialect: 'esperanto' is not known; known: auto, azure, ")


@pytest.mark.parametrize("store", ["mysql://127.0.0.1/x", "postgresql+psycopg://127.0.0.1/x", ""])
def test_a_store_of_no_engine(store: str) -> None:
    """A URL of an engine that no store can be kept in is a mistake of that setting."""
    (problem,) = problems_of({"store": store})

    assert problem.startswith("store: ")


@pytest.mark.parametrize(
    "origin",
    ["portal.example", "https://portal.example/", "https://portal.example/x", "null", "https://*", "a b"],
)
def test_what_is_no_origin(origin: str) -> None:
    """What no browser would ever send as an origin is not taken in silence."""
    assert all(problem.startswith("cors_origins: ") for problem in problems_of({"cors_origins": [origin]}))


def test_origins() -> None:
    """Origins are compared in lower case, as browsers send them."""
    given = ["https://Portal.example", "http://localhost:3000", "vscode-webview://x", "*"]

    assert tuple(origin.lower() for origin in given) == load_settings({"cors_origins": given}).cors_origins


def test_an_empty_token_file(tmp_path: Path) -> None:
    """A token file that holds nothing is told with the rest, not when the server starts."""
    file = write(tmp_path / "token", "\n")
    problems = problems_of({"token_file": str(file), "port": "x"})

    assert ["port", "token_file"] == sorted(problem.split(":")[0] for problem in problems)


@pytest.mark.parametrize("token", ["two\nlines", "s\u00e9cret", "a\tb", "a\x7f"])
def test_a_token_that_no_request_can_bring(tmp_path: Path, token: str) -> None:
    """A server that waits for it would let nobody in, and a client would fail with the token in its words."""
    file = write(tmp_path / "token", token)
    (problem,) = problems_of({"token_file": str(file)})

    assert problem.startswith("token_file: ")
    assert token not in problem


def test_a_file_named_by_a_variable_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What names the file is what has to be mended."""
    monkeypatch.setenv("OCIGRAPH_SETTINGS", str(tmp_path / "missing.toml"))

    assert ["OCIGRAPH_SETTINGS", "port"] == sorted(p.split(":")[0] for p in problems_of({"port": "x"}))


def test_interval_of_each_registry() -> None:
    """A registry's own interval goes before that of all; with 0 it is not crawled by itself."""
    urls = {
        "https://own.test": {"sync_interval": 60},
        "https://all.test": {},
        "https://never.test": {"sync_interval": 0},
    }
    registries = [{"url": url, **own} for url, own in urls.items()]

    assert {"own.test": 60, "all.test": 900} == load_settings({"registries": registries}).sync_intervals()
    assert {"own.test": 60} == load_settings({"registries": registries, "sync_interval": 0}).sync_intervals()


@pytest.mark.parametrize(
    "patterns",
    [["team/*"], ["*"], ["*/web"], ["team/web", "team/w?b"], ["te*m/*-*/x"], ["library/*.?"]],
)
def test_repositories_are_chosen_by_names_and_globs(patterns: list[str]) -> None:
    """A star or a question mark may stand wherever a name goes on."""
    settings = load_settings({"registries": [{"url": "https://registry.example", "include": patterns}]})
    assert tuple(patterns) == settings.registries[0].include


@pytest.mark.parametrize(
    "pattern", ["", "Team/web", "team//web", "/team", "[t]eam", "team/web:v1", "x" * 300]
)
def test_patterns_that_no_name_matches(pattern: str) -> None:
    """What could match nothing is a mistake, told with its setting."""
    (problem,) = problems_of({"registries": [{"url": "https://registry.example", "exclude": [pattern]}]})
    assert problem.startswith("registries.0.exclude")


def test_own_ages_of_a_registry() -> None:
    """Each registry may say how old an answer may be, and its lists of referrers."""
    own = {"url": "https://one.example", "max_age": 60, "referrers_max_age": 3600}
    settings = load_settings({"registries": [own, {"url": "https://two.example"}]})
    assert [60, None] == [registry.max_age for registry in settings.registries]
    assert [3600, None] == [registry.referrers_max_age for registry in settings.registries]

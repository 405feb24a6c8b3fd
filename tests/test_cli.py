"""The command as a person uses it: what it prints, and how it ends."""

import base64
import json
import signal
import socket
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from graph.oci.reference import RegistryName
from graph.store.changes import ConfiguredRegistry
from graph.store.engine import open_store
from graph.store.observations import set_registries


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "graph", *arguments], input=stdin, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def store(tmp_path: Path) -> str:
    path = tmp_path / "store.sqlite3"
    open_store(str(path)).close()
    return str(path)


def test_schema_is_what_is_committed() -> None:
    """`ocigraph schema` prints schema.graphql."""
    committed = (Path(__file__).parent.parent / "schema.graphql").read_text(encoding="utf-8")

    assert committed == run("schema").stdout


@pytest.mark.parametrize("command", ["serve", "sync", "demo", "query", "verify", "login-check"])
def test_help_is_in_words(command: str) -> None:
    """What an option takes is told by what it is for, not by a type of Python's."""
    usage, _, told = run(command, "--help").stdout.partition("\n")

    assert "[[" not in usage
    assert "<" not in told.partition("Options:")[2]


def test_query_from_an_argument_a_file_and_standard_input(store: str, tmp_path: Path) -> None:
    """A query may be given in three ways."""
    query = "{ __typename }"
    file = tmp_path / "query.graphql"
    file.write_text(query)

    answers = [
        run("query", query, "--store", store),
        run("query", str(file), "--store", store),
        run("query", "-", "--store", store, stdin=query),
    ]

    assert [0, 0, 0] == [answer.returncode for answer in answers]
    assert [{"__typename": "Query"}] * 3 == [json.loads(answer.stdout)["data"] for answer in answers]


def test_store_is_asked_where_registries_are(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables with which `serve URL` logs in are set where `query` and `verify` are typed, too."""
    monkeypatch.setenv("OCIGRAPH_USERNAME", "me")
    monkeypatch.setenv("OCIGRAPH_PASSWORD_FILE", "/run/secrets/registry")

    assert 0 == run("query", "{ __typename }", "--store", store).returncode
    assert 0 == run("verify", "--store", store).returncode


def test_query_with_errors_ends_with_1(store: str) -> None:
    """A script can tell an answer with errors from one without."""
    answer = run("query", "{ nothing }", "--store", store)

    assert 1 == answer.returncode
    assert json.loads(answer.stdout)["errors"]


@pytest.mark.parametrize("text", ["-", "", " \n"])
def test_empty_query(store: str, text: str) -> None:
    """No query at all is a mistake of the caller's, however it is given."""
    answer = run("query", text, "--store", store)

    assert (2, "ocigraph: the query is empty [INVALID_QUERY]\n") == (answer.returncode, answer.stderr)


def test_one_of_several_operations(store: str) -> None:
    """Of several operations one is executed if it is named, and none if it is not."""
    document = "query A { a: __typename } query B { b: __typename }"
    unnamed = run("query", document, "--store", store)
    named = run("query", document, "--operation", "B", "--store", store)

    assert 1 == unnamed.returncode
    (error,) = json.loads(unnamed.stdout)["errors"]
    assert "INVALID_QUERY" == error["extensions"]["code"]
    assert "data" not in json.loads(unnamed.stdout)
    assert (0, {"b": "Query"}) == (named.returncode, json.loads(named.stdout)["data"])


def test_query_without_a_store(tmp_path: Path) -> None:
    """A path that holds no store is a mistake of the caller's, and no store is made of it."""
    missing = tmp_path / "missing.sqlite3"
    answer = run("query", "{ __typename }", "--store", str(missing))

    assert (2, False) == (answer.returncode, missing.exists())
    assert "ocigraph sync" in answer.stderr
    assert "Traceback" not in answer.stderr


def break_counter(store: str) -> None:
    opened = open_store(store)
    with opened.transaction() as db:
        registry = ConfiguredRegistry(RegistryName("registry.test"), "http://registry.test", "oci")
        set_registries(db, [registry], datetime(2024, 5, 1, tzinfo=UTC))
        db.execute(text("UPDATE registry SET repository_count = 7"))
    opened.close()


def test_verify_of_a_store_that_is_right(store: str) -> None:
    """A store whose figures all equal a recount is told so, and ends with 0."""
    answer = run("verify", "--store", store)

    assert (0, "every figure equals a recount\n") == (answer.returncode, answer.stdout)


def test_verify_tells_what_differs(store: str) -> None:
    """A counter that is wrong is one line with both figures; the exit code says so, and nothing is mended."""
    break_counter(store)
    answers = [run("verify", "--store", store) for _ in range(2)]

    assert [(1, "registry 1 repository_count: stored 7, counted 0\n")] * 2 == [
        (answer.returncode, answer.stdout) for answer in answers
    ]
    assert "1 figures differ" in answers[0].stderr


def test_verify_while_somebody_writes(store: str) -> None:
    """Neither waits for the other: a store in the middle of a write is recounted as it was before."""
    opened = open_store(store)
    with opened.transaction() as db:
        db.execute(text("INSERT INTO media_type (name) VALUES ('a')"))
        answer = run("verify", "--store", store)
    opened.close()

    assert 0 == answer.returncode


@pytest.mark.parametrize(
    ("revision", "code", "word"), [("9999", 5, "STORE_OUTDATED"), (None, 5, "ocigraph serve")]
)
def test_verify_of_another_version(store: str, revision: str | None, code: int, word: str) -> None:
    """A store of a newer version, or of none, is refused and left as it is."""
    opened = open_store(store)
    with opened.transaction() as db:
        db.execute(text("DELETE FROM alembic_version"))
        if revision is not None:
            db.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})
    opened.close()
    answer = run("verify", "--store", store)

    assert code == answer.returncode
    assert word in answer.stderr
    assert "Traceback" not in answer.stderr


def test_verify_without_a_store(tmp_path: Path) -> None:
    """A path that holds no store is a mistake of the caller's, and none is made of it."""
    missing = tmp_path / "missing.sqlite3"
    answer = run("verify", "--store", str(missing))

    assert (2, False) == (answer.returncode, missing.exists())
    assert "ocigraph sync" in answer.stderr


def test_verify_of_what_is_no_store(tmp_path: Path) -> None:
    """A file that is no database is refused with the code of its group."""
    file = tmp_path / "notes.txt"
    file.write_text("not a database " * 100)
    answer = run("verify", "--store", str(file))

    assert 5 == answer.returncode
    assert f"ocigraph: store {file}: " in answer.stderr
    assert "STORE_ERROR" in answer.stderr


@pytest.mark.parametrize("name", ["query", "verify", "sync", "serve"])
def test_a_database_of_somebody_else(tmp_path: Path, name: str) -> None:
    """No command makes a store of it or reads it as one; which file that was is told."""
    file = tmp_path / "notes.db"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE notes (text)")
    db.close()
    before = file.read_bytes()
    arguments = {"query": ["{ __typename }"], "verify": []}.get(name, ["http://127.0.0.1:9"])
    answer = run(name, *arguments, "--store", str(file))

    assert (5, before) == (answer.returncode, file.read_bytes())
    assert f"ocigraph: store {file}: " in answer.stderr
    assert "none of ocigraph's" in answer.stderr


def test_a_store_that_is_damaged(store: str) -> None:
    """An answer does not name the store, since clients of a server read such; the command does."""
    break_counter(store)
    with sqlite3.connect(store) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        rows = db.execute("SELECT rootpage FROM sqlite_master WHERE tbl_name = 'blob' AND rootpage > 0")
        damaged = [page for (page,) in rows]
    db.close()
    data = bytearray(Path(store).read_bytes())
    for page in damaged:
        data[(page - 1) * 4096 : page * 4096] = bytes(4096)
    Path(store).write_bytes(data)

    answer = run("query", f'{{ layers(digests: ["sha256:{0:064}"]) {{ size }} }}', "--store", store)

    (error,) = json.loads(answer.stdout)["errors"]
    assert (1, "STORE_ERROR") == (answer.returncode, error["extensions"]["code"])
    assert store in answer.stderr
    assert store not in answer.stdout


def settings_told_by(*arguments: str) -> list[str]:
    """The settings that a command which ends with 2 says are wrong, one line for each."""
    answer = run(*arguments)
    assert 2 == answer.returncode
    return sorted(line.removeprefix("ocigraph: ").split(": ")[0] for line in answer.stderr.splitlines())


def test_settings_mistakes_are_all_told() -> None:
    """Every mistake is one line with its setting, what is no number at all among them; the exit code is 2."""
    told = settings_told_by(
        "serve",
        "ftp://a.example",
        *("--port", "abc"),
        *("--max-age", "soon"),
        *("--sync-interval", "-1"),
        *("--store", "mysql://127.0.0.1/x"),
        *("--cors-origin", "portal.example"),
        *("--hide", "everything"),
        *("--settings", "missing.toml"),
    )

    wrong = ["cors_origins", "hide.0", "max_age", "port", "registries.0.url", "store", "sync_interval"]
    assert ["--settings", *wrong] == told


@pytest.mark.parametrize("text", ["port = ", "\x00", "[[registries]\n"])
def test_a_settings_file_that_is_none(tmp_path: Path, text: str) -> None:
    """A file that is not TOML is told beside the mistakes of the flags, and hides none of them."""
    file = tmp_path / "ocigraph.toml"
    file.write_text(text)

    assert ["--settings", "port"] == settings_told_by("serve", "--settings", str(file), "--port", "abc")


def test_mistakes_beside_a_missing_registry(tmp_path: Path) -> None:
    """That there is no registry is told beside the rest."""
    assert ["port", "registries"] == settings_told_by("serve", "--port", "abc")


@pytest.mark.parametrize("name", ["serve", "sync", "login-check"])
def test_mistakes_in_what_the_settings_name(tmp_path: Path, name: str) -> None:
    """What is wrong with a registry's files or dialect is told beside the rest, before anything is made."""
    file, store = tmp_path / "ocigraph.toml", tmp_path / "store.sqlite3"
    (tmp_path / "logins").write_text("no JSON")
    tables = [
        f'url = "a.example"\nauth_file = "{tmp_path / "logins"}"',
        'url = "b.example"\ndialect = "ecr"\nca_file = "missing"',
        'url = "c.example"\ndialect = "ecr"',
    ]
    file.write_text(f'store = "{store}"\n' + "".join(f"[[registries]]\n{table}\n" for table in tables))

    wrong = ["registries.0.auth_file", "registries.1.ca_file", "registries.2.dialect"]
    assert wrong == settings_told_by(name, "--settings", str(file))
    assert not store.exists()


def test_serve_needs_a_registry() -> None:
    """Without a registry there is nothing to serve, and the message says what to give."""
    answer = run("serve")

    assert 2 == answer.returncode
    assert "https://registry.example.com" in answer.stderr


def test_serve_with_a_store_that_cannot_be_opened(tmp_path: Path) -> None:
    """A server that cannot open its store ends with 5 and one message."""
    store = str(tmp_path / "missing" / "store.sqlite3")
    answer = run("serve", "http://127.0.0.1:9", "--port", "0", "--store", store)

    assert 5 == answer.returncode
    assert "STORE_ERROR" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_serve_on_a_port_that_is_taken(tmp_path: Path) -> None:
    """A port that somebody else has is a mistake in the settings."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = run("serve", "http://127.0.0.1:9", "--port", port, "--store", ":memory:")

    assert 2 == answer.returncode
    assert f"127.0.0.1:{port}" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_serve_until_interrupted() -> None:
    """Ctrl-C ends a server in good order, with the code that a shell expects of it."""
    command = [sys.executable, "-m", "graph", "demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert any("is served at" in line for line in running.stdout)
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=30)

    assert (130, "") == (running.returncode, told)


def test_sync_of_a_registry_that_is_down(tmp_path: Path) -> None:
    """A registry that gives no answer ends with 3 and its code, and leaves a store that can be asked."""
    store = str(tmp_path / "store.sqlite3")
    answer = run("sync", "http://127.0.0.1:9", "--store", store)

    assert 3 == answer.returncode
    assert "REGISTRY_UNREACHABLE" in answer.stderr
    assert 0 == run("query", "{ registry { name } }", "--store", store).returncode


def test_login_check_shows_whom_and_no_secret(tmp_path: Path) -> None:
    """`login-check` says as whom a registry was asked, where that is written down and what it answered."""
    auth_file = tmp_path / "config.json"
    login = base64.b64encode(b"alice:s3cret").decode()
    auth_file.write_text(json.dumps({"auths": {"127.0.0.1:9": {"auth": login}}}))
    settings = tmp_path / "ocigraph.toml"
    settings.write_text(f'[[registries]]\nurl = "http://127.0.0.1:9"\nauth_file = "{auth_file}"\n')

    answer = run("login-check", "--settings", str(settings))

    assert 3 == answer.returncode
    assert [
        "127.0.0.1:9 (oci)",
        "user:   alice",
        f"from:   {auth_file}",
    ] == [line.strip() for line in answer.stdout.splitlines()[:3]]
    assert "answer: REGISTRY_UNREACHABLE" in answer.stdout
    assert not any(secret in answer.stdout + answer.stderr for secret in ("s3cret", login))


def test_login_check_shows_who_is_asked_about_a_part(tmp_path: Path) -> None:
    """A file that has logins for namespaces alone is shown with them: those are used, whoever pings."""
    auth_file = tmp_path / "auth.json"
    login = base64.b64encode(b"robot:s3cret").decode()
    auth_file.write_text(
        json.dumps({"auths": {"127.0.0.1:9/team": {"auth": login}, "else.example/team": {"auth": login}}})
    )
    settings = tmp_path / "ocigraph.toml"
    settings.write_text(f'[[registries]]\nurl = "http://127.0.0.1:9"\nauth_file = "{auth_file}"\n')

    answer = run("login-check", "--settings", str(settings))

    assert [
        "127.0.0.1:9 (oci)",
        "user:   nobody (anonymous)",
        "below team: robot",
        f"from:   {auth_file}",
    ] == [line.strip() for line in answer.stdout.splitlines()[:4]]
    assert not any(secret in answer.stdout + answer.stderr for secret in ("s3cret", login))


def test_server_that_is_not_there() -> None:
    """`query --url` tells that nobody answers, with a code and an exit code of its own."""
    answer = run("query", "{ __typename }", "--url", "http://127.0.0.1:9/graphql")

    assert 6 == answer.returncode
    assert "does not answer" in answer.stderr
    assert "[SERVER_UNREACHABLE]" in answer.stderr
    assert "Traceback" not in answer.stderr

"""What carries the program to others is whole: lock files, wheel, container, the vendored GraphiQL."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from graph.graphiql import CONTENT_SECURITY_POLICY, STATIC, render_page

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {"requirements.lock": ["build"], "requirements-dev.lock": ["build", "dev"]}

# What GraphiQL may weigh in a clone and in a wheel; the builds in it today are a third of this.
MAX_GRAPHIQL_BYTES = 5 * 1024 * 1024


def read_pins(lock: str) -> dict[str, tuple[str, int]]:
    """Each package of a lock file with its version and its number of hashes."""
    text = re.sub(r"\\\n\s*", "", (ROOT / lock).read_text())
    found = re.findall(r"^([\w.-]+)==([^\s;]+)(.*)$", text, re.MULTILINE)
    return {canonicalize_name(name): (version, rest.count("--hash=sha256:")) for name, version, rest in found}


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_is_current(lock: str) -> None:
    """What pyproject.toml asks for is in the lock, at a version that it allows; else `make lock` is due."""
    groups = PROJECT["dependency-groups"]
    asked = PROJECT["project"]["dependencies"] + [
        line for group in LOCKS[lock] for line in groups[group] if isinstance(line, str)
    ]
    pins = read_pins(lock)

    unmet = [
        line
        for line in asked
        if not (wanted := Requirement(line)).specifier.contains(
            pins.get(canonicalize_name(wanted.name), ("0", 0))[0]
        )
    ]

    assert [] == unmet


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_is_hashed(lock: str) -> None:
    """Every line of a lock is a pinned package or its hash; none says where to fetch from."""
    text = (ROOT / lock).read_text()

    assert [] == [name for name, (_, hashes) in read_pins(lock).items() if hashes == 0]
    assert [] == [
        line
        for line in text.splitlines()
        if not re.match(r"\w[\w.-]*==\S+|    --hash=sha256:[0-9a-f]{64}|    #|#", line)
    ]


def test_locks_agree() -> None:
    """What runs in production is what was tested: the smaller lock is a part of the larger."""
    assert read_pins("requirements.lock").items() <= read_pins("requirements-dev.lock").items()


# Stands for an interpreter that says it is of some version and has no other module than those it is left.
INTERPRETER = """#!/bin/sh
case "$2" in
    *ensurepip*) exit {lacks_venv} ;;
    *"sys.exit(not"*) exit {is_too_old} ;;
    *) echo {version} ;;
esac
"""


@pytest.mark.parametrize(
    ("version", "is_too_old", "lacks_venv", "message"),
    [
        ("3.11", 0, 1, "sudo apt install python3.11-venv"),
        ("3.9", 1, 0, "ocigraph needs Python 3.11, 3.12, 3.13 or 3.14; found: "),
    ],
    ids=["without venv", "too old"],
)
def test_setup_says_what_is_missing(
    version: str, is_too_old: int, lacks_venv: int, message: str, tmp_path: Path
) -> None:
    """Where the Python is too old, or Debian's lacks venv, `make` ends with what to install, not a trace."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    interpreter = tmp_path / "python"
    interpreter.write_text(INTERPRETER.format(version=version, is_too_old=is_too_old, lacks_venv=lacks_venv))
    interpreter.chmod(0o755)

    ended = subprocess.run(
        [tmp_path / "scripts" / "setup", "requirements.lock"],
        env={**os.environ, "PYTHON": str(interpreter)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 1 == ended.returncode
    assert message in ended.stderr
    assert not (tmp_path / ".venv").exists()


def test_wheel_is_whole(tmp_path: Path) -> None:
    """The wheel carries every file of the package, so that an installed ocigraph finds what it reads."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")

    with zipfile.ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if name.startswith("graph/")}

    files = (file for file in (ROOT / "graph").rglob("*") if file.is_file())
    assert {str(file.relative_to(ROOT)) for file in files if "__pycache__" not in file.parts} == carried


def check_compose(file: Path) -> subprocess.CompletedProcess[str]:
    schema = ["--builtin-schema", "vendor.compose-spec"]
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, file], capture_output=True, text=True
    )


def test_compose_file_is_valid() -> None:
    """docker-compose.yml is what the schema of the compose specification allows."""
    result = check_compose(ROOT / "docker-compose.yml")

    assert 0 == result.returncode, result.stdout


def test_compose_mistake_is_refused(tmp_path: Path) -> None:
    """The check itself: a key that the compose specification does not have is found."""
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text((ROOT / "docker-compose.yml").read_text().replace("ports:", "prots:", 1))

    result = check_compose(wrong)

    assert 1 == result.returncode
    assert "prots" in result.stdout


def test_dockerfile_finds_its_sources() -> None:
    """All that the Dockerfile copies exists and is let through by .dockerignore."""
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    passed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert sources == passed
    assert [] == [source for source in sources if not (ROOT / source).exists()]


def find_health(port: int) -> subprocess.CompletedProcess[bytes]:
    """Run the Dockerfile's check of a container's health, with the port in the variable that says so."""
    (check,) = re.findall(r"^HEALTHCHECK[^[]*CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    _, *arguments = json.loads(check)
    variables = os.environ | {"OCIGRAPH_PORT": str(port)}
    return subprocess.run([sys.executable, *arguments], env=variables, capture_output=True, timeout=30)


def test_health_of_a_container_that_listens_elsewhere() -> None:
    """A container whose port is set is asked there, and only one that answers is well."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answered = find_health(server.server_port)
        server.shutdown()

    assert 0 == answered.returncode, answered.stderr
    assert 0 != find_health(server.server_port).returncode


def test_graphiql_is_as_vendored() -> None:
    """The committed builds are those that scripts/vendor-graphiql wrote, each with its licence beside it."""
    lines = (STATIC / "vendor" / "SHA256SUMS").read_text().splitlines()
    wanted = dict(reversed(line.split("  ")) for line in lines)
    files = [file for file in (STATIC / "vendor").iterdir() if file.name != "SHA256SUMS"]

    assert wanted == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert "LICENSES.txt" in wanted
    assert MAX_GRAPHIQL_BYTES > sum(file.stat().st_size for file in STATIC.rglob("*"))


def test_graphiql_page_loads_our_files_only() -> None:
    """Whatever the page loads is a file of ours beside it, and its policy lets nothing else in."""
    page = render_page([])
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert [] == [name for name in loaded if not (STATIC / name.removeprefix("graphiql/")).is_file()]
    assert "//" not in page + CONTENT_SECURITY_POLICY


def test_graphiql_example_is_data() -> None:
    """An example cannot end the element it is embedded in."""
    page = render_page(["query A { a } # </script><script>alert(1)</script> <!--"])

    assert "alert(1)" in page
    assert "</script><script>alert" not in page
    assert "<!--" not in page.removeprefix("<!doctype html>")

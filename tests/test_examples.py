"""Every command that the documents show is run as it stands, or is named here with what runs it instead.

What cannot be here is put in its place: a registry's host is a sample on the loopback interface, the port is
a free one, and the files are made before they are read.
"""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner

from builders import make_image, make_layer
from graph.cli import app as command
from graph.sample import SampleRegistry, fill_sample
from layout_builders import docker_files, layout_files, named, write_directory, write_zipped

ROOT = Path(__file__).parent.parent
# Records of decisions tell what was weighed, not what to type.
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# What is no command of ours, and what takes more than this test has: the file that runs it, and what it says.
# `.ci/run` itself is what every change is checked with.
ELSEWHERE = {
    "make demo": (".ci/run", "setsid make demo PORT=0"),
    "make test": (".ci/run", "\nmake test\n"),
    "make test ARGS=-rs": ("Makefile", "-m pytest $(ARGS)"),
    ".ci/run": (".ci/run", "make check\nmake test\n"),
    ".venv/bin/pip install '.[aws]'": ("pyproject.toml", "\naws = ["),
    ".venv/bin/pip install '.[azure]'": ("pyproject.toml", "\nazure = ["),
    "ocigraph query --url": ("tests/test_cli.py", '"--url"'),
}

_SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_INLINE = re.compile(
    r"`((?:\.venv/bin/)?ocigraph [a-z-]+ [^`]+|\.ci/run|make [^`]+|(?:\.venv/bin/)?pip [^`]+)`"
)


def commands_in(text: str) -> Iterator[str]:
    """The commands of its shell examples, and those that a sentence tells the reader to give."""
    for block in _SHELL.findall(text):
        yield from block.strip().splitlines()
    yield from _INLINE.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL))


SHOWN = list(dict.fromkeys(line for path in DOCUMENTS for line in commands_in(path.read_text())))
RUN = [line for line in SHOWN if line not in ELSEWHERE]


def test_every_command_is_run() -> None:
    """A command that is not run here is run by what is written down for it; none is forgotten."""
    assert [] == [line for line in RUN if not re.match(r"(\.venv/bin/)?ocigraph ", line)]
    assert {"serve", "sync", "query", "verify", "schema"} <= {line.split()[1] for line in RUN}
    assert [] == [line for line in ELSEWHERE if line not in SHOWN]
    assert [] == [line for line, (file, text) in ELSEWHERE.items() if text not in (ROOT / file).read_text()]


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    """The sample registry on the loopback interface; its URL."""
    sample = SampleRegistry()
    fill_sample(sample)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(sample, lifespan="off", log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def place(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files that the examples read, the store of a first crawl among them."""
    path = tmp_path_factory.mktemp("place")
    image = make_image([make_layer("one")])
    write_directory(path / "images", layout_files([named(image, "v1")], [image]))
    write_zipped(path / "saved.tar.gz", docker_files({"shop/web:v1": image}))
    crawled = CliRunner().invoke(command, ["sync", registry, "--store", str(path / "ocigraph.sqlite3")])
    assert 0 == crawled.exit_code
    return path


def serve(arguments: list[str], place: Path) -> None:
    """Start the server, ask it which repositories there are, and end it as Ctrl-C does."""
    environment = {**os.environ, "OCIGRAPH_PORT": "0", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "graph", *arguments],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            url = next(word for line in running.stdout for word in line.split() if word.endswith("/graphql"))
            asked = json.dumps({"query": "{ registry { repositories { nodes { name } } } }"}).encode()
            request = urllib.request.Request(url, asked, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as reply:
                answer = json.load(reply)
        finally:
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=30)
    assert "errors" not in answer
    assert answer["data"]["registry"]["repositories"]["nodes"]
    assert 130 == running.returncode


@pytest.mark.parametrize("line", RUN)
def test_examples_run(line: str, registry: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example does what its reader expects of it: it ends well, and a query has an answer."""
    # Which port is free is not for a document to know.
    arguments = shlex.split(line.replace("https://registry.example.com", registry))[1:]
    if arguments[0] == "serve":
        serve(arguments, place)
        return
    monkeypatch.chdir(place)
    result = CliRunner().invoke(command, arguments)

    assert (0, None) == (result.exit_code, result.exception)
    if arguments[0] == "query":
        assert {"registry": {"sync": {"state": "IDLE"}}} == json.loads(result.stdout)["data"]
    if arguments[0] == "schema":
        assert (ROOT / "schema.graphql").read_text() == result.stdout

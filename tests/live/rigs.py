"""Real programs for the live tests: found, started on free ports of loopback, waited for, stopped.

Nothing here knows what is tested. A tool that is missing skips the test that needs it, saying which; with
`LIVE_TESTS=required` in the environment it fails instead, so that no build machine passes by having nothing.
"""

import getpass
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

REQUIRED = os.environ.get("LIVE_TESTS") == "required"

# Seconds for a server to answer its first request; each of them takes well under one on an idle machine.
START_TIMEOUT = 30.0
# Seconds between two looks at something that another process changes.
POLL_INTERVAL = 0.05

# Where a stranger gets the programs.
SOURCES = {
    "buildah": "apt-get install buildah",
    "chromedriver": "apt-get install chromium-driver",
    "chromium": "apt-get install chromium",
    "crane": "go install github.com/google/go-containerregistry/cmd/crane@v0.22.1",
    "docker-registry": "apt-get install docker-registry",
    "gcrane": "go install github.com/google/go-containerregistry/cmd/gcrane@v0.22.1",
    "go": "https://go.dev/dl",
    "skopeo": "apt-get install skopeo",
    "zuul-registry": "pipx install zuul-registry==1.3.0",
}

# Who may push to the zuul-registry, which wants somebody; everybody may read it.
ZUUL_WRITER = "writer:a password of the tests"
# Who may do everything in Gitea.
GITEA_ADMIN = "writer:a password of the tests"
_GITEA = "code.gitea.io/gitea"

T = TypeVar("T")


def give_up(reason: str) -> NoReturn:
    """Skip the test, or fail it where live tests are required."""
    if REQUIRED:
        pytest.fail(f"{reason} (LIVE_TESTS=required)", pytrace=False)
    pytest.skip(reason)


def find_tool(name: str) -> str:
    """The path of one of the programs of SOURCES."""
    return shutil.which(name) or give_up(f"{name} is not installed: {SOURCES[name]}")


def run(
    command: Sequence[str | Path],
    *,
    directory: Path | None = None,
    timeout: float = 60,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What the command prints; its errors are in the exception if it fails."""
    variables = tool_environment() if environment is None else environment
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=timeout, env=variables
    )
    if done.returncode:
        raise RuntimeError(f"{command} gave {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def clean_environment() -> dict[str, str]:
    """The environment without proxies and without `REGISTRY_*`, which are settings to `docker-registry`."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith("REGISTRY_")
    }


def tool_environment() -> dict[str, str]:
    """The environment of buildah and skopeo, without anybody's log-ins to registries."""
    return {**clean_environment(), "REGISTRY_AUTH_FILE": str(Path(__file__).parent / "no_logins.json")}


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(what: str, look: Callable[[], T | None], timeout: float = START_TIMEOUT) -> T:
    """The first answer of `look` that is not None; fails with `what` when time is over."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(POLL_INTERVAL)
    raise AssertionError(f"not within {timeout:.0f} s: {what}")


def get(url: str, *, tls: ssl.SSLContext | None = None, **headers: str) -> bytes | None:
    """The body of a 200; None while nobody listens. `tls`: whom to believe, and as whom to ask, at https."""
    asked = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=10, context=tls) as response:
            body: bytes = response.read()
            return body
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except OSError:
        return None


@contextmanager
def process(
    command: Sequence[str | Path], log: Path, variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The running command, its output in `log`; ended with SIGTERM, and killed if that is ignored."""
    environment = {**clean_environment(), **(variables or {})}
    with log.open("wb") as output:
        running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def answer_of(
    running: subprocess.Popen[bytes], log: Path, url: str, tls: ssl.SSLContext | None = None
) -> bytes:
    """The first 200 from the address; fails with the log when the process ends instead."""

    def look() -> bytes | None:
        if running.poll() is not None:
            raise AssertionError(f"{running.args!r} ended with {running.returncode}:\n{log.read_text()}")
        return get(url, tls=tls)

    return wait_until(f"an answer from {url}", look)


@contextmanager
def docker_registry(
    directory: Path,
    *,
    access_log: Path | None = None,
    tls: ssl.SSLContext | None = None,
    **sections: Mapping[str, object],
) -> Iterator[str]:
    """Debian's `docker-registry` (distribution 2.8) over what this directory holds; its URL.

    `access_log` gets a line for each request, as web servers write them. `sections` are added to those of its
    settings; where they have it speak TLS, `tls` is how to see that it does.
    """
    tool = find_tool("docker-registry")
    with _distribution(tool, directory, access_log, tls, sections) as url:
        yield url


@contextmanager
def distribution_registry(directory: Path) -> Iterator[str]:
    """The registry of distribution 3; its URL."""
    with _distribution(_build_go("distribution_registry", directory), directory, None, None, {}) as url:
        yield url


@contextmanager
def _distribution(
    tool: str | Path,
    directory: Path,
    access_log: Path | None,
    tls: ssl.SSLContext | None,
    sections: Mapping[str, Mapping[str, object]],
) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    file, log = directory / "docker-registry.yml", access_log or directory / "docker-registry.log"
    root = {"filesystem": {"rootdirectory": str(directory / "docker-registry")}, "delete": {"enabled": True}}
    settings: dict[str, Mapping[str, object]] = {
        "log": {"level": "error", "accesslog": {"disabled": access_log is None}},
        **sections,
        "storage": {**root, **sections.get("storage", {})},
        "http": {"addr": address, **sections.get("http", {})},
    }
    file.write_text(json.dumps({"version": 0.1, **settings}))  # every JSON is YAML
    url = f"{'http' if tls is None else 'https'}://{address}"
    with process([tool, "serve", file], log) as running:
        # Below `/v2/` a registry may want to know first who asks.
        answer_of(running, log, f"{url}/", tls)
        yield url


def collect_garbage(directory: Path) -> None:
    """Run the garbage collector of the `docker-registry` of this directory, which must not be running."""
    command = [find_tool("docker-registry"), "garbage-collect", directory / "docker-registry.yml"]
    run(command, environment=clean_environment())


def blobs_on_disk(directory: Path) -> dict[str, int]:
    """Digest and bytes of every blob that the `docker-registry` of this directory keeps."""
    blobs = directory / "docker-registry" / "docker" / "registry" / "v2" / "blobs"
    return {f"{path.parts[-4]}:{path.parts[-2]}": path.stat().st_size for path in blobs.glob("*/*/*/data")}


@contextmanager
def crane_registry(directory: Path) -> Iterator[str]:
    """`crane registry serve`: in memory, no referrers API, pages without a Link; its URL."""
    tool = find_tool("crane")
    log = directory / "crane.log"
    with _on_its_own_port([tool, "registry", "serve", "--address", "127.0.0.1:0"], log) as url:
        yield url


@contextmanager
def zuul_registry(directory: Path) -> Iterator[str]:
    """PyPI's `zuul-registry`: no catalog, no referrers, tokens for everything; its URL."""
    tool, port = find_tool("zuul-registry"), free_port()
    file, log, url = directory / "zuul.yaml", directory / "zuul.log", f"http://127.0.0.1:{port}"
    user, _, password = ZUUL_WRITER.partition(":")
    settings = {
        "address": "127.0.0.1",
        "port": port,
        "public-url": url,
        "secret": "1.3.0 wants it and uses another",
        "users": [{"name": user, "pass": password, "access": "write"}],
        "storage": {"driver": "filesystem", "root": str(directory / "zuul")},
    }
    file.write_text(json.dumps({"registry": settings}))  # every JSON is YAML
    with process([tool, "-c", file, "serve"], log) as running:
        # Below `/v2/` it wants a token.
        answer_of(running, log, f"{url}/auth/token?scope=repository:any:pull")
        yield url


@contextmanager
def gitea(directory: Path) -> Iterator[str]:
    """Gitea without an owner but its administrator; its URL."""
    tags = ("-tags", "sqlite,sqlite_unlock_notify")
    program = _build_go("gitea_registry", directory, *tags, package=_GITEA)
    source, port = Path(__file__).parent / "gitea_registry", free_port()
    pages = run(["go", "list", "-m", "-f", "{{.Dir}}", _GITEA], directory=source, environment=_go_offline())
    root, file, url = directory / "gitea", directory / "gitea.ini", f"http://127.0.0.1:{port}"
    root.mkdir()
    file.write_text(
        f"RUN_USER = {getpass.getuser()}\nI_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true\nWORK_PATH = {root}\n"
        f"[server]\nHTTP_ADDR = 127.0.0.1\nHTTP_PORT = {port}\nROOT_URL = {url}/\nDISABLE_SSH = true\n"
        f"OFFLINE_MODE = true\nSTATIC_ROOT_PATH = {pages.strip()}\n"
        f"[database]\nDB_TYPE = sqlite3\nPATH = {root / 'gitea.db'}\n"
        "[security]\nINSTALL_LOCK = true\nSECRET_KEY = of the tests\n"
        "[log]\nLEVEL = warn\n[cron]\nENABLED = false\n"
    )
    run([program, "--config", file, "migrate"])
    user, _, password = GITEA_ADMIN.partition(":")
    login = ("--username", user, "--password", password, "--email", "writer@example.com")
    run(
        [
            program,
            "--config",
            file,
            "admin",
            "user",
            "create",
            *login,
            "--admin",
            "--must-change-password=false",
        ]
    )
    with process([program, "--config", file, "web"], directory / "gitea.log") as running:
        answer_of(running, directory / "gitea.log", f"{url}/api/healthz")
        yield url


@contextmanager
def referrers_registry(directory: Path) -> Iterator[str]:
    """The registry of crane's library with the referrers API, which crane leaves out; its URL."""
    program = _build_go("referrers_registry", directory)
    with _on_its_own_port([program], directory / "referrers_registry.log") as url:
        yield url


def _build_go(name: str, directory: Path, *flags: str, package: str = ".") -> Path:
    """The program of the Go module beside this file, or of a package that it needs, built here."""
    go = find_tool("go")
    source, program = Path(__file__).parent / name, directory / name
    built = subprocess.run(
        [go, "build", *flags, "-o", program, package],
        cwd=source,
        env=_go_offline(),
        capture_output=True,
        text=True,
    )
    if built.returncode:
        give_up(f"{name} does not build; run `go build {package}` in {source}: {built.stderr}")
    return program


def _go_offline() -> dict[str, str]:
    """The environment of Go without its proxy: a test downloads nothing, what it needs is brought before."""
    return {**clean_environment(), "GOPROXY": "off", "GOTOOLCHAIN": "local"}


@contextmanager
def _on_its_own_port(command: Sequence[str | Path], log: Path) -> Iterator[str]:
    with process(command, log) as running:
        port = wait_until(
            f"the port of {command[0]}", lambda: re.search(r"serving on port (\d+)", log.read_text())
        )[1]
        answer_of(running, log, f"http://127.0.0.1:{port}/v2/")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def ocigraph(
    place: str | Path, store: Path, *options: str, **variables: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`ocigraph serve` over a registry, as its own process; the URL of the server and the process.

    `place` is the registry's URL, or a file of settings. `options` are further flags, `variables` settings
    from the environment, without the prefix.
    """
    port = free_port()
    command = [
        *_ocigraph("serve", place),
        *("--store", store, "--host", "127.0.0.1", "--port", str(port)),
        *options,
    ]
    log = store.with_suffix(f".{port}.log")
    settings = {f"OCIGRAPH_{name}": value for name, value in variables.items()}
    with process(command, log, settings) as running:
        answer_of(running, log, f"http://127.0.0.1:{port}/healthz")
        yield f"http://127.0.0.1:{port}", running


def run_ocigraph(command: str, place: str | Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """How the command ended that was run over a URL or a file of settings, and what it said."""
    asked = [*_ocigraph(command, place), *options]
    return subprocess.run(asked, capture_output=True, text=True, timeout=60, env=clean_environment())


def _ocigraph(command: str, place: str | Path) -> list[str | Path]:
    program = Path(sys.executable).parent / "ocigraph"
    return [program, command, *((place,) if isinstance(place, str) else ("--settings", place))]


def kill(running: subprocess.Popen[bytes]) -> None:
    """End the process as `kill -9` does: it can finish nothing."""
    running.send_signal(signal.SIGKILL)
    running.wait()

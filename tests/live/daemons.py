"""The daemons that pull for people: Docker's with its classic store, and containerd.

Each keeps everything in a directory of its own, touches no network and is told over a socket what to pull. A
daemon needs root, for it mounts what it unpacks; so a machine may be without, even one that must have
everything else, and the tests are skipped.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from live.rigs import process, run, wait_until

# Pulls an image by its address.
Pull: TypeAlias = Callable[[str], object]

CONTAINERD_SETTINGS = """\
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{socket}"
"""


@contextmanager
def dockerd(directory: Path) -> Iterator[Pull]:
    """Docker's daemon with its classic store of layers."""
    daemon, docker = _find("dockerd"), _find("docker")
    _find("containerd")  # which it starts itself
    socket = directory / "docker.sock"
    command = [
        *(daemon, "--host", f"unix://{socket}", "--pidfile", directory / "pid"),
        *("--data-root", directory / "data", "--exec-root", directory / "exec"),
        # It would set up a network for containers, of which there are none.
        *("--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false"),
        # One that keeps the classic store, and needs nothing of the kernel.
        *("--storage-driver", "vfs"),
    ]
    with process(command, directory / "dockerd.log") as running:
        _wait_for([docker, "--host", f"unix://{socket}", "version"], running, directory / "dockerd.log")
        yield lambda address: run([docker, "--host", f"unix://{socket}", "pull", "--quiet", address])


@contextmanager
def containerd(directory: Path) -> Iterator[Pull]:
    """containerd, told by its own client to fetch, then unpack."""
    daemon, ctr = _find("containerd"), _find("ctr")
    socket, settings = directory / "containerd.sock", directory / "containerd.toml"
    settings.write_text(CONTAINERD_SETTINGS.format(directory=directory, socket=socket))
    pull = [ctr, "--address", socket, "images", "pull", "--plain-http", "--snapshotter", "native"]
    with process([daemon, "--config", settings], directory / "containerd.log") as running:
        _wait_for([ctr, "--address", socket, "version"], running, directory / "containerd.log")
        yield lambda address: run([*pull, address])


def _find(name: str) -> str:
    if os.geteuid() != 0:
        pytest.skip("only root can run the daemons of container runtimes")
    return shutil.which(name) or pytest.skip(f"{name} is not installed: apt-get install docker.io")


def _wait_for(command: list[str | Path], running: "subprocess.Popen[bytes]", log: Path) -> None:
    def look() -> bool | None:
        if running.poll() is not None:
            pytest.skip(f"the daemon does not run here: {log.read_text()[-500:]}")
        return True if subprocess.run(command, capture_output=True).returncode == 0 else None

    wait_until(f"an answer to {command!r}", look)

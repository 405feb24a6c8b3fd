"""Ask a credential helper who we are: a program that keeps logins where nobody reads them by chance.

Source: docker/docker-credential-helpers, README, "Development": `docker-credential-<name> get` reads the
registry from its input and prints `{"ServerURL", "Username", "Secret"}`; when it knows none it prints
"credentials not found" and ends with 1.

Rules of this file: only `get` is ever asked, without a shell, of a program with an absolute path, with a
deadline and a bound on what it prints. Nothing it prints gets into an error.
"""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from graph.errors import RegistryDeniedError
from graph.registry.auth import Credentials

# Seconds a helper may take. Those of the clouds ask a service over the network.
HELPER_TIMEOUT = 30.0
# Bytes a helper may print: a token has a few thousand.
MAX_HELPER_BYTES = 64 * 1024

_NOT_FOUND = b"credentials not found"


def find_helper(name: str) -> Path | None:
    """The program of a helper, by the PATH of this process; None where there is none."""
    found = shutil.which(f"docker-credential-{name}")
    return None if found is None else Path(found).absolute()


async def ask_helper(
    name: str,
    server: str,
    *,
    find: Callable[[str], Path | None] = find_helper,
    timeout: float = HELPER_TIMEOUT,
) -> Credentials | None:
    """What the helper knows of the server; None when it knows nothing.

    Raises RegistryDeniedError when it cannot be asked or answers something else.
    """
    program = find(name)
    if program is None:
        raise RegistryDeniedError(f"the credential helper docker-credential-{name} is not installed")
    process = await asyncio.create_subprocess_exec(
        program,
        "get",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=MAX_HELPER_BYTES,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout):
            printed = await _converse(process, server)
            status = await process.wait()
    except TimeoutError:
        raise RegistryDeniedError(f"docker-credential-{name} gave no answer within {timeout:g} s") from None
    finally:
        await _stop(process)
    if status != 0:
        if _NOT_FOUND in printed:
            return None
        raise RegistryDeniedError(f"docker-credential-{name} ended with {status}")
    return _read(name, printed)


async def _converse(process: asyncio.subprocess.Process, server: str) -> bytes:
    assert process.stdin is not None and process.stdout is not None  # both are pipes
    process.stdin.write(f"{server}\n".encode())
    try:
        await process.stdin.drain()
        process.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it answered without reading what for
    printed = b""
    while chunk := await process.stdout.read(MAX_HELPER_BYTES):
        printed += chunk
        if len(printed) > MAX_HELPER_BYTES:
            await _stop(process)
            break
    return printed


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End it with whatever it has started, and let go of its output."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    assert process.stdout is not None
    while await process.stdout.read(MAX_HELPER_BYTES):
        pass


def _read(name: str, printed: bytes) -> Credentials | None:
    try:
        document: Any = json.loads(printed)
        username, secret = document["Username"], document["Secret"]
    except (ValueError, RecursionError, LookupError, TypeError):
        username = secret = None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise RegistryDeniedError(f"docker-credential-{name} printed no credentials")
    # A helper that keeps nothing for a server may say so with empty texts.
    return Credentials(username, secret) if username and secret else None

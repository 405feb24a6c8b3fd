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
    try:
        transport, asked = await asyncio.get_running_loop().subprocess_exec(
            _Conversation, program, "get", stderr=asyncio.subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        raise RegistryDeniedError(f"docker-credential-{name} cannot be started: {error.strerror}") from None
    try:
        async with asyncio.timeout(timeout):
            asked.say(f"{server}\n".encode())
            await asked.ended.wait()
    except TimeoutError:
        raise RegistryDeniedError(f"docker-credential-{name} gave no answer within {timeout:g} s") from None
    finally:
        # With whatever it has started, but for what has left its session: that may keep its output open.
        with suppress(ProcessLookupError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        await asked.exited.wait()
        transport.close()
    if len(asked.printed) > MAX_HELPER_BYTES:
        raise RegistryDeniedError(f"docker-credential-{name} prints more than {MAX_HELPER_BYTES} bytes")
    if status := transport.get_returncode():
        if _NOT_FOUND in asked.printed:
            return None
        raise RegistryDeniedError(f"docker-credential-{name} ended with {status}")
    return _read(name, bytes(asked.printed))


class _Conversation(asyncio.SubprocessProtocol):
    """Tells the helper what for, and takes what it prints."""

    def __init__(self) -> None:
        self.printed = bytearray()
        self.exited = asyncio.Event()
        self.ended = asyncio.Event()
        """It has exited and nothing more can come, or too much has."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._input = transport.get_pipe_transport(0)

    def say(self, text: bytes) -> None:
        """Write to its input; one that answers without reading what for is let be."""
        assert isinstance(self._input, asyncio.WriteTransport)
        self._input.write(text)
        self._input.close()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.printed += data
        if len(self.printed) > MAX_HELPER_BYTES:
            self.ended.set()

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set()


def _read(name: str, printed: bytes) -> Credentials | None:
    try:
        document: Any = json.loads(printed)
        username, secret = document["Username"], document["Secret"]
    except (ValueError, RecursionError, LookupError, TypeError):
        username = secret = None
    is_text = isinstance(username, str) and isinstance(secret, str)
    if not is_text or not (credentials := Credentials(username, secret)).is_sendable:
        raise RegistryDeniedError(f"docker-credential-{name} printed no credentials")
    # A helper that keeps nothing for a server may say so with empty texts.
    return credentials if username and secret else None

"""Credential helpers are real programs here: small shell scripts that speak their protocol."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from graph.errors import RegistryDeniedError
from graph.registry.auth import Credentials
from graph.registry.credential_helper import MAX_HELPER_BYTES, ask_helper

pytestmark = pytest.mark.anyio

Install = Callable[[str], Callable[[str], Path | None]]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Writes a helper; gives what finds it."""

    def write(script: str) -> Callable[[str], Path | None]:
        program = tmp_path / "docker-credential-test"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return lambda name: program if name == "test" else None

    return write


async def test_get(install: Install, tmp_path: Path) -> None:
    """The helper is asked to get, reads the server, and what it prints is who we are."""
    find = install(
        f'echo "$@" > {tmp_path}/asked; cat > {tmp_path}/server\n'
        """echo '{"ServerURL":"registry.example","Username":"alice","Secret":"s3cret"}'"""
    )

    assert Credentials("alice", "s3cret") == await ask_helper("test", "registry.example", find=find)
    assert "get\n" == (tmp_path / "asked").read_text()
    assert "registry.example\n" == (tmp_path / "server").read_text()


async def test_identity_token(install: Install) -> None:
    """The user `<token>` says that the secret is an identity token."""
    find = install("""echo '{"Username":"<token>","Secret":"refresh"}'""")

    credentials = await ask_helper("test", "registry.example", find=find)

    assert credentials is not None and credentials.is_identity_token


async def test_not_found(install: Install) -> None:
    """A helper that knows nobody makes us nobody, which is no error."""
    find = install('echo "credentials not found in native keychain"; exit 1')

    assert await ask_helper("test", "registry.example", find=find) is None


@pytest.mark.parametrize(
    "script",
    [
        "echo 'the vault is locked: s3cret'; exit 1",
        "echo 's3cret'",
        "echo '[]'",
        """echo '{"Username":"alice"}'""",
        """echo '{"Username":"alice","Secret":"s3cret\\\\ud800"}'""",
        """echo '{"Username":"<registry-token>","Secret":"s3cret\\\\r\\\\nX: y"}'""",
        f"head -c {MAX_HELPER_BYTES * 4} /dev/zero | tr '\\\\0' s3cret",
        "exit 0",
    ],
    ids=["fails", "no JSON", "no object", "no secret", "no text", "no header", "endless", "nothing"],
)
async def test_wrong_answers(script: str, install: Install) -> None:
    """A helper that fails or babbles is refused, and nothing it printed is repeated."""
    with pytest.raises(RegistryDeniedError) as refused:
        await ask_helper("test", "registry.example", find=install(script))

    assert "s3cret" not in str(refused.value)


async def test_a_helper_that_hangs_is_stopped(install: Install) -> None:
    """A helper that never answers is killed after its time."""
    with pytest.raises(RegistryDeniedError):
        await ask_helper("test", "registry.example", find=install("exec sleep 600"), timeout=0.05)


async def test_a_helper_that_leaves_something_running_is_left(install: Install) -> None:
    """What has left the helper's session and keeps its output open keeps nobody waiting."""
    script = """setsid sleep 600 & echo $! > pid; echo '{"Username":"alice","Secret":"s3cret"}'"""
    find = install('cd "${0%/*}"; ' + script)
    try:
        with pytest.raises(RegistryDeniedError, match="gave no answer within"):
            async with asyncio.timeout(30):
                await ask_helper("test", "registry.example", find=find, timeout=0.5)
    finally:
        program = find("test")
        assert program is not None
        os.kill(int((program.parent / "pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    "content", [b"echo hello\n", b"\x7fELF and no program"], ids=["no shebang", "garbage"]
)
async def test_a_program_that_cannot_be_started(content: bytes, tmp_path: Path) -> None:
    """What is called a helper and is no program is refused as any helper that does not answer."""
    program = tmp_path / "docker-credential-test"
    program.write_bytes(content)
    program.chmod(0o755)

    with pytest.raises(RegistryDeniedError, match="docker-credential-test cannot be started"):
        await ask_helper("test", "registry.example", find=lambda name: program)


async def test_missing_helper() -> None:
    """A helper that is not installed is named."""
    with pytest.raises(RegistryDeniedError, match="docker-credential-test is not installed"):
        await ask_helper("test", "registry.example", find=lambda name: None)

"""What every test has: asyncio for async tests, and an environment that holds none of our settings."""

import os

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, the only loop the package supports."""
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment() -> None:
    """No OCIGRAPH_* variable of the machine reaches a test."""
    for name in [name for name in os.environ if name.startswith("OCIGRAPH_")]:
        del os.environ[name]

"""What the tests of sync share: a rig over a sample registry."""

from collections.abc import AsyncIterator

import pytest

from fakes.sync_rig import Rig, open_rig


@pytest.fixture
async def rig(anyio_backend: str) -> AsyncIterator[Rig]:
    """An empty registry and an empty store."""
    async with open_rig() as rig:
        yield rig

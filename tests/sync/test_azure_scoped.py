"""A login of Azure's for some repositories: those are known completely, and the others are left alone."""

from collections.abc import AsyncIterator

import pytest

from fakes.azure_login import Account, GuardedAzureRegistry
from fakes.sync_rig import Clock, Rig, image, open_rig, push, repository_name
from fakes.vendors import TOOL, WEB, fill
from graph.errors import RegistryDeniedError
from graph.sync.refresh import Refresher

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Two repositories, of which `bob` may read the first, and neither another nor the catalog."""
    clock = Clock()
    registry = GuardedAzureRegistry(login_server="registry.example", clock=clock)
    registry.accounts = {"bob": Account("secret", frozenset({WEB}))}
    fill(registry)
    async with open_rig(registry, clock=clock, dialect="azure", username="bob", password="secret") as rig:
        yield rig


async def test_what_a_query_names_is_known_completely(rig: Rig) -> None:
    """A repository that was asked for once is crawled from then on, untagged manifests with it."""
    await Refresher([rig.upstream]).refresh_repository(rig.key, repository_name(WEB))
    report = await rig.crawl()

    assert report.failure is not None and RegistryDeniedError.code == report.failure.code
    assert not report.is_stopped
    assert {"v1", "latest", "v0"} == set(rig.tags(WEB))
    assert image("untagged").digest in rig.artifacts(WEB)
    assert "COMPLETE" == rig.repository(WEB)["completeness"]
    assert [WEB] == [row[0] for row in rig.dump()["repositories"]]

    push(rig.registry, WEB, image("new"), "v2")
    await rig.crawl()
    assert image("new").digest == rig.tags(WEB)["v2"]


async def test_what_is_not_allowed_is_told_apart_from_what_is_not_there(rig: Rig) -> None:
    """Another repository is denied, not absent, and nothing of it is written down."""
    with pytest.raises(RegistryDeniedError):
        await Refresher([rig.upstream]).refresh_repository(rig.key, repository_name(TOOL))
    assert {} == rig.tags(TOOL)

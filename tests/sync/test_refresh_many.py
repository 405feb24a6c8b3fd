"""Refreshes of several registries at once: none takes what another needs."""

import asyncio

import pytest

from fakes.sync_rig import URL, Rig, image, make_client, push
from graph.errors import RegistryUnreachableError
from graph.oci.reference import RepositoryName
from graph.sample import SampleRegistry
from graph.store.changes import ConfiguredRegistry
from graph.store.observations import set_registries
from graph.sync.refresh import Refresher
from graph.sync.upstream import Upstream

pytestmark = pytest.mark.anyio

OTHER = "https://other.example"


async def test_one_that_does_not_answer_takes_no_other_its_turn(rig: Rig) -> None:
    """Where all refreshes that one registry may have wait for it, another is refreshed all the same."""
    reached = asyncio.Event()

    async def stay_silent() -> None:
        reached.set()
        await asyncio.Event().wait()

    rig.registry.hooks = {1: stay_silent}
    registry = SampleRegistry()
    push(registry, "web", image("a"), "v1")
    async with make_client(registry, url=OTHER) as client:
        both = [
            ConfiguredRegistry(each.name, url, "oci") for each, url in ((rig.client, URL), (client, OTHER))
        ]
        keys = rig.read(set_registries, both, rig.clock())
        upstreams = [rig.upstream, Upstream(client, rig.store, keys[1], rig.clock)]
        refresher = Refresher(upstreams, max_refreshes=1)
        silent = asyncio.create_task(refresher.refresh_repository(keys[0], RepositoryName("web")))
        await reached.wait()
        with pytest.raises(RegistryUnreachableError, match="under way"):
            await refresher.refresh_catalog(keys[0])
        await refresher.refresh_repository(keys[1], RepositoryName("web"))
        await refresher.aclose()
        with pytest.raises(RegistryUnreachableError, match="ended"):
            await silent
    assert {"v1"} == set(rig.tags("web"))

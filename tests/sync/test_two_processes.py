"""Two processes that look at one repository at a time, each with an Upstream of its own, on one store."""

from datetime import timedelta

import pytest

from fakes.sync_rig import START, Rig, image, make_client, push, repository_name
from graph.sync.repository import refresh_repository
from graph.sync.upstream import Upstream

pytestmark = pytest.mark.anyio


async def overtake(rig: Rig, change: str) -> None:
    """Change a tag after one process has read of it, and let another see that and write it first."""
    name = repository_name("shop/web")
    other = make_client(rig.registry)
    rig.clients.append(other)

    async def look() -> None:
        if change == "pushed again":
            push(rig.registry, name, image("a"), "moving")
        elif change == "moved":
            push(rig.registry, name, image("b"), "moving")
        else:
            rig.registry.delete_tag(name, "moving")
        await refresh_repository(Upstream(other, rig.store, rig.key, rig.clock), name)

    # After the list of tags, one of the HEADs or none: the last tag by name is asked for last.
    rig.registry.hooks = {rig.registry.request_count + (2 if change == "pushed again" else 3): look}
    await refresh_repository(rig.upstream, name)


@pytest.mark.parametrize("change", ["pushed again", "moved", "deleted"])
async def test_what_was_read_earlier_overwrites_nothing(rig: Rig, change: str) -> None:
    """Whoever writes last, the look that began later is believed."""
    rig.registry.supports_referrers = False
    push(rig.registry, "shop/web", image("a"), "moving", "stays")
    await rig.crawl()
    if change == "pushed again":
        rig.registry.delete_tag("shop/web", "moving")
    await overtake(rig, change)
    expected = {"stays": image("a").digest}
    if change != "deleted":
        expected["moving"] = image("b" if change == "moved" else "a").digest
    assert expected == rig.tags("shop/web")
    assert [] == rig.recount()


async def test_a_clock_that_was_wrong(rig: Rig) -> None:
    """What was written by a clock far ahead is overwritten by the next look."""
    rig.clock.advance(86_400)
    push(rig.registry, "shop/web", image("a"), "v1")
    await rig.crawl()
    rig.clock.now = START + timedelta(hours=1)
    push(rig.registry, "shop/web", image("b"), "v1")
    await refresh_repository(rig.upstream, repository_name("shop/web"))
    assert {"v1": image("b").digest} == rig.tags("shop/web")

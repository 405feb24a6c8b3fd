"""A crawl that is killed again and again, however soon, comes to its end: what a kill loses is bounded."""

import asyncio

import pytest

from builders import make_index
from fakes.sync_rig import Rig, image, manifests_fetched, open_rig, push
from graph.sample import Request, SampleRegistry
from graph.sync.pace import FEWEST, MAX_BATCH, MAX_UNSAVED, SAVE_AFTER, SHARE_UNSAVED, Pace

pytestmark = pytest.mark.anyio

TAGS = 200
UNTAGGED = 60


# What a kill may cost: ping, catalog and a list of tags for two repositories, since one may be finished; and
# what was asked for since the last write, a HEAD or GET and a config for each.
def lost(requests: int) -> int:
    return 4 + 2 * max(FEWEST, requests // (SHARE_UNSAVED + 1))


def name_of(number: int) -> str:
    return f"team/app{number:02}"


def fill(registry: SampleRegistry, repositories: int) -> None:
    """Many tags of few images, and an index."""
    for number in range(repositories):
        for tag in range(TAGS):
            push(registry, name_of(number), image(f"{tag % 5}"), f"v{tag}")
        push(registry, name_of(number), make_index([image("0"), image("1", architecture="arm64")]), "index")


class Life:
    """The starts of one program, each killed at the same request, until a crawl ends."""

    def __init__(self, rig: Rig, requests: int) -> None:
        self.kills = 0
        self.requests = 0
        self._rig = rig
        self._each = requests

    async def live(self, budget: int) -> None:
        # Each start does more than it loses.
        for _ in range(budget // (self._each - lost(self._each)) + 2):
            if await self._crawl():
                return
            self.kills += 1
        raise AssertionError("it never came to its end")

    async def _crawl(self) -> bool:
        rig = self._rig
        rig.restart()
        rig.clock.advance(1)
        stored = {row[0] for row in rig.dump()["manifests"]}
        begin = rig.registry.request_count
        crawl = asyncio.create_task(rig.crawler.crawl())

        async def die() -> None:
            crawl.cancel()
            await asyncio.Event().wait()

        # None is answered from then on.
        rig.registry.hooks = dict.fromkeys(range(begin + self._each, begin + 2 * self._each), die)
        try:
            await crawl
        except asyncio.CancelledError:
            self.requests += self._each
            return False
        else:
            self.requests += rig.registry.request_count - begin
            return True
        finally:
            rig.registry.hooks = {}
            fetched = manifests_fetched(rig.registry.requests[begin:])
            assert stored.isdisjoint(reference for _, reference in fetched)


@pytest.mark.parametrize(("requests", "repositories"), [(40, 4), (100, 6)])
async def test_killed_again_and_again(requests: int, repositories: int) -> None:
    """A first crawl killed at every so many requests: its end is as ever, and each kill costs a few."""
    registry = SampleRegistry(supports_referrers=False, page_size=1000)
    fill(registry, repositories)
    async with open_rig(registry) as whole, open_rig(registry) as rig:
        await whole.crawl()
        budget = registry.request_count
        life = Life(rig, requests)
        await life.live(budget)
        assert life.kills >= budget // requests
        # The first process has nobody before it that was killed: all that it did may be lost.
        assert life.requests <= budget + requests + lost(requests) * life.kills
        assert whole.dump() == rig.dump()
        assert [] == rig.recount()


async def test_a_later_crawl_too() -> None:
    """HEADs that told nothing new are kept too, of tags and of what is untagged."""
    registry = SampleRegistry(supports_referrers=False, page_size=1000)
    fill(registry, 2)
    for number in range(UNTAGGED):
        push(registry, name_of(0), image(f"old {number}"), f"old{number}")
    async with open_rig(registry) as rig:
        await rig.crawl()
        for number in range(UNTAGGED):
            registry.delete_tag(name_of(0), f"old{number}")
        await rig.crawl()
        spent, _ = await rig.spend()
        assert {"PING": 1, "CATALOG": 1, "TAGS": 2, "MANIFEST_HEAD": 2 * (TAGS + 1) + UNTAGGED} == spent
        expected, budget = rig.dump(), sum(spent.values())
        rig.clock.advance(3600)
        life = Life(rig, 40)
        await life.live(budget)
        assert life.requests <= budget + 40 + lost(40) * life.kills
        assert expected == rig.dump()
        spent, _ = await rig.spend()
        assert budget == sum(spent.values())


async def test_a_slow_registry(rig: Rig) -> None:
    """Where a request takes half a second, what is older than SAVE_AFTER is written, killed before or not."""
    fill(rig.registry, 1)
    rig.registry.page_size = 1000

    def pass_time(request: Request) -> None:
        rig.clock.advance(0.5)

    rig.registry.faults = pass_time
    crawl = asyncio.create_task(rig.crawler.crawl())
    requests = 150
    rig.registry.hooks = {requests: crawl.cancel}
    await asyncio.wait({crawl})
    # Ping, catalog, list and configs of the five images; and what was asked in the last seconds.
    assert len(rig.tags(name_of(0))) >= requests - 3 - 5 - SAVE_AFTER / 0.5
    assert [] == rig.recount()


def test_batches_where_nobody_was_killed() -> None:
    """What all looks may lose together is bounded, and never more than a batch for each."""
    pace = Pace()
    assert [MAX_BATCH, MAX_UNSAVED // 32] == [pace.batch(1), pace.batch(32)]
    assert FEWEST == pace.batch(MAX_UNSAVED)
    assert 32 == pace.looks(32)


def test_batches_of_a_slow_registry() -> None:
    """What comes slowly is written after SAVE_AFTER seconds, and the pace is found again afterwards."""
    pace = Pace()
    pace.note(50, 25.0)
    assert SAVE_AFTER / 0.5 == pace.batch(1)
    pace.note(10, 600.0)
    assert FEWEST == pace.batch(1)
    pace.note(8, 0.08)
    assert MAX_BATCH == pace.batch(1)


def test_batches_after_a_kill() -> None:
    """A process loses a fourth of what it has saved at most: batches and looks grow with that."""
    pace = Pace()
    pace.begin(is_careful=True)
    batches = []
    for _ in range(8):
        batches.append(pace.batch(1))
        pace.note(batches[-1], 0.0)
    assert [8, 8, 8, 8, 8, 10, 12, 15] == batches
    assert (3, 19, 9) == (pace.looks(32), pace.batch(1), pace.batch(2))
    pace.begin(is_careful=False)
    assert (32, MAX_BATCH) == (pace.looks(32), pace.batch(1))

"""Every vendor's registry is crawled in its own dialect, for no more requests than docs/requests.md tells."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from fakes.docker_hub import DockerHub
from fakes.github import GithubRegistry
from fakes.sync_rig import image, open_rig, push
from fakes.vendors import DOUBLES, TOOL, WEB, fill
from graph.sample.answers import Answer, Request

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Budget:
    """What a crawl of `fill` may cost by kind of request.

    Where untagged manifests are listed, the seven of `fill` are got and their five configs; else those six
    that tags, indexes and referrers lead to.
    """

    first: Mapping[str, int]
    later: Mapping[str, int]
    is_complete: bool = True


def lists(*, once: Mapping[str, int] = {}, **costs: int) -> tuple[dict[str, int], dict[str, int]]:
    """What a first crawl costs and what a later one, where lists tell everything."""
    return {"MANIFEST_GET": 7, "CONFIG": 5, **once, **costs}, costs


BUDGETS = {
    "azure": Budget(*lists(CATALOG=1, TAGS=2, MANIFESTS=2)),
    # Nothing untagged is listed: what no tag leads to is found by indexes and referrers, six manifests.
    "docker-hub": Budget(
        {"CATALOG": 1, "TAGS": 2, "MANIFEST_GET": 6, "CONFIG": 4, "REFERRERS": 6},
        {"CATALOG": 1, "TAGS": 2},
        is_complete=False,
    ),
    # The ping is answered once the API has given a password.
    "ecr": Budget(*lists(once={"TOKEN": 1, "PING": 2}, CATALOG=1, TAGS=2)),
    "ecr-public": Budget(*lists(CATALOG=1, TAGS=2)),
    # What kind of owner it is, and what it has; then one page for each of the two.
    "github": Budget(*lists(once={"VENDOR": 1}, CATALOG=1, TAGS=2)),
    # acme and both below it; then one answer for each of the two.
    "google": Budget(*lists(CATALOG=3, TAGS=2)),
}


@pytest.mark.parametrize("name", BUDGETS)
async def test_crawls(name: str) -> None:
    """A first crawl costs the lists, and one GET for each manifest and config; a later one the lists."""
    budget, double = BUDGETS[name], DOUBLES[name]
    registry = double.make()
    fill(registry)
    async with open_rig(registry, dialect=name, **double.settings) as rig:
        first, report = await rig.spend()
        before = rig.dump()
        later, _ = await rig.spend()

        completeness = rig.repository(WEB)["completeness"]
        assert {} == report.trouble_counts
        assert {"v1", "latest", "v0"} == set(rig.tags(WEB))
        assert {"v1"} == set(rig.tags(TOOL))
        assert before == rig.dump()
        assert [] == rig.recount()

    assert {"PING": 1, **budget.first} == first
    assert {"PING": 1, **budget.later} == later
    assert ("COMPLETE" == completeness) is budget.is_complete


@pytest.mark.parametrize("name", [name for name, budget in BUDGETS.items() if budget.is_complete])
async def test_what_is_listed_no_more(name: str) -> None:
    """A manifest that a whole list lacks is absent, and a tag that moved leaves what it named dangling."""
    double = DOUBLES[name]
    registry = double.make()
    fill(registry)
    async with open_rig(registry, dialect=name, **double.settings) as rig:
        await rig.crawl()
        registry.delete_manifest(WEB, image("untagged").digest)
        push(registry, WEB, image("new"), "v0")
        await rig.crawl()

        assert [image("untagged").digest] == list(rig.artifacts(WEB, present=False))
        assert "DANGLING" == rig.artifacts(WEB)[image("old").digest]
        assert [] == rig.recount()


async def test_pulls_of_docker_hub() -> None:
    """A manifest under many tags that come without digests is one pull, in the first crawl already."""
    registry = DockerHub(pulls=2)
    tags = [f"v{number}" for number in range(5)]
    push(registry, WEB, image("one"), *tags)
    push(registry, WEB, image("two"), "other")
    registry.untold = {*tags, "other"}
    async with open_rig(registry, dialect="docker-hub", **DOUBLES["docker-hub"].settings) as rig:
        cost, report = await rig.spend()
        assert {} == report.trouble_counts
        assert {*tags, "other"} == set(rig.tags(WEB))
    assert (6, 2) == (cost["MANIFEST_HEAD"], cost["MANIFEST_GET"])
    assert 0 == registry.pulls


class Shrinking(GithubRegistry):
    """Loses the newest manifest, `doomed`, once the first page of the list was told."""

    doomed: str | None = None

    def answer(self, request: Request) -> Answer:
        answer = super().answer(request)
        if self.doomed is not None and request.path.endswith("/versions"):
            self.delete_manifest(WEB, self.doomed)
            self.doomed = None
        return answer


async def test_a_list_by_pages_that_shrinks() -> None:
    """What moved to a page that was told is absent until the next crawl, which gets nothing again."""
    registry, double = Shrinking(), DOUBLES["github"]
    for number in range(102):
        push(registry, WEB, image("same", os=f"os{number}"))
    held = list(registry.repositories[WEB].manifests)
    async with open_rig(registry, dialect="github", **double.settings) as rig:
        await rig.crawl()
        registry.doomed = held[-1]
        await rig.crawl()
        assert {held[1]} == set(rig.artifacts(WEB, present=False))
        cost, _ = await rig.spend()
        assert {held[-1]} == set(rig.artifacts(WEB, present=False))
        assert [] == rig.recount()
    assert not {"MANIFEST_GET", "CONFIG"} & cost.keys()

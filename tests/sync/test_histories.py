"""Whatever happens to a registry between crawls, each crawl leaves the store as the registry is.

Rules of this file: a history is drawn by its seed. A day passes between two crawls, so that each reads the
lists of referrers again.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from random import Random

import pytest

from builders import Built, make_artifact, make_index
from fakes.sync_rig import Rig, image, open_rig, push
from fakes.vendors import DOUBLES, TOOL, WEB
from graph.registry.capability import Capability, CapabilityState
from graph.sample import SampleRegistry
from graph.sample.holdings import StoredRepository

pytestmark = pytest.mark.anyio

DAY = 86_400
STEPS = 8
TAGS = ("v1", "v2", "latest", "edge")
NAMES = (WEB, TOOL)


class History:
    """What happens to a registry, at random."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.pool: list[Built] = [image(f"{seed}-{number}") for number in range(6)]

    def go_on(self, registry: SampleRegistry) -> None:
        """Push, tag, untag and delete something."""
        for _ in range(self.rng.randint(1, 4)):
            name = self.rng.choice(NAMES)
            held = registry.repositories.get(name)
            match self.rng.choice(("push", "push", "index", "refer", "untag", "delete", "delete", "move")):
                case "push":
                    push(registry, name, self.rng.choice(self.pool), *self._some_tags())
                case "index":
                    self.pool.append(make_index(self.rng.sample(self.pool, self.rng.randint(1, 3))))
                    push(registry, name, self.pool[-1], *self._some_tags())
                case "refer":
                    kind = f"application/vnd.example.{len(self.pool)}"
                    self.pool.append(make_artifact(kind, subject=self.rng.choice(self.pool)))
                    push(registry, name, self.pool[-1])
                case "untag" if held and held.tags:
                    registry.delete_tag(name, self.rng.choice(list(held.tags)))
                case "delete" if held and held.manifests:
                    registry.delete_manifest(name, self.rng.choice(list(held.manifests)))
                case "move" if held and held.manifests:
                    registry.set_tag(name, self.rng.choice(TAGS), self.rng.choice(list(held.manifests)))

    def descend(self, digests: set[str]) -> set[str]:
        """These, and what those among them list that are indexes."""
        listed = {built.digest: [child.digest for child in built.manifests] for built in self.pool}
        waiting, found = list(digests), set(digests)
        while waiting:
            fresh = [child for child in listed.get(waiting.pop(), ()) if child not in found]
            found.update(fresh)
            waiting += fresh
        return found

    def _some_tags(self) -> Sequence[str]:
        return self.rng.sample(TAGS, self.rng.randint(0, 2))


def document_of(held: StoredRepository, digest: str) -> Mapping[str, object]:
    document: Mapping[str, object] = json.loads(held.manifests[digest].data)
    return document


def children(held: StoredRepository, digest: str) -> Iterator[str]:
    listed = document_of(held, digest).get("manifests", [])
    assert isinstance(listed, list)
    return (child["digest"] for child in listed)


def reachable(held: StoredRepository, *, lists_referrers: bool) -> set[str]:
    """What tags lead to, and what refers to that where the registry tells."""
    waiting = [digest for digest in held.tags.values() if digest in held.manifests]
    reached = set(waiting)
    while waiting:
        digest = waiting.pop()
        below = list(children(held, digest))
        if lists_referrers:
            below += [each for each, manifest in held.manifests.items() if manifest.subject == digest]
        fresh = {each for each in below if each in held.manifests and each not in reached}
        reached |= fresh
        waiting += fresh
    return reached


def check(rig: Rig, history: History, name: str, gone: set[str]) -> None:
    """Hold what is stored of a repository against what the registry holds; `gone` was absent before."""
    held = rig.registry.repositories.get(name, StoredRepository())
    present, absent = set(rig.artifacts(name)), set(rig.artifacts(name, present=False))
    capabilities = rig.client.capabilities
    lists_all = capabilities[Capability.UNTAGGED_LISTING] is CapabilityState.SUPPORTED
    lists_referrers = capabilities[Capability.REFERRERS] is CapabilityState.SUPPORTED
    reached = set(held.manifests) if lists_all else reachable(held, lists_referrers=lists_referrers)

    assert {tag: digest for tag, digest in held.tags.items() if digest in held.manifests} == rig.tags(name)
    assert reached <= present
    # What was known and is there is not forgotten, though nothing leads to it any more.
    assert not (absent & set(held.manifests)) - reached - gone
    # A child is believed to be there with its index, and its own children with it.
    assert present <= history.descend(set(held.manifests))
    assert [] == rig.recount()
    gone |= absent


async def crawl_through(rig: Rig, history: History) -> None:
    gone: dict[str, set[str]] = defaultdict(set)
    for name in NAMES:  # some vendors know no owner who has nothing
        push(rig.registry, name, history.pool[0], "v1")
    for _ in range(STEPS):
        history.go_on(rig.registry)
        rig.clock.advance(DAY)
        report = await rig.crawl()
        assert ({}, None) == (report.trouble_counts, report.failure)
        for name in NAMES:
            check(rig, history, name, gone[name])


@pytest.mark.parametrize("supports_referrers", [True, False])
@pytest.mark.parametrize("seed", range(20))
async def test_plain(rig: Rig, seed: int, supports_referrers: bool) -> None:
    """A registry that speaks the plain API, with its referrers and without."""
    rig.registry.supports_referrers = supports_referrers
    await crawl_through(rig, History(seed))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", DOUBLES)
async def test_vendors(name: str, seed: int) -> None:
    """Any vendor's: by the plain API, by lists, or by both."""
    double = DOUBLES[name]
    async with open_rig(double.make(), dialect=double.dialect or name, **double.settings) as rig:
        await crawl_through(rig, History(seed))

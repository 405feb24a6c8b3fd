"""Any sequence of pushes, moves, deletions and crawls, cut off anywhere, leaves every figure right."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from answers_checked import check_ranking, check_storage, check_untagged
from asked import ask_rig
from builders import Built
from fakes.sync_rig import open_rig, push
from graph.sample import SampleRegistry
from registries import NAMES, TAGS, Drawn, registries

CHECKS = (check_ranking, check_storage, check_untagged)

# Requests, and steps of the event loop, after which a crawl may be cut off. A crawl of what is drawn makes up
# to about sixty requests, and a few steps for each.
REQUESTS = st.integers(1, 60)
STEPS = st.integers(1, 400)


class Crawls(RuleBasedStateMachine):
    """A registry that people use, and crawls of it that may be cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.is_open = False
        self.is_changed = False  # the store, since it was last compared

    @initialize(
        drawn=registries(whole=True, denials=False),
        supports_referrers=st.booleans(),
        page_size=st.sampled_from([2, 100]),
    )
    def open(self, drawn: Drawn, supports_referrers: bool, page_size: int) -> None:
        self.made = drawn.contents
        self.registry = SampleRegistry(supports_referrers=supports_referrers, page_size=page_size)
        for name, place in drawn.places.items():
            for built in place.present:
                self._push(name, built)
            for tag, built in {**place.before, **place.tags}.items():
                self._push(name, built, tag)
        self.rig = self.runner.run(self.stack.enter_async_context(open_rig(self.registry)))
        self.is_open = True

    def teardown(self) -> None:
        if self.is_open:
            self.runner.run(self.stack.aclose())
        self.runner.close()

    @rule(
        data=st.data(),
        name=st.sampled_from(NAMES),
        tags=st.sets(st.sampled_from(TAGS), min_size=1, max_size=2),
    )
    def push(self, data: st.DataObject, name: str, tags: set[str]) -> None:
        """Something is pushed with all that it needs; its tags move."""
        built = data.draw(st.sampled_from(self.made))
        self._push(name, built, *tags, *([built.tag] if built.tag else []))

    def _push(self, name: str, built: Built, *tags: str) -> None:
        by_digest = {each.digest: each for each in self.made}
        for child in built.document.get("manifests", ()):
            if child["digest"] in by_digest:
                self._push(name, by_digest[child["digest"]])
        push(self.registry, name, built, *tags)

    @rule(data=st.data())
    def delete_tag(self, data: st.DataObject) -> None:
        """A tag is taken away, and what it named stays."""
        tags = [(name, tag) for name, held in self.registry.repositories.items() for tag in held.tags]
        if tags:
            self.registry.delete_tag(*data.draw(st.sampled_from(tags)))

    @rule(data=st.data())
    def delete_manifest(self, data: st.DataObject) -> None:
        """A manifest is deleted, with its tags, though an index may list it."""
        held = [
            (name, digest) for name, has in self.registry.repositories.items() for digest in has.manifests
        ]
        if held:
            self.registry.delete_manifest(*data.draw(st.sampled_from(held)))

    @rule(data=st.data())
    def delete_repository(self, data: st.DataObject) -> None:
        """A repository is gone."""
        if self.registry.repositories:
            self.registry.delete_repository(data.draw(st.sampled_from(sorted(self.registry.repositories))))

    @rule()
    def crawl(self) -> None:
        """A crawl runs to its end: every tag is what the registry says."""
        self.is_changed = True
        self.runner.run(self.rig.crawl())
        tags = {
            (name, tag): digest
            for name, held in self.registry.repositories.items()
            for tag, digest in held.tags.items()
        }
        stored = {(name, tag): digest for name, tag, digest, _, here in self.rig.dump()["tags"] if here}
        assert tags == stored

    @rule(request=REQUESTS, is_new_process=st.booleans())
    def crawl_cut_off_at_request(self, request: int, is_new_process: bool) -> None:
        """A crawl is cancelled when it makes a request."""
        reached = asyncio.Event()
        self.registry.hooks = {self.registry.request_count + request: reached.set}
        self.runner.run(self._cut_off(reached.wait))
        self.registry.hooks = {}
        if is_new_process:
            self.rig.restart()

    @rule(steps=STEPS, is_new_process=st.booleans())
    def crawl_cut_off_at_step(self, steps: int, is_new_process: bool) -> None:
        """A crawl is cancelled wherever it waits just then."""

        async def step() -> None:
            for _ in range(steps):
                await asyncio.sleep(0)

        self.runner.run(self._cut_off(step))
        if is_new_process:
            self.rig.restart()

    async def _cut_off(self, wait: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self.is_changed = True
        crawl = asyncio.ensure_future(self.rig.crawl())
        waiting = asyncio.ensure_future(wait())
        await asyncio.wait([crawl, waiting], return_when=asyncio.FIRST_COMPLETED)
        crawl.cancel()
        waiting.cancel()
        await asyncio.wait([crawl, waiting])
        if not crawl.cancelled():
            crawl.result()

    @invariant()
    def is_right(self) -> None:
        """A recount finds nothing to correct, and the graph answers what follows from what was seen."""
        if self.is_open and self.is_changed:
            assert [] == self.rig.recount()
            graph, asked = ask_rig(self.rig, self.made)
            for check in CHECKS:
                self.runner.run(check(graph, asked))
            self.is_changed = False


def test_crawls() -> None:
    """Counters equal a recount, and answers the oracle's, whatever happens to crawls and the registry."""
    run_state_machine_as_test(
        Crawls,
        settings=settings(
            max_examples=18,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )

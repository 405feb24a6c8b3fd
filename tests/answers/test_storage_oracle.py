"""Storage: every figure of every registry, repository, namespace, artifact and set is the oracle's."""

from hypothesis import given
from hypothesis import strategies as st

from answers_checked import check_set, check_storage
from asked import QUICK, ask_store, asked_of
from registries import Drawn, registries
from requests_to_graph import Graph

PATTERNS = ("web", "team/*", "*web", "*e*", "*", "none*")


@QUICK
@given(drawn=registries())
def test_storage(drawn: Drawn) -> None:
    """What each parent weighs, in both scopes, whatever the store was told."""
    asked = asked_of([drawn])

    async def check(graph: Graph) -> None:
        await check_storage(graph, asked)

    ask_store([drawn], check)


@QUICK
@given(drawn=st.lists(registries(most=6), min_size=1, max_size=2), data=st.data())
def test_storage_of_a_set(drawn: list[Drawn], data: st.DataObject) -> None:
    """Any set of artifacts and repositories, over two registries: these share nothing, and their sums add."""
    asked = asked_of(drawn)
    artifacts = st.sets(st.sampled_from(asked.artifacts), max_size=4) if asked.artifacts else st.just(set())
    named = data.draw(artifacts)
    patterns = data.draw(
        st.dictionaries(st.sampled_from(list(asked.oracles)), st.sampled_from(PATTERNS), max_size=2)
    )
    patterns = {
        registry: pattern
        for registry, pattern in patterns.items()
        if pattern != "web" or "web" in asked.oracles[registry].repositories
    }

    async def check(graph: Graph) -> None:
        await check_set(graph, asked, sorted(named), patterns)

    ask_store(drawn, check)

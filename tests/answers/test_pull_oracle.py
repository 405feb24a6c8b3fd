"""Pull and rollout: what is fetched, and what need not be, are the oracle's, documents and layers both."""

from hypothesis import assume, given
from hypothesis import strategies as st

from asked import QUICK, ask_store, asked_of
from plans_checked import check_pulls
from questions import rollouts_of
from registries import Drawn, registries
from requests_to_graph import Graph


@QUICK
@given(drawn=registries(), data=st.data())
def test_pull(drawn: Drawn, data: st.DataObject) -> None:
    """A rollout to a node that holds anything, whatever the store was told."""
    asked = asked_of([drawn])
    (registry, oracle), *_ = asked.oracles.items()
    assume(oracle.everything)
    artifacts, platform, node, reuse = data.draw(rollouts_of(oracle))

    async def check(graph: Graph) -> None:
        await check_pulls(graph, asked, registry, artifacts, platform, node, reuse)

    ask_store([drawn], check)

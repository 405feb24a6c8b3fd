"""Pull and rollout: what is fetched, and what need not be, are the oracle's, documents and layers both."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from asked import QUICK, ask_store, asked_of
from builders import make_image
from plans_checked import check_pulls
from pull_oracle import Node
from questions import rollouts_of
from registries import LAYERS, TWINS, Drawn, Place, registries
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


@pytest.mark.parametrize("reuse", ["BLOB", "CHAIN"])
def test_one_layer_under_two_digests(reuse: str) -> None:
    """The same files compressed twice are another digest, which no node that pulled the first knows."""
    one, two = make_image([*TWINS[:1], *LAYERS[:1]]), make_image([*TWINS[1:], *LAYERS[:1]])
    drawn = Drawn((one, two), frozenset(), {"web": Place({}, {}, (one, two), ())})
    asked = asked_of([drawn])
    (registry,) = asked.oracles
    both = [("web", one.digest), ("web", two.digest)]

    async def check(graph: Graph) -> None:
        for node in (Node(), Node(both[:1]), Node(layers=[TWINS[0].digest]), Node(diff_ids=stack)):
            await check_pulls(graph, asked, registry, both, "linux/amd64", node, reuse)
            await check_pulls(graph, asked, registry, both[::-1], "linux/amd64", node, reuse)

    stack = asked.oracles[registry].stack(one.digest)
    ask_store([drawn], check)

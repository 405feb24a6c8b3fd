"""Layers in the order of what their sharing saves: the graph and the oracle agree."""

from hypothesis import given

from answers_checked import check_ranking
from asked import QUICK, ask_store, asked_of
from registries import Drawn, registries
from requests_to_graph import Graph


@QUICK
@given(drawn=registries())
def test_ranking(drawn: Drawn) -> None:
    """Of a registry and of each repository, whatever the store was told."""
    asked = asked_of([drawn])

    async def check(graph: Graph) -> None:
        await check_ranking(graph, asked)

    ask_store([drawn], check)

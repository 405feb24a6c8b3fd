"""Overlap: the matrix, and what is related to what, are the oracle's, layer by layer."""

from hypothesis import given
from hypothesis import strategies as st

from answers_checked import check_overlap, check_related
from asked import QUICK, ask_store, asked_of
from registries import Drawn, registries
from requests_to_graph import Graph


@QUICK
@given(drawn=st.lists(registries(most=6), min_size=1, max_size=2))
def test_overlap(drawn: list[Drawn]) -> None:
    """Every repository with every other, and every artifact; nothing is shared between registries."""
    asked = asked_of(drawn)

    async def check(graph: Graph) -> None:
        await check_overlap(graph, asked)

    ask_store(drawn, check)


@QUICK
@given(drawn=registries())
def test_related(drawn: Drawn) -> None:
    """Whatever shares a layer comes once, the most bytes first, with the layers that are shared."""
    asked = asked_of([drawn])

    async def check(graph: Graph) -> None:
        await check_related(graph, asked)

    ask_store([drawn], check)

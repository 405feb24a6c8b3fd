"""Untagged, counted: the artifacts and bytes of each reason are right, and those of each dangling one."""

from hypothesis import given

from answers_checked import check_untagged
from asked import QUICK, ask_store, asked_of
from registries import Drawn, registries
from requests_to_graph import Graph


@QUICK
@given(drawn=registries())
def test_untagged(drawn: Drawn) -> None:
    """Of each registry, repository and namespace, whatever the store was told."""
    asked = asked_of([drawn])

    async def check(graph: Graph) -> None:
        await check_untagged(graph, asked)

    ask_store([drawn], check)

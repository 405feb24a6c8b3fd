"""Deletion: who goes, why, in which order, and every byte that it frees, are the oracle's."""

from hypothesis import given
from hypothesis import strategies as st

from asked import QUICK, ask_store, asked_of
from plans_checked import check_deletion
from questions import sets_of
from registries import Drawn, registries
from requests_to_graph import Graph


@QUICK
@given(drawn=st.lists(registries(most=7), min_size=1, max_size=2), data=st.data())
def test_deletion(drawn: list[Drawn], data: st.DataObject) -> None:
    """The plan of any set, over two registries, whatever the store was told."""
    asked = asked_of(drawn)
    artifacts, tags, repositories = data.draw(sets_of(asked))

    async def check(graph: Graph) -> None:
        await check_deletion(graph, asked, sorted(artifacts), sorted(tags), sorted(repositories))

    ask_store(drawn, check)

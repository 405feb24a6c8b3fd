"""Every answer about what two crawls saw, and what a tag that moved between them left behind, is right."""

from hypothesis import given
from hypothesis import strategies as st

from answers_checked import Asked, check_overlap, check_ranking, check_related, check_storage, check_untagged
from asked import QUICK, ask_crawl
from plans_checked import check_deletion, check_pulls
from questions import rollouts_of, sets_of
from registries import Drawn, registries
from requests_to_graph import Graph


@QUICK
@given(drawn=registries(whole=True, denials=False), data=st.data())
def test_answers_of_a_crawl(drawn: Drawn, data: st.DataObject) -> None:
    """Storage, untagged, ranking, overlap, what is related, a deletion and a rollout."""

    async def check(graph: Graph, asked: Asked) -> None:
        for answer in (check_storage, check_untagged, check_ranking, check_overlap, check_related):
            await answer(graph, asked)
        artifacts, tags, repositories = data.draw(sets_of(asked))
        await check_deletion(graph, asked, sorted(artifacts), sorted(tags), sorted(repositories))
        for registry, oracle in asked.oracles.items():
            if oracle.everything:
                pulled, platform, node, reuse = data.draw(rollouts_of(oracle))
                await check_pulls(graph, asked, registry, pulled, platform, node, reuse)

    ask_crawl(drawn, check)

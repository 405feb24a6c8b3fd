"""Questions for Hypothesis, about what a registry holds: sets to delete, and rollouts to a node.

Rules of this file: it draws values alone; `answers_checked.py` and `plans_checked.py` ask and compare.
"""

from hypothesis import strategies as st

from answers_checked import Asked
from oracle import Artifact, Oracle
from pull_oracle import RUNS, Node


def sets_of(
    asked: Asked,
) -> st.SearchStrategy[
    tuple[set[tuple[str, tuple[str, str]]], set[tuple[str, str, str]], set[tuple[str, str]]]
]:
    """Artifacts, tags and repositories to delete, some of each."""
    artifacts = asked.artifacts
    repositories = [
        (registry, name) for registry, oracle in asked.oracles.items() for name in sorted(oracle.repositories)
    ]
    tags = [
        (registry, name, tag)
        for registry, name in repositories
        for tag in sorted(asked.oracles[registry].repositories[name].tags)
    ]
    return st.tuples(
        st.sets(st.sampled_from(artifacts), max_size=3) if artifacts else st.just(set()),
        st.sets(st.sampled_from(tags), max_size=3) if tags else st.just(set()),
        st.sets(st.sampled_from(repositories), max_size=1),
    )


@st.composite
def rollouts_of(draw: st.DrawFn, oracle: Oracle) -> tuple[list[Artifact], str, Node, str]:
    """Artifacts to pull, a platform, a node that holds some of what there is, and how it keeps layers."""
    artifacts = st.lists(st.sampled_from(sorted(oracle.everything)), min_size=1, max_size=4)
    held = draw(st.lists(st.sampled_from(sorted(oracle.everything)), max_size=2))
    layers = sorted(oracle.all_layers) or ["sha256:" + 64 * "0"]
    stacks = [oracle.stack(digest) for _, digest in sorted(oracle.everything)]
    diff_ids = sorted({diff_id for stack in stacks for diff_id in stack}) or layers
    return (
        draw(artifacts),
        draw(st.sampled_from(sorted(RUNS))),
        Node(
            held,
            draw(st.lists(st.sampled_from(layers), max_size=3)),
            draw(st.lists(st.sampled_from(diff_ids), max_size=2) | st.sampled_from(stacks)),
        ),
        draw(st.sampled_from(["BLOB", "CHAIN"])),
    )

"""Tagged, live, untagged: the rule of the concepts against examples and a naive oracle."""

from collections.abc import Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.oci.liveness import Standing, Untagged, classify

TAGGED = Standing(True, None)
CHILD = Standing(True, Untagged.INDEX_CHILD)
REFERRER = Standing(True, Untagged.REFERRER)
DANGLING = Standing(False, Untagged.DANGLING)


@pytest.mark.parametrize(
    ("present", "tagged", "children", "referrers", "expected"),
    [
        ([], [], {}, {}, {}),
        ([1, 2], [1], {}, {}, {1: TAGGED, 2: DANGLING}),
        # C9: the children of a tagged index are not clean-up.
        ([1, 2, 3], [1], {1: [2, 3]}, {}, {1: TAGGED, 2: CHILD, 3: CHILD}),
        # A nested index passes life on.
        ([1, 2, 3], [1], {1: [2], 2: [3]}, {}, {1: TAGGED, 2: CHILD, 3: CHILD}),
        # Children and referrers of a dangling artifact are dangling.
        ([1, 2, 3], [], {1: [2]}, {1: [3]}, {1: DANGLING, 2: DANGLING, 3: DANGLING}),
        # A tag of its own comes before being a child, and life does not flow upwards.
        ([1, 2], [2], {1: [2]}, {}, {1: DANGLING, 2: TAGGED}),
        ([1, 2], [2], {}, {1: [2]}, {1: DANGLING, 2: TAGGED}),
        # Referrers of what is live, and their referrers.
        ([1, 2, 3], [1], {}, {1: [2], 2: [3]}, {1: TAGGED, 2: REFERRER, 3: REFERRER}),
        # Referrer of a child; child of a referrer.
        (
            [1, 2, 3, 4],
            [1],
            {1: [2], 3: [4]},
            {2: [3]},
            {1: TAGGED, 2: CHILD, 3: REFERRER, 4: CHILD},
        ),
        # An attestation is both: the index holds it.
        ([1, 2, 3], [1], {1: [2, 3]}, {2: [3]}, {1: TAGGED, 2: CHILD, 3: CHILD}),
        ([1, 2, 3], [1], {2: [3]}, {1: [2, 3]}, {1: TAGGED, 2: REFERRER, 3: CHILD}),
        # A child of a dangling index that refers to something live is a referrer.
        ([1, 2, 3], [1], {3: [2]}, {1: [2]}, {1: TAGGED, 2: REFERRER, 3: DANGLING}),
        # The subject is not known to be absent; the subject is known to be absent (7 is not present).
        ([1, 2], [], {}, {None: [1], 7: [2]}, {1: REFERRER, 2: DANGLING}),
        ([1, 2], [], {1: [2]}, {None: [1]}, {1: REFERRER, 2: CHILD}),
        # Cycles end; a cycle holds nothing alive by itself.
        ([1, 2], [], {1: [2], 2: [1]}, {}, {1: DANGLING, 2: DANGLING}),
        ([1, 2], [], {}, {1: [2], 2: [1]}, {1: DANGLING, 2: DANGLING}),
        ([1, 2], [1], {1: [2], 2: [1]}, {}, {1: TAGGED, 2: CHILD}),
        ([1, 2], [], {1: [1, 2], 2: [1]}, {None: [2]}, {1: CHILD, 2: CHILD}),
        # What is not present is ignored wherever it is named.
        ([1], [1, 9], {1: [8], 9: [1]}, {1: [7], None: [6]}, {1: TAGGED}),
    ],
)
def test_standing_of_every_artifact(
    present: Collection[int],
    tagged: Collection[int],
    children: Mapping[int, Collection[int]],
    referrers: Mapping[int | None, Collection[int]],
    expected: Mapping[int, Standing],
) -> None:
    """Live: an ordinary tag, a child of a live index, a referrer of something live or not known absent."""
    assert expected == classify(present, tagged, children, referrers)


def oracle(
    present: Collection[int],
    tagged: Collection[int],
    children: Mapping[int, Collection[int]],
    referrers: Mapping[int | None, Collection[int]],
) -> dict[int, Standing]:
    """The definition, applied again and again to everything until nothing changes."""
    live: set[int] = set()
    while True:
        more = {
            artifact
            for artifact in present
            if artifact in tagged
            or any(artifact in children.get(index, ()) for index in live)
            or any(artifact in referrers.get(subject, ()) for subject in live)
            or artifact in referrers.get(None, ())
        }
        if more == live:
            break
        live = more

    def untagged(artifact: int) -> Untagged | None:
        if artifact in tagged:
            return None
        if any(artifact in children.get(index, ()) for index in live):
            return Untagged.INDEX_CHILD
        return Untagged.REFERRER if artifact in live else Untagged.DANGLING

    return {artifact: Standing(artifact in live, untagged(artifact)) for artifact in present}


keys = st.integers(0, 9)
graphs = st.tuples(
    st.frozensets(keys),
    st.frozensets(keys, max_size=3),
    st.dictionaries(keys, st.frozensets(keys, max_size=4)),
    st.dictionaries(st.none() | keys, st.frozensets(keys, max_size=4)),
)


@given(graphs)
def test_classification_is_the_least_fixed_point_of_the_definition(
    graph: tuple[
        frozenset[int],
        frozenset[int],
        dict[int, frozenset[int]],
        dict[int | None, frozenset[int]],
    ],
) -> None:
    """For any graph, cycles and all, the answer is the definition's."""
    assert oracle(*graph) == classify(*graph)


def test_long_chains_end() -> None:
    """A chain of 100,000 nested indexes is walked, not recursed into."""
    count = 100_000
    chain = {number: [number + 1] for number in range(count - 1)}
    standings = classify(range(count), [0], chain, {})
    assert CHILD == standings[count - 1]
    assert count == len(standings)

"""What belongs to a set and what goes with it: the rules of the concepts against examples and an oracle."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.oci.sets import down, going

Edges = Mapping[int, Collection[int]]


def parents_of(children: Edges) -> dict[int, set[int]]:
    parents: dict[int, set[int]] = defaultdict(set)
    for index, listed in children.items():
        for child in listed:
            parents[child].add(index)
    return parents


@pytest.mark.parametrize(
    ("named", "children", "tagged", "expected_down", "expected_going"),
    [
        (set(), {}, set(), set(), set()),
        # {index}: its children go with it.
        ({1}, {1: [2, 3]}, {1}, {1, 2, 3}, {1, 2, 3}),
        # {child of a kept index}: what is named goes, whoever holds it.
        ({2}, {1: [2, 3]}, {1}, {2}, {2}),
        # {index}, of which another index lists a child: the shared child stays.
        ({1}, {1: [2, 3], 4: [3]}, {1, 4}, {1, 2, 3}, {1, 2}),
        # {two indexes that share a child}: nothing holds the child any more.
        ({1, 4}, {1: [2, 3], 4: [3]}, {1, 4}, {1, 2, 3, 4}, {1, 2, 3, 4}),
        # A child with a tag of its own stays.
        ({1}, {1: [2, 3]}, {1, 3}, {1, 2, 3}, {1, 2}),
        # A kept index keeps its children, at any depth.
        ({1}, {1: [2], 2: [3], 3: [4]}, {2}, {1, 2, 3, 4}, {1}),
        ({1}, {1: [2, 3], 2: [4], 3: [4]}, {2}, {1, 2, 3, 4}, {1, 3}),
        # A named index that another one lists goes, and what only it lists goes with it.
        ({2}, {1: [2], 2: [3]}, {1}, {2, 3}, {2, 3}),
        # Cycles end: two that list each other go if nothing else holds them, and stay if something does.
        ({1}, {1: [2], 2: [3], 3: [2]}, {1}, {1, 2, 3}, {1, 2, 3}),
        ({1}, {1: [2], 2: [3], 3: [2]}, {1, 3}, {1, 2, 3}, {1}),
        ({1}, {1: [1, 2], 2: [1]}, {1}, {1, 2}, {1, 2}),
    ],
)
def test_examples(
    named: set[int], children: Edges, tagged: set[int], expected_down: set[int], expected_going: set[int]
) -> None:
    """The cases of the concepts, by hand."""
    assert expected_down == down(named, children)
    assert expected_going == going(named, children, parents_of(children), tagged)


@st.composite
def holdings(draw: st.DrawFn) -> tuple[set[int], dict[int, list[int]], set[int]]:
    artifacts = st.integers(0, 6)
    children = draw(st.dictionaries(artifacts, st.lists(artifacts, max_size=4), max_size=6))
    return draw(st.sets(artifacts)), children, draw(st.sets(artifacts))


def brute_force(
    named: set[int], children: Edges, tagged: set[int], members: set[int], parents: Edges
) -> set[int]:
    """The largest of all sets between the named and the members that agree with themselves."""
    others = sorted(members - named)
    found: list[set[int]] = []
    for chosen in chain.from_iterable(combinations(others, size) for size in range(len(others) + 1)):
        leaving = named | set(chosen)
        agrees = all(
            member not in tagged and all(parent in leaving for parent in parents.get(member, ()))
            for member in chosen
        )
        if agrees:
            found.append(leaving)
    return max(found, key=len)


@given(holdings())
def test_greatest_set_that_agrees_with_itself(case: tuple[set[int], dict[int, list[int]], set[int]]) -> None:
    """What goes is the greatest set that agrees with itself, found among all sets."""
    named, children, tagged = case
    parents = parents_of(children)
    members = down(named, children)

    assert brute_force(named, children, tagged, members, parents) == going(named, children, parents, tagged)


@given(holdings())
def test_bounds(case: tuple[set[int], dict[int, list[int]], set[int]]) -> None:
    """Named ones always go, nothing goes that is not below them, and naming more never saves anything."""
    named, children, tagged = case
    parents = parents_of(children)
    gone = going(named, children, parents, tagged)

    assert named <= gone <= down(named, children)
    for member in down(named, children):
        assert gone <= going(named | {member}, children, parents, tagged)
    assert gone == going(gone, children, parents, tagged)

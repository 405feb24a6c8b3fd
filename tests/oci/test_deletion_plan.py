"""The plan of a deletion: every reason by example, and its properties over any tangle of claims."""

from collections.abc import Collection, Mapping
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.oci.deletion import (
    DeletionPlan,
    DeletionReason,
    DeletionStay,
    DeletionStep,
    StayReason,
    plan_deletion,
)


class Case(NamedTuple):
    """What `plan_deletion` is given; `tagged` are those that keep a tag."""

    named: Collection[int]
    released: Collection[int] = ()
    tagged: Collection[int] = ()
    children: Mapping[int, Collection[int]] = {}
    referrers: Mapping[int | None, Collection[int]] = {}


def named(artifact: int, *breaks: int) -> DeletionStep:
    return DeletionStep(artifact, DeletionReason.NAMED, breaks=breaks)


def child(artifact: int, *causes: int) -> DeletionStep:
    return DeletionStep(artifact, DeletionReason.CHILD, causes)


def referrer(artifact: int, *causes: int) -> DeletionStep:
    return DeletionStep(artifact, DeletionReason.REFERRER, causes)


def tagged(artifact: int) -> DeletionStay:
    return DeletionStay(artifact, StayReason.TAGGED)


def held(artifact: int, *indexes: int) -> DeletionStay:
    return DeletionStay(artifact, StayReason.HELD_BY_INDEX, indexes)


def refers(artifact: int, *subjects: int) -> DeletionStay:
    return DeletionStay(artifact, StayReason.HELD_AS_REFERRER, subjects)


EXAMPLES: dict[str, tuple[Case, list[DeletionStep], list[DeletionStay]]] = {
    "nothing": (Case([]), [], []),
    "one image": (Case([1]), [named(1)], []),
    "its own tags do not hold what is named": (Case([1], tagged=[1]), [named(1)], []),
    "an index, then its children": (
        Case([1], children={1: [3, 2]}),
        [named(1), child(2, 1), child(3, 1)],
        [],
    ),
    "an index of indexes": (
        Case([3], children={3: [2], 2: [1]}),
        [named(3), child(2, 3), child(1, 2)],
        [],
    ),
    "a tagged child stays": (Case([1], tagged=[2], children={1: [2]}), [named(1)], [tagged(2)]),
    "a child of a kept index stays": (
        Case([1], children={1: [2], 9: [2]}),
        [named(1)],
        [held(2, 9)],
    ),
    "a child of two indexes that go": (
        Case([1, 2], children={1: [3], 2: [3]}),
        [named(1), named(2), child(3, 1, 2)],
        [],
    ),
    "what a child that stays holds stays, and is not spoken of": (
        Case([1], tagged=[2], children={1: [2], 2: [3]}),
        [named(1)],
        [tagged(2)],
    ),
    "a child shared with an index that stays because it is tagged": (
        Case([1], tagged=[2], children={1: [2, 3], 2: [3]}),
        [named(1)],
        [tagged(2), held(3, 2)],
    ),
    "the named child of a kept index breaks it": (
        Case([2], children={1: [2]}),
        [named(2, 1)],
        [],
    ),
    "the named child of an index that goes breaks nothing": (
        Case([2, 1], children={1: [2]}),
        [named(1), named(2)],
        [],
    ),
    "a referrer goes before its subject": (
        Case([1], referrers={1: [2]}),
        [referrer(2, 1), named(1)],
        [],
    ),
    "referrers of referrers": (
        Case([1], referrers={1: [2], 2: [3]}),
        [referrer(3, 2), referrer(2, 1), named(1)],
        [],
    ),
    "a referrer of a child": (
        Case([1], children={1: [2]}, referrers={2: [3]}),
        [named(1), referrer(3, 2), child(2, 1)],
        [],
    ),
    "what a referrer lists": (
        Case([1], children={2: [3]}, referrers={1: [2]}),
        [referrer(2, 1), named(1), child(3, 2)],
        [],
    ),
    "the index of a fallback tag and what it lists": (
        Case([1], children={4: [2, 3]}, referrers={1: [2, 3, 4]}),
        [referrer(4, 1), referrer(2, 1), referrer(3, 1), named(1)],
        [],
    ),
    "a tagged referrer stays": (Case([1], tagged=[2], referrers={1: [2]}), [named(1)], [tagged(2)]),
    "a referrer that a kept index lists stays": (
        Case([1], children={9: [2]}, referrers={1: [2]}),
        [named(1)],
        [held(2, 9)],
    ),
    "a referrer of something that stays too": (
        Case([1], referrers={1: [2], 9: [2]}),
        [named(1)],
        [refers(2, 9)],
    ),
    "a referrer of something that nobody has looked for": (
        Case([1], referrers={1: [2], None: [2]}),
        [named(1)],
        [refers(2)],
    ),
    "what the index of a fallback tag lists for another subject": (
        Case([1], children={3: [2]}, referrers={1: [3], 9: [2]}),
        [referrer(3, 1), named(1), child(2, 3)],
        [],
    ),
    # Tags and indexes alone hold what is in an index: it belongs to the index.
    "a child that refers to a sibling that stays goes with its index": (
        Case([1], tagged=[2], children={1: [2, 3]}, referrers={2: [3]}),
        [named(1), child(3, 1)],
        [tagged(2)],
    ),
    "the last tag": (Case([], released=[1]), [named(1)], []),
    "not the last tag": (Case([], released=[1], tagged=[1]), [], [tagged(1)]),
    "the last tag of what a kept index lists": (
        Case([], released=[1], children={9: [1]}),
        [],
        [held(1, 9)],
    ),
    "the last tag of what an index that goes lists": (
        Case([2], released=[1], children={2: [1]}),
        [named(2), named(1)],
        [],
    ),
    "the last tag of an index": (
        Case([], released=[1], children={1: [2]}, referrers={1: [3]}),
        [referrer(3, 1), named(1), child(2, 1)],
        [],
    ),
    "what only an index that goes as a referrer held loses its last tag": (
        Case([1], released=[2], children={3: [2]}, referrers={1: [2, 3]}),
        [referrer(3, 1), referrer(2, 1), named(1)],
        [],
    ),
    "named by digest and by tag": (Case([1], released=[1], tagged=[1]), [named(1)], []),
    "indexes that list each other": (
        Case([1], children={1: [2], 2: [1]}),
        [named(1), child(2, 1)],
        [],
    ),
    "an index that lists itself": (Case([1], children={1: [1]}), [named(1)], []),
    "an artifact that refers to itself": (Case([1], referrers={1: [1]}), [named(1)], []),
    "subjects in a circle": (
        Case([2], referrers={1: [2], 2: [1]}),
        [referrer(1, 2), named(2)],
        [],
    ),
    "an index still comes before a child that a tag calls its referrer": (
        Case([2], children={2: [1]}, referrers={2: [1]}),
        [named(2), child(1, 2)],
        [],
    ),
    "a circle of claims below what stays": (
        Case([], released=[1], tagged=[1], children={3: [2]}, referrers={1: [2], 2: [3]}),
        [],
        [tagged(1)],
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_plan(name: str) -> None:
    """Each reason to go and to stay, alone, with causes and order."""
    case, steps, staying = EXAMPLES[name]
    plan = plan_deletion(*case)
    assert (steps, staying) == (list(plan.steps), list(plan.staying))


def test_what_goes_without_referrers_is_told() -> None:
    """Beside the whole plan stands what would go of it if all referrers were left."""
    plan = plan_deletion([1], [], [], {1: [2], 4: [5]}, {2: [3], 1: [4]})
    assert {1, 2, 3, 4, 5} == keys_of(plan)
    assert {1, 2} == plan.without_referrers


def keys_of(plan: DeletionPlan) -> set[int]:
    return {step.artifact for step in plan.steps}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any claims at all over a few artifacts: circles, several subjects, tags on anything."""
    some = st.sets(st.integers(1, 9), max_size=4)
    edges = st.dictionaries(st.integers(1, 9), some, max_size=6)
    subjects = st.dictionaries(st.one_of(st.none(), st.integers(1, 9)), some, max_size=6)
    return Case(draw(some), draw(some), draw(some), draw(edges), draw(subjects))


def make_acyclic(case: Case) -> Case:
    """The same with indexes that list only what is older, as hashes make it."""
    children = {index: {child for child in found if child < index} for index, found in case.children.items()}
    return case._replace(children=children)


def plan_naively(case: Case) -> tuple[set[int], set[int]]:
    """What goes, and what goes without referrers: round by round, straight from the definition."""
    everybody = range(1, 10)

    def is_held(artifact: int, gone: set[int]) -> bool:
        return artifact in case.tagged or any(
            artifact in found and index not in gone for index, found in case.children.items()
        )

    def settle(roots: set[int], loose: set[int]) -> set[int]:
        """`going`: start from all there is below, take out what is held until nothing is."""
        found = roots | loose
        for _ in everybody:
            found |= {child for index in found for child in case.children.get(index, ())}
        while staying := {artifact for artifact in found - roots if is_held(artifact, found)}:
            found -= staying
        return found

    alone = gone = settle(set(case.named), set(case.released))
    while True:
        more = {
            artifact
            for subject in gone
            for artifact in case.referrers.get(subject, ())
            if not is_held(artifact, gone)
            and all(key in gone for key, found in case.referrers.items() if artifact in found)
        }
        if more <= gone:
            return gone, alone
        gone = settle(gone | more, set())


@given(cases().map(make_acyclic))
def test_plan_equals_the_definition(case: Case) -> None:
    """What goes is what the two rules say, with and without referrers."""
    gone, alone = plan_naively(case)
    plan = plan_deletion(*case)
    assert gone == keys_of(plan)
    assert alone == plan.without_referrers


@given(cases())
def test_plan_is_told_once_and_holds_together(case: Case) -> None:
    """Members are unique and none stays; all that is named goes; nothing that stays lists or is the subject
    of what goes, unless that was named or is a child; causes go, and what breaks stays.
    """
    plan = plan_deletion(*case)
    gone = keys_of(plan)
    assert len(gone) == len(plan.steps)
    assert gone.isdisjoint(stay.artifact for stay in plan.staying)
    assert gone >= set(case.named)
    assert plan.without_referrers <= gone
    for step in plan.steps:
        parents = {index for index, found in case.children.items() if step.artifact in found}
        subjects = {subject for subject, found in case.referrers.items() if step.artifact in found}
        assert gone >= set(step.causes)
        assert (step.reason is DeletionReason.NAMED) == (not step.causes)
        if step.artifact in case.named:
            assert parents - gone == set(step.breaks)
        else:
            assert parents <= gone
            assert not step.breaks
            assert step.artifact not in case.tagged
        if step.reason is DeletionReason.REFERRER:
            assert parents or subjects <= gone
    for stay in plan.staying:
        assert gone.isdisjoint(stay.holders)
        assert (stay.reason is StayReason.TAGGED) == (stay.artifact in case.tagged)


@given(cases().map(make_acyclic))
def test_parents_come_before_children(case: Case) -> None:
    """An index comes before what it lists, whatever tags claim about subjects."""
    place = {step.artifact: n for n, step in enumerate(plan_deletion(*case).steps)}
    for index, found in case.children.items():
        for artifact in place.keys() & found:
            assert index not in place or place[index] < place[artifact]


@given(cases())
def test_whatever_names_another_comes_before_it(case: Case) -> None:
    """Where names lead only to what is older, as digests do, nothing that is left names what is gone."""
    names = [
        *((index, child) for index, found in case.children.items() for child in found),
        *((found, subject) for subject, all_of in case.referrers.items() for found in all_of if subject),
    ]
    older = [(begin, end) for begin, end in names if begin > end]
    children: dict[int, set[int]] = {}
    referrers: dict[int | None, set[int]] = {}
    for begin, end in older:
        if end in case.children.get(begin, ()):
            children.setdefault(begin, set()).add(end)
        else:
            referrers.setdefault(end, set()).add(begin)
    plan = plan_deletion(case.named, case.released, case.tagged, children, referrers)
    place = {step.artifact: n for n, step in enumerate(plan.steps)}
    for begin, end in older:
        if begin in place and end in place:
            assert place[begin] < place[end]


@given(cases().map(make_acyclic))
def test_plan_of_a_plan_is_itself(case: Case) -> None:
    """Naming everything that goes makes nothing more go."""
    plan = plan_deletion(*case)
    again = plan_deletion(sorted(keys_of(plan)), [], case.tagged, case.children, case.referrers)
    released = {stay.artifact for stay in plan.staying} & set(case.released)
    assert keys_of(plan) == keys_of(again)
    assert {stay.artifact for stay in plan.staying} - released <= {stay.artifact for stay in again.staying}


@given(cases(), st.randoms())
def test_order_of_the_question_does_not_matter(case: Case, random: Random) -> None:
    """The same question asked in another order gets the same plan."""

    def shuffled(items: Collection[int]) -> list[int]:
        found = list(items)
        random.shuffle(found)
        return found

    asked = Case(
        shuffled(case.named),
        shuffled(case.released),
        shuffled(case.tagged),
        {key: shuffled(case.children[key]) for key in shuffled(case.children)},
        {key: shuffled(found) for key, found in reversed(list(case.referrers.items()))},
    )
    assert plan_deletion(*case) == plan_deletion(*asked)


def test_large_plans_take_one_pass() -> None:
    """20,000 artifacts in one chain of indexes, each a subject too, make a plan without deep recursion."""
    size = 10_000
    children = {n: [n - 1] for n in range(2, size + 1)}
    referrers: dict[int | None, Collection[int]] = {n: [size + n] for n in range(1, size + 1)}
    plan = plan_deletion([size], [], [], children, referrers)
    assert 2 * size == len(plan.steps)

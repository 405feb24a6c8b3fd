"""What would have to be deleted so that artifacts, and what only they keep, are gone; and in which order.

Rules of this file: pure functions over integers. Nothing is deleted here or anywhere else: a plan is told,
somebody else carries it out. Two rules make it:

1.  What is named goes, and with it the children that nothing else holds: neither an ordinary tag nor an
    index that stays (`oci.sets.going`). An artifact that lost a tag is not named: it goes as if the tag had
    been an index that listed it, and goes now.
2.  Then the referrers of what goes, at any depth, each with its children by the same rule: unless it has an
    ordinary tag, is listed by an index that stays, or refers to something that stays too. A subject that
    nobody has looked for is not known to be absent, so it is taken to stay.

So whatever goes does for a reason that leads back to what was named, even where tags claim a circle.

The order: whatever names another by its digest goes before what it names, so an index before its children
and a referrer before its subject. So at no moment does something that is left name something that the plan
took away, and a registry that refuses to delete what an index lists has no reason to. The way the manifests
are made knows no other order either: a digest can only be named by what was made later. Only tags can claim a
circle; there an index still comes before its children.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from heapq import heappop, heappush
from itertools import chain

from graph.oci.sets import going

Edges = Mapping[int, Collection[int]]

# Stand among the artifacts, whose keys are positive, for what is none of them.
_TAKEN_TAGS = -1  # the tags that are taken away: go
_UNSEEN_SUBJECT = -2  # a subject that is not known to be absent: stays


class DeletionReason(StrEnum):
    """Why an artifact is in a plan."""

    NAMED = "NAMED"  # by its digest, by its repository, or by the last tag it had
    CHILD = "CHILD"  # nothing holds it but indexes that go
    REFERRER = "REFERRER"  # it refers to something that goes, and to nothing that stays


class StayReason(StrEnum):
    """Why an artifact stays, although named or next to something that goes; the first that is true."""

    TAGGED = "TAGGED"  # it has another ordinary tag
    HELD_BY_INDEX = "HELD_BY_INDEX"  # an index that stays lists it
    HELD_AS_REFERRER = "HELD_AS_REFERRER"  # it refers to something that stays, or may


@dataclass(frozen=True, slots=True)
class DeletionStep:
    """One artifact to delete.

    `causes` are the indexes or subjects because of which it goes, none for what is named; `breaks` are
    indexes that list it and stay, so that they will lack it: only what is named has any.
    """

    artifact: int
    reason: DeletionReason
    causes: tuple[int, ...] = ()
    breaks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DeletionStay:
    """One artifact that stays. `holders` are the indexes or subjects that stay and hold it."""

    artifact: int
    reason: StayReason
    holders: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DeletionPlan:
    """What to delete, in order, and what of its surroundings stays, by key.

    `without_referrers` is what would go if referrers were left where they are.
    """

    steps: tuple[DeletionStep, ...]
    staying: tuple[DeletionStay, ...]
    without_referrers: frozenset[int]


def plan_deletion(
    named: Collection[int],
    released: Collection[int],
    tagged: Collection[int],
    children: Edges,
    referrers: Mapping[int | None, Collection[int]],
) -> DeletionPlan:
    """The plan that takes away what is named, in time n log n in artifacts and edges.

    `released` lose a tag; `tagged` keep an ordinary one. `children` leads from each present index to the
    artifacts it lists, and `referrers` from each present subject to what refers to it, from None to what
    refers to a subject that is not known to be absent. Both are wanted of everything that may go, and of
    everything that may hold it; keys are positive.
    """
    pinned = set(named)
    loose = set(released) - pinned
    keeping = set(tagged)
    subjects = {_UNSEEN_SUBJECT if key is None else key: found for key, found in referrers.items()}
    parents_of, subjects_of = _turned(children), _turned(subjects)
    # A tag that is taken away is like an index that goes, and lets go of what it held.
    holds = {**children, _TAKEN_TAGS: loose}
    alone = going({*pinned, _TAKEN_TAGS}, holds, parents_of, keeping) - {_TAKEN_TAGS}
    gone = _with_referrers(alone, keeping, children, subjects, parents_of, subjects_of)

    steps = []
    for artifact in _in_order(gone, children, subjects_of):
        parents = tuple(sorted(parents_of.get(artifact, ())))
        listing = tuple(parent for parent in parents if parent in gone)
        subject = tuple(sorted(gone.intersection(subjects_of.get(artifact, ()))))
        if artifact in pinned or (artifact in loose and artifact in alone):
            breaks = tuple(parent for parent in parents if parent not in gone)
            steps.append(DeletionStep(artifact, DeletionReason.NAMED, breaks=breaks))
        elif artifact in alone or not subject:
            steps.append(DeletionStep(artifact, DeletionReason.CHILD, causes=listing))
        else:
            steps.append(DeletionStep(artifact, DeletionReason.REFERRER, causes=subject))
    around = set(loose)
    for artifact in gone:
        around.update(children.get(artifact, ()), subjects.get(artifact, ()))
    around -= gone
    staying = (_stay(artifact, gone, keeping, parents_of, subjects_of) for artifact in sorted(around))
    return DeletionPlan(tuple(steps), tuple(staying), frozenset(alone))


def _with_referrers(
    alone: Set[int],
    tagged: Set[int],
    children: Edges,
    referrers: Edges,
    parents_of: Edges,
    subjects_of: Edges,
) -> set[int]:
    """What goes by itself, with the referrers that go because of it, and their children."""
    gone = set(alone)
    parents_left = {artifact: len(found) for artifact, found in parents_of.items()}
    subjects_left = {artifact: len(found) for artifact, found in subjects_of.items()}
    waiting = list(alone)
    while waiting:
        artifact = waiting.pop()
        listed, referring = set(children.get(artifact, ())), set(referrers.get(artifact, ()))
        for child in listed:
            parents_left[child] -= 1
        for referrer in referring:
            subjects_left[referrer] -= 1
        for candidate in (listed | referring) - gone - tagged:
            is_listed = candidate in parents_left
            if not parents_left.get(candidate) and (is_listed or not subjects_left[candidate]):
                gone.add(candidate)
                waiting.append(candidate)
    return gone


def _stay(
    artifact: int, gone: set[int], tagged: set[int], parents_of: Edges, subjects_of: Edges
) -> DeletionStay:
    if artifact in tagged:
        return DeletionStay(artifact, StayReason.TAGGED)
    for reason, holders in (
        (StayReason.HELD_BY_INDEX, parents_of),
        (StayReason.HELD_AS_REFERRER, subjects_of),
    ):
        left = [holder for holder in holders.get(artifact, ()) if holder not in gone]
        if left:
            known = tuple(sorted(holder for holder in left if holder != _UNSEEN_SUBJECT))
            return DeletionStay(artifact, reason, known)
    raise AssertionError(f"nothing holds artifact {artifact}")


def _turned(edges: Edges) -> dict[int, list[int]]:
    turned: dict[int, list[int]] = defaultdict(list)
    for begin, ends in edges.items():
        for end in set(ends):
            turned[end].append(begin)
    return dict(turned)


def _in_order(gone: set[int], children: Edges, subjects_of: Edges) -> Iterator[int]:
    """Each artifact that goes: after its parents, and after its referrers wherever that can be.

    What one lets go of comes right after it, so that what belongs together stands together.
    """
    below = {key: gone.intersection(children.get(key, ())) - {key} for key in gone}
    above = {key: gone.intersection(subjects_of.get(key, ())) - {key} for key in gone}
    parents_left = Counter(chain.from_iterable(below.values()))
    referrers_left = Counter(chain.from_iterable(above.values()))
    ready = sorted(gone - parents_left.keys() - referrers_left.keys(), reverse=True)
    in_circle = sorted(gone - parents_left.keys())  # of them only referrers are left, where nothing is ready
    in_circle_of_indexes = iter(sorted(gone))
    placed: set[int] = set()
    while len(placed) < len(gone):
        artifact = ready.pop() if ready else heappop(in_circle) if in_circle else next(in_circle_of_indexes)
        if artifact in placed:
            continue
        placed.add(artifact)
        yield artifact
        parents_left.subtract(below[artifact])
        referrers_left.subtract(above[artifact])
        for child in below[artifact]:
            if not parents_left[child]:
                heappush(in_circle, child)
        freed = below[artifact] | above[artifact]
        ready.extend(
            sorted((key for key in freed if not parents_left[key] and not referrers_left[key]), reverse=True)
        )

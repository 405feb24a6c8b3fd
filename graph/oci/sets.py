"""What belongs to a set of artifacts, and what would go if the set were deleted.

Rules of this file: pure functions over integers, of artifacts of any number of repositories at once: an index
holds only what its own repository has, so the edges that are given never leave it. Hashes forbid cycles among
manifests, but a claim costs nothing, so cycles end like anything else. Time is linear in artifacts and edges.
Whoever is present, who has an ordinary tag and which edges there are is the caller's to say; referrers are
no part of a set (the plan of a deletion adds them).
"""

from collections.abc import Collection, Mapping, Set

_NONE: tuple[int, ...] = ()


def down(named: Collection[int], children: Mapping[int, Collection[int]]) -> set[int]:
    """The named artifacts and, at any depth, what the indexes among them list.

    `children` leads from an index to the artifacts it lists, present ones alone.
    """
    found = set(named)
    waiting = list(found)
    while waiting:
        for child in children.get(waiting.pop(), _NONE):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def going(
    named: Set[int],
    children: Mapping[int, Collection[int]],
    parents: Mapping[int, Collection[int]],
    tagged: Set[int],
) -> set[int]:
    """What goes with the named artifacts: of `down` all that nothing else holds.

    `parents` leads from an artifact to the present indexes that list it, those outside the set too. One that
    is named always goes; any other stays if it has an ordinary tag (`tagged`) or if an index that stays lists
    it, and then it keeps its own children. This is the greatest set that agrees with itself: two indexes that
    list each other, and that nothing else holds, go.
    """
    leaving = down(named, children)

    def is_held(artifact: int) -> bool:
        if artifact in named:
            return False
        return artifact in tagged or any(parent not in leaving for parent in parents.get(artifact, _NONE))

    waiting = list(leaving)
    while waiting:
        artifact = waiting.pop()
        if artifact in leaving and is_held(artifact):
            leaving.remove(artifact)
            waiting.extend(children.get(artifact, _NONE))
    return leaving

"""Which artifacts of a repository are live, and why the untagged ones are still there (concept C9).

Rules of this file: one pure function over integers. Ordinary tags are the roots; life flows from an index to
its children and from a subject to its referrers, never back. Hashes forbid cycles among manifests, but a
claim costs nothing, so cycles end like anything else: each artifact is visited once.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Untagged(StrEnum):
    """Why an artifact without an ordinary tag is in the repository."""

    INDEX_CHILD = "INDEX_CHILD"  # a live index holds it
    REFERRER = "REFERRER"  # it refers to something live, or to something not known to be absent
    DANGLING = "DANGLING"  # nothing live leads to it


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether an artifact is live; and, without an ordinary tag, what it is (None: it has one)."""

    is_live: bool
    untagged: Untagged | None


# Four standings there are, and no more: one object each for any number of artifacts.
_TAGGED = Standing(True, None)
_INDEX_CHILD = Standing(True, Untagged.INDEX_CHILD)
_REFERRER = Standing(True, Untagged.REFERRER)
_DANGLING = Standing(False, Untagged.DANGLING)


def classify(
    present: Collection[int],
    tagged: Collection[int],
    children: Mapping[int, Collection[int]],
    referrers: Mapping[int | None, Collection[int]],
) -> dict[int, Standing]:
    """The standing of every present artifact of one repository, in time linear in artifacts and edges.

    `tagged` have an ordinary tag; `children` leads from an index to the artifacts it lists; `referrers` from
    a subject to what refers to it, and from None to what refers to a subject that is not known to be absent.
    Whatever is named but not present is ignored.
    """
    known = set(present)
    roots = known.intersection(tagged)
    live = set(roots)
    live.update(known.intersection(referrers.get(None, ())))
    held: set[int] = set()
    waiting = list(live)
    while waiting:
        artifact = waiting.pop()
        below = known.intersection(children.get(artifact, ()))
        held |= below
        reached = below.union(known.intersection(referrers.get(artifact, ()))) - live
        live |= reached
        waiting.extend(reached)
    standings: dict[int, Standing] = {}
    for artifact in present:
        if artifact in roots:
            standings[artifact] = _TAGGED
        elif artifact in held:
            standings[artifact] = _INDEX_CHILD
        elif artifact in live:
            standings[artifact] = _REFERRER
        else:
            standings[artifact] = _DANGLING
    return standings

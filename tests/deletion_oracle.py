"""The plan of a deletion, by brute force.

Rules of this file: as in `oracle.py`. What goes is found by asking every artifact again and again whether it
goes too; what stays is everything else.
"""

from collections.abc import Collection
from dataclasses import dataclass

from oracle import Artifact, Oracle, Repository


@dataclass(frozen=True)
class Deletion:
    """The artifacts that go, with the reason, and the bytes."""

    reasons: dict[Artifact, str]
    bytes_freed: int
    bytes_freed_by_named_only: int
    bytes_freed_by_referrers: int
    blobs: dict[str, int]


def plan_deletion(
    oracle: Oracle, named: Collection[Artifact], tags: Collection[tuple[str, str]] = ()
) -> Deletion:
    """The plan that deletes the artifacts, and takes the tags (repository, tag) away."""
    left = without_tags(oracle, tags)
    untagged = {(name, oracle.repositories[name].tags[tag]) for name, tag in tags} - set(named)
    by_named, alone = let_go(left, set(named), untagged)
    gone = with_referrers(left, alone)
    reasons = {
        artifact: "NAMED" if artifact in by_named else "CHILD" if artifact in alone else "REFERRER"
        for artifact in gone
    }
    for artifact in gone - alone:  # what comes with a referrer comes as its child
        if not any((artifact[0], subject) in gone for subject in left.subjects(artifact)):
            reasons[artifact] = "CHILD"
    freed = oracle.exclusive(gone)
    return Deletion(
        reasons,
        oracle.weigh(freed),
        oracle.weigh(oracle.exclusive(by_named)),
        oracle.weigh(freed) - oracle.weigh(oracle.exclusive(alone)),
        {blob: oracle.sizes.get(blob, 0) for blob in freed},
    )


def without_tags(oracle: Oracle, tags: Collection[tuple[str, str]]) -> Oracle:
    repositories = {
        name: Repository(
            {tag: target for tag, target in found.tags.items() if (name, tag) not in tags},
            found.present,
            found.absent,
        )
        for name, found in oracle.repositories.items()
    }
    return Oracle(oracle.bytes, repositories, oracle.documents, oracle.told)


def let_go(
    oracle: Oracle, named: set[Artifact], untagged: set[Artifact]
) -> tuple[set[Artifact], set[Artifact]]:
    """Who goes as named, of those that lost a tag too, and all that goes with them."""
    alone = oracle.down(named | untagged)
    while True:
        kept = {
            member
            for member in alone - named
            if oracle.ordinary_tags(member) or oracle.parents(member) - alone
        }
        if not kept:
            return named | (untagged & alone), alone
        alone -= kept


def with_referrers(oracle: Oracle, alone: set[Artifact]) -> set[Artifact]:
    gone = set(alone)
    while True:
        more = {artifact for artifact in oracle.everything - gone if follows(oracle, artifact, gone)}
        if not more:
            return gone
        gone |= more


def follows(oracle: Oracle, artifact: Artifact, gone: set[Artifact]) -> bool:
    """Whether it goes because of what goes: as a child, or as a referrer of nothing that stays."""
    parents = oracle.parents(artifact)
    if oracle.ordinary_tags(artifact) or parents - gone:
        return False
    name = artifact[0]
    subjects = {
        (name, subject)
        for subject in oracle.subjects(artifact)
        if subject in oracle.repositories[name].present or oracle.may_be_there(name, subject)
    }
    return bool(parents) or (bool(subjects) and subjects <= gone)

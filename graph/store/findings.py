"""Write down what looks found: their manifests, then what they saw, of many repositories in one transaction.

Rules of this file: the order of the steps and nothing else. Bytes are put before anything says that an
artifact has them. Looks at one repository go down in the order in which they came.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from graph.oci.reference import RepositoryName
from graph.store.changes import NewManifest, RepositoryChanges
from graph.store.content import put_dated_manifests
from graph.store.observations import put_repositories, set_repositories


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look at one repository, or a part of that look, found."""

    registry_id: int
    repository: RepositoryName
    changes: RepositoryChanges
    manifests: Sequence[NewManifest] = ()

    @property
    def weight(self) -> int:
        """How much there is to write, in manifests or tags, whichever are more."""
        return max(1, len(self.manifests), len(self.changes.tags))


def write_findings(db: Connection, findings: Sequence[Findings]) -> list[int]:
    """Write them down; return the keys of their repositories, in the same order.

    A repository that nobody has named before is new. Made for `Store.write_together`: about fifty statements,
    however many looks there are.
    """
    keys: list[int] = []
    for some in _apart(findings):
        keys.extend(_write(db, some))
    return keys


def _apart(findings: Sequence[Findings]) -> Iterator[Sequence[Findings]]:
    """Cut them where a repository comes a second time, or another registry's turn does."""
    some: dict[RepositoryName, Findings] = {}
    registry_id = None
    for each in findings:
        if each.registry_id != registry_id or each.repository in some:
            if some:
                yield tuple(some.values())
            some = {}
            registry_id = each.registry_id
        some[each.repository] = each
    if some:
        yield tuple(some.values())


def _write(db: Connection, findings: Sequence[Findings]) -> list[int]:
    registry_id = findings[0].registry_id
    keys = put_repositories(db, registry_id, {each.repository: each.changes.at for each in findings})
    put_dated_manifests(
        db, registry_id, [(new, each.changes.at) for each in findings for new in each.manifests]
    )
    set_repositories(db, {keys[each.repository]: each.changes for each in findings})
    return [keys[each.repository] for each in findings]

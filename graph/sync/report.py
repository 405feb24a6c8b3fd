"""What a crawl tells while it runs and when it has ended.

Rules of this file: values, and the tally they are made from. What could not be had is listed up to a bound
and counted beyond it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from graph.oci.reference import RegistryName, RepositoryName
from graph.store.changes import Failure

# Troubles named in a report; the rest are only counted. A person reads them.
MAX_TROUBLES = 200


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a crawl stands, for a progress bar.

    Of a crawl that goes on with one that was cut off, repositories are counted from the first beginning, the
    rest and `elapsed`, in seconds, from its own.
    """

    repositories_done: int
    repositories_total: int
    tags: int
    manifests: int
    requests: int
    elapsed: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something of a repository that could not be had; `what` is a tag, a digest, or empty for all of it."""

    repository: RepositoryName
    what: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class CrawlReport:
    """What a crawl did, since it began or went on.

    `failure` tells why it could not look everywhere: the registry was down or wants fewer requests, and
    then the crawl `is_stopped`, to go on after `retry_after` seconds if the registry said, and
    `has_progressed` if it looked at any repository to its end; or its catalog
    could not be read, and only what was known was looked at. Single repositories and artifacts that failed
    are `troubles`, of which there are at most MAX_TROUBLES; `trouble_counts` has all of them by code.
    `names_dropped` were listed by the registry and are no names that the specification allows.
    """

    registry: RegistryName
    started_at: datetime
    finished_at: datetime
    is_resumed: bool
    is_stopped: bool
    has_progressed: bool
    retry_after: float | None
    failure: Failure | None
    repositories: int
    repositories_failed: int
    tags: int
    manifests: int
    requests: int
    heads_without_digest: int
    names_dropped: int
    troubles: tuple[Trouble, ...]
    trouble_counts: Mapping[str, int]

    @property
    def elapsed(self) -> float:
        """Seconds it took."""
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(slots=True)
class Tally:
    """What a crawl counts. `manifests` are those read anew; `heads_without_digest` cost a GET each."""

    repositories_done: int = 0
    repositories_failed: int = 0
    tags: int = 0
    manifests: int = 0
    heads_without_digest: int = 0
    troubles: list[Trouble] = field(default_factory=list)
    trouble_counts: Counter[str] = field(default_factory=Counter)

    def add_trouble(self, repository: RepositoryName, what: str, failure: Failure) -> None:
        """Count it, and keep it if there are not too many yet."""
        self.trouble_counts[failure.code] += 1
        if len(self.troubles) < MAX_TROUBLES:
            self.troubles.append(Trouble(repository, what, failure))

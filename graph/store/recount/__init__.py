"""Count everything that is derived once more, from nothing, and say where the store differs.

Rules of this package: it reads and never writes; it shares no statement with the code that keeps the figures,
and is written for plainness: sets in Python, one repository after the other, then sums over the whole. Each
step stands on what the one before has checked. What was observed (tags, manifests, sizes) is taken as it is
stored.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from sqlalchemy import Connection

from graph.store.recount.difference import Difference, rows_of
from graph.store.recount.registry import count_blobs, count_namespaces, count_registries, count_strays
from graph.store.recount.repository import RepositoryRecount

__all__ = ["MAX_DIFFERENCES", "Difference", "Tell", "recount"]

# Differences that are reported. A store with more is broken throughout, and nobody reads further.
MAX_DIFFERENCES = 1_000

# Gets what is being recounted ("repositories", "blobs"), how many are done, and of how many.
Tell = Callable[[str, int, int], None]


def recount(db: Connection, tell: Tell = lambda what, done, total: None) -> list[Difference]:
    """Return where derived figures differ from a recount, at most MAX_DIFFERENCES; none when all is right.

    Reads the whole store: minutes for a large one. Memory grows with the largest repository.
    """
    return list(islice(_recount(db, tell), MAX_DIFFERENCES))


def _recount(db: Connection, tell: Tell) -> Iterator[Difference]:
    repositories = rows_of(db, "SELECT id FROM repository ORDER BY id")
    for done, (key,) in enumerate(repositories, 1):
        yield from RepositoryRecount.load(db, key).differences(db)
        tell("repositories", done, len(repositories))
    yield from count_strays(db)
    yield from count_blobs(db, lambda done, total: tell("blobs", done, total))
    yield from count_registries(db)
    yield from count_namespaces(db)

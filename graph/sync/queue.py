"""Decide whose turn it is in a crawl, and whether refusals are one repository's matter or the registry's.

Rules of this file: pure. A repository is *refused* when the registry wants fewer requests of it than the
client's patience bears. Limits are often for a namespace or a mirror behind it, so what is refused puts its
whole *place*, the namespace, at the end of the queue: the others go first, in later crawls too. At the end
a place is tried by one repository at a time, and is like any other again once that is answered. Nothing that
was refused is tried again in the same crawl.

A crawl stops when MAX_REFUSED different places were refused and nothing was answered between, or at the end
of the queue so many trials. Where others were answered all the while, it does not stop then but
leaves the rest of those places, and is over: they must not keep the others from the next one.
"""

from collections import deque
from collections.abc import Collection, Iterable
from typing import TypeAlias

from graph.oci.reference import RepositoryName, namespace_of

# Refused in a row, before a crawl takes it that the registry refuses everything.
MAX_REFUSED = 3

Entry: TypeAlias = tuple[int | None, RepositoryName]  # by its key in the store; None: it has none yet


class Queue:
    """The repositories that a crawl has yet to look at."""

    def __init__(self, refused: Collection[str] = ()) -> None:
        """`refused`: the places that an earlier crawl was refused."""
        self.refused: set[str] = set()
        """The places that this crawl was refused."""
        self.left: list[Entry] = []
        """What is not looked at in this crawl."""
        self._bad = set(refused)
        self._first: deque[Entry] = deque()
        self._last: deque[Entry] = deque()
        self._on_trial: RepositoryName | None = None
        self._amid: set[RepositoryName] = set()  # begun while another place was bad
        self._row: set[str] = set()  # places refused since the last answer
        self._trials = 0  # refused since the last that was answered
        self._is_partial = False  # others were answered all the while

    def put(self, entries: Iterable[Entry]) -> None:
        """Add repositories behind those that are there."""
        self._first.extend(entries)

    def take(self) -> Entry | None:
        """Whose turn it is, those of refused places left out."""
        while self._first:
            entry = self._first.popleft()
            if place_of(entry[1]) in self._bad:
                self._last.append(entry)
                continue
            if self._bad:
                self._amid.add(entry[1])
            return entry
        return None

    def take_last(self) -> Entry | None:
        """Whose turn it is once there are no others; None while one is on trial."""
        if self._on_trial is not None or not self._last:
            return None
        entry = self._last.popleft()
        self._on_trial = entry[1]
        return entry

    def answer(self, name: RepositoryName) -> None:
        """Note that it was looked at, whatever was seen."""
        self._row.clear()
        self._is_partial = self._is_partial or name in self._amid
        self._amid.discard(name)
        if name == self._on_trial:
            self._on_trial = None
            self._trials = 0
            self._bad.discard(place_of(name))
            self._first.extend(self._last)
            self._last.clear()

    def refuse(self, name: RepositoryName) -> bool:
        """Note that it was refused; tell whether the crawl has to stop."""
        place = place_of(name)
        self._amid.discard(name)
        self.refused.add(place)
        self._bad.add(place)
        if name != self._on_trial:
            self._row.add(place)
            return len(self._row) >= MAX_REFUSED
        self._on_trial = None
        self._trials += 1
        if self._trials < MAX_REFUSED:
            return False
        if self._is_partial:
            self.left.extend(self._last)
            self._last.clear()
        return not self._is_partial


def place_of(name: RepositoryName) -> str:
    """What is refused together: the namespace; a repository outside of any is a place of its own."""
    return namespace_of(name) or name

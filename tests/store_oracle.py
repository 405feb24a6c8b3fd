"""What a store must say, worked out from raw documents and lists of tags by brute force.

Rules of this file: nothing of `graph` is imported. It follows the definitions of docs/questions.md as
literally as it can, with loops where the store has indexes, and knows nothing of how the store keeps its
figures.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

EMPTY = {
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4",
}
REFERRER_TAG = re.compile(r"(sha256|sha512)-([0-9a-f]{64})(\.sig|\.att|\.sbom)?")


@dataclass
class Blob:
    """What is known of one digest."""

    size: int | None = None
    is_verified: bool = False
    has_conflict: bool = False
    is_layer: bool = False
    is_foreign: bool | None = None  # None: nobody has named it yet

    def name(
        self, size: int | None, *, verified: bool = False, layer: bool = False, foreign: bool = False
    ) -> None:
        if size is not None and self.size is not None and size != self.size:
            self.has_conflict = True
        if self.size is None or (verified and not self.is_verified):
            self.size = self.size if size is None else size
        self.is_verified |= verified
        self.is_layer |= layer
        self.is_foreign = foreign if self.is_foreign is None else self.is_foreign and foreign


@dataclass
class Repository:
    """One repository as its registry showed it."""

    is_present: bool = True
    tags: dict[str, str | None] = field(default_factory=dict)  # present ones
    present: dict[str, bool] = field(
        default_factory=dict
    )  # digest → its manifest was had when last looked at
    absent: dict[str, bool] = field(default_factory=dict)
    moves: dict[str, list[tuple[str | None, str | None]]] = field(default_factory=dict)  # tag → from, to


class Oracle:
    """One registry."""

    def __init__(self) -> None:
        self.blobs: dict[str, Blob] = {}
        self.documents: dict[str, dict[str, Any]] = {}
        self.repositories: dict[str, Repository] = {}

    def blob(self, digest: str) -> Blob:
        return self.blobs.setdefault(digest, Blob())

    def put(self, digest: str, data: bytes, config: bytes | None) -> None:
        """The manifest was fetched, and its config if it is given."""
        document = json.loads(data)
        self.documents[digest] = document
        self.blob(digest).name(len(data), verified=True)
        if "subject" in document:
            self.blob(document["subject"]["digest"]).name(document["subject"]["size"])
        for child in document.get("manifests", ()):
            self.blob(child["digest"]).name(child["size"])
        if "config" in document:
            named = self.blob(document["config"]["digest"])
            if config is not None:
                named.name(len(config), verified=True)
            named.name(document["config"]["size"])
        for layer in document.get("layers", ()):
            self.blob(layer["digest"]).name(layer["size"], layer=True, foreign="urls" in layer)

    def look(
        self,
        name: str,
        tags: dict[str, str | None],
        absent_tags: set[str],
        present: dict[str, int | None],
        absent: set[str],
        is_complete: bool,
    ) -> None:
        """A look at the repository found this."""
        repository = self.repositories[name]
        seen = dict(present)
        for target in tags.values():
            if target is not None:
                seen.setdefault(target, None)
        for digest, size in seen.items():
            self.blob(digest).name(size)
        for digest in absent - seen.keys():
            self.blob(digest).name(None)
        for tag in tags:
            subject = self._subject_of(tag)
            if subject is not None:
                self.blob(subject).name(None)
        for digest in seen:
            had = repository.present.get(digest, repository.absent.get(digest, False))
            repository.present[digest] = had or digest in self.documents
            repository.absent.pop(digest, None)
        for digest in absent - seen.keys():
            repository.absent[digest] = repository.present.pop(digest, repository.absent.get(digest, False))
        for tag, target in tags.items():
            self._move(repository, tag, repository.tags.get(tag) if target is None else target)
        for tag in absent_tags - tags.keys():
            if tag in repository.tags:
                self._move(repository, tag, None)
                del repository.tags[tag]
        repository.is_present |= is_complete or bool(tags or present)

    def _move(self, repository: Repository, tag: str, target: str | None) -> None:
        old = repository.tags.get(tag)
        if old != target:
            repository.moves.setdefault(tag, []).append((old, target))
        repository.tags[tag] = target

    def end(self, name: str) -> None:
        """The registry does not know the repository any more."""
        repository = self.repositories[name]
        self.look(name, {}, set(repository.tags), {}, set(repository.present), False)
        repository.is_present = False

    @staticmethod
    def _subject_of(tag: str) -> str | None:
        match = REFERRER_TAG.fullmatch(tag)
        return None if match is None else f"{match[1]}:{match[2]}"

    # Definitions

    def size(self, digest: str) -> int:
        return self.blobs[digest].size or 0

    def stored(self, digest: str) -> int:
        return 0 if self.blobs[digest].is_foreign else self.size(digest)

    def children(self, repository: Repository, digest: str) -> set[str]:
        if not repository.present.get(digest):
            return set()
        listed = {child["digest"] for child in self.documents[digest].get("manifests", ())}
        return listed & repository.present.keys()

    def content(self, repository: Repository, digest: str) -> set[str]:
        if not repository.present[digest]:
            return {digest}
        document = self.documents[digest]
        listed = {layer["digest"] for layer in document.get("layers", ())}
        return {digest} | listed | ({document["config"]["digest"]} if "config" in document else set())

    def down(self, repository: Repository, digest: str) -> set[str]:
        found: set[str] = set()
        more = {digest}
        while more:
            found |= more
            more = {child for member in more for child in self.children(repository, member)} - found
        return found

    def weight(self, repository: Repository, digest: str) -> int | None:
        down = self.down(repository, digest)
        if not all(repository.present[member] for member in down):
            return None
        return sum(map(self.size, set().union(*(self.content(repository, member) for member in down))))

    def ordinary(self, repository: Repository) -> Counter[str | None]:
        return Counter(target for tag, target in repository.tags.items() if self._subject_of(tag) is None)

    def edges(self, repository: Repository) -> dict[tuple[str, str], str]:
        """(subject, referrer) → how."""
        claims: dict[tuple[str, str], set[str]] = {}
        for digest, had in repository.present.items():
            if had and "subject" in self.documents[digest]:
                claims.setdefault((self.documents[digest]["subject"]["digest"], digest), set()).add("SUBJECT")
        for tag, target in repository.tags.items():
            subject = self._subject_of(tag)
            if subject is None or target not in repository.present:
                continue
            is_fallback = tag.count(".") == 0
            how = "FALLBACK_INDEX" if is_fallback else "REFERRER_TAG"
            claims.setdefault((subject, target), set()).add(how)
            if is_fallback:
                for child in self.children(repository, target) - {subject}:
                    claims.setdefault((subject, child), set()).add("REFERRER_TAG")
        order = ("SUBJECT", "REFERRER_TAG", "FALLBACK_INDEX")
        return {edge: min(claimed, key=order.index) for edge, claimed in claims.items()}

    def live(self, repository: Repository) -> set[str]:
        tagged = self.ordinary(repository)
        edges = self.edges(repository)
        live: set[str] = set()
        while True:
            more = {
                digest
                for digest in repository.present
                if tagged[digest]
                or any(digest in self.children(repository, index) for index in live)
                or any(
                    subject in live
                    or (subject not in repository.present and subject not in repository.absent)
                    for subject, referrer in edges
                    if referrer == digest
                )
            }
            if more == live:
                return live
            live = more

    def untagged(self, repository: Repository, digest: str) -> str | None:
        live = self.live(repository)
        if self.ordinary(repository)[digest]:
            return None
        if any(digest in self.children(repository, index) for index in live):
            return "INDEX_CHILD"
        return "REFERRER" if digest in live else "DANGLING"

    # What the store must say

    def expected(self) -> dict[str, dict[Any, Any]]:
        every = {
            name: (repository, set(repository.present)) for name, repository in self.repositories.items()
        }
        live = {name: (repository, self.live(repository)) for name, repository in self.repositories.items()}
        return {
            "repository": {
                name: (
                    repository.is_present,
                    sum(self.ordinary(repository).values()),
                    *self.totals({name: every[name]}),
                    *self.totals({name: live[name]}),
                )
                for name, repository in self.repositories.items()
            },
            "registry": {
                "registry": (
                    sum(repository.is_present for repository in self.repositories.values()),
                    *self.totals(every),
                    *self.totals(live),
                )
            },
            "namespace": self.namespaces(),
            "artifact": {
                (name, digest): (
                    True,
                    had,
                    digest in live[name][1],
                    self.untagged(repository, digest),
                    self.weight(repository, digest),
                    self.ordinary(repository)[digest],
                )
                for name, repository in self.repositories.items()
                for digest, had in repository.present.items()
            },
            "absent": {
                (name, digest): True
                for name, repository in self.repositories.items()
                for digest in repository.absent
            },
            "tag": {
                (name, tag): target
                for name, repository in self.repositories.items()
                for tag, target in repository.tags.items()
            },
            "move": {
                (name, tag): moves
                for name, repository in self.repositories.items()
                for tag, moves in repository.moves.items()
            },
            "referrer": {
                (name, *edge): how
                for name, repository in self.repositories.items()
                for edge, how in self.edges(repository).items()
            },
            "repository_blob": self.uses(every, live),
            "blob": self.counters(every, live),
        }

    def totals(self, members: dict[str, tuple[Repository, set[str]]]) -> tuple[int, int, int, int]:
        contents = [
            self.content(repository, digest) for repository, some in members.values() for digest in some
        ]
        union: set[str] = set().union(*contents)
        return (
            len(contents),
            sum(self.blobs[digest].is_layer for digest in union),
            sum(self.size(digest) for content in contents for digest in content),
            sum(map(self.stored, union)),
        )

    def namespaces(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for name, repository in self.repositories.items():
            for end, character in enumerate(name):
                if character == "/" and repository.is_present:
                    counts[name[:end]] += 1
        return dict(counts)

    def uses(self, *scopes: dict[str, tuple[Repository, set[str]]]) -> dict[tuple[str, str], tuple[int, ...]]:
        counts = [
            Counter(
                (name, blob)
                for name, (repository, some) in scope.items()
                for digest in some
                for blob in self.content(repository, digest)
            )
            for scope in scopes
        ]
        return {key: tuple(count[key] for count in counts) for key in counts[0]}

    def counters(self, *scopes: dict[str, tuple[Repository, set[str]]]) -> dict[str, tuple[Any, ...]]:
        uses = self.uses(*scopes)
        counters = {}
        for digest, blob in self.blobs.items():
            rows = [row for (_, held), row in uses.items() if held == digest]
            artifacts, live = sum(row[0] for row in rows), sum(row[1] for row in rows)
            saved = 0
            if blob.is_layer and not blob.is_foreign and digest not in EMPTY and artifacts > 1:
                saved = self.size(digest) * (artifacts - 1)
            counters[digest] = (
                blob.size,
                blob.is_verified,
                blob.has_conflict,
                blob.is_layer,
                bool(blob.is_foreign),
                artifacts,
                live,
                len(rows),
                sum(row[1] > 0 for row in rows),
                saved,
            )
        return counters

"""One look at one repository: what is known of it, what was seen and is not written down yet.

Rules of this file: it writes and reads back; what to ask is asked elsewhere, what follows is decided in
`plan.py`. What was seen is written down as soon as it is news, and otherwise once, at the end: a look at a
repository in which nothing happened is one read and one write.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from graph.errors import RegistryUnknownError, RegistryUnsupportedError
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName, TagName
from graph.store.changes import Failure, KnownRepository, NewManifest, RepositoryChanges, Told
from graph.store.findings import Findings, write_findings
from graph.store.observations import load_known
from graph.sync.content import MAX_TASKS, Batch
from graph.sync.flight import drain
from graph.sync.freshness import age_of
from graph.sync.pace import SAVE_AFTER
from graph.sync.patience import Patience
from graph.sync.plan import ObservedArtifact, ObservedRepository, is_news, plan_changes
from graph.sync.report import Tally
from graph.sync.upstream import Upstream

# What a HEAD answers on registries that only know GET (Nexus: 404).
HEAD_REFUSALS = frozenset({RegistryUnknownError.code, RegistryUnsupportedError.code})


@dataclass(slots=True)
class Seen:
    """What was seen since the last write."""

    tags: dict[TagName, Digest | Failure] = field(default_factory=dict)
    listed_tags: Collection[TagName] | None = None
    missing_tags: set[TagName] = field(default_factory=set)
    artifacts: dict[Digest, ObservedArtifact] = field(default_factory=dict)
    answered: set[Digest] = field(default_factory=set)
    missing: set[Digest] = field(default_factory=set)
    referrers: dict[Digest, Sequence[Digest]] = field(default_factory=dict)
    told_tags: dict[TagName, Told] = field(default_factory=dict)
    told_artifacts: dict[Digest, Told] = field(default_factory=dict)


class Look:
    """Made for one look at one repository, while nobody else looks at it (`Upstream.turn`)."""

    def __init__(
        self,
        upstream: Upstream,
        key: int | None,
        name: RepositoryName,
        tally: Tally,
        *,
        since: datetime | None = None,
    ) -> None:
        """`key` is None for a repository that the store does not know: it gets one by the first write.

        `since`: when the crawl began that this one goes on with; what was observed since is not asked again.
        """
        self.upstream = upstream
        self.name = name
        self.tally = tally
        self.at = upstream.clock()
        self.patience = Patience()
        self.known = KnownRepository()
        self.seen = Seen()
        self.asked: set[Digest] = set()  # digests asked for as a child or a root
        self.is_complete = False  # every manifest was listed, untagged ones too
        self.told_referrers: set[Digest] = set()  # whose referrers are in that list
        self.since = since
        self._is_checked = False  # a ping was answered
        self._key = key
        self._saved_requests = 0
        self._saved_at = self.at
        self._is_behind = key is not None  # what is stored is not what `known` says

    async def load(self) -> None:
        """Make `known` what the store holds of the repository."""
        if self._is_behind and self._key is not None:
            async with self.upstream.store.snapshot() as snapshot:
                self.known = await snapshot.read(load_known, self._key)
            self._is_behind = False

    @property
    def is_known(self) -> bool:
        """Whether the store knows the repository."""
        return self._key is not None

    def present(self) -> set[Digest]:
        """Return the digests that are known to be there."""
        return {digest for digest, artifact in self.known.artifacts.items() if artifact.is_present}

    def batch(self) -> Batch:
        """Return an empty batch for this repository's manifests."""
        return Batch(self.upstream, self.name, self.known.artifacts, self.patience)

    @property
    def batch_size(self) -> int:
        """How many tags or digests to ask for before what was seen is written down."""
        return self.upstream.pace.batch(self.upstream.looks)

    @property
    def is_late(self) -> bool:
        """Whether something was asked whose answer should be written down by now."""
        is_unsaved = self.patience.requests > self._saved_requests
        return is_unsaved and age_of(self._saved_at, self.upstream.clock()) >= SAVE_AFTER

    def _note_saved(self) -> None:
        requests, now = self.patience.requests, self.upstream.clock()
        self.upstream.pace.note(requests - self._saved_requests, age_of(self._saved_at, now))
        self._saved_requests, self._saved_at = requests, now

    async def settle(self, batch: Batch | None = None) -> None:
        """Write down what was seen, with the manifests of the batch, once for each batch.

        What is no news waits until it was as many requests, or as many seconds, as may be lost.

        `known` stays as it was: `load` it when what follows depends on it.
        """
        observed = self._observed()
        manifests = batch.manifests if batch is not None else []
        changes = plan_changes(self.known, observed, self.at)
        is_much = self.patience.requests - self._saved_requests >= self.batch_size
        if manifests or is_much or self.is_late or is_news(self.known, changes):
            await self._write(observed, changes, manifests)
        if batch is not None:
            self.tally.manifests += batch.count

    async def finish(
        self, *, is_finished: bool = False, is_absent: bool = False, failure: Failure | None = None
    ) -> None:
        """Write down the rest, and how the look ended."""
        observed = self._observed(is_finished, is_absent, failure)
        await self._write(observed, plan_changes(self.known, observed, self.at), ())

    def _observed(
        self, is_finished: bool = False, is_absent: bool = False, failure: Failure | None = None
    ) -> ObservedRepository:
        seen = self.seen
        return ObservedRepository(
            tags=seen.tags,
            listed_tags=seen.listed_tags,
            missing_tags=seen.missing_tags,
            artifacts=seen.artifacts,
            answered=seen.answered,
            missing=seen.missing,
            referrers=seen.referrers,
            told_tags=seen.told_tags,
            told_artifacts=seen.told_artifacts,
            is_complete=self.is_complete,
            is_finished=is_finished,
            is_absent=is_absent,
            failure=failure,
        )

    async def _write(
        self, observed: ObservedRepository, changes: RepositoryChanges, manifests: Sequence[NewManifest]
    ) -> None:
        store = self.upstream.store
        if self._key is None and not _shows_repository(observed):
            self.seen = Seen()
            return
        findings = Findings(self.upstream.key, self.name, changes, manifests)
        self._key = await store.write_together(write_findings, findings, weight=findings.weight)
        self._is_behind = True
        self._note_saved()
        for digest, artifact in observed.artifacts.items():
            if artifact.failure is not None:
                self.tally.add_trouble(self.name, digest, artifact.failure)
        for name, tag in observed.tags.items():
            if isinstance(tag, Failure):
                self.tally.add_trouble(self.name, name, tag)
        self.seen = Seen()

    async def check(self) -> None:
        """Nothing, if the registry has answered a ping in this look or does now; raises RegistryError if not.

        A proxy whose registry is away may answer 404 to whatever it is asked.
        """
        if not self._is_checked:
            await self.upstream.check()
            self._is_checked = True

    async def ask_whether_there(self, digests: Iterable[Digest]) -> list[Digest]:
        """HEAD each digest; note the answers as seen and return those that are there.

        Where no HEAD has been answered yet, or one was proved wrong, a refusal says nothing: each that is
        refused is got. Raises RegistryError where what was present is refused and no ping is answered.
        """
        there: list[Digest] = []
        gone: list[Digest] = []
        client, upstream = self.upstream.client, self.upstream

        async def head(digest: Digest) -> None:
            answer: object = await self.patience.ask(client.head_manifest(self.name, digest))
            if not isinstance(answer, Failure):
                upstream.refuses_heads = False
            elif answer.code in HEAD_REFUSALS and upstream.refuses_heads is not False:
                answer = await self.patience.ask(client.get_manifest(self.name, digest))
                if not isinstance(answer, Failure):
                    upstream.refuses_heads = True
            if not isinstance(answer, Failure):
                self.seen.answered.add(digest)
                there.append(digest)
            elif answer.code == RegistryUnknownError.code:
                gone.append(digest)
            else:
                self.tally.add_trouble(self.name, digest, answer)

        await drain(deque(digests), head, at_once=MAX_TASKS)
        if not self.present().isdisjoint(gone):
            await self.check()
        self.seen.missing.update(gone)
        return there


def _shows_repository(observed: ObservedRepository) -> bool:
    """Whether the registry has shown that there is such a repository: none is made up from a refusal."""
    return observed.listed_tags is not None or any(
        not isinstance(seen, Failure) for seen in observed.tags.values()
    )

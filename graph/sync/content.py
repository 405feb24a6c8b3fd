"""Get manifests and their configs, each once per registry, and hold them until they are stored.

Rules of this file: what a digest names is asked of the store before the registry; bytes that disagree with
their digest never come this far (the client refuses them); what cannot be read is a failure of that
artifact, not of the batch. A batch that holds MAX_BATCH_BYTES asks for nothing more before it is written;
what is under way already still comes in, MAX_BYTES_UNDER_WAY at most. All batches of a registry together hold
MAX_HELD_BYTES in the same way.

A config that is gone, malformed, too large or not what its digest says leaves its image without one. A config
that could not be had for another reason leaves the whole image for the next look, since nobody asks for the
config of a manifest that is stored.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from graph.errors import (
    ContentError,
    ContentTooLargeError,
    DigestMismatchError,
    MalformedManifestError,
    RegistryError,
    RegistryThrottledError,
    RegistryUnknownError,
)
from graph.oci.descriptor import Descriptor
from graph.oci.digest import Digest
from graph.oci.document import MAX_DOCUMENT_BYTES
from graph.oci.image import ImageSummary, summarize_image_config
from graph.oci.manifest import ImageManifest, Manifest, parse_manifest
from graph.oci.media_types import is_image_config
from graph.oci.reference import RepositoryName, TagName
from graph.registry.client import FetchedManifest
from graph.store.changes import Discovery, Failure, KnownArtifact, NewManifest
from graph.store.content import known_configs, known_manifests, put_manifests
from graph.sync.flight import drain
from graph.sync.pace import MAX_BATCH
from graph.sync.patience import OUT_OF_MANIFESTS, Patience, failure_of
from graph.sync.plan import PERMANENT_CODES, ObservedArtifact, needs_manifest
from graph.sync.upstream import Stored, Upstream

# Bytes of manifests and configs held before they are written, for each repository that is looked at: twice an
# ordinary batch (on Docker Hub in 2019 a manifest had 5.8 KB, a config 11 KB).
MAX_BATCH_BYTES = 16 * 1024 * 1024
# Bytes of manifests and configs that all batches of a registry hold together; past it each is written as soon
# as it holds anything. That is eight full batches; ordinary ones never come to it. Over it there may be what
# is under way then, and one manifest with its config for each repository: else none would come to its end.
MAX_HELD_BYTES = 128 * 1024 * 1024
# Bytes that may be under way to one batch: what it can grow by after it is full. That is sixteen times the
# largest document there may be: as many requests as the client makes at once unless set otherwise.
MAX_BYTES_UNDER_WAY = 128 * 1024 * 1024
_AT_ONCE = MAX_BYTES_UNDER_WAY // MAX_DOCUMENT_BYTES
# Tasks of one look at a repository. The client's own limit is what holds requests back; this bounds who
# waits.
MAX_TASKS = 64

_LASTING_CONFIG_FAILURES = frozenset(
    {
        RegistryUnknownError.code,
        MalformedManifestError.code,
        ContentTooLargeError.code,
        DigestMismatchError.code,
    }
)


class Batch:
    """Manifests of one repository that are fetched together and stored together.

    `artifacts` is what was seen, `manifests` what is to be stored once `complete` has run, `count` how many
    were read, those that are stored already because it was full included. A context manager:
    on leaving, what was not stored is given up, and others may fetch it.
    """

    def __init__(
        self,
        upstream: Upstream,
        repository: RepositoryName,
        known: Mapping[Digest, KnownArtifact],
        patience: Patience,
    ) -> None:
        self.artifacts: dict[Digest, ObservedArtifact] = {}
        self.subjects: dict[Digest, Digest | None] = {}  # of the manifests that were read
        self.borrowed: set[Digest] = set()  # bytes that another repository gave: are they in this one?
        self.manifests: list[NewManifest] = []
        self.count = 0
        self._upstream = upstream
        self._repository = repository
        self._known = known
        self._patience = patience
        self._fetched: dict[Digest, FetchedManifest] = {}  # not yet read
        self._size = 0
        self._under_way = asyncio.Semaphore(_AT_ONCE)
        self._manifest_claims: set[Digest] = set()
        self._config_claims: set[Digest] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    @property
    def is_full(self) -> bool:
        """Whether it holds as many bytes as may be held before a write, by itself or together with others."""
        return self._size >= MAX_BATCH_BYTES or (
            self._size > 0 and self._upstream.held_bytes >= MAX_HELD_BYTES
        )

    def _hold(self, size: int) -> None:
        self._size += size
        self._upstream.held_bytes += size

    def clear(self) -> None:
        """Let go of the bytes: they are stored, or given up."""
        self._upstream.manifests.release(self._manifest_claims)
        self._upstream.configs.release(self._config_claims)
        self._manifest_claims.clear()
        self._config_claims.clear()
        self._fetched.clear()
        self.manifests = []
        self._hold(-self._size)

    async def fetch(
        self, digests: Iterable[Digest], discovery: Discovery
    ) -> RegistryError | ContentError | None:
        """Get these manifests with their configs; return what ended that before its end, if anything did."""
        try:
            await self.get(digests, discovery)
            await self.complete()
        except (RegistryError, ContentError) as error:
            await self.salvage(error)
            return error
        return None

    async def salvage(self, error: RegistryError | ContentError) -> None:
        """Make what can be stored of what came before an error that ends the look; let go of the rest.

        Where it is manifests that are refused, as on Docker Hub, their configs may still be had: one after
        the other is asked for, until one is refused too. What failed meanwhile may have done so for the same
        reason: it is as if it had not been asked for.
        """
        is_asking = isinstance(error, RegistryThrottledError) and self._upstream.client.held_for <= 0
        with suppress(RegistryError, ContentError):
            await self.complete(at_once=1 if is_asking else 0)
        for digest, artifact in list(self.artifacts.items()):
            if artifact.failure is not None and artifact.failure.code not in PERMANENT_CODES:
                del self.artifacts[digest]

    async def flush(self) -> None:
        """Store what is held; no artifact becomes present by that."""
        await self.complete()
        await self._put()

    async def _put(self) -> None:
        upstream = self._upstream
        await upstream.store.write(put_manifests, upstream.key, self.manifests, upstream.clock())
        self.clear()

    def offer(self, fetched: FetchedManifest, discovery: Discovery) -> None:
        """Add a manifest that was fetched by tag; its bytes are kept only if they are news here."""
        digest = fetched.digest
        if digest in self.artifacts:
            return
        self._add(fetched, discovery)
        if digest in self._fetched and self._upstream.manifests.claim(digest):
            self._manifest_claims.add(digest)
            self._upstream.manifests.land(digest, fetched)

    def _add(self, fetched: FetchedManifest, discovery: Discovery) -> None:
        self.artifacts[fetched.digest] = ObservedArtifact(discovery, fetched.media_type, len(fetched.data))
        if needs_manifest(self._known.get(fetched.digest)):
            self._fetched[fetched.digest] = fetched
            self._hold(len(fetched.data))

    async def get(self, digests: Iterable[Digest], discovery: Discovery) -> None:
        """Get the manifests of these digests, from whoever fetches them already or from the registry.

        Those that are stored are believed. What could not be had has a failure in `artifacts`.
        """
        waiting = deque(digest for digest in dict.fromkeys(digests) if digest not in self.artifacts)
        while waiting:
            some = [waiting.popleft() for _ in range(min(MAX_BATCH, len(waiting)))]
            await self._get_some(some, discovery)
            waiting.extend(digest for digest in some if digest not in self.artifacts)
            if self.is_full:
                await self.flush()

    async def _get_some(self, digests: list[Digest], discovery: Discovery) -> None:
        flights = self._upstream.manifests
        own = [digest for digest in digests if flights.claim(digest)]
        self._manifest_claims.update(own)
        stored = await self._find_stored(known_manifests, own)
        for digest in stored:
            self._borrow(digest, Stored.STORED, discovery)
            flights.land(digest, Stored.STORED)

        async def fetch(digest: Digest) -> None:
            answer = await self.ask(digest)
            if answer is None:
                return
            if isinstance(answer, Failure):
                self.artifacts[digest] = ObservedArtifact(discovery, failure=answer)
            else:
                self._add(answer, discovery)
                flights.land(digest, answer)

        asked = deque(digest for digest in own if digest not in stored)
        await drain(asked, fetch, at_once=MAX_TASKS, until=lambda: self.is_full)
        given_up = [digest for digest in own if digest not in stored and digest not in self._fetched]
        flights.release(given_up)
        self._manifest_claims.difference_update(given_up)
        for digest in digests:
            if digest in self._manifest_claims or digest in self.artifacts:
                continue
            if (shared := await flights.wait(digest)) is not None:
                self._borrow(digest, shared, discovery)

    def _borrow(self, digest: Digest, shared: FetchedManifest | Stored, discovery: Discovery) -> None:
        self.borrowed.add(digest)
        if isinstance(shared, FetchedManifest):
            self._add(shared, discovery)
        else:
            self.artifacts[digest] = ObservedArtifact(discovery)

    async def ask(self, reference: TagName | Digest) -> FetchedManifest | Failure | None:
        """Ask the registry for a manifest; None if the batch became full first: nothing was asked."""
        async with self._under_way:
            if self.is_full:
                return None
            if not self._patience.take_manifest():
                return OUT_OF_MANIFESTS
            return await self._patience.ask(self._upstream.client.get_manifest(self._repository, reference))

    async def _find_stored(self, find: Callable[..., set[Digest]], digests: list[Digest]) -> set[Digest]:
        if not digests:
            return set()
        async with self._upstream.store.snapshot() as snapshot:
            return await snapshot.read(find, self._upstream.key, digests)

    async def complete(self, *, at_once: int = MAX_TASKS) -> None:
        """Read what was fetched, get the configs it needs, and put it into `manifests`.

        What lacks its config when an error ends that is as if it had not been fetched. `at_once` 0: no config
        is asked for.
        """
        waiting = deque(self._read())
        try:
            while waiting:
                some, size = _take_some(waiting, MAX_HELD_BYTES - self._upstream.held_bytes)
                self._hold(size)  # before they come: others reckon with it meanwhile
                await self._add_configs(some, at_once)
                if waiting:  # configs of more than MAX_BATCH_BYTES: nothing real
                    await self._put()
        except (RegistryError, ContentError):
            for fetched, _ in waiting:
                del self.artifacts[fetched.digest]
            raise

    def _read(self) -> list[tuple[FetchedManifest, Manifest]]:
        read = []
        for digest, fetched in self._fetched.items():
            try:
                manifest = parse_manifest(fetched.data, fetched.media_type, digest)
            except ContentError as error:
                self._fail(digest, failure_of(error))
                continue
            self.subjects[digest] = manifest.subject.digest if manifest.subject is not None else None
            read.append((fetched, manifest))
        self._fetched.clear()
        return read

    def _fail(self, digest: Digest, failure: Failure) -> None:
        seen = self.artifacts[digest]
        self.artifacts[digest] = ObservedArtifact(seen.discovery, seen.media_type, seen.size, failure)

    async def _add_configs(self, some: list[tuple[FetchedManifest, Manifest]], at_once: int) -> None:
        wanted = {
            config.digest: config for _, manifest in some if (config := image_config_of(manifest)) is not None
        }
        configs: dict[Digest, bytes | Stored | Failure] = {}
        error: RegistryError | ContentError | None = None
        try:
            await self._get_configs(wanted, configs, at_once)
        except (RegistryError, ContentError) as raised:
            error = raised
        for fetched, manifest in some:
            config = image_config_of(manifest)
            if config is not None and config.digest not in configs:
                del self.artifacts[manifest.digest]
                continue
            found = configs.get(config.digest) if config is not None else None
            if isinstance(found, Failure) and found.code not in _LASTING_CONFIG_FAILURES:
                self._fail(manifest.digest, found)
                continue
            parsed = _parse_config(found) if isinstance(found, bytes) else None
            data = found if isinstance(found, bytes) and parsed is not None else None
            self.manifests.append(NewManifest(manifest, fetched.data, parsed, data))
            self.count += 1
        if error is not None:
            raise error

    async def _get_configs(
        self,
        wanted: Mapping[Digest, Descriptor],
        configs: dict[Digest, bytes | Stored | Failure],
        at_once: int,
    ) -> None:
        """Get the configs, from whoever fetches them already or from the registry, those stored left out."""
        upstream, flights = self._upstream, self._upstream.configs
        if at_once == 0:
            configs.update(dict.fromkeys(await self._find_stored(known_configs, list(wanted)), Stored.STORED))
            return
        while missing := [digest for digest in wanted if digest not in configs]:
            own = [digest for digest in missing if flights.claim(digest)]
            self._config_claims.update(own)
            stored = await self._find_stored(known_configs, own)
            for digest in stored:
                configs[digest] = Stored.STORED
                flights.land(digest, Stored.STORED)

            async def fetch(digest: Digest) -> None:
                async with self._under_way:
                    answer = await self._patience.ask(
                        upstream.client.get_config(self._repository, wanted[digest])
                    )
                if isinstance(answer, bytes) and len(answer) > wanted[digest].size:
                    # Rooms were reckoned by what the descriptor said.
                    answer = Failure(ContentTooLargeError.code, "larger than its descriptor says")
                configs[digest] = answer
                if isinstance(answer, bytes):
                    flights.land(digest, answer)

            await drain(deque(digest for digest in own if digest not in stored), fetch, at_once=at_once)
            refused = [digest for digest in own if isinstance(configs[digest], Failure)]
            flights.release(refused)
            self._config_claims.difference_update(refused)
            for digest in missing:
                if digest not in configs and (shared := await flights.wait(digest)) is not None:
                    configs[digest] = shared


def image_config_of(manifest: Manifest) -> Descriptor | None:
    """Return the manifest's config if it is an image's; any other is opaque and never fetched."""
    if not isinstance(manifest, ImageManifest) or manifest.config is None:
        return None
    return manifest.config if is_image_config(manifest.config.media_type) else None


def _parse_config(data: bytes) -> ImageSummary | None:
    try:
        return summarize_image_config(data)
    except ContentError:
        return None


def _take_some(
    waiting: deque[tuple[FetchedManifest, Manifest]], room: int
) -> tuple[list[tuple[FetchedManifest, Manifest]], int]:
    """Take as many as their configs, by their own word, leave room for; one at least. Tell their bytes."""
    some: list[tuple[FetchedManifest, Manifest]] = []
    size = 0
    while waiting:
        config = image_config_of(waiting[0][1])
        # What says that it is larger is refused.
        more = min(config.size, MAX_DOCUMENT_BYTES) if config is not None else 0
        if some and size + more > min(room, MAX_BATCH_BYTES):
            break
        size += more
        some.append(waiting.popleft())
    return some, size

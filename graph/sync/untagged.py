"""Look at what no tag names: the children of indexes, what was tagged once, and what refers to something.

Rules of this file: it asks; `plan.py` decides whom. A child that answers 404 is written down as absent, so
that the index that lists it does not make every crawl ask again. A referrer counts once its own manifest
names the subject: what a list claims is only a reason to look.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from graph.errors import RegistryProtocolError, RegistryUnknownError, RegistryUnsupportedError
from graph.oci.digest import Digest
from graph.registry.capability import Capability, CapabilityState
from graph.store.changes import Discovery, Failure
from graph.store.content import load_subjects
from graph.sync.content import MAX_TASKS, Batch
from graph.sync.flight import drain
from graph.sync.look import Look
from graph.sync.plan import needs_manifest, plan_children, plan_roots, plan_subjects, plan_unlisted

UNVERIFIED = Failure(
    RegistryProtocolError.code, "it is listed as a referrer, but its manifest names another subject or none"
)


async def observe_children(look: Look, seen_before: set[Digest]) -> None:
    """See the children of indexes that are not known yet, and theirs.

    An absent child is asked for again if its index was not in `seen_before`.
    """
    while True:
        wanted = plan_children(look.known, look.at, seen_before=seen_before, asked=look.asked)
        if not wanted:
            return
        look.asked.update(wanted)
        absent = [digest for digest in wanted if _is_absent(look, digest)]
        there = await look.ask_whether_there(absent)
        await look.settle()
        artifacts, gone = look.known.artifacts, set(absent).difference(there)
        bare = [d for d in wanted if d not in gone and needs_manifest(artifacts.get(d))]
        await _get(look, bare, Discovery.CHILD)
        await look.load()


def _is_absent(look: Look, digest: Digest) -> bool:
    artifact = look.known.artifacts.get(digest)
    return artifact is not None and not artifact.is_present


async def _get(look: Look, digests: Sequence[Digest], discovery: Discovery) -> None:
    """Get manifests by digest and write down what came."""
    for some in _in_batches(look, digests):
        async with look.batch() as batch:
            error = await batch.fetch(some, discovery)
            # That another repository has the bytes does not say that this one does.
            borrowed = batch.borrowed - look.seen.answered
            there = [] if error is not None else await look.ask_whether_there(borrowed)
            gone = borrowed.difference(there)
            for digest, artifact in batch.artifacts.items():
                if digest in gone:
                    continue
                if artifact.failure is not None and artifact.failure.code == RegistryUnknownError.code:
                    look.seen.missing.add(digest)
                else:
                    look.seen.artifacts[digest] = artifact
            await look.settle(batch)
        if error is not None:
            raise error


def _in_batches(look: Look, digests: Sequence[Digest]) -> Iterator[Sequence[Digest]]:
    start = 0
    while start < len(digests):
        size = look.batch_size  # it changes with what was saved
        yield digests[start : start + size]
        start += size


async def observe_roots(look: Look) -> None:
    """See whether the untagged artifacts that nothing vouches for are still there.

    When one is gone, what it vouched for is asked for too.
    """
    while True:
        roots = plan_roots(look.known, asked=look.asked, since=look.since)
        if not roots:
            return
        look.asked.update(roots)
        bare = [digest for digest in roots if needs_manifest(look.known.artifacts[digest])]
        for some in _in_batches(look, [digest for digest in roots if digest not in bare]):
            await look.ask_whether_there(some)
            await look.settle()
        await _get(look, bare, Discovery.TAG)
        await look.settle()
        await look.load()


async def observe_referrers(look: Look, seen_before: set[Digest]) -> None:
    """See what refers to what is present, where the registry tells: referrers of referrers too."""
    asked = set(look.told_referrers)
    while may_list_referrers(look):
        subjects = plan_subjects(look.known, look.at, look.upstream.referrers_max_age, asked=asked)
        if not subjects:
            return
        asked.update(subjects)
        for some in _in_batches(look, subjects):
            await list_referrers(look, some)
        await look.load()
        await observe_children(look, seen_before)


def may_list_referrers(look: Look) -> bool:
    """Tell whether the registry may list referrers: not yet asked counts as yes."""
    return look.upstream.client.capabilities[Capability.REFERRERS] is not CapabilityState.UNSUPPORTED


async def list_referrers(look: Look, subjects: Iterable[Digest]) -> bool:
    """See what refers to these subjects, a batch of them, and write down what is news.

    Tell whether the registry listed any of them.
    """
    listed: dict[Digest, list[Digest]] = {}

    async def ask(subject: Digest) -> None:
        answer = await look.patience.ask(look.upstream.client.list_referrers(look.name, subject))
        if not isinstance(answer, Failure):
            listed[subject] = [descriptor.digest for descriptor in answer]
        elif answer.code != RegistryUnsupportedError.code:
            look.tally.add_trouble(look.name, subject, answer)

    await drain(deque(subjects), ask, at_once=MAX_TASKS, until=lambda: not may_list_referrers(look))
    named = dict.fromkeys(digest for digests in listed.values() for digest in digests)
    wanted = [
        digest
        for digest in named
        if _is_absent(look, digest) or needs_manifest(look.known.artifacts.get(digest))
    ]
    async with look.batch() as batch:
        await batch.get(wanted, Discovery.REFERRER)
        await batch.complete()
        _note(look, batch, listed, await _subjects_of(look, batch, named))
        await look.ask_whether_there(plan_unlisted(look.known, listed))
        await look.settle(batch)
    return bool(listed)


async def _subjects_of(look: Look, batch: Batch, digests: Iterable[Digest]) -> dict[Digest, Digest | None]:
    """What each of the manifests names as its subject; those that could not be had are left out."""
    subjects = dict(batch.subjects)
    elsewhere: list[Digest] = []  # stored for another repository
    for digest in digests:
        known = look.known.artifacts.get(digest)
        if digest in subjects:
            continue
        if known is not None and known.has_manifest:
            subjects[digest] = known.subject
        elif digest in batch.artifacts and batch.artifacts[digest].failure is None:
            elsewhere.append(digest)
    if elsewhere:
        async with look.upstream.store.snapshot() as snapshot:
            subjects.update(await snapshot.read(load_subjects, look.upstream.key, elsewhere))
    return subjects


def _note(
    look: Look,
    batch: Batch,
    listed: Mapping[Digest, Sequence[Digest]],
    subjects: Mapping[Digest, Digest | None],
) -> None:
    """Keep the referrers that name their subject, and those that could not be read."""
    seen = look.seen
    for subject, digests in listed.items():
        seen.referrers[subject] = [digest for digest in digests if subjects.get(digest) == subject]
        for digest in digests:
            if digest in subjects and subjects[digest] != subject:
                look.tally.add_trouble(look.name, digest, UNVERIFIED)
    verified = {digest for digests in seen.referrers.values() for digest in digests}
    for digest, artifact in batch.artifacts.items():
        failure = artifact.failure
        if digest in verified or (failure is not None and failure.code != RegistryUnknownError.code):
            seen.artifacts[digest] = artifact

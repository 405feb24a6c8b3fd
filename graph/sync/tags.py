"""Look at a repository's tags: which there are, what each names, and the manifests that are news.

Rules of this file: it asks; `plan.py` decides how. A tag is asked for once in a look. Whether the list was
read to its end is kept with it, and only the whole list makes a tag absent. A list that holds what is no name
may lack what is there: each known tag that it leaves out is asked for.
"""

from collections import deque
from collections.abc import Collection, Sequence
from enum import Enum
from functools import partial

from graph.errors import (
    ContentError,
    DigestMismatchError,
    DoubtfulListError,
    RegistryError,
    RegistryUnknownError,
)
from graph.oci.digest import Digest
from graph.oci.reference import TagName
from graph.registry.entries import ListedManifest, ListedTag
from graph.store.changes import Discovery, Failure, Told
from graph.sync.content import MAX_TASKS, Batch
from graph.sync.flight import drain
from graph.sync.look import HEAD_REFUSALS, Look
from graph.sync.plan import Question, is_refusal_known, is_seen_since, needs_manifest, question_of

# Why what a HEAD named is no artifact.
_NOT_NAMED = frozenset({RegistryUnknownError.code, DigestMismatchError.code})


class InCatalog(Enum):
    """What the catalog says of a repository."""

    LISTED = "LISTED"
    MISSING = "MISSING"  # read to its end, it does not name it
    UNKNOWN = "UNKNOWN"  # not read, or not to its end


async def observe_tags(look: Look, in_catalog: InCatalog) -> RegistryError | ContentError | None:
    """See every tag; return why the list was cut short, if it was.

    Raises RegistryUnknownError when the registry has no list for the repository and the catalog does not name
    it, and any error after which there is nothing to go on with.
    """
    pages = look.upstream.client.list_tags(look.name)
    waiting: deque[ListedTag] = deque()
    # Behind what is new: a registry may refuse each look before its end, and would never get there.
    known: deque[ListedTag] = deque()
    listed: set[TagName] = set()
    cut_short: RegistryError | ContentError | None = None
    is_doubtful = False
    while True:
        try:
            page = await anext(pages)
        except StopAsyncIteration:
            break
        except RegistryUnknownError as error:
            # distribution 2.8.2 says this of a repository that holds untagged manifests only, which it names
            # in its catalog all the same.
            if in_catalog is not InCatalog.LISTED:
                raise
            if not error.codes:  # not in the words of the specification: is it the registry that says so?
                await look.check()
            break
        except DoubtfulListError as error:
            is_doubtful = True
            cut_short = None if listed else error
            break
        except (RegistryError, ContentError) as error:
            if error.retryable or not listed:
                raise
            cut_short = error
            break
        fresh = {tag.name: tag for tag in page if tag.name not in listed}
        for tag in fresh.values():
            if tag.name not in look.known.tags:
                waiting.append(tag)
            elif not is_seen_since(look.known, tag.name, look.since):
                known.append(tag)
        listed.update(fresh)
        look.tally.tags += len(fresh)
        while len(waiting) >= look.batch_size:
            await _observe_some(look, waiting)
    waiting.extend(known)
    while waiting:
        await _observe_some(look, waiting)
    if is_doubtful:
        await _ask_for_others(look, listed)
        listed.update(look.known.tags)
    if cut_short is None:
        look.seen.listed_tags = listed
    await look.settle()
    return cut_short


async def _ask_for_others(look: Look, listed: Collection[TagName]) -> None:
    """Ask for the known tags that a list of doubtful worth left out: only who answers 404 is gone."""
    waiting = deque(
        ListedTag(name)
        for name in look.known.tags
        if name not in listed and not is_seen_since(look.known, name, look.since)
    )
    while waiting:
        await _observe_some(look, waiting, is_listed=False)


async def _observe_some(look: Look, waiting: deque[ListedTag], *, is_listed: bool = True) -> None:
    chunk = [waiting.popleft() for _ in range(min(look.batch_size, len(waiting)))]
    tags = await observe_named(look, chunk, is_listed=is_listed)
    waiting.extendleft(reversed([tag for tag in chunk if tag.name not in tags]))


async def observe_named(
    look: Look, listed: Sequence[ListedTag], *, is_listed: bool = True
) -> dict[TagName, Digest | Failure]:
    """See these tags, a batch of them, and write down what is news; return what each names.

    Where that takes long some are left out, for the next batch.

    One that was listed with its digest is not asked for. One that HEAD refuses as a GET has before is got
    only where a GET of another has just given what HEAD refused: there a refusal says nothing. A tag that is
    listed and answers 404 is there and cannot be read; one that is not listed is not there, if the registry
    answers a ping.

    Raises what ends the look, after writing down what came before.
    """
    tags: dict[TagName, Digest | Failure] = {
        tag.name: digest for tag in listed if (digest := _believable(tag.digest)) is not None
    }
    error: RegistryError | ContentError | None = None
    async with look.batch() as batch:
        try:
            await _ask(look, batch, tags, deque(tag.name for tag in listed if tag.name not in tags))
        except (RegistryError, ContentError) as raised:
            error = raised
            await batch.salvage(error)
            tags = {name: seen for name, seen in tags.items() if _is_had(look, batch, seen)}
        gone = set() if is_listed else {name for name, seen in tags.items() if _is_unknown(seen)}
        try:
            if gone:
                await look.check()
            look.seen.missing_tags.update(gone)
        except RegistryError as raised:
            error = error or raised
        look.seen.tags.update((name, seen) for name, seen in tags.items() if name not in gone)
        look.seen.artifacts.update(batch.artifacts)
        look.seen.told_tags.update(
            (tag.name, told) for tag in listed if tag.name in tags and (told := told_of(tag)) is not None
        )
        await look.settle(batch)
    if error is not None:
        raise error
    return tags


async def _ask(
    look: Look, batch: Batch, tags: dict[TagName, Digest | Failure], waiting: deque[TagName]
) -> None:
    """Ask what these tags name, until that takes long, and get the manifests that are news."""
    left: deque[TagName] = deque()  # to be got once the batch has room
    doubted: deque[TagName] = deque()  # refused by HEAD, as by a GET before

    def is_late() -> bool:
        return bool(tags) and look.is_late

    while (waiting or left) and not is_late():
        for names, see in (
            (left, partial(_get_tag, look, batch, tags, left)),
            (waiting, partial(_observe_tag, look, batch, tags, left, doubted)),
        ):
            await drain(names, see, at_once=MAX_TASKS, until=lambda: batch.is_full or is_late())
        if batch.is_full:
            await batch.flush()
    if look.upstream.refuses_heads:
        await _get_tags(look, batch, tags, doubted)
    await _get_news(look, batch, tags)
    await batch.complete()


def _is_had(look: Look, batch: Batch, seen: Digest | Failure) -> bool:
    """Whether the tag names what can be written down, now that the look ends with an error."""
    if isinstance(seen, Failure):
        return False
    return seen in batch.artifacts or not needs_manifest(look.known.artifacts.get(seen))


def _is_unknown(seen: Digest | Failure) -> bool:
    return isinstance(seen, Failure) and seen.code == RegistryUnknownError.code


def told_of(entry: ListedTag | ListedManifest) -> Told | None:
    """What a list tells of its entry besides what it is, if it tells anything."""
    told = Told(entry.pushed_at, entry.changed_at, entry.locks)
    return None if told == Told() else told


async def _observe_tag(
    look: Look,
    batch: Batch,
    tags: dict[TagName, Digest | Failure],
    left: deque[TagName],
    doubted: deque[TagName],
    name: TagName,
) -> None:
    upstream = look.upstream
    is_refused = False
    if question_of(look.known, name, counts_pulls=upstream.client.dialect.counts_pulls) is Question.HEAD:
        head = await look.patience.ask(upstream.client.head_manifest(look.name, name))
        if isinstance(head, Failure):
            is_refused = head.code in HEAD_REFUSALS
            is_known = is_refused and is_refusal_known(look.known, name, head)
            if is_known:
                doubted.append(name)
            if is_known or not is_refused:
                tags[name] = head
                return
        else:
            upstream.refuses_heads = False
            if (digest := _believable(head.digest)) is not None:
                tags[name] = digest
                return
            look.tally.heads_without_digest += 1
    await _get_tag(look, batch, tags, left, name)
    if is_refused and isinstance(tags.get(name), str):
        upstream.refuses_heads = True


def _believable(digest: Digest | None) -> Digest | None:
    # A tag is known by the digest that we computed of its bytes, which is a sha256; a registry may name it by
    # another algorithm (distribution-spec, "Pulling manifests"), and that would look like a move.
    return digest if digest is not None and digest.startswith("sha256:") else None


async def _get_tag(
    look: Look, batch: Batch, tags: dict[TagName, Digest | Failure], left: deque[TagName], name: TagName
) -> None:
    answer = await batch.ask(name)
    if answer is None:
        left.append(name)
    elif isinstance(answer, Failure):
        tags[name] = answer
    else:
        tags[name] = answer.digest
        batch.offer(answer, Discovery.TAG)


async def _get_news(look: Look, batch: Batch, tags: dict[TagName, Digest | Failure]) -> None:
    """Get what a HEAD named and nobody has; by tag where the registry does not know its own digest, or gives
    other bytes for it."""
    named = {name: digest for name, digest in tags.items() if not isinstance(digest, Failure)}
    wanted = [digest for digest in named.values() if needs_manifest(look.known.artifacts.get(digest))]
    await batch.get(wanted, Discovery.TAG)
    unknown = {
        digest
        for digest in wanted
        if (failure := batch.artifacts[digest].failure) is not None and failure.code in _NOT_NAMED
    }
    for digest in unknown:
        del batch.artifacts[digest]
    # A header that is wrong, or a tag that moved since.
    await _get_tags(look, batch, tags, deque(name for name, digest in named.items() if digest in unknown))


async def _get_tags(
    look: Look, batch: Batch, tags: dict[TagName, Digest | Failure], left: deque[TagName]
) -> None:
    while left:
        if batch.is_full:
            await batch.flush()
        get = partial(_get_tag, look, batch, tags, left)
        await drain(left, get, at_once=MAX_TASKS, until=lambda: batch.is_full)

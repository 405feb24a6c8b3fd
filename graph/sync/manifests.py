"""Look at the list of all manifests, where the registry has one: then nothing has to be asked one by one.

Rules of this file: only a list that was read to its end makes a manifest absent, and one that a tag has just
named is there whatever the list said before. What is listed is there, so that what another repository has
read is not asked for again; and whatever refers to something is listed too, so that lists of referrers tell
nothing more. Where that is not so for some, what refers to these is asked for as anywhere.
"""

from graph.errors import ContentError, RegistryError, RegistryUnknownError, RegistryUnsupportedError
from graph.oci.digest import Digest
from graph.registry.capability import Capability, CapabilityState
from graph.registry.entries import ListedManifest
from graph.store.changes import Discovery, Failure
from graph.sync.look import Look
from graph.sync.patience import failure_of
from graph.sync.plan import needs_manifest, refers_to_any
from graph.sync.tags import told_of


async def observe_manifests(look: Look) -> bool:
    """See every manifest that the registry lists; tell whether that was all there is.

    False where it has no such list, or where that was cut short or lacks what a tag has just named: then
    there may be more.
    """
    capabilities = look.upstream.client.capabilities
    if capabilities[Capability.UNTAGGED_LISTING] is not CapabilityState.SUPPORTED:
        return False
    listed: dict[Digest, ListedManifest] = {}
    try:
        async for page in look.upstream.client.list_manifests(look.name):
            listed.update((manifest.digest, manifest) for manifest in page)
    except (RegistryUnknownError, RegistryUnsupportedError):
        return False
    except (RegistryError, ContentError) as error:
        if error.retryable:
            raise
        look.tally.add_trouble(look.name, "", failure_of(error))
        return False
    await look.load()
    tags = look.known.tags.values()
    # Gitea, which lists no digest with its tags, lists here what has none.
    has_tagged = capabilities[Capability.TAG_DIGESTS] is CapabilityState.SUPPORTED
    if has_tagged and any(tag.error_code is None and tag.digest not in listed for tag in tags):
        return False
    await _see(look, listed)
    tagged = {tag.digest for tag in tags}
    apart = {digest for digest, manifest in listed.items() if not manifest.lists_referrers}
    untold = {digest for digest in look.present() if refers_to_any(look.known, digest, apart)}
    look.seen.missing.update(look.present() - listed.keys() - tagged - untold)
    look.seen.referrers.update(dict.fromkeys(listed.keys() - apart, ()))
    look.told_referrers = (look.present() | listed.keys()) - apart - untold
    look.is_complete = True
    await look.settle()
    return True


async def _see(look: Look, listed: dict[Digest, ListedManifest]) -> None:
    """Note what is listed, and get what nobody has read yet."""
    artifacts = look.known.artifacts
    gone: set[Digest] = set()
    wanted = [digest for digest in listed if needs_manifest(artifacts.get(digest))]
    start = 0
    while start < len(wanted):
        size = look.batch_size
        async with look.batch() as batch:
            some = wanted[start : start + size]
            start += size
            error = await batch.fetch(some, Discovery.LISTED)
            for digest, artifact in batch.artifacts.items():
                failure = artifact.failure
                if isinstance(failure, Failure) and failure.code == RegistryUnknownError.code:
                    gone.add(digest)  # deleted since it was listed
                    continue
                look.seen.artifacts[digest] = artifact
            await look.settle(batch)
        if error is not None:
            raise error
    # What was written down above is known by now: all that is listed goes down once more, with what is told.
    await look.load()
    look.seen.answered.update(listed.keys() - gone)
    look.seen.told_artifacts.update(
        (digest, told) for digest, manifest in listed.items() if (told := told_of(manifest)) is not None
    )

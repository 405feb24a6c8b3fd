"""Puts drawn registries into stores, by the write side or by a real crawl, and asks the graph about them.

Rules of this file: nothing of `graph` is replaced, and no figure is worked out here: what is expected comes
from `oracle.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from hypothesis import HealthCheck, settings

from answers_checked import Asked
from builders import Built
from fakes.sync_rig import Rig, open_rig
from graph.oci.digest import Digest
from graph.oci.reference import RegistryName, RepositoryName, TagName
from graph.sample import SampleRegistry
from graph.schema.context import Registries
from graph.schema.definition import GraphSchema, build_schema
from graph.store.changes import (
    ArtifactChange,
    ConfiguredRegistry,
    Discovery,
    RepositoryChanges,
    TagChange,
)
from graph.store.content import put_manifests
from graph.store.engine import Store, open_store
from graph.store.observations import set_catalog_page, set_registries, set_repository
from graph.store.recount import recount
from graph.store.registries import load_registries
from graph.store.visibility import Visibility
from oracle import Oracle, Repository
from registries import Drawn, Place, oracle_of
from requests_to_graph import WIDE, Graph
from store_builders import NOW
from store_writes import fetched

SCHEMA: GraphSchema = build_schema(WIDE)

# Every example opens a store of its own, and a busy machine is not a broken rule. The same examples each
# time: a failure that one machine finds, every machine finds.
QUICK = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

Check = Callable[[Graph], Awaitable[None]]


def names_of(drawn: Sequence[Drawn]) -> list[str]:
    """The names of the registries, in order; the first is the one that is meant when none is named."""
    return [f"registry{number}.test" for number, _ in enumerate(drawn)]


def fill_store(store: Store, drawn: Sequence[Drawn]) -> None:
    """Put the registries into an empty store: each repository is looked at twice, as it was and as it is."""
    configured = [ConfiguredRegistry(RegistryName(name), f"http://{name}", "oci") for name in names_of(drawn)]
    with store.transaction() as db:
        keys = set_registries(db, configured, NOW)
        for key, registry in zip(keys, drawn, strict=True):
            put_manifests(db, key, [fetched(built) for built in registry.known], NOW)
            names = [RepositoryName(name) for name in registry.places]
            repositories = set_catalog_page(db, key, names, NOW)
            for repository, place in zip(repositories, registry.places.values(), strict=True):
                for changes in looks_at(place):
                    set_repository(db, repository, changes)


def looks_at(place: Place) -> list[RepositoryChanges]:
    """What two looks find: the second sees tags move and end, and what is gone."""
    before = [TagChange(TagName(tag), Digest(built.digest)) for tag, built in place.before.items()]
    now = [TagChange(TagName(tag), Digest(built.digest)) for tag, built in place.tags.items()]
    held = [
        ArtifactChange(Digest(built.digest), Discovery.LISTED, size=built.size)
        for built in (*place.present, *place.absent)
    ]
    return [
        RepositoryChanges(NOW, tags=before, present=held, is_tag_list_complete=True),
        RepositoryChanges(
            NOW + timedelta(seconds=1),
            tags=now,
            absent_tags=[TagName(tag) for tag in place.before if tag not in place.tags],
            observed=[Digest(built.digest) for built in place.present],
            absent=[Digest(built.digest) for built in place.absent],
            is_tag_list_complete=True,
            is_crawled=True,
            completeness="COMPLETE",
        ),
    ]


def ask_store(drawn: Sequence[Drawn], check: Check) -> None:
    """Fill a store with the registries, and run the check on it."""
    store = open_store(":memory:")
    try:
        fill_store(store, drawn)
        with store.transaction() as db:
            assert [] == recount(db)
            rows = load_registries(db, Visibility.everything())
        graph = Graph(store, Registries(rows, {row.key: NOW for row in rows}), SCHEMA)
        asyncio.run(_run(check, graph))
    finally:
        store.close()


async def _run(check: Check, graph: Graph) -> None:
    await check(graph)


def asked_of(drawn: Sequence[Drawn]) -> Asked:
    """What must be answered about the registries that `ask_store` puts into a store."""
    return Asked({name: each.oracle() for name, each in zip(names_of(drawn), drawn, strict=True)})


def fill_registry(registry: SampleRegistry, drawn: Drawn) -> None:
    """Put the contents of every repository, with the tags as they were before."""
    for name, place in drawn.places.items():
        registry.put_repository(name)
        for built in (*place.present, *place.absent):
            for blob in built.blobs:
                registry.put_blob(name, blob.data)
            registry.put_manifest(name, built.data, built.media_type)
        for tag, built in place.before.items():
            registry.set_tag(name, tag, built.digest)


def change_registry(registry: SampleRegistry, drawn: Drawn) -> None:
    """Delete what is gone, and let the tags be what they are in the end."""
    for name, place in drawn.places.items():
        for built in place.absent:
            registry.delete_manifest(name, built.digest)
        for tag in sorted(registry.repositories[name].tags):
            registry.delete_tag(name, tag)
        for tag, built in place.tags.items():
            registry.set_tag(name, tag, built.digest)


def oracle_of_crawl(rig: Rig, contents: Sequence[Built]) -> Oracle:
    """What follows from the tags and manifests that a crawl saw, and from the bytes of these."""
    seen = rig.dump()
    repositories = {
        name: Repository(is_seen=not is_unseen)
        for name, is_present, *_, is_unseen, _ in seen["repositories"]
        if is_present
    }
    for name, tag, digest, _, is_present in seen["tags"]:
        if is_present and digest is not None:
            repositories[name].tags[tag] = digest
    for name, digest, is_present, *_ in seen["artifacts"]:
        if name not in repositories:
            assert not is_present
            continue
        found = repositories[name]
        (found.present if is_present else found.absent).add(digest)
    fetched_digests = {row[0] for row in seen["manifests"]}
    return oracle_of(repositories, [built for built in contents if built.digest in fetched_digests])


def ask_crawl(drawn: Drawn, check: Callable[[Graph, Asked], Awaitable[None]]) -> None:
    """Crawl a registry before and after its tags move, and run the check on what is stored then."""

    async def run() -> None:
        registry = SampleRegistry(page_size=3)
        fill_registry(registry, drawn)
        async with open_rig(registry) as rig:
            await rig.crawl()
            change_registry(registry, drawn)
            await rig.crawl()
            assert [] == rig.recount()
            for name, held in registry.repositories.items():
                assert held.tags == rig.tags(name)
                assert rig.artifacts(name).keys() <= held.manifests.keys()
            await check(*ask_rig(rig, drawn.contents))

    asyncio.run(run())


def ask_rig(rig: Rig, contents: Sequence[Built]) -> tuple[Graph, Asked]:
    """The graph over what a rig has stored, and what it must answer."""
    rows = rig.read(load_registries, Visibility.everything())
    graph = Graph(rig.store, Registries(rows, {row.key: NOW for row in rows}), SCHEMA)
    return graph, Asked({rows[0].name: oracle_of_crawl(rig, contents)})

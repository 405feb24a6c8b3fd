"""Reading by keys and names: aligned with what was asked, by one statement, every value in its place."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import zstandard
from sqlalchemy import Connection

from graph.errors import QueryTooCostlyError, StoreError
from graph.oci.document import MAX_DOCUMENT_BYTES
from graph.oci.kind import ArtifactKind
from graph.oci.liveness import Untagged
from graph.oci.locks import Locks
from graph.store.artifacts import (
    count_artifacts,
    count_layer_artifacts,
    count_registry_artifacts,
    find_artifacts,
    load_artifacts,
)
from graph.store.documents import decompress
from graph.store.layers import count_layers, count_repository_layers, find_layers, load_layers
from graph.store.manifests import (
    load_configs,
    load_documents,
    load_manifest_children,
    load_manifest_layers,
    load_manifests,
)
from graph.store.namespaces import count_namespaces, find_namespaces, load_namespaces
from graph.store.referrers import MAX_PLATFORMS, count_referrers, find_subjects, load_platforms
from graph.store.registries import load_registries, load_registry_statuses
from graph.store.repositories import (
    count_layer_repositories,
    count_namespace_repositories,
    count_repositories,
    find_repositories,
    load_repositories,
)
from graph.store.rows import (
    ArtifactRow,
    Completeness,
    LayerRow,
    ManifestChildRow,
    ManifestForm,
    ManifestLayerRow,
    ManifestRow,
    NamespaceRow,
    RegistryRow,
    RegistryStatus,
    RepositoryRow,
    SyncState,
    TagRow,
)
from graph.store.tags import count_artifact_tags, count_tags, find_tags, load_tags
from store_builders import ENGINES, NOW, StoreBuilder, filled_store, recorded_statements
from store_lists import EVERYTHING, varied_store

BUILD = varied_store()


@pytest.fixture(scope="module", params=ENGINES)
def db(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A store that holds the rows of BUILD."""
    with filled_store(varied_store(), request.param) as db:
        yield db


@pytest.mark.parametrize(
    ("load", "key"),
    [
        (load_repositories, 1),
        (load_namespaces, 1),
        (load_tags, 1),
        (load_artifacts, 1),
        (load_layers, 1),
        (load_manifests, BUILD.row("artifact", 1)["manifest_id"]),
        (load_registry_statuses, 1),
        (load_documents, BUILD.row("artifact", 1)["manifest_id"]),
    ],
)
def test_load(db: Connection, load: Callable[..., list[Any]], key: int) -> None:
    """Rows come in the order of the keys, repeated ones repeated, unknown ones None, by one statement."""
    [row] = load(db, EVERYTHING, [key])
    with recorded_statements(db) as statements:
        assert [None, row, None, row] == load(db, EVERYTHING, [10**15, key, -1, key])
    assert 1 == len(statements)
    assert row is not None
    assert [] == load(db, EVERYTHING, [])


@pytest.mark.parametrize(
    ("find", "owner", "name"),
    [
        (find_repositories, 1, "b/a"),
        (find_namespaces, 1, "b"),
        (find_tags, 1, "v1.9"),
        (find_artifacts, 1, BUILD.row("blob", BUILD.row("artifact", 1)["manifest_id"])["digest"]),
        (find_layers, 1, BUILD.row("blob", 1)["digest"]),
    ],
)
def test_find(db: Connection, find: Callable[..., list[Any]], owner: int, name: str) -> None:
    """Names are found where they belong, to the letter, in the order asked, by one statement."""
    [row] = find(db, EVERYTHING, [(owner, name)])
    asked = [(owner, "nothing"), (owner, name), (99, name), (owner, name.upper()), (owner, name), (owner, "")]
    with recorded_statements(db) as statements:
        assert [None, row, None, None, row, None] == find(db, EVERYTHING, asked)
    assert 1 == len(statements)
    assert name == getattr(row, "name", getattr(row, "digest", None))
    assert [] == find(db, EVERYTHING, [])


@pytest.mark.parametrize(
    ("count", "keys", "expected"),
    [
        (count_repositories, [1, 2, 99], [9, 1, 0]),
        (count_namespace_repositories, [99], [0]),
        (count_layer_repositories, [1, 99], [4, 0]),
        (count_namespaces, [1, 2], [2, 1]),
        (count_tags, [1, 2, 3], [7, 2, 0]),
        (count_artifact_tags, [1, 2, 7, 4], [3, 1, 2, 0]),
        (count_artifacts, [1, 6], [9, 0]),
        (count_registry_artifacts, [2], [1]),
        (count_layer_artifacts, [1, 5], [8, 2]),
        (count_layers, [2, 1], [1, 7]),
        (count_repository_layers, [1, 6], [6, 0]),
        (count_referrers, [1, 2], [3, 0]),
    ],
)
def test_count(db: Connection, count: Callable[..., list[int]], keys: list[int], expected: list[int]) -> None:
    """Counts are aligned with their parents, by one statement."""
    with recorded_statements(db) as statements:
        assert expected + expected[:1] == count(db, EVERYTHING, keys + keys[:1])
    assert 1 == len(statements)


def test_absent(db: Connection) -> None:
    """What is absent is found by its key or its name, and says since when; an absent tag only by its key."""
    [repository] = load_repositories(db, EVERYTHING, [6])
    assert [repository] == find_repositories(db, EVERYTHING, [(1, "é")])
    assert repository is not None
    assert NOW == repository.absent_at
    [artifact] = load_artifacts(db, EVERYTHING, [4])
    assert artifact is not None
    assert [artifact] == find_artifacts(db, EVERYTHING, [(1, artifact.digest)])
    assert NOW == artifact.absent_at
    [tag] = load_tags(db, EVERYTHING, [7])
    assert tag is not None
    assert NOW == tag.absent_at
    assert [None] == find_tags(db, EVERYTHING, [(1, "gone")])


def _detailed() -> StoreBuilder:
    build = StoreBuilder()
    registry = build.registry(
        "one.example", capabilities='{"REFERRERS": "SUPPORTED"}', catalog_observed_at=NOW
    )
    repository = build.repository(
        registry,
        "a/b/c",
        completeness="BEST_EFFORT",
        observed_at=NOW,
        crawled_at=NOW,
        error_code="X",
        error_message="y",
    )
    other = build.repository(
        registry, "z", completeness="COMPLETE", observed_at=NOW - timedelta(days=1), crawled_at=NOW
    )
    base = build.layer(registry, 1000)
    top = build.layer(registry, None)
    subject = build.blob(registry, None)
    image = build.manifest(
        registry,
        [base, top, base],
        config=b'{"os": "linux"}',
        data=b'{"a": 1}',
        schema_version=2,
        artifact_type="text/plain",
        annotations='{"k": "v"}',
        subject_id=subject,
        variant="v8",
        os_version="1.2",
    )
    build.rows["manifest_layer"][2].update(claimed_size=7, annotations='{"l": "w"}')
    attestation, missing = build.manifest(registry), build.blob(registry, 5)
    index = build.manifest(
        registry,
        children=[
            {"child_id": image, "os": "linux", "architecture": "arm64", "variant": "v8", "os_version": "1"},
            {"child_id": attestation, "is_attestation": True},
            {"child_id": missing, "claimed_size": 6, "annotations": '{"m": "n"}'},
        ],
    )
    found = build.artifact(
        repository,
        image,
        kind="SBOM",
        artifact_type="text/plain",
        os="linux",
        architecture="arm64",
        size=2000,
        untagged="REFERRER",
        created_at=NOW - timedelta(days=9),
        pushed_at=NOW - timedelta(days=8),
        changed_at=NOW - timedelta(days=4),
        locks="[true, false, null, true]",
        first_seen_at=NOW - timedelta(days=7),
        observed_at=NOW - timedelta(days=6),
        referrers_observed_at=NOW - timedelta(days=5),
    )
    build.artifact(repository, attestation)
    build.artifact(repository, index, kind="INDEX")
    build.artifact(other, index, kind="INDEX")
    denied = build.blob(registry, 9)
    build.artifact(
        repository,
        denied,
        has_manifest=False,
        kind="UNKNOWN",
        error_code="D",
        error_message="no",
        media_type="m/n",
    )
    build.tag(
        repository,
        "t",
        found,
        changed_at=NOW,
        pushed_at=NOW - timedelta(days=3),
        locks="[false, true, true, true]",
        error_code="E",
        error_message="f",
        is_referrer_tag=True,
    )
    return build


@pytest.fixture(scope="module", params=ENGINES)
def detailed(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A store in which every column has a value of its own."""
    with filled_store(_detailed(), request.param) as db:
        yield db


def _digest(key: int) -> Any:
    return f"sha256:{key:064x}"


def test_values(detailed: Connection) -> None:
    """Every value of a row comes from where its name says."""
    db = detailed
    assert [RegistryRow(1, "one.example", "http://one.example", "oci")] == load_registries(db, EVERYTHING)
    assert load_repositories(db, EVERYTHING, [1]) == [
        RepositoryRow(1, 1, "a/b/c", "a/b", Completeness.BEST_EFFORT, NOW, NOW, NOW, None, None, "X", "y")
    ]
    assert load_namespaces(db, EVERYTHING, [1, 2]) == [
        NamespaceRow(1, 1, "a", 1),
        NamespaceRow(2, 1, "a/b", 1),
    ]
    assert load_tags(db, EVERYTHING, [1]) == [
        TagRow(
            *(1, 1, 1, "a/b/c", "t", 1, "E", "f", NOW, NOW, NOW, NOW - timedelta(days=3)),
            Locks(can_delete=False, can_write=True, can_list=True, can_read=True),
            None,
        )
    ]
    assert load_layers(db, EVERYTHING, [1, 2]) == [
        LayerRow(1, 1, _digest(1), 1000, False, False, 1, 1, 0),
        LayerRow(2, 1, _digest(2), None, False, False, 1, 1, 0),
    ]
    assert load_manifests(db, EVERYTHING, [4]) == [
        ManifestRow(
            key=4,
            registry_key=1,
            digest=_digest(4),
            media_type="application/vnd.oci.image.manifest.v1+json",
            size=8,
            schema_version=2,
            form=ManifestForm.IMAGE,
            artifact_type="text/plain",
            annotations={"k": "v"},
        )
    ]


def test_artifact_values(detailed: Connection) -> None:
    """An artifact shows what its manifest says where that is stored, and why where it is not."""
    known, unknown = load_artifacts(detailed, EVERYTHING, [1, 5])
    assert known == ArtifactRow(
        key=1,
        registry_key=1,
        repository_key=1,
        repository_name="a/b/c",
        manifest_key=4,
        digest=_digest(4),
        has_manifest=True,
        error_code=None,
        error_message=None,
        kind=ArtifactKind.SBOM,
        artifact_type="text/plain",
        media_type="application/vnd.oci.image.manifest.v1+json",
        os="linux",
        architecture="arm64",
        variant="v8",
        os_version="1.2",
        size=2000,
        untagged=Untagged.REFERRER,
        child_count=0,
        created_at=NOW - timedelta(days=9),
        pushed_at=NOW - timedelta(days=8),
        changed_at=NOW - timedelta(days=4),
        locks=Locks(can_delete=True, can_write=False, can_list=None, can_read=True),
        first_seen_at=NOW - timedelta(days=7),
        observed_at=NOW - timedelta(days=6),
        absent_at=None,
        referrers_observed_at=NOW - timedelta(days=5),
    )
    assert unknown is not None
    assert ("D", "no", "m/n", 0) == (
        unknown.error_code,
        unknown.error_message,
        unknown.media_type,
        unknown.child_count,
    )


def test_manifest_layers(detailed: Connection) -> None:
    """Layers come in the manifest's order, a layer listed twice twice, with the size that it claims."""
    type_, data = "application/vnd.oci.layer", load_manifest_layers(detailed, EVERYTHING, [4, 99, 4])
    rows = [
        ManifestLayerRow(4, 0, type_, _digest(1), 1000, 1, {}),
        ManifestLayerRow(4, 1, type_, _digest(2), None, 2, {}),
        ManifestLayerRow(4, 2, type_, _digest(1), 7, 1, {"l": "w"}),
    ]
    assert [rows, [], rows] == data


def test_manifest_children(detailed: Connection) -> None:
    """An index's entries come in its order, each with the artifact it is in the repository asked about."""
    type_ = "application/vnd.oci.manifest"
    index = 8
    pairs = [(index, 1), (index, 2), (index, 99), (4, 1), (index, 1)]
    with recorded_statements(detailed) as statements:
        here, there, nowhere, none, again = load_manifest_children(detailed, EVERYTHING, pairs)
    assert 1 == len(statements)
    assert here == [
        ManifestChildRow(index, 0, type_, _digest(4), 8, "linux", "arm64", "v8", "1", False, {}, 1),
        ManifestChildRow(index, 1, type_, _digest(6), 2, None, None, None, None, True, {}, 2),
        ManifestChildRow(index, 2, type_, _digest(7), 6, None, None, None, None, False, {"m": "n"}, None),
    ]
    assert here == again
    assert [None, None, None] == [row.artifact_key for row in there]
    assert [None, None, None] == [row.artifact_key for row in nowhere]
    assert [] == none


def test_entry_limit(detailed: Connection) -> None:
    """More entries than one answer may hold are refused, not cut."""
    assert 3 == len(load_manifest_layers(detailed, EVERYTHING, [4], limit=3)[0])
    with pytest.raises(QueryTooCostlyError):
        load_manifest_layers(detailed, EVERYTHING, [4], limit=2)
    with pytest.raises(QueryTooCostlyError):
        load_manifest_children(detailed, EVERYTHING, [(8, 1), (8, 2)], limit=5)


def test_documents(detailed: Connection) -> None:
    """Manifests and configs are given back to the byte."""
    assert [b'{"a": 1}', None, b"{}"] == load_documents(detailed, EVERYTHING, [4, 99, 8])
    assert [b'{"os": "linux"}', None] == load_configs(detailed, EVERYTHING, [4, 8])


def test_damaged_documents() -> None:
    """A stored document that is damaged, or unpacks to more than was ever stored, is refused."""
    with pytest.raises(StoreError):
        decompress(b"{}")
    bomb = zstandard.ZstdCompressor().compress(bytes(MAX_DOCUMENT_BYTES + 1))
    with pytest.raises(StoreError):
        decompress(bomb)
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(MAX_DOCUMENT_BYTES + 1))
    with pytest.raises(StoreError):
        decompress(unsized)
    assert bytes(9) == decompress(zstandard.ZstdCompressor(write_content_size=False).compress(bytes(9)))


def test_status(detailed: Connection) -> None:
    """A registry's status says what is known of it, at the weakest of its repositories."""
    assert load_registry_statuses(detailed, EVERYTHING, [1]) == [
        RegistryStatus(
            key=1,
            capabilities={"REFERRERS": "SUPPORTED"},
            sync_state=SyncState.NEVER,
            sync_started_at=None,
            sync_finished_at=None,
            sync_error_code=None,
            sync_error_message=None,
            repositories_done=0,
            repositories_total=0,
            repository_count=2,
            catalog_observed_at=NOW,
            oldest_observed_at=NOW - timedelta(days=1),
            completeness=Completeness.BEST_EFFORT,
            is_partly_unseen=False,
            has_unknown_manifests=True,
        )
    ]


@pytest.mark.parametrize("catalog_observed_at", [None, NOW])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], Completeness.COMPLETE),
        (["COMPLETE", "COMPLETE"], Completeness.COMPLETE),
        (["COMPLETE", "BEST_EFFORT"], Completeness.BEST_EFFORT),
        (["COMPLETE", "UNKNOWN", "BEST_EFFORT"], Completeness.UNKNOWN),
        (["UNKNOWN"], Completeness.UNKNOWN),
    ],
)
def test_completeness(words: list[str], expected: Completeness, catalog_observed_at: Any) -> None:
    """A registry is as complete as its least complete repository, once its catalog was read."""
    build = StoreBuilder()
    registry = build.registry("one.example", catalog_observed_at=catalog_observed_at)
    for index, word in enumerate(words):
        build.repository(registry, f"r{index}", completeness=word, crawled_at=NOW, observed_at=NOW)
    build.repository(registry, "gone", absent_at=NOW, observed_at=NOW - timedelta(days=9))
    with filled_store(build) as db:
        [status] = load_registry_statuses(db, EVERYTHING, [registry])
    assert status is not None
    assert (expected if catalog_observed_at else Completeness.UNKNOWN) == status.completeness
    assert (not catalog_observed_at) == status.is_partly_unseen
    assert (NOW if words else None) == status.oldest_observed_at


def test_pending() -> None:
    """One repository that no crawl has finished makes every count a lower bound."""
    build = StoreBuilder()
    registry = build.registry("one.example", catalog_observed_at=NOW)
    build.repository(registry, "a", crawled_at=NOW)
    build.repository(registry, "b")
    with filled_store(build) as db:
        [status] = load_registry_statuses(db, EVERYTHING, [registry])
    assert status is not None
    assert status.is_partly_unseen


def _index_of(children: int, *, present: bool = True) -> tuple[StoreBuilder, int]:
    build = StoreBuilder()
    registry = build.registry("one.example")
    repository, other = build.repository(registry, "a"), build.repository(registry, "b")
    manifests = [build.manifest(registry) for _ in range(children)]
    attestation = build.manifest(registry)
    rows: list[int | dict[str, Any]] = []
    for manifest in manifests:
        rows += [{"child_id": attestation, "is_attestation": True}, manifest]
    index = build.artifact(repository, build.manifest(registry, children=[*rows, manifests[0]]), kind="INDEX")
    build.artifact(other, manifests[0])
    build.artifact(repository, attestation)
    for manifest in manifests[::-1]:
        build.artifact(repository, manifest, absent_at=None if present else NOW)
    return build, index


def test_platforms() -> None:
    """Platforms are the children present beside the index, in its order, each once, no attestation."""
    build, index = _index_of(3)
    with filled_store(build) as db, recorded_statements(db) as statements:
        platforms, image = load_platforms(db, EVERYTHING, [index, index + 1])
    manifests = [row["manifest_id"] for row in build.rows["artifact"][-3:]]
    assert manifests[::-1] == [row.manifest_key for row in platforms]
    assert {"a"} == {row.repository_name for row in platforms}
    assert [] == image
    assert 1 == len(statements)


def test_many_platforms() -> None:
    """Platforms beyond the limit are left out; absent ones are not shown."""
    build, index = _index_of(MAX_PLATFORMS + 1)
    with filled_store(build) as db:
        assert MAX_PLATFORMS == len(load_platforms(db, EVERYTHING, [index])[0])
    build, index = _index_of(2, present=False)
    with filled_store(build) as db:
        assert [[]] == load_platforms(db, EVERYTHING, [index])


def test_subjects(db: Connection) -> None:
    """A referrer's subject is found by its manifest or its tag, in its own repository, absent or not."""
    keys = [row["artifact_id"] for row in BUILD.rows["referrer"]]
    with recorded_statements(db) as statements:
        subjects = find_subjects(db, EVERYTHING, [*keys, 1, 99])
    assert 1 == len(statements)
    # The third edge is of the index that a fallback tag names, which itself refers to nothing.
    assert [1, 1, None, 1, 1, None, None] == [row and row.key for row in subjects]


def test_two_subjects() -> None:
    """What the manifest names comes before what a tag names; a subject that nobody has seen is None."""
    build = StoreBuilder()
    registry = build.registry("one.example")
    repository = build.repository(registry, "a")
    by_tag, by_manifest = build.image(repository), build.image(repository, absent_at=NOW)
    signature, lost = build.image(repository), build.image(repository)
    build.referrer(build.row("artifact", by_tag)["manifest_id"], signature, "REFERRER_TAG")
    build.referrer(build.row("artifact", by_manifest)["manifest_id"], signature, "SUBJECT")
    build.referrer(build.blob(registry), lost, "SUBJECT")
    with filled_store(build) as db:
        subjects = find_subjects(db, EVERYTHING, [signature, lost])
    assert [by_manifest, None] == [row and row.key for row in subjects]


def test_unused_layer() -> None:
    """A layer that nothing uses any more is found, with counts of 0, and in no list; a config is none."""
    build = StoreBuilder()
    registry = build.registry("one.example")
    repository = build.repository(registry, "a")
    layer, config = build.layer(registry), build.blob(registry)
    build.image(repository, [layer], absent_at=NOW)
    with filled_store(build) as db:
        digests = [build.row("blob", key)["digest"] for key in (layer, config)]
        found, none = find_layers(db, EVERYTHING, [(registry, digest) for digest in digests])
        assert [found, None] == load_layers(db, EVERYTHING, [layer, config])
        assert [0] == count_layers(db, EVERYTHING, [registry])
    assert none is None
    assert found is not None
    assert (0, 0, 0) == (found.artifact_count, found.repository_count, found.saved_bytes)

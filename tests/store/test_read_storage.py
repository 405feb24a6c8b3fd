"""What owners and artifacts take in storage equals what the rows say, each list of keys in one statement."""

from collections.abc import Collection, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from graph.errors import QueryTooCostlyError
from graph.store.rows import Scope, StorageRow
from graph.store.sqlite import driver_of
from graph.store.storage import (
    load_artifact_storage,
    load_namespace_storage,
    load_registry_storage,
    load_repository_storage,
)
from graph.store.visibility import Visibility
from store_builders import ENGINES, NOW, StoreBuilder, filled_store, recorded_statements

ALL = Visibility.everything()
MANIFEST = 2  # bytes of every manifest that the builder makes


def naive_storage(build: StoreBuilder, members: Collection[int], leaving: Collection[int]) -> StorageRow:
    """The figures by loops over the rows, for members and those of them that go."""
    content = {
        row["id"]: {row["manifest_id"], *build.content.get(row["manifest_id"], ())}
        for row in build.rows["artifact"]
        if row["absent_at"] is None
    }

    def size(blob: int) -> int:
        return build.row("blob", blob)["size"] or 0

    used = {blob for member in members for blob in content[member]}
    stored = {blob for blob in used if not build.row("blob", blob).get("is_foreign")}
    held = {blob for key, blobs in content.items() if key not in leaving for blob in blobs}
    return StorageRow(
        len(members),
        sum(bool(build.row("blob", blob).get("is_layer")) for blob in used),
        sum(size(blob) for member in members for blob in content[member]),
        sum(map(size, stored)),
        sum(size(blob) for blob in stored - held if any(blob in content[key] for key in leaving)),
    )


def present(build: StoreBuilder, scope: Scope, **columns: Any) -> list[int]:
    return [
        row["id"]
        for row in build.rows["artifact"]
        if row["absent_at"] is None
        and (scope is Scope.ALL or row["is_live"])
        and all(row[name] == value for name, value in columns.items())
    ]


@st.composite
def stores(draw: st.DrawFn) -> StoreBuilder:
    """Two registries of ragged content: shared, foreign, unsized and empty layers; dangling, absent and
    unknown artifacts; one manifest in several repositories.
    """
    build = StoreBuilder()
    for host in ("one.test", "two.test"):
        registry = build.registry(host)
        layers = [
            build.layer(registry, draw(st.sampled_from([None, 0, 7, 7, 100])), is_foreign=draw(st.booleans()))
            for _ in range(draw(st.integers(1, 5)))
        ]
        manifests = [
            build.manifest(
                registry,
                draw(st.lists(st.sampled_from(layers), max_size=4)),
                config=draw(st.sampled_from([None, b"{}"])),
            )
            for _ in range(draw(st.integers(1, 4)))
        ]
        manifests += [build.blob(registry, 9)]  # nobody could fetch it
        for name in ("a/b/one", "a/two", "a0", "three"):
            repository = build.repository(registry, name)
            for manifest in draw(st.lists(st.sampled_from(manifests), unique=True)):
                build.artifact(
                    repository,
                    manifest,
                    has_manifest=manifest in build.content,
                    untagged=draw(st.sampled_from([None, "DANGLING"])),
                    absent_at=draw(st.sampled_from([None, None, NOW])),
                )
    return build


@settings(max_examples=60, deadline=None)
@given(build=stores(), scope=st.sampled_from(Scope))
def test_owners(build: StoreBuilder, scope: Scope) -> None:
    """The figures of registries, namespaces and repositories are those of what is present there, or live."""
    with filled_store(build) as db:
        for table, load in (("registry", load_registry_storage), ("repository", load_repository_storage)):
            keys = [row["id"] for row in build.rows[table]]
            with recorded_statements(db) as statements:
                found = load(db, ALL, keys, scope)
            members = [present(build, scope, **{f"{table}_id": key}) for key in keys]
            assert 1 == len(statements)
            assert [naive_storage(build, chosen, chosen) for chosen in members] == found

        namespaces = build.rows["namespace"]
        with recorded_statements(db) as statements:
            found = load_namespace_storage(db, ALL, [row["id"] for row in namespaces], scope)
        assert 1 == len(statements)
        below = [
            [
                key
                for key in present(build, scope, registry_id=namespace["registry_id"])
                if build.row("repository", build.row("artifact", key)["repository_id"])["name"].startswith(
                    f"{namespace['name']}/"
                )
            ]
            for namespace in namespaces
        ]
        assert [naive_storage(build, chosen, chosen) for chosen in below] == found


@settings(max_examples=40, deadline=None)
@given(build=stores())
def test_artifacts(build: StoreBuilder) -> None:
    """The figures of an artifact are its own; one that is absent takes nothing."""
    keys = [row["id"] for row in build.rows["artifact"]]
    with filled_store(build) as db, recorded_statements(db) as statements:
        found = load_artifact_storage(db, ALL, keys)

    assert 1 == len(statements)
    own = [[key] if build.row("artifact", key)["absent_at"] is None else [] for key in keys]
    assert [naive_storage(build, chosen, chosen) for chosen in own] == found


def index_store() -> tuple[StoreBuilder, dict[str, int]]:
    """Two indexes that share a child, one child with a tag, and an image elsewhere with the base layer."""
    build = StoreBuilder()
    registry = build.registry("one.test")
    web, api = build.repository(registry, "web"), build.repository(registry, "api")
    base = build.layer(registry, 1000)
    manifests = [build.manifest(registry, [base, build.layer(registry, size)]) for size in (100, 200, 400)]
    keys = {
        name: build.artifact(web, manifest, untagged="INDEX_CHILD")
        for name, manifest in zip(("amd", "arm", "riscv"), manifests, strict=True)
    }
    for name, listed in (("one", manifests[:2]), ("two", manifests[1:])):
        keys[name] = build.artifact(web, build.manifest(registry, children=[*listed, build.blob(registry)]))
    keys["copy"] = build.image(api, [base])
    for name in ("one", "two", "riscv"):
        build.tag(web, name, keys[name])
    return build, keys


@pytest.mark.parametrize(
    ("name", "members", "leaving"),
    [
        ("one", ["one", "amd", "arm"], ["one", "amd"]),
        ("two", ["two", "arm", "riscv"], ["two"]),
        ("amd", ["amd"], ["amd"]),
        ("copy", ["copy"], ["copy"]),
    ],
)
def test_indexes(name: str, members: list[str], leaving: list[str]) -> None:
    """An index takes what it lists, each blob once; what another index or a tag holds is not its own."""
    build, keys = index_store()
    with filled_store(build) as db:
        (found,) = load_artifact_storage(db, ALL, [keys[name]])

    assert naive_storage(build, [keys[one] for one in members], [keys[one] for one in leaving]) == found
    assert found.shared_bytes == found.stored_bytes - found.exclusive_bytes


def test_unknown_keys() -> None:
    """A key that leads to nothing has no figures."""
    with filled_store(index_store()[0]) as db:
        for load in (load_registry_storage, load_namespace_storage, load_repository_storage):
            assert [None] == load(db, ALL, [99], Scope.ALL)


def test_too_much_below() -> None:
    """A page of artifacts with more below them than one answer may hold is refused."""
    build, keys = index_store()
    with filled_store(build) as db, pytest.raises(QueryTooCostlyError):
        load_artifact_storage(db, ALL, [keys["one"]], limit=5)


@pytest.fixture(params=ENGINES)
def indexed(request: pytest.FixtureRequest) -> Iterator[Connection]:
    with filled_store(index_store()[0], request.param) as db:
        yield db


def test_plan(indexed: Connection) -> None:
    """Figures of one owner cost what it holds: no table is scanned for them."""
    with recorded_statements(indexed) as statements:
        for scope in Scope:
            load_registry_storage(indexed, ALL, [1], scope)
            load_namespace_storage(indexed, ALL, [1], scope)
            load_repository_storage(indexed, ALL, [1], scope)
        load_artifact_storage(indexed, ALL, [1])
    tables = {"artifact", "artifact_blob", "blob", "manifest_child", "repository", "repository_blob"}
    plans = [
        row[3]
        for statement, parameters in statements
        for row in driver_of(indexed).execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
    ]
    assert [] == [line for line in plans if line.startswith("SCAN") and line.split()[1] in tables]
    assert any("ix_blob_partly_live" in line for line in plans)

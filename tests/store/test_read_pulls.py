"""Reads for pulls: the entries of indexes however they nest, and what each image is made of."""

import json
from typing import Any

import pytest
from sqlalchemy import Connection

from graph.errors import QueryTooCostlyError
from graph.oci.descriptor import Platform
from graph.store.pulls import load_diff_ids, load_images, load_index_entries
from graph.store.rows import ManifestForm
from graph.store.visibility import Visibility
from store_builders import NOW, StoreBuilder, filled_store, recorded_statements

SEE = Visibility.everything()
AMD64 = {"os": "linux", "architecture": "amd64"}
ARM = {"os": "linux", "architecture": "arm", "variant": "v7", "os_version": "1"}


class Nested:
    """An index in two repositories, with an index in it that only the first of them holds.

    Entries of `top`: an image with a platform, one without, an attestation, the inner index, an image that no
    repository holds, and one whose manifest was denied.
    """

    def __init__(self) -> None:
        builder = self.builder = StoreBuilder()
        self.registry = builder.registry("registry.test")
        self.home, self.other = (builder.repository(self.registry, name) for name in ("home", "other"))
        self.layer = builder.layer(self.registry, 10)
        self.told = builder.manifest(self.registry, [self.layer])
        self.untold = builder.manifest(self.registry, [self.layer], **ARM)
        self.statement = builder.manifest(self.registry)
        self.absent, self.denied = builder.blob(self.registry), builder.blob(self.registry)
        self.deep = builder.manifest(self.registry, [self.layer])
        self.inner = builder.manifest(self.registry, children=[{"child_id": self.deep, **AMD64}])
        self.top = builder.manifest(
            self.registry,
            children=[
                {"child_id": self.told, **AMD64, "variant": "v2"},
                self.untold,
                {"child_id": self.statement, "is_attestation": True},
                self.inner,
                {"child_id": self.absent, **AMD64},
                {"child_id": self.denied, **AMD64},
            ],
        )
        # It lists the one that lists it, which no digest allows and every registry may claim.
        builder.rows["manifest_child"].append(
            {**builder.rows["manifest_child"][0], "manifest_id": self.inner, "position": 1}
            | {"child_id": self.top, "os": None, "architecture": None}
        )
        held = (self.top, self.told, self.untold, self.statement, self.inner, self.deep)
        self.keys = {key: builder.artifact(self.home, key) for key in held}
        self.keys[self.denied] = builder.artifact(
            self.home, self.denied, has_manifest=False, error_code="REGISTRY_DENIED", error_message="no"
        )
        builder.artifact(self.other, self.top)
        builder.artifact(self.other, self.inner, absent_at=NOW)


@pytest.fixture(scope="module")
def nested() -> Nested:
    return Nested()


@pytest.fixture(scope="module")
def db(nested: Nested) -> Any:
    with filled_store(nested.builder) as db:
        yield db


def test_entries_of_nested_indexes(db: Connection, nested: Nested) -> None:
    """One statement reads an index and all below it, once each, circles too, attestations left out."""
    with recorded_statements(db) as statements:
        found = load_index_entries(db, SEE, [(nested.home, nested.top)])

    assert 1 == len(statements)
    assert {
        (nested.home, nested.top): [
            (nested.told, Platform("linux", "amd64", "v2", None), False, True),
            (nested.untold, Platform("linux", "arm", "v7", "1"), False, True),
            (nested.inner, None, True, True),
            (nested.absent, Platform("linux", "amd64", None, None), False, False),
            (nested.denied, Platform("linux", "amd64", None, None), False, False),
        ],
        (nested.home, nested.inner): [
            (nested.deep, Platform("linux", "amd64", None, None), False, True),
            (nested.top, None, True, True),
        ],
    } == {
        key: [(entry.manifest_key, entry.platform, entry.is_index, entry.has_manifest) for entry in entries]
        for key, entries in found.items()
    }


def test_what_the_repository_holds(db: Connection, nested: Nested) -> None:
    """An entry is an artifact of its own repository or of none; what is absent there is not gone into."""
    at_home, elsewhere = (
        load_index_entries(db, SEE, [(repository, nested.top)]) for repository in (nested.home, nested.other)
    )

    assert [nested.keys.get(entry.manifest_key) for entry in at_home[nested.home, nested.top]] == [
        entry.artifact_key for entry in at_home[nested.home, nested.top]
    ]
    assert [(nested.other, nested.top)] == list(elsewhere)
    assert {None} == {entry.artifact_key for entry in elsewhere[nested.other, nested.top]}
    assert ("REGISTRY_DENIED", "no") == (
        at_home[nested.home, nested.top][-1].error_code,
        at_home[nested.home, nested.top][-1].error_message,
    )


def test_entries_are_bounded(db: Connection, nested: Nested) -> None:
    """More entries than the limit are refused, as many are read."""
    pair = [(nested.home, nested.top)]

    assert 7 == sum(map(len, load_index_entries(db, SEE, pair, limit=7).values()))
    with pytest.raises(QueryTooCostlyError):
        load_index_entries(db, SEE, pair, limit=6)


def test_images() -> None:
    """Documents and layers of each image in its order, in two statements for any number."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    first, unknown = builder.layer(registry, 10), builder.layer(registry, None)
    bare = builder.manifest(registry, [unknown, first, unknown], data=b"{} ")
    whole = builder.manifest(registry, [first], config=b"[1]")
    index = builder.manifest(registry, children=[bare, whole])
    builder.rows["manifest_layer"][0]["claimed_size"] = 7
    missing = builder.blob(registry)
    with filled_store(builder) as db:
        with recorded_statements(db) as statements:
            images = load_images(db, SEE, [bare, whole, index, missing])

        assert 2 == len(statements)
        assert {bare, whole, index} == set(images)
        assert [(0, unknown, 7), (1, first, 10), (2, unknown, None)] == [
            (layer.position, layer.key, layer.size) for layer in images[bare].layers
        ]
        assert (3, None, None) == (images[bare].size, images[bare].config_digest, images[bare].config_size)
        assert (2, 3) == (images[whole].size, images[whole].config_size)
        assert [ManifestForm.IMAGE, ManifestForm.INDEX] == [images[key].form for key in (whole, index)]
        with pytest.raises(QueryTooCostlyError):
            load_images(db, SEE, [bare, whole], limit=3)


def test_diff_ids() -> None:
    """The DiffIDs that configs list; none where there is no config, or none that can be read."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    told = [f"sha256:{n:064x}" for n in (1, 2)]
    config = json.dumps({"rootfs": {"diff_ids": told}}).encode()
    keys = [builder.manifest(registry, config=data) for data in (config, b"broken", b"{}", None)]
    with filled_store(builder) as db:
        with recorded_statements(db) as statements:
            found, size = load_diff_ids(db, SEE, keys, 1000)

        assert 1 == len(statements)
        assert {keys[0]: tuple(told), keys[2]: ()} == found
        assert len(config) + len(b"broken") + len(b"{}") == size
        with pytest.raises(QueryTooCostlyError):
            load_diff_ids(db, SEE, keys, len(config))

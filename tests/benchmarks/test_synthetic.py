"""The store that benchmarks read is one that the program could have written."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from benchmarks.synthetic import REGISTRY_NAME, describe, write_store
from graph.oci.kind import kind_of_types
from graph.oci.reference import parse_repository_name, parse_tag_name
from graph.store.engine import open_store
from graph.store.recount import recount

REPOSITORIES = 2_000
DOCUMENTS = 100


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic store."""
    path = tmp_path_factory.mktemp("synthetic") / "store.sqlite3"
    write_store(path, REPOSITORIES, documents=DOCUMENTS)
    return path


@pytest.fixture
def db(path: Path) -> Iterator[Connection]:
    """A transaction on it."""
    store = open_store(str(path))
    try:
        with store.transaction() as db:
            yield db
    finally:
        store.close()


def test_every_derived_figure_is_right(db: Connection) -> None:
    """A recount from nothing finds what was written, and no key leads nowhere."""
    assert [] == recount(db)
    assert [] == db.exec_driver_sql("PRAGMA foreign_key_check").all()
    assert [("ok",)] == db.exec_driver_sql("PRAGMA integrity_check").all()


def test_it_has_the_tables_and_indexes_of_the_program(db: Connection) -> None:
    """What was dropped to be faster is back."""
    schema = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
    store = open_store(":memory:")
    try:
        with store.transaction() as fresh:
            expected = fresh.exec_driver_sql(schema).all()
    finally:
        store.close()
    assert expected == db.exec_driver_sql(schema).all()


def test_the_same_seed_writes_the_same_rows(tmp_path: Path) -> None:
    """Two runs with one seed differ in nothing, two seeds in nearly everything."""
    dumps = []
    for number, seed in enumerate((7, 7, 8)):
        path = tmp_path / f"{number}.sqlite3"
        write_store(path, 200, seed=seed, documents=5)
        with sqlite3.connect(path) as db:
            dumps.append(list(db.iterdump()))
        db.close()
    assert dumps[0] == dumps[1]
    assert dumps[0] != dumps[2]


def test_it_is_shaped_as_the_model_says(path: Path) -> None:
    """Half of the images have the empty layer, most layers are used once, some are hot."""
    found = dict(describe(path))
    images = found["artifacts"] - found["indexes"]

    assert REPOSITORIES == found["repositories"]
    assert 0.4 < found["images with the empty layer"] / images < 0.6
    assert 0.6 < found["layers used by one artifact"] / found["unique layers"] < 0.95
    assert 7 < found["layer references"] / images < 12
    assert found["repositories of the most used other layer"] > REPOSITORIES / 50
    assert found["most tags of one repository"] > 20
    assert found["indexes"] > 0
    assert found["referrers"] > 0
    assert found["raw documents"] > DOCUMENTS / 2


def test_names_kinds_and_documents_are_valid(db: Connection) -> None:
    """Every name keeps to its grammar; what manifests say makes the kind that is stored."""
    for (name,) in db.exec_driver_sql("SELECT name FROM repository"):
        assert name == parse_repository_name(name)
    for (name,) in db.exec_driver_sql("SELECT DISTINCT name FROM tag"):
        assert name == parse_tag_name(name)
    kinds = db.exec_driver_sql(
        """
        SELECT DISTINCT m.kind, m.artifact_type, t.name
        FROM manifest AS m JOIN manifest_layer AS l ON l.manifest_id = m.blob_id
        JOIN media_type AS t ON t.id = l.media_type_id
        """
    ).all()
    for kind, artifact_type, layer_type in kinds:
        assert kind == kind_of_types(artifact_type, artifact_type, [layer_type], {})
    assert [(REGISTRY_NAME,)] == db.exec_driver_sql("SELECT name FROM registry").all()

"""Content is put once, whole, and by digest."""

import pytest
from sqlalchemy import Connection

from builders import (
    EMPTY_CONFIG,
    EMPTY_LAYER,
    OCI_CONFIG,
    OCI_INDEX,
    Built,
    attestation_descriptor,
    make_artifact,
    make_attestation,
    make_blob,
    make_config,
    make_descriptor,
    make_helm_chart,
    make_image,
    make_index,
    make_json,
    make_layer,
    make_sbom,
)
from graph.oci.digest import Digest
from graph.store.content import known_configs, known_manifests, load_subjects, put_manifests
from graph.store.documents import decompress
from graph.store.listings import MAX_ANNOTATION_BYTES, UNKEPT_ANNOTATIONS
from graph.store.recount import recount
from graph.store.tables import microseconds_of
from store_writes import START, Writer, fetched


@pytest.fixture
def writer(db: Connection) -> Writer:
    return Writer(db)


def known(writer: Writer, *contents: Built) -> tuple[set[str], set[str]]:
    digests = [Digest(built.digest) for built in contents]
    manifests = known_manifests(writer.db, writer.registry, digests)
    return set(manifests), set(known_configs(writer.db, writer.registry, digests))


def test_bytes_come_back(writer: Writer) -> None:
    """The bytes of a manifest come back exactly as they were put."""
    image = make_image(annotations={"note": "ä\u2028 " * 100})
    writer.put(image)
    sql = "SELECT d.data FROM document AS d JOIN blob AS b ON b.id = d.blob_id WHERE b.digest = :digest"
    assert [image.data] == [decompress(data) for data in writer.read(sql, digest=image.digest)]


@pytest.mark.parametrize(
    ("size", "is_kept"), [(MAX_ANNOTATION_BYTES, True), (MAX_ANNOTATION_BYTES + 1, False)]
)
def test_annotations_are_bounded(size: int, is_kept: bool, writer: Writer) -> None:
    """Of annotations up to the bound is kept apart from the document; of more, that there were more."""
    image = make_image(annotations={"n": "x" * (size - len('{"n":""}'))})
    writer.put(image)
    (stored,) = writer.read("SELECT annotations FROM manifest")
    assert is_kept is (stored != UNKEPT_ANNOTATIONS)
    assert is_kept is (len(stored) == size)


def test_subjects(writer: Writer) -> None:
    """What a manifest names as its subject is known of those that are stored, and of nothing else."""
    image = make_image()
    sbom = make_sbom(image)
    writer.put(sbom)
    digests = [Digest(digest) for digest in (sbom.digest, image.digest, sbom.blobs[0].digest)]
    assert {sbom.digest: image.digest} == load_subjects(writer.db, writer.registry, digests)
    writer.put(image)
    expected = {sbom.digest: image.digest, image.digest: None}
    assert expected == load_subjects(writer.db, writer.registry, digests)
    assert {} == load_subjects(writer.db, writer.registry, [])


def test_known(writer: Writer) -> None:
    """Known is what was put, and not what was only named."""
    image = make_image()
    index = make_index([image])
    config = image.blobs[0]
    writer.put(index)
    assert ({index.digest}, {index.digest}) == known(writer, index, image, config)
    writer.put(image, with_config=False)
    assert {index.digest, image.digest} == known(writer, index, image, config)[0]
    assert config.digest not in known(writer, config)[1]
    writer.put(image)
    assert config.digest in known(writer, config)[1]
    assert (set(), set()) == known(writer)


def test_another_registry_knows_nothing(writer: Writer) -> None:
    """What one registry holds says nothing about another."""
    image = make_image()
    writer.put(image)
    assert set() == known_manifests(writer.db, writer.registry + 1, [Digest(image.digest)])
    assert {} == load_subjects(writer.db, writer.registry + 1, [Digest(image.digest)])


def test_repeating_is_harmless(writer: Writer) -> None:
    """Putting the same again, alone or twice in one batch, changes nothing."""
    contents = [make_image(), make_index([make_image()]), make_artifact(subject=make_image())]
    tables = ("blob", "manifest", "manifest_layer", "manifest_child", "document", "media_type")
    writer.put(*contents, *contents)
    before = [writer.read(f"SELECT * FROM {table}") for table in tables]
    writer.put(*reversed(contents))
    assert before == [writer.read(f"SELECT * FROM {table}") for table in tables]


def test_nothing_becomes_present(writer: Writer) -> None:
    """Content alone is no artifact of any repository, and counts nowhere."""
    writer.put(make_image(), make_index([make_image()]))
    assert [0] == writer.read("SELECT COUNT(*) FROM artifact")
    assert [(0, 0)] == writer.read("SELECT MAX(artifact_count), MAX(saved_bytes) FROM blob")


def test_layers_in_order(writer: Writer) -> None:
    """Layers stand at their positions with what the manifest claims of them, repeated ones too."""
    layer, other = make_layer("a"), make_descriptor("b", 7, annotations={"title": "b"})
    writer.put(make_image([layer, other, layer]))
    assert [
        (0, layer.digest, layer.size, None),
        (1, other["digest"], 7, '{"title":"b"}'),
        (2, layer.digest, layer.size, None),
    ] == writer.read(
        """
        SELECT l.position, b.digest, l.claimed_size, l.annotations
        FROM manifest_layer AS l JOIN blob AS b ON b.id = l.blob_id ORDER BY l.position
        """
    )


def test_children_in_order(writer: Writer) -> None:
    """Children stand at their positions with their platforms, attestations marked."""
    image = make_image(variant="v8", architecture="arm64")
    attestation = make_attestation(image)
    writer.put(make_index([image, attestation_descriptor(attestation, image)]))
    assert [
        (0, image.digest, "linux", "arm64", "v8", 0),
        (1, attestation.digest, "unknown", "unknown", None, 1),
    ] == writer.read(
        """
        SELECT c.position, b.digest, c.os, c.architecture, c.variant, c.is_attestation
        FROM manifest_child AS c JOIN blob AS b ON b.id = c.child_id ORDER BY c.position
        """
    )


MANIFEST = "SELECT m.form, m.kind, m.os, m.architecture, m.child_count FROM manifest AS m ORDER BY m.blob_id"


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (make_image(), ("IMAGE", "IMAGE", "linux", "amd64", 0)),
        (make_index([make_image()] * 2), ("INDEX", "INDEX", None, None, 2)),
        (make_helm_chart(), ("IMAGE", "HELM_CHART", None, None, 0)),
        (make_sbom(make_image()), ("IMAGE", "SBOM", None, None, 0)),
        (make_json({"any": "thing"}, "application/x.unknown+json"), ("OTHER", "OTHER", None, None, 0)),
        (make_index([]), ("INDEX", "INDEX", None, None, 0)),
    ],
    ids=["image", "index", "chart", "sbom", "unknown", "empty index"],
)
def test_forms(writer: Writer, built: Built, expected: tuple[object, ...]) -> None:
    """Each kind of manifest is a row that says what it is."""
    writer.put(built)
    assert [expected] == writer.read(MANIFEST)


def test_late_config_completes(writer: Writer) -> None:
    """A config that comes late tells all manifests that name it, and their artifacts."""
    config = make_config([make_layer()], created="2024-03-01T00:00:00Z", architecture="arm64")
    first, second = make_image(config=config), make_image(config=config, annotations={"a": "b"})
    writer.put(first, second, with_config=False)
    writer.see("web", {"a": first, "b": second})
    assert [("IMAGE", "IMAGE", None, None, 0)] * 2 == writer.read(MANIFEST)
    writer.put(first)
    assert [("IMAGE", "IMAGE", "linux", "arm64", 0)] * 2 == writer.read(MANIFEST)
    for image in (first, second):
        assert ("linux", "arm64", 1709251200000000) == writer.artifact(
            "web", image, "a.os, a.architecture, a.created_at"
        )
    assert [] == recount(writer.db)


def test_known_config_need_not_come_again(writer: Writer) -> None:
    """A manifest whose config another one brought is complete without bringing it."""
    first = make_image(architecture="arm64")
    second = make_image(config=first.blobs[0], annotations={"a": "b"})
    writer.put(first)
    writer.put(second, with_config=False)
    assert [("IMAGE", "IMAGE", "linux", "arm64", 0)] * 2 == writer.read(MANIFEST)


def test_config_that_is_none(writer: Writer) -> None:
    """A stored document that only claims to be an image config tells nothing, and stops nothing."""
    config = make_blob(b"[]", OCI_CONFIG)
    chart = make_image(config=make_blob(b"[]", "application/vnd.cncf.helm.config.v1+json"))
    writer.put(chart)
    writer.put(make_image(config=config), with_config=False)
    assert [None, None] == writer.read("SELECT os FROM manifest")


def test_created(writer: Writer) -> None:
    """The time of creation is the config's, else the annotation's."""
    named = {"org.opencontainers.image.created": "2020-01-01T00:00:00Z"}
    writer.put(make_image(annotations=named, created="2024-03-01T00:00:00Z"))
    writer.put(make_index([], annotations=named))
    assert [1709251200000000, 1577836800000000] == writer.read(
        "SELECT created_at FROM manifest ORDER BY blob_id"
    )


def test_first_claim_stands(writer: Writer) -> None:
    """Of two claimed sizes the first stands and the blob is marked; each manifest keeps what it claims."""
    digest = make_descriptor("layer")["digest"]
    writer.put(make_image([make_descriptor("layer", 10)]))
    assert (10, 0, 0) == writer.blob(digest, "size, is_size_verified, has_size_conflict")
    writer.put(make_image([make_descriptor("layer", 20)]))
    assert (10, 0, 1) == writer.blob(digest, "size, is_size_verified, has_size_conflict")
    assert [10, 20] == writer.read("SELECT claimed_size FROM manifest_layer ORDER BY manifest_id")


@pytest.mark.parametrize("is_claimed_first", [True, False])
def test_verified_size_wins(writer: Writer, is_claimed_first: bool) -> None:
    """A size that was counted stands, whether the wrong claim came before it or after."""
    image = make_image()
    steps = [make_index([{**image.descriptor(), "size": 1}]), image]
    for built in steps if is_claimed_first else reversed(steps):
        writer.put(built)
    assert (image.size, 1, 1) == writer.blob(image.digest, "size, is_size_verified, has_size_conflict")


def test_changed_size_changes_every_sum(writer: Writer) -> None:
    """When a size turns out to be another, every sum in which it was counted follows."""
    image = make_image()
    index = make_index([{**image.descriptor(), "size": 1}])
    nested = make_index([index])
    writer.put(index, nested)
    for name in ("web", "team/api"):
        writer.see(name, {"latest": nested}, present=[index, image])
    assert 2 == writer.blob(image.digest, "artifact_count")
    assert writer.artifact("web", nested, "a.size") is None
    before = writer.read("SELECT stored_bytes, logical_bytes FROM registry")[0]
    writer.put(image, with_config=False)
    assert (before[0] + image.size - 1, before[1] + 2 * (image.size - 1)) == writer.read(
        "SELECT stored_bytes, logical_bytes FROM registry"
    )[0]
    writer.see("web", present=[image])
    assert nested.size + index.size + image.size == writer.artifact("web", nested, "a.size") - sum(
        blob.size for blob in image.blobs
    )
    assert [] == recount(writer.db)


def test_layer_that_is_a_config_elsewhere(writer: Writer) -> None:
    """A blob becomes a layer, and counts as one wherever it is held, once a manifest lists it as one."""
    image = make_image()
    config = image.blobs[0]
    writer.look("web", {"latest": image})
    assert [1] == writer.read("SELECT layer_count FROM repository")
    writer.put(make_image([config], config=EMPTY_CONFIG))
    assert [2] == writer.read("SELECT layer_count FROM repository")
    assert [] == recount(writer.db)


def test_empty(writer: Writer) -> None:
    """The empty descriptor and empty layers are marked, count as bytes, and save none."""
    for name in ("web", "api"):
        writer.look(name, {"latest": make_image([EMPTY_LAYER], annotations={"for": name})})
    assert (1, 1, 2, 0) == writer.blob(EMPTY_LAYER.digest, "is_empty, is_layer, artifact_count, saved_bytes")
    writer.put(make_artifact())
    assert (1, 0) == writer.blob(EMPTY_CONFIG.digest, "is_empty, is_layer")


def test_foreign(writer: Writer) -> None:
    """A foreign layer weighs but takes no room, until somebody lists it as stored."""
    foreign = make_descriptor("windows", 5000, urls=["https://example.com/layer"])
    image = make_image([foreign], config=EMPTY_CONFIG)
    writer.look("web", {"latest": image})
    assert image.size + 2 + 5000 == writer.artifact("web", image, "a.size")
    assert [(image.size + 2 + 5000, image.size + 2)] == writer.read(
        "SELECT logical_bytes, stored_bytes FROM repository"
    )
    writer.put(make_image([make_descriptor("windows", 5000)]))
    assert [image.size + 2 + 5000] == writer.read("SELECT stored_bytes FROM repository")
    assert [] == recount(writer.db)


def test_media_types_once(writer: Writer) -> None:
    """A media type is written out once, however often it is listed."""
    writer.put(make_image([make_layer("a"), make_layer("b")]), make_image([make_layer("c")]))
    writer.put(make_index([make_image(), make_json({}, OCI_INDEX)]))
    names = writer.read("SELECT name FROM media_type")
    assert len(set(names)) == len(names) == 3


def test_empty_batch(writer: Writer) -> None:
    """An empty batch is no change."""
    put_manifests(writer.db, writer.registry, [], START)
    assert [0] == writer.read("SELECT COUNT(*) FROM blob")


def test_first_seen(writer: Writer) -> None:
    """A manifest keeps the time it was put first."""
    image = make_image()
    put_manifests(writer.db, writer.registry, [fetched(image)], START)
    writer.put(image)
    assert [microseconds_of(START)] == writer.read("SELECT first_seen_at FROM manifest")

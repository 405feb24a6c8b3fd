"""What a look at a repository changes, and what it leaves."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, text

from builders import (
    Built,
    digest_of,
    make_artifact,
    make_descriptor,
    make_image,
    make_index,
    make_layer,
    make_sbom,
    make_signature,
)
from graph.oci.digest import Digest
from graph.oci.locks import Locks
from graph.oci.reference import TagName
from graph.store.changes import ArtifactChange, Discovery, Failure, RepositoryChanges, Told
from graph.store.observations import set_repository
from graph.store.recount import recount
from graph.store.tables import microseconds_of
from store_writes import DENIED, Writer

ONE, TWO = make_image([make_layer("one")]), make_image([make_layer("two")])
MOVES = """
SELECT o.digest, n.digest FROM tag_move AS m
LEFT JOIN artifact AS a ON a.id = m.from_artifact_id LEFT JOIN blob AS o ON o.id = a.manifest_id
LEFT JOIN artifact AS b ON b.id = m.to_artifact_id LEFT JOIN blob AS n ON n.id = b.manifest_id
ORDER BY m.id
"""


@pytest.fixture
def writer(db: Connection) -> Writer:
    return Writer(db)


def untagged(writer: Writer, built: Built) -> object:
    return writer.artifact("web", built, "a.untagged")


# Tags


def test_first_sight(writer: Writer) -> None:
    """A tag that is first seen moves from null, which is no change of the tag yet."""
    at = writer.look("web", {"v1.10": ONE})
    assert [(None, ONE.digest)] == writer.read(MOVES)
    assert [(microseconds_of(at), microseconds_of(at), None)] == writer.read(
        "SELECT first_seen_at, observed_at, changed_at FROM tag"
    )


def test_move(writer: Writer) -> None:
    """A tag that moves leaves the old artifact behind, dangling (C8)."""
    writer.look("web", {"latest": ONE})
    at = writer.look("web", {"latest": TWO})
    assert [(None, ONE.digest), (ONE.digest, TWO.digest)] == writer.read(MOVES)
    assert [microseconds_of(at)] == writer.read("SELECT changed_at FROM tag")
    assert ("DANGLING", None) == (untagged(writer, ONE), untagged(writer, TWO))
    assert [(2, 1)] == writer.read("SELECT artifact_count, live_artifact_count FROM repository")


def test_same_again(writer: Writer) -> None:
    """A tag seen again where it was moves nothing but the time it was observed (C11)."""
    first = writer.look("web", {"latest": ONE})
    second = writer.look("web", {"latest": ONE})
    assert [(None, ONE.digest)] == writer.read(MOVES)
    assert [(microseconds_of(second), None)] == writer.read("SELECT observed_at, changed_at FROM tag")
    assert [microseconds_of(first)] == writer.read("SELECT changed_at FROM repository")


def test_end(writer: Writer) -> None:
    """A tag that is gone moves to null, names nothing, and takes no artifact with it (C7)."""
    writer.look("web", {"latest": ONE, "v1": TWO})
    at = writer.see("web", gone=["latest", "never-seen"])
    assert (ONE.digest, None) == writer.read(MOVES)[-1]
    assert [(None, microseconds_of(at))] == writer.read(
        "SELECT artifact_id, absent_at FROM tag WHERE name = 'latest'"
    )
    assert "DANGLING" == untagged(writer, ONE)
    assert [(1, 2)] == writer.read("SELECT tag_count, artifact_count FROM repository")
    writer.see("web", gone=["latest"])
    assert 3 == len(writer.read(MOVES))


def test_tag_comes_back(writer: Writer) -> None:
    """A tag that comes back is the same tag, and moved from null."""
    writer.look("web", {"latest": ONE})
    writer.see("web", gone=["latest"])
    at = writer.see("web", {"latest": ONE})
    assert [(None, ONE.digest), (ONE.digest, None), (None, ONE.digest)] == writer.read(MOVES)
    assert [(None, microseconds_of(at))] == writer.read("SELECT absent_at, changed_at FROM tag")


def test_seen_and_missed(writer: Writer) -> None:
    """A tag that a look both saw and missed was seen."""
    writer.look("web", {"latest": ONE}, gone=["latest"])
    assert [None] == writer.read("SELECT absent_at FROM tag")


def test_unresolved_tag_keeps_its_target(writer: Writer) -> None:
    """A tag that the registry will not resolve keeps what it named, and when that was seen."""
    at = writer.look("web", {"latest": ONE})
    writer.see("web", {"latest": DENIED})
    assert [("REGISTRY_DENIED", microseconds_of(at))] == writer.read(
        "SELECT error_code, observed_at FROM tag"
    )
    assert None is untagged(writer, ONE)
    writer.see("web", {"latest": ONE})
    assert [None] == writer.read("SELECT error_code FROM tag")


def test_unresolved_at_first(writer: Writer) -> None:
    """A tag that was never resolved names nothing; when it is, that is no move that was seen."""
    writer.see("web", {"latest": DENIED})
    assert [] == writer.read(MOVES)
    assert [(1, 0)] == writer.read("SELECT tag_count, artifact_count FROM repository")
    writer.look("web", {"latest": ONE})
    assert [(None, ONE.digest)] == writer.read(MOVES)
    assert [None] == writer.read("SELECT changed_at FROM tag")


def test_referrer_tags_are_not_counted(writer: Writer) -> None:
    """Referrer tags are no ordinary tags."""
    signature = make_signature(ONE)
    writer.look("web", {"latest": ONE, str(signature.tag): signature})
    assert [1] == writer.read("SELECT tag_count FROM repository")
    assert (0, "REFERRER") == writer.artifact("web", signature, "a.tag_count, a.untagged")


# Artifacts


def test_absent_artifact(writer: Writer) -> None:
    """An artifact that is gone keeps its row, counts nowhere, and leaves room to what no other uses."""
    writer.look("web", {"latest": ONE}, present=[TWO])
    before = writer.read("SELECT stored_bytes FROM registry")[0]
    at = writer.see("web", absent=[TWO])
    assert microseconds_of(at) == writer.artifact("web", TWO, "a.absent_at")
    (freed,) = [before - after for after in writer.read("SELECT stored_bytes FROM registry")]
    assert TWO.size + sum(blob.size for blob in TWO.blobs) == freed
    assert 0 == writer.blob(TWO.digest, "artifact_count + repository_count")
    assert [] == recount(writer.db)


def test_artifact_comes_back(writer: Writer) -> None:
    """An artifact that comes back is the same one."""
    writer.look("web", present=[ONE])
    key = writer.artifact("web", ONE, "a.id")
    writer.see("web", absent=[ONE])
    writer.see("web", present=[ONE])
    assert (key, None) == writer.artifact("web", ONE, "a.id, a.absent_at")
    assert [] == recount(writer.db)


def test_tag_proves_presence(writer: Writer) -> None:
    """A tag that names an artifact proves it present, even if the same look missed it."""
    writer.look("web", {"latest": ONE}, absent=[ONE])
    assert None is writer.artifact("web", ONE, "a.absent_at")


def test_observed(writer: Writer) -> None:
    """Of an artifact that is still there only the time moves."""
    writer.look("web", present=[ONE])
    changed = writer.read("SELECT changed_at FROM repository")
    at = writer.see("web", observed=[Digest(ONE.digest)], referrers_observed=[Digest(ONE.digest)])
    assert (microseconds_of(at),) * 2 == writer.artifact("web", ONE, "a.observed_at, a.referrers_observed_at")
    assert changed == writer.read("SELECT changed_at FROM repository")


def test_manifest_not_had(writer: Writer) -> None:
    """An artifact whose manifest cannot be had says why and what it is said to be, until it is had."""
    change = ArtifactChange(Digest(ONE.digest), Discovery.TAG, ONE.media_type, ONE.size, DENIED)
    key = writer.repository("web")
    set_repository(writer.db, key, RepositoryChanges(writer.tick(), present=[change]))
    assert (0, "REGISTRY_DENIED", ONE.media_type, "UNKNOWN", None) == writer.artifact(
        "web", ONE, "a.has_manifest, a.error_code, a.media_type, a.kind, a.size"
    )
    assert [ONE.size] == writer.read("SELECT stored_bytes FROM repository")
    writer.see("web", {"latest": ONE})
    assert "REGISTRY_DENIED" == writer.artifact("web", ONE, "a.error_code")
    writer.look("web", present=[ONE])
    assert (1, None, "IMAGE", "linux") == writer.artifact(
        "web", ONE, "a.has_manifest, a.error_code, a.kind, a.os"
    )
    assert [] == recount(writer.db)


def test_what_a_registry_tells(writer: Writer) -> None:
    """When it was pushed and changed and what is locked is kept when a later look does not tell it."""
    pushed, changed = writer.now - timedelta(days=2), writer.now - timedelta(days=1)
    told = Told(pushed, changed, Locks(can_delete=False))
    writer.look(
        "web",
        {"latest": ONE},
        told_artifacts={Digest(ONE.digest): told},
        told_tags={TagName("latest"): told},
    )
    writer.see("web", {"latest": ONE})
    stored = (microseconds_of(pushed), microseconds_of(changed), "[false, null, null, null]")
    assert stored == writer.artifact("web", ONE, "a.pushed_at, a.changed_at, a.locks")
    tag = writer.db.execute(text("SELECT pushed_at, changed_at, locks FROM tag")).one()
    assert stored == tuple(tag)


# Who is live


def test_children(writer: Writer) -> None:
    """A child is an INDEX_CHILD while a live index holds it, and dangles with the last one."""
    index, other = make_index([ONE, TWO]), make_index([TWO])
    writer.look("web", {"latest": index, "v2": other}, present=[ONE, TWO])
    assert ("INDEX_CHILD", "INDEX_CHILD") == (untagged(writer, ONE), untagged(writer, TWO))
    writer.see("web", gone=["latest"])
    assert ("DANGLING", "INDEX_CHILD") == (untagged(writer, ONE), untagged(writer, TWO))
    writer.see("web", absent=[other], gone=["v2"])
    assert "DANGLING" == untagged(writer, TWO)


def test_child_before_its_index(writer: Writer) -> None:
    """It does not matter whether a child or its index is seen first."""
    index = make_index([ONE])
    writer.look("web", present=[ONE])
    assert "DANGLING" == untagged(writer, ONE)
    writer.look("web", {"latest": index})
    assert "INDEX_CHILD" == untagged(writer, ONE)


def test_referrers_of_referrers(writer: Writer) -> None:
    """Life flows down a chain of referrers, and leaves it with the tag at its top."""
    sbom = make_sbom(ONE)
    signature = make_artifact("application/signature", subject=sbom)
    writer.look("web", {"latest": ONE}, present=[sbom, signature])
    assert ("REFERRER", "REFERRER") == (untagged(writer, sbom), untagged(writer, signature))
    writer.see("web", gone=["latest"])
    assert ("DANGLING", "DANGLING") == (untagged(writer, sbom), untagged(writer, signature))


def test_subject_never_seen(writer: Writer) -> None:
    """A referrer is live while nobody knows that its subject is absent."""
    sbom = make_sbom(ONE)
    writer.look("web", present=[sbom])
    assert "REFERRER" == untagged(writer, sbom)
    writer.see("web", absent=[ONE])
    assert "DANGLING" == untagged(writer, sbom)
    assert (0, "DANGLING") == writer.artifact("web", ONE, "a.is_live, a.untagged")
    writer.look("web", {"latest": ONE})
    assert "REFERRER" == untagged(writer, sbom)
    assert [] == recount(writer.db)


def test_fallback_tag(writer: Writer) -> None:
    """What an index under a fallback tag lists refers to the subject; the index itself is only kept alive."""
    plain = make_artifact("application/plain")
    index = make_index([plain])
    tag = ONE.digest.replace(":", "-")
    writer.look("web", {"latest": ONE, tag: index}, present=[plain])
    edges = (
        "SELECT b.digest, e.via FROM referrer AS e JOIN artifact AS a ON a.id = e.artifact_id "
        "JOIN blob AS b ON b.id = a.manifest_id ORDER BY e.via"
    )
    assert [(index.digest, "FALLBACK_INDEX"), (plain.digest, "REFERRER_TAG")] == writer.read(edges)
    assert "REFERRER" == untagged(writer, index)
    writer.see("web", gone=[tag])
    assert [] == writer.read(edges)
    assert ("DANGLING", "DANGLING") == (untagged(writer, index), untagged(writer, plain))


@pytest.mark.parametrize("is_subject_known", [True, False])
def test_tag_with_half_a_digest(writer: Writer, is_subject_known: bool) -> None:
    """A fallback tag holds half of a sha512 digest: it finds the subject, or else keeps its index live."""
    image = make_image([make_layer("one")])
    digest = digest_of(image.data, "sha512")
    subject = Built(image.data, image.media_type, digest, image.size)
    index = make_index([make_artifact()])
    if is_subject_known:
        writer.see("web", {"latest": subject})
    # 64 characters of the digest are all that the tag keeps (distribution-spec, "Referrers Tag Schema").
    writer.look("web", {digest.replace(":", "-")[: len("sha512-") + 64]: index})
    assert "REFERRER" == untagged(writer, index)
    writer.see("web", gone=["latest"], absent=[subject])
    assert ("DANGLING" if is_subject_known else "REFERRER") == untagged(writer, index)


# Sizes


def test_size_of_an_index(writer: Writer) -> None:
    """An index weighs what it and its present children do, each blob once; unknown while one of them is."""
    layer = make_layer("shared")
    amd, arm = make_image([layer]), make_image([layer], architecture="arm64")
    index = make_index([amd, arm, make_descriptor("missing")])
    writer.look("web", {"latest": index})
    assert index.size == writer.artifact("web", index, "a.size")
    writer.look("web", present=[amd])
    writer.see("web", present=[arm])
    assert None is writer.artifact("web", index, "a.size")
    writer.look("web", present=[arm])
    blobs = {blob.digest: blob.size for image in (index, amd, arm) for blob in (image, *image.blobs)}
    assert sum(blobs.values()) == writer.artifact("web", index, "a.size")
    writer.see("web", absent=[arm])
    blobs = {blob.digest: blob.size for image in (index, amd) for blob in (image, *image.blobs)}
    assert sum(blobs.values()) == writer.artifact("web", index, "a.size")


def test_children_of_another_repository(writer: Writer) -> None:
    """A child counts only in the repository that holds it."""
    index = make_index([ONE])
    writer.look("web", {"latest": index})
    writer.look("api", {"latest": index}, present=[ONE])
    assert index.size == writer.artifact("web", index, "a.size")
    assert index.size < writer.artifact("api", index, "a.size")


# The repository


def test_gone(writer: Writer) -> None:
    """A repository that is gone takes its tags and artifacts with it, and leaves its namespaces."""
    writer.look("team/web", {"latest": ONE}, present=[TWO])
    at = writer.see("team/web", is_absent=True)
    assert [(microseconds_of(at), 0, 0, 0, 0)] == writer.read(
        "SELECT absent_at, tag_count, artifact_count, stored_bytes, layer_count FROM repository"
    )
    assert [(0, 0)] == writer.read("SELECT repository_count, stored_bytes FROM registry")
    assert [0] == writer.read("SELECT repository_count FROM namespace")
    assert [0] == writer.read("SELECT COUNT(*) FROM artifact_blob")
    writer.see("team/web", is_absent=True)
    assert [microseconds_of(at)] == writer.read("SELECT absent_at FROM repository")
    writer.see("team/web", {"latest": ONE})
    assert [(None, 1)] == writer.read("SELECT absent_at, artifact_count FROM repository")
    assert [1] == writer.read("SELECT repository_count FROM namespace")
    assert [] == recount(writer.db)


@pytest.mark.parametrize(("is_complete", "is_back"), [(True, True), (False, False)])
def test_empty_repository_is_back(writer: Writer, is_complete: bool, is_back: bool) -> None:
    """A whole list of tags brings a repository back even if it is empty; a look that saw nothing does not."""
    writer.see("web", is_absent=True)
    writer.see("web", is_tag_list_complete=is_complete)
    assert [is_back] == writer.read("SELECT absent_at IS NULL FROM repository")


def test_times(writer: Writer) -> None:
    """Observed: the tags were read to their end. Crawled: a crawl was through. Changed: something was."""
    times = "SELECT observed_at, crawled_at, changed_at FROM repository"
    one = writer.look("web", {"latest": ONE})
    assert [(None, None, microseconds_of(one))] == writer.read(times)
    two = writer.see("web", is_tag_list_complete=True)
    assert [(microseconds_of(two), None, microseconds_of(one))] == writer.read(times)
    three = writer.see("web", is_crawled=True)
    assert [tuple(map(microseconds_of, (two, three, one)))] == writer.read(times)


def test_error(writer: Writer) -> None:
    """Why a look failed stands until one does not; nothing else is lost by it."""
    writer.look("web", {"latest": ONE}, completeness="COMPLETE")
    writer.see("web", error=Failure("REGISTRY_UNREACHABLE", "no answer"))
    facts = "SELECT error_code, error_message, completeness, tag_count, absent_at FROM repository"
    assert [("REGISTRY_UNREACHABLE", "no answer", "COMPLETE", 1, None)] == writer.read(facts)
    writer.see("web")
    assert [(None, None, "COMPLETE", 1, None)] == writer.read(facts)


def test_in_parts(writer: Writer) -> None:
    """A repository written in parts is what it is when written at once."""
    images = [make_image([make_layer("base"), make_layer(str(number))]) for number in range(12)]
    for start in range(0, 12, 5):
        tags = {f"v{start + n}": image for n, image in enumerate(images[start : start + 5])}
        writer.look("parts", tags)
    writer.look("whole", {f"v{n}": image for n, image in enumerate(images)})
    totals = writer.read(
        "SELECT tag_count, artifact_count, layer_count, logical_bytes, stored_bytes FROM repository"
    )
    assert totals[0] == totals[1]
    assert (12, 12, 13) == totals[0][:3]
    assert (24, 2) == writer.blob(make_layer("base").digest, "artifact_count, repository_count")
    assert [] == recount(writer.db)

"""A recount finds every kind of figure that is wrong, and tells how far it has come."""

import pytest
from sqlalchemy import text

from builders import make_image, make_index, make_sbom, make_signature
from graph.store.engine import Store
from graph.store.recount import Difference, recount
from store_writes import Writer

IMAGE = make_image()
BREAKAGES = {
    "artifact 1 tag_count": "UPDATE artifact SET tag_count = 9 WHERE id = 1",
    "artifact 1 standing": "UPDATE artifact SET is_live = 0 WHERE id = 1",
    "artifact 1 size": "UPDATE artifact SET size = 1 WHERE id = 1",
    "artifact 1 copies": "UPDATE artifact SET kind = 'OTHER' WHERE id = 1",
    "artifact 1 artifact_blob": "DELETE FROM artifact_blob WHERE artifact_id = 1",
    "artifact_blob without artifact": "INSERT INTO artifact_blob VALUES (99, 1)",
    "blobs with a wrong is_layer": "UPDATE blob SET is_layer = NOT is_layer WHERE id = 1",
    "blob 1 counters": "UPDATE blob SET saved_bytes = 9 WHERE id = 1",
    "manifests with a wrong child_count": "UPDATE manifest SET child_count = 9",
    "registry 1 repository_count": "UPDATE registry SET repository_count = 9",
    "registry 1 totals": "UPDATE registry SET live_stored_bytes = 9",
    "repository 1 tag_count": "UPDATE repository SET tag_count = 9",
    "repository 1 totals": "UPDATE repository SET logical_bytes = 9",
    "repository 1 repository_blob": "DELETE FROM repository_blob",
    "repository 1 referrer": "DELETE FROM referrer",
    "repository 1 tag 'v1'": "UPDATE tag SET version_key = 'a' WHERE name = 'v1'",
    "repository 'team/web' namespace": "UPDATE repository SET namespace = NULL",
    "namespace (1, 'team')": "UPDATE namespace SET repository_count = 9",
}


def fill(writer: Writer) -> None:
    signature = make_signature(IMAGE)
    assert signature.tag is not None
    writer.look(
        "team/web",
        {"v1": make_index([IMAGE]), signature.tag: signature},
        present=[IMAGE, make_sbom(IMAGE)],
    )


@pytest.mark.parametrize("place", BREAKAGES)
def test_breakage_is_found(store: Store, place: str) -> None:
    """Each figure that is broken by hand is among the differences, and there was none before."""
    with store.transaction() as db:
        db.execute(text("PRAGMA defer_foreign_keys = ON"))
        fill(Writer(db))
        assert [] == recount(db)
        db.execute(text(BREAKAGES[place]))
        assert place in [difference.place for difference in recount(db)]
        db.rollback()


def test_half_a_digest_is_no_difference(store: Store) -> None:
    """A referrer tag of sha512 holds half of the digest; what was known when it was seen tells the rest."""
    with store.transaction() as db:
        Writer(db).look("web", {f"sha512-{64 * 'a'}": IMAGE})
        assert [] == recount(db)


def test_progress(store: Store) -> None:
    """Repositories and then blobs are told, each to its end."""
    told: list[tuple[str, int, int]] = []
    with store.transaction() as db:
        writer = Writer(db)
        fill(writer)
        writer.look("web", {"v1": IMAGE})
        blobs = writer.read("SELECT COUNT(*) FROM blob")[0]
        assert [] == recount(db, lambda *step: told.append(step))
    assert [("repositories", 1, 2), ("repositories", 2, 2), ("blobs", blobs, blobs)] == told


def test_difference_has_both_figures(store: Store) -> None:
    """A difference tells what is stored and what was counted."""
    with store.transaction() as db:
        fill(Writer(db))
        db.execute(text("UPDATE repository SET tag_count = 9"))
        assert [Difference("repository 1 tag_count", 9, 1)] == recount(db)

"""A deletion in the store: what it is worked out from, the bytes it frees, and the statements it takes."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from graph.errors import QueryTooCostlyError
from graph.oci.deletion import DeletionReason, StayReason
from graph.store import deletion
from graph.store.deletion import Deletion, Extent, load_tags_left, work_out_deletion
from store_builders import ENGINES, NOW, StoreBuilder, filled_store, recorded_statements
from store_lists import EVERYTHING


class Yard:
    """A repository to add to, and what its plans say in one line for each artifact."""

    def __init__(self) -> None:
        self.build = StoreBuilder()
        self.registry = self.build.registry("one.example")
        self.app = self.build.repository(self.registry, "app")

    def image(self, *layers: int, home: int | None = None) -> int:
        """An image whose manifest has one byte, so that layers alone weigh."""
        manifest = self.build.manifest(self.registry, layers, data=b"x")
        return self.build.artifact(home or self.app, manifest)

    def index(self, *children: int, home: int | None = None) -> int:
        manifests = [self.manifest_of(child) for child in children]
        manifest = self.build.manifest(self.registry, children=manifests, data=b"x")
        return self.build.artifact(home or self.app, manifest)

    def layer(self, size: int) -> int:
        return self.build.layer(self.registry, size)

    def manifest_of(self, artifact: int) -> int:
        manifest: int = self.build.row("artifact", artifact)["manifest_id"]
        return manifest

    def refer(self, subject: int, artifact: int, via: str = "SUBJECT") -> None:
        self.build.referrer(self.manifest_of(subject), artifact, via)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def work_out(
    db: Connection, *artifacts: int, homes: tuple[int, ...] = (), taken: dict[int, int] | None = None
) -> Deletion:
    return work_out_deletion(db, EVERYTHING, artifacts, homes, taken or {})


def steps_of(found: Deletion) -> list[tuple[int, DeletionReason]]:
    return [(step.artifact, step.reason) for step in found.plan.steps]


def bytes_of(found: Deletion) -> tuple[int, int, int]:
    """Whole plan, without referrers, named only."""
    whole, without_referrers, named_only = (found.bytes_freed(extent) for extent in Extent)
    return whole, without_referrers, named_only


def test_extents(engine: str) -> None:
    """A blob is freed to the extent to which all that use it are deleted."""
    yard = Yard()
    shared, child_only, base = yard.layer(1_000), yard.layer(200), yard.layer(40_000)
    child = yard.image(shared, child_only, base)
    index = yard.index(child)
    signature = yard.image(shared)
    yard.refer(index, signature)
    elsewhere = yard.build.repository(yard.registry, "elsewhere")
    yard.image(base, home=elsewhere)
    with filled_store(yard.build, engine) as db:
        found = work_out(db, index)
    assert [
        (signature, DeletionReason.REFERRER),
        (index, DeletionReason.NAMED),
        (child, DeletionReason.CHILD),
    ] == steps_of(found)
    # Each of the three manifests is one byte; the base is used elsewhere.
    assert (1_203, 202, 1) == bytes_of(found)
    assert [shared, child_only] == [blob.key for blob in found.freed if blob.size > 1]
    assert 5 == len(found.freed)


def test_what_was_read_is_only_around(engine: str) -> None:
    """What a tag holds is not read on: a kept child's own children and referrers are not spoken of."""
    yard = Yard()
    leaf = yard.image()
    child = yard.index(leaf)
    yard.build.tag(yard.app, "child", child)
    yard.refer(child, yard.image())
    index = yard.index(child)
    with filled_store(yard.build, engine) as db:
        around = deletion.load_surroundings(db, EVERYTHING, [index], [])
        found = work_out(db, index)
    assert {index, child} == around.repository_of.keys()
    assert [(child, StayReason.TAGGED)] == [(stay.artifact, stay.reason) for stay in found.plan.staying]
    assert {child: 1} == found.tag_counts


def test_a_whole_repository(engine: str) -> None:
    """All that is present in a repository is named, and nothing of another one is."""
    yard = Yard()
    layer = yard.layer(70)
    image = yard.image(layer)
    index = yard.index(image)
    gone = yard.image(layer)
    yard.build.row("artifact", gone)["absent_at"] = NOW
    elsewhere = yard.build.repository(yard.registry, "elsewhere")
    other = yard.build.artifact(elsewhere, yard.manifest_of(image))
    with filled_store(yard.build, engine) as db:
        one, both = work_out(db, homes=(yard.app,)), work_out(db, other, homes=(yard.app,))
    assert [(index, DeletionReason.NAMED), (image, DeletionReason.NAMED)] == steps_of(one)
    assert (1, 1, 1) == bytes_of(one)
    assert (72, 72, 72) == bytes_of(both)


def test_tags_taken_away(engine: str) -> None:
    """An artifact goes with its last ordinary tag, and not before."""
    yard = Yard()
    image = yard.image()
    tags = [yard.build.tag(yard.app, name, image) for name in ("b", "a", "c")]
    yard.build.tag(yard.app, f"sha256-{'0' * 64}.sig", image, is_referrer_tag=True)
    with filled_store(yard.build, engine) as db:
        kept, gone = work_out(db, taken={image: 2}), work_out(db, taken={image: 3})
        (left,) = load_tags_left(db, EVERYTHING, [image], [tags[1]], 20)
        (first,) = load_tags_left(db, EVERYTHING, [image], [], 2)
    assert ([], {image: 1}) == (steps_of(kept), kept.tag_counts)
    assert [(image, DeletionReason.NAMED)] == steps_of(gone)
    assert (["b", "c"], ["a", "b"]) == ([tag.name for tag in left], [tag.name for tag in first])


def test_subjects(engine: str) -> None:
    """A subject that is absent holds nothing; one that nobody has seen may be there, and holds."""
    yard = Yard()
    image, absent = yard.image(), yard.image()
    yard.build.row("artifact", absent)["absent_at"] = NOW
    free, held = yard.image(), yard.image()
    for referrer in (free, held):
        yard.refer(image, referrer)
    yard.refer(absent, free)
    yard.build.referrer(yard.build.blob(yard.registry), held)
    with filled_store(yard.build, engine) as db:
        found = work_out(db, image)
    assert [(free, DeletionReason.REFERRER), (image, DeletionReason.NAMED)] == steps_of(found)
    (stay,) = found.plan.staying
    assert (held, StayReason.HELD_AS_REFERRER, ()) == (stay.artifact, stay.reason, stay.holders)


def test_a_fallback_index_goes_with_its_subject(engine: str) -> None:
    """The index under a fallback tag, what it lists, and then the subject."""
    yard = Yard()
    image, signature = yard.image(), yard.image()
    index = yard.index(signature)
    yard.refer(image, index, "FALLBACK_INDEX")
    yard.refer(image, signature, "REFERRER_TAG")
    with filled_store(yard.build, engine) as db:
        found = work_out(db, image)
    assert [index, signature, image] == [step.artifact for step in found.plan.steps]


def test_foreign_and_unsized_layers_free_nothing(engine: str) -> None:
    """A registry need not keep a foreign layer, and what nobody gives a size adds nothing."""
    yard = Yard()
    foreign = yard.build.layer(yard.registry, 500, is_foreign=True)
    unsized = yard.build.layer(yard.registry, None)
    image = yard.image(foreign, unsized)
    with filled_store(yard.build, engine) as db:
        found = work_out(db, image)
    assert (1, 1, 1) == bytes_of(found)
    assert {yard.manifest_of(image), unsized} == {blob.key for blob in found.freed}


def test_the_same_index_in_two_repositories(engine: str) -> None:
    """Children are those of the same repository; what the other one holds is not held by this one's index."""
    yard = Yard()
    image = yard.image()
    index = yard.index(image)
    elsewhere = yard.build.repository(yard.registry, "elsewhere")
    yard.build.artifact(elsewhere, yard.manifest_of(index))
    lonely = yard.build.artifact(elsewhere, yard.manifest_of(image))
    with filled_store(yard.build, engine) as db:
        found = work_out(db, index)
    assert lonely not in {step.artifact for step in found.plan.steps}
    assert [] == list(found.plan.staying)
    assert (0, 0, 0) == bytes_of(found)


def test_registries_share_nothing(engine: str) -> None:
    """C2: a plan over two registries frees what each of them frees."""
    yard = Yard()
    image = yard.image(yard.layer(10))
    other = yard.build.registry("two.example")
    theirs = yard.build.image(yard.build.repository(other, "app"), [yard.build.layer(other, 200)])
    with filled_store(yard.build, engine) as db:
        alone, both = work_out(db, theirs), work_out(db, image, theirs)
    assert bytes_of(alone)[0] + 11 == bytes_of(both)[0]


@pytest.mark.parametrize("size", [1, 200])
def test_two_statements(engine: str, size: int) -> None:
    """However many are named, and however much is around them."""
    yard = Yard()
    indexes = [yard.index(yard.image(yard.layer(number)), yard.image()) for number in range(size)]
    for index in indexes:
        yard.refer(index, yard.image())
    with filled_store(yard.build, engine) as db, recorded_statements(db) as statements:
        found = work_out(db, *indexes, homes=(yard.app,))
    assert 4 * size == len(found.plan.steps)
    assert 2 == len(statements)


def test_nothing_named(engine: str) -> None:
    """An empty set makes an empty plan."""
    yard = Yard()
    yard.image()
    with filled_store(yard.build, engine) as db:
        found = work_out(db)
    assert ([], (0, 0, 0)) == (steps_of(found), bytes_of(found))


def test_too_much_is_refused(engine: str) -> None:
    """More artifacts and edges than a plan may be worked out from are an error, not a wait."""
    yard = Yard()
    for _ in range(6):
        yard.image()
    with filled_store(yard.build, engine) as db:
        assert 6 == len(deletion.load_surroundings(db, EVERYTHING, [], [yard.app], limit=6).repository_of)
        with pytest.raises(QueryTooCostlyError):
            deletion.load_surroundings(db, EVERYTHING, [], [yard.app], limit=5)

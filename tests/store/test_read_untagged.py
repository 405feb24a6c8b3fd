"""What is untagged for each reason is a set like any other: counted and weighed as loops over the rows do."""

from collections import defaultdict
from collections.abc import Collection, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import QueryTooCostlyError
from graph.oci.liveness import Untagged
from graph.oci.sets import down, going
from graph.store.untagged import Owner, UntaggedSet, UntaggedWeight, load_untagged, weigh_untagged
from graph.store.visibility import Visibility
from store_builders import NOW, Row, StoreBuilder, filled_store, recorded_statements

ALL = Visibility.everything()
MANIFEST = 2  # bytes of every manifest that the builder makes


def naive_weight(build: StoreBuilder, reason: Untagged, owned: Collection[Row]) -> UntaggedWeight:
    """What the artifacts of an owner that are untagged for the reason take, by loops over the rows."""
    present = {row["id"]: row for row in build.rows["artifact"] if row["absent_at"] is None}
    by_place = {(row["repository_id"], row["manifest_id"]): key for key, row in present.items()}
    children, parents = defaultdict(list), defaultdict(list)
    for key, row in present.items():
        for entry in build.rows["manifest_child"]:
            child = by_place.get((row["repository_id"], entry["child_id"]))
            if entry["manifest_id"] == row["manifest_id"] and row["has_manifest"] and child is not None:
                children[key].append(child)
                parents[child].append(key)
    content = {
        key: {row["manifest_id"], *build.content.get(row["manifest_id"], ())} for key, row in present.items()
    }
    named = {row["id"] for row in owned if row["id"] in present and row["untagged"] == reason}
    leaving = going(named, children, parents, {row["artifact_id"] for row in build.rows["tag"]})
    held = {blob for key, blobs in content.items() if key not in leaving for blob in blobs}

    def weigh(blobs: set[int]) -> int:
        rows = [build.row("blob", blob) for blob in blobs]
        return sum(row["size"] or 0 for row in rows if not row.get("is_foreign"))

    stored = set().union(*(content[key] for key in down(named, children)))
    return UntaggedWeight(
        len(named), weigh(stored), weigh(set().union(*(content[key] for key in leaving)) - held)
    )


@st.composite
def stores(draw: st.DrawFn) -> StoreBuilder:
    """Indexes in indexes, in several repositories, of artifacts that are tagged, or not for any reason."""
    build = StoreBuilder()
    registry = build.registry("one.test")
    layers = [build.layer(registry, size, is_foreign=size == 9) for size in (1, 10, 100, 9, None)]
    manifests: list[int] = []
    for _ in range(draw(st.integers(1, 6))):
        children = draw(st.lists(st.sampled_from(manifests), max_size=3)) if manifests else []
        manifests.append(
            build.manifest(registry, draw(st.lists(st.sampled_from(layers), max_size=3)), children)
        )
    for name in ("a/one", "a/b/two", "three"):
        repository = build.repository(registry, name)
        for manifest in draw(st.lists(st.sampled_from(manifests), unique=True)):
            reason = draw(st.sampled_from([None, *Untagged]))
            artifact = build.artifact(
                repository,
                manifest,
                untagged=reason,
                has_manifest=draw(st.sampled_from([True, True, True, False])) or not build.content[manifest],
                absent_at=draw(st.sampled_from([None, None, None, NOW])),
            )
            if reason is None:
                build.tag(repository, f"v{artifact}", artifact)
    return build


def owned_by(build: StoreBuilder) -> Iterator[tuple[Owner, int, list[Row]]]:
    """Every owner, and the artifacts that it holds."""
    names = {row["id"]: row["name"] for row in build.rows["repository"]}
    artifacts = build.rows["artifact"]
    yield Owner.REGISTRY, 1, artifacts
    for key in names:
        yield Owner.REPOSITORY, key, [row for row in artifacts if row["repository_id"] == key]
    for namespace in build.rows["namespace"]:
        below = [row for row in artifacts if names[row["repository_id"]].startswith(f"{namespace['name']}/")]
        yield Owner.NAMESPACE, namespace["id"], below


@settings(max_examples=60, deadline=None)
@given(build=stores())
def test_sets_of_untagged(build: StoreBuilder) -> None:
    """Each reason of each owner has the figures of the set of its artifacts, in two statements."""
    with filled_store(build) as db:
        for kind in Owner:
            owners = [(key, rows) for owner, key, rows in owned_by(build) if owner is kind]
            with recorded_statements(db) as statements:
                found = load_untagged(db, ALL, kind, [key for key, _ in owners])
                sets = [one for by_reason in found for one in by_reason.values()]
                weights = weigh_untagged(db, ALL, kind, sets)
            assert 2 == len(statements)
            assert [naive_weight(build, reason, rows) for _, rows in owners for reason in Untagged] == weights


def cleaning_store() -> tuple[StoreBuilder, dict[str, int]]:
    """A dangling index with an image of its own, one that the index in use lists too, and one with a tag."""
    build = StoreBuilder()
    registry = build.registry("one.test")
    web = build.repository(registry, "web")
    manifests = [build.manifest(registry, [build.layer(registry, size)]) for size in (100, 200, 400)]
    keys = {
        "own": build.artifact(web, manifests[0], untagged="DANGLING"),
        "kept": build.artifact(web, manifests[1], untagged="INDEX_CHILD"),
        "tagged": build.artifact(web, manifests[2]),
        "old": build.artifact(web, build.manifest(registry, children=manifests), untagged="DANGLING"),
        "new": build.artifact(web, build.manifest(registry, children=manifests[1:])),
    }
    build.tag(web, "latest", keys["new"])
    build.tag(web, "arm", keys["tagged"])
    return build, keys


def test_what_a_dangling_index_shares() -> None:
    """What an index in use keeps is in the bytes of the dangling one that lists it, and not freed with it."""
    build, keys = cleaning_store()
    with filled_store(build) as db:
        (found,) = load_untagged(db, ALL, Owner.REPOSITORY, [1])
        weights = weigh_untagged(db, ALL, Owner.REPOSITORY, [found[Untagged.DANGLING]])

    staying = (keys["kept"], keys["tagged"])
    assert UntaggedSet(1, Untagged.DANGLING, 2, leaving=(), staying=staying) == found[Untagged.DANGLING]
    assert UntaggedSet(1, Untagged.INDEX_CHILD, 1) == found[Untagged.INDEX_CHILD]
    assert UntaggedSet(1, Untagged.REFERRER) == found[Untagged.REFERRER]
    assert [UntaggedWeight(2, 700 + 4 * MANIFEST, 100 + 2 * MANIFEST)] == weights


def test_too_much_below() -> None:
    """Where more would have to be judged than one answer may be made from, there is none."""
    build, _ = cleaning_store()
    with filled_store(build) as db, pytest.raises(QueryTooCostlyError):
        load_untagged(db, ALL, Owner.REPOSITORY, [1], limit=3)

"""What is around a set, and what it weighs: figures counted by hand and the three known mistakes."""

from collections.abc import Collection

import pytest

from graph.errors import QueryTooCostlyError
from graph.oci.sets import down, going
from graph.store.rows import Scope
from graph.store.sets import Weight, load_contents, load_neighbourhood, weigh_set
from graph.store.visibility import Visibility
from store_builders import NOW, StoreBuilder, filled_store, recorded_statements

ALL = Visibility.everything()
MANIFEST = 2  # bytes of every manifest that the builder makes


class Shop:
    """Two indexes that share a child, an image of their layers elsewhere, and ragged content.

    In `web`: index `one` lists `amd` and `arm`, index `two` lists `arm` and `riscv`, which has a tag of its
    own. In `api`: `copy`, whose layers are `base` and one of its own.
    """

    def __init__(self) -> None:
        self.build = build = StoreBuilder()
        self.registry = registry = build.registry("one.test")
        self.web, self.api = build.repository(registry, "web"), build.repository(registry, "api")
        self.base = build.layer(registry, 1000)
        self.foreign = build.layer(registry, 50_000, is_foreign=True)
        self.unsized = build.layer(registry, None)
        own = [build.layer(registry, size) for size in (100, 200, 400, 800)]
        manifests = [
            build.manifest(registry, [self.base, layer], config=b"{}" + b" " * number)
            for number, layer in enumerate(own[:3])
        ]
        self.amd, self.arm, self.riscv = (build.artifact(self.web, manifest) for manifest in manifests)
        nowhere = build.blob(registry, 7)  # a child that the repository lacks
        self.one = build.artifact(self.web, build.manifest(registry, children=[*manifests[:2], nowhere]))
        self.two = build.artifact(self.web, build.manifest(registry, children=manifests[1:]))
        self.copy = build.image(self.api, [self.base, own[3], self.foreign, self.unsized])
        for name, artifact in (("one", self.one), ("two", self.two), ("riscv", self.riscv)):
            build.tag(self.web, name, artifact)
        build.tag(self.api, "copy", self.copy)

    def weigh(self, *named: int, repositories: Collection[int] = ()) -> Weight:
        """What the artifacts with these keys, and what goes with them, weigh."""
        with filled_store(self.build) as db:
            around = load_neighbourhood(db, ALL, named)
            members = down(named, around.children)
            leaving = going(set(named), around.children, around.parents, around.tagged)
            with recorded_statements(db) as statements:
                weight = weigh_set(db, ALL, members, leaving, repositories)
        assert len(statements) == 1 or not members
        return weight


def test_neighbourhood() -> None:
    """The members, what is below them, who lists any of these, who has a tag: in one statement."""
    shop = Shop()
    with filled_store(shop.build) as db, recorded_statements(db) as statements:
        around = load_neighbourhood(db, ALL, [shop.one, 999])

    assert 1 == len(statements)
    assert {shop.one: shop.web, shop.amd: shop.web, shop.arm: shop.web} == around.repository_of
    assert {shop.one} == around.tagged
    assert {shop.one: {shop.amd, shop.arm}, shop.two: {shop.arm}} == {
        index: set(children) for index, children in around.children.items()
    }
    assert {shop.amd: {shop.one}, shop.arm: {shop.one, shop.two}} == {
        child: set(parents) for child, parents in around.parents.items()
    }


def test_neighbourhood_is_present() -> None:
    """What is absent, or in another repository, is around nothing; a manifest that is not known is told."""
    build = StoreBuilder()
    registry = build.registry("one.test")
    web, api = build.repository(registry, "web"), build.repository(registry, "api")
    child, missing = build.manifest(registry, []), build.manifest(registry, [])
    index = build.manifest(registry, children=[child, missing, child])
    inside, gone = build.artifact(web, child), build.artifact(web, missing, absent_at=NOW)
    here = build.artifact(web, index)
    build.artifact(api, child)
    other = build.artifact(api, index, has_manifest=False)
    with filled_store(build) as db:
        around = load_neighbourhood(db, ALL, [here, gone, other])

    assert {here: web, inside: web, other: api} == around.repository_of
    assert {other} == around.unknown
    assert {here: [inside]} == around.children


def test_cycles_end() -> None:
    """Indexes that claim to list each other are each found once."""
    build = StoreBuilder()
    registry = build.registry("one.test")
    web = build.repository(registry, "web")
    first, second = build.manifest(registry, []), build.manifest(registry, [])
    layer_type = build.rows["media_type"][0]["id"]
    for index, child in ((first, second), (second, first), (second, second)):
        position = len(build.rows["manifest_child"])
        entry = {"manifest_id": index, "position": position, "media_type_id": layer_type, "child_id": child}
        build.rows["manifest_child"].append(entry)
    one, two = build.artifact(web, first), build.artifact(web, second)
    with filled_store(build) as db:
        around = load_neighbourhood(db, ALL, [one])

    assert {one: [two], two: [one, two]} == {key: sorted(below) for key, below in around.children.items()}


def test_index_counts_once() -> None:
    """Known mistake: an index's total and its children's. The children are in the index's; nothing twice."""
    shop = Shop()

    alone, with_children = shop.weigh(shop.one), shop.weigh(shop.one, shop.amd, shop.arm)

    configs = 2 + 3
    stored = 3 * MANIFEST + configs + 1000 + 100 + 200
    assert (3, stored) == (alone.layer_count, alone.stored_bytes)
    assert alone.stored_bytes == with_children.stored_bytes
    assert alone.logical_bytes == with_children.logical_bytes == stored + 1000


def test_sum_of_distinct_sizes() -> None:
    """Known mistake: the sum of the distinct sizes. Two layers of one size are two layers."""
    build = StoreBuilder()
    registry = build.registry("one.test")
    web = build.repository(registry, "web")
    image = build.image(web, [build.layer(registry, 700), build.layer(registry, 700)])
    with filled_store(build) as db:
        weight = weigh_set(db, ALL, [image], [image])

    assert Weight(2, 1400 + MANIFEST, 1400 + MANIFEST, 1400 + MANIFEST) == weight


def test_shared_is_not_exclusive() -> None:
    """Known mistake: a shared blob as exclusive. What another repository uses stays when one image goes."""
    shop = Shop()

    assert 800 + MANIFEST == shop.weigh(shop.copy).exclusive_bytes
    everything = shop.weigh(shop.one, shop.two, shop.riscv, shop.copy)
    assert everything.stored_bytes == everything.exclusive_bytes


def test_index_keeps_what_others_hold() -> None:
    """{index}: what its own children use goes, but for a child that another index lists."""
    assert 2 * MANIFEST + 2 + 100 == Shop().weigh(Shop().one).exclusive_bytes


def test_child_of_a_kept_index() -> None:
    """{child of a kept index}: what is named counts, whoever holds it."""
    assert MANIFEST + 2 + 100 == Shop().weigh(Shop().amd).exclusive_bytes


def test_two_indexes_that_share_a_child() -> None:
    """{two indexes that share a child}: the shared child goes with them, the one with a tag stays."""
    shop = Shop()

    assert 4 * MANIFEST + 2 + 3 + 100 + 200 == shop.weigh(shop.one, shop.two).exclusive_bytes


def test_foreign_and_unsized() -> None:
    """A foreign layer counts in logical bytes alone; one whose size nobody says counts as a layer of 0."""
    shop = Shop()
    weight = shop.weigh(shop.copy)

    assert 4 == weight.layer_count
    assert 1000 + 800 + 50_000 + MANIFEST == weight.logical_bytes
    assert 1000 + 800 + MANIFEST == weight.stored_bytes


def test_whole_repositories_and_artifacts() -> None:
    """Whole repositories and single artifacts are one set: together they own what they share."""
    shop = Shop()
    both = shop.weigh(repositories=[shop.web, shop.api])

    assert both.stored_bytes == both.exclusive_bytes
    assert both == shop.weigh(shop.copy, repositories=[shop.web])
    assert 1000 == both.exclusive_bytes - sum(
        shop.weigh(repositories=[repository]).exclusive_bytes for repository in (shop.web, shop.api)
    )


def test_live_artifacts_of_whole_repositories() -> None:
    """Scope TAGGED counts live artifacts; what a dangling one uses too is not exclusive to them."""
    build = StoreBuilder()
    registry = build.registry("one.test")
    web = build.repository(registry, "web")
    shared, own, dead = (build.layer(registry, size) for size in (1, 10, 100))
    build.tag(web, "v1", build.image(web, [shared, own], is_live=True))
    build.image(web, [shared, dead], untagged="DANGLING")
    with filled_store(build) as db:
        weight = weigh_set(db, ALL, [], [], [web], Scope.TAGGED)

    assert Weight(2, 11 + MANIFEST, 11 + MANIFEST, 10 + MANIFEST) == weight


def test_registries_share_nothing() -> None:
    """A set may span registries: each keeps a copy of its own, and the sums add (C2)."""
    build = StoreBuilder()
    images = []
    for name in ("one.test", "two.test"):
        registry = build.registry(name)
        images.append(build.image(build.repository(registry, "web"), [build.layer(registry, 500)]))
    with filled_store(build) as db:
        weights = [weigh_set(db, ALL, members, members) for members in ([images[0]], [images[1]], images)]

    assert weights[2].stored_bytes == weights[0].stored_bytes + weights[1].stored_bytes
    assert weights[2].exclusive_bytes == weights[2].stored_bytes == 2 * (500 + MANIFEST)


def test_nothing_weighs_nothing() -> None:
    """An empty set is no mistake."""
    with filled_store(StoreBuilder()) as db:
        assert Weight() == weigh_set(db, ALL, [], [])


def test_contents() -> None:
    """The contents are read beside the neighbourhood, in one statement, with who uses each blob."""
    shop = Shop()
    with filled_store(shop.build) as db, recorded_statements(db) as statements:
        around, uses = load_contents(db, ALL, [shop.one], 100)

    assert 1 == len(statements)
    assert {shop.one, shop.amd, shop.arm} == set(around.repository_of) == set(uses)
    assert [1, 4] == sorted(use.artifact_count for use in uses[shop.amd] if use.is_layer)


def test_contents_are_bounded() -> None:
    """What would be more rows than allowed is refused, not held in memory."""
    shop = Shop()
    with filled_store(shop.build) as db, pytest.raises(QueryTooCostlyError):
        load_contents(db, ALL, [shop.one], 10)

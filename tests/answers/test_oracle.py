"""The oracle is not fooled: the mistakes that every such sum makes first, by numbers worked out by hand."""

from collections.abc import Mapping, Sequence

from builders import Built, make_config, make_descriptor, make_image, make_index, make_sbom
from deletion_oracle import plan_deletion
from oracle import Oracle, Repository, Storage

BASE = make_descriptor("base", 1_000)
OWN = make_descriptor("own", 20)
OTHER = make_descriptor("other", 300)
FOREIGN = make_descriptor("windows", 5_000, urls=["https://example.com/layer"])


def oracle_of(repositories: Mapping[str, Sequence[Built]], tags: Mapping[str, Mapping[str, Built]]) -> Oracle:
    held = {built.digest: built for contents in repositories.values() for built in contents}
    manifests = {digest: built.data for digest, built in held.items()}
    configs = {
        blob.digest: blob.data for built in held.values() for blob in built.blobs if blob.platform is not None
    }
    return Oracle(
        {**configs, **manifests},
        {
            name: Repository(
                {tag: built.digest for tag, built in tags.get(name, {}).items()},
                {built.digest for built in contents},
            )
            for name, contents in repositories.items()
        },
        manifests,
        {},
    )


def documents_of(built: Built) -> int:
    """The bytes of a manifest and its config."""
    return built.size + sum(blob.size for blob in built.blobs if blob.platform is not None)


def test_equal_sizes_of_two_digests_count_twice() -> None:
    """Sums are deduplicated by digest: two layers of one size are two layers."""
    image = make_image([make_descriptor("one", 500), make_descriptor("two", 500)])
    oracle = oracle_of({"web": [image]}, {"web": {"v1": image}})

    expected = 1_000 + documents_of(image)
    assert Storage(1, 2, expected, expected, expected) == oracle.storage([("web", image.digest)])


def test_a_digest_that_is_listed_twice_counts_once() -> None:
    """Content is each digest once, however often a manifest lists it."""
    image = make_image([BASE, BASE])
    oracle = oracle_of({"web": [image]}, {})

    assert 1_000 + documents_of(image) == oracle.storage([("web", image.digest)]).logical_bytes


def test_an_index_and_its_children_count_once() -> None:
    """A child is in down({index}) and in the repository, and is counted as one artifact of either."""
    image = make_image([BASE])
    index = make_index([image])
    oracle = oracle_of({"web": [image, index]}, {"web": {"v1": index}})

    expected = 1_000 + documents_of(image) + index.size
    assert [Storage(2, 1, expected, expected, expected)] * 2 == [
        oracle.storage(oracle.members()),
        oracle.storage([("web", index.digest)]),
    ]


def test_a_shared_blob_is_not_exclusive() -> None:
    """What another artifact uses stays when one goes, in another repository too; both together free it."""
    one, two = make_image([BASE, OWN]), make_image([BASE, OTHER])
    oracle = oracle_of({"web": [one], "api": [two]}, {"web": {"v1": one}, "api": {"v1": two}})
    both = [("web", one.digest), ("api", two.digest)]

    assert 20 + documents_of(one) == oracle.storage(both[:1]).exclusive_bytes
    assert 1_000 == oracle.storage(both[:1]).shared_bytes
    assert 1_320 + documents_of(one) + documents_of(two) == oracle.storage(both).exclusive_bytes


def test_one_manifest_in_two_repositories_is_shared() -> None:
    """The registry keeps one copy of a manifest that two repositories hold."""
    image = make_image([BASE])
    oracle = oracle_of({"web": [image], "api": [image]}, {})
    whole = oracle.storage(oracle.members())

    assert 0 == oracle.storage([("web", image.digest)]).exclusive_bytes
    assert whole.logical_bytes == 2 * whole.stored_bytes == 2 * whole.exclusive_bytes


def test_an_index_alone() -> None:
    """The set {index} goes with its children, unless a tag holds one."""
    image, tagged = make_image([OWN]), make_image([OTHER])
    index = make_index([image, tagged])
    held = {"web": [image, tagged, index]}
    free = oracle_of(held, {"web": {"v1": index}}).storage([("web", index.digest)])
    kept = oracle_of(held, {"web": {"v1": index, "v2": tagged}}).storage([("web", index.digest)])

    assert (3, 0) == (free.artifact_count, free.shared_bytes)
    assert (3, 300 + documents_of(tagged)) == (kept.artifact_count, kept.shared_bytes)


def test_a_child_of_a_kept_index() -> None:
    """A named child goes though its index stays; not named it stays with it."""
    image = make_image([OWN])
    inner = make_index([image])
    outer = make_index([inner])
    oracle = oracle_of({"web": [image, inner, outer]}, {"web": {"v1": outer}})

    assert 20 + documents_of(image) == oracle.storage([("web", image.digest)]).exclusive_bytes
    assert {("web", inner.digest), ("web", image.digest)} == oracle.going([("web", inner.digest)])


def test_two_indexes_that_share_a_child() -> None:
    """Either leaves the child to the other; both together take it along."""
    image = make_image([OWN])
    one, two = make_index([image]), make_index([image], annotations={"n": "2"})
    oracle = oracle_of({"web": [image, one, two]}, {"web": {"v1": one, "v2": two}})
    both = [("web", one.digest), ("web", two.digest)]

    assert one.size == oracle.storage(both[:1]).exclusive_bytes
    assert 20 + documents_of(image) + one.size + two.size == oracle.storage(both).exclusive_bytes


def test_foreign_layers_are_not_kept() -> None:
    """A layer that comes from elsewhere weighs in what is logical, and takes no room."""
    image = make_image([FOREIGN])
    oracle = oracle_of({"web": [image]}, {})
    documents = documents_of(image)

    expected = Storage(1, 1, 5_000 + documents, documents, documents)
    assert expected == oracle.storage([("web", image.digest)])


def test_referrers_are_in_no_set() -> None:
    """Only the plan of a deletion takes a referrer along, and tells its bytes apart."""
    image = make_image([BASE])
    sbom = make_sbom(image)
    oracle = oracle_of({"web": [image, sbom]}, {"web": {"v1": image}})
    named = [("web", image.digest)]
    plan = plan_deletion(oracle, named)

    assert 1 == oracle.storage(named).artifact_count
    assert {("web", image.digest): "NAMED", ("web", sbom.digest): "REFERRER"} == plan.reasons
    assert plan.bytes_freed == plan.bytes_freed_by_named_only + plan.bytes_freed_by_referrers


def test_a_lost_tag_lets_go_of_what_nothing_holds() -> None:
    """Taking the last tag away lets an artifact go, as named, unless an index that stays lists it."""
    image = make_image([BASE])
    index = make_index([image])
    oracle = oracle_of({"web": [image, index]}, {"web": {"v1": image, "all": index}})
    child, parent = ("web", image.digest), ("web", index.digest)

    assert {} == plan_deletion(oracle, [], [("web", "v1")]).reasons
    assert {parent: "NAMED"} == plan_deletion(oracle, [], [("web", "all")]).reasons
    assert {parent: "NAMED", child: "NAMED"} == plan_deletion(
        oracle, [], [("web", "all"), ("web", "v1")]
    ).reasons


def test_shared_config_is_no_layer() -> None:
    """Two images with one config and no common layer overlap in nothing."""
    config = make_config([BASE])
    one, two = make_image([OWN], config), make_image([OTHER], config)
    oracle = oracle_of({"web": [one, two]}, {})

    assert [[(1, 20), (0, 0)], [(0, 0), (1, 300)]] == oracle.overlap(
        [[("web", one.digest)], [("web", two.digest)]]
    )

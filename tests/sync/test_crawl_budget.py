"""How many requests a crawl makes, exactly."""

import pytest

from builders import (
    Built,
    make_artifact,
    make_config,
    make_helm_chart,
    make_image,
    make_index,
    make_layer,
    make_sbom,
    make_signature,
)
from fakes.sync_rig import Rig, image, push

pytestmark = pytest.mark.anyio

DAY = 86_400


def multi_platform(seed: str) -> Built:
    return make_index([image(seed), image(seed, architecture="arm64")])


async def test_first_crawl_of_plain_oci(rig: Rig) -> None:
    """One ping, the lists, a GET for each tag, one for each distinct image config, one referrers probe."""
    rig.registry.supports_referrers = False
    push(rig.registry, "shop/web", image("a"), "v1", "latest")
    push(rig.registry, "shop/web", image("b"), "v2")
    push(rig.registry, "shop/api", image("c"), "v1")
    push(rig.registry, "charts/shop", make_helm_chart(), "0.1.0")
    spent, report = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 3, "MANIFEST_GET": 5, "CONFIG": 3, "REFERRERS": 1} == spent
    assert report.failure is None
    assert {} == report.trouble_counts
    assert (3, 5, 4, 14) == (report.repositories, report.tags, report.manifests, report.requests)
    assert [] == rig.recount()


async def test_first_crawl_of_nothing(rig: Rig) -> None:
    """An empty registry costs a ping and its catalog: with no manifest nobody asks about referrers."""
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1} == spent


async def test_lists_are_paged(rig: Rig) -> None:
    """Lists cost a request a page, however small the registry's pages are."""
    rig.registry.supports_referrers = False
    rig.registry.page_size = 2
    built = image("a")
    for name in ("one", "two", "three"):
        push(rig.registry, name, built, "v1", "v2", "v3", "v4", "v5")
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 2, "TAGS": 9, "MANIFEST_GET": 15, "CONFIG": 1, "REFERRERS": 1} == spent


async def test_children_are_fetched_once(rig: Rig) -> None:
    """A manifest that only indexes name costs one GET, in however many of them; a tagged one no other."""
    rig.registry.supports_referrers = False
    child, tagged, shared = image("child"), image("tagged"), image("shared")
    inner = make_index([shared, child])
    push(rig.registry, "web", make_index([inner, tagged, shared]), "v1")
    push(rig.registry, "web", make_index([inner]), "v2")
    push(rig.registry, "web", tagged, "amd64")
    spent, _ = await rig.spend()
    # Three tags; inner, shared and child by digest.
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_GET": 6, "CONFIG": 3, "REFERRERS": 1} == spent
    assert 6 == len(rig.artifacts("web"))
    assert [] == rig.recount()


async def test_what_repositories_share_is_fetched_once(rig: Rig) -> None:
    """A child or config that several repositories need costs one GET, a child a HEAD in the others."""
    rig.registry.supports_referrers = False
    index = multi_platform("a")
    for name in ("one", "two", "three", "four"):
        push(rig.registry, name, index, "v1")
    spent, _ = await rig.spend()
    assert {
        "PING": 1,
        "CATALOG": 1,
        "TAGS": 4,
        "MANIFEST_GET": 4 + 2,
        "MANIFEST_HEAD": 3 * 2,
        "CONFIG": 2,
        "REFERRERS": 1,
    } == spent
    assert all(3 == len(rig.artifacts(name)) for name in ("one", "two", "three", "four"))
    assert [] == rig.recount()


async def test_opaque_configs_are_not_fetched(rig: Rig) -> None:
    """Only a config whose media type is an image's is fetched."""
    push(rig.registry, "a", make_artifact(), "v1")
    push(rig.registry, "a", make_helm_chart(), "v2")
    spent, _ = await rig.spend()
    assert "CONFIG" not in spent


async def test_configs_of_two_images(rig: Rig) -> None:
    """A config that two images share is fetched once and told of both."""
    rig.registry.supports_referrers = False
    config = make_config([make_layer("a")], architecture="riscv64")
    push(rig.registry, "a", make_image([make_layer("a")], config), "v1")
    push(rig.registry, "a", make_image([make_layer("a")], config, annotations={"a": "b"}), "v2")
    spent, _ = await rig.spend()
    assert 1 == spent["CONFIG"]
    push(rig.registry, "b", make_image([make_layer("a")], config, annotations={"c": "d"}), "v3")
    spent, _ = await rig.spend()
    assert "CONFIG" not in spent
    assert {"riscv64"} == {row[4] for row in rig.dump()["manifests"]}
    assert [] == rig.recount()


async def test_referrers_are_listed_once_each(rig: Rig) -> None:
    """Where referrers are supported: one list for each present manifest, referrers of referrers too."""
    built = image("a")
    sbom = make_sbom(built)
    signed_sbom = make_artifact("application/vnd.example.signature", subject=sbom)
    push(rig.registry, "web", built, "v1")
    push(rig.registry, "web", sbom)
    push(rig.registry, "web", signed_sbom)
    push(rig.registry, "web", multi_platform("b"), "v2")
    spent, _ = await rig.spend()
    # One list for each of four images and indexes (two tags, two children), and for each of two referrers:
    # the signature of the SBOM is listed with the SBOM and nowhere else.
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_GET": 6, "CONFIG": 3, "REFERRERS": 6} == spent
    assert "REFERRER" == rig.artifacts("web")[sbom.digest] == rig.artifacts("web")[signed_sbom.digest]
    assert [] == rig.recount()


async def test_fallback_and_cosign_tags_are_tags(rig: Rig) -> None:
    """Without the referrers API what refers is found by the tags that say so, with no request of its own."""
    rig.registry.supports_referrers = False
    built = image("a")
    sbom, signature = make_sbom(built), make_signature(built)
    push(rig.registry, "web", built, "v1")
    push(rig.registry, "web", make_index([sbom]), built.digest.replace(":", "-"))
    push(rig.registry, "web", signature, str(signature.tag))
    spent, _ = await rig.spend()
    # Three tags and the SBOM by digest; the image's config and the signature's.
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_GET": 4, "CONFIG": 2, "REFERRERS": 1} == spent
    assert "DANGLING" not in rig.artifacts("web").values()
    assert [] == rig.recount()


async def test_later_crawl_of_plain_oci(rig: Rig) -> None:
    """A later crawl asks for the lists and one HEAD a tag: no manifest, no config, no list of referrers."""
    rig.registry.supports_referrers = False
    push(rig.registry, "web", image("a"), "v1", "latest")
    push(rig.registry, "web", multi_platform("b"), "v2")
    push(rig.registry, "api", image("c"), "v1")
    await rig.crawl()
    before = rig.dump()
    spent, report = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 2, "MANIFEST_HEAD": 4} == spent
    assert 0 == report.manifests
    assert before == rig.dump()


async def test_later_crawl_where_referrers_are_known(rig: Rig) -> None:
    """Lists of referrers that are young enough are not asked for, nor is what they named."""
    built = image("a")
    push(rig.registry, "web", built, "v1")
    push(rig.registry, "web", make_sbom(built))
    await rig.crawl()
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 1} == spent
    rig.clock.advance(DAY)
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 1, "REFERRERS": 2} == spent


async def test_a_moved_tag(rig: Rig) -> None:
    """A tag that moved costs its HEAD, the new manifest and config, and a HEAD of what it named before."""
    rig.registry.supports_referrers = False
    old = push(rig.registry, "web", image("a"), "latest")
    await rig.crawl()
    new = push(rig.registry, "web", image("b"), "latest")
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 2, "MANIFEST_GET": 1, "CONFIG": 1} == spent
    assert {"latest": new} == rig.tags("web")
    assert {old: "DANGLING", new: ""} == rig.artifacts("web")
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 2} == spent
    assert [] == rig.recount()


async def test_tags_that_move_to_the_same_manifest(rig: Rig) -> None:
    """Several tags that move at once to one new manifest fetch it once."""
    rig.registry.supports_referrers = False
    push(rig.registry, "web", image("a"), "v1", "v1.0", "latest")
    await rig.crawl()
    push(rig.registry, "web", image("b"), "v1", "v1.0", "latest")
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 4, "MANIFEST_GET": 1, "CONFIG": 1} == spent


async def test_a_new_tag_of_what_is_stored(rig: Rig) -> None:
    """A new tag that names what is stored, here or in another repository, costs its HEAD only."""
    rig.registry.supports_referrers = False
    built, other = image("a"), image("b")
    push(rig.registry, "web", built, "v1")
    push(rig.registry, "api", other, "v1")
    await rig.crawl()
    push(rig.registry, "web", built, "latest")
    push(rig.registry, "web", other, "next")
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 2, "MANIFEST_HEAD": 4} == spent
    assert {"v1": built.digest, "latest": built.digest, "next": other.digest} == rig.tags("web")
    assert [] == rig.recount()


async def test_a_deleted_tag(rig: Rig) -> None:
    """A tag that is gone costs a HEAD of what it named at each crawl, to tell untagged from deleted."""
    rig.registry.supports_referrers = False
    built = push(rig.registry, "web", image("a"), "v1")
    push(rig.registry, "web", image("b"), "v2")
    await rig.crawl()
    rig.registry.delete_tag("web", "v1")
    for _ in range(2):
        spent, _ = await rig.spend()
        assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 2} == spent
        assert "DANGLING" == rig.artifacts("web")[built]
    assert [] == rig.recount()


async def test_a_deleted_digest(rig: Rig) -> None:
    """A manifest that is gone is asked for once, and never again; a ping tells that the registry is there."""
    rig.registry.supports_referrers = False
    gone = push(rig.registry, "web", image("a"), "v1")
    kept = push(rig.registry, "web", image("b"), "v2")
    await rig.crawl()
    rig.registry.delete_manifest("web", gone)
    spent, _ = await rig.spend()
    assert {"PING": 2, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 2} == spent
    assert {kept: ""} == rig.artifacts("web")
    assert {gone} == set(rig.artifacts("web", present=False))
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 1} == spent
    assert [] == rig.recount()


async def test_a_deleted_index_and_its_children(rig: Rig) -> None:
    """When an index is gone its children are asked for in the same crawl; some may have gone with it."""
    rig.registry.supports_referrers = False
    index = multi_platform("a")
    push(rig.registry, "web", index, "v1")
    push(rig.registry, "web", image("b"), "v2")
    await rig.crawl()
    rig.registry.delete_manifest("web", index.digest)
    rig.registry.delete_manifest("web", index.manifests[0].digest)
    spent, _ = await rig.spend()
    assert {"PING": 2, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 4} == spent
    assert {index.digest, index.manifests[0].digest} == set(rig.artifacts("web", present=False))
    assert "DANGLING" == rig.artifacts("web")[index.manifests[1].digest]
    assert [] == rig.recount()


async def test_a_sparse_index(rig: Rig) -> None:
    """A child that the registry does not have is asked for once, and then not until a day later."""
    rig.registry.supports_referrers = False
    index = multi_platform("a")
    push(rig.registry, "web", index, "v1")
    missing = index.manifests[1].digest
    rig.registry.delete_manifest("web", missing)
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_GET": 3, "CONFIG": 1, "REFERRERS": 1} == spent
    assert missing not in rig.artifacts("web")
    usual = {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 1}
    spent, _ = await rig.spend()
    assert usual == spent
    rig.clock.advance(DAY)
    spent, _ = await rig.spend()
    assert {**usual, "MANIFEST_HEAD": 2, "REFERRERS": 1} == spent
    spent, _ = await rig.spend()
    assert usual == spent
    push(rig.registry, "web", index.manifests[1])
    rig.clock.advance(DAY)
    spent, _ = await rig.spend()
    assert {**usual, "MANIFEST_HEAD": 2, "MANIFEST_GET": 1, "CONFIG": 1, "REFERRERS": 1} == spent
    assert "INDEX_CHILD" == rig.artifacts("web")[missing]
    assert [] == rig.recount()


async def test_a_sparse_index_of_what_another_repository_has(rig: Rig) -> None:
    """That a child's bytes are known from one repository does not make it present in another."""
    rig.registry.supports_referrers = False
    index = multi_platform("a")
    push(rig.registry, "whole", index, "v1")
    push(rig.registry, "sparse", index, "v1")
    missing = index.manifests[1].digest
    rig.registry.delete_manifest("sparse", missing)
    spent, _ = await rig.spend()
    # One more where the missing child's HEAD is refused before any was answered: then a GET decides.
    assert spent["MANIFEST_GET"] + spent["MANIFEST_HEAD"] in (2 + 2 + 2, 2 + 2 + 2 + 1)
    assert missing in rig.artifacts("whole")
    assert missing not in rig.artifacts("sparse")
    assert [] == rig.recount()


async def test_an_index_that_comes_back(rig: Rig) -> None:
    """When an index that was gone is pushed again, its children are asked for again."""
    rig.registry.supports_referrers = False
    index = multi_platform("a")
    push(rig.registry, "web", index, "v1")
    await rig.crawl()
    for built in (index, *index.manifests):
        rig.registry.delete_manifest("web", built.digest)
    await rig.crawl()
    assert {} == rig.artifacts("web")
    push(rig.registry, "web", index, "v1")
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 3} == spent
    assert 3 == len(rig.artifacts("web"))
    assert [] == rig.recount()


async def test_a_deleted_referrer(rig: Rig) -> None:
    """A referrer that a list names no more is asked for, and absent when it is gone."""
    built = image("a")
    sbom = make_sbom(built)
    push(rig.registry, "web", built, "v1")
    push(rig.registry, "web", sbom)
    await rig.crawl()
    rig.registry.delete_manifest("web", sbom.digest)
    rig.clock.advance(DAY)
    spent, _ = await rig.spend()
    assert {"PING": 2, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 2, "REFERRERS": 2} == spent
    assert {built.digest: ""} == rig.artifacts("web")
    assert [] == rig.recount()


async def test_head_without_digest(rig: Rig) -> None:
    """Where HEAD does not say the digest each tag costs a GET besides, and the report says so."""
    rig.registry.supports_referrers = False
    push(rig.registry, "web", image("a"), "v1", "v2")
    await rig.crawl()
    rig.registry.gives_digest_header = False
    before = rig.dump()
    spent, report = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 2, "MANIFEST_GET": 2} == spent
    assert 2 == report.heads_without_digest
    assert before == rig.dump()


async def test_tags_that_are_not_there(rig: Rig) -> None:
    """A tag that is listed and answers 404 is got once; from then on it costs its HEAD, until it is there."""
    rig.registry.supports_referrers = False
    gone = image("a")
    push(rig.registry, "web", gone, "v1", "v2")
    push(rig.registry, "web", image("b"), "v3")
    await rig.crawl()
    del rig.registry.repositories["web"].manifests[gone.digest]
    lists = {"PING": 1, "CATALOG": 1, "TAGS": 1}
    spent, _ = await rig.spend()
    assert {**lists, "PING": 2, "MANIFEST_HEAD": 4, "MANIFEST_GET": 2} == spent  # one HEAD of what they named
    for _ in range(2):
        rig.restart()
        spent, report = await rig.spend()
        assert {**lists, "MANIFEST_HEAD": 3, "REFERRERS": 1} == spent
        assert {"REGISTRY_UNKNOWN": 2} == report.trouble_counts
    push(rig.registry, "web", gone)
    spent, report = await rig.spend()
    assert {**lists, "MANIFEST_HEAD": 3} == spent
    assert {} == report.trouble_counts
    assert [] == rig.recount()


async def test_a_new_process(rig: Rig) -> None:
    """A new process knows what is stored; it asks once more whether there is a referrers API."""
    rig.registry.supports_referrers = False
    push(rig.registry, "web", image("a"), "v1")
    await rig.crawl()
    rig.restart()
    spent, _ = await rig.spend()
    assert {"PING": 1, "CATALOG": 1, "TAGS": 1, "MANIFEST_HEAD": 1, "REFERRERS": 1} == spent


async def test_a_registry_that_learns_to_list_referrers(rig: Rig) -> None:
    """A registry without a referrers API is asked again when the answer is older than lists may be."""
    rig.registry.supports_referrers = False
    built = image("a")
    push(rig.registry, "web", built, "v1")
    push(rig.registry, "web", make_sbom(built))
    await rig.crawl()
    rig.registry.supports_referrers = True
    spent, _ = await rig.spend()
    assert "REFERRERS" not in spent
    rig.clock.advance(DAY)
    spent, _ = await rig.spend()
    assert 2 == spent["REFERRERS"]
    assert 2 == len(rig.artifacts("web"))

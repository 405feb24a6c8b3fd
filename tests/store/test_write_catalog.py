"""What is set of registries, their catalogs and their crawls."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from builders import make_image
from graph.oci.reference import RegistryName, RepositoryName
from graph.store.changes import ConfiguredRegistry, CrawlPoint, Failure
from graph.store.observations import (
    count_progress,
    finish_crawl,
    pending_repositories,
    put_repository,
    repositories_missing_since,
    set_capabilities,
    set_catalog_complete,
    set_catalog_page,
    set_progress,
    set_registries,
    start_crawl,
)
from graph.store.recount import recount
from graph.store.tables import microseconds_of
from store_writes import START, Writer


@pytest.fixture
def writer(db: Connection) -> Writer:
    return Writer(db)


def names(*texts: str) -> list[RepositoryName]:
    return [RepositoryName(text) for text in texts]


def test_registries(db: Connection) -> None:
    """Registries keep their keys, take new settings, and stay when they are configured no more."""
    one, two = (ConfiguredRegistry(RegistryName(name), f"http://{name}", "oci") for name in ("one", "two"))
    first = set_registries(db, [one, two], START)
    moved = ConfiguredRegistry(two.name, "https://two", "azure")
    assert [first[1]] == set_registries(db, [moved], START)
    assert [first[1], first[0]] == set_registries(db, [moved, one], START)
    writer = Writer(db)
    assert [("http://one", "oci"), ("https://two", "azure")] == writer.read(
        "SELECT url, dialect FROM registry WHERE name IN ('one', 'two') ORDER BY name"
    )


def test_capabilities(writer: Writer) -> None:
    """Capabilities are kept as they were found."""
    set_capabilities(writer.db, writer.registry, {"REFERRERS": "SUPPORTED", "CATALOG": "UNSUPPORTED"})
    assert ['{"CATALOG": "UNSUPPORTED", "REFERRERS": "SUPPORTED"}'] == writer.read(
        "SELECT capabilities FROM registry"
    )


def test_catalog_page(writer: Writer) -> None:
    """A page of the catalog adds what is new, counts it in its namespaces, and gives every key in order."""
    keys = set_catalog_page(writer.db, writer.registry, names("b", "team/a", "team/deep/c"), START)
    again = set_catalog_page(writer.db, writer.registry, names("team/a", "d", "b", "d"), writer.tick())
    assert [keys[1], again[1], keys[0], again[1]] == again
    assert [4] == writer.read("SELECT repository_count FROM registry")
    assert [("team", 2), ("team/deep", 1)] == writer.read("SELECT name, repository_count FROM namespace")
    assert [("b", None), ("team/a", "team"), ("team/deep/c", "team/deep"), ("d", None)] == writer.read(
        "SELECT name, namespace FROM repository ORDER BY id"
    )
    assert [] == recount(writer.db)


def test_put_repository(writer: Writer) -> None:
    """A repository asked for by name is new once, and the catalog has not named it."""
    key = put_repository(writer.db, writer.registry, RepositoryName("web"), START)
    assert key == put_repository(writer.db, writer.registry, RepositoryName("web"), START)
    assert [None] == writer.read("SELECT listed_at FROM repository")


def test_listing_does_not_revive(writer: Writer) -> None:
    """A catalog that still names a repository that is gone does not bring it back, but has it looked at."""
    writer.see("web", is_absent=True)
    began = writer.tick()
    assert [] == pending_repositories(writer.db, writer.registry, began, 0, 10)
    set_catalog_page(writer.db, writer.registry, names("web"), began)
    assert [0] == writer.read("SELECT repository_count FROM registry")
    assert ["web"] == [name for _, name in pending_repositories(writer.db, writer.registry, began, 0, 10)]


def test_missing(writer: Writer) -> None:
    """Missing are present repositories that the catalog has not named since, those never named included."""
    set_catalog_page(writer.db, writer.registry, names("old", "gone", "kept"), START)
    writer.see("gone", is_absent=True)
    put_repository(writer.db, writer.registry, RepositoryName("asked"), START)
    began = writer.tick()
    set_catalog_page(writer.db, writer.registry, names("kept"), began)
    set_catalog_complete(writer.db, writer.registry, began)
    missing = repositories_missing_since(writer.db, writer.registry, began)
    assert ["old", "asked"] == [name for _, name in missing]
    assert [microseconds_of(began)] == writer.read("SELECT catalog_observed_at FROM registry")


def test_crawl(writer: Writer) -> None:
    """A crawl begins, goes on and ends; the next one begins anew."""
    began = writer.tick()
    assert CrawlPoint(began, is_resumed=False) == start_crawl(writer.db, writer.registry, began)
    set_progress(writer.db, writer.registry, 3, 7)
    state = "SELECT sync_state, repositories_done, repositories_total, sync_error_code FROM registry"
    assert [("RUNNING", 3, 7, None)] == writer.read(state)
    finish_crawl(writer.db, writer.registry, writer.tick(), None)
    assert [("IDLE", 3, 7, None)] == writer.read(state)
    again = writer.tick()
    assert CrawlPoint(again, is_resumed=False) == start_crawl(writer.db, writer.registry, again)
    assert [("RUNNING", 0, 0, None)] == writer.read(state)
    finish_crawl(writer.db, writer.registry, writer.tick(), Failure("REGISTRY_UNREACHABLE", "no answer"))
    assert [("FAILED", 0, 0, "REGISTRY_UNREACHABLE")] == writer.read(state)
    for code, was_throttled in (("REGISTRY_THROTTLED", False), ("REGISTRY_THROTTLED", True), (None, True)):
        at = writer.tick()
        point = CrawlPoint(at, is_resumed=False, was_throttled=was_throttled)
        assert point == start_crawl(writer.db, writer.registry, at)
        finish_crawl(writer.db, writer.registry, at, None if code is None else Failure(code, "slow down"))
    assert not start_crawl(writer.db, writer.registry, writer.tick()).was_throttled


def test_interrupted_crawl(writer: Writer) -> None:
    """A crawl that a killed process left goes on where it was: what it finished is not pending."""
    began = start_crawl(writer.db, writer.registry, writer.tick()).started_at
    set_catalog_page(writer.db, writer.registry, names("a", "b", "c"), writer.now)
    writer.look("a", {"latest": make_image()}, is_crawled=True)
    point = start_crawl(writer.db, writer.registry, writer.now + timedelta(hours=1))
    assert CrawlPoint(began, is_resumed=True) == point
    pending = pending_repositories(writer.db, writer.registry, point.started_at, 0, 10)
    assert ["b", "c"] == [name for _, name in pending]
    assert (1, 3) == count_progress(writer.db, writer.registry, point.started_at)


def test_pending_in_pages(writer: Writer) -> None:
    """Pending repositories come in pages by key, whatever is finished meanwhile; none of another registry."""
    other = ConfiguredRegistry(RegistryName("other"), "http://other", "oci")
    (elsewhere,) = set_registries(writer.db, [other], START)
    set_catalog_page(writer.db, elsewhere, names("x"), START)
    began = writer.tick()
    set_catalog_page(writer.db, writer.registry, names(*"abcde"), began)
    found, after = [], 0
    while page := pending_repositories(writer.db, writer.registry, began, after, 2):
        found += [name for _, name in page]
        after = page[-1][0]
        writer.see(page[0][1], is_crawled=True)
    assert list("abcde") == found
    assert ["b", "d"] == [n for _, n in pending_repositories(writer.db, writer.registry, began, 0, 10)]

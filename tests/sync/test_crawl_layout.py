"""Images on disk are crawled as a registry that lists everything: by its lists, and completely."""

import json
from pathlib import Path

import pytest

from builders import make_index, make_sbom
from fakes.sync_rig import Clock, image
from graph.registry.client import RegistryClient
from graph.settings import RegistrySettings
from graph.store.changes import ConfiguredRegistry
from graph.store.engine import open_store
from graph.store.observations import set_registries
from graph.store.recount import recount
from graph.sync.crawl import Crawler
from graph.sync.report import CrawlReport
from graph.sync.upstream import Upstream
from layout_builders import docker_files, layout_files, named, write_directory, write_tar

pytestmark = pytest.mark.anyio


async def test_crawl_of_a_layout(tmp_path: Path) -> None:
    """The first crawl reads each manifest and config once, the second only the lists; both are complete."""
    one, two = image("one"), image("two")
    index = make_index([one, image("arm", architecture="arm64")])
    sbom = make_sbom(index)
    files = layout_files([named(index, "v1"), named(two), named(sbom)], [index, two, sbom])
    settings = RegistrySettings(url=f"oci:{write_directory(tmp_path / 'web', files)}")
    clock = Clock()
    store = open_store(":memory:")
    spent, completeness = [], []
    async with RegistryClient(settings) as client:
        with store.transaction() as db:
            registry = ConfiguredRegistry(client.name, settings.url, client.dialect.name)
            (key,) = set_registries(db, [registry], clock())
        for _ in range(2):
            before = client.ledger.total
            clock.advance(3600)
            report = await Crawler(Upstream(client, store, key, clock)).crawl()
            assert {} == report.trouble_counts
            spent.append(client.ledger.total - before)
            with store.transaction() as db:
                assert [] == recount(db)
                rows = db.exec_driver_sql("SELECT name, completeness, artifact_count FROM repository")
                completeness.append([tuple(row) for row in rows])
    store.close()

    # The ping, the catalog and two lists; five manifests and three configs.
    assert [4 + 5 + 3, 4] == spent
    assert [[("web", "COMPLETE", 5)]] * 2 == completeness


async def crawl(url: str) -> tuple[CrawlReport, list[tuple[str, bool, str, str]], list[str]]:
    """The report, the tags with whether they name an artifact and their errors, and each completeness."""
    settings = RegistrySettings(url=url)
    clock = Clock()
    store = open_store(":memory:")
    async with RegistryClient(settings) as client:
        with store.transaction() as db:
            registry = ConfiguredRegistry(client.name, settings.url, client.dialect.name)
            (key,) = set_registries(db, [registry], clock())
        report = await Crawler(Upstream(client, store, key, clock)).crawl()
    with store.transaction() as db:
        rows = db.exec_driver_sql(
            "SELECT name, artifact_id IS NOT NULL, error_code, error_message FROM tag ORDER BY name"
        )
        tags = [(row[0], bool(row[1]), row[2] or "", row[3] or "") for row in rows]
        names = db.exec_driver_sql("SELECT completeness FROM repository ORDER BY name")
        completeness = [row[0] for row in names]
    store.close()
    return report, tags, completeness


async def test_crawl_of_a_damaged_layout(tmp_path: Path) -> None:
    """A tag whose file is missing has the error that a registry's would have; the rest is read."""
    whole, damaged = image("whole"), image("damaged")
    files = layout_files([named(whole, "v1"), named(damaged, "v2")], [whole, damaged])
    path = f"blobs/sha256/{damaged.digest[7:]}"
    del files[path]

    report, (good, bad), _ = await crawl(f"oci:{write_directory(tmp_path / 'web', files)}")

    assert {"REGISTRY_UNKNOWN": 1} == report.trouble_counts
    assert ("v1", True, "", "") == good
    assert ("v2", False, "REGISTRY_UNKNOWN") == bad[:3]
    assert f"web lacks the file {path}" in bad[3]


async def test_crawl_of_a_damaged_archive(tmp_path: Path) -> None:
    """So has the tag of an image that is not whole; one without a tag leaves its repository less known."""
    saved = docker_files({"web:1": image("whole"), "web:2": image("damaged"), "": image("nameless")})
    listed = json.loads(saved["manifest.json"])
    for each in listed[1:]:
        del saved[each["Config"]]

    report, (good, bad), completeness = await crawl(
        f"docker-archive:{write_tar(tmp_path / 'saved.tar', saved)}"
    )

    assert {"REGISTRY_PROTOCOL": 2} == report.trouble_counts
    assert ("1", True, "", "") == good
    assert ("2", False, "REGISTRY_PROTOCOL") == bad[:3]
    assert f"lacks a file of an image: {listed[1]['Config']}" in bad[3]
    assert ["BEST_EFFORT", "COMPLETE"] == completeness

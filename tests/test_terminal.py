"""What a person reads while a crawl runs and when it has ended: all of it, on a terminal of 80 columns."""

import io
from datetime import UTC, datetime, timedelta

from graph.oci.reference import RegistryName
from graph.store.changes import Failure
from graph.sync.report import CrawlReport, Progress
from graph.terminal import Console, make_progress_bar, print_report, show_progress

STARTED = datetime(2024, 5, 1, tzinfo=UTC)
AMAZON = RegistryName("123456789012.dkr.ecr.eu-west-1.amazonaws.com")
IPV6 = RegistryName("[fd00::1]:5000")


def narrow_console() -> tuple[Console, io.StringIO]:
    printed = io.StringIO()
    return Console(file=printed, width=80), printed


def test_progress_shows_every_figure() -> None:
    """Repositories, tags, manifests, requests, rate, however long the registry's name and the figures."""
    console, printed = narrow_console()
    with make_progress_bar(console) as bar:
        for name in (AMAZON, IPV6):
            task = bar.add_task(name, total=None, details="")
            show_progress(bar, task, Progress(12_345, 23_456, 1_234_567, 345_678, 2_345_678, 1_000.0))

    shown = printed.getvalue()
    for figure in ("12345/23456 repositories", "1234567 tags, 345678 manifests, 2345678 requests, 2346/s"):
        assert 2 == shown.count(figure), shown
    assert AMAZON in shown
    assert IPV6 in shown


def test_summary_shows_what_looks_like_markup() -> None:
    """The name of a registry may be an address in brackets; what a registry said may hold anything."""
    console, printed = narrow_console()
    failure = Failure("REGISTRY_FAILED", f"{IPV6} said [/bold] and [red]")
    report = CrawlReport(
        registry=IPV6,
        started_at=STARTED,
        finished_at=STARTED + timedelta(seconds=2),
        is_resumed=False,
        is_stopped=False,
        has_progressed=True,
        retry_after=None,
        failure=failure,
        repositories=1,
        repositories_failed=0,
        tags=2,
        manifests=3,
        requests=10,
        heads_without_digest=0,
        names_dropped=0,
        troubles=(),
        trouble_counts={},
    )
    print_report(console, report)

    shown = printed.getvalue()
    assert IPV6 == shown.splitlines()[0].strip()
    assert f"REGISTRY_FAILED: {failure.message}" in shown
    assert "10 in 2.0 s, 5/s" in shown

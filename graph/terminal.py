"""What a person reads on a terminal while something runs and when it has ended: bars and tables.

Rules of this file: it shows values that others made, and decides nothing. What strangers wrote is printed as
it is, without rich's markup.
"""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from graph.app import LoginCheck
from graph.sync.report import CrawlReport

__all__ = ["Console", "TaskID", "make_progress_bar", "make_recount_bar", "print_logins", "print_report"]


def make_progress_bar(console: Console) -> ProgressBar:
    """A bar for each registry that is crawled."""
    return ProgressBar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("repositories, {task.fields[details]}"),
        TimeElapsedColumn(),
        console=console,
    )


def make_recount_bar(console: Console) -> ProgressBar:
    """A bar for each kind of figure that is recounted."""
    return ProgressBar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def print_report(console: Console, report: CrawlReport) -> None:
    """What a crawl did, and what of it could not be had."""
    table = Table(title=report.registry, show_header=False)
    rate = report.requests / report.elapsed if report.elapsed > 0 else 0.0
    table.add_row("repositories", f"{report.repositories}, {report.repositories_failed} failed")
    table.add_row("tags", str(report.tags))
    table.add_row("new manifests", str(report.manifests))
    table.add_row("requests", f"{report.requests} in {report.elapsed:.1f} s, {rate:.0f}/s")
    if report.names_dropped:
        table.add_row("left out", f"{report.names_dropped} listed that are no valid names")
    if report.failure is not None:
        table.add_row("failed", f"{report.failure.code}: {report.failure.message}")
    for code, count in sorted(report.trouble_counts.items()):
        table.add_row(code, str(count))
    console.print(table)
    for trouble in report.troubles:
        where = f"{trouble.repository} {trouble.what}".strip()
        console.print(
            f"{where}: {trouble.failure.code}: {trouble.failure.message}", markup=False, highlight=False
        )


def print_logins(console: Console, checks: Sequence[LoginCheck]) -> None:
    """As whom each registry was asked, by whose word, and what it said."""
    for check in checks:
        is_untried = check.username is not None and not check.is_known
        answer = "ok, without asking who we are" if is_untried else "ok"
        if check.failure is not None:
            answer = f"{check.failure.code}: {check.failure}"
        below = "".join(f"  below {path}: {user}\n" for path, user in check.below.items())
        console.print(
            f"{check.registry} ({check.dialect})\n"
            f"  user:   {check.username or 'nobody (anonymous)'}\n"
            f"{below}"
            f"  from:   {check.source}\n"
            f"  answer: {answer}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

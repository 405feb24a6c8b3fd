"""What a person reads on a terminal while something runs and when it has ended: bars and tables.

Rules of this file: it shows values that others made, and decides nothing. What strangers wrote is printed as
it is, without rich's markup.
"""

from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Column, Table
from rich.text import Text

from graph.app import LoginCheck
from graph.sync.report import CrawlReport, Progress

__all__ = [
    "Console",
    "TaskID",
    "make_progress_bar",
    "make_recount_bar",
    "print_logins",
    "print_report",
    "show_progress",
]


class _CrawlBars(ProgressBar):
    """Two lines for each registry: in one line a terminal of 80 columns has no room for the figures."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar, and the figures below it."""
        for task in self.tasks:
            yield self.make_tasks_table([task])
            yield Text(f"  {task.fields['details']}")


def make_progress_bar(console: Console) -> ProgressBar:
    """A bar for each registry that is crawled; `show_progress` moves it."""
    return _CrawlBars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),  # alone gives way where there is no room
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TextColumn("repositories"),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        console=console,
    )


def show_progress(bar: ProgressBar, task: TaskID, now: Progress) -> None:
    """Show how far the crawl of a registry has come, in its bar and in figures."""
    rate = now.requests / now.elapsed if now.elapsed > 0 else 0.0
    bar.update(
        task,
        completed=now.repositories_done,
        total=now.repositories_total,
        details=f"{now.tags} tags, {now.manifests} manifests, {now.requests} requests, {rate:.0f}/s",
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
    table = Table(title=Text(report.registry), show_header=False)

    def add(what: str, value: str) -> None:
        table.add_row(what, Text(value))  # a str would be read as markup: `[fd00::1]:5000` as `:5000`

    rate = report.requests / report.elapsed if report.elapsed > 0 else 0.0
    add("repositories", f"{report.repositories}, {report.repositories_failed} failed")
    add("tags", str(report.tags))
    add("new manifests", str(report.manifests))
    add("requests", f"{report.requests} in {report.elapsed:.1f} s, {rate:.0f}/s")
    if report.names_dropped:
        add("left out", f"{report.names_dropped} listed that are no valid names")
    if report.failure is not None:
        add("failed", f"{report.failure.code}: {report.failure.message}")
    for code, count in sorted(report.trouble_counts.items()):
        add(code, str(count))
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

"""What every table of docs/benchmarks.md has: the machine it was measured on, quantiles, Markdown.

Rules of this file: numbers in, text out; nothing is measured here.
"""

import os
import platform
import sqlite3
from collections.abc import Sequence
from pathlib import Path


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that so large a share of them does not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -int(-len(ranked) * share // 1) - 1)]


def describe_machine() -> str:
    """Return one line on what the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB of memory, {platform.system()} "
        f"{platform.release()}, {platform.python_implementation()} {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def print_head(columns: Sequence[str]) -> None:
    """Print the head of a Markdown table: the first column is text, the others are figures."""
    print("| " + " | ".join(columns) + " |")
    print("|---" + "|---:" * (len(columns) - 1) + "|", flush=True)


def print_row(row: Sequence[object]) -> None:
    """Print one row of it."""
    print("| " + " | ".join(map(str, row)) + " |", flush=True)


def resident_bytes(process: int | str = "self") -> int:
    """Return the memory of a process that is resident now, as Linux counts it."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_resident_bytes(process: int | str = "self") -> int:
    """Return the most that was ever resident of a process."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError("the kernel does not say")

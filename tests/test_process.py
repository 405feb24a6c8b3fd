"""How a process of ours is tuned."""

import gc
import platform
import subprocess
import sys
import weakref

from graph.process import COLLECT_FROM, collect_after


class Knot:
    """Refers to itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.knot = self


def is_freed_by(fields: int) -> bool:
    gc.disable()
    try:
        knot = weakref.ref(Knot())
        collect_after(fields)
        return knot() is None
    finally:
        gc.enable()


def test_large_answers_are_collected() -> None:
    """What a large answer leaves is freed at once; a small one stops nobody."""
    assert is_freed_by(COLLECT_FROM)
    assert not is_freed_by(COLLECT_FROM - 1)


def test_allocator_is_bound() -> None:
    """glibc takes every option; where there is another C library, nothing fails."""
    program = "from graph.process import bound_allocator; print(bound_allocator())"
    told = subprocess.check_output([sys.executable, "-c", program], text=True).strip()
    assert str(platform.libc_ver()[0] == "glibc") == told

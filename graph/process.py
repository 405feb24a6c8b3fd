"""Tune the process that serves or crawls: when garbage is looked for, and what of freed memory is given back.

Rules of this file: what runs a command or serves calls it, in a process that is all ours. What cannot be
tuned here (another C library than glibc) is left as it is: the answers are the same, the process is larger.
"""

import ctypes
import gc

# Fields of an answer from which on garbage is looked for at once when it was sent. The objects of an answer
# refer to each other; those of the largest take 40 MiB, and by itself the collector would come to them only
# after a hundred more such answers. It takes some ten milliseconds then, and nothing can be gained by less.
COLLECT_FROM = 20_000

# glibc's mallopt(3). A block of this many bytes or more is given back as soon as it is freed; unless told, it
# raises the bound to the largest block it ever saw, and keeps tens of MiB in which answers were written. Two
# arenas, for the loop and for the threads: by itself each thread has one, and keeps what it once needed.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_OPTIONS = {_M_MMAP_THRESHOLD: 256 * 1024, _M_TRIM_THRESHOLD: 1024 * 1024, _M_ARENA_MAX: 2}


def tune_process() -> None:
    """Do all of it, before the work begins."""
    bound_allocator()
    settle_collector()


def bound_allocator() -> bool:
    """Have freed memory given back to the system; False where the C library does not offer it."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl and macOS have none
        return False
    return all(mallopt(option, value) == 1 for option, value in _OPTIONS.items())


def settle_collector() -> None:
    """Take what was made until now for granted, and have the collector run between answers, not in them."""
    gc.collect()
    gc.freeze()
    # The objects of an answer all live until it is written, and those of a manifest until it is stored: a run
    # in the middle finds nothing. In a large answer it stops the loop for hundreds of milliseconds, and of a
    # crawl it takes a tenth.
    gc.set_threshold(50_000, 20, 100)


def collect_after(fields: int) -> None:
    """Free what an answer with so many fields left behind, if that is worth it."""
    if fields >= COLLECT_FROM:
        gc.collect()

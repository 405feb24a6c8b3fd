"""Read a file again when it has changed: logins are renewed in their files while we serve.

An access token of Google lives for an hour, the password of Amazon's registry for twelve; whoever renews them
writes the file anew. Rules of this file: what can no longer be read, or is half written, stays what it was.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from graph.errors import SettingsError

T = TypeVar("T")


class WatchedFile(Generic[T]):
    """What a file says now, or said last."""

    def __init__(self, path: Path, read: Callable[[Path], T], said: T) -> None:
        """`said` is what was read of it before; `read` raises OSError, ValueError or SettingsError."""
        self._path = path.expanduser()
        self._read = read
        self._said = said
        self._stamp: tuple[int, ...] | None = None

    def get(self) -> T:
        """What it says; the file is opened only when it is another than before."""
        try:
            facts = self._path.stat()
            # The last is what changes when somebody is allowed to read it, which nothing else tells.
            stamp = facts.st_mtime_ns, facts.st_size, facts.st_ino, facts.st_ctime_ns
            if stamp != self._stamp:
                self._stamp = stamp
                self._said = self._read(self._path)
        except (OSError, ValueError, SettingsError):
            pass  # it stays what it was
        return self._said

"""A file of logins is read again when it is another than it was, and only then."""

import os
from pathlib import Path

from graph.registry.watched_file import WatchedFile


def test_read_again(tmp_path: Path) -> None:
    """Once for each change; what can no longer be read stays what it was."""
    path, reads = tmp_path / "file", []

    def read(file: Path) -> str:
        reads.append(file)
        return file.read_text()

    path.write_text("old")
    file = WatchedFile(path, read, "first")
    assert ["old", "old"] == [file.get(), file.get()]
    assert [path] == reads
    path.write_text("another")
    assert "another" == file.get()
    path.unlink()
    assert "another" == file.get()


def test_changed_in_nothing_but_its_state(tmp_path: Path) -> None:
    """A file of the same size and time, as one that somebody was only now allowed to read, is read anew."""
    path = tmp_path / "file"
    path.write_text("old")
    facts = path.stat()
    file = WatchedFile(path, Path.read_text, "first")
    assert "old" == file.get()
    path.write_text("new")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert "new" == file.get()

"""Read the files of a layout, from a directory or from a tar, which is never unpacked to the disk.

Rules of this file: it opens what is below the given path and nothing else. In a directory a link is followed
by its text, if that leads to what is below too, and a pipe or device is no file; in a tar a name is only ever
looked up among the names of its members, so that no name can lead to the disk. Everything is bounded. A
missing file is a FileNotFoundError; a `LayoutError` says what is wrong with the file or the whole.
"""

import errno
import os
import posixpath
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from graph.errors import ContentTooLargeError
from graph.registry.layouts.members import LayoutError, Member, normalize, read_members
from graph.registry.layouts.unzipped import MAGIC, Unzipped

# Links from name to name: `docker save` before 25 wrote one from each repeated layer of a tar to the first,
# and a directory may have its `blobs` elsewhere in itself.
MAX_LINKS = 8

_PART = re.compile(r"(?!\.+$)[A-Za-z0-9+._=-]+")

# When the file was last changed, its size and its inode: what is the same while nobody has written to it.
Stamp: TypeAlias = tuple[int, int, int]


class Files(Protocol):
    """The files of one layout, by their path below it."""

    def stamp(self) -> Stamp:
        """What changes when the layout does."""

    def size(self, path: str) -> int:
        """Bytes of the file."""

    def read(self, path: str, limit: int) -> bytes:
        """The file; ContentTooLargeError over the limit."""


def open_files(path: Path) -> Files:
    """The files at a path: a directory's, or those of a tar."""
    return Directory(path) if path.is_dir() else Archive(path)


class Directory:
    """A layout as a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def stamp(self) -> Stamp:
        """The index is written last, and again with every change (image-spec, image-layout.md)."""
        with self._open("index.json") as file:
            return _stamp_of(file)

    def size(self, path: str) -> int:
        """Bytes of the file."""
        with self._open(path) as file:
            return os.fstat(file).st_size

    def read(self, path: str, limit: int) -> bytes:
        """The file; ContentTooLargeError over the limit."""
        with self._open(path) as file:
            return _read(file, 0, os.fstat(file).st_size, limit)

    @contextmanager
    def _open(self, path: str) -> Iterator[int]:
        """The file, reached part by part; a link is read and never left to the system to follow."""
        way = path
        for _ in range(MAX_LINKS + 1):
            found = self._walk(way)
            if isinstance(found, int):
                break
            if found.target is None:
                raise LayoutError(f"has a link that leads out of it, and is not followed: {found.path}")
            way = found.target
        else:
            raise LayoutError(f"has more than {MAX_LINKS} links one after the other: {path}")
        try:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise FileNotFoundError(path)
            yield found
        finally:
            os.close(found)

    def _walk(self, path: str) -> "int | _Link":
        """The file at the end of the path, opened, or the first link on the way to it."""
        parts = path.split("/")
        if not all(map(_PART.fullmatch, parts)):
            raise FileNotFoundError(path)
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(self._root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            for index, part in enumerate(parts):
                try:
                    # Without O_NONBLOCK opening a pipe would wait for ever.
                    below = os.open(part, flags | os.O_NONBLOCK, dir_fd=file)
                except OSError as error:
                    if error.errno != errno.ELOOP:
                        raise
                    target = os.readlink(part, dir_fd=file)
                    way = posixpath.join(*parts[:index], target, *parts[index + 1 :])
                    return _Link("/".join(parts[: index + 1]), normalize(way))
                os.close(file)
                file = below
            found, file = file, -1
            return found
        finally:
            if file >= 0:
                os.close(file)


@dataclass(frozen=True, slots=True)
class _Link:
    """A link in a directory, and where the way goes on behind it; None: out of the directory."""

    path: str
    target: str | None


class Plain:
    """The bytes of a tar that is not compressed."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._end = os.fstat(file).st_size

    def read(self, size: int, offset: int) -> bytes:
        """So many bytes, fewer at the end."""
        return os.pread(self._file, size, offset)

    def reaches(self, offset: int) -> bool:
        """Whether the file has so many bytes."""
        return offset <= self._end


class Archive:
    """A layout as a tar, compressed with gzip or not.

    Its headers are read once, and again when the file has changed; a compressed one is read to its end for
    that, and its documents are kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: Stamp | None = None
        self._members: dict[str, Member] = {}
        self._documents: dict[int, bytes] | None = None

    def stamp(self) -> Stamp:
        """That of the file."""
        with self._open() as file:
            return _stamp_of(file)

    def size(self, path: str) -> int:
        """Bytes of the member."""
        with self._open():
            return self._find(path).size

    def read(self, path: str, limit: int) -> bytes:
        """The member; ContentTooLargeError over the limit."""
        with self._open() as file:
            member = self._find(path)
            if self._documents is None or member.size > limit:
                return _read(file, member.offset, member.size, limit)
            if member.offset not in self._documents:
                raise LayoutError(f"has a file that is no JSON: {path}")
            return self._documents[member.offset]

    @contextmanager
    def _open(self) -> Iterator[int]:
        file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise LayoutError("is neither a directory nor a file")
            stamp = _stamp_of(file)
            if stamp != self._stamp:
                self._load(file)
                self._stamp = stamp
            yield file
        finally:
            os.close(file)

    def _load(self, file: int) -> None:
        if os.pread(file, len(MAGIC), 0) != MAGIC:
            self._members, self._documents = read_members(Plain(file)), None
            return
        unzipped = Unzipped(file)
        self._members, self._documents = read_members(unzipped), unzipped.documents

    def _find(self, path: str) -> Member:
        for _ in range(MAX_LINKS + 1):
            member = self._members.get(path)
            if member is None:
                break
            if member.link is None:
                return member
            path = member.link
        raise FileNotFoundError(path)


def _stamp_of(file: int) -> Stamp:
    facts = os.fstat(file)
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _read(file: int, offset: int, size: int, limit: int) -> bytes:
    if size > limit:
        raise ContentTooLargeError("the file", limit)
    chunks = []
    while size > 0 and (chunk := os.pread(file, size, offset)):
        chunks.append(chunk)
        offset, size = offset + len(chunk), size - len(chunk)
    return b"".join(chunks)

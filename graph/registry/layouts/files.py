"""Read the files of a layout, from a directory or from a tar that is never unpacked.

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
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from graph.errors import ContentTooLargeError

# Members of a tar, directories included: 30,000 images of ten layers that share nothing, and ten seconds to
# read their headers.
MAX_MEMBERS = 400_000
# Bytes of what describes the next member (a pax header, a long name): as a rule some hundreds.
MAX_EXTENSION_BYTES = 64 * 1024
# Links from name to name: `docker save` before 25 wrote one from each repeated layer of a tar to the first,
# and a directory may have its `blobs` elsewhere in itself.
MAX_LINKS = 8

_BLOCK = 512
_PART = re.compile(r"(?!\.+$)[A-Za-z0-9+._=-]+")
_REGULAR = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE})
_DESCRIBING = frozenset({tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME})

# When the file was last changed, its size and its inode: what is the same while nobody has written to it.
Stamp: TypeAlias = tuple[int, int, int]


class LayoutError(Exception):
    """It is no layout, or a damaged one; the text continues "the registry …"."""


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
                    return _Link("/".join(parts[: index + 1]), _normalize(way))
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


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member of a tar is, or to which name it links."""

    offset: int
    size: int
    link: str | None = None


class Archive:
    """A layout as a tar; its headers are read once, and again when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: Stamp | None = None
        self._members: dict[str, Member] = {}

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
            return _read(file, member.offset, member.size, limit)

    @contextmanager
    def _open(self) -> Iterator[int]:
        file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise LayoutError("is neither a directory nor a file")
            stamp = _stamp_of(file)
            if stamp != self._stamp:
                self._members = read_members(file)
                self._stamp = stamp
            yield file
        finally:
            os.close(file)

    def _find(self, path: str) -> Member:
        for _ in range(MAX_LINKS + 1):
            member = self._members.get(path)
            if member is None:
                break
            if member.link is None:
                return member
            path = member.link
        raise FileNotFoundError(path)


def read_members(file: int, max_members: int = MAX_MEMBERS) -> dict[str, Member]:
    """Where the members of a tar are, by name; of one that occurs twice the last, as when unpacked.

    Python's `tarfile` finds them too, but reads what describes a member into memory however large it says
    it is. A name that leads out of the tar is left out: nothing can ask for it.
    """
    end = os.fstat(file).st_size
    members: dict[str, Member] = {}
    offset, described = 0, dict[str, str]()
    for _ in range(max_members):
        block = os.pread(file, _BLOCK, offset)
        if offset == 0 and block.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")):
            raise LayoutError("is compressed: unpack it first")
        if not block.strip(b"\0"):
            if offset == 0:
                raise LayoutError("is an empty file")
            return members
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.TarError:
            raise LayoutError("is no tar" if offset == 0 else "is a damaged tar") from None
        start = offset + _BLOCK
        if header.type in _DESCRIBING:
            described |= _read_extension(header, os.pread(file, min(header.size, MAX_EXTENSION_BYTES), start))
            size = header.size
        else:
            size = _size_of(header, described)
            name = _normalize(described.get("path", header.name))
            if name is not None:
                if header.type in _REGULAR:
                    members[name] = Member(start, size)
                elif (link := _link_of(header, name, described)) is not None:
                    members[name] = Member(start, 0, link)
            described = {}
        offset = start + -(-size // _BLOCK) * _BLOCK
        if size < 0 or start + size > end:
            raise LayoutError("is a tar that was cut short")
    raise LayoutError(f"is a tar of more than {max_members} members")


def _size_of(header: tarfile.TarInfo, described: dict[str, str]) -> int:
    if header.type == tarfile.GNUTYPE_SPARSE:
        raise LayoutError("is a tar with a file that has holes")
    if header.type in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE):
        return 0
    text = described.get("size", "")
    # 15 digits: a petabyte; more would not fit into the file anyway.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else header.size


def _link_of(header: tarfile.TarInfo, name: str, described: dict[str, str]) -> str | None:
    target = described.get("linkpath", header.linkname)
    if header.type == tarfile.SYMTYPE:
        return _normalize(posixpath.join(posixpath.dirname(name), target))
    return _normalize(target) if header.type == tarfile.LNKTYPE else None


def _normalize(name: str) -> str | None:
    name = posixpath.normpath(name)
    return None if name.startswith(("/", "../")) or name in (".", "..") else name


def _read_extension(header: tarfile.TarInfo, data: bytes) -> dict[str, str]:
    """What a pax header (POSIX.1-2001) or GNU's long name says of the next member."""
    if len(data) < header.size:
        raise LayoutError(f"is a tar with a header of more than {MAX_EXTENSION_BYTES} bytes")
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    described = {}
    while data.strip(b"\0"):
        digits, space, _ = data.partition(b" ")
        if not space or not digits.isdigit() or not len(digits) < int(digits) <= len(data):
            raise LayoutError("is a damaged tar")
        record, data = data[len(digits) + 1 : int(digits)], data[int(digits) :]
        key, _, value = record.rstrip(b"\n").partition(b"=")
        described[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
    return described


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

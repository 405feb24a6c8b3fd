"""Find the members of a tar by their names, wherever its bytes come from.

Rules of this file: no file is opened, and headers are all that is read. What a header claims is held against
what there is; everything is bounded.
"""

import posixpath
import tarfile
from dataclasses import dataclass
from typing import Protocol

# Members of a tar, directories included: 30,000 images of ten layers that share nothing, and ten seconds to
# read their headers.
MAX_MEMBERS = 400_000
# Bytes of what describes the next member (a pax header, a long name): as a rule some hundreds.
MAX_EXTENSION_BYTES = 64 * 1024

_BLOCK = 512
_REGULAR = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE})
_DESCRIBING = frozenset({tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME})


class LayoutError(Exception):
    """It is no layout, or a damaged one; the text continues "the registry …"."""


class Source(Protocol):
    """The bytes of a tar, asked for from its beginning to its end."""

    def read(self, size: int, offset: int) -> bytes:
        """So many bytes at the offset, fewer at the end."""

    def reaches(self, offset: int) -> bool:
        """Whether there are so many bytes."""


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member of a tar is, or to which name it links."""

    offset: int
    size: int
    link: str | None = None


def read_members(source: Source, max_members: int = MAX_MEMBERS) -> dict[str, Member]:
    """Where the members of a tar are, by name; of one that occurs twice the last, as when unpacked.

    Python's `tarfile` finds them too, but reads what describes a member into memory however large it says
    it is. A name that leads out of the tar is left out: nothing can ask for it.
    """
    members: dict[str, Member] = {}
    offset, described = 0, dict[str, str]()
    for _ in range(max_members):
        block = source.read(_BLOCK, offset)
        if offset == 0 and block.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")):
            raise LayoutError("is compressed in a way that is not read here: unpack it first")
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
            described |= _read_extension(header, source.read(min(header.size, MAX_EXTENSION_BYTES), start))
            size = header.size
        else:
            size = _size_of(header, described)
            name = normalize(described.get("path", header.name))
            if name is not None:
                if header.type in _REGULAR:
                    members[name] = Member(start, size)
                elif (link := _link_of(header, name, described)) is not None:
                    members[name] = Member(start, 0, link)
            described = {}
        offset = start + -(-size // _BLOCK) * _BLOCK
        if size < 0 or not source.reaches(start + size):
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
        return normalize(posixpath.join(posixpath.dirname(name), target))
    return normalize(target) if header.type == tarfile.LNKTYPE else None


def normalize(name: str) -> str | None:
    """The path without `.` and `..`; None where it leads out."""
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

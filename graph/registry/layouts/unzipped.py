"""Read a tar that is compressed with gzip, once and from end to end, and keep the documents in it.

Rules of this file: nothing is written to disk. A layout is asked for its JSON only, so that what looks like
JSON and is no larger than a document may be is kept, and layers are read past. What comes out of the
decompressor is bounded, whatever the length of the file.
"""

import gzip
import os
import zlib

from graph.oci.document import MAX_DOCUMENT_BYTES
from graph.registry.layouts.members import LayoutError

MAGIC = b"\x1f\x8b"

# Bytes of the tar in all: a minute or two of decompression. Images of that size are better kept as they are.
MAX_UNZIPPED_BYTES = 16 * 1024**3
# Bytes of the documents that are kept, in memory: those of some 8,000 images.
MAX_KEPT_BYTES = 128 * 1024 * 1024
# Bytes read past at once.
_CHUNK = 1024 * 1024


class Unzipped:
    """The bytes of the tar, at offsets that only grow. Close it; `documents` may be used after that."""

    def __init__(
        self, file: int, max_bytes: int = MAX_UNZIPPED_BYTES, max_kept_bytes: int = MAX_KEPT_BYTES
    ) -> None:
        self.documents: dict[int, bytes] = {}
        """What was kept, by where in the tar it begins."""
        self._file = os.fdopen(os.dup(file), "rb")
        self._stream = gzip.GzipFile(fileobj=self._file)
        self._max_bytes = max_bytes
        self._room = max_kept_bytes
        self._at = 0

    def close(self) -> None:
        """Let go of the file."""
        self._stream.close()
        self._file.close()

    def read(self, size: int, offset: int) -> bytes:
        """So many bytes, fewer at the end."""
        self._pass(offset)
        return self._take(size)

    def reaches(self, offset: int) -> bool:
        """Whether there are so many bytes; what lies between is kept if it may be a document."""
        start, size = self._at, offset - self._at
        if size > MAX_DOCUMENT_BYTES:
            return self._pass(offset)
        data = self._take(size)
        if data.lstrip(b" \t\r\n").startswith((b"{", b"[")):
            self._room -= len(data)
            if self._room < 0:
                raise LayoutError("is a compressed tar that holds too many documents: unpack it first")
            self.documents[start] = data
        return self._at == offset

    def _pass(self, offset: int) -> bool:
        while self._at < offset and self._take(min(_CHUNK, offset - self._at)):
            pass
        return self._at == offset

    def _take(self, size: int) -> bytes:
        if self._at + size > self._max_bytes:
            raise LayoutError(f"is a compressed tar of more than {self._max_bytes} bytes: unpack it first")
        try:
            data = self._stream.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise LayoutError("is compressed, and damaged or cut short") from None
        self._at += len(data)
        return data

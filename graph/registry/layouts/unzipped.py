"""Read a tar that is compressed with gzip, once and from end to end, and keep the documents in it.

Rules of this file: nothing is written to disk. A layout is asked for its JSON only, so that what looks like
JSON and is no larger than a document may be is kept, and layers are read past. What goes into the
decompressor is bounded, and what comes out of it, whatever the length of the file.
"""

import os
import zlib

from graph.oci.document import MAX_DOCUMENT_BYTES
from graph.registry.layouts.members import LayoutError

MAGIC = b"\x1f\x8b"

# Bytes of the tar in all, and of the file: a minute or two of decompression. Images of that size are better
# kept as they are.
MAX_UNZIPPED_BYTES = 16 * 1024**3
# Bytes of the documents that are kept, in memory: those of some 8,000 images.
MAX_KEPT_BYTES = 128 * 1024 * 1024
# Streams one after the other in a file: bgzip begins one every 64 KiB.
MAX_STREAMS = 400_000
# Bytes read at once.
_CHUNK = 256 * 1024
# How zlib is told that gzip's header and check sum are around the stream.
_GZIP = 16 + zlib.MAX_WBITS


class Unzipped:
    """The bytes of the tar, at offsets that only grow; `documents` may be used after that."""

    def __init__(
        self,
        file: int,
        *,
        max_bytes: int = MAX_UNZIPPED_BYTES,
        max_kept_bytes: int = MAX_KEPT_BYTES,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self.documents: dict[int, bytes] = {}
        """What was kept, by where in the tar it begins."""
        self._file = file
        self._max_bytes = max_bytes
        self._room = max_kept_bytes
        self._streams_left = max_streams
        self._decompressor = zlib.decompressobj(_GZIP)
        self._input = b""
        self._consumed = 0
        self._is_over = False
        self._at = 0

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
            raise self._too_large()
        chunks = []
        while size > 0 and not self._is_over and (chunk := self._inflate(size)):
            chunks.append(chunk)
            self._at += len(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def _inflate(self, size: int) -> bytes:
        """Some bytes, `size` at most; none at the end."""
        try:
            while not (data := self._decompressor.decompress(self._input, size)):
                if not self._decompressor.eof:
                    self._input = self._decompressor.unconsumed_tail or self._read_more()
                    if not self._input:
                        raise LayoutError("is compressed, and was cut short")
                elif not self._begin_stream():
                    return b""
        except zlib.error:
            raise LayoutError("is compressed, and damaged") from None
        self._input = self._decompressor.unconsumed_tail
        return data

    def _begin_stream(self) -> bool:
        """Go on with what follows a stream, if anything does; zeros may fill up the file."""
        rest = self._decompressor.unused_data.lstrip(b"\0")
        while not rest and (more := self._read_more()):
            rest = more.lstrip(b"\0")
        self._input, self._decompressor = rest, zlib.decompressobj(_GZIP)
        self._streams_left -= 1
        if self._streams_left < 0:
            raise LayoutError("is compressed in too many streams: unpack it first")
        self._is_over = not rest
        return bool(rest)

    def _read_more(self) -> bytes:
        data = os.pread(self._file, _CHUNK, self._consumed)
        self._consumed += len(data)
        if self._consumed > self._max_bytes:
            raise self._too_large()
        return data

    def _too_large(self) -> LayoutError:
        return LayoutError(f"is a compressed tar of more than {self._max_bytes} bytes: unpack it first")

"""The exact bytes of manifests and configs, as they are kept: compressed by zstd.

Rules of this file: pure. The store holds only what was within the limits when it was fetched; a document that
claims to be larger was damaged since, and is not unpacked.
"""

import zstandard

from graph.errors import StoreError
from graph.oci.document import MAX_DOCUMENT_BYTES


def decompress(data: bytes) -> bytes:
    """Return the bytes of a stored document.

    Raises StoreError if it is damaged.
    """
    try:
        # zstd allocates what the header claims before it reads on; without a claim it is bounded below.
        size = zstandard.frame_content_size(data)
        if size > MAX_DOCUMENT_BYTES:
            raise StoreError(
                f"a stored document claims to be of {size} bytes; {MAX_DOCUMENT_BYTES} are the most"
            )
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=MAX_DOCUMENT_BYTES)
    except zstandard.ZstdError as error:
        raise StoreError("a stored document is damaged") from error

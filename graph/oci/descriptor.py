"""Descriptors: how one document names the content of another (image-spec, descriptor.md).

Rules of this file: a `Descriptor` is what the document that holds it claims. It belongs to that edge, not to
the content: two documents may give one digest two media types. Sizes are claims too, until somebody held the
bytes. `data` (the content, embedded) is never read, and `urls` are text that nobody here follows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from graph.errors import InvalidDigestError, MalformedManifestError
from graph.oci.digest import Digest, parse_digest
from graph.oci.document import check_names
from graph.oci.media_types import is_foreign_layer

# Bytes. Not the specification's int64 but what a JSON number can carry to any client without loss.
MAX_SIZE = 2**53 - 1
# Characters. RFC 6838: a type and a subtype of at most 127 each, and the "/".
MAX_MEDIA_TYPE_LENGTH = 255
# Characters. Real values (GOOS, GOARCH, "v8", "10.0.20348.2031") have a tenth of it.
MAX_PLATFORM_LENGTH = 128
# Foreign layers have one; Docker's oldest Windows bases had two.
MAX_URLS = 100


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on. Any part may be unknown."""

    os: str | None
    architecture: str | None
    variant: str | None
    os_version: str | None


class Descriptor(msgspec.Struct, frozen=True):
    """Content as another document names it. `size` is in bytes, 0 … 2^53−1, as claimed.

    A Struct for its price: ten are made for every manifest, and a frozen dataclass takes 1 µs more for each.
    """

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...]
    annotations: Mapping[str, str]
    artifact_type: str | None
    platform: Platform | None

    @property
    def is_foreign(self) -> bool:
        """Whether the registry need not keep the content: it has `urls`, or a type that says so."""
        return bool(self.urls) or is_foreign_layer(self.media_type)


MediaTypeText = Annotated[str, Meta(max_length=MAX_MEDIA_TYPE_LENGTH)]
PlatformText = Annotated[str, Meta(max_length=MAX_PLATFORM_LENGTH)]


class PlatformDocument(msgspec.Struct, frozen=True):
    """`platform` of a descriptor (image-spec, image-index.md); every part may be left out or null."""

    os: PlatformText | None = None
    architecture: PlatformText | None = None
    variant: PlatformText | None = None
    os_version: PlatformText | None = msgspec.field(name="os.version", default=None)


class DescriptorDocument(msgspec.Struct, frozen=True, rename="camel"):
    """A descriptor as it stands in JSON, types checked and bounds kept, its digest not yet parsed."""

    media_type: Annotated[str, Meta(min_length=1, max_length=MAX_MEDIA_TYPE_LENGTH)]
    digest: str
    size: Annotated[int, Meta(ge=0, le=MAX_SIZE)]
    urls: Annotated[list[str], Meta(max_length=MAX_URLS)] | None = None
    annotations: dict[str, str] | None = None
    artifact_type: MediaTypeText | None = None
    platform: PlatformDocument | None = None


_NAMES = frozenset({"mediaType", "digest", "size", "urls", "annotations", "artifactType", "platform", "data"})
_FOLDED_NAMES = {name.casefold(): name for name in _NAMES}


def make_descriptor(document: DescriptorDocument) -> Descriptor:
    """The descriptor that the document is; raises MalformedManifestError if its digest is none."""
    try:
        digest = parse_digest(document.digest)
    except InvalidDigestError as error:
        raise MalformedManifestError(str(error)) from None
    platform = document.platform
    return Descriptor(
        document.media_type,
        digest,
        document.size,
        tuple(document.urls) if document.urls else (),
        document.annotations or {},
        document.artifact_type or None,
        None
        if platform is None
        else Platform(
            platform.os or None,
            platform.architecture or None,
            platform.variant or None,
            platform.os_version or None,
        ),
    )


def check_descriptor_names(documents: Sequence[Any]) -> None:
    """Refuse decoded descriptors with a name that differs from the specification's only in case."""
    for document in documents:
        if isinstance(document, dict) and not document.keys() <= _NAMES:
            check_names(document, _FOLDED_NAMES)

"""What an answer says of the manifest or config in it, as far as its headers and bytes can be believed.

Rules of this file: no I/O. A header is a claim; the bytes tell better.
"""

from graph.errors import InvalidDigestError, MalformedManifestError
from graph.oci.digest import Digest, parse_digest
from graph.oci.manifest import parse_manifest
from graph.oci.media_types import MANIFEST_TYPES, SCHEMA1_TYPES, strip_parameters
from graph.registry.wire import Reply

_MANIFEST_TYPES = frozenset({*MANIFEST_TYPES, *SCHEMA1_TYPES})


def read_digest(reply: Reply) -> Digest | None:
    """The digest that the registry says it is; None where it says none."""
    try:
        return parse_digest(reply.headers.get("docker-content-digest", ""))
    except InvalidDigestError:
        return None


def read_media_type(reply: Reply) -> str | None:
    """What the registry calls it; None where it does not say."""
    return strip_parameters(reply.headers.get("content-type", "")) or None


def is_page(reply: Reply) -> bool:
    """Whether it is for people, as a login's or a proxy's under status 200."""
    return read_media_type(reply) in ("text/html", "application/xhtml+xml")


def is_manifest(reply: Reply, digest: Digest) -> bool:
    """Whether anything says that what came by a tag is a manifest: its type, its digest, or that it is one.

    The page of a login or of a proxy, under status 200 and perhaps after a redirect, is what no tag names.
    Raises ContentTooLargeError.
    """
    media_type = read_media_type(reply)
    if media_type in _MANIFEST_TYPES or read_digest(reply) == digest:
        return True
    try:
        parse_manifest(reply.body, media_type)
    except MalformedManifestError:
        return False
    return True

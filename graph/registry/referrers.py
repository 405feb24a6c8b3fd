"""Read what a registry says refers to a manifest, and tell "none" from "I do not have that API".

Rules of this file: no I/O. Everything but an OCI image index with status 200 means that the API is missing,
because registries say so in many ways: distribution answers 404, others 400, 405 or 406, some 200 with
another document (sigstore-js #1187). A registry that has the API answers an empty index where there are
none.
"""

from graph.errors import ContentError, RegistryError
from graph.oci.descriptor import Descriptor
from graph.oci.manifest import ImageIndex, parse_manifest
from graph.oci.media_types import OCI_IMAGE_INDEX, strip_parameters
from graph.registry.wire import Reply, applied_filters

# Referrers of one manifest: far above any seen (some tens of signatures and scans each).
MAX_REFERRERS = 10_000

# 200 is an error here only where the answer was another document.
_MISSING_STATUSES = frozenset({200, 400, 404, 405, 406, 501})


def says_missing(error: RegistryError) -> bool:
    """Whether the first answer ever to a referrers request means that there is no such API."""
    return error.http_status in _MISSING_STATUSES


def is_referrers_index(reply: Reply) -> bool:
    """Whether the answer claims to be a list of referrers at all; here the Content-Type decides (end-12a)."""
    return strip_parameters(reply.headers.get("content-type", "")) == OCI_IMAGE_INDEX


def read_referrers(reply: Reply) -> tuple[Descriptor, ...]:
    """The descriptors of one page; ValueError when it cannot be read or is not all of it."""
    if applied_filters(reply):
        raise ValueError("filtered a list of referrers although asked for all")
    try:
        index = parse_manifest(reply.body, OCI_IMAGE_INDEX)
    except ContentError as error:
        raise ValueError(f"sent a list of referrers that cannot be read: {error}") from None
    if not isinstance(index, ImageIndex):
        raise ValueError("sent a list of referrers that is no index")
    return index.manifests

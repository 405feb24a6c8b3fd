"""What the sample registry holds: repositories of manifests, tags and blobs.

Values, and what is read out of a manifest when it is put. Neither HTTP nor rules of who may put what.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graph.sample.answers import OCI_MANIFEST


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob: its bytes, or only their number."""

    size: int
    data: bytes | None


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as it was put, with what the referrers API tells of it."""

    media_type: str
    data: bytes
    subject: str | None
    artifact_type: str | None
    annotations: Mapping[str, str]


@dataclass(slots=True)
class StoredRepository:
    """What one repository holds. Digests are keys of `manifests` and `blobs`; `tags` point at the former."""

    manifests: dict[str, StoredManifest] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, Blob] = field(default_factory=dict)


def sha256(data: bytes) -> str:
    """The digest of the bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def read_manifest(data: bytes, media_type: str) -> StoredManifest:
    """The bytes with their subject, artifact type and annotations; bytes that are no manifest have none."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    fields: dict[str, Any] = document if isinstance(document, dict) else {}
    config = part(fields, "config").get("mediaType") if media_type == OCI_MANIFEST else None
    return StoredManifest(
        media_type=media_type,
        data=data,
        subject=part(fields, "subject").get("digest"),
        artifact_type=fields.get("artifactType") or config,
        annotations=part(fields, "annotations"),
    )


def part(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def referrer_descriptor(digest: str, manifest: StoredManifest) -> dict[str, Any]:
    """The entry that the referrers API gives for it (distribution-spec v1.1.1, "Listing Referrers")."""
    descriptor: dict[str, Any] = {
        "mediaType": manifest.media_type,
        "digest": digest,
        "size": len(manifest.data),
    }
    if manifest.artifact_type:
        descriptor["artifactType"] = manifest.artifact_type
    if manifest.annotations:
        descriptor["annotations"] = dict(manifest.annotations)
    return descriptor

"""Global ids: what `node(id:)` takes and every object's `id` gives.

Rules of this file: pure. An id carries the type and the *natural* keys (the registry's name, the
repository's name, the digest), never a key of the store, so that it means the same after the store was built
anew. It is opaque to clients: base64 only keeps them from taking it apart.
"""

import base64
import binascii
from dataclasses import astuple, dataclass
from enum import StrEnum
from typing import TypeAlias

from graph.errors import InputError, InvalidIdError
from graph.oci.digest import Digest, parse_digest
from graph.oci.reference import (
    RegistryName,
    RepositoryName,
    TagName,
    parse_registry_name,
    parse_repository_name,
    parse_tag_name,
)

# Characters of an id: base64 of the longest registry name (259), repository name (255) and digest (512).
MAX_ID_LENGTH = 1400

# Ids and digests that one request looks up, all of its fields together: each is taken apart and asked for in
# one turn of the event loop, at some ten microseconds.
MAX_LOOK_UPS = 1000

# The arguments that hold them.
LOOK_UP_ARGUMENTS = frozenset({"ids", "digests"})


class NodeType(StrEnum):
    """The types that have an id, by their names in the schema."""

    REGISTRY = "Registry"
    NAMESPACE = "Namespace"
    REPOSITORY = "Repository"
    ARTIFACT = "Artifact"
    TAG = "Tag"
    LAYER = "Layer"


@dataclass(frozen=True, slots=True)
class RegistryId:
    """What identifies a registry."""

    registry: RegistryName


@dataclass(frozen=True, slots=True)
class NamespaceId:
    """What identifies a namespace."""

    registry: RegistryName
    name: str


@dataclass(frozen=True, slots=True)
class RepositoryId:
    """What identifies a repository."""

    registry: RegistryName
    name: RepositoryName


@dataclass(frozen=True, slots=True)
class ArtifactId:
    """What identifies an artifact (concept C6)."""

    registry: RegistryName
    repository: RepositoryName
    digest: Digest


@dataclass(frozen=True, slots=True)
class TagId:
    """What identifies a tag."""

    registry: RegistryName
    repository: RepositoryName
    name: TagName


@dataclass(frozen=True, slots=True)
class LayerId:
    """What identifies a layer: one per registry and digest (concept C2)."""

    registry: RegistryName
    digest: Digest


NodeId: TypeAlias = RegistryId | NamespaceId | RepositoryId | ArtifactId | TagId | LayerId


def format_id(type: NodeType, *names: str) -> str:
    """The id of an object; the names are those that `parse_id` gives back."""
    # No name and no digest holds a space: the grammars forbid it.
    return base64.urlsafe_b64encode(" ".join((type, *names)).encode()).decode().rstrip("=")


def parse_id(text: str) -> NodeId:
    """What the id identifies. Raises InvalidIdError unless it is one that `format_id` makes."""
    if len(text) > MAX_ID_LENGTH:
        raise InvalidIdError(f"an id has at most {MAX_ID_LENGTH} characters")
    try:
        padded = text + "=" * (-len(text) % 4)
        words = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").split(" ")
        node_type = NodeType(words[0])
        parsed = _parse_words(node_type, words[1:])
    except (binascii.Error, ValueError, InputError) as error:
        raise InvalidIdError("this is not an id that this API gave out") from error
    if format_id(node_type, *astuple(parsed)) != text:  # two texts would be one id
        raise InvalidIdError("this is not an id that this API gave out")
    return parsed


def _parse_words(type: NodeType, words: list[str]) -> NodeId:
    registry = parse_registry_name(words[0]) if words else None
    match type, registry, words[1:]:
        case NodeType.REGISTRY, str(), []:
            return RegistryId(registry)
        case NodeType.NAMESPACE, str(), [name]:
            return NamespaceId(registry, parse_repository_name(name))
        case NodeType.REPOSITORY, str(), [name]:
            return RepositoryId(registry, parse_repository_name(name))
        case NodeType.ARTIFACT, str(), [name, digest]:
            return ArtifactId(registry, parse_repository_name(name), parse_digest(digest))
        case NodeType.TAG, str(), [name, tag]:
            return TagId(registry, parse_repository_name(name), parse_tag_name(tag))
        case NodeType.LAYER, str(), [digest]:
            return LayerId(registry, parse_digest(digest))
        case _:
            raise InvalidIdError("an id with other names than its type has")

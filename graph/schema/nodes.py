"""What every object with a global id has, and which type of the schema a row of the store is.

Rules of this file: pure; nothing is looked up here (`lookups.py` does that).
"""

from collections.abc import Callable, Mapping
from typing import Any

import strawberry

from graph.schema.context import Context
from graph.schema.fields import computed
from graph.schema.ids import NodeType, format_id
from graph.store.rows import (
    ArtifactRow,
    LayerRow,
    ManifestForm,
    NamespaceRow,
    RegistryRow,
    RepositoryRow,
    TagRow,
)

_NODE_TYPES: Mapping[type, NodeType] = {
    RegistryRow: NodeType.REGISTRY,
    NamespaceRow: NodeType.NAMESPACE,
    RepositoryRow: NodeType.REPOSITORY,
    ArtifactRow: NodeType.ARTIFACT,
    TagRow: NodeType.TAG,
    LayerRow: NodeType.LAYER,
}

# What identifies a row inside its registry.
_NAMES: Mapping[NodeType, Callable[[Any], tuple[str, ...]]] = {
    NodeType.NAMESPACE: lambda row: (row.name,),
    NodeType.REPOSITORY: lambda row: (row.name,),
    NodeType.ARTIFACT: lambda row: (row.repository_name, row.digest),
    NodeType.TAG: lambda row: (row.repository_name, row.name),
    NodeType.LAYER: lambda row: (row.digest,),
}

_MANIFEST_TYPES: Mapping[ManifestForm, str] = {
    ManifestForm.IMAGE: "ImageManifest",
    ManifestForm.INDEX: "ImageIndex",
    ManifestForm.OTHER: "OtherManifest",
}


def id_of(row: Any, context: Context) -> str:
    """The global id of a row."""
    node_type = _NODE_TYPES[type(row)]
    if node_type is NodeType.REGISTRY:
        return format_id(node_type, row.name)
    return format_id(node_type, context.registries.by_key(row.registry_key).name, *_NAMES[node_type](row))


def typename_of(row: Any) -> str:
    """The name of the type that shows a row, where a field may give several."""
    node_type = _NODE_TYPES.get(type(row))
    return _MANIFEST_TYPES[row.form] if node_type is None else node_type.value


@strawberry.interface(description="An object that can be found again by its id.")
class Node:
    """What has a global id."""

    id: strawberry.ID = computed(
        id_of,
        description="Names this object among all objects of all registries, whatever its type. It stays the "
        "same when the store is built anew; what it is made of is nobody's business.",
    )

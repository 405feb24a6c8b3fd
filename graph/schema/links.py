"""The types of the schema by name, for fields that give each other's types.

Rules of this file: names only. The types refer to each other in circles, so a module cannot import them
all; a field names the type here, and Strawberry imports it when the schema is built.
"""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import strawberry

from graph.schema.connections import Connection

if TYPE_CHECKING:
    from graph.schema.artifact import Artifact
    from graph.schema.layer import Layer
    from graph.schema.namespace import Namespace
    from graph.schema.repository import Repository
    from graph.schema.tag import Tag

ArtifactLink: TypeAlias = Annotated["Artifact", strawberry.lazy("graph.schema.artifact")]
LayerLink: TypeAlias = Annotated["Layer", strawberry.lazy("graph.schema.layer")]
NamespaceLink: TypeAlias = Annotated["Namespace", strawberry.lazy("graph.schema.namespace")]
RepositoryLink: TypeAlias = Annotated["Repository", strawberry.lazy("graph.schema.repository")]
TagLink: TypeAlias = Annotated["Tag", strawberry.lazy("graph.schema.tag")]

ArtifactConnection: TypeAlias = Connection[ArtifactLink]
LayerConnection: TypeAlias = Connection[LayerLink]
NamespaceConnection: TypeAlias = Connection[NamespaceLink]
RepositoryConnection: TypeAlias = Connection[RepositoryLink]
TagConnection: TypeAlias = Connection[TagLink]

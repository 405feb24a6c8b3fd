"""Put the types together: the schema that the executor runs, and its text.

Rules of this file: what every request needs the same is built once, here.
"""

from graphql import GraphQLError
from strawberry import Schema
from strawberry.extensions import MaxTokensLimiter
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionContext

from graph.schema.accepted import AcceptedQueries, KeepAccepted
from graph.schema.context import Limits
from graph.schema.errors import show_errors
from graph.schema.executor import BoundedExecutor
from graph.schema.fields import bind_fields
from graph.schema.manifest import ImageIndex, ImageManifest, OtherManifest
from graph.schema.namespace import Namespace
from graph.schema.nodes import typename_of
from graph.schema.query import Query
from graph.schema.scalars import SCALARS
from graph.schema.tag import Tag


class GraphSchema(Schema):
    """Strawberry's schema, with our own way to show errors."""

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Give the errors of a result their codes, in place; log faults of ours, once each."""
        show_errors(errors)


def build_schema(limits: Limits | None = None) -> GraphSchema:
    """The schema, holding queries to these limits. Build it once for a process."""
    held = limits or Limits()
    accepted = AcceptedQueries()
    schema = GraphSchema(
        query=Query,
        types=[ImageManifest, ImageIndex, OtherManifest, Namespace, Tag],
        config=StrawberryConfig(scalar_map=SCALARS),
        execution_context_class=BoundedExecutor,
        extensions=[
            lambda: MaxTokensLimiter(held.max_tokens),
            lambda: KeepAccepted(accepted, held),
        ],
    )
    bind_fields(schema._schema, typename_of)
    return schema


def print_sdl() -> str:
    """The schema in GraphQL's own language."""
    return build_schema().as_str() + "\n"

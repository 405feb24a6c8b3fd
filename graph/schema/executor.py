"""Execute a query as Strawberry does, but for errors without end.

Rules of this file: nothing is changed but what becomes of a field that fails after many others did. The
method that is overridden is none of graphql-core's public interface, so its minor version is pinned.
"""

from graphql import GraphQLError, GraphQLOutputType, is_non_null_type
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from graph.errors import GraphError

# Errors that an answer lists. Each takes 60 µs to be located and written, and a query may earn one for each
# field; nobody reads more than the first of them.
MAX_ERRORS = 1_000


class BoundedExecutor(StrawberryGraphQLCoreExecutionContext):
    """Leaves a field null without an error of its own once MAX_ERRORS are listed, and counts it."""

    def handle_field_error(
        self,
        raw_error: Exception,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        path: Path,
    ) -> None:
        """List the error or count it; where null is not allowed, and for a fault of ours, as ever."""
        may_be_null = not (self.error_propagation and is_non_null_type(return_type))
        is_foreseen = isinstance(raw_error, GraphError | GraphQLError)
        if may_be_null and is_foreseen and len(self.collected_errors.errors) >= MAX_ERRORS:
            self.context_value.unlisted_errors += 1
            return
        super().handle_field_error(raw_error, return_type, field_details_list, path)

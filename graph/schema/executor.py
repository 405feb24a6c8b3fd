"""Execute a query as Strawberry does, but for errors without end.

Rules of this file: nothing is changed but that one of several operations must be named, that all arguments
are read first (`arguments.py`), and what becomes of a field that fails after many others did. The methods
that are overridden are none of graphql-core's public interface, so its minor version is pinned.
"""

from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    is_non_null_type,
)
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from graph.errors import GraphError, TimeLimitError
from graph.schema.arguments import Operation

# Errors that an answer lists. Each takes 60 µs to be located and written, and a query may earn one for each
# field; nobody reads more than the first of them.
MAX_ERRORS = 1_000


class BoundedExecutor(StrawberryGraphQLCoreExecutionContext):
    """Leaves a field null without an error of its own once MAX_ERRORS are listed, and counts it."""

    @classmethod
    def build(  # type: ignore[override]  # the rest is passed on as it is
        cls, schema: GraphQLSchema, document: DocumentNode, root: Any, context: Any, *args: Any, **named: Any
    ) -> Any:
        """An executor, or why there can be none: of several operations one must be named.

        Strawberry names the first to graphql-core where the request names none.
        """
        operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
        if len(operations) > 1 and not context.is_operation_named:
            message = f"the document has {len(operations)} operations: the request must name one"
            return [GraphQLError(message, operations)]
        return super().build(schema, document, root, context, *args, **named)

    def execute_operation(self, serially: bool | None = None) -> Any:
        """Read all arguments, then execute as ever; the response, to be awaited."""
        return self._execute_read(serially)

    async def _execute_read(self, serially: bool | None) -> ExecutionResult:
        operation = Operation(
            self.schema,
            self.fragment_definitions,
            self.operation.selection_set,
            self.variable_values,
            lambda field, node, parent: self.build_resolve_info(field, [node], parent, Path(None, "", None)),
        )
        try:
            wrong = await operation.find_wrong(self.context_value)
        except TimeLimitError as error:
            self.collected_errors.add(GraphQLError(str(error), original_error=error), None)
            return ExecutionResult(None, self.collected_errors.errors)
        result: Any = super().execute_operation(serially)
        response: ExecutionResult = await result if self.is_awaitable(result) else result
        told = {id(node) for error in response.errors or () for node in error.nodes or ()}
        untold = [error for error in wrong if not any(id(node) in told for node in error.nodes or ())]
        return ExecutionResult(response.data, [*(response.errors or ()), *untold] or None)

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

"""Execute one request and give the response map of the specification, ready to be written as JSON.

Rules of this file: it knows nothing of HTTP, and nothing of what the fields mean.
"""

from collections.abc import Mapping
from typing import Any

from strawberry import Schema
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from graph.errors import InvalidQueryError
from graph.schema.context import Context

# Errors that an answer lists. Each takes 35 µs to be written, all in one go, and a query may earn one for
# each node it may read; nobody reads more than the first of them.
MAX_ERRORS = 1_000


async def execute(
    schema: Schema,
    context: Context,
    query: str,
    variables: Mapping[str, Any] | None = None,
    operation_name: str | None = None,
) -> dict[str, Any]:
    """The response map: `errors` if there are any, `data`, `extensions`.

    There is no `data` when nothing was executed, because the document or its variables were refused
    (specification, section 7.1).
    """
    try:
        result = await schema.execute(
            query,
            variable_values=dict(variables or {}),
            context_value=context,
            operation_name=operation_name,
            allowed_operation_types={OperationType.QUERY},
        )
    except CannotGetOperationTypeError as error:
        return _refuse(error.as_http_error_reason())
    except InvalidOperationTypeError:
        return _refuse("only queries are served")
    except MissingQueryError:
        return _refuse("the query is empty")
    finally:
        await context.dispatcher.close()
    response: dict[str, Any] = {}
    if result.errors:
        response["errors"] = [error.formatted for error in result.errors[:MAX_ERRORS]]
        if len(result.errors) > MAX_ERRORS:
            message = f"{len(result.errors) - MAX_ERRORS} more errors are not listed"
            response["errors"].append({"message": message, "extensions": {"code": "TOO_MANY_ERRORS"}})
    if result.data is not None:
        response["data"] = result.data
    response["extensions"] = {**(result.extensions or {}), **context.to_extensions()}
    return response


def _refuse(message: str) -> dict[str, Any]:
    return {"errors": [{"message": message, "extensions": {"code": InvalidQueryError.code}}]}

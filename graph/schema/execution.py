"""Execute one request and give the response map of the specification, ready to be written as JSON.

Rules of this file: it knows nothing of HTTP, and nothing of what the fields mean.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from strawberry import Schema
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from graph.errors import GraphError, InvalidQueryError, QueryTooCostlyError
from graph.schema.context import Context
from graph.schema.executor import MAX_ERRORS

# Values in the variables of one request, lists and objects among them: twice the names of the largest set
# (`sets.py`). All are checked in one turn of the event loop, at two microseconds each.
MAX_VARIABLE_VALUES = 20_000


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
    values = _count_values(variables)
    if values > MAX_VARIABLE_VALUES:
        return _refuse(QueryTooCostlyError(values, MAX_VARIABLE_VALUES, "values of variables"))
    context.is_operation_named = operation_name is not None
    try:
        result = await schema.execute(
            query,
            variable_values=dict(variables or {}),
            context_value=context,
            operation_name=operation_name,
            allowed_operation_types={OperationType.QUERY},
        )
    except CannotGetOperationTypeError as error:
        return _refuse(InvalidQueryError(error.as_http_error_reason()))
    except InvalidOperationTypeError:
        return _refuse(InvalidQueryError("only queries are served"))
    except MissingQueryError:
        return _refuse(InvalidQueryError("the query is empty"))
    finally:
        await context.dispatcher.close()
    response: dict[str, Any] = {}
    if result.errors:
        response["errors"] = [error.formatted for error in result.errors[:MAX_ERRORS]]
        unlisted = context.unlisted_errors + len(result.errors[MAX_ERRORS:])
        if unlisted:
            message = f"{unlisted} more errors are not listed"
            response["errors"].append({"message": message, "extensions": {"code": "TOO_MANY_ERRORS"}})
    if result.data is not None:
        response["data"] = result.data
    response["extensions"] = {**(result.extensions or {}), **context.to_extensions()}
    return response


def _count_values(variables: Mapping[str, Any] | None) -> int:
    """The values that the variables hold, however deep; counted no further than they are allowed to be."""
    count = 0
    waiting: list[Any] = list((variables or {}).values())
    while waiting and count <= MAX_VARIABLE_VALUES:
        value = waiting.pop()
        count += 1
        if isinstance(value, Mapping | list):
            room = MAX_VARIABLE_VALUES + 1
            waiting.extend(islice(value.values() if isinstance(value, Mapping) else value, room))
    return count


def _refuse(error: GraphError) -> dict[str, Any]:
    return {"errors": [{"message": str(error), "extensions": {"code": error.code}}]}

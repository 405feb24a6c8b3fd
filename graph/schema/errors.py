"""Turn what went wrong into what a client sees: a message, a place and a code, and nothing of our inside.

Rules of this file: an error of ours keeps its message and shows its code in `extensions.code`. Whatever the
specification of GraphQL finds wrong with a query is `INVALID_QUERY`. Anything else is a fault of this
program: its text may hold what nobody should see, so the client gets `INTERNAL`, and the log one entry for
each fault, however many fields it failed.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import GraphQLError

from graph.errors import GraphError, InvalidQueryError, RegistryError, TooManyTokensError

logger = logging.getLogger("graph.schema")

INTERNAL = "INTERNAL"
INTERNAL_MESSAGE = "something went wrong here; the server's log has the cause"

# How graphql-core's parser says that a document has too many tokens; it gives no other sign.
_TOO_MANY_TOKENS = "Document contains more than"


def recalled(code: str | None, message: str | None) -> GraphQLError:
    """The error of an earlier look, as the store kept it."""
    return GraphQLError(message or "the last look failed", extensions={"code": code or GraphError.code})


def show_errors(errors: list[GraphQLError]) -> None:
    """Give each error of a result its code, in place; mask and log what is a fault of ours."""
    logged: set[int] = set()

    def log(error: Exception) -> None:
        if id(error) not in logged:
            logged.add(id(error))
            logger.error("a field failed: %s", error, exc_info=error)

    errors[:] = [_show(error, log) for error in errors]


def _show(error: GraphQLError, log: Callable[[Exception], None]) -> GraphQLError:
    if error.extensions and "code" in error.extensions:
        return error
    cause = _cause_of(error)
    if isinstance(cause, GraphError):
        return _with_extensions(error, error.message, _extensions_of(cause))
    if cause is not None or error.path is not None:
        # With a path and no cause: the executor itself, about a value that does not fit the schema.
        log(cause or error)
        return _with_extensions(error, INTERNAL_MESSAGE, {"code": INTERNAL})
    if error.message.startswith(f"Syntax Error: {_TOO_MANY_TOKENS}"):
        return _with_extensions(error, error.message, {"code": TooManyTokensError.code})
    return _with_extensions(error, error.message, {"code": InvalidQueryError.code})


def _cause_of(error: GraphQLError) -> Exception | None:
    """The first exception below that is not GraphQL's own."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause if isinstance(cause, Exception) else None


def _extensions_of(error: GraphError) -> Mapping[str, Any]:
    extensions: dict[str, Any] = {"code": error.code}
    if isinstance(error, RegistryError):
        if error.codes:
            extensions["registryCodes"] = list(error.codes)
        if error.retry_after is not None:
            extensions["retryAfter"] = error.retry_after
    return extensions


def _with_extensions(error: GraphQLError, message: str, extensions: Mapping[str, Any]) -> GraphQLError:
    nodes: Sequence[Any] | None = error.nodes
    return GraphQLError(
        message, nodes, error.source, error.positions, error.path, extensions=dict(extensions)
    )

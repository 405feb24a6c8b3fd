"""Turn what went wrong into what a client sees: a message, a place and a code, and nothing of our inside.

Rules of this file: an error of ours keeps its message and shows its code in `extensions.code`. Whatever the
specification of GraphQL finds wrong with a query is `INVALID_QUERY`. Anything else is a fault of this
program: its text may hold what nobody should see, so the client gets `INTERNAL`, and the log one entry for
each fault, however many fields it failed.
"""

import logging
from collections.abc import Sequence
from typing import Any

from graphql import FieldNode, GraphQLError

from graph.errors import (
    GraphError,
    InvalidQueryError,
    QueryTooDeepError,
    RegistryError,
    TooManyTokensError,
)

logger = logging.getLogger("graph.schema")

INTERNAL = "INTERNAL"
INTERNAL_MESSAGE = "something went wrong here; the server's log has the cause"

# How graphql-core's parser says that a document has too many tokens, and that it is nested more deeply than
# it can follow: some 200 levels. It gives no other sign.
_TOO_MUCH = {
    "Syntax Error: Document contains more than": TooManyTokensError.code,
    "Syntax Error: Document is nested too deeply": QueryTooDeepError.code,
}


def recalled(code: str | None, message: str | None) -> GraphQLError:
    """The error of an earlier look, as the store kept it."""
    return GraphQLError(message or "the last look failed", extensions={"code": code or GraphError.code})


def show_errors(errors: Sequence[GraphQLError]) -> None:
    """Give each error of a result its code, in place; mask and log what is a fault of ours."""
    logged: set[int] = set()
    for error in errors:
        extensions = _extensions_of(error)
        if extensions is None:
            cause = _cause_of(error) or error
            if id(cause) not in logged:
                logged.add(id(cause))
                logger.error("a field failed: %s", cause, exc_info=cause)
            error.message = INTERNAL_MESSAGE
            extensions = {"code": INTERNAL}
        # In place: ten thousand errors made anew, each looking for its line in the query, take half a second.
        error.extensions = extensions


def _extensions_of(error: GraphQLError) -> dict[str, Any] | None:
    """What is told of an error beside its message; None where it is a fault of ours."""
    if error.extensions and "code" in error.extensions:
        return error.extensions
    cause = _cause_of(error)
    if isinstance(cause, RegistryError):
        told: dict[str, Any] = {"code": cause.code}
        if cause.codes:
            told["registryCodes"] = list(cause.codes)
        if cause.retry_after is not None:
            told["retryAfter"] = cause.retry_after
        return told
    if isinstance(cause, GraphError):
        return {"code": cause.code}
    is_of_argument = any(not isinstance(node, FieldNode) for node in error.nodes or ())
    if cause is not None or (error.path is not None and not is_of_argument):
        # With a path and no cause: the executor itself, about a value that does not fit the schema. What it
        # says of the value of an argument, a null where none may be, has its place in the query there.
        return None
    excess = (code for text, code in _TOO_MUCH.items() if error.message.startswith(text))
    return {"code": next(excess, InvalidQueryError.code)}


def _cause_of(error: GraphQLError) -> Exception | None:
    """The first exception below that is not GraphQL's own."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause if isinstance(cause, Exception) else None

"""Validate a document by the rules of GraphQL, each mistake with its place, and leave no garbage.

Rules of this file: what the library finds is found here, and nothing else; limits come before (`limits.py`).
"""

from collections.abc import Callable, Sequence
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLInputType,
    GraphQLSchema,
    ValueNode,
    ValuesOfCorrectTypeRule,
    VisitorAction,
)
from strawberry.schema.schema import validate_document


class LocatedValuesRule(ValuesOfCorrectTypeRule):
    """The library's rule about values, with a place for what is wrong with a list or an object.

    The library looks at copies of these, which have no place in the query.
    """

    def is_valid_value_node(self, node: ValueNode, input_type: GraphQLInputType | None) -> VisitorAction:
        """Remember which value is looked at."""
        self._node = node
        return super().is_valid_value_node(node, input_type)

    def report_error(self, error: GraphQLError) -> None:
        """Report it where it is, or at the value that it is in."""
        if error.locations is None:
            cause, extensions = error.original_error, error.extensions
            error = GraphQLError(error.message, self._node, original_error=cause, extensions=extensions)
        super().report_error(error)


def validate(schema: GraphQLSchema, document: DocumentNode, rules: Sequence[Any]) -> list[GraphQLError]:
    """What is wrong with the document, as Strawberry finds it, and no garbage that holds the document.

    Each rule refers to itself, to what it compared and to the document; so all are emptied in the end.
    """
    made: list[Any] = []

    def remember(rule: Callable[[Any], Any]) -> Callable[[Any], Any]:
        chosen = LocatedValuesRule if rule is ValuesOfCorrectTypeRule else rule

        def make(context: Any) -> Any:
            visitor = chosen(context)
            made.extend((visitor, context))
            return visitor

        return make

    try:
        return validate_document(schema, document, tuple(map(remember, rules)))  # type: ignore[arg-type]
    finally:
        for each in made:
            vars(each).clear()

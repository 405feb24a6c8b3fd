"""Tell from a query alone how many fields of the answer an object brings with it.

The executor needs some microseconds for each field, and the answer holds each: a node with three fields under
fifty names is a hundred and fifty of them. Rules of this file:

1. What is counted on its own when it is answered is not counted below its parent: a batched field, and a list
   whose length a stranger chose.
2. A selection and a fragment are worked out once for each type, however often the fragment is spread.
3. Never less than what the executor gives: a field that is written twice counts twice though it is answered
   once, one that `@skip` leaves out counts too, and where several types may come the costliest counts.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    NamedTypeNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)


class FieldCount(NamedTuple):
    """Fields of an answer: those that it has once, and those of each item of the page or list that it is."""

    fixed: int = 0
    each: int = 0

    def total(self, items: int) -> int:
        """The fields of an answer with so many items."""
        return self.fixed + self.each * items


class Selections:
    """The selections of one document, counted. `is_apart` tells which fields count on their own."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        is_apart: Callable[[GraphQLField], bool],
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._is_apart = is_apart
        # By type and by the identity of the selection: the document outlives us.
        self._counted: dict[tuple[str, int], FieldCount] = {}
        self._gathered: dict[tuple[str, int], dict[int, FieldNode]] = {}

    def count(self, type: GraphQLOutputType, nodes: Sequence[FieldNode]) -> FieldCount:
        """What is below a field of this type that is asked for by these nodes; the field itself is not."""
        counts = [self._count_below(type, node) for node in nodes]
        return FieldCount(sum(count.fixed for count in counts), sum(count.each for count in counts))

    def _count_below(self, type: GraphQLOutputType, node: FieldNode) -> FieldCount:
        is_list = is_list_type(get_nullable_type(type))
        if node.selection_set is None:
            return FieldCount(0, int(is_list))
        named = get_named_type(type)
        objects: Sequence[GraphQLObjectType] = ()
        if isinstance(named, GraphQLObjectType):
            objects = (named,)
        elif isinstance(named, GraphQLInterfaceType | GraphQLUnionType):
            objects = self._schema.get_possible_types(named)
        below = [self._count_selection(each, node.selection_set) for each in objects]
        fixed = max((count.fixed for count in below), default=0)
        each = max((count.each for count in below), default=0)
        return FieldCount(0, 1 + fixed + each) if is_list else FieldCount(fixed, each)

    def _count_selection(self, parent: GraphQLObjectType, selection_set: SelectionSetNode) -> FieldCount:
        key = (parent.name, id(selection_set))
        counted = self._counted.get(key)
        if counted is None:
            self._counted[key] = FieldCount()  # what a cycle, which validation refuses, finds of itself
            nodes = self.fields_of(parent, selection_set)
            below = [self._count_field(parent, node) for node in nodes]
            counted = self._counted[key] = FieldCount(
                len(nodes) + sum(count.fixed for count in below), sum(count.each for count in below)
            )
        return counted

    def _count_field(self, parent: GraphQLObjectType, node: FieldNode) -> FieldCount:
        field = parent.fields.get(node.name.value)
        if field is None or self._is_apart(field):
            return FieldCount()
        return self._count_below(field.type, node)

    def fields_of(self, parent: GraphQLObjectType, selection_set: SelectionSetNode) -> Collection[FieldNode]:
        """The fields that are asked of an object of the type, those of fragments among them, each once."""
        return self._gather(parent, selection_set).values()

    def _gather(self, parent: GraphQLObjectType, selection_set: SelectionSetNode) -> dict[int, FieldNode]:
        key = (parent.name, id(selection_set))
        gathered = self._gathered.get(key)
        if gathered is None:
            gathered = self._gathered[key] = {}  # filled below, so that a cycle ends here
            for selection in selection_set.selections:
                if isinstance(selection, FieldNode):
                    gathered[id(selection)] = selection
                    continue
                fragment: FragmentDefinitionNode | InlineFragmentNode | None = None
                if isinstance(selection, InlineFragmentNode):
                    fragment = selection
                elif isinstance(selection, FragmentSpreadNode):
                    fragment = self._fragments.get(selection.name.value)
                if fragment is not None and self._fits(parent, fragment.type_condition):
                    gathered.update(self._gather(parent, fragment.selection_set))
        return gathered

    def _fits(self, parent: GraphQLObjectType, condition: NamedTypeNode | None) -> bool:
        if condition is None:
            return True
        named = self._schema.type_map.get(condition.name.value)
        return named is parent or (
            isinstance(named, GraphQLInterfaceType | GraphQLUnionType)
            and self._schema.is_sub_type(named, parent)
        )

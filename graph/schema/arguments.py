"""Read all arguments of an operation before any of it is executed.

What is wrong with them is so known before the first statement and the first request to a registry. Rules of
this file:

1. It knows no argument. Each field has its own reader, under READ in its `extensions`, and what that gave is
   what the field is executed with: everything is read once.
2. What is wrong fails its own field, wherever the answer has it; where the answer has not got so far, because
   what is above it is null or an empty list, the error is told without a path.
3. A request with anything wrong in it is one that has to be sent again, so it asks no registry
   (`staleness.py`).
4. Linear in the size of the document: a selection is read once for each type that it may be of, however often
   its fragment is spread. What `@skip` and `@include` leave out is not read.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLSkipDirective,
    GraphQLUnionType,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    get_argument_values,
    get_directive_values,
    get_named_type,
)

from graph.errors import InputError, TimeLimitError
from graph.schema.batches import SLICE_SECONDS
from graph.schema.context import Context

# Under this name a field's `extensions` have what reads its arguments.
READ = "graph.schema.arguments"

# Gives what the arguments of a field mean. Raises InputError.
Reader: TypeAlias = Callable[[GraphQLResolveInfo[Context], Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class _Refused:
    error: Exception


def read_once(name: str, read: Reader) -> Reader:
    """A reader for the field of this name that reads the arguments of a selection the first time only."""

    def remember(info: GraphQLResolveInfo[Context], given: Mapping[str, Any]) -> Any:
        known = info.context.arguments
        # Nodes that are merged into one field have the same arguments: validation sees to it.
        key = (name, id(info.field_nodes[0]))
        if key not in known:
            try:
                known[key] = read(info, given)
            except Exception as error:
                known[key] = _Refused(error)
        value = known[key]
        if isinstance(value, _Refused):
            raise value.error.with_traceback(None)  # else each raise would lengthen it
        return value

    return remember


@dataclass(slots=True)
class Operation:
    """An operation whose arguments are to be read. `build_info` makes what a resolver of a field is told."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    selection_set: SelectionSetNode
    variables: Any
    build_info: Callable[[GraphQLField, FieldNode, GraphQLObjectType], GraphQLResolveInfo[Context]]
    _seen: set[tuple[str, int]] = field(default_factory=set)

    async def find_wrong(self, context: Context) -> list[GraphQLError]:
        """Read all arguments; the errors of those that are wrong, each with the place in the query.

        Raises TimeLimitError when the time of the request is over.
        """
        wrong: list[GraphQLError] = []
        loop, began = asyncio.get_running_loop(), time.monotonic()
        for parent, node in self._walk():
            try:
                value = self._read(parent, node)
            except (InputError, GraphQLError) as error:
                nodes = error.nodes if isinstance(error, GraphQLError) else [node]
                wrong.append(GraphQLError(str(error), nodes, original_error=error))
                context.has_wrong_input = True
            except Exception:  # a fault of ours: the field tells it, if it is executed
                continue
            else:
                # A list of which some items are wrong fails these items.
                if isinstance(value, list) and any(isinstance(item, InputError) for item in value):
                    context.has_wrong_input = True
            if time.monotonic() - began > SLICE_SECONDS:
                await asyncio.sleep(0)
                if context.deadline is not None and loop.time() > context.deadline:
                    raise TimeLimitError("the request took longer than allowed and was stopped")
                began = time.monotonic()
        return wrong

    def _read(self, parent: GraphQLObjectType, node: FieldNode) -> Any:
        definition = parent.fields[node.name.value]
        read: Reader | None = definition.extensions.get(READ)
        if read is None:
            return None
        given = get_argument_values(definition, node, self.variables)
        return read(self.build_info(definition, node, parent), given)

    def _walk(self) -> Iterator[tuple[GraphQLObjectType, FieldNode]]:
        """The fields that may be executed, each with the type that it is asked of."""
        root = self.schema.query_type
        assert root is not None
        waiting: list[tuple[GraphQLObjectType, SelectionSetNode]] = [(root, self.selection_set)]
        while waiting:
            parent, selection_set = waiting.pop()
            if (parent.name, id(selection_set)) in self._seen:
                continue
            self._seen.add((parent.name, id(selection_set)))
            for selection in selection_set.selections:
                if not self._is_included(selection):
                    continue
                if not isinstance(selection, FieldNode):
                    fragment = self._fragment_of(selection)
                    if fragment is not None and self._fits(parent, fragment):
                        waiting.append((parent, fragment.selection_set))
                elif selection.name.value in parent.fields:
                    yield parent, selection
                    below = self._objects_of(parent.fields[selection.name.value])
                    if selection.selection_set is not None:
                        waiting.extend((each, selection.selection_set) for each in below)

    def _fragment_of(self, selection: SelectionNode) -> FragmentDefinitionNode | InlineFragmentNode | None:
        if isinstance(selection, FragmentSpreadNode):
            return self.fragments.get(selection.name.value)
        return selection if isinstance(selection, InlineFragmentNode) else None

    def _is_included(self, selection: SelectionNode) -> bool:
        if not selection.directives:
            return True
        skip = get_directive_values(GraphQLSkipDirective, selection, self.variables)
        include = get_directive_values(GraphQLIncludeDirective, selection, self.variables)
        return not (skip and skip["if"]) and not (include and not include["if"])

    def _fits(self, parent: GraphQLObjectType, fragment: FragmentDefinitionNode | InlineFragmentNode) -> bool:
        if fragment.type_condition is None:
            return True
        named = self.schema.type_map[fragment.type_condition.name.value]
        return named is parent or (
            isinstance(named, GraphQLInterfaceType | GraphQLUnionType)
            and self.schema.is_sub_type(named, parent)
        )

    def _objects_of(self, definition: GraphQLField) -> list[GraphQLObjectType]:
        named = get_named_type(definition.type)
        if isinstance(named, GraphQLInterfaceType | GraphQLUnionType):
            return list(self.schema.get_possible_types(named))
        return [named] if isinstance(named, GraphQLObjectType) else []

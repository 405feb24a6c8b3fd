"""Refuse before validation what a query could never be allowed to cost.

Each limit is checked on the document alone, before any rule of the specification looks at it: some of those
take time that grows with the square of what they are given. Rules of this file:

1. Linear in the size of the document: what a fragment adds is worked out once, however often it is spread.
2. An invalid document is not this file's to explain: an unknown field or fragment and a cycle count nothing
   here.

What is known only while a query runs is counted there (`Context.charge`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphql import (
    ArgumentNode,
    DocumentNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    Node,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)

from graph.errors import InvalidPageError, QueryTooCostlyError, QueryTooDeepError, TooManyAliasesError
from graph.schema.context import Limits
from graph.schema.costs import Selections
from graph.schema.fields import is_apart, is_batched
from graph.schema.ids import LOOK_UP_ARGUMENTS, MAX_LOOK_UPS
from graph.schema.pages import DEFAULT_PAGE_SIZE

# Pairs of fields of one name that the rule "overlapping fields can be merged" may have to compare: 1 to 3 µs
# each. A query of 100 fragments that all ask for `id` and `name` has 20,000.
MAX_FIELD_PAIRS = 40_000

# Fields that a query about the schema itself may ask for, as estimated below: some µs each, and nothing else
# runs meanwhile. The query that tools send asks for half of it.
MAX_INTROSPECTION_FIELDS = 10_000


def find_excess(schema: GraphQLSchema, document: DocumentNode, limits: Limits) -> GraphQLError | None:
    """The first limit that the document exceeds, located in it."""
    try:
        _Document(document, schema, limits).check()
    except _LimitError as error:
        return GraphQLError(str(error), error.node, extensions={"code": error.code})
    return None


class _LimitError(Exception):
    def __init__(self, code: str, message: str, node: Node) -> None:
        super().__init__(message)
        self.code = code
        self.node = node


@dataclass(frozen=True, slots=True)
class _Size:
    """What a selection set asks for, its fragments included. The last two are estimates of fields in the
    answer.
    """

    depth: int = 0
    aliases: int = 0
    fields: float = 0.0  # as if all of it were about the schema
    introspection: float = 0.0  # of the fields that are


@dataclass(frozen=True, slots=True)
class _Charge:
    """What an object is charged for."""

    nodes: int = 0
    fields: int = 0


class _Document:
    def __init__(self, document: DocumentNode, schema: GraphQLSchema, limits: Limits) -> None:
        self.document = document
        self.schema = schema
        self.limits = limits
        self.fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self.selections = Selections(schema, self.fragments, is_apart)
        self.look_ups = 0
        self.sizes: dict[str, _Size] = {}
        self.charges: dict[tuple[str, int], _Charge] = {}
        self.factors = _introspection_factors(schema)

    def check(self) -> None:
        """Raise _LimitError at the first limit that the document exceeds."""
        self.check_fields()
        for definition in self.document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                self.check_operation(definition)

    def check_fields(self) -> None:
        names: Counter[str] = Counter()
        for field in _walk_fields(self.document):
            names[(field.alias or field.name).value] += 1
            for argument in field.arguments or ():
                self.check_argument(argument)
        if sum(count * count for count in names.values()) > MAX_FIELD_PAIRS:
            name, count = names.most_common(1)[0]
            message = f"`{name}` is asked for {count} times in one query: once for each object is enough"
            raise _LimitError(QueryTooCostlyError.code, message, self.document)

    def check_argument(self, argument: ArgumentNode) -> None:
        name, value, limit = argument.name.value, argument.value, self.limits.page_size_max
        # Compared as text: int() refuses a number of thousands of digits.
        if name in ("first", "last") and isinstance(value, IntValueNode):
            digits = value.value
            if len(digits) > 18 or int(digits) > limit:
                message = f"`{name}` is a number from 1 to {limit}, not {digits[:20]}"
                raise _LimitError(InvalidPageError.code, message, argument)
        if name in LOOK_UP_ARGUMENTS and isinstance(value, ListValueNode):
            self.look_ups += len(value.values)
            if self.look_ups > MAX_LOOK_UPS:
                error = QueryTooCostlyError(self.look_ups, MAX_LOOK_UPS, "ids and digests")
                raise _LimitError(error.code, str(error), argument)

    def check_operation(self, operation: OperationDefinitionNode) -> None:
        size = self.measure(operation.selection_set, frozenset())
        if size.depth > self.limits.max_depth:
            message = f"this query nests {size.depth} levels; {self.limits.max_depth} are allowed"
            raise _LimitError(QueryTooDeepError.code, message, operation)
        if size.aliases > self.limits.max_aliases:
            message = f"this query uses {size.aliases} aliases; {self.limits.max_aliases} are allowed"
            raise _LimitError(TooManyAliasesError.code, message, operation)
        if size.introspection > MAX_INTROSPECTION_FIELDS:
            message = "this query asks for more of the schema than one request may"
            raise _LimitError(QueryTooCostlyError.code, message, operation)
        root = self.schema.query_type
        if root is None:
            return
        charge = self.charge(root, operation.selection_set)
        for count, budget, unit in (
            (charge.nodes, self.limits.node_budget, "nodes"),
            (charge.fields, self.limits.field_budget, "fields"),
        ):
            if count > budget:
                error = QueryTooCostlyError(count, budget, unit)
                raise _LimitError(error.code, str(error), operation)

    def measure(self, selection_set: SelectionSetNode | None, within: frozenset[str]) -> _Size:
        depth, aliases, fields, introspection = 0, 0, 0.0, 0.0
        for selection in selection_set.selections if selection_set is not None else ():
            if isinstance(selection, FieldNode):
                below = self.measure(selection.selection_set, within)
                name = selection.name.value
                count = self.factors.get(name, 1.0) * (1.0 + below.fields)
                depth = max(depth, below.depth + 1)
                aliases += below.aliases + (selection.alias is not None)
                fields += count
                introspection += count if name in ("__schema", "__type") else 0.0
            else:
                below = self.measure_fragment(selection, within)
                depth = max(depth, below.depth)
                aliases += below.aliases
                fields += below.fields
                introspection += below.introspection
        return _Size(depth, aliases, fields, introspection)

    def measure_fragment(self, selection: SelectionNode, within: frozenset[str]) -> _Size:
        if isinstance(selection, InlineFragmentNode):
            return self.measure(selection.selection_set, within)
        assert isinstance(selection, FragmentSpreadNode)
        name = selection.name.value
        if name in within or name not in self.fragments:
            return _Size()
        if name not in self.sizes:
            self.sizes[name] = self.measure(self.fragments[name].selection_set, within | {name})
        return self.sizes[name]

    def charge(self, parent: GraphQLObjectType, selection_set: SelectionSetNode | None) -> _Charge:
        """What one object of the type is sure to be charged for, if what it selects exists.

        Below a page nothing is counted: how many parents there will be, the document does not tell.
        """
        if selection_set is None:
            return _Charge()
        key = (parent.name, id(selection_set))
        if key not in self.charges:
            self.charges[key] = _Charge()  # what a cycle finds of itself
            fields = self.selections.fields_of(parent, selection_set)
            charges = [self.charge_field(parent, node) for node in fields]
            self.charges[key] = _Charge(
                sum(charge.nodes for charge in charges), sum(charge.fields for charge in charges)
            )
        return self.charges[key]

    def charge_field(self, parent: GraphQLObjectType, node: FieldNode) -> _Charge:
        field = parent.fields.get(node.name.value)
        if field is None:
            return _Charge()
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        for name in LOOK_UP_ARGUMENTS.intersection(field.args):
            value = given.get(name)
            count = len(value.values) if isinstance(value, ListValueNode) else 1
            return _Charge(count, self.selections.count(field.type, [node]).total(count))
        if "first" in field.args:
            size = _page_size(given.get("first", given.get("last")))
            return _Charge(size, self.selections.count(field.type, [node]).total(size))
        # What is charged with its parent was counted there; nothing was above the root.
        is_counted = is_batched(field) or parent is self.schema.query_type
        fields = self.selections.count(field.type, [node]).fixed if is_counted else 0
        own = _Charge(int(is_batched(field)), fields)
        below = get_named_type(field.type)
        if isinstance(below, GraphQLObjectType) and not is_list_type(get_nullable_type(field.type)):
            charge = self.charge(below, node.selection_set)
            return _Charge(own.nodes + charge.nodes, own.fields + charge.fields)
        return own


def _page_size(value: ValueNode | None) -> int:
    if value is None:
        return DEFAULT_PAGE_SIZE
    return int(value.value) if isinstance(value, IntValueNode) else 1


def _walk_fields(document: DocumentNode) -> Iterator[FieldNode]:
    waiting: list[SelectionSetNode] = [
        definition.selection_set
        for definition in document.definitions
        if isinstance(definition, ExecutableDefinitionNode)
    ]
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FieldNode):
                yield selection
            if isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set is not None:
                waiting.append(selection.selection_set)


def _introspection_factors(schema: GraphQLSchema) -> Mapping[str, float]:
    """How many objects each list about this schema gives, as a mean over those it hangs from."""
    types = schema.type_map.values()
    outputs = [t for t in types if isinstance(t, GraphQLObjectType | GraphQLInterfaceType)]
    abstract = [t for t in types if isinstance(t, GraphQLInterfaceType | GraphQLUnionType)]
    inputs = [t for t in types if isinstance(t, GraphQLInputObjectType)]
    fields = [field for output in outputs for field in output.fields.values()]
    return {
        "types": len(types),
        "fields": len(fields) / len(types),
        "args": sum(len(field.args) for field in fields) / len(fields),
        "inputFields": sum(len(t.fields) for t in inputs) / len(types),
        "enumValues": sum(len(t.values) for t in types if isinstance(t, GraphQLEnumType)) / len(types),
        "interfaces": sum(len(t.interfaces) for t in outputs) / len(types),
        "possibleTypes": sum(len(schema.get_possible_types(t)) for t in abstract) / len(types),
        "directives": len(schema.directives),
        "ofType": 0.5,  # every other type is wrapped, as a list or as not null
    }

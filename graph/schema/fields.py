"""Declare the fields of the schema that are more than an attribute of a row, and bind them to the executor.

The objects behind the types of the schema are the rows of the store: a plain field is an attribute of a
slotted dataclass and costs nothing more. The other three kinds are declared here. `computed` is a function of
one row that does no I/O; `batched` is a level function (`batches.py`); `rooted` is where a query begins.
Rules of this file:

1. A resolver is a plain function that gives a value or a future, never a coroutine.
2. Arguments are read once for a selection, before anything is executed (`arguments.py`), not once for each
   parent: all parents of a selection have the same. Strawberry converts them anew each time, which takes
   longer than all else a field costs.
3. No field extension, permission class or operation directive: each makes every field five times slower.
"""

import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

import strawberry
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLUnionType,
    default_field_resolver,
    get_nullable_type,
    is_introspection_type,
    is_list_type,
)

from graph.schema.arguments import READ, read_once
from graph.schema.batches import Answer, Batch, Cost, Key, LevelFunction, Location
from graph.schema.context import Context
from graph.schema.costs import FieldCount, Selections
from graph.schema.ids import LOOK_UP_ARGUMENTS
from graph.schema.pages import parse_page
from graph.store.cursors import CursorForm
from graph.store.pages import PageRequest

# Gives the key by which a row is a parent of the field; None: the field is null for it; an exception: why it
# is.
KeyOf: TypeAlias = Callable[[Any], Key | None]
# Takes the field's value for one row out of the answer for its key.
Pick: TypeAlias = Callable[[Any, Context, Answer], Answer]
# Makes of an argument what the level function takes. Raises InputError.
Parser: TypeAlias = Callable[[Context, Any], Hashable]

# Items of a list that a stranger made, below which they do not count as nodes.
SHORT_LIST = 10

_METADATA = "graph.schema.fields"


def _show(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _described(shown: Any, description: str) -> Any:
    return Annotated[shown, strawberry.argument(description=description)]


_INFO = _show("info", strawberry.Info)
_PAGE_ARGUMENTS: Mapping[str, Any] = {
    "first": _described(
        int | None,
        "How many to give, counted from the front: at least 1, at most what the server allows, which is 100 "
        "unless its operator chose another number. Without `first` and `last`: 20.",
    ),
    "after": _described(str | None, "Leave out everything up to and including this cursor."),
    "last": _described(
        int | None, "How many to give, counted from the back, as `first`. Not together with it."
    ),
    "before": _described(str | None, "Leave out this cursor and everything after it."),
}


@dataclass(frozen=True, slots=True)
class _Computed:
    function: Callable[[Any, Context], Any]
    is_long: bool
    is_page: bool


@dataclass(frozen=True, slots=True)
class _Batched:
    function: LevelFunction
    key: KeyOf
    pick: Pick | None
    nodes: int
    arguments_of: Callable[[Any], Mapping[str, Hashable]] | None


@dataclass(frozen=True, slots=True)
class _Rooted:
    ask: Callable[[Context, Any, Location], Any]


@dataclass(frozen=True, slots=True)
class _Selection:
    arguments: Mapping[str, Any]
    page_size: int


def computed(
    function: Callable[[Any, Context], Any],
    *,
    description: str,
    is_long: bool = False,
    is_page: bool = False,
) -> Any:
    """A field whose value is a function of its row and the request, without I/O.

    `is_long`: it is a list whose length a stranger chose; its fields count in the budget, and where it is not
    short its items do too. `is_page`: it is a list of the rows of a page, which were counted with the page.
    """
    kind = _Computed(function, is_long, is_page)
    return strawberry.field(description=description, metadata={_METADATA: kind})


def batched(
    function: LevelFunction,
    *,
    description: str,
    key: KeyOf,
    pick: Pick | None = None,
    nodes: int = 1,
    arguments_of: Callable[[Any], Mapping[str, Hashable]] | None = None,
    cursors: Callable[..., CursorForm] | None = None,
    parsers: Mapping[str, Parser] = MappingProxyType({}),
) -> Any:
    """A field that is answered once for all of its parents.

    The keyword parameters of the level function are the arguments of the field, but for one annotated as
    `PageRequest`, which is given as `first`, `after`, `last` and `before`. A value with a method `to_store`
    is given as what that returns, and one that has a parser as what that does of it. With `arguments_of` the
    field has no arguments: its row says what it was listed with. Fields that share a function share its
    answers, of which `pick` takes what is theirs. `nodes` is what one answer counts in the budget where it is
    not a page. A page needs `cursors`: what those of its list look like, given `order_by` where there is one.
    """
    page_name, parameters = _parameters_of(function) if arguments_of is None else (None, [_INFO])
    if (page_name is None) != (cursors is None):
        raise TypeError(f"{function} takes a page, or has cursors, but not both")

    def select(info: strawberry.Info[Context, None], **given: Any) -> _Selection:
        arguments = {
            name: parsers[name](info.context, value) if name in parsers and value is not None else value
            for name, value in given.items()
        }
        return _select(info.context.limits.page_size_max, page_name, cursors, arguments)

    select.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # Strawberry reads it
    return strawberry.field(
        resolver=select,
        description=description,
        metadata={_METADATA: _Batched(function, key, pick, nodes, arguments_of)},
    )


def rooted(
    parse: Callable[..., Any], ask: Callable[[Context, Any, Location], Any], *, description: str
) -> Any:
    """A field that a query begins with.

    The keyword parameters of `parse` are the arguments of the field; it is given the request and them, does
    no I/O, and raises InputError. `ask` makes the value of the field, or a future of it, of what that gave.
    """
    parameters = [
        parameter
        for parameter in inspect.signature(parse).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]

    def select(info: strawberry.Info[Context, None], **given: Any) -> Any:
        return parse(info.context, **given)

    select.__signature__ = inspect.Signature([_INFO, *parameters])  # type: ignore[attr-defined]
    return strawberry.field(resolver=select, description=description, metadata={_METADATA: _Rooted(ask)})


def _parameters_of(function: LevelFunction) -> tuple[str | None, list[inspect.Parameter]]:
    """The name of the parameter that takes the page, and the parameters that the field shows."""
    page_name = None
    shown = [_INFO]
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.annotation is PageRequest:
            page_name = name
        else:
            # A field that prints `= null` for each argument is hard to read.
            default = strawberry.UNSET if parameter.default is None else parameter.default
            shown.append(_show(name, parameter.annotation, default))
    if page_name is not None:
        shown.extend(_show(*argument, strawberry.UNSET) for argument in _PAGE_ARGUMENTS.items())
    return page_name, shown


def _select(
    page_limit: int,
    page_name: str | None,
    cursors: Callable[..., CursorForm] | None,
    given: Mapping[str, Any],
) -> _Selection:
    arguments = {
        name: value.to_store() if hasattr(value, "to_store") else value
        for name, value in given.items()
        if name not in _PAGE_ARGUMENTS
    }
    if page_name is None or cursors is None:
        return _Selection(arguments, 0)
    page = parse_page(*(given.get(name) for name in _PAGE_ARGUMENTS), limit=page_limit)
    form = cursors(arguments["order_by"]) if "order_by" in arguments else cursors()
    for cursor in (page.after, page.before):
        form.read(cursor)  # the list reads it again: what it sorts by is its own affair
    return _Selection({**arguments, page_name: page}, page.size)


def bind_fields(schema: GraphQLSchema, typename_of: Callable[[Any], str]) -> None:
    """Give the executor our own resolvers of the computed and batched fields of the schema.

    Where a field may give objects of several types, `typename_of` tells which one an object is of.
    """
    for graphql_type in schema.type_map.values():
        if isinstance(graphql_type, GraphQLInterfaceType | GraphQLUnionType):
            graphql_type.resolve_type = lambda row, *_: typename_of(row)
        # The types that describe the schema belong to graphql-core, and to every schema of the process.
        if not isinstance(graphql_type, GraphQLObjectType) or is_introspection_type(graphql_type):
            continue
        graphql_type.is_type_of = None  # Strawberry's would ask for an instance of its class, not a row
        for name, field in graphql_type.fields.items():
            kind = _kind_of(field)
            if isinstance(kind, _Computed):
                field.resolve = _resolve_computed(kind)
            elif isinstance(kind, _Batched):
                field.resolve = _resolve_batched(f"{graphql_type.name}.{name}", kind, field)
            elif isinstance(kind, _Rooted):
                field.resolve = _resolve_rooted(f"{graphql_type.name}.{name}", kind, field)
            elif is_list_type(get_nullable_type(field.type)):
                field.resolve = _resolve_list(field)


def is_batched(field: GraphQLField) -> bool:
    """Whether the field is answered by a level function."""
    return isinstance(_kind_of(field), _Batched)


def is_apart(field: GraphQLField) -> bool:
    """Whether what is below the field is counted when it is answered, not with its parent."""
    kind = _kind_of(field)
    if isinstance(kind, _Computed):
        return kind.is_long
    return isinstance(kind, _Batched) or is_list_type(get_nullable_type(field.type))


def _count_fields(info: GraphQLResolveInfo[Context]) -> FieldCount:
    context = info.context
    if context.selections is None:
        context.selections = Selections(info.schema, info.fragments, is_apart)
    return context.selections.count(info.return_type, info.field_nodes)


def _kind_of(field: GraphQLField) -> Any:
    definition = field.extensions.get("strawberry-definition")
    return None if definition is None else definition.metadata.get(_METADATA)


def _resolve_computed(computed: _Computed) -> Callable[..., Any]:
    function = computed.function

    def resolve(row: Any, info: GraphQLResolveInfo[Context]) -> Any:
        return function(row, info.context)

    def resolve_long(row: Any, info: GraphQLResolveInfo[Context]) -> Any:
        values = function(row, info.context)
        if not values:
            return values
        each = _count_fields(info).each
        info.context.charge(len(values) if len(values) > SHORT_LIST else 0, each * len(values))
        return info.context.dispatcher.portion(values, each)

    def resolve_page(row: Any, info: GraphQLResolveInfo[Context]) -> Any:
        return info.context.dispatcher.portion(function(row, info.context), _count_fields(info).each)

    return resolve_page if computed.is_page else resolve_long if computed.is_long else resolve


def _resolve_list(field: GraphQLField) -> Callable[..., Any]:
    """A list that is an attribute of its row: whoever made it counted its nodes, here its fields count."""
    find = field.resolve or default_field_resolver

    def resolve(row: Any, info: GraphQLResolveInfo[Context], **given: Any) -> Any:
        values = find(row, info, **given)
        if not values:
            return values
        each = _count_fields(info).each
        info.context.charge(0, each * len(values))
        return info.context.dispatcher.portion(values, each)

    return resolve


def _resolve_rooted(name: str, rooted: _Rooted, field: GraphQLField) -> Callable[..., Any]:
    """What a query begins with, its names counted before they are read, and its fields before they are."""
    parse, ask = field.resolve, rooted.ask
    assert parse is not None  # Strawberry gives every field one
    look_ups = LOOK_UP_ARGUMENTS.intersection(field.args)
    members = [
        name
        for name, argument in field.args.items()
        if name not in look_ups and is_list_type(get_nullable_type(argument.type))
    ]

    def read(info: GraphQLResolveInfo[Context], given: Mapping[str, Any]) -> Any:
        info.context.look_up(sum(len(given[name]) for name in look_ups))
        info.context.name_members(sum(len(given.get(name) or ()) for name in members))
        return parse(None, info, **given)

    field.extensions[READ] = read_arguments = read_once(name, read)

    def resolve(_: Any, info: GraphQLResolveInfo[Context], **given: Any) -> Any:
        parsed = read_arguments(info, given)
        info.context.charge(0, _count_fields(info).total(sum(len(given[name]) for name in look_ups)))
        return ask(info.context, parsed, info.path)

    return resolve


def _resolve_batched(name: str, batched: _Batched, field: GraphQLField) -> Callable[..., Any]:
    select = field.resolve
    assert select is not None  # Strawberry gives every field one
    function, key_of, pick, arguments_of = batched.function, batched.key, batched.pick, batched.arguments_of
    field.extensions[READ] = read = read_once(name, lambda info, given: select(None, info, **given))

    def batch_of(row: Any, info: GraphQLResolveInfo[Context], given: Mapping[str, Any]) -> tuple[Batch, Cost]:
        context = info.context
        if arguments_of is not None:
            return context.dispatcher.batch_of(function, arguments_of(row)), Cost(batched.nodes)
        key = (name, *map(id, info.field_nodes))
        selected = context.selected.get(key)
        if selected is None:
            selection, count = read(info, given), _count_fields(info)
            batch = context.dispatcher.batch_of(function, selection.arguments)
            size = selection.page_size
            cost = (
                Cost(max(size, batched.nodes), count.total(size))
                if size
                else Cost(batched.nodes, count.fixed, count.each)
            )
            selected = context.selected[key] = (batch, cost)
        return selected

    def resolve(row: Any, info: GraphQLResolveInfo[Context], **given: Any) -> Any:
        key = key_of(row)
        if key is None:
            return None
        if isinstance(key, Exception):
            raise key
        picking = None if pick is None else partial(pick, row, info.context)
        batch, cost = batch_of(row, info, given)
        return info.context.dispatcher.ask(batch, key, info.path, cost, picking)

    return resolve

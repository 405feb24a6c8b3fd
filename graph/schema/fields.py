"""Declare the fields of the schema that are more than an attribute of a row, and bind them to the executor.

The objects behind the types of the schema are the rows of the store: a plain field is an attribute of a slotted
dataclass and costs nothing more. The other two kinds are declared here. `computed` is a function of one row that
does no I/O; `batched` is a level function (`batches.py`). Rules of this file:

1. A resolver is a plain function that gives a value or a future, never a coroutine.
2. Arguments are converted once for a selection, not once for each parent: all parents of a selection have the same.
   Strawberry converts them anew each time, which takes longer than all else a field costs.
3. No field extension, permission class or operation directive: each makes every field five times slower.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeAlias

import strawberry
from graphql import GraphQLField, GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema

from graph.schema.batches import Answer, Key, LevelFunction
from graph.schema.context import Context
from graph.schema.pages import parse_page
from graph.store.pages import PageRequest

# Gives the key by which a row is a parent of the field; None: the field is null for it; an exception: why it is.
KeyOf: TypeAlias = Callable[[Any], Key | None]

_METADATA = "graph.schema.fields"

_PAGE_ARGUMENTS: Mapping[str, Any] = {
    "first": Annotated[
        int | None,
        strawberry.argument(
            description="How many to give, counted from the front: 1 to 100. 20 when neither `first` nor `last` is given."
        ),
    ],
    "after": Annotated[
        str | None, strawberry.argument(description="Leave out everything up to and including this cursor.")
    ],
    "last": Annotated[
        int | None,
        strawberry.argument(
            description="How many to give, counted from the back: 1 to 100. Not together with `first`."
        ),
    ],
    "before": Annotated[
        str | None, strawberry.argument(description="Leave out this cursor and everything after it.")
    ],
}


@dataclass(frozen=True, slots=True)
class _Computed:
    function: Callable[[Any, Context], Any]


@dataclass(frozen=True, slots=True)
class _Batched:
    function: LevelFunction
    key: KeyOf
    pick: Callable[[Any, Answer], Answer] | None
    nodes: int


@dataclass(frozen=True, slots=True)
class _Selection:
    arguments: Mapping[str, Any]
    page_size: int


def computed(function: Callable[[Any, Context], Any], *, description: str) -> Any:
    """A field whose value is a function of its row and the request, without I/O."""
    return strawberry.field(description=description, metadata={_METADATA: _Computed(function)})


def batched(
    function: LevelFunction,
    *,
    description: str,
    key: KeyOf,
    pick: Callable[[Any, Answer], Answer] | None = None,
    nodes: int = 1,
) -> Any:
    """A field that is answered once for all of its parents.

    The keyword parameters of the level function are the arguments of the field, but for one annotated as
    `PageRequest`, which is given as `first`, `after`, `last` and `before`. A value with a method `to_store` is given
    as what that returns. `pick` takes the field's value for one row out of the answer for its key, so that several
    fields can share one answer. `nodes` is what one answer counts in the budget, where it is not a page.
    """

    def select(info: strawberry.Info[Context, None], **given: Any) -> _Selection:
        return _select(info.context.limits.page_size_max, page_name, given)

    page_name, parameters = _arguments_of(function)
    select.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Strawberry reads
    return strawberry.field(
        resolver=select,
        description=description,
        metadata={_METADATA: _Batched(function, key, pick, nodes)},
    )


def _arguments_of(function: LevelFunction) -> tuple[str | None, list[inspect.Parameter]]:
    """The name of the parameter that takes the page, and the parameters the field shows."""

    def show(name: str, annotation: Any, default: Any = strawberry.UNSET) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)

    page_name = None
    shown = [show("info", strawberry.Info, inspect.Parameter.empty)]
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.annotation is PageRequest:
            page_name = name
        else:
            default = parameter.default
            # A field that prints `= null` for each argument is hard to read.
            shown.append(
                show(name, parameter.annotation, strawberry.UNSET if default is None else default)
            )
    if page_name is not None:
        shown.extend(show(name, annotation) for name, annotation in _PAGE_ARGUMENTS.items())
    return page_name, shown


def _select(page_limit: int, page_name: str | None, given: Mapping[str, Any]) -> _Selection:
    arguments = {
        name: value.to_store() if hasattr(value, "to_store") else value
        for name, value in given.items()
        if name not in _PAGE_ARGUMENTS
    }
    if page_name is None:
        return _Selection(arguments, 0)
    page = parse_page(*(given.get(name) for name in _PAGE_ARGUMENTS), limit=page_limit)
    return _Selection({**arguments, page_name: page}, page.size)


def bind_fields(schema: GraphQLSchema) -> None:
    """Give the executor our own resolvers of the computed and batched fields of the schema."""
    for graphql_type in schema.type_map.values():
        if not isinstance(graphql_type, GraphQLObjectType):
            continue
        for name, graphql_field in graphql_type.fields.items():
            definition = graphql_field.extensions.get("strawberry-definition")
            kind = definition.metadata.get(_METADATA) if definition is not None else None
            if isinstance(kind, _Computed):
                graphql_field.resolve = _resolve_computed(kind)
            elif isinstance(kind, _Batched):
                graphql_field.resolve = _resolve_batched(f"{graphql_type.name}.{name}", kind, graphql_field)


def is_batched(field: GraphQLField) -> bool:
    """Whether the field is answered by a level function."""
    definition = field.extensions.get("strawberry-definition")
    return definition is not None and isinstance(definition.metadata.get(_METADATA), _Batched)


def _resolve_computed(computed: _Computed) -> Callable[..., Any]:
    function = computed.function

    def resolve(row: Any, info: GraphQLResolveInfo) -> Any:
        return function(row, info.context)

    return resolve


def _resolve_batched(name: str, batched: _Batched, graphql_field: GraphQLField) -> Callable[..., Any]:
    select = graphql_field.resolve
    assert select is not None  # Strawberry gives every field one
    function, key_of, pick = batched.function, batched.key, batched.pick

    def resolve(row: Any, info: GraphQLResolveInfo, **given: Any) -> Any:
        key = key_of(row)
        if key is None:
            return None
        if isinstance(key, Exception):
            raise key
        context: Context = info.context
        node = info.field_nodes[0]
        selected = (id(node), name)
        batch = context.selected.get(selected)
        if batch is None:
            selection = select(row, info, **given)
            batch = context.dispatcher.batch_of(
                name, function, selection.arguments, max(selection.page_size, batched.nodes)
            )
            context.selected[selected] = batch
        return context.dispatcher.ask(
            batch, key, info.path, None if pick is None else partial(pick, row)
        )

    return resolve

"""Lists that a registry can grow, as Relay's connections: pages by cursor, and a count only for who asks.

Rules of this file: a connection is a page of the store and what is needed to count the whole list; it reads
nothing itself but that count. Cursors are the store's: they carry the order, and stay right while rows come
and go.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import strawberry

from graph.schema.batches import Answer, Key
from graph.schema.context import Context
from graph.schema.fields import batched, computed
from graph.store.pages import Page

T = TypeVar("T")

# A read function of the store that gives the length of each parent's list.
CountFunction: TypeAlias = Callable[..., list[int]]


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of one parent's list, and how to count all of it: `count` takes the keys and `arguments`."""

    page: Page[Any]
    parent: Key
    count: CountFunction
    arguments: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class _Edge:
    cursor: str
    node: Any


@dataclass(frozen=True, slots=True)
class _PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


def _edges(listed: Listed, _: Context) -> list[_Edge]:
    return [_Edge(*edge) for edge in zip(listed.page.cursors, listed.page.rows, strict=True)]


def _page_info(listed: Listed, _: Context) -> _PageInfo:
    page = listed.page
    start, end = (page.cursors[0], page.cursors[-1]) if page.cursors else (None, None)
    return _PageInfo(page.has_next, page.has_previous, start, end)


async def load_totals(
    context: Context, keys: Sequence[Key], /, *, count: CountFunction, arguments: tuple[Hashable, ...]
) -> Sequence[Answer]:
    """The length of each parent's whole list."""
    return await context.read(count, keys, *arguments)


def _count_arguments(listed: Listed) -> Mapping[str, Hashable]:
    return {"count": listed.count, "arguments": listed.arguments}


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """Where a page lies in its list."""

    has_next_page: bool = strawberry.field(description="Whether the list goes on after this page.")
    has_previous_page: bool = strawberry.field(description="Whether the list begins before this page.")
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first item; null on an empty page. To page backwards, give it as "
        "`before`."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last item; null on an empty page. To page on, give it as `after`."
    )


@strawberry.type(description="One item of a list, and where it is.")
class Edge(Generic[T]):
    """One item and its cursor."""

    cursor: str = strawberry.field(
        description="Where the item is in this list, in this order. It stays right when others come and go."
    )
    node: T = strawberry.field(description="The item.")


@strawberry.type(description="One page of a list that may be long.")
class Connection(Generic[T]):
    """One page of a list."""

    edges: list[Edge[T]] = computed(
        _edges, description="The items of this page, each with its cursor.", is_page=True
    )
    nodes: list[T] = computed(
        lambda listed, _: listed.page.rows,
        description="The items of this page, for who needs no cursors.",
        is_page=True,
    )
    page_info: PageInfo = computed(_page_info, description="Whether the list goes on, and where.")
    total_count: int | None = batched(
        load_totals,
        key=lambda listed: listed.parent,
        arguments_of=_count_arguments,
        description="How many items the whole list has, with its filter. The whole list is counted for it: "
        "ask for it only where it is shown.",
    )

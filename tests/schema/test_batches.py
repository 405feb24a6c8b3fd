"""A level of a query is answered at once, whatever the shape of the data."""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

import pytest
from graphql import GraphQLResolveInfo, build_schema, execute, parse
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import NotObservedError, QueryTooCostlyError
from graph.schema.batches import (
    FIRST_SLICE,
    ITEM_FIELDS,
    LARGEST_SLICE,
    LONG_LIST,
    TURN_FIELDS,
    Aged,
    Cost,
    Dispatcher,
)

pytestmark = pytest.mark.anyio

# A tree: every node has a number, children, the first of them, and the node above.
SDL = """
type Query { root: Node  same: Node }
type Node { number: Int  up: Node  one: Node  many: [Node!]  pair: Pair  sure: Node! }
type Pair { left: Node  right: Node  list: [Node!] }
"""


@dataclass
class Tree:
    number: int
    children: list["Tree"] = field(default_factory=list)
    parent: "Tree | None" = None


@dataclass
class FakeRequest:
    """A request that counts calls and nodes."""

    by_number: dict[int, Tree] = field(default_factory=dict)
    deadline: float | None = None
    limit: int = 10**9
    nodes: int = 0
    fields: int = 0
    calls: list[tuple[str, list[int]]] = field(default_factory=list)

    def charge(self, nodes: int, fields: int) -> None:
        if self.nodes + nodes > self.limit:
            raise QueryTooCostlyError(self.nodes + nodes, self.limit)
        self.nodes += nodes
        self.fields += fields


async def load_one(request: FakeRequest, keys: Sequence[int], /) -> Sequence[Any]:
    request.calls.append(("one", list(keys)))
    await asyncio.sleep(0)
    return [next(iter(request.by_number[key].children), None) for key in keys]


async def load_many(request: FakeRequest, keys: Sequence[int], /) -> Sequence[Any]:
    request.calls.append(("many", list(keys)))
    return [list(request.by_number[key].children) for key in keys]


async def load_up(request: FakeRequest, keys: Sequence[int], /) -> Sequence[Any]:
    request.calls.append(("up", list(keys)))
    return [request.by_number[key].parent for key in keys]


async def load_sure(request: FakeRequest, keys: Sequence[int], /) -> Sequence[Any]:
    request.calls.append(("sure", list(keys)))
    return [NotObservedError(f"{key}") if key % 2 else request.by_number[key] for key in keys]


def run(query: str, tree: Tree, request: FakeRequest | None = None, **more: Any) -> Any:
    """Execute the query over the tree, all of its fields batched."""
    request = request or FakeRequest()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        request.by_number[node.number] = node
        waiting.extend(node.children)
    dispatcher = Dispatcher(request, **more)
    schema = build_schema(SDL)

    def batched(function: Callable[..., Any]) -> Callable[..., Any]:
        def resolve(parent: Tree, info: GraphQLResolveInfo) -> Any:
            return dispatcher.ask(dispatcher.batch_of(function, {}), parent.number, info.path)

        return resolve

    node, pair = schema.type_map["Node"], schema.type_map["Pair"]
    node.fields["one"].resolve = batched(load_one)
    node.fields["many"].resolve = batched(load_many)
    node.fields["up"].resolve = batched(load_up)
    node.fields["sure"].resolve = batched(load_sure)
    node.fields["pair"].resolve = lambda parent, _: parent
    pair.fields["left"].resolve = batched(load_one)
    pair.fields["right"].resolve = batched(load_one)
    pair.fields["list"].resolve = batched(load_many)
    for name in ("root", "same"):
        schema.query_type.fields[name].resolve = lambda *_: tree

    async def main() -> Any:
        try:
            result = execute(schema, parse(query))
            return await result if inspect.isawaitable(result) else result
        finally:
            await dispatcher.close()

    return asyncio.run(main()), request


def number_of(shape: Any, last: list[int]) -> Tree:
    tree = Tree(last[0])
    last[0] += 1
    tree.children = [number_of(child, last) for child in shape]
    for child in tree.children:
        child.parent = tree
    return tree


shapes = st.recursive(st.just([]), lambda below: st.lists(below, max_size=4), max_leaves=25)
selections = st.recursive(
    st.just("number"),
    lambda below: st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["one", "many", "up"]), below).map(
                lambda pair: f"{pair[0]} {{ {pair[1]} }}"
            ),
            st.tuples(st.sampled_from(["left", "right", "list"]), below).map(
                lambda pair: f"pair {{ {pair[0]} {{ {pair[1]} }} }}"
            ),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda text: text.split(" ")[0] if not text.startswith("pair") else text.split(" ")[2],
    ).map(" ".join),
    max_leaves=8,
)


def count_batched(query: str) -> int:
    return sum(query.count(f" {name} {{") for name in ("one", "many", "up", "left", "right", "list"))


def expected_of(tree: Tree, selection: str) -> Any:
    """The answer, worked out without any executor."""
    fields = parse("{" + selection + "}").definitions[0].selection_set

    def walk(node: Tree, selected: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for one in selected.selections:
            name, below = one.name.value, one.selection_set
            if name == "number":
                found[name] = node.number
            elif name == "pair":
                found.setdefault("pair", {}).update(walk(node, below))
            elif name == "up":
                found[name] = walk(node.parent, below) if node.parent else None
            elif name in ("many", "list"):
                found[name] = [walk(child, below) for child in node.children]
            else:
                found[name] = walk(node.children[0], below) if node.children else None
        return found

    return walk(tree, fields)


@settings(max_examples=150, deadline=None)
@given(shapes, selections)
def test_calls_are_no_more_than_selections(shape: Any, selection: str) -> None:
    """Ragged data and any nesting: one call for a selection, each key once in it, and the right answers."""
    tree = number_of(shape, [0])
    query = "{ root { " + selection + " } }"
    result, request = run(query, tree)

    assert result.errors is None
    assert expected_of(tree, selection) == result.data["root"]
    assert len(request.calls) <= count_batched(query)
    assert all(len(keys) == len(set(keys)) for _, keys in request.calls)


def test_a_level_known_in_part_is_not_split() -> None:
    """What an earlier level learnt is handed out with its own level, so that the next one stays whole."""
    tree = number_of([[[], []], [[]], []], [0])
    # `one` of node 1 is known a level before `one` of its siblings is asked for.
    query = "{ root { one { one { number } } many { up { many { one { up { number } } } } } } }"
    result, request = run(query, tree)

    assert result.errors is None
    assert ["one", "many", "one", "up", "one", "up"] == [name for name, _ in request.calls]


def test_equal_keys_are_asked_once() -> None:
    """Ten parents with one key are one key, and each gets its answer."""
    tree = number_of([[]], [0])
    names = [f"a{number}" for number in range(10)]
    result, request = run(
        "{" + " ".join(f"{name}: root {{ one {{ number }} }}" for name in names) + "}", tree
    )

    assert {name: {"one": {"number": 1}} for name in names} == result.data
    assert [("one", [0])] == request.calls


def test_a_failed_parent_fails_alone() -> None:
    """An answer that is an exception is the error of its own field; null goes up only as far as it must."""
    tree = number_of([[], [], []], [0])
    result, _ = run("{ root { many { number sure { number } } } same { number } }", tree)

    assert {"root": {"many": None}, "same": {"number": 0}} == result.data
    assert [["root", "many", 0, "sure"]] == [error.path for error in result.errors]


def test_a_failing_sibling_takes_no_answer_from_others() -> None:
    """When null in a list ends its other items, parents elsewhere that share their keys still get answers."""
    tree = number_of([[], [[]]], [0])
    result, _ = run(
        "{ root { many { sure { number } one { number } } } same { many { one { number } } } }", tree
    )

    assert {"many": [{"one": None}, {"one": {"number": 3}}]} == result.data["same"]


async def load_badly(request: Any, keys: Sequence[int], /) -> Sequence[Any]:
    raise KeyError(keys[0])


async def test_a_call_that_fails_fails_its_level() -> None:
    """An exception that is raised is the answer for all parents of that field, and for no other field's."""
    dispatcher = Dispatcher(FakeRequest())
    bad, good = (dispatcher.batch_of(function, {}) for function in (load_badly, load_itself))
    answers = await asyncio.gather(
        *(dispatcher.ask(batch, key, None) for batch in (bad, good) for key in (1, 2)),
        return_exceptions=True,
    )

    assert [KeyError, KeyError, int, int] == [type(answer) for answer in answers]
    await dispatcher.close()


def test_nodes_are_charged_before_they_are_read() -> None:
    """A level that is too costly makes no call; the levels above it are answered."""
    tree = number_of([[[]], [[]], [[]]], [0])
    request = FakeRequest(limit=7)
    result, _ = run("{ root { many { number one { number one { number } } } } }", tree, request)

    assert ["many", "one"] == [name for name, _ in request.calls]
    assert 3 == len(result.errors)
    assert {"QueryTooCostlyError"} == {type(error.original_error).__name__ for error in result.errors}
    assert [child["number"] for child in result.data["root"]["many"]] == [1, 3, 5]


def test_lists_are_charged_by_their_length() -> None:
    """A field that gives a list counts its parents, then what it gave them."""
    tree = number_of([[], [], []], [0])
    _, request = run("{ root { many { number } } same { many { number } } }", tree)

    assert 2 + 2 * 3 == request.nodes


async def test_fields_are_charged_with_nodes() -> None:
    """The fields of an answer count before it is read, those of the items of a list when it is there."""
    request = FakeRequest()
    dispatcher = Dispatcher(request)
    batch = dispatcher.batch_of(load_long, {})
    await asyncio.gather(*(dispatcher.ask(batch, 3, None, Cost(1, 5, each)) for each in (2, 10)))
    await dispatcher.close()

    assert (2 + 2 * 3, 2 * 5 + 3 * (2 + 10)) == (request.nodes, request.fields)


async def test_starting_long_lists_fills_a_turn() -> None:
    """Of twenty lists that come item by item, only as many are begun in one turn as it has room for."""
    dispatcher = Dispatcher(FakeRequest())
    begun = [dispatcher.portion(range(LONG_LIST * 5), 1) for _ in range(20)]
    late = [one for one in begun if isinstance(one, asyncio.Future)]

    assert TURN_FIELDS // (ITEM_FIELDS * LONG_LIST * 5) == 20 - len(late)
    for one in begun:
        items = await one if isinstance(one, asyncio.Future) else one
        assert list(range(LONG_LIST * 5)) == await asyncio.gather(*items)
    await dispatcher.close()


def test_a_wrong_number_of_answers_is_a_fault() -> None:
    """A level function that loses an answer fails its fields, rather than giving one parent another's."""

    async def load_nothing(request: Any, keys: Sequence[int], /) -> Sequence[Any]:
        return []

    async def main() -> None:
        dispatcher = Dispatcher(FakeRequest())
        future = dispatcher.ask(dispatcher.batch_of(load_nothing, {}), 1, None)
        with pytest.raises(RuntimeError, match="0 answers for 1 keys"):
            await future

    asyncio.run(main())


async def load_never(request: Any, keys: Sequence[int], /) -> Sequence[Any]:
    await asyncio.Event().wait()
    return []


async def test_time_is_up_in_the_middle_of_a_call() -> None:
    """At the deadline everything that waits fails, and so does what asks later."""
    request = FakeRequest(deadline=asyncio.get_running_loop().time())
    dispatcher = Dispatcher(request)
    batch = dispatcher.batch_of(load_never, {})
    futures = [dispatcher.ask(batch, key, None) for key in range(100)]
    await asyncio.wait(futures)

    assert {"TIME_LIMIT"} == {future.exception().code for future in futures}  # type: ignore[union-attr]
    with pytest.raises(Exception, match="longer than allowed"):
        dispatcher.ask(batch, 1, None)
    await dispatcher.close()


async def test_close_stops_what_runs() -> None:
    """A request that is given up leaves no call running."""
    stopped = asyncio.Event()

    async def load_slowly(request: Any, keys: Sequence[int], /) -> Sequence[Any]:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return []

    dispatcher = Dispatcher(FakeRequest())
    future = dispatcher.ask(dispatcher.batch_of(load_slowly, {}), 1, None)
    for _ in range(20):
        await asyncio.sleep(0)
    await dispatcher.close()

    assert stopped.is_set()
    assert not future.done()


async def test_notes_know_where_an_answer_goes() -> None:
    """A remark about an answer's age is made once for each place it goes to."""
    places: list[Any] = []

    async def load_old(request: Any, keys: Sequence[int], /) -> Sequence[Any]:
        return [Aged(key * 10, places.append) for key in keys]

    dispatcher = Dispatcher(FakeRequest())
    batch = dispatcher.batch_of(load_old, {})
    futures = [dispatcher.ask(batch, 1, "here"), dispatcher.ask(batch, 1, "there")]

    assert [10, 10] == await asyncio.gather(*futures)
    assert ["here", "there"] == places
    await dispatcher.close()


async def load_itself(request: Any, keys: Sequence[int], /) -> Sequence[Any]:
    return list(keys)


def clock_of(seconds: float) -> Callable[[], float]:
    """A clock that each look moves on."""
    times = count(0.0, seconds)
    return lambda: next(times)


async def steps_of(futures: Sequence["asyncio.Future[Any]"]) -> list[int]:
    """How many answers had come at each turn that anybody else had."""
    seen = [0]
    while seen[-1] < len(futures):
        await asyncio.sleep(0)
        done = sum(future.done() for future in futures)
        if done != seen[-1]:
            seen.append(done)
    return [after - before for before, after in pairwise(seen)]


@pytest.mark.parametrize(
    ("seconds", "cost", "expected"),
    [
        (1.0, Cost(1), [FIRST_SLICE, 3] + [1] * (497 - FIRST_SLICE)),  # slow: smaller at once
        (1.0, Cost(FIRST_SLICE), [1] * 500),  # an answer that is a large page counts all of it
        (1.0, Cost(1, FIRST_SLICE), [1] * 500),  # and so does one with many fields
        (0.0, Cost(1, FIRST_SLICE // 32), [32, 64, 128, 256, 20]),  # quick: doubled each time
        (0.0, Cost(LARGEST_SLICE), [1] * 500),
    ],
)
async def test_answers_are_handed_out_in_slices(seconds: float, cost: Cost, expected: list[int]) -> None:
    """The slower those who are woken, the smaller the slices: others get a turn between two of them."""
    dispatcher = Dispatcher(FakeRequest(), monotonic=clock_of(seconds))
    batch = dispatcher.batch_of(load_itself, {})
    steps = await steps_of([dispatcher.ask(batch, key, None, cost) for key in range(500)])
    await dispatcher.close()

    assert expected == steps


async def load_long(request: Any, keys: Sequence[int], /) -> Sequence[Any]:
    return [list(range(key)) for key in keys]


async def test_long_lists_come_item_by_item() -> None:
    """A list that is long is given as futures of its items, in slices; a short one as it is."""
    dispatcher = Dispatcher(FakeRequest(), monotonic=clock_of(1.0))
    batch = dispatcher.batch_of(load_long, {})
    short, long = (dispatcher.ask(batch, length, None) for length in (LONG_LIST, LONG_LIST + 1))
    assert list(range(LONG_LIST)) == await short
    futures = await long

    assert list(range(LONG_LIST + 1)) == await asyncio.gather(*futures)
    await dispatcher.close()


async def test_items_come_in_slices_by_their_fields() -> None:
    """Items with many fields each come fewer at a time."""
    dispatcher = Dispatcher(FakeRequest(), monotonic=clock_of(1.0))
    steps = await steps_of(dispatcher.trickle(range(20), FIRST_SLICE // 4))
    await dispatcher.close()

    assert [4] + [1] * 16 == steps


async def test_a_turn_of_the_loop_has_room_for_so_many_fields() -> None:
    """Lists that the executor is given in one turn come at once until it is full; the next ones later."""
    dispatcher = Dispatcher(FakeRequest())
    whole = [dispatcher.portion([1, 2], TURN_FIELDS // 8) for _ in range(4)]
    late = dispatcher.portion([1, 2], 1)

    assert [[1, 2]] * 4 == whole
    assert isinstance(late, asyncio.Future) and not late.done()
    assert [1, 2] == await late
    assert [1, 2] == dispatcher.portion([1, 2], TURN_FIELDS // 4)  # a turn later
    await dispatcher.close()


async def test_items_of_a_long_list_fail_at_the_deadline() -> None:
    """Items that were still to come are not waited for when the time is up."""
    dispatcher = Dispatcher(FakeRequest(deadline=asyncio.get_running_loop().time()))
    futures = dispatcher.trickle(range(500), 1)
    await asyncio.wait(futures)
    late = futures[FIRST_SLICE:]

    assert {"TIME_LIMIT"} == {future.exception().code for future in late}  # type: ignore[union-attr]
    await dispatcher.close()

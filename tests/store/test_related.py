"""Who shares layers with whom, against a count by brute force; whichever way a page of it is proved."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from graph.errors import InvalidCursorError
from graph.store.overlaps import load_artifact_overlap, load_repository_overlap
from graph.store.pages import Page, PageRequest
from graph.store.related import (
    Effort,
    count_related_artifacts,
    count_related_repositories,
    page_related_artifacts,
    page_related_repositories,
)
from graph.store.repositories import page_repositories
from graph.store.rows import OverlapRow
from graph.store.shared import (
    count_artifact_overlap,
    count_repository_overlap,
    page_artifact_overlap,
    page_repository_overlap,
)
from graph.store.sqlite import driver_of
from sharing import Related, layers_of, related, shared, weight
from store_builders import NOW, StoreBuilder, filled_store, recorded_statements
from store_lists import EVERYTHING

PAGE: dict[str, Callable[..., list[Page[OverlapRow]]]] = {
    "repository": page_related_repositories,
    "artifact": page_related_artifacts,
}
COUNT = {"repository": count_related_repositories, "artifact": count_related_artifacts}
PAGE_SHARED = {"repository": page_repository_overlap, "artifact": page_artifact_overlap}
COUNT_SHARED = {"repository": count_repository_overlap, "artifact": count_artifact_overlap}
MATRIX = {"repository": load_repository_overlap, "artifact": load_artifact_overlap}
KINDS = list(PAGE)

# From looking at next to nothing, so that all has to be weighed, to looking at everything.
EFFORTS = [Effort(*bounds, 1000) for bounds in ((0, 0, 0), (0, 1, 1), (2, 2, 0), (4, 1, 1), (8, 5, 3))]
EFFORTS += [Effort(2, 2, 0), Effort()]

# Layers by number: two bases, one of them in two versions, and a layer that is often alone.
BASES = [[0, 1, 2], [0, 1], [3, 4], [5]]


@st.composite
def stores(draw: st.DrawFn) -> StoreBuilder:
    """Two small registries whose images stand on few bases, so that many share as much."""
    build = StoreBuilder()
    for name in ("one.example", "two.example"):
        _fill(draw, build, build.registry(name))
    build.derive()
    return build


def _fill(draw: st.DrawFn, build: StoreBuilder, registry: int) -> None:
    kinds = st.sampled_from([{}, {}, {}, {"is_empty": True}, {"is_foreign": True}])
    sizes = st.sampled_from([None, 0, 1, 1, 2, 3])
    layers = [build.layer(registry, draw(sizes), **draw(kinds)) for _ in range(6)]
    for number in range(draw(st.integers(1, 9))):
        absent_at = draw(st.sampled_from([None, None, None, NOW]))
        repository = build.repository(registry, f"r{number}", absent_at=absent_at)
        manifests = []
        for _ in range(draw(st.integers(0, 3))):
            chosen = [*draw(st.sampled_from(BASES)), *draw(st.lists(st.integers(0, 5), max_size=2))]
            manifests.append(build.manifest(registry, [layers[index] for index in dict.fromkeys(chosen)]))
            build.artifact(repository, manifests[-1])
        if manifests and draw(st.booleans()):
            index = build.manifest(registry, children=[*manifests[:2], build.blob(registry)])
            build.artifact(repository, index, kind="INDEX", has_manifest=draw(st.booleans()))


def _shown(page: Page[OverlapRow]) -> list[Related]:
    return [(row.overlap_bytes, row.node.key, row.layer_count) for row in page.rows]


@settings(max_examples=25, deadline=None)
@given(stores(), st.sampled_from(KINDS), st.sampled_from(EFFORTS), st.data())
def test_equals_brute_force(build: StoreBuilder, kind: str, effort: Effort, data: st.DataObject) -> None:
    """Any page, between any cursors, from either end, for many parents at once; its count, its layers."""
    parents = [row["id"] for row in build.rows[kind]][:12]
    expected = {parent: related(build, kind, parent) for parent in parents}
    with filled_store(build) as db:
        pages = PAGE[kind](db, EVERYTHING, parents, PageRequest(1000), effort)
        assert [expected[parent] for parent in parents] == [_shown(page) for page in pages]
        assert [len(expected[parent]) for parent in parents] == COUNT[kind](db, EVERYTHING, parents)
        places = [
            (cursor, item)
            for parent, page in zip(parents, pages, strict=True)
            for cursor, item in zip(page.cursors, expected[parent], strict=True)
        ]
        for _ in range(8):
            place = st.sampled_from([(None, None), *places])
            (after, after_item), (before, before_item) = data.draw(place), data.draw(place)
            size, is_backward = data.draw(st.integers(0, 4)), data.draw(st.booleans())
            request = PageRequest(size, after, before, is_backward)
            for parent, page in zip(
                parents, PAGE[kind](db, EVERYTHING, parents, request, effort), strict=True
            ):
                window = _window(expected[parent], after_item, before_item, size, is_backward)
                assert window == (_shown(page), page.has_previous, page.has_next)
        _check_layers(db, build, kind, expected)
        _check_matrix(db, build, kind, parents)


def _window(
    items: list[Related], after: Related | None, before: Related | None, size: int, is_backward: bool
) -> tuple[list[Related], bool, bool]:
    head = [] if after is None else [item for item in items if item[:2] >= after[:2]]
    tail = [] if before is None else [item for item in items if item[:2] <= before[:2]]
    inside = [item for item in items if item not in head and item not in tail]
    page = inside[len(inside) - min(size, len(inside)) :] if is_backward else inside[:size]
    has_more = len(inside) > len(page)
    return (
        page,
        bool(head) or (is_backward and has_more),
        bool(tail) or (not is_backward and has_more),
    )


def _check_layers(db: Connection, build: StoreBuilder, kind: str, expected: dict[int, list[Related]]) -> None:
    pairs = [(parent, other) for parent, items in expected.items() for _, other, _ in items]
    wanted = {pair: shared(build, kind, *pair) for pair in pairs}
    assert [len(wanted[pair]) for pair in pairs] == COUNT_SHARED[kind](db, EVERYTHING, pairs)
    for size in (1, 1000):
        pages = PAGE_SHARED[kind](db, EVERYTHING, pairs, PageRequest(size))
        assert [wanted[pair][:size] for pair in pairs] == [[row.key for row in page.rows] for page in pages]
        assert [len(wanted[pair]) > size for pair in pairs] == [page.has_next for page in pages]


def _check_matrix(db: Connection, build: StoreBuilder, kind: str, members: list[int]) -> None:
    asked = [*members, *members[:1], 10**6]
    sets = [layers_of(build, kind, key) if key in members else set() for key in asked]
    matrix = MATRIX[kind](db, EVERYTHING, asked)
    assert [[len(x & y) for y in sets] for x in sets] == matrix.layer_counts
    assert [[weight(build, x & y) for y in sets] for x in sets] == matrix.overlap_bytes


def hot_store(repositories: int, *, bases: int = 1) -> tuple[StoreBuilder, int]:
    """A repository on `bases` bases of three layers, each of which so many other repositories stand on.

    Where there are several, nobody else stands on two of them.
    """
    build = StoreBuilder()
    registry = build.registry("one.example")
    layers = [[build.layer(registry, 1 + place) for place in range(3)] for _ in range(bases)]
    first = build.repository(registry, "first")
    for base in layers:
        build.image(first, base)
    manifests = [build.manifest(registry, base) for base in layers]
    for number in range(repositories):
        for manifest in manifests:
            build.artifact(build.repository(registry, f"r{manifest}-{number}"), manifest)
    return build, first


def steps(db: Connection, read: Callable[[], Any]) -> int:
    """The instructions of SQLite's virtual machine that the read takes, in tens."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    read()
    driver_of(db).set_progress_handler(count, 10)
    try:
        read()
    finally:
        driver_of(db).set_progress_handler(None, 10)
    return taken


def test_hot_base() -> None:
    """A page of those on a common base costs what it is, the first and the later ones alike, in order."""
    few, many = _cost_of_two_pages(400), _cost_of_two_pages(1600)
    assert all(abs(x - y) <= 10 for x, y in zip(few, many, strict=True))


def _cost_of_two_pages(repositories: int) -> list[int]:
    build, first = hot_store(repositories)
    with filled_store(build) as db:
        [page] = page_related_repositories(db, EVERYTHING, [first], PageRequest(20))
        later = PageRequest(20, after=page.cursors[-1])
        [next_page] = page_related_repositories(db, EVERYTHING, [first], later)
        newest = range(repositories + first, first, -1)
        assert [(6, key, 3) for key in newest[:40]] == _shown(page) + _shown(next_page)
        assert (True, True) == (next_page.has_previous, next_page.has_next)
        return [
            steps(db, partial(page_related_repositories, db, EVERYTHING, [first], request))
            for request in (PageRequest(20), later)
        ]


def test_several_bases() -> None:
    """Where nobody shares all bases of a parent, everybody is weighed; it costs more, and is as exact."""
    build, first = hot_store(200, bases=2)
    with filled_store(build) as db:
        [page] = page_related_repositories(db, EVERYTHING, [first], PageRequest(20))
        assert [(6, key, 3) for key in range(401, 381, -1)] == _shown(page)
        assert [400] == count_related_repositories(db, EVERYTHING, [first])
        whole = steps(db, lambda: page_related_repositories(db, EVERYTHING, [first], PageRequest(20)))
    build, first = hot_store(400)
    with filled_store(build) as db:
        proved = steps(db, lambda: page_related_repositories(db, EVERYTHING, [first], PageRequest(20)))
    assert whole > proved + 400


@pytest.mark.parametrize("kind", KINDS)
def test_one_statement(kind: str) -> None:
    """Twenty parents, proved or not, repeated or unknown, are one statement; so are matrix and layers."""
    build, first = hot_store(120, bases=3)
    parents = [*range(first, 20), first, 10**6]
    with filled_store(build) as db:
        for read in (
            lambda: PAGE[kind](db, EVERYTHING, parents, PageRequest(5)),
            lambda: COUNT[kind](db, EVERYTHING, parents),
            lambda: PAGE_SHARED[kind](db, EVERYTHING, [(1, key) for key in parents], PageRequest(5)),
            lambda: COUNT_SHARED[kind](db, EVERYTHING, [(1, key) for key in parents]),
        ):
            with recorded_statements(db) as statements:
                answers = read()
            assert 1 == len(statements)
            assert len(parents) == len(answers)
        with recorded_statements(db) as statements:
            MATRIX[kind](db, EVERYTHING, parents)
        assert 1 == len(statements)


def test_indexes_answer_alone() -> None:
    """Whoever uses a layer is read from an index, without the rows of the table."""
    build, first = hot_store(10)
    with filled_store(build) as db:
        with recorded_statements(db) as statements:
            page_related_repositories(db, EVERYTHING, [first], PageRequest(20))
        [(statement, parameters)] = statements
        plan = [row[3] for row in driver_of(db).execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    for alias in ("cold_use", "walked_use", "step", "weighed_use", "any_use"):
        [line] = [line for line in plan if f" {alias} " in line]
        assert f"SEARCH {alias} USING COVERING INDEX" in line


def test_foreign_cursor() -> None:
    """A cursor of another list is refused."""
    build, first = hot_store(3)
    with filled_store(build) as db:
        [page] = page_repositories(db, EVERYTHING, [1], PageRequest(1))
        with pytest.raises(InvalidCursorError):
            page_related_repositories(db, EVERYTHING, [first], PageRequest(1, after=page.cursors[0]))

"""What a page of a filtered list reads: the same rows by whichever index, no more of them in a longer list.

The tables below name what reads all of its list; an order or a filter that is in none of them has to be
bounded, one that is new too: they are taken from their enumerations and classes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Connection

from graph.errors import InvalidFilterError
from graph.oci.kind import ArtifactKind
from graph.oci.liveness import Untagged
from graph.store.artifacts import page_registry_artifacts
from graph.store.filters import (
    ArtifactFilter,
    ArtifactOrder,
    LayerFilter,
    LayerOrder,
    Order,
    RepositoryFilter,
    RepositoryOrder,
)
from graph.store.layers import page_layers
from graph.store.pages import Page, PageRequest
from graph.store.repositories import page_repositories
from graph.store.sqlite import driver_of
from graph.store.ways import FEW
from store_builders import ENGINES, NOW, Row, StoreBuilder, filled_store
from store_lists import EVERYTHING

# More than FEW, so that the half that a filter keeps is many, and a third of it few.
LENGTHS = (FEW * 3, FEW * 4)


@dataclass(frozen=True)
class Filtered:
    """A list of a registry: how it is read, in which orders, and what each part of its filter may be."""

    page: Callable[..., list[Page[Any]]]
    table: str
    orders: dict[Any, str]
    filter: Callable[..., Any]
    # For each part: what keeps no row, what keeps most of them, and what keeps a few.
    parts: dict[str, Sequence[Any]]


DAY = timedelta(days=1)
LATE, EARLY, SOME = NOW + 9_000_000 * timedelta(seconds=1), NOW - DAY, NOW + 300 * timedelta(seconds=1)
REPOSITORIES = Filtered(
    page_repositories,
    "repository",
    {
        RepositoryOrder.NAME: "name",
        RepositoryOrder.FIRST_SEEN: "id",
        RepositoryOrder.CHANGED: "changed_at",
        RepositoryOrder.SIZE: "stored_bytes",
    },
    RepositoryFilter,
    {
        "name": ("*nothing*", "*e*", "*a/*00"),
        "name_prefix": ("nothing", "te", "team/00"),
        "namespace": ("nothing", "team", "team/0"),
        "changed_since": (LATE, EARLY),
        "changed_before": (EARLY, LATE, SOME),
    },
)
ARTIFACTS = Filtered(
    page_registry_artifacts,
    "artifact",
    {
        ArtifactOrder.FIRST_SEEN: "id",
        ArtifactOrder.CREATED: "created_at",
        ArtifactOrder.PUSHED: "pushed_at",
        ArtifactOrder.SIZE: "size",
    },
    ArtifactFilter,
    {
        "is_tagged": (True, False),
        "untagged": ([Untagged.REFERRER], [Untagged.DANGLING, Untagged.INDEX_CHILD], [Untagged.INDEX_CHILD]),
        "kinds": ([ArtifactKind.WASM], [ArtifactKind.IMAGE], [ArtifactKind.HELM_CHART, ArtifactKind.SBOM]),
        "artifact_type": ("none/none", "text/plain"),
        "os": ("plan9", "linux", "windows"),
        "architecture": ("vax", "amd64", "arm64"),
        "created_since": (LATE, EARLY),
        "created_before": (EARLY, LATE, SOME),
        "size_at_least": (2**50, 0),
        "size_at_most": (0, 2**50, 300),
    },
)
LAYERS = Filtered(
    page_layers,
    "blob",
    {
        LayerOrder.FIRST_SEEN: "id",
        LayerOrder.SIZE: "size",
        LayerOrder.SAVED_BYTES: "saved_bytes",
        LayerOrder.SHARED: "repository_count",
    },
    LayerFilter,
    {
        "shared_by_at_least": (10**6, 1, 30),
        "size_at_least": (2**50, 0),
        "size_at_most": (0, 2**50, 300),
        "include_empty": (True, False),
    },
)
LISTS = (REPOSITORIES, ARTIFACTS, LAYERS)

# What no index serves: where few rows fit or none, the list is read to its end, once.
READ_TO_THE_END = {"name", "artifact_type"}


def long_store(length: int) -> StoreBuilder:
    """As many repositories, artifacts and layers; written by hand, as deriving would take minutes."""
    build = StoreBuilder()
    registry = build.registry("one.example")
    build.derive()
    moments = [NOW + timedelta(seconds=number * 7919 % length) for number in range(length)]
    sizes = [1 + number * 7907 % length for number in range(length)]
    for number, (moment, size) in enumerate(zip(moments, sizes, strict=True)):
        build.repository(
            registry, f"team/{number % 7}{number:05}", changed_at=moment, stored_bytes=size, artifact_count=1
        )
        layer = build.layer(registry, size, artifact_count=1, saved_bytes=size * (number % 40))
        build.row("blob", layer)["repository_count"] = 1 + number % 40
        manifest = build.blob(registry, 2)
        build.artifact(
            number + 1,
            manifest,
            created_at=moment if number % 3 else None,
            size=size,
            pushed_at=moment,
            kind="HELM_CHART" if number % 40 == 5 else "IMAGE",
            untagged=None if number % 2 else "DANGLING" if number % 40 else "INDEX_CHILD",
            os="windows" if number % 50 == 7 else "linux",
            architecture="arm64" if number % 41 == 3 else "amd64",
            artifact_type="text/plain",
        )
    return build


STORES = [long_store(length) for length in LENGTHS]


@pytest.fixture(scope="module", params=ENGINES)
def stores(request: pytest.FixtureRequest) -> Iterator[list[Connection]]:
    with filled_store(STORES[0], request.param) as short, filled_store(STORES[1], request.param) as long:
        yield [short, long]


def _steps(db: Connection, read: Callable[[], Any]) -> int:
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 10
        return 0

    driver_of(db).set_progress_handler(count, 10)
    try:
        read()
    finally:
        driver_of(db).set_progress_handler(None, 1)
    return taken


def test_parts_are_all() -> None:
    """Every order and every part of a filter is in the tables above, but the order that no index brings."""
    for of in LISTS:
        assert {field.name for field in fields(of.filter)} == set(of.parts)  # type: ignore[arg-type]
        walked = set(type(next(iter(of.orders)))) - {ArtifactOrder.EXCLUSIVE_BYTES}
        assert walked == set(of.orders)


@pytest.mark.parametrize("is_descending", [False, True])
@pytest.mark.parametrize(
    ("of", "order", "part"),
    [(of, order, part) for of in LISTS for order, part in product(of.orders, of.parts)],
    ids=lambda value: value.table if isinstance(value, Filtered) else str(value),
)
def test_filtered_steps(
    stores: list[Connection], of: Filtered, order: Any, part: str, is_descending: bool
) -> None:
    """A page costs the same in a list that is a third longer, whether a filter keeps none or most."""
    for value in of.parts[part][:2]:
        filter = of.filter(**{part: value})

        def read(db: Connection, filter: Any = filter) -> int:
            request, sort = PageRequest(5), Order(order, is_descending)
            return _steps(db, lambda: of.page(db, EVERYTHING, [1], request, filter, sort))

        short, long = (read(db) for db in stores)
        is_none = part in READ_TO_THE_END and value == of.parts[part][0]
        assert is_none == (long - short > FEW)
        assert long <= 3 * FEW * 12 or is_none


@pytest.mark.parametrize("is_descending", [False, True])
@pytest.mark.parametrize(
    ("of", "order"),
    [(of, order) for of in LISTS for order in of.orders],
    ids=lambda value: value.table if isinstance(value, Filtered) else str(value),
)
def test_filtered_rows(stores: list[Connection], of: Filtered, order: Any, is_descending: bool) -> None:
    """By whichever way, a page is the one that sorting all of the list gives, from a cursor on too."""
    column = of.orders[order]
    rows = [row for row in STORES[0].rows[of.table] if of.table != "blob" or row.get("is_layer")]
    parts = [*of.parts]
    for one, other in zip(parts, [*parts[1:], parts[0]], strict=True):
        for value in of.parts[one]:
            given = {other: of.parts[other][1], one: value}
            try:
                filter = of.filter(**given)
            except InvalidFilterError:  # it contradicts itself
                continue
            expected = [row["id"] for row in _in_order(rows, of, given, column, is_descending)]
            sort = Order(order, is_descending)

            def read(request: PageRequest, filter: Any = filter, sort: Any = sort) -> Page[Any]:
                [page] = of.page(stores[0], EVERYTHING, [1], request, filter, sort)
                return page

            first = read(PageRequest(3))
            assert expected[:3] == [row.key for row in first.rows]
            if len(expected) > 3:
                after = read(PageRequest(3, after=first.cursors[-1]))
                assert expected[3:6] == [row.key for row in after.rows]
            assert expected[-3:] == [row.key for row in read(PageRequest(3, is_backward=True)).rows]


def _in_order(
    rows: Sequence[Row], of: Filtered, given: dict[str, Any], column: str, is_descending: bool
) -> list[Row]:
    kept = [row for row in rows if all(_keeps(row, part, value) for part, value in given.items())]
    valued = [row for row in kept if row[column] is not None]
    bare = [row for row in kept if row[column] is None]
    valued.sort(key=lambda row: (row[column], row["id"]), reverse=is_descending)
    return valued + (bare[::-1] if is_descending else bare)


_TESTS: dict[str, Callable[[Row, Any], bool]] = {
    "name": lambda row, glob: (
        all(piece in row["name"] for piece in glob.split("*"))
        and (not glob[-1].isalnum() or row["name"].endswith(glob.rpartition("*")[2]))
    ),
    "name_prefix": lambda row, prefix: row["name"].startswith(prefix),
    "namespace": lambda row, above: row["name"].startswith(f"{above}/"),
    "changed_since": lambda row, since: row["changed_at"] >= since,
    "changed_before": lambda row, before: row["changed_at"] < before,
    "is_tagged": lambda row, is_tagged: (row["untagged"] is None) == is_tagged,
    "untagged": lambda row, reasons: row["untagged"] in [reason.value for reason in reasons],
    "kinds": lambda row, kinds: row["kind"] in [kind.value for kind in kinds],
    "artifact_type": lambda row, wanted: row["artifact_type"] == wanted,
    "os": lambda row, wanted: row["os"] == wanted,
    "architecture": lambda row, wanted: row["architecture"] == wanted,
    "created_since": lambda row, since: row["created_at"] is not None and row["created_at"] >= since,
    "created_before": lambda row, before: row["created_at"] is not None and row["created_at"] < before,
    "size_at_least": lambda row, size: row["size"] >= size,
    "size_at_most": lambda row, size: row["size"] <= size,
    "shared_by_at_least": lambda row, count: row["repository_count"] >= count,
    "include_empty": lambda row, _: True,
}


def _keeps(row: Row, part: str, value: Any) -> bool:
    return _TESTS[part](row, value)

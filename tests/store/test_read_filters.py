"""Filters: what they keep, by the naive reading of their words, and what they refuse."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from graph.errors import InvalidFilterError
from graph.oci.kind import ArtifactKind
from graph.oci.liveness import Untagged
from graph.store.artifacts import (
    count_artifacts,
    count_layer_artifacts,
    count_registry_artifacts,
    page_artifacts,
    page_layer_artifacts,
    page_registry_artifacts,
)
from graph.store.filters import (
    MAX_PATTERN_LENGTH,
    MAX_SIZE,
    ArtifactFilter,
    ArtifactOrder,
    LayerFilter,
    LayerOrder,
    Order,
    RepositoryFilter,
    RepositoryOrder,
    TagFilter,
    TagOrder,
)
from graph.store.layers import count_layers, count_repository_layers, page_layers, page_repository_layers
from graph.store.namespaces import count_namespaces, page_namespaces
from graph.store.pages import PageRequest
from graph.store.repositories import (
    count_namespace_repositories,
    count_repositories,
    count_search,
    page_namespace_repositories,
    page_repositories,
    search_repositories,
)
from graph.store.tags import count_artifact_tags, count_tags, page_artifact_tags, page_tags
from store_builders import ENGINES, NOW, Row, StoreBuilder, filled_store
from store_lists import EVERYTHING, varied_store

ALL = PageRequest(1000)

# Names that hold what is special in a pattern of some engine, and what only looks like it.
ODD_NAMES = (
    "a", "A", "ab", "aXb", "a%b", "a_b", "a[b", "a]b", "a[bc]d", "abd", "a\\b", "a/b", "a*b", "a?b", "a'b",
    "a" * 200, "é", "", "%", "_", "[", "]", "^a", "a-c", "\U0010ffff",
)  # fmt: skip


@pytest.fixture(scope="module", params=ENGINES)
def db(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """The varied store, and a third registry of odd names: repository 12 has them as tags."""
    with filled_store(odd_store(), request.param) as db:
        yield db


def odd_store() -> StoreBuilder:
    build = varied_store(derive=False)
    registry = build.registry("odd.example")
    repository = build.repository(registry, "odd")
    for name in ODD_NAMES:
        build.tag(repository, name)
        build.repository(registry, f"x{name}")
    build.derive()
    return build


BUILD = odd_store()
ODD_REPOSITORY = 12


def _matches(glob: str, name: str) -> bool:
    parts = {"*": ".*", "?": "."}
    return bool(re.fullmatch("".join(parts.get(part, re.escape(part)) for part in glob), name, re.DOTALL))


@settings(max_examples=300, deadline=None)
@given(glob=st.text("ab*?[]%_\\^-é/A'", max_size=6))
def test_glob(db: Connection, glob: str) -> None:
    """In a glob `*` is any characters and `?` one; everything else, brackets too, is only itself."""
    expected = sorted(name for name in ODD_NAMES if _matches(glob, name))
    [page] = page_tags(db, EVERYTHING, [ODD_REPOSITORY], ALL, TagFilter(name=glob))
    assert expected == [row.name for row in page.rows]
    assert [len(expected)] == count_tags(db, EVERYTHING, [ODD_REPOSITORY], TagFilter(name=glob))


@settings(max_examples=200, deadline=None)
@given(
    prefix=st.from_regex(r"([abAB_][abA_.-]{0,2})?", fullmatch=True),
    glob=st.none() | st.text("ab*?", max_size=3),
)
def test_prefix(db: Connection, prefix: str, glob: str | None) -> None:
    """A prefix is plain text, and narrows together with a glob, in every order."""
    expected = [name for name in ODD_NAMES if name.startswith(prefix) and (not glob or _matches(glob, name))]
    for order in TagOrder:
        filter = TagFilter(name=glob or None, name_prefix=prefix)
        [page] = page_tags(db, EVERYTHING, [ODD_REPOSITORY], ALL, filter, Order(order))
        assert sorted(expected) == sorted(row.name for row in page.rows)


@settings(max_examples=100, deadline=None)
@given(text=st.text("ab*?[]%_\\/AB'é", min_size=1, max_size=3))
def test_search(db: Connection, text: str) -> None:
    """A search finds the text anywhere in a name, in either case, with nothing special in it."""
    names = [f"x{name}" for name in ODD_NAMES] + ["odd"]
    # Names are lower case; an odd name that is not cannot be in a registry.
    expected = {name for name in names if text.lower() in name and name == name.lower()}
    page = search_repositories(db, EVERYTHING, text, [3], ALL)
    found = {row.name for row in page.rows if row.name == row.name.lower()}
    assert expected == found
    assert len(page.rows) == count_search(db, EVERYTHING, text, [3])


def test_search_scope(db: Connection) -> None:
    """A search stays in its registries, skips what is absent, and takes blanks around the text away."""
    assert ["b/a"] == [row.name for row in search_repositories(db, EVERYTHING, " B/a ", [2], ALL).rows]
    assert [] == search_repositories(db, EVERYTHING, "b", [], ALL).rows
    assert 0 == count_search(db, EVERYTHING, "é", [1])


@pytest.mark.parametrize("prefix", ["", "b", "b/", "b/a", "c", None])
def test_namespace_prefix(db: Connection, prefix: str | None) -> None:
    """Namespaces are found by the text they start with."""
    names = [row["name"] for row in BUILD.rows["namespace"] if row["registry_id"] == 1]
    expected = sorted(name for name in names if name.startswith(prefix or ""))
    [page] = page_namespaces(db, EVERYTHING, [1], ALL, prefix)
    assert expected == [row.name for row in page.rows]
    assert [len(expected)] == count_namespaces(db, EVERYTHING, [1], prefix)


def _days() -> st.SearchStrategy[datetime | None]:
    return st.none() | st.integers(0, 10).map(lambda days: NOW + timedelta(days=days))


def _is_within(value: Any, since: Any, before: Any) -> bool:
    if since is None and before is None:
        return True
    return value is not None and (since is None or value >= since) and (before is None or value < before)


def _is_sized(value: int | None, at_least: int | None, at_most: int | None) -> bool:
    return _is_within(value, at_least, None if at_most is None else at_most + 1)


def _attempt(make: Any, **arguments: Any) -> Any:
    try:
        return make(**arguments)
    except InvalidFilterError:
        return None


REPOSITORY_FILTERS = st.builds(
    lambda **arguments: _attempt(RepositoryFilter, **arguments),
    name=st.sampled_from([None, "*", "b*", "?", "b/*"]),
    name_prefix=st.sampled_from([None, "b", "b/a"]),
    namespace=st.sampled_from([None, "b", "b/a", "a"]),
    changed_since=_days(),
    changed_before=_days(),
).filter(bool)


@settings(max_examples=100, deadline=None)
@given(filter=REPOSITORY_FILTERS, field=st.sampled_from(RepositoryOrder))
def test_repositories(db: Connection, filter: RepositoryFilter, field: RepositoryOrder) -> None:
    """Each part of a filter narrows by itself, in every order, and the count agrees with the list."""

    def keeps(row: Row) -> bool:
        name = row["name"]
        return (
            (filter.name is None or _matches(filter.name, name))
            and name.startswith(filter.name_prefix or "")
            and (filter.namespace is None or name.startswith(f"{filter.namespace}/"))
            and _is_within(row["changed_at"], filter.changed_since, filter.changed_before)
        )

    present = [row for row in BUILD.rows["repository"] if row["registry_id"] == 1 and not row["absent_at"]]
    expected = {row["id"] for row in present if keeps(row)}
    [page] = page_repositories(db, EVERYTHING, [1], ALL, filter, Order(field))
    assert expected == {row.key for row in page.rows}
    assert [len(expected)] == count_repositories(db, EVERYTHING, [1], filter)
    above = next(row for row in BUILD.rows["namespace"] if row["name"] == "b")
    below = {row["id"] for row in present if keeps(row) and row["name"].startswith("b/")}
    [page] = page_namespace_repositories(db, EVERYTHING, [above["id"]], ALL, filter, Order(field))
    assert below == {row.key for row in page.rows}
    assert [len(below)] == count_namespace_repositories(db, EVERYTHING, [above["id"]], filter)


ARTIFACT_FILTERS = st.builds(
    lambda **arguments: _attempt(ArtifactFilter, **arguments),
    is_tagged=st.sampled_from([None, True, False]),
    untagged=st.none() | st.frozensets(st.sampled_from(Untagged)),
    kinds=st.none() | st.frozensets(st.sampled_from(ArtifactKind)),
    artifact_type=st.sampled_from([None, None, "text/plain"]),
    os=st.sampled_from([None, None, "linux", "Linux"]),
    architecture=st.sampled_from([None, None, "amd64"]),
    created_since=_days(),
    created_before=_days(),
    size_at_least=st.sampled_from([None, None, 0, 2, 600]),
    size_at_most=st.sampled_from([None, None, 0, 9, 600, MAX_SIZE]),
).filter(bool)


def _keeps(filter: ArtifactFilter, row: Row) -> bool:
    return (
        (filter.is_tagged is None or filter.is_tagged == (row.get("untagged") is None))
        and (filter.untagged is None or row.get("untagged") in filter.untagged)
        and (filter.kinds is None or row["kind"] in filter.kinds)
        and (filter.artifact_type is None or row.get("artifact_type") == filter.artifact_type)
        and (filter.os is None or row.get("os") == filter.os)
        and (filter.architecture is None or row.get("architecture") == filter.architecture)
        and _is_within(row.get("created_at"), filter.created_since, filter.created_before)
        and _is_sized(row.get("size"), filter.size_at_least, filter.size_at_most)
    )


@settings(max_examples=80, deadline=None)
@given(filter=ARTIFACT_FILTERS, field=st.sampled_from(ArtifactOrder))
def test_artifacts(db: Connection, filter: ArtifactFilter, field: ArtifactOrder) -> None:
    """Each part of a filter narrows by itself in a repository, a registry and a layer, in every order."""
    present = [row for row in BUILD.rows["artifact"] if not row["absent_at"]]
    users = {row["artifact_id"] for row in BUILD.rows["artifact_blob"] if row["blob_id"] == 1}
    for page_of, count_of, is_member in [
        (page_artifacts, count_artifacts, lambda row: row["repository_id"] == 1),
        (page_registry_artifacts, count_registry_artifacts, lambda row: row["registry_id"] == 1),
        (page_layer_artifacts, count_layer_artifacts, lambda row: row["id"] in users),
    ]:
        expected = {row["id"] for row in present if is_member(row) and _keeps(filter, row)}
        [page] = page_of(db, EVERYTHING, [1], ALL, filter, Order(field))
        assert expected == {row.key for row in page.rows}
        assert [len(expected)] == count_of(db, EVERYTHING, [1], filter)


LAYER_FILTERS = st.builds(
    lambda **arguments: _attempt(LayerFilter, **arguments),
    shared_by_at_least=st.sampled_from([None, 1, 2, 3, MAX_SIZE]),
    size_at_least=st.sampled_from([None, 0, 1, 500]),
    size_at_most=st.sampled_from([None, 0, 100, MAX_SIZE]),
    include_empty=st.booleans(),
).filter(bool)


@settings(max_examples=100, deadline=None)
@given(filter=LAYER_FILTERS, field=st.sampled_from(LayerOrder), is_descending=st.booleans())
def test_layers(db: Connection, filter: LayerFilter, field: LayerOrder, is_descending: bool) -> None:
    """Sharing counts repositories and leaves the empty layers out; sizes include both ends."""

    def keeps(row: Row) -> bool:
        shared = filter.shared_by_at_least
        return (
            bool(row.get("is_layer") and row["artifact_count"])
            and (shared is None or (row["repository_count"] >= shared and not row.get("is_empty")))
            and (filter.include_empty or not row.get("is_empty"))
            and _is_sized(row["size"], filter.size_at_least, filter.size_at_most)
        )

    held = {row["blob_id"] for row in BUILD.rows["repository_blob"] if row["repository_id"] == 1}
    order = Order(field, is_descending)
    for page_of, count_of, is_member in [
        (page_layers, count_layers, lambda row: row["registry_id"] == 1),
        (page_repository_layers, count_repository_layers, lambda row: row["id"] in held),
    ]:
        expected = {row["id"] for row in BUILD.rows["blob"] if is_member(row) and keeps(row)}
        [page] = page_of(db, EVERYTHING, [1], ALL, filter, order)
        assert expected == {row.key for row in page.rows}
        assert [len(expected)] == count_of(db, EVERYTHING, [1], filter)


@pytest.mark.parametrize("include", [False, True])
def test_referrer_tags(db: Connection, include: bool) -> None:
    """Tags that only point at referrers are shown and counted where they are asked for."""
    filter = TagFilter(include_referrer_tags=include)
    [page] = page_tags(db, EVERYTHING, [1], ALL, filter)
    assert include == ("sha256-00" in [row.name for row in page.rows])
    assert [len(page.rows)] == count_tags(db, EVERYTHING, [1], filter)
    [page] = page_artifact_tags(db, EVERYTHING, [1], ALL, filter)
    assert include == ("sha256-00" in [row.name for row in page.rows])
    assert [len(page.rows)] == count_artifact_tags(db, EVERYTHING, [1], filter)


def test_ranges_and_cursors(db: Connection) -> None:
    """A cursor from outside of a range still finds what the range keeps beyond it."""
    [every] = page_repositories(db, EVERYTHING, [1], ALL)
    names = [row.name for row in every.rows]
    for filter in (
        RepositoryFilter(name_prefix="b/"),
        RepositoryFilter(name="b?"),
        RepositoryFilter(namespace="b"),
    ):
        [kept] = page_repositories(db, EVERYTHING, [1], ALL, filter)
        kept_names = [row.name for row in kept.rows]
        for place, cursor in enumerate(every.cursors):
            for request, expected in (
                (PageRequest(9, after=cursor), set(kept_names) & set(names[place + 1 :])),
                (PageRequest(9, before=cursor, is_backward=True), set(kept_names) & set(names[:place])),
            ):
                [page] = page_repositories(db, EVERYTHING, [1], request, filter)
                assert sorted(expected) == [row.name for row in page.rows]
                rest = set(kept_names) - expected
                assert bool(rest) == (page.has_next if request.is_backward else page.has_previous)


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (RepositoryFilter, {"name": "a" * (MAX_PATTERN_LENGTH + 1)}),
        (RepositoryFilter, {"name_prefix": "a" * (MAX_PATTERN_LENGTH + 1)}),
        (RepositoryFilter, {"namespace": "a" * (MAX_PATTERN_LENGTH + 1)}),
        (RepositoryFilter, {"name": "\ud800"}),
        (RepositoryFilter, {"changed_since": NOW, "changed_before": NOW}),
        (RepositoryFilter, {"changed_since": NOW.replace(tzinfo=None)}),
        (TagFilter, {"name_prefix": "é\udfff"}),
        (ArtifactFilter, {"is_tagged": True, "untagged": {Untagged.DANGLING}}),
        (ArtifactFilter, {"untagged": set()}),
        (ArtifactFilter, {"kinds": []}),
        (ArtifactFilter, {"os": "a" * 256}),
        (ArtifactFilter, {"size_at_least": 2, "size_at_most": 1}),
        (ArtifactFilter, {"size_at_least": -1}),
        (ArtifactFilter, {"size_at_most": MAX_SIZE + 1}),
        (LayerFilter, {"shared_by_at_least": 0}),
        (LayerFilter, {"shared_by_at_least": MAX_SIZE + 1}),
    ],
)
def test_refused(make: Any, arguments: dict[str, Any]) -> None:
    """A filter that contradicts itself, or is longer than any name, cannot be made."""
    with pytest.raises(InvalidFilterError):
        make(**arguments)


@pytest.mark.parametrize("text", ["", "  ", "a" * (MAX_PATTERN_LENGTH + 1), "\ud800"])
def test_search_refused(db: Connection, text: str) -> None:
    """There is something to search for, and not more than a name can hold."""
    with pytest.raises(InvalidFilterError):
        search_repositories(db, EVERYTHING, text, [1], ALL)


@pytest.mark.parametrize("glob", ["*" * 255, "*a" * 127, "?" * 255, "*?" * 127, "*?a" * 85])
def test_costly_globs(db: Connection, glob: str) -> None:
    """The worst globs are answered: the engine does not try every way to divide a name."""
    assert [0] == count_tags(db, EVERYTHING, [ODD_REPOSITORY], TagFilter(name=glob + "#"))

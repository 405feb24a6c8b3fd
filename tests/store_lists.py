"""Every list of the read side beside what it holds by the naive count, over one small varied store.

A `ListCase` is one list in one order. `expected` gives, for a parent, the rows as (value, tie-breaker, key),
in no order; `in_order` sorts them as the contract says: rows without the value last in both directions, equal
ones by the tie-breaker.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from graph.store.artifacts import (
    page_artifacts,
    page_layer_artifacts,
    page_namespace_artifacts,
    page_registry_artifacts,
)
from graph.store.filters import ArtifactOrder, LayerOrder, Order, RepositoryOrder, TagOrder
from graph.store.layers import page_layers, page_namespace_layers, page_repository_layers
from graph.store.namespaces import page_namespaces
from graph.store.pages import Page, PageRequest
from graph.store.referrers import page_referrers
from graph.store.repositories import (
    page_layer_repositories,
    page_namespace_repositories,
    page_repositories,
    search_repositories,
)
from graph.store.tables import microseconds_of
from graph.store.tags import page_artifact_tags, page_tags
from graph.store.visibility import Visibility
from store_builders import NOW, Row, StoreBuilder

EVERYTHING = Visibility.everything()

Item = tuple[Any, int, int]
Read = Callable[[Connection, Sequence[int], PageRequest], list[Page[Any]]]


@dataclass(frozen=True)
class ListCase:
    """One list in one order: how it is read, for which parents, and what each of them has."""

    name: str
    read: Read
    parents: tuple[int, ...]
    expected: Callable[[int], list[Item]]
    is_descending: bool

    def in_order(self, items: Sequence[Item]) -> list[Item]:
        """Return the items in the order of the list."""
        valued = sorted((item for item in items if item[0] is not None), reverse=self.is_descending)
        bare = sorted((item for item in items if item[0] is None), key=lambda item: item[1])
        return valued + (bare[::-1] if self.is_descending else bare)


def varied_store(*, derive: bool = True) -> StoreBuilder:
    """Two registries with ties, gaps and absences in everything that a list is sorted by."""
    build = StoreBuilder()
    first, second = build.registry("one.example"), build.registry("two.example")
    names = ["b/c", "a", "b/a/x", "Z", "b/a", "é", "b", "b0", "b/ä", "a-b"]
    changes = [3, None, 1, 3, None, 2, 1, 1, None, 5]
    for index, (name, change) in enumerate(zip(names, changes, strict=True)):
        absent = NOW if index == 5 else None
        build.repository(first, name, changed_at=_later(change), absent_at=absent)
    build.repository(second, "b/a", changed_at=_later(2))
    layers = [build.layer(first, size) for size in (500, 100, None, 100, 2**53 - 1, 0)]
    layers.append(build.layer(first, 32, is_empty=True))
    layers.append(build.layer(first, 900, is_foreign=True))
    other = build.layer(second, 100)
    _fill_repositories(build, layers)
    build.image(11, [other], created_at=_later(1), size=7)
    _fill_tags(build)
    _fill_referrers(build)
    if derive:
        build.derive()
    return build


def _fill_repositories(build: StoreBuilder, layers: list[int]) -> None:
    # (repository, layers, created, pushed, size, absent)
    images = [
        (1, [0, 1], 4, None, 600, False),
        (1, [0, 2], None, 2, None, False),
        (1, [0, 1, 6], 4, 1, 600, False),
        (1, [5], 2, None, 10, True),
        (1, [0], 2, 9, 5, False),
        (1, [3, 6, 7], None, None, None, False),
        (2, [0, 4], 1, 1, 600, False),
        (2, [0, 4], 1, None, 1, False),
        (3, [0, 7], 8, 1, 2, False),
        (5, [6], None, 3, 600, False),
        (5, [1], 3, 3, 9, True),
        (6, [5, 0], 1, 1, 1, True),
        (8, [1, 0, 0], 1, 1, 1, False),
    ]
    for index, (repository, used, created, pushed, size, is_absent) in enumerate(images):
        build.image(
            repository,
            [layers[layer] for layer in used],
            created_at=_later(created),
            pushed_at=_later(pushed),
            size=size,
            absent_at=NOW if is_absent else None,
            kind=("IMAGE", "HELM_CHART", "INDEX")[index % 3],
            untagged=(None, "DANGLING", "INDEX_CHILD", "REFERRER")[index % 4],
            os=("linux", None, "windows")[index % 3],
            architecture=("amd64", "arm64", None)[index // 2 % 3],
            artifact_type=(None, "text/plain")[index % 2],
        )


def _fill_tags(build: StoreBuilder) -> None:
    for name, version, artifact, changed, is_referrer, is_absent in [
        ("v1.10", "1.0010", 1, 4, False, False),
        ("v1.9", "1.0009", 1, None, False, False),
        ("1.9", "1.0009", 2, 4, False, False),
        ("latest", "latest", 1, 2, False, False),
        ("Latest", "latest", 3, None, False, False),
        ("sha256-00", "sha256-00", 1, None, True, False),
        ("gone", "gone", 1, 1, False, True),
        ("denied", "denied", None, None, False, False),
        ("a", "0", 5, 4, False, False),
    ]:
        build.tag(
            1,
            name,
            artifact,
            version_key=version,
            changed_at=_later(changed),
            is_referrer_tag=is_referrer,
            absent_at=NOW if is_absent else None,
        )
    build.tag(2, "v2", 7)
    build.tag(2, "v1", 7, changed_at=_later(1))


def _fill_referrers(build: StoreBuilder) -> None:
    subject = build.row("artifact", 1)["manifest_id"]
    for via, is_absent in [
        ("SUBJECT", False),
        ("REFERRER_TAG", False),
        ("FALLBACK_INDEX", False),
        ("SUBJECT", True),
        ("SUBJECT", False),
    ]:
        signature = build.image(1, kind="SIGNATURE", absent_at=NOW if is_absent else None)
        build.referrer(subject, signature, via)


def _later(days: int | None) -> datetime | None:
    return None if days is None else NOW + timedelta(days=days)


def list_cases(build: StoreBuilder) -> Iterator[ListCase]:
    """Give every list in every order, over rows that are derived (`StoreBuilder.derive`)."""
    for is_descending in (False, True):
        for field in RepositoryOrder:
            yield from _repository_lists(build, Order(field, is_descending))
        for tag_field in TagOrder:
            yield from _tag_lists(build, Order(tag_field, is_descending))
        for artifact_field in ArtifactOrder:
            yield from _artifact_lists(build, Order(artifact_field, is_descending))
        for layer_field in LayerOrder:
            yield from _layer_lists(build, Order(layer_field, is_descending))
    yield from _fixed_lists(build)


def _case(
    name: str,
    order: Order[Any],
    page: Callable[..., list[Page[Any]]],
    parents: tuple[int, ...],
    expected: Callable[[int], list[Item]],
) -> ListCase:
    def read(db: Connection, keys: Sequence[int], request: PageRequest) -> list[Page[Any]]:
        return page(db, EVERYTHING, keys, request, order=order)

    direction = "descending" if order.is_descending else "ascending"
    return ListCase(f"{name} {order.field} {direction}", read, parents, expected, order.is_descending)


def _items(rows: Sequence[Row], column: str) -> list[Item]:
    def value(row: Row) -> Any:
        found = None if column == "id" else row.get(column)
        return microseconds_of(found) if isinstance(found, datetime) else found

    return [(value(row), row["id"], row["id"]) for row in rows]


def _present(build: StoreBuilder, table: str, **wanted: Any) -> list[Row]:
    return [
        row
        for row in build.rows[table]
        if row.get("absent_at") is None and all(row[column] == value for column, value in wanted.items())
    ]


def _repository_lists(build: StoreBuilder, order: Order[RepositoryOrder]) -> Iterator[ListCase]:
    column = {"NAME": "name", "FIRST_SEEN": "id", "CHANGED": "changed_at", "SIZE": "stored_bytes"}[
        order.field
    ]

    def in_registry(key: int) -> list[Item]:
        return _items(_present(build, "repository", registry_id=key), column)

    def in_namespace(key: int) -> list[Item]:
        homes = _homes_below(build, key)
        return _items([build.row("repository", home) for home in homes], column)

    def of_layer(key: int) -> list[Item]:
        holders = [row for row in build.rows["repository_blob"] if row["blob_id"] == key]
        return [
            (
                _items([build.row("repository", row["repository_id"])], column)[0][0],
                row["id"],
                row["repository_id"],
            )
            for row in holders
        ]

    namespaces = _namespaces(build)
    yield _case("registry.repositories", order, page_repositories, (1, 2, 99), in_registry)
    yield _case("namespace.repositories", order, page_namespace_repositories, namespaces, in_namespace)
    yield _case("layer.repositories", order, page_layer_repositories, _layers(build), of_layer)


def _tag_lists(build: StoreBuilder, order: Order[TagOrder]) -> Iterator[ListCase]:
    column = {
        "NAME": "name",
        "VERSION": "version_key",
        "FIRST_SEEN": "id",
        "CHANGED": "changed_at",
        "CREATED": "created_at",
    }[order.field]

    def rows(owner: str, key: int) -> list[Item]:
        found = [row for row in _present(build, "tag", **{owner: key}) if not row.get("is_referrer_tag")]
        if column == "created_at":
            found = [
                {
                    **row,
                    "created_at": row["artifact_id"]
                    and build.row("artifact", row["artifact_id"])["created_at"],
                }
                for row in found
            ]
        return _items(found, column)

    yield _case("repository.tags", order, page_tags, (1, 2, 3), lambda key: rows("repository_id", key))
    yield _case(
        "artifact.tags", order, page_artifact_tags, (1, 2, 7, 4), lambda key: rows("artifact_id", key)
    )


def _artifact_lists(build: StoreBuilder, order: Order[ArtifactOrder]) -> Iterator[ListCase]:
    column = {
        "FIRST_SEEN": "id",
        "CREATED": "created_at",
        "PUSHED": "pushed_at",
        "SIZE": "size",
        "EXCLUSIVE_BYTES": "exclusive_bytes",
    }[order.field]

    def weighed(rows: Sequence[Row]) -> list[Item]:
        values = [{"exclusive_bytes": _exclusive_bytes(build, row["id"])} for row in rows]
        return _items([{**row, **value} for row, value in zip(rows, values, strict=True)], column)

    def in_repository(key: int) -> list[Item]:
        return weighed(_present(build, "artifact", repository_id=key))

    def in_registry(key: int) -> list[Item]:
        return weighed(_present(build, "artifact", registry_id=key))

    def in_namespace(key: int) -> list[Item]:
        homes = _homes_below(build, key)
        rows = [row for row in _present(build, "artifact") if row["repository_id"] in homes]
        return weighed(rows)

    def of_layer(key: int) -> list[Item]:
        users = {row["artifact_id"] for row in build.rows["artifact_blob"] if row["blob_id"] == key}
        return weighed([build.row("artifact", user) for user in users])

    yield _case("repository.artifacts", order, page_artifacts, (1, 2, 4, 6), in_repository)
    yield _case("registry.artifacts", order, page_registry_artifacts, (1, 2), in_registry)
    yield _case("namespace.artifacts", order, page_namespace_artifacts, _namespaces(build), in_namespace)
    yield _case("layer.artifacts", order, page_layer_artifacts, _layers(build), of_layer)


def _exclusive_bytes(build: StoreBuilder, artifact: int) -> int:
    """Return the bytes that the artifact, which lists no others, alone uses."""
    used = {row["blob_id"] for row in build.rows["artifact_blob"] if row["artifact_id"] == artifact}
    blobs = [build.row("blob", blob) for blob in used]
    own = [blob for blob in blobs if blob["artifact_count"] == 1 and not blob.get("is_foreign")]
    return sum(blob["size"] or 0 for blob in own)


def _layer_lists(build: StoreBuilder, order: Order[LayerOrder]) -> Iterator[ListCase]:
    column = {
        "FIRST_SEEN": "id",
        "SIZE": "size",
        "SAVED_BYTES": "saved_bytes",
        "SHARED": "repository_count",
    }[order.field]

    def in_registry(key: int) -> list[Item]:
        rows = [row for row in build.rows["blob"] if row["registry_id"] == key and row.get("is_layer")]
        return _items([row for row in rows if row["artifact_count"]], column)

    def held_by(homes: Collection[int]) -> list[Item]:
        held = {row["blob_id"] for row in build.rows["repository_blob"] if row["repository_id"] in homes}
        rows = [build.row("blob", blob) for blob in held]
        return _items([row for row in rows if row.get("is_layer")], column)

    def in_repository(key: int) -> list[Item]:
        return held_by({key})

    def in_namespace(key: int) -> list[Item]:
        return held_by(_homes_below(build, key))

    yield _case("registry.layers", order, page_layers, (1, 2), in_registry)
    yield _case("repository.layers", order, page_repository_layers, (1, 2, 6), in_repository)
    yield _case("namespace.layers", order, page_namespace_layers, _namespaces(build), in_namespace)


def _fixed_lists(build: StoreBuilder) -> Iterator[ListCase]:
    def namespaces(key: int) -> list[Item]:
        return _items([row for row in build.rows["namespace"] if row["registry_id"] == key], "name")

    def referrers(key: int) -> list[Item]:
        subject = build.row("artifact", key)
        edges = [
            row["artifact_id"]
            for row in build.rows["referrer"]
            if row["repository_id"] == subject["repository_id"]
            and row["subject_id"] == subject["manifest_id"]
            and row["via"] != "FALLBACK_INDEX"
        ]
        present = {row["id"] for row in _present(build, "artifact")}
        return [(None, edge, edge) for edge in edges if edge in present]

    def found(_key: int) -> list[Item]:
        rows = [row for row in _present(build, "repository") if "b" in row["name"].lower()]
        return _items(rows, "name")

    yield ListCase(
        "registry.namespaces",
        lambda db, keys, request: page_namespaces(db, EVERYTHING, keys, request),
        (1, 2),
        namespaces,
        False,
    )
    yield ListCase(
        "artifact.referrers",
        lambda db, keys, request: page_referrers(db, EVERYTHING, keys, request),
        (1, 2, 3),
        referrers,
        False,
    )
    yield ListCase(
        "search",
        lambda db, keys, request: [search_repositories(db, EVERYTHING, "B", [1, 2], request)],
        (0,),
        found,
        False,
    )


def _namespaces(build: StoreBuilder) -> tuple[int, ...]:
    return tuple(row["id"] for row in build.rows["namespace"])


def _homes_below(build: StoreBuilder, namespace: int) -> set[int]:
    """Return the present repositories below a namespace."""
    above = build.row("namespace", namespace)
    rows = _present(build, "repository", registry_id=above["registry_id"])
    return {row["id"] for row in rows if row["name"].startswith(above["name"] + "/")}


def _layers(build: StoreBuilder) -> tuple[int, ...]:
    return tuple(row["id"] for row in build.rows["blob"] if row.get("is_layer"))

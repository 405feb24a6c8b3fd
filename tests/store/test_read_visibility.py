"""Visibility: no read shows, lists or counts what a narrower view leaves out.

The store knows one view today. This one stands in for those to come, so that no read can forget to ask.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Connection

from graph.store.addresses import Addressed, find_by_digest, find_by_tag
from graph.store.artifacts import (
    count_artifacts,
    count_layer_artifacts,
    count_namespace_artifacts,
    count_registry_artifacts,
    find_artifacts,
    load_artifacts,
    page_artifacts,
    page_layer_artifacts,
    page_namespace_artifacts,
    page_registry_artifacts,
)
from graph.store.bases import load_repository_bases
from graph.store.copies import count_copies, page_copies
from graph.store.filters import RepositoryFilter
from graph.store.layers import (
    count_layers,
    count_namespace_layers,
    count_repository_layers,
    find_layers,
    load_layers,
    page_layers,
    page_namespace_layers,
    page_repository_layers,
)
from graph.store.manifests import (
    load_configs,
    load_documents,
    load_manifest_children,
    load_manifest_layers,
    load_manifests,
)
from graph.store.members import find_artifacts_by_tag, find_repositories_by_glob, find_repositories_by_name
from graph.store.namespaces import count_namespaces, find_namespaces, load_namespaces, page_namespaces
from graph.store.overlaps import load_artifact_overlap, load_repository_overlap
from graph.store.pages import PageRequest
from graph.store.referrers import count_referrers, find_subjects, load_platforms, page_referrers
from graph.store.registries import load_registry_statuses
from graph.store.related import (
    Effort,
    count_related_artifacts,
    count_related_repositories,
    page_related_artifacts,
    page_related_repositories,
)
from graph.store.repositories import (
    count_layer_repositories,
    count_namespace_repositories,
    count_repositories,
    count_search,
    find_repositories,
    load_repositories,
    page_layer_repositories,
    page_namespace_repositories,
    page_repositories,
    search_repositories,
)
from graph.store.rows import Scope, StorageRow
from graph.store.sets import load_neighbourhood, weigh_set
from graph.store.shared import (
    count_artifact_overlap,
    count_repository_overlap,
    page_artifact_overlap,
    page_repository_overlap,
)
from graph.store.storage import load_artifact_storage, load_registry_storage, load_repository_storage
from graph.store.tags import (
    count_artifact_tags,
    count_tags,
    find_tags,
    load_tags,
    page_artifact_tags,
    page_tags,
)
from graph.store.visibility import Visibility
from store_builders import ENGINES, StoreBuilder, filled_store
from store_lists import EVERYTHING, varied_store

BUILD = varied_store()
ALL = PageRequest(1000)
SEEN = frozenset({2, 3})  # the repositories "a" and "b/a/x", of which only "a" has the layer 5


@dataclass(frozen=True)
class OnlySome(Visibility):
    """The view of a caller who may see some repositories."""

    @property
    def is_everything(self) -> bool:
        return False

    def restrict(self, repository_id: ColumnElement[int]) -> ColumnElement[bool]:
        return repository_id.in_(SEEN)


SOME = OnlySome()


@pytest.fixture(scope="module", params=ENGINES)
def db(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A store that holds the rows of BUILD."""
    with filled_store(varied_store(), request.param) as db:
        yield db


def _keys(table: str) -> list[int]:
    return [row["id"] for row in BUILD.rows[table]]


def _seen(table: str) -> set[int]:
    return {
        row["id"]
        for row in BUILD.rows[table]
        if row.get("repository_id", row["id"] if table == "repository" else None) in SEEN
    }


def _seen_layers() -> set[int]:
    held = {row["blob_id"] for row in BUILD.rows["repository_blob"] if row["repository_id"] in SEEN}
    return {key for key in held if BUILD.row("blob", key).get("is_layer")}


@pytest.mark.parametrize(
    ("load", "table"),
    [(load_repositories, "repository"), (load_tags, "tag"), (load_artifacts, "artifact")],
)
def test_load(db: Connection, load: Callable[..., list[Any]], table: str) -> None:
    """A key that may not be seen is an unknown key."""
    found = {row.key for row in load(db, SOME, _keys(table)) if row is not None}
    assert _seen(table) == found


def test_find(db: Connection) -> None:
    """A name that may not be seen is an unknown name."""
    manifests = {row["repository_id"]: row["manifest_id"] for row in BUILD.rows["artifact"]}
    digests = [(owner, BUILD.row("blob", key)["digest"]) for owner, key in manifests.items()]
    names = [(row["registry_id"], row["name"]) for row in BUILD.rows["repository"]]
    tags = [(row["repository_id"], row["name"]) for row in BUILD.rows["tag"]]
    for find, asked, is_seen in [
        (find_artifacts, digests, lambda pair: pair[0] in SEEN),
        (find_repositories, names, lambda pair: pair[1] in ("a", "b/a/x")),
        (find_tags, tags, lambda pair: pair[0] in SEEN),
    ]:
        rows = find(db, SOME, asked)
        assert [is_seen(pair) for pair in asked] == [row is not None for row in rows]


def test_layers(db: Connection) -> None:
    """Only layers of repositories that may be seen are, with counts of these alone."""
    keys = [key for key in _keys("blob") if BUILD.row("blob", key).get("is_layer")]
    rows = [row for row in load_layers(db, SOME, keys) if row is not None]
    assert _seen_layers() == {row.key for row in rows}
    assert rows == [row for row in find_layers(db, SOME, [(1, row.digest) for row in rows]) if row]
    for row in rows:
        users = [
            BUILD.row("artifact", use["artifact_id"])["repository_id"]
            for use in BUILD.rows["artifact_blob"]
            if use["blob_id"] == row.key
        ]
        seen = [user for user in users if user in SEEN]
        is_saving = BUILD.row("blob", row.key)["saved_bytes"] > 0
        saved = (row.size or 0) * (len(seen) - 1) if is_saving else 0
        assert (len(seen), len(set(seen)), saved) == (
            row.artifact_count,
            row.repository_count,
            row.saved_bytes,
        )


@pytest.mark.parametrize("scope", Scope)
def test_storage(db: Connection, scope: Scope) -> None:
    """What owners and artifacts take is what those that may be seen do, as if there were no others."""
    repositories = load_repository_storage(db, SOME, _keys("repository"), scope)
    shown = {key for key, row in zip(_keys("repository"), repositories, strict=True) if row is not None}
    assert shown == SEEN
    count = sum(row.artifact_count for row in repositories if row is not None)
    whole = StorageRow(count, *weigh_set(db, SOME, [], [], SEEN, scope))
    assert [whole, None] == load_registry_storage(db, SOME, _keys("registry"), scope)
    assert whole.exclusive_bytes == whole.stored_bytes or scope is Scope.TAGGED
    for key, row in zip(_keys("artifact"), load_artifact_storage(db, SOME, _keys("artifact")), strict=True):
        assert row.artifact_count == 0 or BUILD.row("artifact", key)["repository_id"] in SEEN


def test_sets(db: Connection) -> None:
    """A name of a set that may not be seen leads nowhere, and a glob does not match it."""
    names = [(row["registry_id"], row["name"]) for row in BUILD.rows["repository"]]
    found = {row.key for row in find_repositories_by_name(db, SOME, names) if row is not None}
    (matched,) = find_repositories_by_glob(db, SOME, [(1, RepositoryFilter(name="*"))], 100)
    tags = [(1, name, row["name"]) for row in BUILD.rows["tag"] for _, name in names]
    homes = {one.repository_key for one in find_artifacts_by_tag(db, SOME, tags)}
    around = load_neighbourhood(db, SOME, _keys("artifact"))
    assert SEEN == found == {row.key for row in matched} == homes - {None}
    assert SEEN >= set(around.repository_of.values())


def test_bases(db: Connection) -> None:
    """What a figure stands on is told of what may be seen alone."""
    shown = load_repository_bases(db, SOME, _keys("repository"), Scope.ALL)
    assert SEEN == {key for key, basis in zip(_keys("repository"), shown, strict=True) if basis is not None}


def test_manifests(db: Connection) -> None:
    """A manifest may be seen, its entries and bytes too, where an artifact that has it may."""
    keys = [row["blob_id"] for row in BUILD.rows["manifest"]]
    seen = {row["manifest_id"] for row in BUILD.rows["artifact"] if row["repository_id"] in SEEN}
    expected = [key in seen for key in keys]
    assert expected == [row is not None for row in load_manifests(db, SOME, keys)]
    assert expected == [row is not None for row in load_documents(db, SOME, keys)]
    layered = [bool(rows) for rows in load_manifest_layers(db, EVERYTHING, keys)]
    shown = [is_seen and has_layers for is_seen, has_layers in zip(expected, layered, strict=True)]
    assert shown == [bool(rows) for rows in load_manifest_layers(db, SOME, keys)]


@pytest.mark.parametrize(
    ("page", "count", "parents"),
    [
        (page_repositories, count_repositories, "registry"),
        (page_namespaces, count_namespaces, "registry"),
        (page_registry_artifacts, count_registry_artifacts, "registry"),
        (page_layers, count_layers, "registry"),
        (page_namespace_repositories, count_namespace_repositories, "namespace"),
        (page_namespace_artifacts, count_namespace_artifacts, "namespace"),
        (page_namespace_layers, count_namespace_layers, "namespace"),
        (page_tags, count_tags, "repository"),
        (page_artifacts, count_artifacts, "repository"),
        (page_repository_layers, count_repository_layers, "repository"),
        (page_artifact_tags, count_artifact_tags, "artifact"),
        (page_referrers, count_referrers, "artifact"),
        (page_layer_repositories, count_layer_repositories, "blob"),
        (page_layer_artifacts, count_layer_artifacts, "blob"),
    ],
)
def test_lists(
    db: Connection, page: Callable[..., list[Any]], count: Callable[..., list[int]], parents: str
) -> None:
    """A list and its count hold what may be seen of the whole list, and nothing else."""
    keys = _keys(parents)
    pages = page(db, SOME, keys, ALL)
    for key, narrow, whole in zip(keys, pages, page(db, EVERYTHING, keys, ALL), strict=True):
        is_hidden = parents == "repository" and key not in SEEN
        seen = [row.key for row in whole.rows if not is_hidden and _is_seen(row)]
        assert seen == [row.key for row in narrow.rows]
    assert [len(narrow.rows) for narrow in pages] == count(db, SOME, keys)


def _is_seen(row: Any) -> bool:
    match type(row).__name__:
        case "RepositoryRow":
            return row.key in SEEN
        case "LayerRow":
            return row.key in _seen_layers()
        case "NamespaceRow":
            return row.registry_key == 1 and row.name in ("b", "b/a")
        case _:
            return row.repository_key in SEEN


def test_across_artifacts(db: Connection) -> None:
    """What leads from one artifact to others leads nowhere from one that may not be seen."""
    keys = _keys("artifact")
    assert any(find_subjects(db, EVERYTHING, keys))
    assert [None] * len(keys) == find_subjects(db, SOME, keys)


def test_copies() -> None:
    """The copies of what may be seen are those that may be; of what may not, there are none."""
    build = StoreBuilder()
    one, two = build.registry("one.example"), build.registry("two.example")
    manifests = {one: build.manifest(one), two: build.manifest(two)}
    digest = build.row("blob", manifests[one])["digest"]
    build.row("blob", manifests[two])["digest"] = digest
    homes = [(one, "hidden"), (one, "a"), (two, "b"), (two, "hidden")]  # the keys of SEEN stand between
    keys = [build.artifact(build.repository(registry, name), manifests[registry]) for registry, name in homes]
    with filled_store(build) as db:
        for view, expected in (
            (EVERYTHING, [[key for key in keys if key != own] for own in keys]),
            (SOME, [[], [keys[2]], [keys[1]], []]),
        ):
            pages = page_copies(db, view, keys, ALL, (one, two))
            assert expected == [[row.key for row in page.rows] for page in pages]
            assert list(map(len, expected)) == count_copies(db, view, keys, (one, two))


def test_entries() -> None:
    """An index's platforms and entries, and a config, are seen in a repository that may be, and no other."""
    build = StoreBuilder()
    registry = build.registry("one.example")
    hidden, seen = build.repository(registry, "hidden"), build.repository(registry, "seen")
    indexes = {}
    for repository in (hidden, seen):
        image = build.manifest(registry, config=b"%d" % repository)
        index = build.manifest(registry, children=[image])
        indexes[repository] = (index, build.artifact(repository, index, kind="INDEX"), image)
        build.artifact(repository, image)
    with filled_store(build) as db:
        for repository, (index, key, image) in indexes.items():
            for view, is_seen in ((EVERYTHING, True), (SOME, repository == seen)):
                found = (
                    load_platforms(db, view, [key])[0],
                    load_manifest_children(db, view, [(index, repository)])[0],
                    load_configs(db, view, [image])[0],
                )
                assert [is_seen] * 3 == [bool(rows) for rows in found]


def test_addresses(db: Connection) -> None:
    """An address in a repository that may not be seen leads nowhere; in another it leads as far as ever."""
    artifacts = {row["repository_id"]: row for row in BUILD.rows["artifact"]}
    by_tag, by_digest = [], []
    for row in BUILD.rows["repository"]:
        if row["id"] in artifacts:
            digest = BUILD.row("blob", artifacts[row["id"]]["manifest_id"])["digest"]
            by_digest.append((row["registry_id"], row["name"], digest))
        tags = [tag["name"] for tag in BUILD.rows["tag"] if tag["repository_id"] == row["id"]]
        by_tag += [(row["registry_id"], row["name"], tag) for tag in tags]
    for find, addresses in ((find_by_tag, by_tag), (find_by_digest, by_digest)):
        whole, narrow = find(db, EVERYTHING, addresses), find(db, SOME, addresses)
        shown = [
            found if name in ("a", "b/a/x") else Addressed()
            for (_, name, _), found in zip(addresses, whole, strict=True)
        ]
        assert shown == narrow
        assert {True, False} == {found == Addressed() for found in narrow}


def test_search(db: Connection) -> None:
    """A search finds what may be seen."""
    assert [3] == [row.key for row in search_repositories(db, SOME, "b", [1, 2], ALL).rows]
    assert 1 == count_search(db, SOME, "b", [1, 2])


def test_namespaces(db: Connection) -> None:
    """A namespace counts the repositories below it that may be seen, and is not there without one."""
    rows = load_namespaces(db, SOME, _keys("namespace"))
    assert {("b", 1), ("b/a", 1)} == {(row.name, row.repository_count) for row in rows if row}
    assert [None, None] == find_namespaces(db, SOME, [(2, "b"), (1, "nothing")])


def test_status(db: Connection) -> None:
    """A registry is as well known as the repositories of it that may be seen."""
    one, two = load_registry_statuses(db, SOME, [1, 2])
    assert one is not None
    assert two is not None
    assert (2, 0) == (one.repository_count, two.repository_count)


@pytest.mark.parametrize("kind", ["repository", "artifact"])
@pytest.mark.parametrize("effort", [Effort(), Effort(2, 1, 1, 1000)], ids=["proved", "weighed"])
def test_related(kind: str, effort: Effort) -> None:
    """Nobody is related, counted or compared who may not be seen; whoever may be is, as if alone."""
    build = StoreBuilder()
    registry = build.registry("one.example")
    layers = [build.layer(registry, size) for size in (1, 2, 4)]
    for number in range(5):
        build.image(build.repository(registry, f"r{number}"), layers[number % 2 :])
    read: Any = {
        "repository": (page_related_repositories, count_related_repositories, load_repository_overlap),
        "artifact": (page_related_artifacts, count_related_artifacts, load_artifact_overlap),
    }[kind]
    page_related, count_related, load_overlap = read
    with filled_store(build) as db:
        # The keys of an image and of its repository are the same.
        [page, hidden] = page_related(db, SOME, [2, 1], ALL, effort)
        assert [(3, 6, 2)] == [(row.node.key, row.overlap_bytes, row.layer_count) for row in page.rows]
        assert [] == hidden.rows
        assert [1, 0] == count_related(db, SOME, [2, 1])
        assert [[2, 2, 0], [2, 3, 0], [0, 0, 0]] == load_overlap(db, SOME, [2, 3, 1]).layer_counts


def test_shared_layers() -> None:
    """The layers that two share are shown only where both may be seen."""
    build = StoreBuilder()
    registry = build.registry("one.example")
    layer = build.layer(registry)
    for number in range(3):
        build.image(build.repository(registry, f"r{number}"), [layer])
    with filled_store(build) as db:
        for page, count in (
            (page_repository_overlap, count_repository_overlap),
            (page_artifact_overlap, count_artifact_overlap),
        ):
            pages = page(db, SOME, [(2, 3), (2, 1), (1, 2)], ALL)
            assert [[layer], [], []] == [[row.key for row in found.rows] for found in pages]
            assert [1, 0, 0] == count(db, SOME, [(2, 3), (2, 1), (1, 2)])

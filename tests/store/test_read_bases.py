"""What a figure stands on is what was seen, of the repositories involved and of their registry."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from graph.store.bases import (
    load_namespace_bases,
    load_repository_bases,
    load_set_basis,
    registry_basis,
)
from graph.store.registries import load_registry_statuses
from graph.store.rows import BasisRow, Completeness, Scope
from graph.store.sqlite import driver_of
from graph.store.visibility import Visibility
from store_builders import NOW, StoreBuilder, filled_store, recorded_statements

ALL = Visibility.everything()
LISTED = {"catalog_observed_at": NOW}
SEEN = {"completeness": "COMPLETE", "observed_at": NOW, "crawled_at": NOW}
EARLIER = NOW - timedelta(days=1)


def complete_store() -> StoreBuilder:
    """Registry 1 with `team/web` (1) and `team/api` (2), registry 2 with `base` (3), all of it seen."""
    build = StoreBuilder()
    first, second = build.registry("one.test", **LISTED), build.registry("two.test", **LISTED)
    for registry, name in ((first, "team/web"), (first, "team/api"), (second, "base")):
        build.image(build.repository(registry, name, **SEEN))
    return build


def bases(db: Connection) -> dict[str, BasisRow | None]:
    """What figures over `team/web`, its namespace, a set of it and its registry stand on."""
    with recorded_statements(db) as statements:
        found = {
            "repository": load_repository_bases(db, ALL, [1], Scope.ALL)[0],
            "namespace": load_namespace_bases(db, ALL, [1], Scope.ALL)[0],
            "set": load_set_basis(db, ALL, [1], Scope.ALL),
            "glob": load_set_basis(db, ALL, [1], Scope.ALL, is_open=True),
        }
    assert len(found) == len(statements)
    (status,) = load_registry_statuses(db, ALL, [1])
    assert status is not None
    return {**found, "registry": registry_basis(status, Scope.ALL)}


@pytest.mark.parametrize(
    ("table", "key", "columns", "expected"),
    [
        # Everything was seen.
        ("repository", 1, {}, {}),
        # The repository itself, or one beside it in the namespace, cannot list its untagged manifests.
        (
            "repository",
            1,
            {"completeness": "BEST_EFFORT"},
            dict.fromkeys(["repository", "namespace", "set", "glob", "registry"], "BEST_EFFORT upper"),
        ),
        (
            "repository",
            2,
            {"completeness": "BEST_EFFORT"},
            {
                **dict.fromkeys(["repository", "set", "glob"], "COMPLETE upper"),
                **dict.fromkeys(["namespace", "registry"], "BEST_EFFORT upper"),
            },
        ),
        # One of another registry has nothing to do with it.
        ("repository", 3, {"completeness": "UNKNOWN", "crawled_at": None, "observed_at": None}, {}),
        # Never looked at.
        (
            "repository",
            1,
            {"completeness": "UNKNOWN", "crawled_at": None},
            dict.fromkeys(["repository", "namespace", "set", "glob", "registry"], "UNKNOWN upper lower"),
        ),
        # Looked at, and not crawled to its end.
        (
            "repository",
            1,
            {"crawled_at": None},
            dict.fromkeys(["repository", "namespace", "set", "glob", "registry"], "COMPLETE lower"),
        ),
        # A manifest that is not known, here and elsewhere in the registry.
        (
            "artifact",
            1,
            {"has_manifest": False},
            dict.fromkeys(["repository", "namespace", "set", "glob", "registry"], "COMPLETE upper lower"),
        ),
        (
            "artifact",
            2,
            {"has_manifest": False},
            {
                **dict.fromkeys(["repository", "set", "glob"], "COMPLETE upper"),
                **dict.fromkeys(["namespace", "registry"], "COMPLETE upper lower"),
            },
        ),
        ("artifact", 2, {"has_manifest": False, "absent_at": NOW}, {}),
        # Nobody knows whether there are more repositories.
        (
            "registry",
            1,
            {"catalog_observed_at": None},
            {
                **dict.fromkeys(["repository", "set"], "COMPLETE upper"),
                **dict.fromkeys(["namespace", "glob", "registry"], "UNKNOWN upper lower"),
            },
        ),
    ],
)
def test_bases(table: str, key: int, columns: dict[str, Any], expected: dict[str, str]) -> None:
    """One thing that was not seen weakens what it is part of, and makes bytes exclusive at most so far."""
    build = complete_store()
    build.row(table, key).update(columns)
    with filled_store(build) as db:
        found = bases(db)

    shown = {
        name: " ".join(
            [
                basis.completeness,
                *(["upper"] if basis.exclusive_is_upper_bound else []),
                *(["lower"] if basis.counts_are_lower_bound else []),
            ]
        )
        for name, basis in found.items()
        if basis is not None
    }
    names = ["repository", "namespace", "set", "glob", "registry"]
    assert {**dict.fromkeys(names, "COMPLETE"), **expected} == shown


def test_oldest_look() -> None:
    """The oldest look at a repository involved counts, and no look is none."""
    build = complete_store()
    build.row("repository", 2)["observed_at"] = EARLIER
    build.row("repository", 3)["observed_at"] = None
    with filled_store(build) as db:
        one, two, three = load_repository_bases(db, ALL, [1, 2, 3], Scope.TAGGED)
        both = load_set_basis(db, ALL, [1, 2, 3], Scope.TAGGED)

    assert [NOW, EARLIER, None] == [row and row.oldest_observed_at for row in (one, two, three)]
    assert (EARLIER, Scope.TAGGED) == (both.oldest_observed_at, both.scope)


def test_unknown_keys_and_nothing() -> None:
    """A key that is unknown has no basis; a set of nothing stands on nothing."""
    with filled_store(complete_store()) as db:
        assert [None] == load_repository_bases(db, ALL, [99], Scope.ALL)
        assert [None] == load_namespace_bases(db, ALL, [99], Scope.ALL)
        assert BasisRow(Scope.ALL, Completeness.UNKNOWN, None, True, True) == load_set_basis(
            db, ALL, [], Scope.ALL
        )


def test_plan() -> None:
    """However many repositories and artifacts a registry has, nothing of it is scanned for a basis."""
    with filled_store(complete_store()) as db:
        with recorded_statements(db) as statements:
            load_repository_bases(db, ALL, [1], Scope.ALL)
            load_namespace_bases(db, ALL, [1], Scope.ALL)
            load_registry_statuses(db, ALL, [1])
        plans = [
            row[3]
            for statement, parameters in statements
            for row in driver_of(db).execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]

    assert [] == [line for line in plans if line.startswith("SCAN") and "VIRTUAL TABLE" not in line]
    assert any("ix_artifact_unknown" in line for line in plans)

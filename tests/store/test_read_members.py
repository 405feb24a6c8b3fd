"""The names of a set lead where the rows say, each kind of name in one statement."""

import pytest
from sqlalchemy import Connection

from graph.store.filters import RepositoryFilter
from graph.store.members import (
    FoundArtifact,
    find_artifacts_by_digest,
    find_artifacts_by_tag,
    find_repositories_by_glob,
    find_repositories_by_name,
)
from graph.store.visibility import Visibility
from store_builders import NOW, StoreBuilder, filled_store, recorded_statements

ALL = Visibility.everything()


class Named:
    """A store with something behind every kind of name, and the keys of what is behind them."""

    def __init__(self) -> None:
        self.build = build = StoreBuilder()
        self.registry, self.other = build.registry("one.test"), build.registry("two.test")
        self.web = build.repository(self.registry, "team/web", observed_at=NOW)
        self.listed = build.repository(self.registry, "team/listed")
        self.gone = build.repository(self.registry, "team/gone", observed_at=NOW, absent_at=NOW)
        self.elsewhere = build.repository(self.other, "team/web")
        self.image = build.image(self.web, [build.layer(self.registry)])
        self.left = build.image(self.web, [], absent_at=NOW)
        self.far = build.image(self.elsewhere, [build.layer(self.other)])
        self.tag = build.tag(self.web, "v1", self.image)
        self.denied = build.tag(self.web, "denied", None, error_code="REGISTRY_DENIED")
        build.tag(self.web, "old", self.image, absent_at=NOW)
        build.tag(self.elsewhere, "v1", self.far)

    def digest(self, artifact: int) -> str:
        manifest = self.build.row("artifact", artifact)["manifest_id"]
        return str(self.build.row("blob", manifest)["digest"])


def found_by(db: Connection, named: Named, *tags: tuple[int, str, str]) -> list[FoundArtifact]:
    with recorded_statements(db) as statements:
        found = find_artifacts_by_tag(db, ALL, tags)
    assert 1 == len(statements)
    return found


def test_by_tag() -> None:
    """A tag leads to its artifact; one that is gone, denied or unknown to none; and each says how far."""
    named = Named()
    registry, web = named.registry, named.web
    with filled_store(named.build) as db:
        found = found_by(
            db,
            named,
            (registry, "team/web", "v1"),
            (registry, "team/web", "old"),
            (registry, "team/web", "denied"),
            (registry, "team/listed", "v1"),
            (registry, "nowhere", "v1"),
            (named.other, "team/web", "v1"),
            (registry, "team/web", "v1"),
        )

    assert [
        FoundArtifact(web, named.tag, named.image, is_present=True, is_observed=True),
        FoundArtifact(web, None, None, is_present=False, is_observed=True),
        FoundArtifact(web, named.denied, None, is_present=False, is_observed=True),
        FoundArtifact(named.listed),
        FoundArtifact(),
        FoundArtifact(named.elsewhere, found[5].tag_key, named.far, is_present=True, is_observed=True),
        found[0],
    ] == found


def test_by_digest() -> None:
    """A digest leads to the artifact of that repository alone, and tells one that is gone."""
    named = Named()
    with filled_store(named.build) as db, recorded_statements(db) as statements:
        found = find_artifacts_by_digest(
            db,
            ALL,
            [
                (named.registry, "team/web", named.digest(named.image)),
                (named.registry, "team/web", named.digest(named.left)),
                (named.registry, "team/listed", named.digest(named.image)),
                (named.other, "team/web", named.digest(named.image)),
            ],
        )

    assert 1 == len(statements)
    assert [
        FoundArtifact(named.web, None, named.image, is_present=True, is_observed=True),
        FoundArtifact(named.web, None, named.left, is_present=False, is_observed=True),
        FoundArtifact(named.listed),
        FoundArtifact(named.elsewhere, is_observed=True),
    ] == found


def test_repositories_by_name() -> None:
    """A name leads to the repository of its registry, be it absent or never looked at; it says which."""
    named = Named()
    names = [(named.registry, name) for name in ("team/web", "team/listed", "team/gone", "nowhere")]
    with filled_store(named.build) as db, recorded_statements(db) as statements:
        found = find_repositories_by_name(db, ALL, [*names, (named.other, "team/web")])

    assert 1 == len(statements)
    assert [
        (named.web, True, True, 1),
        (named.listed, True, False, 0),
        (named.gone, False, True, 0),
        None,
        (named.elsewhere, True, True, 1),
    ] == [row and (row.key, row.is_present, row.is_observed, row.artifact_count) for row in found]


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("team/*", ["team/listed", "team/web"]),
        ("*e*/w?b", ["team/web"]),
        ("*", ["team/listed", "team/web"]),
        ("nothing*", []),
        ("team/[w]*", []),
    ],
)
def test_repositories_by_glob(glob: str, expected: list[str]) -> None:
    """A glob leads to the present repositories of its registry whose whole names match, by name."""
    named = Named()
    wanted = (named.registry, RepositoryFilter(name=glob))
    everywhere = (named.other, RepositoryFilter(name="*"))
    with filled_store(named.build) as db, recorded_statements(db) as statements:
        found, others = find_repositories_by_glob(db, ALL, [wanted, everywhere], 10)

    assert 1 == len(statements)
    assert expected == [row.name for row in found]
    assert [named.elsewhere] == [row.key for row in others]


def test_globs_have_a_limit() -> None:
    """No more rows are read than asked for, however many match."""
    named = Named()
    everything = [(key, RepositoryFilter(name="*")) for key in (named.registry, named.other)]
    with filled_store(named.build) as db:
        assert 2 == sum(map(len, find_repositories_by_glob(db, ALL, everything, 2)))

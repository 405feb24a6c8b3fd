"""Any sequence of looks leaves every figure right: against the oracle, and against a recount."""

import string
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, text

from builders import (
    EMPTY_CONFIG,
    EMPTY_LAYER,
    Built,
    make_artifact,
    make_config,
    make_descriptor,
    make_image,
    make_index,
    make_layer,
    make_sbom,
    make_signature,
)
from graph.oci.digest import Digest
from graph.oci.reference import RegistryName, RepositoryName, TagName
from graph.store.changes import (
    ArtifactChange,
    ConfiguredRegistry,
    Discovery,
    RepositoryChanges,
    TagChange,
)
from graph.store.content import put_manifests
from graph.store.engine import Store, open_store
from graph.store.observations import set_catalog_page, set_registries, set_repositories
from graph.store.recount import recount
from store_oracle import Oracle, Repository
from store_writes import DENIED, START, fetched

REPOSITORIES = ("web", "team/web", "team/deep/api")


def _universe() -> dict[str, Built]:
    """Content of every awkward kind that shares as much as it can."""
    layers = [make_layer(letter) for letter in string.ascii_lowercase[:5]]
    foreign = make_descriptor("windows", 5000, urls=["https://example.com/layer"])
    images = [
        make_image(layers[:3]),
        make_image(layers[1:4]),
        make_image(layers[:2], config=make_config(layers[:3])),  # another image's config
        make_image([layers[0], layers[0], EMPTY_LAYER, foreign]),
        make_image([make_descriptor("windows", 5000), layers[4]]),  # the same, not foreign here
        make_image([make_descriptor("claimed", 10)]),
        make_image([make_descriptor("claimed", 20), layers[4]]),  # another size for it
        make_image([make_config(layers[1:4]), EMPTY_CONFIG]),  # layers that are configs elsewhere
    ]
    images.append(make_image([images[0].descriptor(), layers[2]]))  # a layer that is a manifest elsewhere
    small = make_index([images[0], images[1]])
    nested = make_index([small, images[3]])
    twin = make_index([images[1], images[1], make_descriptor("missing", 77), images[4]])
    wrong = make_index([{**images[5].descriptor(), "size": 3}])  # a size that is not the child's
    sbom, unseen = make_sbom(images[0]), make_artifact(subject=make_descriptor("unseen", 9))
    of_index, of_sbom = make_sbom(nested), make_artifact("application/x", subject=sbom)
    plain = make_artifact("application/plain")
    fallback = make_index([sbom, plain])
    signature = make_signature(images[1])
    return {
        **{f"image {n}": image for n, image in enumerate(images)},
        "small": small,
        "nested": nested,
        "twin": twin,
        "wrong": wrong,
        "sbom": sbom,
        "unseen": unseen,
        "of index": of_index,
        "of sbom": of_sbom,
        "plain": plain,
        "fallback": fallback,
        "signature": signature,
    }


UNIVERSE = _universe()
IMAGE, SIGNATURE = UNIVERSE["image 0"], UNIVERSE["signature"]
DASHED = IMAGE.digest.replace(":", "-")
TAGS = ("latest", "v1", "v2", DASHED, f"{DASHED}.att", SIGNATURE.tag or "", f"sha512-{64 * 'a'}")

# Drawn by name: a failing example then reads like a story.
contents = st.sampled_from(sorted(UNIVERSE))
names = st.sampled_from(REPOSITORIES)
some = st.sets(contents, max_size=6)


class Looks(RuleBasedStateMachine):
    """Every way in which knowledge arrives, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.store: Store | None = None

    @initialize()
    def open(self) -> None:
        self.store = open_store(":memory:")
        self.oracle = Oracle()
        self.now = START
        self.waiting: dict[str, tuple[RepositoryChanges, Callable[[], None]]] = {}
        with self.store.transaction() as db:
            configured = ConfiguredRegistry(RegistryName("registry"), "http://registry", "oci")
            (self.registry,) = set_registries(db, [configured], START)
            keys = set_catalog_page(db, self.registry, [RepositoryName(name) for name in REPOSITORIES], START)
        self.keys = dict(zip(REPOSITORIES, keys, strict=True))
        self.oracle.repositories = {name: Repository() for name in REPOSITORIES}

    def teardown(self) -> None:
        if self.store is not None:
            self.store.close()

    @rule(names=st.lists(contents, max_size=8), with_config=st.booleans())
    def put(self, names: list[str], with_config: bool) -> None:
        """Manifests are fetched, some of them again."""
        assert self.store is not None
        news = [fetched(UNIVERSE[name], with_config=with_config) for name in names]
        with self.store.transaction() as db:
            put_manifests(db, self.registry, news, self.now)
        for new in news:
            self.oracle.put(new.manifest.digest, new.data, new.config_data)

    @rule(
        name=names,
        tags=st.dictionaries(st.sampled_from(TAGS), st.none() | contents, max_size=4),
        absent_tags=st.sets(st.sampled_from(TAGS), max_size=3),
        present=some,
        observed=some,
        absent=some,
        with_sizes=st.booleans(),
        is_complete=st.booleans(),
        is_last=st.booleans(),
    )
    def look(
        self,
        name: str,
        tags: dict[str, str | None],
        absent_tags: set[str],
        present: set[str],
        observed: set[str],
        absent: set[str],
        with_sizes: bool,
        is_complete: bool,
        is_last: bool,
    ) -> None:
        """A repository is looked at, in whole or in part; written down with the looks at others before it."""
        if name in self.waiting:
            self._write()
        targets = {tag: None if content is None else _digest(content) for tag, content in tags.items()}
        claimed = {_digest(name): UNIVERSE[name].size + 1 if with_sizes else None for name in sorted(present)}
        changes = RepositoryChanges(
            at=self._tick(),
            tags=[
                TagChange(TagName(tag), digest, None if digest else DENIED) for tag, digest in targets.items()
            ],
            absent_tags=[TagName(tag) for tag in sorted(absent_tags)],
            present=[ArtifactChange(d, Discovery.CHILD, size=size) for d, size in claimed.items()],
            observed=[_digest(content) for content in sorted(observed)],
            absent=[_digest(content) for content in sorted(absent)],
            is_tag_list_complete=is_complete,
        )
        seen: dict[str, int | None] = {**dict.fromkeys(changes.observed), **claimed}
        tell = partial(
            self.oracle.look, name, dict(targets), absent_tags, seen, set(changes.absent), is_complete
        )
        self.waiting[name] = (changes, tell)
        if is_last:
            self._write()

    @rule(name=names)
    def end(self, name: str) -> None:
        """A repository is gone."""
        if name in self.waiting:
            self._write()
        self.waiting[name] = (RepositoryChanges(self._tick(), is_absent=True), partial(self.oracle.end, name))
        self._write()

    def _tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def _write(self) -> None:
        assert self.store is not None
        with self.store.transaction() as db:
            looks = {self.keys[name]: changes for name, (changes, _) in self.waiting.items()}
            set_repositories(db, looks)
        for _, tell in self.waiting.values():
            tell()
        self.waiting.clear()

    @invariant()
    def is_right(self) -> None:
        """The store says what the oracle says, and a recount finds nothing to correct."""
        if self.store is None:
            return
        with self.store.transaction() as db:
            stored = _stored(db)
            differences = recount(db)
            broken = db.execute(text("PRAGMA foreign_key_check")).all()
        expected = self.oracle.expected()
        for table, rows in expected.items():
            assert rows == stored[table], table
        assert [] == differences
        assert [] == broken


def _digest(content: str) -> Digest:
    return Digest(UNIVERSE[content].digest)


_TOTALS = """{0}.artifact_count, {0}.layer_count, {0}.logical_bytes, {0}.stored_bytes,
{0}.live_artifact_count, {0}.live_layer_count, {0}.live_logical_bytes, {0}.live_stored_bytes"""


def _stored(db: Connection) -> dict[str, dict[Any, Any]]:
    """What the store says, by names and digests."""
    artifacts = (
        "artifact AS a JOIN repository AS r ON r.id = a.repository_id JOIN blob AS b ON b.id = a.manifest_id"
    )
    moves: dict[Any, list[Any]] = {}
    for name, tag, old, new in _read(
        db,
        """
        SELECT r.name, t.name, old.digest, new.digest FROM tag_move AS m
        JOIN tag AS t ON t.id = m.tag_id JOIN repository AS r ON r.id = t.repository_id
        LEFT JOIN artifact AS o ON o.id = m.from_artifact_id LEFT JOIN blob AS old ON old.id = o.manifest_id
        LEFT JOIN artifact AS n ON n.id = m.to_artifact_id LEFT JOIN blob AS new ON new.id = n.manifest_id
        ORDER BY m.id
        """,
    ):
        moves.setdefault((name, tag), []).append((old, new))
    return {
        "repository": _table(
            db, f"SELECT r.name, r.absent_at IS NULL, r.tag_count, {_TOTALS.format('r')} FROM repository AS r"
        ),
        "registry": _table(
            db, f"SELECT r.name, r.repository_count, {_TOTALS.format('r')} FROM registry AS r"
        ),
        "namespace": dict(
            _read(db, "SELECT name, repository_count FROM namespace WHERE repository_count <> 0")
        ),
        "artifact": _table(
            db,
            f"""
            SELECT r.name, b.digest, 1, a.has_manifest, a.is_live, a.untagged, a.size, a.tag_count
            FROM {artifacts} WHERE a.absent_at IS NULL
            """,
            2,
        ),
        "absent": {
            tuple(row): True
            for row in _read(db, f"SELECT r.name, b.digest FROM {artifacts} WHERE a.absent_at IS NOT NULL")
        },
        "tag": {
            (name, tag): digest
            for name, tag, digest in _read(
                db,
                """
                SELECT r.name, t.name, b.digest FROM tag AS t JOIN repository AS r ON r.id = t.repository_id
                LEFT JOIN artifact AS a ON a.id = t.artifact_id LEFT JOIN blob AS b ON b.id = a.manifest_id
                WHERE t.absent_at IS NULL
                """,
            )
        },
        "move": moves,
        "referrer": {
            tuple(edge): via
            for *edge, via in _read(
                db,
                """
                SELECT r.name, s.digest, b.digest, e.via FROM referrer AS e
                JOIN repository AS r ON r.id = e.repository_id JOIN blob AS s ON s.id = e.subject_id
                JOIN artifact AS a ON a.id = e.artifact_id JOIN blob AS b ON b.id = a.manifest_id
                """,
            )
        },
        "repository_blob": _table(
            db,
            """
            SELECT r.name, b.digest, rb.artifact_count, rb.live_artifact_count FROM repository_blob AS rb
            JOIN repository AS r ON r.id = rb.repository_id JOIN blob AS b ON b.id = rb.blob_id
            """,
            2,
        ),
        "blob": _table(
            db,
            """
            SELECT digest, size, is_size_verified, has_size_conflict, is_layer, is_foreign, artifact_count,
                live_artifact_count, repository_count, live_repository_count, saved_bytes FROM blob
            """,
        ),
    }


def _read(db: Connection, sql: str) -> Iterator[Any]:
    return iter(db.execute(text(sql)).all())


def _table(db: Connection, sql: str, keys: int = 1) -> dict[Any, Any]:
    return {row[0] if keys == 1 else tuple(row[:keys]): tuple(row[keys:]) for row in _read(db, sql)}


def test_looks() -> None:
    """Counters, standings, sizes and moves are exact after any sequence of looks at several repositories."""
    run_state_machine_as_test(
        Looks,
        settings=settings(
            max_examples=40,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )

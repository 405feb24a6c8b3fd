"""Count everything that is derived once more, from nothing, and say where the store differs.

Rules of this file: it reads and never writes; it shares no statement with the code that keeps the figures,
and is written for plainness: sets in Python, one repository after the other, then sums over the whole. Each
step stands on what the one before has checked. Only who is live is asked of the same rule,
`oci.liveness.classify`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Connection, text

from graph.oci.liveness import classify
from graph.oci.reference import ancestors_of

# Differences that are reported. A store with more is broken throughout, and nobody reads further.
MAX_DIFFERENCES = 1_000


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure that is not what a recount finds; `place` says of what."""

    place: str
    stored: Any
    counted: Any


def recount(db: Connection) -> list[Difference]:
    """Return where derived figures differ from a recount, at most MAX_DIFFERENCES; none when all is right.

    Reads the whole store: minutes for a large one. Memory grows with the largest repository.
    """
    return list(islice(_recount(db), MAX_DIFFERENCES))


def _recount(db: Connection) -> Iterator[Difference]:
    for (key,) in _rows(db, "SELECT id FROM repository ORDER BY id"):
        yield from _Repository.load(db, key).differences(db)
    yield from _count_strays(db)
    yield from _count_blobs(db)
    yield from _count_registries(db)
    yield from _count_namespaces(db)


def _rows(db: Connection, sql: str, **parameters: int) -> list[Any]:
    return list(db.execute(text(sql), parameters).all())


def _compare(place: str, stored: Any, counted: Any) -> Iterator[Difference]:
    if stored != counted:
        yield Difference(place, stored, counted)


@dataclass(slots=True)
class _Artifact:
    key: int
    manifest: int
    has_manifest: bool
    is_present: bool
    is_live: bool
    untagged: str | None
    tag_count: int
    size: int | None
    shown: tuple[Any, ...]
    own: tuple[Any, ...]  # the same, of the manifest
    config: int | None
    subject: int | None
    content_bytes: int | None
    layers: list[int] = field(default_factory=list)
    children: list[int] = field(default_factory=list)

    @property
    def content(self) -> set[int]:
        blobs = {self.manifest}
        if self.has_manifest:
            blobs.update(self.layers)
            if self.config is not None:
                blobs.add(self.config)
        return blobs


def _load_artifacts(db: Connection, repository: int) -> Iterator[_Artifact]:
    for row in _rows(
        db,
        """
        SELECT a.id, a.manifest_id, a.has_manifest, a.absent_at IS NULL, a.is_live,
            a.untagged, a.tag_count, a.size,
            a.kind, a.artifact_type, a.os, a.architecture, a.created_at,
            m.kind, m.artifact_type, m.os, m.architecture, m.created_at,
            m.config_id, m.subject_id, m.content_bytes
        FROM artifact AS a LEFT JOIN manifest AS m ON m.blob_id = a.manifest_id
        WHERE a.repository_id = :key
        """,
        key=repository,
    ):
        key, manifest, has_manifest, is_present, is_live, untagged, tag_count, size = row[:8]
        config, subject, content_bytes = row[18:]
        yield _Artifact(
            key,
            manifest,
            bool(has_manifest),
            bool(is_present),
            bool(is_live),
            untagged,
            tag_count,
            size,
            shown=tuple(row[8:13]),
            own=tuple(row[13:18]) if has_manifest else ("UNKNOWN", None, None, None, None),
            config=config,
            subject=subject,
            content_bytes=content_bytes,
        )


_LISTED = """
SELECT a.id, l.{column} FROM artifact AS a JOIN {table} AS l ON l.manifest_id = a.manifest_id
WHERE a.repository_id = :key
"""


@dataclass(slots=True)
class _Repository:
    """One repository, and what follows from it."""

    key: int
    artifacts: dict[int, _Artifact]
    by_manifest: dict[int, _Artifact]
    tags: list[
        tuple[int | None, int | None, bool, bool]
    ]  # artifact, subject, is_referrer_tag, is_fallback_tag
    blobs: dict[int, tuple[int, int, int]]  # bytes, stored bytes, 1 for a layer

    @classmethod
    def load(cls, db: Connection, key: int) -> "_Repository":
        artifacts = {artifact.key: artifact for artifact in _load_artifacts(db, key)}
        for artifact, layer in _rows(db, _LISTED.format(column="blob_id", table="manifest_layer"), key=key):
            artifacts[artifact].layers.append(layer)
        for artifact, child in _rows(db, _LISTED.format(column="child_id", table="manifest_child"), key=key):
            artifacts[artifact].children.append(child)
        tags = _rows(
            db,
            """
            SELECT artifact_id, referrer_subject_id, is_referrer_tag, is_fallback_tag FROM tag
            WHERE repository_id = :key AND absent_at IS NULL
            """,
            key=key,
        )
        blobs = _rows(
            db,
            """
            SELECT id, COALESCE(size, 0), CASE WHEN is_foreign THEN 0 ELSE COALESCE(size, 0) END, is_layer
            FROM blob WHERE id IN (
                SELECT a.manifest_id FROM artifact AS a WHERE a.repository_id = :key
                UNION SELECT m.config_id FROM artifact AS a JOIN manifest AS m ON m.blob_id = a.manifest_id
                WHERE a.repository_id = :key
                UNION SELECT l.blob_id FROM artifact AS a
                JOIN manifest_layer AS l ON l.manifest_id = a.manifest_id WHERE a.repository_id = :key)
            """,
            key=key,
        )
        return cls(
            key,
            artifacts,
            {artifact.manifest: artifact for artifact in artifacts.values()},
            [(target, subject, bool(flag), bool(fallback)) for target, subject, flag, fallback in tags],
            {blob: (size, stored, int(layer)) for blob, size, stored, layer in blobs},
        )

    @property
    def present(self) -> list[_Artifact]:
        return [artifact for artifact in self.artifacts.values() if artifact.is_present]

    def differences(self, db: Connection) -> Iterator[Difference]:
        yield from self._count_tags(db)
        yield from self._count_referrers(db)
        yield from self._count_standings()
        for artifact in self.artifacts.values():
            yield from _compare(f"artifact {artifact.key} copies", artifact.shown, artifact.own)
        yield from self._count_sizes()
        yield from self._count_contents(db)
        yield from self._count_totals(db)

    def _count_tags(self, db: Connection) -> Iterator[Difference]:
        counts = Counter(target for target, _, is_referrer_tag, _ in self.tags if not is_referrer_tag)
        for key, artifact in self.artifacts.items():
            yield from _compare(f"artifact {key} tag_count", artifact.tag_count, counts[key])
        ((stored,),) = _rows(db, "SELECT tag_count FROM repository WHERE id = :key", key=self.key)
        yield from _compare(f"repository {self.key} tag_count", stored, counts.total())

    def _edges(self) -> dict[tuple[int, int], str]:
        """Return (subject, artifact) and how the one refers to the other; the strongest claim is kept."""
        edges: dict[tuple[int, int], str] = {}
        for target, subject, _, is_fallback_tag in self.tags:
            artifact = None if target is None else self.artifacts[target]
            if artifact is None or subject is None or not artifact.is_present:
                continue
            via = "FALLBACK_INDEX" if is_fallback_tag else "REFERRER_TAG"
            if via == "REFERRER_TAG" or (subject, artifact.key) not in edges:
                edges[subject, artifact.key] = via
            for child in artifact.children if is_fallback_tag and artifact.has_manifest else ():
                held = self.by_manifest.get(child)
                if held is not None and held.is_present and child != subject:
                    edges[subject, held.key] = "REFERRER_TAG"
        for artifact in self.present:
            if artifact.has_manifest and artifact.subject is not None:
                edges[artifact.subject, artifact.key] = "SUBJECT"
        return edges

    def _count_referrers(self, db: Connection) -> Iterator[Difference]:
        stored = {
            (subject, artifact): via
            for subject, artifact, via in _rows(
                db,
                "SELECT subject_id, artifact_id, via FROM referrer WHERE repository_id = :key",
                key=self.key,
            )
        }
        yield from _compare(f"repository {self.key} referrer", stored, self._edges())

    def _count_standings(self) -> Iterator[Difference]:
        referrers: dict[int | None, list[int]] = defaultdict(list)
        for subject, key in self._edges():
            found = self.by_manifest.get(subject)
            if found is None or found.is_present:
                referrers[None if found is None else found.key].append(key)
        children = {
            artifact.key: [
                self.by_manifest[child].key for child in artifact.children if child in self.by_manifest
            ]
            for artifact in self.present
            if artifact.has_manifest
        }
        present = [artifact.key for artifact in self.present]
        tagged = [artifact.key for artifact in self.present if artifact.tag_count]
        standings = classify(present, tagged, children, referrers)
        for key, artifact in self.artifacts.items():
            standing = standings.get(key)
            counted: tuple[bool, str | None] = (False, None if artifact.tag_count else "DANGLING")
            if standing is not None:
                counted = (standing.is_live, standing.untagged)
            yield from _compare(f"artifact {key} standing", (artifact.is_live, artifact.untagged), counted)

    def _down(self, artifact: _Artifact) -> list[_Artifact]:
        found = {artifact.key: artifact}
        waiting = [artifact]
        while waiting:
            above = waiting.pop()
            for child in above.children if above.has_manifest else ():
                below = self.by_manifest.get(child)
                if below is not None and below.is_present and below.key not in found:
                    found[below.key] = below
                    waiting.append(below)
        return list(found.values())

    def _count_sizes(self) -> Iterator[Difference]:
        for artifact in self.present:
            down = self._down(artifact)
            size = None
            if all(member.has_manifest for member in down):
                size = sum(self.blobs[blob][0] for blob in set().union(*(member.content for member in down)))
            yield from _compare(f"artifact {artifact.key} size", artifact.size, size)
            if artifact.has_manifest:
                own = sum(self.blobs[blob][0] for blob in artifact.content)
                place = f"manifest {artifact.manifest} content_bytes"
                yield from _compare(place, artifact.content_bytes, own)

    def _count_contents(self, db: Connection) -> Iterator[Difference]:
        stored: dict[int, set[int]] = defaultdict(set)
        for artifact, blob in _rows(
            db,
            """
            SELECT ab.artifact_id, ab.blob_id FROM artifact_blob AS ab
            WHERE ab.artifact_id IN (SELECT id FROM artifact WHERE repository_id = :key)
            """,
            key=self.key,
        ):
            stored[artifact].add(blob)
        for key, artifact in self.artifacts.items():
            counted = artifact.content if artifact.is_present else set()
            yield from _compare(f"artifact {key} artifact_blob", stored[key], counted)
        rows = {
            blob: (bool(is_layer), count, live)
            for blob, is_layer, count, live in _rows(
                db,
                """
                SELECT blob_id, is_layer, artifact_count, live_artifact_count FROM repository_blob
                WHERE repository_id = :key
                """,
                key=self.key,
            )
        }
        yield from _compare(f"repository {self.key} repository_blob", rows, self._uses())

    def _uses(self) -> dict[int, tuple[bool, int, int]]:
        uses = Counter(blob for artifact in self.present for blob in artifact.content)
        live = Counter(blob for artifact in self.present if artifact.is_live for blob in artifact.content)
        return {blob: (bool(self.blobs[blob][2]), count, live[blob]) for blob, count in uses.items()}

    def _count_totals(self, db: Connection) -> Iterator[Difference]:
        counted: list[int] = []
        for members in (self.present, [artifact for artifact in self.present if artifact.is_live]):
            used = [blob for artifact in members for blob in artifact.content]
            counted += [
                len(members),
                sum(self.blobs[blob][2] for blob in set(used)),
                sum(self.blobs[blob][0] for blob in used),
                sum(self.blobs[blob][1] for blob in set(used)),
            ]
        stored = _rows(db, f"SELECT {_TOTALS} FROM repository WHERE id = :key", key=self.key)[0]
        yield from _compare(f"repository {self.key} totals", list(stored), counted)


_TOTALS = """artifact_count, layer_count, logical_bytes, stored_bytes,
    live_artifact_count, live_layer_count, live_logical_bytes, live_stored_bytes"""


def _count_strays(db: Connection) -> Iterator[Difference]:
    """Rows that describe what is not there at all."""
    for table in ("artifact_blob", "referrer"):
        stray = f"SELECT COUNT(*) FROM {table} WHERE artifact_id NOT IN (SELECT id FROM artifact)"
        yield from _compare(f"{table} without artifact", _rows(db, stray)[0][0], 0)
    layers = "SELECT COUNT(*) FROM blob WHERE is_layer <> (id IN (SELECT blob_id FROM manifest_layer))"
    yield from _compare("blobs with a wrong is_layer", _rows(db, layers)[0][0], 0)


def _count_blobs(db: Connection) -> Iterator[Difference]:
    used = db.execute(
        text(
            """
            SELECT b.id, b.artifact_count, b.live_artifact_count, b.repository_count, b.live_repository_count,
                b.saved_bytes, COALESCE(b.size, 0), b.is_layer AND NOT b.is_empty AND NOT b.is_foreign,
                COUNT(a.id), COUNT(CASE WHEN a.is_live THEN 1 END),
                COUNT(DISTINCT a.repository_id), COUNT(DISTINCT CASE WHEN a.is_live THEN a.repository_id END)
            FROM blob AS b
            LEFT JOIN artifact_blob AS ab ON ab.blob_id = b.id
            LEFT JOIN artifact AS a ON a.id = ab.artifact_id
            GROUP BY b.id ORDER BY b.id
            """
        )
    )
    for key, *stored, size, is_saved, artifacts, live, repositories, live_repositories in used:
        saved = size * (artifacts - 1) if is_saved and artifacts > 1 else 0
        counted = [artifacts, live, repositories, live_repositories, saved]
        yield from _compare(f"blob {key} counters", stored, counted)


def _count_registries(db: Connection) -> Iterator[Difference]:
    for key, repositories, *stored in _rows(db, f"SELECT id, repository_count, {_TOTALS} FROM registry"):
        present = "SELECT COUNT(*) FROM repository WHERE registry_id = :key AND absent_at IS NULL"
        yield from _compare(
            f"registry {key} repository_count", repositories, _rows(db, present, key=key)[0][0]
        )
        counted: list[int] = []
        for live in ("", "live_"):
            counted += _rows(
                db,
                f"SELECT COALESCE(SUM({live}artifact_count), 0) FROM repository WHERE registry_id = :key",
                key=key,
            )[0]
            counted += _rows(
                db,
                f"""
                SELECT COALESCE(SUM(CASE WHEN is_layer AND {live}artifact_count > 0 THEN 1 ELSE 0 END), 0),
                    COALESCE(SUM(COALESCE(size, 0) * {live}artifact_count), 0),
                    COALESCE(SUM(CASE WHEN {live}artifact_count > 0 AND NOT is_foreign
                        THEN COALESCE(size, 0) ELSE 0 END), 0)
                FROM blob WHERE registry_id = :key
                """,
                key=key,
            )[0]
        yield from _compare(f"registry {key} totals", stored, counted)


def _count_namespaces(db: Connection) -> Iterator[Difference]:
    counted: Counter[tuple[int, str]] = Counter()
    for registry, name in _rows(db, "SELECT registry_id, name FROM repository WHERE absent_at IS NULL"):
        counted.update((registry, namespace) for namespace in ancestors_of(name))
    stored = Counter(
        {
            (registry, name): count
            for registry, name, count in _rows(
                db, "SELECT registry_id, name, repository_count FROM namespace"
            )
        }
    )
    for place in counted.keys() | stored.keys():
        yield from _compare(f"namespace {place}", stored[place], counted[place])

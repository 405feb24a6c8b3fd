"""What follows from the rows of one repository, and where the store says otherwise.

Rules of this file: it loads what was observed of one repository, works everything out in sets, and compares.
Only who is live is asked of the same rule as the writes ask, `oci.liveness.classify`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from graph.oci.liveness import classify
from graph.oci.reference import TagName
from graph.oci.tags import ReferrerTagForm, parse_referrer_tag, version_key
from graph.store.recount.difference import Difference, compare, rows_of

TOTALS = """artifact_count, layer_count, logical_bytes, stored_bytes,
    live_artifact_count, live_layer_count, live_logical_bytes, live_stored_bytes"""


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
    for row in rows_of(
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
class RepositoryRecount:
    """One repository, and what follows from it."""

    key: int
    artifacts: dict[int, _Artifact]
    by_manifest: dict[int, _Artifact]
    # Of present tags: artifact, subject, is_referrer_tag, is_fallback_tag.
    tags: list[tuple[int | None, int | None, bool, bool]]
    # Of all tags, by name: version_key, the subject's digest, is_referrer_tag, is_fallback_tag.
    names: dict[str, tuple[str, str | None, bool, bool]]
    blobs: dict[int, tuple[int, int, int]]  # bytes, stored bytes, 1 for a layer

    @classmethod
    def load(cls, db: Connection, key: int) -> "RepositoryRecount":
        artifacts = {artifact.key: artifact for artifact in _load_artifacts(db, key)}
        for artifact, layer in rows_of(db, _LISTED.format(column="blob_id", table="manifest_layer"), key=key):
            artifacts[artifact].layers.append(layer)
        for artifact, child in rows_of(
            db, _LISTED.format(column="child_id", table="manifest_child"), key=key
        ):
            artifacts[artifact].children.append(child)
        tags = rows_of(
            db,
            """
            SELECT t.artifact_id, t.referrer_subject_id, t.is_referrer_tag, t.is_fallback_tag,
                t.absent_at IS NULL, t.name, t.version_key, s.digest
            FROM tag AS t LEFT JOIN blob AS s ON s.id = t.referrer_subject_id
            WHERE t.repository_id = :key
            """,
            key=key,
        )
        blobs = rows_of(
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
            [
                (target, subject, bool(flag), bool(fallback))
                for target, subject, flag, fallback, is_present, *_ in tags
                if is_present
            ],
            {
                name: (version, subject, bool(flag), bool(fallback))
                for _, _, flag, fallback, _, name, version, subject in tags
            },
            {blob: (size, stored, int(layer)) for blob, size, stored, layer in blobs},
        )

    @property
    def present(self) -> list[_Artifact]:
        return [artifact for artifact in self.artifacts.values() if artifact.is_present]

    def differences(self, db: Connection) -> Iterator[Difference]:
        yield from self._read_names()
        yield from self._count_tags(db)
        yield from self._count_referrers(db)
        yield from self._count_standings()
        for artifact in self.artifacts.values():
            yield from compare(f"artifact {artifact.key} copies", artifact.shown, artifact.own)
        yield from self._count_sizes()
        yield from self._count_contents(db)
        yield from self._count_totals(db)

    def _read_names(self) -> Iterator[Difference]:
        for name, stored in self.names.items():
            tag = parse_referrer_tag(TagName(name))
            subject = None if tag is None else str(tag.subject or "")
            if subject == "":  # the tag holds half of it: what was known when it was seen tells the rest
                half = f"{name[:6]}:{name[7:71]}"
                subject = stored[1] if (stored[1] or "").startswith(half) else half
            is_fallback = tag is not None and tag.form is ReferrerTagForm.FALLBACK
            read = (version_key(name), subject, tag is not None, is_fallback)
            yield from compare(f"repository {self.key} tag {name!r}", stored, read)

    def _count_tags(self, db: Connection) -> Iterator[Difference]:
        counts = Counter(target for target, _, is_referrer_tag, _ in self.tags if not is_referrer_tag)
        for key, artifact in self.artifacts.items():
            yield from compare(f"artifact {key} tag_count", artifact.tag_count, counts[key])
        ((stored,),) = rows_of(db, "SELECT tag_count FROM repository WHERE id = :key", key=self.key)
        yield from compare(f"repository {self.key} tag_count", stored, counts.total())

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
            for subject, artifact, via in rows_of(
                db,
                "SELECT subject_id, artifact_id, via FROM referrer WHERE repository_id = :key",
                key=self.key,
            )
        }
        yield from compare(f"repository {self.key} referrer", stored, self._edges())

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
            yield from compare(f"artifact {key} standing", (artifact.is_live, artifact.untagged), counted)

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
            yield from compare(f"artifact {artifact.key} size", artifact.size, size)
            if artifact.has_manifest:
                own = sum(self.blobs[blob][0] for blob in artifact.content)
                place = f"manifest {artifact.manifest} content_bytes"
                yield from compare(place, artifact.content_bytes, own)

    def _count_contents(self, db: Connection) -> Iterator[Difference]:
        stored: dict[int, set[int]] = defaultdict(set)
        for artifact, blob in rows_of(
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
            yield from compare(f"artifact {key} artifact_blob", stored[key], counted)
        rows = {
            blob: (bool(is_layer), count, live)
            for blob, is_layer, count, live in rows_of(
                db,
                """
                SELECT blob_id, is_layer, artifact_count, live_artifact_count FROM repository_blob
                WHERE repository_id = :key
                """,
                key=self.key,
            )
        }
        yield from compare(f"repository {self.key} repository_blob", rows, self._uses())

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
        stored = rows_of(db, f"SELECT {TOTALS} FROM repository WHERE id = :key", key=self.key)[0]
        yield from compare(f"repository {self.key} totals", list(stored), counted)

"""The size of an artifact: the bytes of content(down({a})), each digest once (docs/glossary.md).

Rules of this file: sizes of present artifacts whose manifest is known are set here and nowhere else, from
`artifact_blob` and `blob` as they are at that moment. An index weighs what its present children weigh with
it, and has no size while the manifest of one of them is not known. Cycles end: each artifact is visited once
per index.
"""

from collections.abc import Collection

from sqlalchemy import Connection

from graph.store.bulk import read_column, read_rows, run_rows

# The artifacts and what holds them. A child is held only where it is: in the same repository, present.
_HOLDERS = """
WITH RECURSIVE up (id) AS (
    SELECT value FROM {keys} AS k
    UNION
    SELECT p.id
    FROM up
    CROSS JOIN artifact AS a
    CROSS JOIN manifest_child AS c
    CROSS JOIN artifact AS p
    WHERE a.id = up.id AND c.child_id = a.manifest_id
        AND p.repository_id = a.repository_id AND p.manifest_id = c.manifest_id
        AND p.absent_at IS NULL AND p.has_manifest
)
SELECT id FROM up
"""

_OWN = """
SELECT a.id, a.manifest_id, a.size, m.content_bytes, m.child_count,
    (SELECT SUM(COALESCE(b.size, 0))
        FROM artifact_blob AS ab JOIN blob AS b ON b.id = ab.blob_id
        WHERE ab.artifact_id = a.id)
FROM {keys} AS k
JOIN artifact AS a ON a.id = k.value
JOIN manifest AS m ON m.blob_id = a.manifest_id
WHERE a.absent_at IS NULL AND a.has_manifest
"""

_DOWN = """
WITH RECURSIVE down (root, repository_id, id, manifest_id, has_manifest) AS (
    SELECT a.id, a.repository_id, a.id, a.manifest_id, a.has_manifest
    FROM {keys} AS k JOIN artifact AS a ON a.id = k.value
    UNION
    SELECT down.root, x.repository_id, x.id, x.manifest_id, x.has_manifest
    FROM down
    CROSS JOIN manifest_child AS c
    CROSS JOIN artifact AS x
    WHERE c.manifest_id = down.manifest_id
        AND x.repository_id = down.repository_id AND x.manifest_id = c.child_id
        AND x.absent_at IS NULL AND down.has_manifest
)
"""

_UNKNOWN = _DOWN + "SELECT DISTINCT root FROM down WHERE NOT has_manifest"

_SUMS = (
    _DOWN
    + """
SELECT held.root, SUM(COALESCE(b.size, 0))
FROM (SELECT DISTINCT down.root, ab.blob_id
    FROM down JOIN artifact_blob AS ab ON ab.artifact_id = down.id) AS held
JOIN blob AS b ON b.id = held.blob_id
GROUP BY held.root
"""
)


def set_sizes(db: Connection, artifact_ids: Collection[int]) -> None:
    """Set what each of the artifacts weighs as pulled, and what its manifest's own content does.

    Every present index that holds one of them, at any depth, is set too.
    """
    holders = read_column(db, _HOLDERS, keys=artifact_ids)
    sizes: list[tuple[int | None, int]] = []
    contents: list[tuple[int, int]] = []
    indexes: dict[int, int | None] = {}
    for key, manifest, size, content, children, own in read_rows(db, _OWN, keys=holders):
        if own != content:  # put before another document told more of what it lists
            contents.append((own, manifest))
        if children:
            indexes[key] = size
        elif own != size:
            sizes.append((own, key))
    if indexes:
        sums: dict[int, int | None] = dict(read_rows(db, _SUMS, keys=indexes))
        sums.update(dict.fromkeys(read_column(db, _UNKNOWN, keys=indexes)))
        sizes.extend((sums[key], key) for key, size in indexes.items() if sums[key] != size)
    run_rows(db, "UPDATE manifest SET content_bytes = ? WHERE blob_id = ?", contents)
    run_rows(db, "UPDATE artifact SET size = ? WHERE id = ?", sizes)

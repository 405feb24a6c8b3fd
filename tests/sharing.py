"""Who shares which layers, by brute force over the rows of a StoreBuilder: sets and loops, no indexes.

Rules of this file: it follows the definitions as they are written: the bytes of the layers that both use,
each digest once, empty ones left out, foreign ones not; an index uses what all that it holds uses.
"""

from store_builders import StoreBuilder

# (bytes, key, layers) of one that is related.
Related = tuple[int, int, int]


def down(build: StoreBuilder, artifact_key: int) -> set[int]:
    """The artifact and the present children of its repository, at any depth."""
    found: set[int] = set()
    todo = [artifact_key]
    while todo:
        key = todo.pop()
        if key in found:
            continue
        found.add(key)
        row = build.row("artifact", key)
        if not row["has_manifest"]:
            continue
        listed = {
            entry["child_id"]
            for entry in build.rows["manifest_child"]
            if entry["manifest_id"] == row["manifest_id"]
        }
        todo += [
            other["id"]
            for other in build.rows["artifact"]
            if other["repository_id"] == row["repository_id"]
            and other["manifest_id"] in listed
            and other["absent_at"] is None
        ]
    return found


def layers_of(build: StoreBuilder, kind: str, key: int) -> set[int]:
    """The layers that a repository uses, or an artifact with all that it holds."""
    artifacts = (
        {row["id"] for row in build.rows["artifact"] if row["repository_id"] == key}
        if kind == "repository"
        else down(build, key)
    )
    return {
        use["blob_id"]
        for use in build.rows["artifact_blob"]
        if use["artifact_id"] in artifacts and is_counted(build, use["blob_id"])
    }


def is_counted(build: StoreBuilder, blob: int) -> bool:
    row = build.row("blob", blob)
    return bool(row.get("is_layer")) and not row.get("is_empty")


def weight(build: StoreBuilder, blobs: set[int]) -> int:
    return sum(build.row("blob", blob)["size"] or 0 for blob in blobs)


def related(build: StoreBuilder, kind: str, key: int) -> list[Related]:
    """Who shares a layer with it, most bytes first, then last seen first."""
    mine = layers_of(build, kind, key)
    left_out = {key} if kind == "repository" else down(build, key)
    found = []
    for row in build.rows[kind]:
        # An index has no layers of its own, so what it holds stands in the list for itself.
        theirs = layers_of(build, kind, row["id"]) if kind == "repository" else _own_layers(build, row["id"])
        both = mine & theirs
        if row["id"] not in left_out and both:
            found.append((weight(build, both), row["id"], len(both)))
    return sorted(found, reverse=True)


def _own_layers(build: StoreBuilder, key: int) -> set[int]:
    uses = build.rows["artifact_blob"]
    return {use["blob_id"] for use in uses if use["artifact_id"] == key and is_counted(build, use["blob_id"])}


def shared(build: StoreBuilder, kind: str, key: int, other: int) -> list[int]:
    """The layers that both use, largest first."""
    theirs = layers_of(build, kind, other) if kind == "repository" else _own_layers(build, other)
    both = layers_of(build, kind, key) & theirs
    return sorted(both, key=lambda blob: (build.row("blob", blob)["size"] or 0, blob), reverse=True)

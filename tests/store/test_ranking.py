"""Ranking by exclusive bytes: what indexes list goes with them, and no more is weighed than may be."""

import pytest
from sqlalchemy import Connection

from graph.errors import InvalidCursorError, QueryTooCostlyError
from graph.store.artifacts import page_artifacts
from graph.store.filters import ArtifactFilter, ArtifactOrder, LayerOrder, Order
from graph.store.layers import page_repository_layers
from graph.store.listings import Listing
from graph.store.pages import Members, PageRequest
from graph.store.ranking import rank_pages
from graph.store.tables import artifact
from graph.store.visibility import Visibility
from store_builders import StoreBuilder, filled_store

ALL = Visibility.everything()
LARGEST = Order(ArtifactOrder.EXCLUSIVE_BYTES, is_descending=True)
MANIFEST = 2  # bytes of every manifest that the builder makes


def indexed_store() -> tuple[StoreBuilder, dict[str, int]]:
    """An index of two images, one of which another index lists too, and an image by itself."""
    build = StoreBuilder()
    registry = build.registry("one.test")
    web = build.repository(registry, "web")
    children = [build.manifest(registry, [build.layer(registry, size)]) for size in (100, 200)]
    keys = {
        name: build.artifact(web, manifest, untagged="INDEX_CHILD")
        for name, manifest in zip(("amd", "arm"), children, strict=True)
    }
    keys["both"] = build.artifact(web, build.manifest(registry, children=children))
    keys["one"] = build.artifact(web, build.manifest(registry, children=children[1:]))
    keys["alone"] = build.image(web, [build.layer(registry, 150)])
    for name in ("both", "one", "alone"):
        build.tag(web, name, keys[name])
    return build, keys


def test_indexes_are_ranked_with_what_goes() -> None:
    """An index weighs what goes with it: not what another index lists too."""
    build, keys = indexed_store()
    with filled_store(build) as db:
        (page,) = page_artifacts(db, ALL, [1], PageRequest(10), order=LARGEST)

    expected = ["arm", "alone", "both", "amd", "one"]
    assert [keys[name] for name in expected] == [row.key for row in page.rows]


def test_limit() -> None:
    """A list with more artifacts than are weighed at once is refused, and a filter makes it short enough."""
    build, _ = indexed_store()

    def rank(db: Connection, limit: int) -> int:
        item = artifact.alias("item")
        members = Members("list", item, item.c.id, item.c.repository_id)
        listing = Listing(lambda key: key, (artifact.c.id,), artifact, artifact.c.id)
        (page,) = rank_pages(db, ALL, [1], listing, members, PageRequest(10), is_descending=True, limit=limit)
        return len(page.rows)

    with filled_store(build) as db:
        assert 5 == rank(db, 5)
        with pytest.raises(QueryTooCostlyError):
            rank(db, 4)


def test_cursors_are_of_this_order() -> None:
    """A cursor of another order or list is refused, as anywhere."""
    build, _ = indexed_store()
    with filled_store(build) as db:
        (page,) = page_artifacts(db, ALL, [1], PageRequest(1))
        (layers,) = page_repository_layers(db, ALL, [1], PageRequest(1), order=Order(LayerOrder.SIZE))
        for cursor in (page.cursors[0], layers.cursors[0], "junk"):
            with pytest.raises(InvalidCursorError):
                page_artifacts(db, ALL, [1], PageRequest(1, after=cursor), order=LARGEST)


def test_nothing_to_rank() -> None:
    """A list that the filter empties is an empty page."""
    build, _ = indexed_store()
    with filled_store(build) as db:
        (page,) = page_artifacts(db, ALL, [1], PageRequest(5), ArtifactFilter(os="none"), LARGEST)

    assert ([], False, False) == (page.rows, page.has_next, page.has_previous)

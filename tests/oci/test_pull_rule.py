"""What a pull fetches: the rules of both kinds of node by example, and what must hold for any images."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import QueryTooCostlyError
from graph.oci.descriptor import Platform
from graph.oci.digest import Digest
from graph.oci.platforms import parse_platform
from graph.oci.pull import (
    Chooser,
    DocumentRole,
    Entry,
    Forecast,
    Held,
    PulledDocument,
    PulledImage,
    PulledLayer,
    Reuse,
    forecast_pulls,
    offered_platforms,
)


def image(
    name: str,
    layers: Sequence[str],
    diff_ids: Sequence[str | None] | None = None,
    *,
    sizes: Mapping[str, int | None] | None = None,
    index: str | None = None,
    config: str | None = None,
) -> PulledImage:
    """An image named by a letter; the DiffID of the layer `a` is `A` unless told; each layer has 10 bytes."""
    documents = [] if index is None else [PulledDocument(DocumentRole.INDEX, Digest(index), 1)]
    documents += [
        PulledDocument(DocumentRole.MANIFEST, Digest(f"m-{name}"), 2),
        PulledDocument(DocumentRole.CONFIG, Digest(config or f"c-{name}"), 3),
    ]
    told = [layer.upper() for layer in layers] if diff_ids is None else diff_ids
    return PulledImage(
        tuple(documents),
        tuple(
            PulledLayer(
                position,
                Digest(layer),
                10 if sizes is None else sizes.get(layer, 10),
                None if diff_id is None else Digest(diff_id),
            )
            for position, (layer, diff_id) in enumerate(zip(layers, told, strict=True))
        ),
    )


def digests(*names: str) -> tuple[Digest, ...]:
    return tuple(map(Digest, names))


def fetched(forecast: Forecast) -> str:
    return "".join(layer.digest for layer in forecast.fetched)


def present(forecast: Forecast) -> str:
    return "".join(layer.digest for layer in forecast.present)


def shown(images: Sequence[PulledImage], held: Held, reuse: Reuse) -> list[tuple[str, str]]:
    """What each pull fetches, and what it need not fetch."""
    return [(fetched(each), present(each)) for each in forecast_pulls(images, held, reuse)]


HELD_ABC = Held(images=[image("x", "abc")])


@pytest.mark.parametrize(
    ("pulled", "held", "blob", "chain"),
    [
        # Nothing there; and everything there.
        ("abc", Held(), ("abc", ""), ("abc", "")),
        ("abc", HELD_ABC, ("", "abc"), ("", "abc")),
        # On the same base.
        ("abd", HELD_ABC, ("d", "ab"), ("d", "ab")),
        # The same layer on another base: only a store of content knows it.
        ("dbc", HELD_ABC, ("d", "bc"), ("dbc", "")),
        # From the first that is missing on, a chain has nothing.
        ("adc", HELD_ABC, ("d", "ac"), ("dc", "a")),
        # A part of a chain is a chain; what does not start at the bottom is none.
        ("ab", HELD_ABC, ("", "ab"), ("", "ab")),
        ("bc", HELD_ABC, ("", "bc"), ("bc", "")),
        # A layer that is listed twice is fetched once.
        ("aba", Held(), ("ab", ""), ("ab", "")),
        # A chain holds it at one place and not at the other.
        ("ada", HELD_ABC, ("d", "a"), ("da", "a")),
        # Layers, as a set, and as the stack of one image.
        ("abc", Held(layers=digests("b", "a")), ("c", "ab"), ("abc", "")),
        ("abc", Held(layers=digests("a", "b")), ("c", "ab"), ("c", "ab")),
        # DiffIDs likewise.
        ("abc", Held(diff_ids=digests("B", "A")), ("c", "ab"), ("abc", "")),
        ("abc", Held(diff_ids=digests("A", "B")), ("c", "ab"), ("c", "ab")),
        # Both: two images on one node.
        (
            "abc",
            Held(layers=digests("a", "x"), diff_ids=digests("A", "B")),
            ("c", "ab"),
            ("c", "ab"),
        ),
    ],
)
def test_one_pull(pulled: str, held: Held, blob: tuple[str, str], chain: tuple[str, str]) -> None:
    """What is fetched and what is there, for a store of content and for a store of chains."""
    assert [blob] == shown([image("t", pulled)], held, Reuse.BLOB)
    assert [chain] == shown([image("t", pulled)], held, Reuse.CHAIN)


def test_the_same_content_compressed_anew() -> None:
    """By an image neither knows it: the digest is new. By DiffIDs both do, wherever it came from."""
    anew = image("t", ["p"], ["A"])

    for reuse in Reuse:
        assert [("p", "")] == shown([anew], Held(images=[image("x", "a")]), reuse)
        assert [("", "p")] == shown([anew], Held(diff_ids=digests("A")), reuse)


def test_a_chain_is_made_of_content() -> None:
    """Digests that the node has pulled in two images with the same chain can be mixed."""
    first, second = image("x", "ab"), image("y", ["p", "q"], ["A", "B"])

    held = Held(images=[first, second])

    assert [("", "aq")] == shown([image("t", ["a", "q"], ["A", "B"])], held, Reuse.CHAIN)


def test_a_chain_without_diff_ids() -> None:
    """Where no config tells the DiffIDs, the digests stand for them."""
    unknown = image("t", "abd", [None] * 3)

    assert [("d", "ab")] == shown([unknown], HELD_ABC, Reuse.CHAIN)
    assert [("d", "ab")] == shown([unknown], Held(images=[image("x", "abc", [None] * 3)]), Reuse.CHAIN)
    assert [("abd", "")] == shown([unknown], Held(diff_ids=digests("A", "B")), Reuse.CHAIN)


def test_an_image_that_docker_has_is_not_pulled() -> None:
    """The same config is the same image to Docker's store, however its layers are compressed; not to others.

    Nor does the node learn the digests that it did not pull.
    """
    held = Held(images=[image("x", "ab", config="same")])
    anew = image("t", ["p", "q"], ["A", "B"], config="same")
    after = image("u", ["p", "r"], ["A", "R"])

    assert [("", "pq"), ("pr", "")] == shown([anew, after], held, Reuse.CHAIN)
    assert [("pq", ""), ("r", "p")] == shown([anew, after], held, Reuse.BLOB)


def test_a_config_that_tells_nothing_is_no_image() -> None:
    """Artifacts share the empty config, and are not one image for that."""
    held = Held(images=[image("x", "a", [None], config="{}")])

    assert [("b", "")] == shown([image("t", "b", [None], config="{}")], held, Reuse.CHAIN)


def test_documents() -> None:
    """Index, manifest and config are fetched, each once, but for those that the node has."""
    first = image("x", "a", index="i")
    again = image("y", "a", index="i", config="c-x")

    forecasts = forecast_pulls([first, again, again], Held(), Reuse.BLOB)

    assert [["i", "m-x", "c-x"], ["m-y"], []] == [
        [document.digest for document in forecast.documents] for forecast in forecasts
    ]
    assert [6, 2, 0] == [forecast.document_bytes for forecast in forecasts]


def test_a_config_that_is_a_layer_too() -> None:
    """An artifact may list its empty config as a layer: a store of content fetches it once."""
    assert [("", "c-t")] == shown([image("t", ["c-t"])], Held(), Reuse.BLOB)


def test_unknown_sizes() -> None:
    """What has no size counts as nothing and makes the sum a lower bound, if it is fetched."""
    unknown = image("t", "ab", sizes={"a": None})

    alone, beside = (
        forecast_pulls([unknown], held, Reuse.BLOB)[0] for held in (Held(), Held(layers=digests("a")))
    )

    assert (10, True) == (alone.layer_bytes, alone.is_lower_bound)
    assert (10, False) == (beside.layer_bytes, beside.is_lower_bound)


def test_order_and_position() -> None:
    """Layers come from the lowest, each digest at its lowest place."""
    (forecast,) = forecast_pulls([image("t", "abacb")], Held(layers=digests("a")), Reuse.BLOB)

    assert [(1, "b"), (3, "c")] == [(layer.position, layer.digest) for layer in forecast.fetched]
    assert [(0, "a")] == [(layer.position, layer.digest) for layer in forecast.present]


# --- any images --------------------------------------------------------------------------------------------

LETTERS = "abcdef"
STACKS = st.lists(st.sampled_from(LETTERS), max_size=6)


@st.composite
def pulls(draw: Any) -> tuple[list[PulledImage], Held]:
    """Images that share layers, some with DiffIDs, and a node that holds some of each kind of thing.

    No two share a config, which Docker's store alone looks at.
    """
    number = 0

    def draw_image() -> PulledImage:
        nonlocal number
        number += 1
        stack = draw(STACKS)
        index = draw(st.sampled_from([None, "i", "j"]))
        return (
            image(str(number), stack, [letter.upper() if draw(st.booleans()) else None for letter in stack])
            if index is None
            else image(str(number), stack, index=index)
        )

    images = [draw_image() for _ in range(draw(st.integers(1, 4)))]
    held = Held(
        [draw_image() for _ in range(draw(st.integers(0, 2)))],
        digests(*draw(STACKS)),
        digests(*(letter.upper() for letter in draw(STACKS))),
    )
    return images, held


@given(pulls())
def test_chain_fetches_no_less_than_blob(drawn: tuple[list[PulledImage], Held]) -> None:
    """Whatever a chain has, a store of content has."""
    images, held = drawn
    for blob, chain in zip(
        forecast_pulls(images, held, Reuse.BLOB), forecast_pulls(images, held, Reuse.CHAIN), strict=True
    ):
        assert set(fetched(blob)) <= set(fetched(chain))
        assert blob.layer_bytes <= chain.layer_bytes
        assert blob.documents == chain.documents


@given(pulls(), st.sampled_from(Reuse))
def test_what_is_held_costs_nothing_more(drawn: tuple[list[PulledImage], Held], reuse: Reuse) -> None:
    """A node that holds something never fetches more than one that holds nothing, which fetches all."""
    images, held = drawn
    for each in images:
        (bare,) = forecast_pulls([each], Held(), reuse)
        (forecast,) = forecast_pulls([each], held, reuse)
        assert set(fetched(forecast)) <= set(fetched(bare))
        assert set(fetched(bare)) == {layer.digest for layer in each.layers}
        assert set(bare.documents) == set(each.documents)


@given(pulls(), st.sampled_from(Reuse))
def test_each_layer_is_fetched_or_there(drawn: tuple[list[PulledImage], Held], reuse: Reuse) -> None:
    """Together the two lists are the layers of the image, in order, none twice in one list."""
    images, held = drawn
    for each, forecast in zip(images, forecast_pulls(images, held, reuse), strict=True):
        assert set(fetched(forecast) + present(forecast)) == {layer.digest for layer in each.layers}
        for listed in (forecast.fetched, forecast.present):
            assert len(listed) == len({layer.digest for layer in listed})
            assert list(listed) == sorted(listed, key=lambda layer: layer.position)
            assert all(each.layers[layer.position] == layer for layer in listed)


@given(pulls(), st.sampled_from(Reuse))
def test_what_is_there_is_not_fetched_again(drawn: tuple[list[PulledImage], Held], reuse: Reuse) -> None:
    """An image that was pulled, or that the node holds, costs nothing, in whatever order it comes again."""
    images, held = drawn
    again = forecast_pulls([*images, *images], held, reuse)[len(images) :]
    known = forecast_pulls(images, Held(images=images), reuse)

    assert [0] * len(images) * 2 == [each.layer_bytes + each.document_bytes for each in again + known]


@given(pulls())
def test_a_rollout_is_the_union(drawn: tuple[list[PulledImage], Held]) -> None:
    """To a store of content the order does not matter: together they fetch each missing digest once."""
    images, held = drawn
    forecasts = forecast_pulls(images, held, Reuse.BLOB)
    brought = "".join(map(fetched, forecasts))
    layers = [layer for each in [*images, *held.images] for layer in each.layers]
    there = {*held.layers, *(layer.digest for each in held.images for layer in each.layers)}
    there |= {layer.digest for layer in layers if layer.diff_id in held.diff_ids}

    assert len(brought) == len(set(brought))
    assert set(brought) == {layer.digest for each in images for layer in each.layers} - there
    backwards = forecast_pulls(images[::-1], held, Reuse.BLOB)
    assert sum(each.layer_bytes for each in forecasts) == sum(each.layer_bytes for each in backwards)


# --- which image of an index -------------------------------------------------------------------------------


def entry(manifest: int, platform: str | None = None, *, is_index: bool = False) -> Entry:
    return Entry(manifest, None if platform is None else parse_platform(platform), is_index)


@pytest.mark.parametrize(
    ("entries", "platform", "way"),
    [
        ({1: [entry(2, "linux/amd64"), entry(3, "linux/arm64")]}, "linux/arm64", (1, 3)),
        # A variant that is another spelling; the better of two; the first of two that are equal.
        ({1: [entry(2, "linux/arm64/v8")]}, "linux/arm64", (1, 2)),
        ({1: [entry(2, "linux/arm/v6"), entry(3, "linux/arm/v7")]}, "linux/arm/v7", (1, 3)),
        (
            {1: [entry(2, "linux/386"), entry(3, "linux/amd64"), entry(4, "linux/amd64")]},
            "linux/amd64",
            (1, 3),
        ),
        # The lesser, where there is nothing better; none, where nothing runs.
        ({1: [entry(2, "linux/arm/v6")]}, "linux/arm/v7", (1, 2)),
        ({1: [entry(2, "linux/arm/v7")]}, "linux/arm/v6", None),
        ({1: []}, "linux/amd64", None),
        ({}, "linux/amd64", None),
        # What tells no platform comes last.
        ({1: [entry(2), entry(3, "linux/386")]}, "linux/amd64", (1, 3)),
        ({1: [entry(2), entry(3, "linux/arm64")]}, "linux/amd64", (1, 2)),
        # Indexes in indexes, with a platform of their own and without.
        (
            {1: [entry(2, is_index=True), entry(3, "linux/386")], 2: [entry(4, "linux/amd64")]},
            "linux/amd64",
            (1, 2, 4),
        ),
        (
            {1: [entry(2, "linux/arm64", is_index=True)], 2: [entry(4, "linux/amd64")]},
            "linux/amd64",
            None,
        ),
        # The order of the whole, whichever index lists it.
        (
            {
                1: [entry(2, is_index=True), entry(5, "linux/amd64")],
                2: [entry(3, is_index=True)],
                3: [entry(4, "linux/amd64")],
            },
            "linux/amd64",
            (1, 2, 3, 4),
        ),
        # Circles end.
        ({1: [entry(1, is_index=True), entry(2, is_index=True)], 2: [entry(1, is_index=True)]}, "a/b", None),
    ],
)
def test_which_image(
    entries: Mapping[int, Sequence[Entry]], platform: str, way: tuple[int, ...] | None
) -> None:
    """The best platform is taken, and among equals the first; the indexes on the way are told."""
    assert way == Chooser(parse_platform(platform)).choose(1, entries)


def test_a_deep_index() -> None:
    """Ten thousand indexes in each other are one way of that length."""
    depth = 10_000
    entries = {level: [entry(level + 1, is_index=True)] for level in range(depth)}
    entries[depth] = [entry(depth + 1, "linux/amd64")]

    way = Chooser(parse_platform("linux/amd64")).choose(0, entries)

    assert tuple(range(depth + 2)) == way


def test_entries_are_bounded() -> None:
    """Indexes that share a big one are gone through up to the limit, all together."""
    entries = {1: [entry(3, is_index=True)], 2: [entry(3, is_index=True)], 3: [entry(9, "linux/arm64")] * 8}
    chooser = Chooser(parse_platform("linux/amd64"), limit=17)

    assert None is chooser.choose(1, entries)
    with pytest.raises(QueryTooCostlyError):
        chooser.choose(2, entries)


def test_images_are_bounded() -> None:
    """Documents and layers count each time an image is pulled, and once for each that is held."""
    each = image("t", "abc")  # five of them

    assert 2 == len(forecast_pulls([each, each], Held([each]), Reuse.BLOB, limit=15))
    with pytest.raises(QueryTooCostlyError):
        forecast_pulls([each, each], Held([each]), Reuse.BLOB, limit=14)


def test_what_there_is() -> None:
    """The platforms of all images below an index, each once, indexes and images without one left out."""
    entries = {
        1: [entry(2, is_index=True), entry(3, "linux/arm64"), entry(6)],
        2: [entry(4, "linux/amd64"), entry(5, "linux/arm64"), entry(1, is_index=True)],
    }

    assert [
        Platform("linux", "amd64", None, None),
        Platform("linux", "arm64", None, None),
    ] == offered_platforms(1, entries)

"""Registries for Hypothesis: everything that makes sums over shared content go wrong, drawn together.

Rules of this file: nothing of `graph` is imported. What is drawn is a value; `asked.py` puts it into a store,
or into a sample registry. Layers are few, so that they are shared; every content can be drawn into several
repositories; what an index lists need not be there, and what has a subject may be all that is.
"""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from builders import (
    EMPTY_CONFIG,
    EMPTY_LAYER,
    OCI_INDEX,
    OCI_LAYER,
    Built,
    Content,
    digest_of,
    make_artifact,
    make_config,
    make_descriptor,
    make_helm_chart,
    make_image,
    make_index,
    make_layer,
    make_signature,
)
from oracle import Oracle, Repository

NAMES = ("web", "team/web", "team/api", "team/deep/web")
TAGS = ("latest", "v1", "v2")
PLATFORMS = (("amd64", None), ("arm64", None), ("arm", "v7"))

# Sizes of which no two sets of layers have the same sum: a digest too many or too few always shows.
LAYERS: tuple[Content, ...] = tuple(make_descriptor(f"layer {n}", 10_000 * 2**n) for n in range(6))
FOREIGN = make_descriptor("windows", 5_000_000, urls=["https://example.com/layer"])
# One layer compressed twice: two digests and one DiffID; the sizes are the same.
TWINS = tuple(
    Built(data, OCI_LAYER, digest_of(data), len(data), diff_id=make_layer("twin").diff_id)
    for data in (gzip.compress(gzip.decompress(make_layer("twin").data), mtime=mtime) for mtime in (1, 2))
)
# What images begin with: chains that differ below, in the middle, or in nothing but a digest.
BASES: tuple[tuple[Content, ...], ...] = (
    (),
    LAYERS[:1],
    LAYERS[:2],
    TWINS[:1],
    TWINS[1:],
    (*TWINS[:1], LAYERS[0]),
    (*TWINS[1:], LAYERS[0]),
)
ALL_LAYERS: tuple[Content, ...] = (
    *LAYERS,
    *TWINS,
    EMPTY_LAYER,
    FOREIGN,
    make_descriptor("windows", 5_000_000),  # the same, and this image has it from here
)


@dataclass(frozen=True)
class Place:
    """One repository: tags as they were when it was first looked at, and what is there now."""

    before: dict[str, Built]
    tags: dict[str, Built]
    present: tuple[Built, ...]
    absent: tuple[Built, ...]


@dataclass(frozen=True, repr=False)
class Drawn:
    """One registry. Of the manifests with the digests `denied` nobody has the bytes."""

    contents: tuple[Built, ...]
    denied: frozenset[str]
    places: dict[str, Place]

    @property
    def known(self) -> list[Built]:
        """The manifests whose bytes can be had."""
        return [built for built in self.contents if built.digest not in self.denied]

    def oracle(self) -> Oracle:
        """What must be answered about it."""
        repositories = {
            name: Repository(
                {tag: built.digest for tag, built in place.tags.items()},
                {built.digest for built in place.present},
                {built.digest for built in place.absent},
            )
            for name, place in self.places.items()
        }
        told = {
            built.digest: built.size
            for place in self.places.values()
            for built in (*place.present, *place.absent)
        }
        return oracle_of(repositories, self.known, told)

    def _repr_pretty_(self, printer: Any, _is_cycle: bool) -> None:  # what Hypothesis asks for
        printer.text(repr(self))

    def __repr__(self) -> str:
        """A story that a person can read: each content by its number, with what it names."""
        number = {built.digest: str(n) for n, built in enumerate(self.contents)}
        lines = [f"{n}: {_tell(built, number)}" for n, built in enumerate(self.contents)]
        lines += [f"{number[digest]} is denied" for digest in self.denied]
        for name, place in self.places.items():
            for what, tags in (("was", place.before), ("is", place.tags)):
                tagged = {_shorten(tag, number): number[built.digest] for tag, built in tags.items()}
                lines.append(f"{name} {what} {tagged}")
            present, absent = (
                [number[each.digest] for each in some] for some in (place.present, place.absent)
            )
            lines.append(f"{name} holds {present}, without {absent}")
        return "\n".join(["", *lines])


def _tell(built: Built, number: dict[str, str]) -> str:
    """The digests that a document names, as numbers of contents, layers by their sizes."""
    document = built.document
    layers = [layer["size"] for layer in document.get("layers", ())]
    children = [number.get(child["digest"], "missing") for child in document.get("manifests", ())]
    text = f"index of {children}" if "manifests" in document else f"layers {layers}"
    if "config" in document:
        text += f" config {document['config']['digest'][7:11]} {built.platform}"
    if "subject" in document:
        text += f" subject {number.get(document['subject']['digest'], 'unseen')}"
    return text


def _shorten(tag: str, number: dict[str, str]) -> str:
    digest = f"sha256:{tag[7:71]}"
    return f"sha256-({number[digest]}){tag[71:]}" if digest in number else tag


def oracle_of(
    repositories: dict[str, Repository], known: Sequence[Built], told: Mapping[str, int] | None = None
) -> Oracle:
    """The oracle of repositories, given the manifests whose bytes were had; their configs were had too."""
    manifests = {built.digest: built.data for built in known}
    configs = {
        blob.digest: blob.data
        for built in known
        for blob in built.blobs
        if blob.digest == built.document.get("config", {}).get("digest")
    }
    return Oracle({**configs, **manifests}, repositories, manifests, told or {})


@st.composite
def images(draw: st.DrawFn, made: Sequence[Built], number: int) -> Built:
    """An image of a few layers, maybe with the config of another, maybe with a subject."""
    layers = [*draw(st.sampled_from(BASES)), *draw(st.lists(st.sampled_from(ALL_LAYERS), max_size=3))]
    configs = [blob for built in made for blob in built.blobs if blob.platform is not None]
    config = draw(st.sampled_from(configs)) if configs and draw(st.integers(0, 3)) == 0 else None
    subject = draw(subjects(made)) if draw(st.integers(0, 3)) == 0 else None
    if config is None:
        architecture, variant = draw(st.sampled_from(PLATFORMS))
        config = make_config(layers, architecture=architecture, variant=variant)
    return make_image(layers, config, subject=subject, annotations={"n": str(number)})


@st.composite
def indexes(draw: st.DrawFn, made: Sequence[Built], number: int) -> Built:
    """An index of what was made before, indexes too, and maybe of something that nobody has."""
    available: list[Content] = [*made, make_descriptor("a missing child", 777)]
    children = draw(st.lists(st.sampled_from(available), max_size=4))
    subject = draw(subjects(made)) if draw(st.integers(0, 5)) == 0 else None
    return make_index(children, subject=subject, annotations={"n": str(number)})


def subjects(made: Sequence[Built]) -> st.SearchStrategy[Content]:
    """What a referrer may refer to: anything made before, or something that nobody has seen."""
    return st.sampled_from([*made, make_descriptor("an unseen subject", 555)])


@st.composite
def referrers(draw: st.DrawFn, made: Sequence[Built], number: int) -> Built:
    """An artifact with a subject, or without; its layer may be the empty config or another's layer."""
    subject = draw(st.none() | subjects(made))
    layers = draw(st.lists(st.sampled_from([*LAYERS[:2], EMPTY_CONFIG]), max_size=2))
    return make_artifact(subject=subject, layers=layers, annotations={"n": str(number)})


@st.composite
def contents(draw: st.DrawFn, most: int = 9) -> tuple[Built, ...]:
    """Manifests of every kind, each of which can name those before it."""
    made: list[Built] = [draw(images([], 0))]
    for number in range(1, draw(st.integers(1, most))):
        kind = draw(st.sampled_from(["image", "image", "index", "index", "referrer", "signature", "chart"]))
        if kind == "image":
            made.append(draw(images(made, number)))
        elif kind == "index":
            made.append(draw(indexes(made, number)))
        elif kind == "referrer":
            made.append(draw(referrers(made, number)))
        elif kind == "signature":
            made.append(make_signature(draw(st.sampled_from(made))))
        else:
            made.append(make_helm_chart("chart", f"0.1.{draw(st.integers(0, 1))}"))
    return tuple({built.digest: built for built in made}.values())


@st.composite
def places(draw: st.DrawFn, available: Sequence[Built], whole: bool) -> Place:
    """A repository with some of the contents, tagged in any way; `whole`: with all that these name."""
    some = st.lists(st.sampled_from(available), unique_by=lambda built: built.digest, max_size=len(available))
    held = draw(some)
    if whole:
        held = close(held, available)
    present = list(held)
    gone: list[Built] = []
    if not whole and len(held) > 1 and draw(st.integers(0, 3)) == 0:
        gone = [present.pop(draw(st.integers(0, len(held) - 1)))]
    before = draw(tags_of(held))
    now = draw(tags_of(present))
    return Place(before, now, tuple(present), tuple(gone))


@st.composite
def tags_of(draw: st.DrawFn, present: Sequence[Built]) -> dict[str, Built]:
    """Ordinary tags, cosign's tags for signatures, and now and then the fallback tag for an index."""
    if not present:
        return {}
    target = st.sampled_from(present)
    tags = draw(st.dictionaries(st.sampled_from(TAGS), target, max_size=3))
    for built in present:
        if built.tag is not None and draw(st.integers(0, 3)):
            tags[built.tag] = built
    fallback_indexes = [built for built in present if built.media_type == OCI_INDEX]
    if fallback_indexes and draw(st.integers(0, 3)) == 0:
        subject = draw(target)
        tags[subject.digest.replace(":", "-")] = draw(st.sampled_from(fallback_indexes))
    return tags


def close(held: Sequence[Built], available: Sequence[Built]) -> list[Built]:
    """With every child that can be had: what a registry accepts that checks what it is pushed."""
    by_digest = {built.digest: built for built in available}
    found = dict.fromkeys(built.digest for built in held)
    waiting = list(found)
    while waiting:
        for child in by_digest[waiting.pop()].document.get("manifests", ()):
            if child["digest"] in by_digest and child["digest"] not in found:
                found[child["digest"]] = None
                waiting.append(child["digest"])
    return [by_digest[digest] for digest in found]


@st.composite
def registries(draw: st.DrawFn, *, whole: bool = False, denials: bool = True, most: int = 9) -> Drawn:
    """One registry; `whole`: as one that holds all children of what it holds."""
    made = draw(contents(most))
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    found = {name: draw(places(made, whole)) for name in names}
    denied: frozenset[str] = frozenset()
    if denials and draw(st.integers(0, 3)) == 0:
        denied = frozenset({draw(st.sampled_from(made)).digest})
    return Drawn(made, denied, found)

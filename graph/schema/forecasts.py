"""Work out what pulls cost from what the store knows: which image each leads to, and what is there already.

Rules of this file: it has the store asked, once for all artifacts of a question, and hands to the rules of
`oci.pull` what they are about; it decides nothing that they decide. All of one question is worked out in the
store's worker thread. One that cannot be answered whole is one error, which names the artifact.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError

from graph.errors import GraphError, NotKnownError, NotObservedError, PlatformNotFoundError
from graph.oci import pull as rule
from graph.oci.descriptor import Platform
from graph.oci.digest import Digest
from graph.oci.image import item_of_layer
from graph.oci.kind import ArtifactKind
from graph.oci.media_types import OCI_ARTIFACT_MANIFEST
from graph.oci.platforms import format_platform
from graph.schema.basis import Grounds, GroundsKind
from graph.schema.batches import Answer
from graph.schema.context import Context
from graph.schema.errors import recalled
from graph.schema.sets import FoundSet, NamedSet, find_set
from graph.store import artifacts
from graph.store.pulls import IndexEntry, StoredImage, load_diff_ids, load_images, load_index_entries
from graph.store.rows import ArtifactRow, ManifestForm
from graph.store.visibility import Visibility

# Platforms that an error about one that is not there writes out.
MAX_PLATFORMS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Question:
    """A rollout as it was asked for: `addresses` in their order, and what all of them and `held` name."""

    named: NamedSet
    addresses: tuple[str, ...]
    held: tuple[str, ...]
    platform: Platform
    layers: tuple[Digest, ...]
    diff_ids: tuple[Digest, ...]
    reuse: rule.Reuse

    @property
    def needs_diff_ids(self) -> bool:
        """Whether configs have to be read: nothing else tells DiffIDs."""
        is_chain = self.reuse is rule.Reuse.CHAIN
        return bool(self.diff_ids) or (is_chain and bool(self.held or self.layers or self.addresses[1:]))


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer of an image that is pulled; `layer_count` is of the image."""

    position: int
    digest: Digest
    size: int | None
    layer_key: int
    manifest_key: int
    layer_count: int


@dataclass(frozen=True, slots=True)
class PullRow:
    """What one pull costs."""

    artifact: ArtifactRow
    image_key: int
    platform: Platform | None
    documents: tuple[rule.PulledDocument, ...]
    fetched: list[LayerRow]
    present: list[LayerRow]
    layer_bytes: int
    document_bytes: int
    grounds: Grounds
    is_lower_bound: bool

    @property
    def total_bytes(self) -> int:
        return self.layer_bytes + self.document_bytes


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """What several pulls cost together."""

    pulls: list[PullRow]
    layer_bytes: int
    document_bytes: int
    grounds: Grounds
    is_lower_bound: bool

    @property
    def total_bytes(self) -> int:
        return self.layer_bytes + self.document_bytes


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The image that a pull of an artifact leads to, and the manifests from there to it, the image last."""

    artifact: ArtifactRow
    image_key: int
    platform: Platform | None
    way: tuple[int, ...]


async def foretell(context: Context, keys: Sequence[Question], /) -> Sequence[Answer]:
    """What each rollout costs, each by at most seven statements."""
    answers: list[Answer] = []
    for question in keys:
        try:
            found = await find_set(context, question.named)
            answers.append(await context.read(_foretell, context, question, found))
        except (GraphError, GraphQLError) as error:  # the latter is what an earlier look ended with
            answers.append(error)
    return answers


def _foretell(
    db: Any, visibility: Visibility, context: Context, question: Question, found: FoundSet
) -> RolloutRow:
    key_of = {
        address.text: one.artifact_key
        for address, one in zip(question.named.artifacts, found.artifacts, strict=True)
    }
    rows = {
        row.key: row
        for row in artifacts.load_artifacts(db, visibility, found.artifact_keys)
        if row is not None
    }
    chosen = _choose(
        db, visibility, question.platform, {text: rows[key] for text, key in key_of.items() if key}
    )
    ways = {key for one in chosen.values() for key in one.way}
    stored = load_images(db, visibility, ways)
    diff_ids: Mapping[int, Sequence[Digest]] = {}
    if question.needs_diff_ids:
        manifests = list(dict.fromkeys(one.way[-1] for one in chosen.values()))
        diff_ids, size = load_diff_ids(db, visibility, manifests, context.document_bytes_left)
        context.document_bytes_left -= size
    # One for all the names of an image: a name is cheap, and what it leads to may be long.
    images = {one.way: _image_of(text, one, stored, diff_ids) for text, one in chosen.items()}
    held = {chosen[text].way: None for text in question.held}
    forecasts = rule.forecast_pulls(
        [images[chosen[text].way] for text in question.addresses],
        rule.Held([images[way] for way in held], question.layers, question.diff_ids),
        question.reuse,
    )
    grounds = Grounds(GroundsKind.SET, repository_keys=tuple(found.repository_keys))
    pulls = [
        _pull_of(chosen[text], stored[chosen[text].way[-1]], forecast, grounds)
        for text, forecast in zip(question.addresses, forecasts, strict=True)
    ]
    return RolloutRow(
        pulls,
        sum(each.layer_bytes for each in forecasts),
        sum(each.document_bytes for each in forecasts),
        grounds,
        any(each.is_lower_bound for each in forecasts),
    )


class _Entries:
    """The entries of the indexes of one repository, and the same as the rules have them."""

    def __init__(self) -> None:
        self.images: dict[tuple[int, int], IndexEntry] = {}  # by the keys of index and manifest
        self.ruled: dict[int, list[rule.Entry]] = {}

    def add(self, index_key: int, listed: list[IndexEntry]) -> None:
        for entry in listed:
            if not entry.is_index:
                self.images.setdefault((index_key, entry.manifest_key), entry)
        self.ruled[index_key] = [
            rule.Entry(entry.manifest_key, entry.platform, entry.is_index) for entry in listed
        ]


def _choose(
    db: Any, visibility: Visibility, platform: Platform, rows: Mapping[str, ArtifactRow]
) -> dict[str, _Chosen]:
    """The image that each address leads to."""
    indexes = {
        (row.repository_key, row.manifest_key)
        for row in rows.values()
        if row.kind is ArtifactKind.INDEX and row.has_manifest
    }
    entries = load_index_entries(db, visibility, sorted(indexes)) if indexes else {}
    of_repository: dict[int, _Entries] = defaultdict(_Entries)
    for (repository_key, index_key), listed in entries.items():
        of_repository[repository_key].add(index_key, listed)
    chooser = rule.Chooser(platform)
    return {
        text: _choose_image(text, row, of_repository[row.repository_key], platform, chooser)
        for text, row in rows.items()
    }


def _choose_image(
    text: str, row: ArtifactRow, entries: _Entries, platform: Platform, chooser: rule.Chooser
) -> _Chosen:
    if not row.has_manifest:
        raise _not_read(text, row.error_code, row.error_message)
    if row.kind is not ArtifactKind.INDEX:
        told = Platform(row.os, row.architecture, row.variant, row.os_version)
        return _Chosen(row, row.key, told if row.os or row.architecture else None, (row.manifest_key,))
    way = chooser.choose(row.manifest_key, entries.ruled)
    if way is None:
        raise _no_platform(text, row.manifest_key, entries.ruled, platform)
    entry = entries.images[way[-2], way[-1]]
    if entry.artifact_key is None:
        raise NotObservedError(f"{text}: its repository was not seen to hold {entry.digest}, which it lists")
    if not entry.has_manifest:
        raise _not_read(f"{text} ({entry.digest})", entry.error_code, entry.error_message)
    return _Chosen(row, entry.artifact_key, entry.platform, way)


def _not_read(text: str, code: str | None, message: str | None) -> Exception:
    if code is None:
        return NotObservedError(f"{text}: its manifest has not been fetched yet")
    return recalled(code, f"{text}: {message or 'the last look failed'}")


def _no_platform(
    text: str, root: int, entries: Mapping[int, Sequence[rule.Entry]], platform: Platform
) -> PlatformNotFoundError:
    offered = list(dict.fromkeys(map(format_platform, rule.offered_platforms(root, entries))))
    listed = ", ".join(offered[:MAX_PLATFORMS_SHOWN]) or "none"
    more = len(offered) - MAX_PLATFORMS_SHOWN
    listed += f" and {more} more" if more > 0 else ""
    return PlatformNotFoundError(
        f"{text} has no image for {format_platform(platform)}; its platforms: {listed}"
    )


def _image_of(
    text: str,
    chosen: _Chosen,
    stored: Mapping[int, StoredImage],
    diff_ids: Mapping[int, Sequence[Digest]],
) -> rule.PulledImage:
    if any(key not in stored for key in chosen.way):
        raise NotObservedError(f"{text}: a manifest of it is not stored")
    *indexes, image = (stored[key] for key in chosen.way)
    if image.form is ManifestForm.OTHER and image.media_type != OCI_ARTIFACT_MANIFEST:
        raise NotKnownError(f"{text}: what a manifest of type {image.media_type} brings is not told by it")
    documents = [rule.PulledDocument(rule.DocumentRole.INDEX, index.digest, index.size) for index in indexes]
    documents.append(rule.PulledDocument(rule.DocumentRole.MANIFEST, image.digest, image.size))
    if image.config_digest is not None:
        role = rule.DocumentRole.CONFIG
        documents.append(rule.PulledDocument(role, image.config_digest, image.config_size))
    told = diff_ids.get(image.key, ())
    count = len(image.layers)
    return rule.PulledImage(
        tuple(documents),
        tuple(
            rule.PulledLayer(layer.position, layer.digest, layer.size, item_of_layer(told, position, count))
            for position, layer in enumerate(image.layers)
        ),
    )


def _pull_of(chosen: _Chosen, image: StoredImage, forecast: rule.Forecast, grounds: Grounds) -> PullRow:
    keys = {layer.position: layer.key for layer in image.layers}

    def rows_of(layers: Sequence[rule.PulledLayer]) -> list[LayerRow]:
        return [
            LayerRow(
                layer.position, layer.digest, layer.size, keys[layer.position], image.key, len(image.layers)
            )
            for layer in layers
        ]

    return PullRow(
        chosen.artifact,
        chosen.image_key,
        chosen.platform,
        forecast.documents,
        rows_of(forecast.fetched),
        rows_of(forecast.present),
        forecast.layer_bytes,
        forecast.document_bytes,
        grounds,
        forecast.is_lower_bound,
    )

"""What pulling an artifact costs a node, and pulling several one after the other (concept C14).

Rules of this file: it reads the arguments and shows the answer, which `forecasts.py` works out. Everything is
answered from the store alone, as every question about a set is: nothing is refreshed for it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeAlias

import strawberry

from graph.errors import QueryTooCostlyError
from graph.oci import pull as rule
from graph.oci.digest import Digest
from graph.oci.platforms import DEFAULT_PLATFORM, parse_platform
from graph.schema.basis import Basis, load_bases
from graph.schema.batches import Cost, Location
from graph.schema.context import Context, Registries
from graph.schema.enums import DocumentRole, Reuse
from graph.schema.fields import batched, computed
from graph.schema.forecasts import PullRow, Question, RolloutRow, foretell
from graph.schema.image import load_configs, pick_diff_id
from graph.schema.links import ArtifactLink, LayerLink
from graph.schema.manifest import load_layers
from graph.schema.platform import Platform
from graph.schema.scalars import ByteCount
from graph.schema.sets import parse_set
from graph.schema.tag import load_artifacts
from graph.store.rows import BasisRow

# Artifacts in one rollout; with what the node holds they are at most as many as a set may have members.
MAX_ROLLOUT = 1_000

# Layers, and DiffIDs, that a node may be said to hold: a hundred images of a hundred layers each.
MAX_HELD = 10_000


@strawberry.input(
    description="What a node holds already. Everything that is given counts; without any of it the node is "
    "empty."
)
class Present:
    """What a node holds already."""

    artifacts: list[str] | None = strawberry.field(
        description="Artifacts by address. Each brings what a pull of it for the same platform brings: its "
        "layers and its documents."
    )
    layers: list[Digest] | None = strawberry.field(
        description="Layers by digest, at most 10,000. With `CHAIN` the order counts: they are the layers of "
        "one image, the lowest first."
    )
    diff_ids: list[Digest] | None = strawberry.field(
        description="Layers by DiffID, the digest of their uncompressed bytes, at most 10,000. With `CHAIN` "
        "the order counts: they are the layers of one image, the lowest first, as `docker image inspect` "
        "prints `RootFS.Layers`. Whatever digest an artifact gives such a layer, the node is taken to know "
        "it again."
    )


PlatformArgument: TypeAlias = Annotated[
    str | None,
    strawberry.argument(
        description="The node's platform, `os/architecture` or `os/architecture/variant`, such as "
        "`linux/arm/v7`. Of an index the best image for it is pulled, as containerd chooses; an artifact "
        "that is no index is pulled whatever it is for. Default: `linux/amd64`."
    ),
]
PresentArgument: TypeAlias = Annotated[
    Present | None, strawberry.argument(description="What the node holds already. Default: nothing.")
]
ReuseArgument: TypeAlias = Annotated[
    Reuse, strawberry.argument(description="How the node keeps layers, and so which it need not fetch.")
]


def parse_question(
    registries: Registries,
    addresses: Sequence[str],
    platform: str | None,
    present: Present | None,
    reuse: Reuse,
) -> Question:
    """The question that the arguments ask. Nothing is read.

    Raises QueryTooCostlyError if a list is too long, InputError if the platform is none, and the errors of
    addresses.
    """
    given = present or Present(artifacts=None, layers=None, diff_ids=None)
    held, layers, diff_ids = given.artifacts or [], given.layers or [], given.diff_ids or []
    for count, limit, unit in (
        (len(addresses), MAX_ROLLOUT, "artifacts in one rollout"),
        (len(layers), MAX_HELD, "layers that a node holds"),
        (len(diff_ids), MAX_HELD, "DiffIDs that a node holds"),
    ):
        if count > limit:
            raise QueryTooCostlyError(count, limit, unit)
    return Question(
        parse_set(registries, artifacts=[*addresses, *held]),
        tuple(addresses),
        tuple(held),
        DEFAULT_PLATFORM if platform is None else parse_platform(platform),
        tuple(layers),
        tuple(diff_ids),
        rule.Reuse(reuse.name),
    )


def ask_rollout(context: Context, question: Question, location: Location, *, is_one: bool = False) -> Any:
    """A future of what the rollout costs; `is_one`: of what its only pull does. Each name is a node."""
    batch = context.dispatcher.batch_of(foretell, {})
    pick = _pick_only if is_one else None
    return context.dispatcher.ask(batch, question, location, Cost(max(question.named.name_count, 1)), pick)


def _pick_only(rollout: RolloutRow) -> PullRow:
    return rollout.pulls[0]


def _pick_basis(row: PullRow | RolloutRow, _: Context, basis: BasisRow | None) -> BasisRow | None:
    # A pull is of this content and no other, however much more there may be: nothing but a size can lack.
    if basis is None:
        return None
    return replace(basis, exclusive_is_upper_bound=False, counts_are_lower_bound=row.is_lower_bound)


def _basis_field() -> Any:
    return batched(
        load_bases,
        key=lambda row: row.grounds,
        pick=_pick_basis,
        description="What this stands on. `countsAreLowerBound`: the size of something that is fetched is "
        "not known, and counts as 0. Null with an error only.",
    )


@strawberry.type(description="A document that a pull fetches: not a layer, but what tells which layers.")
class PullDocument:
    """A document that a pull fetches."""

    role: DocumentRole = strawberry.field(description="What it is to the image.")
    digest: Digest = strawberry.field(description="The digest of its bytes.")
    size: ByteCount | None = strawberry.field(description="Its bytes. Null: not known.")


@strawberry.type(description="A layer of an image that is pulled.")
class PullLayer:
    """A layer of an image that is pulled."""

    position: int = strawberry.field(
        description="Its place in the image, 0 for the lowest layer. One that an image lists twice is shown "
        "at its lowest place."
    )
    digest: Digest = strawberry.field(description="The digest of its bytes, as they are sent.")
    size: ByteCount | None = strawberry.field(description="Its bytes, as they are sent. Null: not known.")
    diff_id: Digest | None = batched(
        load_configs,
        key=lambda row: row.manifest_key,
        pick=pick_diff_id,
        description="The digest of its uncompressed bytes, by which container runtimes know it. Null: the "
        "image does not tell one for each layer.",
    )
    layer: LayerLink | None = batched(
        load_layers,
        key=lambda row: row.layer_key,
        description="The layer itself, and with it everybody who shares it.",
    )


@strawberry.type(
    description="What a node fetches when it pulls an artifact. Bytes are those of the content; headers, and "
    "requests that bring none, are not counted."
)
class Pull:
    """What a node fetches when it pulls an artifact."""

    artifact: ArtifactLink = strawberry.field(description="What is pulled, as it was named.")
    image: ArtifactLink | None = batched(
        load_artifacts,
        key=lambda row: row.image_key,
        description="The image that is chosen: of an index the one for the platform, else the artifact "
        "itself. Null with an error only.",
    )
    platform: Platform | None = strawberry.field(
        description="What the image that is chosen runs on. It may be a lesser platform than the node's, and "
        "another one where the artifact is no index. Null: not told."
    )
    documents: list[PullDocument] | None = computed(
        lambda row, _: row.documents,
        is_long=True,
        description="The documents that are fetched: the indexes on the way, the manifest of the image and "
        "its config, but for those that the node has. Null with an error only.",
    )
    fetched: list[PullLayer] | None = computed(
        lambda row, _: row.fetched,
        is_long=True,
        description="The layers that are fetched, the lowest first, each digest once; foreign ones too, "
        "which come from elsewhere. Null with an error only.",
    )
    present: list[PullLayer] | None = computed(
        lambda row, _: row.present,
        is_long=True,
        description="The layers that need not be fetched, the lowest first, each digest once. With `CHAIN` "
        "one that is listed twice may be fetched all the same, for the other place. Null with an error only.",
    )
    layer_bytes: ByteCount = strawberry.field(description="The bytes of `fetched`.")
    document_bytes: ByteCount = strawberry.field(description="The bytes of `documents`.")
    total_bytes: ByteCount = strawberry.field(description="Both together.")
    basis: Basis | None = _basis_field()


@strawberry.type(
    description="What a node fetches when it pulls artifacts one after the other: each pays for what those "
    "before it did not bring."
)
class Rollout:
    """What a node fetches when it pulls several artifacts."""

    pulls: list[Pull] | None = computed(
        lambda row, _: row.pulls,
        is_long=True,
        description="The pulls, in the order that was asked for. Null with an error only.",
    )
    layer_bytes: ByteCount = strawberry.field(description="The bytes of all layers that are fetched.")
    document_bytes: ByteCount = strawberry.field(description="The bytes of all documents that are fetched.")
    total_bytes: ByteCount = strawberry.field(description="Both together.")
    basis: Basis | None = _basis_field()

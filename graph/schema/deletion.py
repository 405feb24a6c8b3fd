"""What would have to be deleted, in which order, and what that would free. Nothing is deleted here.

Rules of this file: as everywhere a level function reads for all parents at once. A plan is worked out once
for a request; its lists are whole in memory, and what a page shows of them is read for the page alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import strawberry

from graph.errors import QueryTooCostlyError
from graph.oci import deletion as rule
from graph.oci.digest import Digest
from graph.oci.reference import format_reference
from graph.oci.tags import parse_referrer_tag
from graph.schema.basis import Basis, Grounds, GroundsKind, basis_field
from graph.schema.batches import Answer
from graph.schema.connections import Connection, Listed
from graph.schema.context import Context
from graph.schema.enums import DeletionReason, StayReason
from graph.schema.fields import batched, computed
from graph.schema.links import ArtifactLink, LayerLink, TagLink
from graph.schema.scalars import ByteCount
from graph.schema.sets import FoundSet, NamedSet, find_set
from graph.store import artifacts, deletion, layers
from graph.store.deletion import Extent
from graph.store.pages import Page, PageRequest
from graph.store.rows import ArtifactRow
from graph.store.sequences import cut_sequence, sequence_cursors

# Tags or artifacts that one step or one stay shows beside itself; beside them stands how many there are.
MAX_SHOWN = 20

# What cursors call its lists.
_STEPS, _STAYING, _BLOBS = "deletion.steps", "deletion.staying", "deletion.blobs"


@dataclass(frozen=True, slots=True, eq=False)  # a plan is a parent of its lists: it is itself the key
class _Deletion:
    worked_out: deletion.Deletion
    taken: Sequence[int]  # keys of tags
    grounds: Grounds


@dataclass(frozen=True, slots=True)
class _Step:
    artifact: ArtifactRow
    step: rule.DeletionStep


@dataclass(frozen=True, slots=True, eq=False)
class _Stay:
    artifact: ArtifactRow
    stay: rule.DeletionStay
    deletion: _Deletion

    @property
    def tag_count(self) -> int:
        return self.deletion.worked_out.tag_counts[self.stay.artifact]


async def load_deletions(context: Context, keys: Sequence[NamedSet], /) -> Sequence[Answer]:
    """The plan of each set; each by at most six statements, whatever is in it."""
    answers: list[Answer] = []
    for named in keys:
        try:
            answers.append(await _work_out(context, named))
        except Exception as error:  # fails this plan only
            answers.append(error)
    return answers


async def _work_out(context: Context, named: NamedSet) -> _Deletion:
    found = await find_set(context, named)
    homes = [row.key for row in found.whole_repositories]
    count = len(found.artifact_keys) + sum(row.artifact_count for row in found.whole_repositories)
    if count > deletion.MAX_SURROUNDINGS:  # known before anything is read
        raise QueryTooCostlyError(count, deletion.MAX_SURROUNDINGS, "artifacts to delete")
    worked_out = await context.read(
        deletion.work_out_deletion, found.artifact_keys, homes, _count_taken(named, found)
    )
    taken = [tag.tag_key for tag in found.tags if tag.tag_key is not None]
    grounds = Grounds(GroundsKind.SET, repository_keys=tuple(found.repository_keys), is_open=named.has_globs)
    return _Deletion(worked_out, taken, grounds)


def _count_taken(named: NamedSet, found: FoundSet) -> Mapping[int, int]:
    """How many ordinary tags each artifact loses that loses any tag."""
    ordinary: dict[int, set[int]] = {}
    for address, tag in zip(named.tags, found.tags, strict=True):
        if address.tag is not None and tag.artifact_key is not None and tag.tag_key is not None:
            lost = ordinary.setdefault(tag.artifact_key, set())
            if parse_referrer_tag(address.tag) is None:
                lost.add(tag.tag_key)
    return {key: len(tags) for key, tags in ordinary.items()}


async def load_steps(
    context: Context, keys: Sequence[_Deletion], /, *, page: PageRequest
) -> Sequence[Answer]:
    """A page of the steps of each plan."""
    pages = [
        cut_sequence(key.worked_out.plan.steps, lambda step: step.artifact, _STEPS, page) for key in keys
    ]
    rows = await _load_artifacts(context, (step.artifact for cut in pages for step in cut.rows))
    return [
        _listed(key, cut, [_Step(rows[step.artifact], step) for step in cut.rows], key.worked_out.plan.steps)
        for key, cut in zip(keys, pages, strict=True)
    ]


async def load_staying(
    context: Context, keys: Sequence[_Deletion], /, *, page: PageRequest
) -> Sequence[Answer]:
    """A page of what stays beside each plan."""
    pages = [
        cut_sequence(key.worked_out.plan.staying, lambda stay: stay.artifact, _STAYING, page) for key in keys
    ]
    rows = await _load_artifacts(context, (stay.artifact for cut in pages for stay in cut.rows))
    return [
        _listed(
            key,
            cut,
            [_Stay(rows[stay.artifact], stay, key) for stay in cut.rows],
            key.worked_out.plan.staying,
        )
        for key, cut in zip(keys, pages, strict=True)
    ]


async def load_blobs(
    context: Context, keys: Sequence[_Deletion], /, *, page: PageRequest
) -> Sequence[Answer]:
    """A page of the blobs that each plan frees."""
    pages = [cut_sequence(key.worked_out.freed, lambda blob: blob.key, _BLOBS, page) for key in keys]
    return [_listed(key, cut, cut.rows, key.worked_out.freed) for key, cut in zip(keys, pages, strict=True)]


def _listed(key: _Deletion, cut: Page[Any], rows: list[Any], whole: Sequence[object]) -> Listed:
    return Listed(Page(rows, cut.cursors, cut.has_next, cut.has_previous), key, _count, (len(whole),))


def _count(_: Any, __: Any, keys: Sequence[object], length: int) -> list[int]:
    return [length for _ in keys]


async def load_groups(context: Context, keys: Sequence[tuple[int, ...]], /) -> Sequence[Answer]:
    """The first artifacts of each group of keys."""
    rows = await _load_artifacts(context, (key for group in keys for key in group[:MAX_SHOWN]))
    return [[rows[key] for key in group[:MAX_SHOWN]] for group in keys]


async def load_tags_left(context: Context, keys: Sequence[_Stay], /) -> Sequence[Answer]:
    """The first tags that each artifact that stays keeps."""
    taken = {tag for key in keys for tag in key.deletion.taken}
    tagged = [key.artifact.key for key in keys if key.tag_count]
    found = await context.read(deletion.load_tags_left, tagged, taken, MAX_SHOWN) if tagged else []
    tags = dict(zip(tagged, found, strict=True))
    return [tags.get(key.artifact.key, []) for key in keys]


async def load_layers(context: Context, keys: Sequence[int], /) -> Sequence[Answer]:
    """The layers with these keys."""
    return await context.read(layers.load_layers, keys)


async def _load_artifacts(context: Context, keys: Iterable[int]) -> Mapping[int, ArtifactRow]:
    distinct = list(dict.fromkeys(keys))
    found = await context.read(artifacts.load_artifacts, distinct) if distinct else []
    return {row.key: row for row in found if row is not None}


def _reference(row: _Step | _Stay, context: Context) -> str:
    registry = context.registries.by_key(row.artifact.registry_key).name
    return format_reference(registry, row.artifact.repository_name, row.artifact.digest)


@strawberry.type(description="One artifact to delete, by its digest, and why.")
class DeletionStep:
    """One artifact to delete."""

    artifact: ArtifactLink = strawberry.field(description="What to delete.")
    reference: str = computed(
        _reference, description="Its address: `registry/repository@digest`. All its tags go with it."
    )
    digest: Digest = computed(
        lambda row, _: row.artifact.digest, description="Its digest, by which it is deleted."
    )
    reason: DeletionReason = computed(lambda row, _: row.step.reason, description="Why it is in the plan.")
    causes: list[ArtifactLink] | None = batched(
        load_groups,
        key=lambda row: row.step.causes,
        description="Because of what it goes: the indexes in the plan that list it, or the artifacts in the "
        "plan that it refers to; at most 20. Empty for what was named.",
    )
    cause_count: int = computed(lambda row, _: len(row.step.causes), description="How many causes there are.")
    breaks: list[ArtifactLink] | None = batched(
        load_groups,
        key=lambda row: row.step.breaks,
        description="The indexes that list it and stay, at most 20: without it they can no longer be pulled "
        "whole, and many registries refuse to delete it. Only what was named can break any.",
    )
    break_count: int = computed(
        lambda row, _: len(row.step.breaks), description="How many indexes that stay list it."
    )


@strawberry.type(
    description="One artifact that stays, although it was named or is next to something that goes, and why."
)
class DeletionStay:
    """One artifact that stays."""

    artifact: ArtifactLink = strawberry.field(description="What stays.")
    reference: str = computed(_reference, description="Its address: `registry/repository@digest`.")
    digest: Digest = computed(lambda row, _: row.artifact.digest, description="Its digest.")
    reason: StayReason = computed(lambda row, _: row.stay.reason, description="Why it stays.")
    tags: list[TagLink] | None = batched(
        load_tags_left,
        key=lambda row: row,
        description="The ordinary tags that it keeps, by name, at most 20.",
    )
    tag_count: int = computed(lambda row, _: row.tag_count, description="How many ordinary tags it keeps.")
    holders: list[ArtifactLink] | None = batched(
        load_groups,
        key=lambda row: row.stay.holders,
        description="What holds it, as the reason says: indexes that list it or artifacts that it refers to, "
        "at most 20. Empty if its tags do.",
    )
    holder_count: int = computed(
        lambda row, _: len(row.stay.holders), description="How many artifacts hold it."
    )


@strawberry.type(
    description="Content that nothing in the registry uses any more once the whole plan is carried out."
)
class FreedBlob:
    """A blob that would be freed."""

    digest: Digest = strawberry.field(description="Its digest.")
    size: ByteCount = strawberry.field(description="Its bytes; 0 where no manifest says.")
    layer: LayerLink | None = batched(
        load_layers,
        key=lambda row: row.key if row.is_layer else None,
        description="The layer it is. Null: a manifest or a config.",
    )


@strawberry.type(description="One page of the steps of a plan, in the order in which to carry them out.")
class DeletionStepConnection(Connection[DeletionStep]):
    """A page of steps."""


@strawberry.type(description="One page of what stays beside a plan.")
class DeletionStayConnection(Connection[DeletionStay]):
    """A page of what stays."""


@strawberry.type(description="One page of what a plan frees, the largest first.")
class FreedBlobConnection(Connection[FreedBlob]):
    """A page of freed blobs."""


def _itself(row: _Deletion) -> _Deletion:
    return row


@strawberry.type(
    description="The plan of a deletion: what to delete so that what was named is gone, and with it what "
    "nothing else holds. It is told and never carried out: nothing is deleted by asking."
)
class Deletion:
    """The plan of a deletion."""

    steps: DeletionStepConnection | None = batched(
        load_steps,
        key=_itself,
        cursors=partial(sequence_cursors, _STEPS),
        description="What to delete, in this order: an index before what it lists, and what refers to an "
        "artifact before that artifact. So nothing is ever left that names something already gone, and "
        "registries that protect what is named do not refuse.",
    )
    staying: DeletionStayConnection | None = batched(
        load_staying,
        key=_itself,
        cursors=partial(sequence_cursors, _STAYING),
        description="What stays although it was named, or although an index lists it or an artifact has it "
        "for a referrer that goes.",
    )
    blobs: FreedBlobConnection | None = batched(
        load_blobs,
        key=_itself,
        cursors=partial(sequence_cursors, _BLOBS),
        description="The content that is freed, the largest first: manifests, configs and layers.",
    )
    artifact_count: int = computed(
        lambda row, _: len(row.worked_out.plan.steps), description="How many artifacts the plan deletes."
    )
    bytes_freed: ByteCount = computed(
        lambda row, _: row.worked_out.bytes_freed(Extent.WHOLE),
        description="The bytes that leave the registry once the whole plan is carried out and the registry "
        "has collected its garbage: what no other artifact of any of its repositories uses.",
    )
    bytes_freed_by_named_only: ByteCount = computed(
        lambda row, _: row.worked_out.bytes_freed(Extent.NAMED_ONLY),
        description="The bytes that leave the registry if only what was named is deleted: steps with the "
        "reason `NAMED`.",
    )
    bytes_freed_by_referrers: ByteCount = computed(
        lambda row, _: (
            row.worked_out.bytes_freed(Extent.WHOLE) - row.worked_out.bytes_freed(Extent.WITHOUT_REFERRERS)
        ),
        description="How many of `bytesFreed` would stay if the referrers that are in the plan, and what is "
        "in it because of them, were left.",
    )
    basis: Basis | None = basis_field()

"""How much each of some repositories or artifacts shares with each other: a matrix (concept C13).

Rules of this file: it is answered from the store alone, as every question about a set is. Rows, columns and
labels are in one order, and the two tables are whole, so that a notebook can plot them as they come.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import strawberry

from graph.errors import InputError
from graph.schema.basis import Basis
from graph.schema.batches import Answer, Cost, Location
from graph.schema.context import Context, Registries
from graph.schema.fields import batched, computed
from graph.schema.links import ArtifactLink, RepositoryLink
from graph.schema.scalars import ByteCount
from graph.schema.sets import FoundSet, NamedSet, check_member_count, find_set, parse_set
from graph.schema.tag import load_artifacts, load_repositories
from graph.store.bases import load_set_basis
from graph.store.overlaps import load_artifact_overlap, load_repository_overlap
from graph.store.rows import BasisRow, Scope

# Members of one matrix: 100 are 10,000 cells, half of what a query may cost. One shares with nobody.
MIN_MEMBERS, MAX_MEMBERS = 2, 100


@dataclass(frozen=True, slots=True)
class _MemberRow:
    name: str
    artifact_key: int | None
    repository_key: int | None
    layer_count: int = 0
    layer_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _OverlapRow:
    members: list[_MemberRow]
    layer_counts: list[list[int]]
    overlap_bytes: list[list[int]]
    basis: BasisRow


def parse_members(
    registries: Registries,
    artifacts: Sequence[str] | None,
    repositories: Sequence[str] | None,
    registry: str | None,
) -> NamedSet:
    """The members that the arguments ask for. Nothing is read.

    Raises InputError unless one of the lists is given and names enough, QueryTooCostlyError if it names too
    many, and the errors of names and addresses.
    """
    if (artifacts is None) == (repositories is None):
        raise InputError("give `artifacts` or `repositories`, one of the two")
    named = parse_set(registries, artifacts=artifacts, repositories=repositories, registry=registry)
    if not named.has_globs:
        _check_members(named.name_count)
    return named


def ask_overlap(context: Context, named: NamedSet, location: Location) -> Any:
    """A future of the matrix of these members. Each name is a node, and so is each cell."""
    batch = context.dispatcher.batch_of(load_overlaps, {})
    return context.dispatcher.ask(batch, named, location, Cost(max(named.name_count, 1)))


async def load_overlaps(context: Context, keys: Sequence[NamedSet], /) -> Sequence[Answer]:
    """The matrix of each list of members, each by at most four statements."""
    answers: list[Answer] = []
    for named in keys:
        try:
            answers.append(await _load(context, named))
        except Exception as error:  # it fails this question, not the others
            answers.append(error)
    return answers


async def _load(context: Context, named: NamedSet) -> _OverlapRow:
    found = await find_set(context, named)
    members = list(_members_of(named, found))
    _check_members(len(members))
    context.charge(len(members) ** 2)
    if named.artifacts:
        keys = [member.artifact_key for member in members]
        matrix = await context.read(load_artifact_overlap, keys)
    else:
        keys = [member.repository_key for member in members]
        matrix = await context.read(load_repository_overlap, keys)
    basis = await context.read(_load_basis, found.repository_keys, named.has_globs)
    counts, sizes = matrix.layer_counts, matrix.overlap_bytes
    return _OverlapRow(
        [
            _MemberRow(
                member.name,
                member.artifact_key,
                member.repository_key,
                counts[place][place],
                sizes[place][place],
            )
            for place, member in enumerate(members)
        ],
        counts,
        sizes,
        basis,
    )


def _load_basis(db: Any, visibility: Any, repository_keys: Sequence[int], is_open: bool) -> BasisRow:
    return load_set_basis(db, visibility, repository_keys, Scope.ALL, is_open=is_open)


def _members_of(named: NamedSet, found: FoundSet) -> Iterator[_MemberRow]:
    """The members in the order they were asked for; a repository that several patterns match comes once."""
    for address, artifact in zip(named.artifacts, found.artifacts, strict=True):
        yield _MemberRow(address.text, artifact.artifact_key, None)
    shown: set[int] = set()
    for pattern, rows in zip(named.repositories, found.repositories, strict=True):
        registry = pattern.text.removesuffix(pattern.name)  # with its slash, where the pattern names one
        for row in rows:
            if row.key not in shown:
                shown.add(row.key)
                yield _MemberRow(f"{registry}{row.name}", None, row.key)


def _check_members(count: int) -> None:
    if count < MIN_MEMBERS:
        raise InputError(f"a matrix has {MIN_MEMBERS} to {MAX_MEMBERS} members, not {count}")
    check_member_count(count, MAX_MEMBERS)


@strawberry.type(description="One of those whose layers are compared: the label of a row and of a column.")
class OverlapMember:
    """One of those whose layers are compared."""

    name: str = strawberry.field(
        description="What it was asked for by; a repository that a pattern matched, by its own name."
    )
    repository: RepositoryLink | None = batched(
        load_repositories,
        key=lambda row: row.repository_key,
        description="The repository. Null: artifacts are compared.",
    )
    artifact: ArtifactLink | None = batched(
        load_artifacts,
        key=lambda row: row.artifact_key,
        description="The artifact. Null: repositories are compared.",
    )
    layer_count: int = strawberry.field(
        description="How many layers it uses, each digest once; of an index those of all that it holds. "
        "Empty layers are left out."
    )
    layer_bytes: ByteCount = strawberry.field(description="The bytes of these layers.")


@strawberry.type(
    description="How much each of some repositories or artifacts shares with each other. The tables are "
    "square and symmetric; their rows and columns are the members, in order. The layers that two members use "
    "are counted, and weighed in bytes, each digest once, empty ones left out; the diagonal is what a member "
    "uses itself. Nothing is shared between registries."
)
class Overlap:
    """How much each of some repositories or artifacts shares with each other."""

    members: list[OverlapMember] | None = computed(
        lambda row, _: row.members,
        is_long=True,
        description="Those that are compared, in the order they were asked for. Null with an error only.",
    )
    layer_counts: list[list[int]] | None = computed(
        lambda row, _: row.layer_counts,
        is_long=True,
        description="How many layers each member, one row for each, shares with each, one column for each. "
        "Null with an error only.",
    )
    overlap_bytes: list[list[ByteCount]] | None = computed(
        lambda row, _: row.overlap_bytes,
        is_long=True,
        description="How many bytes of layers each member, one row for each, shares with each, one column "
        "for each. Null with an error only.",
    )
    basis: Basis = strawberry.field(description="What this stands on: how well the members are known.")

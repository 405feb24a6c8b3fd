"""Read how much each of some members shares with each other: the matrix of their overlap.

Rules of this file: one statement, over the layers of the members and of nobody else, whatever their number;
never one for each pair. Blobs are per registry, so members of two registries share nothing (concept C2).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Connection, func, literal_column, null, select, type_coerce, union_all

from graph.store.keys import key_set
from graph.store.users import ARTIFACT_USERS, REPOSITORY_USERS, Users, layers_of
from graph.store.visibility import Visibility

# Bits of a cell's number that hold its count; above them are its bytes.
_COUNT_BITS = 32
_COUNT = (1 << _COUNT_BITS) - 1


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two square tables, a row and a column for each member, alike across the diagonal.

    Their cells are the layers that both members use, counted and weighed in bytes, each digest once; the
    diagonal is a member's own. Empty layers are left out, foreign ones are not.
    """

    layer_counts: list[list[int]]
    overlap_bytes: list[list[int]]


def load_repository_overlap(
    db: Connection, visibility: Visibility, repository_keys: Sequence[int]
) -> Overlap:
    """Return what each of the repositories shares with each, in their order."""
    return _load(db, visibility, REPOSITORY_USERS, repository_keys)


def load_artifact_overlap(db: Connection, visibility: Visibility, artifact_keys: Sequence[int]) -> Overlap:
    """Return what each of the artifacts shares with each, in their order; an index with all that it holds."""
    return _load(db, visibility, ARTIFACT_USERS, artifact_keys)


def _load(db: Connection, visibility: Visibility, users: Users, keys: Sequence[int]) -> Overlap:
    _, layers = layers_of(users, visibility, key_set(db, keys))
    column = layers.c
    shared = select(column.blob).group_by(column.blob).having(func.count() > 1)
    whole = select(
        column.parent,
        type_coerce(null(), BigInteger()).label("blob"),
        func.count().label("layers"),
        func.sum(column.size).label("bytes"),
    ).group_by(column.parent)
    # What only one member uses is in its own sums: of most layers no row leaves the engine.
    each = select(column.parent, column.blob, literal_column("1"), column.size).where(column.blob.in_(shared))
    own: dict[int, int] = {}
    holders: dict[int, list[int]] = defaultdict(list)
    weights: dict[int, int] = {}
    for member, blob, count, size in db.execute(union_all(whole, each)):
        if blob is None:
            own[member] = size << _COUNT_BITS | count
        else:
            holders[blob].append(member)
            weights[blob] = size << _COUNT_BITS | count
    return _cross(keys, own, holders, weights)


def _cross(
    keys: Sequence[int],
    own: Mapping[int, int],
    holders: Mapping[int, Sequence[int]],
    weights: Mapping[int, int],
) -> Overlap:
    """Return the tables. Layers that the same members use are added up first: those of one base, mostly.

    A count and its bytes are one number, which halves what the worst registry takes: 100 members with 5,000
    layers, each used by another half of them.
    """
    places = {key: place for place, key in enumerate(own)}
    groups: dict[tuple[int, ...], int] = defaultdict(int)
    for blob, members in holders.items():
        groups[tuple(sorted(places[member] for member in members))] += weights[blob]
    table = [[0] * len(places) for _ in places]
    for group, weight in groups.items():
        for index, member in enumerate(group):
            row = table[member]
            for other in group[index + 1 :]:
                row[other] += weight
    for key, place in places.items():
        table[place][place] = own[key]
        for other in range(place):
            table[place][other] = table[other][place]
    # A member that has no layer, or is not there, shares nothing.
    asked = [places.get(key) for key in keys]
    cells = [[0 if x is None or y is None else table[x][y] for y in asked] for x in asked]
    return Overlap(
        [[cell & _COUNT for cell in row] for row in cells],
        [[cell >> _COUNT_BITS for cell in row] for row in cells],
    )

"""A figure that a recount finds to be another, and how the files of this package read and compare.

Rules of this file: no table is named here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure that is not what a recount finds; `place` says of what."""

    place: str
    stored: Any
    counted: Any


def compare(place: str, stored: Any, counted: Any) -> Iterator[Difference]:
    """The difference, if there is one."""
    if stored != counted:
        yield Difference(place, stored, counted)


def rows_of(db: Connection, sql: str, **parameters: int) -> list[Any]:
    """All rows of a statement."""
    return list(db.execute(text(sql), parameters).all())

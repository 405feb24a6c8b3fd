"""Many rows at once: how the write side sends them, and what the engines write differently there.

Rules of this file: no table is named here. Statements of the write side are SQL text in the part that SQLite
and PostgreSQL share, with `{keys}` and `{texts}` where a list comes in and `?` where a row does; this file
puts in what an engine needs. Rows go as tuples straight to the driver: SQLAlchemy's own executemany took 5
µs a row where this takes 1.2 µs, and a crawl writes a hundred rows for each image.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import Connection, CursorResult, Table, TextClause, text

Value: TypeAlias = int | str | None

# A list comes in as one JSON parameter, read as a table whose column is `value` (see keys.py for the reason).
_LISTS = {
    "sqlite": {"keys": "json_each(:keys)", "texts": "json_each(:texts)"},
    "postgresql": {
        "keys": "(SELECT CAST(value AS BIGINT) AS value "
        "FROM jsonb_array_elements_text(CAST(:keys AS JSONB)))",
        "texts": "(SELECT value FROM jsonb_array_elements_text(CAST(:texts AS JSONB)))",
    },
}


@lru_cache(maxsize=256)
def _statement(dialect: str, sql: str) -> TextClause:
    return text(sql.format_map(_LISTS[dialect]))


def run(
    db: Connection,
    sql: str,
    parameters: Mapping[str, Value] | None = None,
    *,
    keys: Iterable[int] | None = None,
    texts: Iterable[str] | None = None,
) -> None:
    """Run one statement that writes. Moments go in as microseconds, as they are stored."""
    _execute(db, sql, parameters, keys, texts)


def read_rows(
    db: Connection,
    sql: str,
    parameters: Mapping[str, Value] | None = None,
    *,
    keys: Iterable[int] | None = None,
    texts: Iterable[str] | None = None,
) -> Sequence[Any]:
    """Run one statement that reads; return its rows. Flags come as the engine has them, as 0 or 1."""
    return _execute(db, sql, parameters, keys, texts).all()


def read_column(
    db: Connection,
    sql: str,
    parameters: Mapping[str, Value] | None = None,
    *,
    keys: Iterable[int] | None = None,
    texts: Iterable[str] | None = None,
) -> Sequence[Any]:
    """Run one statement that reads; return the first value of each row."""
    return _execute(db, sql, parameters, keys, texts).scalars().all()


def _execute(
    db: Connection,
    sql: str,
    parameters: Mapping[str, Value] | None,
    keys: Iterable[int] | None,
    texts: Iterable[str] | None,
) -> CursorResult[Any]:
    values: dict[str, Value] = dict(parameters or {})
    if keys is not None:
        values["keys"] = json.dumps(list(keys), separators=(",", ":"))
    if texts is not None:
        values["texts"] = json.dumps(list(texts), separators=(",", ":"))
    return db.execute(_statement(db.dialect.name, sql), values)


def run_rows(db: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run one statement for each row, whose values take the places of the `?` in it."""
    if rows:
        marks = sql if db.dialect.paramstyle == "qmark" else sql.replace("?", "%s")
        db.exec_driver_sql(marks, list(rows))


def insert_rows(
    db: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert the rows, each the values of `columns`; moments in them are microseconds already."""
    marks = ", ".join("?" * len(columns))
    run_rows(db, f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})", rows)


def next_keys(db: Connection, table: Table, count: int) -> range | list[int]:
    """Give `count` keys that no row of the table has, rising, for rows inserted in this transaction.

    Asking first is what lets a whole batch of rows that point to each other go in without reading keys back.
    """
    if db.dialect.name == "postgresql":
        sequence = (
            f"SELECT nextval(pg_get_serial_sequence('{table.name}', 'id')) FROM generate_series(1, :count)"
        )
        return list(db.execute(text(sequence), {"count": count}).scalars())
    # The transaction holds the write lock from its beginning, so nobody takes these keys meanwhile.
    last = db.execute(text(f"SELECT COALESCE(MAX(id), 0) FROM {table.name}")).scalar_one()
    return range(last + 1, last + 1 + count)

"""Many rows at once: how the write side sends its statements, and what the engines write differently there.

Rules of this file: no table is named here. Statements of the write side are SQL text in the part that
SQLite and PostgreSQL share, with `{keys}` and `{texts}` where a list comes in, `{key_groups}` and
`{text_groups}` where a list for each of many keys does, `:name` where a value does and `?` where a row does;
this file puts in what an engine needs. A statement about an empty list is not sent.

Everything goes through the driver's own cursor: about forty statements are needed to write down one
repository, however small, and each took 42 µs through SQLAlchemy (23 µs through `exec_driver_sql`) where
this takes 2 µs; a row of executemany took 5 µs where this takes 1.2 µs. The transaction stays SQLAlchemy's.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import Boolean, Connection, Table

Value: TypeAlias = int | str | None

# A list comes in as one JSON parameter, read as a table whose column is `value` (see keys.py for the
# reason). SQLite knows nothing of how long it is: where another condition on the joined table has an index
# too, such as its registry, it may walk all of that and the list for each row. CROSS JOIN is how SQLite is
# told to begin with the list, and to go on in the order that is written.
#
# A group is one name of a JSON object: `CAST(g.key AS BIGINT)` is its key, `k.value` each member of its list.
_LISTS = {
    "sqlite": {
        "keys": "json_each(:keys)",
        "texts": "json_each(:texts)",
        "key_groups": "json_each(:groups) AS g CROSS JOIN json_each(g.value)",
        "text_groups": "json_each(:groups) AS g CROSS JOIN json_each(g.value)",
    },
    "postgresql": {
        "keys": "(SELECT CAST(value AS BIGINT) AS value "
        "FROM jsonb_array_elements_text(CAST(:keys AS JSONB)))",
        "texts": "(SELECT value FROM jsonb_array_elements_text(CAST(:texts AS JSONB)))",
        "key_groups": "jsonb_each(CAST(:groups AS JSONB)) AS g CROSS JOIN LATERAL "
        "(SELECT CAST(value AS BIGINT) AS value FROM jsonb_array_elements_text(g.value))",
        "text_groups": "jsonb_each(CAST(:groups AS JSONB)) AS g CROSS JOIN LATERAL "
        "(SELECT value FROM jsonb_array_elements_text(g.value))",
    },
}
_NAME = re.compile(r":(\w+)")

_encode = json.JSONEncoder(separators=(",", ":")).encode


@lru_cache(maxsize=256)  # more than there are statements
def _statement(dialect: str, sql: str) -> str:
    statement = sql.format_map(_LISTS[dialect])
    return statement if dialect == "sqlite" else _NAME.sub(r"%(\1)s", statement)


def run(
    db: Connection,
    sql: str,
    parameters: Mapping[str, Value] | None = None,
    *,
    keys: Collection[int] | None = None,
    texts: Collection[str] | None = None,
) -> None:
    """Run one statement that writes. Moments go in as microseconds, as they are stored."""
    _execute(db, sql, parameters, keys, texts)


def read_rows(
    db: Connection,
    sql: str,
    parameters: Mapping[str, Value] | None = None,
    *,
    keys: Collection[int] | None = None,
    texts: Collection[str] | None = None,
    groups: Mapping[int, Collection[Value]] | None = None,
) -> Sequence[Any]:
    """Run one statement that reads; return its rows. Flags come as the engine has them, as 0 or 1."""
    return _execute(db, sql, parameters, keys, texts, groups)


def read_column(
    db: Connection,
    sql: str,
    parameters: Mapping[str, Value] | None = None,
    *,
    keys: Collection[int] | None = None,
    texts: Collection[str] | None = None,
) -> Sequence[Any]:
    """Run one statement that reads; return the first value of each row."""
    return [row[0] for row in _execute(db, sql, parameters, keys, texts)]


def _execute(
    db: Connection,
    sql: str,
    parameters: Mapping[str, Value] | None,
    keys: Collection[int] | None,
    texts: Collection[str] | None,
    groups: Mapping[int, Collection[Value]] | None = None,
) -> list[Any]:
    values: dict[str, Value] = dict(parameters or {})
    if groups is not None:
        filled = {key: list(group) for key, group in groups.items() if group}
        if not filled:
            return []
        values["groups"] = _encode(filled)
    for name, listed in (("keys", keys), ("texts", texts)):
        if listed is not None:
            if not listed:
                return []
            values[name] = _encode(list(listed))
    statement = _statement(db.dialect.name, sql)
    if "statements" in db.info:  # of a snapshot, which tells what it sent
        db.info["statements"].append(statement)
    cursor = db.connection.cursor()
    try:
        cursor.execute(statement, values)
        return [] if cursor.description is None else list(cursor.fetchall())
    finally:
        cursor.close()


def run_rows(db: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run one statement for each row, whose values take the places of the `?` in it."""
    if not rows:
        return
    cursor = db.connection.cursor()
    try:
        cursor.executemany(sql if db.dialect.name == "sqlite" else sql.replace("?", "%s"), rows)
    finally:
        cursor.close()


def insert_rows(
    db: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert the rows, each the values of `columns`; moments are microseconds already, flags 0 or 1.

    A bool, or a member of an enum, costs sqlite3 a search for an adapter: 0.4 and 0.7 µs each.
    """
    if not rows:
        return
    if db.dialect.name != "sqlite":
        flags = [isinstance(table.c[name].type, Boolean) for name in columns]
        rows = [
            tuple(bool(value) if is_flag else value for value, is_flag in zip(row, flags, strict=True))
            for row in rows
        ]
    marks = ", ".join("?" * len(columns))
    run_rows(db, f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})", rows)


def next_keys(db: Connection, table: Table, count: int) -> Sequence[int]:
    """Give `count` keys that no row of the table has, rising, for rows inserted in this transaction.

    Asking first is what lets a whole batch of rows that point to each other go in without reading keys back.
    """
    if count == 0:
        return ()
    if db.dialect.name == "postgresql":
        return read_column(
            db,
            f"SELECT nextval(pg_get_serial_sequence('{table.name}', 'id')) FROM generate_series(1, :count)",
            {"count": count},
        )
    # The transaction holds the write lock from its beginning, so nobody takes these keys meanwhile.
    (last,) = read_column(db, f"SELECT COALESCE(MAX(id), 0) FROM {table.name}")
    return range(last + 1, last + 1 + count)

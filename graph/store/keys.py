"""How many keys go into one statement: as one parameter, joined like a table.

Rules of this file: how reads give each engine a list; `bulk.py` does it for the text of the write side. Never
an IN list of parameters: at 9,000 keys it took twice as long, and each length would be another statement to
prepare.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys as a table of one column; each key once, in no order."""

    source: FromClause
    value: ColumnElement[int]


@dataclass(frozen=True, slots=True)
class PairSet:
    """Pairs of a key and a second value as a table of two columns."""

    source: FromClause
    first: ColumnElement[int]
    second: ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class TripleSet:
    """A key and two texts as a table of three columns."""

    source: FromClause
    first: ColumnElement[int]
    second: ColumnElement[str]
    third: ColumnElement[str]


def key_set(db: Connection, keys: Sequence[int]) -> KeySet:
    """Return the keys as a table to select from or to join."""
    distinct = list(dict.fromkeys(keys))
    if db.dialect.name == "postgresql":
        source = func.unnest(literal(distinct, ARRAY(BigInteger))).table_valued(
            column("value", BigInteger), name="keys"
        )
    else:
        source = func.json_each(_document(distinct)).table_valued(column("value", BigInteger), name="keys")
    return KeySet(source, source.c.value)


def key_parameter(engine: str, name: str = "keys") -> KeySet:
    """Return keys that come in when the statement is run, as `key_value` of them; for statements kept."""
    if engine == "postgresql":
        array = bindparam(name, type_=ARRAY(BigInteger))
        source = func.unnest(array).table_valued(column("value", BigInteger), name="keys")
    else:
        document = bindparam(name, type_=Text)
        source = func.json_each(document).table_valued(column("value", BigInteger), name="keys")
    return KeySet(source, source.c.value)


def key_value(engine: str, keys: Sequence[int]) -> Any:
    """Return what `key_parameter` takes: the keys, each once."""
    distinct = list(dict.fromkeys(keys))
    return distinct if engine == "postgresql" else _encode(distinct)


def pair_set(db: Connection, pairs: Sequence[tuple[int, str]] | Sequence[tuple[int, int]]) -> PairSet:
    """Return the pairs as a table to join."""
    distinct = list(dict.fromkeys(pairs))
    second_type = Text() if any(isinstance(second, str) for _, second in distinct) else BigInteger()
    if db.dialect.name == "postgresql":
        firsts = literal([first for first, _ in distinct], ARRAY(BigInteger))
        seconds = literal([second for _, second in distinct], ARRAY(second_type))
        source = func.unnest(firsts, seconds).table_valued(
            column("first", BigInteger), column("second", second_type), name="pairs"
        )
        return PairSet(source, source.c.first, source.c.second)
    source = func.json_each(_document(distinct)).table_valued(column("value", Text), name="pairs")
    first = func.json_extract(source.c.value, "$[0]", type_=BigInteger())
    second = func.json_extract(source.c.value, "$[1]", type_=second_type)
    return PairSet(source, first, second)


def pair_parameter(engine: str, name: str = "pairs") -> PairSet:
    """Return pairs of keys that come in when the statement is run, as `pair_value` of them."""
    # Two arrays as one parameter would need a type of their own on PostgreSQL; a document does not.
    document = bindparam(name, type_=Text)
    if engine == "postgresql":
        source = func.jsonb_array_elements(cast(document, JSONB)).table_valued(
            column("value", JSONB), name="pairs"
        )
        return PairSet(source, *(cast(source.c.value[place].astext, BigInteger) for place in (0, 1)))
    source = func.json_each(document).table_valued(column("value", Text), name="pairs")
    places = ("$[0]", "$[1]")
    return PairSet(source, *(func.json_extract(source.c.value, at, type_=BigInteger()) for at in places))


def pair_value(pairs: Sequence[tuple[int, int]]) -> str:
    """Return what `pair_parameter` takes: the pairs, each once."""
    return _encode(list(dict.fromkeys(pairs)))


def triple_set(db: Connection, triples: Sequence[tuple[int, str, str]]) -> TripleSet:
    """Return the triples as a table to join."""
    distinct = list(dict.fromkeys(triples))
    if db.dialect.name == "postgresql":
        firsts = literal([triple[0] for triple in distinct], ARRAY(BigInteger))
        seconds = literal([triple[1] for triple in distinct], ARRAY(Text))
        thirds = literal([triple[2] for triple in distinct], ARRAY(Text))
        columns = (column("first", BigInteger), column("second", Text), column("third", Text))
        source = func.unnest(firsts, seconds, thirds).table_valued(*columns, name="triples")
        return TripleSet(source, source.c.first, source.c.second, source.c.third)
    source = func.json_each(_document(distinct)).table_valued(column("value", Text), name="triples")
    first = func.json_extract(source.c.value, "$[0]", type_=BigInteger())
    second = func.json_extract(source.c.value, "$[1]", type_=Text())
    return TripleSet(source, first, second, func.json_extract(source.c.value, "$[2]", type_=Text()))


def _document(values: Sequence[Any]) -> ColumnElement[str]:
    return literal(_encode(values), Text())


def _encode(values: Sequence[Any]) -> str:
    return json.dumps(values, separators=(",", ":"))

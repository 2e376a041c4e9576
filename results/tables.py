"""Rows as pyarrow tables, and the digest of what a run computed."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import msgspec
import pyarrow as pa

from ..simulate.rows import DIGESTED, DIGESTED_COLUMNS, FIELDS, Rows

_DIGEST_BITS = 256
#: Where the market's id stands in the rows of a table.
_MARKET = {table: [name for name, _ in FIELDS[table]].index("market_id") for table in DIGESTED}


Fields = tuple[tuple[str, str], ...]


@functools.cache
def schema(fields: Fields) -> pa.Schema:
    """Columns of these names and kinds."""
    kinds = {
        "text": pa.string(),
        "number": pa.float64(),
        "whole": pa.int64(),
        "flag": pa.bool_(),
        "time": pa.timestamp("ms", tz="UTC"),
    }
    return pa.schema([pa.field(name, kinds[kind]) for name, kind in fields])


def to_tables(rows: Rows) -> dict[str, pa.Table]:
    """Every table of `rows`."""
    return {table: from_rows(found, FIELDS[table]) for table, found in rows.items()}


def from_rows(rows: list[tuple[Any, ...]], fields: Fields) -> pa.Table:
    """A table of rows with these columns."""
    columns = schema(fields)
    if not rows:
        return columns.empty_table()
    values = zip(*rows, strict=True)
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(values, columns, strict=True)], schema=columns
    )


def from_dicts(rows: list[dict[str, Any]], fields: Fields) -> pa.Table:
    """A table of dicts by column name."""
    return pa.Table.from_pylist(rows, schema=schema(fields))


def digest_of(rows: Rows) -> int:
    """A sum over rows, so that parts add up whatever their order; see `digest_text`."""
    return sum(digests_by_market(rows).values()) % (1 << _DIGEST_BITS)


def digests_by_market(rows: Rows) -> dict[str, int]:
    """What the rows of each market add to the digest."""
    found: dict[str, int] = {}
    encode = msgspec.json.Encoder().encode
    for table in DIGESTED:
        name, at, width = table.encode(), _MARKET[table], DIGESTED_COLUMNS[table]
        for row in rows.get(table, ()):
            market_id = row[at]
            share = int.from_bytes(hashlib.sha256(name + encode(row[:width])).digest(), "big")
            found[market_id] = found.get(market_id, 0) + share
    return found


def digest_text(parts: int) -> str:
    """The digest of a run: the sum of its parts' digests, as 64 hexadecimal digits."""
    return f"{parts % (1 << _DIGEST_BITS):064x}"

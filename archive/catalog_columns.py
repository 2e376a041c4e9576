"""The columns of a catalog, and what names the recording of a row."""

from __future__ import annotations

import functools
from typing import Any

#: What the file says of itself.
FORMAT = {b"headrace.catalog": b"1"}
#: Columns: name and kind. Times are UTC, bytes those of the file as it lies there, volume in pounds.
FIELDS: tuple[tuple[str, str], ...] = (
    ("market_id", "text"),
    ("event_id", "text"),
    ("event_type", "text"),
    ("name", "text"),
    ("event_name", "text"),
    ("country", "text"),
    ("venue", "text"),
    ("market_type", "text"),
    ("betting_type", "text"),
    ("race_type", "text"),
    ("start", "time"),
    ("first_published", "time"),
    ("last_published", "time"),
    ("runners", "whole"),
    ("winners", "whole"),
    ("turn_in_play", "flag"),
    ("began_inplay", "flag"),
    ("went_inplay", "flag"),
    ("bsp", "flag"),
    ("ladder", "text"),
    ("changes", "whole"),
    ("traded", "number"),
    ("bytes", "whole"),
    ("file", "text"),
    ("member", "text"),
    ("offset", "whole"),
    ("entry", "wholes"),
    ("rows", "wholes"),
    ("modified", "whole"),
    ("also_in", "text"),
    ("problems", "text"),
)
#: Columns that say where a recording lies: no conditions are made of them.
PLACE = ("offset", "entry", "rows", "modified")
#: Their names, and the kind of each.
NAMES = [name for name, _ in FIELDS]
KINDS = dict(FIELDS)
Row = dict[str, Any]


def row_name(row: Row) -> str:
    """The recording of a row as `Source` names it: a file, or an archive and its member."""
    return str(row["file"]) if row["member"] is None else f"{row['file']}!{row['member']}"


@functools.cache
def schema() -> Any:
    """The columns as pyarrow has them."""
    import pyarrow as pa

    kinds = {
        "text": pa.string(),
        "number": pa.float64(),
        "whole": pa.int64(),
        "wholes": pa.list_(pa.int64()),
        "flag": pa.bool_(),
        "time": pa.timestamp("ms", tz="UTC"),
    }
    return pa.schema([pa.field(name, kinds[kind]) for name, kind in FIELDS], metadata=FORMAT)

"""Tables of a sweep as they are shown: in order, with what is left after commission, and in sample or out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from .sweep_parts import TABLES, in_order, told_once
from .sweep_rows import SweepRows

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of `markets` that say what was run, and not what came of it.
_SAID = ("strategy", "parameters")


def shown_rows(rows: SweepRows, name: str, sets: Collection[int | None] | None, split: float | None) -> pa.Table:
    """A table as it is shown.

    Args:
        sets: see `SweepRows.pieces`.
        split: the share of events that is in sample; None: no split.
    """
    if name != "markets":
        table = in_order(name, rows.read(name, sets=sets))
        return told_once(table) if name == "failures" else table
    columns = ["set", *(column for column, _ in TABLES[name] if column not in (*_SAID, "set"))]
    table = with_net_profit(in_order(name, rows.read(name, columns, sets)))
    return table if split is None else table.append_column("in_sample", sides(table, split))


def with_net_profit(table: pa.Table) -> pa.Table:
    """A table of markets with what is left after commission."""
    import pyarrow.compute as pc

    return table.append_column("net_profit", pc.round(pc.subtract(table["profit"], table["commission"]), 2))


def sides(table: pa.Table, split: float) -> Any:
    """Whether each market of a table is in sample: those of one event are on the same side."""
    import pyarrow as pa
    import pyarrow.compute as pc

    events = pc.fill_null(table["event_id"], "")
    keys = pc.if_else(pc.equal(events, ""), table["market_id"], events)
    known = keys.unique()
    flags = pa.array([in_sample(key, split) for key in known.to_pylist()], pa.bool_())
    return flags.take(pc.index_in(keys, value_set=known).combine_chunks())


def in_sample(event_id: str, split: float) -> bool:
    """Whether an event is in sample: by a hash of its id, so that its markets stay together, in every sweep."""
    digest = hashlib.sha256(event_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") < split * 2**64

"""The table of a sweep: a row per parameter set with what sets are compared by, and the columns one can go by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..strategies.errors import InputError
from . import measures
from .sweep_rows import SweepRows, added_up

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of `SweepResult.table` after the number of the set and its parameters.
MEASURES = (*measures.MEASURES, ("violations", "whole"), ("failures", "whole"))
OUT_OF_SAMPLE = "out_of_sample_net_profit"
#: What a split adds.
SPLIT = (("in_sample_net_profit", "number"), (OUT_OF_SAMPLE, "number"))
#: What a search adds.
SCORE = "score"
SEARCH = (("round", "whole"), (SCORE, "number"))
#: Names that columns of `SweepResult.table` have beside the parameters.
MEASURED = frozenset(name for name, _ in (*MEASURES, *SPLIT, *SEARCH))
#: Measures of which less is better.
LEAST = (*measures.LEAST, "violations", "failures")

#: Rows of `markets` that are in memory at once while measures are made.
_MOST_ROWS = 400_000
_ORDER = [("set", "ascending"), ("start", "ascending"), ("market_id", "ascending")]


def measured(rows: SweepRows, sets: int, split: float | None, inside: bool = False) -> list[dict[str, Any]]:
    """The measures of each of so many sets.

    Args:
        split: the share of events that is in sample; None: no split.
        inside: of the markets in sample alone.
    """
    bootstrap, found = measures.Bootstrap(), []
    for table in _by_set(rows, sets, split):
        columns = {name: table[name].to_pylist() for name in measures.NEEDED}
        flags = table["in_sample"].to_pylist() if split is not None else []
        places = [place for place in range(table.num_rows) if not inside or flags[place]]
        row = measures.measures(columns, places, bootstrap)
        if split is not None:
            net = table["net_profit"].to_pylist()
            row["in_sample_net_profit"] = round(sum(net[place] or 0.0 for place in places if flags[place]), 2)
            row[OUT_OF_SAMPLE] = round(row["net_profit"] - row["in_sample_net_profit"], 2)
        found.append(row)
    return found


def counted(rows: SweepRows, sets: int) -> list[dict[str, int]]:
    """Violations and failures of each of so many sets."""
    names = ("violations", "failures")
    columns = [added_up(rows, name, sets) for name in names]
    return [dict(zip(names, each, strict=True)) for each in zip(*columns, strict=True)]


def _by_set(rows: SweepRows, sets: int, split: float | None) -> Iterator[pa.Table]:
    """Of each set its markets, in the order of their starts; so many sets at once as memory has room for."""
    total = rows.count("markets")
    step = max(1, _MOST_ROWS * sets // total) if total else sets
    told = ("event_id",) if split is not None else ()
    columns = list(dict.fromkeys(("set", "market_id", "start", *measures.NEEDED, *told)))
    for least in range(0, sets, step):
        numbers = range(least, min(least + step, sets))
        table = with_net_profit(rows.read("markets", columns, numbers).sort_by(_ORDER))
        if split is not None:
            table = table.append_column("in_sample", sides(table, split))
        counts = dict(zip(*(each.to_pylist() for each in table["set"].value_counts().flatten()), strict=True))
        at = 0
        for number in numbers:
            size = counts.get(number, 0)
            yield table.slice(at, size)
            at += size


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


def require_measure(name: str, split: float | None) -> None:
    """Refuse a column that sets cannot be ranked by.

    Raises:
        InputError: names those that they can.
    """
    known = [each for each, _ in (*MEASURES, *(SPLIT if split is not None else ()))]
    if name not in known:
        hint = "; give the sweep split=0.5" if name in dict(SPLIT) else ""
        raise InputError(f"no column {name!r} to go by; there are {', '.join(known)}{hint}")


def require_goal(by: str, split: float | None) -> None:
    """Refuse a column that a search cannot go by.

    Raises:
        InputError: there is no such column, or it is what the split keeps out of the choice.
    """
    require_measure(by, split)
    if by == OUT_OF_SAMPLE:
        raise InputError(f"by={by!r}: that is what checks the choice; go by 'in_sample_net_profit'")


def column_of(values: Sequence[Any]) -> Any:
    """Values of a parameter as a column: those of several types as text."""
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())

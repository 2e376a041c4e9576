"""The table of a sweep: a row per parameter set with what sets are compared by, and the columns one can go by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..strategies.errors import InputError
from ..strategies.parameters import column_value
from . import measures
from .sweep_rows import MOST_ROWS, SweepRows, added_up
from .sweep_tables import sides, with_net_profit

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


def _counted(rows: SweepRows, sets: int) -> list[dict[str, int]]:
    """Violations and failures of each of so many sets."""
    names = ("violations", "failures")
    columns = [added_up(rows, name, sets) for name in names]
    return [dict(zip(names, each, strict=True)) for each in zip(*columns, strict=True)]


def _by_set(rows: SweepRows, sets: int, split: float | None) -> Iterator[pa.Table]:
    """Of each set its markets, in the order of their starts; so many sets at once as memory has room for."""
    total = rows.count("markets")
    step = max(1, MOST_ROWS * sets // total) if total else sets
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
    """Refuse a column that a search cannot use.

    Raises:
        InputError: there is no such column, or it is what the split keeps out of the choice.
    """
    require_measure(by, split)
    if by == OUT_OF_SAMPLE:
        raise InputError(f"by={by!r}: that is what checks the choice; go by 'in_sample_net_profit'")


def set_table(
    rows: SweepRows,
    parameters: Mapping[str, Sequence[Any]],
    sets: int,
    split: float | None,
    search: Mapping[str, Any] | None,
) -> pa.Table:
    """The table of so many sets, see `SweepResult.table`.

    Args:
        parameters: the values of each set, by their column.
        search: see `SweepResult.search`.
    """
    import pyarrow as pa

    from .tables import schema

    fields = (*MEASURES, *(SPLIT if split is not None else ()))
    found = [{**row, **more} for row, more in zip(measured(rows, sets, split), _counted(rows, sets), strict=True)]
    columns = {"set": pa.array(range(sets), pa.int64())}
    for name, values in parameters.items():
        columns[name] = _column_of([column_value(value) for value in values])
    if search is not None:
        fields = (*SEARCH, *fields)
        for number, score in enumerate(search["scores"]):
            found[number][SCORE] = score
        for number, trials in reversed(list(enumerate(search["rounds"]))):
            for each in trials:
                found[each]["round"] = number
    for name, kind in fields:
        columns[name] = pa.array([row[name] for row in found], schema(((name, kind),)).field(0).type)
    return pa.table(columns)


def _column_of(values: Sequence[Any]) -> Any:
    """Values of a parameter as a column: those of several types as text."""
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())

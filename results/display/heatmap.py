"""A column of a sweep's table by two parameters: the mean over the sets that share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Heat:
    """Cells of two parameters.

    Attributes:
        across, up: the values of the two parameters, in order where they have one.
        cells: means, a list for each value of `up`; None where no set has a value.
        counts: how many sets each mean is of.
        told: what the means were taken over, in words.
    """

    across: list[Any]
    up: list[Any]
    cells: list[list[float | None]]
    counts: list[list[int]]
    told: str


def heat_of(rows: Sequence[Mapping[str, Any]], x: str, y: str, value: str, parameters: Sequence[str]) -> Heat:
    """The mean of `value` for each pair of values of `x` and `y`.

    Args:
        rows: of a sweep's table.
        parameters: all columns of parameters, to say what was averaged over.
    """
    across, up = steps(rows, x), steps(rows, y)
    found: dict[tuple[Any, Any], list[float]] = {}
    for row in rows:
        if row[value] is not None:
            found.setdefault((row[x], row[y]), []).append(row[value])
    cells = [[_mean(found.get((step, level))) for step in across] for level in up]
    counts = [[len(found.get((step, level), ())) for step in across] for level in up]
    others = [name for name in parameters if name not in (x, y) and len(steps(rows, name)) > 1]
    return Heat(across, up, cells, counts, _told(counts, others))


def _told(counts: Sequence[Sequence[int]], others: Sequence[str]) -> str:
    sets = [count for line in counts for count in line if count]
    if not sets:
        return "no set has a value"
    least, most = min(sets), max(sets)
    if most == 1:
        return "one set a cell"
    many = f"{least}" if least == most else f"{least} to {most}"
    over = f" over {', '.join(others)}" if others else ""
    return f"each cell: the mean{over}, of {many} sets"


def steps(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    """The values of a column, each once, in order where they have one."""
    values = list(dict.fromkeys(row[name] for row in rows))
    try:
        return sorted(values)
    except TypeError:
        return values


def middle(value: str) -> float | None:
    """Where the scale turns from red to green: a loss is never green."""
    if value == "profit_factor":
        return 1.0
    return 0.0 if "profit" in value or value.startswith("return_on") or value == "expectancy" else None


def label(step: Any) -> str:
    """A parameter's value as an axis shows it."""
    return str(int(step)) if isinstance(step, float) and step.is_integer() else str(step)


def title(name: str) -> str:
    """A column's name in words."""
    return name.replace("_", " ")


def _mean(values: list[float] | None) -> float | None:
    return round(sum(values) / len(values), 4) if values else None

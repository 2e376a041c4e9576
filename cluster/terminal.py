"""Results on the terminal: tables, then what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .cells import cell, heading

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

    from .result import Result
    from .sweep_result import SweepResult

#: Strategies that stand side by side; more of them stand one below the other, with these fields.
_MOST_COLUMNS = 4
_WIDE = ("strategy", "markets", "orders", "matched", "net_profit", "return_on_matched", "violations", "failures")
#: Columns of a sweep, after the parameters.
_SWEPT = (
    "orders",
    "matched",
    "net_profit",
    "return_on_matched",
    "max_drawdown",
    "in_sample_net_profit",
    "out_of_sample_net_profit",
)
#: Failures that are told.
_MOST_FAILURES = 10


def show_result(result: Result, out: str | None) -> None:
    """A table of the strategies, then failures, the digest and where the tables are."""
    from rich.table import Table

    rows = result.summary().to_pylist()
    if len(rows) <= _MOST_COLUMNS:
        table = Table("", *(row["strategy"] for row in rows))
        for name in rows[0] if rows else ():
            if name != "strategy":
                table.add_row(name.replace("_", " "), *(cell(name, row[name]) for row in rows))
    else:
        table = Table(*(name.replace("_", " ") for name in _WIDE))
        for row in rows:
            table.add_row(*(cell(name, row[name]) for name in _WIDE))
    for column in table.columns[1:]:
        column.justify = "right"

    def where(row: dict[str, Any]) -> str:
        return " ".join(part for part in (row["strategy"], row["market_id"]) if part) + ":"

    _show(table, [], result.failures, where, result.digest, out)


def show_sweep(result: SweepResult, by: str, top: int, out: str | None) -> None:
    """A table of the best sets, then failures, the digest and where the tables are.

    Raises:
        InputError: no set has a value in the column `by`.
    """
    from rich.table import Table

    from .sweep_result import MEASURED

    rows = result.best_sets(by, top)
    parameters = [name for name in rows[0] if name not in MEASURED]
    names = [*parameters, *(name for name in rows[0] if name in _SWEPT or name == by)]
    table = Table(*map(heading, names))
    for column in table.columns:
        column.justify = "right"
    for row in rows:
        table.add_row(*(cell(name, row[name]) for name in names))
    notes = []
    if len(result.parameters) > len(rows):
        notes.append(f"the best {len(rows)} of {len(result.parameters)} sets by {by.replace('_', ' ')}")

    def where(row: dict[str, Any]) -> str:
        number = "" if row["set"] is None else f"set {row['set']} "
        return number + (f"market {row['market_id']}:" if row["market_id"] else "")

    _show(table, notes, result.failures, where, result.digest, out)


def _show(
    table: Table,
    notes: list[str],
    failures: pa.Table,
    where: Callable[[dict[str, Any]], str],
    digest: str,
    out: str | None,
) -> None:
    from rich.console import Console

    Console().print(table)
    console = Console(soft_wrap=True)
    for note in notes:
        console.print(note)
    for row in failures.slice(0, _MOST_FAILURES).to_pylist():
        times = f" ({row['count']} times)" if row["count"] > 1 else ""
        told = f"{row['error_type']}: {row['message']}{times}, at {row['line'] or row['unit']}"
        console.print(" ".join(filter(None, ("failed:", where(row).strip(), told))), markup=False, highlight=False)
        if row["command"]:
            console.print(f"  again: {row['command']} --raise-errors", markup=False, highlight=False)
    if failures.num_rows > _MOST_FAILURES:
        console.print(f"... and {failures.num_rows - _MOST_FAILURES} more failures; see the table `failures`")
    console.print(f"digest {digest}", highlight=False)
    if out:
        console.print(f"tables in {out}", highlight=False)

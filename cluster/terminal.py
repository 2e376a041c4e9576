"""Results on the terminal: tables, then what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cells import cell, heading
from .failure_places import by_place

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
#: Places of failures that are told.
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

    _show(table, [], result.failures, result.digest, out)


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

    _show(table, notes, result.failures, result.digest, out)


def _show(
    table: Table,
    notes: list[str],
    failures: pa.Table,
    digest: str,
    out: str | None,
) -> None:
    from rich.console import Console

    Console().print(table)
    console = Console(soft_wrap=True)
    for note in notes:
        console.print(note)
    places = by_place(failures.to_pylist())
    for place in places[:_MOST_FAILURES]:
        told = f"{place.who}: {place.what}" if place.who else place.what
        console.print(f"failed: {told}", markup=False, highlight=False)
        if place.first["command"]:
            console.print(f"  again: {place.first['command']}", markup=False, highlight=False)
    if len(places) > _MOST_FAILURES:
        rest = sum(place.rows for place in places[_MOST_FAILURES:])
        console.print(
            f"... and {rest:,} more failures at {len(places) - _MOST_FAILURES:,} other places; see the table `failures`"
        )
    console.print(f"digest {digest}", highlight=False)
    if out:
        console.print(f"tables in {out}", highlight=False)

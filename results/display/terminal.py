"""Results on the terminal: tables, then what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..chosen_models import unusual_models
from ..failure_groups import FailureGroup, grouped_failures
from ..violations import MOST_REASONS, Reason, advice, lines, reasons
from .formats import formatted, heading, with_bands
from .option_names import in_options
from .shown import ShownResult, ShownSweep

if TYPE_CHECKING:
    from rich.table import Table


#: Columns of a sweep after the parameters and what sets are ranked by, the most wanted first.
_SWEPT = (
    "net_profit",
    "out_of_sample_net_profit",
    "in_sample_net_profit",
    "orders",
    "violations",
    "matched",
    "return_on_matched",
    "max_drawdown",
    "expectancy",
    "standard_error",
    "strike_rate",
    "profit_factor",
    "mean_exposure",
)
#: Places of failures that are told.
_MOST_FAILURES = 10
#: Columns of a pipe, where nothing is cut or wrapped, and the fewest that a table is made for.
_UNLIMITED, _NARROWEST = 100_000, 32

Row = Mapping[str, Any]


def show_result(result: ShownResult, out: str | None) -> None:
    """A column per strategy, then violations, failures, the digest and where the tables are."""
    rows = [with_bands(row) for row in result.summary().to_pylist()]
    names = [name for name in (rows[0] if rows else ()) if name != "strategy"]
    tables = stacked([row["strategy"] for row in rows], names, rows, width())

    notes = _models(result.manifest)
    _show(tables, notes, reasons(result.violations), grouped_failures(result.failures.to_pylist()), result.digest, out)


def show_sweep(result: ShownSweep, by: str, top: int, out: str | None) -> None:
    """A row per set, the best first, then violations, failures, the digest and where the tables are.

    Raises:
        InputError: no set has a value in the column `by`.
    """
    from ..sweep_measures import MEASURED

    rows = [with_bands(row, keep=(by,)) for row in result.best_sets(by, top)]
    parameters = [name for name in rows[0] if name not in MEASURED]
    # Violations matter most where there are any: a set that was mostly refused did not do what it says.
    # A profit without the bets whose result is not known is not one to go by.
    telling = [name for name in ("unsettled", "violations") if any(row[name] for row in rows)]
    wanted = list(dict.fromkeys((by, "net_profit", *telling, *(name for name in _SWEPT if name in rows[0]))))
    room = width()
    shown = _fitting([*parameters, by], wanted, rows, room)
    if shown:
        tables, left_out = [side_by_side(shown, rows)], [name for name in wanted if name not in shown]
    else:
        names = [*parameters[1:], *wanted]
        tables, left_out = stacked([f"set {row['set']}" for row in rows], names, rows, room), []
    notes = _models(result.manifest)
    if len(result.parameters) > len(rows):
        notes.append(f"the best {len(rows)} of {len(result.parameters)} sets by {heading(by)}")
    if left_out:
        notes.append(f"a wider terminal shows also {', '.join(map(heading, left_out))}")
    if not rows[0]["matched_orders"]:
        notes.append(result.why_none_traded())

    _show(tables, notes, result.refused, result.failure_groups, result.digest, out)


def width() -> int:
    """The columns of the terminal; without limit where standard output is not one."""
    from rich.console import Console

    return Console().width if sys.stdout.isatty() else _UNLIMITED


def side_by_side(names: Sequence[str], rows: Sequence[Row]) -> Table:
    """A row per record, a column per name."""
    from rich.table import Table

    table = Table(*map(heading, names))
    for column in table.columns:
        column.justify, column.no_wrap = "right", True
    for row in rows:
        table.add_row(*(formatted(name, row[name]) for name in names))
    return table


def stacked(titles: Sequence[str], names: Sequence[str], rows: Sequence[Row], room: int) -> list[Table]:
    """A column per record, a row per name; as many records side by side as fit, the others in tables below.

    Titles and texts that are too long for the terminal go over several lines. Figures never do.
    """
    from rich.table import Table

    room = max(room, _NARROWEST)
    columns = [[formatted(name, row[name]) for name in names] for row in rows]
    figures = (formatted(name, row[name]) for row in rows for name in names if not isinstance(row[name], str))
    # Frame and padding of a table of two columns take seven places.
    most = room - 7 - max(map(len, figures), default=0)
    labels = [heading(name) for name in names]
    first = min(max(map(len, labels), default=0), max(most, _NARROWEST // 3))
    most = max(room - 7 - first, 1)
    widths = [
        max(min(len(text), most) for text in (title, *column)) for title, column in zip(titles, columns, strict=True)
    ]
    tables, begin = [], 0
    while begin < len(rows):
        end, taken = begin + 1, first + 7 + widths[begin]
        while end < len(rows) and taken + widths[end] + 3 <= room:
            taken += widths[end] + 3
            end += 1
        table = Table()
        table.add_column("", width=first, overflow="fold")
        for title, least in zip(titles[begin:end], widths[begin:end], strict=True):
            table.add_column(title, justify="right", width=least, overflow="fold")
        for label, *texts in zip(labels, *columns[begin:end], strict=True):
            table.add_row(label, *texts)
        tables.append(table)
        begin = end
    return tables


def _fitting(needed: Sequence[str], wanted: Iterable[str], rows: Sequence[Row], room: int) -> list[str]:
    """Those of the columns that fit, in their order; none where not even the needed ones do."""

    def size(name: str) -> int:
        return max(len(heading(name)), *(len(formatted(name, row[name])) for row in rows)) + 3

    left = room - 1 - sum(map(size, needed))
    if left < 0:
        return []
    shown = list(needed)
    for name in wanted:
        if name not in shown and size(name) <= left:
            left -= size(name)
            shown.append(name)
    return shown


def _models(manifest: Mapping[str, Any]) -> list[str]:
    """What is said of the models, where they are not the defaults."""
    models = unusual_models(manifest)
    return [f"simulated with {models}"] if models else []


def _show(
    tables: Iterable[Table],
    notes: Iterable[str],
    refused: Sequence[Reason],
    places: Sequence[FailureGroup],
    digest: str,
    out: str | None,
) -> None:
    from rich.console import Console

    console = Console(width=max(width(), _NARROWEST))
    for table in tables:
        console.print(table)
    console = Console(soft_wrap=True)
    for note in notes:
        console.print(note, markup=False, highlight=False)
    if refused:
        count = sum(reason.count for reason in refused)
        console.print(f"{count:,} violation{'' if count == 1 else 's'}:", markup=False, highlight=False)
        for line in lines(refused, MOST_REASONS):
            console.print(f"  {line}", markup=False, highlight=False)
        how = advice(refused, shell=True)
        if how:
            console.print(f"  {how}", markup=False, highlight=False)
    for place in places[:_MOST_FAILURES]:
        console.print(f"failed: {in_options(place.line)}", markup=False, highlight=False)
        if place.first["command"]:
            console.print(f"  again: {place.first['command']}", markup=False, highlight=False)
    if len(places) > _MOST_FAILURES:
        rest = sum(place.rows for place in places[_MOST_FAILURES:])
        others = len(places) - _MOST_FAILURES
        console.print(f"... and {rest:,} more failures at {others:,} other places; see the table `failures`")
    console.print(f"digest {digest}", highlight=False)
    if out:
        console.print(f"tables in {out}", highlight=False)

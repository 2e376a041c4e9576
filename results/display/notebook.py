"""Results in notebooks: what Jupyter shows where a cell ends with one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ..chosen_models import unusual_models
from ..failure_groups import FailureGroup, grouped_failures
from ..violations import Reason, advice, lines, reasons
from .formats import UNSHOWN, formatted, heading, with_bands
from .shown import ShownResult, ShownSweep

if TYPE_CHECKING:
    pass


Row = Mapping[str, Any]

#: Sets and places of failures that are shown.
_MOST_SETS, _MOST_FAILURES = 20, 5
_SPLIT: tuple[str, ...] = ("in_sample_net_profit", "out_of_sample_net_profit")
#: Styles stand in the elements: front ends disagree on tables, and some drop style sheets.
_CELL = "padding:0.25em 0.75em;white-space:nowrap"
_FAILED = "color:#b3261e"


def result_html(result: ShownResult) -> str:
    """What the run came to, a row per strategy, and what went wrong."""
    rows = [with_bands(row) for row in result.summary().to_pylist()]
    late = ("transaction_charge", "failures")
    names = [name for name in (rows[0] if rows else ()) if name not in (*UNSHOWN, *late) or name == "profit"]
    names += [name for name in late if any(row[name] for row in rows)]
    markets = max((row["markets"] for row in rows), default=0)
    orders = sum(row["orders"] for row in rows)
    title = f"<b>Result</b> of {_count(markets, 'market')}, {_count(orders, 'order')}{_models(result.manifest)}"
    return _page(title, _table(names, rows), reasons(result.violations), grouped_failures(result.failures.to_pylist()))


def sweep_html(sweep: ShownSweep) -> str:
    """The best sets, the best one marked, and what went wrong."""
    by = sweep.shown_by
    every = [with_bands(row, keep=(by,)) for row in sweep.best_sets(by)]
    rows = every[:_MOST_SETS]
    count, best = len(sweep.parameters), rows[0]
    names = [name for name in best if name not in (*UNSHOWN, "failures")]
    names += ["failures"] if any(row["failures"] for row in every) else []
    title = f"<b>Sweep</b> of {_count(count, 'set')} over {_count(best['markets'], 'market')}{_models(sweep.manifest)}"
    traded = best["matched_orders"] > 0
    title += f", by {heading(by)}; " + ("the best is marked" if traded else f"<b>{escape(sweep.why_none_traded())}</b>")
    if len(rows) < count:
        title += f"; {len(rows)} of {count:,} sets are shown, all are in its <code>table</code>"
    tops = {name: max(row[name] for row in every) for name in _SPLIT if name in best}
    bold = {(place, name) for place, row in enumerate(rows) for name in tops if row[name] == tops[name]}
    if tops:
        title += f"; bold: the best in sample and out of sample ({sweep.split:.0%} of events are in sample)"
    bold |= {(0, name) for name in names if name not in tops}
    if not traded:
        bold = set()
    return _page(title, _table(names, rows, bold, marked=0 if traded else -1), sweep.refused, sweep.failure_groups)


def _models(manifest: Mapping[str, Any]) -> str:
    """What is said of the models, where they are not the defaults."""
    models = unusual_models(manifest)
    return f", simulated with {escape(models)}" if models else ""


def _page(title: str, table: str, refused: Sequence[Reason], failures: Sequence[FailureGroup]) -> str:
    return f'<p style="margin:0.5em 0">{title}</p>{table}{_violations(refused)}{_failures(failures)}'


def _violations(found: Sequence[Reason]) -> str:
    if not found:
        return ""
    count = sum(reason.count for reason in found)
    items = [*lines(found), *filter(None, (advice(found),))]
    listed = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<details open><summary>{_count(count, 'violation')}</summary><ul>{listed}</ul></details>"


def _table(names: Sequence[str], rows: Iterable[Row], bold: Iterable[tuple[int, str]] = (), marked: int = -1) -> str:
    chosen = set(bold)
    head = "".join(f'<th style="{_style(name)}">{escape(heading(name))}</th>' for name in names)
    lines = []
    for place, row in enumerate(rows):
        cells = []
        for name in names:
            text = escape(formatted(name, row[name]))
            if place == marked and name == names[0]:
                text = f"★ {text}"
            failed = f";{_FAILED}" if name == "failures" and row[name] else ""
            shown = f"<b>{text}</b>" if (place, name) in chosen else text
            cells.append(f'<td style="{_style(name)}{failed}">{shown}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    body = "".join(lines)
    return (
        '<div style="overflow-x:auto"><table style="font-variant-numeric:tabular-nums">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _style(name: str) -> str:
    return f"{_CELL};text-align:{'left' if name == 'strategy' else 'right'}"


def _failures(places: Sequence[FailureGroup]) -> str:
    if not places:
        return ""
    items = []
    for place in places[:_MOST_FAILURES]:
        text, trace = escape(place.line), place.first["traceback"]
        if trace:
            text += f"<details><summary>traceback of the first</summary><pre>{escape(trace.rstrip())}</pre></details>"
        items.append(f"<li>{text}</li>")
    more = sum(place.rows for place in places[_MOST_FAILURES:])
    rest = f"<li>and {more:,} more at other places, in its table <code>failures</code></li>" if more else ""
    return (
        f'<details open><summary style="{_FAILED}">{_count(sum(place.rows for place in places), "failure")}</summary>'
        f"<ul>{''.join(items)}{rest}</ul></details>"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

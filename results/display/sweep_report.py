"""A sweep, or a search, as a self-contained page."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..sweep_measures import SCORE
from . import charts, page
from .charts import Drawn, Line, Series
from .curves import curves, thinned
from .formats import UNSHOWN, formatted, heading, with_bands
from .heatmap import heat_of, label, middle, steps, title
from .page import MAIN_FIELDS, Column, Section, Tile
from .page_markets import MarketRows
from .run_sections import about, failures_section, run_section, shown_value, violations_section
from .shown import ShownSweep

#: What the page has room for; it names what it leaves out.
MOST_SETS = 20
MOST_CURVES = 6
MOST_HEATMAPS = 6
_MOST_STEPS = 30
_POINTS = 3000


Row = dict[str, Any]


def write_sweep_page(sweep: ShownSweep, path: str | os.PathLike[str]) -> Path:
    """Write `sweep_page` to a file; its folder must exist."""
    target = Path(path)
    target.write_text(sweep_page(sweep), encoding="utf-8", errors="backslashreplace")
    return target


def sweep_page(sweep: ShownSweep) -> str:
    """A page of HTML that fetches nothing, and runs no script but its own."""
    facts = _Facts(sweep)
    found = [
        _sets(facts),
        _profit(facts),
        _halves(facts),
        _heatmaps(facts),
        failures_section(row for piece in sweep.pieces("failures") for row in piece.to_pylist()),
        violations_section(sweep.pieces("violations")),
        run_section({**sweep.manifest, "strategies": []}, sweep.markets_met, _run(sweep)),
    ]
    data = {
        "curves": facts.curve_data,
        "charts": {each.key: each.data for each in facts.drawn},
        "markets": facts.rows.markets(),
    }
    name = str(sweep.manifest.get("strategy") or "a strategy").rpartition(".")[2]
    kind = "Search" if sweep.search is not None else "Sweep"
    head = about(sweep.manifest) + _headline(facts)
    return page.document(f"{kind} of {name}", head, [each for each in found if each], sweep.digest, data)


class _Facts:
    """What several sections read.

    Attributes:
        by: the column that sets stand by.
        sets: all rows that have a value there, the best first; those that did not trade come last.
        best: the best that traded; None where none did.
    """

    def __init__(self, sweep: ShownSweep) -> None:
        self.sweep = sweep
        self.by = sweep.shown_by
        self.sets: list[Row] = sweep.best_sets(self.by)
        self.best = self.sets[0] if self.sets[0]["matched_orders"] else None
        self.chosen = _chosen(self.sets)
        #: Of all rows those that are drawn: there may be more than memory has room for.
        self.markets = sweep.rows("markets", sets=[row["set"] for row in self.chosen])
        self.rows = MarketRows(self.markets)
        self.drawn: list[Drawn] = []
        self.curve_data: dict[str, Any] = {}
        currency = str((sweep.manifest.get("config") or {}).get("currency") or "")
        self.money = f" in {currency}" if currency else ""

    def draw(self, chart: Drawn) -> str:
        """The markup of a chart; its data go into the page."""
        self.drawn.append(chart)
        return chart.markup

    def named(self, row: Row) -> str:
        """A set by its number and the parameters that differ between sets."""
        names = [name for name in self.sweep.parameter_columns if len(steps(self.sets, name)) > 1]
        values = ", ".join(f"{name}={formatted(name, row[name])}" for name in names)
        return charts.shortened(f"set {row['set']}: {values}", 90)


def _headline(facts: _Facts) -> str:
    sweep, best = facts.sweep, facts.best
    failed = sum(sum(piece["count"].to_pylist()) for piece in sweep.pieces("failures"))
    refused = sum(reason.count for reason in sweep.refused)
    nets = sorted(row["net_profit"] for row in sweep.table.to_pylist())
    found = [
        Tile("sets", page.whole(len(sweep.parameters))),
        Tile("markets", page.whole(len(sweep.markets_met["market_id"].unique()))),
        Tile(
            f"net profit of the best{facts.money}",
            "none traded" if best is None else formatted("net_profit", with_bands(best)["net_profit"]),
        ),
        Tile("median of all sets", page.money(nets[len(nets) // 2])),
        Tile("violations", page.whole(refused), "warn" if refused else "", "violations" if refused else ""),
        Tile("failures", page.whole(failed), "bad" if failed else "", "failures" if failed else ""),
    ]
    if best is not None and sweep.split is not None:
        found.insert(3, Tile("of it out of sample", page.money(best["out_of_sample_net_profit"])))
    return page.tiles(found)


# -- sections ------------------------------------------------------------------------------------------------------


def _sets(facts: _Facts) -> Section:
    sweep = facts.sweep
    rows = [with_bands(row, keep=(facts.by,)) for row in facts.sets[:MOST_SETS]]
    parameters = sweep.parameter_columns
    # On a phone one line of parameters, and one of what came of them.
    told_apart = [name for name in parameters if len(steps(facts.sets, name)) > 1] or parameters
    main = {*told_apart[:MAIN_FIELDS], facts.by, "out_of_sample_net_profit", "net_profit"}
    columns = [Column("set", "set", _cells("set"))]
    first = (*parameters, *(name for name in (facts.by, "out_of_sample_net_profit", "net_profit") if name in rows[0]))
    rest = (name for name in rows[0] if name not in ("set", *first, *UNSHOWN))
    for name in dict.fromkeys((*first, *rest)):
        columns.append(Column(_headed(name, parameters), name, _cells(name), main=name in main))
    told = f"By {heading(facts.by)}; the best stands first, in bold."
    if sweep.split is not None:
        told += (
            f" {sweep.split:.0%} of the events are in sample: sets are chosen by them, and the others had no say in "
            "it: what the best did there is an honest check of it."
        )
    if facts.best is None:
        told = f'<span class="warn">{escape(sweep.why_none_traded())}</span>'
    inside = f"<p>{told}</p>" + page.table(columns, rows, best=None if facts.best is None else 0)
    inside += page.left_out(len(rows), len(sweep.parameters), "sets", "the best; all are in the table of the sweep")
    return Section("sets", "Sets", inside)


def _headed(name: str, parameters: Sequence[str]) -> str:
    return name if name in parameters else heading(name)


def _cells(name: str) -> Any:
    return lambda value: page.text(formatted(name, value))


def _chosen(sets: Sequence[Row]) -> list[Row]:
    """The sets whose profit is drawn: the best, and for comparison the median one and the worst that traded."""
    traded = [row for row in sets if row["matched_orders"]]
    chosen = traded[: MOST_CURVES - 2]
    for other in (traded[len(traded) // 2], traded[-1]) if traded else ():
        if all(other["set"] != row["set"] for row in chosen):
            chosen.append(other)
    return chosen


def _profit(facts: _Facts) -> Section | None:
    """Curves of the sets that are drawn."""
    import pyarrow as pa

    chosen, mine = facts.chosen, facts.markets
    traded = sum(row["matched_orders"] > 0 for row in facts.sets)
    found = curves(mine.set_column(mine.column_names.index("set"), "set", mine["set"].cast(pa.string())), "set")
    lines = []
    for row in chosen:
        some = found.steps.get(str(row["set"])) or []
        if some:
            note = page.money(some[-1].total)
            lines.append(Line(facts.named(row), thinned(some, _POINTS // len(chosen)), note))
    if not lines:
        return None
    data = charts.curve_data(lines)
    for each in data:
        each["m"] = [None if at is None else facts.rows.place(found.markets[at]["market_id"]) for at in each["m"]]
    facts.curve_data["sets"] = data
    text = (
        f"Profit after commission{facts.money}, added up market by market in order of their scheduled starts: the best "
        f"sets by {heading(facts.by)}, and for comparison the middle one and the last of {traded:,} that traded. "
        f"{len(found.markets):,} of {found.seen:,} markets are counted: those in which one of them matched something."
    )
    chart = charts.line_chart("total", "Profit of sets", text, lines, "sets", "total")
    return Section("profit", "Profit of the best sets", facts.draw(chart))


def _halves(facts: _Facts) -> Section | None:
    if facts.sweep.split is None:
        return None
    rows = facts.sets
    points = [(row["in_sample_net_profit"], row["out_of_sample_net_profit"]) for row in rows]
    series = [Series("sets", points, page.whole(len(points)))]
    if facts.best is not None:
        series.append(Series("the best in sample", points[:1]))
    text = (
        f"Net profit{facts.money} of each set in sample (right) and out of sample (up). With skill in it, sets that "
        "did well in one half did well in the other: the dots rise to the right. A cloud without direction is luck."
    )
    chart = charts.scatter_chart("halves", "In sample and out of sample", text, series, even=False, logarithmic=False)
    names = [facts.named(row) for row in charts.every(rows, charts.MOST_DOTS)]
    spec = {**chart.data, "names": ["in sample", "out of sample"]}
    for each, texts in zip(spec["series"], (names, names[:1]), strict=False):
        each["texts"] = texts
    return Section("halves", "In sample and out of sample", facts.draw(Drawn(chart.key, chart.markup, spec)))


def _heatmaps(facts: _Facts) -> Section | None:
    parameters = facts.sweep.parameter_columns
    varied = [name for name in parameters if 1 < len(steps(facts.sets, name)) <= _MOST_STEPS]
    pairs = list(itertools.combinations(varied, 2))
    if not pairs or facts.sweep.search is not None:
        return None
    columns = [facts.by]
    if facts.sweep.split is not None:
        columns = ["in_sample_net_profit", "out_of_sample_net_profit"]
    wanted = [(x, y, value) for x, y in pairs for value in columns]
    inside = "".join(_heatmap(facts, x, y, value, parameters) for x, y, value in wanted[:MOST_HEATMAPS])
    inside += page.left_out(min(len(wanted), MOST_HEATMAPS), len(wanted), "maps", "the first pairs of parameters")
    return Section("heatmaps", "By two parameters", inside)


def _heatmap(facts: _Facts, x: str, y: str, value: str, parameters: Sequence[str]) -> str:
    heat = heat_of(facts.sets, x, y, value, parameters)
    found = [one for line in heat.cells for one in line if one is not None]
    shade = _shades(found, middle(value))
    head = "".join(f'<th scope="col">{escape(label(step))}</th>' for step in heat.across)
    lines = []
    for level, line, counts in zip(reversed(heat.up), reversed(heat.cells), reversed(heat.counts), strict=True):
        cells = "".join(
            "<td></td>"
            if one is None
            else f'<td style="background:{shade(one)}" title="{count} set{"" if count == 1 else "s"}">'
            f"{escape(formatted(value, one))}</td>"
            for one, count in zip(line, counts, strict=True)
        )
        lines.append(f'<tr><th scope="row">{escape(label(level))}</th>{cells}</tr>')
    return (
        f"<figure><h3>{escape(title(value))} by {escape(x)} and {escape(y)}</h3>"
        f'<figcaption>{escape(x)} to the right, {escape(y)} up; {escape(heat.told)}.</figcaption><div class="wide">'
        f'<table class="heat"><thead><tr><th scope="col">{escape(y)}</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div></figure>"
    )


#: From a loss over nothing to a profit; dark text is legible on all of them.
_LOSS, _NOTHING, _GAIN = (240, 150, 140), (255, 250, 225), (125, 200, 140)


def _shades(values: Iterable[float], turn: float | None) -> Any:
    """The colour of a value: of profits white where they turn, of other figures from the least to the greatest."""
    found = [value for value in values if abs(value) != float("inf")] or [0.0]
    centre = (min(found) + max(found)) / 2 if turn is None else turn
    reach = max((abs(value - centre) for value in found), default=0.0) or 1.0

    def shade(value: float) -> str:
        share = min(1.0, max(-1.0, (value - centre) / reach))
        end = _GAIN if share > 0 else _LOSS
        mixed = (round(one + (other - one) * abs(share)) for one, other in zip(_NOTHING, end, strict=True))
        return f"rgb({','.join(map(str, mixed))})"

    return shade


def _run(sweep: ShownSweep) -> list[tuple[str, Any]]:
    """What was swept: the values of each parameter."""
    manifest = sweep.manifest
    facts: list[tuple[str, Any]] = [
        ("strategy", manifest.get("strategy")),
        ("sets", f"{len(sweep.parameters):,}"),
    ]
    rows = sweep.table.to_pylist()
    for name in sweep.parameter_columns:
        values = steps(rows, name)
        shown = ", ".join(map(label, values[:_MOST_STEPS])) + (f" and {len(values) - 30:,} more" if values[30:] else "")
        facts.append((f"values of {name}", shown))
    for name, value in (manifest.get("unswept") or {}).items():
        facts.append((f"{name}, in all sets", shown_value(value)))
    if sweep.split is not None:
        facts.append(("split: share of events in sample", f"{sweep.split:g}"))
    if sweep.search is not None:
        facts += [(f"search: {name}", sweep.search[name]) for name in ("by", "trials", "batch", "seed")]
        scored = sum(score is not None for score in sweep.search["scores"])
        facts.append((f"sets with a {SCORE}", f"{scored:,}"))
    return facts

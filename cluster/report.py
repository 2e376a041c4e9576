"""A result to look at: a page that stands alone, and a plotly figure."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import charts
from .charts import Point, Series, moment

if TYPE_CHECKING:
    from .result import Result

#: Rows that the page shows of a table; it names how many there are.
MOST_STRATEGIES = 100
MOST_MARKETS = 10
MOST_FAILURES = 50
_MOST_BARS = 12
_MOST_TEXT = 400
_MOST_TRACEBACK = 4000

Row = dict[str, Any]


def write_page(result: Result, path: str | os.PathLike[str]) -> Path:
    """Write `page` to a file; its folder must exist."""
    target = Path(path)
    target.write_text(page(result), encoding="utf-8")
    return target


def page(result: Result) -> str:
    """A page of HTML that fetches nothing and runs no script."""
    facts = _Facts(result)
    title = "Result of " + charts.shortened(", ".join(facts.nets) or "no strategies", 80)
    body = "".join(
        (
            f"<header><h1>{escape(title)}</h1>{_about(facts)}{_headline(facts)}</header><main>",
            _section("Profit over time", _profit(facts)),
            _section("Drawdown", _drawdown(facts)),
            _section("Placed and matched", _placed(facts)),
            _section("Price of entry against starting price", _entry(facts)),
            _section("Strategies", _summary(facts)),
            _section("Best and worst markets", _extremes(facts)),
            _section("Failures", _failures(facts)),
            "</main>",
        )
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        # Whatever a name holds, the page cannot fetch or run it.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:"><link rel="icon" href="data:,"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{_STYLE}{charts.STYLE}</style></head><body>{body}</body></html>\n"
    )


# -- what the page tells -------------------------------------------------------------------------------------------


class _Facts:
    """What several sections read.

    Attributes:
        summary: rows of the summary, each with its `drawdown`, the best net profit first.
        nets: net profit of each strategy, in that order.
        curves: cumulative net profit of each strategy with markets that have a start.
    """

    def __init__(self, result: Result) -> None:
        self.result = result
        self.currency = str(result.manifest.get("config", {}).get("currency") or "")
        self.curves = curves(result, "strategy")
        self.summary = sorted(result.summary().to_pylist(), key=lambda row: (-row["net_profit"], row["strategy"]))
        for row in self.summary:
            curve = self.curves.get(row["strategy"])
            row["drawdown"] = -min(fall for _, fall in drawdown(curve)) if curve else None
        self.nets = {row["strategy"]: row["net_profit"] for row in self.summary}

    @property
    def money(self) -> str:
        return f" in {self.currency}" if self.currency else ""


def curves(result: Result, key: str) -> dict[str, list[Point]]:
    """Profit after commission, added up over markets in order of their scheduled starts.

    Args:
        key: a column of `markets` with texts: a curve for each.

    Returns:
        Points of time (milliseconds since the epoch) and money. The first is 0, the last is the sum. Markets without
        a start come last, at the time of the last start; where no market has one there are no curves.
    """
    import pyarrow as pa

    table = result.markets
    starts = table["start"].cast(pa.int64()).to_pylist()
    last = max((start for start in starts if start is not None), default=None)
    if last is None:
        return {}
    found: dict[str, dict[int, float]] = {}
    columns = (table[name].to_pylist() for name in (key, "profit", "commission"))
    for start, name, profit, commission in zip(starts, *columns, strict=True):
        sums = found.setdefault(name or "(none)", {})
        time = last if start is None else start
        sums[time] = sums.get(time, 0.0) + profit - commission
    return {name: _added(sums) for name, sums in sorted(found.items())}


def _added(sums: dict[int, float]) -> list[Point]:
    times = sorted(sums)
    totals = itertools.accumulate(sums[time] for time in times)
    return [(times[0], 0.0), *((time, round(total, 2)) for time, total in zip(times, totals, strict=True))]


def drawdown(curve: Sequence[Point]) -> list[Point]:
    """How far a curve is below its highest so far; 0 or less."""
    peaks = itertools.accumulate((value for _, value in curve), max)
    return [(time, round(value - peak, 2)) for (time, value), peak in zip(curve, peaks, strict=True)]


# -- sections ------------------------------------------------------------------------------------------------------


def _section(title: str, inside: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{inside}</section>"


def _about(facts: _Facts) -> str:
    manifest = facts.result.manifest
    started, versions = manifest.get("started"), manifest.get("versions")
    parts = [
        f"started {started}" if started else "",
        f"{manifest['changes']:,} changes replayed" if isinstance(manifest.get("changes"), int) else "",
        f"headrace {versions['headrace']}" if isinstance(versions, dict) and "headrace" in versions else "",
        f"money{facts.money}" if facts.currency else "",
    ]
    text = "; ".join(part for part in parts if part)
    return f'<p class="soft">{escape(text)}<br>digest <code>{facts.result.digest}</code></p>'


def _headline(facts: _Facts) -> str:
    result = facts.result
    tiles = (
        ("net profit", _money(sum(facts.nets.values()))),
        ("markets", _whole(len(result.markets["market_id"].unique()))),
        ("orders", _whole(sum(row["orders"] for row in facts.summary))),
        ("failures", _whole(sum(result.failures["count"].to_pylist()))),
    )
    return (
        '<dl class="tiles">' + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles) + "</dl>"
    )


def _summary(facts: _Facts) -> str:
    if not facts.summary:
        return "<p>No strategy saw a market.</p>"
    rows = facts.summary[:MOST_STRATEGIES]
    note = _left_out(len(rows), len(facts.summary), "strategies", "by net profit")
    return _table(_SUMMARY, rows) + note


def _profit(facts: _Facts) -> str:
    if not facts.curves:
        return "<p>No market with a scheduled start.</p>"
    text = f"Profit after commission{facts.money}, added up in order of the markets' scheduled starts (UTC)"
    by_strategy = _lines(facts.curves, lambda curve: _money(curve[-1][1]))
    by_type = _lines(curves(facts.result, "market_type"), lambda curve: _money(curve[-1][1]))
    return (
        "<h3>By strategy</h3>"
        + charts.line_chart("profit", "Profit by strategy", f"{text}, by strategy.{_ends(by_strategy)}", by_strategy)
        + _left_out(len(by_strategy), len(facts.curves), "strategies", "the largest gains and losses")
        + "<h3>By market type</h3>"
        + charts.line_chart(
            "types", "Profit by market type", f"{text}, all strategies together, by market type.", by_type
        )
    )


def _drawdown(facts: _Facts) -> str:
    if not facts.curves:
        return "<p>No market with a scheduled start.</p>"
    chosen = _lines(facts.curves, lambda curve: f"at most {_money(-min(fall for _, fall in drawdown(curve)))}")
    falls = [Series(each.name, drawdown(each.points), each.note) for each in chosen]
    text = f"How far the profit after commission is below its highest so far{facts.money}, by strategy."
    return charts.line_chart("drawdown", "Drawdown by strategy", text, falls) + _left_out(
        len(falls), len(facts.curves), "strategies", "the largest gains and losses"
    )


def _lines(found: dict[str, list[Point]], note: Callable[[list[Point]], str]) -> list[Series]:
    """The curves that end farthest from 0, by name, as many as a chart can show."""
    names = sorted(found, key=lambda name: (-abs(found[name][-1][1]), name))[: charts.MOST_SERIES]
    return [Series(name, found[name], note(found[name])) for name in sorted(names)]


def _ends(series: Sequence[Series]) -> str:
    first, last = min(each.points[0][0] for each in series), max(each.points[-1][0] for each in series)
    begin, end = f"{moment(first):%d %b %Y}", f"{moment(last):%d %b %Y}"
    return f" On {begin}." if begin == end else f" From {begin} to {end}."


def _placed(facts: _Facts) -> str:
    import pyarrow.compute as pc

    orders = facts.result.orders
    sized = orders.filter(pc.is_valid(orders["size"]))
    if not sized.num_rows:
        return "<p>No orders with a stake in the table of orders.</p>"
    sums = (
        sized.group_by("strategy", use_threads=False).aggregate([("size", "sum"), ("size_matched", "sum")]).to_pylist()
    )
    sums.sort(key=lambda row: (-row["size_sum"], row["strategy"]))
    rows = [
        (row["strategy"], (round(row["size_sum"], 2), round(row["size_matched_sum"], 2))) for row in sums[:_MOST_BARS]
    ]
    text = f"Stakes asked for and matched{facts.money}, of orders that name a stake; of a lay, the backer's stake."
    chart = charts.bar_chart("placed", "Placed and matched", text, ("placed", "matched"), rows)
    return chart + _left_out(len(rows), len(sums), "strategies", "the largest")


def _entry(facts: _Facts) -> str:
    import pyarrow.compute as pc

    orders = facts.result.orders
    matched = pc.and_(pc.greater(orders["size_matched"], 0), pc.equal(orders["order_type"], "LIMIT"))
    priced = pc.and_(pc.greater(orders["average_price_matched"], 0), pc.greater(orders["bsp"], 0))
    orders = orders.filter(pc.and_(matched, priced))
    series, better = [], []
    for side, beats in (("BACK", pc.greater), ("LAY", pc.less)):
        mine = orders.filter(pc.equal(orders["side"], side))
        if mine.num_rows:
            price, sp = mine["average_price_matched"], mine["bsp"]
            won = pc.sum(beats(price, sp)).as_py()
            series.append(
                Series(side, list(zip(sp.to_pylist(), price.to_pylist(), strict=True)), _whole(mine.num_rows))
            )
            better.append(f"{won / mine.num_rows:.1%} of {side} orders got a better price than the starting price.")
    if not series:
        return "<p>No matched limit order on a runner with a starting price.</p>"
    text = (
        "Average price matched (up) against starting price (right) of limit orders. Above the broken line a back, "
        "below it a lay got the better price."
    )
    if any(len(each.points) > charts.MOST_DOTS for each in series):
        text += f" At most {charts.MOST_DOTS:,} orders a side are drawn."
    return f"<p>{' '.join(better)}</p>" + charts.scatter_chart("entry", "Price against starting price", text, series)


def _extremes(facts: _Facts) -> str:
    import pyarrow as pa
    import pyarrow.compute as pc

    markets = facts.result.markets
    traded = markets.filter(pc.greater(markets["matched"], 0))
    if not traded.num_rows:
        return "<p>Nothing was matched in any market.</p>"
    net = pc.round(pc.subtract(traded["profit"], traded["commission"]), 2)
    traded = traded.append_column(pa.field("net", pa.float64()), net)
    keys = [("market_id", "ascending"), ("strategy", "ascending")]
    worst_first = traded.take(pc.sort_indices(traded, sort_keys=[("net", "ascending"), *keys]))
    worst = worst_first.slice(0, MOST_MARKETS).to_pylist()
    best = worst_first.slice(max(0, traded.num_rows - MOST_MARKETS)).to_pylist()[::-1]
    parts = []
    for name, rows in (
        ("Best", [row for row in best if row["net"] > 0]),
        ("Worst", [row for row in worst if row["net"] < 0]),
    ):
        parts.append(f"<h3>{name}</h3>" + (_table(_MARKETS, rows) if rows else "<p>None.</p>"))
    return "".join(parts)


def _failures(facts: _Facts) -> str:
    failures = facts.result.failures
    if not failures.num_rows:
        return "<p>None.</p>"
    rows = failures.slice(0, MOST_FAILURES).to_pylist()
    return _table(_FAILURES, rows) + _left_out(len(rows), failures.num_rows, "failures", "the first")


def _left_out(shown: int, there: int, what: str, which: str) -> str:
    return f'<p class="soft">{shown} of {there:,} {what}: {which}.</p>' if shown < there else ""


# -- tables --------------------------------------------------------------------------------------------------------

#: Heading, field, and how a value is shown, as markup.
Columns = Iterable[tuple[str, str, Callable[[Any], str]]]


def _table(columns: Columns, rows: Sequence[Row]) -> str:
    columns = list(columns)
    head = "".join(f'<th scope="col"{_kind(shape)}>{escape(name)}</th>' for name, _, shape in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-name="{escape(name)}"{_kind(shape)}><span>{shape(row[field])}</span></td>'
            for name, field, shape in columns
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _kind(shape: Callable[[Any], str]) -> str:
    return ' class="t"' if shape in (_text, _place, _traceback) else ' class="n"'


def _text(value: Any) -> str:
    return escape(charts.shortened("" if value is None else str(value), _MOST_TEXT))


def _place(value: Any) -> str:
    return f"<code>{_text(value)}</code>" if value else ""


def _traceback(value: Any) -> str:
    if not value:
        return ""
    return f"<details><summary>show</summary><pre>{escape(value[-_MOST_TRACEBACK:])}</pre></details>"


def _money(value: Any) -> str:
    return "" if value is None else f"{round(value, 2) + 0.0:,.2f}"


def _whole(value: Any) -> str:
    return "" if value is None else f"{value:,}"


def _fraction(value: Any) -> str:
    return "" if value is None else f"{value:.2%}"


def _time(value: Any) -> str:
    return "" if value is None else f"{value:%Y-%m-%d %H:%M}"


_SUMMARY = (
    ("strategy", "strategy", _text),
    ("markets", "markets", _whole),
    ("orders", "orders", _whole),
    ("orders matched", "matched_orders", _whole),
    ("matched", "matched", _money),
    ("profit", "profit", _money),
    ("commission", "commission", _money),
    ("net profit", "net_profit", _money),
    ("return on matched", "return_on_matched", _fraction),
    ("largest drawdown", "drawdown", _money),
    ("markets won", "winning_markets", _whole),
    ("refusals", "violations", _whole),
    ("failures", "failures", _whole),
)
_MARKETS = (
    ("net profit", "net", _money),
    ("strategy", "strategy", _text),
    ("market", "market_id", _text),
    ("type", "market_type", _text),
    ("venue", "venue", _text),
    ("start (UTC)", "start", _time),
    ("orders", "orders", _whole),
    ("matched", "matched", _money),
    ("commission", "commission", _money),
)
_FAILURES = (
    ("strategy", "strategy", _text),
    ("market", "market_id", _text),
    ("error", "error_type", _text),
    ("message", "message", _text),
    ("line", "line", _place),
    ("times", "count", _whole),
    ("again", "command", _place),
    ("traceback", "traceback", _traceback),
)

_STYLE = """
:root{color-scheme:light dark;--ink:#1a1c1e;--soft:#5a6068;--line:#e1e4e8;--paper:#fff;--tile:#f4f6f8}
@media screen and (prefers-color-scheme:dark){
:root{--ink:#e8eaed;--soft:#a3abb5;--line:#33383f;--paper:#15181c;--tile:#1f242a}
}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif}
header,main{max-width:1180px;margin:0 auto;padding:0 16px}
h1{font-size:1.5rem;margin:1.2rem 0 .3rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:1.8rem 0 .6rem;padding-bottom:.2rem;border-bottom:1px solid var(--line);break-after:avoid}
h3{font-size:1rem;margin:1rem 0 .3rem;break-after:avoid}
p{margin:.4rem 0}
.soft{color:var(--soft)}
code,pre{font:12px/1.4 ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
pre{white-space:pre-wrap;margin:.3rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:8px;margin:0 0 1rem}
.tiles div{background:var(--tile);border-radius:6px;padding:.5rem .75rem}
.tiles dt{color:var(--soft);font-size:.85rem}
.tiles dd{margin:0;font-size:1.3rem;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%;font-size:.82rem}
th,td{text-align:left;padding:.3rem .35rem;border-bottom:1px solid var(--line);vertical-align:top}
td{overflow-wrap:anywhere}
.t{min-width:6.5rem}
th{color:var(--soft);font-weight:600;overflow-wrap:normal}
.n{text-align:right;font-variant-numeric:tabular-nums}
td.n{white-space:nowrap}
tr{break-inside:avoid}
@media screen{.wide{overflow-x:auto}}
@media screen and (max-width:760px){
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table,tbody,tr,td{display:block}
tr{border:1px solid var(--line);border-radius:6px;margin-bottom:8px;padding:.3rem .6rem}
td,td.n{border:0;padding:.1rem 0;display:flex;gap:1rem;justify-content:space-between;text-align:left;white-space:normal}
td::before{content:attr(data-name);color:var(--soft);flex:none}
td span{min-width:0;text-align:right}
td.t{min-width:0}
td pre{text-align:left}
}
@media print{
@page{margin:14mm}
body{font-size:10pt}
header,main{max-width:none;padding:0}
table{font-size:7.5pt}
table code{font-size:7pt}
.t{min-width:4rem}
th,td{padding:.15rem .25rem}
.tiles div{border:1px solid var(--line)}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""

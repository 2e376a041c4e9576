"""A result as a self-contained page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import charts, page
from .charts import Drawn, Line, Series, moment
from .curves import Curves, curves, farthest, thinned
from .formats import formatted, heading, with_bands
from .market_chart import market_chart
from .market_svg import market_charts
from .page import Column, Section, Tile
from .page_markets import MarketRows
from .ranges import range_chart
from .run_sections import about, failures_section, run_section, violations_section
from .shown import ShownResult

if TYPE_CHECKING:
    from ...simulate.reading.recordings import Paths

#: What the page has room for; it names what it leaves out.
MOST_STRATEGIES = 100
MOST_MARKETS = 10
MOST_CARDS = 6
_MOST_BARS = 12
#: Points of all curves by strategy, and of all by market type.
_POINTS, _TYPE_POINTS = 3000, 1500


def write_page(
    result: ShownResult,
    path: str | os.PathLike[str],
    show: Sequence[str] = (),
    markets: Paths | None = None,
    folder: str = "RESULT",
) -> Path:
    """Write `result_page` to a file; its folder must exist."""
    target = Path(path)
    target.write_text(result_page(result, show, markets, folder), encoding="utf-8", errors="backslashreplace")
    return target


def result_page(
    result: ShownResult, show: Sequence[str] = (), markets: Paths | None = None, folder: str = "RESULT"
) -> str:
    """A page of HTML that fetches nothing, and runs no script but its own.

    Args:
        show: ids of markets whose charts it has.
        markets: where their recordings are; None: where the run found them.
        folder: of the result, as commands name it.

    Raises:
        InputError: the result has no such market, or its recording is not there any more.
    """
    facts = _Facts(result)
    drawn = [market_charts(f"market-{place}", market_chart(result, each, markets=markets)) for place, each in
             enumerate(show)]  # fmt: skip
    title = "Result of " + charts.shortened(", ".join(facts.names) or "no strategies", 80)
    sections = [
        _profit(facts),
        _strategies(facts),
        _band(facts),
        failures_section(result.failures.to_pylist()),
        violations_section([result.violations]),
        _extremes(facts),
        *_charts_of_markets(facts, drawn, show),
        _orders(facts),
        _placed(facts),
        _entry(facts),
        run_section(result.manifest, result.markets),
    ]
    kept = [each for each in sections if each is not None]
    for market_id in show:
        facts.rows.need(market_id, first=True)
    data = {
        "curves": facts.curve_data,
        "charts": {each.key: each.data for each in (*facts.drawn, *drawn)},
        "charted": {market_id: f"market-{place}" for place, market_id in enumerate(show)},
        "folder": folder,
        **facts.rows.data(result.orders),
    }
    return page.document(title, about(result.manifest) + _headline(facts), kept, result.digest, data)


class _Facts:
    """What several sections read.

    Attributes:
        summary: rows of the summary, the best net profit first.
        rows: the markets that the page names.
        drawn: charts that the script draws again, as they are made.
    """

    def __init__(self, result: ShownResult) -> None:
        self.result = result
        self.currency = str(result.manifest.get("config", {}).get("currency") or "")
        self.by_strategy = curves(result.markets, "strategy")
        self.by_type = curves(result.markets, "market_type")
        self.summary = sorted(result.summary().to_pylist(), key=lambda row: (-row["net_profit"], row["strategy"]))
        self.names = [str(row["strategy"]) for row in self.summary]
        for row in self.summary:
            steps = self.by_strategy.steps.get(row["strategy"], [])
            row.setdefault("max_drawdown", -min((step.fall for step in steps), default=0.0))
        self.rows = MarketRows(result.markets)
        self.drawn: list[Drawn] = []
        self.curve_data: dict[str, Any] = {}

    @property
    def money(self) -> str:
        return f" in {self.currency}" if self.currency else ""

    def draw(self, chart: Drawn) -> str:
        """The markup of a chart; its data go into the page."""
        self.drawn.append(chart)
        return chart.markup


def _headline(facts: _Facts) -> str:
    result = facts.result
    failed = sum(result.failures["count"].to_pylist())
    refused = sum(result.violations["count"].to_pylist())
    net = sum(row["net_profit"] for row in facts.summary)
    stake = sum(row["matched"] for row in facts.summary)
    charge = sum(row["transaction_charge"] for row in facts.summary)
    charged = [Tile(f"transaction charge{facts.money}", page.money(charge), "warn")] if charge else []
    return page.tiles(
        [
            Tile(f"net profit{facts.money}", page.money(net)),
            Tile("return on matched", page.fraction(net / stake) if stake else "none"),
            *charged,
            Tile("markets", page.whole(len(result.markets["market_id"].unique()))),
            Tile("orders", page.whole(sum(row["orders"] for row in facts.summary))),
            Tile("violations", page.whole(refused), "warn" if refused else "", "violations" if refused else ""),
            Tile("failures", page.whole(failed), "bad" if failed else "", "failures" if failed else ""),
        ]
    )


# -- sections ------------------------------------------------------------------------------------------------------


def _profit(facts: _Facts) -> Section:
    found = facts.by_strategy
    lines = _lines(facts, found, _POINTS, "strategy")
    if not lines:
        return Section("profit", "Profit", "<p>Nothing was matched in any market.</p>")
    text = (
        f"Profit after commission{facts.money}, added up market by market in order of their scheduled starts"
        f"{_between(found)}. {_counted(found)}"
    )
    fall = f"How far that profit is below its highest so far{facts.money}."
    left = page.left_out(len(lines), len(found.steps), "strategies", "the largest gains and losses")
    notes = {each.name: f"at most {page.money(-min(step.fall for step in each.steps))}" for each in lines}
    falls = [Line(each.name, each.steps, notes[each.name]) for each in lines]
    inside = (
        facts.draw(charts.line_chart("total", "Profit by strategy", text, lines, "strategy", "total"))
        + left
        + "<h3>Drawdown</h3>"
        + facts.draw(charts.line_chart("fall", "Drawdown by strategy", fall, falls, "strategy", "fall"))
    )
    types = _lines(facts, facts.by_type, _TYPE_POINTS, "type")
    if len(types) > 1:
        text = f"Profit after commission{facts.money}, all strategies together, by market type."
        inside += "<h3>By market type</h3>" + facts.draw(
            charts.line_chart("types", "Profit by market type", text, types, "type", "total")
        )
    return Section("profit", "Profit", inside)


def _lines(facts: _Facts, found: Curves, points: int, of: str) -> list[Line]:
    """The curves that end farthest from 0, as many as a chart can show, thinned; their data go into the page."""
    names = farthest(found.steps, charts.MOST_SERIES)
    lines = []
    for name in names:
        steps = found.steps[name]
        lines.append(Line(name, thinned(steps, max(100, points // len(names))), page.money(steps[-1].total)))
    data = charts.curve_data(lines)
    for each in data:
        each["m"] = [None if at is None else facts.rows.place(found.markets[at]["market_id"]) for at in each["m"]]
    facts.curve_data[of] = data
    return lines


def _between(found: Curves) -> str:
    starts = [market["start"] for market in found.markets if market["start"] is not None]
    if not starts:
        return ""
    begin, end = f"{moment(min(starts)):%d %b %Y}", f"{moment(max(starts)):%d %b %Y}"
    return f", on {begin}" if begin == end else f", from {begin} to {end}"


def _counted(found: Curves) -> str:
    there = len(found.markets)
    if there == found.seen:
        return f"{there:,} markets."
    return f"{there:,} of {found.seen:,} markets are counted: those in which something was matched."


def _strategies(facts: _Facts) -> Section:
    if not facts.summary:
        return Section("strategies", "Strategies", "<p>No strategy saw a market.</p>")
    if len(facts.summary) <= MOST_CARDS:
        cards = (
            f'<div class="card"><h3>{page.text(row["strategy"])}</h3>'
            + page.fields([(heading(name), formatted(name, row[name])) for name in row if name != "strategy"])
            + "</div>"
            for row in map(with_bands, facts.summary)
        )
        return Section("strategies", "Strategies", "".join(cards))
    rows = [with_bands(row) for row in facts.summary[:MOST_STRATEGIES]]
    return Section(
        "strategies",
        "Strategies",
        page.table(_SUMMARY, rows) + page.left_out(len(rows), len(facts.summary), "strategies", "by net profit"),
    )


def _band(facts: _Facts) -> Section | None:
    """How far the profit depends on the queue; None of a run without a band."""
    rows = [row for row in facts.summary if row.get("net_profit_low") is not None]
    if not rows:
        return None
    shown = rows[:MOST_STRATEGIES]
    text = (
        f"Net profit{facts.money} with three queues: the bar goes from the least to the most, the mark is the run "
        "itself. "
        "Nobody outside knows how much of what is cancelled at a price was before an order that waits there: nothing "
        "with the pessimistic queue, all with the optimistic one."
    )
    bars = [(row["strategy"], row["net_profit_low"], row["net_profit"], row["net_profit_high"]) for row in shown]
    chart = range_chart("band", "Net profit with three queues", text, bars)
    return Section("band", "How sure", chart + page.left_out(len(shown), len(rows), "strategies", "by net profit"))


def _extremes(facts: _Facts) -> Section:
    import pyarrow as pa
    import pyarrow.compute as pc

    markets = facts.result.markets
    traded = markets.filter(pc.greater(markets["matched"], 0))
    if not traded.num_rows:
        return Section("markets", "Best and worst markets", "<p>Nothing was matched in any market.</p>")
    net = pc.round(pc.subtract(traded["profit"], traded["commission"]), 2)
    traded = traded.append_column(pa.field("net", pa.float64()), net)
    keys = [("market_id", "ascending"), ("strategy", "ascending")]
    worst_first = traded.take(pc.sort_indices(traded, sort_keys=[("net", "ascending"), *keys]))
    worst = worst_first.slice(0, MOST_MARKETS).to_pylist()
    best = worst_first.slice(max(0, traded.num_rows - MOST_MARKETS)).to_pylist()[::-1]
    inside = '<p class="soft scripted">A row leads to the orders of its market.</p>'
    for name, rows in (
        ("Best", [row for row in best if row["net"] > 0]),
        ("Worst", [row for row in worst if row["net"] < 0]),
    ):
        for row in rows:
            facts.rows.need(row["market_id"])
            row["market"] = facts.rows.place(row["market_id"])
        inside += f"<h3>{name}</h3>" + (page.table(_MARKETS, rows) if rows else "<p>None.</p>")
    return Section("markets", "Best and worst markets", inside)


def _charts_of_markets(facts: _Facts, drawn: Sequence[Drawn], show: Sequence[str]) -> list[Section]:
    sections = []
    for place, (chart, market_id) in enumerate(zip(drawn, show, strict=True)):
        rows = page.table(facts.rows.columns, facts.rows.orders_of(facts.result.orders, market_id))
        sections.append(Section(f"market-{place}", f"Market {market_id}", chart.markup + "<h3>Orders</h3>" + rows))
    return sections


def _orders(facts: _Facts) -> Section | None:
    if not facts.result.orders.num_rows:
        return None
    inside = (
        '<div class="scripted"><p class="soft">Those of one market: click a point of a curve or a row above, or give '
        'an id.</p><div class="tools"><input id="find-market" placeholder="market id" aria-label="market id" '
        'inputmode="decimal"></div><div id="orders-shown"></div></div>'
        '<p class="soft unscripted">They are shown by a script, and are in the table <code>orders</code> of the '
        "result. <code>headrace report RESULT --market ID</code> puts those of a market here, with its prices.</p>"
    )
    return Section("orders", "Orders of a market", inside)


def _placed(facts: _Facts) -> Section | None:
    import pyarrow.compute as pc

    orders = facts.result.orders
    sized = orders.filter(pc.is_valid(orders["size"]))
    if not sized.num_rows:
        return None
    grouped = sized.group_by("strategy", use_threads=False).aggregate([("size", "sum"), ("size_matched", "sum")])
    sums = sorted(grouped.to_pylist(), key=lambda row: (-row["size_sum"], row["strategy"]))
    text = f"Stakes asked for and matched{facts.money}, of orders that name a stake; of a lay, the backer's stake."
    title = "Placed and matched"
    if len(sums) == 1:
        asked, got = round(sums[0]["size_sum"], 2), round(sums[0]["size_matched_sum"], 2)
        share = page.fraction(got / asked) if asked else "none"
        pairs = [("placed", page.money(asked)), ("matched", page.money(got)), ("share", share)]
        return Section("placed", title, f'<p class="soft">{page.text(text)}</p>{page.fields(pairs)}')
    rows = [
        (row["strategy"], (round(row["size_sum"], 2), round(row["size_matched_sum"], 2))) for row in sums[:_MOST_BARS]
    ]
    chart = charts.bar_chart("placed", title, text, ("placed", "matched"), rows)
    return Section("placed", title, chart + page.left_out(len(rows), len(sums), "strategies", "the largest"))


def _entry(facts: _Facts) -> Section | None:
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
            points = [(each, round(at, 3)) for each, at in zip(sp.to_pylist(), price.to_pylist(), strict=True)]
            series.append(Series(side, points, page.whole(mine.num_rows)))
            better.append(f"{won / mine.num_rows:.1%} of {side} orders got a better price than the starting price.")
    if not series:
        return None
    text = (
        "Average price matched (up) against starting price (right) of limit orders. Above the broken line a back, "
        "below it a lay got the better price."
    )
    if any(len(each.points) > charts.MOST_DOTS for each in series):
        text += f" At most {charts.MOST_DOTS:,} orders a side are drawn."
    title = "Price of entry against starting price"
    chart = facts.draw(charts.scatter_chart("entry", title, text, series))
    return Section("entry", title, f"<p>{' '.join(better)}</p>{chart}")


def _number(name: str, main: bool = False) -> Column:
    return Column(heading(name), name, lambda value: page.text(formatted(name, value)), main=main)


_SUMMARY = (
    Column("strategy", "strategy", page.text, text=True, main=True),
    _number("net_profit", main=True),
    _number("return_on_matched", main=True),
    *map(
        _number,
        (
            "markets",
            "orders",
            "matched_orders",
            "matched",
            "max_drawdown",
            "transaction_charge",
            "violations",
            "failures",
        ),
    ),
)
_MARKETS = (
    Column("net profit", "net", page.money, main=True),
    Column("market", "market_id", page.text, text=True, main=True),
    Column("venue", "venue", page.text, text=True, main=True),
    Column("type", "market_type", page.text, text=True),
    Column("start (UTC)", "start", page.time, text=True),
    Column("strategy", "strategy", page.text, text=True),
    Column("orders", "orders", page.whole),
    Column("matched", "matched", page.money),
    Column("commission", "commission", page.money),
)

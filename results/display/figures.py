"""Figures of a result, by plotly."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from ..extras import needed
from .charts import moment
from .curves import Curves, Step, curves, farthest, thinned
from .market_chart import Mark, MarketChart, Panel, price_range
from .shown import ShownResult

#: Points and strategies of a figure: with texts for hovering it stays under 500 kB.
MOST_POINTS = 3000
MOST_STRATEGIES = 30
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b38600", "#56b4e9", "#000000")


def profit_figure(result: ShownResult) -> Any:
    """Profit after commission and drawdown, a colour a strategy, by market number and by time.

    Raises:
        RunError: plotly is not installed.
    """
    objects = needed("plotly.graph_objects", "report", "Result.plot")
    subplots = needed("plotly.subplots", "report", "Result.plot")
    shown = subplots.make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.09,
        subplot_titles=("Profit after commission", "Drawdown: below the highest so far"),
    )  # fmt: skip
    found = curves(result.markets, "strategy")
    names = farthest(found.steps, MOST_STRATEGIES)
    numbers: list[list[int]] = []
    times: list[list[str]] = []
    for place, name in enumerate(names):
        steps = thinned(found.steps[name], max(30, MOST_POINTS // len(names)))
        x = [step.number for step in steps]
        texts = [_told(step, found) for step in steps]
        line = {"shape": "hv", "color": COLOURS[place % len(COLOURS)], "width": 1.6}
        for row, y in ((1, [step.total for step in steps]), (2, [step.fall for step in steps])):
            trace = objects.Scatter(
                x=x, y=y, mode="lines", line=line, name=name, legendgroup=name, showlegend=row == 1,
                text=texts if row == 1 else None,
                hovertemplate="%{y:,.2f}" + ("<br>%{text}" if row == 1 else ""),
            )  # fmt: skip
            shown.add_trace(trace, row=row, col=1)
            numbers.append(x)
            times.append([_day(step) for step in steps])
    currency = str(result.manifest.get("config", {}).get("currency") or "")
    shown.update_layout(
        title={"text": _title(result, names, found)},
        hovermode="closest",
        template="plotly_white",
        height=620,
        margin={"t": 120},
        updatemenus=_switch(numbers, times) if found.timed and names else [],
    )
    shown.update_yaxes(title_text=currency)
    shown.update_xaxes(title_text="market number, in order of the scheduled starts", row=2, col=1)
    return shown


def _title(result: ShownResult, names: list[str], found: Curves) -> str:
    what = names[0] if len(names) == 1 else f"{len(names)} strategies" if names else "no strategies"
    there = sum(map(bool, found.steps.values()))
    if len(names) < there:
        what = f"{len(names)} of {there} strategies, the largest gains and losses"
    counted = f"{len(found.markets):,} of {found.seen:,} markets, those in which something was matched"
    return f"Profit of {what}<br><sup>{counted}</sup>"


def _told(step: Step, found: Curves) -> str:
    if step.market is None:
        return ""
    market = found.markets[step.market]
    parts = (market["market_id"], market.get("market_type"), market.get("venue"))
    about = " ".join(str(part) for part in parts if part)
    return f"{about}: {step.gain:+,.2f}"


def _day(step: Step) -> str:
    return "" if step.time is None else f"{moment(step.time):%Y-%m-%d %H:%M}"


def _switch(numbers: list[list[int]], times: list[list[str]]) -> list[dict[str, Any]]:
    """Buttons that put the same points by number or by time."""
    every = list(range(len(numbers)))
    axes = {"number": ("linear", "market number, in order of the scheduled starts"), "time": ("date", "time (UTC)")}

    def button(kind: str, x: list[Any]) -> dict[str, Any]:
        shape, text = axes[kind]
        layout: dict[str, Any] = {"xaxis2.title.text": text}
        for axis in ("xaxis", "xaxis2"):
            layout |= {f"{axis}.type": shape, f"{axis}.autorange": True}
        return {"label": f"by {kind}", "method": "update", "args": [{"x": x}, layout, every]}

    return [
        {
            "type": "buttons", "direction": "right", "x": 1, "xanchor": "right", "y": 1.14, "yanchor": "bottom",
            "showactive": True, "buttons": [button("number", numbers), button("time", times)],
        }
    ]  # fmt: skip


# -- a market ------------------------------------------------------------------------------------------------------

#: Colours of the sides, as the exchange has them: back blue, lay pink.
SIDES = {"BACK": "#1f6fb4", "LAY": "#c2457f"}
_LINES = (("traded", "last traded", "#1a1c1e", 1.6), ("back", "best to back", "#7fb2dd", 1.0),
          ("lay", "best to lay", "#e3a3c0", 1.0))  # fmt: skip
#: Symbols by what happened; of placed orders the arrow points to the side.
_SYMBOLS = {"fill": "circle", "cancelled": "x-thin", "lapsed": "line-ns", "voided": "asterisk", "refused": "x"}
_SHADES = {"suspended": "rgba(120,120,120,0.22)", "in play": "rgba(0,150,90,0.10)"}
_REFUSED = "#b3261e"


def market_figure(chart: MarketChart) -> Any:
    """Prices of a market and what became of the orders, a panel for each runner.

    Raises:
        RunError: plotly is not installed.
    """
    objects = needed("plotly.graph_objects", "report", "Result.plot_market")
    subplots = needed("plotly.subplots", "report", "Result.plot_market")
    count = max(1, len(chart.panels))
    shown = subplots.make_subplots(
        rows=count, cols=1, shared_xaxes=True, vertical_spacing=0.16 / count,
        subplot_titles=[panel.name for panel in chart.panels] or ["no runner"],
    )  # fmt: skip
    seen: set[str] = set()

    def add(trace: dict[str, Any], row: int) -> None:
        """A trace; in the legend the first of its name stands for all."""
        name = trace["name"]
        shown.add_trace(objects.Scatter(**trace, legendgroup=name, showlegend=name not in seen), row=row, col=1)
        seen.add(name)

    for row, panel in enumerate(chart.panels, 1):
        for trace in (*_price_lines(panel, chart.end), *_order_lines(panel), *_marks(panel)):
            add(trace, row)
        axis = price_range(panel, chart.focus)
        if axis is not None:
            low, high, logarithmic = axis
            limits = [math.log10(low), math.log10(high)] if logarithmic else [low, high]
            shown.update_yaxes(type="log" if logarithmic else "linear", range=limits, row=row, col=1)
    for span in chart.spans:
        shown.add_vrect(
            x0=_clock(span.begin), x1=_clock(span.end), fillcolor=_SHADES[span.kind], line_width=0, layer="below"
        )
    for kind, colour in _SHADES.items():
        if any(span.kind == kind for span in chart.spans):
            add({"x": [None], "y": [None], "mode": "markers", "name": kind,
                 "marker": {"symbol": "square", "size": 14, "color": colour}}, 1)  # fmt: skip
    if chart.start is not None and chart.begin <= chart.start <= chart.end:
        shown.add_vline(x=_clock(chart.start), line={"color": "#5a6068", "dash": "dot", "width": 1})
    shown.update_xaxes(range=[_clock(time) for time in chart.focus], type="date")
    shown.update_xaxes(title_text="UTC; the dotted line is the scheduled start", row=count, col=1)
    notes = "<br>".join(chart.notes)
    shown.update_layout(
        title={"text": chart.title + (f"<br><sup>{notes}</sup>" if notes else "")},
        template="plotly_white",
        hovermode="closest",
        height=170 + 230 * count,
        margin={"t": 110 + 16 * len(chart.notes)},
    )
    return shown


def _price_lines(panel: Panel, end: int) -> Iterator[dict[str, Any]]:
    for kind, name, colour, width in _LINES:
        points = panel.lines[kind]
        if points:
            times, prices = [time for time, _ in points] + [end], [price for _, price in points]
            yield {
                "x": list(map(_clock, times)), "y": [*prices, prices[-1]], "mode": "lines", "name": name,
                "line": {"shape": "hv", "color": colour, "width": width}, "hovertemplate": f"{name} %{{y}}<br>%{{x}}",
            }  # fmt: skip


def _order_lines(panel: Panel) -> Iterator[dict[str, Any]]:
    for side, colour in SIDES.items():
        x: list[str | None] = []
        y: list[float | None] = []
        for order in panel.orders:
            if order.side == side:
                x += [_clock(order.begin), _clock(order.end), None]
                y += [order.price, order.price, None]
        if x:
            yield {"x": x, "y": y, "mode": "lines", "name": f"{side.lower()} at the exchange", "hoverinfo": "skip",
                   "line": {"color": colour, "width": 2, "dash": "dot"}}  # fmt: skip


def _marks(panel: Panel) -> Iterator[dict[str, Any]]:
    found: dict[tuple[str, str], list[Mark]] = {}
    for mark in panel.marks:
        found.setdefault((mark.kind, mark.side), []).append(mark)
    for (kind, side), marks in found.items():
        colour = _REFUSED if kind == "refused" else SIDES.get(side, "#1a1c1e")
        symbol = _SYMBOLS.get(kind, "triangle-up-open" if side == "BACK" else "triangle-down-open")
        name = f"{side.lower()} matched" if kind == "fill" else f"{side.lower()} {kind}"
        yield {
            "x": [_clock(mark.time) for mark in marks], "y": [mark.price for mark in marks], "mode": "markers",
            "name": name, "text": [_escaped(mark.text) for mark in marks],
            "hovertemplate": "%{text}<br>%{x|%H:%M:%S.%L}",
            "marker": {"symbol": symbol, "size": 10, "color": colour, "line": {"color": colour, "width": 2}},
        }  # fmt: skip


def _escaped(lines: Sequence[str]) -> str:
    return "<br>".join(map(escape, lines))


def _clock(milliseconds: int) -> str:
    return f"{moment(milliseconds):%Y-%m-%dT%H:%M:%S.%f}"[:-3]

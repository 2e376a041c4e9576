"""A market as inline SVG: prices of the runners that were bet on, with what became of the orders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from .charts import HIGH, PRICES, Axis, Drawn, across, down, figure, legend, percent, plot, time_axis
from .market_chart import MarketChart, Panel, price_range

#: What is drawn of a market: the class of the line, its name.
_PRICES_OF = (("traded", "last traded"), ("back", "best to back"), ("lay", "best to lay"))
#: Signs of what happened to an order; of fills dots are drawn.
_SIGNS = {"cancelled": "✕", "lapsed": "┃", "voided": "∅", "refused": "✖"}
#: How many pixels high a runner's panel is.
_PANEL = 190


def market_charts(key: str, chart: MarketChart) -> Drawn:
    """Prices of a market with the orders in it, a panel for each runner; the stretch with the orders is in sight."""
    panels = [
        f"<h3>{escape(panel.name)}</h3>{_panel(f'{key}-{number}', number, panel, chart)}"
        for number, panel in enumerate(chart.panels)
    ]
    text = " ".join(
        (
            "Traded price and best prices. Grey: suspended. Green: in play. The upright dotted line is the scheduled "
            "start. ▲ back and ▼ lay placed, ● matched, ✕ cancelled, ┃ lapsed; dotted: waiting at the exchange.",
            *chart.notes,
        )
    )
    names = [name for _, name in _PRICES_OF]
    markup = figure(key, text, legend([(name, "") for name in names], _price_mark), "".join(panels))
    return Drawn(key, markup, _market_data(chart))


def _panel(key: str, number: int, panel: Panel, chart: MarketChart) -> str:
    begin, end = chart.focus
    x = time_axis(begin, end)
    found = price_range(panel, chart.focus)
    low, high, logarithmic = found if found is not None else (1.0, 2.0, False)
    y = _prices_between(low, high, logarithmic)
    inside = []
    for span in chart.spans:
        left, right = (across(x, min(max(time, begin), end)) for time in (span.begin, span.end))
        if right > left:
            kind = span.kind.replace(" ", "")
            inside.append(f'<rect class="{kind}" x="{left}" y="0" width="{right - left}" height="{HIGH}"/>')
    if chart.start is not None and begin <= chart.start <= end:
        start = across(x, chart.start)
        inside.append(f'<line class="start" x1="{start}" x2="{start}" y1="0" y2="{HIGH}"/>')
    for kind, _ in _PRICES_OF[::-1]:
        inside.append(f'<path class="{kind}" d="{_price_path(panel.lines[kind], x, y, chart.end)}"/>')
    for order in panel.orders:
        path = f"M{across(x, order.begin)} {down(y, order.price)}H{across(x, order.end)}"
        inside.append(f'<path class="order {order.side}" d="{path}"/>')
    over = []
    for mark in panel.marks:
        if mark.kind == "fill":
            inside.append(f'<path class="fill {mark.side}" d="M{across(x, mark.time)} {down(y, mark.price)}h1"/>')
            continue
        sign = _SIGNS.get(mark.kind) or ("▲" if mark.side == "BACK" else "▼")
        at, up = percent(x.share(mark.time)), percent(1 - y.share(mark.price))
        over.append(f'<text class="mark {mark.side} {mark.kind}" x="{at}" y="{up}">{sign}</text>')
    text = f"Prices of {panel.name} and {len(panel.marks)} marks of orders."
    return plot(key, panel.name, text, x, y, "".join(inside), _PANEL, "".join(over), f' data-panel="{number}"')


def _prices_between(low: float, high: float, logarithmic: bool) -> Axis:
    """An axis of prices that begins and ends where it is told."""
    if not logarithmic:
        power = 10.0 ** math.floor(math.log10((high - low) / 5))
        step = next(power * each for each in (1, 2, 5, 10) if power * each >= (high - low) / 5)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        numbers = range(math.ceil(low / step), math.floor(high / step) + 1)
        return Axis(low, high, tuple((number * step, f"{number * step:.{digits}f}") for number in numbers))
    bare = Axis(low, high, logarithmic=True)
    ticks: list[tuple[float, str]] = []
    for price in PRICES:
        if low <= price <= high and (not ticks or bare.share(price) - bare.share(ticks[-1][0]) >= 0.12):
            ticks.append((price, f"{price:g}"))
    return Axis(low, high, tuple(ticks), logarithmic=True)


def _price_path(points: Sequence[tuple[int, float | None]], x: Axis, y: Axis, end: int) -> str:
    """A path that holds each price until the next, with gaps where there is none."""
    path, drawn = [], False
    for place, (time, price) in enumerate(points):
        until = points[place + 1][0] if place + 1 < len(points) else end
        if price is None or until < x.low or time > x.high:
            drawn = False
            continue
        left, right = (across(x, min(max(each, x.low), x.high)) for each in (time, until))
        # Far beyond the frame is as good as farther.
        up = min(max(down(y, price), -HIGH), 2 * HIGH)
        path.append(f"{'V' if drawn else f'M{left} '}{up}H{right}")
        drawn = True
    return "".join(path)


def _market_data(chart: MarketChart) -> dict[str, Any]:
    """For the script; times in milliseconds from the first change."""
    zero = chart.begin

    def split(points: Sequence[tuple[int, float | None]]) -> list[list[Any]]:
        return [[time - zero for time, _ in points], [price for _, price in points]]

    return {
        "kind": "market",
        "zero": zero,
        "end": chart.end - zero,
        "focus": [time - zero for time in chart.focus],
        "start": None if chart.start is None else chart.start - zero,
        "spans": [[span.kind.replace(" ", ""), span.begin - zero, span.end - zero] for span in chart.spans],
        "panels": [
            {
                "name": panel.name,
                "lines": {kind: split(panel.lines[kind]) for kind, _ in _PRICES_OF},
                "orders": [[each.side, each.price, each.begin - zero, each.end - zero] for each in panel.orders],
                "marks": [
                    [each.kind, each.side, each.time - zero, each.price, list(each.text)] for each in panel.marks
                ],
            }
            for panel in chart.panels
        ],
    }


def _price_mark(number: int) -> str:
    return f'<path class="{_PRICES_OF[number][0]}" d="M0 5H26"/>'

"""Charts as inline SVG: curves over markets, dots on logarithmic axes, bars, prices of a market. Values in, markup out.

A chart takes the width it is given and reads without a script: on a phone, on paper, in a mail. The drawing is
stretched to that width; text, line widths and dots are not. Colours come from variables, which differ for light and
dark screens; lines differ in their dashes too, dots in their shape. `page.js` draws the same charts from their data,
for zoom, for hovering, and by time.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from .curves import Step

Point = tuple[float, float]

#: Colours there are; a chart shows no more series than that.
MOST_SERIES = 8
#: Dots that a series keeps.
MOST_DOTS = 2000

WIDE, HIGH = 2000, 1000  # units of a drawing
_DASHES = ("", "7 4", "2 4")
_SOLID = 4  # lines before the first dashes

_LIGHT = ("#0072b2", "#c44e00", "#007a5a", "#a8457f", "#7a6200", "#3d6ee0", "#8c1f1f", "#4d4d4d")
_DARK = ("#56b4e9", "#f28e2b", "#3fc79a", "#e08fc0", "#f0e442", "#9db8ff", "#ff8a80", "#c8c8c8")
COLOURS = (
    ":root{" + "".join(f"--c{n}:{colour};" for n, colour in enumerate(_LIGHT)) + "}"
    "@media screen and (prefers-color-scheme:dark){:root{"
    + "".join(f"--c{n}:{colour};" for n, colour in enumerate(_DARK))
    + "}}"
    + "".join(f".s{n}{{stroke:var(--c{n})}}.f{n}{{fill:var(--c{n})}}" for n in range(MOST_SERIES))
)


@dataclass(frozen=True)
class Drawn:
    """A chart: its markup, and what the script draws it from."""

    key: str
    markup: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A curve that carries one colour.

    Attributes:
        note: stands after the name in the legend.
    """

    name: str
    steps: Sequence[Step]
    note: str = ""


@dataclass(frozen=True)
class Series:
    """What carries one colour.

    Attributes:
        points: pairs of prices.
        note: stands after the name in the legend.
    """

    name: str
    points: Sequence[Point]
    note: str = ""


@dataclass(frozen=True)
class Axis:
    """A stretch of numbers, and where its labels stand."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where a value stands: 0 at `low`, 1 at `high`."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


# -- axes ----------------------------------------------------------------------------------------------------------


def number_axis(values: Iterable[float], most: int = 6) -> Axis:
    """From zero or below to zero or above, at round numbers."""
    found = [0.0, *values]
    low, high = min(found), max(found)
    if low == high:
        high = 1.0
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * each for each in (1, 2, 5) if power * each >= rough), power * 10)
    first, last = math.floor(low / step), math.ceil(high / step)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    ticks = tuple((number * step, f"{number * step:,.{digits}f}") for number in range(first, last + 1))
    return Axis(first * step, last * step, ticks)


def count_axis(low: int, high: int, most: int = 8) -> Axis:
    """From one number of things to another, at round numbers between."""
    if low == high:
        high = low + 1
    rough = (high - low) / most
    power = 10 ** max(0, math.floor(math.log10(rough))) if rough > 1 else 1
    step = next((power * each for each in (1, 2, 5) if power * each >= rough), power * 10)
    ticks = tuple((number, f"{number:,}") for number in range(math.ceil(low / step) * step, high + 1, step))
    return Axis(low, high, ticks)


_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_STEPS = (*(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)), *(n * _HOUR for n in (1, 2, 3, 6, 12)),
          *(n * _DAY for n in (1, 2, 4, 7, 14)))  # fmt: skip
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600)


def time_axis(low: float, high: float, most: int = 6) -> Axis:
    """From `low` to `high`, milliseconds since the epoch; labels in UTC, about `most` of them, fewer long ones."""
    if high - low < _MINUTE:
        low, high = low - 30 * _MINUTE, high + 30 * _MINUTE
    span = high - low
    long = span >= _DAY  # then hours are told with their day
    step = next((step for step in _STEPS if span / step <= (most - 2 if long and step < _DAY else most)), 0)
    if step:
        times = [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
        shape = "%d %b" if step >= _DAY else "%d %b %H:%M" if long else "%H:%M"
    else:
        months = next((n for n in _MONTHS if span / (n * 30 * _DAY) < most), _MONTHS[-1])
        begin, end = moment(low), moment(high)
        numbers = range(begin.year * 12 + begin.month, end.year * 12 + end.month)  # months after `low`
        starts = (datetime.datetime(n // 12, n % 12 + 1, 1, tzinfo=datetime.UTC) for n in numbers if n % months == 0)
        times = [round(start.timestamp() * 1000) for start in starts]
        shape = "%b %Y"
    return Axis(low, high, tuple((time, f"{moment(time):{shape}}") for time in times))


PRICES = (1.01, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


def price_axis(values: Iterable[float]) -> Axis:
    """Decimal odds on a logarithmic scale."""
    found = list(values)
    low, high = min(found) * 0.97, max(found) * 1.03
    bare = Axis(low, high, logarithmic=True)
    ticks: list[tuple[float, str]] = []
    for price in PRICES:
        if low <= price <= high and (not ticks or bare.share(price) - bare.share(ticks[-1][0]) >= 0.1):
            ticks.append((price, f"{price:g}"))
    return Axis(low, high, tuple(ticks), logarithmic=True)


def moment(milliseconds: float) -> datetime.datetime:
    """Milliseconds since the epoch as UTC."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


# -- charts --------------------------------------------------------------------------------------------------------


def line_chart(key: str, title: str, text: str, lines: Sequence[Line], of: str, value: str) -> Drawn:
    """Curves by market number, in steps; the script shows them by time as well. At most `MOST_SERIES`, none empty.

    Args:
        key: unique in the page.
        title: for those who cannot see the chart.
        text: what the chart shows, in words.
        of: the key of `curve_data` in the page's data.
        value: "total" or "fall".
    """
    drawn = [[(step.number, getattr(step, value)) for step in each.steps] for each in lines]
    x = count_axis(min(points[0][0] for points in drawn), max(points[-1][0] for points in drawn))
    y = number_axis(value for points in drawn for _, value in points)
    paths = [
        f'<path class="line s{number}"{_dash(number)} d="{_steps(points, x, y)}"/>'
        for number, points in enumerate(drawn)
    ]
    if y.low < 0 < y.high:
        zero = down(y, 0)
        paths.insert(0, f'<line class="zero" x1="0" x2="{WIDE}" y1="{zero}" y2="{zero}"/>')
    names = legend([(each.name, each.note) for each in lines], _line_mark)
    markup = figure(key, text, names, plot(key, title, text, x, y, "".join(paths)))
    return Drawn(key, markup, {"kind": "lines", "of": of, "value": value})


def curve_data(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The points of curves, for the script: numbers, times in seconds, markets by their place, gains, totals, falls."""
    return [
        {
            "name": each.name,
            "n": [step.number for step in each.steps],
            "t": [None if step.time is None else step.time // 1000 for step in each.steps],
            "m": [step.market for step in each.steps],
            "gain": [step.gain for step in each.steps],
            "total": [step.total for step in each.steps],
            "fall": [step.fall for step in each.steps],
        }
        for each in lines
    ]


def scatter_chart(
    key: str, title: str, text: str, series: Sequence[Series], even: bool = True, logarithmic: bool = True
) -> Drawn:
    """Pairs of values, the one up and the other to the right. At least one pair.

    Args:
        even: draw a line where both are equal.
        logarithmic: prices on one logarithmic scale; else numbers, each axis with its own.
    """
    drawn = [every(each.points, MOST_DOTS) for each in series]
    if logarithmic:
        x = y = price_axis(price for points in drawn for point in points for price in point)
    elif even:
        x = y = number_axis(value for points in drawn for point in points for value in point)
    else:
        x, y = (number_axis(point[at] for points in drawn for point in points) for at in (0, 1))
    inside = f'<line class="even" x1="0" y1="{HIGH}" x2="{WIDE}" y2="0"/>' if even else ""
    for number, points in enumerate(drawn):
        # Of length 1: on paper a line of no length has no square ends.
        path = "".join(f"M{across(x, each[0])} {down(y, each[1])}h1" for each in points)
        inside += f'<path class="dots s{number}" stroke-linecap="{_cap(number)}" d="{path}"/>'
    drawing = plot(key, title, text, x, y, inside, height=320)
    names = legend([(each.name, each.note) for each in series], _dot_mark)
    data = {
        "kind": "dots",
        "even": even,
        "log": logarithmic,
        "series": [
            {"name": each.name, "points": [[point[0], point[1]] for point in points]}
            for each, points in zip(series, drawn, strict=True)
        ],
    }
    return Drawn(key, figure(key, text, names, drawing), data)


def bar_chart(
    key: str, title: str, text: str, names: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]]
) -> str:
    """Bars to the right, a group a row.

    Args:
        names: of the bars of a group.
        rows: a name and its values, none below 0, as many as `names`.
    """
    longest = max((value for _, values in rows for value in values), default=0.0) or 1.0
    parts, top = [], 0
    for name, values in rows:
        parts.append(f'<text class="name" x="0" y="{top + 9}">{escape(shortened(name, 40))}</text>')
        top += 20
        for number, value in enumerate(values):
            width = percent(value / longest * 0.75)
            parts.append(f'<rect class="f{number}" x="0" y="{top}" width="{width}" height="13"/>')
            parts.append(f'<text x="{width}" dx="6" y="{top + 7}">{value:,.2f}</text>')
            top += 16
        top += 8
    head = described(key, title, text)
    svg = f'<svg width="100%" height="{top}" role="img" {head[0]}>{head[1]}{"".join(parts)}</svg>'
    return figure("", text, legend([(name, "") for name in names], bar_mark), f'<div class="plot">{svg}</div>')


def shortened(text: str, most: int) -> str:
    """Text of at most `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


# -- parts of charts -----------------------------------------------------------------------------------------------


def figure(key: str, text: str, names: str, drawing: str) -> str:
    """A chart with its text; with a key it is one that the script draws."""
    chart = f' data-chart="{key}"' if key else ""
    return f"<figure{chart}><figcaption>{escape(text)}</figcaption>{names}{drawing}</figure>"


def plot(
    key: str, title: str, text: str, x: Axis, y: Axis, inside: str, height: int = 240, over: str = "", more: str = ""
) -> str:
    """The axes and what is drawn between them.

    Args:
        inside: is stretched to the width that there is.
        over: is not.
        more: further attributes.
    """
    left = max(44, 14 + 6 * max((len(label) for _, label in y.ticks), default=0))
    grid, labels = [], []
    for value, label in y.ticks:
        at = percent(1 - y.share(value))
        grid.append(f'<line x1="0" x2="100%" y1="{at}" y2="{at}"/>')
        labels.append(f'<text x="-8" y="{at}" text-anchor="end">{label}</text>')
    bottom = []
    for value, label in x.ticks:
        share = x.share(value)
        at = percent(share)
        grid.append(f'<line x1="{at}" x2="{at}" y1="0" y2="100%"/>')
        anchor = "start" if share < 0.1 else "end" if share > 0.9 else "middle"
        bottom.append(f'<text x="{at}" y="100%" dy="8" text-anchor="{anchor}">{label}</text>')
    names, head = described(key, title, text)
    return (
        f'<div class="plot"{more} style="padding-left:{left}px">'
        f'<svg width="100%" height="{height}" role="img" {names}>{head}'
        f'<g class="grid">{"".join(grid)}</g><g class="y">{"".join(labels)}</g><g class="x">{"".join(bottom)}</g>'
        f'<svg viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none" width="100%" height="100%">{inside}</svg>'
        f"{over}</svg></div>"
    )


def described(key: str, title: str, text: str) -> tuple[str, str]:
    """Attributes and elements that tell a screen reader what is drawn."""
    return (
        f'aria-labelledby="{key}-title {key}-text"',
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-text">{escape(text)}</desc>',
    )


def legend(series: Sequence[tuple[str, str]], mark: Callable[[int], str]) -> str:
    """Names, each with a note and its mark."""
    entries = (
        f'<li><svg viewBox="0 0 26 10" aria-hidden="true">{mark(number)}</svg>{escape(name)}'
        + (f" <b>{escape(note)}</b>" if note else "")
        + "</li>"
        for number, (name, note) in enumerate(series)
    )
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _line_mark(number: int) -> str:
    return f'<path class="line s{number}"{_dash(number)} d="M0 5H26"/>'


def _dot_mark(number: int) -> str:
    return f'<path class="dots s{number}" stroke-linecap="{_cap(number)}" d="M13 5h.1"/>'


def bar_mark(number: int) -> str:
    return f'<rect class="f{number}" width="26" height="10"/>'


def _dash(number: int) -> str:
    dash = _DASHES[number // _SOLID % len(_DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _cap(number: int) -> str:
    return "square" if number % 2 else "round"


def _steps(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> str:
    """A path that holds each value until the next."""
    here, level = across(x, points[0][0]), down(y, points[0][1])
    path = [f"M{here} {level}"]
    for number, value in points[1:]:
        right, up = across(x, number), down(y, value)
        if right != here:
            path.append(f"H{right}")
        if up != level:
            path.append(f"V{up}")
        here, level = right, up
    return "".join(path)


def every(points: Sequence[Any], most: int) -> Sequence[Any]:
    """At most `most` of the points, evenly."""
    if len(points) <= most:
        return points
    return [points[number * len(points) // most] for number in range(most)]


def across(axis: Axis, value: float) -> int:
    """Where a value stands across a drawing."""
    return round(axis.share(value) * WIDE)


def down(axis: Axis, value: float) -> int:
    """Where a value stands down a drawing."""
    return round((1 - axis.share(value)) * HIGH)


def percent(share: float) -> str:
    """A share as lengths in SVG are told."""
    return f"{share * 100:.2f}".rstrip("0").rstrip(".") + "%"

"""Charts as inline SVG: lines over time, dots on logarithmic axes, bars. Plain values in, markup out.

A chart takes the width it is given and needs no script. The drawing is stretched to that width; text, line widths and
dots are not, so that a chart reads on a phone and on paper. Colours come from the variables in `STYLE`, which differ
for light and dark screens; lines differ in their dashes too, dots in their shape.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

#: Colours there are; a chart shows no more series than that.
MOST_SERIES = 8
#: Points that a line keeps, and dots that a series keeps.
MOST_POINTS = 600
MOST_DOTS = 2000

_WIDE, _HIGH = 2000, 1000  # units of a drawing
_DASHES = ("", "7 4", "2 4")
_SOLID = 4  # lines before the first dashes

_LIGHT = ("#0072b2", "#c44e00", "#007a5a", "#a8457f", "#7a6200", "#3d6ee0", "#8c1f1f", "#4d4d4d")
_DARK = ("#56b4e9", "#f28e2b", "#3fc79a", "#e08fc0", "#f0e442", "#9db8ff", "#ff8a80", "#c8c8c8")
STYLE = (
    ":root{" + "".join(f"--c{n}:{colour};" for n, colour in enumerate(_LIGHT)) + "}"
    "@media screen and (prefers-color-scheme:dark){:root{"
    + "".join(f"--c{n}:{colour};" for n, colour in enumerate(_DARK))
    + "}}"
    + "".join(f".s{n}{{stroke:var(--c{n})}}.f{n}{{fill:var(--c{n})}}" for n in range(MOST_SERIES))
    + """
figure{margin:0 0 1rem;break-inside:avoid}
figcaption{color:var(--soft);margin-bottom:.4rem}
.plot{padding:8px 12px 26px 0}
.plot svg{display:block;overflow:visible}
.plot text{font-size:11px;fill:var(--soft);dominant-baseline:central}
.plot text.name{fill:var(--ink);font-size:12px}
.plot .x text{dominant-baseline:hanging}
.grid line{stroke:var(--line)}
line.zero,line.even{stroke:var(--soft)}
line.even{stroke-dasharray:4 4}
line.zero,line.even,path{vector-effect:non-scaling-stroke}
path{fill:none}
path.line{stroke-width:1.8}
path.dots{stroke-width:5;opacity:.55}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:0;padding:0}
.legend li{overflow-wrap:anywhere;min-width:0}
.legend svg{width:26px;height:10px;margin-right:.35rem;vertical-align:middle}
"""
)


@dataclass(frozen=True)
class Series:
    """What carries one colour.

    Attributes:
        points: of lines (milliseconds since the epoch, value) in order of time.
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


_PRICES = (1.01, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


def price_axis(values: Iterable[float]) -> Axis:
    """Decimal odds on a logarithmic scale."""
    found = list(values)
    low, high = min(found) * 0.97, max(found) * 1.03
    bare = Axis(low, high, logarithmic=True)
    ticks: list[tuple[float, str]] = []
    for price in _PRICES:
        if low <= price <= high and (not ticks or bare.share(price) - bare.share(ticks[-1][0]) >= 0.1):
            ticks.append((price, f"{price:g}"))
    return Axis(low, high, tuple(ticks), logarithmic=True)


def moment(milliseconds: float) -> datetime.datetime:
    """Milliseconds since the epoch as UTC."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def thin(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most `most` points: the first, the last, and the lowest and the highest of each stretch between."""
    if len(points) <= most:
        return list(points)
    inner = points[1:-1]
    stretches = (most - 2) // 2
    kept = [points[0]]
    for number in range(stretches):
        part = inner[number * len(inner) // stretches : (number + 1) * len(inner) // stretches]
        places = range(len(part))
        low = min(places, key=lambda place: part[place][1])
        high = max(places, key=lambda place: part[place][1])
        kept.extend(part[place] for place in sorted({low, high}))
    kept.append(points[-1])
    return kept


# -- charts --------------------------------------------------------------------------------------------------------


def line_chart(key: str, title: str, text: str, series: Sequence[Series]) -> str:
    """Values over time, in steps. At most `MOST_SERIES` series, none of them empty.

    Args:
        key: unique in the page.
        title: for those who cannot see the chart.
        text: what the chart shows, in words.
    """
    drawn = [thin(each.points) for each in series]
    x = time_axis(min(points[0][0] for points in drawn), max(points[-1][0] for points in drawn))
    y = number_axis(value for points in drawn for _, value in points)
    paths = [
        f'<path class="line s{number}"{_dash(number)} d="{_steps(points, x, y)}"/>'
        for number, points in enumerate(drawn)
    ]
    if y.low < 0 < y.high:
        zero = _high(y, 0)
        paths.insert(0, f'<line class="zero" x1="0" x2="{_WIDE}" y1="{zero}" y2="{zero}"/>')
    return _figure(text, _legend(series, _line_mark), _plot(key, title, text, x, y, "".join(paths)))


def scatter_chart(key: str, title: str, text: str, series: Sequence[Series]) -> str:
    """Pairs of prices on one logarithmic scale, with a line where both are equal. At least one pair."""
    drawn = [_every(each.points, MOST_DOTS) for each in series]
    axis = price_axis(price for points in drawn for point in points for price in point)
    even = f'<line class="even" x1="0" y1="{_HIGH}" x2="{_WIDE}" y2="0"/>'
    # Of length 1: on paper a line of no length has no square ends.
    dots = [
        f'<path class="dots s{number}" stroke-linecap="{_cap(number)}" d="'
        + "".join(f"M{_wide(axis, x)} {_high(axis, y)}h1" for x, y in points)
        + '"/>'
        for number, points in enumerate(drawn)
    ]
    plot = _plot(key, title, text, axis, axis, even + "".join(dots), height=320)
    return _figure(text, _legend(series, _dot_mark), plot)


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
            width = _percent(value / longest * 0.75)
            parts.append(f'<rect class="f{number}" x="0" y="{top}" width="{width}" height="13"/>')
            parts.append(f'<text x="{width}" dx="6" y="{top + 7}">{value:,.2f}</text>')
            top += 16
        top += 8
    head = _described(key, title, text)
    svg = f'<svg width="100%" height="{top}" role="img" {head[0]}>{head[1]}{"".join(parts)}</svg>'
    series = [Series(name, ()) for name in names]
    return _figure(text, _legend(series, _bar_mark), f'<div class="plot">{svg}</div>')


def shortened(text: str, most: int) -> str:
    """Text of at most `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


# -- parts of charts -----------------------------------------------------------------------------------------------


def _figure(text: str, legend: str, plot: str) -> str:
    return f"<figure><figcaption>{escape(text)}</figcaption>{legend}{plot}</figure>"


def _plot(key: str, title: str, text: str, x: Axis, y: Axis, inside: str, height: int = 240) -> str:
    left = 14 + 6 * max((len(label) for _, label in y.ticks), default=0)
    grid, labels = [], []
    for value, label in y.ticks:
        at = _percent(1 - y.share(value))
        grid.append(f'<line x1="0" x2="100%" y1="{at}" y2="{at}"/>')
        labels.append(f'<text x="-8" y="{at}" text-anchor="end">{label}</text>')
    bottom = []
    for value, label in x.ticks:
        share = x.share(value)
        at = _percent(share)
        grid.append(f'<line x1="{at}" x2="{at}" y1="0" y2="100%"/>')
        anchor = "start" if share < 0.1 else "end" if share > 0.9 else "middle"
        bottom.append(f'<text x="{at}" y="100%" dy="8" text-anchor="{anchor}">{label}</text>')
    names, head = _described(key, title, text)
    return (
        f'<div class="plot" style="padding-left:{left}px"><svg width="100%" height="{height}" role="img" {names}>{head}'
        f'<g class="grid">{"".join(grid)}</g><g class="y">{"".join(labels)}</g><g class="x">{"".join(bottom)}</g>'
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" preserveAspectRatio="none" width="100%" height="100%">{inside}</svg>'
        "</svg></div>"
    )


def _described(key: str, title: str, text: str) -> tuple[str, str]:
    """Attributes and elements that tell a screen reader what is drawn."""
    return (
        f'aria-labelledby="{key}-title {key}-text"',
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-text">{escape(text)}</desc>',
    )


def _legend(series: Sequence[Series], mark: Callable[[int], str]) -> str:
    entries = (
        f'<li><svg viewBox="0 0 26 10" aria-hidden="true">{mark(number)}</svg>{escape(each.name)}'
        + (f" <b>{escape(each.note)}</b>" if each.note else "")
        + "</li>"
        for number, each in enumerate(series)
    )
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _line_mark(number: int) -> str:
    return f'<path class="line s{number}"{_dash(number)} d="M0 5H26"/>'


def _dot_mark(number: int) -> str:
    return f'<path class="dots s{number}" stroke-linecap="{_cap(number)}" d="M13 5h.1"/>'


def _bar_mark(number: int) -> str:
    return f'<rect class="f{number}" width="26" height="10"/>'


def _dash(number: int) -> str:
    dash = _DASHES[number // _SOLID % len(_DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _cap(number: int) -> str:
    return "square" if number % 2 else "round"


def _steps(points: Sequence[Point], x: Axis, y: Axis) -> str:
    """A path that holds each value until the next."""
    wide, high = _wide(x, points[0][0]), _high(y, points[0][1])
    path = [f"M{wide} {high}"]
    for time, value in points[1:]:
        right, up = _wide(x, time), _high(y, value)
        if right != wide:
            path.append(f"H{right}")
        if up != high:
            path.append(f"V{up}")
        wide, high = right, up
    return "".join(path)


def _every(points: Sequence[Point], most: int) -> Sequence[Point]:
    """At most `most` of the points, evenly."""
    if len(points) <= most:
        return points
    return [points[number * len(points) // most] for number in range(most)]


def _wide(axis: Axis, value: float) -> int:
    return round(axis.share(value) * _WIDE)


def _high(axis: Axis, value: float) -> int:
    return round((1 - axis.share(value)) * _HIGH)


def _percent(share: float) -> str:
    return f"{share * 100:.2f}".rstrip("0").rstrip(".") + "%"

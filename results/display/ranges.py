"""A chart of ranges: from the least to the most, with a mark between them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from . import charts


def range_chart(key: str, title: str, text: str, rows: Sequence[tuple[str, float, float, float]]) -> str:
    """A bar from the least to the most for each row, with a mark at its value.

    Args:
        rows: a name, the least, the value, the most. At least one.
    """
    axis = charts.number_axis(value for _, *values in rows for value in values)
    zero = charts.percent(axis.share(0) * 0.7)
    parts, top = [], 0
    for name, low, value, high in rows:
        left, at, right = (axis.share(each) * 0.7 for each in (low, value, high))
        parts.append(f'<text class="name" x="0" y="{top + 9}">{escape(charts.shortened(name, 40))}</text>')
        top += 20
        parts.append(f'<rect class="f0" opacity="0.45" x="{charts.percent(left)}" y="{top + 2}" '
                     f'width="{charts.percent(right - left)}" height="9"/>')  # fmt: skip
        parts.append(f'<rect class="f0" x="{charts.percent(at)}" y="{top - 1}" width="3" height="15"/>')
        told = f"{value:,.2f} ({low:,.2f} to {high:,.2f})"
        parts.append(f'<text x="{charts.percent(right)}" dx="8" y="{top + 7}">{told}</text>')
        top += 24
    parts.insert(0, f'<g class="grid"><line x1="{zero}" x2="{zero}" y1="0" y2="{top}"/></g>')
    head = charts.described(key, title, text)
    svg = f'<svg width="100%" height="{top}" role="img" {head[0]}>{head[1]}{"".join(parts)}</svg>'
    return charts.figure(
        "", text, charts.legend([("least to most", "")], charts.bar_mark), f'<div class="plot">{svg}</div>'
    )

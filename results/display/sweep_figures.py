"""Figures of a sweep, by plotly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..extras import needed
from .formats import formatted
from .heatmap import heat_of, label, middle, steps, title

Row = dict[str, Any]

#: From a loss to a profit, dark enough at every place to be seen on white.
_COLOURS = ((0.0, "#b2182b"), (0.5, "#6b6b6b"), (1.0, "#1a7837"))
#: Pixels that a figure has for its cells, and those that a character takes.
_ACROSS, _CHARACTER = 560, 7.5
#: Rows of cells of which the figures still stand clear of each other.
_MOST_ROWS = 24
_INK = "#1a1c1e"


def heatmap(rows: Sequence[Row], x: str, y: str, value: str, parameters: Sequence[str]) -> Any:
    """The mean of a column by two others, with the figures in the cells where they fit."""
    go = needed("plotly.graph_objects", "report", "a figure of a sweep")
    heat = heat_of(rows, x, y, value, parameters)
    texts = [["" if one is None else formatted(value, one) for one in line] for line in heat.cells]
    trace = go.Heatmap(
        x=[label(step) for step in heat.across],
        y=[label(level) for level in heat.up],
        z=heat.cells,
        text=texts,
        texttemplate="%{text}" if _fits(texts) else None,
        customdata=heat.counts,
        zmid=middle(value),
        colorscale="RdYlGn",
        colorbar={"title": title(value)},
        hoverongaps=False,
        hovertemplate=f"{x} %{{x}}<br>{y} %{{y}}<br>{title(value)} %{{text}}<br>sets %{{customdata}}<extra></extra>",
    )
    axis = {"type": "category"}
    return go.Figure(trace).update_layout(
        title={"text": f"{title(value)} by {x} and {y}<br><sup>{heat.told}</sup>"},
        xaxis={"title": x, **axis},
        yaxis={"title": y, **axis},
        template="plotly_white",
    )


def _fits(texts: Sequence[Sequence[str]]) -> bool:
    longest = max((len(text) for line in texts for text in line), default=0)
    return len(texts) <= _MOST_ROWS and longest * _CHARACTER * len(texts[0]) <= _ACROSS


def parallel_coordinates(rows: Sequence[Row], parameters: Sequence[str], value: str) -> Any:
    """One line per row, through the parameters to a value."""
    go = needed("plotly.graph_objects", "report", "a figure of a sweep")
    rows = [row for row in rows if row[value] is not None]
    dimensions = [_dimension(rows, name) for name in parameters]
    values = [row[value] for row in rows]
    dimensions.append({"label": title(value), "values": values})
    line = {
        "color": values,
        "colorscale": _COLOURS if middle(value) is not None else "Viridis",
        "cmid": middle(value),
        "reversescale": middle(value) is None,
        "showscale": True,
        "colorbar": {"title": title(value)},
    }
    font = {"color": _INK, "size": 13}
    trace = go.Parcoords(
        dimensions=dimensions,
        line=line,
        labelfont=font,
        tickfont={"color": _INK, "size": 12},
        rangefont={"color": _INK, "size": 11},
        unselected={"line": {"color": "#c8c8c8", "opacity": 0.25}},
    )
    return go.Figure(trace).update_layout(
        title={"text": f"{title(value)} of {len(rows):,} parameter sets"},
        template="plotly_white",
        paper_bgcolor="white",
        font={"color": _INK},
        margin={"t": 110, "l": 70, "r": 70},
    )


def _dimension(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    values = [row[name] for row in rows]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return {"label": name, "values": values}
    levels = steps(rows, name)
    places = [levels.index(value) for value in values]
    return {"label": name, "values": places, "tickvals": list(range(len(levels))), "ticktext": list(map(label, levels))}

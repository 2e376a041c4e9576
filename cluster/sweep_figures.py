"""Figures of a sweep, by plotly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..strategies.errors import RunError

Row = dict[str, Any]


def _graph_objects() -> Any:
    try:
        import plotly.graph_objects as graph_objects
    except ImportError:
        raise RunError("figures need plotly: pip install 'headrace[report]' (or 'headrace[notebook]')") from None
    return graph_objects


def heatmap(rows: Sequence[Row], x: str, y: str, value: str) -> Any:
    """The mean of a column by two others."""
    go = _graph_objects()
    across, up = _steps(rows, x), _steps(rows, y)
    found: dict[tuple[Any, Any], list[float]] = {}
    for row in rows:
        if row[value] is not None:
            found.setdefault((row[x], row[y]), []).append(row[value])
    cells = [[_mean(found.get((step, level))) for step in across] for level in up]
    figure = go.Figure(
        go.Heatmap(
            x=[_label(step) for step in across],
            y=[_label(level) for level in up],
            z=cells,
            zmid=_middle(value),
            colorscale="RdYlGn",
            colorbar={"title": _title(value)},
            hovertemplate=f"{x} %{{x}}<br>{y} %{{y}}<br>{_title(value)} %{{z}}<extra></extra>",
        )
    )
    axis = {"type": "category"}
    return figure.update_layout(
        title=f"{_title(value)} by {x} and {y}", xaxis={"title": x, **axis}, yaxis={"title": y, **axis}
    )


def parallel_coordinates(rows: Sequence[Row], parameters: Sequence[str], value: str) -> Any:
    """A line a row through the parameters to a value."""
    go = _graph_objects()
    rows = [row for row in rows if row[value] is not None]
    dimensions = [_dimension(rows, name) for name in parameters]
    values = [row[value] for row in rows]
    dimensions.append({"label": _title(value), "values": values})
    line = {"color": values, "colorscale": "RdYlGn", "cmid": _middle(value), "showscale": True}
    return go.Figure(go.Parcoords(dimensions=dimensions, line=line)).update_layout(
        title=f"{_title(value)} of {len(rows)} parameter sets"
    )


def _dimension(rows: Sequence[Row], name: str) -> dict[str, Any]:
    values = [row[name] for row in rows]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return {"label": name, "values": values}
    steps = _steps(rows, name)
    places = [steps.index(value) for value in values]
    return {"label": name, "values": places, "tickvals": list(range(len(steps))), "ticktext": list(map(_label, steps))}


def _steps(rows: Sequence[Row], name: str) -> list[Any]:
    """The values of a column, each once, in order where they have one."""
    values = list(dict.fromkeys(row[name] for row in rows))
    try:
        return sorted(values)
    except TypeError:
        return values


def _middle(value: str) -> float | None:
    """Where the scale turns from red to green: a loss is never green."""
    return 0.0 if "profit" in value or value == "return_on_matched" else None


def _label(step: Any) -> str:
    return str(int(step)) if isinstance(step, float) and step.is_integer() else str(step)


def _mean(values: list[float] | None) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _title(name: str) -> str:
    return name.replace("_", " ")

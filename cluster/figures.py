"""Figures of a result, by plotly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .charts import moment
from .curves import Curves, Step, curves, farthest, thinned
from .result import needed

if TYPE_CHECKING:
    from .result import Result

#: Points and strategies of a figure: with texts for hovering it stays under 500 kB.
MOST_POINTS = 3000
MOST_STRATEGIES = 30
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b38600", "#56b4e9", "#000000")


def profit_figure(result: Result) -> Any:
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


def _title(result: Result, names: list[str], found: Curves) -> str:
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

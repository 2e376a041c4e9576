"""Values of result tables as people read them, on the terminal and in notebooks."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from ..measures import BANDED

#: Columns of money, in the account's currency: two decimals.
_MONEY = frozenset(
    (
        "matched",
        "profit",
        "commission",
        "net_profit",
        "transaction_charge",
        "expectancy",
        "standard_error",
        "expectancy_low",
        "expectancy_high",
        "max_drawdown",
        "mean_exposure",
        "in_sample_net_profit",
        "out_of_sample_net_profit",
        *(f"{name}_{end}" for name in BANDED for end in ("low", "high")),
    )
)
#: Columns of ratios: two decimals.
_RATIOS = frozenset(("profit_factor",))
#: Columns of shares, 0 to 1: shown in per cent.
_SHARES = frozenset(("return_on_matched", "strike_rate"))

#: Columns that are left to the summary and to the table of a sweep: they hardly help to choose.
UNSHOWN = (
    "markets",
    "traded_markets",
    "matched_orders",
    "profit",
    "commission",
    "winning_markets",
    "max_drawdown_markets",
    "transactions",
)

#: Columns whose names are too long to stand over figures.
_HEADINGS = {
    "return_on_matched": "return",
    "expectancy_low": "95 % from",
    "expectancy_high": "95 % to",
    "max_drawdown": "drawdown",
    "max_drawdown_markets": "drawdown in markets",
    "in_sample_net_profit": "in sample",
    "out_of_sample_net_profit": "out of sample",
}


def heading(name: str) -> str:
    """What stands above a column."""
    return _HEADINGS.get(name, name.replace("_", " "))


def formatted(name: str, value: Any) -> str:
    """A value of a column: money to the penny, shares in per cent, other numbers to six digits; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if name in _SHARES:
        return f"{value:.2%}"
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if name in _RATIOS:
        return f"{value:,.2f}"
    if name in _MONEY:
        return f"{round(value, 2) + 0.0:,.2f}"  # + 0.0: no minus before zero
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def with_bands(row: Mapping[str, Any], keep: Collection[str] = ()) -> dict[str, Any]:
    """A row of measures in which a figure has its band beside it: "12.30 (8.10 to 15.00)".

    Args:
        keep: ends of bands that keep a column of their own.
    """
    found = dict(row)
    for name in BANDED:
        low, high = (found.get(f"{name}_{end}") for end in ("low", "high"))
        for end in (f"{name}_low", f"{name}_high"):
            if end not in keep:
                found.pop(end, None)
        if low is not None:
            found[name] = f"{formatted(name, row[name])} ({formatted(name, low)} to {formatted(name, high)})"
    return found


def readable_size(size: float) -> str:
    """A number of bytes as people read it."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"

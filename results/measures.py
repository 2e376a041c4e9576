"""What strategies and parameter sets are compared by, from the rows that a run keeps of each market.

Markets count in the order of their scheduled starts. A market is *traded* where something of an order was matched.
Money is in the account's currency; net profit is after commission.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from operator import mul
from typing import Any

#: Columns of `markets` that measures are made of, beside those that order them.
NEEDED = (
    "orders",
    "matched_orders",
    "won_orders",
    "matched",
    "exposure",
    "profit",
    "commission",
    "transactions",
    "unsettled",
    "pessimistic_profit",
    "pessimistic_commission",
    "pessimistic_matched",
    "optimistic_profit",
    "optimistic_commission",
    "optimistic_matched",
)
#: Measures that have a band, in runs with one: the least and the most of three queues stand in columns of their own.
BANDED = ("matched", "profit", "net_profit")
#: Names of the measures and their kinds, as in `FIELDS`.
MEASURES = (
    ("markets", "whole"),
    ("traded_markets", "whole"),
    ("orders", "whole"),
    ("matched_orders", "whole"),
    ("matched", "number"),
    ("profit", "number"),
    ("commission", "number"),
    ("net_profit", "number"),
    ("return_on_matched", "number"),
    ("strike_rate", "number"),
    ("winning_markets", "whole"),
    ("profit_factor", "number"),
    ("expectancy", "number"),
    ("standard_error", "number"),
    ("expectancy_low", "number"),
    ("expectancy_high", "number"),
    ("max_drawdown", "number"),
    ("max_drawdown_markets", "whole"),
    ("longest_losing_run", "whole"),
    ("mean_exposure", "number"),
    ("transactions", "whole"),
    ("unsettled", "whole"),
    *((f"{name}_{end}", "number") for name in BANDED for end in ("low", "high")),
)
#: Measures of which less is better.
LEAST = (
    "commission",
    "standard_error",
    "max_drawdown",
    "max_drawdown_markets",
    "longest_losing_run",
    "mean_exposure",
    "unsettled",
)

#: Resamplings of the bootstrap, and what lies outside its interval on either side.
_RESAMPLINGS, _TAIL = 1000, 0.025
#: Groups that markets are drawn in: neighbours share one where there are more markets.
_GROUPS = 100


def measures(columns: Mapping[str, Sequence[Any]], places: Sequence[int], bootstrap: Bootstrap) -> dict[str, Any]:
    """The measures of some markets of one strategy or set.

    Args:
        columns: by the names of `NEEDED`.
        places: which rows, in the order of the markets' starts.
    """

    def total(name: str) -> Any:
        column = columns[name]
        return sum(column[place] for place in places)

    profits, commissions, matched = columns["profit"], columns["commission"], columns["matched"]
    net = [round((profits[place] or 0.0) - commissions[place], 2) for place in places]
    traded = [profit for place, profit in zip(places, net, strict=True) if matched[place] > 0]
    stake, matched_orders, net_profit = round(total("matched"), 2), total("matched_orders"), round(sum(net), 2)
    low, high = bootstrap.interval(traded)
    profit = round(sum(profits[place] or 0.0 for place in places), 2)
    return {
        "markets": len(net),
        "traded_markets": len(traded),
        "orders": total("orders"),
        "matched_orders": matched_orders,
        "matched": stake,
        "profit": profit,
        "commission": round(total("commission"), 2),
        "net_profit": net_profit,
        "return_on_matched": net_profit / stake if stake else None,
        "strike_rate": total("won_orders") / matched_orders if matched_orders else None,
        "winning_markets": sum(profit > 0 for profit in net),
        "profit_factor": profit_factor(net),
        "expectancy": sum(traded) / len(traded) if traded else None,
        "standard_error": standard_error(traded),
        "expectancy_low": low,
        "expectancy_high": high,
        "max_drawdown": max_drawdown(net),
        "max_drawdown_markets": longest_below_high(traded),
        "longest_losing_run": longest_losing_run(traded),
        "mean_exposure": total("exposure") / len(traded) if traded else None,
        "transactions": total("transactions"),
        "unsettled": sum(columns["unsettled"][place] or 0 for place in places),
        **_bands(columns, places, (stake, profit, net_profit)),
    }


def _bands(
    columns: Mapping[str, Sequence[Any]], places: Sequence[int], own: tuple[float, float, float]
) -> dict[str, float | None]:
    """The least and the most of what each of three queues came to in all markets together; None without a band.

    Args:
        own: of the run's own queue, in the order of `BANDED`.
    """
    found = [own]
    for queue in ("pessimistic", "optimistic"):
        there = columns[f"{queue}_profit"]
        if all(there[place] is None for place in places):
            return {f"{name}_{end}": None for name in BANDED for end in ("low", "high")}
        matched = profit = net = 0.0
        for place in places:
            # Of a market that the copy did not come to, the run's own figures count.
            whose = "" if there[place] is None else f"{queue}_"
            got, paid = columns[f"{whose}profit"][place] or 0.0, columns[f"{whose}commission"][place]
            matched += columns[f"{whose}matched"][place]
            profit += got
            net += round(got - paid, 2)
        found.append((round(matched, 2), round(profit, 2), round(net, 2)))
    return {
        f"{name}_{end}": choose(each[at] for each in found)
        for at, name in enumerate(BANDED)
        for end, choose in (("low", min), ("high", max))
    }


def profit_factor(profits: Sequence[float]) -> float | None:
    """All gains divided by all losses; infinite where nothing was lost, None where nothing was won either."""
    gains = sum(profit for profit in profits if profit > 0)
    losses = -sum(profit for profit in profits if profit < 0)
    if losses:
        return gains / losses
    return math.inf if gains else None


def max_drawdown(profits: Sequence[float]) -> float:
    """The greatest fall of their running sum from a high, the start included: 0 or more."""
    total = high = fall = 0.0
    for profit in profits:
        total += profit
        high = max(high, total)
        fall = max(fall, high - total)
    return round(fall, 2)


def longest_below_high(profits: Sequence[float]) -> int:
    """The most of them in a row after which their running sum was below an earlier high, the start included."""
    total = high = 0.0
    longest = current = 0
    for profit in profits:
        total = round(total + profit, 2)
        high = max(high, total)
        current = current + 1 if total < high else 0
        longest = max(longest, current)
    return longest


def longest_losing_run(profits: Sequence[float]) -> int:
    """The most losses in a row."""
    return max(
        (len(list(run)) for lost, run in itertools.groupby(profits, lambda profit: profit < 0) if lost), default=0
    )


def standard_error(profits: Sequence[float]) -> float | None:
    """The standard error of their mean; None of fewer than two."""
    count = len(profits)
    if count < 2:
        return None
    mean = sum(profits) / count
    return math.sqrt(sum((profit - mean) ** 2 for profit in profits) / (count - 1) / count)


class Bootstrap:
    """Intervals of means: the middle 95 % of the means of 1000 samples drawn with replacement.

    Drawn with a fixed seed, and alike for equal numbers of values, so that equal inputs give equal intervals and sets
    of a sweep differ by what they did alone. More than 100 values are drawn in 100 groups of neighbours.
    """

    def __init__(self) -> None:
        self._drawn: dict[int, list[list[int]]] = {}

    def interval(self, values: Sequence[float]) -> tuple[float | None, float | None]:
        """The interval of their mean; None, None of fewer than two."""
        count = len(values)
        if count < 2:
            return None, None
        groups = min(count, _GROUPS)
        bounds = [count * number // groups for number in range(groups + 1)]
        sums = [sum(values[begin:end]) for begin, end in itertools.pairwise(bounds)]
        sizes = [end - begin for begin, end in itertools.pairwise(bounds)]
        equal = None if count % groups else count
        means = sorted(
            sum(map(mul, times, sums)) / (equal or sum(map(mul, times, sizes))) for times in self._times(groups)
        )
        outside = int(_RESAMPLINGS * _TAIL)
        return means[outside], means[-outside - 1]

    def _times(self, groups: int) -> list[list[int]]:
        """How often each sample has each group."""
        drawn = self._drawn.get(groups)
        if drawn is None:
            chance = random.Random(groups)
            drawn = self._drawn[groups] = []
            for _ in range(_RESAMPLINGS):
                times = [0] * groups
                for group in chance.choices(range(groups), k=groups):
                    times[group] += 1
                drawn.append(times)
        return drawn

"""What strategies and sets are compared by: figures over markets, in the order of their starts."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from builders import Stream, back, lay, replay
from headrace.results import measures
from headrace.results.measures import Bootstrap
from headrace.simulate.peak_exposure import peak_exposure
from headrace.simulate.rows import BAND


def rows(profits: list[float], matched: float = 2.0, commission: float = 0.0) -> dict[str, list[Any]]:
    count = len(profits)
    return {
        "orders": [2] * count,
        "matched_orders": [1] * count,
        "won_orders": [int(profit > 0) for profit in profits],
        "matched": [matched] * count,
        "exposure": [2.0] * count,
        "profit": list(profits),
        "commission": [commission] * count,
        "transactions": [1] * count,
        "unsettled": [0] * count,
        **{name: [None] * count for name, _ in BAND},
    }


def measured(columns: dict[str, list[Any]]) -> dict[str, Any]:
    return measures.measures(columns, range(len(columns["orders"])), Bootstrap())


def test_figures_of_a_row_of_markets() -> None:
    found = measured(rows([4.0, -2.0, -2.0, 6.0]))
    assert (found["markets"], found["orders"], found["matched_orders"], found["winning_markets"]) == (4, 8, 4, 2)
    assert (found["net_profit"], found["matched"], found["return_on_matched"]) == (6.0, 8.0, 0.75)
    assert (found["strike_rate"], found["profit_factor"], found["expectancy"]) == (0.5, 2.5, 1.5)
    assert found["standard_error"] == pytest.approx(math.sqrt(17) / 2)
    assert (found["max_drawdown"], found["max_drawdown_markets"], found["longest_losing_run"]) == (4.0, 2, 2)
    assert found["mean_exposure"] == 2.0


def test_commission_counts_in_every_figure_of_money() -> None:
    found = measured(rows([4.0, -2.0], commission=0.5))
    assert (found["profit"], found["net_profit"], found["expectancy"]) == (2.0, 1.0, 0.5)
    assert found["profit_factor"] == pytest.approx(3.5 / 2.5)


def test_markets_in_which_nothing_matched_count_as_markets_alone() -> None:
    columns = {name: a + b for (name, a), b in zip(rows([3.0]).items(), rows([0.0], matched=0.0).values(), strict=True)}
    found = measured(columns)
    assert (found["markets"], found["traded_markets"], found["expectancy"]) == (2, 1, 3.0)
    assert found["standard_error"] is None
    assert (found["expectancy_low"], found["expectancy_high"]) == (None, None)


def test_nothing_at_all_gives_no_ratios() -> None:
    found = measured(rows([]))
    assert (found["markets"], found["net_profit"], found["max_drawdown"], found["longest_losing_run"]) == (0, 0, 0, 0)
    for name in ("return_on_matched", "strike_rate", "profit_factor", "expectancy", "mean_exposure"):
        assert found[name] is None, name


@pytest.mark.parametrize(
    ("profits", "money", "markets"),
    [
        ([2.0, -3.0, 1.0, -4.0, 10.0], 6.0, 3),
        ([-1.0, -2.0], 3.0, 2),
        ([1.0, 1.0], 0.0, 0),
        ([], 0.0, 0),
        # Back at the high by amounts that binary fractions do not add up to.
        ([0.3, -0.1, -0.2, 0.3, 1.0], 0.3, 2),
    ],
)
def test_drawdown_in_money_and_in_markets(profits: list[float], money: float, markets: int) -> None:
    assert measures.max_drawdown(profits) == money
    assert measures.longest_below_high(profits) == markets


def test_profit_factor_without_losses_is_infinite_and_without_anything_none() -> None:
    assert measures.profit_factor([1.0, 2.0]) == math.inf
    assert measures.profit_factor([0.0]) is None
    assert measures.profit_factor([-1.0]) == 0.0


def test_longest_losing_run_is_broken_by_a_market_without_a_loss() -> None:
    assert measures.longest_losing_run([-1.0, -1.0, 0.0, -1.0, 2.0]) == 2


def test_standard_error_of_two_values_is_half_their_distance() -> None:
    assert measures.standard_error([1.0, 3.0]) == pytest.approx(1.0)
    assert measures.standard_error([1.0]) is None


@pytest.mark.parametrize("count", [30, 100, 101, 1234])
def test_bootstrap_interval_is_about_two_standard_errors_either_side(count: int) -> None:
    chance = random.Random(count)
    profits = [chance.gauss(0.5, 4.0) for _ in range(count)]
    low, high = Bootstrap().interval(profits)
    mean, error = sum(profits) / count, measures.standard_error(profits)
    assert low < mean < high
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.3)


def test_bootstrap_interval_is_the_same_every_time() -> None:
    profits = [1.0, -2.0, 3.0, 0.5]
    assert Bootstrap().interval(profits) == Bootstrap().interval(profits)
    assert Bootstrap().interval([2.0, 2.0]) == (2.0, 2.0)


def book_of_three(**definition: Any) -> Stream:
    """Three runners at 3.0 to back and 3.1 to lay, with all the money one can want."""
    runners = {number: {"status": "ACTIVE"} for number in (1, 2, 3)}
    ladders = {number: {"atb": [[3.0, 1000]], "atl": [[3.1, 1000]]} for number in runners}
    market = Stream(runners=runners, **definition).prices(100, ladders)
    for at in (400, 800, 1200):
        market.touch(at)
    return market.close(9000, winner=1)


@pytest.mark.parametrize(
    ("requests", "definition", "exposure"),
    [
        ({100: [back("a", 3.0, 2.0)]}, {}, 2.0),
        ({100: [lay("a", 3.1, 2.0)]}, {}, 4.2),
        # A third runner may win: both stakes are lost.
        ({100: [back("a", 3.0, 2.0), back("b", 3.0, 2.0, 2)]}, {}, 4.0),
        # One of three runners wins at most: of two lays one is lost.
        ({100: [lay("a", 3.1, 2.0), lay("b", 3.1, 2.0, 2)]}, {}, 2.2),
        ({100: [lay("a", 3.1, 2.0), lay("b", 3.1, 2.0, 2)]}, {"numberOfWinners": 2}, 8.4),
        # The lay closes most of the back later; what counts is the worst moment.
        ({100: [back("a", 3.0, 2.0)], 400: [lay("b", 3.1, 2.0)]}, {}, 2.0),
        ({100: [back("a", 3.0, 2.0)]}, {"marketType": "EACH_WAY", "eachWayDivisor": 4.0}, 4.0),
        ({}, {}, 0.0),
    ],
)
def test_exposure_of_a_market_is_its_worst_moment(
    requests: dict[int, list[Any]], definition: dict[str, Any], exposure: float
) -> None:
    played = replay(book_of_three(**definition), requests)
    assert peak_exposure(list(played.market.blotter), played.market.market_book) == exposure

"""Price ladders: which prices there are, the nearest one, ticks, and averages."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace as hr
from headrace.strategies.prices import BETDAQ_CUTOFFS, is_classic_price, is_finest_price

prices = st.floats(1.0, 1100.0)
classic = st.sampled_from(hr.PRICES)


@pytest.mark.parametrize(
    ("ladder", "count", "first", "last"),
    [
        (hr.PRICES, 350, 1.01, 1000.0),
        (hr.FINEST_PRICES, 99_900, 1.01, 1000.0),
        (hr.BETDAQ_PRICES, 565, 1.01, 1000.0),
    ],
    ids=["classic", "finest", "betdaq"],
)
def test_ladder_is_the_exchanges(ladder: tuple[float, ...], count: int, first: float, last: float) -> None:
    assert (len(ladder), ladder[0], ladder[-1]) == (count, first, last)
    assert all(low < high for low, high in itertools.pairwise(ladder))


@pytest.mark.parametrize(
    ("low", "high", "step"),
    [(1.01, 2, 0.01), (2, 3, 0.02), (3, 4, 0.05), (4, 6, 0.1), (6, 10, 0.2), (10, 20, 0.5), (20, 30, 1), (30, 50, 2),
     (50, 100, 5), (100, 1000, 10)],
)  # fmt: skip
def test_classic_ladder_climbs_by_the_step_of_its_band(low: float, high: float, step: float) -> None:
    band = [price for price in hr.PRICES if low <= price <= high]
    assert all(round(b - a, 2) == step for a, b in itertools.pairwise(band))


@pytest.mark.parametrize(
    ("price", "nearest"),
    [
        (0.5, 1.01), (1.01, 1.01), (1.014, 1.01), (1.015, 1.02), (2.01, 2.02), (2.009, 2.0), (5.05, 5.1), (3.02, 3.0),
        (3.025, 3.05), (999.9, 1000.0), (1000.0, 1000.0), (5000.0, 1000.0), (9.9, 10.0), (9.89, 9.8), (101.0, 100.0),
    ],
)  # fmt: skip
def test_nearest_price(price: float, nearest: float) -> None:
    assert hr.get_nearest_price(price) == nearest


@given(price=prices)
def test_nearest_price_stands_on_the_ladder_and_no_other_is_nearer(price: float) -> None:
    nearest = hr.get_nearest_price(price)
    assert nearest in hr.PRICES
    assert abs(nearest - price) <= min(abs(each - price) for each in hr.PRICES) + 1e-9


@given(price=prices)
def test_nearest_betdaq_price_stands_on_its_ladder(price: float) -> None:
    assert hr.get_nearest_price(price, BETDAQ_CUTOFFS) in hr.BETDAQ_PRICES


@given(price=classic)
def test_price_on_the_ladder_is_its_own_nearest(price: float) -> None:
    assert hr.get_nearest_price(price) == price
    assert is_classic_price(price)
    assert is_finest_price(price)


@given(price=st.decimals(Decimal("1.00"), Decimal("1000.10"), places=3))
def test_finest_price_is_any_hundredth(price: Decimal) -> None:
    hundredth = price == price.quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert is_finest_price(float(price)) == (hundredth and Decimal("1.01") <= price <= 1000)


@given(price=classic, up=st.integers(0, 400), down=st.integers(0, 400))
def test_ticks_away_are_positions_on_the_ladder(price: float, up: int, down: int) -> None:
    at = hr.PRICES.index(price)
    assert hr.price_ticks_away(price, up) == hr.PRICES[min(at + up, 349)]
    assert hr.price_ticks_away(price, -down) == hr.PRICES[max(at - down, 0)]


def test_ticks_on_another_ladder() -> None:
    assert hr.price_ticks_away(2.0, 1, hr.FINEST_PRICES) == 2.01
    assert hr.price_ticks_away(5.0, 1, (1.0, 5.0, 7.0)) == 7.0


@pytest.mark.parametrize("price", [2.01, 0.0, 1001.0])
def test_ticks_from_beside_the_ladder_are_an_error_that_says_what_to_do(price: float) -> None:
    with pytest.raises(ValueError, match="get_nearest_price"):
        hr.price_ticks_away(price, 1)


@pytest.mark.parametrize(
    ("low", "high", "interval", "lines"),
    [
        (0.5, 2.5, 1.0, (0.5, 1.5, 2.5)),
        (0, 0.3, 0.1, (0.0, 0.1, 0.2, 0.3)),
        (1, 2, 0.4, (1.0, 1.4, 1.8)),
        (3, 3, 1, (3.0,)),
        (3, 2, 1, ()),
    ],
)
def test_lines_of_a_range(low: float, high: float, interval: float, lines: tuple[float, ...]) -> None:
    assert hr.make_line_prices(low, high, interval) == lines


@pytest.mark.parametrize("interval", [0, -1, math.nan, math.inf])
def test_line_interval_must_be_above_zero(interval: float) -> None:
    with pytest.raises(ValueError, match=f"^line interval {interval}: expected a number above zero$"):
        hr.make_line_prices(0, 1, interval)


@pytest.mark.parametrize(("low", "high"), [(math.nan, 1), (0, math.nan), (0, math.inf), (-math.inf, 0)])
def test_ends_of_lines_must_be_finite(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=f"^lines from {low} to {high}: expected finite numbers$"):
        hr.make_line_prices(low, high, 0.5)


def test_what_is_not_a_number_has_no_nearest_price() -> None:
    """It is not below any price: the ladder's end, 1000, would be the answer."""
    with pytest.raises(ValueError, match=r"^price nan: expected a number$"):
        hr.get_nearest_price(math.nan)
    assert hr.get_nearest_price(math.inf) == 1000.0
    assert hr.get_nearest_price(-3.0) == 1.01


@pytest.mark.parametrize("bet", [(2.0, -5.0), (2.0, math.nan), (2.0, math.inf), (math.nan, 5.0), (math.inf, 5.0)])
@pytest.mark.parametrize("exposure", [hr.calculate_matched_exposure, hr.calculate_unmatched_exposure])
def test_exposure_of_what_is_no_bet_is_refused(
    exposure: Callable[[list[Any], list[Any]], tuple[float, float]], bet: tuple[float, float]
) -> None:
    good = (3.0, 10.0)
    for backs, lays in ([good, bet], [good]), ([good], [good, bet]):
        with pytest.raises(ValueError, match=f"^bet of {bet[1]} at {bet[0]}: expected a size of 0 or more"):
            exposure(backs, lays)
    assert exposure([good], []) == ((20.0, -10.0) if exposure is hr.calculate_matched_exposure else (0.0, -10.0))


def test_average_of_fills_is_rounded_to_pence() -> None:
    assert hr.wap([(0, 3.0, 100.0), (0, 2.9, 33.33)]) == (133.33, 2.98)
    assert hr.wap([]) == (0.0, 0.0)


fills = st.lists(st.tuples(st.just(0), classic, st.floats(0.01, 1000).map(lambda size: round(size, 2))), min_size=1)


@given(fills=fills)
def test_average_lies_between_the_prices(fills: list[tuple[int, float, float]]) -> None:
    size, average = hr.wap(fills)
    assert size == pytest.approx(sum(matched for _, _, matched in fills), abs=0.0051)
    prices = [price for _, price, _ in fills]
    assert min(prices) - 0.0051 <= average <= max(prices) + 0.0051

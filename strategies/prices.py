"""Price ladders: which odds the exchange accepts, and how to move along them.

Source: Betfair's published price increments. Prices are decimal odds.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal

MIN_PRICE = 1.01
MAX_PRICE = 1000.0

#: (upper end of the band, step): the classic Betfair ladder, 350 prices.
CUTOFFS: tuple[tuple[float, float], ...] = (
    (2, 0.01),
    (3, 0.02),
    (4, 0.05),
    (6, 0.1),
    (10, 0.2),
    (20, 0.5),
    (30, 1),
    (50, 2),
    (100, 5),
    (1000, 10),
)

#: The BETDAQ ladder, 565 prices.
BETDAQ_CUTOFFS: tuple[tuple[float, float], ...] = (
    (3, 0.01),
    (4, 0.05),
    (10, 0.1),
    (20, 0.5),
    (50, 1),
    (200, 2),
    (1000, 5),
)


def as_dec(value: float) -> Decimal:
    """The decimal that a person reads in `value`, so that 0.1 is one tenth."""
    return Decimal(str(value))


def make_prices(cutoffs: Sequence[tuple[float, float]] = CUTOFFS, minimum: float = MIN_PRICE) -> tuple[Decimal, ...]:
    """Every price of a ladder described by its bands, ascending."""
    prices = []
    price = as_dec(minimum)
    for upper, step in cutoffs:
        while price < as_dec(upper):
            prices.append(price)
            price += as_dec(step)
    prices.append(as_dec(cutoffs[-1][0]))
    return tuple(prices)


#: The classic ladder as floats, ascending.
PRICES: tuple[float, ...] = tuple(float(price) for price in make_prices())
PRICES_FLOAT = PRICES
BETDAQ_PRICES: tuple[float, ...] = tuple(float(price) for price in make_prices(BETDAQ_CUTOFFS))
#: The finest ladder: every hundredth, 99 900 prices.
FINEST_PRICES: tuple[float, ...] = tuple(n / 100 for n in range(101, 100_001))

_POSITION = {price: position for position, price in enumerate(PRICES)}


def is_classic_price(price: float) -> bool:
    """Whether `price` stands on the classic ladder."""
    return price in _POSITION


def is_finest_price(price: float) -> bool:
    """Whether `price` is a hundredth from 1.01 to 1000."""
    return MIN_PRICE <= price <= MAX_PRICE and as_dec(price) * 100 % 1 == 0


@functools.lru_cache(maxsize=1024)
def make_line_prices(minimum: float, maximum: float, interval: float) -> tuple[float, ...]:
    """The prices (lines) of a LINE_RANGE market: `minimum`, then every `interval` up to `maximum`.

    Raises:
        ValueError: an end is not finite, or the interval is not above zero.
    """
    if not (math.isfinite(minimum) and math.isfinite(maximum)):
        raise ValueError(f"lines from {minimum} to {maximum}: expected finite numbers")
    if not 0 < interval < math.inf:
        raise ValueError(f"line interval {interval}: expected a number above zero")
    step = as_dec(interval)
    low, high = as_dec(minimum), as_dec(maximum)
    return tuple(float(low + step * n) for n in range(int((high - low) // step) + 1))


def get_nearest_price(price: float, cutoffs: Sequence[tuple[float, float]] = CUTOFFS) -> float:
    """The ladder's price nearest to `price`; half-way goes up; clamped to 1.01 and to the ladder's end.

    Raises:
        ValueError: `price` is not a number.
    """
    if price != price:
        raise ValueError(f"price {price}: expected a number")
    if price <= MIN_PRICE:
        return MIN_PRICE
    top = cutoffs[-1][0]
    if price > top:
        return float(top)
    for upper, step in cutoffs:
        if price < upper:
            unit = as_dec(step)
            return float((as_dec(price) / unit).quantize(Decimal(1), rounding=ROUND_HALF_UP) * unit)
    return float(top)


def price_ticks_away(price: float, n_ticks: int, prices: Sequence[float] | None = None) -> float:
    """The price `n_ticks` above (or, negative, below) `price` on a ladder, clamped to 1.01 and 1000.

    Raises:
        ValueError: `price` does not stand on the ladder.
    """
    if prices is None:
        position = _POSITION.get(price)
        prices = PRICES
    else:
        found = bisect.bisect_left(prices, price)
        position = found if found < len(prices) and prices[found] == price else None
    if position is None:
        raise ValueError(f"price {price} is not on the ladder; get_nearest_price({price}) gives one that is")
    moved = position + n_ticks
    if moved < 0:
        return MIN_PRICE
    return MAX_PRICE if moved >= len(prices) else prices[moved]


def wap(fills: Iterable[Sequence[float]]) -> tuple[float, float]:
    """Size matched and average price of fills `(time, price, size)`, both rounded to pence; (0, 0) for none."""
    value = total = 0.0
    for _, price, size in fills:
        value += price * size
        total += size
    if value == 0 or total == 0:
        return 0.0, 0.0
    return round(total, 2), round(value / total, 2)

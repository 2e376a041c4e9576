"""Exposures: what orders can win or lose. Money in the account's currency."""

from __future__ import annotations

import math
from collections.abc import Iterable

#: A price and a size.
Stake = tuple[float, float]


def calculate_matched_exposure(backs: Iterable[Stake], lays: Iterable[Stake]) -> tuple[float, float]:
    """Profit if the runner wins and if it loses, of matched `(price, size)` bets.

    Raises:
        ValueError: a price is not finite, or a size is not a finite number, 0 or more.
    """
    backs, lays = _checked(backs), _checked(lays)
    win = sum((price - 1) * size for price, size in backs) - sum((price - 1) * size for price, size in lays)
    lose = sum(size for _, size in lays) - sum(size for _, size in backs)
    return round(win, 2), round(lose, 2)


def calculate_unmatched_exposure(backs: Iterable[Stake], lays: Iterable[Stake]) -> tuple[float, float]:
    """Worst change of profit if the runner wins and if it loses, should `(price, size)` orders match.

    Raises:
        ValueError: a price is not finite, or a size is not a finite number, 0 or more.
    """
    backs, lays = _checked(backs), _checked(lays)
    win = -sum((price - 1) * size for price, size in lays)
    lose = -sum(size for _, size in backs)
    return round(win, 2), round(lose, 2)


def _checked(stakes: Iterable[Stake]) -> list[Stake]:
    """The bets, checked: a negative size would hide what the others can lose."""
    found = list(stakes)
    for price, size in found:
        if not (math.isfinite(price) and 0 <= size < math.inf):
            raise ValueError(f"bet of {size} at {price}: expected a size of 0 or more at a finite price")
    return found

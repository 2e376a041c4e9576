"""Exposures: what orders can win or lose. Money in the account's currency."""

from __future__ import annotations

from collections.abc import Iterable

#: A price and a size.
Stake = tuple[float, float]


def calculate_matched_exposure(backs: Iterable[Stake], lays: Iterable[Stake]) -> tuple[float, float]:
    """Profit if the runner wins and if it loses, of matched `(price, size)` bets."""
    backs, lays = list(backs), list(lays)
    win = sum((price - 1) * size for price, size in backs) - sum((price - 1) * size for price, size in lays)
    lose = sum(size for _, size in lays) - sum(size for _, size in backs)
    return round(win, 2), round(lose, 2)


def calculate_unmatched_exposure(backs: Iterable[Stake], lays: Iterable[Stake]) -> tuple[float, float]:
    """Worst change of profit if the runner wins and if it loses, should `(price, size)` orders match."""
    win = -sum((price - 1) * size for price, size in lays)
    lose = -sum(size for _, size in backs)
    return round(win, 2), round(lose, 2)

"""Betfair starting price bets on one runner, and the prices they imply.

Far price: the bets at starting price alone. Near price: the same, with the unmatched orders of the exchange.
Bets here are all at any price (market on close); pence throughout.
"""

from __future__ import annotations

import math

from ...strategies.prices import PRICES
from .order_book import OrderBook

MIN_PRICE, MAX_PRICE = PRICES[0], PRICES[-1]


class StartingPrice:
    """What backers (stake) and layers (liability) have committed at starting price."""

    __slots__ = ("changed", "far_shown", "liability", "near_shown", "price", "stake", "voided")

    def __init__(self) -> None:
        self.stake = 0
        self.liability = 0
        self.changed = False
        self.far_shown: float | None = None
        self.near_shown: float | None = None
        self.price: float | None = None
        self.voided = False

    def back(self, stake: int) -> None:
        """Back `stake` pence at starting price."""
        self.stake += stake
        self.changed = True

    def lay(self, liability: int) -> None:
        """Lay at starting price, risking `liability` pence."""
        self.liability += liability
        self.changed = True

    def void(self) -> None:
        """The runner does not run: its bets are void."""
        self.stake = self.liability = 0
        self.voided = self.changed = True

    def get_far_price(self) -> float:
        """Infinite without backers, and no number without bets: the stream publishes both as such."""
        if not self.stake:
            return math.inf if self.liability else math.nan
        return min(max(1 + self.liability / self.stake, MIN_PRICE), MAX_PRICE)

    def get_near_price(self, book: OrderBook) -> float:
        """The price at which the stakes wanted equal the stakes offered."""
        lay, back = book.lays.best, book.backs.best
        if not self.stake and not self.liability:
            if lay is None or back is None:
                return math.nan
            return (PRICES[lay] + PRICES[back]) / 2
        price = 1 + self.liability / self.stake if self.stake else math.inf
        if back is not None and price > PRICES[back]:
            price = self._climb(book)
        elif lay is not None and price < PRICES[lay]:
            price = self._descend(book)
        return min(max(price, MIN_PRICE), MAX_PRICE)

    def reconcile(self, book: OrderBook) -> float:
        """Fix the starting price and match the unmatched orders that it meets, each at its own price."""
        price = self.get_near_price(book)
        if math.isnan(price):
            price = PRICES[book.last] if book.last is not None else MAX_PRICE
        self.price = price
        # Offered and wanted stakes differ by what the exchange's orders have to supply.
        missing = int(self.liability / (price - 1)) - self.stake
        backs, lays = book.backs, book.lays
        if missing > 0 and backs.best is not None and PRICES[backs.best] <= price:
            book.lay(_get_tick_at_most(backs.sizes, price), missing, rests=False)
        elif missing < 0 and lays.best is not None and PRICES[lays.best] >= price:
            book.back(_get_tick_at_least(lays.sizes, price), -missing, rests=False)
        self.changed = True
        return price

    def _climb(self, book: OrderBook) -> float:
        wanted = self.stake
        price = math.inf
        for tick, size in sorted(book.backs.sizes.items()):
            if price <= PRICES[tick]:
                return price
            wanted += size
            price = 1 + self.liability / wanted
            if price <= PRICES[tick]:
                return PRICES[tick]
        return price

    def _descend(self, book: OrderBook) -> float:
        offered = 0
        price = 0.0
        for tick, size in sorted(book.lays.sizes.items(), reverse=True):
            if price >= PRICES[tick]:
                return price
            offered += size
            if self.stake <= offered:
                return PRICES[tick]
            price = 1 + self.liability / (self.stake - offered)
            if price >= PRICES[tick]:
                return PRICES[tick]
        return price


def _get_tick_at_most(sizes: dict[int, int], price: float) -> int:
    return max(tick for tick in sizes if PRICES[tick] <= price)


def _get_tick_at_least(sizes: dict[int, int], price: float) -> int:
    return min(tick for tick in sizes if PRICES[tick] >= price)

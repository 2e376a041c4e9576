"""Exposures: what orders can win or lose. Money in the account's currency."""

from __future__ import annotations

from collections.abc import Iterable

from .order import Order, OrderStatus
from .order_types import LimitOrder

#: A price and a size.
Stake = tuple[float, float]

_NO_EXPOSURE = (OrderStatus.PENDING, OrderStatus.VIOLATION, OrderStatus.EXPIRED)


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


class Exposure:
    """Sums over orders of one strategy on one runner."""

    __slots__ = ("matched_lose", "matched_win", "sp_lose", "sp_win", "unmatched_lose", "unmatched_win")

    def __init__(self) -> None:
        self.matched_win = self.matched_lose = 0.0
        self.unmatched_win = self.unmatched_lose = 0.0
        self.sp_win = self.sp_lose = 0.0

    def copy(self) -> Exposure:
        copied = Exposure()
        for name in self.__slots__:
            setattr(copied, name, getattr(self, name))
        return copied

    def add(self, order: Order, reserve_pending: bool, settled_sp: bool, new: bool = False) -> None:
        """Count an order.

        Args:
            reserve_pending: count orders whose placing is not answered yet as if they were unmatched.
            settled_sp: count a complete starting-price order by what it matched, not by its liability.
            new: the order is about to be placed: it counts whatever its status.
        """
        status = order.status
        if not new and status in _NO_EXPOSURE and not (status is OrderStatus.PENDING and reserve_pending):
            return
        back = order.side == "BACK"
        order_type = order.order_type
        if isinstance(order_type, LimitOrder):
            line = order_type.price_ladder_definition == "LINE_RANGE"
            if order.size_matched:
                self._match(back, 2.0 if line else order.average_price_matched, order.size_matched)
            if not order.complete:
                price, size = 2.0 if line else order_type.price, order.size_remaining
                if reserve_pending and not line:
                    # A replace was asked for: the dearer price counts until it is done.
                    price = max(price, order.update_data.get("new_price", price))
                if back:
                    self.unmatched_lose -= size
                else:
                    self.unmatched_win -= (price - 1) * size
        elif settled_sp and (order.complete or order.size_matched):
            self._match(back, order.average_price_matched, order.size_matched)
        elif back:
            self.sp_lose -= order_type.liability
        else:
            self.sp_win -= order_type.liability

    def _match(self, back: bool, price: float, size: float) -> None:
        if back:
            self.matched_win += (price - 1) * size
            self.matched_lose -= size
        else:
            self.matched_win -= (price - 1) * size
            self.matched_lose += size

    def as_dict(self) -> dict[str, float]:
        matched_win, matched_lose = round(self.matched_win, 2), round(self.matched_lose, 2)
        unmatched_win, unmatched_lose = round(self.unmatched_win, 2), round(self.unmatched_lose, 2)
        return {
            "matched_profit_if_win": matched_win,
            "matched_profit_if_lose": matched_lose,
            "worst_potential_unmatched_profit_if_win": unmatched_win,
            "worst_potential_unmatched_profit_if_lose": unmatched_lose,
            "worst_possible_profit_on_win": matched_win + unmatched_win + self.sp_win,
            "worst_possible_profit_on_lose": matched_lose + unmatched_lose + self.sp_lose,
        }

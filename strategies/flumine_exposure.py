"""Exposures as flumine 3.3.2 reckons them: sums over a strategy's orders on a runner, as they stand when asked for."""

from __future__ import annotations

from .exposure import Stake, calculate_matched_exposure, calculate_unmatched_exposure
from .order import Order, OrderStatus
from .order_types import LimitOrder

_UNCOUNTED = (OrderStatus.PENDING, OrderStatus.VIOLATION, OrderStatus.EXPIRED)
#: Bets of line markets pay evens.
_LINE_PRICE = 2.0


class FlumineExposure:
    """What orders can win or lose.

    Orders that wait for their answer count nothing, whatever else is known of them; a liability at the starting price
    counts for ever. Backs and lays are summed apart, in the order of their requests, so that halves of a penny are
    rounded as flumine rounds them.
    """

    __slots__ = ("_matched_backs", "_matched_lays", "_sp_lose", "_sp_win", "_unmatched_backs", "_unmatched_lays")

    def __init__(self) -> None:
        self._matched_backs: list[Stake] = []
        self._matched_lays: list[Stake] = []
        self._unmatched_backs: list[Stake] = []
        self._unmatched_lays: list[Stake] = []
        self._sp_win = self._sp_lose = 0.0

    def add(self, order: Order) -> None:
        """Count an order."""
        if order.status in _UNCOUNTED:
            return
        back = order.side == "BACK"
        order_type = order.order_type
        if not isinstance(order_type, LimitOrder):
            if back:
                self._sp_lose -= order_type.liability
            else:
                self._sp_win -= order_type.liability
            return
        line = order_type.price_ladder_definition == "LINE_RANGE"
        if order.size_matched:
            matched = self._matched_backs if back else self._matched_lays
            matched.append((_LINE_PRICE if line else order.average_price_matched, order.size_matched))
        if not order.complete and order.size_remaining:
            unmatched = self._unmatched_backs if back else self._unmatched_lays
            unmatched.append((_LINE_PRICE if line else order_type.price, order.size_remaining))

    def as_dict(self) -> dict[str, float]:
        matched_win, matched_lose = calculate_matched_exposure(self._matched_backs, self._matched_lays)
        unmatched_win, unmatched_lose = calculate_unmatched_exposure(self._unmatched_backs, self._unmatched_lays)
        return {
            "matched_profit_if_win": matched_win,
            "matched_profit_if_lose": matched_lose,
            "worst_potential_unmatched_profit_if_win": unmatched_win,
            "worst_potential_unmatched_profit_if_lose": unmatched_lose,
            "worst_possible_profit_on_win": matched_win + unmatched_win + self._sp_win,
            "worst_possible_profit_on_lose": matched_lose + unmatched_lose + self._sp_lose,
        }


class FlumineSelectionOrders:
    """A strategy's orders on one runner; those that have nothing to count, and never will, are passed over."""

    __slots__ = ("_counted", "orders")

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self._counted: list[Order] | None = []

    def add(self, order: Order) -> None:
        self.orders.append(order)
        if self._counted is not None:
            self._counted.append(order)

    def completed(self, order: Order) -> None:
        """An order came to its end: where it matched nothing, the next count leaves it out for good."""

    def stale(self) -> None:
        """An order that was complete is so no longer, or has other sizes."""
        self._counted = None

    def exposure(self, exclusion: Order | None = None, new_order: Order | None = None) -> FlumineExposure:
        """The sum over the orders that count, `new_order` with them; `exclusion` is left out, were it the new one."""
        counted = self._counted
        if counted is None:
            counted = self._counted = [order for order in self.orders if not _is_spent(order)]
        total, spent = FlumineExposure(), 0
        for order in counted:
            if order.complete and _is_spent(order):
                spent += 1
            elif order is not exclusion:
                total.add(order)
        if spent * 2 > len(counted):
            self._counted = [order for order in counted if not _is_spent(order)]
        if new_order is not None and new_order is not exclusion:
            total.add(new_order)
        return total


def _is_spent(order: Order) -> bool:
    """Whether an order is complete and counts nothing."""
    if not order.complete:
        return False
    return order.status in _UNCOUNTED or (order.is_limit and not order.size_matched)

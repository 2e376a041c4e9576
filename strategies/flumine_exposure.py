"""Exposures as flumine 3.3.2 reckons them: sums over a strategy's orders on a runner, as they stand when asked for.

What each order has matched keeps the place that the order has among the others. So a sum adds the same numbers in the
same order as flumine's does, and halves of a penny are rounded alike; yet only live orders are looked at again.
"""

from __future__ import annotations

from .order import Order, OrderStatus
from .order_types import LimitOrder

_UNCOUNTED = (OrderStatus.PENDING, OrderStatus.VIOLATION, OrderStatus.EXPIRED)
#: Bets of line markets pay evens.
_LINE_PRICE = 2.0
#: Up to so many empty places it is not worth counting anew.
_FEW = 32


class _Matched:
    """What the backs, or the lays, of a runner have matched: winnings and stakes by the orders' places."""

    __slots__ = ("stakes", "wins")

    def __init__(self) -> None:
        self.wins: list[float] = []
        self.stakes: list[float] = []

    def append(self, order: Order) -> None:
        self.wins.append(0.0)
        self.stakes.append(0.0)
        self.note(order, len(self.wins) - 1)

    def note(self, order: Order, at: int) -> bool:
        """Set what the order has matched, where it counts; whether it does."""
        size, price = order.size_matched, order.average_price_matched
        if not size or order.status in _UNCOUNTED:
            self.clear(at)
            return False
        if _is_line(order):
            price = _LINE_PRICE
        self.wins[at], self.stakes[at] = (price - 1) * size, size
        return True

    def clear(self, at: int) -> None:
        self.wins[at] = self.stakes[at] = 0.0

    def pop(self) -> None:
        self.wins.pop()
        self.stakes.pop()


class FlumineSelectionOrders:
    """A strategy's orders on one runner.

    Orders that wait for their answer count nothing, whatever else is known of them; those that a control refused leave
    the sums; a liability at the starting price counts for ever.
    """

    __slots__ = ("_at", "_backs", "_idle", "_lays", "_live", "_sp", "_stale", "orders")

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self._clear()

    def _clear(self) -> None:
        self._stale = False
        self._backs, self._lays = _Matched(), _Matched()
        self._at: dict[Order, int] = {}
        self._live: dict[Order, int] = {}
        self._sp: list[Order] = []
        self._idle = 0

    # -- keeping -------------------------------------------------------------------------------------------------

    def add(self, order: Order) -> None:
        self.orders.append(order)
        if not self._stale:
            self._enter(order)

    def completed(self, order: Order) -> None:
        """An order came to its end, or from one end to another."""
        at = None if self._stale else self._at.get(order)
        if at is not None:
            self._live.pop(order, None)
            self._idle += not self._matched(order).note(order, at)

    def stale(self) -> None:
        """An order that was complete is so no longer, or has other sizes: all are counted anew when next asked for."""
        self._stale = True

    def _count_anew(self) -> None:
        self._clear()
        for order in self.orders:
            if not (order.complete and order.is_limit and (not order.size_matched or order.status in _UNCOUNTED)):
                self._enter(order)

    def _enter(self, order: Order) -> None:
        if not order.is_limit:
            self._sp.append(order)
            return
        matched = self._matched(order)
        self._at[order] = len(matched.wins)
        if not order.complete:
            self._live[order] = len(matched.wins)
        matched.append(order)

    def _matched(self, order: Order) -> _Matched:
        return self._backs if order.side == "BACK" else self._lays

    # -- asking --------------------------------------------------------------------------------------------------

    def exposures(self, exclusion: Order | None = None, new_order: Order | None = None) -> dict[str, float]:
        """The sums by the blotter's six names, in the account's currency.

        Args:
            exclusion: an order to leave out, even where it is `new_order`.
            new_order: an order to count as well.
        """
        if self._stale or (self._idle > _FEW and self._idle * 2 > len(self._at)):
            self._count_anew()
        risks: list[float] = []
        stakes: list[float] = []
        for order, at in self._live.items():
            self._matched(order).note(order, at)
            if order.status is not OrderStatus.PENDING and order is not exclusion:
                _rest(order, risks, stakes)
        sp = self._sp
        if exclusion is None and new_order is None:
            return self._sums(risks, stakes, sp)
        if exclusion is not None and not exclusion.is_limit:
            sp = [order for order in sp if order is not exclusion]
        left_out = None if exclusion is None else self._at.get(exclusion)
        if exclusion is not None and left_out is not None:
            self._matched(exclusion).clear(left_out)
        new = None if new_order is exclusion else new_order
        if new is not None and not new.is_limit:
            sp = [*sp, new]
        elif new is not None:
            self._matched(new).append(new)
            if not new.complete and new.status not in _UNCOUNTED:
                _rest(new, risks, stakes)
        found = self._sums(risks, stakes, sp)
        if new is not None and new.is_limit:
            self._matched(new).pop()
        if exclusion is not None and left_out is not None:
            self._matched(exclusion).note(exclusion, left_out)
        return found

    def _sums(self, risks: list[float], stakes: list[float], sp: list[Order]) -> dict[str, float]:
        backs, lays = self._backs, self._lays
        matched_win = round(sum(backs.wins) - sum(lays.wins), 2)
        matched_lose = round(sum(lays.stakes) - sum(backs.stakes), 2)
        unmatched_win, unmatched_lose = round(-sum(risks), 2), round(-sum(stakes), 2)
        sp_win = sp_lose = 0.0
        for order in sp:
            order_type = order.order_type
            if order.status in _UNCOUNTED or isinstance(order_type, LimitOrder):
                continue
            if order.side == "BACK":
                sp_lose -= order_type.liability
            else:
                sp_win -= order_type.liability
        return {
            "matched_profit_if_win": matched_win,
            "matched_profit_if_lose": matched_lose,
            "worst_potential_unmatched_profit_if_win": unmatched_win,
            "worst_potential_unmatched_profit_if_lose": unmatched_lose,
            "worst_possible_profit_on_win": matched_win + unmatched_win + sp_win,
            "worst_possible_profit_on_lose": matched_lose + unmatched_lose + sp_lose,
        }


def _rest(order: Order, risks: list[float], stakes: list[float]) -> None:
    """Add what remains of a live order: the risk of a lay, the stake of a back."""
    size = order.size_remaining
    if order.side == "BACK":
        stakes.append(size)
    else:
        order_type = order.order_type
        assert isinstance(order_type, LimitOrder)
        risks.append(((_LINE_PRICE if _is_line(order) else order_type.price) - 1) * size)


def _is_line(order: Order) -> bool:
    return order.order_type.price_ladder_definition == "LINE_RANGE"

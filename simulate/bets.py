"""A bet at the simulated exchange: what of an order was matched, and its place in the queue."""

from __future__ import annotations

from typing import Any

from ..strategies.market import Market
from ..strategies.order import Order
from ..strategies.order_types import LimitOrder
from ..strategies.prices import wap

#: Decimals of an average price: finer than any price, coarser than what floats add to it.
_DECIMALS = 10


class SimulatedBet:
    """The exchange's side of one order. It alone changes the order's sizes.

    Attributes:
        fills: `[time in ms, price, size]`, in order.
        queue_ahead: size estimated to be ahead at the order's price.
        market_version: version of the market that the bet last saw; None before it is placed.
        bsp_reconciled: the bet went through, or past, the reconciliation of starting prices.
        size: what was asked for, in the account's currency.
        exact: averages are those of the fills; else they are rounded to pence after each, as the peer's are.
    """

    __slots__ = (
        "_finished",
        "_one_price",
        "_total",
        "_value",
        "bsp_reconciled",
        "exact",
        "fills",
        "market_version",
        "order",
        "queue_ahead",
        "size",
    )

    def __init__(self, order: Order, market: Market) -> None:
        self.order = order
        self.fills: list[list[float]] = []
        self.queue_ahead = 0.0
        self.market_version: int | None = None
        self.bsp_reconciled = False
        self.size = order.requested_size
        self._finished = market.blotter.finished
        self.exact = market.framework.host.rules.exact_average
        self._total = self._value = 0.0
        self._one_price: float | None = None

    # -- what happens to it --------------------------------------------------------------------------------------

    def fill(self, time_ms: float, price: float, size: float) -> None:
        self._one_price = price if not self.fills or price == self._one_price else None
        self.fills.append([time_ms, price, size])
        self._total += size
        self._value += price * size
        self._average()
        self.settle_sizes()

    def recount(self) -> None:
        """Fills were changed: sum them up again."""
        self._total = sum(size for _, _, size in self.fills)
        self._value = sum(price * size for _, price, size in self.fills)
        prices = {price for _, price, _ in self.fills}
        self._one_price = prices.pop() if len(prices) == 1 else None
        self._average()

    def _average(self) -> None:
        order = self.order
        if not self.exact:
            order.size_matched, order.average_price_matched = wap(self.fills)
        elif self._total:
            order.size_matched = round(self._total, 2)
            # Sums of floats carry a little noise: strategies compare averages with prices of the ladder.
            one = self._one_price
            order.average_price_matched = round(self._value / self._total, _DECIMALS) if one is None else one
        else:
            order.size_matched = order.average_price_matched = 0.0

    def cancel(self, size: float) -> None:
        self.order.size_cancelled += size
        self.settle_sizes()

    def lapse(self) -> None:
        """What remains lapses."""
        order = self.order
        order.size_lapsed += order.size_remaining
        self.settle_sizes()

    def void(self) -> None:
        """What remains is voided."""
        order = self.order
        order.size_voided += order.size_remaining
        self.settle_sizes()

    def settle_sizes(self) -> None:
        """What remains follows from the other sizes; starting-price orders have nothing remaining."""
        order = self.order
        if not order.is_limit:
            return
        remaining = self.size - order.size_matched - order.size_cancelled - order.size_lapsed - order.size_voided
        order.size_remaining = remaining = round(remaining, 2)
        if remaining == 0:
            self._finished.append(order)

    def reconciled(self) -> None:
        self.bsp_reconciled = True
        if self.takes_sp:
            self._finished.append(self.order)

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def takes_sp(self) -> bool:
        """Whether the bet goes to the starting price."""
        order_type = self.order.order_type
        return not isinstance(order_type, LimitOrder) or order_type.persistence_type == "MARKET_ON_CLOSE"

    @property
    def done(self) -> bool:
        """Whether nothing is left to happen to it."""
        order = self.order
        if not order.is_limit:
            return self.bsp_reconciled
        return order.size_remaining == 0

    @property
    def exact_matched(self) -> tuple[float, float]:
        """Size, and size times price, of all fills, unrounded."""
        return self._total, self._value

    @property
    def matched(self) -> list[list[float]]:
        return self.fills

    @property
    def piq(self) -> float:
        """flumine's name for `queue_ahead`: position in queue."""
        return self.queue_ahead

    @property
    def size_matched(self) -> float:
        return self.order.size_matched

    @property
    def average_price_matched(self) -> float:
        return self.order.average_price_matched

    @property
    def size_remaining(self) -> float:
        return self.order.size_remaining

    @property
    def profit(self) -> float:
        return self.order.profit

    @property
    def info(self) -> dict[str, Any]:
        return {"profit": self.profit, "piq": self.queue_ahead, "matched": self.fills}

    def __repr__(self) -> str:
        return f"<SimulatedBet of {self.order!r}: {self.order.size_matched} at {self.order.average_price_matched}>"

"""A simulated bet as flumine's strategies know it: `order.simulated`."""

from __future__ import annotations

from typing import Any, Protocol

from .messages import Fill


class MatchedOrder(Protocol):
    """An order, as far as a simulated bet is read from it."""

    fills: tuple[Fill, ...]
    profit: float
    size_matched: float
    average_price_matched: float
    size_remaining: float
    size_cancelled: float
    size_lapsed: float
    size_voided: float

    @property
    def requested_size(self) -> float: ...

    @property
    def queue_ahead(self) -> float | None: ...


class SimulatedOrder:
    """A simulated bet as flumine's strategies know it: `order.simulated`.

    Attributes:
        order: whose bet it is.
    """

    __slots__ = ("order",)

    def __init__(self, order: MatchedOrder) -> None:
        self.order = order

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Time in milliseconds, price and size of each fill, in order."""
        return self.order.fills

    @property
    def matched(self) -> list[list[float]]:
        """The same as lists, by flumine's name."""
        return [list(fill) for fill in self.order.fills]

    @property
    def queue_ahead(self) -> float:
        """Size estimated to be ahead at the order's price; 0.0 where nobody can tell."""
        return self.order.queue_ahead or 0.0

    @property
    def piq(self) -> float:
        """flumine's name for `queue_ahead`: position in queue."""
        return self.queue_ahead

    @property
    def size(self) -> float:
        """What was asked for."""
        return self.order.requested_size

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
    def size_cancelled(self) -> float:
        return self.order.size_cancelled

    @property
    def size_lapsed(self) -> float:
        return self.order.size_lapsed

    @property
    def size_voided(self) -> float:
        return self.order.size_voided

    @property
    def profit(self) -> float:
        return self.order.profit

    @property
    def info(self) -> dict[str, Any]:
        return {"profit": self.profit, "piq": self.queue_ahead, "matched": self.matched}

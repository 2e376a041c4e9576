"""What the clients of `python -m benchmarks.latency` do, for any framework that has flumine's vocabulary.

An order's size carries the number of the change that asked for it: 2.00 and a hundredth for each.
"""

import time
from typing import Any

#: Where orders that are to be filled are placed.
PRICE = 4.0


def size_of(number: int) -> float:
    return round(2 + number / 100, 2)


def number_of(size: float) -> int:
    return round((size - 2) * 100)


def compute(seconds: float) -> None:
    """Use so much of the processor's time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Asked:
    """What has been asked for in one market.

    Args:
        kind: "place", "cancel", "hedge" or "open".
        work: seconds of the processor at each change.
        place: places an order: market, side, price, size.
    """

    def __init__(self, kind: str, work: float, place: Any) -> None:
        self.kind, self.work, self.place = kind, work, place
        self.last: dict[str, int] = {}
        self.hedged: set[str] = set()
        self.cancelled: set[str] = set()

    def book(self, market: Any, book: Any) -> None:
        """A book has changed."""
        if self.work:
            compute(self.work)
        known = self.last.get(market.market_id)
        if self.kind == "open":
            if known is None:
                self.last[market.market_id] = 0
                self.place(market, book.runners[0], "BACK", PRICE, size_of(0))
            return
        number = round(book.runners[0].total_matched) - 1_000
        if known is None:
            known = self.last[market.market_id] = number
        if number <= known or number <= 0:
            return
        self.last[market.market_id] = number
        if self.kind == "cancel" and number % 2 == 0:
            for order in list(market.blotter):
                if order.id not in self.cancelled and order.status is not None and order.status.name == "EXECUTABLE":
                    self.cancelled.add(order.id)
                    market.cancel_order(order)
                    return
            return
        self.place(market, book.runners[0], "BACK", PRICE if self.kind == "hedge" else 990.0, size_of(number))

    def orders(self, market: Any, orders: Any) -> None:
        """Orders have changed: what was filled is hedged, once."""
        if self.kind != "hedge":
            return
        for order in orders:
            if order.side == "BACK" and order.size_matched and order.id not in self.hedged:
                self.hedged.add(order.id)
                runner = next(each for each in market.market_book.runners if each.selection_id == order.selection_id)
                self.place(market, runner, "LAY", 1.01, order.size_matched)

"""Strategies of `benchmarks.chaos`: they place, cancel, reduce, replace and update without rest.

Each notes what it sees and does in a file of its process, which survives that process: lines of JSON with `t` (wall
time, milliseconds), `m` (market), `pt` (publish time of the book), `k`: "seen", "asked" (with `ref`, the order's) or
"ended" (with `id`, `status`, `bet`).
"""

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

import headrace as hr

#: Runners of each market; nobody bets on the last.
RUNNERS = 4
#: Offers of the recording; between them, at MIDDLE, it trades now and then.
BEST_BACK, MIDDLE, BEST_LAY = 3.0, 3.1, 3.2
#: Milliseconds between two notes that a market was seen.
_SEEN_MS = 40
_BACKS = (BEST_BACK, MIDDLE, MIDDLE, 3.3, 3.4, 3.5)
_LAYS = (BEST_LAY, MIDDLE, MIDDLE, 2.9, 2.8, 2.7)


def _note(folder: str, **values: Any) -> None:
    """Add a line to this process's file. It is with the system when this returns."""
    line = json.dumps({"t": time.time_ns() / 1e6, **values}, separators=(",", ":")) + "\n"
    with contextlib.suppress(OSError):
        file = os.open(f"{folder}/{os.getpid()}.ndjson", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)


class Restless(hr.Strategy):
    """Acts at about `pace` times a second in each market, on every second runner from `first` on."""

    folder: str = "."
    first: int = 1
    pace: float = 1.0

    def process_new_market(self, market: Any, market_book: Any) -> None:
        self.told: set[str] = set()  # of orders whose end was told

    def check_market_book(self, market: Any, market_book: Any) -> bool:
        return bool(market_book.status == "OPEN")

    def process_market_book(self, market: Any, market_book: Any) -> None:
        now, pt = market.clock.now_ms, market_book.publish_time_epoch
        if now - getattr(self, "seen_ms", 0) >= _SEEN_MS:
            self.seen_ms = now
            _note(self.folder, k="seen", m=market.market_id, pt=pt)
        if now < getattr(self, "next_ms", 0) or Path(self.folder, "hold").exists():
            return
        self.next_ms = now + round(market.random.expovariate(self.pace) * 1000)
        self._act(market, market_book, pt)

    def _act(self, market: Any, book: Any, pt: int) -> None:
        dice = market.random
        live = [
            order
            for order in market.blotter.strategy_orders(self)
            if order.status is hr.OrderStatus.EXECUTABLE and order.bet_id
        ]
        what = dice.choice(["place", "place", "place", "cancel", "reduce", "replace", "replace", "update"])
        if what == "place" or not live:
            self._place(market, book, pt)
            return
        order = dice.choice(live)
        if what == "cancel":
            market.cancel_order(order)
        elif what == "reduce" and order.size_remaining > 1:
            market.cancel_order(order, 1.0)
        elif what == "replace":
            prices = [each for each in (_BACKS if order.side == "BACK" else _LAYS) if each != order.order_type.price]
            market.replace_order(order, dice.choice(prices))
        elif what == "update":
            market.update_order(order, "LAPSE" if order.persistence_type == "PERSIST" else "PERSIST")

    def _place(self, market: Any, book: Any, pt: int) -> None:
        dice = market.random
        places = range(self.first, RUNNERS, 2)
        # Of the runners in the order of their numbers: a removed one keeps its place.
        runner = sorted(book.runners, key=lambda each: each.selection_id)[dice.choice(places) - 1]
        if runner.status != "ACTIVE":
            return
        side = dice.choice(["BACK", "LAY"])
        price, size = dice.choice(_BACKS if side == "BACK" else _LAYS), float(dice.randint(2, 6))
        kill = {"time_in_force": "FILL_OR_KILL"} if dice.random() < 0.1 else {"persistence_type": "PERSIST"}
        trade = hr.Trade(market.market_id, runner.selection_id, 0, self)
        order = trade.create_order(side, hr.LimitOrder(price, size, **kill))
        if market.place_order(order):
            _note(self.folder, k="asked", m=market.market_id, pt=pt, ref=order.customer_order_ref)

    def process_orders(self, market: Any, orders: Any) -> None:
        told = self.__dict__.setdefault("told", set())  # a strategy that is restored afresh has none
        for order in orders:
            if order.complete and order.id not in told:
                told.add(order.id)
                status = order.status.name if order.status else None
                _note(self.folder, k="ended", m=market.market_id, id=order.id, status=status, bet=order.bet_id)

"""Hosts of a whole system crash: its strategies go on elsewhere with what they knew, and the exchange sees one of each
order.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import headrace as hr
from exchange_builders import ALICE
from live_trading import Venue, venue

WAIT = 20.0


class Persists(hr.Strategy):
    """Places two orders, one after the other is live; tests reach its instances, and tell it what to do."""

    instances: ClassVar[list[Persists]] = []
    news: ClassVar[list[str]] = []
    may: ClassVar[threading.Event] = threading.Event()

    def __init__(self, **settings: Any) -> None:
        super().__init__(max_order_exposure=None, max_selection_exposure=None, max_live_trade_count=9, **settings)
        self.placed = 0
        self.market: Any = None
        self.first: Any = None

    def process_new_market(self, market: Any, market_book: Any) -> None:
        Persists.instances.append(self)
        Persists.news.append("new")
        self.market = market
        self.wait(market)

    def restore(self, snapshot: Any) -> None:
        super().restore(snapshot)
        Persists.instances.append(self)
        Persists.news.append("restored")

    def wait(self, market: Any) -> None:
        """Wait for leave to place."""
        if Persists.may.is_set():
            self.first = self.place(market, 3.0)
        else:
            market.call_later(0.02, lambda: self.wait(market))

    def place(self, market: Any, price: float) -> Any:
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(price, 5.0))
        market.place_order(order)
        self.placed += 1
        return order

    def process_orders(self, market: Any, orders: list[Any]) -> None:
        if market.restored:
            Persists.news.append("first turn")
        self.market = market
        if self.placed == 2 and self.first.status is hr.OrderStatus.EXECUTABLE and "cancel" in Persists.news:
            market.cancel_order(self.first)
        elif self.placed == 1 and self.first.status is hr.OrderStatus.EXECUTABLE and "second" in Persists.news:
            self.place(market, 3.5)


@pytest.fixture
def exchange() -> Iterator[Venue]:
    Persists.instances.clear()
    Persists.news.clear()
    Persists.may.clear()
    with venue() as found:
        yield found


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + WAIT
    while not (found := condition()):
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.01)
    return found


class Running:
    def __init__(self, exchange: Venue, folder: Path, may: bool = True) -> None:
        self.live = hr.Live(engine="local", page=False, instance=folder / "instance", on_stop="leave")
        self.live.add_client(hr.BetfairClient(exchange.client(ALICE), interactive_login=True))
        self.live.add_strategy(Persists())
        self.live.start()
        until(lambda: self.live.state()["placing_allowed"])
        if may:
            Persists.may.set()

    def crash(self) -> None:
        """The host of the market ends as a process does that is killed."""
        assert self.live._driver is not None
        assert self.live._driver.engine is not None
        self.live._driver.engine.crash("h1")

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()
        self.live.wait(60.0)
        self.live.end()


def stands(strategy: Persists) -> list[tuple[str, float, float]]:
    return [(order.status.name, order.order_type.price, order.size_matched) for order in strategy.market.blotter]


def test_a_strategy_goes_on_with_its_orders_after_the_crash_of_its_host(exchange: Venue, tmp_path: Path) -> None:
    with Running(exchange, tmp_path) as running:
        (first,) = until(lambda: Persists.instances)
        until(lambda: first.first is not None and first.first.status is hr.OrderStatus.EXECUTABLE)
        began = time.monotonic()
        running.crash()
        until(lambda: "first turn" in Persists.news)
        assert time.monotonic() - began < 3.0
        assert Persists.news == ["new", "restored", "first turn"]
        second = Persists.instances[-1]
        assert second is not first
        assert (second.placed, second.first) == (1, next(iter(second.market.blotter)))
        assert second.first is not first.first
        assert second.first.bet_id == first.first.bet_id

        Persists.news.append("second")
        until(lambda: len(exchange.bets) == 2)
        until(lambda: stands(second) == [("EXECUTABLE", 3.0, 0.0), ("EXECUTABLE", 3.5, 0.0)])
        running.crash()
        until(lambda: Persists.news.count("first turn") == 2)
        third = Persists.instances[-1]
        assert third.placed == 2
        Persists.news.append("cancel")
        until(lambda: stands(third)[0][0] == "EXECUTION_COMPLETE")
        assert [(bet.cancelled, bet.remaining) for bet in exchange.bets] == [(5.0, 0.0), (0.0, 5.0)]
    result = running.live.result
    assert result is not None
    orders = result.orders.to_pylist()
    assert [(row["price"], row["size_cancelled"], row["status"]) for row in orders] == [
        (3.0, 5.0, "EXECUTION_COMPLETE"), (3.5, 0.0, "EXECUTABLE")
    ]  # fmt: skip


def test_an_order_that_is_on_its_way_when_its_host_crashes_is_answered_to_its_successor(
    exchange: Venue, tmp_path: Path
) -> None:
    with Running(exchange, tmp_path, may=False) as running:
        until(lambda: Persists.instances)
        exchange.fault("http.slow", seconds=1.0, operation="placeOrders")
        Persists.may.set()
        until(lambda: exchange.bets)
        running.crash()
        second = until(lambda: len(Persists.instances) == 2 and Persists.instances[-1])
        until(lambda: second.market is not None and len(second.market.blotter) == 1)
        until(lambda: stands(second) == [("EXECUTABLE", 3.0, 0.0)])
        assert second.placed == 1
        assert len(exchange.bets) == 1

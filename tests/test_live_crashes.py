"""A live system whose coordinator, hosts and streams are killed while it trades: nothing is lost, or done twice."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

import headrace as hr
from exchange_builders import ALICE
from live_roles import until
from live_trading import Venue, venue


class Trader(hr.Strategy):
    """Does in its market what tests ask for, with whichever copy of it is there."""

    todo: ClassVar[collections.deque[Callable[[Trader, Any], object]]] = collections.deque()
    markets: ClassVar[list[Any]] = []

    def __init__(self, **settings: Any) -> None:
        no_limits = {"max_order_exposure": None, "max_selection_exposure": None, "max_live_trade_count": 1_000}
        super().__init__(**{**no_limits, **settings})
        self.placed = 0

    def process_new_market(self, market: Any, market_book: Any) -> None:
        self.begin(market)

    def process_orders(self, market: Any, orders: Any) -> None:
        if market.restored:
            self.begin(market)

    def begin(self, market: Any) -> None:
        Trader.markets.append(market)
        self.attend(market)

    def attend(self, market: Any) -> None:
        while Trader.todo:
            Trader.todo.popleft()(self, market)
        for order in list(market.blotter):
            held = order.status is hr.OrderStatus.VIOLATION and "MARKET_HELD" in order.violation_msg
            if held and not order.notes.get("again"):  # the order stream was away, and lists are being read
                order.notes["again"] = True
                self._place(market, order.order_type.price)
        market.call_later(0.02, lambda: self.attend(market))

    def place(self, market: Any, price: float) -> None:
        self.placed += 1
        self._place(market, price)

    def _place(self, market: Any, price: float) -> None:
        trade = hr.Trade(market.market_id, 1, 0, self)
        market.place_order(trade.create_order("BACK", hr.LimitOrder(price, 5.0)))


class Running:
    """A system that trades at an exchange of this process."""

    def __init__(self, exchange: Venue, folder: Path, **settings: Any) -> None:
        self.exchange = exchange
        self.live = hr.Live(engine="local", page=False, instance=folder / "instance", **settings)
        self.live.add_client(hr.BetfairClient(exchange.client(ALICE), interactive_login=True))
        self.live.add_strategy(Trader(name="Trader"))

    def start(self) -> None:
        self.live.start()
        self.until(lambda: self.state().get("placing_allowed"))
        self.until(lambda: Trader.markets)

    def crash(self, *names: str) -> None:
        """Actors are killed, as by a SIGKILL."""
        assert self.live._driver is not None
        assert self.live._driver.engine is not None
        for name in names:
            self.live._driver.engine.crash(name)

    def state(self) -> dict[str, Any]:
        try:
            return self.live.state()
        except hr.RunError:  # it is being started again
            return {}

    def until(self, condition: Callable[[], Any]) -> Any:
        return until(condition)

    def settles(self) -> None:
        """All are there again."""

        def settled() -> bool:
            state = self.state()
            there = state.get("placing_allowed") and not state["restoring"] and not state["hosts_coming"]
            return bool(there) and all(each["state"] == "SUBSCRIBED" for each in state["streams"])

        self.until(settled)

    @property
    def market(self) -> Any:
        """The market, as the copy that trades now has it."""
        return Trader.markets[-1]

    def does(self, what: Callable[[Trader, Any], object]) -> None:
        Trader.todo.append(what)

    def places(self, price: float) -> None:
        self.does(lambda strategy, market: strategy.place(market, price))

    def bets(self) -> list[tuple[float, float]]:
        """Prices of all bets, and what rests of each."""
        return [(bet.price, bet.remaining) for bet in self.exchange.bets]

    def knows(self, *prices: float) -> None:
        """The coordinator knows of these live orders, and the strategy does."""
        self.until(lambda: [each["price"] for each in self.state().get("orders", ())] == list(prices))
        self.until(lambda: [each.order_type.price for each in list(self.market.blotter.live_orders)] == list(prices))
        self.until(lambda: all(each.bet_id for each in list(self.market.blotter.live_orders)))

    def end(self) -> hr.Result:
        self.live.stop()
        return self.live.end()


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Running]:
    Trader.todo.clear()
    Trader.markets.clear()
    with venue() as exchange:
        made = Running(exchange, folder, **settings)
        made.start()
        try:
            yield made
        finally:
            if made.live.result is None:
                made.end()


@pytest.mark.parametrize(
    "names",
    [("c",), ("h1",), ("s1",), ("o1",), ("c", "h1"), ("h1", "c"), ("h1", "s1", "o1"), ("c", "h1", "s1", "o1")],
    ids="+".join,
)
def test_a_system_goes_on_after_its_actors_were_killed(tmp_path: Path, names: tuple[str, ...]) -> None:
    with running(tmp_path) as system:
        system.places(3.0)
        system.until(lambda: system.bets() == [(3.0, 5.0)])
        system.knows(3.0)

        system.crash(*names)

        system.settles()
        if "h1" in names:
            system.until(lambda: len(Trader.markets) == 2)
        system.knows(3.0)
        system.places(4.0)
        system.knows(3.0, 4.0)
        system.does(lambda strategy, market: market.cancel_order(next(iter(market.blotter.live_orders))))
        system.knows(4.0)
        assert system.bets() == [(3.0, 0.0), (4.0, 5.0)]
        system.does(lambda strategy, market: Trader.markets.append(strategy.placed))
        system.until(lambda: Trader.markets[-1] == 2)
        result = system.end()
        assert system.bets() == [(3.0, 0.0), (4.0, 0.0)]
    # Where its market was held, an order was refused first.
    assert sum(bet_id is not None for bet_id in result.orders["bet_id"].to_pylist()) == 2
    assert result.failures.num_rows == 0


@pytest.mark.parametrize("on_restart", ["carry_on", "cancel"])
def test_a_system_that_is_started_again_finds_its_orders(tmp_path: Path, on_restart: str) -> None:
    """All of it was cut short, as by a loss of power."""
    with running(tmp_path) as system:
        system.places(3.0)
        system.knows(3.0)
        system.crash("c", "h1", "s1", "o1")
        system.live.kill()
        Trader.markets.clear()

        again = Running(system.exchange, tmp_path, on_restart=on_restart)
        again.start()
        try:
            if on_restart == "cancel":
                again.until(lambda: again.bets() == [(3.0, 0.0)])
                again.knows()
            else:
                again.knows(3.0)
                again.settles()
                assert again.bets() == [(3.0, 5.0)]
            again.places(4.0)
            again.until(lambda: again.bets()[1:] == [(4.0, 5.0)])
            again.does(lambda strategy, market: Trader.markets.append(strategy.placed))
            again.until(lambda: Trader.markets[-1] == 2)
        finally:
            again.end()
        assert [remaining for _, remaining in again.bets()] == [0.0, 0.0]

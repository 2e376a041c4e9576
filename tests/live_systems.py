"""A live system with one strategy that trades at an exchange of this process: streams, hosts, coordinator as threads.

with venue() as exchange, system(exchange, folder) as running:
    running.until(lambda: exchange.bets)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

import headrace as hr
from exchange_builders import ALICE
from live_session import telling_often
from live_trading import Venue

WAIT = 20.0


class Noting(hr.Strategy):
    """Places what `wanted` says once it may, and does what tests ask it to; tests reach its instances."""

    instances: ClassVar[list[Noting]] = []
    may: ClassVar[threading.Event] = threading.Event()
    wanted: ClassVar[list[float]] = [3.0]

    def __init__(self, **settings: Any) -> None:
        no_limits = {"max_order_exposure": None, "max_selection_exposure": None, "max_live_trade_count": 1_000}
        super().__init__(**{**no_limits, **settings})

    def process_new_market(self, market: Any, market_book: Any) -> None:
        Noting.instances.append(self)
        self.market = market
        self.todo: list[Callable[[Any], object]] = []
        self.begin()

    def begin(self) -> None:
        if not Noting.may.is_set():
            self.market.call_later(0.02, self.begin)
            return
        for price in Noting.wanted:
            self.place(price)
        self.attend()

    def attend(self) -> None:
        while self.todo:
            self.todo.pop(0)(self.market)
        self.market.call_later(0.02, self.attend)

    def place(self, price: float, size: float = 5.0) -> None:
        trade = hr.Trade(self.market.market_id, 1, 0, self)
        self.market.place_order(trade.create_order("BACK", hr.LimitOrder(price, size)))


class System:
    """A live system that trades at an exchange of this process."""

    def __init__(self, exchange: Venue, live: hr.Live) -> None:
        self.exchange, self.live = exchange, live

    @property
    def strategy(self) -> Noting:
        """Of the only market."""
        self.until(lambda: Noting.instances)
        return Noting.instances[0]

    def orders(self) -> list[Any]:
        return list(self.strategy.market.blotter)

    def until(self, condition: Callable[[], Any], wait: float = WAIT) -> Any:
        end = time.monotonic() + wait
        while not (found := condition()):
            assert time.monotonic() < end, "it has not happened"
            time.sleep(0.01)
        return found

    def end(self) -> hr.Result:
        self.live.stop()
        self.live.wait(60.0)
        return self.live.end()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Noting.instances.clear()
    Noting.wanted[:] = [3.0]
    Noting.may.clear()
    return tmp_path


@contextmanager
def system(
    exchange: Venue,
    folder: Path,
    *faults: tuple[str, dict[str, Any]],
    controls: Sequence[type[hr.BaseControl]] = (),
    at_once: bool = False,
    of: Mapping[str, Any] | None = None,
    prepare: Callable[[hr.Live], object] = lambda live: None,
    market_filter: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Iterator[System]:
    """A running system with one strategy.

    Args:
        controls: of trading.
        at_once: it places although it may not.
        of: more of the system. prepare: called before it starts.
        settings: of the client.
    """
    for kind, fields in faults:
        exchange.fault(kind, **fields)
    live = hr.Live(engine="local", page=False, instance=folder / "instance", **(of or {}))
    live.add_client(hr.BetfairClient(exchange.client(ALICE), interactive_login=True, **settings))
    live.add_strategy(Noting(market_filter=dict(market_filter or {})))
    for control in controls:
        live.add_trading_control(control)
    prepare(live)
    with telling_often():
        live.start()
        made = System(exchange, live)
        try:
            if not at_once:
                made.until(lambda: live.state()["placing_allowed"])
            Noting.may.set()
            yield made
        finally:
            if live.result is None:
                made.end()

"""A whole live system, as threads, at an exchange of this process: what its coordinator does, from end to end."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import MARKET, Stream, priced
from exchange_builders import ALICE
from live_systems import Noting, folder, system
from live_trading import venue

__all__ = ["folder"]


def second_market() -> Stream:
    other = Stream("1.200000002")
    other.lines = [
        {**line, "mc": [{**change, "id": other.market_id} for change in line["mc"]]} for line in priced().lines
    ]
    return other


def test_stop_cancels_what_rests_before_it_logs_out_and_nothing_is_placed_meanwhile(folder: Path) -> None:
    Noting.wanted[:] = [3.0, 3.1]
    with (
        venue() as exchange,
        system(exchange, folder) as running,
    ):
        running.until(lambda: len(exchange.bets) == 2)
        running.until(lambda: all(order.bet_id for order in running.orders()))
        live = running.live
        exchange.fault("http.slow", operation="cancelOrders", seconds=0.5)
        exchange.fault("order.delay", seconds=0.5, times=None)
        threading.Thread(target=running.end).start()
        running.until(lambda: live.state()["stopping"])
        running.strategy.todo.append(lambda market: running.strategy.place(3.2))
        running.until(lambda: live.result is not None)

        assert [bet.cancelled for bet in exchange.bets] == [5.0, 5.0]
        operations = [each.values["operation"] for each in exchange.entries("REQUEST")]
        assert operations.index("cancelOrders") < operations.index("logout")
        assert operations.count("cancelOrders") == 1, "bets of one market are cancelled by one call"
        assert live.result is not None
        assert live.result.violations.column("control").to_pylist() == ["PLACING"]


def test_the_end_waits_for_cancels_although_the_coordinator_does_not_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with venue() as exchange, system(exchange, folder) as running:
        running.until(lambda: exchange.bets and running.orders()[0].bet_id)
        exchange.fault("http.slow", operation="cancelOrders", seconds=0.5)
        exchange.fault("order.delay", seconds=0.5, times=None)
        live, state, asked = running.live, running.live.state, []

        def busy() -> dict[str, Any]:
            asked.append("state")
            if len(asked) < 3:
                raise hr.RunError("the live system has not answered within 10 seconds")
            return state()

        monkeypatch.setattr(live, "state", busy)
        live.end()
        assert [bet.cancelled for bet in exchange.bets] == [5.0]
        assert live.result is not None
        assert live.result.orders.column("size_cancelled").to_pylist() == [5.0]


def test_cancel_all_leaves_bets_that_were_placed_elsewhere_and_the_whole_account_does_not(folder: Path) -> None:
    with venue() as exchange, system(exchange, folder) as running:
        running.until(lambda: exchange.bets and running.orders()[0].bet_id)
        other = exchange.elsewhere(ALICE)
        limit = {"price": 3.5, "size": 4.0, "persistenceType": "LAPSE"}
        instruction = {"selectionId": 1, "handicap": 0, "side": "BACK", "orderType": "LIMIT", "limitOrder": limit}
        other.betting.place_orders(MARKET, [instruction])
        running.until(lambda: running.live.state()["foreign"])
        running.live.cancel_all()
        running.until(lambda: running.live.state()["cancelling"]["done"])
        assert sorted(bet.cancelled for bet in exchange.bets) == [0.0, 5.0]
        assert not running.live.state()["placing_allowed"]

        running.live.cancel_all(whole_account=True)
        running.until(lambda: running.live.state()["cancelling"]["done"])
        assert sorted(bet.cancelled for bet in exchange.bets) == [4.0, 5.0]


def test_orders_at_the_starting_price_are_left_and_listed(folder: Path) -> None:
    Noting.wanted[:] = []
    market = priced(bspMarket=True, bspReconciled=False)
    with venue(market) as exchange, system(exchange, folder) as running:

        def place(market: Any) -> None:
            trade = hr.Trade(MARKET, 1, 0, running.strategy)
            market.place_order(trade.create_order("BACK", hr.MarketOnCloseOrder(20.0)))

        running.strategy.todo.append(place)
        running.until(lambda: exchange.bets)
        running.live.cancel_all()
        (left,) = running.until(lambda: running.live.state()["cancelling"]["left"])
        assert (left["bet_id"], left["liability"]) == (exchange.bets[0].bet_id, 20.0)
        assert running.live.state()["cancelling"]["done"]
        running.end()
        assert exchange.bets[0].cancelled == 0.0


def test_limits_hold_over_markets_and_a_hedge_passes(folder: Path) -> None:
    Noting.wanted[:] = [3.0]
    limits = hr.RiskLimits(max_exposure=7.0)
    with (
        venue(priced(), second_market(), played=4) as exchange,
        system(exchange, folder, of={"risk": limits}) as running,
    ):
        running.until(lambda: len(Noting.instances) == 2)
        running.until(lambda: any(order["bet_id"] for order in running.live.state()["orders"]))
        running.until(lambda: running.live.state()["counts"]["violations"])
        assert len(exchange.bets) == 1, "5 is allowed, 10 is not"
        standing = running.live.state()["risk"]
        assert standing["by_currency"]["GBP"]["exposure"] == 5.0
        assert [event["kind"] for event in running.live.state()["events"] if event["kind"] == "LIMIT"] == ["LIMIT"]
        refused = next(each for each in Noting.instances if not each.market.blotter.live_orders)
        assert [order.status.name for order in refused.market.blotter] == ["VIOLATION"]
        result = running.end()
        assert result.violations.column("control").to_pylist() == ["RISK_LIMITS"]


TIPS: list[tuple[str, Any]] = []


def tell(framework: Any, event: Any) -> None:
    """The callback of a custom event, where strategies are hosted."""
    TIPS.append(("callback", [strategy.name for strategy in framework.strategies]))


class Tips(hr.BaseStream):
    """A stream of the user's own."""

    def run(self) -> None:
        while not self.flumine.markets:
            time.sleep(0.01)
        time.sleep(0.1)
        self.flumine.handler_queue.put(hr.CustomEvent({"tip": 1}, tell))


class Steps(hr.Coordinator):
    """Notes which steps were taken."""

    def add_market(self, market: Any) -> None:
        TIPS.append(("add_market", market.market_id))

    def process_custom_event(self, event: Any) -> None:
        TIPS.append(("coordinator", event.event))

    def process_order_package(self, request: Any) -> None:
        TIPS.append(("order_package", request.kind))
        super().process_order_package(request)

    def process_end(self) -> None:
        TIPS.append(("end", None))


class Log(hr.LoggingControl):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __call__(self, event: Any) -> None:
        self.heard.append(event.name)


def test_workers_streams_events_steps_and_logging_controls_run_as_in_simulation(folder: Path) -> None:
    TIPS.clear()
    calls: list[Any] = []
    log = Log()

    def work(context: dict[str, Any], framework: Any, word: str) -> None:
        context["calls"] += 1
        calls.append((context["calls"], word, [client.username for client in framework.clients]))

    def prepare(live: hr.Live) -> None:
        live.add_worker(hr.BackgroundWorker(live, work, 0.05, ("word",), context={"calls": 0}))
        live.streams.add_custom_stream(Tips(live, custom=True))
        live.add_logging_control(log)

    with venue() as exchange, system(exchange, folder, of={"coordinator": Steps}, prepare=prepare) as running:
        running.until(lambda: exchange.bets)
        running.until(lambda: "callback" in [what for what, _ in TIPS])
        running.until(lambda: len(calls) >= 3 and "balance" in log.heard)
        running.end()

    kinds = [what for what, _ in TIPS]
    assert kinds[0] == "add_market"
    assert kinds.index("coordinator") < kinds.index("callback")
    assert ("callback", ["Noting"]) in TIPS
    assert ("order_package", "PLACE") in TIPS
    assert kinds[-1] == "end"
    assert calls[:2] == [(1, "word", ["alice"]), (2, "word", ["alice"])]
    assert log.heard[:2] == ["config", "strategy"]
    assert {"market", "order", "balance", "custom_event"} <= set(log.heard)
    assert log.heard[-1] == "end"


class Catalogued(Noting):
    """Notes its catalogue."""

    def process_market_catalogue(self, market: Any, market_catalogue: Any) -> None:
        self.catalogue = market_catalogue


def test_a_market_that_closes_gets_its_results_and_the_system_stops_by_itself(folder: Path) -> None:
    Noting.wanted[:] = []
    market = priced().close(300)
    with venue(market) as exchange:

        def prepare(live: hr.Live) -> None:
            live.add_strategy(Catalogued(name="Catalogued", market_filter={}))

        with system(exchange, folder, of={"stop_when_idle": True}, prepare=prepare) as running:
            running.until(lambda: len(Noting.instances) == 2)
            noting = next(each for each in Noting.instances if type(each) is Noting)
            catalogued = next(each for each in Noting.instances if isinstance(each, Catalogued))
            running.until(lambda: getattr(catalogued, "catalogue", None))
            assert catalogued.catalogue.market_id == MARKET
            noting.todo.append(lambda market: noting.place(1.9))
            running.until(lambda: exchange.bets and exchange.bets[0].size_matched == 5.0)
            exchange.step()
            assert running.live.wait(20)
            result = running.live.end()

        (order,) = [row for row in result.orders.to_pylist() if row["strategy"] == "Noting"]
        assert order["size_matched"] == 5.0
        assert order["profit"] == pytest.approx(5.0, abs=0.5)
        (row,) = [row for row in result.markets.to_pylist() if row["strategy"] == "Noting"]
        assert row["status"] == "CLOSED"


def test_a_filter_that_the_stream_does_not_know_is_looked_up(folder: Path) -> None:
    with venue() as exchange, system(exchange, folder, market_filter={"text_query": ""}) as running:
        running.until(lambda: exchange.bets)
        looked_up = [call for call in exchange.calls("listMarketCatalogue") if "textQuery" in str(call)]
        assert len(looked_up) == 1
        running.until(lambda: any(each["markets"] == 1 for each in running.live.state()["streams"]))

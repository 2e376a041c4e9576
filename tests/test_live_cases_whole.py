"""Cases of the public record that take a whole system: streams, hosts, coordinator and account, as threads."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import MARKET, Stream, priced
from headrace.simulate.exchange.settings import Timers
from live_systems import Noting, folder, system
from live_trading import venue

__all__ = ["folder"]


@pytest.mark.parametrize(
    "late", [("order.delay_image", {}), ("http.slow", {"operation": "listCurrentOrders"})], ids=["image", "list"]
)
def test_case_17_nothing_is_placed_before_it_is_known_what_rests(
    late: tuple[str, dict[str, Any]], folder: Path
) -> None:
    with venue() as exchange:
        began = time.monotonic()
        Noting.may.set()
        with system(exchange, folder, (late[0], {**late[1], "seconds": 0.5}), at_once=True) as running:
            running.until(lambda: exchange.bets)
            assert time.monotonic() - began >= 0.5
            running.until(lambda: running.orders()[0].bet_id)

            assert [order.status.name for order in running.orders()] == ["EXECUTABLE"]
            assert len(exchange.bets) == 1


class Refusing(hr.BaseControl):
    """Lets nothing be cancelled."""

    NAME = "NO_CANCELS"

    def _validate(self, order: Any, package_type: Any) -> None:
        if package_type.name == "CANCEL":
            self._on_error(order, "not now")


def test_case_20_the_limit_of_transactions_stops_no_cancel(folder: Path) -> None:
    Noting.wanted[:] = [3.0, 3.1, 3.2]
    with venue() as exchange, system(exchange, folder, transaction_limit=2) as running:
        running.until(lambda: len(running.orders()) == 3 and all(order.status for order in running.orders()))
        running.until(lambda: sum(order.bet_id is not None for order in running.orders()) == 2)
        refused = [order for order in running.orders() if order.status is hr.OrderStatus.VIOLATION]
        assert len(refused) == 1
        for order in running.orders():
            if order.bet_id is not None:
                running.strategy.todo.append(lambda market, order=order: market.cancel_order(order))
        running.until(lambda: all(order.complete for order in running.orders()))

        assert sorted(bet.cancelled for bet in exchange.bets) == [5.0, 5.0]


def test_case_21_an_order_whose_cancel_a_control_refuses_is_executable_still(folder: Path) -> None:
    with venue() as exchange, system(exchange, folder, controls=(Refusing,)) as running:
        order = running.until(lambda: next((each for each in running.orders() if each.bet_id), None))
        refused: list[bool] = []
        running.strategy.todo.append(lambda market: refused.append(market.cancel_order(order)))
        running.until(lambda: refused)

        assert refused == [False]
        assert order.status is hr.OrderStatus.EXECUTABLE
        assert order.violation_msg


def test_case_23_forty_markets_that_open_at_once_are_traded_each_by_its_own_strategy(folder: Path) -> None:
    streams = []
    for number in range(40):
        stream = priced()
        renamed = Stream(f"1.2000000{number:02d}")
        renamed.lines = [
            {**line, "mc": [{**change, "id": renamed.market_id} for change in line["mc"]]} for line in stream.lines
        ]
        streams.append(renamed)
    with venue(*streams) as exchange, system(exchange, folder) as running:
        running.until(lambda: len(exchange.bets) == 40, 30)
        running.until(lambda: sum(order["bet_id"] is not None for order in running.live.state()["orders"]) == 40)
        result = running.end()

        assert len({each.market.market_id for each in Noting.instances}) == 40
        assert len(Noting.instances) == 40
        assert result.failures.num_rows == 0
        assert sorted({bet.cancelled for bet in exchange.bets}) == [5.0]


def test_case_24_the_start_of_a_market_is_that_of_the_stream(folder: Path) -> None:
    with venue(timers=Timers(catalogue_age=60.0)) as exchange, system(exchange, folder) as running:
        before = running.strategy.market.market_start_datetime
        exchange.fault("event.move_start", seconds=300)
        exchange.step()
        running.until(lambda: running.strategy.market.market_start_datetime != before)

        assert (running.strategy.market.market_start_datetime - before).total_seconds() == 300


def test_case_25_publish_times_that_are_behind_are_shown_apart(folder: Path) -> None:
    stream = priced().prices(200, {1: {"ltp": 2.0}})
    with venue(stream, speed=1.0) as exchange, system(exchange, folder) as running:
        exchange.fault("market.behind", seconds=3, times=None)
        running.strategy.todo.append(lambda market: market.cancel_order(running.orders()[0]))

        def lags() -> dict[str, float]:
            return {each["stream"]: each["lag_ms"] for each in running.live.state()["streams"]}

        exchange.fault("event.suspend", seconds=1)
        running.until(lambda: lags()["s1"] > 2_000)
        assert lags()["o1"] < 1_000
        running.until(lambda: running.live.state()["watchdogs"])
        (row,) = running.live.state()["watchdogs"]
        assert (row["kind"], row["what"]) == ("LATENCY", "stream s1"), "it is not the clock"


def test_case_27_an_order_that_is_in_flight_at_the_end_is_cancelled_when_it_comes(folder: Path) -> None:
    late = ("order.delay", {"seconds": 0.7})
    slow = ("http.slow", {"operation": "placeOrders", "seconds": 0.7})
    with venue() as exchange, system(exchange, folder, slow, late) as running:
        running.until(lambda: exchange.bets)
        assert running.orders()[0].bet_id is None
        result = running.end()

        (bet,) = exchange.bets
        assert (bet.executable, bet.cancelled) == (False, 5.0)
        assert result.orders.column("status").to_pylist() == ["EXECUTION_COMPLETE"]


def test_case_33_stopping_under_load_is_clean(folder: Path) -> None:
    stream = priced()
    for at in range(200, 4_000, 2):
        stream.prices(at, {1: {"ltp": 2.0 + (at % 100) / 100}})
    with venue(stream, speed=1.0) as exchange, system(exchange, folder) as running:
        running.until(lambda: exchange.bets)
        running.until(lambda: sum(each["changes"] for each in running.live.state()["streams"]) > 200)
        began = time.monotonic()
        result = running.end()

        assert time.monotonic() - began < 5.0
        assert result.failures.num_rows == 0
        assert [bet.executable for bet in exchange.bets] == [False]


def test_cases_42_and_43_streams_come_back_with_their_subscriptions_after_the_session_has_ended(folder: Path) -> None:
    stream = priced().prices(200, {1: {"ltp": 2.0}}).prices(300, {1: {"ltp": 2.1}})
    with venue(stream) as exchange, system(exchange, folder) as running:
        order = running.until(lambda: next((each for each in running.orders() if each.bet_id), None))
        exchange.fault("session.expire")
        for operation in ("marketSubscription", "orderSubscription"):
            exchange.fault("stream.drop", operation=operation)
        exchange.step()
        running.until(lambda: sum(each["reconnects"] for each in running.live.state()["streams"]) == 2)
        running.until(lambda: all(each["state"] == "SUBSCRIBED" for each in running.live.state()["streams"]))
        exchange.step()
        running.until(lambda: running.strategy.market.market_book.runners[0].last_price_traded == 2.1)
        running.strategy.todo.append(lambda market: market.cancel_order(order))
        running.until(lambda: order.complete)

        assert order.size_cancelled == 5.0
        assert running.strategy.market.market_id == MARKET

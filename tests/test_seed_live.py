"""The document that headrace's vocabulary comes from, section by section, live: what it says can be done is done here.

Each test runs a whole system at a rehearsal exchange. What strategies see they record; the result has the records.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest

import headrace as hr
from builders import priced, write
from headrace.actors.streaming.order_stream import OrderStreamRole
from headrace.strategies.messages import ViolationFact
from live_session import made, play, running, until
from live_trading import venue


class Backs(hr.Strategy):
    """Backs runner 1 once in each market, at a price where nothing is offered."""

    price: float = 3.0

    def check_market_book(self, market: Any, book: Any) -> bool:
        return bool(book.status == "OPEN")

    def process_market_book(self, market: Any, book: Any) -> None:
        self.record(market, book=book.publish_time_epoch)
        if not self.get_runner_context(market.market_id, 1, 0).invested:
            order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(self.price, 2.0))
            market.place_order(order)


def market() -> Any:
    return priced().prices(400, {2: {"atl": [[1.9, 60]]}}).prices(800, {2: {"atl": [[1.9, 70]]}})


def closing() -> Any:
    return market().close()


def notes(result: hr.Result) -> list[dict[str, Any]]:
    return [json.loads(row["record"]) for row in result.records.to_pylist()]


# -- functions: what is added ----------------------------------------------------------------------------------------


def test_add_client_gives_an_account_that_orders_are_placed_with() -> None:
    with venue(market()) as exchange, running(made(exchange, [Backs()])) as live:
        play(live, exchange)
        until(lambda: exchange.bets, "a bet")
        (client,), (bet,) = live.state()["clients"], exchange.bets
    assert live.result is not None
    (row,) = live.result.orders.to_pylist()
    assert (row["client"], row["bet_id"]) == (client["username"], bet.bet_id)


def test_add_strategy_gives_each_market_to_each_strategy() -> None:
    with venue(market()) as exchange, running(made(exchange, [Backs(), Backs(name="other", price=4.0)])) as live:
        play(live, exchange)
        until(lambda: len(exchange.bets) == 2, "both bets")
    assert live.result is not None
    assert {(row["strategy"], row["price"]) for row in live.result.orders.to_pylist()} == {
        ("Backs", 3.0),
        ("other", 4.0),
    }


def beat(context: dict[str, Any], framework: Any, heard: list[Any]) -> None:
    context["beats"] = context.get("beats", 0) + 1
    heard.append((context["beats"], len(list(framework.strategies))))


def test_add_worker_beats_at_its_interval_with_its_context() -> None:
    heard: list[Any] = []
    with venue(market()) as exchange:
        live = made(exchange, [Backs()])
        live.add_worker(hr.BackgroundWorker(live, beat, interval=0.05, func_args=(heard,), context={"beats": 10}))
        with running(live):
            until(lambda: len(heard) >= 3, "the third beat")
    assert [beats for beats, _ in heard[:3]] == [11, 12, 13]


class AtMost(hr.BaseControl):
    NAME = "AT_MOST"

    def _validate(self, order: hr.Order, package_type: Any) -> None:
        if order.order_type.size > self.most:  # type: ignore[attr-defined]
            self._on_error(order, f"more than {self.most}")  # type: ignore[attr-defined]


def test_add_trading_control_refuses_with_its_settings() -> None:
    with venue(market()) as exchange:
        live = made(exchange, [Backs()])
        live.add_trading_control(AtMost, most=1.0)
        with running(live):
            play(live, exchange)
        assert exchange.bets == []
    assert live.result is not None
    assert {(row["control"], row["reason"]) for row in live.result.violations.to_pylist()} == {
        ("AT_MOST", "more than 1.0")
    }


class Never(hr.BaseControl):
    NAME = "NEVER"
    scope = "account"

    def __init__(self, framework: Any, client: Any) -> None:
        super().__init__(framework, client=client)

    def judge(self, instruction: Any, request: Any, account: Any) -> None:
        raise hr.ControlError("never", self.NAME)


def test_add_client_control_is_asked_by_the_coordinator() -> None:
    with venue(market()) as exchange:
        live = made(exchange, [Backs()])
        live.add_client_control(next(iter(live.clients)), Never)
        with running(live):
            play(live, exchange)
            until(lambda: live.state()["counts"]["violations"], "a violation")
        assert exchange.bets == []
    assert live.result is not None
    assert {row["control"] for row in live.result.violations.to_pylist()} == {"NEVER"}


MARKS: list[float] = []


class CancelsAgainAndAgain(hr.Strategy):
    """Cancels its bet again and again; each attempt is answered."""

    def process_new_market(self, market: Any, book: Any) -> None:
        self.order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(3.0, 2.0))
        market.place_order(self.order)
        self.again(market)

    def again(self, market: Any) -> None:
        down = not market.framework.order_stream_connected
        if down and self.order.status is hr.OrderStatus.EXECUTABLE:
            cancelled = market.cancel_order(self.order, 0.5)
            attempts = len(self.order.responses.cancel_responses)
            if not cancelled:
                self.record(market, attempts=attempts)
                return
        market.call_later(0.02, lambda: self.again(market))


def test_add_trading_control_for_cancels_while_the_order_stream_is_down() -> None:
    config = hr.Config(execution_retry_attempts=2)
    with venue(market()) as exchange:
        live = made(exchange, [CancelsAgainAndAgain()], config=config)
        live.add_trading_control(hr.ExecutionValidation)
        with running(live):
            until(lambda: any(row["status"] == "EXECUTABLE" for row in live.state()["orders"]), "the bet")
            exchange.fault("bet.refuse", operation="cancelOrders", value="INVALID_ACCOUNT_STATE", times=2)
            exchange.fault("stream.connection_limit", times=3)
            exchange.fault("stream.drop", operation="orderSubscription")
            exchange.step()
            until(lambda: live.state()["counts"]["violations"], "a violation")
    assert live.result is not None
    assert notes(live.result)[0]["attempts"] >= 2
    (row,) = live.result.violations.to_pylist()
    assert (row["control"], row["count"]) == ("EXECUTION_VALIDATION", 1)


class HeardOrders(OrderStreamRole):
    """Notes which bets the stream tells of."""

    heard: ClassVar[list[str]] = []

    def received(self, connection: Any, batch: Any) -> None:
        HeardOrders.heard += [bytes(change).decode() for change in batch.changes]
        super().received(connection, batch)


def test_order_stream_of_ones_own_reads_the_orders_of_its_account() -> None:
    HeardOrders.heard.clear()
    with venue(market()) as exchange:
        live = made(exchange, [Backs()], client={"order_stream_cls": HeardOrders})
        with running(live):
            play(live, exchange)
            until(lambda: any(row["status"] == "EXECUTABLE" for row in live.state()["orders"]), "the bet")
            (bet,) = exchange.bets
            until(lambda: any(bet.bet_id in each for each in HeardOrders.heard), "the bet on the stream")


def test_order_stream_that_is_none_is_refused_at_the_start() -> None:
    with venue(market()) as exchange:
        live = made(exchange, [Backs()], client={"order_stream_cls": hr.DataStream})
        with pytest.raises(hr.ClientError, match=r"order_stream_cls=.*DataStream.*: expected a subclass of "):
            live.start()


class Marks(hr.Middleware):
    """Notes what is offered of runner 2. Hosts have copies of it; on threads they share the list."""

    def add_market(self, market: Any) -> None:
        market.context["marks"] = []

    def __call__(self, market: Any) -> None:
        offered = market.market_book.runners[1].ex.available_to_lay
        market.context["marks"].append(offered[0].size if offered else 0.0)
        MARKS.append(market.context["marks"][-1])


class ShowsMarks(hr.Strategy):
    def process_closed_market(self, market: Any, book: Any) -> None:
        self.record(market, marks=market.context["marks"])


def test_add_market_middleware_sees_every_change() -> None:
    MARKS.clear()
    with venue(closing(), played=1) as exchange:
        live = made(exchange, [ShowsMarks()])
        live.add_market_middleware(Marks())
        with running(live):
            for changes in range(1, 5):
                until(lambda least=changes: len(MARKS) >= least, "a change")
                exchange.step()
            until(lambda: any(row["status"] == "CLOSED" for row in live.state()["markets"]), "the end of the market")
    assert live.result is not None
    assert notes(live.result) == [{"marks": [0.0, 50.0, 60.0, 70.0]}]


class Hears(hr.LoggingControl):
    def __init__(self) -> None:
        self.told: list[str] = []

    def __call__(self, event: Any) -> None:
        self.told.append(event.name)
        super().__call__(event)


def test_add_logging_control_hears_of_the_whole_session() -> None:
    control = Hears()
    with venue(closing(), played=1) as exchange:
        live = made(exchange, [Backs()])
        live.add_logging_control(control)
        with running(live):
            play(live, exchange)
            until(lambda: "closed_market" in control.told, "the end of the market")
    heard = Counter(control.told)
    assert set(heard) >= {"config", "strategy", "market", "trade", "order", "closed_market", "end"}
    assert (heard["config"], heard["market"], heard["order"], heard["end"]) == (1, 1, 1, 1)


# -- functions: what is overridden -----------------------------------------------------------------------------------


def note(market: Any, step: str) -> None:
    for seat in market.seats:
        seat.strategy.record(market, step=step)


class Steps(hr.MarketActor):
    def process_market_books(self, market: Any, book: Any) -> None:
        super().process_market_books(market, book)
        note(market, "process_market_books")

    def process_market_orders(self, market: Any) -> None:
        note(market, "process_market_orders")
        super().process_market_orders(market)

    def process_current_orders(self, market: Any) -> None:
        note(market, "process_current_orders")
        super().process_current_orders(market)

    def process_close_market(self, market: Any) -> None:
        note(market, "process_close_market")
        super().process_close_market(market)

    def process_market_catalogues(self, market: Any, market_catalogue: Any) -> None:
        note(market, "process_market_catalogues")
        super().process_market_catalogues(market, market_catalogue)

    def process_sports_data(self, market: Any, sports_data: Any) -> None:
        note(market, f"process_sports_data {sports_data.race_id}")
        super().process_sports_data(market, sports_data)

    def process_raw_data(self, market: Any, clk: str, publish_time: int, datum: Any) -> None:
        note(market, f"process_raw_data {datum['id']}")
        super().process_raw_data(market, clk, publish_time, datum)


class Office(hr.Coordinator):
    """Notes its steps as violations: what it is told are messages, and that is a table of its own."""

    noted: ClassVar[list[str]] = []

    def note(self, market_id: str, step: str) -> None:
        Office.noted.append(step)
        self.refused(ViolationFact("office", market_id, "OFFICE", step, step, 0))

    def add_market(self, market: Any) -> None:
        self.note(market.market_id, f"add_market {market.what}")
        super().add_market(market)

    def remove_market(self, market: Any) -> None:
        self.note(market.market_id, f"remove_market {market.what}")
        super().remove_market(market)

    def process_order_package(self, request: Any) -> None:
        self.note(request.market_id, f"process_order_package {request.kind}")
        super().process_order_package(request)

    def process_custom_event(self, event: Any) -> None:
        self.note("", f"process_custom_event {event.event}")
        super().process_custom_event(event)

    def process_cleared_orders(self, market_id: str, orders: Any) -> None:
        self.note(market_id, f"process_cleared_orders {[each.profit for each in orders]}")
        super().process_cleared_orders(market_id, orders)

    def process_cleared_markets(self, market_id: str, markets: Any) -> None:
        self.note(market_id, f"process_cleared_markets {[each.profit for each in markets]}")
        super().process_cleared_markets(market_id, markets)

    def process_end(self) -> None:
        self.note("", "process_end")
        super().process_end()


def steps(result: hr.Result) -> set[str]:
    found = {note["step"] for note in notes(result) if "step" in note}
    return found | {row["reason"] for row in result.violations.to_pylist()}


class SeesAll(Backs):
    """Records what comes beside the books as well."""

    seen: ClassVar[set[str]] = set()

    def process_market_catalogue(self, market: Any, catalogue: Any) -> None:
        self.record(market, catalogue=catalogue.market_id)
        SeesAll.seen.add("the catalogue")

    def process_orders(self, market: Any, orders: Any) -> None:
        if any(order.complete for order in orders):
            SeesAll.seen.add("the match")

    def check_sports_data(self, market: Any, sports_data: Any) -> bool:
        return bool(sports_data.race_progress.gate_name == "1f")

    def process_sports_data(self, market: Any, sports_data: Any) -> None:
        self.record(market, race=sports_data.race_progress.gate_name)


def race(gate: str) -> tuple[str, dict[str, Any]]:
    progress = {"ft": 0, "g": gate, "st": 10.6, "rt": 46.7, "spd": 17.8, "prg": 87.5, "ord": [1, 2], "J": []}
    return "rcm", {"id": "28587288.1650", "mid": priced().market_id, "rpc": progress}


@pytest.mark.parametrize("paper", [False, True], ids=["live", "paper"])
def test_steps_of_actor_and_coordinator_are_taken(paper: bool) -> None:
    Office.noted.clear()
    SeesAll.seen.clear()
    strategy = SeesAll(price=2.0, sports_data_filter=["race"])
    with venue(closing(), played=1, sports={400: race("2f"), 800: race("1f")}) as exchange:
        live = made(exchange, [strategy], paper=paper, market_actor=Steps, coordinator=Office)
        with running(live):
            live.handler_queue.put(hr.CustomEvent("rain"))
            until(lambda: all(row["state"] == "SUBSCRIBED" for row in live.state()["streams"]), "the streams")
            exchange.step()
            until(lambda: len(SeesAll.seen) == 2, "the catalogue and the match")
            play(live, exchange)
            until(lambda: "process_cleared_markets [2.0]" in Office.noted, "the result of the market")
        asked = exchange.calls("listClearedOrders")
    assert live.result is not None
    assert live.result.failures.num_rows == 0, live.result.failures.to_pylist()
    assert steps(live.result) >= {
        "add_market OPENED",
        "remove_market REMOVED",
        "process_market_books",
        "process_market_orders",
        "process_current_orders",
        "process_market_catalogues",
        "process_sports_data 28587288.1650",
        "process_custom_event rain",
        "process_order_package PLACE",
        "process_close_market",
        "process_cleared_orders [2.0]",
        "process_cleared_markets [2.0]",
        "process_end",
    }
    found = notes(live.result)
    assert [row["race"] for row in found if "race" in row] == ["1f"], "the strategy's own check is asked first"
    assert [row["catalogue"] for row in found if "catalogue" in row] == [priced().market_id]
    assert bool(asked) is not paper, "bets on paper are settled here"
    (row,) = live.result.orders.to_pylist()
    assert (row["profit"], row["status"]) == (2.0, "EXECUTION_COMPLETE")
    assert row["placed_at"] <= row["first_matched_at"] <= row["completed_at"]


def test_raw_data_is_a_step_of_data_streams() -> None:
    with venue(market()) as exchange:
        live = made(exchange, [Raw(stream_class=hr.DataStream)], market_actor=Steps)
        with running(live):
            play(live, exchange)
    assert live.result is not None
    assert f"process_raw_data {priced().market_id}" in steps(live.result)


class Raw(hr.Strategy):
    def process_raw_data(self, clk: str, publish_time: int, datum: Any) -> None:
        """Wants raw data."""


# -- streams ---------------------------------------------------------------------------------------------------------


def test_strategies_with_equal_filters_share_a_stream() -> None:
    with venue(market()) as exchange, running(made(exchange, [Backs(), Backs(name="other")])) as live:
        play(live, exchange)
        streams = [row for row in live.state()["streams"] if row["stream"].startswith("s")]
    assert len(streams) == 1


def test_strategies_with_other_data_filters_have_streams_of_their_own() -> None:
    thin = Backs(name="thin", market_data_filter={"fields": ["EX_BEST_OFFERS"], "ladder_levels": 1})
    with venue(market()) as exchange, running(made(exchange, [Backs(), thin])) as live:
        play(live, exchange)
        streams = [row for row in live.state()["streams"] if row["stream"].startswith("s")]
    assert len(streams) == 2


def test_order_stream_acts_only_on_orders_of_this_instance() -> None:
    with venue(market()) as exchange:
        with running(made(exchange, [Backs()])) as live:
            play(live, exchange)
            until(lambda: exchange.bets, "a bet")
            place_elsewhere(exchange)
            until(lambda: live.state()["foreign"], "the bet that was placed elsewhere")
            assert len(live.state()["orders"]) == 1
        assert [bet.executable for bet in exchange.bets] == [False, True], "our bet is cancelled, theirs is left alone"


def place_elsewhere(exchange: Any) -> None:
    """Somebody else's program places a bet with the same account."""
    elsewhere = exchange.elsewhere()
    instruction = {
        "selectionId": 1,
        "handicap": 0,
        "side": "BACK",
        "orderType": "LIMIT",
        "limitOrder": {"size": 2.0, "price": 5.0, "persistenceType": "LAPSE"},
    }
    elsewhere.betting.place_orders(market_id=priced().market_id, instructions=[instruction])


# -- custom streams --------------------------------------------------------------------------------------------------


class CustomStream(hr.BaseStream):
    def run(self) -> None:
        for number in range(3):

            def callback(framework: Any, event: Any) -> None:
                for strategy in framework.strategies:
                    strategy.process_my_event(event)

            self.flumine.handler_queue.put(hr.CustomEvent(number, callback))


class Listens(hr.Strategy):
    def process_new_market(self, market: Any, book: Any) -> None:
        self.market = market

    def process_my_event(self, event: Any) -> None:
        self.record(self.market, event=event.event)


class Late(CustomStream):
    """Waits until markets are there."""

    ready = threading.Event()

    def run(self) -> None:
        self.ready.wait(20)
        super().run()


def test_custom_stream_brings_events_to_strategies_in_order() -> None:
    Late.ready.clear()
    with venue(market()) as exchange:
        live = made(exchange, [Listens()])
        live.streams.add_custom_stream(Late(live, custom=True))
        with running(live):
            play(live, exchange)
            Late.ready.set()
            until(lambda: live.state()["counts"]["custom_events"] == 3, "the events")
            until(lambda: [row["text"] for row in live.state()["events"] if row["kind"] == "CUSTOM"], "the end of it")
            told = [row["text"] for row in live.state()["events"] if row["kind"] == "CUSTOM"]
    assert live.result is not None
    assert [note["event"] for note in notes(live.result)] == [0, 1, 2]
    assert told == ["stream Late has nothing more to read"]


class HearsEvents(hr.Strategy):
    """Records what it hears, by whatever way, and what it has heard at its first book."""

    def add(self, framework: Any) -> None:
        self.heard: list[Any] = []

    def process_my_event(self, event: Any) -> None:
        self.heard.append(event.event)

    def process_custom_event(self, market: Any, event: Any) -> None:
        self.record(market, where=market.market_id, told=event.event)

    def process_new_market(self, market: Any, book: Any) -> None:
        self.record(market, where=market.market_id, new=len(self.heard))

    def check_market_book(self, market: Any, book: Any) -> bool:
        return True

    def process_market_book(self, market: Any, book: Any) -> None:
        if self.heard:
            self.record(market, where=market.market_id, heard=self.heard)
            self.heard = []


def by_market(result: hr.Result) -> dict[str, list[dict[str, Any]]]:
    assert result.failures.num_rows == 0, result.failures.to_pylist()
    found: dict[str, list[dict[str, Any]]] = {}
    for row in notes(result):
        found.setdefault(row.pop("where"), []).append(row)
    return found


def test_events_that_come_before_markets_reach_each_as_it_opens_as_in_a_simulation(tmp_path: Path) -> None:
    """The stream runs as the document prints it: it is done before there is a market."""
    first, second = closing(), priced(market_id="1.200000002").close(2000)
    folder = write(tmp_path / "markets", first, second)
    simulation = hr.Simulation(folder, engine="local")
    simulation.add_client(hr.SimulatedClient())
    simulation.add_strategy(HearsEvents())
    simulation.streams.add_custom_stream(CustomStream(simulation, custom=True))
    with venue(first, second, played=0) as exchange:
        live = made(exchange, [HearsEvents()])
        live.streams.add_custom_stream(CustomStream(live, custom=True))
        with running(live):
            until(lambda: live.state()["counts"]["custom_events"] == 3, "the events")
            exchange.step()
            play(live, exchange)
    assert live.result is not None
    told = by_market(live.result)
    assert told == by_market(simulation.run())
    expected = [{"new": 0}, {"told": 0}, {"told": 1}, {"told": 2}, {"heard": [0, 1, 2]}]
    assert told == dict.fromkeys((priced().market_id, "1.200000002"), expected)


# -- error handling --------------------------------------------------------------------------------------------------


class Fails(hr.Strategy):
    def check_market_book(self, market: Any, book: Any) -> bool:
        raise ZeroDivisionError("on purpose")


def test_errors_of_strategies_are_rows_and_others_go_on() -> None:
    with venue(market()) as exchange, running(made(exchange, [Fails(), Backs()])) as live:
        play(live, exchange)
        until(lambda: exchange.bets, "the bet of the other strategy")
    assert live.result is not None
    (row,) = live.result.failures.to_pylist()
    assert (row["strategy"], row["error_type"], row["message"]) == ("Fails", "ZeroDivisionError", "on purpose")


def test_raise_errors_ends_the_system_at_the_first_error_of_a_strategy() -> None:
    with venue(market()) as exchange:
        live = made(exchange, [FailsLater()], config=hr.Config(raise_errors=True))
        told: list[BaseException] = []

        def run() -> None:
            try:
                live.run()
            except hr.RunError as error:
                told.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: exchange.bets, "the bet")
        exchange.step()
        thread.join(20)
        assert not thread.is_alive()
        assert [bet.executable for bet in exchange.bets] == [False], "it ends in order: the bet is cancelled"
    assert [str(error).partition(" (")[0] for error in told] == [
        "strategy 'FailsLater' has failed: ZeroDivisionError: on purpose"
    ]
    assert live.result is not None
    (row,) = live.result.failures.to_pylist()
    assert (row["strategy"], row["error_type"], row["count"]) == ("FailsLater", "ZeroDivisionError", row["count"])


class FailsLater(hr.Strategy):
    """Places an order, and fails once it rests."""

    def process_new_market(self, market: Any, book: Any) -> None:
        market.place_order(hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(3.0, 2.0)))

    def process_orders(self, market: Any, orders: Any) -> None:
        if any(order.status is hr.OrderStatus.EXECUTABLE for order in orders):
            raise ZeroDivisionError("on purpose")


def test_raise_errors_ends_the_system_at_an_error_of_a_control() -> None:
    with venue(market()) as exchange:
        live = made(exchange, [Backs()], config=hr.Config(raise_errors=True))
        live.add_client_control(next(iter(live.clients)), Breaks)
        with pytest.raises(hr.RunError, match=r"strategy 'Backs' has failed: ZeroDivisionError: of a control"):
            live.run()
        assert exchange.bets == []


class Breaks(Never):
    def judge(self, instruction: Any, request: Any, account: Any) -> None:
        raise ZeroDivisionError("of a control")


# -- logging and configuration ---------------------------------------------------------------------------------------


def test_log_lines_carry_more_than_their_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="headrace")
    with venue(market()) as exchange, running(made(exchange, [Fails()])) as live:
        play(live, exchange)
    line = next(record for record in caplog.records if "ZeroDivisionError" in record.getMessage())
    assert (line.strategy, line.market_id) == ("Fails", priced().market_id)  # type: ignore[attr-defined]


def test_customer_strategy_ref_goes_with_every_order() -> None:
    config = hr.Config(customer_strategy_ref="of-this-desk")
    with venue(market()) as exchange, running(made(exchange, [Backs()], config=config)) as live:
        play(live, exchange)
        until(lambda: exchange.bets, "a bet")
        assert [bet.strategy_ref for bet in exchange.bets] == ["of-this-desk"]


def test_order_sep_stands_in_every_reference() -> None:
    config = hr.Config(order_sep="+")
    with venue(market()) as exchange, running(made(exchange, [Backs()], config=config)) as live:
        play(live, exchange)
        until(lambda: exchange.bets, "a bet")
        assert "+" in exchange.bets[0].order_ref


def test_async_place_orders_go_with_the_flag() -> None:
    config = hr.Config(async_place_orders=True)
    with venue(market()) as exchange, running(made(exchange, [Backs()], config=config)) as live:
        play(live, exchange)
        until(lambda: exchange.bets, "a bet")
        until(lambda: any(row["bet_id"] for row in live.state()["orders"]), "its number, by the order stream")
        assert exchange.calls("placeOrders")[0]["params"]["async"] is True


class Takes(hr.Strategy):
    """Places a bet, changes it in each way, one after the other, and notes how long each took: milliseconds."""

    def process_new_market(self, market: Any, book: Any) -> None:
        self.order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(3.0, 2.0))
        self.left = [
            ("place", lambda: market.place_order(self.order)),
            ("update", lambda: market.update_order(self.order, "PERSIST")),
            ("replace", lambda: market.replace_order(self.order, 4.0)),
            ("cancel", lambda: market.cancel_order(self.order)),
        ]
        self.go_on(market)

    def go_on(self, market: Any) -> None:
        if self.left:
            self.what, ask = self.left.pop(0)
            self.since = market.clock.now_ms
            ask()

    def process_orders(self, market: Any, orders: Any) -> None:
        latest = self.order.trade.orders[-1]
        ended = latest.status is hr.OrderStatus.EXECUTION_COMPLETE
        done = latest is not self.order if self.what == "replace" else True
        if done and (ended if self.what == "cancel" else latest.status is hr.OrderStatus.EXECUTABLE):
            self.record(market, what=self.what, took=market.clock.now_ms - self.since)
            self.order = latest
            if self.what == "cancel":
                market.framework.stop()
            self.go_on(market)


@pytest.mark.parametrize("paper", [True, False], ids=["paper", "live"])
def test_latencies_are_those_of_paper_accounts(paper: bool) -> None:
    latencies = {"place": 300, "update": 500, "replace": 700, "cancel": 400}
    config = hr.Config(**{f"{each}_latency": ms / 1000 for each, ms in latencies.items()})
    with venue(market()) as exchange:
        result = made(exchange, [Takes(max_order_exposure=None)], paper=paper, config=config).run()
    assert result.failures.num_rows == 0, result.failures.to_pylist()
    took = {row["what"]: row["took"] for row in notes(result)}
    assert list(took) == ["place", "update", "replace", "cancel"]
    as_set = {each: took[each] >= ms for each, ms in latencies.items()}
    assert as_set == dict.fromkeys(latencies, paper), took


class PlacesTwo(hr.Strategy):
    def process_new_market(self, market: Any, book: Any) -> None:
        for selection in (1, 2):
            order = hr.Trade(market.market_id, selection, 0, self).create_order("BACK", hr.LimitOrder(5.0, 2.0))
            market.place_order(order)


@pytest.mark.parametrize(("workers", "at_once"), [(1, False), (2, True)])
def test_max_execution_workers_are_the_calls_about_orders_that_are_under_way_at_once(
    workers: int, at_once: bool
) -> None:
    with venue(market()) as exchange:
        exchange.fault("http.slow", operation="placeOrders", seconds=0.5, times=2)
        with running(made(exchange, [PlacesTwo()], config=hr.Config(max_execution_workers=workers))):
            until(lambda: len(exchange.bets) == 2, "both bets")
        asked = [entry.wall for entry in exchange.entries("REQUEST") if entry.values["operation"] == "placeOrders"]
    assert (asked[1] - asked[0] < 450) is at_once


@pytest.fixture(autouse=True)
def own_instances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "instances"))


class LooksAtAge(hr.Strategy):
    """Compares the age of its orders whenever it is told of them."""

    def process_new_market(self, market: Any, book: Any) -> None:
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(3.0, 2.0))
        market.place_order(order)

    def process_orders(self, market: Any, orders: Any) -> None:
        for order in orders:
            if order.status is hr.OrderStatus.EXECUTABLE:
                self.record(market, old=order.elapsed_seconds > 60)


def test_order_that_the_stream_told_of_first_has_an_age() -> None:
    with venue(market()) as exchange:
        exchange.fault("http.slow", operation="placeOrders", seconds=1.5)
        with running(made(exchange, [LooksAtAge()])) as live:
            until(lambda: any(row["status"] == "EXECUTABLE" for row in live.state()["orders"]), "the bet on the stream")
    assert live.result is not None
    assert live.result.failures.num_rows == 0
    assert {note["old"] for note in notes(live.result)} == {False}

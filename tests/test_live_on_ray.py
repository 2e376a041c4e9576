"""A whole live system on Ray, each actor a process of its own: what its owner adds and overrides is there as well.

One system runs for all tests; they look at what it has left. What the coordinator's process does is noted in files.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import headrace as hr
from builders import priced
from headrace.actors.betfair.execution import Execution
from headrace.actors.streaming.order_stream import OrderStreamRole
from headrace.strategies.messages import ViolationFact
from live_session import made, seen, until
from live_trading import Venue, venue

pytestmark = pytest.mark.ray

#: The folder that processes of the system note things in: it travels with the code.
_NOTES = {"folder": ""}


def write_down(what: str, text: str) -> None:
    with Path(_NOTES["folder"], what).open("a") as file:
        file.write(f"{os.getpid()} {text}\n")


class Files(hr.Strategy):
    """Backs at the price that a file says, and notes where it is."""

    FILE: ClassVar[str] = "price.json"

    def process_new_market(self, market: Any, book: Any) -> None:
        price = json.loads(Path(hr.path(self.FILE)).read_text())
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(price, 2.0))
        market.place_order(order)
        market.place_order(hr.Trade(market.market_id, 2, 0, self).create_order("BACK", hr.LimitOrder(5.0, 9.0)))
        self.record(market, pid=os.getpid())

    def process_custom_event(self, market: Any, event: Any) -> None:
        self.record(market, event=event.event)
        write_down("events", str(event.event))

    def process_market_catalogue(self, market: Any, market_catalogue: Any) -> None:
        self.record(market, catalogue=market_catalogue.market_id)
        write_down("catalogues", market_catalogue.market_id)

    def process_closed_market(self, market: Any, book: Any) -> None:
        self.record(market, marks=market.context["marks"])


class Marks(hr.Middleware):
    """Notes what is offered of runner 2, when it changes."""

    def add_market(self, market: Any) -> None:
        market.context["marks"] = []

    def __call__(self, market: Any) -> None:
        offered, marks = market.market_book.runners[1].ex.available_to_lay, market.context["marks"]
        size = offered[0].size if offered else 0.0
        if marks[-1:] != [size]:
            marks.append(size)


class AtMost(hr.BaseControl):
    NAME = "AT_MOST"

    def _validate(self, order: hr.Order, package_type: Any) -> None:
        if order.order_type.size > self.most:  # type: ignore[attr-defined]
            self._on_error(order, f"more than {self.most}")  # type: ignore[attr-defined]


class Hears(hr.LoggingControl):
    def __call__(self, event: Any) -> None:
        write_down("log", event.name)


class Steps(hr.MarketActor):
    def process_market_orders(self, market: Any) -> None:
        for seat in market.seats:
            seat.strategy.record(market, step="process_market_orders")
        super().process_market_orders(market)


class Office(hr.Coordinator):
    def process_order_package(self, request: Any) -> None:
        self.refused(ViolationFact("office", request.market_id, "OFFICE", request.kind, request.kind, 0))
        super().process_order_package(request)


class Feed(hr.BaseStream):
    """Brings three events once a file is there."""

    def run(self) -> None:
        while not Path(_NOTES["folder"], "go").exists():
            time.sleep(0.01)
        for number in range(3):
            self.flumine.handler_queue.put(hr.CustomEvent(number))


class NotedOrders(OrderStreamRole):
    def received(self, connection: Any, batch: Any) -> None:
        write_down("orders", str(len(batch.changes)))
        super().received(connection, batch)


class NotedCalls(Execution):
    def execute_place(self, request: Any) -> None:
        write_down("calls", request.kind)
        super().execute_place(request)


def beat(context: dict[str, Any], framework: Any) -> None:
    context["beats"] += 1
    write_down("beats", str(context["beats"]))


class Left:
    """What the system has left."""

    def __init__(self, result: hr.Result, exchange_bets: list[Any], folder: Path) -> None:
        self.result, self.bets, self._folder = result, exchange_bets, folder

    @property
    def notes(self) -> list[dict[str, Any]]:
        return [json.loads(row["record"]) for row in self.result.records.to_pylist()]

    def noted(self, what: str) -> list[str]:
        """What was noted, without the processes."""
        return [line.split(" ", 1)[1] for line in (self._folder / what).read_text().splitlines()]

    def process(self, what: str) -> int:
        """The process that has noted it; there is one."""
        (found,) = {int(line.split(" ", 1)[0]) for line in (self._folder / what).read_text().splitlines()}
        return found


def lines(file: Path) -> int:
    """How many there are."""
    return len(file.read_text().splitlines()) if file.exists() else 0


def system(exchange: Venue, folder: Path) -> hr.Live:
    (folder / Files.FILE).write_text("3.5")
    client = {"order_stream_cls": NotedOrders, "execution_cls": NotedCalls}
    live = made(
        exchange,
        [Files()],
        client=client,
        engine="ray",
        instance=folder / "instance",
        files=[folder / Files.FILE],
        market_actor=Steps,
        coordinator=Office,
        config=hr.Config(max_market_actors=1),
    )
    live.add_market_middleware(Marks())
    live.add_trading_control(AtMost, most=5.0)
    live.add_logging_control(Hears())
    live.add_worker(hr.BackgroundWorker(live, beat, interval=0.05, context={"beats": 10}))
    live.streams.add_custom_stream(Feed(live, custom=True))
    return live


@pytest.fixture(scope="module")
def left(ray_local: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    folder = tmp_path_factory.mktemp("on-ray")
    _NOTES["folder"] = str(folder)
    stream = priced().prices(400, {2: {"atl": [[1.9, 60]]}}).close()
    with venue(stream, played=1) as exchange, system(exchange, folder) as live:
        until(lambda: seen(live), "the market")
        exchange.step()
        until(lambda: any(row["status"] == "EXECUTABLE" for row in live.state()["orders"]), "the bet")
        (folder / "go").touch()
        until(lambda: lines(folder / "events") == 3, "the events")
        until(lambda: lines(folder / "catalogues") == 1, "the catalogue")
        exchange.step(5)
        until(lambda: any(row["status"] == "CLOSED" for row in live.state()["markets"]), "the end of the market")
        bets = exchange.bets
        live.end()
        assert live.result is not None
        yield Left(live.result, bets, folder)


def test_nothing_has_failed(left: Left) -> None:
    assert left.result.failures.to_pylist() == []


def test_files_of_the_run_are_at_the_hosts(left: Left) -> None:
    assert [bet.price for bet in left.bets] == [3.5]
    (order,) = [row for row in left.result.orders.to_pylist() if row["bet_id"]]
    assert (order["price"], order["bet_id"]) == (3.5, left.bets[0].bet_id)


def test_hosts_coordinator_and_streams_are_processes_of_their_own(left: Left) -> None:
    (host,) = {note["pid"] for note in left.notes if "pid" in note}
    assert len({host, left.process("log"), left.process("orders"), os.getpid()}) == 4
    assert left.process("beats") == left.process("log") == left.process("calls")


def test_middleware_sees_every_change(left: Left) -> None:
    assert [note["marks"] for note in left.notes if "marks" in note] == [[0.0, 50.0, 60.0]]


def test_controls_refuse_at_the_hosts(left: Left) -> None:
    refused = {(row["control"], row["reason"]) for row in left.result.violations.to_pylist()}
    assert ("AT_MOST", "more than 5.0") in refused


def test_steps_of_actor_and_coordinator_are_taken(left: Left) -> None:
    assert "process_market_orders" in {note.get("step") for note in left.notes}
    assert "PLACE" in {row["reason"] for row in left.result.violations.to_pylist() if row["control"] == "OFFICE"}


def test_logging_control_hears_of_the_whole_session_in_the_coordinator(left: Left) -> None:
    told = left.noted("log")
    assert set(told) >= {"config", "strategy", "market", "trade", "order", "custom_event", "closed_market", "end"}
    assert (told.count("config"), told.count("market"), told.count("end")) == (1, 1, 1)


def test_worker_beats_with_its_context(left: Left) -> None:
    assert left.noted("beats")[:3] == ["11", "12", "13"]


def test_custom_stream_brings_events_to_strategies_in_order(left: Left) -> None:
    assert [note["event"] for note in left.notes if "event" in note] == [0, 1, 2]


def test_catalogue_comes_to_the_market(left: Left) -> None:
    assert [note["catalogue"] for note in left.notes if "catalogue" in note] == [priced().market_id]


def test_executions_and_order_streams_of_ones_own_are_used(left: Left) -> None:
    assert left.noted("calls") == ["PLACE"]
    assert left.noted("orders") != []

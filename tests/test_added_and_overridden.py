"""What a user adds to a run and what a user may override, in one process and on Ray."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import T0, priced, write
from common_strategies import BacksAtFirstPrices
from headrace.strategies.messages import ViolationFact


class OfClient(BacksAtFirstPrices):
    """Backs for one of several clients."""

    client_name: str = ""

    def process_market_book(self, market: Any, book: Any) -> None:
        client = self.clients.get_client(hr.VenueType.SIMULATED, self.client_name) if self.client_name else None
        order = hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(2.0, 2.0))
        market.place_order(order, client=client)


def simulation(markets: Any, engine: str = "local", strategies: Any = None, **settings: Any) -> hr.Simulation:
    made = hr.Simulation(markets, engine=engine, workers=2, **settings)
    made.add_client(hr.SimulatedClient())
    for strategy in strategies or [OfClient()]:
        made.add_strategy(strategy)
    return made


@pytest.fixture
def markets(tmp_path: Path) -> Path:
    folder = tmp_path / "markets"
    folder.mkdir()
    write(folder, *(priced(market_id=f"1.10000000{number}").touch(400).touch(800).close() for number in (1, 2)))
    return folder


def notes(result: hr.Result) -> Counter[str]:
    """Steps that were noted as records, and how often."""
    return Counter(row["record"] for row in result.records.to_pylist())


# -- the seven functions ---------------------------------------------------------------------------------------------


class Refuses(hr.BaseControl):
    NAME = "REFUSES"

    def _validate(self, order: hr.Order, package_type: Any) -> None:
        if order.order_type.size > self.most:  # type: ignore[attr-defined]
            self._on_error(order, f"more than {self.most}")  # type: ignore[attr-defined]


class Marks(hr.Middleware):
    def __call__(self, market: Any) -> None:
        market.context["marked"] = market.context.get("marked", 0) + 1


class ShowsMarks(hr.Strategy):
    def process_closed_market(self, market: Any, book: Any) -> None:
        self.record(market, marked=market.context["marked"])


def beat(context: Any, framework: Any) -> None:
    context["beats"] = context.get("beats", 0) + 1
    for market in framework.markets:
        for strategy in framework.strategies:
            strategy.record(market, beat=context["beats"])


def test_added_strategies_trade(markets: Path) -> None:
    result = simulation(markets, strategies=[OfClient(), OfClient(name="second")]).run()
    assert Counter(result.orders["strategy"].to_pylist()) == {"OfClient": 2, "second": 2}


def test_added_clients_have_their_own_orders(markets: Path) -> None:
    run = simulation(markets, strategies=[OfClient(), OfClient(name="second", client_name="other")])
    run.add_client(hr.SimulatedClient(username="other"))
    rows = run.run().orders.to_pylist()
    assert {(row["strategy"], row["client"]) for row in rows} == {("OfClient", "simulated"), ("second", "other")}


def test_added_trading_control_refuses_with_its_settings(markets: Path) -> None:
    run = simulation(markets)
    run.add_trading_control(Refuses, most=1.0)
    result = run.run()
    assert result.orders.num_rows == 0
    rows = {(row["control"], row["reason"]) for row in result.violations.to_pylist()}
    assert rows == {("REFUSES", "more than 1.0")}


def test_added_client_control_refuses_its_client_only(markets: Path) -> None:
    run = simulation(markets, strategies=[OfClient(), OfClient(name="second", client_name="other")])
    other = hr.SimulatedClient(username="other")
    run.add_client(other)
    run.add_client_control(other, ClientRefuses)
    result = run.run()
    assert set(result.orders["client"].to_pylist()) == {"simulated"}
    assert Counter((row["strategy"], row["control"]) for row in result.violations.to_pylist()) == {
        ("second", "NOT_THIS_CLIENT"): 2
    }


class ClientRefuses(hr.BaseControl):
    NAME = "NOT_THIS_CLIENT"

    def __init__(self, framework: Any, client: Any) -> None:
        super().__init__(framework, client=client)

    def _validate(self, order: hr.Order, package_type: Any) -> None:
        self._on_error(order, "no")


def test_added_middleware_sees_every_change(markets: Path) -> None:
    run = simulation(markets, strategies=[ShowsMarks()])
    run.add_market_middleware(Marks())
    assert run.run().records["record"].to_pylist() == ['{"marked":4}'] * 2


def test_added_worker_beats_in_every_unit(markets: Path) -> None:
    run = simulation(markets)
    run.add_worker(hr.BackgroundWorker(run, beat, interval=0.3))
    assert notes(run.run())['{"beat":1}'] == 2


class Hears(hr.LoggingControl):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def _process_closed_market(self, event: Any) -> None:
        self.told.append(event.event.market_id)


def test_added_logging_control_hears_of_every_market(markets: Path) -> None:
    control = Hears()
    run = simulation(markets)
    run.add_logging_control(control)
    run.run()
    assert sorted(control.told) == ["1.100000001", "1.100000002"]


def test_a_class_in_place_of_a_strategy_is_told_by_backtest_as_well() -> None:
    with pytest.raises(hr.InputError, match=r"OfClient is a class; add an instance: OfClient\(\.\.\.\)"):
        hr.backtest(OfClient, markets="anywhere")  # type: ignore[arg-type]
    with pytest.raises(hr.InputError, match="5 is not a strategy; subclass headrace"):
        hr.backtest(5, markets="anywhere")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (lambda run: run.add_client("bob"), "'bob' is not a client; make one with SimulatedClient"),
        (lambda run: run.add_strategy(OfClient), "OfClient is a class; add an instance"),
        (lambda run: run.add_strategy(None), "None is not a strategy; subclass headrace.Strategy"),
        (lambda run: run.add_worker(print), "is not a worker; make one with headrace.BackgroundWorker"),
        (lambda run: run.add_stream(print), "is not a stream; subclass headrace.BaseStream"),
        (lambda run: run.add_client_control(hr.SimulatedClient(), Refuses), "add_client comes first"),
        (lambda run: run.add_trading_control(Marks()), "is not a control; pass a class"),
        (lambda run: run.add_trading_control(Marks), "is not a control; pass a class"),
        (lambda run: run.add_market_middleware(Marks), "is not middleware; add an instance"),
        (lambda run: run.add_logging_control(Hears), "is not a logging control; add an instance"),
    ],
)
def test_what_cannot_be_added_is_refused_at_once(markets: Path, add: Any, message: str) -> None:
    with pytest.raises(hr.HeadraceError, match=message):
        add(simulation(markets))


@pytest.mark.ray
def test_all_that_is_added_goes_with_the_run_to_other_processes(ray_local: None, markets: Path) -> None:
    digests, heard = [], []
    for engine in ("local", "ray"):
        run = simulation(markets, engine, [OfClient(), OfClient(name="second", client_name="other"), ShowsMarks()])
        other, control = hr.SimulatedClient(username="other"), Hears()
        run.add_client(other)
        run.add_client_control(other, ClientRefuses)
        run.add_trading_control(Refuses, most=5.0)
        run.add_market_middleware(Marks())
        run.add_worker(hr.BackgroundWorker(run, beat, interval=0.3))
        run.add_logging_control(control)
        result = run.run()
        assert result.orders["client"].to_pylist() == ["simulated"] * 2
        assert result.failures.num_rows == 0
        digests.append(result.digest)
        heard.append(sorted(control.told))
    assert digests[0] == digests[1]
    assert heard == [["1.100000001", "1.100000002"]] * 2


# -- steps -----------------------------------------------------------------------------------------------------------


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
        note(market, f"process_market_catalogues {market_catalogue.market_name}")
        super().process_market_catalogues(market, market_catalogue)

    def process_sports_data(self, market: Any, sports_data: Any) -> None:
        note(market, f"process_sports_data {sports_data.event_id}")
        super().process_sports_data(market, sports_data)

    def process_raw_data(self, market: Any, clk: str, publish_time: int, datum: Any) -> None:
        note(market, f"process_raw_data {publish_time - T0}")
        super().process_raw_data(market, clk, publish_time, datum)


class Office(hr.Coordinator):
    """Notes its steps as violations: what it is told are messages, and that is a table of its own."""

    def note(self, market_id: str, step: str) -> None:
        self.refused(ViolationFact("office", market_id, "OFFICE", step, step, 0))

    def add_market(self, market: Any) -> None:
        self.market_id = market.market_id
        self.note(market.market_id, f"add_market {market.what}")
        super().add_market(market)

    def remove_market(self, market: Any) -> None:
        self.note(market.market_id, f"remove_market {market.what}")
        super().remove_market(market)

    def process_order_package(self, request: Any) -> None:
        self.note(request.market_id, f"process_order_package {request.kind}")
        super().process_order_package(request)

    def process_custom_event(self, event: Any) -> None:
        self.note(self.market_id, f"process_custom_event {event.event}")
        super().process_custom_event(event)

    def process_cleared_orders(self, market_id: str, orders: Any) -> None:
        self.note(market_id, f"process_cleared_orders of {orders[0].runner_status}")
        super().process_cleared_orders(market_id, orders)

    def process_cleared_markets(self, market_id: str, markets: Any) -> None:
        self.note(market_id, f"process_cleared_markets of {markets[0].username}")
        super().process_cleared_markets(market_id, markets)

    def process_end(self) -> None:
        END.append(len(self.clients))
        super().process_end()


END: list[int] = []


def steps(result: hr.Result) -> Counter[str]:
    found = Counter(json.loads(row["record"])["step"] for row in result.records.to_pylist())
    for row in result.violations.to_pylist():
        found[row["reason"]] += row["count"]
    return found


def test_steps_of_actor_and_coordinator_are_taken(engine: str, markets: Path, tmp_path: Path) -> None:
    (tmp_path / "catalogues").mkdir()
    (tmp_path / "sports").mkdir()
    for name in ("1.100000001", "1.100000002"):
        (tmp_path / "catalogues" / f"{name}.json").write_text(f'{{"marketId": "{name}", "marketName": "5f"}}')
        (tmp_path / "sports" / name).write_text(
            f'{{"op":"ccm","pt":{T0 + 200},"cc":[{{"eventId":"77","marketId":"{name}"}}]}}\n'
        )
    run = simulation(
        markets,
        engine,
        market_actor=Steps,
        coordinator=Office,
        catalogues=tmp_path / "catalogues",
        sports_data=tmp_path / "sports",
    )
    run.handler_queue.put(hr.CustomEvent("rain", publish_time=T0 + 300))
    result = run.run()
    assert result.failures.num_rows == 0
    found = {step: count / 2 for step, count in steps(result).items()}
    assert found == {
        "add_market OPENED": 1,
        "remove_market REMOVED": 1,
        "process_market_books": 4,
        "process_market_orders": 5,
        "process_current_orders": 5,
        "process_market_catalogues 5f": 1,
        "process_sports_data 77": 1,
        "process_custom_event rain": 1,
        "process_order_package PLACE": 1,
        "process_close_market": 1,
        "process_cleared_orders of WINNER": 1,
        "process_cleared_markets of simulated": 1,
    }


def test_coordinator_is_told_of_the_end_of_each_unit(markets: Path) -> None:
    END.clear()
    simulation(markets, coordinator=Office).run()
    assert END == [1, 1]


def test_coordinator_may_hold_orders_back(markets: Path) -> None:
    result = simulation(markets, coordinator=Holds).run()
    assert result.orders["bet_id"].to_pylist() == [None, None]


class Holds(hr.Coordinator):
    def process_order_package(self, package: Any) -> None:
        """Sends nothing."""


class Raw(hr.Strategy):
    def process_raw_data(self, clk: str, publish_time: int, datum: Any) -> None:
        """Wants raw data."""


def test_raw_data_is_a_step(markets: Path) -> None:
    result = simulation(markets, strategies=[Raw(stream_class=hr.DataStream)], market_actor=Steps).run()
    raw = {step: count for step, count in steps(result).items() if step.startswith("process_raw_data")}
    assert raw == {f"process_raw_data {at}": 2 for at in (0, 100, 400, 800, 9000)}


def test_actor_of_ones_own_may_keep_books_from_strategies(markets: Path) -> None:
    assert simulation(markets, market_actor=Blind).run().orders.num_rows == 0


class Blind(hr.MarketActor):
    def process_market_books(self, market: Any, book: Any) -> None:
        """Shows nothing."""


def test_custom_events_reach_only_the_market_they_name(markets: Path) -> None:
    run = simulation(markets, coordinator=Office)
    run.handler_queue.put(hr.CustomEvent("x", market_ids=["1.100000002"], publish_time=T0 + 300))
    rows = [row for row in run.run().violations.to_pylist() if "process_custom_event" in row["reason"]]
    assert [row["market_id"] for row in rows] == ["1.100000002"]

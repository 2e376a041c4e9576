"""The loop of a run: callbacks in their order, markets merged in time, middleware, logging controls, timers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import FLUMINE, MARKET, START, T0, Stream, at_sp, back, priced, replay
from common_strategies import BacksAtOnce

CALLBACKS = (
    "process_new_market",
    "check_market_book",
    "process_market_book",
    "process_orders",
    "process_closed_market",
)


def recorder(told: list[Any], name: str = "Recorder", **members: Any) -> hr.Strategy:
    """A strategy that tells of each callback: time after T0, callback, market."""

    def teller(callback: str) -> Callable[..., bool]:
        def tell(self: Any, market: Any, *rest: Any) -> bool:
            told.append((market.clock.now_ms - T0, callback, market.market_id))
            return True

        return tell

    return type(name, (hr.Strategy,), {**{each: teller(each) for each in CALLBACKS}, **members})()


def test_callbacks_of_a_market_come_in_their_order() -> None:
    told: list[Any] = []
    replay(priced().touch(400).close(500), {100: [back("a", 3.0, 5.0)]}, strategies=[recorder(told)])
    assert [(at, callback) for at, callback, _ in told] == [
        (0, "process_new_market"),
        (0, "check_market_book"),
        (0, "process_market_book"),
        (100, "check_market_book"),
        (100, "process_market_book"),
        (400, "check_market_book"),
        (400, "process_market_book"),
        (500, "process_closed_market"),
    ]


def test_strategies_are_called_in_the_order_of_the_run() -> None:
    told: list[Any] = []

    def note(name: str) -> Any:
        return type(name, (hr.Strategy,), {"process_new_market": lambda self, *_: told.append(name)})()

    replay(priced(), strategies=[note("B"), note("A"), note("C")])
    assert told == ["B", "A", "C"]


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
def test_markets_of_an_event_are_replayed_in_time_order(config: hr.Config) -> None:
    told: list[Any] = []
    first = Stream("1.1").touch(200).touch(400).close(900)
    second = Stream("1.2").touch(100).touch(300).touch(400).close(800)
    replay([first, second], config=config, strategies=[recorder(told, scope="event")])
    books = [(at, market_id) for at, callback, market_id in told if callback == "check_market_book"]
    assert books == [(0, "1.1"), (0, "1.2"), (100, "1.2"), (200, "1.1"), (300, "1.2"), (400, "1.1"), (400, "1.2")]
    closes = [(at, market_id) for at, callback, market_id in told if callback == "process_closed_market"]
    assert closes == [(800, "1.2"), (900, "1.1")]


def test_market_knows_the_others_of_its_event() -> None:
    found: list[Any] = []

    class Sibling(hr.Strategy):
        scope = "event"

        def check_market_book(self, market: Any, book: Any) -> bool:
            found.append({kind: [each.market_id for each in markets] for kind, markets in market.event.items()})
            return False

    replay([Stream("1.1").touch(200), Stream("1.2", marketType="PLACE").touch(100)], strategies=[Sibling()])
    *_, last = found
    assert last == {"WIN": ["1.1"], "PLACE": ["1.2"]}


@pytest.mark.parametrize(("sport", "together"), [("7", ["1.1"]), ("1", ["1.1", "1.2"])])
def test_event_holds_markets_of_one_start_but_in_football(sport: str, together: list[str]) -> None:
    found: list[Any] = []

    class Sibling(hr.Strategy):
        def check_market_book(self, market: Any, book: Any) -> bool:
            found.append((market.market_id, [each.market_id for each in market.event["WIN"]]))
            return False

    later = Stream("1.2", eventTypeId=sport, marketTime="2023-11-14T23:00:00.000Z").touch(200)
    replay([Stream("1.1", eventTypeId=sport).touch(100), later], strategies=[Sibling()])
    assert dict(found)["1.1"] == together


def write(folder: Path, *streams: Stream) -> Path:
    for stream in streams:
        stream.write(folder / stream.market_id)
    return folder


@pytest.mark.parametrize(
    ("settings", "members", "order"),
    [
        ({}, {}, ["1.1", "1.1", "1.2", "1.2"]),
        ({}, {"scope": "event"}, ["1.1", "1.2", "1.2", "1.1"]),
        ({"market_filter": {"event_processing": True}}, {}, ["1.1", "1.2", "1.2", "1.1"]),
        ({"market_filter": {"event_groups": {"99": "a"}}}, {}, ["1.1", "1.2", "1.2", "1.1"]),
    ],
    ids=["alone", "scope", "event_processing", "event_groups"],
)
def test_files_of_an_event_are_merged_where_asked(
    tmp_path: Path, settings: Any, members: Any, order: list[str]
) -> None:
    told: list[Any] = []
    made = type(recorder(told, **members))(**settings)
    folder = write(tmp_path, Stream("1.1").touch(200).close(), Stream("1.2").touch(100).close())
    hr.backtest(made, folder, engine="local")
    assert [market_id for _, callback, market_id in told if callback == "check_market_book"] == order


def test_event_groups_join_events(tmp_path: Path) -> None:
    told: list[Any] = []
    made = type(recorder(told, scope="event"))(market_filter={"event_groups": {"98": "a", "99": "a"}})
    first, second = Stream("1.1", eventId="98").touch(200).close(), Stream("1.2", eventId="99").touch(100).close()
    hr.backtest(made, write(tmp_path, first, second), engine="local")
    books = [market_id for _, callback, market_id in told if callback == "check_market_book"]
    assert books == ["1.1", "1.2", "1.2", "1.1"]


# -- facts of a market -----------------------------------------------------------------------------------------------


def test_market_tells_what_it_is() -> None:
    market = replay(Stream(venue="Ascot", name="2m Hcap", eventName="Ascot 14th Nov", raceType="Flat")).market
    facts = (market.event_id, market.event_type_id, market.market_type, market.country_code, market.venue)
    assert facts == ("99", "7", "WIN", "GB", "Ascot")
    assert (market.market_name, market.event_name, market.race_type) == ("2m Hcap", "Ascot 14th Nov", "Flat")
    assert market.market_start_datetime.isoformat() == "2023-11-14T22:20:00+00:00"
    assert market.market_start_hour_minute == "2220"


def test_seconds_to_start_follow_the_clock_and_the_definition() -> None:
    seconds: list[float] = []
    stream = Stream().touch(100_000).define(200_000, marketTime="2023-11-14T22:21:00.000Z")
    look = [lambda script, market: seconds.append(market.seconds_to_start)]
    replay(stream, {0: look, 100_000: look, 200_000: look})
    assert seconds == [START / 1000, START / 1000 - 100, START / 1000 - 140]


def test_elapsed_seconds_closed_are_none_until_the_close() -> None:
    market = replay(priced()).market
    assert market.elapsed_seconds_closed is None
    assert replay(priced().close()).market.elapsed_seconds_closed == 0.0


def test_chance_is_seeded_by_run_and_market() -> None:
    def draw(seed: int, market_id: str) -> list[float]:
        drawn: list[float] = []
        look = [lambda script, market: drawn.append(market.random.random())]
        replay(Stream(market_id).touch(100), {0: look, 100: look}, config=hr.Config(seed=seed))
        return drawn

    assert draw(1, "1.1") == draw(1, "1.1")
    assert len({*draw(1, "1.1"), *draw(2, "1.1"), *draw(1, "1.2")}) == 6


# -- timers ----------------------------------------------------------------------------------------------------------


def test_timer_runs_at_its_time_between_books() -> None:
    ran: list[int] = []

    def plan(script: Any, market: Any) -> None:
        market.call_later(0.3, lambda: ran.append(market.clock.now_ms - T0))
        market.call_later(0.1, lambda: ran.append(market.clock.now_ms - T0))
        market.call_later(60, lambda: ran.append(-1))

    replay(priced().touch(1000).close(), {100: [plan]})
    assert ran == [200, 400]


def test_timer_into_the_past_is_an_error() -> None:
    def plan(script: Any, market: Any) -> None:
        with pytest.raises(ValueError, match="0 or more"):
            market.call_later(-1, print)

    replay(priced(), {100: [plan]})


def test_error_in_a_timer_is_a_failure_and_stops_nothing() -> None:
    def plan(script: Any, market: Any) -> None:
        market.call_later(0.1, lambda: 1 / 0)

    played = replay(priced().touch(1000).touch(2000), {100: [plan]}, failing=True)
    assert [row.error_type for row in played.failures] == ["ZeroDivisionError"]
    assert list(played.snapshots) == [0, 100, 1000, 2000]


# -- middleware ------------------------------------------------------------------------------------------------------


class Tells(hr.Middleware):
    def __init__(self, told: list[Any], fail: bool = False) -> None:
        self.told, self.fail = told, fail

    def __call__(self, market: Any) -> None:
        matched = [order.size_matched for order in market.blotter]
        self.told.append(("call", market.market_book.publish_time_epoch - T0, matched))
        market.context["seen"] = market.context.get("seen", 0) + 1
        if self.fail:
            raise OSError("no more")

    def add_market(self, market: Any) -> None:
        self.told.append(("add", market.market_id))

    def remove_market(self, market: Any) -> None:
        self.told.append(("remove", market.market_id))


def test_middleware_sees_each_book_after_matching_and_before_strategies() -> None:
    told: list[Any] = []
    seen: list[int] = []
    look = [lambda script, market: seen.append(market.context["seen"])]
    actions = {0: look, 100: [*look, back("a", 2.0, 5.0)], 400: look}
    replay(priced().touch(400).close(), actions, setup={"middleware": [Tells(told)]})
    assert seen == [1, 2, 3]
    assert told == [("add", MARKET), ("call", 0, []), ("call", 100, []), ("call", 400, [5.0]), ("remove", MARKET)]


def test_failing_middleware_is_one_row_and_stops_nothing() -> None:
    setup = {"middleware": [Tells([], fail=True)]}
    played = replay(priced().touch(400).close(), {100: [back("a", 2.0, 5.0)]}, setup=setup, failing=True)
    assert [(row.strategy, row.error_type, row.count) for row in played.failures] == [(None, "OSError", 3)]
    assert played["a"].profit == 5.0


def test_middleware_is_told_of_the_end_of_a_market_that_never_closed() -> None:
    told: list[Any] = []
    replay(priced(), setup={"middleware": [Tells(told)]})
    assert told[-1] == ("remove", MARKET)


# -- logging controls ------------------------------------------------------------------------------------------------


class Log(hr.LoggingControl):
    def __init__(self, told: list[str], fail: bool = False) -> None:
        self.told, self.fail = told, fail

    def __call__(self, event: Any) -> None:
        self.told.append(event.name)
        super().__call__(event)

    def _process_order(self, event: Any) -> None:
        self.told.append(event.event.bet_id)
        if self.fail:
            raise OSError("disk full")


def logged(tmp_path: Path, *controls: hr.LoggingControl) -> hr.Result:
    simulation = hr.Simulation(priced().touch(400).close().write(tmp_path / MARKET))
    simulation.add_client(hr.SimulatedClient())
    simulation.add_strategy(BacksAtOnce())
    for control in controls:
        simulation.add_logging_control(control)
    return simulation.run()


def test_logging_control_hears_of_everything_in_order(tmp_path: Path) -> None:
    told: list[str] = []
    logged(tmp_path, Log(told))
    assert told == [
        "config",
        "strategy",
        "market",
        "trade",
        "order",
        "100000000001",
        "cleared_orders_meta",
        "cleared_markets",
        "closed_market",
        "end",
    ]


def test_failing_logging_control_stops_neither_the_run_nor_the_others(tmp_path: Path) -> None:
    told: list[str] = []
    result = logged(tmp_path, Log([], fail=True), Log(told))
    assert told[-1] == "end"
    assert result.markets["profit"].to_pylist() == [2.0]


# -- clients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "config", "commission"),
    [
        ({}, hr.Config(), 0.25),
        ({"commission_base": 0.02}, hr.Config(), 0.1),
        ({}, FLUMINE, 0.25),
    ],
)
def test_commission_is_the_markets_rate_unless_the_client_has_its_own(
    client: Any, config: hr.Config, commission: float
) -> None:
    stream = priced(marketBaseRate=5).touch(400).close()
    played = replay(stream, {100: [back("a", 2.0, 5.0)]}, client=hr.SimulatedClient(**client), config=config)
    assert played.cleared["commission"] == commission


def test_losing_market_costs_no_commission() -> None:
    played = replay(priced().touch(400).close(winner=2), {100: [back("a", 2.0, 5.0)]})
    assert (played.cleared["profit"], played.cleared["commission"]) == (-5.0, 0.0)
    assert played.cleared["betOutcome"] == "LOST"


def test_commission_is_the_peers_under_compatibility_whatever_the_markets_rate() -> None:
    stream = priced(marketBaseRate=2).touch(400).close()
    actions = {100: [back("a", 2.0, 5.0)]}
    assert replay(stream, actions).cleared["commission"] == 0.1
    assert replay(stream, actions, config=FLUMINE).cleared["commission"] == 0.25


def test_clients_are_found_and_each_has_its_orders(tmp_path: Path) -> None:
    class Both(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            for client in (None, self.clients.get_client(hr.VenueType.SIMULATED, "second")):
                order = hr.Trade(MARKET, 1, 0, self).create_order("BACK", hr.LimitOrder(2.0, 2.0))
                market.place_order(order, client=client)

    simulation = hr.Simulation(priced().touch(400).close().write(tmp_path / MARKET), engine="local")
    simulation.add_client(hr.SimulatedClient(username="first"))
    simulation.add_client(hr.SimulatedClient(username="second"))
    simulation.add_strategy(Both(max_live_trade_count=2))
    assert simulation.run().orders["client"].to_pylist() == ["first", "second"]


def test_client_of_a_name_that_is_there_is_refused(tmp_path: Path) -> None:
    simulation = hr.Simulation(tmp_path, engine="local")
    simulation.add_client(hr.SimulatedClient(username="first"))
    with pytest.raises(hr.ClientError, match="'first' of Simulated was added before"):
        simulation.add_client(hr.SimulatedClient(username="first"))


def test_client_that_is_not_simulated_is_refused(tmp_path: Path) -> None:
    simulation = hr.Simulation(tmp_path, engine="local")
    simulation.add_client(hr.BaseClient(username="real"))
    simulation.add_strategy(hr.Strategy())
    with pytest.raises(hr.ClientError, match="simulated clients only"):
        simulation.run()


# -- what a user may replace -----------------------------------------------------------------------------------------


def test_steps_of_the_actor_and_the_coordinator_can_be_overridden(tmp_path: Path) -> None:
    told: list[str] = []

    class Actor(hr.MarketActor):
        def process_close_market(self, market: Any) -> None:
            told.append("close")
            super().process_close_market(market)

    class Office(hr.Coordinator):
        def add_market(self, market: Any) -> None:
            told.append("add")
            super().add_market(market)

        def process_end(self) -> None:
            told.append("end")

    path = priced().close().write(tmp_path / MARKET)
    simulation = hr.Simulation(path, engine="local", market_actor=Actor, coordinator=Office)
    simulation.add_client(hr.SimulatedClient())
    simulation.add_strategy(hr.Strategy())
    simulation.run()
    assert told == ["add", "close", "end"]


def test_models_of_the_exchange_can_be_replaced() -> None:
    class FrontOfQueue(hr.QueueModel):
        def ahead(self, levels: Any, price: float) -> float:
            return 0.0

    stream = priced().touch(400).prices(500, {1: {"trd": [[2.1, 20]]}}).close()
    actions = {100: [back("a", 2.1, 5.0)]}
    assert replay(stream, actions)["a"].size_matched == 0.0
    models = {"models": hr.Models(queue=FrontOfQueue())}
    assert replay(stream, actions, setup=models)["a"].size_matched == 5.0


def test_start_is_called_on_the_prototype_and_add_and_finish_on_the_users_instance(tmp_path: Path) -> None:
    told: list[Any] = []

    class Lives(hr.Strategy):
        def add(self, framework: Any) -> None:
            told.append(("add", self is mine))

        def start(self, framework: Any) -> None:
            self.started = True
            told.append(("start", framework.config.seed))

        def process_new_market(self, market: Any, book: Any) -> None:
            told.append(("market", self.started, self is mine))

        def finish(self, framework: Any) -> None:
            told.append(("finish", self is mine, framework.result is not None))

    mine = Lives()
    hr.backtest(mine, priced().close().write(tmp_path / MARKET), engine="local", config=hr.Config(seed=9))
    assert told == [("add", True), ("start", 9), ("market", True, False), ("finish", True, True)]


def test_order_row_tells_the_market_as_it_was_at_the_request(tmp_path: Path) -> None:
    class Noted(hr.Strategy):
        def check_market_book(self, market: Any, book: Any) -> bool:
            return book.publish_time_epoch == T0 + 100

        def process_market_book(self, market: Any, book: Any) -> None:
            trade = hr.Trade(MARKET, 1, 0, self, notes={"why": "value"})
            market.place_order(trade.create_order("BACK", hr.LimitOrder(2.1, 2.0), notes={"edge": 0.1}))

    path = priced(venue="Ascot").touch(400).close().write(tmp_path / MARKET)
    (row,) = hr.backtest(Noted(), path, engine="local").orders.to_pylist()
    assert (row["best_back"], row["best_lay"], row["queue_ahead"]) == (2.0, 2.1, 6.0)
    assert (row["seconds_to_start"], row["inplay"], row["notes"], row["venue"]) == (399.9, False, "value,0.1", "Ascot")
    assert (row["status"], row["size_lapsed"], row["price"], row["liability"]) == ("EXECUTION_COMPLETE", 2.0, 2.1, None)


def test_starting_price_order_row_has_its_liability() -> None:
    played = replay(priced().touch(400).close(), {100: [at_sp("a", "LAY", 20.0)]})
    assert played["a"].size_lapsed == 20.0
    assert played["a"].requested_size == 20.0

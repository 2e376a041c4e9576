"""Custom streams and events, and background workers on the market's clock."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from builders import FLUMINE, T0, priced, replay, write


class Listener(hr.Strategy):
    """Records what it hears, with the time of the market's clock."""

    def process_new_market(self, market: Any, book: Any) -> None:
        self.market = market

    def check_market_book(self, market: Any, book: Any) -> bool:
        self.record(market, book=book.publish_time_epoch - T0)
        return False

    def process_my_event(self, event: Any) -> None:
        self.record(self.market, heard=event.event)

    def process_custom_event(self, market: Any, event: Any) -> None:
        self.record(market, own=event.event)


def tell(framework: Any, event: Any) -> None:
    for strategy in framework.strategies:
        strategy.process_my_event(event)


@pytest.fixture
def markets(tmp_path: Path) -> Path:
    folder = tmp_path / "markets"
    folder.mkdir()
    write(
        folder,
        *(priced(market_id=f"1.10000000{number}", eventId="9").touch(400).touch(800).close() for number in (1, 2)),
    )
    return folder


def simulation(markets: Path, strategy: hr.Strategy | None = None, **settings: Any) -> hr.Simulation:
    made = hr.Simulation(markets, **{"engine": "local", "workers": 2, **settings})
    made.add_client(hr.SimulatedClient())
    made.add_strategy(strategy or Listener())
    return made


def heard(result: hr.Result, market_id: str | None = None) -> list[tuple[int, dict[str, Any]]]:
    return [
        (round(row["time"].timestamp() * 1000) - T0, json.loads(row["record"]))
        for row in result.records.to_pylist()
        if market_id in (None, row["market_id"])
    ]


# -- streams ---------------------------------------------------------------------------------------------------------


def documented(framework: Any) -> None:
    """flumine's example, as printed but for its imports."""

    def api_call() -> Any:
        return {"rain": 3}

    class CustomStream(hr.BaseStream):
        def run(self) -> None:
            # connect to stream / make API requests etc.
            response = api_call()

            # callback func
            def callback(framework: Any, event: Any) -> None:
                for strategy in framework.strategies:
                    strategy.process_my_event(event)

            # push results through using custom event
            event = hr.CustomEvent(response, callback)

            # put in main queue
            self.flumine.handler_queue.put(event)

    custom_stream = CustomStream(framework, custom=True)
    framework.streams.add_custom_stream(custom_stream)


def test_documented_stream_reaches_each_strategy_once(markets: Path) -> None:
    framework = simulation(markets)
    documented(framework)
    for market_id in ("1.100000001", "1.100000002"):
        result = framework.result or framework.run()
        assert heard(result, market_id)[:3] == [
            (0, {"heard": {"rain": 3}}),
            (0, {"own": {"rain": 3}}),
            (0, {"book": 0}),
        ]
        assert [what for _, what in heard(result, market_id) if "heard" in what] == [{"heard": {"rain": 3}}]


@pytest.mark.ray
def test_streams_events_and_workers_give_one_digest_on_every_engine(ray_local: None, markets: Path) -> None:
    digests = []
    for engine in ("local", "ray"):
        framework = simulation(markets, engine=engine)
        documented(framework)
        framework.handler_queue.put(hr.CustomEvent([1], tell, publish_time=T0 + 500))
        framework.add_worker(hr.BackgroundWorker(framework, count, 0.25, func_args=(2,), context={"beats": 10}))
        result = framework.run()
        assert result.failures.num_rows == 0
        assert len(heard(result)) > 20
        digests.append(result.digest)
    assert digests[0] == digests[1]


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
def test_event_comes_at_its_time_between_books(markets: Path, config: hr.Config) -> None:
    framework = simulation(markets, config=config)
    framework.handler_queue.put(hr.CustomEvent("late", tell, publish_time=T0 + 600))
    framework.handler_queue.put(hr.CustomEvent("early", tell, publish_time=T0 + 200))
    times = [(at, *what.items()) for at, what in heard(framework.run(), "1.100000001")]
    assert times == [
        (0, ("book", 0)),
        (100, ("book", 100)),
        (200, ("heard", "early")),
        (200, ("own", "early")),
        (400, ("book", 400)),
        (600, ("heard", "late")),
        (600, ("own", "late")),
        (800, ("book", 800)),
    ]


def test_callback_runs_once_in_a_unit_of_several_markets(markets: Path) -> None:
    calls: list[list[str]] = []
    strategy = type("ByEvent", (Listener,), {"scope": "event"})()
    framework = simulation(markets, strategy)

    def callback(framework: Any, event: Any) -> None:
        calls.append([event.event, *(each.name for each in framework.strategies)])

    framework.handler_queue.put(hr.CustomEvent("timed", callback, publish_time=T0 + 200))
    framework.handler_queue.put(hr.CustomEvent("standing", callback))
    result = framework.run()
    assert calls == [["standing", "ByEvent"], ["timed", "ByEvent"]]
    own = [
        (row["market_id"], json.loads(row["record"])["own"])
        for row in result.records.to_pylist()
        if "own" in row["record"]
    ]
    assert sorted(own) == [(f"1.10000000{n}", name) for n in (1, 2) for name in ("standing", "timed")]


def test_coordinator_sees_a_standing_event_once_in_a_unit(markets: Path) -> None:
    seen: list[Any] = []

    class Office(hr.Coordinator):
        def process_custom_event(self, event: Any) -> None:
            seen.append(event.event)

    framework = simulation(markets, type("ByEvent", (Listener,), {"scope": "event"})(), coordinator=Office)
    framework.handler_queue.put(hr.CustomEvent("standing"))
    framework.run()
    assert seen == ["standing"]


def test_standing_event_reaches_markets_whose_strategies_come_and_go(tmp_path: Path) -> None:
    """Strategies of markets that are gone leave their place in memory to those of the next."""
    for number in range(100, 200):
        priced(market_id=f"1.{number}", eventId=str(number)).close(200).write(tmp_path / f"1.{number}")

    class Wide(hr.Strategy):
        scope = "run"

        def process_my_event(self, event: Any) -> None:
            """Keeps all markets in one unit, and says nothing."""

    framework = simulation(tmp_path, Wide())
    framework.add_strategy(Listener())
    framework.handler_queue.put(hr.CustomEvent("x", tell))
    result = framework.run()
    assert result.failures.to_pylist() == []
    assert sum("heard" in row["record"] for row in result.records.to_pylist()) == 100


def test_event_of_markets_reaches_those_only(markets: Path) -> None:
    framework = simulation(markets)
    framework.handler_queue.put(hr.CustomEvent("x", tell, market_ids=["1.100000002"], publish_time=T0 + 200))
    result = framework.run()
    assert [what for _, what in heard(result, "1.100000001") if "book" not in what] == []
    assert [what for _, what in heard(result, "1.100000002") if "book" not in what] == [{"heard": "x"}, {"own": "x"}]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (lambda: hr.CustomEvent(threading.Lock()), "the payload of a custom event cannot be sent to other processes"),
        (lambda: hr.CustomEvent(1, threading.Lock().acquire), "the callback of a custom event cannot be sent"),
        (lambda: "rain", "'rain' is not an event that can be put here; use CustomEvent"),
    ],
)
def test_what_cannot_travel_is_refused_when_it_is_put(markets: Path, event: Any, message: str) -> None:
    with pytest.raises(hr.StreamError, match=message):
        simulation(markets).handler_queue.put(event())


def test_stream_that_fails_ends_the_run_and_is_named(markets: Path) -> None:
    class Broken(hr.BaseStream):
        def run(self) -> None:
            raise OSError("no network")

    framework = simulation(markets)
    framework.add_stream(Broken(framework))
    with pytest.raises(hr.RunError, match=r"stream Broken failed: OSError: no network .*test_events_and_workers.py"):
        framework.run()


def test_stream_without_run_says_what_is_missing(markets: Path) -> None:
    framework = simulation(markets)
    framework.add_stream(hr.BaseStream(framework))
    with pytest.raises(hr.StreamError, match="override run"):
        framework.run()


def test_error_in_a_callback_is_a_failure_and_stops_nothing(markets: Path) -> None:
    framework = simulation(markets)
    framework.handler_queue.put(hr.CustomEvent("x", lambda framework, event: 1 / 0, publish_time=T0 + 200))
    result = framework.run()
    assert {row["error_type"] for row in result.failures.to_pylist()} == {"ZeroDivisionError"}
    assert sum("own" in what for _, what in heard(result)) == 2


def test_termination_put_by_a_stream_ends_the_run_before_it_begins(markets: Path) -> None:
    framework = simulation(markets)
    framework.handler_queue.put(hr.TerminationEvent(framework))
    assert framework.run().markets.num_rows == 0


def test_termination_put_by_a_worker_ends_the_run(markets: Path) -> None:
    framework = simulation(markets)
    framework.add_worker(hr.BackgroundWorker(framework, terminate, None, start_delay=0.5))
    assert framework.run().markets["market_id"].to_pylist() == ["1.100000001"]


def terminate(context: Any, framework: Any) -> None:
    framework.handler_queue.put(hr.TerminationEvent(framework))


def test_worker_may_put_events_for_the_strategies_beside_it(markets: Path) -> None:
    def put(context: Any, framework: Any) -> None:
        framework.handler_queue.put(hr.CustomEvent("from a worker", tell))

    framework = simulation(markets)
    framework.add_worker(hr.BackgroundWorker(framework, put, None, start_delay=0.3))
    assert (300, {"heard": "from a worker"}) in heard(framework.run(), "1.100000002")


# -- files of events -------------------------------------------------------------------------------------------------


def test_events_of_a_file_are_replayed(markets: Path, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    hr.write_custom_events(
        path,
        [
            hr.CustomEvent({"rain": 1}, publish_time=T0 + 500),
            hr.CustomEvent([2], market_ids=["1.100000002"], publish_time=T0 + 300),
        ],
    )
    result = hr.backtest(Listener(), markets, engine="local", custom_events=path)
    assert [(at, what) for at, what in heard(result, "1.100000001") if "own" in what] == [(500, {"own": {"rain": 1}})]
    assert [(at, what) for at, what in heard(result, "1.100000002") if "own" in what] == [
        (300, {"own": [2]}),
        (500, {"own": {"rain": 1}}),
    ]


def test_events_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    events = [hr.CustomEvent({"a": [1, None]}, None, ["1.2", "1.1"], 5), hr.CustomEvent("b")]
    hr.write_custom_events(tmp_path / "events", events)
    back = hr.read_custom_events(tmp_path / "events")
    assert [(each.event, each.market_ids, each.publish_time) for each in back] == [
        ({"a": [1, None]}, frozenset(["1.1", "1.2"]), 5),
        ("b", None, None),
    ]


@pytest.mark.parametrize("line", ["no JSON", '{"publish_time": "noon", "event": 1}', '{"publish_time": 1}', "[1]"])
def test_line_that_is_no_event_is_named(markets: Path, tmp_path: Path, line: str) -> None:
    path = tmp_path / "events"
    path.write_text('{"publish_time": 1, "event": 1}\n' + line + "\n")
    with pytest.raises(hr.InputError, match=r"events, line 2: is not a custom event"):
        hr.backtest(Listener(), markets, custom_events=path)


def test_missing_file_of_events_is_an_input_error(markets: Path, tmp_path: Path) -> None:
    with pytest.raises(hr.InputError, match="nowhere"):
        hr.backtest(Listener(), markets, custom_events=tmp_path / "nowhere")


def test_payload_that_is_no_json_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        hr.write_custom_events(tmp_path / "events", [hr.CustomEvent(threading.Lock())])


# -- workers ---------------------------------------------------------------------------------------------------------


def count(context: Any, framework: Any, step: int = 1, **more: Any) -> None:
    context["beats"] = context.get("beats", 0) + step
    for market in framework.markets:
        for strategy in framework.strategies:
            strategy.record(market, beats=context["beats"], **more)


def beats(markets: Path, *workers: Any, **settings: Any) -> list[tuple[int, Any]]:
    framework = simulation(markets, hr.Strategy(), **settings)
    for arguments in workers:
        framework.add_worker(hr.BackgroundWorker(framework, *arguments[:-1], **arguments[-1]))
    return [(at, what["beats"]) for at, what in heard(framework.run(), "1.100000001")]


def test_worker_beats_at_its_interval_from_the_first_message(markets: Path) -> None:
    assert beats(markets, (count, 0.3, {}))[:4] == [(0, 1), (300, 2), (600, 3), (900, 4)]


def test_worker_starts_after_its_delay(markets: Path) -> None:
    assert beats(markets, (count, 0.5, {"start_delay": 0.25}))[:2] == [(250, 1), (750, 2)]


def test_worker_without_interval_is_called_once(markets: Path) -> None:
    assert beats(markets, (count, None, {"start_delay": 0.25})) == [(250, 1)]


def test_worker_gets_its_arguments_and_keeps_its_context(markets: Path) -> None:
    context = {"beats": 10}
    settings = {"func_args": (5,), "func_kwargs": {"note": "x"}, "context": context}
    assert beats(markets, (count, 4.0, settings)) == [(0, 15), (4000, 20), (8000, 25)]
    assert context == {"beats": 10}


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
def test_worker_that_fails_is_one_row_with_a_count_and_goes_on(markets: Path, config: hr.Config) -> None:
    def fail(context: Any, framework: Any) -> None:
        raise LookupError("nothing there")

    framework = simulation(markets, config=config)
    framework.add_worker(hr.BackgroundWorker(framework, fail, 3.0))
    rows = framework.run().failures.to_pylist()
    assert [(row["error_type"], row["count"]) for row in rows] == [("LookupError", 4)] * 2


@pytest.mark.parametrize("settings", [{"interval": 0}, {"interval": -1}, {"interval": 1, "start_delay": -1}])
def test_worker_times_that_cannot_be_are_refused(settings: Any) -> None:
    with pytest.raises(ValueError, match="expected seconds"):
        hr.BackgroundWorker(None, count, **settings)


# -- timers ----------------------------------------------------------------------------------------------------------


def test_timer_belongs_to_the_strategy_that_asked() -> None:
    drawn: dict[str, list[float]] = {}

    class Draws(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            market.call_later(0.2, lambda: drawn.setdefault(self.name, []).append(market.random.random()))

    replay(priced().touch(400), strategies=[Draws(name="a"), Draws(name="b")])
    together = dict(drawn)
    drawn.clear()
    replay(priced().touch(400), strategies=[Draws(name="b")])
    assert together["b"] == drawn["b"]
    assert together["a"] != together["b"]


def test_error_in_a_timer_names_its_strategy_and_market() -> None:
    class Fails(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            market.call_later(0.2, lambda: 1 / 0)

    played = replay(priced().touch(400), strategies=[Fails()], failing=True)
    (row,) = played.failures
    assert (row.strategy, row.market_id, row.publish_time) == ("Fails", "1.100000001", T0 + 200)

"""Code of the user's own beside markets, live: workers, streams, events, logging controls."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from headrace.actors.letters import Carried, UserEvent
from headrace.actors.live import event_desk
from headrace.actors.live.framework import LiveFramework
from headrace.strategies.events import Event
from headrace.strategies.messages import LogRow, MarketFact
from live_coordinators import Bench


def until(bench: Bench, condition: Callable[[], Any], seconds: float = 5.0) -> Any:
    """What a condition becomes once it is true; what threads put into the coordinator's inbox is taken meanwhile."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it has not happened"
        for sender, letter in bench.mail.wait(0.01).letters:
            bench.take(sender, letter)
    return found


def noted(event: Any) -> None:
    """A callback that can be pickled."""


class Ticker(hr.BaseStream):
    """A stream as flumine's documentation has it."""

    def run(self) -> None:
        for number in range(3):
            self.flumine.handler_queue.put(hr.CustomEvent({"number": number}, noted))


def events(bench: Bench, host: str) -> list[Any]:
    return [pickle.loads(letter.data).event for letter in bench.mail.letters(UserEvent, host)]


def test_a_stream_s_events_reach_the_coordinator_once_and_then_every_host(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Steps(hr.Coordinator):
        def process_custom_event(self, event: Any) -> None:
            seen.append(event.event)

    stream = Ticker(None, custom=True)
    bench = Bench(tmp_path, custom_streams=[], coordinator=Steps)
    bench.sees("1.1")
    bench.sees("1.2")
    bench.role.threads.start([], [stream])
    until(bench, lambda: len(events(bench, "h2")) == 3)
    assert seen == events(bench, "h1") == events(bench, "h2") == [{"number": number} for number in range(3)]


def test_an_event_for_some_markets_goes_to_their_hosts_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sees("1.1")
    bench.sees("1.2")
    bench.role.framework.handler_queue.put(hr.CustomEvent("for one", noted, market_ids=["1.2"]))
    until(bench, lambda: events(bench, "h2"))
    assert events(bench, "h1") == []


def awaiting(bench: Bench, host: str) -> list[tuple[Any, bool, Any]]:
    letters = bench.mail.letters(UserEvent, host)
    return [(pickle.loads(letter.data).event, letter.awaits, letter.market_ids) for letter in letters]


def test_events_wait_for_markets_that_are_not_open_yet(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    def put(*arguments: Any, **keywords: Any) -> None:
        before = bench.role.events.taken
        bench.role.framework.handler_queue.put(hr.CustomEvent(*arguments, **keywords))
        until(bench, lambda: bench.role.events.taken > before)

    put("before all")
    put("for one", market_ids=["1.1", "1.2"])
    later = bench.role.betting.coordinator.host.clock.now_ms + 60_000
    put("in a minute", publish_time=later)
    put("long ago", publish_time=1)
    bench.sees("1.1")
    opened = MarketFact("1.1", "OPENED", 0)
    bench.take("h1", Carried("s1.market", opened))
    waited = [("before all", True, None), ("for one", True, ("1.1", "1.2")), ("in a minute", False, ())]
    assert awaiting(bench, "h1") == waited
    put("now")
    put("for one alone", market_ids=["1.1"])
    bench.sees("1.2")
    put("to come", market_ids=["1.3"])
    told = [("now", False, ()), ("for one alone", False, ()), ("to come", True, ("1.3",))]
    assert awaiting(bench, "h1") == waited + told
    assert awaiting(bench, "h2") == [*waited, told[2]], "a host that is new is told of what still concerns it"
    put("while one opens")
    assert awaiting(bench, "h2")[-1] == ("while one opens", True, ("1.2",))


def test_events_that_wait_for_markets_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_desk, "MOST_AWAITING", 2)
    bench = Bench(tmp_path)
    for number in range(4):
        bench.role.framework.handler_queue.put(hr.CustomEvent(number))
    until(bench, lambda: bench.role.events.taken == 4)
    bench.sees("1.1")
    assert [event for event, *_ in awaiting(bench, "h1")] == [2, 3]
    notes = [event.text for event in bench.role.alerts.events if event.kind == "CUSTOM"]
    assert notes == ["more than 2 custom events wait for markets; the oldest are dropped"]


def test_what_cannot_be_sent_to_hosts_is_an_error_where_it_is_put(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(hr.StreamError, match="payload of a custom event cannot be sent"):
        bench.role.framework.handler_queue.put(hr.CustomEvent(threading.Lock()))
    with pytest.raises(hr.StreamError, match="callback of a custom event cannot be sent"):
        bench.role.framework.handler_queue.put(hr.CustomEvent(1, lambda framework, event: None))


def test_a_termination_event_stops_the_system(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.ready()
    bench.role.framework.handler_queue.put(hr.TerminationEvent(None))
    until(bench, lambda: bench.role.stops.shutdown)
    assert bench.mail.stopped


def test_a_stream_that_fails_is_told_of_and_stops_nothing(tmp_path: Path) -> None:
    class Broken(hr.BaseStream):
        def run(self) -> None:
            raise OSError("no such feed")

    bench = Bench(tmp_path, custom_streams=[Broken(None, custom=True)])
    until(bench, lambda: len(bench.role.betting.failures))
    assert [event.text for event in bench.role.alerts.events] == ["stream Broken failed: OSError: no such feed"]


def test_workers_are_called_at_their_interval_with_their_context_and_the_system(tmp_path: Path) -> None:
    calls: list[tuple[int, Any, float]] = []

    def work(context: dict[str, int], framework: LiveFramework, step: int, more: int = 0) -> None:
        context["calls"] = context.get("calls", 0) + step + more
        calls.append((context["calls"], [client.username for client in framework.clients], time.monotonic()))

    began = time.monotonic()
    worker = hr.BackgroundWorker(None, work, 0.05, (1,), {"more": 1}, start_delay=0.1, context={"calls": 10})
    bench = Bench(tmp_path, workers=[worker])
    until(bench, lambda: len(calls) >= 3)
    assert [count for count, _, _ in calls[:3]] == [12, 14, 16]
    assert calls[0][1] == ["trader"]
    assert calls[0][2] - began >= 0.1
    assert calls[2][2] - calls[0][2] >= 0.08
    bench.role.threads.stop()
    count = len(calls)
    time.sleep(0.12)
    assert len(calls) == count
    assert worker.context == {"calls": 10}, "the context is the system's copy"


def test_a_worker_without_an_interval_is_called_once(tmp_path: Path) -> None:
    calls: list[int] = []
    bench = Bench(tmp_path, workers=[hr.BackgroundWorker(None, lambda context, framework: calls.append(1), None)])
    until(bench, lambda: calls and not bench.role.threads.running)
    assert calls == [1]


def test_a_worker_that_blocks_stops_neither_others_nor_the_coordinator(tmp_path: Path) -> None:
    calls: list[int] = []
    blocked = threading.Event()

    def block(context: dict[str, Any], framework: Any) -> None:
        blocked.wait(20)

    workers = [
        hr.BackgroundWorker(None, block, 0.01),
        hr.BackgroundWorker(None, lambda context, framework: calls.append(1), 0.01),
    ]
    bench = Bench(tmp_path, workers=workers)
    until(bench, lambda: len(calls) >= 3)
    bench.sees("1.1")
    assert bench.engine.started == ["h1"]
    assert bench.role.threads.stop(0.05) == ["worker block"]
    blocked.set()


def test_a_worker_that_raises_goes_on_and_is_told_of(tmp_path: Path) -> None:
    calls: list[int] = []

    def fail(context: dict[str, Any], framework: Any) -> None:
        calls.append(1)
        raise ValueError("no luck")

    bench = Bench(tmp_path, workers=[hr.BackgroundWorker(None, fail, 0.01)])
    until(bench, lambda: len(calls) >= 3)
    until(bench, lambda: [each.count for each in bench.role.betting.failures][:1] > [1])
    assert [each.message for each in bench.role.betting.failures] == ["no luck"]


def test_workers_see_open_markets_and_pass_events_to_logging_controls(tmp_path: Path) -> None:
    class Log(hr.LoggingControl):
        heard: list[Any] = []  # noqa: RUF012 - one for the test

        def _process_other(self, event: Any) -> None:
            self.heard.append(event.event)

    class Own(Event):
        name = "own"

    log = Log()

    def work(context: dict[str, Any], framework: LiveFramework) -> None:
        framework.log_control(Own(sorted(framework.markets)))

    bench = Bench(tmp_path, logging_controls=[log])
    bench.sees("1.1")
    bench.role.threads.start([hr.BackgroundWorker(None, work, None)], [])
    until(bench, lambda: log.heard)
    assert log.heard == [["1.1"]]


def test_logging_controls_hear_of_the_start(tmp_path: Path) -> None:
    heard: list[str] = []

    class Log(hr.LoggingControl):
        def __call__(self, event: Any) -> None:
            heard.append(event.name)

    Bench(tmp_path, logging_controls=[Log()])
    assert heard == ["config", "strategy"]


def test_what_hosts_log_reads_like_an_event(tmp_path: Path) -> None:
    heard: list[tuple[str, Any]] = []

    class Log(hr.LoggingControl):
        def _process_order(self, event: Any) -> None:
            heard.append((event.event.bet_id, event.event["market_id"]))
            assert not hasattr(event.event, "nothing")

    bench = Bench(tmp_path, logging_controls=[Log()])
    bench.sees("1.1")
    row = LogRow("order", bench.now, "1.1", {"bet_id": "91", "market_id": "1.1"})
    bench.take("h1", Carried("s1.market", row))
    assert heard == [("91", "1.1")]

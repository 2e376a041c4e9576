"""Watchdogs of a live system: what stays above its limit is an alert, and stands in the state until it is over."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import headrace as hr
from headrace.actors.letters import Carried, Gone, HostState, StreamState
from headrace.actors.live import blocking, watchdogs
from headrace.actors.live.latencies import Latencies
from headrace.actors.streaming.lags import Lags
from headrace.strategies.messages import LogRow
from live_coordinators import Bench, LiveClient, trading


def stream(bench: Bench, name: str = "s1", **figures: Any) -> None:
    """A stream that reads tells how it stands."""
    fields = {"state": "SUBSCRIBED", "messages": 10, "at": bench.now, **figures}
    bench.take(name, StreamState(name, **fields))


def host(bench: Bench, recent_ms: float = 1.0, **figures: Any) -> None:
    """A host tells how it stands."""
    fields = {"behind": 0, "depth": 0, "lost": 0, "busy_ms": 0, "markets": b"[]", **figures}
    ticks = json.dumps({"count": 1, "median": 1.0, "p99": 1.0, "worst": 9_000.0, "recent": recent_ms}).encode()
    bench.take("h1", HostState("h1", bench.now, tick_ms=ticks, **fields))


def seconds(bench: Bench, count: int, *each: Callable[[], object]) -> None:
    """Seconds pass, in each of which something happens; streams and hosts are well otherwise."""
    for _ in range(count):
        for name in ("s1", "o1"):
            stream(bench, name)
        host(bench)
        for function in each:
            function()
        bench.passes(1_000)


def barking(bench: Bench) -> dict[tuple[str, str], str]:
    """What barks, as the state has it: by kind and what it is about, the sentence."""
    return {(row["kind"], row["what"]): row["text"] for row in bench.role.answers.state()["watchdogs"]}


def told(bench: Bench, kind: str) -> list[str]:
    return [event.text for event in bench.role.alerts.events if event.kind == kind]


def test_a_system_that_is_well_has_none(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    seconds(bench, 30)
    assert barking(bench) == {}


def test_a_stream_that_brings_nothing_is_told_of_until_it_does(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    seconds(bench, 3)
    silent = 0

    def quiet() -> None:
        nonlocal silent
        silent += 1_000
        stream(bench, silent_ms=silent)

    seconds(bench, 9, quiet)
    assert barking(bench) == {}
    seconds(bench, 2, quiet)
    assert set(barking(bench)) == {("SILENT", "stream s1")}
    (text,) = told(bench, "SILENT")
    assert text == "stream s1 has brought nothing for 11 s: SUBSCRIBED"
    seconds(bench, 20, quiet)
    assert len(told(bench, "SILENT")) == 1, "it is told once"
    seconds(bench, 11)
    assert barking(bench) == {}
    assert told(bench, "SILENT")[1] == "stream s1 is well again: it brings something"


def test_a_stream_that_does_not_connect_or_has_ended_is_silent_too(tmp_path: Path) -> None:
    bench = trading(tmp_path, config=hr.Config(stream_silence_limit=5))
    seconds(bench, 3)
    for _ in range(7):
        bench.take("s1", StreamState("s1", "DOWN", bench.now, error="no route", messages=10))
        bench.passes(1_000)
    assert barking(bench)["SILENT", "stream s1"].endswith("DOWN: no route")
    assert barking(bench)["SILENT", "stream o1"].endswith("SUBSCRIBED"), "nor does it tell how it stands"
    bench.take("c", Gone("s1", "its process has died"))
    bench.passes(1_000)
    assert barking(bench)["SILENT", "stream s1"].endswith("it has ended")


def test_a_stream_that_is_refused_is_told_of_as_such(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    for _ in range(20):
        stream(bench, "o1")
        host(bench)
        bench.take("s1", StreamState("s1", "REFUSED", bench.now, error="INVALID_INPUT", messages=10))
        bench.passes(1_000)
    assert barking(bench) == {}
    assert told(bench, "STREAM") == ["stream s1 is refused: INVALID_INPUT"]


def test_changes_that_come_late_are_told_apart_from_a_clock_that_is_wrong(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    ahead = {"least_ms": 3_005.0, "worst_ms": 3_400.0}

    def both() -> None:
        stream(bench, "s1", **ahead)
        stream(bench, "o1", **ahead)

    seconds(bench, 5, both)
    assert set(barking(bench)) == {("CLOCK", "the clock")}
    (text,) = told(bench, "CLOCK")
    assert text == (
        "the clock of this machine is 3.0 s ahead of the exchange's publish times, or everything comes that late"
    )
    seconds(bench, 14)
    assert barking(bench) == {}


def test_one_stream_that_is_always_late_is_late_and_not_a_clock(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    seconds(bench, 5, lambda: stream(bench, "s1", least_ms=3_000.0, worst_ms=3_400.0))
    assert set(barking(bench)) == {("LATENCY", "stream s1")}
    assert told(bench, "LATENCY") == ["changes of stream s1 are 3.4 s old when they are read"]


def test_a_clock_that_is_behind_hides_no_latency(tmp_path: Path) -> None:
    bench = trading(tmp_path)

    def both() -> None:
        stream(bench, "s1", least_ms=-3_000.0, worst_ms=0.0)
        stream(bench, "o1", least_ms=-2_990.0, worst_ms=-2_990.0)

    seconds(bench, 5, both)
    assert set(barking(bench)) == {("LATENCY", "stream s1"), ("CLOCK", "the clock")}
    assert barking(bench)["CLOCK", "the clock"] == (
        "the clock of this machine is 3.0 s behind the exchange's publish times"
    )


def test_what_is_above_its_limit_for_a_moment_only_is_not_told(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    seconds(bench, 2, lambda: stream(bench, worst_ms=9_000.0))
    seconds(bench, 1)
    seconds(bench, 2, lambda: stream(bench, worst_ms=9_000.0))
    seconds(bench, 1)
    assert told(bench, "LATENCY") == []


def test_strategies_and_calls_that_take_too_long_are_told_of(tmp_path: Path) -> None:
    bench = trading(tmp_path, config=hr.Config(latency_limit=0.5))
    bench.account.execution.worst_ms = 700
    seconds(bench, 4, lambda: host(bench, recent_ms=600.0))
    assert barking(bench) == {
        ("LATENCY", "host h1"): "strategies at host h1 were done with a change 0.6 s after it had been read",
        ("LATENCY", "account trader"): "the exchange takes 0.7 s to answer requests of account trader",
    }


def test_queues_that_grow_are_told_of(tmp_path: Path) -> None:
    bench = trading(tmp_path, config=hr.Config(queue_limit=50))
    bench.account.calls.waiting = 51
    seconds(bench, 4, lambda: host(bench, depth=200))
    assert barking(bench) == {
        ("QUEUE", "host h1"): "200 letters wait at host h1",
        ("QUEUE", "calls about orders"): (
            "51 calls about orders wait for a thread: max_execution_workers are under way"
        ),
    }
    assert len(told(bench, "QUEUE")) == 2


def test_a_callback_that_blocks_is_told_of_with_its_place_and_after_as_long_as_is_configured(tmp_path: Path) -> None:
    bench = trading(tmp_path, config=hr.Config(stall_limit=2))
    seconds(bench, 1, lambda: host(bench, busy_ms=1_900, busy_in="Backer in market 1.1 at backer.py:7"))
    assert barking(bench) == {}
    seconds(bench, 1, lambda: host(bench, busy_ms=2_400, busy_in="Backer in market 1.1 at backer.py:7"))
    assert barking(bench) == {("STALLED", "host h1"): "host h1 is stalled: Backer in market 1.1 at backer.py:7"}
    (text,) = told(bench, "STALLED")
    assert "a callback runs for 2 s, Backer in market 1.1 at backer.py:7; its markets" in text
    (row,) = bench.role.answers.state()["hosts"]
    assert (row["stalled"], row["busy_in"]) == (True, "Backer in market 1.1 at backer.py:7")


def test_a_host_that_is_stalled_for_as_long_as_is_configured_is_killed(tmp_path: Path) -> None:
    bench = trading(tmp_path, config=hr.Config(restart_stalled=20))
    seconds(bench, 3)
    for second in range(19):
        host(bench, busy_ms=second * 1_000, busy_in="Backer in market 1.1 at backer.py:7")
        bench.passes(1_000)
    assert bench.engine.crashed == []
    host(bench, busy_ms=20_000, busy_in="Backer in market 1.1 at backer.py:7")
    bench.passes(1_000)
    assert bench.engine.crashed == ["h1"]
    assert told(bench, "STALLED")[-1] == (
        "host h1 has been stalled for 20 s, and is killed: Backer in market 1.1 at backer.py:7"
    )


def test_a_host_that_says_nothing_at_all_is_killed_too_and_never_where_it_is_not_configured(tmp_path: Path) -> None:
    bench = trading(tmp_path / "one", config=hr.Config(restart_stalled=20))
    other = trading(tmp_path / "other")
    for each in (bench, other):
        host(each)
        for _ in range(25):
            each.passes(1_000)
    assert (set(bench.engine.crashed), other.engine.crashed) == ({"h1"}, [])


def test_at_the_end_hosts_have_the_time_that_they_have_at_any_end(tmp_path: Path) -> None:
    bench = trading(tmp_path, config=hr.Config(restart_stalled=2))
    bench.role.stops.stop_system("enough")
    for _ in range(14):
        bench.passes(1_000)
    assert (bench.engine.crashed, bench.engine.killed) == ([], [])
    bench.passes(2_000)
    assert bench.engine.killed == ["h1"]


def test_a_disk_that_is_nearly_full_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = trading(tmp_path, config=hr.Config(disk_limit=300))
    seconds(bench, 20)
    assert barking(bench) == {}
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_bavail=299_000, f_frsize=1_000))
    seconds(bench, 10)
    folder = bench.setup.instance
    assert set(barking(bench)) == {("DISK", folder)}
    assert told(bench, "DISK")[0].startswith(f"299 MB are left on the disk of {folder}")


def test_a_journal_that_cannot_be_written_stands_in_the_state(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    bench.role.betting.gate.unwritten = "disk I/O error"
    bench.role.watchdogs.look(bench.now)
    assert barking(bench) == {
        ("JOURNAL", "the journal"): "nothing is placed: the journal cannot be written: disk I/O error"
    }
    assert bench.role.answers.state()["placing_allowed"] is False


@pytest.mark.parametrize(
    "off", ["stream_silence_limit", "latency_limit", "clock_drift_limit", "queue_limit", "disk_limit"]
)
def test_what_has_no_limit_is_not_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: str) -> None:
    limits = {"stream_silence_limit": 1, "latency_limit": 1, "clock_drift_limit": 1, "queue_limit": 1, "disk_limit": 1}
    bench = trading(tmp_path, config=hr.Config(**{**limits, off: None}))
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_bavail=1, f_frsize=1))

    def bad() -> None:
        for name in ("s1", "o1"):
            stream(bench, name, silent_ms=60_000, least_ms=5_000.0, worst_ms=9_000.0)
        host(bench, depth=100, recent_ms=9_000.0)

    bench.passes(1_000)
    for _ in range(20):
        bad()
        bench.passes(1_000)
    kinds = {kind for kind, _ in barking(bench)}
    missing = {"SILENT", "LATENCY", "CLOCK", "QUEUE", "DISK"} - kinds
    names = {"stream_silence_limit": "SILENT", "latency_limit": "LATENCY", "clock_drift_limit": "CLOCK"}
    assert missing == {(names | {"queue_limit": "QUEUE", "disk_limit": "DISK"})[off]}


@pytest.mark.parametrize("setting", ["latency_limit", "queue_limit", "stall_limit", "disk_limit"])
def test_limits_are_above_nothing(setting: str) -> None:
    with pytest.raises(hr.ConfigError, match=f"{setting}=0"):
        hr.Config(**{setting: 0})


def test_an_account_that_is_watched_by_the_exchange_says_when_it_was_last_heard(tmp_path: Path) -> None:
    bench = trading(tmp_path, clients=[LiveClient()])
    beat: Any = SimpleNamespace(heard_ms=bench.now, seconds=10)
    bench.account.heartbeat = beat
    seconds(bench, 9)
    assert bench.role.answers.state()["clients"][0]["heartbeat_age_s"] == 9.0
    assert barking(bench) == {}
    seconds(bench, 3)
    assert ("HEARTBEAT", "account trader") in barking(bench)


def test_the_least_lag_is_that_of_the_last_minute() -> None:
    lags = Lags()
    assert (lags.least, lags.take_worst()) == (0.0, 0.0)
    for at, lag in ((0, 900.0), (1, 950.0), (31, 40.0), (32, 70.0)):
        lags.add(lag, at)
    assert (lags.last, lags.least, lags.take_worst()) == (70.0, 40.0, 950.0)
    assert lags.take_worst() == 70.0, "nothing came"
    lags.add(500.0, 62)
    assert lags.least == 40.0
    lags.add(510.0, 93)
    assert lags.least == 500.0, "the clock was set, or the way has become longer: that counts after a minute at most"
    lags.add(-20.0, 94)
    assert lags.least == -20.0


def test_recent_latencies_are_those_since_they_were_last_asked_for() -> None:
    found = Latencies()
    for each in (5.0, 80.0, 7.0):
        found.add(each)
    assert found.figures()["recent"] == 80.0
    found.add(9.0)
    figures = found.figures()
    assert (figures["recent"], figures["worst"], found.figures()["recent"]) == (9.0, 80.0, 0.0)


def test_every_kind_is_described() -> None:
    kinds = {"SILENT", "LATENCY", "CLOCK", "QUEUE", "STALLED", "DISK", "JOURNAL", "HEARTBEAT"}
    assert watchdogs.__doc__ is not None
    assert all(f"| {kind} |" in watchdogs.__doc__ for kind in kinds)


def test_a_coordinator_that_is_held_up_says_where_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(blocking, "LOOK", 0.01)
    monkeypatch.setattr(blocking, "TOLD_MS", 20)
    said = threading.Event()

    class Slow(hr.LoggingControl):
        def __call__(self, event: Any) -> None:
            if event.name == "order":
                assert said.wait(20)

    class Hears(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.set()

    hears = Hears(logging.WARNING)
    bench = trading(tmp_path, logging_controls=[Slow()], config=hr.Config(stall_limit=0.05))
    logging.getLogger("headrace").addHandler(hears)
    bench.role.blocking.start()
    try:
        bench.take("h1", Carried("s1.market", LogRow("order", bench.now, "1.1", {"bet_id": "91"})))
    finally:
        bench.role.blocking.close()
        logging.getLogger("headrace").removeHandler(hears)
    (line,) = [record.getMessage() for record in caplog.records if "has not returned" in record.getMessage()]
    assert line.startswith(f"c: the coordinator has not returned for 0 s, at {__file__}:")


def test_a_watchdog_that_fails_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = trading(tmp_path)

    def fails() -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(bench.account.execution, "take_worst_ms", fails)
    seconds(bench, 5)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["A watchdog has failed"]
    assert bench.role.answers.state()["placing_allowed"]

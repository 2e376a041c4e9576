"""Hosts: their start and end, their rows and states, what blocks them, and their lines of the log."""

from __future__ import annotations

import json
import logging
import math
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace as hr
from builders import MARKET, T0, Stream, back, cancel, lay, priced
from headrace.actors.letters import (
    Carried,
    FreeMarket,
    HostState,
    Introduce,
    Rows,
    Stop,
)
from headrace.actors.live import blocking
from headrace.actors.live.host import HostRole
from headrace.actors.live.latencies import Latencies
from headrace.actors.shells.making import for_hosts
from headrace.strategies.messages import LogRow
from live_builders import FakeMail
from live_hosts import (
    Driven,
    Looks,
    arrived,
    ended_hosts,
    live_setup,
    looks_of,
    mixed,
    msg_for,
    on_paper,
    scripted,
    updates_of,
)

# -- streams -----------------------------------------------------------------------------------------------------------

__all__ = ["ended_hosts"]  # used by all tests here


# -- its end, and its state --------------------------------------------------------------------------------------------


def test_rows_are_told_when_a_market_is_freed_and_those_of_the_rest_at_the_end(tmp_path: Path) -> None:
    driven = Driven(live_setup([scripted({100: [back("a", 2.0, 5.0)]})]))
    arrived(driven, priced().touch(300).touch(5000), tmp_path, at=100, until=100)
    other = Stream("1.2").touch(100).write(tmp_path / "other")
    driven.deliver(*[msg_for(each, "s1.market") for each in updates_of(other)], at=T0 + 150, sender="s1")
    driven.free("1.2")
    assert [row[2] for row in driven.rows("markets")] == ["1.2"]
    driven.deliver(Stop(), at=T0 + 400)
    assert [row[2] for row in driven.rows("markets")] == ["1.2", MARKET]
    assert [row[3] for row in driven.rows("orders")] == ["1.2", MARKET]
    told = len(driven.mail.sent)
    driven.deliver(*[msg_for(each, "s1.market") for each in updates_of(other)], at=T0 + 500, sender="s1")
    driven.host.stop()
    assert len(driven.mail.sent) == told
    assert len(driven.mail.letters(Rows)) == 2


def test_a_market_that_is_freed_can_come_again(tmp_path: Path) -> None:
    driven = Driven(live_setup([Looks()]))
    looks_of(driven).clear()
    updates = [msg_for(each, "s1.market") for each in updates_of(Stream().touch(100).write(tmp_path / "market"))]
    for at in (200, 300):
        driven.deliver(*updates, at=T0 + at, sender="s1")
        driven.deliver(FreeMarket("s1.market", MARKET), at=T0 + at)
    assert [each[0] for each in looks_of(driven)] == ["new", "book", "book"] * 2


def test_the_state_has_a_row_for_each_market_and_strategy(tmp_path: Path) -> None:
    driven, _ = mixed(tmp_path, {100: [on_paper("a", 2.0, 5.0), on_paper("b", 4.0, 1.0)]})
    driven.host.next_state_ms = T0 + 1000
    driven.deliver(Introduce("s9", "there"), at=T0 + 1000)
    (state,) = driven.mail.letters(HostState)
    (row,) = json.loads(state.markets)
    assert row == {
        "market_id": MARKET, "crew": "s1.market", "event": "99", "name": None, "status": "OPEN", "inplay": False,
        "strategy": "Trader", "orders": 2, "live": 1, "matched": 5.0, "exposure": 6.0, "profit": 0.0, "changes": 2,
        "pt": T0 + 100,
    }  # fmt: skip
    assert (state.host, state.at, state.busy_ms, state.lost) == ("h1", T0 + 1000, 0, 0)
    assert json.loads(state.tick_ms)["count"] == 2
    assert driven.host.next_state_ms == T0 + 2000


class Starts(hr.Strategy):
    """Counts its starts in the process."""

    starts: Any = hr.resource(list)

    def start(self, framework: Any) -> None:
        self.starts.append([client.username for client in framework.clients])


def test_strategies_start_once_in_each_process(tmp_path: Path) -> None:
    setup = live_setup([Starts()])
    setup.strategies[0].starts.clear()  # type: ignore[attr-defined]
    for name in ("h1", "h2"):
        role = HostRole(name, setup)
        role.start(FakeMail(name))
        role.stop()
    assert setup.strategies[0].starts == [["simulated"]]  # type: ignore[attr-defined]


def test_a_strategy_that_fails_in_start_is_named() -> None:
    class Bad(hr.Strategy):
        def start(self, framework: Any) -> None:
            raise ValueError("no model")

    with pytest.raises(hr.RunError, match=r"strategy 'Bad' failed in start\(\): ValueError: no model"):
        HostRole("h1", live_setup([Bad()])).start(FakeMail("h1"))


class Locks(hr.Strategy):
    """Has what cannot be copied, once it has started."""

    def start(self, framework: Any) -> None:
        self.lock = threading.Lock()


class Counting(hr.Middleware):
    def __init__(self) -> None:
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("setup", "what"),
    [
        (lambda: live_setup([Locks()]), "strategy 'Locks' cannot be copied, and each market has a copy of its own"),
        (
            lambda: live_setup([Looks()], middleware=[Counting()]),
            "middleware Counting cannot be copied, and each host has a copy of its own",
        ),
    ],
)
def test_what_cannot_be_copied_is_refused_at_the_start(setup: Any, what: str) -> None:
    with pytest.raises(hr.RunError, match=what):
        HostRole("h1", setup()).start(FakeMail("h1"))


def test_an_event_has_one_instance_and_a_run_one_for_all_its_markets(tmp_path: Path) -> None:
    class Wide(hr.Strategy):
        scope = "event"

    class Whole(hr.Strategy):
        scope = "run"

    driven = Driven(live_setup([Looks(), Wide(), Whole()]))
    for number, event in ((1, "99"), (2, "99"), (3, "98")):
        stream = Stream(f"1.{number}", eventId=event)
        for crew in ("s1.market", "s1.event", "s1.run"):
            for each in updates_of(stream.write(tmp_path / "market")):
                driven.deliver(msg_for(each, crew), at=T0 + number, sender="s1")
    counts = {
        crew: len({id(seat.strategy) for market in room.actor.hosted for seat in market.seats})
        for crew, room in driven.host.rooms.items()
    }
    assert counts == {"s1.market": 3, "s1.event": 2, "s1.run": 1}


# -- what blocks -------------------------------------------------------------------------------------------------------


def test_a_callback_that_does_not_return_is_told_by_a_second_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in (("LOOK", 0.01), ("TOLD_MS", 30)):
        monkeypatch.setattr(blocking, name, value)
    told = threading.Event()

    class Blocks(hr.Strategy):
        def check_market_book(self, market: Any, book: Any) -> bool:
            return told.wait(20)

    driven = Driven(live_setup([Blocks()], config=hr.Config(stall_limit=0.06)))
    tell = driven.mail.aside

    def aside(name: str, letter: Any) -> bool:
        if letter.busy_ms > 80:
            told.set()
        return tell(name, letter)

    monkeypatch.setattr(driven.mail, "aside", aside)
    arrived(driven, Stream(), tmp_path, at=0, until=0)
    driven.host.stop()
    states = driven.mail.told_aside
    assert states[-1].busy_ms > 80
    assert states[-1].host == "h1"
    assert states[-1].busy_in.startswith(f"strategy 'Blocks' in market {MARKET} at {__file__}:")
    lines = [record.getMessage() for record in caplog.records if "has not returned" in record.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith(f"h1: strategy 'Blocks' in market {MARKET} has not returned for 0 s, at {__file__}:")


# -- figures -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.01, 100_000), min_size=1, max_size=200))
def test_quantiles_are_right_within_5_percent(times: list[float]) -> None:
    found = Latencies()
    for each in times:
        found.add(each)
    figures = found.figures()
    ordered = sorted(times)
    assert figures["count"] == len(times)
    assert figures["worst"] == pytest.approx(ordered[-1], abs=0.001)
    for name, share in (("median", 0.5), ("p99", 0.99)):
        exact = ordered[math.ceil(share * len(times)) - 1]
        assert exact * 0.999 - 0.001 <= figures[name] <= exact * 1.052 + 0.001


def test_lines_of_the_log_tell_the_strategy_and_the_market_that_they_are_about(tmp_path: Path) -> None:
    class Writes(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            self.log.warning("it is here")
            threading.Thread(target=self.log.warning, args=("elsewhere",)).start()

    lines: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = lines.append  # type: ignore[method-assign]
    logger = logging.getLogger("headrace")
    logger.addHandler(handler)
    try:
        driven = Driven(live_setup([Writes()]))
        arrived(driven, Stream(), tmp_path, at=20, until=0)
        logger.warning("between")
        driven.host.stop()
        logger.warning("after")
    finally:
        logger.removeHandler(handler)
    found = {line.getMessage(): getattr(line, "market_id", "nothing") for line in lines}
    assert found == {"it is here": MARKET, "elsewhere": "nothing", "between": None, "after": "nothing"}
    (line,) = [line for line in lines if line.getMessage() == "it is here"]
    assert (line.strategy, line.publish_time) == ("Writes", T0 + 20)  # type: ignore[attr-defined]


def test_events_are_made_where_somebody_hears_them(tmp_path: Path) -> None:
    for heard in (True, False):
        setup = live_setup([scripted({100: [back("a", 2.0, 5.0)]})], heard=heard)
        driven = Driven(setup)
        arrived(driven, priced(), tmp_path, at=100, until=100)
        rows = [letter.message.name for letter in driven.mail.letters(Carried) if isinstance(letter.message, LogRow)]
        assert rows == (["market", "trade"] if heard else [])


def test_hosts_have_no_logging_controls_and_know_whether_somebody_hears() -> None:
    for controls in ([], [hr.LoggingControl()]):
        setup = for_hosts(live_setup([Looks()], logging_controls=controls))
        assert (setup.logging_controls, setup.listens) == ([], bool(controls))


def test_figures_of_the_state_are_right_as_orders_come_and_end(tmp_path: Path) -> None:
    stream = priced().prices(2000, {1: {"trd": [[2.2, 14]]}}).touch(2500).touch(3000).close(9000, winner=1)
    actions: Any = {
        100: [back("a", 2.0, 5.0), back("b", 2.2, 5.0), back("c", 3.0, 2.0)],
        2500: [cancel("b"), lay("d", 2.1, 3.0)],
    }
    driven = Driven(live_setup([scripted(actions)]))
    found = []
    for at in (0, 100, 2000, 2500, 3000, 9000):
        arrived(driven, stream, tmp_path, at=at, until=at)
        driven.host.next_state_ms = 0
        driven.host.wake(T0 + at)
        driven._settle()
        (row,) = json.loads(driven.mail.letters(HostState)[-1].markets)
        found.append(tuple(row[name] for name in ("orders", "live", "matched", "exposure", "profit")))
    assert found == [
        (0, 0, 0.0, 0.0, 0.0),
        (3, 3, 0.0, 12.0, 0.0),
        (3, 2, 8.0, 12.0, 0.0),
        (4, 3, 8.0, 12.0, 0.0),
        (4, 1, 11.0, 7.0, 0.0),
        (4, 0, 11.0, 0.0, 5.3),
    ]

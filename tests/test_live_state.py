"""The state of a live system with thousands of live orders."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.actors.live import state
from headrace.strategies.messages import ANSWERED, PLACE, UNKNOWN, PlaceInstruction, Reply, Report
from live_coordinators import NOW, Bench, placing, trading


def asks_for(bench: Bench, numbers: range) -> None:
    for number in numbers:
        bench.clock.now_ms = max(bench.clock.now_ms, NOW + number)
        order = PlaceInstruction(f"a{number}", "", 11, 0.0, "BACK", "LIMIT", price=3.0, size=2.0)
        bench.asks(placing(f"a{number}", request_id=f"r{number}", instructions=(order,), asked_at=NOW + number))


def test_rows_of_live_orders_are_bounded_and_those_in_doubt_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "MOST_ORDERS", 4)
    bench = trading(tmp_path)
    asks_for(bench, range(10))
    lost = bench.account.requests[2]
    reply = Reply(lost.request_id, "1.1", NOW + 20, UNKNOWN, (Report("a2", PLACE, "FAILURE"),))
    desk = next(iter(bench.role.betting.accounts))
    assert desk.orders is not None
    desk.orders.hold(lost, reply)
    found = bench.role.answers.state()
    assert [row["order_id"] for row in found["orders"]] == ["a2", "a9", "a8", "a7"]
    assert [row["in_doubt"] for row in found["orders"]] == [True, False, False, False]
    assert found["live_orders"] == 10


def test_where_counting_takes_long_the_exposure_of_an_account_is_counted_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = trading(tmp_path)
    exposures = lambda: [row["exposure"] for row in bench.role.answers.state()["clients"]]  # noqa: E731
    asks_for(bench, range(1))
    assert exposures() == [2.0]
    asks_for(bench, range(1, 2))
    assert exposures() == [4.0], "it is quick, and counted each time"
    monkeypatch.setattr(state, "_LONG_S", -1.0)
    assert exposures() == [4.0]
    asks_for(bench, range(2, 3))
    assert exposures() == [4.0], "it is known from a moment ago"


def test_orders_that_are_answered_are_live(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    asks_for(bench, range(2))
    reply = bench.account.places("a0", "90")
    assert reply.outcome == ANSWERED
    found = bench.role.answers.state()
    assert [(row["bet_id"], row["status"]) for row in found["orders"]] == [("90", "EXECUTABLE"), (None, "PENDING")]
    assert found["live_orders"] == 2

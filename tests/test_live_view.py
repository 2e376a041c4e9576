"""A running system on the terminal: what is shown of a state, and what is left out where there is little room."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from headrace.cli.live_view import live_view

AT = 1_795_900_000_000  # 21:06:40 UTC


def market(number: int, **more: Any) -> dict[str, Any]:
    return {
        "market_id": f"1.2000{number:02}",
        "event": "Ascot 3rd June",
        "name": "7f Hcap",
        "status": "OPEN",
        "inplay": False,
        "crew": "s1.market",
        "host": "h1",
        "strategy": "Backer",
        "orders": 0,
        "live": 0,
        "matched": 0.0,
        "exposure": 0.0,
        "profit": 0.0,
        "changes": 1_200,
        "pt": AT,
        **more,
    }


def order(number: int, **more: Any) -> dict[str, Any]:
    return {
        "order_id": f"{number:018}",
        "bet_id": f"3000{number:05}",
        "market_id": "1.200001",
        "strategy": "Backer",
        "selection_id": 4711,
        "side": "BACK",
        "price": 2.02,
        "size": 5.0,
        "matched": 1.0,
        "remaining": 4.0,
        "status": "EXECUTABLE",
        "age_ms": 61_234,
        "in_doubt": False,
        **more,
    }


def state(markets: int = 0, orders: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "at": AT,
        "instance": "/home/a/.local/state/headrace/desk",
        "reference": "desk",
        "stopping": "",
        "placing_allowed": True,
        "markets": [market(number) for number in range(markets)],
        "orders": [order(number) for number in range(orders)],
        **more,
    }


def shown(found: dict[str, Any], width: int = 160, height: int | None = None) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(live_view(found, width, height))
    return [line.rstrip() for line in capture.get().splitlines()]


def row(lines: list[str], begin: str) -> str:
    """The line that begins so, with single spaces."""
    (found,) = [line for line in lines if line.startswith(begin)]
    return " ".join(found.split())


def test_first_line_tells_who_when_and_whether_orders_are_placed() -> None:
    assert shown(state(2, 1))[0] == "desk  21:06:40 UTC  2 markets, 1 live order"
    elsewhere = shown(state(foreign=[{"bet_id": "1"}, {"bet_id": "2"}]))
    assert elsewhere[0] == "desk  21:06:40 UTC  0 markets, 0 live orders, 2 bets placed elsewhere"
    assert shown(state(placing_allowed=False))[0].endswith("  no orders are placed")
    assert shown(state(placing_allowed=False, stopping="Ctrl-C"))[0].endswith("  stopping: Ctrl-C")


def test_markets_and_orders_are_rows_and_those_that_matter_come_first() -> None:
    found = state(2, 2)
    found["markets"].append(market(7, orders=3, live=1, matched=1234.5, exposure=-20.0, profit=-0.001, inplay=True))
    found["orders"][1]["in_doubt"] = True
    lines = shown(found)
    assert row(lines, "market") == "market id status strategy host live orders matched exposure profit changes"
    assert " ".join(lines[2].split()) == (
        "Ascot 3rd June - 7f Hcap 1.200007 OPEN inplay Backer h1 1 3 1,234.50 -20.00 0.00 1,200"
    )
    at = next(number for number, line in enumerate(lines) if line.startswith("order in"))
    assert row(lines, "order in") == ("order in strategy runner side price size matched remaining status age bet order")
    assert "EXECUTABLE" in lines[at + 1]
    assert "in doubt" in lines[at + 1]
    assert "in doubt" not in lines[at + 2]
    assert "1:01" in lines[at + 2]
    assert "300000000" in lines[at + 2]


def test_nothing_is_said_to_be_nothing() -> None:
    assert shown(state())[1:] == ["no market is hosted", "no order is live"]
    assert shown({})[0] == "live  0 markets, 0 live orders"


def test_accounts_streams_hosts_latency_and_risk_are_shown() -> None:
    lines = shown(
        state(
            clients=[
                {
                    "venue": "Betfair",
                    "username": "alice",
                    "paper": True,
                    "session": "OPEN",
                    "ready": False,
                    "funds": 1000.0,
                }
                | {"exposure": -20.0, "funds_age_s": 31.0, "transactions_hour": 123, "currency": "GBP"}
            ],
            streams=[
                {"stream": "s1", "state": "SUBSCRIBED", "error": "", "markets": 30, "left_out": 5, "messages": 7}
                | {"changes": 9, "lag_ms": 12.0, "reconnects": 1, "silent_ms": 9_400},
                {"stream": "o1", "state": "REFUSED", "error": "NO_SESSION"},
            ],
            hosts=[
                {"name": "h1", "markets": 15, "depth": 900, "behind": 3, "lost": 2, "busy_ms": 31_000}
                | {"stalled": True, "pid": 12_345}
            ],
            latency={"tick_ms": {"count": 1000, "median": 0.41234, "p99": 1.82, "worst": 12.3}, "order_ms": {}},
            risk={
                "max_exposure": 200.0,
                "max_daily_loss": None,
                "risk_timezone": "UTC",
                "by_currency": {"GBP": {"exposure": 20.0, "settled_today": -3.0}},
            },
        )
    )
    assert row(lines, "alice") == "alice paper OPEN places no orders yet 1,000.00 -20.00 GBP 31.0 s 123 Betfair"
    assert row(lines, "s1") == "s1 SUBSCRIBED 30 5 9 7 12 ms 9.4 s 1"
    assert row(lines, "o1").endswith(" NO_SESSION")
    assert row(lines, "h1") == "h1 15 900 3 2 31.0 s stalled 12345"
    assert row(lines, "change to strategies") == "change to strategies 1,000 0.412 1.82 12.3"
    assert not [line for line in lines if line.startswith("order to answer")]
    assert "risk  max exposure 200.00, risk timezone UTC" in lines
    assert "GBP  exposure 20.00, settled today -3.00" in lines


def test_last_events_are_the_last_lines() -> None:
    events = [{"at": AT + 1000 * number, "kind": "STREAM", "text": f"number {number}"} for number in range(10)]
    lines = shown(state(events=events))
    assert lines[-6:] == [f"21:06:{44 + number} STREAM number {4 + number}" for number in range(6)]


@pytest.mark.parametrize(("width", "height"), [(200, 60), (120, 40), (80, 24), (40, 24), (80, 20)])
@pytest.mark.parametrize(("markets", "orders"), [(0, 0), (1, 0), (3, 200), (200, 3), (200, 200)])
def test_view_is_no_larger_than_the_terminal(width: int, height: int, markets: int, orders: int) -> None:
    events = [{"at": AT, "kind": "STREAM", "text": "a sentence that is longer than many a terminal, " * 3}] * 9
    lines = shown(state(markets, orders, events=events, risk={"max_exposure": 1.0}), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    counts = [line for line in lines if line.endswith(" more")]
    assert len(counts) == (markets > 100) + (orders > 100)


def test_room_that_orders_do_not_need_is_for_markets() -> None:
    lines = shown(state(200, 2), 120, 40)
    assert sum(line.startswith("Ascot") for line in lines) >= 28
    assert sum("EXECUTABLE" in line for line in lines) == 2


def test_narrow_terminals_show_fewer_columns_and_the_same_rows() -> None:
    lines = shown(state(3, 3), 60)
    assert [line for line in lines if line.startswith("market")] == [
        "market                    status  live  exposure  profit"
    ]
    assert sum(line.startswith("Ascot") for line in lines) == 3
    assert sum(line.startswith("1.200001") for line in lines) == 3


def test_texts_of_the_exchange_are_shown_as_they_are_and_on_one_line() -> None:
    lines = shown(
        state(
            markets=0,
            streams=[{"stream": "s1", "state": "DOWN", "error": "[red]not markup[/red]"}],
            events=[{"at": AT, "kind": "ALERT", "text": "one\ntwo\x1b[2J"}],
        )
        | {"markets": [market(1, event="[bold]Ascot", name="x" * 100)]}
    )
    assert any("[red]not markup[/red]" in line for line in lines)
    assert any(line.startswith("[bold]Ascot - xxx") and "…" in line for line in lines)
    assert lines[-1].startswith("21:06:40 ALERT one two")
    assert "\x1b" not in "".join(lines)

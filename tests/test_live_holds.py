"""Markets in which nothing is placed for a while, at the coordinator: what is refused, what passes, who is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from headrace.actors.journal.entries import Noted
from headrace.strategies.messages import (
    CANCEL,
    FAILURE,
    PLACE,
    REFUSED,
    REPLACE,
    UNKNOWN,
    CancelInstruction,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
)
from live_coordinators import Bench, placing, resting, trading


def in_doubt(bench: Bench, order_id: str) -> None:
    """Nobody knows whether an order was placed."""
    bench.asks(placing(order_id, request_id=f"r-{order_id}"))
    request = bench.account.requests[-1]
    lost = Reply(request.request_id, request.market_id, bench.now, UNKNOWN, (Report(order_id, PLACE, FAILURE),))
    assert bench.account.execution.hold is not None
    bench.account.execution.hold(request, lost)


def asked(bench: Bench, kind: str, *instructions: Any, request_id: str = "x", market_id: str = "1.1") -> Request:
    made = placing("any", market_id, request_id=request_id)
    request: Request = msgspec.structs.replace(made, kind=kind, instructions=instructions)
    bench.asks(request)
    return request


def bet(order_id: str, side: str = "BACK", price: float = 3.0, size: float = 2.0) -> PlaceInstruction:
    return PlaceInstruction(order_id, f"hash-{order_id}", 11, 0.0, side, "LIMIT", price=price, size=size)


def refusals(bench: Bench) -> list[tuple[str, str | None]]:
    replies = [each for each in bench.carried("h1") if isinstance(each, Reply) and each.outcome == REFUSED]
    return [(report.order_id, reply.control) for reply in replies for report in reply.reports]


def sent(bench: Bench) -> list[str]:
    return [each.order_id for request in bench.account.requests for each in request.instructions]


def test_order_in_doubt_holds_placing_on_its_market_and_nowhere_else(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    bench.sees("1.2")
    bench.opens("1.2")
    in_doubt(bench, "a")
    asked(bench, PLACE, bet("b"))
    asked(bench, PLACE, bet("c"), request_id="y", market_id="1.2")

    assert refusals(bench) == [("b", "MARKET_HELD")]
    assert sent(bench) == ["a", "c"]
    (violation,) = bench.role.betting.coordinator.violations.values()
    assert "it is not known what became of an order" in violation.reason


def test_what_makes_the_worst_case_no_worse_passes(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    resting(bench, "a", "91")
    in_doubt(bench, "b")
    asked(bench, CANCEL, CancelInstruction("a", "91"), request_id="cancel")
    asked(bench, PLACE, bet("small", "LAY", 2.0, 1.0), request_id="small")
    asked(bench, PLACE, bet("great", "LAY", 6.0, 2.0), request_id="great")
    asked(bench, REPLACE, ReplaceInstruction("a", "91", 2.5, "other", "hash-other"), request_id="replace")

    assert sent(bench) == ["a", "b", "a", "small", "a"], "two backs could lose 4.00, a lay of 1.00 at 2.0 1.00"
    assert refusals(bench) == [("great", "MARKET_HELD")], "it could lose 10.00"


def test_several_in_one_request_count_together(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    in_doubt(bench, "a")
    asked(bench, PLACE, bet("one", "LAY", 2.0, 1.0), bet("two", "LAY", 3.0, 1.0))

    assert sent(bench) == ["a", "one"], "either could lose no more than the back in doubt, both could"
    assert refusals(bench) == [("two", "MARKET_HELD")]


def test_the_state_shows_what_is_held_and_why(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    assert bench.role.answers.state()["held"] == []
    in_doubt(bench, "a")

    assert bench.role.answers.state()["held"] == [
        {"market_id": "1.1", "username": "trader", "why": "it is not known what became of an order"}
    ]


def test_differences_and_what_cannot_be_learnt_are_alerts_and_written_down(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    in_doubt(bench, "a")
    bench.passes(121_000)
    bench.role.betting.report("difference", "1.1", "bet 91: as it may be")
    bench.role.caught_up(bench.now)

    told = {event.kind: event.text for event in bench.role.alerts.events}
    assert "for 121 s nothing could be learnt" in told["UNCONFIRMED"]
    assert told["DIFFERENCE"] == "market 1.1: bet 91: as it may be"
    noted = [entry.message for entry in bench.role.betting.journal.journal if isinstance(entry.message, Noted)]
    assert {"UNCONFIRMED", "DIFFERENCE"} <= {each.what for each in noted}

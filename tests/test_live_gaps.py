"""Short times in which several things end at once, or the clock is set: what is asked for then is not lost, or late."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.actors.letters import Gone, Restore, Restored
from headrace.strategies.messages import (
    ANSWERED,
    CANCEL,
    EXPIRED,
    FAILURE,
    PLACE,
    SUCCESS,
    UPDATE,
    CancelInstruction,
    Reply,
    Report,
    Request,
    UpdateInstruction,
)
from live_coordinators import NOW, Bench, placing, resting, trading

HOUR = 3_600_000


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = trading(tmp_path)
    bench.hello("h1", "HOST")
    return bench


def asking(kind: str, instruction: object, request_id: str = "r9", **settings: object) -> Request:
    return Request(request_id, "1.1", "Backer", "Betfair", "trader", kind, (instruction,), asked_at=NOW, **settings)


def replies(bench: Bench, request_id: str) -> list[str]:
    return [each.outcome for each in bench.carried("h1") if isinstance(each, Reply) and each.request_id == request_id]


def restored(bench: Bench, market_id: str = "1.1", host: str = "h1") -> None:
    bench.take(host, Restored(host, "s1.market", market_id, 1, "", bench.engine.running[host].incarnation))


# -- hosts ------------------------------------------------------------------------------------------------------------


def test_what_waits_for_an_account_has_never_happened_where_its_host_ends(bench: Bench) -> None:
    """Its successor does not know of it."""
    bench.restarts()
    bench.asks(placing("a", deadline=NOW + 60_000))
    bench.take("engine", Gone("h1", "killed", 0))
    bench.hello("h1", "HOST", 1)
    (letter,) = bench.mail.letters(Restore, "h1")
    assert letter.messages == ()
    restored(bench)
    bench.ready()
    bench.role.caught_up(bench.now)
    assert bench.account.requests == []
    assert bench.role.betting.exposure.total() == 0.0


# -- orders without a number ------------------------------------------------------------------------------------------


def test_a_cancel_that_waits_for_the_number_of_its_bet_is_not_forgotten(bench: Bench) -> None:
    bench.asks(placing("a", async_=True))
    bench.account.execution.answer(Reply("h1.s1.market/r1", "1.1", bench.now, ANSWERED, (Report("a", PLACE, SUCCESS),)))
    bench.asks(asking(CANCEL, CancelInstruction("a", None)))
    bench.restarts()
    assert bench.account.execution.recalled == ["a"]
    (request,) = bench.account.requests
    assert (request.request_id, request.instructions) == ("h1.s1.market/r9", (CancelInstruction("a", None),))


def test_a_cancel_of_a_part_whose_bet_had_no_number_is_looked_into_by_the_number_that_it_has(bench: Bench) -> None:
    bench.asks(placing("a", async_=True))
    bench.account.execution.answer(Reply("h1.s1.market/r1", "1.1", bench.now, ANSWERED, (Report("a", PLACE, SUCCESS),)))
    bench.asks(asking(CANCEL, CancelInstruction("a", None, 0.5)))
    bench.restarts()
    bench.hello("h1", "HOST")
    bench.ready()
    assert bench.account.requests == []
    bench.sees_bet("a", "b1", 1.5, cancelled=0.5)
    assert replies(bench, "r9") == [ANSWERED]


# -- clocks -----------------------------------------------------------------------------------------------------------


def test_failures_of_earlier_hours_do_not_count_in_this_one_after_a_restart(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.asks(asking(UPDATE, UpdateInstruction("a", "b1", "PERSIST")))
    report = Report("a", UPDATE, FAILURE, "BET_TAKEN_OR_LAPSED")
    bench.account.execution.answer(Reply("h1.s1.market/r9", "1.1", bench.now, ANSWERED, (report,)))
    assert bench.account.client.current_transaction_count_total == 2
    bench.passes(HOUR)
    bench.restarts()
    assert bench.account.client.transactions_by_hour == {NOW // HOUR: [1, 1]}


def test_a_clock_that_is_set_back_does_not_let_orders_go_late(bench: Bench) -> None:
    bench.restarts()
    bench.asks(placing("a", asked_at=NOW + HOUR, deadline=NOW + HOUR + 2_000))
    bench.passes(10_000)
    assert replies(bench, "r1") == [EXPIRED]
    bench.ready()
    bench.role.caught_up(bench.now)
    assert bench.account.requests == []

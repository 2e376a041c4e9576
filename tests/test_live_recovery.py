"""A coordinator that is started again: it knows what its former self knew, and looks into what that left open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import headrace as hr
from headrace.actors.journal.entries import Noted
from headrace.actors.letters import Carried, Hosting, Introduce, Route
from headrace.strategies.messages import (
    ANSWERED,
    CANCEL,
    EXPIRED,
    FAILURE,
    PLACE,
    REPLACE,
    SUCCESS,
    UNKNOWN,
    UPDATE,
    CancelInstruction,
    ClearedOrder,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
    UpdateInstruction,
)
from live_coordinators import NOW, Bench, placing, resting, trading


def asking(kind: str, instruction: Any, request_id: str = "r9") -> Request:
    return Request(request_id, "1.1", "Backer", "Betfair", "trader", kind, (instruction,), asked_at=NOW)


def in_doubt(bench: Bench) -> list[str]:
    """Orders of which it is not known what became of them."""
    return sorted(each["order_id"] for each in bench.role.answers.state()["orders"] if each["in_doubt"])


def known(bench: Bench) -> list[tuple[Any, ...]]:
    """What is known of bets."""
    return [
        (bet.order_id, bet.bet_id, bet.price, bet.size, bet.matched, bet.remaining, bet.ended, bet.cancelled)
        for desk in bench.role.betting.accounts
        for bet in desk.bets
    ]


def standing(bench: Bench) -> dict[str, Any]:
    """What must be the same after a restart."""
    betting = bench.role.betting
    return {
        "bets": known(bench),
        "exposure": betting.exposure.total(),
        "day": betting.day.profit(bench.now, "GBP"),
        "transactions": bench.account.client.current_transaction_count_total,
        "requests": {key: open_ for key, (_, open_) in betting.coordinator.requests.items()},
        "places": sorted(bench.role.seating),
        "results": [desk.results for desk in betting.accounts],
    }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return trading(tmp_path)


def replies(bench: Bench, request_id: str) -> list[str]:
    return [each.outcome for each in bench.carried("h1") if isinstance(each, Reply) and each.request_id == request_id]


# -- what is known again ----------------------------------------------------------------------------------------------


def test_bets_counts_results_and_places_are_known_again(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.asks(placing("b", request_id="r2"))
    bench.account.places("b", "b2", matched=2.0)
    bench.sees_bet("b", "b2", 0.0, matched=2.0, average=3.0)
    bench.account.execution.answer(ClearedOrder("1.1", "b", "b2", bench.now, profit=-2.0))
    bench.asks(asking(CANCEL, CancelInstruction("a", "b1", 0.5)))
    report = Report("a", CANCEL, SUCCESS, size=0.5)
    bench.account.execution.answer(Reply("h1.s1.market/r9", "1.1", bench.now, ANSWERED, (report,)))
    bench.sees_bet("a", "b1", 1.5, cancelled=0.5)
    before = standing(bench)
    assert (before["exposure"], before["day"], before["transactions"]) == (1.5, -2.0, 2)

    for _ in range(2):
        bench.restarts()
        assert standing(bench) == before
        assert in_doubt(bench) == []


def test_a_cold_start_knows_open_orders_again(bench: Bench) -> None:
    resting(bench, "a", "b1")
    before = known(bench)
    bench.passes(3_600_000)

    bench.restarts(cold=True)

    assert known(bench) == before
    assert bench.engine.started == ["h1"]
    assert not bench.role.answers.state()["placing_allowed"]
    bench.ready()
    assert bench.role.answers.state()["placing_allowed"]


def test_what_is_freed_is_not_known_any_more(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.role.ends._over("1.1")
    bench.restarts()
    assert known(bench) == []
    assert list(bench.role.seating) == []


def test_transactions_of_this_hour_count_in_markets_that_are_freed_too(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.asks(placing("b", request_id="r2"))
    report = Report("b", PLACE, FAILURE, "BET_TAKEN_OR_LAPSED")
    bench.account.execution.answer(Reply("h1.s1.market/r2", "1.1", bench.now, ANSWERED, (report,)))
    assert bench.account.client.current_transaction_count_total == 2
    bench.role.ends._over("1.1")
    for _ in range(2):
        bench.restarts()
        assert bench.account.client.current_transaction_count_total == 2
        assert bench.role.betting.coordinator.requests == {}
    bench.passes(3_600_000)
    bench.restarts()
    assert bench.account.client.current_transaction_count_total == 0


# -- what was open ----------------------------------------------------------------------------------------------------


def test_a_placing_without_an_answer_is_in_doubt_and_counts_at_its_worst(bench: Bench) -> None:
    bench.asks(placing("a"))
    bench.restarts()

    assert in_doubt(bench) == ["a"]
    assert bench.role.betting.exposure.total() == 2.0
    assert bench.account.requests == []  # it is never sent again

    bench.ready()
    bench.sees_bet("a", "b1", 2.0)
    assert in_doubt(bench) == []
    (reply,) = [each for each in bench.carried("h1") if isinstance(each, Reply)]
    assert (reply.request_id, reply.outcome, reply.reports[0].bet_id) == ("r1", ANSWERED, "b1")
    assert not bench.role.betting.coordinator.requests


def test_a_placing_that_no_list_has_was_not_placed(bench: Bench) -> None:
    bench.asks(placing("a"))
    bench.restarts()
    bench.ready()
    lists = bench.account.lists
    for _ in range(40):
        bench.passes(1_000)
        while lists.asked:
            lists.answer_rows(lists.asked[0][0])
    assert in_doubt(bench) == []
    assert replies(bench, "r1") == [EXPIRED]
    assert bench.account.client.current_transaction_count_total == 0


@pytest.mark.parametrize("kind", [CANCEL, UPDATE, REPLACE])
def test_a_change_without_an_answer_is_in_doubt(bench: Bench, kind: str) -> None:
    resting(bench, "a", "b1")
    instruction: Any = {
        CANCEL: CancelInstruction("a", "b1", 0.5),
        UPDATE: UpdateInstruction("a", "b1", "PERSIST"),
        REPLACE: ReplaceInstruction("a", "b1", 4.0, "a2", "hash-a2"),
    }[kind]
    bench.asks(asking(kind, instruction))
    worst = bench.role.betting.exposure.total()
    bench.restarts()
    assert in_doubt(bench) == ["a"]
    assert bench.account.requests == []
    assert bench.role.betting.exposure.total() == worst


def test_a_replace_whose_placing_has_no_answer_is_in_doubt(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.asks(asking(REPLACE, ReplaceInstruction("a", "b1", 4.0, "a2", "hash-a2")))
    cancelled = Report("a", CANCEL, SUCCESS, size=2.0)
    bench.account.execution.answer(Reply("h1.s1.market/r9", "1.1", bench.now, ANSWERED, (cancelled,)))
    bench.role.caught_up(bench.now)
    worst = bench.role.betting.exposure.total()

    bench.restarts()

    (doubt,) = bench.role.betting.accounts.of(("Betfair", "trader")).orders.doubts._doubts.values()
    assert (doubt.placing, list(doubt.open)) == (True, ["a"])
    assert bench.role.betting.exposure.total() == worst


def test_an_order_that_was_taken_asynchronously_is_looked_for(bench: Bench) -> None:
    bench.asks(placing("a", async_=True))
    bench.account.execution.answer(Reply("h1.s1.market/r1", "1.1", bench.now, ANSWERED, (Report("a", PLACE, SUCCESS),)))
    bench.role.caught_up(bench.now)
    bench.restarts()
    (doubt,) = bench.role.betting.accounts.of(("Betfair", "trader")).orders.doubts._doubts.values()
    assert doubt.taken
    bench.ready()
    bench.sees_bet("a", "b1", 2.0)
    assert in_doubt(bench) == []


def test_an_outcome_that_was_unknown_is_unknown_still(bench: Bench) -> None:
    bench.asks(placing("a"))
    bench.account.execution.answer(
        Reply("h1.s1.market/r1", "1.1", bench.now, UNKNOWN, (Report("a", PLACE, FAILURE),), reason="no reply")
    )
    bench.role.caught_up(bench.now)
    bench.restarts()
    assert in_doubt(bench) == ["a"]


# -- requests that come again -----------------------------------------------------------------------------------------


def test_a_request_that_was_taken_is_not_sent_again_and_its_answer_is_told_again(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.restarts()
    bench.ready()
    bench.asks(placing("a"))
    assert bench.account.requests == []
    assert replies(bench, "r1") == [ANSWERED]


def test_a_request_that_never_came_is_sent_while_it_is_in_time(bench: Bench) -> None:
    bench.take("h1", Carried("s1.market", placing("a", deadline=NOW + 2_000)))  # the batch is not over: it is lost
    bench.restarts()
    bench.ready()
    bench.asks(placing("a", deadline=NOW + 2_000))
    assert [each.request_id for each in bench.account.requests] == ["h1.s1.market/r1"]
    bench.passes(3_000)
    bench.asks(placing("b", request_id="r2", deadline=NOW + 2_000))
    assert replies(bench, "r2") == [EXPIRED]


# -- who is there -----------------------------------------------------------------------------------------------------


def test_those_that_run_are_introduced_and_are_not_started(bench: Bench) -> None:
    bench.hello("h1", "HOST")
    bench.restarts()
    assert bench.engine.started == []
    assert {name for name, _ in bench.mail.sent if isinstance(_, Introduce)} >= {"h1", "s1", "o1"}

    bench.hello("h1", "HOST")
    bench.take("h1", Hosting("h1", (("s1.market", "1.1", "30"),)))
    bench.sees("1.1")
    assert bench.mail.letters(Route, "s1") == [Route("s1.market", "1.1", "h1")]


def test_a_host_that_has_a_market_of_which_nothing_was_written_keeps_it(bench: Bench) -> None:
    bench.restarts()
    bench.hello("h1", "HOST")
    bench.take("h1", Hosting("h1", (("s1.market", "1.1", "30"), ("s1.market", "1.7", "31"))))
    assert bench.role.seating.host_of("s1.market", "1.7") == "h1"


def test_facts_are_told_again_to_hosts_that_may_not_have_heard_them(bench: Bench) -> None:
    resting(bench, "a", "b1")
    bench.restarts()
    bench.hello("h1", "HOST")
    bench.take("h1", Hosting("h1", (("s1.market", "1.1", "30"),)))
    (fact,) = bench.carried("h1")
    assert (fact.order_id, fact.bet_id, fact.remaining) == ("a", "b1", 2.0)


def test_streams_that_ended_with_the_coordinator_are_started_again(bench: Bench) -> None:
    bench.role.caught_up(bench.now)
    bench.restarts("s1")
    bench.passes(0)
    assert bench.engine.started == ["s1:1"]


def test_where_the_journal_is_damaged_it_is_waited_for_what_may_yet_appear(bench: Bench) -> None:
    resting(bench, "a", "b1")
    (path,) = Path(bench.setup.instance, "journal").glob("*.sqlite")
    bench.role.crash()
    path.write_bytes(b"not a database" * 1_000)

    bench.restarts()
    assert any("read from the exchange's lists" in each.text for each in bench.role.alerts.events)
    bench.ready()
    assert not bench.role.answers.state()["placing_allowed"]
    bench.passes(31_000)
    assert bench.role.answers.state()["placing_allowed"]


def test_what_is_asked_for_while_a_coordinator_starts_again_waits_while_it_is_in_time(bench: Bench) -> None:
    bench.restarts()
    bench.asks(placing("a", deadline=NOW + 2_000))
    bench.asks(placing("b", request_id="r2", deadline=NOW + 9_000))
    assert (bench.account.requests, replies(bench, "r1")) == ([], [])
    bench.passes(3_000)
    assert replies(bench, "r1") == [EXPIRED]
    bench.ready()
    bench.role.caught_up(bench.now)
    assert [each.request_id for each in bench.account.requests] == ["h1.s1.market/r2"]


def test_a_host_of_which_letters_were_lost_tells_again_what_it_has(bench: Bench) -> None:
    bench.role.lost("h1")
    assert bench.mail.letters(Introduce, "h1")[-1] == Introduce("c", bench.mail.address)


def test_the_journal_says_which_session_began_and_at_which_server(tmp_path: Path) -> None:
    bench = Bench(tmp_path, config=hr.Config(instance_id="server-7"))
    bench.role.betting.journal.flush()
    noted = [each.message for each in bench.role.betting.journal.journal if isinstance(each.message, Noted)]
    assert [(each.what, each.text) for each in noted] == [("STARTED", bench.setup.session), ("INSTANCE", "server-7")]

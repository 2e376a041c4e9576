"""Stopping a live system, and cancelling all that rests."""

from __future__ import annotations

from pathlib import Path

import pytest

import headrace as hr
from headrace.actors.letters import Carried, ForeignBet, Gone, OrdersImage
from headrace.actors.live import stopping
from headrace.strategies.messages import (
    ANSWERED,
    CANCEL,
    FAILURE,
    REFUSED,
    SIMULATED,
    STREAM,
    SUCCESS,
    UNKNOWN,
    CancelInstruction,
    OrderFact,
    PlaceInstruction,
    Reply,
    Report,
    Request,
)
from live_coordinators import NOW, Bench, LiveClient, cancels, placing, resting, trading
from live_systems import folder, system
from live_trading import venue

__all__ = ["folder"]


def test_stop_cancels_by_bet_id_and_is_done_only_when_the_exchange_shows_it(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    resting(bench, "a", "91")
    resting(bench, "b", "92", "r2")
    bench.role.stops.stop_system("enough")
    assert cancels(bench) == [("1.1", ["91", "92"])]
    bench.account.execution.cancels[0][2]({"91": "", "92": ""})
    bench.sees_bet("a", "91", 0.0, cancelled=2.0)
    assert bench.engine.stopped == [], "a bet is still there, whatever the answer says"
    bench.sees_bet("b", "92", 0.0, cancelled=2.0)
    assert bench.engine.stopped == ["h1"], "hosts end once nothing rests"
    assert not bench.mail.stopped
    bench.take("c", Gone("h1"))
    bench.role.caught_up(bench.now)
    assert bench.account.logged_out
    assert bench.mail.stopped


def test_nothing_is_placed_once_it_stops_and_cancels_pass(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    resting(bench, "a", "91")
    bench.role.stops.stop_system("enough")
    bench.asks(placing("b", request_id="r2"))
    reply = bench.carried("h1")[-1]
    assert (reply.outcome, reply.control) == (REFUSED, "PLACING")
    assert "placing has stopped: enough" in reply.reason
    cancel = Request("r3", "1.1", "Backer", "Betfair", "trader", CANCEL, (CancelInstruction("a", "91"),), NOW)
    bench.asks(cancel)
    assert bench.account.requests[-1].kind == CANCEL


def test_a_bet_without_a_number_is_cancelled_when_it_comes(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    bench.asks(placing("a"))
    bench.role.stops.stop_system("enough")
    assert cancels(bench) == []
    bench.passes(1_000)
    assert bench.role.stops.cancelling is not None
    assert bench.role.stops.cancelling.standing()["open"] == 1
    bench.account.places("a", "91")
    bench.role.caught_up(bench.now)
    assert cancels(bench) == [("1.1", ["91"])]


def test_what_rests_in_spite_of_a_cancel_is_cancelled_again(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    resting(bench, "a", "91")
    bench.role.stops.stop_system("enough")
    bench.passes(5_000)
    assert len(cancels(bench)) == 1, "it is under way"
    bench.account.execution.cancels[0][2]({"91": "UNKNOWN"})
    bench.passes(100)
    assert cancels(bench) == [("1.1", ["91"])] * 2


def test_orders_at_the_starting_price_are_listed_and_do_not_hold_up_the_end(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    on_close = PlaceInstruction("a", "hash-a", 11, 0.0, "BACK", "MARKET_ON_CLOSE", liability=5.0)
    bench.asks(placing("a", instructions=(on_close,)))
    bench.account.places("a", "91")
    bench.role.stops.stop_system("enough")
    assert bench.role.stops.cancelling is not None
    (left,) = bench.role.stops.cancelling.left
    assert (left["bet_id"], left["order_type"], left["liability"]) == ("91", "MARKET_ON_CLOSE", 5.0)
    assert cancels(bench) == []
    assert any(event.kind == "LEFT" and "bet 91" in event.text for event in bench.role.alerts.events)
    assert bench.engine.stopped == ["h1"]


def test_what_rests_is_left_where_it_is_configured_so(tmp_path: Path) -> None:
    bench = trading(tmp_path, on_stop="leave")
    resting(bench, "a", "91")
    bench.role.stops.stop_system("enough")
    assert cancels(bench) == []
    assert bench.engine.stopped == ["h1"]


def test_stop_may_leave_what_would_be_cancelled_and_cancel_what_would_be_left(tmp_path: Path) -> None:
    bench = trading(tmp_path / "one")
    resting(bench, "a", "91")
    bench.role.answers.answer("STOP", {"leave": True})
    assert cancels(bench) == []
    other = trading(tmp_path / "other", on_stop="leave")
    resting(other, "a", "91")
    other.role.answers.answer("STOP", {"leave": False})
    assert cancels(other) == [("1.1", ["91"])]


def test_hosts_that_do_not_end_are_killed(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    bench.role.stops.stop_system("enough")
    bench.passes(10_000)
    assert bench.engine.killed == []
    bench.passes(5_100)
    assert bench.engine.killed == ["h1"]
    assert bench.mail.stopped
    (failure,) = bench.role.betting.failures
    assert failure.message.endswith("orders of its markets are not in the result: 1.1")


def test_cancelling_all_halts_placing_and_the_system_goes_on(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    resting(bench, "a", "91")
    bench.role.answers.answer("CANCEL_ALL", {"why": "somebody asks"})
    assert cancels(bench) == [("1.1", ["91"])]
    bench.asks(placing("b", request_id="r2"))
    assert bench.carried("h1")[-1].control == "PLACING"
    assert bench.role.answers.state()["cancelling"] == {"done": False, "open": 1, "left": []}
    bench.account.execution.cancels[0][2]({"91": ""})
    bench.sees_bet("a", "91", 0.0, cancelled=2.0)
    found = bench.role.answers.state()
    assert found["cancelling"] == {"done": True, "open": 0, "left": []}
    assert (found["stopping"], found["placing_allowed"], found["stopped"]) == ("somebody asks", False, False)
    assert bench.engine.stopped == []


def foreign(bench: Bench, remaining: float) -> ForeignBet:
    at = bench.now
    fact = OrderFact("1.9", None, "70", STREAM, at, remaining > 0, 2.0, 4.0, "LAPSE", remaining=remaining)
    if not remaining:
        fact = OrderFact("1.9", None, "70", STREAM, at, False, 2.0, 4.0, "LAPSE", cancelled=4.0)
    return ForeignBet("Betfair", "trader", "1.9", "70", 5, 0.0, "BACK", 2.0, 4.0, 0.0, remaining, at, fact=fact)


def test_bets_that_were_placed_elsewhere_are_left_alone_unless_the_whole_account_is_meant(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    bench.take("o1", foreign(bench, 4.0))
    bench.role.stops.cancel_all("somebody asks")
    assert cancels(bench) == []
    assert bench.account.execution.account_cancels == []
    bench.role.stops.cancel_all("somebody asks", whole_account=True)
    (done,) = bench.account.execution.account_cancels
    done("the exchange is down")
    bench.passes(2_100)
    bench.account.execution.account_cancels[1]("")
    assert bench.role.stops.cancelling is not None
    assert not bench.role.stops.cancelling.done, "the bet is still there"
    bench.passes(1)
    bench.take("o1", foreign(bench, 0.0))
    assert bench.role.stops.cancelling.done


def test_orders_on_paper_are_cancelled_where_they_are_simulated(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clients=[LiveClient(paper_trade=True)])
    bench.sees("1.1")
    bench.opens("1.1")
    bench.asks(placing("a"))
    request = bench.carried("h1")[0]
    report = Report("a", "PLACE", SUCCESS, bet_id="5")
    bench.take("h1", Carried("s1.market", Reply(request.request_id, "1.1", NOW, ANSWERED, (report,))))
    bench.role.stops.stop_system("enough")
    cancel = bench.carried("h1")[-1]
    assert (cancel.kind, cancel.instructions) == (CANCEL, (CancelInstruction("a", "5"),))
    fact = OrderFact("1.1", "a", "5", SIMULATED, NOW + 1, False, 3.0, 2.0, "LAPSE", cancelled=2.0)
    bench.take("h1", Carried("s1.market", fact))
    bench.role.caught_up(bench.now)
    assert bench.engine.stopped == ["h1"]


def test_what_rests_in_markets_of_a_host_that_died_is_cancelled_and_told(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    bench.sees("1.2")
    bench.opens("1.2", "h2")
    resting(bench, "a", "91")
    bench.asks(placing("b", "1.2", "r2"), "h2")
    bench.account.places("b", "92")
    bench.dies("h1", "killed by signal 9")
    bench.role.caught_up(bench.now)
    assert cancels(bench) == [("1.1", ["91"])]
    assert any(
        event.kind == "QUARANTINE" and "killed by signal 9" in event.text and "1.1" in event.text
        for event in bench.role.alerts.events
    )
    (failure,) = bench.role.betting.failures
    assert "their orders are not in the result" in failure.message
    bench.asks(placing("c", "1.2", "r3"), "h2")
    assert bench.account.requests[-1].market_id == "1.2", "others go on"


def test_bets_on_paper_of_a_host_that_died_do_not_hold_up_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clients=[LiveClient(paper_trade=True)])
    bench.sees("1.1")
    bench.opens("1.1")
    bench.asks(placing("a"))
    bench.dies("h1")
    bench.role.stops.stop_system("enough")
    assert bench.mail.stopped


def test_the_steps_of_the_end_come_in_order(tmp_path: Path) -> None:
    told: list[str] = []

    class Ending(hr.Coordinator):
        def process_end(self) -> None:
            told.append("process_end")

    class Log(hr.LoggingControl):
        def _process_end(self, event: object) -> None:
            told.append("log")

    bench = trading(tmp_path, coordinator=Ending, logging_controls=[Log()])
    bench.role.stops.stop_system("enough")
    assert told == []
    bench.take("c", Gone("h1"))
    bench.role.caught_up(bench.now)
    assert told == ["process_end", "log"]


def test_nothing_is_placed_before_the_image_of_orders_and_the_look_after_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sees("1.1")
    bench.opens("1.1")
    bench.asks(placing("a"))
    reply = bench.carried("h1")[-1]
    assert (reply.outcome, reply.control) == (REFUSED, "PLACING")
    assert bench.account.requests == []
    bench.take("o1", OrdersImage("o1", "Betfair", "trader", bench.now))
    bench.role.wake(bench.now)
    bench.asks(placing("b", request_id="r2"))
    assert bench.account.requests == [], "the list is not there yet"
    bench.account.lists.answer_rows("current_orders")
    bench.role.caught_up(bench.now)
    bench.asks(placing("c", request_id="r3"))
    assert [request.instructions[0].order_id for request in bench.account.requests] == ["c"]


def refuse(bench: Bench, code: str, milliseconds: int) -> None:
    """Time passes, and the exchange refuses each cancel of bet 91."""
    execution = bench.account.execution
    answered = 0
    until = bench.now + milliseconds
    while bench.now < until:
        for _, _, done in execution.cancels[answered:]:
            assert done is not None
            done({"91": code})
        answered = len(execution.cancels)
        bench.passes(500)


def test_a_bet_that_the_exchange_refuses_to_cancel_for_good_is_listed_and_the_stop_ends_with_a_failure(
    tmp_path: Path,
) -> None:
    bench = trading(tmp_path)
    resting(bench, "a", "91")
    bench.role.stops.stop_system("enough")
    refuse(bench, "PERMISSION_DENIED", 50_000)
    cancelling = bench.role.stops.cancelling
    assert cancelling is not None
    assert (cancelling.open, cancelling.left, bench.engine.stopped) == (1, [], []), "it may yet do it"
    refuse(bench, "PERMISSION_DENIED", 60_000)
    (left,) = cancelling.left
    assert (left["bet_id"], left["why"], left["liability"]) == ("91", "it is refused with PERMISSION_DENIED", 2.0)
    assert bench.engine.stopped == ["h1"]
    failure = next(iter(bench.role.betting.failures))
    assert failure.message == "bet 91 of market 1.1 rests and cannot be cancelled: it is refused with PERMISSION_DENIED"
    told = [event.text for event in bench.role.alerts.events]
    assert failure.message in told
    assert "nothing else rests" in told


def test_a_suspended_market_is_waited_for_longer_and_nobody_refuses_what_nobody_answers(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    resting(bench, "a", "91")
    bench.role.stops.stop_system("enough")
    refuse(bench, "MARKET_SUSPENDED", 300_000)
    refuse(bench, "UNKNOWN", 900_000)
    cancelling = bench.role.stops.cancelling
    assert cancelling is not None
    assert (cancelling.open, bench.engine.stopped) == (1, [])
    refuse(bench, "MARKET_SUSPENDED", 60_000)
    assert (cancelling.open, bench.engine.stopped) == (0, ["h1"])


def test_a_bet_that_was_refused_and_is_cancelled_at_last_is_not_left(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    resting(bench, "a", "91")
    bench.role.answers.answer("CANCEL_ALL", {"why": "somebody asks"})
    refuse(bench, "PERMISSION_DENIED", 100_000)
    cancelling = bench.role.stops.cancelling
    assert cancelling is not None
    assert (cancelling.done, len(cancelling.left)) == (True, 1)
    sent = len(cancels(bench))
    bench.role.caught_up(bench.now + 40_000)
    assert len(cancels(bench)) == sent + 1, "it is tried again as long as the system goes on"
    bench.account.execution.cancels[-1][2]({"91": ""})
    bench.sees_bet("a", "91", 0.0, cancelled=2.0)
    assert cancelling.standing() == {"done": True, "open": 0, "left": []}


def test_bets_of_the_whole_account_that_are_not_cancelled_do_not_hold_up_the_end_for_ever(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    bench.take("o1", foreign(bench, 4.0))
    bench.role.answers.answer("CANCEL_ALL", {"why": "somebody asks", "whole_account": True})
    bench.role.stops.stop_system("enough")
    answered = 0
    for _ in range(1_300):
        for done in bench.account.execution.account_cancels[answered:]:
            done("the exchange answers FAILURE: some bets may be left")
        answered = len(bench.account.execution.account_cancels)
        bench.passes(500)
    assert bench.engine.stopped == ["h1"]
    failure = next(iter(bench.role.betting.failures))
    assert failure.message.startswith("the bets of account trader rest and cannot be cancelled: the exchange answers")


def test_an_order_of_which_nothing_could_be_learnt_is_listed_and_does_not_hold_up_the_end(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    bench.asks(placing("a"))
    (request,) = bench.account.requests
    bench.role.stops.stop_system("enough")
    desk = next(iter(bench.role.betting.accounts))
    assert desk.orders is not None
    lost = Reply(request.request_id, "1.1", bench.now, UNKNOWN, (Report("a", "PLACE", FAILURE),))
    assert not desk.orders.hold(request, lost)
    bench.passes(100)
    assert bench.engine.stopped == [], "it may rest, and is looked for"
    bench.passes(121_000)
    bench.passes(500)

    cancelling = bench.role.stops.cancelling
    assert cancelling is not None
    assert [(each["order_id"], each["why"]) for each in cancelling.left] == [
        ("a", "what became of it could not be learnt")
    ]
    assert (cancelling.open, bench.engine.stopped) == (0, ["h1"])
    assert [failure.message for failure in bench.role.betting.failures] == [
        "order a of market 1.1 may rest: what became of it could not be learnt"
    ]


def test_a_whole_system_ends_with_a_failure_where_the_exchange_refuses_to_cancel(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "REFUSED_MS", 300)
    monkeypatch.setattr(stopping, "_AGAIN_MS", 50)
    with venue() as exchange, system(exchange, folder) as running:
        running.until(lambda: exchange.bets and running.orders()[0].bet_id)
        exchange.fault("bet.refuse", operation="cancelOrders", value="PERMISSION_DENIED", times=None)
        result = running.end()
        (bet,) = exchange.bets
        assert bet.executable
        (row,) = result.failures.to_pylist()
        assert row["message"].startswith(f"bet {bet.bet_id} of market {bet.market_id} rests and cannot be cancelled: ")
        assert row["message"].endswith("PERMISSION_DENIED")

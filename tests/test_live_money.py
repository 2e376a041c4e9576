"""What must not be lost between two moments: bets about to be replaced, requests under way, results taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

import headrace as hr
from headrace.actors.letters import ForeignBet, Gone, Introduce, OrdersClosed, Route
from headrace.actors.live.day import RISK_FILE
from headrace.actors.live.setup import RiskLimits
from headrace.strategies.errors import OrderError
from headrace.strategies.messages import (
    ANSWERED,
    CANCEL,
    EXPIRED,
    FAILURE,
    PLACE,
    REPLACE,
    STREAM,
    SUCCESS,
    ClearedOrder,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
)
from live_coordinators import NOW, Bench, LiveClient, backer, cancels, placing, resting, trading


def exposure(bench: Bench) -> float:
    return bench.role.betting.risk.standing()["by_currency"]["GBP"]["exposure"]


# -- replaces --------------------------------------------------------------------------------------------------------


def replaced(bench: Bench, new_price: float = 4.0) -> Request:
    """The bet 91 of the order a is to be replaced; the stream has told of its cancel, and of nothing else."""
    resting(bench, "a", "91")
    instruction = ReplaceInstruction("a", "91", new_price, "b", "hash-b")
    request = Request("r2", "1.1", "Backer", "Betfair", "trader", REPLACE, (instruction,), NOW)
    bench.asks(request)
    bench.sees_bet("a", "91", 0.0, cancelled=2.0)
    return bench.account.requests[-1]


def answer(bench: Bench, request: Request, *reports: Report) -> None:
    bench.account.execution.answer(Reply(request.request_id, "1.1", bench.now, ANSWERED, reports))
    bench.passes(100)


def test_the_end_waits_for_the_bet_that_takes_the_place_of_a_cancelled_one(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    request = replaced(bench)
    bench.role.stops.stop_system("enough")
    bench.passes(3_000)
    assert bench.engine.stopped == [], "the new bet is on its way"
    assert cancels(bench) == [], "the old one is over"
    answer(bench, request, Report("a", CANCEL, SUCCESS, size=2.0), Report("b", PLACE, SUCCESS, bet_id="92"))
    assert cancels(bench) == [("1.1", ["92"])]
    bench.sees_bet("b", "92", 0.0, cancelled=2.0)
    assert bench.engine.stopped == ["h1"]


def test_a_replace_that_fails_holds_up_nothing(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    request = replaced(bench)
    bench.role.stops.stop_system("enough")
    answer(bench, request, Report("a", CANCEL, SUCCESS, size=2.0), Report("b", PLACE, FAILURE, "INSUFFICIENT_FUNDS"))
    assert bench.engine.stopped == ["h1"]


def test_exposure_counts_what_is_about_to_be_placed_anew_and_counts_it_once(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    request = replaced(bench)
    assert exposure(bench) == 2.0
    # Its reference is still that of the first order.
    bench.sees_bet("a", "92", 2.0)
    assert exposure(bench) == 2.0
    answer(bench, request, Report("a", CANCEL, SUCCESS, size=2.0), Report("b", PLACE, SUCCESS, bet_id="92"))
    assert exposure(bench) == 2.0
    bench.sees_bet("b", "92", 0.0, cancelled=2.0)
    assert exposure(bench) == 0.0


def test_exposure_is_counted_anew_once_it_is_known_who_can_win(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.ready()
    for number, (bet_id, runner) in enumerate((("91", 11), ("92", 12))):
        fact = OrderFact("1.1", None, bet_id, STREAM, NOW + number, False, 3.0, 2.0, "LAPSE", matched=2.0, average=3.0)
        lay = ("Betfair", "trader", "1.1", bet_id, runner, 0.0, "LAY", 3.0, 2.0, 2.0, 0.0, NOW)
        bench.take("o1", ForeignBet(*lay, fact=fact, own=True))
    assert exposure(bench) == 8.0, "both may win, as far as is known"
    runners = [{"id": each, "status": "ACTIVE"} for each in (11, 12)]
    bench.sees("1.1", runners=runners, numberOfWinners=1, numberOfActiveRunners=2, bettingType="ODDS")
    assert exposure(bench) == 2.0


# -- requests that are not sent --------------------------------------------------------------------------------------


def test_an_execution_that_fails_leaves_no_order_that_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = trading(tmp_path)

    def fails(request: Request) -> None:
        raise OrderError("no such thing")

    monkeypatch.setattr(bench.account, "send", fails)
    bench.asks(placing("a"))
    reply = bench.carried("h1")[-1]
    assert (reply.outcome, reply.reason) == (EXPIRED, "no such thing")
    assert bench.role.answers.state()["orders"] == []
    assert exposure(bench) == 0.0
    bench.role.stops.stop_system("enough")
    assert bench.engine.stopped == ["h1"]


def test_transactions_of_what_was_not_sent_are_given_back_and_no_others(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    orders = [PlaceInstruction(each, each, 11, 0.0, "BACK", "LIMIT", price=3.0, size=2.0) for each in "abc"]
    bench.asks(placing("", instructions=tuple(orders)))
    (request,) = bench.account.requests
    client = bench.role.betting.accounts.of(("Betfair", "trader")).client
    assert client.transaction_count_total == 3

    def reply(outcome: str, report: Report) -> None:
        bench.account.execution.answer(Reply(request.request_id, "1.1", NOW, outcome, (report,)))

    reply(EXPIRED, Report("a", PLACE, FAILURE))
    assert client.transaction_count_total == 2
    reply(ANSWERED, Report("b", PLACE, SUCCESS, bet_id="91"))
    reply(EXPIRED, Report("c", PLACE, FAILURE))
    assert client.transaction_count_total == 1
    assert bench.role.betting.coordinator.requests == {}


# -- the end ---------------------------------------------------------------------------------------------------------


def test_what_is_left_is_listed_once_it_is_known_what_rests(tmp_path: Path) -> None:
    bench = trading(tmp_path, on_stop="leave")
    resting(bench, "a", "91")
    bench.asks(placing("b", request_id="r2"))
    bench.role.stops.stop_system("enough")
    bench.passes(5_000)
    assert bench.engine.stopped == [], "a request is under way"
    bench.account.places("b", "92")
    bench.passes(100)
    assert bench.engine.stopped == ["h1"]
    assert cancels(bench) == []
    assert [each.text for each in bench.role.alerts.events if each.kind == "LEFT"] == [
        "2 bets rest at the exchange: 91, 92"
    ]


def test_what_is_not_known_is_waited_for_half_a_minute_and_told(tmp_path: Path) -> None:
    bench = trading(tmp_path, on_stop="leave")
    bench.asks(placing("a"))
    bench.role.stops.stop_system("enough")
    bench.passes(29_900)
    assert bench.engine.stopped == []
    bench.passes(200)
    assert bench.engine.stopped == ["h1"]
    assert "it is not known what became of 1 orders" in [each.text for each in bench.role.alerts.events]


def test_an_order_at_the_starting_price_is_listed_with_its_number(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    on_close = PlaceInstruction("a", "hash-a", 11, 0.0, "BACK", "MARKET_ON_CLOSE", liability=5.0)
    bench.asks(placing("a", instructions=(on_close,)))
    bench.role.stops.stop_system("enough")
    bench.passes(1_000)
    assert bench.engine.stopped == [], "it is not known yet whether it is there"
    bench.account.places("a", "91")
    bench.passes(100)
    assert bench.engine.stopped == ["h1"]
    (told,) = [each.text for each in bench.role.alerts.events if each.kind == "LEFT"]
    assert "bet 91 of market 1.1" in told


def test_orders_on_paper_at_a_host_that_does_not_answer_do_not_hold_up_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clients=[LiveClient(paper_trade=True)])
    bench.sees("1.1")
    bench.opens("1.1")
    bench.asks(placing("a"))
    bench.role.stops.stop_system("enough")
    bench.passes(9_000)
    assert bench.engine.stopped == []
    bench.passes(1_100)
    assert bench.engine.stopped == ["h1"]
    assert any(each.kind == "PAPER" and "1 orders" in each.text for each in bench.role.alerts.events)


def elsewhere(bench: Bench, bet_id: str, remaining: float) -> ForeignBet:
    at = bench.now
    fact = OrderFact("1.9", None, bet_id, STREAM, at, remaining > 0, 2.0, 4.0, "LAPSE", remaining=remaining)
    return ForeignBet("Betfair", "trader", "1.9", bet_id, 5, 0.0, "BACK", 2.0, 4.0, 0.0, remaining, at, fact=fact)


def test_what_others_place_after_the_whole_account_was_cancelled_is_cancelled_too(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    bench.role.stops.cancel_all("somebody asks", whole_account=True)
    bench.account.execution.account_cancels[0]("")
    assert bench.role.stops.cancelling is not None
    assert bench.role.stops.cancelling.done
    bench.take("o1", elsewhere(bench, "70", 4.0))
    bench.passes(2_100)
    assert len(bench.account.execution.account_cancels) == 2
    assert not bench.role.stops.cancelling.done


def test_a_host_that_died_takes_no_bets_of_strategies_with_it_that_have_the_market_elsewhere(tmp_path: Path) -> None:
    class Pairs(hr.Strategy):
        scope = "event"

    bench = Bench(tmp_path, [backer(), Pairs(name="Pairs", market_filter={"country_codes": ["GB"]})])
    bench.ready()
    bench.sees("1.1")
    bench.opens("1.1")
    bench.opens("1.1", "h2", "s1.event")
    bench.asks(placing("a"))
    bench.asks(placing("b", strategy="Pairs", request_id="r2"), "h2", "s1.event")
    bench.account.places("a", "91")
    bench.account.places("b", "92")
    bench.dies("h1")
    bench.passes(100)
    assert cancels(bench) == [("1.1", ["91"])]


def test_the_end_waits_for_the_first_look_at_an_account(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.account.session.log_in("token")
    bench.role.stops.stop_system("enough")
    bench.passes(9_000)
    assert not bench.mail.stopped, "bets of an earlier session may rest"
    bench.ready()
    bench.passes(100)
    assert bench.mail.stopped


def test_the_end_does_not_wait_long_for_a_look_that_does_not_come_nor_without_a_session(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "one")
    bench.account.session.log_in("token")
    bench.role.stops.stop_system("enough")
    bench.passes(10_100)
    assert bench.mail.stopped
    assert any("of an earlier session" in each.text for each in bench.role.alerts.events)
    other = Bench(tmp_path / "other")
    other.role.stops.stop_system("enough")
    assert other.mail.stopped


def test_a_market_whose_host_died_is_not_traded_again_when_a_stream_shows_it_anew(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    bench.dies("h1")
    bench.hello("s1", "STREAM", incarnation=1)
    bench.sees("1.1")
    bench.sees("1.2")
    assert [route.market_id for route in bench.mail.letters(Route, "s1")] == ["1.1", "1.2"]
    bench.role.routes.free("1.1")
    bench.sees("1.1")
    assert [route.market_id for route in bench.mail.letters(Route, "s1")] == ["1.1", "1.2", "1.1"]


# -- results ---------------------------------------------------------------------------------------------------------


def lost(bench: Bench) -> None:
    """A bet of £2 was matched, and lost."""
    bench.asks(placing("a"))
    bench.account.places("a", "91", matched=2.0)
    bench.take("o1", OrderFact("1.1", "a", "91", STREAM, NOW, False, 3.0, 2.0, "LAPSE", matched=2.0, average=3.0))
    bench.account.execution.answer(ClearedOrder("1.1", "a", "91", bench.now, profit=-2.0))


def test_results_of_a_market_that_is_opened_again_are_taken_back(tmp_path: Path) -> None:
    bench = trading(tmp_path, risk=RiskLimits(max_exposure=100.0))
    lost(bench)
    day = bench.role.betting.day
    assert (exposure(bench), day.profit(NOW, "GBP")) == (0.0, -2.0)
    bench.take("o1", OrdersClosed("Betfair", "trader", "1.1", False, bench.now))
    assert (exposure(bench), day.profit(NOW, "GBP")) == (2.0, 0.0)
    bench.account.execution.answer(ClearedOrder("1.1", "a", "91", bench.now, profit=4.0))
    assert (exposure(bench), day.profit(NOW, "GBP")) == (0.0, 4.0)


def test_a_result_that_cannot_be_kept_for_a_restart_is_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = trading(tmp_path)

    def full(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bench.role.betting.day, "write", full)
    lost(bench)
    assert isinstance(bench.carried("h1")[-1], ClearedOrder)
    bench.role.betting.save(wait=True)
    assert not (bench.instance.folder / RISK_FILE).exists()


def test_a_market_that_no_stream_shows_any_more_is_freed_where_nothing_was_matched(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    resting(bench, "a", "91")
    bench.role.ends.leave("1.1", bench.now)
    bench.passes(1_100)
    assert "1.1" in bench.role.routes.markets
    bench.sees_bet("a", "91", 0.0, cancelled=2.0)
    bench.passes(1_100)
    assert bench.role.routes.markets == {}


# -- streams ---------------------------------------------------------------------------------------------------------


def test_lists_are_read_more_often_while_there_is_no_order_stream(tmp_path: Path) -> None:
    bench = trading(tmp_path)

    def looks() -> int:
        return sum(what == "current_orders" for what, *_ in bench.account.lists.asked)

    bench.passes(15_000)
    assert looks() == 0
    bench.take("c", Gone("o1", "killed by signal 9"))
    bench.passes(1_100)
    assert looks() == 1
    bench.account.lists.answer_rows("current_orders")
    bench.passes(10_100)
    assert looks() == 1


def test_a_stream_whose_letters_were_lost_tells_all_again(tmp_path: Path) -> None:
    bench = trading(tmp_path)
    bench.role.lost("o1")
    assert bench.mail.letters(Introduce, "o1")[-1].name == "c"
    bench.passes(1_100)
    assert [what for what, *_ in bench.account.lists.asked if what == "current_orders"] == ["current_orders"]

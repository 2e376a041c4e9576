"""Requests of live accounts at the rehearsal exchange, through real sockets, and what is answered to them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import headrace as hr
from builders import MARKET, priced
from exchange_builders import BOB
from exchange_servers import Served
from headrace.actors.betfair.execution import Execution
from headrace.actors.betfair.live_account import LiveAccount
from headrace.simulate.exchange.certificates import Certificates
from headrace.strategies.messages import (
    ANSWERED,
    CANCEL,
    EXPIRED,
    FAILURE,
    PLACE,
    REPLACE,
    REPORT,
    SUCCESS,
    UNKNOWN,
    UPDATE,
    CancelInstruction,
    OrderFact,
    PlaceInstruction,
    ReplaceInstruction,
    Reply,
    Report,
    Request,
    UpdateInstruction,
)
from live_desk import Desk, Trader, limit, trading


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as made:
        yield made


@pytest.fixture
def exchange() -> Iterator[Served]:
    with trading() as server:
        yield server


@pytest.fixture
def trader(exchange: Served, desk: Desk) -> Trader:
    return Trader(exchange, desk)


def bets(exchange: Served) -> list[tuple[float | None, float, float]]:
    """Price, remaining and cancelled of all bets there."""
    return [(bet.price, bet.remaining, bet.cancelled) for bet in exchange.exchange.bets.values()]


def only(reply: Reply) -> Report:
    (report,) = reply.reports
    return report


# -- answers -------------------------------------------------------------------------------------------------------


def test_order_that_rests_is_answered_with_its_bet_and_how_it_stands(trader: Trader) -> None:
    reply = trader.placed(limit("1"))
    report = only(reply)
    assert (reply.outcome, reply.reason) == (ANSWERED, None)
    assert (report.order_id, report.operation, report.status, report.size) == ("1", PLACE, SUCCESS, 0.0)
    (fact,) = trader.facts
    assert (fact.order_id, fact.bet_id, fact.source, fact.at) == ("1", report.bet_id, REPORT, report.placed_at)
    assert (fact.executable, fact.price, fact.size, fact.remaining, fact.matched) == (True, 3.0, 5.0, 5.0, 0.0)
    (call,) = trader.calls("placeOrders")
    assert call["params"]["customerStrategyRef"] == "tests"
    assert len(call["params"]["customerRef"]) == 32


def test_what_is_matched_at_once_is_known_by_the_reply(trader: Trader) -> None:
    reply = trader.placed(limit("whole", 2.0, 4.0), limit("part", 1.98, 18.0))
    assert [report.size for report in reply.reports] == [4.0, 16.0]
    whole, part = trader.facts
    assert (whole.executable, whole.matched, whole.average, whole.remaining) == (False, 4.0, 2.0, 0.0)
    assert (part.executable, part.matched, part.remaining) == (True, 16.0, 2.0)
    assert part.average == pytest.approx((2.0 * 6 + 1.98 * 10) / 16)


def test_fill_or_kill_that_is_killed_is_over_by_the_reply(trader: Trader) -> None:
    reply = trader.placed(limit("1", time_in_force="FILL_OR_KILL", persistence_type="LAPSE"))
    assert (only(reply).status, only(reply).bet_id is not None) == (SUCCESS, True)
    (fact,) = trader.facts
    assert (fact.executable, fact.matched, fact.cancelled, fact.remaining) == (False, 0.0, 5.0, 0.0)


def test_orders_at_the_starting_price_have_bets_and_no_facts_yet(trader: Trader) -> None:
    back = PlaceInstruction("moc", "ref-moc", 1, 0.0, "BACK", "MARKET_ON_CLOSE", liability=20.0)
    lay = PlaceInstruction("loc", "ref-loc", 2, 0.0, "LAY", "LIMIT_ON_CLOSE", 5.0, liability=20.0)
    reply = trader.placed(back, lay)
    assert [(report.status, report.bet_id is not None) for report in reply.reports] == [(SUCCESS, True)] * 2
    assert trader.facts == []


def test_refusal_names_the_culprit_and_the_whole(trader: Trader) -> None:
    reply = trader.placed(limit("right"), limit("wrong", 3.03))
    assert [(each.order_id, each.status, each.error_code) for each in reply.reports] == [
        ("right", FAILURE, "ERROR_IN_ORDER"),
        ("wrong", FAILURE, "INVALID_ODDS"),
    ]
    assert (reply.outcome, reply.reason) == (ANSWERED, "BET_ACTION_ERROR")
    assert trader.exchange.exchange.bets == {}


def test_market_that_refuses_all_is_the_reason(trader: Trader) -> None:
    reply = trader.placed(limit("1"), market_id="1.404")
    assert (only(reply).error_code, reply.reason) == ("ERROR_IN_ORDER", "INVALID_MARKET_ID")


def test_version_that_is_too_old_is_a_failure_with_a_bet(desk: Desk) -> None:
    stream = priced().suspend(200, version=7).define(300, status="OPEN", version=8)
    with trading(stream, until=300) as exchange:
        trader = Trader(exchange, desk)
        report = only(trader.placed(limit("1"), market_version=3))
        assert (report.status, report.error_code, report.bet_id is None) == (FAILURE, "BET_TAKEN_OR_LAPSED", False)


def test_cancels_are_answered_by_bet_and_with_sizes(trader: Trader) -> None:
    bet, other = (report.bet_id for report in trader.placed(limit("1"), limit("2", 3.1)).reports)
    reply = trader.answered(trader.send(CANCEL, CancelInstruction("1", bet, 2.0), CancelInstruction("2", other)))
    assert reply.reports == (
        Report("1", CANCEL, SUCCESS, None, bet, 2.0),
        Report("2", CANCEL, SUCCESS, None, other, 5.0),
    )
    assert bets(trader.exchange) == [(3.0, 3.0, 2.0), (3.1, 0.0, 5.0)]
    reply = trader.answered(trader.send(CANCEL, CancelInstruction("2", other)))
    assert reply.reports == (Report("2", CANCEL, FAILURE, "BET_TAKEN_OR_LAPSED", other),)


def test_update_and_its_refusal(trader: Trader) -> None:
    bet = only(trader.placed(limit("1"))).bet_id
    reply = trader.answered(trader.send(UPDATE, UpdateInstruction("1", bet, "LAPSE")))
    assert reply.reports == (Report("1", UPDATE, FAILURE, "NO_ACTION_REQUIRED", bet),)
    reply = trader.answered(trader.send(UPDATE, UpdateInstruction("1", bet, "PERSIST")))
    assert reply.reports == (Report("1", UPDATE, SUCCESS, None, bet),)


def test_replace_is_a_cancel_and_a_placing_which_may_match_at_once(trader: Trader) -> None:
    bet = only(trader.placed(limit("1"))).bet_id
    del trader.answers[:]
    reply = trader.answered(trader.send(REPLACE, ReplaceInstruction("1", bet, 2.0, "2", "0123456789abc-2")))
    cancelled, placed = reply.reports
    assert cancelled == Report("1", CANCEL, SUCCESS, None, bet, 5.0)
    assert (placed.order_id, placed.operation, placed.status, placed.size) == ("2", PLACE, SUCCESS, 5.0)
    assert placed.bet_id not in (None, bet)
    fact = trader.answers[1]
    assert (fact.order_id, fact.bet_id, fact.executable, fact.matched) == ("2", placed.bet_id, False, 5.0)


def test_replace_whose_placing_fails_says_why_by_the_nested_report(trader: Trader) -> None:
    bet = only(trader.placed(limit("1"))).bet_id
    reply = trader.answered(trader.send(REPLACE, ReplaceInstruction("1", bet, 3.03, "2")))
    cancelled, placed = reply.reports
    assert cancelled == Report("1", CANCEL, SUCCESS, None, bet, 5.0)
    assert placed == Report("2", PLACE, FAILURE, "INVALID_ODDS")


def test_replace_of_a_bet_that_is_over_places_nothing(trader: Trader) -> None:
    bet = only(trader.placed(limit("1", 2.0))).bet_id
    reply = trader.answered(trader.send(REPLACE, ReplaceInstruction("1", bet, 3.0, "2")))
    assert reply.reports == (Report("1", CANCEL, FAILURE, "BET_TAKEN_OR_LAPSED", bet),)


def test_requests_are_cut_to_what_the_exchange_takes(desk: Desk) -> None:
    with trading() as exchange:
        trader = Trader(exchange, desk)
        request = trader.send(PLACE, *(limit(str(each), 3.0, 1.0) for each in range(201)))
        desk.until(lambda: len(trader.replies(request)) == 2)
        assert sorted(len(reply.reports) for reply in trader.replies(request)) == [1, 200]
        placed = {report.order_id: report.bet_id for reply in trader.replies(request) for report in reply.reports}
        wanted = [CancelInstruction(order_id, bet_id) for order_id, bet_id in list(placed.items())[:61]]
        request = trader.send(CANCEL, *wanted)
        desk.until(lambda: len(trader.replies(request)) == 2)
        assert sorted(len(reply.reports) for reply in trader.replies(request)) == [1, 60]


def test_report_with_fields_that_nobody_knows_is_read(trader: Trader) -> None:
    trader.exchange.fault("http.extra_fields")
    assert only(trader.placed(limit("1"))).status == SUCCESS


# -- what was not sent ---------------------------------------------------------------------------------------------


def test_order_that_is_not_sent_before_its_deadline_expires_and_is_nowhere(desk: Desk) -> None:
    with trading() as exchange:
        trader = Trader(exchange, desk)
        trader.placed(limit("1"))
        port = exchange.http.port
        exchange.run(exchange.http.stop())
    started = desk.now_ms()
    reply = trader.placed(limit("2"), deadline=started + 300)
    assert reply.outcome == EXPIRED
    assert reply.reports == (Report("2", PLACE, FAILURE),)
    assert f"cannot connect to 127.0.0.1:{port}" in (reply.reason or "")
    assert desk.now_ms() - started < 2_000


def test_order_whose_deadline_has_passed_is_not_sent(trader: Trader) -> None:
    trader.placed(limit("1"))
    reply = trader.placed(limit("2"), deadline=trader.desk.now_ms() - 10)
    assert reply.outcome == EXPIRED
    assert "ms after its deadline" in (reply.reason or "")
    assert len(trader.calls("placeOrders")) == 1


def test_order_that_waits_for_a_thread_beyond_its_deadline_expires(exchange: Served) -> None:
    """betcode-org/flumine#380, #400: the pool was used up, and orders waited unseen."""
    with Desk(workers=1) as desk:
        trader = Trader(exchange, desk)
        exchange.fault("http.late", operation="placeOrders", seconds=0.3)
        first, second = trader.send(PLACE, limit("1")), trader.send(PLACE, limit("2"), deadline=desk.now_ms() + 100)
        desk.until(lambda: desk.calls.waiting)
        reply = trader.answered(second)
        assert (reply.outcome, only(trader.answered(first)).status) == (EXPIRED, SUCCESS)
        assert "ms after its deadline" in (reply.reason or "")
        assert len(bets(exchange)) == 1


def test_order_that_finds_no_session_in_time_expires(trader: Trader) -> None:
    trader.exchange.fault("http.slow", operation="login", seconds=0.6)
    reply = trader.placed(limit("1"), deadline=trader.desk.now_ms() + 200)
    assert (reply.outcome, reply.reason) == (EXPIRED, "no session in time")
    trader.desk.until(lambda: trader.account.token)
    trader.desk.turn()
    assert trader.calls("placeOrders") == []
    assert len(trader.replies()) == 1


def test_cancel_outlives_its_deadline_until_the_exchange_is_back(trader: Trader) -> None:
    bet = only(trader.placed(limit("1"))).bet_id
    late = trader.desk.now_ms() - 1
    assert only(trader.answered(trader.send(CANCEL, CancelInstruction("1", bet), deadline=late))).status == SUCCESS


def test_session_that_has_expired_is_renewed_once_and_the_order_is_placed_once(trader: Trader) -> None:
    trader.placed(limit("1"))
    trader.exchange.fault("session.expire")
    first, second = trader.send(PLACE, limit("2")), trader.send(PLACE, limit("3"))
    assert only(trader.answered(first)).status == only(trader.answered(second)).status == SUCCESS
    assert len(bets(trader.exchange)) == 3
    assert trader.account.session.logins == 2


def test_idle_connection_that_the_exchange_has_closed_costs_nothing(trader: Trader) -> None:
    trader.exchange.fault("http.idle_close", seconds=0.01, operation="placeOrders")
    trader.placed(limit("1"))
    calls = trader.account.calls
    trader.desk.until(lambda: not _alive(calls))
    assert only(trader.placed(limit("2"))).status == SUCCESS


def _alive(calls: Any) -> bool:
    """Whether an idle connection to the API is open at both ends."""
    target = next(iter(calls.connections._idle), None)
    line = None if target is None else calls.connections.take(target)
    if line is None:
        return False
    calls.connections.give_back(target, line)
    return True


# -- what is unknown -----------------------------------------------------------------------------------------------

DONE = ["http.lost", "http.cut", "http.status_done", "http.garbage", "http.timeout", "http.timeout_error"]


@pytest.mark.parametrize("fault", DONE)
def test_placing_of_unknown_outcome_is_said_to_be_and_never_sent_again(trader: Trader, fault: str) -> None:
    trader.exchange.fault(fault, operation="placeOrders")
    reply = trader.placed(limit("1"))
    assert (reply.outcome, reply.reports) == (UNKNOWN, (Report("1", PLACE, FAILURE),))
    assert reply.reason
    trader.desk.skip(60)
    trader.desk.turn()
    assert len(trader.calls("placeOrders")) == 1
    assert len(bets(trader.exchange)) == 1
    assert trader.facts == []


@pytest.mark.parametrize(
    ("fault", "value", "outcome"),
    [
        ("http.refused", None, UNKNOWN),  # the connection is cut: nobody knows that nothing was done
        ("http.status", None, UNKNOWN),
        ("http.timeout_lost", None, UNKNOWN),
        ("http.error", "UNEXPECTED_ERROR", UNKNOWN),
        ("http.error", "TOO_MANY_REQUESTS", ANSWERED),
        ("http.error", "ACCESS_DENIED", ANSWERED),
    ],
)
def test_what_was_not_done_is_known_only_where_the_exchange_says_so(
    trader: Trader, fault: str, value: str | None, outcome: str
) -> None:
    trader.placed(limit("0"))
    trader.exchange.fault(fault, value=value, operation="placeOrders")
    reply = trader.placed(limit("1"))
    assert reply.outcome == outcome
    assert only(reply).error_code == (value if outcome == ANSWERED else None)
    assert len(bets(trader.exchange)) == 1


def test_transaction_that_came_before_tells_nothing_of_what_became_of_it(
    trader: Trader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Execution, "_customer_ref", lambda self: "again")
    assert trader.placed(limit("1")).outcome == ANSWERED
    reply = trader.placed(limit("2"))
    assert (reply.outcome, reply.reason) == (UNKNOWN, "DUPLICATE_TRANSACTION")


def test_reply_that_takes_too_long_is_given_up_and_its_connection_cut(trader: Trader) -> None:
    trader.placed(limit("0"))
    trader.exchange.fault("http.slow", operation="placeOrders", seconds=600)
    request = trader.send(PLACE, limit("1"), deadline=trader.desk.now_ms() + 2_000)
    trader.desk.until(lambda: len(bets(trader.exchange)) == 2)
    assert trader.replies(request) == []
    trader.desk.skip(30)
    reply = trader.answered(request)
    assert (reply.outcome, reply.reason) == (UNKNOWN, "no reply within 16 s")
    assert trader.account.calls.under_way == 0


def test_late_reply_of_a_slow_exchange_is_an_answer(trader: Trader) -> None:
    trader.exchange.fault("http.slow", operation="placeOrders", seconds=0.3)
    assert only(trader.placed(limit("1"), deadline=trader.desk.now_ms() + 100)).status == SUCCESS
    assert trader.account.execution.times_ms[0] >= 300


@pytest.mark.parametrize("fault", [*DONE, "http.refused", "http.status", "http.timeout_lost"])
def test_cancel_of_a_whole_bet_is_repeated_until_it_is_answered(trader: Trader, fault: str) -> None:
    bet = only(trader.placed(limit("1"))).bet_id
    trader.exchange.fault(fault, operation="cancelOrders")
    request = trader.send(CANCEL, CancelInstruction("1", bet))
    trader.desk.until(lambda: trader.calls("cancelOrders"))
    trader.desk.skip(1)
    reply = trader.answered(request)
    assert reply.outcome == ANSWERED
    done = fault in DONE
    assert only(reply).error_code == ("BET_TAKEN_OR_LAPSED" if done else None)
    assert bets(trader.exchange) == [(3.0, 0.0, 5.0)]
    refs = [call["params"]["customerRef"] for call in trader.calls("cancelOrders")]
    assert len(set(refs)) == 2


def test_cancel_that_is_never_answered_is_unknown_after_so_many_attempts(exchange: Served, desk: Desk) -> None:
    trader = Trader(exchange, desk, execution_retry_attempts=2)
    bet = only(trader.placed(limit("1"))).bet_id
    exchange.fault("http.status", operation="cancelOrders", times=10)
    request = trader.send(CANCEL, CancelInstruction("1", bet))
    while not trader.replies(request):
        desk.turn()
        desk.skip(0.3)
    reply = trader.answered(request)
    assert (reply.outcome, reply.reason) == (UNKNOWN, "HTTP status 503")
    assert len(trader.calls("cancelOrders")) == 3


@pytest.mark.parametrize("fault", ["http.lost", "http.timeout_lost"])
def test_cancel_of_a_part_is_never_repeated_and_may_be_taken_over(trader: Trader, fault: str) -> None:
    bet = only(trader.placed(limit("1"))).bet_id
    held: list[tuple[Request, Reply]] = []

    def hold(request: Request, reply: Reply) -> bool:
        held.append((request, reply))
        return True

    trader.account.execution.hold = hold
    trader.exchange.fault(fault, operation="cancelOrders")
    request = trader.send(CANCEL, CancelInstruction("1", bet, 2.0))
    trader.desk.until(lambda: held)
    trader.desk.skip(60)
    trader.desk.turn()
    assert len(trader.calls("cancelOrders")) == 1
    assert held[0][0] is request
    assert (held[0][1].outcome, only(held[0][1])) == (UNKNOWN, Report("1", CANCEL, FAILURE))
    assert trader.replies(request) == []


@pytest.mark.parametrize("reduction", [None, 2.0])
def test_cancel_that_the_exchange_is_too_busy_for_is_asked_again(trader: Trader, reduction: float | None) -> None:
    bet = only(trader.placed(limit("1"))).bet_id
    trader.exchange.fault("http.error", value="TOO_MANY_REQUESTS", operation="cancelOrders")
    request = trader.send(CANCEL, CancelInstruction("1", bet, reduction))
    trader.desk.until(lambda: trader.calls("cancelOrders"))
    trader.desk.skip(1)
    assert only(trader.answered(request)).size == (reduction or 5.0)


def test_replace_of_unknown_outcome_is_not_repeated(trader: Trader) -> None:
    bet = only(trader.placed(limit("1"))).bet_id
    trader.exchange.fault("http.lost", operation="replaceOrders")
    reply = trader.answered(trader.send(REPLACE, ReplaceInstruction("1", bet, 3.1, "2")))
    assert (reply.outcome, only(reply)) == (UNKNOWN, Report("1", REPLACE, FAILURE))
    trader.desk.skip(60)
    trader.desk.turn()
    assert len(trader.calls("replaceOrders")) == 1


def test_update_is_repeated(trader: Trader) -> None:
    bet = only(trader.placed(limit("1"))).bet_id
    trader.exchange.fault("http.lost", operation="updateOrders")
    request = trader.send(UPDATE, UpdateInstruction("1", bet, "PERSIST"))
    trader.desk.until(lambda: trader.calls("updateOrders"))
    trader.desk.skip(1)
    assert only(trader.answered(request)).error_code == "NO_ACTION_REQUIRED"


# -- async placings ------------------------------------------------------------------------------------------------


def fact(order_id: str, bet_id: str, executable: bool = True) -> OrderFact:
    return OrderFact(MARKET, order_id, bet_id, "STREAM", 1, executable, remaining=5.0 if executable else 0.0)


def test_cancel_of_an_async_order_waits_for_its_bet(trader: Trader) -> None:
    report = only(trader.placed(limit("1"), async_=True))
    assert (report.status, report.bet_id, report.placed_at) == (SUCCESS, None, None)
    request = trader.send(CANCEL, CancelInstruction("1", None))
    trader.desk.turn()
    assert trader.replies(request) == []
    assert trader.calls("cancelOrders") == []
    bet_id = trader.desk.until(lambda: list(trader.exchange.exchange.bets))[0]
    trader.account.take_fact(fact("1", bet_id))
    assert only(trader.answered(request)) == Report("1", CANCEL, SUCCESS, None, bet_id, 5.0)
    late = trader.send(CANCEL, CancelInstruction("1", None))
    assert only(trader.answered(late)).error_code == "BET_TAKEN_OR_LAPSED"


def test_cancel_of_an_async_order_that_comes_to_nothing_is_answered(trader: Trader) -> None:
    trader.placed(limit("1"), async_=True)
    request = trader.send(CANCEL, CancelInstruction("1", None, 1.0))
    trader.account.take_fact(fact("1", "99", executable=False))
    assert only(trader.answered(request)) == Report("1", CANCEL, FAILURE, "BET_TAKEN_OR_LAPSED", "99")


def test_what_has_no_bet_and_will_not_get_one_here_is_refused(trader: Trader) -> None:
    for kind, instruction in (
        (CANCEL, CancelInstruction("7", None)),
        (UPDATE, UpdateInstruction("7", None, "PERSIST")),
        (REPLACE, ReplaceInstruction("7", None, 3.0, "8")),
    ):
        report = only(trader.answered(trader.send(kind, instruction)))
        assert (report.status, report.error_code) == (FAILURE, "BET_IN_PROGRESS")
    assert trader.account.calls.under_way == 0


def test_market_that_is_given_up_is_forgotten(trader: Trader) -> None:
    trader.placed(limit("1"), async_=True)
    request = trader.send(CANCEL, CancelInstruction("1", None))
    trader.account.execution.forget(MARKET)
    trader.account.take_fact(fact("1", "1"))
    trader.desk.turn()
    assert (trader.replies(request), trader.calls("cancelOrders")) == ([], [])


# -- stopping ------------------------------------------------------------------------------------------------------


def test_stop_cancels_in_calls_of_sixty_and_tells_of_each_bet(trader: Trader) -> None:
    request = trader.send(PLACE, *(limit(str(each), 3.0, 1.0) for each in range(70)))
    bet_ids = [report.bet_id or "" for report in trader.answered(request).reports]
    trader.exchange.fault("http.lost", operation="cancelOrders")
    told: list[dict[str, str]] = []
    trader.account.cancel(MARKET, [*bet_ids, bet_ids[0], "404"], told.append)
    trader.desk.until(lambda: len(trader.calls("cancelOrders")) == 2)
    trader.desk.skip(1)
    (codes,) = trader.desk.until(lambda: told)
    assert codes["404"] == "INVALID_BET_ID"
    assert set(codes.values()) == {"", "BET_TAKEN_OR_LAPSED", "INVALID_BET_ID"}
    assert len(codes) == 71
    assert {bet.remaining for bet in trader.exchange.exchange.bets.values()} == {0.0}
    sizes = [len(call["params"]["instructions"]) for call in trader.calls("cancelOrders")]
    assert sorted(sizes) in ([11, 11, 60], [11, 60, 60])
    trader.account.cancel(MARKET, [], told.append)
    assert told[1] == {}


def test_stop_tells_why_a_market_takes_no_cancels(trader: Trader) -> None:
    told: list[dict[str, str]] = []
    trader.account.cancel("1.404", ["7", "8"], told.append)
    assert trader.desk.until(lambda: told) == [{"7": "INVALID_MARKET_ID", "8": "INVALID_MARKET_ID"}]


def test_whole_account_is_cancelled_only_when_that_is_asked(exchange: Served, desk: Desk) -> None:
    trader, other = Trader(exchange, desk), Trader(exchange, desk, BOB)
    trader.placed(limit("1"))
    other.placed(limit("2"))
    with pytest.raises(ValueError, match="no bets to cancel: a call without instructions would cancel all"):
        trader.account.execution._cancel(MARKET, [], lambda codes: None, 0)
    told: list[str] = []
    trader.account.execution.cancel_account(told.append)
    assert desk.until(lambda: told) == [""]
    assert [(bet.username, bet.remaining) for bet in exchange.exchange.bets.values()] == [("alice", 0.0), ("bob", 5.0)]
    exchange.fault("http.lost", operation="cancelOrders")
    trader.account.execution.cancel_account(told.append)
    assert "no reply" in desk.until(lambda: told[1:])[0]


# -- executions of the user's own ----------------------------------------------------------------------------------


class Halved(Execution):
    """Places half of what is asked."""

    def execute_place(self, request: Request) -> None:
        halves = [
            msgspec.structs.replace(each, size=each.size / 2)
            for each in request.instructions
            if isinstance(each, PlaceInstruction) and each.size is not None
        ]
        super().execute_place(msgspec.structs.replace(request, instructions=tuple(halves)))


def test_step_of_the_execution_may_be_overridden(exchange: Served, desk: Desk) -> None:
    trader = Trader(exchange, desk, execution_cls=Halved)
    assert only(trader.placed(limit("1", 3.0, 5.0))).status == SUCCESS
    assert bets(exchange) == [(3.0, 2.5, 0.0)]


class Elsewhere(Execution):
    """Sends orders to another exchange, which takes all of them."""

    def send(self, request: Request) -> None:
        reports = tuple(Report(each.order_id, request.kind, SUCCESS, None, "7") for each in request.instructions)
        self.answer(Reply(request.request_id, request.market_id, self.calls.clock_ms(), reports=reports))


def test_client_of_ones_own_sends_orders_by_its_own_execution(desk: Desk) -> None:
    answers: list[Any] = []
    client = hr.BaseClient(username="there", execution_cls=Elsewhere)
    account = LiveAccount(client, desk.calls, answers.append, hr.Config(), "tests")
    account.send(Request("h1/1", MARKET, "mine", "Betfair", "there", PLACE, (limit("1"),), desk.now_ms()))
    assert answers[0].reports == (Report("1", PLACE, SUCCESS, None, "7"),)
    told: list[Exception | None] = []
    account.login(None, told.append)
    assert desk.until(lambda: told) == [None]
    with pytest.raises(hr.ClientError, match="client 'there' is a BaseClient without execution_cls"):
        LiveAccount(hr.BaseClient(username="there"), desk.calls, answers.append, hr.Config(), "tests")


# -- connections ---------------------------------------------------------------------------------------------------


def test_orders_do_not_wait_for_lists_and_cancels_go_before_placings(exchange: Served, desk: Desk) -> None:
    trader = Trader(exchange, desk, max_execution_workers=1)
    desk.calls._rooms["orders"]._limit = 1
    bet = only(trader.placed(limit("1"))).bet_id
    exchange.fault("http.late", operation="listCurrentOrders", seconds=0.5, times=2)
    exchange.fault("http.late", operation="placeOrders", seconds=0.2)
    listed: list[Any] = []
    trader.account.lists.current_orders(listed.append)
    placings = [trader.send(PLACE, limit(str(each))) for each in (2, 3)]
    cancel = trader.send(CANCEL, CancelInstruction("1", bet))
    desk.until(lambda: all(trader.replies(each) for each in placings))
    assert trader.replies(cancel)
    assert not listed
    order = [entry.values["operation"] for entry in exchange.entries("REPLY") if "Orders" in entry.values["operation"]]
    assert order == ["placeOrders", "placeOrders", "cancelOrders", "placeOrders"]
    desk.until(lambda: listed)


def test_connections_are_kept_warm_and_renewed_when_they_were_idle_too_long(
    trader: Trader, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Exception | None] = []
    trader.account.login(None, told.append)
    assert trader.desk.until(lambda: told) == [None]
    calls = trader.account.calls
    (target,) = calls._warm
    trader.desk.until(lambda: calls.connections.idle(target) >= 2)
    opened = calls.connections.opened
    trader.placed(limit("1"))
    assert calls.connections.opened == opened
    clock = calls.connections._clock
    monkeypatch.setattr(calls.connections, "_clock", lambda: clock() + 151)
    assert calls.connections.idle(target) == 0
    trader.desk.skip(11)
    trader.desk.until(lambda: calls.connections.idle(target) == 2)
    assert calls.connections.opened == opened + 2
    assert calls.next_ms < math.inf


def test_warm_connections_of_tls_are_used(tmp_path: Path, desk: Desk) -> None:
    """They hold tickets that nobody has read, and are open all the same."""
    with trading(certificates=Certificates(tmp_path)) as exchange:
        trader = Trader(exchange, desk)
        told: list[Exception | None] = []
        trader.account.login(None, told.append)
        desk.until(lambda: told)
        calls = trader.account.calls
        (target,) = calls._warm
        desk.until(lambda: calls.connections.idle(target) >= 2)
        opened = calls.connections.opened
        exchange.fault("http.late", operation="placeOrders", seconds=0.05)
        both = [trader.send(PLACE, limit(each)) for each in ("1", "2")]
        assert [only(trader.answered(each)).status for each in both] == [SUCCESS, SUCCESS]
        assert calls.connections.opened == opened
        exchange.fault("http.lost", operation="placeOrders")
        assert trader.placed(limit("3")).outcome == UNKNOWN
        exchange.run(exchange.http.stop())
        reply = trader.placed(limit("4"), deadline=desk.now_ms() + 100)
        assert (reply.outcome, "cannot connect" in (reply.reason or "")) == (EXPIRED, True)


# -- all of it together --------------------------------------------------------------------------------------------

WRONG = [
    ("http.lost", None),
    ("http.cut", None),
    ("http.refused", None),
    ("http.status", None),
    ("http.status_done", None),
    ("http.garbage", None),
    ("http.timeout", None),
    ("http.timeout_lost", None),
    ("http.timeout_error", None),
    ("http.error", "TOO_MANY_REQUESTS"),
    ("http.error", "INVALID_SESSION_INFORMATION"),
    ("bet.refuse", "MARKET_SUSPENDED"),
    ("bet.limit", "INSUFFICIENT_FUNDS"),
]


def test_whatever_goes_wrong_no_bet_is_made_twice_and_no_answer_is_untrue(exchange: Served, desk: Desk) -> None:
    trader = Trader(exchange, desk, max_execution_workers=8)
    for kind, value in WRONG:
        exchange.fault(kind, value=value, operation="placeOrders", every=8, times=6)
    exchange.fault("session.expire", after=0.05)
    requests = []
    for each in range(120):
        requests.append(trader.send(PLACE, limit(str(each), 3.0, 1.0), deadline=desk.now_ms() + 2_000))
        desk.turn()
    desk.until(lambda: all(trader.replies(request) for request in requests))
    placed = [bet.order_ref.partition("-")[2] for bet in exchange.exchange.bets.values()]
    assert len(placed) == len(set(placed))
    outcomes: dict[str, int] = {}
    for request in requests:
        (reply,) = trader.replies(request)
        report = only(reply)
        known = reply.outcome if reply.outcome != ANSWERED else report.status
        outcomes[known] = outcomes.get(known, 0) + 1
        if known == SUCCESS:
            assert exchange.exchange.bets[report.bet_id or ""].order_ref.endswith(f"-{report.order_id}")
        elif known in (FAILURE, EXPIRED):
            assert report.order_id not in placed
    assert min(outcomes.get(each, 0) for each in (SUCCESS, FAILURE, UNKNOWN)) > 0
    assert desk.calls.under_way == 0

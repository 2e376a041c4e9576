"""Requests as parameters of calls, reports as answers, and what a reply over HTTP says: values in, values out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace as hr
from headrace.actors.betfair.bet_rows import moment
from headrace.actors.betfair.classification import ANSWERED, NOT_SENT, REFUSED, UNKNOWN, classify
from headrace.actors.betfair.connections import Target
from headrace.actors.betfair.placing import cancel_params, judge, params_of
from headrace.actors.betfair.posts import LOST, REPLIED, Got, Post, head_of
from headrace.actors.betfair.posts import NOT_SENT as UNSENT
from headrace.strategies.messages import (
    CANCEL,
    FAILURE,
    PLACE,
    REPLACE,
    SUCCESS,
    UPDATE,
    CancelInstruction,
    Instruction,
    PlaceInstruction,
    ReplaceInstruction,
    Report,
    Request,
    UpdateInstruction,
)

MARKET = "1.7"


def params(kind: str, *instructions: Instruction, **request: Any) -> dict[str, Any]:
    asked = Request("h1/1", MARKET, "mine", "Betfair", "alice", kind, instructions, 0, **request)
    return params_of(asked, instructions, "call-1", "instance")


def order(**fields: Any) -> PlaceInstruction:
    values = {"order_type": "LIMIT", "price": 3.0, "size": 5.0, "persistence_type": "LAPSE", **fields}
    return PlaceInstruction("1", "ref-1", 47, values.pop("handicap", 0.0), "BACK", **values)


def asked(kind: str, *instructions: Instruction, **request: Any) -> Any:
    return params(kind, *instructions, **request)["instructions"][0]


# -- what is asked -------------------------------------------------------------------------------------------------


def test_limit_order_in_the_exchanges_words() -> None:
    assert params(PLACE, order(), market_version=12, async_=True, customer_strategy_ref="other") == {
        "marketId": MARKET,
        "instructions": [
            {
                "selectionId": 47,
                "side": "BACK",
                "orderType": "LIMIT",
                "customerOrderRef": "ref-1",
                "limitOrder": {"price": 3.0, "size": 5.0, "persistenceType": "LAPSE"},
            }
        ],
        "customerRef": "call-1",
        "customerStrategyRef": "instance",
        "marketVersion": {"version": 12},
        "async": True,
    }


def test_fill_or_kill_has_no_persistence() -> None:
    made = asked(PLACE, order(time_in_force="FILL_OR_KILL", min_fill_size=2.0))
    assert made["limitOrder"] == {"price": 3.0, "size": 5.0, "timeInForce": "FILL_OR_KILL", "minFillSize": 2.0}


def test_bet_target_takes_the_place_of_the_size() -> None:
    made = asked(PLACE, order(size=None, bet_target_type="PAYOUT", bet_target_size=20.0))
    assert made["limitOrder"] == {
        "price": 3.0,
        "persistenceType": "LAPSE",
        "betTargetType": "PAYOUT",
        "betTargetSize": 20.0,
    }


def test_orders_at_the_starting_price_have_liabilities() -> None:
    close = {"size": None, "persistence_type": None, "liability": 20.0}
    moc = asked(PLACE, order(order_type="MARKET_ON_CLOSE", **{**close, "price": None}))
    assert (moc["orderType"], moc["marketOnCloseOrder"]) == ("MARKET_ON_CLOSE", {"liability": 20.0})
    loc = asked(PLACE, order(order_type="LIMIT_ON_CLOSE", **close))
    assert (loc["orderType"], loc["limitOnCloseOrder"]) == ("LIMIT_ON_CLOSE", {"liability": 20.0, "price": 3.0})
    for each in (moc, loc):
        assert each["customerOrderRef"] == "ref-1"
        assert "limitOrder" not in each


def test_handicap_is_told_where_there_is_one() -> None:
    assert asked(PLACE, order(handicap=-1.5))["handicap"] == -1.5
    assert "handicap" not in asked(PLACE, order())


def test_changes_in_the_exchanges_words() -> None:
    assert params(CANCEL, CancelInstruction("1", "99", 2.5), async_=True, market_version=3) == {
        "marketId": MARKET,
        "instructions": [{"betId": "99", "sizeReduction": 2.5}],
        "customerRef": "call-1",
    }
    assert asked(CANCEL, CancelInstruction("1", "99")) == {"betId": "99"}
    assert asked(UPDATE, UpdateInstruction("1", "99", "PERSIST")) == {"betId": "99", "newPersistenceType": "PERSIST"}
    made = params(REPLACE, ReplaceInstruction("1", "99", 3.1, "2", "ref-2"), market_version=3)
    assert made["instructions"] == [{"betId": "99", "newPrice": 3.1}]
    assert made["marketVersion"] == {"version": 3}
    assert "customerStrategyRef" not in made


@pytest.mark.parametrize(("size", "sent"), [(0.1 + 0.2, 0.3), (2.005, 2.005), (1.1 * 3, 3.3), (7.0, 7.0)])
def test_noise_of_computing_is_not_sent_and_nothing_else_is_rounded(size: float, sent: float) -> None:
    assert asked(PLACE, order(size=size))["limitOrder"]["size"] == sent
    assert asked(CANCEL, CancelInstruction("1", "99", size))["sizeReduction"] == sent


@given(st.floats(0.01, 1e6), st.sampled_from(["LIMIT", "LIMIT_ON_CLOSE", "MARKET_ON_CLOSE"]), st.booleans())
def test_nothing_that_is_sent_is_null(amount: float, kind: str, fill_or_kill: bool) -> None:
    """The exchange takes a null for an absent field; not everybody's servers do."""
    at_sp = kind != "LIMIT"
    made = params(
        PLACE,
        order(
            order_type=kind,
            size=None if at_sp else amount,
            price=None if kind == "MARKET_ON_CLOSE" else 3.0,
            liability=amount if at_sp else None,
            persistence_type=None if at_sp else "LAPSE",
            time_in_force="FILL_OR_KILL" if fill_or_kill and not at_sp else None,
        ),
    )
    assert "null" not in json.dumps(made)


def test_cancel_without_bets_is_refused_here() -> None:
    """The exchange would cancel all of the market (betfair/API-NG-sample-code#42)."""
    with pytest.raises(ValueError, match="no bets to cancel"):
        cancel_params(MARKET, [], "call-1")


# -- what is answered ----------------------------------------------------------------------------------------------


def judged(kind: str, instructions: list[Instruction], status: str, *reports: dict[str, Any], **execution: Any) -> Any:
    told = {"status": status, "marketId": MARKET, "instructionReports": list(reports), **execution}
    return judge(kind, MARKET, instructions, json.dumps(told).encode())


PLACED = {"status": "SUCCESS", "betId": "99", "placedDate": "2026-01-31T12:00:00.000Z", "orderStatus": "EXECUTABLE"}


def test_placing_is_told_with_bet_time_and_size() -> None:
    found = judged(PLACE, [order()], "SUCCESS", {**PLACED, "sizeMatched": 1.2, "averagePriceMatched": 3.05})
    at = 1_769_860_800_000
    assert found.reports == [Report("1", PLACE, SUCCESS, None, "99", 1.2, at)]
    (fact,) = found.facts
    assert (fact.matched, fact.average, fact.remaining, fact.executable, fact.at) == (1.2, 3.05, 3.8, True, at)


def test_numbers_as_texts_and_texts_as_numbers_are_read() -> None:
    found = judged(PLACE, [order()], "SUCCESS", {**PLACED, "betId": 99, "sizeMatched": "1.2"})
    assert found.reports[0].bet_id == "99"
    assert found.reports[0].size == 1.2


def test_end_of_which_the_report_does_not_tell_all_is_left_to_the_stream() -> None:
    """Complete, and matched in part: the rest may have lapsed, or been cancelled."""
    found = judged(PLACE, [order()], "SUCCESS", {**PLACED, "orderStatus": "EXECUTION_COMPLETE", "sizeMatched": 1.0})
    assert (len(found.reports), found.facts) == (1, [])


def test_a_report_with_a_size_that_is_none_tells_nothing() -> None:
    found = judged(PLACE, [order()], "SUCCESS", {**PLACED, "sizeMatched": -2.0})
    assert (found.reports, found.facts) == ([], [])
    assert found.unknown == [Report("1", PLACE, FAILURE)]
    found = judged(CANCEL, [CancelInstruction("1", "99", 2.0)], "SUCCESS", {"status": "SUCCESS", "sizeCancelled": -1})
    assert (found.reports, found.unknown) == ([], [Report("1", CANCEL, FAILURE)])


def test_placing_that_comes_later_is_pending() -> None:
    found = judged(PLACE, [order()], "SUCCESS", {"status": "SUCCESS", "orderStatus": "PENDING"})
    assert (found.pending, found.facts) == (["1"], [])
    assert found.reports == [Report("1", PLACE, SUCCESS)]


@pytest.mark.parametrize("kind", [PLACE, CANCEL, UPDATE, REPLACE])
@pytest.mark.parametrize(
    "result",
    [
        b'{"status":"TIMEOUT"}',
        b'{"status":"TIMEOUT","instructionReports":[{"status":"TIMEOUT"}]}',
        b'{"status":"FAILURE","errorCode":"DUPLICATE_TRANSACTION","instructionReports":[{"status":"FAILURE"}]}',
        b'{"status":"SUCCESS","instructionReports":[]}',
        b'{"status":"SUCCESS","instructionReports":[{"status":"SUCCESS"},{"status":"SUCCESS"}]}',
        b'{"status":"PROCESSED_WITH_ERRORS","instructionReports":[{"status":"TIMEOUT"}]}',
        b'{"status":"PROCESSED_WITH_ERRORS","instructionReports":[{"status":"NEW_WORD"}]}',
        b'{"status":"SUCCESS","instructionReports":[{"status":7}]}',
        b'{"status":"SUC',
        b'["SUCCESS"]',
        b"\xff\xfe",
    ],
)
def test_report_that_does_not_tell_is_unknown(kind: str, result: bytes) -> None:
    instructions: dict[str, Instruction] = {
        PLACE: order(),
        CANCEL: CancelInstruction("1", "99"),
        UPDATE: UpdateInstruction("1", "99", "PERSIST"),
        REPLACE: ReplaceInstruction("1", "99", 3.1, "2"),
    }
    found = judge(kind, MARKET, [instructions[kind]], result)
    assert found.reports == found.facts == []
    assert found.unknown == [Report("1", kind, FAILURE)]


def test_refusal_without_reports_is_everybodys() -> None:
    found = judged(PLACE, [order()], "FAILURE", errorCode="SERVICE_UNAVAILABLE")
    assert found.reports == [Report("1", PLACE, FAILURE, "SERVICE_UNAVAILABLE")]
    found = judged(REPLACE, [ReplaceInstruction("1", "99", 3.1, "2")], "FAILURE", errorCode="MARKET_SUSPENDED")
    assert found.reports == [Report("1", CANCEL, FAILURE, "MARKET_SUSPENDED")]


def test_codes_that_nobody_knows_are_passed_on() -> None:
    found = judged(PLACE, [order()], "FAILURE", {"status": "FAILURE", "errorCode": "NEW_CODE"}, errorCode="NEWER")
    assert (found.reports[0].error_code, found.reason) == ("NEW_CODE", "NEWER")


def test_cancels_are_told_apart_by_their_bets_whatever_their_order() -> None:
    reports = [
        {"status": "SUCCESS", "instruction": {"betId": bet}, "sizeCancelled": size, "newField": {}}
        for bet, size in (("12", 2.0), ("11", 1.0))
    ]
    found = judged(CANCEL, [CancelInstruction("a", "11"), CancelInstruction("b", "12")], "SUCCESS", *reports)
    assert [(each.order_id, each.size) for each in found.reports] == [("a", 1.0), ("b", 2.0)]


def test_success_of_the_whole_may_hold_failures() -> None:
    reports = [
        {"status": "FAILURE", "errorCode": "BET_TAKEN_OR_LAPSED", "instruction": {"betId": "11"}, "sizeCancelled": 0},
        {"status": "SUCCESS", "instruction": {"betId": "12"}, "sizeCancelled": 1.5},
    ]
    found = judged(CANCEL, [CancelInstruction("a", "11"), CancelInstruction("b", "12")], "SUCCESS", *reports)
    assert [(each.status, each.size) for each in found.reports] == [(FAILURE, 0.0), (SUCCESS, 1.5)]


CANCELLED = {"status": "SUCCESS", "sizeCancelled": 5.0}


def replaced(status: str, cancel: Any, place: Any, **more: Any) -> Any:
    report = {"status": status, "cancelInstructionReport": cancel, "placeInstructionReport": place, **more}
    return judged(REPLACE, [ReplaceInstruction("1", "98", 3.1, "2", "ref-2")], status, report)


def test_replacement_that_is_matched_at_once_is_over() -> None:
    place = {**PLACED, "orderStatus": "EXECUTION_COMPLETE", "sizeMatched": 5.0, "averagePriceMatched": 3.2}
    found = replaced("SUCCESS", CANCELLED, place)
    assert [(each.order_id, each.operation, each.bet_id) for each in found.reports] == [
        ("1", CANCEL, "98"),
        ("2", PLACE, "99"),
    ]
    (fact,) = found.facts
    assert (fact.order_id, fact.executable, fact.matched, fact.average) == ("2", False, 5.0, 3.2)


def test_replacement_that_is_not_placed_has_the_nested_cause() -> None:
    place = {"status": "FAILURE", "errorCode": "INSUFFICIENT_FUNDS"}
    found = replaced("FAILURE", CANCELLED, place, errorCode="CANCELLED_NOT_PLACED")
    assert found.reports[0].status == SUCCESS
    assert found.reports[1] == Report("2", PLACE, FAILURE, "INSUFFICIENT_FUNDS")


def test_replacement_of_which_only_the_cancel_is_told_is_in_doubt_itself() -> None:
    found = replaced("FAILURE", CANCELLED, {"status": "TIMEOUT"})
    assert found.reports == [Report("1", CANCEL, SUCCESS, None, "98", 5.0)]
    assert found.unknown == [Report("2", PLACE, FAILURE)]
    found = replaced("FAILURE", {"status": "TIMEOUT"}, {"status": "FAILURE"})
    assert (found.reports, found.unknown) == ([], [Report("1", REPLACE, FAILURE)])


def test_bet_that_is_not_cancelled_is_not_replaced() -> None:
    found = replaced("FAILURE", {"status": "FAILURE", "errorCode": "BET_TAKEN_OR_LAPSED"}, {"status": "FAILURE"})
    assert found.reports == [Report("1", CANCEL, FAILURE, "BET_TAKEN_OR_LAPSED", "98")]
    assert found.unknown == []


@given(st.binary(max_size=200), st.sampled_from([PLACE, CANCEL, UPDATE, REPLACE]))
def test_no_report_raises(result: bytes, kind: str) -> None:
    instructions: list[Instruction] = [CancelInstruction("1", "99")]
    found = judge(kind, MARKET, instructions if kind in (CANCEL, UPDATE) else [], result)
    assert len(found.reports) + len(found.unknown) <= 1


@pytest.mark.parametrize(
    ("date", "at"),
    [
        ("2026-01-31T12:00:00.000Z", 1_769_860_800_000),
        ("2026-01-31T12:00:00", 1_769_860_800_000),
        ("2026-01-31T13:00:00.250+01:00", 1_769_860_800_250),
        ("yesterday", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_dates_are_milliseconds(date: str | None, at: int) -> None:
    assert moment(date) == at


# -- what a reply over HTTP says -----------------------------------------------------------------------------------


def got(body: Any, status: int = 200) -> Got:
    return Got(REPLIED, status, body if isinstance(body, bytes) else json.dumps(body).encode(), begun_ms=1, ended_ms=5)


def exception(code: str, name: str = "APINGException") -> dict[str, Any]:
    data = {"exceptionname": name, name: {"errorCode": code, "errorDetails": "", "requestUUID": "u"}}
    return {"jsonrpc": "2.0", "error": {"code": -32099, "message": "ANGX-0003", "data": data}, "id": 1}


@pytest.mark.parametrize(
    ("reply", "verdict", "code"),
    [
        (got({"jsonrpc": "2.0", "result": {"status": "SUCCESS"}, "id": 1}), ANSWERED, ""),
        (got({"jsonrpc": "2.0", "result": [], "id": 1}), ANSWERED, ""),
        (got(exception("INVALID_SESSION_INFORMATION")), REFUSED, "INVALID_SESSION_INFORMATION"),
        (got(exception("NO_SESSION", "AccountAPINGException")), REFUSED, "NO_SESSION"),
        (got(exception("TOO_MANY_REQUESTS")), REFUSED, "TOO_MANY_REQUESTS"),
        (got(exception("INVALID_INPUT_DATA")), REFUSED, "INVALID_INPUT_DATA"),
        (got(exception("TIMEOUT_ERROR")), UNKNOWN, "TIMEOUT_ERROR"),
        (got(exception("UNEXPECTED_ERROR")), UNKNOWN, "UNEXPECTED_ERROR"),
        (got(exception("NEW_CODE")), UNKNOWN, "NEW_CODE"),
        (got({"jsonrpc": "2.0", "error": {"code": -32602, "message": "DSC-0018"}}), REFUSED, "DSC-0018"),
        (got({"jsonrpc": "2.0", "error": {"code": -32603, "message": "DSC-0005"}}), UNKNOWN, "DSC-0005"),
        (got(b"", 503), UNKNOWN, "HTTP_503"),
        (got(b"", 500), UNKNOWN, "HTTP_500"),
        (got(b"", 302), UNKNOWN, "HTTP_302"),
        (got(b"", 413), REFUSED, "HTTP_413"),
        (got(b"", 429), REFUSED, "HTTP_429"),
        (got(b"<html>Bad Gateway</html>"), UNKNOWN, ""),
        (got(b""), UNKNOWN, ""),
        (got({"jsonrpc": "2.0", "id": 1}), UNKNOWN, ""),
        (got(b"[]"), UNKNOWN, ""),
        (Got(LOST, why="no reply"), UNKNOWN, ""),
        (Got(UNSENT, why="cannot connect"), NOT_SENT, ""),
    ],
)
def test_reply_is_answered_refused_not_sent_or_unknown(reply: Got, verdict: str, code: str) -> None:
    answer = classify(reply)
    assert (answer.verdict, answer.code) == (verdict, code)
    assert bool(answer.why) == (verdict != ANSWERED)
    if reply.state == REPLIED:
        assert (answer.begun_ms, answer.ended_ms) == (1, 5)


def test_result_is_handed_on_as_it_came() -> None:
    assert classify(got(b'{"jsonrpc":"2.0","result":{"a": [1,2]},"id":1}')).result == b'{"a": [1,2]}'


def test_what_is_posted_shows_no_credentials() -> None:
    target = Target("https", "there", 443)
    post = Post(target, head_of(target, "/api/login", {"X-Authentication": "token"}), b"password=secret")
    assert repr(post) == "<Post there:443/api/login>"


def test_header_with_a_line_break_is_refused_by_its_name() -> None:
    """An application key that was read from a file, and still has the end of its line."""
    with pytest.raises(hr.ClientError, match="X-Application has a character that no header can have"):
        head_of(Target("https", "there", 443), "/api/login", {"X-Application": "key\n"})

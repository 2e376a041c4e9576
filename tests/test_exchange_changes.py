"""Cancelling, updating and replacing bets at the rehearsal exchange. Rules: docs/exchange.md."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from betfairlightweight import resources
from hypothesis import given
from hypothesis import strategies as st

from builders import Stream, priced
from exchange_builders import ALICE, BOB, Fault
from exchange_desk import Desk, Report, at_close, codes, limit
from headrace.simulate.exchange.account_bet import AccountBet
from headrace.simulate.exchange.errors import ApiError, ParameterError

CANCEL_REPORT = {"status", "instruction", "sizeCancelled", "cancelledDate", "errorCode"}
UPDATE_REPORT = {"status", "instruction", "errorCode"}
REPLACE_REPORT = {"status", "cancelInstructionReport", "placeInstructionReport", "errorCode"}


def whole(bet: AccountBet) -> Report:
    return {"betId": bet.bet_id}


def part(bet: AccountBet, size: float) -> Report:
    return {"betId": bet.bet_id, "sizeReduction": size}


def anew(bet: AccountBet, price: float) -> Report:
    return {"betId": bet.bet_id, "newPrice": price}


def keep(bet: AccountBet, persistence: str) -> Report:
    return {"betId": bet.bet_id, "newPersistenceType": persistence}


def parsed(resource: Any, allowed: set[str], report: Report) -> Any:
    for each in report["instructionReports"]:
        assert set(each) <= allowed
    return resource(elapsed_time=0.0, **report)


def read_cancel(report: Report) -> Any:
    return parsed(resources.CancelOrders, CANCEL_REPORT, report)


def read_replace(report: Report) -> Any:
    return parsed(resources.ReplaceOrders, REPLACE_REPORT, report)


def nested(report: Report, at: int = 0) -> Report:
    found: Report = report["instructionReports"][at]["placeInstructionReport"]
    return found


# -- cancel ----------------------------------------------------------------------------------------------------------


def test_a_cancel_takes_what_remains() -> None:
    desk = Desk()
    bet = desk.placed(limit(2.0, 15))
    report = desk.cancel(whole(bet), customerRef="c")
    (each,) = read_cancel(report).cancel_instruction_reports
    assert (report["status"], report["customerRef"], each.size_cancelled) == ("SUCCESS", "c", 5.0)
    assert each.instruction.bet_id == bet.bet_id
    assert (bet.matched, bet.cancelled, bet.remaining, bet.executable) == (10.0, 5.0, 0.0, False)


@pytest.mark.parametrize(("asked", "cancelled"), [(2, 2.0), (5, 5.0), (7, 5.0)])
def test_a_partial_cancel_takes_what_there_is(asked: float, cancelled: float) -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    report = desk.cancel(part(bet, asked))
    assert report["instructionReports"][0]["sizeCancelled"] == cancelled
    assert bet.remaining == 5 - cancelled


@pytest.mark.parametrize(
    ("size", "code"), [(0.0, "INVALID_BET_SIZE"), (-1, "INVALID_BET_SIZE"), (1.001, "INVALID_BET_SIZE")]
)
def test_a_cancel_of_no_size(size: float, code: str) -> None:
    desk = Desk()
    assert codes(desk.cancel(part(desk.placed(limit(3.0, 5)), size))) == [code]


def test_a_cancel_that_leaves_an_unfair_profit() -> None:
    desk = Desk(Stream().prices(100, {1: {"atl": [[1.01, 5]]}}))
    bet = desk.placed(limit(1.06, 20))
    assert codes(desk.cancel(part(bet, 19.87))) == ["INVALID_PROFIT_RATIO"]
    assert bet.remaining == 20


def test_a_report_says_which_cancels_failed() -> None:
    desk = Desk()
    resting, matched = desk.placed(limit(3.0, 5)), desk.placed(limit(2.0, 5))
    report = desk.cancel(whole(resting), whole(matched))
    read_cancel(report)
    assert (report["status"], report["errorCode"]) == ("PROCESSED_WITH_ERRORS", "PROCESSED_WITH_ERRORS")
    assert codes(report) == [None, "BET_TAKEN_OR_LAPSED"]


def test_bets_of_others_and_bets_that_are_none() -> None:
    desk = Desk()
    foreign = desk.placed(limit(3.0, 5), account=BOB)
    report = desk.cancel(whole(foreign), {"betId": "1"})
    assert (report["status"], report["errorCode"]) == ("FAILURE", "BET_ACTION_ERROR")
    assert codes(report) == ["INVALID_BET_ID", "INVALID_BET_ID"]
    assert foreign.executable


@pytest.mark.parametrize("instruction", [at_close(20), at_close(20, 2.5)])
def test_starting_price_bets_are_not_cancelled(instruction: Report) -> None:
    desk = Desk()
    assert codes(desk.cancel(whole(desk.placed(instruction)))) == ["BET_TAKEN_OR_LAPSED"]


def test_the_same_bet_twice_refuses_the_call() -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    report = desk.cancel(part(bet, 2), part(bet, 2))
    read_cancel(report)
    assert (report["errorCode"], codes(report)) == ("DUPLICATE_BETIDS", ["ERROR_IN_ORDER"] * 2)
    assert bet.remaining == 5


def test_a_bet_of_another_market_refuses_the_call() -> None:
    desk = Desk(priced(), Stream("1.2"))
    bet = desk.placed(limit(3.0, 5), market_id="1.2")
    assert desk.cancel(whole(bet))["errorCode"] == "INVALID_ORDER"


@pytest.mark.parametrize(
    ("code", "stream"),
    [("MARKET_SUSPENDED", priced().suspend(200)), ("MARKET_NOT_OPEN_FOR_BETTING", priced().close(200))],
)
def test_nothing_changes_where_the_market_is_not_open(code: str, stream: Stream) -> None:
    desk = Desk(stream)
    bet = desk.placed(limit(3.0, 5, persistenceType="PERSIST"))
    desk.play()
    for report in (desk.cancel(whole(bet)), desk.update(keep(bet, "LAPSE"))):
        assert (report["errorCode"], codes(report)) == (code, ["ERROR_IN_ORDER"])
    report = desk.replace(anew(bet, 3.5))
    read_replace(report)
    assert report["errorCode"] == code


def test_an_unknown_market() -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    assert desk.cancel(whole(bet), market_id="1.9")["errorCode"] == "INVALID_MARKET_ID"


def test_a_market_without_instructions_is_cancelled_whole() -> None:
    desk = Desk(priced(), Stream("1.2"))
    mine = [desk.placed(limit(3.0, 5)), desk.placed(limit(3.5, 5))]
    others = [desk.placed(limit(3.0, 5), market_id="1.2"), desk.placed(limit(3.0, 5), account=BOB)]
    report = desk.cancel()
    read_cancel(report)
    assert [each["instruction"]["betId"] for each in report["instructionReports"]] == [bet.bet_id for bet in mine]
    assert [bet.executable for bet in mine + others] == [False, False, True, True]


def test_the_empty_cancel_takes_all_bets_of_the_account_and_is_answered_without_instruction_reports() -> None:
    desk = Desk(priced(), Stream("1.2"))
    mine = [desk.placed(limit(3.0, 5)), desk.placed(limit(3.0, 5), market_id="1.2")]
    other = desk.placed(limit(3.0, 5), account=BOB)
    assert desk.call("cancelOrders", {"customerRef": "all"}) == {"status": "SUCCESS", "customerRef": "all"}
    assert [bet.executable for bet in [*mine, other]] == [False, False, True]


def test_the_empty_cancel_leaves_bets_of_suspended_markets() -> None:
    desk = Desk(priced().suspend(200))
    bet = desk.placed(limit(3.0, 5, persistenceType="PERSIST"))
    desk.play()
    assert desk.call("cancelOrders")["status"] == "PROCESSED_WITH_ERRORS"
    assert bet.executable


def test_two_empty_cancels_at_a_time_collide() -> None:
    desk = Desk(faults=[Fault("order.before_reply", operation="cancelOrders", seconds=0.02)])
    second: list[Report] = []

    def meanwhile() -> None:
        call = desk.operations["cancelOrders"](ALICE, {})
        try:
            call.__await__().send(None)
        except StopIteration as answered:
            second.append(answered.value)

    assert desk.call("cancelOrders", then=meanwhile)["status"] == "SUCCESS"
    assert second == [{"status": "FAILURE", "errorCode": "ERROR_IN_MATCHER"}]


def test_instructions_without_a_market_are_not_an_empty_cancel() -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    with pytest.raises(ApiError):
        desk.call("cancelOrders", {"instructions": [whole(bet)]})
    assert bet.executable


@pytest.mark.parametrize("operation", ["cancel", "update", "replace"])
def test_too_many_changes_are_an_exception_and_nothing_is_executed(operation: str) -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    asked = {"cancel": whole(bet), "update": keep(bet, "PERSIST"), "replace": anew(bet, 3.5)}[operation]
    with pytest.raises(ApiError) as caught:
        getattr(desk, operation)(*[asked] * 61)
    assert caught.value.code == "INVALID_INPUT_DATA"
    assert (bet.executable, bet.persistence) == (True, "LAPSE")


@pytest.mark.parametrize("operation", ["update", "replace"])
def test_changes_without_what_they_change(operation: str) -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    with pytest.raises(ParameterError):
        getattr(desk, operation)(whole(bet))
    with pytest.raises(ParameterError):
        getattr(desk, operation)()


def test_a_bet_may_be_matched_before_its_cancel_is_handled() -> None:
    desk = Desk(faults=[Fault("bet.fill_before_cancel", value="3"), Fault("bet.fill_before_cancel")])
    bet = desk.placed(limit(3.0, 5))
    report = desk.cancel(whole(bet))
    assert report["instructionReports"][0]["sizeCancelled"] == 2.0
    assert (bet.matched, bet.cancelled) == (3.0, 2.0)
    other = desk.placed(limit(3.0, 5))
    assert codes(desk.cancel(whole(other))) == ["BET_TAKEN_OR_LAPSED"]
    assert (other.matched, other.average) == (5.0, 3.0)


# -- update ----------------------------------------------------------------------------------------------------------


def test_an_update_gives_another_persistence() -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    report = desk.update(keep(bet, "PERSIST"))
    parsed(resources.UpdateOrders, UPDATE_REPORT, report)
    assert report["instructionReports"] == [
        {"status": "SUCCESS", "instruction": {"betId": bet.bet_id, "newPersistenceType": "PERSIST"}}
    ]
    assert (bet.persistence, bet.executable) == ("PERSIST", True)


@pytest.mark.parametrize(
    ("code", "definition", "persistence"),
    [
        ("NO_ACTION_REQUIRED", {}, "LAPSE"),
        ("INVALID_PERSISTENCE_TYPE", {"betDelayModels": ["PASSIVE"]}, "PERSIST"),
        ("INVALID_PERSISTENCE_TYPE", {"turnInPlayEnabled": False}, "PERSIST"),
        ("INVALID_PERSISTENCE_TYPE", {"bspMarket": False}, "MARKET_ON_CLOSE"),
        ("INVALID_PERSISTENCE_TYPE", {"inPlay": True}, "MARKET_ON_CLOSE"),
    ],
)
def test_an_update_is_refused(code: str, definition: dict[str, Any], persistence: str) -> None:
    desk = Desk(priced(**definition))
    bet = desk.placed(limit(3.0, 5))
    report = desk.update(keep(bet, persistence))
    parsed(resources.UpdateOrders, UPDATE_REPORT, report)
    assert codes(report) == [code]
    assert bet.persistence == "LAPSE"


def test_an_update_of_what_cannot_be_updated() -> None:
    desk = Desk()
    matched, at_sp = desk.placed(limit(2.0, 5)), desk.placed(at_close(20))
    report = desk.update(
        keep(matched, "PERSIST"), keep(at_sp, "PERSIST"), {"betId": "1", "newPersistenceType": "LAPSE"}
    )
    assert codes(report) == ["BET_TAKEN_OR_LAPSED", "BET_TAKEN_OR_LAPSED", "INVALID_BET_ID"]


# -- replace ---------------------------------------------------------------------------------------------------------


def test_a_replacement_has_a_new_number_and_the_same_references() -> None:
    desk = Desk()
    bet = desk.placed(
        limit(3.0, 5, persistenceType="PERSIST", instruction={"customerOrderRef": "r"}), customerStrategyRef="s"
    )
    report = desk.replace(anew(bet, 3.5))
    (each,) = read_replace(report).replace_instruction_reports
    assert each.cancel_instruction_reports.size_cancelled == 5.0
    place = each.place_instruction_reports
    assert (place.order_status, place.instruction.limit_order.price, place.instruction.limit_order.size) == (
        "EXECUTABLE",
        3.5,
        5.0,
    )
    assert {"handicap", "customerOrderRef"}.isdisjoint(nested(report)["instruction"])
    after = desk.bet(report)
    assert after.bet_id != bet.bet_id
    assert (after.order_ref, after.strategy_ref, after.persistence) == ("r", "s", "PERSIST")
    assert (bet.executable, bet.cancelled) == (False, 5.0)


def test_a_replacement_can_be_matched_whole_at_once() -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    report = desk.replace(anew(bet, 2.0))
    assert (nested(report)["orderStatus"], nested(report)["sizeMatched"]) == ("EXECUTION_COMPLETE", 5.0)


def test_only_what_remains_is_placed_anew() -> None:
    desk = Desk()
    bet = desk.placed(limit(2.0, 15))
    assert nested(desk.replace(anew(bet, 3.0)))["instruction"]["limitOrder"]["size"] == 5.0


@pytest.mark.parametrize(("price", "cause"), [(3.01, "INVALID_ODDS"), (1.001, "INVALID_ODDS")])
def test_a_cancel_stays_where_its_placing_fails(price: float, cause: str) -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    report = desk.replace(anew(bet, price))
    read_replace(report)
    (each,) = report["instructionReports"]
    assert (report["status"], report["errorCode"]) == ("FAILURE", "BET_ACTION_ERROR")
    assert (each["status"], each["errorCode"]) == ("FAILURE", "CANCELLED_NOT_PLACED")
    assert each["cancelInstructionReport"]["status"] == "SUCCESS"
    assert (nested(report)["status"], nested(report)["errorCode"]) == ("FAILURE", cause)
    assert (bet.cancelled, len(desk.exchange.bets)) == (5.0, 1)


def test_placings_of_a_replace_are_atomic_and_cancels_are_not() -> None:
    desk = Desk()
    one, other, matched = desk.placed(limit(3.0, 5)), desk.placed(limit(3.0, 5)), desk.placed(limit(2.0, 5))
    report = desk.replace(anew(one, 3.5), anew(other, 3.51), anew(matched, 3.5))
    read_replace(report)
    assert codes(report) == ["CANCELLED_NOT_PLACED", "CANCELLED_NOT_PLACED", "BET_TAKEN_OR_LAPSED"]
    assert [nested(report, at)["errorCode"] for at in range(3)] == [
        "ERROR_IN_ORDER",
        "INVALID_ODDS",
        "RELATED_ACTION_FAILED",
    ]
    assert (one.cancelled, other.cancelled, len(desk.exchange.bets)) == (5.0, 5.0, 3)


def test_a_replace_of_which_one_fails_is_processed_with_errors() -> None:
    desk = Desk()
    report = desk.replace(anew(desk.placed(limit(3.0, 5)), 3.5), anew(desk.placed(limit(2.0, 5)), 3.5))
    assert (report["status"], report["errorCode"]) == ("PROCESSED_WITH_ERRORS", "PROCESSED_WITH_ERRORS")


@pytest.mark.parametrize("cause", ["INSUFFICIENT_FUNDS", "LOSS_LIMIT_EXCEEDED"])
def test_money_may_be_missing_for_a_replacement(cause: str) -> None:
    faults = [Fault("bet.limit", operation="replaceOrders", value=cause)]
    desk = Desk(
        faults=faults if cause == "LOSS_LIMIT_EXCEEDED" else [], accounts=(dataclasses.replace(ALICE, balance=10.0),)
    )
    bet = desk.placed(limit(2.0, 5, side="LAY"))
    report = desk.replace(anew(bet, 3.5))
    assert nested(report)["errorCode"] == cause
    assert codes(report) == ["CANCELLED_NOT_PLACED"]


@pytest.mark.parametrize(
    ("jurisdiction", "cause"), [("com", None), ("it", "INVALID_BET_SIZE"), ("es", "INVALID_BET_SIZE")]
)
def test_a_rest_below_the_smallest_stake(jurisdiction: str, cause: str | None) -> None:
    desk = Desk(accounts=(dataclasses.replace(ALICE, jurisdiction=jurisdiction),))
    bet = desk.placed(limit(2.0, 10.3))
    report = desk.replace(anew(bet, 2.5))
    assert nested(report).get("errorCode") == cause
    assert codes(report) == ["CANCELLED_NOT_PLACED" if cause else None]


@pytest.mark.parametrize(
    ("code", "price"), [("NO_ACTION_REQUIRED", 3.0), ("BET_TAKEN_OR_LAPSED", 3.5), ("INVALID_BET_ID", 3.5)]
)
def test_nothing_is_placed_where_nothing_was_cancelled(code: str, price: float) -> None:
    desk = Desk()
    resting, matched = desk.placed(limit(3.0, 5)), desk.placed(limit(2.0, 5))
    bet_id = {"NO_ACTION_REQUIRED": resting.bet_id, "BET_TAKEN_OR_LAPSED": matched.bet_id}.get(code, "1")
    report = desk.replace({"betId": bet_id, "newPrice": price})
    read_replace(report)
    (each,) = report["instructionReports"]
    assert each["errorCode"] == each["cancelInstructionReport"]["errorCode"] == code
    assert each["placeInstructionReport"] == {"status": "FAILURE", "errorCode": "RELATED_ACTION_FAILED"}
    assert resting.executable


def test_a_bet_may_be_matched_before_its_replace_is_handled() -> None:
    desk = Desk(faults=[Fault("bet.fill_before_cancel", value="4.7")])
    bet = desk.placed(limit(3.0, 5))
    report = desk.replace(anew(bet, 3.5))
    assert nested(report)["instruction"]["limitOrder"]["size"] == 0.3
    assert (bet.matched, bet.cancelled) == (4.7, 0.3)


def test_a_replace_meets_the_fault_of_its_bet_once() -> None:
    desk = Desk(faults=[Fault("bet.fill_before_cancel", times=None, value="1")])
    bet = desk.placed(limit(3.0, 5))
    desk.replace(anew(bet, 3.5))
    assert (bet.matched, bet.cancelled) == (1.0, 4.0)
    assert desk.faults.counts["bet.fill_before_cancel"] == 1


def test_a_replacement_in_play_waits_for_the_bet_delay_after_its_cancel() -> None:
    desk = Desk(priced().turn_in_play(200, bet_delay=5).touch(6000))
    bet = desk.placed(limit(3.0, 5, persistenceType="PERSIST"))
    desk.play(200)
    seen: list[bool] = []

    def meanwhile() -> None:
        seen.append(bet.executable)
        desk.play()

    report = desk.replace(anew(bet, 3.5), then=meanwhile)
    assert (seen, desk.bet(report).executable) == ([False], True)


def test_the_market_may_be_suspended_between_cancel_and_placing() -> None:
    desk = Desk(priced().turn_in_play(200, bet_delay=5).suspend(1000, version=4).touch(6000))
    bet = desk.placed(limit(3.0, 5, persistenceType="PERSIST"))
    desk.play(200)
    report = desk.replace(anew(bet, 3.5), then=desk.play)
    read_replace(report)
    assert nested(report)["errorCode"] == "MARKET_NOT_OPEN_FOR_BETTING"
    assert bet.cancelled == 5.0


def test_an_async_replace_is_pending_where_it_places() -> None:
    desk = Desk(priced().turn_in_play(200, bet_delay=5).touch(6000))
    bet = desk.placed(limit(3.0, 5, persistenceType="PERSIST"))
    desk.play(200)
    report = desk.replace(anew(bet, 3.5), **{"async": True})
    read_replace(report)
    assert nested(report)["orderStatus"] == "PENDING"
    assert "betId" not in nested(report)
    assert report["instructionReports"][0]["cancelInstructionReport"]["sizeCancelled"] == 5.0
    desk.play()
    assert [each.price for each in desk.exchange.bets.values() if each.executable] == [3.5]


def test_a_replacement_lapses_for_its_version() -> None:
    desk = Desk(priced().suspend(200, version=2).define(300, status="OPEN", version=3))
    bet = desk.placed(limit(3.0, 5, persistenceType="PERSIST"))
    desk.play()
    report = desk.replace(anew(bet, 3.5), marketVersion={"version": 1})
    assert (nested(report)["errorCode"], nested(report)["orderStatus"]) == ("BET_TAKEN_OR_LAPSED", "EXECUTION_COMPLETE")
    assert desk.bet(report).lapse_reason == "MKT_VERSION"


# -- edits of limits at the starting price ---------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "price"), [("BACK", 2.0), ("LAY", 3.0)])
def test_a_limit_at_the_starting_price_moves_to_where_it_is_likelier_to_be_met(side: str, price: float) -> None:
    desk = Desk()
    bet = desk.placed(at_close(20, 2.5, side))
    report = desk.replace(anew(bet, price), **{"async": True})
    read_replace(report)
    assert set(nested(report)) == {"status", "instruction", "betId", "placedDate"}
    after = desk.bet(report)
    assert (after.price, after.liability, after.ended) == (price, 20.0, False)
    assert (bet.ended, bet.cancelled, bet.lapsed, bet.cancelled_ms is not None) == (True, 0.0, 0.0, True)
    assert desk.bank.exposure("alice") == -20.0


@pytest.mark.parametrize(
    ("code", "side", "price"),
    [
        ("INVALID_PRICE_EDIT", "BACK", 3.0),
        ("INVALID_PRICE_EDIT", "LAY", 2.0),
        ("INVALID_ODDS", "BACK", 2.01),
        ("NO_ACTION_REQUIRED", "LAY", 2.5),
    ],
)
def test_other_edits_of_it_change_nothing(code: str, side: str, price: float) -> None:
    desk = Desk()
    bet = desk.placed(at_close(20, 2.5, side))
    assert codes(desk.replace(anew(bet, price))) == [code]
    assert not bet.ended


def test_a_market_on_close_bet_cannot_be_replaced() -> None:
    desk = Desk()
    assert codes(desk.replace(anew(desk.placed(at_close(20)), 2.0))) == ["BET_TAKEN_OR_LAPSED"]


# -- what a client does not hear -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "cancelled"), [("http.timeout", True), ("http.timeout_lost", False)])
@pytest.mark.parametrize("operation", ["cancel", "replace", "update"])
def test_a_change_may_time_out(kind: str, cancelled: bool, operation: str) -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    desk.faults.add(Fault(kind))
    asked = {"cancel": whole(bet), "replace": anew(bet, 3.5), "update": keep(bet, "PERSIST")}[operation]
    report = getattr(desk, operation)(asked)
    resource = {
        "cancel": (resources.CancelOrders, CANCEL_REPORT),
        "replace": (resources.ReplaceOrders, REPLACE_REPORT),
        "update": (resources.UpdateOrders, UPDATE_REPORT),
    }[operation]
    parsed(*resource, report)
    assert (report["status"], report["instructionReports"][0]["status"]) == ("TIMEOUT", "TIMEOUT")
    changed = bet.persistence == "PERSIST" if operation == "update" else not bet.executable
    assert changed == cancelled


@pytest.mark.parametrize("operation", ["cancel", "replace", "update"])
def test_a_change_may_be_refused_by_fault(operation: str) -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    desk.faults.add(Fault("bet.refuse", operation=f"{operation}Orders", value="SERVICE_UNAVAILABLE"))
    asked = {"cancel": whole(bet), "replace": anew(bet, 3.5), "update": keep(bet, "PERSIST")}[operation]
    assert getattr(desk, operation)(asked)["errorCode"] == "SERVICE_UNAVAILABLE"
    assert (bet.executable, bet.persistence) == (True, "LAPSE")


def test_a_replace_may_be_refused_for_the_code_of_a_bet() -> None:
    desk = Desk()
    one, other = desk.placed(limit(3.0, 5)), desk.placed(limit(3.0, 5))
    desk.faults.add(Fault("bet.refuse", value="BET_IN_PROGRESS"))
    report = desk.replace(anew(one, 3.5), anew(other, 3.5))
    read_replace(report)
    assert (report["errorCode"], codes(report)) == ("BET_ACTION_ERROR", ["BET_IN_PROGRESS", "ERROR_IN_ORDER"])
    assert one.executable


# -- what nobody asked for -------------------------------------------------------------------------------------------


def test_a_matched_bet_is_voided_after_its_end() -> None:
    desk = Desk()
    bet = desk.placed(limit(2.0, 5))
    desk.faults.add(Fault("bet.void", username="alice"))
    assert (bet.matched, bet.voided, bet.average) == (0.0, 5.0, 0.0)
    assert desk.bank.exposure("alice") == 0.0


def test_a_void_waits_for_a_bet_that_is_matched() -> None:
    desk = Desk(faults=[Fault("bet.void")])
    resting = desk.placed(limit(3.0, 5))
    assert not resting.voided
    matched = desk.placed(limit(2.0, 5))
    assert matched.voided == 5.0


def test_what_remains_of_a_bet_lapses_for_a_reason() -> None:
    desk = Desk(faults=[Fault("bet.lapse", value="TIME_ELAPSED")])
    bet = desk.placed(limit(2.0, 15))
    assert (bet.matched, bet.lapsed, bet.lapse_reason, bet.executable) == (10.0, 5.0, "TIME_ELAPSED", False)


# -- whatever is asked -----------------------------------------------------------------------------------------------


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["cancel", "reduce", "update", "replace"]),
            st.integers(0, 5),
            st.sampled_from([1.9, 2.0, 2.5, 3.0, 3.01]),
            st.floats(0.01, 8).map(lambda size: round(size, 2)),
        ),
        max_size=12,
    )
)
def test_sizes_of_bets_always_add_up_and_every_report_can_be_read(
    steps: list[tuple[str, int, float, float]],
) -> None:
    desk = Desk()
    for price, size in ((2.0, 15), (3.0, 5), (2.5, 4)):
        desk.place(limit(price, size))
    for step, at, price, size in steps:
        bet = list(desk.exchange.bets.values())[at % len(desk.exchange.bets)]
        if step == "replace":
            read_replace(desk.replace(anew(bet, price)))
        elif step == "update":
            parsed(resources.UpdateOrders, UPDATE_REPORT, desk.update(keep(bet, "PERSIST")))
        else:
            read_cancel(desk.cancel(whole(bet) if step == "cancel" else part(bet, size)))
        for each in desk.exchange.bets.values():
            parts = each.matched + each.cancelled + each.lapsed + each.voided + each.remaining
            assert round(parts, 2) == each.size
            assert each.executable == (each.remaining > 0)
        at_work = sum(each.matched + each.remaining for each in desk.exchange.bets.values())
        assert at_work <= 24.001

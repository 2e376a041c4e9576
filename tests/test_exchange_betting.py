"""Placing bets at the rehearsal exchange: reports, refusals, the bet delay. Rules: docs/exchange.md."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from betfairlightweight import resources
from hypothesis import given
from hypothesis import strategies as st

from builders import Stream, priced
from exchange_builders import ALICE, BOB, Fault
from exchange_desk import MARKET, Desk, Report, at_close, codes, limit
from exchange_requests import place
from headrace.simulate.exchange.arguments import arguments_of
from headrace.simulate.exchange.betting_reports import EXECUTION_CODES, INSTRUCTION_CODES
from headrace.simulate.exchange.errors import ApiError, ParameterError
from headrace.simulate.exchange.faults import FaultError
from headrace.simulate.exchange.settings import AccountSettings, Limits

#: Fields that betfairlightweight's resources take; it raises on any other.
PLACE_REPORT = {
    "status",
    "instruction",
    "errorCode",
    "orderStatus",
    "betId",
    "placedDate",
    "averagePriceMatched",
    "sizeMatched",
}
PLACE_ECHO = {
    "selectionId",
    "side",
    "orderType",
    "handicap",
    "limitOrder",
    "limitOnCloseOrder",
    "marketOnCloseOrder",
    "customerOrderRef",
}


def parsed(report: Report) -> Any:
    for each in report["instructionReports"]:
        assert set(each) <= PLACE_REPORT
        assert set(each["instruction"]) <= PLACE_ECHO
    return resources.PlaceOrders(elapsed_time=0.0, **report)


def account(**changes: Any) -> AccountSettings:
    return dataclasses.replace(ALICE, **changes)


def desk_of(account_settings: AccountSettings, *streams: Stream, **changes: Any) -> Desk:
    return Desk(*streams, accounts=(account_settings, BOB), **changes)


# -- reports ---------------------------------------------------------------------------------------------------------


def test_a_resting_limit_order_is_executable() -> None:
    report = Desk().place(limit(3.0, 5, instruction={"customerOrderRef": "mine"}), customerRef="call-1")
    assert report == {
        "customerRef": "call-1",
        "status": "SUCCESS",
        "marketId": MARKET,
        "instructionReports": [
            {
                "status": "SUCCESS",
                "instruction": {
                    "selectionId": 1,
                    "handicap": 0.0,
                    "orderType": "LIMIT",
                    "side": "BACK",
                    "customerOrderRef": "mine",
                    "limitOrder": {"size": 5.0, "price": 3.0, "persistenceType": "LAPSE"},
                },
                "betId": "230000000001",
                "placedDate": "2023-11-14T22:13:20.000Z",
                "orderStatus": "EXECUTABLE",
                "averagePriceMatched": 0.0,
                "sizeMatched": 0.0,
            }
        ],
    }
    assert parsed(report).place_instruction_reports[0].order_status == "EXECUTABLE"


def test_an_order_that_is_matched_whole_is_complete_with_its_exact_average() -> None:
    report = parsed(Desk().place(limit(1.98, 15))).place_instruction_reports[0]
    assert (report.order_status, report.size_matched) == ("EXECUTION_COMPLETE", 15.0)
    assert report.average_price_matched == pytest.approx((2.0 * 10 + 1.98 * 5) / 15)


def test_orders_at_the_starting_price_have_neither_status_nor_sizes() -> None:
    report = Desk().place(at_close(20), at_close(20, 2.5, side="LAY"))
    parsed(report)
    for each in report["instructionReports"]:
        assert set(each) == {"status", "instruction", "betId", "placedDate"}
    assert [
        set(each["instruction"]) & {"marketOnCloseOrder", "limitOnCloseOrder"} for each in report["instructionReports"]
    ] == [
        {"marketOnCloseOrder"},
        {"limitOnCloseOrder"},
    ]


@pytest.mark.parametrize(
    ("price", "size", "least", "status", "matched", "cancelled"),
    [
        (2.5, 5, None, "EXPIRED", 0.0, 5.0),
        (2.0, 5, None, "EXECUTION_COMPLETE", 5.0, 0.0),
        (2.0, 50, None, "EXPIRED", 0.0, 50.0),
        (2.0, 50, 10, "EXECUTION_COMPLETE", 10.0, 40.0),
    ],
)
def test_fill_or_kill(
    price: float, size: float, least: float | None, status: str, matched: float, cancelled: float
) -> None:
    desk = Desk()
    report = desk.place(limit(price, size, timeInForce="FILL_OR_KILL", minFillSize=least))
    parsed(report)
    (each,) = report["instructionReports"]
    bet = desk.bet(report)
    assert (each["status"], each["orderStatus"], each["sizeMatched"]) == ("SUCCESS", status, matched)
    assert "persistenceType" not in each["instruction"]["limitOrder"]
    assert (bet.matched, bet.cancelled, bet.lapsed, bet.remaining) == (matched, cancelled, 0.0, 0.0)


@pytest.mark.parametrize(("target", "stake"), [("BACKERS_PROFIT", 10.0), ("PAYOUT", 6.67)])
def test_a_bet_target_is_turned_into_a_stake(target: str, stake: float) -> None:
    desk = Desk()
    report = desk.place(limit(3.0, betTargetType=target, betTargetSize=20))
    parsed(report)
    assert desk.bet(report).size == stake
    assert report["instructionReports"][0]["instruction"]["limitOrder"]["betTargetSize"] == 20.0


def test_references_stay_with_the_bet() -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5, instruction={"customerOrderRef": "a:b~c"}), customerStrategyRef="fifteen-letters")
    assert (bet.order_ref, bet.strategy_ref) == ("a:b~c", "fifteen-letters")


# -- refusals of a bet -----------------------------------------------------------------------------------------------

LINES = {
    "bettingType": "LINE",
    "marketType": "TOTAL",
    "priceLadderDefinition": {"type": "LINE_RANGE"},
    "lineMinUnit": 0.5,
    "lineMaxUnit": 10.5,
    "lineInterval": 1.0,
}


@pytest.mark.parametrize(
    ("code", "instruction", "definition"),
    [
        ("INVALID_CUSTOMER_ORDER_REF", limit(3.0, 5, instruction={"customerOrderRef": "x" * 33}), {}),
        ("INVALID_CUSTOMER_ORDER_REF", limit(3.0, 5, instruction={"customerOrderRef": "a b"}), {}),
        ("INVALID_RUNNER", limit(3.0, 5, selection_id=99), {}),
        ("INVALID_RUNNER", limit(3.0, 5, instruction={"handicap": 1.5}), {}),
        ("INVALID_ODDS", limit(3.01, 5), {}),
        ("INVALID_ODDS", limit(1001, 5), {}),
        ("INVALID_ODDS", limit(3.001, 5), {"priceLadderDefinition": {"type": "FINEST"}}),
        ("INVALID_ODDS", limit(3.0, 5), LINES),
        ("INVALID_ODDS", at_close(20, 3.01), {}),
        ("INVALID_BET_SIZE", limit(3.0, 0.99), {}),
        ("INVALID_BET_SIZE", limit(3.0, 5.005), {}),
        ("INVALID_BET_SIZE", limit(3.0, -5), {}),
        ("INVALID_BET_SIZE", limit(1000, 1e308), {}),
        ("INVALID_BET_SIZE", limit(3.0, None, betTargetType="PAYOUT", betTargetSize=1e308), {}),
        ("INVALID_BET_SIZE", at_close(1e308), {}),
        ("INVALID_BET_SIZE", limit(3.0, 5, betTargetType="PAYOUT", betTargetSize=20), {}),
        ("INVALID_BET_SIZE", at_close(0.5), {}),
        ("INVALID_BET_SIZE", at_close(9.99, side="LAY"), {}),
        ("INVALID_PERSISTENCE_TYPE", limit(3.0, 5, persistenceType="PERSIST"), {"turnInPlayEnabled": False}),
        ("INVALID_PERSISTENCE_TYPE", limit(3.0, 5, persistenceType="PERSIST"), {"persistenceEnabled": False}),
        ("INVALID_PERSISTENCE_TYPE", limit(3.0, 5, persistenceType="PERSIST"), {"betDelayModels": ["PASSIVE"]}),
        ("INVALID_PERSISTENCE_TYPE", limit(3.0, 5, persistenceType="MARKET_ON_CLOSE"), {"bspMarket": False}),
        ("MARKET_NOT_OPEN_FOR_BSP_BETTING", at_close(20), {"bspMarket": False}),
        ("MARKET_NOT_OPEN_FOR_BSP_BETTING", at_close(20), {"inPlay": True}),
        ("MARKET_NOT_OPEN_FOR_BSP_BETTING", at_close(20), {"bspReconciled": True}),
        ("UNEXPECTED_MIN_FILL_SIZE", limit(3.0, 5, minFillSize=2), {}),
        ("INVALID_MIN_FILL_SIZE", limit(3.0, 5, timeInForce="FILL_OR_KILL", minFillSize=6), {}),
        ("INVALID_MIN_FILL_SIZE", limit(3.0, 5, timeInForce="FILL_OR_KILL", minFillSize=0.5), {}),
        ("UNEXPECTED_PERSISTENCE_TYPE", limit(3.0, 5, timeInForce="FILL_OR_KILL", persistenceType="PERSIST"), {}),
        ("INVALID_ORDER_TYPE", {**at_close(20), "limitOrder": {"timeInForce": "FILL_OR_KILL"}}, {}),
    ],
)
def test_a_bet_is_refused_with_its_code(code: str, instruction: Report, definition: dict[str, Any]) -> None:
    desk = Desk(priced(**definition))
    report = desk.place(instruction)
    parsed(report)
    assert (report["status"], report["errorCode"]) == ("FAILURE", "BET_ACTION_ERROR")
    assert codes(report) == [code]
    assert set(report["instructionReports"][0]) == {"status", "errorCode", "instruction"}
    assert not desk.exchange.bets


@pytest.mark.parametrize(
    ("instruction", "definition"),
    [
        (limit(3.05, 5), {"priceLadderDefinition": {"type": "FINEST"}}),
        (limit(3.5, 5), LINES),
        (limit(100, 0.1), {}),
        (limit(3.0, 5, persistenceType="PERSIST"), {"inPlay": True}),
    ],
)
def test_a_bet_is_taken_where_the_market_takes_it(instruction: Report, definition: dict[str, Any]) -> None:
    assert Desk(priced(**definition)).place(instruction)["status"] == "SUCCESS"


def test_time_in_force_of_the_call_and_of_an_order_conflict() -> None:
    report = Desk().place(limit(3.0, 5, timeInForce="FILL_OR_KILL"), timeInForce="FILL_OR_KILL")
    assert codes(report) == ["TIME_IN_FORCE_CONFLICT"]


def test_time_in_force_of_the_call_is_that_of_its_orders() -> None:
    report = Desk().place(limit(3.0, 5), timeInForce="FILL_OR_KILL")
    assert report["instructionReports"][0]["orderStatus"] == "EXPIRED"


def test_a_removed_runner_and_a_vacant_trap() -> None:
    stream = priced(runners={1: {"status": "REMOVED", "adjustmentFactor": 10.0}, 2: {"status": "REMOVED_VACANT"}})
    desk = Desk(stream)
    assert codes(desk.place(limit(3.0, 5))) == ["RUNNER_REMOVED"]
    assert codes(desk.place(limit(3.0, 5, selection_id=2))) == ["INVALID_RUNNER"]


@pytest.mark.parametrize(
    ("currency", "jurisdiction", "price", "size", "taken"),
    [
        ("GBP", "com", 10.0, 1.0, True),
        ("GBP", "com", 20.0, 0.5, True),
        ("GBP", "com", 19.5, 0.5, False),
        ("EUR", "com", 20.0, 0.5, False),
        ("EUR", "com", 40.0, 0.5, True),
        ("EUR", "it", 40.0, 0.5, False),
        ("EUR", "es", 40.0, 0.5, False),
        ("DKK", "dk", 40.0, 14.0, False),
        ("AUD", "com", 2.5, 5.0, True),
        ("AUD", "com", 2.5, 4.99, False),
        ("HUF", "com", 2.5, 400.0, True),
    ],
)
def test_smallest_stakes_by_currency_and_jurisdiction(
    currency: str, jurisdiction: str, price: float, size: float, taken: bool
) -> None:
    desk = desk_of(account(currency=currency, jurisdiction=jurisdiction))
    report = desk.place(limit(price, size))
    assert codes(report) == [None if taken else "INVALID_BET_SIZE"]


@pytest.mark.parametrize(("price", "size"), [(1.06, 0.13), (1.7, 0.01), (1.65, 0.02)])
def test_a_profit_that_rounding_changes_too_much_is_refused(price: float, size: float) -> None:
    """A lone bet of that size is below the smallest stake, too: a replacement or a rest may come to it."""
    desk = Desk()
    bet = desk.placed(limit(price if price > 2.1 else 3.0, 5))
    report = desk.cancel({"betId": bet.bet_id, "sizeReduction": round(5 - size, 2)})
    assert codes(report) == [None]
    report = desk.replace({"betId": bet.bet_id, "newPrice": price})
    nested = report["instructionReports"][0]["placeInstructionReport"]
    assert (report["instructionReports"][0]["errorCode"], nested["errorCode"]) == (
        "CANCELLED_NOT_PLACED",
        "INVALID_PROFIT_RATIO",
    )


def test_the_culprit_has_its_code_and_the_others_fail_with_the_order() -> None:
    desk = Desk()
    report = desk.place(limit(3.0, 5), limit(3.01, 5), limit(3.0, 5, selection_id=99))
    parsed(report)
    assert codes(report) == ["ERROR_IN_ORDER", "INVALID_ODDS", "INVALID_RUNNER"]
    assert not desk.exchange.bets


@pytest.mark.parametrize(
    ("one", "other", "crosses"),
    [
        (limit(3.0, 5), limit(3.0, 5, side="LAY"), True),
        (limit(3.0, 5, side="LAY"), limit(2.5, 5), True),
        (limit(3.0, 5), limit(2.98, 5, side="LAY"), False),
        (limit(3.0, 5), limit(3.0, 5, side="LAY", selection_id=2), False),
        (at_close(20, 3.0), at_close(20, 3.5, side="LAY"), True),
    ],
)
def test_a_back_and_a_lay_that_would_match_each_other(one: Report, other: Report, crosses: bool) -> None:
    expected = ["INVALID_BACK_LAY_COMBINATION"] * 2 if crosses else [None, None]
    assert codes(Desk().place(one, other)) == expected


# -- refusals of a call ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "stream", "params"),
    [
        ("INVALID_MARKET_ID", priced(), {"market_id": "1.999"}),
        ("MARKET_SUSPENDED", priced().suspend(100), {}),
        ("MARKET_NOT_OPEN_FOR_BETTING", priced(status="INACTIVE"), {}),
        ("MARKET_NOT_OPEN_FOR_BETTING", priced().close(100), {}),
        ("INVALID_MARKET_VERSION", priced(), {"marketVersion": {"version": 1_234_567_890_123}}),
        ("INSUFFICIENT_FUNDS", priced(), {"size": 10_000.01}),
    ],
)
def test_a_market_refuses_all_of_a_call(code: str, stream: Stream, params: dict[str, Any]) -> None:
    desk = Desk(stream)
    report = desk.place(limit(3.0, params.pop("size", 5)), limit(3.0, 5), **params)
    parsed(report)
    assert (report["status"], report["errorCode"]) == ("FAILURE", code)
    assert codes(report) == ["ERROR_IN_ORDER", "ERROR_IN_ORDER"]
    assert not desk.exchange.bets


def test_a_strategy_reference_that_is_too_long_or_odd_fails_each_bet() -> None:
    report = Desk().place(limit(3.0, 5), limit(3.0, 5), customerStrategyRef="sixteen-letters!")
    assert report["errorCode"] == "BET_ACTION_ERROR"
    assert codes(report) == ["INVALID_CUSTOMER_STRATEGY_REF"] * 2


@pytest.mark.parametrize("code", ["LOSS_LIMIT_EXCEEDED", "INVALID_ACCOUNT_STATE", "PERMISSION_DENIED", "NO_CHASING"])
def test_codes_of_accounts_come_by_fault(code: str) -> None:
    desk = Desk(faults=[Fault("bet.limit", value=code)])
    report = desk.place(limit(3.0, 5))
    assert (report["errorCode"], codes(report)) == (code, ["ERROR_IN_ORDER"])
    assert desk.faults.counts["bet.limit"] == 1
    assert desk.place(limit(3.0, 5))["status"] == "SUCCESS"


@pytest.mark.parametrize("code", ["BET_IN_PROGRESS", "INVALID_BID_TYPE", "RELATED_ACTION_FAILED"])
def test_codes_of_bets_come_by_fault(code: str) -> None:
    report = Desk(faults=[Fault("bet.refuse", value=code)]).place(limit(3.0, 5), limit(3.0, 5))
    assert (report["errorCode"], codes(report)) == ("BET_ACTION_ERROR", [code, "ERROR_IN_ORDER"])


@pytest.mark.parametrize("code", sorted(EXECUTION_CODES | INSTRUCTION_CODES))
def test_every_code_can_be_provoked(code: str) -> None:
    desk = Desk(faults=[Fault("bet.refuse", value=code)])
    report = desk.place(limit(3.0, 5))
    parsed(report)
    of_the_report = code in EXECUTION_CODES
    assert report["errorCode"] == (code if of_the_report else "BET_ACTION_ERROR")
    assert codes(report) == ["ERROR_IN_ORDER" if of_the_report else code]
    assert not desk.exchange.bets


def test_too_many_instructions_are_an_exception_and_nothing_is_executed() -> None:
    desk = Desk()
    with pytest.raises(ApiError) as caught:
        desk.place(*[limit(3.0, 2)] * 201)
    assert caught.value.code == "INVALID_INPUT_DATA"
    assert not desk.exchange.bets
    assert desk.place(*[limit(3.0, 2)] * 200)["status"] == "SUCCESS"


def test_italy_takes_fifty_instructions() -> None:
    desk = desk_of(account(jurisdiction="it"))
    with pytest.raises(ApiError, match="50 at most"):
        desk.place(*[limit(3.0, 2)] * 51)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"instructions": []}, ApiError),
        ({}, ParameterError),
        ({"instructions": [limit(3.0, 5)], "marketId": None}, ParameterError),
        ({"instructions": [{"orderType": "LIMIT", "selectionId": 1, "side": "BUY"}]}, ParameterError),
        ({"instructions": [{**limit(3.0, 5), "side": "BUY"}]}, ParameterError),
        ({"instructions": [{**limit(3.0, 5), "selectionId": None}]}, ParameterError),
        ({"instructions": [limit(3.0)]}, ParameterError),
        (
            {"instructions": [{"orderType": "MARKET_ON_CLOSE", "selectionId": 1, "side": "BACK", "limitOrder": {}}]},
            ParameterError,
        ),
        ({"instructions": [limit(3.0, 5)], "customerRef": "x" * 33}, ApiError),
    ],
)
def test_a_call_that_makes_no_sense_is_an_exception(params: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Desk().call("placeOrders", {"marketId": MARKET, **params})


def test_too_many_instructions_in_a_second() -> None:
    desk = Desk(limits=Limits(instructions_per_second=5))
    desk.place(*[limit(3.0, 2)] * 3)
    with pytest.raises(ApiError) as caught:
        desk.place(*[limit(3.0, 2)] * 3)
    assert caught.value.code == "TOO_MANY_REQUESTS"
    assert desk.place(*[limit(3.0, 2)] * 2, account=ALICE)["status"] == "SUCCESS"
    assert desk.place(*[limit(3.0, 2)] * 3, account=BOB)["status"] == "SUCCESS"
    desk.seconds += 1
    assert desk.place(*[limit(3.0, 2)] * 5)["status"] == "SUCCESS"


def test_a_customer_ref_is_remembered_for_a_minute_by_account() -> None:
    desk = Desk()
    assert desk.place(limit(3.0, 5), customerRef="once")["status"] == "SUCCESS"
    desk.seconds += 59
    report = desk.place(limit(3.0, 5), customerRef="once")
    parsed(report)
    assert (report["errorCode"], codes(report)) == ("DUPLICATE_TRANSACTION", ["ERROR_IN_ORDER"])
    assert len(desk.exchange.bets) == 1
    assert desk.place(limit(3.0, 5), customerRef="once", account=BOB)["status"] == "SUCCESS"
    desk.seconds += 1
    assert desk.place(limit(3.0, 5), customerRef="once")["status"] == "SUCCESS"


def test_a_call_that_was_an_exception_is_not_remembered() -> None:
    desk = Desk()
    with pytest.raises(ParameterError):
        desk.place(limit(3.0), customerRef="once")
    assert desk.place(limit(3.0, 5), customerRef="once")["status"] == "SUCCESS"


# -- the bet delay ---------------------------------------------------------------------------------------------------


def in_play(delay: int = 5, **fields: Any) -> Stream:
    stream = priced(inPlay=True, betDelay=delay, bspReconciled=True, **fields)
    return stream.touch(2000).prices(3000, {1: {"atb": [[2.0, 0]]}}).touch(6000)


def test_a_bet_in_play_waits_for_the_delay_and_meets_the_book_of_then() -> None:
    desk = Desk(in_play())
    report = desk.place(limit(1.98, 5), then=lambda: desk.play(6000))
    (each,) = report["instructionReports"]
    assert (each["averagePriceMatched"], each["placedDate"]) == (1.98, "2023-11-14T22:13:25.000Z")


def test_the_delay_is_divided_by_the_speed() -> None:
    desk = Desk(in_play(), speed=20.0)
    start = desk.exchange.clock.now_ms
    report = desk.place(limit(3.0, 5), then=lambda: desk.exchange.advance(start + 250))
    assert desk.bet(report).placed_ms == start + 250


def test_bets_of_a_passive_market_that_match_nothing_do_not_wait() -> None:
    desk = Desk(in_play(betDelayModels=["PASSIVE"]))
    assert desk.place(limit(3.0, 5))["status"] == "SUCCESS"
    assert desk.place(limit(1.98, 5), then=lambda: desk.play(6000))["status"] == "SUCCESS"


def test_a_passive_bet_that_waits_counts_as_exposure() -> None:
    desk = Desk(in_play(betDelayModels=["PASSIVE"]))
    seen: list[float] = []

    def meanwhile() -> None:
        seen.append(desk.bank.exposure("alice"))
        desk.play(6000)

    desk.place(limit(1.98, 5), then=meanwhile)
    assert seen == [-5.0]


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("MARKET_SUSPENDED", lambda stream: stream.suspend(1000)),
        ("MARKET_NOT_OPEN_FOR_BETTING", lambda stream: stream.close(1000)),
    ],
)
def test_the_market_may_end_in_the_delay(code: str, change: Any) -> None:
    stream = change(priced(inPlay=True, betDelay=5)).touch(6000)
    desk = Desk(stream)
    report = desk.place(limit(3.0, 5), then=desk.play)
    assert (report["errorCode"], codes(report)) == (code, ["ERROR_IN_ORDER"])
    assert not desk.exchange.bets


def test_a_passive_bet_that_waits_at_the_close_is_refused() -> None:
    stream = priced(inPlay=True, betDelay=5, betDelayModels=["PASSIVE"]).close(1000)
    desk = Desk(stream)
    report = desk.place(limit(1.98, 5), then=desk.play)
    assert codes(report) == ["MARKET_NOT_OPEN_FOR_BETTING"]
    assert desk.bank.exposure("alice") == 0.0


def test_a_runner_removed_in_the_delay_refuses_the_whole_order() -> None:
    stream = priced(inPlay=True, betDelay=5).remove(1000, 2, 10.0).touch(6000)
    desk = Desk(stream)
    report = desk.place(limit(3.0, 5), limit(3.0, 5, selection_id=2), then=desk.play)
    assert codes(report) == ["ERROR_IN_ORDER", "RUNNER_REMOVED"]
    assert not desk.exchange.bets


def test_money_that_is_spent_in_the_delay_is_missing_after_it() -> None:
    desk = desk_of(account(balance=10.0), in_play(), Stream("1.2", inPlay=False))

    def meanwhile() -> None:
        place(desk.exchange, "BACK", 3.0, 8, market_id="1.2")
        desk.play(6000)

    report = desk.place(limit(3.0, 8), then=meanwhile)
    assert report["errorCode"] == "INSUFFICIENT_FUNDS"


def test_a_client_that_hangs_up_in_the_delay_has_placed_its_bet() -> None:
    desk = Desk(in_play())

    async def hang_up() -> None:
        params = {"marketId": MARKET, "instructions": [limit(3.0, 5)]}
        task = asyncio.ensure_future(desk.operations["placeOrders"](ALICE, params))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        desk.play()

    asyncio.run(hang_up())
    (bet,) = desk.exchange.bets.values()
    assert bet.executable
    (entry,) = [each for each in desk.exchange.ledger.entries(kind="REPLY") if each.values.get("later")]
    assert entry.values["report"]["instructionReports"][0]["betId"] == bet.bet_id


# -- async -----------------------------------------------------------------------------------------------------------


def test_async_is_answered_at_once_without_a_bet_id() -> None:
    desk = Desk(in_play())
    report = desk.place(limit(3.0, 5, instruction={"customerOrderRef": "late"}), **{"async": True})
    parsed(report)
    (each,) = report["instructionReports"]
    assert (each["status"], each["orderStatus"]) == ("SUCCESS", "PENDING")
    assert set(each) == {"status", "orderStatus", "instruction"}
    assert not desk.exchange.bets
    desk.play()
    (bet,) = desk.exchange.bets.values()
    assert (bet.order_ref, bet.executable) == ("late", True)


def test_async_starting_price_orders_are_pending_too() -> None:
    report = Desk().place(at_close(20), **{"async": True})
    assert report["instructionReports"][0]["orderStatus"] == "PENDING"


def test_a_later_rejection_is_known_to_the_ledger_alone() -> None:
    desk = Desk(priced(inPlay=True, betDelay=5).suspend(1000).touch(6000))
    assert desk.place(limit(3.0, 5), customerRef="c", **{"async": True})["status"] == "SUCCESS"
    desk.play()
    assert not desk.exchange.bets
    (entry,) = [each for each in desk.exchange.ledger.entries(kind="REPLY") if each.values.get("later")]
    assert (entry.values["customer_ref"], entry.values["report"]["errorCode"]) == ("c", "MARKET_SUSPENDED")


def test_async_does_not_hide_what_is_wrong_with_a_bet() -> None:
    assert codes(Desk().place(limit(3.01, 5), **{"async": True})) == ["INVALID_ODDS"]


# -- versions --------------------------------------------------------------------------------------------------------


def reopened() -> Stream:
    """Version 1, suspended as 2, open again as 3, and then as 4 without a suspension."""
    stream = priced().suspend(200, version=2).define(300, status="OPEN", version=3)
    return stream.define(400, version=4, marketTime="2023-11-14T22:25:00.000Z")


@pytest.mark.parametrize(("version", "lapses"), [(1, True), (2, True), (3, False), (4, False), (5, False)])
def test_a_version_lapses_only_against_changes_under_suspension(version: int, lapses: bool) -> None:
    desk = Desk(reopened(), until=400)
    report = desk.place(limit(3.0, 5), marketVersion={"version": version})
    parsed(report)
    assert codes(report) == ["BET_TAKEN_OR_LAPSED" if lapses else None]


def test_a_bet_that_lapses_for_its_version_has_a_number() -> None:
    desk = Desk(reopened(), until=400)
    report = desk.place(limit(3.0, 5), marketVersion={"version": 1})
    (each,) = report["instructionReports"]
    assert (report["status"], report["errorCode"]) == ("FAILURE", "BET_ACTION_ERROR")
    assert (each["status"], each["orderStatus"], each["sizeMatched"]) == ("FAILURE", "EXECUTION_COMPLETE", 0.0)
    bet = desk.bet(report)
    assert (bet.executable, bet.lapsed, bet.lapse_reason) == (False, 5.0, "MKT_VERSION")


# -- best execution off ----------------------------------------------------------------------------------------------


def test_without_best_execution_a_bet_lapses_where_the_price_is_better_than_asked() -> None:
    desk = desk_of(account(best_execution=False))
    report = desk.place(limit(1.98, 5), limit(2.0, 5), limit(3.01, 5))
    parsed(report)
    assert (report["status"], report["errorCode"]) == ("PROCESSED_WITH_ERRORS", "PROCESSED_WITH_ERRORS")
    assert codes(report) == ["BET_LAPSED_PRICE_IMPROVEMENT_TOO_LARGE", None, "INVALID_ODDS"]
    lapsed, matched = desk.bet(report), desk.bet(report, 1)
    assert (lapsed.lapsed, lapsed.lapse_reason) == (5.0, "PRICE_IMP_TOO_LARGE")
    assert (matched.matched, matched.average) == (5.0, 2.0)


# -- what a client does not hear -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "bets"), [("http.timeout", 1), ("http.timeout_lost", 0)])
def test_a_time_out_does_not_say_whether_the_bet_is_there(kind: str, bets: int) -> None:
    desk = Desk(faults=[Fault(kind)])
    report = desk.place(limit(3.0, 5), customerRef="lost")
    parsed(report)
    assert report["status"] == "TIMEOUT"
    assert [set(each) for each in report["instructionReports"]] == [{"status", "instruction"}]
    assert len(desk.exchange.bets) == bets
    again = desk.place(limit(3.0, 5), customerRef="lost")
    assert again["errorCode"] == "DUPLICATE_TRANSACTION"


@pytest.mark.parametrize("operation", ["placeOrders", "cancelOrders", "replaceOrders"])
def test_what_timed_out_may_be_done_a_little_later(operation: str) -> None:
    desk = Desk()
    bet = desk.placed(limit(3.0, 5))
    asked = {
        "placeOrders": limit(4.0, 5),
        "cancelOrders": {"betId": bet.bet_id},
        "replaceOrders": {"betId": bet.bet_id, "newPrice": 4.0},
    }[operation]
    desk.faults.add(Fault("http.timeout_later", seconds=0.02))

    async def late() -> None:
        report = await desk.operations[operation](
            desk.account, arguments_of({"marketId": MARKET, "instructions": [asked]})
        )
        assert report["status"] == "TIMEOUT"
        assert (len(desk.exchange.bets), bet.executable) == (1, True)
        await asyncio.sleep(0.05)

    asyncio.run(late())
    assert len(desk.exchange.bets) == (1 if operation == "cancelOrders" else 2)
    assert bet.executable == (operation == "placeOrders")
    [told] = [each.values for each in desk.exchange.ledger.entries(kind="REPLY")]
    assert (told["operation"], told["later"], told["report"]["status"]) == (operation, True, "SUCCESS")


@pytest.mark.parametrize("operation", ["placeOrders", "cancelOrders", "updateOrders", "replaceOrders"])
def test_what_timed_out_may_find_its_market_closed(operation: str) -> None:
    desk = Desk(priced().close(200))
    bet = desk.placed(limit(3.0, 5))
    asked = {
        "placeOrders": limit(3.0, 5),
        "cancelOrders": {"betId": bet.bet_id},
        "updateOrders": {"betId": bet.bet_id, "newPersistenceType": "PERSIST"},
        "replaceOrders": {"betId": bet.bet_id, "newPrice": 4.0},
    }[operation]
    desk.faults.add(Fault("http.timeout_later", seconds=0.01))

    async def late() -> None:
        params = arguments_of({"marketId": MARKET, "instructions": [asked]})
        assert (await desk.operations[operation](desk.account, params))["status"] == "TIMEOUT"
        desk.play()
        await asyncio.sleep(0.04)

    asyncio.run(late())
    [told] = [each.values["report"] for each in desk.exchange.ledger.entries(kind="REPLY")]
    assert (told["errorCode"], list(desk.exchange.bets)) == ("MARKET_NOT_OPEN_FOR_BETTING", [bet.bet_id])
    assert not desk.exchange.ledger.entries(kind="ERROR")


def test_bets_of_a_call_that_timed_out_do_not_appear_after_fifteen_seconds() -> None:
    with pytest.raises(FaultError, match="seconds is 16, expected 15 at most"):
        Fault("http.timeout_later", seconds=16)


def test_the_order_change_can_come_before_the_reply() -> None:
    desk = Desk(faults=[Fault("order.before_reply", seconds=0.02)])
    there: list[int] = []
    report = desk.place(limit(3.0, 5), then=lambda: there.append(len(desk.exchange.bets)))
    assert (there, report["status"]) == ([1], "SUCCESS")


# -- whatever is asked -----------------------------------------------------------------------------------------------

_SIZES = st.one_of(st.none(), st.floats(-5, 50).map(lambda size: round(size, 3)))


@st.composite
def _instructions(draw: st.DrawFn) -> Report:
    side = draw(st.sampled_from(["BACK", "LAY"]))
    selection_id = draw(st.sampled_from([1, 2, 3]))
    price = draw(st.sampled_from([1.01, 1.06, 1.9, 2.0, 2.1, 3.0, 3.01, 0.0, 1000.0]))
    if draw(st.booleans()):
        fields: dict[str, Any] = {}
        if draw(st.booleans()):
            fields = {"timeInForce": "FILL_OR_KILL", "minFillSize": draw(_SIZES)}
        persistence = draw(st.sampled_from(["LAPSE", "PERSIST", "MARKET_ON_CLOSE"]))
        size = draw(_SIZES)
        if size is None:
            fields |= {"betTargetType": "PAYOUT", "betTargetSize": draw(st.floats(1, 50))}
        return limit(price, size, side, selection_id, persistenceType=persistence, **fields)
    limited = draw(st.booleans())
    return at_close(draw(st.floats(0, 30)), price if limited else None, side, selection_id)


@given(instructions=st.lists(_instructions(), min_size=1, max_size=4), best_execution=st.booleans())
def test_every_report_can_be_read_and_an_order_is_placed_whole_or_not_at_all(
    instructions: list[Report], best_execution: bool
) -> None:
    desk = desk_of(account(best_execution=best_execution))
    report = desk.place(*instructions)
    read = parsed(report)
    statuses = {each.status for each in read.place_instruction_reports}
    if best_execution:
        assert statuses in ({"SUCCESS"}, {"FAILURE"})
        assert len(desk.exchange.bets) == (len(instructions) if statuses == {"SUCCESS"} else 0)
    assert (report["status"] == "SUCCESS") == (statuses == {"SUCCESS"})
    for each in report["instructionReports"]:
        assert ("errorCode" in each) == (each["status"] == "FAILURE")
    for bet in desk.exchange.bets.values():
        parts = bet.matched + bet.cancelled + bet.lapsed + bet.voided + bet.remaining
        assert not bet.is_limit or parts == pytest.approx(bet.size)

"""The rehearsal exchange's statements of accounts."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from betfairlightweight import resources

from builders import MARKET, Stream, priced
from exchange_builders import ALICE, BOB, T0, exchange_of, faults_of, play
from exchange_requests import place
from headrace.simulate.exchange.betting.bank import Bank
from headrace.simulate.exchange.errors import ApiError, ParameterError
from headrace.simulate.exchange.exchange import Exchange
from headrace.simulate.exchange.http.arguments import arguments_of
from headrace.simulate.exchange.listings.lists import BetLists
from headrace.simulate.exchange.listings.statement import Statement
from headrace.simulate.exchange.settings import AccountSettings

NAMED = {"eventName": "Bath", "name": "1m Hcap"}


def bank_of(market: Stream, **changes: Any) -> tuple[Exchange, Bank, Statement]:
    exchange = exchange_of(market, **changes)
    bank = Bank(exchange, faults_of(exchange))
    return play(exchange, until=100), bank, Statement(exchange, bank)


def asked(statement: Statement, account: AccountSettings = ALICE, **params: Any) -> dict[str, Any]:
    operation = statement.operations()["AccountAPING/v1.0/getAccountStatement"]

    async def call() -> Any:
        return await operation(account, arguments_of(params))

    answer: dict[str, Any] = asyncio.run(call())
    resources.AccountStatementResult(**answer)
    for row in answer["accountStatement"]:
        assert json.loads(row["itemClassData"]["unknownStatementItem"]) == row["legacyData"]
    return answer


def rows(statement: Statement, account: AccountSettings = ALICE, **params: Any) -> list[dict[str, Any]]:
    return list(asked(statement, account, **params)["accountStatement"])


def settle(exchange: Exchange) -> None:
    play(exchange)
    exchange.advance(exchange.clock.now_ms)


def test_a_settled_market_is_a_row_for_each_bet_and_one_of_commission_the_latest_first():
    exchange, _, statement = bank_of(priced(**NAMED).close(9_000))
    won = place(exchange, price=2.0, size=5.0)
    lost = place(exchange, side="LAY", price=2.1, size=2.0)
    settle(exchange)
    commission, second, first, deposit = rows(statement)
    assert [row["amount"] for row in (deposit, first, second, commission)] == [10_000.0, 5.0, -2.2, -0.14]
    assert [row["balance"] for row in (deposit, first, second, commission)] == [10_000.0, 10_005.0, 10_002.8, 10_002.66]
    assert (first["refId"], second["refId"], commission["refId"]) == (won.bet_id, lost.bet_id, MARKET)
    assert first["itemDate"] == "2023-11-14T22:13:29.000Z"
    assert first["legacyData"] == {
        "avgPrice": 2.0,
        "betSize": 5.0,
        "betType": "B",
        "betCategoryType": "E",
        "eventId": 100000001,
        "eventTypeId": 7,
        "fullMarketName": "Bath / 1m Hcap",
        "grossBetAmount": 0.0,
        "marketName": "1m Hcap",
        "marketType": "O",
        "placedDate": "2023-11-14T22:13:20.000Z",
        "selectionId": 1,
        "startDate": "2023-11-14T22:20:00.000Z",
        "transactionType": "ACCOUNT_CREDIT",
        "transactionId": 0,
        "winLose": "RESULT_WON",
        "avgPriceRaw": 2.0,
    }
    assert (second["legacyData"]["betType"], second["legacyData"]["winLose"]) == ("L", "RESULT_LOST")
    data = commission["legacyData"]
    assert (data["commissionRate"], data["grossBetAmount"], data["winLose"]) == ("5%", 2.8, "RESULT_NOT_APPLICABLE")
    assert (data["transactionType"], data["betCategoryType"], data["selectionId"]) == ("ACCOUNT_DEBIT", "NONE", 0)


def test_a_second_settlement_leaves_the_first_marked_and_reverses_it():
    exchange, bank, statement = bank_of(priced().close(1_000, winner=1).close(5_000, winner=2))
    place(exchange, price=2.0, size=5.0)
    play(exchange, until=1_000)
    exchange.advance(T0 + 1_000)
    settle(exchange)
    found = [(row["amount"], row["legacyData"]["winLose"]) for row in reversed(rows(statement, includeItem="EXCHANGE"))]
    assert found == [
        (5.0, "RESULT_ERR"),
        (-0.25, "RESULT_ERR"),
        (-5.0, "RESULT_FIX"),
        (-5.0, "RESULT_LOST"),
        (0.25, "COMMISSION_REVERSAL"),
    ]
    assert rows(statement)[0]["balance"] == bank.balance("alice") == 9_995.0


def test_pages_kinds_and_dates():
    exchange, _, statement = bank_of(priced().close(9_000))
    for _ in range(3):
        place(exchange, price=2.0, size=1.0)
    settle(exchange)
    assert [row["legacyData"]["fullMarketName"] for row in rows(statement, includeItem="DEPOSITS_WITHDRAWALS")] == [
        "Deposit"
    ]
    assert len(rows(statement, includeItem="EXCHANGE")) == 4
    assert rows(statement, includeItem="POKER_ROOM") == []
    assert len(rows(statement, itemDateRange={"from": "2023-11-14T22:13:21Z"})) == 4
    assert len(rows(statement, itemDateRange={"to": "2023-11-14T22:13:20Z"})) == 1
    first = asked(statement, recordCount=2)
    assert (len(first["accountStatement"]), first["moreAvailable"]) == (2, True)
    assert asked(statement, fromRecord=4, recordCount="2")["moreAvailable"] is False
    assert len(rows(statement, BOB)) == 1


def test_a_page_has_a_hundred_rows_at_most():
    exchange, _, statement = bank_of(priced().close(9_000))
    for _ in range(101):
        place(exchange, price=1.9, size=0.05)
    settle(exchange)
    answer = asked(statement, recordCount=1_000)
    assert (len(answer["accountStatement"]), answer["moreAvailable"]) == (100, True)


def test_what_is_not_a_parameter_is_refused():
    _, _, statement = bank_of(priced())
    with pytest.raises(ParameterError):
        rows(statement, includeItem="SPORTS")
    with pytest.raises(ParameterError):
        rows(statement, wallet="AUSTRALIAN")
    with pytest.raises(ApiError, match="INVALID_INPUT_DATA"):
        rows(statement, fromRecord=-1)


def test_sums_of_cleared_orders_have_the_commission_that_was_paid():
    exchange, bank, _ = bank_of(priced().close(9_000))
    lists = BetLists(exchange, bank)
    place(exchange, price=2.0, size=5.0)
    settle(exchange)
    params = {"betStatus": "SETTLED", "groupBy": "MARKET"}
    (row,) = asyncio.run(lists.list_cleared_orders(ALICE, params))["clearedOrders"]
    assert (row["profit"], row["commission"]) == (5.0, 0.25)

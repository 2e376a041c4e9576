"""Lists of a live account at the rehearsal exchange: whole ones, through real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import headrace.actors.betfair.lists as lists_module
from builders import MARKET, priced
from exchange_builders import BOB
from exchange_servers import Served
from headrace.actors.betfair.lists import AccountDetails, AccountFunds, Listed
from headrace.strategies.messages import CANCEL, CancelInstruction
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


def listed(trader: Trader, read: Any, *arguments: Any, **options: Any) -> Listed:
    found: list[Listed] = []
    read(*arguments, done=found.append, **options)
    (result,) = trader.desk.until(lambda: found)
    return result


def place(trader: Trader, count: int) -> list[str]:
    reply = trader.placed(*(limit(str(each), 3.0, 1.0) for each in range(count)))
    return [report.bet_id or "" for report in reply.reports]


# -- bets ----------------------------------------------------------------------------------------------------------


def test_current_orders_are_all_there_whatever_the_pages_are(trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists_module, "PAGE", 4)
    bets = place(trader, 10)  # all of one second: time alone does not lead to the next page
    result = listed(trader, trader.account.lists.current_orders)
    assert (result.error, [row["betId"] for row in result.rows]) == ("", bets)
    assert result.begun_ms <= result.ended_ms
    assert len(trader.calls("listCurrentOrders")) >= 3


def test_pages_go_on_by_time_where_bets_were_placed_at_several(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists_module, "PAGE", 2)
    stream = priced()
    for seconds in range(1, 6):
        stream.touch(1_000 * seconds)
    with trading(stream) as exchange:
        trader = Trader(exchange, desk)
        bets = [place_one(trader, "0")]
        for seconds in range(1, 6):
            exchange.do(lambda: exchange.exchange.play_next())
            bets.append(place_one(trader, str(seconds)))
        result = listed(trader, trader.account.lists.current_orders)
        assert [row["betId"] for row in result.rows] == bets
        pages = [call["params"].get("dateRange", {}).get("from") for call in trader.calls("listCurrentOrders")]
        assert pages[0] is None
        assert pages[1:] == sorted(set(pages[1:]))


def place_one(trader: Trader, order_id: str) -> str:
    (report,) = trader.placed(limit(order_id, 3.0, 1.0)).reports
    assert report.bet_id is not None
    return report.bet_id


def test_bets_are_found_by_number_and_by_reference_of_many(trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists_module, "NAMED", 2)
    bets = place(trader, 5)
    by_number = listed(trader, trader.account.lists.current_orders, bet_ids=[*bets[:3], bets[0]])
    assert [row["betId"] for row in by_number.rows] == bets[:3]
    refs = [f"0123456789abc-{each}" for each in (1, 3, 4)]
    by_reference = listed(trader, trader.account.lists.current_orders, order_refs=refs)
    assert [row["betId"] for row in by_reference.rows] == [bets[1], bets[3], bets[4]]
    assert len(trader.calls("listCurrentOrders")) == 4
    assert listed(trader, trader.account.lists.current_orders, bet_ids=[]).rows == []
    assert len(trader.calls("listCurrentOrders")) == 4
    with pytest.raises(ValueError, match="betIds and customerOrderRefs: expected one of them"):
        trader.account.lists.current_orders(lambda each: None, bet_ids=bets, order_refs=refs)


def test_cleared_orders_and_what_the_market_comes_to(desk: Desk) -> None:
    with trading(priced().close(9_000, winner=1)) as exchange:
        trader = Trader(exchange, desk)
        won, cancelled = (report.bet_id for report in trader.placed(limit("1", 2.0, 5.0), limit("2")).reports)
        trader.answered(trader.send(CANCEL, CancelInstruction("2", cancelled)))
        exchange.do(lambda: exchange.exchange.play_next())
        lists = trader.account.lists
        settled = listed(trader, lists.cleared_orders, "SETTLED", market_ids=[MARKET])
        assert [(row["betId"], row["profit"]) for row in settled.rows] == [(won, 5.0)]
        (row,) = settled.rows
        day, refs = row["settledDate"][:10], [row["customerStrategyRef"]]
        for since, found in ((f"{day}T00:00:00.000Z", [won]), ("2099-01-01T00:00:00.000Z", [])):
            today = listed(trader, lists.cleared_orders, "SETTLED", strategy_refs=refs, settled_from=since)
            assert [each["betId"] for each in today.rows] == found
        ended = listed(trader, lists.cleared_orders, "CANCELLED", order_refs=["0123456789abc-2"])
        assert [(row["betId"], row["sizeCancelled"]) for row in ended.rows] == [(cancelled, 5.0)]
        assert listed(trader, lists.cleared_orders, "LAPSED", bet_ids=[cancelled]).rows == []
        markets = listed(trader, lambda done: lists.cleared_markets([MARKET], done))
        assert [(row["marketId"], row["profit"], row["betCount"]) for row in markets.rows] == [(MARKET, 5.0, 1)]


def test_reading_is_tried_again_and_then_given_up_with_what_was_wrong(trader: Trader) -> None:
    place(trader, 1)
    trader.exchange.fault("http.status", operation="listCurrentOrders", times=2)
    found: list[Listed] = []
    trader.account.lists.current_orders(found.append)
    for count in (1, 2):
        trader.desk.until(lambda count=count: len(trader.calls("listCurrentOrders")) == count)
        trader.desk.until(lambda: trader.account.calls.under_way == 0)
        trader.desk.skip(1.1)
    assert trader.desk.until(lambda: found)[0].error == ""
    trader.exchange.fault("http.error", value="INVALID_INPUT_DATA", operation="listCurrentOrders")
    result = listed(trader, trader.account.lists.current_orders)
    assert (result.rows, result.code) == ([], "INVALID_INPUT_DATA")
    assert result.error == "listCurrentOrders: the exchange answers INVALID_INPUT_DATA"


def test_more_lists_than_the_exchange_reads_at_once_wait_their_turn(trader: Trader) -> None:
    place(trader, 1)
    trader.exchange.fault("http.late", operation="listCurrentOrders", seconds=0.05, times=8)
    found: list[Listed] = []
    for _ in range(8):
        trader.account.lists.current_orders(found.append)
    trader.desk.until(lambda: len(found) == 8)
    assert {each.error for each in found} == {""}


# -- markets -------------------------------------------------------------------------------------------------------


def test_catalogues_come_as_the_exchange_has_them(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists_module, "CATALOGUES", 1)
    with trading(priced(), priced(market_id="1.2")) as exchange:
        trader = Trader(exchange, desk)
        found: list[tuple[dict[str, bytes], str]] = []
        trader.account.lists.catalogues([MARKET, "1.2", "1.404", MARKET], lambda *each: found.append(each))
        catalogues, error = desk.until(lambda: found)[0]
        assert (sorted(catalogues), error) == (sorted([MARKET, "1.2"]), "")
        told = msgspec.json.decode(catalogues[MARKET])
        assert (told["marketId"], len(told["runners"])) == (MARKET, 2)
        assert {"event", "eventType", "description", "marketStartTime"} <= set(told)
        assert len(trader.calls("listMarketCatalogue")) == 3


def test_markets_are_found_by_several_filters_each_once(desk: Desk) -> None:
    with trading(priced(), priced(market_id="1.2", marketType="PLACE")) as exchange:
        trader = Trader(exchange, desk)
        filters = [{"marketTypeCodes": ["PLACE"]}, {"marketIds": ["1.2", MARKET]}]
        result = listed(trader, trader.account.lists.find_markets, filters)
        assert sorted(row["marketId"] for row in result.rows) == sorted(["1.2", MARKET])


# -- the account ---------------------------------------------------------------------------------------------------


def test_funds_and_details_of_the_account(exchange: Served, desk: Desk) -> None:
    trader = Trader(exchange, desk, BOB)
    trader.placed(limit("1", 3.0, 5.0))
    funds: list[tuple[AccountFunds | None, str]] = []
    details: list[tuple[AccountDetails | None, str]] = []
    trader.account.lists.funds(lambda *each: funds.append(each))
    trader.account.lists.details(lambda *each: details.append(each))
    desk.until(lambda: funds and details)
    told, detail = funds[0][0], details[0][0]
    assert told is not None
    assert detail is not None
    assert (told.available_to_bet_balance, told.exposure) == (9_995.0, -5.0)
    assert (detail.currency_code, detail.discount_rate) == ("GBP", 0.0)


def test_funds_that_are_being_worked_out_are_asked_for_again(trader: Trader) -> None:
    """Bet Angel's support: "Exposure calculation already in progress"."""
    trader.exchange.fault("account.busy", operation="getAccountFunds")
    told: list[tuple[AccountFunds | None, str]] = []
    trader.account.lists.funds(lambda *each: told.append(each))
    trader.desk.until(lambda: trader.calls("getAccountFunds"))
    trader.desk.until(lambda: trader.account.calls.under_way == 0)
    trader.desk.skip(1.1)
    assert trader.desk.until(lambda: told)[0][1] == ""
    trader.exchange.fault("http.error", value="ACCESS_DENIED", operation="getAccountFunds")
    trader.account.lists.funds(lambda *each: told.append(each))
    assert trader.desk.until(lambda: told[1:])[0] == (None, "the exchange answers ACCESS_DENIED")

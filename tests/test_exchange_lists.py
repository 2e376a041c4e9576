"""The rehearsal exchange's lists of bets: current ones, cleared ones, profit and loss."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from betfairlightweight import resources

from builders import MARKET, Stream, priced
from exchange_builders import ALICE, BOB, T0, exchange_of, play
from exchange_requests import cancel, place, replace, update
from headrace.simulate.exchange.account_bet import AccountBet
from headrace.simulate.exchange.errors import ApiError, ParameterError
from headrace.simulate.exchange.exchange import Exchange, ExchangeMarket
from headrace.simulate.exchange.http.arguments import arguments_of
from headrace.simulate.exchange.listings.lists import BetLists
from headrace.simulate.exchange.settings import AccountSettings

OTHER = "1.100000002"
#: live.md 1.6: of a current order, what betfairlightweight takes; more, or less than the first, is an error there.
REQUIRED = {
    *("betId", "averagePriceMatched", "bspLiability", "handicap", "marketId", "orderType", "persistenceType"),
    *("placedDate", "selectionId", "side", "sizeMatched", "sizeRemaining", "sizeLapsed", "sizeCancelled"),
    *("sizeVoided", "status", "priceSize"),
}
ALLOWED = REQUIRED | {
    *("regulatorCode", "regulatorAuthCode", "matchedDate", "customerStrategyRef", "customerOrderRef", "lapsedDate"),
    *("lapseStatusReasonCode", "cancelledDate", "currentItemDescription"),
}


class FivePercent:
    """A bank that knows commission alone."""

    def __init__(self) -> None:
        self.paid: dict[tuple[str, str], float] = {}

    def commission(self, username: str, market_id: str) -> float:
        return self.paid.get((username, market_id), 0.0)

    def commission_on(self, username: str, market: ExchangeMarket, won: float) -> float:
        return round(max(won, 0.0) * 0.05, 2)


def lists_of(*streams: Stream, until: int = 100, **changes: Any) -> tuple[Exchange, BetLists, FivePercent]:
    exchange, bank = exchange_of(*(streams or (priced(),)), **changes), FivePercent()
    lists = BetLists(exchange, bank)
    return play(exchange, until=until), lists, bank


def call(lists: BetLists, name: str, account: AccountSettings = ALICE, **params: Any) -> Any:
    operation = lists.operations()[f"SportsAPING/v1.0/{name}"]

    async def asked() -> Any:
        return await operation(account, arguments_of(params))

    return asyncio.run(asked())


def current(lists: BetLists, account: AccountSettings = ALICE, **params: Any) -> list[dict[str, Any]]:
    answer = call(lists, "listCurrentOrders", account, **params)
    for row in answer["currentOrders"]:
        assert set(row) >= REQUIRED
        assert set(row) - {"sourceIdKey", "sourceIdDescription"} <= ALLOWED
    if not params.get("includeSourceId"):
        resources.CurrentOrders(**answer)
    return list(answer["currentOrders"])


def cleared(lists: BetLists, status: str = "SETTLED", account: AccountSettings = ALICE, **params: Any) -> list[Any]:
    answer = call(lists, "listClearedOrders", account, betStatus=status, **params)
    resources.ClearedOrders(**answer)
    return list(answer["clearedOrders"])


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["betId"] for row in rows]


def numbers(*bets: AccountBet) -> list[str]:
    return [bet.bet_id for bet in bets]


def settle(exchange: Exchange) -> None:
    """Play all that is left, and let what is due then happen."""
    play(exchange)
    exchange.advance(exchange.clock.now_ms)


# -- current orders --------------------------------------------------------------------------------------------------


def test_a_resting_bet_is_listed_with_all_that_is_known_of_it():
    exchange, lists, _ = lists_of(priced(version=7))
    bet = place(exchange, price=3.0, size=4.0, ref="order-1", strategy="plan", persistence="PERSIST")
    assert current(lists, includeItemDescription=True) == [
        {
            "betId": bet.bet_id,
            "marketId": MARKET,
            "selectionId": 1,
            "handicap": 0.0,
            "priceSize": {"price": 3.0, "size": 4.0},
            "bspLiability": 0.0,
            "side": "BACK",
            "status": "EXECUTABLE",
            "persistenceType": "PERSIST",
            "orderType": "LIMIT",
            "placedDate": "2023-11-14T22:13:20.000Z",
            "averagePriceMatched": 0.0,
            "sizeMatched": 0.0,
            "sizeRemaining": 4.0,
            "sizeLapsed": 0.0,
            "sizeCancelled": 0.0,
            "sizeVoided": 0.0,
            "regulatorCode": "GIBRALTAR REGULATOR",
            "customerOrderRef": "order-1",
            "customerStrategyRef": "plan",
            "currentItemDescription": {"marketVersion": {"version": 7}},
        }
    ]


def test_by_projection():
    exchange, lists, _ = lists_of()
    resting, part, full = place(exchange, price=3.0), place(exchange, price=1.98, size=25.0), place(exchange, price=1.9)
    assert (part.executable, part.matched, full.executable) == (True, 20.0, False)
    assert ids(current(lists)) == ids(current(lists, orderProjection="ALL")) == numbers(resting, part, full)
    assert ids(current(lists, orderProjection="EXECUTABLE")) == numbers(resting, part)
    assert ids(current(lists, orderProjection="EXECUTION_COMPLETE")) == numbers(full)


def test_what_came_to_nothing_is_current_no_more_and_what_was_matched_stays():
    exchange, lists, _ = lists_of(priced().suspend(200, inPlay=True))
    nothing, part = place(exchange, price=3.0), place(exchange, price=1.98, size=25.0)
    cancel(exchange, nothing)
    assert ids(current(lists)) == numbers(part)
    play(exchange)
    assert part.lapsed == 5.0
    (row,) = current(lists)
    assert (row["status"], row["sizeMatched"], row["sizeLapsed"]) == ("EXECUTION_COMPLETE", 20.0, 5.0)
    assert row["lapsedDate"] == "2023-11-14T22:13:20.200Z"
    assert "lapseStatusReasonCode" not in row


def test_bets_at_the_starting_price_are_complete_and_current_before_the_off():
    exchange, lists, _ = lists_of()
    market = place(exchange, order_type="MARKET_ON_CLOSE", liability=10.0)
    limit = place(exchange, side="LAY", price=5.0, order_type="LIMIT_ON_CLOSE", liability=20.0)
    rows = current(lists, orderProjection="EXECUTION_COMPLETE")
    assert ids(rows) == numbers(market, limit)
    assert [(row["orderType"], row["bspLiability"], row["priceSize"]) for row in rows] == [
        ("MARKET_ON_CLOSE", 10.0, {"price": 0.0, "size": 0.0}),
        ("LIMIT_ON_CLOSE", 20.0, {"price": 5.0, "size": 0.0}),
    ]
    assert all(row["sizeMatched"] == row["sizeRemaining"] == row["sizeLapsed"] == 0.0 for row in rows)


def test_a_settled_market_has_no_current_bets_and_one_that_is_opened_again_has():
    market = priced().close(1000).define(3000, {1: {"status": "ACTIVE"}, 2: {"status": "ACTIVE"}}, status="SUSPENDED")
    exchange, lists, _ = lists_of(market)
    bet = place(exchange, price=2.0)
    play(exchange, until=1000)
    exchange.advance(T0 + 1000)
    assert current(lists) == []
    play(exchange)
    assert ids(current(lists)) == numbers(bet)
    assert cleared(lists) == []


def test_each_account_sees_its_own():
    exchange, lists, _ = lists_of()
    mine, other = place(exchange, price=3.0), place(exchange, price=3.0, account=BOB)
    assert ids(current(lists)) == numbers(mine)
    assert ids(current(lists, BOB)) == numbers(other)


def test_filters_of_ids_and_references():
    exchange, lists, _ = lists_of(priced(), Stream(OTHER))
    a = place(exchange, price=3.0, ref="a", strategy="one")
    b = place(exchange, price=3.0, ref="b", strategy="two")
    c = place(exchange, price=3.0, ref="a", strategy="two", market_id=OTHER)
    assert ids(current(lists, betIds=[b.bet_id])) == numbers(b)
    assert ids(current(lists, marketIds=[OTHER])) == numbers(c)
    assert ids(current(lists, customerOrderRefs=["a"])) == numbers(a, c)
    assert ids(current(lists, customerStrategyRefs=["two"])) == numbers(b, c)
    assert ids(current(lists, customerOrderRefs=["a"], customerStrategyRefs=["two"])) == numbers(c)
    assert ids(current(lists, betIds=[], marketIds=[])) == numbers(a, b, c)
    assert current(lists, customerOrderRefs=["z"]) == []


def test_a_replaced_bet_and_its_successor_share_their_reference():
    exchange, lists, _ = lists_of()
    old = place(exchange, price=1.98, size=25.0, ref="r")
    new = replace(exchange, old, 3.0)
    assert ids(current(lists, customerOrderRefs=["r"])) == numbers(old, new)


def test_orders_of_the_list():
    exchange, lists, _ = lists_of(priced(), Stream(OTHER).prices(100, {1: {"atb": [[2.0, 100]]}}), until=100)
    late = place(exchange, price=3.0)
    other = place(exchange, price=2.0, market_id=OTHER)
    exchange.advance(T0 + 5_000)
    third = place(exchange, price=2.0)
    exchange.advance(T0 + 9_000)
    replaced = place(exchange, price=2.0, size=2.0)
    assert ids(current(lists)) == numbers(late, other, third, replaced)
    assert ids(current(lists, sortDir="LATEST_TO_EARLIEST")) == numbers(replaced, third, other, late)
    assert ids(current(lists, orderBy="BY_MARKET")) == numbers(late, third, replaced, other)
    assert ids(current(lists, orderBy="BY_MATCH_TIME")) == numbers(other, third, replaced)
    assert ids(current(lists, orderBy="BY_MATCH_TIME", dateRange={"from": "2023-11-14T22:13:25.000Z"})) == numbers(
        third, replaced
    )
    assert ids(current(lists, dateRange={"to": "2023-11-14T22:13:25Z"})) == numbers(late, other, third)
    assert current(lists, orderBy="BY_SETTLED_TIME") == current(lists, orderBy="BY_VOID_TIME") == []


def test_voids_by_the_time_at_which_they_were_voided():
    exchange, lists, _ = lists_of(priced().remove(300, 1, 20.0))
    voided, kept = place(exchange, price=2.0, size=5.0), place(exchange, price=1.8, selection_id=2)
    partly = place(exchange, price=1.98, size=6.0)
    play(exchange)
    assert ids(current(lists)) == numbers(kept)
    assert ids(current(lists, orderBy="BY_VOID_TIME")) == []
    assert ids(cleared(lists, "VOIDED")) == numbers(partly, voided)


def test_pages():
    exchange, lists, _ = lists_of()
    bets = [place(exchange, price=3.0) for _ in range(5)]
    first = call(lists, "listCurrentOrders", recordCount=2)
    assert (ids(first["currentOrders"]), first["moreAvailable"]) == (numbers(*bets[:2]), True)
    last = call(lists, "listCurrentOrders", fromRecord=3, recordCount=2)
    assert (ids(last["currentOrders"]), last["moreAvailable"]) == (numbers(*bets[3:]), False)
    assert call(lists, "listCurrentOrders", fromRecord=5) == {"currentOrders": [], "moreAvailable": False}
    assert len(current(lists, recordCount=0)) == 5


def test_a_page_has_a_thousand_rows_at_most():
    exchange, lists, _ = lists_of()
    for _ in range(1_001):
        place(exchange, price=3.0, size=1.0)
    answer = call(lists, "listCurrentOrders", recordCount=5_000)
    assert (len(answer["currentOrders"]), answer["moreAvailable"]) == (1_000, True)
    assert len(current(lists, fromRecord=1_000)) == 1


def test_what_placed_a_bet_is_told_if_asked_for():
    exchange, lists, _ = lists_of()
    place(exchange, price=3.0)
    (row,) = current(lists, includeSourceId=True)
    assert row["sourceIdKey"] == ALICE.app_key


@pytest.mark.parametrize(
    "params",
    [
        {"orderProjection": "OPEN"},
        {"orderBy": "BY_SIZE"},
        {"sortDir": "UP"},
        {"dateRange": {"from": "yesterday"}},
        {"betIds": "1"},
        {"recordCount": "many"},
    ],
)
def test_what_is_not_a_parameter_of_current_orders_is_refused(params):
    _, lists, _ = lists_of()
    with pytest.raises(ParameterError):
        call(lists, "listCurrentOrders", **params)


def test_limits_of_current_orders():
    _, lists, _ = lists_of()
    ids_of = [str(number) for number in range(126)]
    assert current(lists, betIds=ids_of[:125], marketIds=ids_of[:125]) == []
    with pytest.raises(ApiError, match="REQUEST_SIZE_EXCEEDS_LIMIT"):
        call(lists, "listCurrentOrders", betIds=ids_of[:125], marketIds=ids_of)
    with pytest.raises(ApiError, match="INVALID_INPUT_DATA"):
        call(lists, "listCurrentOrders", fromRecord=-1)


# -- cleared orders --------------------------------------------------------------------------------------------------


def test_a_settled_bet_row_by_row():
    market = priced(marketTime="2023-11-14T22:20:00.000Z", eventName="Bath", name="1m Hcap").close(9000, winner=1)
    exchange, lists, _ = lists_of(market)
    won = place(exchange, price=1.98, size=15.0, ref="r", strategy="s")
    lost = place(exchange, side="LAY", price=2.1, size=6.0)
    assert cleared(lists) == []
    settle(exchange)
    rows = cleared(lists, includeItemDescription=True)
    assert ids(rows) == numbers(lost, won)
    assert rows[1] == {
        "eventTypeId": "7",
        "eventId": "99",
        "marketId": MARKET,
        "selectionId": 1,
        "handicap": 0.0,
        "betId": won.bet_id,
        "placedDate": "2023-11-14T22:13:20.000Z",
        "persistenceType": "LAPSE",
        "orderType": "LIMIT",
        "side": "BACK",
        "itemDescription": {
            "eventDesc": "Bath",
            "marketDesc": "1m Hcap",
            "marketType": "WIN",
            "marketStartTime": "2023-11-14T22:20:00.000Z",
            "numberOfWinners": 1,
        },
        "betOutcome": "WON",
        "priceRequested": 1.98,
        "settledDate": "2023-11-14T22:13:29.000Z",
        "lastMatchedDate": "2023-11-14T22:13:20.000Z",
        "betCount": 1,
        "priceMatched": won.average,
        "priceReduced": False,
        "sizeSettled": 15.0,
        "profit": 14.9,
        "customerOrderRef": "r",
        "customerStrategyRef": "s",
    }
    assert (rows[0]["betOutcome"], rows[0]["profit"]) == ("LOST", -6.6)


def test_ends_without_a_match_are_listed_at_once_by_what_they_were():
    exchange, lists, _ = lists_of(priced().suspend(200, inPlay=True))
    cancelled, lapsed, partly = (place(exchange, price=3.0, size=size) for size in (2.0, 3.0, 4.0))
    cancel(exchange, cancelled)
    cancel(exchange, partly, 1.0)
    play(exchange)
    rows = cleared(lists, "CANCELLED")
    assert [(row["betId"], row["sizeCancelled"]) for row in rows] == [(partly.bet_id, 1.0), (cancelled.bet_id, 2.0)]
    assert not {"profit", "priceMatched", "betOutcome", "sizeSettled"} & set(rows[0])
    rows = cleared(lists, "LAPSED")
    assert [(row["betId"], row["sizeCancelled"]) for row in rows] == [(partly.bet_id, 3.0), (lapsed.bet_id, 3.0)]
    assert cleared(lists) == cleared(lists, "VOIDED") == []


def test_fill_or_kill_that_found_nothing_is_cancelled():
    exchange, lists, _ = lists_of()
    killed = place(exchange, price=50.0, time_in_force="FILL_OR_KILL")
    assert current(lists) == []
    assert ids(cleared(lists, "CANCELLED")) == numbers(killed)
    assert cleared(lists, "LAPSED") == []


def test_a_voided_bet_has_what_was_voided_and_no_result():
    exchange, lists, _ = lists_of(priced().remove(300, 1, 20.0).close(9000, winner=2))
    bet = place(exchange, price=2.0, size=15.0)
    settle(exchange)
    (row,) = cleared(lists, "VOIDED")
    assert (row["betId"], row["sizeSettled"], row["priceMatched"], row["profit"]) == (bet.bet_id, 10.0, 2.0, 0.0)
    (row,) = cleared(lists, "LAPSED")
    assert row["sizeCancelled"] == 5.0
    assert cleared(lists) == []


def test_a_reduced_price_is_marked():
    exchange, lists, _ = lists_of(priced().remove(300, 2, 20.0).close(9000))
    place(exchange, price=2.0)
    settle(exchange)
    (row,) = cleared(lists)
    assert (row["priceReduced"], row["priceMatched"], row["priceRequested"], row["profit"]) == (True, 1.6, 2.0, 3.0)


def test_results_come_late_and_last_though_the_market_has_vanished():
    from headrace.simulate.exchange.settings import Timers

    exchange, lists, _ = lists_of(priced().close(1000), timers=Timers(settle=5_400.0, vanish=60.0, vanish_least=60.0))
    bet = place(exchange, price=2.0)
    play(exchange)
    assert (ids(current(lists)), cleared(lists)) == (numbers(bet), [])
    exchange.advance(T0 + 1000 + 5_400_000)
    assert (current(lists), ids(cleared(lists))) == ([], numbers(bet))
    exchange.advance(T0 + 1000 + 5_500_000)
    assert MARKET not in exchange.markets
    (row,) = cleared(lists, includeItemDescription=True)
    assert (row["eventTypeId"], row["itemDescription"]["marketType"]) == ("7", "WIN")


def test_settled_twice_shows_the_last_result():
    exchange, lists, _ = lists_of(priced().close(1000, winner=1).close(5000, winner=2))
    place(exchange, price=2.0)
    play(exchange, until=1000)
    exchange.advance(T0 + 1000)
    (row,) = cleared(lists)
    assert (row["profit"], row["settledDate"]) == (5.0, "2023-11-14T22:13:21.000Z")
    settle(exchange)
    (row,) = cleared(lists)
    assert (row["profit"], row["betOutcome"], row["settledDate"]) == (-5.0, "LOST", "2023-11-14T22:13:25.000Z")


def test_placed_each_way():
    market = priced(marketType="EACH_WAY", eachWayDivisor=4.0).close(9000, winner=2)
    market.lines[-1]["mc"][0]["marketDefinition"]["runners"][0]["status"] = "PLACED"
    exchange, lists, _ = lists_of(market)
    place(exchange, price=2.0)
    settle(exchange)
    (row,) = cleared(lists)
    assert (row["betOutcome"], row["profit"]) == ("PLACED", -3.75)


def test_sums_by_market_and_above_have_commission_and_below_have_not():
    exchange, lists, bank = lists_of(priced().close(9000, winner=1))
    for size, side in ((5.0, "BACK"), (3.0, "BACK"), (2.0, "LAY")):
        place(exchange, side=side, price=2.0 if side == "BACK" else 2.1, size=size, strategy="s")
    bank.paid["alice", MARKET] = 0.29
    settle(exchange)
    profit = round(5.0 + 3.0 - 2.2, 2)
    for group_by, names in (
        ("MARKET", {"eventTypeId", "eventId", "marketId"}),
        ("EVENT", {"eventTypeId", "eventId"}),
        ("EVENT_TYPE", {"eventTypeId"}),
    ):
        (row,) = cleared(lists, groupBy=group_by)
        assert (row["profit"], row["commission"], row["betCount"]) == (profit, 0.29, 3)
        assert names == {"eventTypeId", "eventId", "marketId", "selectionId", "betId", "side"} & set(row)
        assert "betOutcome" not in row
    assert "placedDate" not in cleared(lists, groupBy="EVENT")[0]
    rows = cleared(lists, groupBy="SIDE")
    assert [(row["side"], row["betCount"], row["profit"], row["sizeSettled"]) for row in rows] == [
        ("LAY", 1, -2.2, 2.0),
        ("BACK", 2, 8.0, 8.0),
    ]
    assert "betId" in rows[0]
    assert "betId" not in rows[1]
    assert "commission" not in rows[0]
    (row,) = cleared(lists, groupBy="RUNNER")
    assert (row["selectionId"], row["betCount"], row["profit"]) == (1, 3, profit)
    assert not {"side", "sizeSettled", "commission"} & set(row)
    (row,) = cleared(lists, groupBy="STRATEGY")
    assert (row["customerStrategyRef"], row["profit"], row["marketId"]) == ("s", profit, MARKET)
    assert len(cleared(lists, groupBy="BET")) == 3


def test_sums_leave_out_what_was_cancelled_or_lapsed_and_tell_prices_where_all_are_of_one_kind():
    exchange, lists, _ = lists_of(priced().close(9000, winner=1))
    place(exchange, price=1.9, size=2.0)
    place(exchange, price=2.0, size=2.0)
    place(exchange, price=30.0, size=2.0)
    cancel(exchange, place(exchange, price=40.0, size=2.0))
    settle(exchange)
    (row,) = cleared(lists, groupBy="MARKET")
    assert (row["betCount"], row["sizeSettled"], row["priceRequested"], row["priceMatched"]) == (2, 4.0, 1.95, 2.0)
    assert (row["selectionId"], row["side"], row["persistenceType"], row["orderType"]) == (1, "BACK", "LAPSE", "LIMIT")


def test_filters_of_cleared_orders():
    other = Stream(OTHER, eventId="98", eventTypeId="1").prices(100, {1: {"atb": [[2.0, 100]]}}).close(5000)
    exchange, lists, _ = lists_of(priced().close(9000), other)
    a = place(exchange, price=2.0, ref="a", strategy="one")
    b = place(exchange, side="LAY", price=1.9, selection_id=2, ref="b", strategy="two")
    c = place(exchange, price=2.0, market_id=OTHER, strategy="two")
    settle(exchange)
    assert ids(cleared(lists)) == numbers(b, a, c)
    assert ids(cleared(lists, betIds=[a.bet_id])) == numbers(a)
    assert ids(cleared(lists, marketIds=[OTHER])) == numbers(c)
    assert ids(cleared(lists, eventIds=["98"])) == ids(cleared(lists, eventTypeIds=[1])) == numbers(c)
    assert ids(cleared(lists, customerOrderRefs=["b"])) == numbers(b)
    assert ids(cleared(lists, customerStrategyRefs=["two"])) == numbers(b, c)
    assert ids(cleared(lists, side="LAY")) == numbers(b)
    runners = [{"marketId": MARKET, "selectionId": 1}, {"marketId": OTHER, "selectionId": "1", "handicap": 0}]
    assert ids(cleared(lists, runnerIds=runners)) == numbers(a, c)
    assert ids(cleared(lists, settledDateRange={"from": "2023-11-14T22:13:29Z", "to": None})) == numbers(b, a)
    assert ids(cleared(lists, settledDateRange={"to": "2023-11-14T22:13:25Z"})) == numbers(c)
    assert cleared(lists, account=BOB) == []


def test_pages_of_cleared_orders():
    exchange, lists, _ = lists_of(priced().close(9000))
    bets = [place(exchange, price=2.0, size=1.0) for _ in range(3)]
    settle(exchange)
    answer = call(lists, "listClearedOrders", betStatus="SETTLED", recordCount=2)
    assert (ids(answer["clearedOrders"]), answer["moreAvailable"]) == (numbers(bets[2], bets[1]), True)
    answer = call(lists, "listClearedOrders", betStatus="SETTLED", recordCount=2, fromRecord=2)
    assert (ids(answer["clearedOrders"]), answer["moreAvailable"]) == (numbers(bets[0]), False)


def test_what_cleared_orders_refuse():
    _, lists, _ = lists_of()
    with pytest.raises(ParameterError, match="betStatus"):
        call(lists, "listClearedOrders")
    with pytest.raises(ParameterError):
        call(lists, "listClearedOrders", betStatus="WON")
    with pytest.raises(ParameterError):
        call(lists, "listClearedOrders", betStatus="SETTLED", groupBy="DAY")
    with pytest.raises(ApiError, match="INVALID_INPUT_DATA"):
        call(lists, "listClearedOrders", betStatus="LAPSED", groupBy="MARKET")
    assert cleared(lists, "LAPSED", groupBy="BET") == []
    with pytest.raises(ApiError, match="REQUEST_SIZE_EXCEEDS_LIMIT"):
        call(lists, "listClearedOrders", betStatus="SETTLED", betIds=[str(each) for each in range(1_001)])


# -- profit and loss -------------------------------------------------------------------------------------------------


def profit_and_loss(lists: BetLists, **params: Any) -> dict[int, dict[str, float]]:
    (answer,) = call(lists, "listMarketProfitAndLoss", marketIds=[MARKET], **params)
    resources.MarketProfitLoss(**answer)
    return {row.pop("selectionId"): row for row in answer["profitAndLosses"]}


def test_with_one_winner_each_runner_has_the_result_of_all_bets():
    exchange, lists, _ = lists_of()
    place(exchange, price=2.0, size=10.0)
    place(exchange, side="LAY", price=1.9, size=4.0, selection_id=2)
    place(exchange, price=50.0)
    assert profit_and_loss(lists) == {1: {"ifWin": 14.0}, 2: {"ifWin": -13.6}}
    assert profit_and_loss(lists, netOfCommission=True) == {1: {"ifWin": 13.3}, 2: {"ifWin": -13.6}}
    (answer,) = call(lists, "listMarketProfitAndLoss", marketIds=[MARKET], netOfCommission=True)
    assert answer["commissionApplied"] == 5.0


def test_with_several_winners_each_runner_stands_alone():
    exchange, lists, _ = lists_of(priced(numberOfWinners=2, marketType="PLACE"))
    place(exchange, price=2.0, size=10.0)
    place(exchange, side="LAY", price=1.9, size=4.0, selection_id=2)
    assert profit_and_loss(lists) == {1: {"ifWin": 10.0, "ifLose": -10.0}, 2: {"ifWin": -3.6, "ifLose": 4.0}}


def test_each_way_there_is_a_result_for_being_placed():
    exchange, lists, _ = lists_of(priced(marketType="EACH_WAY", eachWayDivisor=4.0))
    place(exchange, price=2.0, size=10.0)
    assert profit_and_loss(lists)[1] == {"ifWin": 12.5, "ifPlace": -7.5, "ifLose": -20.0}


def test_bets_that_wait_for_the_starting_price_count_if_asked_for():
    exchange, lists, _ = lists_of()
    place(exchange, order_type="MARKET_ON_CLOSE", liability=10.0)
    assert profit_and_loss(lists) == {1: {"ifWin": 0.0}, 2: {"ifWin": 0.0}}
    assert profit_and_loss(lists, includeBspBets=True) == {1: {"ifWin": 0.0}, 2: {"ifWin": -10.0}}
    place(exchange, side="LAY", order_type="MARKET_ON_CLOSE", liability=20.0)
    assert profit_and_loss(lists, includeBspBets=True) == {1: {"ifWin": -20.0}, 2: {"ifWin": -10.0}}


def test_only_open_markets_of_odds_with_bets_have_profit_and_loss():
    exchange, lists, _ = lists_of(priced().close(1000), Stream(OTHER, bettingType="LINE"))
    assert call(lists, "listMarketProfitAndLoss", marketIds=[MARKET, OTHER, "1.9"]) == []
    place(exchange, price=2.0)
    assert [each["marketId"] for each in call(lists, "listMarketProfitAndLoss", marketIds=[MARKET, OTHER])] == [MARKET]
    assert call(lists, "listMarketProfitAndLoss", BOB, marketIds=[MARKET]) == []
    play(exchange)
    assert call(lists, "listMarketProfitAndLoss", marketIds=[MARKET]) == []
    with pytest.raises(ParameterError):
        call(lists, "listMarketProfitAndLoss")
    with pytest.raises(ApiError, match="REQUEST_SIZE_EXCEEDS_LIMIT"):
        call(lists, "listMarketProfitAndLoss", marketIds=[str(each) for each in range(251)])


def test_another_persistence_is_shown():
    exchange, lists, _ = lists_of()
    update(exchange, place(exchange, price=3.0), "PERSIST")
    (row,) = current(lists)
    assert row["persistenceType"] == "PERSIST"

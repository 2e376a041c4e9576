"""Prices over HTTP: listMarketBook and listRunnerBook of the rehearsal exchange."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from betfairlightweight import filters
from betfairlightweight.resources import bettingresources as resources

from exchange_builders import ALICE, BOB, MARKET, Stream, exchange_of, play
from exchange_requests import place
from exchange_servers import Served, merged, served
from headrace.simulate.exchange.account_bet import AccountBet
from headrace.simulate.exchange.listings.lists import BetLists
from headrace.simulate.exchange.listings.market_books import MarketBooks
from headrace.simulate.exchange.listings.price_projection import PriceProjection
from headrace.simulate.exchange.settings import AccountSettings

OTHER, SHUT, LINE = "1.100000002", "1.100000003", "1.100000004"
RUNNERS: dict[int, dict[str, Any]] = {
    1: {"status": "ACTIVE", "adjustmentFactor": 60.0, "bsp": "NaN"},
    2: {"status": "ACTIVE", "adjustmentFactor": 40.0},
    3: {"status": "REMOVED", "adjustmentFactor": 10.0, "removalDate": "2023-11-14T20:00:00.000Z"},
}
BACKS = [[2.0, 10.0], [1.99, 0.4], [1.98, 0.7], [1.97, 30.0], [1.9, 100.0]]
LAYS = [[2.1, 6.0], [2.2, 0.5], [2.3, 8.0]]
DELAYED = AccountSettings("slow", "slow", "slow-key", delayed=True)


class NoCommission:
    """A bank that takes nothing."""

    def commission_on(self, username: str, market: Any, profit: float) -> float:
        return 0.0

    def commission(self, username: str, market_id: str) -> float:
        return 0.0


def market() -> Stream:
    return Stream(MARKET, RUNNERS, numberOfActiveRunners=2, betDelay=5, version=77).prices(
        100,
        {
            1: {
                "atb": BACKS,
                "atl": LAYS,
                "trd": [[2.0, 100.0], [2.1, 10.0]],
                "ltp": 2.1,
                "tv": 110.0,
                "spb": [[1.01, 25.0]],
                "spl": [[1000.0, 12.0]],
                "spn": 2.05,
                "spf": "Infinity",
                "bdatb": [[0, 2.02, 3.0], [1, 2.0, 10.0], [2, 1.98, 1.1]],
            },
            2: {"atb": [[1.8, 50.0]]},
        },
        tv=110.0,
    )


@pytest.fixture(scope="module")
def bets() -> dict[str, AccountBet]:
    return {}


@pytest.fixture(scope="module")
def server(bets: dict[str, AccountBet]) -> Iterator[Served]:
    shut = Stream(SHUT).close(90, bsp={1: 3.21})
    line = Stream(
        LINE,
        {5: {"status": "ACTIVE"}},
        bettingType="ASIAN_HANDICAP_DOUBLE_LINE",
        keyLineDefinition={"kl": [{"id": 5, "hc": -0.5}]},
        betDelayModels=["PASSIVE"],
    )
    exchange = exchange_of(market(), Stream(OTHER).suspend(50, version=9), shut, line, accounts=(ALICE, BOB, DELAYED))
    lists = BetLists(exchange, NoCommission())
    books = MarketBooks(exchange, lists)
    play(exchange)
    bets["resting"] = place(exchange, "BACK", 3.0, 4.0, selection_id=2, ref="mine", strategy="s1")
    bets["matched"] = place(exchange, "BACK", 1.8, 7.0, selection_id=2, strategy="s2")
    bets["partly"] = place(exchange, "BACK", 1.8, 60.0, selection_id=2, strategy="s1")
    bets["lay"] = place(exchange, "LAY", 2.5, 5.0, selection_id=2, account=BOB)
    bets["sp"] = place(exchange, selection_id=2, order_type="MARKET_ON_CLOSE", liability=20.0)
    with served(exchange, lambda _: merged(books)) as server:
        yield server


def book_of(server: Served, account: AccountSettings = ALICE, **params: Any) -> Any:
    """The one book of an answer, parsed by the stock client."""
    answer = server.rpc("SportsAPING/v1.0/listMarketBook", {"marketIds": [MARKET], **params}, account)
    (found,) = answer["result"]
    return found, resources.MarketBook(elapsed_time=0.0, **found)


def levels(rows: Any) -> list[tuple[float, float]]:
    return [(row.price, row.size) for row in rows]


def prices(server: Served, runner: int = 0, **projection: Any) -> Any:
    """`ex` of a runner, parsed, for a price projection."""
    return book_of(server, priceProjection=projection)[1].runners[runner].ex


# -- the market ----------------------------------------------------------------------------------------------------


def test_market_as_it_is(server: Served) -> None:
    found, book = book_of(server)
    assert isinstance(book, resources.MarketBook)
    assert found | {"runners": [], "lastMatchTime": ""} == {
        "marketId": MARKET,
        "isMarketDataDelayed": False,
        "status": "OPEN",
        "betDelay": 5,
        "bspReconciled": False,
        "complete": True,
        "inplay": False,
        "numberOfWinners": 1,
        "numberOfRunners": 3,
        "numberOfActiveRunners": 2,
        "lastMatchTime": "",
        "totalMatched": found["totalMatched"],
        "totalAvailable": found["totalAvailable"],
        "crossMatching": True,
        "runnersVoidable": False,
        "version": 77,
        "runners": [],
    }
    assert book.last_match_time is not None
    assert [(each.selection_id, each.status, each.handicap) for each in book.runners] == [
        (1, "ACTIVE", 0.0),
        (2, "ACTIVE", 0.0),
        (3, "REMOVED", 0.0),
    ]
    assert (book.runners[0].last_price_traded, book.runners[0].total_matched) == (2.1, 110.0)
    assert (book.runners[2].adjustment_factor, f"{book.runners[2].removal_date:%H:%M}") == (10.0, "20:00")
    assert "ex" not in found["runners"][0]
    assert "sp" not in found["runners"][0]


def test_accounts_bets_are_in_the_prices_of_all(server: Served, bets: dict[str, AccountBet]) -> None:
    """Bets of 4 and 10 rest, and 57 was taken, both sides of which count as traded."""
    left = bets["partly"].remaining
    ex = prices(server, 1, priceData=["EX_ALL_OFFERS", "EX_TRADED"])
    assert levels(ex.available_to_lay) == [(1.8, left), (3.0, 4.0)]
    traded = round(bets["matched"].matched + bets["partly"].matched, 2)
    assert levels(ex.traded_volume) == [(1.8, 2 * traded)]
    assert book_of(server)[1].total_matched == 110.0 + 2 * traded


def test_delayed_key_is_told(server: Served) -> None:
    assert book_of(server, DELAYED)[1].is_market_data_delayed is True


def test_suspended_and_handicap_markets(server: Served) -> None:
    suspended = book_of(server, marketIds=[OTHER])[1]
    assert (suspended.status, suspended.version) == ("SUSPENDED", 9)
    line = book_of(server, marketIds=[LINE])[1]
    assert [(each.selection_id, each.handicap) for each in line.key_line_description.key_line] == [(5, -0.5)]
    assert line.bet_delay_models == ["PASSIVE"]


def test_closed_markets_are_left_out_beside_open_ones(server: Served) -> None:
    client = server.client()
    both = client.betting.list_market_book(market_ids=[SHUT, MARKET])
    assert [each.market_id for each in both] == [MARKET]
    alone = client.betting.list_market_book(
        market_ids=[SHUT], price_projection=filters.price_projection(price_data=["SP_TRADED"])
    )[0]
    assert (alone.status, [each.status for each in alone.runners]) == ("CLOSED", ["WINNER", "LOSER"])
    assert alone.runners[0].sp.actual_sp == 3.21


def test_markets_come_in_the_order_asked_for_and_once(server: Served) -> None:
    found = server.client().betting.list_market_book(market_ids=[OTHER, "1.5", MARKET, OTHER])
    assert [each.market_id for each in found] == [OTHER, MARKET]


def test_parameters_that_cannot_be(server: Served) -> None:
    method = "SportsAPING/v1.0/listMarketBook"
    for params in (
        {},
        {"marketIds": [MARKET], "priceProjection": {"priceData": ["EVERYTHING"]}},
        {"marketIds": [MARKET], "orderProjection": "SOME"},
        {"marketIds": [MARKET], "orderProjection": "ALL", "matchProjection": "SOME"},
        {"marketIds": [MARKET], "orderProjection": "ALL", "matchedSince": "yesterday"},
        {"marketIds": [MARKET], "priceProjection": {"exBestOffersOverrides": {"rollupModel": "SOME"}}},
    ):
        assert server.rpc(method, params)["error"]["code"] == -32602, params
    for params in (
        {"marketIds": []},
        {"marketIds": [MARKET], "currencyCode": "XXX"},
        {"marketIds": [MARKET], "priceProjection": {"exBestOffersOverrides": {"bestPricesDepth": 0}}},
        {"marketIds": [MARKET], "priceProjection": {"exBestOffersOverrides": {"rollupModel": "MANAGED_LIABILITY"}}},
    ):
        error = server.rpc(method, params)["error"]
        assert error["data"]["APINGException"]["errorCode"] == "INVALID_INPUT_DATA", params


# -- prices --------------------------------------------------------------------------------------------------------


def test_best_offers_are_three_with_small_ones_rolled_up(server: Served) -> None:
    ex = prices(server, priceData=["EX_BEST_OFFERS"])
    assert levels(ex.available_to_back) == [(2.0, 10.0), (1.98, 1.1), (1.97, 30.0)]
    assert levels(ex.available_to_lay) == [(2.1, 6.0), (2.3, 8.5)]
    assert ex.traded_volume == []


def test_all_offers_are_as_they_are_and_prevail(server: Served) -> None:
    ex = prices(server, priceData=["EX_BEST_OFFERS", "EX_ALL_OFFERS"])
    assert levels(ex.available_to_back) == [tuple(each) for each in BACKS]
    assert levels(ex.available_to_lay) == [tuple(each) for each in LAYS]


def test_traded_volume_alone_has_no_offers(server: Served) -> None:
    ex = prices(server, priceData=["EX_TRADED"])
    assert (ex.available_to_back, ex.available_to_lay) == ([], [])
    assert levels(ex.traded_volume) == [(2.0, 100.0), (2.1, 10.0)]


@pytest.mark.parametrize(
    ("overrides", "backs", "lays"),
    [
        ({"bestPricesDepth": 1}, [(2.0, 10.0)], [(2.1, 6.0)]),
        (
            {"bestPricesDepth": "5"},
            [(2.0, 10.0), (1.98, 1.1), (1.97, 30.0), (1.9, 100.0)],
            [(2.1, 6.0), (2.3, 8.5)],
        ),
        ({"rollupLimit": 15}, [(1.97, 41.1), (1.9, 100.0)], []),
        ({"rollupLimit": 0}, [(2.0, 10.0), (1.99, 0.4), (1.98, 0.7)], [(2.1, 6.0), (2.2, 0.5), (2.3, 8.0)]),
        ({"rollupModel": "PAYOUT", "rollupLimit": 21}, [(1.98, 11.1), (1.97, 30.0), (1.9, 100.0)], [(2.3, 14.5)]),
        ({"rollupModel": "NONE"}, [(2.0, 10.0), (1.97, 30.0), (1.9, 100.0)], [(2.1, 6.0), (2.3, 8.0)]),
        (
            {
                "rollupModel": "MANAGED_LIABILITY",
                "rollupLimit": 2,
                "rollupLiabilityThreshold": 2.2,
                "rollupLiabilityFactor": 6,
            },
            [(2.0, 10.0), (1.97, 31.1), (1.9, 100.0)],
            [(2.1, 6.0)],
        ),
    ],
)
def test_best_offers_as_they_are_asked_for(server: Served, overrides: dict[str, Any], backs: Any, lays: Any) -> None:
    ex = prices(server, priceData=["EX_BEST_OFFERS"], exBestOffersOverrides=overrides)
    assert levels(ex.available_to_back) == backs
    assert levels(ex.available_to_lay) == lays


def test_sizes_may_be_of_each_price_and_all_better_ones(server: Served) -> None:
    ex = prices(server, priceData=["EX_BEST_OFFERS"], rolloverStakes=True)
    assert levels(ex.available_to_back) == [(2.0, 10.0), (1.98, 11.1), (1.97, 41.1)]


def test_virtual_offers_are_those_recorded(server: Served) -> None:
    ex = prices(server, priceData=["EX_BEST_OFFERS"], virtualise=True)
    assert levels(ex.available_to_back) == [(2.02, 3.0), (2.0, 10.0), (1.98, 1.1)]
    assert levels(ex.available_to_lay) == [(2.1, 6.0), (2.3, 8.5)]
    whole = prices(server, priceData=["EX_ALL_OFFERS"], virtualise=True)
    assert levels(whole.available_to_back) == [(2.02, 3.0), (2.0, 10.0), (1.98, 1.1), (1.97, 30.0), (1.9, 100.0)]


def test_starting_prices(server: Served) -> None:
    def sp(*data: str) -> Any:
        return book_of(server, priceProjection={"priceData": list(data)})[1].runners[0].sp

    available = sp("SP_AVAILABLE")
    assert (available.near_price, available.far_price, available.actual_sp) == (2.05, "Infinity", "NaN")
    assert (available.back_stake_taken, available.lay_liability_taken) == ([], [])
    traded = sp("SP_TRADED")
    assert (levels(traded.back_stake_taken), levels(traded.lay_liability_taken)) == ([(1.01, 25.0)], [(1000.0, 12.0)])
    assert traded.near_price is None


def test_money_in_another_currency(server: Served) -> None:
    found, book = book_of(server, currencyCode="EUR", priceProjection={"priceData": ["EX_ALL_OFFERS"]})
    assert levels(book.runners[0].ex.available_to_lay) == [(2.1, 6.96), (2.2, 0.58), (2.3, 9.28)]
    assert book.runners[0].total_matched == 127.6
    assert found["totalMatched"] > 127.6


@pytest.mark.parametrize(
    ("projection", "weight"),
    [
        ({}, 2),
        ({"priceData": []}, 2),
        ({"priceData": ["SP_AVAILABLE"]}, 3),
        ({"priceData": ["SP_TRADED"]}, 7),
        ({"priceData": ["EX_BEST_OFFERS"]}, 5),
        ({"priceData": ["EX_ALL_OFFERS"]}, 17),
        ({"priceData": ["EX_TRADED"]}, 17),
        ({"priceData": ["EX_BEST_OFFERS", "EX_TRADED"]}, 20),
        ({"priceData": ["EX_ALL_OFFERS", "EX_BEST_OFFERS", "EX_TRADED"]}, 32),
        ({"priceData": ["EX_BEST_OFFERS"], "exBestOffersOverrides": {"bestPricesDepth": 6}}, 10),
        ({"priceData": ["EX_BEST_OFFERS", "SP_TRADED", "SP_AVAILABLE"]}, 15),
    ],
)
def test_weight_of_what_is_asked_for(projection: dict[str, Any], weight: float) -> None:
    assert PriceProjection(projection).weight == weight


def test_too_much_data(server: Served) -> None:
    def answer(markets: int) -> Any:
        return server.rpc(
            "SportsAPING/v1.0/listMarketBook",
            {"marketIds": [f"1.{n}" for n in range(markets)], "priceProjection": {"priceData": ["EX_BEST_OFFERS"]}},
        )

    assert answer(40)["result"] == []
    assert answer(41)["error"]["data"]["APINGException"]["errorCode"] == "TOO_MUCH_DATA"


# -- orders --------------------------------------------------------------------------------------------------------


def runner_of(server: Served, account: AccountSettings = ALICE, **params: Any) -> Any:
    return book_of(server, account, **params)[1].runners[1]


def numbers(orders: Any) -> list[str]:
    return [order.bet_id for order in orders]


def test_no_orders_unless_they_are_asked_for(server: Served) -> None:
    for params in ({}, {"matchProjection": "NO_ROLLUP"}):
        runner = runner_of(server, **params)
        assert (runner.orders, runner.matches) == ([], [])


def test_orders_by_their_status(server: Served, bets: dict[str, AccountBet]) -> None:
    def found(projection: str, account: AccountSettings = ALICE) -> list[str]:
        return numbers(runner_of(server, account, orderProjection=projection).orders)

    named = {name: bet.bet_id for name, bet in bets.items()}
    assert found("EXECUTABLE") == [named["resting"], named["partly"]]
    assert found("EXECUTION_COMPLETE") == [named["matched"], named["sp"]]
    assert found("ALL") == [named["resting"], named["matched"], named["partly"], named["sp"]]
    assert found("ALL", BOB) == [named["lay"]]


def test_order_has_the_fields_that_clients_know_and_no_others(server: Served, bets: dict[str, AccountBet]) -> None:
    found = book_of(server, orderProjection="ALL")[0]["runners"][1]["orders"]
    allowed = set(inspect.signature(resources.RunnerBookOrder).parameters)
    assert all(set(each) <= allowed for each in found)
    order = runner_of(server, orderProjection="ALL").orders[0]
    assert (order.price, order.size, order.side, order.status) == (3.0, 4.0, "BACK", "EXECUTABLE")
    assert (order.size_remaining, order.size_matched, order.order_type) == (4.0, 0.0, "LIMIT")
    assert (order.customer_order_ref, order.customer_strategy_ref) == ("mine", "s1")
    assert order.placed_date is not None
    at_sp = runner_of(server, orderProjection="ALL").orders[-1]
    assert (at_sp.order_type, at_sp.bsp_liability, at_sp.size) == ("MARKET_ON_CLOSE", 20.0, 0.0)


def test_matches_of_each_bet_or_rolled_up(server: Served, bets: dict[str, AccountBet]) -> None:
    whole = round(bets["matched"].matched + bets["partly"].matched, 2)
    parts = runner_of(server, orderProjection="ALL").matches
    assert sum(each.size for each in parts) == pytest.approx(whole)
    assert {each.bet_id for each in parts} == {bets["matched"].bet_id, bets["partly"].bet_id}
    assert len({each.match_id for each in parts}) == len(parts)
    for roll_up in ("ROLLED_UP_BY_PRICE", "ROLLED_UP_BY_AVG_PRICE"):
        rows = runner_of(server, orderProjection="EXECUTABLE", matchProjection=roll_up).matches
        assert [(each.side, each.price, each.size, each.bet_id) for each in rows] == [("BACK", 1.8, whole, None)]


def test_average_price_over_several_prices(server: Served) -> None:
    """A back that takes 10 at 2.0 and then 30 of what is next."""
    exchange = exchange_of(market())
    lists = BetLists(exchange, NoCommission())
    books = MarketBooks(exchange, lists)
    play(exchange)
    place(exchange, "BACK", 1.97, 20.0)
    with served(exchange, lambda _: merged(books)) as own:
        rolled = {
            roll_up: [
                (row["price"], row["size"])
                for row in book_of(own, orderProjection="ALL", matchProjection=roll_up)[0]["runners"][0]["matches"]
            ]
            for roll_up in ("ROLLED_UP_BY_PRICE", "ROLLED_UP_BY_AVG_PRICE")
        }
    assert sum(size for _, size in rolled["ROLLED_UP_BY_PRICE"]) == 20.0
    weighted = sum(price * size for price, size in rolled["ROLLED_UP_BY_PRICE"]) / 20.0
    assert len(rolled["ROLLED_UP_BY_PRICE"]) > 1
    assert rolled["ROLLED_UP_BY_AVG_PRICE"] == [(round(weighted, 2), 20.0)]


def test_orders_and_matches_of_some_bets_only(server: Served, bets: dict[str, AccountBet]) -> None:
    of_strategy = runner_of(server, orderProjection="ALL", customerStrategyRefs=["s2"])
    assert numbers(of_strategy.orders) == [bets["matched"].bet_id]
    assert {each.bet_id for each in of_strategy.matches} == {bets["matched"].bet_id}
    of_bet = runner_of(server, orderProjection="ALL", betIds=[int(bets["resting"].bet_id)])
    assert numbers(of_bet.orders) == [bets["resting"].bet_id]
    since = runner_of(server, orderProjection="ALL", matchedSince="2030-01-01T00:00:00Z")
    assert numbers(since.orders) == [bets["resting"].bet_id, bets["partly"].bet_id]
    without = runner_of(server, orderProjection="ALL", includeOverallPosition=False)
    assert (len(without.orders), without.matches) == (4, [])


def test_matches_by_strategy(server: Served, bets: dict[str, AccountBet]) -> None:
    runner = runner_of(
        server, orderProjection="ALL", matchProjection="ROLLED_UP_BY_PRICE", partitionMatchedByStrategyRef=True
    )
    assert {
        name: [(each["price"], each["size"]) for each in of["matches"]]
        for name, of in runner.matches_by_strategy.items()
    } == {
        "s1": [(1.8, bets["partly"].matched)],
        "s2": [(1.8, bets["matched"].matched)],
    }


# -- one runner ----------------------------------------------------------------------------------------------------


def test_book_of_one_runner(server: Served, bets: dict[str, AccountBet]) -> None:
    client = server.client()
    (book,) = client.betting.list_runner_book(
        market_id=MARKET,
        selection_id=2,
        price_projection=filters.price_projection(price_data=["EX_BEST_OFFERS"], virtualise=False),
        order_projection="ALL",
    )
    assert (book.market_id, [each.selection_id for each in book.runners]) == (MARKET, [2])
    assert len(book.runners[0].orders) == 4
    assert client.betting.list_runner_book(market_id="1.5", selection_id=2) == []
    error = server.rpc("SportsAPING/v1.0/listRunnerBook", {"marketId": MARKET, "selectionId": 99})["error"]
    assert error["data"]["APINGException"]["errorCode"] == "INVALID_INPUT_DATA"
    error = server.rpc("SportsAPING/v1.0/listRunnerBook", {"marketId": MARKET})["error"]
    assert error["code"] == -32602


def test_every_answer_is_parsed_by_the_stock_client(server: Served) -> None:
    found = server.client().betting.list_market_book(
        market_ids=[MARKET, OTHER],
        price_projection=filters.price_projection(
            price_data=["SP_AVAILABLE", "SP_TRADED", "EX_ALL_OFFERS", "EX_TRADED"], virtualise=True
        ),
        order_projection="ALL",
        match_projection="ROLLED_UP_BY_AVG_PRICE",
    )
    assert [each.market_id for each in found] == [MARKET, OTHER]
    allowed = set(inspect.signature(resources.RunnerBook).parameters) - {"kwargs"}
    raw = book_of(server, orderProjection="ALL", priceProjection={"priceData": ["SP_TRADED", "EX_TRADED"]})[0]
    assert all(set(each) <= allowed for each in raw["runners"])

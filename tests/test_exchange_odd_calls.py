"""Calls with parameters that nobody in their senses sends: each is answered, or refused with a code."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import priced
from exchange_builders import ALICE, BOB, MARKET, Stream, exchange_of, faults_of, play
from exchange_requests import place
from headrace.simulate.exchange.arguments import arguments_of
from headrace.simulate.exchange.bank import Bank
from headrace.simulate.exchange.betting import Betting
from headrace.simulate.exchange.catalogues import Catalogues
from headrace.simulate.exchange.errors import ApiError, ParameterError
from headrace.simulate.exchange.heartbeat_api import HeartbeatApi
from headrace.simulate.exchange.listings import Listings
from headrace.simulate.exchange.lists import BetLists
from headrace.simulate.exchange.market_books import MarketBooks
from headrace.simulate.exchange.settings import AccountSettings
from headrace.simulate.exchange.statement import Statement

CLOSED = "1.100000002"
Operation = Callable[[AccountSettings, dict[str, Any]], Awaitable[Any]]
Values = st.SearchStrategy[Any]
Fields = dict[str, Values]


def one(*values: Any) -> Values:
    return st.sampled_from(values)


def several(*values: Any) -> Values:
    return st.lists(one(*values), max_size=3)


FLAG = st.booleans()
NUMBER = one(0, -0.0, 1, 2, 2.0, 1.01, 2.02, 2.005, 3, 4, 5, 10, 20, 1000, 1001, -1, 10_000_000, 1e300, 1e-300, 2**62)
PRICE = one(1.01, 1.9, 2.0, 2.02, 2.1, 3, 1000, 2.005, 0, -1, 1e300)
SIZE = one(0, 1, 2, 5, 0.01, 2.005, 100, 1e9, -1, 1e300)
COUNT = one(0, 1, 2, 100, 1000, 1001, -1, 2**62)
WORD = one("mine", "x", "other", "", "*", "é" * 40, "a" * 33, "a b", "\u0000")
WHEN = one("2023-11-14T22:20:00Z", "2023-11-14", "", "soon", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00")
MARKET_ID = one(MARKET, MARKET, MARKET, CLOSED, "1.9")
#: What a field may be that it should not be.
ODD = st.one_of(
    st.none(), FLAG, NUMBER, WORD, NUMBER.map(str), st.just([]), st.just({}), st.just([None]), st.just([[1]])
)


@st.composite
def some(draw: Any, fields: Fields, needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object with some of the fields, and nearly always those needed; rarely one is what it should not be."""
    chosen = set(draw(st.lists(one(*fields), max_size=4))) | set(needed)
    made = {name: draw(fields[name]) for name in fields if name in chosen}
    if made and draw(one(*range(20))) == 19:
        name = draw(one(*made))
        if draw(FLAG):
            del made[name]
        else:
            made[name] = draw(ODD)
    return made


RANGE = some({"from": WHEN, "to": WHEN}, ("from",))
ORDER: Fields = {
    "price": PRICE,
    "size": SIZE,
    "liability": SIZE,
    "persistenceType": one("LAPSE", "PERSIST", "MARKET_ON_CLOSE"),
    "timeInForce": one("FILL_OR_KILL"),
    "minFillSize": SIZE,
    "betTargetType": one("PAYOUT", "BACKERS_PROFIT"),
    "betTargetSize": SIZE,
}
FILTER = some(
    {
        "textQuery": WORD,
        "eventTypeIds": several("7", 7, ""),
        "eventIds": several("99", ""),
        "competitionIds": several("1"),
        "marketIds": several(MARKET, CLOSED, "1.9"),
        "venues": several("Ascot", ""),
        "bspOnly": FLAG,
        "inPlayOnly": FLAG,
        "marketBettingTypes": several("ODDS", "LINE"),
        "marketCountries": several("GB", ""),
        "marketTypeCodes": several("WIN", ""),
        "marketStartTime": RANGE,
        "withOrders": several("EXECUTABLE", "EXECUTION_COMPLETE"),
    }
)
PRICES = some(
    {
        "priceData": several("EX_BEST_OFFERS", "EX_ALL_OFFERS", "EX_TRADED", "SP_TRADED", "SP_AVAILABLE"),
        "virtualise": FLAG,
        "rolloverStakes": FLAG,
        "exBestOffersOverrides": some(
            {
                "bestPricesDepth": COUNT,
                "rollupLimit": NUMBER,
                "rollupModel": one("STAKE", "PAYOUT", "MANAGED_LIABILITY", "NONE"),
                "rollupLiabilityThreshold": NUMBER,
                "rollupLiabilityFactor": COUNT,
            }
        ),
    },
    ("priceData",),
)


def _placing(order_type: str, name: str, needed: tuple[str, ...]) -> Values:
    fields = {
        "selectionId": one(1, 1, 2, "1", 3),
        "side": one("BACK", "LAY"),
        "orderType": st.just(order_type),
        name: some(ORDER, needed),
        "handicap": one(0, 0.0, 1),
        "customerOrderRef": WORD,
    }
    return some(fields, ("selectionId", "side", "orderType", name))


def fields_of(bet_ids: list[str]) -> dict[str, tuple[Fields, tuple[str, ...]]]:
    """By call: its parameters, and those that it needs."""
    bet_id = one(*bet_ids, *bet_ids, "1", "", "é")
    placing = st.one_of(
        _placing("LIMIT", "limitOrder", ("price", "size")),
        _placing("LIMIT", "limitOrder", ("price", "betTargetType", "betTargetSize")),
        _placing("LIMIT_ON_CLOSE", "limitOnCloseOrder", ("price", "liability")),
        _placing("MARKET_ON_CLOSE", "marketOnCloseOrder", ("liability",)),
    )
    reference: Fields = {"marketId": MARKET_ID, "customerRef": WORD}
    version = some({"version": COUNT}, ("version",))

    def instructions(each: Values) -> Fields:
        return {**reference, "instructions": st.lists(each, min_size=1, max_size=3), "marketVersion": version}

    rows: Fields = {
        "betIds": several(*bet_ids, "1"),
        "marketIds": several(MARKET, CLOSED, "1.9"),
        "customerOrderRefs": st.lists(WORD, max_size=2),
        "customerStrategyRefs": st.lists(WORD, max_size=2),
        "fromRecord": COUNT,
        "recordCount": COUNT,
        "includeItemDescription": FLAG,
    }
    orders: Fields = {
        "orderProjection": one("ALL", "EXECUTABLE", "EXECUTION_COMPLETE", "SOME"),
        "matchProjection": one("NO_ROLLUP", "ROLLED_UP_BY_PRICE", "ROLLED_UP_BY_AVG_PRICE"),
        "includeOverallPosition": FLAG,
        "partitionMatchedByStrategyRef": FLAG,
        "customerStrategyRefs": st.lists(WORD, max_size=2),
        "currencyCode": one("GBP", "EUR", "XXX"),
        "matchedSince": WHEN,
        "betIds": several(*bet_ids, "1"),
    }
    changing = {
        "cancelOrders": ({"betId": bet_id, "sizeReduction": SIZE}, ("betId",)),
        "updateOrders": (
            {"betId": bet_id, "newPersistenceType": one("LAPSE", "PERSIST", "MARKET_ON_CLOSE")},
            ("betId", "newPersistenceType"),
        ),
        "replaceOrders": ({"betId": bet_id, "newPrice": PRICE}, ("betId", "newPrice")),
    }
    listing: tuple[Fields, tuple[str, ...]] = ({"filter": FILTER, "locale": WORD}, ("filter",))
    found: dict[str, tuple[Fields, tuple[str, ...]]] = {
        "placeOrders": (
            {**instructions(placing), "async": FLAG, "customerStrategyRef": WORD},
            ("marketId", "instructions"),
        ),
        **{
            name: (instructions(some(fields, needed)), ("marketId", "instructions"))
            for name, (fields, needed) in changing.items()
        },
        "listCurrentOrders": (
            {
                **rows,
                "orderProjection": one("ALL", "EXECUTABLE", "SOME"),
                "dateRange": RANGE,
                "orderBy": one("BY_BET", "BY_MATCH_TIME", "BY_VOID_TIME", "BY_MARKET", "BY_SETTLED_TIME"),
                "sortDir": one("LATEST_TO_EARLIEST", "EARLIEST_TO_LATEST"),
            },
            (),
        ),
        "listClearedOrders": (
            {
                **rows,
                "betStatus": one("SETTLED", "VOIDED", "LAPSED", "CANCELLED", "SOME"),
                "groupBy": one("BET", "MARKET", "EVENT", "EVENT_TYPE", "SIDE"),
                "settledDateRange": RANGE,
                "side": one("BACK", "LAY"),
                "eventTypeIds": several("7"),
                "runnerIds": st.lists(some({"marketId": MARKET_ID, "selectionId": COUNT, "handicap": NUMBER})),
            },
            ("betStatus",),
        ),
        "listMarketProfitAndLoss": (
            {"marketIds": several(MARKET, CLOSED, "1.9"), "includeBspBets": FLAG, "netOfCommission": FLAG},
            ("marketIds",),
        ),
        "listMarketBook": (
            {"marketIds": several(MARKET, CLOSED, "1.9"), "priceProjection": PRICES, **orders},
            ("marketIds", "priceProjection"),
        ),
        "listRunnerBook": (
            {
                "marketId": MARKET_ID,
                "selectionId": one(1, 2, 9),
                "handicap": NUMBER,
                "priceProjection": PRICES,
                **orders,
            },
            ("marketId", "selectionId"),
        ),
        "listTimeRanges": (
            {"filter": FILTER, "granularity": one("DAYS", "HOURS", "MINUTES", "YEARS")},
            ("filter", "granularity"),
        ),
        "listMarketCatalogue": (
            {
                "filter": FILTER,
                "maxResults": COUNT,
                "sort": one("FIRST_TO_START", "MAXIMUM_AVAILABLE", "SOME"),
                "marketProjection": several("EVENT", "RUNNER_METADATA", "MARKET_DESCRIPTION", "COMPETITION"),
            },
            ("filter", "maxResults"),
        ),
        "getAccountFunds": ({"wallet": one("UK", "AUSTRALIAN", "")}, ()),
        "getAccountDetails": ({"wallet": WORD}, ()),
        "listCurrencyRates": ({"fromCurrency": one("GBP", "EUR", "")}, ()),
        "getAccountStatement": (
            {
                "fromRecord": COUNT,
                "recordCount": COUNT,
                "itemDateRange": RANGE,
                "includeItem": one("ALL", "EXCHANGE", "DEPOSITS_WITHDRAWALS", "SOME"),
                "wallet": one("UK", ""),
            },
            (),
        ),
        "heartbeat": ({"preferredTimeoutSeconds": COUNT}, ("preferredTimeoutSeconds",)),
    }
    for name in ("listEventTypes", "listCompetitions", "listEvents", "listMarketTypes", "listCountries", "listVenues"):
        found[name] = listing
    return found


class Desk:
    """An exchange with all its calls, and some bets."""

    def __init__(self) -> None:
        streams = (priced(), Stream(CLOSED).prices(100, {1: {"atb": [[2.0, 10.0]]}}).close(500))
        self.exchange = exchange = exchange_of(*streams)
        faults = faults_of(exchange)
        self.bank = bank = Bank(exchange, faults)
        betting, lists = Betting(exchange, bank, faults), BetLists(exchange, bank)
        parts: list[Any] = [bank, betting, lists, HeartbeatApi(exchange, betting, faults), Statement(exchange, bank)]
        parts += [Listings(exchange, Catalogues(exchange)), MarketBooks(exchange, lists)]
        self.operations: dict[str, Operation] = {
            name.rpartition("/")[2]: function for part in parts for name, function in part.operations().items()
        }
        play(exchange, 100)
        place(exchange, "BACK", 2.0, 5.0, market_id=CLOSED)
        place(exchange, "LAY", 2.2, 5.0, account=BOB)
        self.bet_ids = [place(exchange, "BACK", 2.0, 12.0).bet_id, place(exchange, "LAY", 1.5, 4.0).bet_id]
        play(exchange)

    async def ask(self, operation: str, asked: Any) -> str | None:
        """Make a call; the code of its refusal, or None. What it answers can be written."""
        try:
            answer = await asyncio.wait_for(self.operations[operation](ALICE, arguments_of(asked)), 5)
        except ApiError as error:
            return error.code
        except ParameterError:
            return "DSC-0018"
        _check(msgspec.json.decode(msgspec.json.encode(answer)))
        return None


def _check(value: Any) -> None:
    """Nothing is null, as the exchange leaves out what it does not have: NaN and infinity would be."""
    if isinstance(value, dict):
        for name, each in value.items():
            assert each is not None, name
            _check(each)
    elif isinstance(value, list):
        for each in value:
            _check(each)


async def _desk() -> Desk:
    return Desk()


DESK = asyncio.run(_desk())
FIELDS = fields_of(DESK.bet_ids)


def test_every_call_is_tried() -> None:
    assert set(DESK.operations) - {"navigation"} == set(FIELDS)


@pytest.mark.parametrize("operation", sorted(FIELDS))
def test_odd_calls_are_answered_or_refused(operation: str) -> None:
    answered = 0

    async def make_calls(calls: list[Any]) -> None:
        nonlocal answered
        desk = Desk()
        for asked in calls:
            answered += await desk.ask(operation, asked) is None
        assert math.isfinite(desk.bank.available("alice"))
        # Whatever came, the exchange goes on.
        assert await desk.ask("listMarketBook", {"marketIds": [MARKET]}) is None
        assert await desk.ask("listCurrentOrders", {}) is None

    @settings(max_examples=20)
    @given(calls=st.lists(some(*FIELDS[operation]), min_size=2, max_size=5))
    def try_calls(calls: list[Any]) -> None:
        asyncio.run(make_calls(calls))

    try_calls()
    assert answered >= 3, "nothing was tried: all calls were refused"

"""Values that strategies hand over: taken as what they mean, or refused by name where they are handed over."""

from __future__ import annotations

import datetime
import enum
import json
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

import headrace as hr
from builders import FLUMINE, MARKET, Request, Stream, back, cancel, lay, note, place, priced, replace, replay, update
from headrace.actors.market_filter import admits, check_filter
from headrace.simulate.sound_rows import RowCheck, UnfitValueError
from headrace.strategies.changes import MarketDefinition
from headrace.values import number_of, to_json, unboxed


class Price(enum.Enum):
    TWO_AND_A_HALF = 2.5


class Side(enum.Enum):
    back = "BACK"


def market() -> Stream:
    """A back of runner 1 at 2.2 waits, and is matched by the volume that trades there."""
    return priced().touch(400).prices(1000, {1: {"trd": [[2.2, 500]], "ltp": 2.2}}).touch(2000).close(9000, winner=1)


def traded(make: Callable[[hr.Strategy, Any], hr.Order], config: hr.Config | None = None) -> hr.Order:
    """The order that a strategy makes at the first book with prices, settled."""
    found = []

    def act(script: Any, market: Any) -> bool:
        order = make(script.strategy, market)
        found.append(order)
        return bool(market.place_order(order))

    played = replay(market(), {100: [act]}, config=config, force=False)
    assert played.answers == [True]
    return found[0]


def order_of(
    selection_id: Any = 1, handicap: Any = 0, side: Any = "BACK", price: Any = 2.2, size: Any = 5.0
) -> Callable[[hr.Strategy, Any], hr.Order]:
    return lambda strategy, market: hr.Trade(market.market_id, selection_id, handicap, strategy).create_order(
        side, hr.LimitOrder(price, size)
    )


# -- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [None, FLUMINE], ids=["default", "flumine"])
@pytest.mark.parametrize(
    "values",
    [
        {"selection_id": np.int64(1)},
        {"selection_id": np.float64(1.0)},  # a column of pandas with a gap in it
        {"selection_id": pd.Series([1, None])[0]},
        {"handicap": np.float64(0)},
        {"handicap": np.int32(0)},
        {"side": np.str_("BACK")},
        {"side": Side.back},
        {"price": np.float64(2.2)},
        {"price": np.float32(2.2)},
        {"price": Decimal("2.2")},
        {"price": Fraction(11, 5)},
        {"price": np.array(2.2)},
        {"size": np.float64(5)},
        {"size": np.int64(5)},
        {"size": np.uint8(5)},
        {"size": 5},
        {"size": Decimal(5)},
    ],
    ids=lambda values: "-".join(f"{name}-{type(value).__name__}" for name, value in values.items()),
)
def test_scalars_of_other_libraries_trade_as_plain_numbers_do(values: dict[str, Any], config: hr.Config | None) -> None:
    order, plain = traded(order_of(**values), config), traded(order_of(), config)
    assert (order.profit, order.size_matched, order.lookup) == (plain.profit, plain.size_matched, plain.lookup)
    assert plain.profit == 6.0
    kept = (order.selection_id, order.handicap, order.side, order.order_type.price, order.order_type.size)  # type: ignore[union-attr]
    assert {type(value) for value in kept} <= {int, float, str}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hr.LimitOrder("2.2", 5.0), r"LimitOrder price='2\.2': expected a number; float"),
        (lambda: hr.LimitOrder(True, 5.0), "LimitOrder price=True: expected a number"),
        (lambda: hr.LimitOrder(np.bool_(True), 5.0), "LimitOrder price=.*True.*: expected a number"),
        (lambda: hr.LimitOrder(2.2, [5.0]), r"LimitOrder size=\[5\.0\]: expected a number"),
        (lambda: hr.LimitOrder(2.2, np.array([5.0])), "LimitOrder size=.*: expected a number"),
        (lambda: hr.LimitOrder(2.2, pd.NA), "LimitOrder size=<NA>: expected a number"),
        (lambda: hr.LimitOrder(2.2, 10**400), "LimitOrder size=1000.*: expected a number"),
        (lambda: hr.LimitOrder(2.2, 5.0, min_fill_size="1"), "LimitOrder min_fill_size='1': expected a number"),
        (lambda: hr.LimitOrder(2.2, bet_target_size="1"), "LimitOrder bet_target_size='1': expected a number"),
        (lambda: hr.LimitOrder(2.2, 5.0, line_range_info=3), "LimitOrder line_range_info=3: expected a dict"),
        (lambda: hr.LimitOnCloseOrder("10", 2.0), "LimitOnCloseOrder liability='10': expected a number"),
        (lambda: hr.LimitOnCloseOrder(10.0, 2j), "LimitOnCloseOrder price=2j: expected a number"),
        (lambda: hr.MarketOnCloseOrder("10"), "MarketOnCloseOrder liability='10': expected a number"),
    ],
)
def test_what_is_not_a_number_is_refused_where_the_order_type_is_made(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(hr.OrderError, match=f"^{message}"):
        make()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.5, 1, 0), r"Trade market_id=1\.5: expected a text"),
        ((MARKET, "1", 0), r"Trade selection_id='1': expected a whole number; int\(\.\.\.\)"),
        ((MARKET, 1.5, 0), r"Trade selection_id=1\.5: expected a whole number"),
        ((MARKET, math.nan, 0), "Trade selection_id=nan: expected a whole number"),
        ((MARKET, True, 0), "Trade selection_id=True: expected a whole number"),
        ((MARKET, 2**70, 0), "Trade selection_id=1180591620717411303424: expected a whole number"),
        ((MARKET, 1, "0"), "Trade handicap='0': expected a number"),
        ((MARKET, 1, None), "Trade handicap=None: expected a number"),
        ((MARKET, 1, math.nan), "Trade handicap=nan: expected a number"),
        ((MARKET, 1, 0, "me"), "Trade strategy='me': expected the strategy"),
        ((MARKET, 1, 0, None, ["a"]), r"Trade notes=\['a'\]: expected a dict"),
        ((MARKET, 1, 0, None, None, "1"), "Trade place_reset_seconds='1': expected a number"),
        ((MARKET, 1, 0, None, None, 1.0, math.nan), "Trade reset_seconds=nan: expected a number"),
    ],
)
def test_what_does_not_name_a_runner_is_refused_where_the_trade_is_made(arguments: Any, message: str) -> None:
    market_id, selection_id, handicap, *others = arguments
    strategy = others.pop(0) if others else None
    with pytest.raises(hr.OrderError, match=f"^{message}"):
        hr.Trade(market_id, selection_id, handicap, strategy or hr.Strategy(), *others)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"notes": "late"}, "notes='late': expected a dict"),
        ({"sep": "--"}, "sep='--': expected one character"),
        ({"sep": 5}, "sep=5: expected a text"),
        ({"order": dict}, "order=<class 'dict'>: expected a subclass of headrace.Order"),
    ],
)
def test_what_an_order_cannot_have_is_refused_where_it_is_made(keywords: dict[str, Any], message: str) -> None:
    trade = hr.Trade(MARKET, 1, 0, hr.Strategy())
    with pytest.raises(hr.OrderError, match=f"^{message}"):
        trade.create_order("BACK", hr.LimitOrder(2.0, 2.0), **keywords)


@pytest.mark.parametrize(
    ("order_type", "reason"),
    [
        (hr.LimitOrder(math.nan, 5.0), "Order price is nan"),
        (hr.LimitOrder(math.inf, 5.0), "Order price is inf"),
        (hr.LimitOrder(2.2, math.nan), "Order size is nan"),
        (hr.LimitOrder(2.2, np.float64("inf")), "Order size is inf"),
        (hr.MarketOnCloseOrder(math.nan), "Order liability is nan"),
    ],
)
def test_infinite_numbers_are_violations(order_type: Any, reason: str) -> None:
    played = replay(priced().touch(400).close(), {100: [place("a", "BACK", order_type)]}, force=False)
    assert played.answers == [False]
    assert reason in played.violations[0].reason


#: Orders with a number that no bet has, and what is said of it.
NO_BETS = [
    (hr.LimitOrder(math.nan, 5.0), "price=nan: expected odds above 1"),
    (hr.LimitOrder(math.inf, 5.0), "price=inf: expected odds above 1"),
    (hr.LimitOrder(-2.0, 5.0), r"price=-2\.0: expected odds above 1"),
    (hr.LimitOrder(0.5, 5.0), r"price=0\.5: expected odds above 1"),
    (hr.LimitOrder(1, 5.0), "price=1: expected odds above 1"),
    (hr.LimitOrder(None, 5.0), "price=None: expected odds above 1"),  # type: ignore[arg-type]
    (hr.LimitOrder(2.2, math.nan), "size=nan: expected a number above 0"),
    (hr.LimitOrder(2.2, -5.0), r"size=-5\.0: expected a number above 0"),
    (hr.LimitOrder(2.2, 0), "size=0: expected a number above 0"),
    (hr.LimitOrder(2.2), "size=None: expected a number above 0"),
    (
        hr.LimitOrder(2.2, bet_target_type="PAYOUT", bet_target_size=-900.0),
        r"bet_target_size=-900\.0: expected a number above 0",
    ),
    (hr.MarketOnCloseOrder(math.inf), "liability=inf: expected a number above 0"),
    (hr.MarketOnCloseOrder(-500.0), r"liability=-500\.0: expected a number above 0"),
    (hr.LimitOnCloseOrder(0.0, 3.0), r"liability=0\.0: expected a number above 0"),
    (hr.LimitOnCloseOrder(10.0, math.inf), "price=inf: expected odds above 1"),
]


def raised(request_: Request, error: type[Exception], message: str) -> Request:
    """The request, which is expected to raise."""

    def act(script: Any, market: Any) -> None:
        with pytest.raises(error, match=message):
            request_(script, market)

    return act


@pytest.mark.parametrize("side", ["BACK", "LAY"])
@pytest.mark.parametrize(("order_type", "message"), NO_BETS)
def test_orders_that_no_exchange_takes_are_refused_where_controls_are_skipped(
    order_type: Any, message: str, side: str
) -> None:
    refused = raised(place("a", side, order_type), hr.OrderError, message)
    # Were it under way, it would count in the exposure of those that come after it, and the limit let them through.
    after = [back("b", 2.2, 100.0, force=False), lay("c", 1.9, 100.0, force=False)]
    played = replay(priced().touch(400).close(), {100: [refused, *after]}, max_selection_exposure=20.0)
    assert played.answers == [None, False, False]
    assert played["a"].status is None
    assert len(played.market.blotter) == 0


@pytest.mark.parametrize("execute", [True, False])
def test_orders_of_a_transaction_are_refused_one_by_one(execute: bool) -> None:
    """`execute=False` enters an order in the blotter, as one that is at the exchange already: it counts there too."""

    def act(script: Any, market: Any) -> list[bool]:
        answers = []
        with market.transaction() as transaction:
            for size in (4.0, -500.0, 6.0):
                order = hr.Trade(MARKET, 1, 0, script.strategy).create_order("BACK", hr.LimitOrder(2.2, size))
                try:
                    answers.append(transaction.place_order(order, execute=execute, force=True))
                except hr.OrderError:
                    answers.append(False)
        return answers

    played = replay(priced().touch(400).close(), {100: [act]})
    assert played.answers == [[True, False, True]]
    assert [order.order_type.size for order in played.market.blotter] == [4.0, 6.0]


@pytest.mark.parametrize("size", [math.nan, -1.0, 0, math.inf])
def test_least_fill_that_is_no_size_is_refused(size: float) -> None:
    order_type = hr.LimitOrder(2.0, 5.0, time_in_force="FILL_OR_KILL", min_fill_size=size)
    message = rf"min_fill_size={size}: expected a number above 0"
    refused = raised(place("a", "BACK", order_type, force=False), hr.OrderError, message)
    played = replay(priced().touch(400).close(), {100: [refused]})
    assert len(played.market.blotter) == 0


@pytest.mark.parametrize("line", [-3.5, 0, 0.5])
def test_any_finite_line_is_a_price(line: float) -> None:
    market = priced(bettingType="LINE", lineMinUnit=-10.0, lineMaxUnit=10.0, lineInterval=0.5)
    script = {100: [back("a", line, 5.0), back("b", 4.5, 5.0), note("line_range_result", 2.0)]}
    played = replay(market.touch(400).touch(800).close(), script)
    assert (played.error("a"), played.error("b")) == (None, None)
    assert played["a"].order_type.price == line  # type: ignore[union-attr]


@pytest.mark.parametrize("changed", [{"price": -2.0}, {"price": 1001.0}, {"size": -5.0}])
def test_numbers_changed_under_way_change_nothing_of_the_bet(changed: dict[str, float]) -> None:
    def change(script: Any, market: Any) -> None:
        for name, value in changed.items():
            setattr(script.orders["a"].order_type, name, value)

    asked = {100: [back("a", 2.2, 5.0)]}
    changed_too = {100: [*asked[100], change]}
    as_asked, played = (replay(priced().touch(400).touch(800).close(), each) for each in (asked, changed_too))
    assert vars(played["a"].order_type) == vars(as_asked["a"].order_type)
    assert (played.error("a"), played["a"].profit) == (None, as_asked["a"].profit)


def test_price_changed_under_way_is_the_bets_under_compatibility() -> None:
    """flumine has one object for order and bet: asked for 3.0 and set to 1.9, it matches at the 2.0 that is there."""

    def change(script: Any, market: Any) -> None:
        script.orders["a"].order_type.price = 1.9

    played = replay(priced().touch(400).touch(800).close(), {100: [back("a", 3.0, 2.0), change]}, config=FLUMINE)
    assert (played["a"].size_matched, played["a"].average_price_matched) == (2.0, 2.0)


@pytest.mark.parametrize("price", [math.nan, math.inf, -math.inf, -3.0, 0, 1.0])
def test_replace_at_a_price_that_no_bet_has_is_refused_where_controls_are_skipped(price: float) -> None:
    refused = raised(replace("a", price), hr.OrderUpdateError, f"new_price={price}: expected odds above 1")
    script = {100: [back("a", 2.2, 5.0)], 400: [refused, lay("b", 1.9, 100.0, force=False)]}
    played = replay(priced().touch(400).touch(800).close(), script, max_selection_exposure=20.0)
    assert played.answers == [True, None, False]
    assert (played["a"].size_lapsed, played["a"].size_cancelled) == (5.0, 0.0)
    assert "a'" not in played.orders


@pytest.mark.parametrize(
    ("first", "then", "error"),
    [
        (place("a", "BACK", hr.LimitOrder(2.2, math.nan)), None, hr.OrderError),
        (place("a", "LAY", hr.LimitOrder(math.inf, 5.0)), None, hr.OrderError),
        (place("a", "BACK", hr.MarketOnCloseOrder(math.nan)), None, hr.OrderError),
        (back("a", 2.2, 5.0), cancel("a", math.nan), hr.OrderUpdateError),
        (back("a", 2.2, 5.0), cancel("a", -math.inf), hr.OrderUpdateError),
        (back("a", 2.2, 5.0), replace("a", math.nan, force=False), hr.OrderUpdateError),
    ],
)
def test_not_a_number_and_infinities_are_refused_by_the_peers_rules_too(
    first: Request, then: Request | None, error: type[Exception]
) -> None:
    """It goes on with them, and what it then knows of exposures is not a number either: no limit refuses any more."""
    if then is None:
        script = {100: [raised(first, error, "expected")]}
    else:
        script = {100: [first], 400: [raised(then, error, "expected")]}
    played = replay(priced().touch(400).touch(800).close(), script, config=FLUMINE)
    for order in played.market.blotter:
        assert (order.size_cancelled, order.size_remaining) == (0.0, 5.0)
    assert all(map(math.isfinite, played.exposures().values()))


@pytest.mark.parametrize(("reduction", "remaining"), [(-3.0, 8.0), (0, 0.0)])
def test_reductions_of_nothing_and_less_do_by_the_peers_rules_what_the_peer_does(
    reduction: float, remaining: float
) -> None:
    script = {100: [back("a", 2.2, 5.0)], 400: [cancel("a", reduction)]}
    played = replay(priced().touch(400).touch(800).touch(1200).close(), script, config=FLUMINE)
    assert played["a"].size_remaining == remaining


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (cancel("a", "2"), "size_reduction='2': expected a number"),  # type: ignore[arg-type]
        (cancel("a", 0), "size_reduction=0: expected a number above 0; leave it out"),
        (cancel("a", -1.0), r"size_reduction=-1\.0: expected a number above 0"),
        (cancel("a", math.nan), "size_reduction=nan: expected a number above 0"),
        (cancel("a", math.inf), "size reduction inf is more than the 5.0 that remains"),
        (cancel("a", -50.0, force=False), r"size_reduction=-50\.0: expected a number above 0"),
        (replace("a", "2.3"), "new_price='2.3': expected a number"),  # type: ignore[arg-type]
        (update("a", "KEEP"), "new_persistence_type='KEEP': expected LAPSE, PERSIST .* did you mean 'PERSIST'"),
        (update("a", None), "new_persistence_type=None: expected LAPSE, PERSIST"),  # type: ignore[arg-type]
    ],
)
def test_requests_with_values_that_do_not_fit_are_refused_and_leave_the_order_as_it_was(
    request_: Request, message: str
) -> None:
    def refused(script: Any, market: Any) -> str:
        with pytest.raises(hr.OrderUpdateError, match=message):
            request_(script, market)
        return str(script.orders["a"].status.name)

    played = replay(priced().touch(400).touch(800).close(), {100: [back("a", 2.2, 5.0)], 400: [refused]})
    assert played.answers[1] == "EXECUTABLE"
    assert played["a"].size_remaining == 0.0
    assert played["a"].size_lapsed == 5.0


def test_requests_take_scalars_of_numpy() -> None:
    script = {
        100: [back("a", 2.2, 5.0), back("b", 2.2, 5.0)],
        400: [cancel("a", np.float64(2)), replace("b", np.float64(2.3))],
    }
    played = replay(priced().touch(400).touch(800).touch(1200).close(), script)
    assert played["a"].size_cancelled == 2.0
    price = played["b'"].order_type.price  # type: ignore[union-attr]
    assert (price, type(price)) == (2.3, float)


def test_versions_of_markets_may_be_scalars_of_numpy() -> None:
    """One of a market that was suspended since; the other is that of now."""
    stream = priced().touch(150).suspend(200, version=7).define(210, status="OPEN").touch(400).close()
    script = {150: [back("a", 2.2, 5.0, market_version=np.int64(7)), back("b", 2.2, 5.0, market_version=np.int64(1))]}
    played = replay(stream, script)
    assert (played.error("a"), played.error("b")) == (None, "BET_TAKEN_OR_LAPSED")


@pytest.mark.parametrize(("ref", "message"), [("a" * 16, "at most 15 characters"), (5, "expected a text")])
def test_reference_of_a_strategy_that_the_exchange_does_not_take_is_refused(ref: Any, message: str) -> None:
    def refused(script: Any, market: Any) -> None:
        with pytest.raises(hr.OrderError, match=message):
            market.transaction(customer_strategy_ref=ref)

    replay(priced().close(), {100: [refused]})


# -- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"persistence_type": "persist"}, "'persist': expected LAPSE, PERSIST .* did you mean 'PERSIST'"),
        ({"persistence_type": "LAPSED"}, "'LAPSED': .* did you mean 'LAPSE'"),
        ({"persistence_type": "MOC"}, "'MOC': .* did you mean 'MARKET_ON_CLOSE'"),
        ({"persistence_type": None}, "persistence_type=None: expected LAPSE"),
        ({"persistence_type": ["LAPSE"]}, r"persistence_type=\['LAPSE'\]: expected LAPSE"),
        ({"time_in_force": "FILL_AND_KILL"}, "'FILL_AND_KILL': expected FILL_OR_KILL; did you mean"),
        ({"time_in_force": ""}, "time_in_force='': expected FILL_OR_KILL"),
        ({"bet_target_type": "PROFIT"}, "'PROFIT': expected PAYOUT or BACKERS_PROFIT"),
        ({"price_ladder_definition": "LINE"}, "'LINE': expected CLASSIC, FINEST or LINE_RANGE"),
    ],
)
def test_unknown_words_of_limit_orders_are_refused_with_the_nearest(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(hr.OrderError, match=message):
        hr.LimitOrder(2.0, 2.0, **keywords)


@pytest.mark.parametrize(("side", "near"), [("back", "BACK"), ("Lay", "LAY"), ("SELL", "LAY"), ("BUY", "BACK")])
def test_unknown_side_is_refused_with_the_nearest(side: str, near: str) -> None:
    trade = hr.Trade(MARKET, 1, 0, hr.Strategy())
    with pytest.raises(hr.OrderError, match=rf"^side='{side}': expected BACK or LAY; did you mean '{near}'\?"):
        trade.create_order(side, hr.LimitOrder(2.0, 2.0))


class Keep(enum.StrEnum):
    LAPSE = "LAPSE"


def test_words_may_be_members_of_enums() -> None:
    order_type = hr.LimitOrder(2.0, 2.0, persistence_type=Keep.LAPSE)
    assert type(order_type.persistence_type) is str
    assert order_type.persistence_type == "LAPSE"


@pytest.mark.parametrize(
    ("look_up", "message"),
    [
        (lambda: hr.OrderStatus("executable"), "'executable' is not a member of OrderStatus.*mean 'Executable'"),
        (lambda: hr.OrderStatus["EXECUTABEL"], "'EXECUTABEL' is not a member of OrderStatus.*mean 'EXECUTABLE'"),
        (lambda: hr.OrderPackageType("Cancle"), "'Cancle' is not a member of OrderPackageType.*mean 'Cancel'"),
        (lambda: hr.OrderTypes("Limt"), "'Limt' is not a member of OrderTypes.*did you mean 'Limit'"),
        (lambda: hr.TradeStatus("live"), "'live' is not a member of TradeStatus.*did you mean 'Live'"),
        (lambda: hr.VenueType("betfair"), "'betfair' is not a member of VenueType.*did you mean 'Betfair'"),
    ],
)
def test_unknown_members_are_refused_with_the_nearest(look_up: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, KeyError, AttributeError), match=message):
        look_up()


def test_orders_are_found_by_statuses_their_names_and_their_values() -> None:
    played = replay(priced().touch(400).close(), {100: [back("a", 2.2, 5.0)]})
    blotter, strategy = played.market.blotter, played.strategy
    for status in ([hr.OrderStatus.EXECUTION_COMPLETE], ["EXECUTION_COMPLETE"], "Execution complete"):
        assert blotter.strategy_orders(strategy, status) == [played["a"]]
    assert blotter.strategy_orders(strategy, ["EXECUTABLE"]) == []
    with pytest.raises(ValueError, match="did you mean 'Executable'"):
        blotter.strategy_orders(strategy, ["EXECUTABEL"])
    with pytest.raises(ValueError, match="'Done' is not a member of TradeStatus"):
        blotter.strategy_trades(strategy, ["Done"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"compatibility": "flumin"}, "expected 'flumine' or None; did you mean 'flumine'"),
        ({"log_level": "WARN"}, "expected DEBUG, INFO, WARNING, ERROR or CRITICAL; did you mean 'WARNING'"),
        ({"place_latency": math.nan}, "place_latency=nan: expected a number"),
        ({"process_orders_interval": math.inf}, "process_orders_interval=inf: expected a number"),
        ({"unit_timeout": math.inf}, "unit_timeout=inf: expected a number or None"),
    ],
)
def test_settings_that_would_mean_something_else_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(hr.ConfigError, match=message):
        hr.Config(**setting)


def test_settings_may_be_scalars_of_numpy() -> None:
    config = hr.Config(place_latency=np.float32(0.2), seed=np.int64(5), raise_errors=np.bool_(True))
    assert (config.place_latency, config.seed, config.raise_errors) == (0.2, 5, True)
    assert {type(value) for value in (config.place_latency, config.seed, config.raise_errors)} == {float, int, bool}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"commission_base": "0.05"}, "commission_base='0.05': expected a number"),
        ({"commission_base": math.nan}, "commission_base=nan: expected a number"),
        ({"transaction_limit": "5000"}, "transaction_limit='5000': expected a whole number"),
        ({"currency_code": "gbp"}, "currency_code='gbp': expected .* did you mean 'GBP'"),
        ({"best_price_execution": "no"}, "best_price_execution='no': expected True or False"),
        ({"simulated_full_match": 1}, "simulated_full_match=1: expected True or False"),
        ({"username": 5}, "username=5: expected a text"),
        ({"comission_base": 0.05}, "SimulatedClient has no setting 'comission_base'; did you mean 'commission_base'"),
    ],
)
def test_options_of_clients_that_cannot_be_used_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(hr.ClientError, match=message):
        hr.SimulatedClient(**setting)


@pytest.mark.parametrize(
    ("market_filter", "message"),
    [
        ({"market_types": ["Win"]}, "market_types='Win': expected a type of markets; did you mean 'WIN'"),
        ({"marketTypeCodes": "win"}, "market_type_codes='win': .* did you mean 'WIN'"),
        ({"market_types": [5]}, "market_types=5: expected texts"),
        ({"market_betting_types": ["ODD"]}, "market_betting_types='ODD': expected ODDS, .* did you mean 'ODDS'"),
        ({"country_codes": ["gb"]}, "country_codes='gb': expected two capital letters.* did you mean 'GB'"),
        ({"marketCountries": ["UK"]}, "market_countries='UK': .* did you mean 'GB'"),
        ({"race_types": ["hurdle"]}, "race_types='hurdle': .* did you mean 'Hurdle'"),
        ({"event_type_ids": ["Horse Racing"]}, "event_type_ids='Horse Racing': expected ids, such as '7'"),
        ({"market_ids": ["1.x"]}, "market_ids='1.x': expected ids"),
        ({"event_ids": {"a": 1}}, "event_ids='a': expected ids"),
        ({"event_ids": 1.5}, "event_ids=1.5: expected a list"),
        ({"bsp_only": "true"}, "bsp_only='true': expected True or False"),
        ({"in_play_only": 1}, "in_play_only=1: expected True or False"),
        ({"with_orders": ["DONE"]}, "with_orders='DONE': expected EXECUTABLE or EXECUTION_COMPLETE"),
        ({"market_start_time": "2024-01-01"}, "market_start_time='2024-01-01': expected a dict"),
        ({"market_start_time": {"form": "2024-01-01"}}, "='form': expected from or to; did you mean 'from'"),
        ({"market_start_time": {"from": "tomorrow"}}, "from='tomorrow': expected a date and time"),
        ({"listener_kwargs": ["inplay"]}, r"listener_kwargs=\['inplay'\]: expected a dict"),
        ({"event_groups": ["a"]}, r"event_groups=\['a'\]: expected a dict"),
    ],
)
def test_filters_that_could_admit_nothing_are_refused(market_filter: dict[str, Any], message: str) -> None:
    with pytest.raises(hr.ListenerError, match=message):
        check_filter(market_filter)


def test_filters_take_scalars_and_arrays_of_numpy() -> None:
    definition = Stream().lines[0]["mc"][0]["marketDefinition"]
    known = MarketDefinition(event_type_id=definition["eventTypeId"], market_type="WIN", event_id="99")
    for value in (np.int64(7), np.array([7, 1]), np.str_("7"), ["7"], 7, pd.Series(["7"])):
        check_filter({"event_type_ids": value})
        assert admits({"event_type_ids": value}, MARKET, known)
    assert not admits({"event_type_ids": np.array([1])}, MARKET, known)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"inplay": "no"}, "inplay='no': expected True or False"),
        ({"seconds_to_start": "60"}, "seconds_to_start='60': expected seconds"),
        ({"calculate_market_tv": 1}, "calculate_market_tv=1: expected True or False"),
    ],
)
def test_windows_with_values_that_do_not_fit_are_refused(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"listener_kwargs: {message}"):
        hr.Strategy(market_filter={"listener_kwargs": keywords})


# -- time, workers, events -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, "5", None, True])
def test_timers_want_seconds(seconds: Any) -> None:
    def refused(script: Any, market: Any) -> None:
        with pytest.raises(ValueError, match="call_later seconds="):
            market.call_later(seconds, print)

    replay(priced().close(), {100: [refused]})


def test_timers_take_scalars_of_numpy_and_want_a_function() -> None:
    called = []

    def plan(script: Any, market: Any) -> None:
        market.call_later(np.float32(0.5), lambda: called.append(market.clock.now_ms))
        with pytest.raises(TypeError, match=r"call_later\(1, 'later'\): expected a function to call"):
            market.call_later(1, "later")

    played = replay(priced().touch(2000).close(), {100: [plan]})
    assert called == [played.market.first_ms + 600]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interval": "5"}, "worker interval='5': expected a number"),
        ({"interval": math.nan}, "worker interval=nan: expected a number"),
        ({"interval": 5, "start_delay": "1"}, "worker start_delay='1': expected a number"),
        ({"interval": 5, "func_args": 3}, "worker func_args=3: expected a tuple"),
        ({"interval": 5, "func_args": "ab"}, "worker func_args='ab': expected a tuple"),
        ({"interval": 5, "func_kwargs": [1]}, r"worker func_kwargs=\[1\]: expected a dict"),
        ({"interval": 5, "function": "tick"}, "worker function='tick': expected a function"),
    ],
)
def test_workers_with_values_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        hr.BackgroundWorker(**{"framework": None, "function": print, **arguments})


def test_custom_events_take_times_of_pandas_and_refuse_what_is_no_time() -> None:
    moment = pd.Timestamp("2023-11-14 22:13:20", tz="UTC")
    assert hr.CustomEvent(None, publish_time=moment).publish_time == 1_700_000_000_000
    assert hr.CustomEvent(None, publish_time=np.int64(5)).publish_time == 5
    naive = datetime.datetime(2023, 11, 14, 22, 13, 20)
    assert hr.CustomEvent(None, publish_time=naive).publish_time == 1_700_000_000_000
    for keywords, message in (
        ({"publish_time": "now"}, "publish_time='now': expected a number"),
        ({"callback": "print"}, "callback='print': expected a function"),
        ({"market_ids": MARKET}, "expected a list of market ids"),
        ({"market_ids": [5]}, "market_ids=5: expected a text"),
    ):
        with pytest.raises(TypeError, match=message):
            hr.CustomEvent(None, **keywords)


# -- records, notes and parameters -----------------------------------------------------------------------------------


class Mood(enum.Enum):
    CALM = np.int64(3)


def test_records_hold_scalars_of_other_libraries_as_plain_values() -> None:
    text = to_json(
        {
            "whole": np.int64(3),
            "number": np.float32(3.1),
            "flag": np.bool_(True),
            "text": np.str_("a"),
            "gap": pd.NA,
            "no_time": pd.NaT,
            "nan": np.float64("nan"),
            "time": pd.Timestamp("2024-01-02 03:04:05", tz="UTC"),
            "date": np.datetime64("2024-01-02"),
            "exact": Decimal("3.10"),
            "no_decimal": Decimal("NaN"),
            "half": Fraction(1, 2),
            "mood": Mood.CALM,
            "levels": np.array([1.5, 2.0]),
            "column": pd.Series([1, 2]),
            "by_runner": {np.int64(5): np.float64(2)},
            "nested": [{"a": (np.int64(1), Price.TWO_AND_A_HALF)}],
        }
    )
    assert json.loads(text) == {
        "whole": 3,
        "number": 3.1,
        "flag": True,
        "text": "a",
        "gap": None,
        "no_time": None,
        "nan": None,
        "time": "2024-01-02T03:04:05Z",
        "date": "2024-01-02",
        "exact": 3.1,
        "no_decimal": None,
        "half": 0.5,
        "mood": 3,
        "levels": [1.5, 2.0],
        "column": [1, 2],
        "by_runner": {"5": 2.0},
        "nested": [{"a": [1, 2.5]}],
    }


@pytest.mark.parametrize("value", [object(), "\udc80", pd.DataFrame({"a": [1]}), lambda: None])
def test_records_that_json_cannot_hold_are_refused_by_field(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^odd=.* cannot be written as JSON"):
        to_json({"fine": 1, "odd": value})


def test_a_loop_in_a_record_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        to_json({"loop": loop})


class Typed(hr.Strategy):
    stake: float = 2.0
    count: int = 3
    flag: bool = True
    label: str = "a"
    mode: Literal["slow", "fast"] = "slow"
    levels: tuple[float, ...] = (1.0, 2.0)


def test_parameters_take_scalars_of_numpy_as_pythons_own() -> None:
    made = Typed(
        stake=np.float32(0.1),
        count=np.int64(4),
        flag=np.bool_(False),
        label=np.str_("b"),
        levels=(np.float64(1.5),),
    )
    values = made.parameter_values
    assert values == {"stake": 0.1, "count": 4, "flag": False, "label": "b", "mode": "slow", "levels": (1.5,)}
    kinds = {float, int, bool, str, tuple}
    assert {type(value) for value in values.values()} == kinds


def test_unknown_choice_of_a_parameter_names_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"Typed\.mode = 'Fast': expected .* did you mean 'fast'"):
        Typed(mode="Fast")


def test_sweeps_take_ranges_of_numpy_as_pythons_own(tmp_path: Path) -> None:
    path = market().write(tmp_path / MARKET)
    sweep = hr.sweep(Typed, {"stake": np.arange(2, 4, dtype=np.float32), "count": np.arange(2)}, path, engine="local")
    assert sweep.parameters == [{"stake": stake, "count": count} for stake in (2.0, 3.0) for count in (0, 1)]
    assert {type(value) for values in sweep.parameters for value in values.values()} == {float, int}


class Whole(hr.Strategy):
    """Notes prices of the book, which are floats here and whole numbers in the stream."""

    def check_market_book(self, market: Any, book: Any) -> bool:
        return bool(book.runners[0].ex.available_to_back) and not len(market.blotter)

    def process_market_book(self, market: Any, book: Any) -> None:
        level = book.runners[0].ex.available_to_back[0]
        notes = {"price": level.price, "text": "x", "half": 2.5, "whole": 7, "flag": True, "none": None}
        trade = hr.Trade(market.market_id, 1, 0, self, notes=notes)
        market.place_order(trade.create_order("BACK", hr.LimitOrder(level.price, 2.0), notes={"odd": Odd()}))


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("never")


def test_notes_print_whole_numbers_without_a_decimal_point_and_never_fail(tmp_path: Path) -> None:
    path = priced().close().write(tmp_path / MARKET)
    result = hr.backtest(Whole(), path, engine="local")
    assert result.orders["notes"].to_pylist() == ["2,x,2.5,7,True,None,<Odd, whose str raises RuntimeError>"]


def test_market_notes_print_prices_as_the_stream_has_them() -> None:
    def look(script: Any, market: Any) -> str | None:
        return hr.get_market_notes(market, 1)

    played = replay(priced().close(), {100: [back("a", 2.2, 5.0), look]})
    assert played["a"].market_notes == played.answers[1] == "2,2.1,None"


# -- the second line of defence --------------------------------------------------------------------------------------


class Spoiler(hr.Strategy):
    """Changes its orders behind the framework's back, in a way that no table can hold."""

    def check_market_book(self, market: Any, book: Any) -> bool:
        return bool(book.runners[0].ex.available_to_back) and len(market.blotter) < 6

    def process_market_book(self, market: Any, book: Any) -> None:
        for spoil in (
            lambda order: setattr(order, "runner_status", object()),  # in no table
            lambda order: setattr(order.order_type, "price", "two"),
            lambda order: setattr(order, "notes", ["no dict"]),
            lambda order: setattr(order.trade, "notes", {"a": "\udc80"}),
            lambda order: setattr(order.order_type, "size", np.float64(2)),
            lambda order: setattr(order, "selection_id", "one"),
        ):
            trade = hr.Trade(market.market_id, 1, 0, self)
            order = trade.create_order("BACK", hr.LimitOrder(2.2, 2.0))
            assert market.place_order(order)
            market.call_later(5, lambda order=order, spoil=spoil: spoil(order))


class Sound(hr.Strategy):
    def check_market_book(self, market: Any, book: Any) -> bool:
        mine = market.blotter.strategy_orders(self)
        return bool(book.runners[0].ex.available_to_back) and not mine

    def process_market_book(self, market: Any, book: Any) -> None:
        market.place_order(hr.Trade(market.market_id, 1, 0, self).create_order("BACK", hr.LimitOrder(2.2, 2.0)))


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "in a folder"])
def test_a_value_that_cannot_be_written_costs_its_row_only(tmp_path: Path, kept: bool) -> None:
    path = priced().touch(400).touch(8000).close(9500).write(tmp_path / MARKET)
    strategies = [Spoiler(max_live_trade_count=9, max_selection_exposure=None), Sound()]
    out = str(tmp_path / "out") if kept else None
    result = hr.backtest(strategies, path, engine="local", out=out)
    rows = result.orders.to_pylist()
    assert [row["strategy"] for row in rows].count("Spoiler") == 3
    assert [(row["size"], row["selection_id"]) for row in rows if row["strategy"] == "Sound"] == [(2.0, 1)]
    lost = [row for row in result.failures.to_pylist() if row["error_type"] == "UnfitValueError"]
    assert sum(row["count"] for row in lost) == 3
    assert "its row of orders is left out" in lost[0]["message"]
    assert lost[0]["strategy"] == "Spoiler"
    assert len(result.digest) == 64
    assert result.summary().num_rows == 2
    assert [note for note in (row["notes"] for row in rows) if note] == ["\\x80"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("a", 1, 2.0, True, 5), ("a", 1, 2.0, True, 5)),
        ((None, None, None, None, None), (None, None, None, None, None)),
        (("a\udc80", np.int64(1), np.float32(2.2), np.bool_(False), 5.0), ("a\\x80", 1, 2.2, False, 5)),
        ((np.str_("a"), 1.0, Decimal(2), False, np.int64(5)), ("a", 1, 2.0, False, 5)),
    ],
)
def test_rows_are_converted_where_that_says_the_same(row: Any, expected: Any) -> None:
    found = check.converted(row)
    assert check.all_sound([row]) is (row == expected and list(map(type, row)) == list(map(type, expected)))
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a", 1.5, 2.0, True, 5), r"things\.whole = 1\.5 cannot be written: expected a whole number"),
        (("a", 2**70, 2.0, True, 5), r"things\.whole = 1180591620717411303424 cannot be written"),
        (("a", 1, "two", True, 5), r"things\.number = 'two' cannot be written: expected a number"),
        (("a", 1, 2.0, "yes", 5), r"things\.flag = 'yes' cannot be written: expected True or False"),
        (("a", 1, 2.0, True, math.nan), r"things\.time = nan cannot be written: expected a time"),
        ((["a"], 1, 2.0, True, 5), r"things\.text = \['a'\] cannot be written: expected a text"),
    ],
)
def test_values_that_no_column_holds_are_named(row: Any, message: str) -> None:
    assert not check.all_sound([("a", 1, 2.0, True, 5), row])
    with pytest.raises(UnfitValueError, match=f"^{message}"):
        check.converted(row)


check = RowCheck(
    "things", (("text", "text"), ("whole", "whole"), ("number", "number"), ("flag", "flag"), ("time", "time"))
)


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_error_without_a_text_of_its_own_is_a_failure_like_others() -> None:
    def fail(script: Any, market: Any) -> None:
        raise Broken

    def fail_in_latin(script: Any, market: Any) -> None:
        raise ValueError("\udce9t\udce9")

    played = replay(priced().touch(400).close(), {100: [fail], 400: [fail_in_latin]}, failing=True)
    assert [each.message for each in played.failures] == [
        "<Broken, whose str raises RuntimeError>",
        "\\xe9t\\xe9",
    ]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        (3.5, 3.5),
        (np.float32(3.1), 3.1),
        (np.float16(0.1), 0.1),
        (Decimal("0.1"), 0.1),
        (Price.TWO_AND_A_HALF, 2.5),
    ],
)
def test_numbers_are_read_as_they_were_meant(value: Any, number: float) -> None:
    assert number_of(value) == number


@pytest.mark.parametrize(
    "value", ["3", b"3", True, None, np.bool_(True), 3j, [3], np.array([3]), object(), datetime.timedelta(1)]
)
def test_what_is_no_number_is_told(value: Any) -> None:
    assert number_of(value) is None


def test_unboxed_leaves_alone_what_it_does_not_know() -> None:
    thing = object()
    assert unboxed(thing) is thing
    assert unboxed((np.int64(1), "a")) == (1, "a")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "Local"}, "engine='Local': expected auto, local or ray; did you mean 'local'"),
        ({"workers": "2"}, "workers='2': expected a whole number"),
        ({"workers": 0}, "workers=0: expected 1 or more"),
    ],
)
def test_options_of_runs_are_refused_by_name(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(hr.InputError, match=message):
        hr.Simulation(str(tmp_path), **settings)
    with pytest.raises(hr.InputError, match=message):
        hr.sweep(Typed, {"stake": [2]}, str(tmp_path), **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "half"}, "split='half': expected a number"),
        ({"split": 1.5}, "split=1.5: expected a share"),
        ({"sets_per_replay": 2.5}, "sets_per_replay=2.5: expected a whole number"),
    ],
)
def test_options_of_sweeps_are_refused_by_name(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(hr.InputError, match=message):
        hr.sweep(Typed, {"stake": [2]}, str(tmp_path), **settings)

"""Controls: which requests are refused, why, and what a refusal leaves behind."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

import headrace as hr
from builders import (
    FLUMINE,
    MARKET,
    Played,
    Stream,
    at_sp,
    back,
    cancel,
    lay,
    place,
    priced,
    replace,
    replay,
    update,
    write,
)
from common_strategies import BacksAtOnce
from headrace.strategies.currency import CURRENCIES

LINES = {"minUnitValue": 0.5, "maxUnitValue": 250.5, "interval": 0.1}


def ask(
    *requests: Any, client: hr.BaseClient | None = None, definition: dict[str, Any] | None = None, **settings: Any
) -> Played:
    """Make requests at one moment, with the controls on and without limits of exposure unless given.

    Args:
        definition: fields of the market's.
    """
    stream = priced(**(definition or {})).close()
    return replay(stream, {100: list(requests)}, client=client, force=False, failing=True, **settings)


def accepted(order_type: Any, side: str = "BACK", definition: dict[str, Any] | None = None, **client: Any) -> bool:
    played = ask(place("a", side, order_type), client=hr.SimulatedClient(**client), definition=definition)
    return played.answers == [True]


# -- sizes and prices ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        (None, False),
        (0, False),
        (-2, False),
        (2.005, False),
        (float("nan"), False),
        (float("inf"), False),
        (2, True),
        (2.01, True),
    ],
)
def test_size_is_above_zero_with_two_decimals_at_most(size: Any, fits: bool) -> None:
    assert accepted(hr.LimitOrder(2.0, size)) is fits
    assert accepted(hr.MarketOnCloseOrder(size)) is fits


@pytest.mark.parametrize(
    ("ladder", "price", "fits"),
    [
        ("CLASSIC", 2.02, True),
        ("CLASSIC", 2.01, False),
        ("CLASSIC", 1.0, False),
        ("CLASSIC", 1001, False),
        ("CLASSIC", None, False),
        ("FINEST", 2.01, True),
        ("FINEST", 1000, True),
        ("FINEST", 2.011, False),
        ("FINEST", 1.0, False),
        ("LINE_RANGE", 0.5, True),
        ("LINE_RANGE", 0.8, True),
        ("LINE_RANGE", 100.3, True),
        ("LINE_RANGE", 0.55, False),
        ("LINE_RANGE", 250.6, False),
    ],
)
def test_price_stands_on_the_markets_ladder(ladder: str, price: Any, fits: bool) -> None:
    says = {"priceLadderDefinition": {"type": ladder}}
    ranged = {**says, "lineMinUnit": 0.5, "lineMaxUnit": 250.5, "lineInterval": 0.1}
    for own in ("CLASSIC", "FINEST", "LINE_RANGE"):
        order_type = hr.LimitOrder(price, 20.0, price_ladder_definition=own, line_range_info=LINES)
        assert accepted(order_type, definition=says) is fits
        order_type.line_range_info = None
        assert accepted(order_type, definition=ranged) is fits
    # Where the definition says nothing, the order does.
    order_type = hr.LimitOrder(price, 20.0, price_ladder_definition=ladder, line_range_info=LINES)
    assert accepted(order_type, definition={"bettingType": None}) is fits


def test_order_on_a_line_has_no_place_in_a_market_of_odds() -> None:
    order_type = hr.LimitOrder(0.5, 20.0, price_ladder_definition="LINE_RANGE", line_range_info=LINES)
    assert accepted(order_type) is False


def test_line_order_without_its_range_is_refused() -> None:
    order_type = hr.LimitOrder(0.5, 20.0, price_ladder_definition="LINE_RANGE")
    assert accepted(order_type, definition={"bettingType": "LINE"}) is False


def test_limit_of_a_starting_price_order_stands_on_the_ladder() -> None:
    assert accepted(hr.LimitOnCloseOrder(20.0, 2.02)) is True
    assert accepted(hr.LimitOnCloseOrder(20.0, 2.01)) is False


@pytest.mark.parametrize("currency", CURRENCIES)
def test_stake_below_the_minimum_needs_the_least_payout(currency: str) -> None:
    size, payout, _ = CURRENCIES[currency]
    below = round(size - 0.01, 2)
    low = hr.get_nearest_price(1.02)
    high = next(price for price in hr.PRICES if price * below >= payout)
    assert accepted(hr.LimitOrder(low, size), currency_code=currency) is True
    assert accepted(hr.LimitOrder(low, below), currency_code=currency) is False
    assert accepted(hr.LimitOrder(high, below), currency_code=currency) is True
    assert accepted(hr.LimitOrder(low, below), currency_code=currency, min_bet_validation=False) is True


@pytest.mark.parametrize("currency", CURRENCIES)
def test_starting_price_order_needs_the_least_stake_or_liability(currency: str) -> None:
    size, _, liability = CURRENCIES[currency]
    assert accepted(hr.MarketOnCloseOrder(size), "BACK", currency_code=currency) is True
    assert accepted(hr.MarketOnCloseOrder(size - 0.01), "BACK", currency_code=currency) is False
    assert accepted(hr.MarketOnCloseOrder(liability), "LAY", currency_code=currency) is True
    assert accepted(hr.LimitOnCloseOrder(liability - 0.01, 2.0), "LAY", currency_code=currency) is False


def test_unknown_currency_is_a_client_error() -> None:
    with pytest.raises(hr.ClientError, match="GBP, EUR"):
        hr.SimulatedClient(currency_code="XXX")


# -- the market ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["SUSPENDED", "INACTIVE"])
def test_market_that_is_not_open_takes_no_requests(status: str) -> None:
    stream = priced().define(400, status=status, version=1).close()
    played = replay(stream, {400: [back("a", 2.0, 5.0)]}, force=False)
    assert played.answers == [False]
    assert played.violations[0].control == "MARKET_VALIDATION"


# -- exposures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "exposure"),
    [
        (back("a", 5.0, 10.0), 10.0),
        (lay("a", 5.0, 10.0), 40.0),
        (at_sp("a", "BACK", 12.0), 12.0),
        (at_sp("a", "LAY", 12.0), 12.0),
        (at_sp("a", "LAY", 12.0, price=10.0), 12.0),
    ],
    ids=["back", "lay", "back at SP", "lay at SP", "lay at SP with a limit"],
)
@pytest.mark.parametrize("limit", ["max_order_exposure", "max_selection_exposure", "max_market_exposure"])
def test_order_may_lose_as_much_as_the_limit_and_no_more(request_: Any, exposure: float, limit: str) -> None:
    stream = Stream(numberOfActiveRunners=2).touch(100).close()
    for limited, answer in ((exposure, True), (exposure - 0.01, False)):
        played = replay(stream, {100: [request_]}, force=False, **{limit: limited})
        assert played.answers == [answer]
    assert [(each.control, each.request) for each in played.violations] == [("STRATEGY_EXPOSURE", "PLACE")]


def test_limits_of_a_strategy_are_10_and_100_unless_given() -> None:
    strategy = hr.Strategy()
    limits = (strategy.max_order_exposure, strategy.max_selection_exposure, strategy.max_market_exposure)
    assert limits == (10, 100, None)


def test_profit_of_the_other_side_is_credit() -> None:
    stream = priced().touch(400).close()
    actions = {100: [back("a", 2.0, 10.0)], 400: [lay("b", 2.1, 18.0)]}
    # The back wins 10.00 where the lay loses 19.80.
    assert replay(stream, actions, force=False, max_selection_exposure=10.0).answers == [True, True]
    assert replay(stream, actions, force=False, max_selection_exposure=9.79).answers == [False, False]


def test_strategies_have_limits_of_their_own() -> None:
    class Other(hr.Strategy):
        def check_market_book(self, market: Any, book: Any) -> bool:
            return len(market.blotter) == 1

        def process_market_book(self, market: Any, book: Any) -> None:
            order = hr.Trade(MARKET, 1, 0, self).create_order("BACK", hr.LimitOrder(2.0, 8.0))
            assert market.place_order(order)

    replay(
        priced().close(), {100: [back("a", 2.0, 8.0)]}, force=False, max_selection_exposure=10.0,
        strategies=[Other(max_selection_exposure=10.0)],
    )  # fmt: skip


# -- trades ----------------------------------------------------------------------------------------------------------


def test_live_trades_on_a_runner_are_limited() -> None:
    requests = [back("a", 2.2, 2.0), back("b", 2.2, 2.0), back("c", 1.9, 2.0, selection_id=2)]
    assert ask(*requests, max_live_trade_count=1).answers == [True, False, True]
    assert ask(*requests, max_live_trade_count=2).answers == [True, True, True]


def test_trades_on_a_runner_are_limited() -> None:
    stream = priced().touch(400).touch(800).close()
    actions = {at: [back(str(at), 2.0, 2.0)] for at in (100, 400, 800)}
    assert replay(stream, actions, force=False, max_trade_count=2).answers == [True, True, False]


def test_further_orders_of_a_live_trade_are_let_through_where_asked() -> None:
    def twice(script: Any, market: Any) -> list[bool]:
        trade = hr.Trade(MARKET, 1, 0, script.strategy)
        orders = [trade.create_order("BACK", hr.LimitOrder(2.2, 2.0)) for _ in range(2)]
        return [market.place_order(order) for order in orders]

    settings = {"max_trade_count": 0, "max_live_trade_count": 0}
    assert ask(twice, **settings).answers == [[False, False]]
    # The first order makes the trade live.
    assert ask(twice, max_live_trade_count=1, max_trade_count=1, multi_order_trades=True).answers == [[True, True]]


def test_strategy_may_have_rules_of_its_own() -> None:
    class Choosy(hr.Strategy):
        def check_market_book(self, market: Any, book: Any) -> bool:
            return book.publish_time_epoch % 1000 == 100

        def process_market_book(self, market: Any, book: Any) -> None:
            for price in (2.0, 2.2):
                order = hr.Trade(MARKET, 1, 0, self).create_order("BACK", hr.LimitOrder(price, 2.0))
                answers.append(market.place_order(order))

        def validate_order(self, runner_context: hr.RunnerContext, order: hr.Order) -> bool:
            order.violation_msg = "too dear"
            return order.order_type.price > 2.1

    answers: list[bool] = []
    played = replay(priced().close(), strategies=[Choosy()])
    assert answers == [False, True]
    assert [each.reason for each in played.violations] == ["strategy.validate_order failed: too dear"]


# -- transactions of an hour -----------------------------------------------------------------------------------------

#: The clock hour turns 46 minutes and 40 seconds after T0.
NEXT_HOUR = 2_800_000


def over_two_hours(config: hr.Config) -> Played:
    """Requests at six moments, the last of them in the next clock hour; the client may make two transactions."""
    times = (100, 400, 800, 1200, NEXT_HOUR - 1, NEXT_HOUR)
    stream = priced()
    for at in times[1:]:
        stream.touch(at)
    actions = {at: [back(str(at), 3.0, 2.0)] for at in times}
    client = hr.SimulatedClient(transaction_limit=2)
    return replay(stream.close(NEXT_HOUR + 1000), actions, force=False, config=config, client=client)


@pytest.mark.parametrize("config", [hr.Config(), FLUMINE], ids=["ours", "flumine"])
def test_transactions_of_a_clock_hour_are_limited(config: hr.Config) -> None:
    played = over_two_hours(config)
    refused = [order.status is hr.OrderStatus.VIOLATION for order in played.orders.values()]
    # The peer passes the limit by one: what was counted must be more than it.
    third = config is not FLUMINE
    assert refused == [False, False, third, True, True, False]
    assert {each.control for each in played.violations} == {"MAX_TRANSACTION_COUNT"}
    assert played.client.transaction_count_total == (3 if third else 4)


def test_orders_of_one_turn_keep_to_the_limit_of_the_account() -> None:
    actions = {100: [back(str(number), 3.0, 2.0) for number in range(10)]}
    client = hr.SimulatedClient(transaction_limit=1)
    played = replay(priced().close(), actions, force=False, client=client, max_live_trade_count=10)
    assert [order.status is hr.OrderStatus.VIOLATION for order in played.orders.values()] == [False] + [True] * 9
    assert played.client.transaction_count_total == 1


def test_what_is_given_back_of_an_hour_that_is_over_leaves_the_next_one_alone() -> None:
    traded = {1: {"trd": [[3.0, 100]]}}
    stream = priced().touch(400).touch(NEXT_HOUR - 60).prices(NEXT_HOUR - 50, traded)
    stream.touch(NEXT_HOUR + 300).touch(NEXT_HOUR + 600)
    actions = {
        100: [back("a", 3.0, 2.0)],
        NEXT_HOUR - 60: [replace("a", 4.0)],  # answered in the next hour: there is nothing left to replace
        NEXT_HOUR + 300: [back("b", 4.0, 2.0), back("c", 4.0, 2.0)],
    }
    client = hr.SimulatedClient(transaction_limit=2)
    played = replay(stream.close(NEXT_HOUR + 900), actions, force=False, client=client, max_live_trade_count=9)
    assert list(played.client.transactions_by_hour.values()) == [[1, 0], [1, 1]]
    assert [played[ref].status is hr.OrderStatus.VIOLATION for ref in "bc"] == [False, True]


def test_what_a_replace_does_not_place_is_given_back_to_the_account() -> None:
    stream = priced().touch(300).prices(400, {1: {"trd": [[3.0, 100]]}}).touch(800).close()
    played = replay(stream, {100: [back("a", 3.0, 2.0)], 300: [replace("a", 4.0)]})
    assert [answer.status for answer in played["a"].responses.cancel_responses] == ["FAILURE"]
    assert list(played.client.transactions_by_hour.values()) == [[1, 1]]


def test_refusal_of_the_account_comes_inside_the_request_under_compatibility() -> None:
    assert over_two_hours(FLUMINE).answers == [True, True, True, False, False, True]


def test_refusal_of_the_account_reaches_process_orders() -> None:
    played = over_two_hours(hr.Config())
    assert played.answers == [True] * 6
    assert any("1200" in refs for at, refs in played.calls if at == 1200)


def test_order_refused_by_the_account_leaves_its_runner_free() -> None:
    stream = priced().touch(400).touch(800).touch(NEXT_HOUR).close(NEXT_HOUR + 100)
    actions = {100: [back("a", 3.0, 2.0)], 400: [back("b", 3.0, 2.0)], NEXT_HOUR: [back("c", 3.0, 2.0)]}
    client = hr.SimulatedClient(transaction_limit=1)
    played = replay(stream, actions, force=False, client=client, max_live_trade_count=2)
    assert played["b"].status is hr.OrderStatus.VIOLATION
    assert played["c"].status is not hr.OrderStatus.VIOLATION


def test_cancels_are_let_through_at_the_limit() -> None:
    stream = priced().touch(400).touch(500).touch(800).close()
    actions = {100: [back("a", 3.0, 2.0)], 400: [replace("a", 4.0)], 500: [cancel("a")]}
    played = replay(stream, actions, force=False, client=hr.SimulatedClient(transaction_limit=1))
    assert [(each.control, each.request) for each in played.violations] == [("MAX_TRANSACTION_COUNT", "REPLACE")]
    assert (list(played.orders), played["a"].size_cancelled) == (["a"], 2.0)


def test_refused_requests_at_the_exchange_count_as_failed() -> None:
    stream = priced(persistenceEnabled=False).touch(400).touch(800).close()
    played = replay(stream, {100: [back("a", 3.0, 2.0)], 400: [update("a", "PERSIST")]})
    assert list(played.client.transactions_by_hour.values()) == [[1, 1]]


def test_hours_are_counted_over_all_markets(tmp_path: Any) -> None:
    write(tmp_path, *(priced(market_id=f"1.10000000{number}").touch(400).close() for number in range(3)))
    (row,) = hr.backtest(BacksAtOnce(), tmp_path, engine="local").transactions.to_pylist()
    assert (row["client"], row["placed"], row["failed"]) == ("simulated", 3, 0)


def test_no_limit_where_it_is_none() -> None:
    requests = [back(str(number), 3.0, 2.0) for number in range(3)]
    stream = priced().touch(400).touch(800)
    played = replay(
        stream, {100: requests, 400: [back("z", 3.0, 2.0)]}, force=False,
        client=hr.SimulatedClient(transaction_limit=None),
    )  # fmt: skip
    assert played.answers == [True] * 4


# -- controls of one's own -------------------------------------------------------------------------------------------


class NoLays(hr.BaseControl):
    NAME = "NO_LAYS"
    why = "lays are not for us"

    def _validate(self, order: hr.Order, package_type: hr.OrderPackageType) -> None:
        if order.side == "LAY":
            self._on_error(order, self.why)


class NoReplaces(hr.BaseControl):
    NAME = "NO_REPLACES"

    def __init__(self, framework: Any, client: Any, **settings: Any) -> None:
        super().__init__(framework, client=client, **settings)

    def _validate(self, order: hr.Order, package_type: hr.OrderPackageType) -> None:
        if package_type is hr.OrderPackageType.REPLACE:
            self._on_error(order, f"not for {self.client.username}")


def test_trading_control_of_ones_own_refuses() -> None:
    setup = {"trading_controls": [(NoLays, {"why": "no"})]}
    played = ask(back("a", 2.0, 2.0), lay("b", 2.0, 2.0), setup=setup)
    assert played.answers == [True, False]
    assert [(each.control, each.reason) for each in played.violations] == [("NO_LAYS", "no")]
    assert played["b"].violation_msg == "Order has violated: NO_LAYS Error: no"
    assert played["b"].status is hr.OrderStatus.VIOLATION


class Calls(NoLays):
    """Notes what it is called for."""

    calls: list[str]

    def __call__(self, order: hr.Order, package_type: hr.OrderPackageType) -> None:
        self.calls.append(package_type.name)
        super().__call__(order, package_type)


def test_control_that_is_called_its_own_way_is_called() -> None:
    calls: list[str] = []
    played = ask(back("a", 2.0, 2.0), lay("b", 2.0, 2.0), setup={"trading_controls": [(Calls, {"calls": calls})]})
    assert played.answers == [True, False]
    assert calls == ["PLACE", "PLACE"]


def test_control_that_a_strategy_adds_in_the_run_is_asked_from_then_on() -> None:
    def add(scripted: Any, market: Any) -> None:
        market.framework.trading_controls.append(NoLays(market.framework))

    stream = priced().touch(400).touch(800).close()
    script = {100: [lay("a", 2.0, 2.0)], 400: [add], 800: [lay("b", 2.0, 2.0), back("c", 2.0, 2.0)]}
    played = replay(stream, script, force=False)
    assert played.answers == [True, None, False, True]


def test_client_control_of_ones_own_refuses() -> None:
    setup = {"client_controls": [(None, NoReplaces, {})]}
    stream = priced().touch(400).close()
    played = replay(stream, {100: [back("a", 3.0, 2.0)], 400: [replace("a", 4.0)]}, force=False, setup=setup)
    assert played.answers == [True, False]
    assert played.violations[0].reason == "not for simulated"
    assert list(played.orders) == ["a"]


def test_simulation_takes_controls(tmp_path: Any) -> None:
    class Layer(hr.Strategy):
        def process_new_market(self, market: Any, book: Any) -> None:
            market.place_order(hr.Trade(MARKET, 1, 0, self).create_order("LAY", hr.LimitOrder(2.0, 2.0)))

    client = hr.SimulatedClient()
    simulation = hr.Simulation(priced().close().write(tmp_path / MARKET), engine="local")
    simulation.add_client(client)
    simulation.add_strategy(Layer())
    simulation.add_trading_control(NoLays, why="no")
    simulation.add_client_control(client, NoReplaces)
    result = simulation.run()
    (row,) = result.violations.to_pylist()
    assert (row["strategy"], row["control"], row["reason"], row["count"]) == ("Layer", "NO_LAYS", "no", 1)


def test_client_control_of_an_unknown_client_is_a_client_error(tmp_path: Any) -> None:
    simulation = hr.Simulation(tmp_path, engine="local")
    with pytest.raises(hr.ClientError, match="add_client comes first"):
        simulation.add_client_control(hr.SimulatedClient(), NoReplaces)


def test_force_skips_all_controls() -> None:
    setup = {"trading_controls": [(NoLays, {})]}
    played = ask(lay("a", 2.01, 0.001, force=True), setup=setup, max_order_exposure=0.0)
    assert played.answers == [True]
    assert played.violations == []


def test_refusals_of_one_kind_are_one_row_with_a_count() -> None:
    played = ask(*(back(str(number), 2.0, 20.0 + number) for number in range(5)), max_order_exposure=10.0)
    assert [(each.control, each.count) for each in played.violations] == [("STRATEGY_EXPOSURE", 5)]


def test_refused_order_is_in_no_blotter_and_counts_for_nothing() -> None:
    played = ask(back("a", 2.0, 20.0), back("b", 2.0, 5.0), max_order_exposure=10.0)
    assert played.answers == [False, True]
    assert list(played.market.blotter) == [played["b"]]
    assert played.strategy.get_runner_context(MARKET, 1).trade_count <= 1


# -- transactions ----------------------------------------------------------------------------------------------------


def test_transaction_sends_what_was_accepted_even_when_its_block_raises() -> None:
    def half(script: Any, market: Any) -> None:
        order = hr.Trade(MARKET, 1, 0, script.strategy).create_order("BACK", hr.LimitOrder(2.0, 5.0))
        script.orders["a"] = order
        with contextlib.suppress(LookupError), market.transaction() as transaction:
            transaction.place_order(order)
            raise LookupError

    played = replay(priced().touch(400).close(), {100: [half]})
    assert played["a"].size_matched == 5.0


def test_order_of_another_client_cannot_be_changed() -> None:
    other = hr.SimulatedClient(username="other")

    def try_it(script: Any, market: Any) -> None:
        market.framework.clients.add_client(other)
        with market.transaction(client=other) as transaction, pytest.raises(hr.OrderError, match="another client"):
            transaction.cancel_order(script.orders["a"])

    replay(priced().touch(400).close(), {100: [back("a", 3.0, 5.0)], 400: [try_it]})


def test_order_never_placed_cannot_be_changed() -> None:
    def try_it(script: Any, market: Any) -> None:
        order = hr.Trade(MARKET, 1, 0, script.strategy).create_order("BACK", hr.LimitOrder(2.0, 5.0))
        with pytest.raises(hr.OrderError, match="never placed"):
            market.cancel_order(order)

    replay(priced().close(), {100: [try_it]})


@pytest.mark.parametrize(
    ("side", "order_type", "said"),
    [("Back", hr.LimitOrder(2.0, 2.0), "expected BACK or LAY"), ("BACK", "LIMIT", "expected a LimitOrder")],
)
def test_order_that_the_exchange_does_not_have_is_an_error(side: str, order_type: Any, said: str) -> None:
    with pytest.raises(hr.OrderError, match=said):
        hr.Trade(MARKET, 1, 0, hr.Strategy()).create_order(side, order_type)

"""Orders of which nothing can be learnt: how they end, what they count for, and what becomes of them after all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import headrace as hr
from builders import MARKET
from headrace.actors.live.exposure import loss_of
from headrace.strategies.stands import Stand
from live_trading import Trading, Venue, venue

S = hr.OrderStatus


@pytest.fixture
def exchange() -> Iterator[Venue]:
    with venue() as made:
        yield made


@pytest.fixture
def trading(exchange: Venue) -> Iterator[Trading]:
    with Trading(exchange, execution_retry_attempts=0) as made:
        yield made


def unconfirmed(exchange: Venue, trading: Trading, lost: str, **of: Any) -> Any:
    """An order whose answer is lost while the stream is quiet and the lists cannot be had."""
    exchange.fault("order.lost", times=None)
    exchange.fault("http.status", operation="listCurrentOrders", times=None)
    exchange.fault(lost, operation="placeOrders")
    order = trading.place(3.0, 5.0, **of)
    trading.until(lambda: order.state.stand is Stand.IN_DOUBT)
    trading.skip(121)
    trading.until(lambda: order.state.stand is Stand.UNCONFIRMED)
    return order


def found(exchange: Venue, trading: Trading) -> None:
    """The lists can be had again."""
    exchange.do(exchange.service.faults.clear)
    trading.skip(31)


def test_order_ends_unconfirmed_and_process_orders_is_told_once(exchange: Venue, trading: Trading) -> None:
    order = unconfirmed(exchange, trading, "http.timeout_lost")
    assert (order.status, order.complete, order.bet_id, order.size_remaining) == (S.UNCONFIRMED, True, None, 5.0)
    trading.let(0.05)
    assert [name for _, name in trading.strategy.seen].count("UNCONFIRMED") == 1
    assert "unconfirmed" in trading.words


def test_it_counts_at_its_worst_for_its_strategy_and_for_the_account(exchange: Venue, trading: Trading) -> None:
    order = unconfirmed(exchange, trading, "http.lost")
    assert trading.market.blotter.selection_exposure(trading.strategy, order.lookup) == 5.0
    assert loss_of(trading.orders.bets.in_market(MARKET), None) == 5.0
    worst = trading.market.blotter.get_exposures(trading.strategy, order.lookup)
    assert worst["worst_potential_unmatched_profit_if_lose"] == -5.0
    without = trading.market.blotter.get_exposures(trading.strategy, order.lookup, exclusion=order)
    assert without["worst_possible_profit_on_lose"] == 0.0


def test_its_trade_stays_live_so_that_limits_count_it(exchange: Venue, trading: Trading) -> None:
    order = unconfirmed(exchange, trading, "http.timeout_lost")
    context = trading.strategy.get_runner_context(MARKET, 1, 0)
    assert (order.trade.complete, context.live_trade_count) == (False, 1)


def test_it_is_the_bet_that_turns_up(exchange: Venue, trading: Trading) -> None:
    order = unconfirmed(exchange, trading, "http.lost")
    found(exchange, trading)
    trading.until(lambda: order.status is S.EXECUTABLE)
    trading.market.cancel_order(order)
    trading.settle(order)

    assert (order.bet_id, order.size_cancelled) == (exchange.bets[0].bet_id, 5.0)
    assert trading.words[-1] == "adopted"
    assert order.trade.status is hr.TradeStatus.COMPLETE


def test_it_was_not_placed_if_the_lists_say_so_when_they_are_back(exchange: Venue, trading: Trading) -> None:
    order = unconfirmed(exchange, trading, "http.timeout_lost")
    found(exchange, trading)
    trading.until(lambda: order.state.stand is Stand.NOT_PLACED)
    trading.let(0.05)

    assert [name for _, name in trading.strategy.seen][-2:] == ["UNCONFIRMED", "EXPIRED"]
    assert trading.market.blotter.selection_exposure(trading.strategy, order.lookup) == 0.0
    assert (trading.orders.live, order.trade.status) == ([], hr.TradeStatus.COMPLETE)


def test_what_is_in_doubt_when_its_market_is_freed_ends_unconfirmed(exchange: Venue, trading: Trading) -> None:
    exchange.fault("http.timeout_lost", operation="placeOrders")
    order = trading.place(3.0, 5.0)
    trading.until(lambda: order.state.stand is Stand.IN_DOUBT)
    trading.actor.release_market(MARKET)

    assert (order.status, trading.strategy.seen[-1]) == (S.UNCONFIRMED, (order.id, "UNCONFIRMED"))

"""What becomes of orders where the exchange cuts what belongs together: a replace in two, a call from its reply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import headrace as hr
from headrace.strategies.stands import Stand
from live_trading import Trading, Venue, snapshot, venue


@pytest.fixture
def exchange() -> Iterator[Venue]:
    with venue() as made:
        yield made


@pytest.fixture
def trading(exchange: Venue) -> Iterator[Trading]:
    with Trading(exchange) as made:
        yield made


def replacement(trading: Trading, order: Any) -> Any:
    """The order that takes a replaced one's place, once the market has it."""
    return trading.until(lambda: next((each for each in trading.market.blotter if each is not order), None))


def agrees(trading: Trading, exchange: Venue) -> bool:
    """Whether what may still be matched here and at the exchange is the same."""
    here = {(bet.bet_id, bet.remaining) for bet in trading.orders.live}
    return here == {(bet.bet_id, bet.remaining) for bet in exchange.bets if bet.executable}


class TestReplaceCut:
    @pytest.mark.parametrize("value", [None, "TIMEOUT"])
    def test_bet_that_was_cancelled_and_not_placed_anew_ends(
        self, exchange: Venue, trading: Trading, value: str | None
    ) -> None:
        order = trading.placed(3.0, 5.0)
        exchange.fault("bet.replace_cut", value=value)
        trading.market.replace_order(order, 3.5)
        trading.until(lambda: len(trading.orders.doubts))
        trading.skip(16)
        trading.settle(order)
        trading.until(lambda: agrees(trading, exchange))

        assert snapshot(order) == ("EXECUTION_COMPLETE", 0.0, 0.0, 5.0, 0.0)
        made = [each for each in trading.market.blotter if each is not order]
        assert [(each.complete, each.bet_id, each.size_matched) for each in made] in ([], [(True, None, 0.0)])
        assert len(exchange.calls("replaceOrders")) == 1

    @pytest.mark.parametrize("value", [None, "TIMEOUT"])
    def test_what_is_placed_later_is_the_order_that_takes_its_place(
        self, exchange: Venue, trading: Trading, value: str | None
    ) -> None:
        order = trading.placed(3.0, 5.0)
        exchange.fault("bet.replace_cut", seconds=0.3, value=value)
        trading.market.replace_order(order, 3.5)
        made = replacement(trading, order)
        trading.until(lambda: made.status is hr.OrderStatus.EXECUTABLE)
        trading.until(lambda: agrees(trading, exchange))

        assert (order.complete, made.size_remaining, made.bet_id) == (True, 5.0, exchange.bets[1].bet_id)

    def test_what_is_placed_after_it_was_given_up_is_taken_on(self, exchange: Venue, trading: Trading) -> None:
        order = trading.placed(3.0, 5.0)
        exchange.fault("bet.replace_cut", seconds=0.6)
        trading.market.replace_order(order, 3.5)
        trading.until(lambda: len(trading.orders.doubts))
        trading.skip(16)
        trading.settle(order)
        made = replacement(trading, order)
        trading.until(lambda: made.status is hr.OrderStatus.EXECUTABLE)

        assert agrees(trading, exchange)
        assert [(bet.order_id, bet.bet_id, bet.remaining) for bet in trading.orders.live] == [
            (made.id, made.bet_id, 5.0)
        ]
        assert trading.words == ["in_doubt", "adopted"]


class TestDuplicate:
    """Done, and told DUPLICATE_TRANSACTION: neither its outcome nor a bet's number follows from that."""

    def test_order_is_the_bet_that_was_placed(self, exchange: Venue, trading: Trading) -> None:
        exchange.fault("http.duplicate", operation="placeOrders")
        order = trading.place(3.0, 5.0)
        trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)

        assert [bet.bet_id for bet in exchange.bets] == [order.bet_id]
        assert len(trading.orders.doubts) == 0

    def test_part_is_cancelled_once(self, exchange: Venue, trading: Trading) -> None:
        order = trading.placed(3.0, 5.0)
        exchange.fault("http.duplicate", operation="cancelOrders")
        trading.market.cancel_order(order, 2.0)
        trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE and order.size_cancelled)

        assert (order.size_cancelled, order.size_remaining) == (2.0, 3.0)
        assert len(exchange.calls("cancelOrders")) == 1

    def test_replacement_is_found(self, exchange: Venue, trading: Trading) -> None:
        order = trading.placed(3.0, 5.0)
        exchange.fault("http.duplicate", operation="replaceOrders")
        trading.market.replace_order(order, 3.5)
        made = replacement(trading, order)
        trading.until(lambda: order.complete and made.status is hr.OrderStatus.EXECUTABLE)

        assert made.bet_id == exchange.bets[1].bet_id


def test_part_that_was_cancelled_unseen_is_read_and_not_cancelled_again(exchange: Venue, trading: Trading) -> None:
    order = trading.placed(3.0, 5.0)
    exchange.fault("order.lost", times=None)
    exchange.fault("http.lost", operation="cancelOrders")
    trading.market.cancel_order(order, 2.0)
    trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE and order.size_cancelled)

    assert (order.size_cancelled, order.size_remaining) == (2.0, 3.0)
    assert (len(exchange.calls("cancelOrders")), exchange.bets[0].remaining) == (1, 3.0)


def test_bet_that_lists_leave_out_once_is_found_by_the_next_look(exchange: Venue, trading: Trading) -> None:
    exchange.fault("order.lost", times=None)
    exchange.fault("list.leave_out", times=3)
    exchange.fault("http.lost", operation="placeOrders")
    order = trading.place(3.0, 5.0)
    trading.until(lambda: order.state.stand is Stand.IN_DOUBT)
    for _ in range(6):
        trading.skip(2)
        trading.let(0.05)
    trading.until(lambda: order.status is hr.OrderStatus.EXECUTABLE)

    assert order.bet_id == exchange.bets[0].bet_id

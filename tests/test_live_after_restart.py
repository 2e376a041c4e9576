"""An account's orders after a restart: what is known again of what rests, was matched, waits or has ended meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import betfairlightweight
import pytest

import headrace as hr
from builders import MARKET, priced
from exchange_builders import ALICE, BOB
from headrace.actors.live.account_exposure import account_loss
from headrace.actors.live.exposure import loss_of
from headrace.strategies.messages import OrderFact, Reply
from live_trading import Trading, Venue, venue


@pytest.fixture
def exchange() -> Iterator[Venue]:
    with venue(priced(bspMarket=True)) as made:
        yield made


@pytest.fixture
def before(exchange: Venue) -> Iterator[Trading]:
    with Trading(exchange, streams=[priced(bspMarket=True)]) as made:
        yield made


def again(exchange: Venue, before: Trading | None = None) -> Trading:
    """The system is started again. `before`: what its journal tells of; None: there is none."""
    made = Trading(exchange, streams=[priced(bspMarket=True)])
    for request in [] if before is None else before.requests:
        made.orders.take_request(request)
    for message in [] if before is None else before.told:
        if isinstance(message, Reply):
            made.orders.bets.take_reply(message)
        elif isinstance(message, OrderFact):
            made.orders.bets.take_fact(message)
    return made


def few_minutes(trading: Trading) -> None:
    """The lists are read a few times more."""
    looks = trading.orders.reconciliation.looks
    for count in range(1, 4):
        trading.skip(61)
        trading.until(lambda count=count: trading.orders.reconciliation.looks >= looks + count)


def agrees(trading: Trading, exchange: Venue) -> bool:
    """Whether what may be matched, and what is, is the same here and at the exchange."""
    bets = trading.orders.bets
    mine = [bet for bet in bets if bet.matched or not bet.ended]
    here = {(bet.bet_id, bet.matched, 0.0 if bet.at_sp else bet.remaining) for bet in mine}
    there = {
        (bet.bet_id, bet.matched, bet.remaining)
        for bet in exchange.bets
        if bet.username == ALICE.username and (bet.matched or not bet.ended)
    }
    return here == there


@pytest.mark.parametrize("journal", [True, False])
def test_cases_16_and_34_complete_and_resting_orders_are_known_and_no_difference_is_seen(
    exchange: Venue, before: Trading, journal: bool
) -> None:
    before.settle(before.place(1.98, 5.0))
    before.placed(3.0, 4.0)
    partly = before.placed(2.02, 6.0)
    exchange.fault("bet.fill_before_cancel", value="2")
    before.market.cancel_order(partly, 1.0)
    before.until(lambda: partly.size_cancelled == 1.0)
    with again(exchange, before if journal else None) as trading:
        few_minutes(trading)

        assert trading.words == []
        assert agrees(trading, exchange)
        assert trading.orders.held == {}
        assert loss_of(trading.orders.bets.in_market(MARKET), None) == 5.0 + 4.0 + 5.0


def test_case_34_all_that_is_matched_counts_for_the_account_though_no_image_has_it(
    exchange: Venue, before: Trading
) -> None:
    before.settle(before.place(1.98, 5.0))
    with again(exchange) as trading:
        few_minutes(trading)

        assert (trading.words, trading.orders.live) == ([], [])
        assert account_loss(trading.orders.bets, MARKET, None) == 5.0


def test_order_at_the_starting_price_waits_as_before(exchange: Venue, before: Trading) -> None:
    order = before.order(hr.MarketOnCloseOrder(liability=12.0))
    before.market.place_order(order)
    before.until(lambda: order.bet_id)
    with again(exchange, before) as trading:
        few_minutes(trading)

        (bet,) = trading.orders.live
        assert (bet.order_id, bet.at_sp, bet.remaining) == (order.id, True, 12.0)
        assert trading.words == []


def test_what_happened_meanwhile_is_told_of_each_order(exchange: Venue, before: Trading) -> None:
    matched, cancelled, lapsed = (before.placed(2.04, size) for size in (5.0, 6.0, 7.0))
    before.__exit__()
    other, mine = exchange.elsewhere(BOB), exchange.elsewhere()
    limit = betfairlightweight.filters.limit_order(size=5.0, price=2.04, persistence_type="LAPSE")
    other.betting.place_orders(
        MARKET, [betfairlightweight.filters.place_instruction("LIMIT", 1, "LAY", limit_order=limit)]
    )
    mine.betting.cancel_orders(MARKET, [betfairlightweight.filters.cancel_instruction(bet_id=cancelled.bet_id)])
    exchange.fault("bet.lapse", bet_id=lapsed.bet_id)
    with again(exchange, before) as trading:
        few_minutes(trading)

        told = {each.order_id: each for each in trading.told if isinstance(each, OrderFact)}
        assert (told[matched.id].matched, told[matched.id].executable) == (5.0, False)
        assert (told[cancelled.id].cancelled, told[cancelled.id].executable) == (6.0, False)
        assert (told[lapsed.id].lapsed, told[lapsed.id].executable) == (7.0, False)
        assert trading.words == []
        assert agrees(trading, exchange)


def test_bet_that_was_placed_by_a_request_that_no_journal_knows_is_found_at_the_start(
    exchange: Venue, before: Trading
) -> None:
    before.placed(3.0, 4.0)
    with again(exchange) as trading:
        assert [(bet.order_id, bet.remaining) for bet in trading.orders.live] == [(None, 4.0)]
        assert trading.words == []


def test_case_54_session_and_connection_that_were_lost_cost_no_order_and_no_double(
    exchange: Venue, before: Trading
) -> None:
    order = before.placed(3.0, 4.0)
    exchange.fault("session.expire")
    exchange.fault("http.idle_close", seconds=0.01)
    exchange.fault("stream.drop", operation="orderSubscription")
    before.let(0.1)
    before.skip(200)
    before.market.cancel_order(order)
    before.settle(order)
    other = before.placed(3.0, 5.0)
    before.until(lambda: agrees(before, exchange))

    assert [bet.bet_id for bet in exchange.bets] == [order.bet_id, other.bet_id]
    assert len(exchange.calls("placeOrders")) == 2

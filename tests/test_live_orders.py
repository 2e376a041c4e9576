"""Orders of a hosted market at the rehearsal exchange: what strategies see of what the exchange answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import headrace as hr
from builders import MARKET, T0, Stream, priced
from exchange_servers import Served
from headrace.actors.coordinator import Coordinator
from headrace.actors.exchange import Desk as ExchangeDesk
from headrace.actors.exchange import MarketExchange
from headrace.actors.market import MarketActor
from headrace.strategies.book import MarketBook
from headrace.strategies.changes import MarketChange
from headrace.strategies.clock import Clock
from headrace.strategies.host import Host, unique_id
from headrace.strategies.messages import STREAM, OrderFact, Reply, Request
from headrace.strategies.stands import OrderStatus, Stand
from live_desk import Desk, Trader, trading


class Idle(hr.Strategy):
    """Does nothing of its own."""


class Hosted(MarketExchange):
    """A market actor whose orders go to an exchange over sockets."""

    settles = False

    def __init__(self, exchange: Served, desk: Desk, stream: Stream | None = None) -> None:
        self.trader = Trader(exchange, desk)
        self.desk, self.served = desk, exchange
        self.requests: list[Request] = []
        strategy = Idle(max_order_exposure=None, max_selection_exposure=None, max_live_trade_count=100)
        self.actor = MarketActor(
            Host(Clock(), hr.Config(raise_errors=True), unique_id),
            [strategy],
            Coordinator([self.trader.account.client]),
            self,
        )
        for line in (stream or priced()).lines[:2]:
            self.actor.receive(msgspec.json.decode(json.dumps(line["mc"][0]), type=MarketChange), line["pt"])
        self.market: Any = self.actor.markets.markets[MARKET]
        self.strategy = strategy
        self._taken = 0

    def open(self, market_id: str, book: MarketBook, desk: ExchangeDesk) -> MarketExchange:
        return self

    def send(self, request: Request) -> None:
        self.requests.append(request)
        self.trader.account.send(request)

    def place(self, order_type: Any, side: str = "BACK", async_: bool = False, **options: Any) -> Any:
        """Place an order, without waiting."""
        order = hr.Trade(MARKET, 1, 0, self.strategy).create_order(side, order_type)
        with self.market.transaction(async_place_orders=async_) as transaction:
            assert transaction.place_order(order, **options)
        return order

    def until(self, condition: Any) -> Any:
        """Hand on what is answered until a condition holds."""
        return self.desk.until(lambda: self._hand_on() or condition())

    def _hand_on(self) -> None:
        answers = self.trader.answers
        while self._taken < len(answers):
            self._taken += 1
            self.actor.receive(answers[self._taken - 1], T0 + 1_000 + self._taken)

    def fact(self, order: Any, **fields: Any) -> None:
        """The order stream tells of a bet."""
        bet = next(bet for bet in self.served.exchange.bets.values() if bet.order_ref == order.customer_order_ref)
        fact = OrderFact(MARKET, order.id, bet.bet_id, STREAM, T0 + 5_000, fields.pop("executable", True), **fields)
        self.trader.account.take_fact(fact)
        self.actor.receive(fact, T0 + 5_000)


@pytest.fixture
def hosted() -> Iterator[Hosted]:
    with Desk() as desk, trading() as exchange:
        yield Hosted(exchange, desk)


def test_order_that_rests_is_executable_with_its_bet(hosted: Hosted) -> None:
    order = hosted.place(hr.LimitOrder(3.0, 5.0))
    assert order.status is OrderStatus.PENDING
    hosted.until(lambda: order.status is OrderStatus.EXECUTABLE)
    assert (order.bet_id is not None, order.size_remaining, order.size_matched) == (True, 5.0, 0.0)


def test_what_is_matched_at_once_is_in_the_order_before_the_stream_tells(hosted: Hosted) -> None:
    """betcode-org/flumine#314: a reply has no size remaining, but its sizes say it."""
    order = hosted.place(hr.LimitOrder(1.98, 22.0))
    hosted.until(lambda: order.bet_id)
    assert (order.size_matched, order.size_remaining, order.status) == (20.0, 2.0, OrderStatus.EXECUTABLE)
    assert order.average_price_matched == pytest.approx(1.99)


def test_fill_or_kill_that_is_killed_is_complete_without_the_stream(hosted: Hosted) -> None:
    """betcode-org/flumine#296, #243, #739."""
    order = hosted.place(hr.LimitOrder(3.0, 5.0, time_in_force="FILL_OR_KILL"))
    hosted.until(lambda: order.complete)
    assert (order.size_cancelled, order.size_remaining, order.size_matched) == (5.0, 0.0, 0.0)


def test_replacement_that_is_matched_in_full_is_complete(hosted: Hosted) -> None:
    """betcode-org/flumine#743."""
    order = hosted.place(hr.LimitOrder(3.0, 5.0))
    hosted.until(lambda: order.bet_id)
    hosted.market.replace_order(order, 2.0)
    assert order.status is OrderStatus.REPLACING
    (made,) = hosted.until(lambda: [each for each in hosted.market.blotter if each is not order])
    hosted.until(lambda: made.complete)
    assert (made.size_matched, made.average_price_matched) == (5.0, 2.0)
    assert made.bet_id != order.bet_id


def test_order_that_the_exchange_refuses_is_complete_with_its_code(hosted: Hosted) -> None:
    order = hosted.place(hr.LimitOrder(3.03, 5.0), force=True)
    hosted.until(lambda: order.complete)
    assert (order.error_code, order.bet_id, order.size_matched) == ("INVALID_ODDS", None, 0.0)


def test_cancel_that_comes_too_late_leaves_the_order_to_the_stream(hosted: Hosted) -> None:
    """betcode-org/flumine#455: the order is not reset to be cancelled for ever, as the stream tells its end."""
    order = hosted.place(hr.LimitOrder(3.0, 5.0))
    hosted.until(lambda: order.bet_id)
    hosted.served.fault("bet.fill_before_cancel")
    hosted.market.cancel_order(order)
    hosted.fact(order, executable=False, matched=5.0, average=3.0, size=5.0)
    assert order.complete
    hosted.until(lambda: len(hosted.trader.replies()) == 2)
    assert (order.complete, order.size_matched) == (True, 5.0)


def test_placing_of_unknown_outcome_is_in_doubt_until_something_is_seen(hosted: Hosted) -> None:
    hosted.served.fault("http.lost", operation="placeOrders")
    order = hosted.place(hr.LimitOrder(3.0, 5.0))
    hosted.until(lambda: order.state.stand is Stand.IN_DOUBT)
    assert (order.bet_id, order.complete) == (None, False)
    hosted.fact(order, size=5.0, remaining=5.0, price=3.0)
    assert (order.status, order.bet_id is not None) == (OrderStatus.EXECUTABLE, True)


def test_async_order_is_cancelled_when_its_bet_is_known(hosted: Hosted) -> None:
    """betcode-org/flumine#629."""
    order = hosted.place(hr.LimitOrder(3.0, 5.0), async_=True)
    hosted.until(lambda: order.status is OrderStatus.EXECUTABLE)
    assert order.bet_id is None
    hosted.market.cancel_order(order)
    assert order.status is OrderStatus.CANCELLING
    hosted.until(lambda: hosted.served.exchange.bets)
    hosted.fact(order, size=5.0, remaining=5.0, price=3.0)
    hosted.until(lambda: len(hosted.trader.replies()) == 2)
    assert [bet.cancelled for bet in hosted.served.exchange.bets.values()] == [5.0]
    cancelled = hosted.trader.replies()[1]
    assert isinstance(cancelled, Reply)
    assert cancelled.reports[0].size == 5.0


def test_async_order_cannot_be_updated_before_its_bet_is_known(hosted: Hosted) -> None:
    order = hosted.place(hr.LimitOrder(3.0, 5.0), async_=True)
    hosted.until(lambda: order.status is OrderStatus.EXECUTABLE)
    with pytest.raises(hr.OrderUpdateError, match="cannot update, the exchange has given no bet id yet"):
        hosted.market.update_order(order, "PERSIST")


def test_limit_on_close_order_moves_its_price(hosted: Hosted) -> None:
    """A price of an order at the starting price is edited: the old bet ends with nothing cancelled."""
    with Desk() as desk, trading(priced(bspMarket=True)) as exchange:
        hosted = Hosted(exchange, desk, priced(bspMarket=True))
        order = hosted.place(hr.LimitOnCloseOrder(20.0, 3.0))
        hosted.until(lambda: order.bet_id)
        hosted.market.replace_order(order, 2.5)
        (made,) = hosted.until(lambda: [each for each in hosted.market.blotter if each is not order])
        hosted.until(lambda: made.bet_id)
        assert (made.order_type.liability, made.order_type.price) == (20.0, 2.5)
        assert [bet.price for bet in exchange.exchange.bets.values() if not bet.ended] == [2.5]

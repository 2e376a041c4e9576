"""The simulated exchange: requests that arrive late, bets that wait in queues, and books that match them.

One `SimulatedExchange` a unit of replay; it opens a `SimulatedMarket` for each market.
Source: docs/fidelity.md.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..strategies.book import MarketBook
from ..strategies.errors import OrderError, SettlementError
from ..strategies.order import Order, OrderStatus, Response
from ..strategies.order_package import OrderPackage, OrderPackageType
from ..strategies.order_types import LimitOrder
from .bets import SimulatedBet
from .models import Models
from .passive import PassiveMatching
from .placement import Arrival
from .starting_price import actual_sp

if TYPE_CHECKING:
    from ..strategies.framework import Framework
    from ..strategies.market import Market

logger = logging.getLogger("headrace")

#: Bet ids count up from here.
FIRST_BET_ID = 100_000_000_000
_PASSIVE = "PASSIVE"
#: Why an order was never placed.
MARKET_CLOSED, RECORDING_ENDED = "MARKET_CLOSED", "RECORDING_ENDED"
_UNANSWERED = (OrderStatus.PENDING, OrderStatus.REPLACING)


class SimulatedExchange:
    """The exchange of one actor: bet ids count over all its markets.

    Args:
        models: what is left out follows the configuration.
    """

    def __init__(self, models: Models | None = None) -> None:
        self._models = models or Models()
        self._last_bet_id = FIRST_BET_ID
        self._completed: Models | None = None

    def open(self, market: Market, framework: Framework) -> SimulatedMarket:
        if self._completed is None:
            self._completed = self._models.completed(framework.config)
        return SimulatedMarket(market, framework, self._completed, self)

    def next_bet_id(self) -> str:
        self._last_bet_id += 1
        return str(self._last_bet_id)

    def return_bet_id(self) -> None:
        """The order has to wait: its number goes to the next."""
        self._last_bet_id -= 1


class SimulatedMarket:
    """The exchange's side of one market."""

    def __init__(self, market: Market, framework: Framework, models: Models, exchange: SimulatedExchange) -> None:
        self.market = market
        self.pending: list[OrderPackage] = []
        self.watching = framework.host.rules.watch_all
        self._framework = framework
        self._clock = framework.host.clock
        self._rules = framework.host.rules
        self._models = models
        self._exchange = exchange
        self._held: MarketBook | None = None
        self._matching = PassiveMatching(market, framework, models)

    # -- requests ------------------------------------------------------------------------------------------------

    def submit(self, package: OrderPackage) -> None:
        """Take a package; it is looked at once its latency has passed."""
        latency = self._models.latency
        assert latency is not None
        package.latency = latency.seconds(package.package_type)
        if package.package_type is OrderPackageType.REPLACE:
            package.place_latency = latency.seconds(OrderPackageType.PLACE)
        if package.package_type is OrderPackageType.PLACE:
            for order in package.orders:
                self._matching.enter(order)
        self.pending.append(package)

    def hold(self) -> None:
        if self.pending and self._held is None:
            self._held = self.market.market_book.copy()

    def release(self) -> None:
        """Act on every package whose latency has passed, oldest first."""
        book = self._held or self.market.market_book
        now = self._clock.now_ms
        kept = []
        pending, self.pending = self.pending, []
        try:
            while pending:
                package = pending.pop(0)
                age = (now - package.created_ms) / 1000
                if age > package.latency:
                    self._handle(package, book, age)
                    if not package.waiting:
                        continue
                kept.append(package)
        finally:
            self.pending = kept + pending + self.pending
            self._held = None

    def _handle(self, package: OrderPackage, book: MarketBook, age: float) -> None:
        kind = package.package_type
        if kind is OrderPackageType.PLACE:
            self._place(package, book, age)
        elif kind is OrderPackageType.REPLACE:
            self._replace(package, book, age)
        else:
            change = self._cancel if kind is OrderPackageType.CANCEL else self._update
            for order in list(package.orders):
                if order.status is not OrderStatus.VIOLATION:
                    self._each(package, order, change, book)

    def _guard(self, order: Order, act: Callable[..., object], *arguments: object) -> bool:
        """Do something to an order; an error is that order's own, and the others go on. False where there was one."""
        try:
            act(*arguments)
        except Exception as error:
            self._framework.failed(error, order.trade.strategy, self.market)
            return False
        return True

    def _each(self, package: OrderPackage, order: Order, act: Callable[..., object], *arguments: object) -> None:
        """Act on one order of a package; where that fails it is not tried again."""
        try:
            act(package, order, *arguments)
        except Exception as error:
            package.orders.remove(order)
            self._framework.failed(error, order.trade.strategy, self.market)
            if self._rules.guarded_status:
                self._guard(order, self._give_up, order)

    @staticmethod
    def _give_up(order: Order) -> None:
        """A request could not be handled: an order that has not arrived ends, another is as it was before."""
        with order.trade:
            if order.status is OrderStatus.PENDING:
                order.simulated.void()
                order.responses.place_response = Response("FAILURE", "ERROR_IN_ORDER")
                order.execution_complete()
            elif not order.complete:
                order.executable()

    def _passive_delay(self, book: MarketBook) -> bool:
        """Whether orders that match nothing skip the bet delay."""
        return _PASSIVE in book.bet_delay_models

    def _delay(self, package: OrderPackage) -> float:
        """Latency and bet delay of a package, in seconds."""
        return package.latency + package.bet_delay

    def _arrival(self, package: OrderPackage, book: MarketBook, age: float) -> Arrival:
        client, delay_done = package.client, age > self._delay(package)
        exact = self._rules.guarded_status
        return Arrival(
            book,
            self._models,
            package.market_version,
            delay_done,
            client.best_price_execution,
            client.simulated_full_match,
            not exact,
            self.market.blotter.terms,
            self._arrived_at(package, book, delay_done) if exact else book.publish_time_epoch,
        )

    def _arrived_at(self, package: OrderPackage, book: MarketBook, delay_done: bool) -> int:
        """When an order of the package meets the book: when its time has passed, or when that book came later."""
        if delay_done:
            seconds = self._delay(package)
        elif package.package_type is OrderPackageType.REPLACE:
            seconds = package.place_latency + package.bet_delay
        else:
            seconds = package.latency
        due_ms = package.created_ms + round(seconds * 1000)
        return min(max(due_ms, book.publish_time_epoch), self._clock.now_ms)

    def _place(self, package: OrderPackage, book: MarketBook, age: float) -> None:
        if age < self._delay(package) and not self._passive_delay(book):
            return
        arrival = self._arrival(package, book, age)
        for order in list(package.orders):
            if order.status in _UNANSWERED:
                self._each(package, order, self._arrive, arrival)

    def _arrive(self, package: OrderPackage, order: Order, arrival: Arrival) -> None:
        """Place one order; it may have to wait."""
        with order.trade:
            answer, bet_id = self._judge(order, arrival)
            if answer is None:
                return
            order.responses.place_response = answer
            order.responses.placed_ms = arrival.time_ms if self._rules.guarded_status else self._clock.now_ms
            if answer.status == "SUCCESS":
                answer.bet_id = bet_id
                order.assign_bet_id(bet_id)
                if order.placement is not None and order.size_matched == 0:
                    order.placement.queue_ahead = order.simulated.queue_ahead if order.is_limit else None
                self.market.log_order(order)
                order.executable()
                self._matching.placed(order)
            else:
                order.execution_complete()
            package.client.add_transaction(1)

    def _judge(self, order: Order, arrival: Arrival) -> tuple[Response | None, str]:
        """The answer to a placing, None where it has to wait, and the bet id that an answer uses up."""
        bet_id = self._exchange.next_bet_id()
        answer = None
        try:
            answer = arrival.place(order.simulated)
        finally:
            if answer is None:
                self._exchange.return_bet_id()
        return answer, bet_id

    def _cancel(self, package: OrderPackage, order: Order, book: MarketBook) -> None:
        with order.trade:
            answer = self._reduce(order, book, order.update_data.get("size_reduction"))
            order.responses.cancel_responses.append(answer)
            if answer.status == "SUCCESS":
                self._finish(order, done=order.size_remaining == 0)
            else:
                package.client.add_transaction(1, failed=True)
                self._finish(order, done=False)

    def _reduce(self, order: Order, book: MarketBook, reduction: float | None) -> Response:
        if book.status != "OPEN":
            return Response("FAILURE", "ERROR_IN_ORDER")
        if not order.is_limit:
            return Response("FAILURE", "BET_ACTION_ERROR")
        if self._rules.guarded_status and order.complete:
            return Response("FAILURE", "BET_TAKEN_OR_LAPSED")
        remaining = order.size_remaining
        size = min(reduction or remaining, remaining)
        order.simulated.cancel(size)
        return Response("SUCCESS", size=size)

    def _finish(self, order: Order, done: bool) -> None:
        """A cancel or update was answered: the order is complete, or as it was before."""
        if self._rules.guarded_status and order.complete:
            order.update_data.clear()
        elif done:
            order.execution_complete()
        else:
            order.executable()

    def _update(self, package: OrderPackage, order: Order, book: MarketBook) -> None:
        with order.trade:
            answer = self._persist(order, book)
            order.responses.update_responses.append(answer)
            if answer.status != "SUCCESS":
                package.client.add_transaction(1, failed=True)
            self._finish(order, done=False)

    def _persist(self, order: Order, book: MarketBook) -> Response:
        order_type, definition = order.order_type, book.market_definition
        if book.status != "OPEN":
            return Response("FAILURE", "ERROR_IN_ORDER")
        if definition is None or not definition.persistence_enabled:
            return Response("FAILURE", "INVALID_PERSISTENCE_TYPE")
        if isinstance(order_type, LimitOrder) and order.size_remaining > 0:
            # Under compatibility a refused request in between has forgotten what was asked for, but it holds already.
            order_type.persistence_type = order.update_data.get("new_persistence_type", order_type.persistence_type)
            return Response("SUCCESS")
        return Response("FAILURE", "BET_ACTION_ERROR")

    def _replace(self, package: OrderPackage, book: MarketBook, age: float) -> None:
        """First the cancels; at a later look, once the bet delay has passed, the placing of what takes their place."""
        arrival = None
        for order in list(package.orders):
            if order.status is OrderStatus.REPLACING:
                self._each(package, order, self._cancel_replaced, book)
            elif order.status is OrderStatus.PENDING:
                due = package.place_latency + package.bet_delay
                if age < due and not self._passive_delay(book):
                    return
                arrival = arrival or self._arrival(package, book, age)
                self._each(package, order, self._place_replacement, arrival)

    def _cancel_replaced(self, package: OrderPackage, order: Order, book: MarketBook) -> None:
        new_price = order.update_data["new_price"]
        with order.trade:
            answer = self._reduce(order, book, None)
            order.responses.cancel_responses.append(answer)
            if answer.status != "SUCCESS":
                package.client.add_transaction(1, failed=True)
                self._finish(order, done=False)
                return
            self._finish(order, done=True)
            replacement = order.trade.create_order_replacement(order, new_price, answer.size, package.created_ms)
            self._matching.enter(replacement)
            replacement.place(self.market.publish_time, package.market_version, package.async_)
            if self._rules.reserve_pending:
                self.market.enter(replacement)
            package.orders.append(replacement)

    def _place_replacement(self, package: OrderPackage, order: Order, arrival: Arrival) -> None:
        if self._rules.reserve_pending:
            self._arrive(package, order, arrival)
            return
        if self.market.blotter.has_order(order.id):
            raise OrderError(f"order {order.id} was placed again while it waited to be replaced")
        with order.trade:
            answer, bet_id = self._judge(order, arrival)
            if answer is None:
                return
            order.responses.place_response = answer
            order.responses.placed_ms = self._clock.now_ms
            package.client.add_transaction(1)
            if answer.status != "SUCCESS":
                order.execution_complete()
                return
            answer.bet_id = bet_id
            order.assign_bet_id(bet_id)
            self.market.log_order(order)
            order.place(self.market.publish_time, package.market_version, package.async_)
            self.market.enter(order)
            order.executable()
            self._matching.placed(order)

    # -- the book ------------------------------------------------------------------------------------------------

    def match(self) -> None:
        self._matching.update()

    def rest(self) -> None:
        self.market.market_book.unwatch()

    def is_done(self, order: Order) -> bool:
        bet: SimulatedBet | None = order.simulated
        return bet is not None and bet.done

    def close(self) -> None:
        """Settle; by our own rules what is still waiting lapses first."""
        market = self.market
        if self._rules.guarded_status:
            self._matching.close()
            for order in list(market.blotter.live_orders):
                self._guard(order, self._end, order, MARKET_CLOSED)
        self.pending.clear()
        settlement = self._models.settlement
        assert settlement is not None
        told = False
        for order in market.blotter:
            try:
                settlement.settle(market, order)
                order.settled = True
            except Exception as error:  # the others are settled all the same
                order.settled, order.profit = False, 0.0
                # The peer's run ends with the first.
                if self._rules.guarded_status or not told:
                    self._framework.failed(error, order.trade.strategy, market)
                told = True

    def expire(self, why: str) -> bool:
        """End the orders that have not arrived, and whose market or recording has ended. `why`: one word."""
        waiting = [order for order in self.market.blotter.live_orders if order.status is OrderStatus.PENDING]
        for order in waiting:
            self._guard(order, self._end, order, why)
        self.pending = [package for package in self.pending if package.waiting]
        return bool(waiting)

    def forget(self) -> None:
        self.pending.clear()
        removals = self._models.removals
        assert removals is not None
        removals.forget(self.market.market_id)

    def _tell_of_bad_sp(self, order: Order) -> None:
        """A bet that waited for a price that is none is not matched, which nobody would expect."""
        runner = self.market.market_book.runner(order.selection_id, order.handicap)
        price = runner.sp.actual_sp if runner else None
        if isinstance(price, (int, float)) and math.isfinite(price) and price and actual_sp(runner) is None:
            error = SettlementError(
                f"market {order.market_id}: bet {order.bet_id} on {order.selection_id} is not matched: the recording "
                f"has a starting price of {price:g}, which leaves nothing to win"
            )
            self._framework.failed(error, order.trade.strategy, self.market)

    def _end(self, order: Order, why: str) -> None:
        """Nothing more can happen to this order: its market, or its recording, has ended."""
        bet: SimulatedBet | None = order.simulated
        if order.complete:
            return
        if why == MARKET_CLOSED and bet is not None and bet.takes_sp and order.status is not OrderStatus.PENDING:
            self._tell_of_bad_sp(order)
        if bet is not None and order.is_limit and order.size_remaining:
            bet.lapse()
        elif bet is not None and not order.is_limit and not order.size_matched:
            order.size_lapsed = bet.size
        with order.trade:
            if order.status is OrderStatus.PENDING:
                order.expired(why)
            else:
                order.execution_complete()

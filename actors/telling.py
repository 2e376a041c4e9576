"""Messages from the exchange about orders: they change the states of orders, then strategies are told."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from ..strategies.messages import (
    ANSWERED,
    CANCEL,
    PLACE,
    REFUSED,
    SUCCESS,
    UNCONFIRMED,
    UNKNOWN,
    ClearedOrder,
    OrderFact,
    Reply,
    Report,
)
from ..strategies.order import Order
from ..strategies.stands import Stand
from ..strategies.trade import TradeStatus
from .exchange import Answer
from .hosted_market import HostedMarket
from .requests import Requests

logger = logging.getLogger("headrace")


class Telling(Requests):
    """Replies, facts and results, and `process_orders`."""

    # -- taking --------------------------------------------------------------------------------------------------

    @property
    def answer(self) -> Callable[[Answer], None]:
        """Takes a message from the exchange; it goes to the coordinator first."""
        return self.coordinator.answer

    def take(self, message: Answer) -> None:
        """Take a message about orders of a market here. It never raises because of what the message says."""
        market = self._hosted.get(message.market_id)
        if market is None:
            return
        if type(message) is OrderFact:
            self._take_fact(market, message)
        elif type(message) is Reply:
            self.take_reply(market, message)
        elif type(message) is ClearedOrder:
            self._take_cleared(market, message)

    def _take_fact(self, market: HostedMarket, fact: OrderFact) -> None:
        order = market.order_of(fact)
        if order is None:
            market.keep_stray(fact)
            return
        if not self.rules.guarded_status:
            order.take_fact(fact)
            if fact.why == "SP":
                # At once: so orders complete as well that a refusal had made executable again.
                order.execution_complete()
            return
        taken = order.take_fact(fact)
        if taken.discrepancy is not None:
            self._disagree(order, taken.discrepancy)
        if not market.touched and (taken.changed or taken.ended):
            self.touch(market)

    def _disagree(self, order: Order, discrepancy: str) -> None:
        logger.warning(
            "Order %s of market %s %s",
            order.id,
            order.market_id,
            discrepancy,
            extra={"strategy": order.trade.strategy.name, "market_id": order.market_id},
        )

    def take_reply(self, market: HostedMarket, reply: Reply) -> None:
        if not self.rules.guarded_status:
            for report in reply.reports:
                self._take_report_as_peer(market, reply, report)
            return
        get_order = market.blotter.get_order
        for report in reply.reports:
            order = get_order(report.order_id) or market.order(report.order_id)
            if order is None:
                # A reply about it may come before the reply that says which order it replaces.
                market.keep_stray(msgspec.structs.replace(reply, reports=(report,)))
                continue
            trade = order.trade
            if trade.status is TradeStatus.COMPLETE:
                self._take_report(market, order, reply, report)
            else:
                with trade:
                    self._take_report(market, order, reply, report)
            if report.operation != PLACE:
                if order.id not in market.replacing:
                    trade.replaced(order)
            elif reply.outcome == REFUSED and order.state.stand is Stand.REFUSED and trade.complete:
                trade.complete_trade()
        # Orders and bet ids have become known: take the messages about them that came earlier.
        for message in market.take_strays():
            self.take(message)
        if not market.touched:
            self.touch(market)

    def _take_report(self, market: HostedMarket, order: Order, reply: Reply, report: Report) -> None:
        if reply.outcome != ANSWERED:
            if reply.outcome == REFUSED:
                order.violation_msg = reply.reason
            taken = order.take_outcome(reply.request_id, reply.outcome, report.operation)
            # Of one that nobody knows about, the answer may come yet.
            if reply.outcome not in (UNKNOWN, UNCONFIRMED) and market.is_replaced_by(order, reply.request_id):
                del market.replacing[order.id]
        else:
            first = order.responses.place_response is None
            taken = order.take_report(reply.request_id, report)
            if report.operation == PLACE:
                if report.status == SUCCESS and first:
                    _note_queue(order, report)
                    if self.logs:
                        market.log_order(order)
            elif market.replacing and report.operation == CANCEL and market.is_replaced_by(order, reply.request_id):
                self._replace(market, order, report)
        if taken.discrepancy is not None:
            self._disagree(order, taken.discrepancy)

    def _replace(self, market: HostedMarket, order: Order, report: Report) -> None:
        """The old bet is cancelled: the order that takes its place is on its way."""
        instruction, request = market.replacing.pop(order.id)
        if report.status != SUCCESS:
            return
        made = order.trade.create_order_replacement(
            order, instruction.new_price, report.size, request.asked_at, instruction.new_order_id
        )
        made.request_id = request.request_id
        market.replaced_by[order.id] = made.id
        made.place(market.publish_time, request.market_version, request.async_)
        if self.rules.reserve_pending:
            market.enter(made)
        else:
            market.await_entry(made)

    def _take_report_as_peer(self, market: HostedMarket, reply: Reply, report: Report) -> None:
        """The peer's answers set the status, whatever it was before."""
        order = market.order(report.order_id)
        if order is None:
            return
        replacing = market.is_replaced_by(order, reply.request_id)
        with order.trade:
            if report.operation == PLACE:
                self._placed_as_peer(market, order, reply, report)
                return
            order.respond(report)
            if report.operation != CANCEL or report.status != SUCCESS:
                order.executable()
            elif replacing:
                order.execution_complete()
                self._replace(market, order, report)
            elif order.size_remaining == 0:
                order.execution_complete()
            else:
                order.executable()
        if replacing:
            market.replacing.pop(order.id, None)

    def _placed_as_peer(self, market: HostedMarket, order: Order, reply: Reply, report: Report) -> None:
        order.answer_placing(report)
        if report.status != SUCCESS:
            order.execution_complete()
            return
        order.assign_bet_id(report.bet_id or "")
        waiting = order.id not in market.blotter
        if not waiting:
            _note_queue(order, report)
        if self.logs:
            market.log_order(order)
        if waiting:
            order.place(market.publish_time, order.market_version, order.async_)
            market.enter(order)
        order.executable()

    def _take_cleared(self, market: HostedMarket, cleared: ClearedOrder) -> None:
        """Take the result of a bet; the last one counts, whatever comes first."""
        order = market.cleared_order(cleared)
        if order is None:
            market.keep_stray(cleared)
            return
        if not market.is_news(order, cleared):
            return
        order.profit, order.settled = cleared.profit, cleared.settled
        order.runner_status, order.market_type = cleared.runner_status, cleared.market_type
        order.each_way_divisor = cleared.each_way_divisor
        order.number_of_dead_heat_winners = cleared.dead_heat_winners
        order.on_line, order.line_range_result = cleared.on_line, cleared.line_result
        order.settlement_note = cleared.note
        if not market.exchange.settles:
            self.touch(market)

    # -- telling -------------------------------------------------------------------------------------------------

    def tell(self, market: HostedMarket) -> None:
        """Tell strategies about the orders that this turn has touched."""
        if self._hosted.get(market.market_id) is market:
            self.turn.market = market
            self.process_market_orders(market)

    def process_market_orders(self, market: HostedMarket) -> None:
        """Orders may have changed: complete those at their end, then tell their strategies."""
        self.process_current_orders(market)
        market.touched = False
        market.orders_shown_ms = self.clock.now_ms
        turn = self.turn
        for seat, mine in market.traders():
            if not mine.current and not seat.all_orders:
                continue
            if not seat.hears:
                if mine.ended and not seat.all_orders:
                    mine.drop(mine.take_ended())
                continue
            turn.strategy = seat.strategy
            try:
                if seat.all_orders:
                    seat.process_orders(market, mine.orders)
                else:
                    orders = mine.listed()
                    if not mine.ended:
                        seat.process_orders(market, orders)
                        continue
                    ended = mine.take_ended()
                    try:
                        seat.process_orders(market, orders)
                    finally:
                        mine.drop(ended)
            except Exception as error:
                self.failed_here(error, seat.strategy, market)
        if market.heard or type(self).process_market_orders is not Telling.process_market_orders:
            self.plan_orders(market)

    def process_current_orders(self, market: HostedMarket) -> None:
        """Complete the orders that have come to their end, by what the exchange has said."""
        blotter = market.blotter
        if not blotter.finished:
            return
        finished, live = list(dict.fromkeys(blotter.finished)), blotter.live_orders
        blotter.finished.clear()
        for order in finished:
            if order not in live:
                continue
            if not order.complete and order.is_done:
                try:
                    order.execution_complete()
                except Exception as error:
                    self.failed_here(error, order.trade.strategy, market)
            if order.complete:
                blotter.complete_order(order)
        blotter.finished.clear()

    def plan_orders(self, market: HostedMarket) -> None:
        """Make sure that `process_orders` is called in time while there are live orders."""
        if self._timed and not market.orders_timer and market.blotter.has_live_orders:
            now, interval = self.clock.now_ms, self._interval_ms
            # Where nobody was there to be called, intervals have passed all the same.
            market.orders_shown_ms += max(0, now - market.orders_shown_ms) // interval * interval
            market.orders_timer = True
            self.clock.call_at(market.orders_shown_ms + interval, self._orders_due, market)

    def _orders_due(self, market: HostedMarket) -> None:
        """The interval of `process_orders` has passed since it was planned; perhaps not since the last call."""
        market.orders_timer = False
        if market.closed or not market.shown or self._hosted.get(market.market_id) is not market:
            return
        due = market.orders_shown_ms + self._interval_ms
        if due > self.clock.now_ms:
            market.orders_timer = True
            self.clock.call_at(due, self._orders_due, market)
            return
        self.process_market_orders(market)


def _note_queue(order: Order, report: Report) -> None:
    if order.placement is not None and order.size_matched == 0:
        order.placement.queue_ahead = report.queue_ahead if order.is_limit else None
